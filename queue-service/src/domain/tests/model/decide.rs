//! What the model makes of commands.

use super::{
    super::world::{SPREAD_MS, worker_name},
    Ask, Claim, Command, Edit, Hold, Millis, Model, Outcome, Refusal, Status, Taker, TakerId, Told, Work,
    newest,
};

/// Keeps an error, and forgets the oldest beyond five.
pub(super) fn remember(work: &mut Work, error: &str) {
    work.errors.push(error.to_owned());
    if work.errors.len() > 5 {
        work.errors.remove(0);
    }
}

/// Gives work up, and says why.
pub(super) fn give_up(work: &mut Work, why: &str) {
    (work.status, work.not_before) = (Status::Failed, None);
    remember(work, why);
}

enum Standing {
    Current,
    Lapsed,
    Finished,
}

impl Model {
    pub(super) fn decide(&mut self, command: &Command) -> Outcome {
        let outcome = match command {
            Command::Post(ask, key) => self.post(ask, *key),
            Command::Say(to) => {
                let to = to.and_then(|n| newest(n, self.messages.len()));
                Ok(Outcome::Posted { message: self.store("said", to, None), replayed: false })
            }
            Command::Claim { message, worker, asked } => self.claim(*message, *worker, *asked),
            Command::Renew(hold, ms) => self.held(hold).map(|m| Outcome::Renewed(self.renewed(m, *ms))),
            Command::Release(hold) => self.held(hold).map(|message| self.released(message)),
            Command::HoldBack(hold) => self.held(hold).map(|message| self.released_in_an_outage(message)),
            Command::Complete { hold, reply } => self.complete(hold, *reply),
            Command::Fail { hold, retryable, retry_after_ms } => self.fail(hold, *retryable, *retry_after_ms),
            Command::Retry(n) => self.retry(*n),
            Command::Cancel(n) => self.cancel(*n),
            Command::CancelAll { by_author, who, in_work, most } => {
                Ok(self.cancel_all(*by_author, *who, *in_work, *most))
            }
            Command::Delete(n) => self.delete(*n),
            Command::Hide(n) => self.hide(*n, true),
            Command::Unhide(n) => self.hide(*n, false),
            Command::Update(n, edit) => self.update(*n, edit),
            Command::Join { session, room, entities } => {
                self.join(Taker {
                    worker: *session,
                    session: Some(*session),
                    room: *room,
                    entities: entities.clone(),
                    until: None,
                });
                Ok(Outcome::Done)
            }
            Command::Wait { entities, ms } => {
                if let Err(why) = self.check_worker(9) {
                    self.joined += 1;
                    self.told.push(Told::Refused { taker: self.joined, why });
                    return Outcome::Done;
                }
                let until = Some(self.now + ms);
                self.join(Taker { worker: 9, session: None, room: 1, entities: entities.clone(), until });
                Ok(Outcome::Done)
            }
            Command::Block { author, ms } => {
                self.blocked.insert(*author, self.now + ms);
                Ok(Outcome::Done)
            }
            Command::Unblock(author) => {
                self.blocked.remove(author);
                Ok(Outcome::Done)
            }
            Command::Pause(entity) => {
                self.paused.insert(*entity);
                Ok(Outcome::Done)
            }
            Command::Resume(entity) => {
                self.paused.remove(entity);
                Ok(Outcome::Done)
            }
            Command::Part(n) => {
                let id = newest(*n, self.joined as usize).map_or(0, |at| at as TakerId + 1);
                self.part(id);
                Ok(Outcome::Done)
            }
        };
        outcome.unwrap_or_else(Outcome::Refused)
    }

