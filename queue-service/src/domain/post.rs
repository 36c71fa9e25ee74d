//! Storing a message.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Address, At, Author, Change, ChangeKind, Claimant, Content, ConversationId, Millis, Origin, Queue,
    Record, Rejection, Sender, State, Violation, Work,
};

/// How long an idempotency key answers for the first request that used it: 24 h.
const REQUEST_KEPT_MS: Millis = 24 * 60 * 60 * 1_000;

/// How far ahead a message may be posted for later: 30 d.
const NOT_BEFORE_MS: Millis = 30 * 24 * 60 * 60 * 1_000;

/// How far ahead a message may expire: 60 d, so that one posted for later has as long again.
const EXPIRES_MS: Millis = 2 * NOT_BEFORE_MS;

/// A client that finds the queue full may come back after this.
pub(super) const FULL_RETRY_MS: Millis = 1_000;

/// A message to be stored; its fields were checked against the limits.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// The site or room.
    pub domain: String,
    /// The text.
    pub text: String,
    /// Name of the author.
    pub username: String,
    /// Color of the author.
    pub color: String,
    /// What kind of author.
    pub author: Author,
    /// The message that this one answers.
    pub reply_to: Option<Uuid>,
    /// The site's score.
    pub eq_score: i32,
    /// The bot that is asked.
    pub address: Option<Address>,
    /// Priority of the work, where a bot is asked.
    pub priority: u32,
    /// On a message by an AI that answers no message: the human of its conversation.
    pub human: Option<(String, String)>,
    /// On such a message: its God Mode session.
    pub session_id: Option<String>,
    /// Who sent it; none if the caller has no share.
    pub sender: Option<Sender>,
    /// The request; none if it came without a name.
    pub origin: Option<Box<Origin>>,
    /// Who asks for its conversation; none if conversations are nobody's, or the caller has a role.
    pub claimant: Option<Claimant>,
}

/// First 128 bits of SHA-256 of an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestKey(pub [u8; 16]);

/// An idempotency key and a fingerprint of the request that came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key.
    pub key: RequestKey,
    /// What tells this request from another with the same key.
    pub fingerprint: [u8; 16],
    /// The key that it had before its visitor was handed the secret that it brings: that of their address.
    pub before: Option<RequestKey>,
}

/// A request with an idempotency key that stored a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The key.
    pub key: RequestKey,
    /// The fingerprint of the request.
    pub fingerprint: [u8; 16],
    /// Id of the stored message.
    pub id: Uuid,
    /// Number of the change that stored it.
    pub posted: u64,
    /// Its time stamp.
    pub timestamp: Millis,
    /// When it was stored, in service time.
    pub at: Millis,
}

impl Requested {
    /// True if the key is free again at `now`, in service time.
    pub fn is_over(&self, now: Millis) -> bool {
        now.saturating_sub(self.at) >= REQUEST_KEPT_MS
    }
}

/// What a post answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Posted {
    /// The message as it was stored.
    pub record: Record,
    /// True where an earlier request with the same key had stored it.
    pub replayed: bool,
    /// True if its conversation belongs to the secret of its visitor, brought or made for the answer.
    pub owns_conversation: bool,
}

impl Queue {
    /// Stores a message, or answers what the first request with the same key was answered.
    ///
    /// # Errors
    /// `Invalid` where `reply_to` names no message or a time is out of range, `IdempotencyConflict`, `Blocked`, `ConversationTaken`, `QueueFull`.
    pub fn post(
        &mut self,
        new: NewMessage,
        request: Option<Request>,
        at: &mut At<'_>,
    ) -> Result<Posted, Rejection> {
        let conversation = self.conversation_of(&new);
        if let Some(request) = &request
            && let Some(first) = self.first_of(request, &new, at.now)
        {
            if first.fingerprint != request.fingerprint {
                return Err(Rejection::IdempotencyConflict);
            }
            // The request says all that the first answer said; only what the server had chosen is looked up. The
            // message that it answers may be gone by now.
            let (id, posted, at, stamp) = (first.id, first.posted, first.at, first.timestamp);
            let conversation = conversation.unwrap_or_default();
            let owns_conversation = self.owns_conversation(&new);
            let work = self.new_work(&new, at);
            let record = record_of(new, conversation, id, posted, stamp, work);
            return Ok(Posted { record, replayed: true, owns_conversation });
        }
        let conversation = conversation?;
        self.check_blocked(new.sender, at.now)?;
        self.check_owner(&new)?;
        if let Some(address) = &new.address {
            check_times(address, at.wall)?;
            self.check_room(&address.entity)?;
        }
        let claimant = new.claims().and(new.claimant);
        let posted = self.next_seq();
        let id = self.ids.seal(posted);
        let work = self.new_work(&new, at.now);
        let record = record_of(new, conversation, id, posted, at.stamp, work);
        if record.is_unfinished() {
            self.check_bytes(record.unfinished_bytes())?;
        }
        let request = request.map(|Request { key, fingerprint, .. }| Requested {
            key,
            fingerprint,
            id,
            posted,
            timestamp: at.stamp,
            at: at.now,
        });
        let owns_conversation = self.take_conversation(record.content.conversation, claimant);
        self.commit(Change { kind: ChangeKind::Posted, record: record.clone(), request });
        Ok(Posted { record, replayed: false, owns_conversation })
    }

