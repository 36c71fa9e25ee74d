//! How an attempt ends: with a result, with an error, or because its lease runs out.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Address, At, AttemptEnd, Author, Change, ChangeKind, Content, GivenUp, LeaseRef, Millis, Origin, Queue,
    Record, Rejection, State, Status, Work, claim::Standing,
};

/// How many messages expire in one commit at the most: it holds them in memory until it is durable.
const EXPIRED_AT_ONCE: usize = 1_000;

/// A bot's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// What the bot says.
    pub text: String,
    /// The site's score.
    pub eq_score: i32,
    /// The request that completes the work; none if that came without a name.
    pub origin: Option<Box<Origin>>,
}

/// What a completion answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// The finished message.
    pub record: Record,
    /// Id of the stored reply.
    pub reply: Option<Uuid>,
    /// True where the lease had ended, but nobody had claimed the message since.
    pub late: bool,
    /// True where this claim had completed the message before.
    pub already_completed: bool,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub error: String,
    /// Whether another attempt can help.
    pub retryable: bool,
    /// How long to wait before it; the backoff decides where absent.
    pub retry_after_ms: Option<Millis>,
}

/// What a failure answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Failed {
    /// The message: pending again, or failed.
    pub record: Record,
    /// When it is tried again, by the wall clock.
    pub retry_at: Option<Millis>,
}

impl Queue {
    /// Finishes a message, and stores the reply with it. Repeating it answers the same.
    ///
    /// A claim that finished the message without a reply cannot add one: an answer is stored, or refused.
    ///
    /// # Errors
    /// See the `complete` table of the wire contract: `LeaseLost`, `AlreadyCompleted`, `Cancelled`, `Failed`.
    pub fn complete(
        &mut self,
        lease: &LeaseRef,
        reply: Option<Reply>,
        at: &mut At<'_>,
    ) -> Result<Completed, Rejection> {
        let (record, work, standing) = self.standing(lease)?;
        let late = match standing {
            Standing::Current => false,
            Standing::Lapsed => true,
            Standing::Finished if reply.is_some() && work.reply.is_none() => {
                return Err(Rejection::AlreadyCompleted);
            }
            Standing::Finished => {
                return Ok(Completed { record, reply: work.reply, late: false, already_completed: true });
            }
        };
        self.note_result(&work);
        let reply = reply.map(|reply| self.post_reply(&record, reply, at));
        let record = self.completed(record, reply, at.wall);
        Ok(Completed { record, reply, late, already_completed: false })
    }

    pub(super) fn completed(&mut self, mut record: Record, reply: Option<Uuid>, wall: Millis) -> Record {
        if let Some(work) = &mut record.state.work {
            work.status = Status::Complete;
            work.completed_at = Some(wall);
            work.not_before = None;
            work.reply = reply;
        }
        self.change(ChangeKind::Completed, record.content, record.state)
    }

    /// Reports a failed attempt: the message is tried again after a wait, or given up.
    ///
    /// # Errors
    /// `LeaseLost`, or what ended the work.
    pub fn fail(&mut self, lease: &LeaseRef, failure: Failure, at: &mut At<'_>) -> Result<Failed, Rejection> {
        let (mut record, mut work) = self.held(lease)?;
        self.note_result(&work);
        work.failures = work.failures.saturating_add(1);
        work.remember_error(failure.error);
        work.end_attempt(AttemptEnd::Failed, at.wall);
        if !failure.retryable || work.failures >= self.rules.max_failures {
            work.status = Status::Failed;
            record.state.work = Some(Box::new(work));
            let record = self.change(ChangeKind::Failed, record.content, record.state);
            return Ok(Failed { record, retry_at: None });
        }
        let random = u128::from_be_bytes((at.fresh)()) as u64;
        let wait = failure.retry_after_ms.unwrap_or_else(|| self.rules.backoff.after(work.failures, random));
        let retry_at = at.now.saturating_add(wait);
        work.not_before = Some(retry_at);
        work.claim = None;
        record.state.work = Some(Box::new(work));
        let record = self.put_back(record, ChangeKind::RetryScheduled);
        let waits = record.state.work.as_ref().is_some_and(|work| work.status == Status::Pending);
        Ok(Failed { record, retry_at: waits.then(|| self.shown(retry_at)) })
    }

