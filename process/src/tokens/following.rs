//! What the looks at the tokens file have shown, and which of it is believed.
//!
//! Editors and copies empty a file before they write it, and whoever looks in between sees a part of it. A part lacks
//! tokens; so what adds tokens is believed at once, and what takes one away only when the next look shows the same.

use std::collections::HashMap;

use super::{Line, TokensFileError};

/// The tokens that count, and what was seen since.
#[derive(Debug)]
pub(super) struct Following {
    believed: Vec<Line>,
    /// What the last look showed, if it lacked something.
    doubted: Option<Vec<Line>>,
    failed: bool,
}

impl From<Vec<Line>> for Following {
    /// What was read at the start counts.
    fn from(believed: Vec<Line>) -> Self {
        Self { believed, doubted: None, failed: false }
    }
}

impl Following {
    /// The tokens that count from this look on, if they are others than before.
    pub(super) fn next(&mut self, read: Result<Vec<Line>, TokensFileError>) -> Option<Vec<Line>> {
        let doubted = self.doubted.take();
        let lines = match read {
            Ok(lines) => lines,
            Err(error) => {
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::error!(%error, "the tokens stay as they were: fix the file");
                }
                return None;
            }
        };
        self.failed = false;
        if lines == self.believed {
            return None;
        }
        if lacks_some_of(&lines, &self.believed) && doubted.as_ref() != Some(&lines) {
            self.doubted = Some(lines);
            return None;
        }
        tracing::info!(tokens = lines.len(), "the tokens file has changed");
        self.believed.clone_from(&lines);
        Some(lines)
    }
}

/// True if a token is gone, or means something else now.
fn lacks_some_of(lines: &[Line], before: &[Line]) -> bool {
    let known: HashMap<_, _> = lines.iter().map(|line| (line.grant.hash, &line.grant)).collect();
    before.iter().any(|line| known.get(&line.grant.hash) != Some(&&line.grant))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{Following, Line};
    use crate::tokens::{NewToken, Role};

    fn line(name: &str) -> Line {
        let token = NewToken::draw(Role::Operator, &[], name, None);
        Line { grant: token.grant, created: SystemTime::UNIX_EPOCH }
    }

    #[test]
    fn what_is_added_counts_at_once() {
        let (old, new) = (line("old"), line("new"));
        let mut following = Following::from(vec![old.clone()]);
        assert_eq!(following.next(Ok(vec![old.clone()])), None);
        let both = vec![old, new];
        assert_eq!(following.next(Ok(both.clone())), Some(both));
    }

    #[test]
    fn a_file_that_is_being_written_takes_no_token_away_at_any_look() {
        let all: Vec<Line> = ["a", "b", "c"].map(line).into();
        let mut following = Following::from(all.clone());
        // Empty, then line by line, at the first look too.
        for written in 0..3 {
            assert_eq!(following.next(Ok(all[..written].to_vec())), None, "{written}");
        }
        assert_eq!(following.next(Ok(all.clone())), None, "it is as it was");
        assert_eq!(following.next(Ok(Vec::new())), None, "each time anew");
    }

    #[test]
    fn what_is_removed_counts_no_more_when_the_next_look_shows_the_same() {
        let all: Vec<Line> = ["a", "b", "c"].map(line).into();
        let mut following = Following::from(all.clone());
        let fewer = all[1..].to_vec();
        assert_eq!(following.next(Ok(fewer.clone())), None);
        assert_eq!(following.next(Ok(fewer.clone())), Some(fewer.clone()));
        assert_eq!(following.next(Ok(fewer)), None, "it is no news");
        assert_eq!(following.next(Ok(Vec::new())), None);
        assert_eq!(following.next(Ok(Vec::new())), Some(Vec::new()), "it was emptied on purpose");
    }

    #[test]
    fn a_token_that_is_given_less_is_one_that_is_taken_away() {
        let before = line("a");
        let mut after = before.clone();
        after.grant.expires = Some(SystemTime::UNIX_EPOCH);
        let mut following = Following::from(vec![before]);
        assert_eq!(following.next(Ok(vec![after.clone()])), None);
        assert_eq!(following.next(Ok(vec![after.clone()])), Some(vec![after]));
    }
}
