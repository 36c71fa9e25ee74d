//! A message as the rules see it: what was said ([`Content`]), where it stands ([`State`]), and the changes between.

use std::{fmt, sync::Arc};

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{ConversationId, Millis, Requested, Sender};

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
        let Content { domain, text, username, color, address, .. } = &*self.content;
        let address = address.as_deref().map_or(0, |address| {
            let session = address.session_id.as_ref().map_or(0, String::len);
            // The indexes by entity have copies of its name.
            3 * address.entity.len() + address.ai_username.len() + address.ai_color.len() + session
        });
        let errors = self.state.work.as_ref().map_or(0, |work| work.errors.iter().map(String::len).sum());
        let texts = domain.len() + text.len() + username.len() + color.len() + address + errors;
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
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Number of the last change.
    pub seq: u64,
    /// The site's score.
    pub eq_score: i32,
    /// True for a tombstone.
    pub deleted: bool,
    /// How many times others than operators edited it.
    pub edits: u32,
    /// The work in it, where it is addressed to a bot.
    pub work: Option<Box<Work>>,
}

impl State {
    /// Makes this state of a message that was deleted later fit to be shown: an error may quote the text.
    pub fn deleted_since(&mut self) {
        if !self.deleted {
            self.deleted = true;
            if let Some(work) = &mut self.work {
                work.errors.clear();
            }
        }
    }
}

/// The work in a message. See the lifecycle in ARCHITECTURE.md.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// Where the work stands.
    pub status: Status,
    /// 0 to 99; higher is served first.
    pub priority: u32,
    /// The time from which it counts as waiting; with the priority it is its place in the order. See `shares.rs`.
    pub base: Millis,
    /// How many times it was claimed.
    pub claims: u32,
    /// Of these, the claims that count as no attempt: those before the last retry by an operator, and those that no
    /// worker saw.
    pub uncounted: u32,
    /// How many attempts failed since the last retry by an operator.
    pub failures: u32,
    /// How many leases ended without a result since then.
    pub expiries: u32,
    /// True where it was cancelled, also after it had been given up.
    pub cancelled: bool,
    /// The last errors, oldest first, at most [`Work::ERRORS_KEPT`].
    pub errors: Vec<String>,
    /// Not to be handed out before this time, in service time.
    pub not_before: Option<Millis>,
    /// To be given up if it waits at this time or later, in service time.
    pub expires_at: Option<Millis>,
    /// The last claim. It outlives its lease, so that a late finish that nobody overtook is accepted.
    pub claim: Option<Claim>,
    /// When it was finished.
    pub completed_at: Option<Millis>,
    /// The reply that was stored with the completion.
    pub reply: Option<Uuid>,
}

impl Work {
    /// How many errors are kept with a message.
    pub const ERRORS_KEPT: usize = 5;

    /// Work that waits for its first claim.
    pub fn pending(priority: u32, base: Millis) -> Self {
        Self {
            status: Status::Pending,
            priority,
            base,
            claims: 0,
            uncounted: 0,
            failures: 0,
            expiries: 0,
            cancelled: false,
            errors: Vec::new(),
            not_before: None,
            expires_at: None,
            claim: None,
            completed_at: None,
            reply: None,
        }
    }

    /// How many attempts count: claims since the post or the last retry by an operator.
    pub fn attempts(&self) -> u32 {
        self.claims.saturating_sub(self.uncounted)
    }

    /// True if it was posted for later and nobody has taken it since; until then it is in nobody's way.
    pub fn is_for_later(&self) -> bool {
        self.claims == 0 && self.not_before.is_some()
    }

    /// Gives it up.
    pub(super) fn give_up(&mut self, why: GivenUp) {
        self.status = Status::Failed;
        self.not_before = None;
        self.remember_error(why.to_string());
    }

    /// Keeps an error, and forgets the oldest where there are too many.
    pub fn remember_error(&mut self, error: String) {
        self.errors.push(error);
        let surplus = self.errors.len().saturating_sub(Self::ERRORS_KEPT);
        self.errors.drain(..surplus);
    }
}

/// Why the queue gave a message up by itself: the last error that is kept with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// Nobody had taken it when its time was over.
    Expired,
    /// It was claimed this many times.
    Attempts(u32),
    /// This many leases ended without a result.
    Leases(u32),
}

impl GivenUp {
    /// Why the work in a failed message was given up, if the queue did that by itself.
    pub fn of(work: &Work) -> Option<Self> {
        let error = work.errors.last()?;
        [Self::Expired, Self::Attempts(work.attempts()), Self::Leases(work.expiries)]
            .into_iter()
            .find(|why| *error == why.to_string())
    }
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("expired"),
            Self::Attempts(attempts) => write!(f, "given up after {attempts} attempts"),
            Self::Leases(leases) => write!(f, "{leases} leases ended without a result"),
        }
    }
}

/// Where work stands: `pending → processing → complete`, or `failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits for a worker.
    Pending,
    /// Held by a worker under a lease.
    Processing,
    /// Finished.
    Complete,
    /// Given up or cancelled.
    Failed,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Complete => "complete",
            Self::Failed => "failed",
        })
    }
}

/// One worker's hold on a message. The end of its lease is not part of it: renewals are not changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// What the worker has to show at every later step.
    pub token: Token,
    /// Name of the worker.
    pub worker_id: String,
    /// The worker's session, where it claimed through a stream.
    pub session_id: Option<String>,
    /// When the claim was made.
    pub at: Millis,
    /// Length of the lease from the first renew on, in milliseconds.
    pub lease_ms: Millis,
}

/// A lease token: 128 random bits. It is compared in constant time and prints only where it is asked to.
#[derive(Clone, Copy, Eq)]
pub struct Token(pub [u8; 16]);

impl Token {
    /// The form that goes over the wire: lower-case hex.
    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    /// Reads the form that goes over the wire; `None` where it is not 32 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut token = [0; 16];
        hex::decode_to_slice(text, &mut token).ok()?;
        Some(Self(token))
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
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
}
