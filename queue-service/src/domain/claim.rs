//! Claiming a message, and what the holder of a claim may do with its lease.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    At, AttemptEnd, ChangeKind, Claim, Millis, OwnName, Queue, Record, Rejection, Status, Token, Work,
    queue::{Term, entity},
};

/// Longest lease until its first renew, unless its worker asked for a length by itself: a delivery that was lost on its way
/// is handed out again soon.
const FIRST_LEASE_MS: Millis = 10_000;

/// No claim outlives this, however often it is renewed.
pub(super) const CLAIM_LIMIT_MS: Millis = 15 * 60 * 1_000;

/// So many claims that ended in an outage count as no attempt, for each attempt that a message may have, since its post or
/// the last retry by an operator: an outage costs a message nothing, but nobody claims and releases for ever.
const OUTAGES_AN_ATTEMPT: u32 = 5;

/// Who claims, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimBy {
    /// The worker.
    pub worker: OwnName,
    /// Its session, where it claims through a stream.
    pub session: Option<OwnName>,
    /// Length of the lease from the first renew on, in milliseconds.
    pub lease_ms: Millis,
    /// Its length until then.
    pub first_ms: Millis,
}

impl ClaimBy {
    /// Length of a lease whose worker asked for none, in milliseconds.
    const LEASE_MS: Millis = 30_000;

    /// A claim with leases of the length that was asked for, in milliseconds: they have it from the start. If none was asked
    /// for, leases are short until they are renewed. It is made under no worker's token.
    pub fn new(worker_id: String, session_id: Option<String>, asked_ms: Option<Millis>) -> Self {
        let lease_ms = asked_ms.unwrap_or(Self::LEASE_MS);
        let (worker, session) = (OwnName::of_nobody(worker_id), session_id.map(OwnName::of_nobody));
        Self { worker, session, lease_ms, first_ms: asked_ms.unwrap_or(FIRST_LEASE_MS) }
    }

    /// The same under a worker's token; under none if this is absent.
    #[must_use]
    pub fn under(mut self, token_id: Option<&str>) -> Self {
        let token_id = token_id.map(Arc::from);
        if let Some(session) = &mut self.session {
            session.token_id.clone_from(&token_id);
        }
        self.worker.token_id = token_id;
        self
    }
}

/// A claim, and what proves that the caller made it.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseRef {
    /// The message.
    pub id: Uuid,
    /// The proof.
    pub proof: Proof,
}

/// What proves that a claim is the caller's.
#[derive(Debug, Clone, PartialEq)]
pub enum Proof {
    /// The token of the lease, which only its worker was given. It counts under any token of a role: a worker's may be
    /// replaced while it works.
    Lease(Token),
    /// The name of the worker, together with the token of a role under which it calls: a name alone is public.
    Worker(OwnName),
}

impl LeaseRef {
    /// Finds out whether the caller holds this message now.
    ///
    /// # Errors
    /// `LeaseLost`, or what ended the work.
    pub fn held_on(&self, record: &Record) -> Result<(), Rejection> {
        let work = record.state.work.as_ref().ok_or_else(|| no_work(record.content.id))?;
        match self.standing(work)? {
            Standing::Current => Ok(()),
            Standing::Lapsed => Err(LAPSED),
            Standing::Finished => Err(Rejection::AlreadyCompleted),
        }
    }

    /// How this claim stands to the work in a message.
    fn standing(&self, work: &Work) -> Result<Standing, Rejection> {
        let named = work.claim.as_ref().is_some_and(|claim| self.names(claim));
        match (work.status, named) {
            (Status::Processing, true) => Ok(Standing::Current),
            (Status::Processing, false) => Err(Rejection::LeaseLost("another claim holds the message")),
            (Status::Pending, true) => Ok(Standing::Lapsed),
            (Status::Pending, false) => Err(Rejection::LeaseLost("this claim does not hold the message")),
            (Status::Complete, true) => Ok(Standing::Finished),
            (Status::Complete, false) => Err(Rejection::AlreadyCompleted),
            (Status::Failed, _) if work.cancelled => Err(Rejection::Cancelled),
            (Status::Failed, _) => Err(Rejection::Failed),
        }
    }

    fn names(&self, claim: &Claim) -> bool {
        match &self.proof {
            Proof::Lease(token) => *token == claim.token,
            Proof::Worker(worker) => *worker == claim.worker,
        }
    }
}

const LAPSED: Rejection = Rejection::LeaseLost("it ended before this call, and the message waits again");

fn no_work(id: Uuid) -> Rejection {
    Rejection::WrongStatus(format!("the message {id} is addressed to no bot: it is not work"))
}

/// A message and the lease on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Leased {
    /// The message, processing.
    pub record: Record,
    /// The token of the claim.
    pub token: Token,
    /// When the lease ends unless it is renewed, by the wall clock.
    pub ends: Millis,
    /// True where its session holds it already and gets it once more: somebody may be working on it.
    pub again: bool,
}