    /// The request that came first with this key, if that still counts. A visitor who was handed a secret by it, and repeats it
    /// because the rest of the answer was lost, brings that secret now; their request was one of their address before.
    fn first_of(&mut self, request: &Request, new: &NewMessage, now: Millis) -> Option<Requested> {
        let brings_back = request.before.is_some() && self.brings_secret_back(new);
        let known = |key| self.request(key).filter(|first| !first.is_over(now)).cloned();
        known(request.key).or_else(|| {
            let first = known(request.before.filter(|_| brings_back)?)?;
            (first.fingerprint == request.fingerprint).then_some(first)
        })
    }

    /// The work in a message that is posted at `now`. Its times are service time: authors know only the wall clock, and
    /// what they ask for is as far away by either.
    fn new_work(&self, new: &NewMessage, now: Millis) -> Option<Box<Work>> {
        let address = new.address.as_ref()?;
        let not_before = address.not_before.map(|due| self.heard(due)).filter(|due| *due > now);
        let start = not_before.unwrap_or(now);
        let for_later = not_before.is_some();
        let base = new.sender.map_or(start, |sender| self.shares.base(sender, for_later, start));
        let wanted = address.expires_at.map(|end| self.heard(end));
        let expires_at = self.expiry(start).into_iter().chain(wanted).min();
        Some(Box::new(Work { not_before, expires_at, ..Work::pending(new.priority, base) }))
    }

    /// When a message that may be served from `start` on is given up if nobody has taken it, whatever its author asked.
    pub(super) fn expiry(&self, start: Millis) -> Option<Millis> {
        self.rules.pending_expiry_ms.map(|span| start.saturating_add(span))
    }

    /// Checks that one more message may wait for this entity.
    pub(super) fn check_room(&self, entity: &str) -> Result<(), Rejection> {
        let (in_all, of_entity) = self.waiting(entity);
        let full =
            |waiting, limit, of| Rejection::QueueFull { waiting, limit, of, retry_after_ms: FULL_RETRY_MS };
        if in_all >= self.rules.max_pending {
            return Err(full(in_all, self.rules.max_pending, None));
        }
        if of_entity >= self.rules.max_pending_per_entity {
            return Err(full(of_entity, self.rules.max_pending_per_entity, Some(entity.to_owned())));
        }
        Ok(())
    }

    /// The conversation of a new message: with the bot that it asks, of the message that it answers, or as it says.
    fn conversation_of(&self, new: &NewMessage) -> Result<Option<ConversationId>, Rejection> {
        let answered = match new.reply_to {
            Some(id) => Some(self.record(id).ok_or_else(|| {
                Rejection::field(
                    "message.reply_to",
                    format!("must be the id of a message, no message has the id {id}"),
                )
            })?),
            None => None,
        };
        let author = (new.username.as_str(), new.color.as_str());
        Ok(match (&new.address, new.author, answered) {
            (Some(bot), _, _) => {
                let ai = (bot.ai_username.as_str(), bot.ai_color.as_str());
                Some(ConversationId::of(author, ai, bot.session_id.as_deref()))
            }
            (None, Author::Human, _) => None,
            (None, Author::Ai, Some(answered)) => Some(answered.content.conversation.unwrap_or_else(|| {
                ConversationId::of((&answered.content.username, &answered.content.color), author, None)
            })),
            (None, Author::Ai, None) => {
                let human = new.human.as_ref();
                human
                    .map(|(name, color)| ConversationId::of((name, color), author, new.session_id.as_deref()))
            }
        })
    }
}

fn record_of(
    new: NewMessage,
    conversation: Option<ConversationId>,
    id: Uuid,
    posted: u64,
    timestamp: Millis,
    work: Option<Box<Work>>,
) -> Record {
    let is_for_later = work.as_ref().is_some_and(|work| work.is_for_later());
    let state = State { seq: posted, eq_score: new.eq_score, work, ..State::default() };
    // What was due when it was posted was not posted for later.
    let address = new.address.map(|address| {
        let not_before = address.not_before.filter(|_| is_for_later);
        Box::new(Address { not_before, ..address })
    });
    let content = Content {
        id,
        posted,
        timestamp,
        domain: new.domain,
        text: new.text,
        username: new.username,
        color: new.color,
        author: new.author,
        reply_to: new.reply_to,
        conversation,
        address,
        sender: new.sender,
        origin: new.origin,
    };
    Record { content: Arc::new(content), state }
}

/// Checks the times that an author asks for, by the wall clock.
fn check_times(address: &Address, now: Millis) -> Result<(), Rejection> {
    let mut violations = Vec::new();
    let mut refuse = |field: &str, description| {
        violations.push(Violation { field: format!("message.bot.{field}"), description });
    };
    if let Some(due) = address.not_before.filter(|due| due.saturating_sub(now) > NOT_BEFORE_MS) {
        let latest = now.saturating_add(NOT_BEFORE_MS);
        refuse("not_before", format!("must be at most 30 days from now ({latest}), is {due}"));
    }
    if let Some(end) = address.expires_at {
        let start = address.not_before.map_or(now, |due| due.max(now));
        let latest = now.saturating_add(EXPIRES_MS);
        if end <= start {
            let why = format!(
                "must be later than the time from which the message may be handed out ({start}), is {end}"
            );
            refuse("expires_at", why);
        } else if end > latest {
            refuse("expires_at", format!("must be at most 60 days from now ({latest}), is {end}"));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(Rejection::Invalid(violations)) }
}
