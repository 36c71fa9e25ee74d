//! The feeds of all domains: the newest messages in their present state, and the newest changes.
//!
//! Knows no clock and no network. A message's state is the one with the greatest number, wherever it came from; a page
//! is given only where it is known to hold everything that it should, and is told to be `Older` otherwise.

mod bounds;
mod present;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
};

use bytes::Bytes;
use repartee_process::QuietMap;
use repartee_proto::v1;

use super::{
    change::{Change, written},
    feed::{Feed, Floor, Post},
    heads::Heads,
    told::Told,
};
use crate::answers::PAGE_BYTES;
use present::{Item, Reading, Recent};

pub(crate) use bounds::Limits;

/// Most domains that are remembered of which nothing is held but where their newest message stands.
const QUIET_DOMAINS: NonZeroUsize = NonZeroUsize::new(10_000).expect("not zero");

/// A message in its present state.
#[derive(Debug)]
struct Held {
    id: Arc<str>,
    domain: Arc<str>,
    /// Number of the change that posted it, where that change was seen.
    posted: Option<u64>,
    /// Number of the change that left it as it is.
    seq: u64,
    json: Bytes,
    /// Bytes that are kept for this state alone; 0 where they are those of a change that is kept as well.
    own: usize,
}

/// A change as it was told when it came. What was said in its message then is never shown once it is edited.
#[derive(Debug)]
struct Kept {
    id: Arc<str>,
    domain: Arc<str>,
    told: Told,
}

/// Everything that the tail holds of one log.
#[derive(Debug)]
pub(super) struct Feeds {
    limits: Limits,
    heads: Arc<Heads>,
    /// Number of the last change that was applied.
    seq: u64,
    /// The messages in the order in which they came; the first has place `gone`.
    messages: VecDeque<Held>,
    gone: u64,
    ids: HashMap<Arc<str>, u64>,
    /// The changes in order, without a gap; the last has number `seq`.
    kept: VecDeque<Kept>,
    /// Of messages with such a change in `kept`: the last one that edited or deleted it.
    edits: HashMap<Arc<str>, u64>,
    recent: Arc<Recent>,
    all: Feed,
    domains: QuietMap<Feed>,
    message_bytes: usize,
    change_bytes: usize,
}

/// A part of a feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// Messages as JSON, oldest first.
    pub(crate) items: Vec<Bytes>,
    /// True where more can be read at once.
    pub(crate) more: bool,
    /// Number after which to read on.
    pub(crate) next: u64,
}

/// Changes of a feed.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    /// In order.
    pub(crate) items: Vec<Told>,
    /// True where more can be read at once.
    pub(crate) more: bool,
    /// Number after which to read on.
    pub(crate) next: u64,
}

/// The tail does not hold all of that page; the queue-service does. What was complete here at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Older(pub(crate) Floor);

impl Feeds {
    /// The feeds of the log of `heads`. `newest` is a newest page of all domains, oldest first; `complete` where it is
    /// all that there is. Changes go on after `seq`, which is not after the page was read.
    pub(super) fn seeded(
        limits: Limits,
        heads: Arc<Heads>,
        seq: u64,
        newest: Vec<v1::Message>,
        complete: bool,
    ) -> Self {
        // A page holds whole time stamps: what is missing was posted before the first of them.
        let stamp = newest.first().filter(|_| !complete).map_or(0, |message| message.timestamp - 1);
        let floor = Floor { stamp, seq };
        let mut feeds = Self {
            limits,
            recent: Arc::new(Recent::new(heads.shared_epoch())),
            edits: HashMap::new(),
            heads,
            seq,
            messages: VecDeque::new(),
            gone: 0,
            ids: HashMap::new(),
            kept: VecDeque::new(),
            all: Feed::new(floor),
            domains: QuietMap::new(QUIET_DOMAINS, Feed::is_empty),
            message_bytes: 0,
            change_bytes: 0,
        };
        for message in newest {
            let (id, domain, stamp) =
                (message.id.as_str().into(), message.domain.as_str().into(), message.timestamp);
            let (seq, json) = (message.seq, written(message));
            let own = json.len();
            feeds.hold(Held { id, domain, posted: None, seq, json, own }, stamp);
        }
        feeds.evict();
        feeds
    }