    fn post(&mut self, ask: &Ask, key: Option<u8>) -> Result<Outcome, Refusal> {
        if let Some((first, message, at)) = key.and_then(|key| self.requests.get(&key))
            && self.now - at < 24 * 3_600_000
        {
            let replayed = Outcome::Posted { message: *message, replayed: true };
            return if first == ask { Ok(replayed) } else { Err(Refusal::IdempotencyConflict) };
        }
        self.check_blocked(ask.author)?;
        let due = self.now + ask.not_before.unwrap_or(0).max(0);
        if ask.expires_at.is_some_and(|end| self.now + end <= due) {
            return Err(Refusal::Invalid);
        }
        self.room(ask.entity)?;
        let not_before = ask.not_before.map(|later| self.now + later).filter(|due| *due > self.now);
        let start = not_before.unwrap_or(self.now);
        let asked = ask.expires_at.map(|later| self.now + later);
        let by_rule = self.rules.pending_expiry_ms.map(|span| start + span);
        let work = Work {
            entity: ask.entity,
            conversation: (ask.human, ask.god_mode),
            author: ask.author,
            for_later: not_before.is_some(),
            status: Status::Pending,
            priority: ask.priority,
            base: self.base(ask.author, not_before.is_some(), start),
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
            not_before,
            expires_at: asked.into_iter().chain(by_rule).min(),
            claim: None,
            lease: None,
            completed_at: None,
            reply: None,
        };
        let message = self.store("asked", None, Some(work));
        if let Some(key) = key {
            self.requests.insert(key, (ask.clone(), message, self.now));
        }
        Ok(Outcome::Posted { message, replayed: false })
    }

    fn check_blocked(&self, author: Option<u8>) -> Result<(), Refusal> {
        let until = author.and_then(|author| self.blocked.get(&author));
        if until.is_some_and(|until| *until > self.now) { Err(Refusal::Blocked) } else { Ok(()) }
    }

    fn claim(&mut self, n: usize, worker: u8, asked: Option<Millis>) -> Result<Outcome, Refusal> {
        let message = self.find_work(n)?;
        if self.work(message).status != Status::Pending {
            return Err(Refusal::NotPending);
        }
        if self.is_away(message) {
            return Err(Refusal::NotDue);
        }
        let entity = self.work(message).entity;
        self.check_open(entity)?;
        self.check_worker(worker)?;
        let (lease_ms, first_ms) = (asked.unwrap_or(30_000), asked.unwrap_or(10_000));
        let claim = Claim { message, worker, session: None, at: self.now, lease_ms, first_ms };
        let (claim, ends) = self.make_claim(message, claim);
        Ok(Outcome::Claimed { claim, ends })
    }

    fn complete(&mut self, hold: &Hold, reply: bool) -> Result<Outcome, Refusal> {
        let (message, standing) = self.standing(hold)?;
        let late = match standing {
            Standing::Current => false,
            Standing::Lapsed => true,
            Standing::Finished if reply && self.work(message).reply.is_none() => {
                return Err(Refusal::AlreadyCompleted);
            }
            Standing::Finished => {
                let reply = self.work(message).reply;
                return Ok(Outcome::Completed { reply, late: false, again: true });
            }
        };
        self.brought_a_result(message);
        let reply = reply.then(|| self.store("reply", Some(message), None));
        self.finish(message, reply);
        Ok(Outcome::Completed { reply, late, again: false })
    }

    fn brought_a_result(&mut self, message: usize) {
        if let Some(claim) = self.work(message).claim {
            self.note_result(claim);
        }
    }

    fn finish(&mut self, message: usize, reply: Option<usize>) {
        let now = self.now;
        let work = self.work(message);
        work.status = Status::Complete;
        work.completed_at = Some(now);
        work.not_before = None;
        work.lease = None;
        work.reply = reply;
        self.changed(message);
    }

    fn fail(&mut self, hold: &Hold, retryable: bool, after: Option<Millis>) -> Result<Outcome, Refusal> {
        let message = self.held(hold)?;
        self.brought_a_result(message);
        let (max, backoff, now) = (self.rules.max_failures, self.rules.backoff, self.now);
        let work = self.work(message);
        work.failures += 1;
        let wait = (backoff.first_ms * 8_i64.pow(work.failures - 1)).min(backoff.cap_ms);
        let retry_at = now + after.unwrap_or(wait + SPREAD_MS % (wait / 5 + 1));
        work.lease = None;
        remember(work, "failed");
        let given_up = !retryable || work.failures >= max;
        if given_up {
            work.status = Status::Failed;
            self.changed(message);
        } else {
            work.not_before = Some(retry_at);
            work.claim = None;
            self.put_back(message);
        }
        let waits = self.work(message).status == Status::Pending;
        Ok(Outcome::Failed { retry_at: waits.then_some(retry_at) })
    }

