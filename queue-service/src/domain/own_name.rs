//! The names that workers give to themselves and to their sessions.

use std::{fmt, sync::Arc};

/// A name that a caller chose for a worker or a session, together with the token that proved who chose it: whoever has one
/// token never speaks for the workers of another, whatever names it writes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnName {
    /// The id of the token; none for operators, all of whom count as one, and for what the service does by itself.
    pub token_id: Option<Arc<str>>,
    /// What the caller chose.
    pub name: String,
}

impl OwnName {
    /// A name that was chosen under no worker's token.
    pub fn of_nobody(name: String) -> Self {
        Self { token_id: None, name }
    }
}

impl fmt::Display for OwnName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