    /// Lets a message wait again after an attempt, or gives it up if that was the last one that it may have.
    pub(super) fn put_back(&mut self, mut record: Record, mut kind: ChangeKind) -> Record {
        let max_attempts = self.rules.max_attempts;
        if let Some(work) = &mut record.state.work {
            work.status = Status::Pending;
            if work.attempts() >= max_attempts {
                work.give_up(GivenUp::Attempts(work.attempts()));
                kind = ChangeKind::Failed;
            }
        }
        self.change(kind, record.content, record.state)
    }

    /// Lets time pass: ends the leases that are over, gives up what has expired, offers what is due, and dismisses claims
    /// that waited long enough.
    pub fn advance(&mut self, now: Millis) {
        self.takers.resume_workers(now);
        while let Some(posted) = self.lapsed(now) {
            self.end_lease(posted, now);
        }
        self.let_return(now);
        self.give_up_expired(now);
        self.end_blocks(now);
        self.lines.wake(now);
        self.reopen(now);
        self.dismiss_waiting(now);
    }

    /// A lease has ended without a result. That counts against who lost it; the message is given up only once two different
    /// workers have lost it.
    fn end_lease(&mut self, posted: u64, now: Millis) {
        let wall = self.wall();
        let Some(live) = self.live(posted) else { return };
        let since = live.term.as_ref().map_or(now, |term| term.since);
        let mut record = live.record.clone();
        let Some(work) = &mut record.state.work else { return };
        let claim = work.claim.clone();
        work.end_attempt(AttemptEnd::LeaseLost, wall);
        work.lose(now);
        if work.expiries >= self.rules.max_expiries && work.lost_by.len() > 1 {
            work.give_up(GivenUp::Leases(work.expiries));
            self.change(ChangeKind::Failed, record.content, record.state);
        } else {
            self.put_back(record, ChangeKind::Expired);
        }
        if let Some(claim) = claim {
            self.takers.note_loss(&claim, since, now);
        }
    }

    /// Gives up what nobody has taken in time; no more than one commit takes.
    pub(super) fn give_up_expired(&mut self, now: Millis) {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(posted) = self.expired(now) else { break };
            self.expire(posted);
        }
    }

    fn expire(&mut self, posted: u64) {
        let Some(live) = self.live(posted) else { return };
        let mut record = live.record.clone();
        if let Some(work) = &mut record.state.work {
            work.give_up(GivenUp::Expired);
        }
        self.change(ChangeKind::Failed, record.content, record.state);
    }

    /// Stores a bot's answer: a message by the AI that was asked, in the conversation of the question.
    fn post_reply(&mut self, question: &Record, reply: Reply, at: &At<'_>) -> Uuid {
        let asked = &question.content;
        let (username, color) = match asked.address.as_deref() {
            Some(Address { ai_username, ai_color, .. }) => (ai_username.clone(), ai_color.clone()),
            None => (String::new(), String::new()),
        };
        let posted = self.next_seq();
        let id = self.ids.seal(posted);
        let content = Content {
            id,
            posted,
            timestamp: at.stamp,
            domain: asked.domain.clone(),
            text: reply.text,
            username,
            color,
            author: Author::Ai,
            reply_to: Some(asked.id),
            conversation: asked.conversation,
            address: None,
            sender: None,
            // Of a worker that knows no traces, the reply is a part of the question's.
            origin: reply.origin.or_else(|| asked.origin.clone().filter(|origin| origin.trace().is_some())),
        };
        let state = State { seq: posted, eq_score: reply.eq_score, work: None, ..State::default() };
        let record = Record { content: Arc::new(content), state };
        self.commit(Change { kind: ChangeKind::Posted, record, request: None });
        id
    }

    /// Work that an operator or an author takes out of the queue.
    pub(super) fn call_off(work: &mut Work, wall: Millis) {
        work.end_attempt(AttemptEnd::CalledOff, wall);
        work.status = Status::Failed;
        work.cancelled = true;
        work.not_before = None;
        work.remember_error("cancelled".to_owned());
    }
}
