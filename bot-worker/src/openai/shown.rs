//! What people see of an answer before it is one: the words so far, `thinking…`, `using TOOL…`.

use crate::{Draft, mcp::Offered};

/// What people see while a model thinks.
const THINKING: &str = "thinking…";

/// The draft of an answer. What was said before tools were called stays: the reply holds it too.
pub(super) struct Shown<'a> {
    draft: &'a Draft,
    /// What the draft holds.
    holds: String,
    /// What was said in the rounds that are over.
    said: String,
}

impl<'a> Shown<'a> {
    pub(super) fn new(draft: &'a Draft) -> Self {
        Self { draft, holds: String::new(), said: String::new() }
    }

    /// Shows what there is of this round's text.
    pub(super) fn words(&mut self, text: &str, thinks: bool) {
        let now = match text {
            "" if thinks => THINKING,
            text => text,
        };
        self.show(with(&self.said, now));
    }

    /// Shows that tools are used.
    pub(super) fn using(&mut self, tools: &[&Offered]) {
        let mut names: Vec<_> = tools.iter().map(|tool| tool.name.as_str()).collect();
        names.dedup();
        self.show(with(&self.said, &format!("using {}…", names.join(", "))));
    }

    /// The round is over, and this was its text.
    pub(super) fn keep(&mut self, text: &str) {
        self.said = with(&self.said, text);
    }

    /// What was said in all, with the text of the last round.
    pub(super) fn all(&self, text: &str) -> String {
        with(&self.said, text)
    }

    fn show(&mut self, now: String) {
        match now.strip_prefix(self.holds.as_str()) {
            Some("") => return,
            Some(more) => self.draft.push(more),
            None => self.draft.replace(&now),
        }
        self.holds = now;
    }
}

fn with(before: &str, text: &str) -> String {
    match (before, text) {
        ("", text) => text.to_owned(),
        (before, "") => before.to_owned(),
        (before, text) => format!("{before}\n\n{text}"),
    }
}