    pub(super) fn heads(&self) -> &Arc<Heads> {
        &self.heads
    }

    /// Number of the last change that was applied.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Takes in the next change; its number is the one after [`Self::seq`].
    pub(super) fn apply(&mut self, change: &Change) {
        self.seq = change.seq;
        self.tell(change);
        self.show(change);
        self.heads.note(&change.domain, change.seq);
        self.evict();
    }

    /// The newest messages of a domain, of all where it is empty: whole time stamps, at least `limit` where there are as
    /// many.
    pub(super) fn newest(&self, domain: &str, limit: usize) -> Result<Page, Older> {
        let feed = self.feed(domain)?;
        let posts = feed.newest(limit);
        let fitting = self.fitting(posts.clone().rev());
        let left_out = posts.len() - fitting;
        if left_out == 0 && posts.len() < limit && feed.floor.stamp > 0 {
            return Err(Older(feed.floor));
        }
        Ok(Page {
            items: posts.skip(left_out).map(|post| self.held(post.place).json.clone()).collect(),
            more: false,
            next: self.seq,
        })
    }

    /// Messages with a time stamp after `after`: whole time stamps, at least `limit` where there are as many.
    pub(super) fn after(&self, domain: &str, after: i64, limit: usize) -> Result<Page, Older> {
        let feed = self.feed(domain)?;
        if after < feed.floor.stamp {
            return Err(Older(feed.floor));
        }
        let (posts, more) = feed.posts_after(after, limit);
        let fitting = self.fitting(posts.clone());
        let more = more || fitting < posts.len();
        let held: Vec<&Held> = posts.take(fitting).map(|post| self.held(post.place)).collect();
        // Reading on by cursor begins with the change after the one that posted the last of them.
        let next = if more { held.last().and_then(|last| last.posted) } else { Some(self.seq) };
        let next = next.ok_or(Older(feed.floor))?;
        Ok(Page { items: held.into_iter().map(|held| held.json.clone()).collect(), more, next })
    }

    /// At most `limit` changes of a domain after number `seq`, to be written as each is told now.
    pub(super) fn changes(&self, domain: &str, seq: u64, limit: usize) -> Result<Reading, Older> {
        let feed = self.feed(domain)?;
        if seq < feed.floor.seq {
            return Err(Older(feed.floor));
        }
        let (changes, more) = feed.changes_after(seq, limit);
        let (mut items, mut last) = (Vec::with_capacity(changes.len()), None);
        let (mut bytes, mut more) = (0, more);
        for seq in changes {
            let item = self.item(*seq);
            bytes += item.len();
            if bytes > PAGE_BYTES && last.is_some() {
                more = true;
                break;
            }
            items.push(item);
            last = Some(*seq);
        }
        let next = last.filter(|_| more).unwrap_or(self.seq);
        Ok(Reading { items, more, next, recent: Arc::clone(&self.recent) })
    }

    fn item(&self, seq: u64) -> Item {
        let kept = &self.kept[self.index(seq)];
        // Most feeds have no edit in them: then nothing is looked up.
        let edit = if self.edits.is_empty() { None } else { self.edits.get(&kept.id).copied() };
        let edit = edit.filter(|edit| *edit > seq);
        let edit = edit.map(|edit| (edit, self.kept[self.index(edit)].told.clone()));
        Item { seq, told: kept.told.clone(), edit }
    }