    fn released(&mut self, message: usize) -> Outcome {
        let claim = self.work(message).claim.expect("it is held");
        let again = self.given_back(message);
        self.work(message).uncounted += u32::from(again);
        self.wait_again(message);
        if again {
            self.note_loss(claim);
        }
        Outcome::Changed(message)
    }

    /// Notes by whom a message is given back; true if it is the same as the last time.
    fn given_back(&mut self, message: usize) -> bool {
        let claim = self.work(message).claim.expect("it is held");
        let worker = Some(worker_name(self.claims[claim].worker));
        let work = self.work(message);
        let again = work.released_by == worker;
        work.released_by = worker;
        again
    }

    fn wait_again(&mut self, message: usize) {
        let work = self.work(message);
        (work.claim, work.lease) = (None, None);
        self.put_back(message);
    }

    /// Released by a session that is given nothing more until it joins anew; no attempt, within five times their number.
    fn released_in_an_outage(&mut self, message: usize) -> Outcome {
        let most = 5 * self.rules.max_attempts;
        let again = self.given_back(message);
        let work = self.work(message);
        work.uncounted += u32::from(again || work.outages < most);
        work.outages += 1;
        let claim = work.claim.expect("it is held");
        let session = self.claims[claim].session;
        self.holding_back.extend(session);
        self.wait_again(message);
        if again && session.is_none() {
            self.note_loss(claim);
        }
        Outcome::Changed(message)
    }

    /// Lets it wait again, unless it was claimed as often as it may be.
    pub(super) fn put_back(&mut self, message: usize) {
        let max = self.rules.max_attempts;
        let work = self.work(message);
        let attempts = work.claims - work.uncounted;
        if attempts >= max {
            give_up(work, &format!("given up after {attempts} attempts"));
        } else {
            work.status = Status::Pending;
        }
        self.changed(message);
    }

    /// Whether one more may wait.
    fn room(&self, entity: u8) -> Result<(), Refusal> {
        let waits = |work: &&Work| work.status == Status::Pending;
        let waiting: Vec<_> = self.messages.iter().filter_map(|m| m.work.as_ref()).filter(waits).collect();
        let of_entity = waiting.iter().filter(|work| work.entity == entity).count();
        let full = waiting.len() >= self.rules.max_pending || of_entity >= self.rules.max_pending_per_entity;
        if full { Err(Refusal::QueueFull) } else { Ok(()) }
    }

    fn retry(&mut self, n: usize) -> Result<Outcome, Refusal> {
        let message = self.find_work(n)?;
        let (deleted, hidden) = (self.messages[message].deleted, self.messages[message].hidden);
        match self.work(message).status {
            Status::Pending => {}
            Status::Failed if deleted => return Err(Refusal::Cancelled),
            Status::Failed if hidden => return Err(Refusal::Hidden),
            Status::Failed => {
                self.room(self.messages[message].work.as_ref().expect("it was found").entity)?;
                self.retried(message);
            }
            Status::Complete => return Err(Refusal::AlreadyCompleted),
            Status::Processing => return Err(Refusal::WrongStatus),
        }
        Ok(Outcome::Changed(message))
    }

    fn retried(&mut self, message: usize) {
        let expires_at = self.rules.pending_expiry_ms.map(|span| self.now + span);
        let work = self.work(message);
        (work.status, work.failures, work.expiries) = (Status::Pending, 0, 0);
        (work.cancelled, work.claim) = (false, None);
        (work.lost_by, work.released_by, work.lost_at) = (Vec::new(), None, None);
        (work.uncounted, work.outages, work.expires_at) = (work.claims, 0, expires_at);
        self.changed(message);
    }

