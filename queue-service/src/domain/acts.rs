//! What operators did. Each act is an entry of a log that is committed together with what it changed, so that neither is
//! there without the other. The newest entries are kept.
//!
//! An act that changed nothing (cancelling what was cancelled already) is no entry.

use uuid::Uuid;

use super::{At, Millis, Queue, Rejection, Selection};

/// How many entries are dropped with one new one, if fewer are kept than before.
const DROPPED_AT_ONCE: u64 = 1_000;

/// Who acted: the token that proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Id of the token.
    pub token_id: String,
    /// What its owner called it; may be empty.
    pub name: String,
}

/// What kind of act it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ActKind {
    /// Messages were taken out of the queue.
    Cancel,
    /// A failed message was put back.
    Retry,
    /// Text, score, priority or status of a message was changed.
    Edit,
    /// A message was deleted.
    Delete,
    /// A message was hidden.
    Hide,
    /// A hidden message is shown again.
    Restore,
    /// An author or an address was blocked.
    Block,
    /// A block was lifted.
    Unblock,
    /// An entity was paused.
    Pause,
    /// A paused entity goes on.
    Resume,
}

/// What was acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One message.
    Message(Uuid),
    /// An entity, an author or an address.
    All(Selection),
}

/// An act as its operator asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// Who asks.
    pub by: Actor,
    /// What for.
    pub kind: ActKind,
    /// On what.
    pub on: Target,
    /// What exactly, in words, if the kind does not say it all.
    pub detail: String,
    /// Why, as the operator says; may be empty.
    pub reason: String,
}

impl Deed {
    /// Bytes of its texts.
    pub fn held(&self) -> usize {
        size_of::<Self>()
            + self.by.token_id.len()
            + self.by.name.len()
            + self.detail.len()
            + self.reason.len()
    }
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Its number: the first entry has 1, and there are no gaps.
    pub number: u64,
    /// When, by the wall clock.
    pub at: Millis,
    /// What was done, by whom and why.
    pub deed: Deed,
    /// How many messages it changed; 0 if it is not about messages.
    pub count: u64,
}

/// Entries to be stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActRows {
    /// New entries, and those that say more than before.
    pub written: Vec<Act>,
    /// Numbers of entries that are kept no longer.
    pub dropped: Vec<u64>,
}

impl ActRows {
    /// True if there is nothing to store.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.dropped.is_empty()
    }
}

/// Where the log stands.
#[derive(Debug)]
pub(super) struct ActLog {
    keep: u64,
    /// Number of the oldest entry that is kept, and of the next one.
    first: u64,
    next: u64,
    rows: ActRows,
}

impl ActLog {
    pub(super) fn new(keep: u32) -> Self {
        Self { keep: u64::from(keep.max(1)), first: 1, next: 1, rows: ActRows::default() }
    }
}

impl Queue {
    /// Lets a rule decide for an operator: if it changes something, the deed is entered into the log.
    ///
    /// # Errors
    /// Those of the rule; then nothing is entered.
    pub fn acting<T>(
        &mut self,
        deed: Option<Deed>,
        at: &mut At<'_>,
        rule: impl FnOnce(&mut Self, &mut At<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let before = self.steps();
        let outcome = rule(self, at)?;
        if let Some(deed) = deed
            && self.steps() != before
        {
            let count = u64::from(matches!(deed.on, Target::Message(_)));
            self.enter(deed, count, at.wall);
        }
        Ok(outcome)
    }

    /// How far the state has come: everything that operators can change counts.
    fn steps(&self) -> (u64, usize, usize) {
        (self.last_seq(), self.pauses.len(), self.blocks.rows.len())
    }

    /// Adds an entry to the log.
    pub(super) fn enter(&mut self, deed: Deed, count: u64, wall: Millis) -> Act {
        let act = Act { number: self.acts.next, at: wall, deed, count };
        let log = &mut self.acts;
        log.next += 1;
        let surplus = (log.next - log.first).saturating_sub(log.keep).min(DROPPED_AT_ONCE);
        log.rows.dropped.extend(log.first..log.first + surplus);
        log.first += surplus;
        log.rows.written.push(act.clone());
        act
    }

    /// An act that comes in pieces: its entry says so many more from now on. One that is kept no longer is entered anew.
    pub(super) fn enter_more(&mut self, act: Act, more: u64) -> Act {
        if act.number < self.acts.first {
            return self.enter(act.deed, act.count.saturating_add(more), act.at);
        }
        let act = Act { count: act.count.saturating_add(more), ..act };
        self.acts.rows.written.push(act.clone());
        act
    }

    /// The entries since the last call, to be committed with what was done.
    pub fn take_acts(&mut self) -> ActRows {
        std::mem::take(&mut self.acts.rows)
    }

    /// After a restart: the numbers of the oldest entry that is stored, and of the newest.
    pub fn restore_acts(&mut self, first: u64, last: u64) {
        (self.acts.first, self.acts.next) = (first, last.saturating_add(1));
    }
}
