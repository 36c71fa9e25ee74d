//! The work in a message that is addressed to a bot: where it stands, who holds it, and how often it was tried.

use std::fmt;

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Attempt, Millis, OwnName};

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
    /// How many claims ended in an outage since the last retry by an operator.
    pub outages: u32,
    /// How many attempts failed since then.
    pub failures: u32,
    /// How many leases ended without a result since then.
    pub expiries: u32,
    /// The workers that lost them, each once; the first two, for more are not asked for.
    pub lost_by: Vec<OwnName>,
    /// The worker that gave it back last, since the last retry by an operator.
    pub released_by: Option<OwnName>,
    /// When the lease of the last claim ended without a result, in service time, while the message waits since.
    pub lost_at: Option<Millis>,
    /// True where it was cancelled, also after it had been given up.
    pub cancelled: bool,
    /// The last errors, oldest first, at most [`Work::ERRORS_KEPT`].
    pub errors: Vec<String>,
    /// How many errors were there before those.
    pub errors_forgotten: u32,
    /// The last attempts that ended, oldest first, at most [`Work::ATTEMPTS_KEPT`].
    pub past_attempts: Vec<Attempt>,
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

/// Longest time for which a message is kept from who lost it.
const LONGEST_RETURN_MS: Millis = 600_000;

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
            outages: 0,
            failures: 0,
            expiries: 0,
            lost_by: Vec::new(),
            released_by: None,
            lost_at: None,
            cancelled: false,
            errors: Vec::new(),
            errors_forgotten: 0,
            past_attempts: Vec::new(),
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

    /// Notes that the lease of the last claim has ended without a result.
    ///
    /// A message is given up only by what two workers have lost, so what one of them loses again and again counts as no
    /// attempt.
    pub(super) fn lose(&mut self, now: Millis) {
        self.expiries = self.expiries.saturating_add(1);
        self.lost_at = Some(now);
        let Some(worker) = self.claim.as_ref().map(|claim| &claim.worker) else { return };
        if self.lost_by == [worker.clone()] {
            self.uncounted = self.uncounted.saturating_add(1);
        } else if self.lost_by.len() < 2 && !self.lost_by.contains(worker) {
            self.lost_by.push(worker.clone());
        }
    }

    /// Notes that the holder of the last claim gives it back. True if the same worker gave it back the last time: that counts
    /// as no attempt, for nobody else has seen what is wrong with the message.
    pub(super) fn give_back(&mut self) -> bool {
        let again = self.is_given_back_again();
        self.uncounted = self.uncounted.saturating_add(u32::from(again));
        self.released_by = self.claim.as_ref().map(|claim| claim.worker.clone());
        again
    }

    /// The same in an outage, which counts as no attempt whoever has it.
    pub(super) fn give_back_uncounted(&mut self) -> bool {
        let again = self.give_back();
        self.uncounted = self.uncounted.saturating_add(u32::from(!again));
        again
    }

    fn is_given_back_again(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| self.released_by.as_ref() == Some(&claim.worker))
    }

    /// Until when it is not handed out to who lost it last, in service time: as long as the lease was, and twice as long
    /// with each further loss, 10 min at most. Meanwhile that worker may still bring its answer.
    pub fn returns_at(&self) -> Option<Millis> {
        let (lost_at, claim) = (self.lost_at?, self.claim.as_ref()?);
        let doubled = claim.lease_ms.saturating_mul(1 << self.expiries.saturating_sub(1).min(10));
        Some(lost_at.saturating_add(doubled.min(LONGEST_RETURN_MS)))
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
        self.errors_forgotten = self.errors_forgotten.saturating_add(surplus as u32);
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
    /// The worker.
    pub worker: OwnName,
    /// The worker's session, where it claimed through a stream.
    pub session: Option<OwnName>,
    /// When the claim was made.
    pub at: Millis,
    /// Length of the lease from the first renew on, in milliseconds.
    pub lease_ms: Millis,
    /// Its length until then.
    pub first_ms: Millis,
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
