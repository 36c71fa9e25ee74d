//! Pages of the feed: whoever reads them one after the other misses nothing and sees nothing twice.

use std::collections::{BTreeMap, HashSet};

use repartee_proto::v1::{ChangeKind, Message};

use super::index::{Index, Side};
use crate::{
    history::{Answer, Call, FaceKind, Seen},
    request::{From, Request},
};

/// What the pages of one domain are compared with.
struct Feed<'a> {
    changes: Vec<&'a Seen>,
    posts: Vec<&'a Seen>,
}

/// One page.
struct Page<'a> {
    call: &'a Call,
    messages: &'a [Message],
    limit: usize,
    more: bool,
    /// Number of the newest change that was shown before the page was asked for.
    known: u64,
}

/// Each page is a piece of the log without a gap, begins where it was asked to, never ends inside a time stamp, and says
/// truly whether more follows.
pub(super) fn pages_have_no_gap(index: &Index<'_>) -> Vec<String> {
    let (mut feeds, mut broken) = (BTreeMap::new(), Vec::new());
    let (mut of_queue, mut of_gateway) = (0, 0);
    for (_, side, call) in index.timeline() {
        let page = match (&call.request, call.answer()) {
            (Request::Page { domain, from, limit }, Some(Answer::Page { messages, next, more })) => {
                Some((domain, from, *limit as usize, messages, next, *more))
            }
            _ => None,
        };
        match (side, page) {
            (Side::Begins, Some((domain, from, limit, messages, next, more))) => {
                let feed = feeds.entry(domain.as_str()).or_insert_with(|| Feed::of(index, domain));
                let known = if call.face == FaceKind::Json { of_gateway } else { of_queue };
                let page = Page { call, messages, limit, more, known };
                broken.extend(match from {
                    From::Newest => feed.newest(&page),
                    From::Stamp(after) => feed.after(&page, *after),
                    From::Cursor(cursor) => {
                        feed.changes(&page, index.number_of(cursor), index.number_of(next))
                    }
                });
            }
            (Side::Begins, None) => {}
            (Side::Ends, page) => {
                let newest = call.shown().iter().map(|message| message.seq).max().unwrap_or_default();
                of_queue = newest.max(of_queue);
                if call.face == FaceKind::Json && (page.is_some() || call.request.writes()) {
                    of_gateway = newest.max(of_gateway);
                }
            }
        }
    }
    broken
}

impl<'a> Feed<'a> {
    fn of(index: &Index<'a>, domain: &str) -> Self {
        let changes = index.changes_in(domain);
        let posts = changes.iter().copied().filter(|change| change.kind == ChangeKind::Posted).collect();
        Self { changes, posts }
    }

    fn after(&self, page: &Page<'_>, after: i64) -> Option<String> {
        let begin = self.posts.partition_point(|post| post.message.timestamp <= after);
        let last = page.messages.last().map_or(after, |last| last.timestamp);
        let long = page.messages.get(page.limit.saturating_sub(1)).is_some_and(|at| at.timestamp != last);
        self.compare(page, begin, last).or_else(|| {
            long.then(|| {
                format!("{} has {} messages, and not for one time stamp", page.call, page.messages.len())
            })
        })
    }

    fn newest(&self, page: &Page<'_>) -> Option<String> {
        let Some((first, last)) = page.messages.first().zip(page.messages.last()) else {
            return self.compare(page, 0, i64::MIN);
        };
        let begin = self.posts.partition_point(|post| post.message.timestamp < first.timestamp);
        let short = page.messages.len() < page.limit && begin > 0;
        self.compare(page, begin, last.timestamp).or_else(|| {
            short.then(|| {
                format!("{} has only {} messages, and older ones exist", page.call, page.messages.len())
            })
        })
    }

    /// Compares a page with the posts from one place to the end of its last time stamp.
    fn compare(&self, page: &Page<'_>, begin: usize, last: i64) -> Option<String> {
        let end = self.posts.partition_point(|post| post.message.timestamp <= last).max(begin);
        let expected = &self.posts[begin..end];
        let shown: HashSet<&str> = page.messages.iter().map(|message| message.id.as_str()).collect();
        if shown.len() < page.messages.len() {
            return Some(format!("{} shows a message twice", page.call));
        }
        if let Some(missed) = expected.iter().find(|post| !shown.contains(post.message.id.as_str())) {
            let (seq, stamp) = (missed.seq, missed.message.timestamp);
            return Some(if stamp == last {
                format!("{} ends inside the time stamp {stamp}: it has not change {seq}", page.call)
            } else {
                format!("{} has a gap: it has not change {seq} of {stamp}", page.call)
            });
        }
        if !page.messages.iter().map(|message| &message.id).eq(expected.iter().map(|post| &post.message.id)) {
            return Some(format!("{} is out of order", page.call));
        }
        let next = self.posts.get(end).filter(|next| !page.more && next.seq <= page.known);
        if let Some(next) = next {
            let (call, known, seq) = (page.call, page.known, next.seq);
            return Some(format!(
                "{call} says that nothing follows; change {seq} does, and change {known} was shown before"
            ));
        }
        (page.more && page.messages.len() < page.limit)
            .then(|| format!("{} has {} messages and says that more follow", page.call, page.messages.len()))
    }

    /// Compares a page of changes with those between its two cursors.
    fn changes(&self, page: &Page<'_>, from: Option<u64>, next: Option<u64>) -> Option<String> {
        let Some((from, next)) = from.zip(next) else {
            return Some(format!("{} ends with a cursor of another log", page.call));
        };
        let between = self.changes.iter().filter(|change| change.seq > from && change.seq <= next);
        let expected: Vec<u64> = between.map(|change| change.seq).collect();
        let shown: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
        if expected != shown {
            return Some(format!(
                "{} shows the changes {shown:?} up to {next}, the log has {expected:?}",
                page.call
            ));
        }
        (!page.more && next < page.known).then(|| {
            format!(
                "{} says that nothing follows {next}, and change {} was shown before",
                page.call, page.known
            )
        })
    }
}