    fn cancel(&mut self, n: usize) -> Result<Outcome, Refusal> {
        let message = self.find_work(n)?;
        let deleted = self.messages[message].deleted;
        let work = self.work(message);
        match work.status {
            Status::Pending | Status::Processing => self.call_off(message),
            Status::Failed if work.cancelled || deleted => {}
            Status::Failed => self.call_off(message),
            Status::Complete => return Err(Refusal::AlreadyCompleted),
        }
        Ok(Outcome::Changed(message))
    }

    /// What waits first, then what is in work; each in the order of the posts.
    fn cancel_all(&mut self, by_author: bool, who: u8, in_work: bool, most: usize) -> Outcome {
        let meant = |work: &Work| if by_author { work.author == Some(who) } else { work.entity == who };
        let messages = &self.messages;
        let of = |status: Status| {
            let fits = |message: &usize| {
                messages[*message].work.as_ref().is_some_and(|work| work.status == status && meant(work))
            };
            (0..messages.len()).filter(fits).collect::<Vec<_>>()
        };
        let (waiting, held) = (of(Status::Pending), of(Status::Processing));
        let found: Vec<_> = waiting.into_iter().chain(held.into_iter().filter(|_| in_work)).collect();
        let more = found.len() > most;
        let count = found.len().min(most);
        found.into_iter().take(most).for_each(|message| self.call_off(message));
        Outcome::Cancelled { count, more }
    }

    fn call_off(&mut self, message: usize) {
        self.tell_holder(message);
        cancelled(self.work(message));
        self.changed(message);
    }

    fn delete(&mut self, n: usize) -> Result<Outcome, Refusal> {
        let message = newest(n, self.messages.len()).ok_or(Refusal::NotFound)?;
        if !self.messages[message].deleted {
            self.tell_holder(message);
            let it = &mut self.messages[message];
            it.deleted = true;
            it.text.clear();
            if let Some(work) = &mut it.work {
                work.errors.clear();
                if matches!(work.status, Status::Pending | Status::Processing) {
                    cancelled(work);
                }
            }
            self.changed(message);
        }
        Ok(Outcome::Changed(message))
    }

    fn hide(&mut self, n: usize, hidden: bool) -> Result<Outcome, Refusal> {
        let message = newest(n, self.messages.len()).ok_or(Refusal::NotFound)?;
        if self.messages[message].deleted {
            return Err(Refusal::WrongStatus);
        }
        if self.messages[message].hidden != hidden {
            self.tell_holder(message);
            let it = &mut self.messages[message];
            it.hidden = hidden;
            if let Some(work) = &mut it.work
                && matches!(work.status, Status::Pending | Status::Processing)
            {
                cancelled(work);
            }
            self.changed(message);
        }
        Ok(Outcome::Changed(message))
    }

    fn update(&mut self, n: usize, edit: &Edit) -> Result<Outcome, Refusal> {
        let message = newest(n, self.messages.len()).ok_or(Refusal::NotFound)?;
        if edit.by_author {
            self.check_blocked(self.messages[message].work.as_ref().and_then(|work| work.author))?;
        }
        let status = self.messages[message].work.as_ref().map(|work| work.status);
        if self.messages[message].deleted {
            return Err(Refusal::WrongStatus);
        }
        if self.messages[message].hidden {
            return Err(Refusal::Hidden);
        }
        match (status, edit.status) {
            (_, None) => {}
            (Some(from), Some(to)) if may_step(from, to) => {}
            _ => return Err(Refusal::WrongStatus),
        }
        if let (Some(Status::Failed), Some(Status::Pending), Some(work)) =
            (status, edit.status, &self.messages[message].work)
        {
            self.room(work.entity)?;
        }
        match (status, edit.priority) {
            (_, None) | (Some(Status::Pending), _) => {}
            (None, Some(_)) => return Err(Refusal::WrongStatus),
            (Some(_), Some(_)) => return Err(Refusal::NotPending),
        }
        let before = self.messages[message].clone();
        let it = &mut self.messages[message];
        it.text = edit.text.clone().unwrap_or(before.text.clone());
        if let (Some(work), Some(priority)) = (&mut it.work, edit.priority) {
            work.priority = priority;
        }
        if *it != before {
            if edit.by_author && before.edits >= self.rules.max_edits {
                self.messages[message] = before;
                return Err(Refusal::TooManyEdits);
            }
            self.messages[message].edits += u32::from(edit.by_author);
            let now = self.now;
            if let Some(work) = &mut self.messages[message].work {
                work.not_before = work.not_before.filter(|due| *due > now);
            }
            self.changed(message);
        }
        match (status, edit.status) {
            (Some(Status::Pending), Some(Status::Processing)) => {
                let (lease_ms, first_ms) = (30_000, 10_000);
                let claim = Claim { message, worker: 8, session: None, at: self.now, lease_ms, first_ms };
                self.make_claim(message, claim);
            }
            (Some(Status::Processing), Some(Status::Complete)) => {
                self.tell_holder(message);
                self.work(message).claim = None;
                self.finish(message, None);
            }
            (Some(Status::Processing), Some(Status::Pending)) => {
                self.tell_holder(message);
                self.wait_again(message);
            }
            (Some(Status::Failed), Some(Status::Pending)) => self.retried(message),
            (Some(Status::Pending | Status::Processing), Some(Status::Failed)) => self.call_off(message),
            _ => {}
        }
        Ok(Outcome::Changed(message))
    }

