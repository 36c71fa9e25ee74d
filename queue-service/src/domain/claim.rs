//! Claiming a message, and what the holder of a claim may do with its lease.

use uuid::Uuid;

use super::{
    At, ChangeKind, Claim, Millis, Queue, Record, Rejection, Status, Token, Work,
    queue::{Term, entity},
};

/// Longest lease until its first renew: a delivery that was lost on its way is handed out again soon.
const FIRST_LEASE_MS: Millis = 10_000;

/// No claim outlives this, however often it is renewed.
const CLAIM_LIMIT_MS: Millis = 15 * 60 * 1_000;

/// Who claims, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimBy {
    /// Name of the worker.
    pub worker_id: String,
    /// Its session, where it claims through a stream.
    pub session_id: Option<String>,
    /// Length of the lease from the first renew on, in milliseconds.
    pub lease_ms: Millis,
}

/// What names a claim: the token, or in its place the worker id.
#[derive(Debug, Clone, PartialEq)]
pub struct LeaseRef {
    /// The message.
    pub id: Uuid,
    /// The token; a claim without a token is named by its worker.
    pub token: Option<Token>,
    /// Name of the worker; matters only without a token.
    pub worker_id: String,
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
        match self.token {
            Some(token) => token == claim.token,
            None => self.worker_id == claim.worker_id,
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
    pub fn session_id(&self) -> Option<&str> {
        self.record.state.work.as_ref()?.claim.as_ref()?.session_id.as_deref()
    }

    /// What names this claim.
    pub fn lease(&self) -> LeaseRef {
        LeaseRef { id: self.record.content.id, token: Some(self.token), worker_id: String::new() }
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
        since.saturating_add(self.lease_ms.min(FIRST_LEASE_MS))
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
    /// `NotFound`, `NotPending`, `NotDue` on one that was posted for later, `EntityPaused`, `EntityLimit`, `WrongStatus` on a
    /// message that is no work.
    pub fn claim(&mut self, id: Uuid, by: &ClaimBy, at: &mut At<'_>) -> Result<Leased, Rejection> {
        let (record, work) = self.work(id)?;
        match work.status {
            Status::Pending => {
                if let Some(due) = work.not_before.filter(|due| work.is_for_later() && *due > at.now) {
                    return Err(Rejection::NotDue { due: self.shown(due) });
                }
                self.check_open(entity(&record), at.now)?;
                Ok(self.claimed(record, by, at))
            }
            status @ (Status::Processing | Status::Complete | Status::Failed) => {
                Err(Rejection::NotPending(status))
            }
        }
    }

    /// Makes the claim on a message that is known to be pending.
    pub(super) fn claimed(&mut self, mut record: Record, by: &ClaimBy, at: &mut At<'_>) -> Leased {
        let claim = Claim {
            token: Token((at.fresh)()),
            worker_id: by.worker_id.clone(),
            session_id: by.session_id.clone(),
            at: at.wall,
            lease_ms: by.lease_ms,
        };
        let (token, ends) = (claim.token, claim.first_end(at.wall));
        if let Some(work) = &mut record.state.work {
            work.status = Status::Processing;
            work.claims = work.claims.saturating_add(1);
            work.not_before = None;
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
    /// given up in the end.
    ///
    /// # Errors
    /// `LeaseLost`, or what ended the work.
    pub fn release(&mut self, lease: &LeaseRef) -> Result<Record, Rejection> {
        let (record, _) = self.held(lease)?;
        Ok(self.released(record))
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
        Ok(self.released(record))
    }

    pub(super) fn released(&mut self, mut record: Record) -> Record {
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