impl Leased {
    /// The session that claimed it, where it was claimed through a stream.
    pub fn session(&self) -> Option<&OwnName> {
        self.record.state.work.as_ref()?.claim.as_ref()?.session.as_ref()
    }

    /// What names this claim.
    pub fn lease(&self) -> LeaseRef {
        LeaseRef { id: self.record.content.id, proof: Proof::Lease(self.token) }
    }
}

/// How the caller's claim stands to the message.
pub(super) enum Standing {
    /// It holds the message.
    Current,
    /// Its lease is over, but nobody has claimed the message since.
    Lapsed,
    /// It finished the message.
    Finished,
}

impl Claim {
    /// The end of the first lease of a claim that was made at `since`.
    pub(super) fn first_end(&self, since: Millis) -> Millis {
        since.saturating_add(self.first_ms)
    }

    /// The first length of a claim that was stored before that was a field of its own.
    pub fn short_first_ms(lease_ms: Millis) -> Millis {
        lease_ms.min(FIRST_LEASE_MS)
    }
}

/// The end of a lease that is renewed now, on a claim that was made at `since`.
fn renewed_end(since: Millis, lease_ms: Millis, now: Millis) -> Millis {
    now.saturating_add(lease_ms).min(since.saturating_add(CLAIM_LIMIT_MS))
}

impl Queue {
    /// Claims one pending message; allowed whatever its place in line, and while it waits for a retry.
    ///
    /// # Errors
    /// `NotFound`, `NotPending`, `NotDue` on one that was posted for later, `EntityPaused`, `EntityLimit`, `WorkerPaused`,
    /// `TooManyClaims`, `WrongStatus` on a message that is no work.
    pub fn claim(&mut self, id: Uuid, by: &ClaimBy, at: &mut At<'_>) -> Result<Leased, Rejection> {
        let (record, work) = self.work(id)?;
        match work.status {
            Status::Pending => {
                if let Some(due) = work.not_before.filter(|due| work.is_for_later() && *due > at.now) {
                    return Err(Rejection::NotDue { due: self.shown(due) });
                }
                self.check_open(entity(&record), at.now)?;
                self.check_worker(by, at.now)?;
                Ok(self.claimed(record, by, at))
            }
            status @ (Status::Processing | Status::Complete | Status::Failed) => {
                Err(Rejection::NotPending(status))
            }
        }
    }

    /// Makes the claim on a message that is known to be pending.
    pub(super) fn claimed(&mut self, mut record: Record, by: &ClaimBy, at: &mut At<'_>) -> Leased {
        self.measure_wait(&record);
        let claim = Claim {
            token: Token((at.fresh)()),
            worker: by.worker.clone(),
            session: by.session.clone(),
            at: at.wall,
            lease_ms: by.lease_ms,
            first_ms: by.first_ms,
        };
        let (token, ends) = (claim.token, claim.first_end(at.wall));
        if let Some(work) = &mut record.state.work {
            work.status = Status::Processing;
            work.claims = work.claims.saturating_add(1);
            work.not_before = None;
            work.lost_at = None;
            work.claim = Some(claim);
        }
        let record = self.change(ChangeKind::Claimed, record.content, record.state);
        self.spend(entity(&record), at.now);
        Leased { record, token, ends, again: false }
    }

    /// Extends a lease by `lease_ms` from now, or by the length of the claim. Returns its new end by the wall clock. Not a
    /// change.
    ///
    /// # Errors
    /// `LeaseLost`, or what ended the work.
    pub fn renew(
        &mut self,
        lease: &LeaseRef,
        lease_ms: Option<Millis>,
        now: Millis,
    ) -> Result<Millis, Rejection> {
        let (record, work) = self.held(lease)?;
        let claim = work.claim.as_ref().expect("held work is claimed");
        let posted = record.content.posted;
        let since = self.live(posted).and_then(|live| live.term.as_ref()).map_or(now, |term| term.since);
        let ends = renewed_end(since, lease_ms.unwrap_or(claim.lease_ms), now);
        self.takers.note_renewal(claim, self.wall());
        let ends = self.set_term(posted, ends);
        Ok(self.shown(ends))
    }

    /// Gives a claimed message back. No failure is counted, but the attempt is: a message that every worker gives back is
    /// given up in the end. What one worker gives back again and again counts as one attempt, and against that worker, as a
    /// lost lease does: it brings no result either.
    ///
    /// # Errors
    /// `LeaseLost`, or what ended the work.
    pub fn release(&mut self, lease: &LeaseRef, now: Millis) -> Result<Record, Rejection> {
        let (mut record, _) = self.held(lease)?;
        let again = record.state.work.as_mut().is_some_and(|work| work.give_back());
        Ok(self.given_back(record, AttemptEnd::Released, again, now))
    }

