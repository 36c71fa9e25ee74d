//! A message as the rules see it: what was said ([`Content`]), where it stands ([`State`]), and the changes between.

use std::sync::Arc;

use uuid::Uuid;

use super::{ConversationId, Millis, Origin, Requested, Sender, Status, Work};

/// A message at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What was said; shared by all records of the message until it is edited.
    pub content: Arc<Content>,
    /// Where it stands.
    pub state: State,
}

impl Record {
    /// What an unfinished message takes in memory beside its texts, in bytes, by estimate: its places in the order, in the
    /// indexes of the queue and of the views. Measured with one entity and one conversation for each message.
    const UNFINISHED_BYTES: usize = 3 * 1024;

    /// What this message takes in memory while it is unfinished, in bytes, by estimate. The memory allocator gives a text
    /// up to a quarter more than it asks for.
    pub fn unfinished_bytes(&self) -> usize {
        let Content { domain, text, username, color, address, origin, .. } = &*self.content;
        let address = address.as_deref().map_or(0, |address| {
            let session = address.session_id.as_ref().map_or(0, String::len);
            // The indexes by entity have copies of its name.
            4 * address.entity.len() + address.ai_username.len() + address.ai_color.len() + session
        });
        let errors = self.state.work.as_ref().map_or(0, |work| {
            let lost_by = work.lost_by.iter().chain(&work.released_by).map(|worker| &worker.name);
            work.attempts_bytes() + work.errors.iter().chain(lost_by).map(String::len).sum::<usize>()
        });
        let origin = origin.as_ref().map_or(0, |origin| origin.bytes());
        let texts = domain.len() + text.len() + username.len() + color.len() + origin + address + errors;
        Self::UNFINISHED_BYTES + texts + texts / 4
    }

    /// True while it waits or a worker holds it.
    pub fn is_unfinished(&self) -> bool {
        let status = self.state.work.as_ref().map(|work| work.status);
        matches!(status, Some(Status::Pending | Status::Processing))
    }
}

/// What was said, by whom, and to whom. Only an edit or a deletion replaces it.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// The id that clients see; random.
    pub id: Uuid,
    /// Number of the change that posted the message: its place in the log, and its key in storage.
    pub posted: u64,
    /// Time stamp of the commit that posted it, Unix milliseconds.
    pub timestamp: Millis,
    /// The site or room.
    pub domain: String,
    /// The text; empty once deleted.
    pub text: String,
    /// Name of the author.
    pub username: String,
    /// Color of the author.
    pub color: String,
    /// What kind of author that is.
    pub author: Author,
    /// The message that this one answers.
    pub reply_to: Option<Uuid>,
    /// The conversation that it belongs to; none for a platform post.
    pub conversation: Option<ConversationId>,
    /// The bot that is asked; none on platform posts and on messages by an AI.
    pub address: Option<Box<Address>>,
    /// Who sent it; none on replies and on messages of callers without a share.
    pub sender: Option<Sender>,
    /// The request that posted it; none if that came without a name.
    pub origin: Option<Box<Origin>>,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A person.
    Human,
    /// A bot.
    Ai,
}

/// The bot that a message is addressed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    /// What workers subscribe to.
    pub entity: String,
    /// Name under which the bot answers.
    pub ai_username: String,
    /// Color under which the bot answers.
    pub ai_color: String,
    /// God Mode session.
    pub session_id: Option<String>,
    /// Not to be handed out before this time, as its author asked; none if that had passed when it was posted.
    pub not_before: Option<Millis>,
    /// To be given up if nobody has taken it by then, as its author asked.
    pub expires_at: Option<Millis>,
}

/// Where a message stands after its last change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Number of the last change.
    pub seq: u64,
    /// The site's score.
    pub eq_score: i32,
    /// True for a tombstone.
    pub deleted: bool,
    /// True while an operator hides it: to all but operators it looks deleted.
    pub hidden: bool,
    /// How many times others than operators edited it.
    pub edits: u32,
    /// The work in it, where it is addressed to a bot.
    pub work: Option<Box<Work>>,
}

impl State {
    /// Makes this earlier state of a message fit to be shown, now that the message is as `present` says. Of one that was
    /// deleted nothing is told any more: an error may quote the text. One that is hidden was hidden always, and one that is
    /// shown again was hidden only as long as it was.
    pub fn seen_from(&mut self, present: &Self) {
        self.hidden |= present.hidden;
        if present.deleted && !self.deleted {
            self.deleted = true;
            if let Some(work) = &mut self.work {
                work.errors.clear();
            }
        }
    }
}

/// One committed fact: what happened, and the message as it is from then on. A change is self-contained: applying it
/// asks no clock, no randomness and nothing but the state before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// The message afterwards; `record.state.seq` is the number of this change.
    pub record: Record,
    /// On a post: the idempotency key that it answers from now on.
    pub request: Option<Requested>,
}

impl Change {
    /// Number of this change.
    pub fn seq(&self) -> u64 {
        self.record.state.seq
    }
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChangeKind {
    /// The message was stored.
    Posted,
    /// A worker claimed it.
    Claimed,
    /// It was given back, nothing counted.
    Released,
    /// Its lease ended without a result; it waits again.
    Expired,
    /// An attempt failed; it will be tried again.
    RetryScheduled,
    /// It was given up after its last attempt.
    Failed,
    /// It was finished.
    Completed,
    /// It was taken out of the queue, or cancelled after it was given up.
    Cancelled,
    /// An operator put it back to pending.
    Retried,
    /// Text, score or priority was changed.
    Edited,
    /// It was deleted.
    Deleted,
    /// An operator hid it.
    Hidden,
    /// An operator shows it again.
    Restored,
}
