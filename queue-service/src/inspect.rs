//! `--check`: reads everything that is stored and holds it against each other, while no service has it open.
//!
//! A start reads only what it needs, so damage in old messages is found when somebody asks for them. This finds it
//! before.

use std::{fmt, path::Path};

use uuid::Uuid;

use crate::{
    domain::{ChangeKind, RequestKey},
    journal::{Durability, HighWater, JournalError, OpenError, SledStore, Tally},
};

/// Changes that are held in memory together.
const CHANGES: usize = 1_000;
/// Idempotency keys that are.
const KEYS: usize = 1_000;

/// What is stored, once all of it was found to be whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    epoch: String,
    changes: u64,
    messages: u64,
    live: u64,
    failed: u64,
    keys: u64,
    rows: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, changes, messages, live, failed, keys, rows } = self;
        write!(
            f,
            "the log {epoch} is whole: {changes} changes, {messages} messages, {live} of them pending or processing, \
             {failed} failed, {keys} idempotency keys, {rows} rows"
        )
    }
}

/// Why the data is not whole.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error(transparent)]
    Read(#[from] JournalError),
    #[error("message {0} was posted with change {1}, but is not found by its id")]
    Id(Uuid, u64),
}

/// Reads all of the data directory. Blocks for as long as that takes.
pub(crate) fn inspect(data_dir: &Path, durability: Durability) -> Result<Found, OpenError> {
    let tally = Tally::default();
    let store = SledStore::open_existing(data_dir, durability, &tally)?;
    HighWater::compare(data_dir, &store, &tally)?;
    read_all(&store, &tally).map_err(|wrong| OpenError::Damaged(data_dir.to_owned(), Box::new(wrong)))
}

fn read_all(store: &SledStore, tally: &Tally) -> Result<Found, Wrong> {
    let mut found = Found { epoch: store.epoch().to_string(), ..Found::default() };
    let mut seq = store.begins().seq;
    loop {
        // Nobody else has it open, so nothing is swept meanwhile.
        let page = store.changes_after(seq, None, CHANGES, tally)?.unwrap_or_default();
        for change in &page.changes {
            if change.seq() != seq + 1 {
                return Err(JournalError::Gap(seq + 1).into());
            }
            seq = change.seq();
            found.changes += 1;
            if change.kind == ChangeKind::Posted {
                let content = &change.record.content;
                let by_id = store.find(content.id, tally)?.map(|record| record.content.posted);
                if by_id != Some(content.posted) {
                    return Err(Wrong::Id(content.id, content.posted));
                }
            }
        }
        if !page.more {
            break;
        }
    }
    found.messages = store.count_messages(tally)?;
    found.live = store.live(tally)?.len() as u64;
    found.failed = store.failed(u64::MAX, usize::MAX, tally)?.len() as u64;
    found.keys = count_keys(store, tally)?;
    found.rows = store.count_rows()?;
    Ok(found)
}

fn count_keys(store: &SledStore, tally: &Tally) -> Result<u64, JournalError> {
    let (mut count, mut from): (u64, Option<RequestKey>) = (0, None);
    loop {
        let keys = store.requests_after(from, KEYS, tally)?;
        count += keys.len() as u64;
        match keys.last().filter(|_| keys.len() == KEYS) {
            Some(last) => from = Some(last.key),
            None => return Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::tests::history::Act,
        journal::{Commit, Journal as _, tests::Kept},
    };

    fn inspected(kept: Kept) -> Result<Found, OpenError> {
        let Kept { store, dir, .. } = kept;
        drop(store);
        loop {
            match inspect(dir.path(), Durability::Process) {
                // sled gives its lock back a moment after the last handle is gone.
                Err(OpenError::InUse(_)) => std::thread::yield_now(),
                inspected => return inspected,
            }
        }
    }

    #[test]
    fn a_whole_log_is_counted() {
        let mut kept = Kept::new();
        let acts: Vec<_> = (0..5).map(|human| Act::Ask { site: 0, human }).collect();
        kept.keep(&[(0, acts), (1, vec![Act::Say { site: 1, human: 9 }])]);
        let epoch = kept.store.epoch().to_string();
        let found = inspected(kept).unwrap();
        let rows = found.rows;
        assert!(rows > found.messages + found.live, "{rows}");
        let expected = Found { epoch, changes: 6, messages: 6, live: 5, failed: 0, keys: 0, rows };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_missing_commit_is_found_wherever_it_is() {
        let mut kept = Kept::new();
        kept.keep(&[(0, vec![Act::Say { site: 0, human: 0 }])]);
        let lost = kept.lived.live(1, &[Act::Say { site: 0, human: 1 }]).to_vec();
        for human in 2..50 {
            let changes = kept.lived.live(1, &[Act::Say { site: 0, human }]).to_vec();
            let stamp = kept.lived.world.queue.last_stamp();
            kept.store.append(&Commit { stamp, changes, ..Commit::default() }, &Tally::default()).unwrap();
        }
        let OpenError::Damaged(_, wrong) = inspected(kept).unwrap_err() else { panic!("a gap is damage") };
        assert_eq!(wrong.to_string(), format!("the log is damaged: change {} is missing", lost[0].seq()));
    }

    #[test]
    fn where_there_is_no_data_none_is_made() {
        let dir = tempfile::TempDir::new().unwrap();
        let nowhere = dir.path().join("nowhere");
        let wrong = inspect(&nowhere, Durability::Process).unwrap_err();
        assert!(matches!(wrong, OpenError::Directory(..)), "{wrong}");
        assert!(!nowhere.exists());
    }
}