    /// What is given back waits again; `counts`: that is held against who held it.
    fn given_back(&mut self, record: Record, end: AttemptEnd, counts: bool, now: Millis) -> Record {
        let claim = record.state.work.as_ref().and_then(|work| work.claim.clone());
        let term = self.live(record.content.posted).and_then(|live| live.term.as_ref());
        let since = term.map_or(now, |term| term.since);
        let record = self.released(record, end);
        if let Some(claim) = claim.filter(|_| counts) {
            self.takers.note_loss(&claim, since, now);
        }
        record
    }

    /// The holder of a claim has brought a result, whatever it is.
    pub(super) fn note_result(&mut self, work: &Work) {
        if let Some(claim) = &work.claim {
            self.takers.note_result(claim);
        }
    }

    /// Gives a message back that no worker saw: its claim counts as no attempt.
    ///
    /// # Errors
    /// `LeaseLost`, or what ended the work.
    pub fn give_back(&mut self, lease: &LeaseRef) -> Result<Record, Rejection> {
        let (mut record, _) = self.held(lease)?;
        if let Some(work) = &mut record.state.work {
            work.uncounted = work.uncounted.saturating_add(1);
        }
        Ok(self.released(record, AttemptEnd::Undelivered))
    }

    /// Gives a message back that this worker cannot answer for reasons that lie outside of it: an outage. The claim counts
    /// as no attempt, within a bound, and the session that made it is given nothing until it says that it takes work again. A
    /// worker without a session cannot say that: what it gives back again is held against it, as with [`Self::release`].
    ///
    /// # Errors
    /// `LeaseLost`, or what ended the work.
    pub fn hold_back(&mut self, lease: &LeaseRef, why: String, now: Millis) -> Result<Record, Rejection> {
        let (mut record, _) = self.held(lease)?;
        let most = self.rules.max_attempts.saturating_mul(OUTAGES_AN_ATTEMPT);
        let mut counts = false;
        if let Some(work) = &mut record.state.work {
            let again = if work.outages < most { work.give_back_uncounted() } else { work.give_back() };
            work.outages = work.outages.saturating_add(1);
            match work.claim.as_ref().and_then(|claim| claim.session.as_ref()) {
                Some(session) => self.takers.hold_back(session, why),
                None => counts = again,
            }
        }
        Ok(self.given_back(record, AttemptEnd::HeldBack, counts, now))
    }

    pub(super) fn released(&mut self, mut record: Record, end: AttemptEnd) -> Record {
        record.end_attempt(end, self.wall());
        if let Some(work) = &mut record.state.work {
            work.claim = None;
        }
        self.put_back(record, ChangeKind::Released)
    }

    /// After a restart: renews the lease of a message that is processing, for at least the first lease's length.
    pub(super) fn grant_grace(&mut self, posted: u64, now: Millis) {
        self.move_end(posted, |claim, term| {
            let least = now.saturating_add(FIRST_LEASE_MS.min(claim.lease_ms));
            renewed_end(term.since, claim.lease_ms, now).max(least)
        });
    }

    /// A session that comes back: renews its lease, within the limit of the claim, and never shortens it.
    pub(super) fn welcome_back(&mut self, posted: u64, now: Millis) {
        self.move_end(posted, |claim, term| renewed_end(term.since, claim.lease_ms, now).max(term.ends));
    }

    fn move_end(&mut self, posted: u64, end: impl FnOnce(&Claim, &Term) -> Millis) {
        let Some(live) = self.live(posted) else { return };
        let claim = live.record.state.work.as_ref().and_then(|work| work.claim.as_ref());
        if let (Some(term), Some(claim)) = (&live.term, claim) {
            let ends = end(claim, term);
            self.set_term(posted, ends);
        }
    }

    /// Cuts the lease of a session that has no stream any more.
    pub(super) fn cut_lease(&mut self, posted: u64, now: Millis) {
        if let Some(term) = self.live(posted).and_then(|live| live.term.as_ref()) {
            let ends = term.ends.min(now.saturating_add(FIRST_LEASE_MS));
            self.set_term(posted, ends);
        }
    }

    /// The message and its work, where the caller holds it.
    pub(super) fn held(&self, lease: &LeaseRef) -> Result<(Record, Work), Rejection> {
        let (record, work, standing) = self.standing(lease)?;
        match standing {
            Standing::Current => Ok((record, work)),
            Standing::Lapsed => Err(LAPSED),
            Standing::Finished => Err(Rejection::AlreadyCompleted),
        }
    }

    /// How a claim stands to its message.
    pub(super) fn standing(&self, lease: &LeaseRef) -> Result<(Record, Work, Standing), Rejection> {
        let (record, work) = self.work(lease.id)?;
        let standing = lease.standing(&work)?;
        Ok((record, work, standing))
    }

    /// A message and the work in it.
    pub(super) fn work(&self, id: Uuid) -> Result<(Record, Work), Rejection> {
        let record = self.record(id).ok_or(Rejection::NotFound(id))?;
        match &record.state.work {
            Some(work) => Ok((record.clone(), Work::clone(work))),
            None => Err(no_work(id)),
        }
    }
}