    /// How many of these posts, from the first on, make a page: whole time stamps, at least one of them, and no more once
    /// the page would be too large. The messages of one time stamp are those of one commit, which has a bound of its own.
    fn fitting<'a>(&self, posts: impl Iterator<Item = &'a Post>) -> usize {
        let (mut count, mut whole, mut bytes, mut stamp) = (0, 0, 0, None);
        for post in posts {
            if stamp.is_some_and(|stamp| stamp != post.stamp) {
                whole = count;
            }
            bytes += self.held(post.place).json.len() + 1;
            if bytes > PAGE_BYTES && whole > 0 {
                return whole;
            }
            (count, stamp) = (count + 1, Some(post.stamp));
        }
        count
    }

    /// This domain can be: from now on, that nobody speaks in it is known here.
    pub(super) fn know(&mut self, domain: &str) {
        if !domain.is_empty() && self.domains.get(domain).is_none() {
            let floor = self.all.floor;
            self.domains.enter(domain, || Feed::new(floor), |_| ());
        }
    }

    /// Notes what the queue-service has answered where this tail could not: it holds everything of this domain with a
    /// time stamp after `from`, and `stamps` are those of the messages after it. Ignored where the tail has dropped
    /// something since it was asked, when its floor was `before`.
    pub(super) fn learn(
        &mut self,
        domain: &str,
        before: Floor,
        from: i64,
        stamps: impl Iterator<Item = i64>,
    ) {
        if domain.is_empty() || self.floor(domain).stamp != before.stamp {
            return;
        }
        // What is newer than the floor is in the tail, or on its way; the newest older one is where it begins.
        let stamp = stamps.filter(|stamp| *stamp <= before.stamp).max().unwrap_or(from);
        let floor = self.all.floor;
        self.domains.enter(
            domain,
            || Feed::new(floor),
            |feed| feed.floor.stamp = feed.floor.stamp.min(stamp),
        );
    }

    /// A domain that nobody has spoken in since the tail began may be one that cannot be: the queue-service knows.
    fn feed(&self, domain: &str) -> Result<&Feed, Older> {
        if domain.is_empty() { Ok(&self.all) } else { self.domains.get(domain).ok_or(Older(self.all.floor)) }
    }

    fn floor(&self, domain: &str) -> Floor {
        self.feed(domain).map_or(self.all.floor, |feed| feed.floor)
    }

    fn held(&self, place: u64) -> &Held {
        &self.messages[offset(place, self.gone)]
    }

    /// Where the change `seq` stands among those that are told.
    fn index(&self, seq: u64) -> usize {
        offset(seq, self.all.floor.seq + 1)
    }

    fn hold(&mut self, held: Held, stamp: i64) {
        let place = self.gone + self.messages.len() as u64;
        self.all.posts.push_back(Post { stamp, place });
        let floor = self.all.floor;
        self.domains.enter(
            &held.domain,
            || Feed::new(floor),
            |feed| feed.posts.push_back(Post { stamp, place }),
        );
        self.ids.insert(Arc::clone(&held.id), place);
        self.message_bytes += held.bytes();
        self.messages.push_back(held);
    }

    /// Adds a change to those that are told, and notes where it says anew what is said in its message.
    fn tell(&mut self, change: &Change) {
        let (id, domain, told) = (Arc::clone(&change.id), Arc::clone(&change.domain), change.told.clone());
        if change.reaches_back {
            self.edits.insert(Arc::clone(&id), change.seq);
        }
        let floor = self.all.floor;
        self.domains.enter(&domain, || Feed::new(floor), |feed| feed.changes.push_back(change.seq));
        let kept = Kept { id, domain, told };
        self.change_bytes += kept.bytes();
        self.kept.push_back(kept);
        self.all.changes.push_back(change.seq);
    }

    /// Makes this the present state of a message that is held or was just posted.
    fn show(&mut self, change: &Change) {
        if let Some(place) = self.ids.get(&change.id) {
            let held = &mut self.messages[offset(*place, self.gone)];
            if change.posted {
                held.posted = Some(change.seq);
            }
            if change.seq >= held.seq {
                self.message_bytes -= held.own;
                (held.seq, held.json, held.own) = (change.seq, change.told.json(), 0);
            }
        } else if change.posted && change.stamp > self.all.floor.stamp {
            let (id, domain, json) = (Arc::clone(&change.id), Arc::clone(&change.domain), change.told.json());
            self.hold(
                Held { id, domain, posted: Some(change.seq), seq: change.seq, json, own: 0 },
                change.stamp,
            );
        } else if change.posted {
            // The rest of its time stamp has left already, or never was in the seed.
            let floor = self.all.floor;
            self.domains.enter(&change.domain, || Feed::new(floor), |feed| feed.raise(change.stamp));
        }
    }
}

/// Places and numbers rise by one, so a queue finds its entries by the distance from its first.
fn offset(number: u64, first: u64) -> usize {
    usize::try_from(number - first).expect("it is in memory")
}