    fn tell_holder(&mut self, message: usize) {
        let lease = self.messages[message].work.as_ref().and_then(|work| work.lease);
        if let Some(taker) = lease.and_then(|lease| lease.taker) {
            self.told.push(Told::Cancelled { taker, message });
        }
    }

    fn find_work(&self, n: usize) -> Result<usize, Refusal> {
        let message = newest(n, self.messages.len()).ok_or(Refusal::NotFound)?;
        if self.messages[message].work.is_some() { Ok(message) } else { Err(Refusal::WrongStatus) }
    }

    fn held(&mut self, hold: &Hold) -> Result<usize, Refusal> {
        match self.standing(hold)? {
            (message, Standing::Current) => Ok(message),
            (_, Standing::Lapsed) => Err(Refusal::LeaseLost),
            (_, Standing::Finished) => Err(Refusal::AlreadyCompleted),
        }
    }

    /// The `complete` table of the wire contract.
    fn standing(&mut self, hold: &Hold) -> Result<(usize, Standing), Refusal> {
        let message = match hold {
            Hold::Token(n) => newest(*n, self.claims.len()).map(|c| self.claims[c].message),
            Hold::Worker(n, _) | Hold::Guess(n) => match newest(*n, self.messages.len()) {
                Some(_) => Some(self.find_work(*n)?),
                None => None,
            },
        };
        let message = message.ok_or(Refusal::NotFound)?;
        let last = self.work(message).claim;
        let named = match hold {
            Hold::Token(n) => last == newest(*n, self.claims.len()),
            Hold::Worker(_, worker) => last.is_some_and(|claim| self.claims[claim].worker == *worker),
            Hold::Guess(_) => false,
        };
        let work = self.work(message);
        match (work.status, named) {
            (Status::Processing, true) => Ok((message, Standing::Current)),
            (Status::Pending, true) => Ok((message, Standing::Lapsed)),
            (Status::Complete, true) => Ok((message, Standing::Finished)),
            (Status::Pending | Status::Processing, false) => Err(Refusal::LeaseLost),
            (Status::Complete, false) => Err(Refusal::AlreadyCompleted),
            (Status::Failed, _) if work.cancelled => Err(Refusal::Cancelled),
            (Status::Failed, _) => Err(Refusal::Failed),
        }
    }
}

fn cancelled(work: &mut Work) {
    (work.status, work.cancelled) = (Status::Failed, true);
    (work.not_before, work.lease) = (None, None);
    remember(work, "cancelled");
}

fn may_step(from: Status, to: Status) -> bool {
    from == to
        || match to {
            Status::Pending => matches!(from, Status::Processing | Status::Failed),
            Status::Processing => from == Status::Pending,
            Status::Complete => from == Status::Processing,
            Status::Failed => matches!(from, Status::Pending | Status::Processing),
        }
}
