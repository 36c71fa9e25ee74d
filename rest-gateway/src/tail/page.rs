//! A page: which one is wanted, and how it looks.

use crate::pieces::Pieces;

/// Which page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The domain; all where empty.
    pub(crate) domain: String,
    /// Only messages with a greater time stamp, Unix milliseconds; the newest page where 0.
    pub(crate) after: i64,
    /// At least so many messages, where there are as many.
    pub(crate) limit: u32,
}

/// A page that the tail holds.
#[derive(Debug)]
pub(crate) struct Page {
    /// The page as a JSON array.
    pub(crate) body: Pieces,
    /// True where more can be read at once.
    pub(crate) more: bool,
    /// The position behind the page.
    pub(crate) next_cursor: String,
    /// Its entity tag.
    pub(crate) tag: String,
}
