//! The rules once more, as plainly as can be: a list of messages that every question walks through from end to end.
//! The queue is held to it by [`super::machine`].

mod command;
mod decide;
mod losses;
mod time;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Millis, QueueRules, Status, TakerId};

pub(super) use command::{Ask, Command, Edit, Hold, newest};

/// What the model knows of a message. Messages name each other by their place in the list.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub(super) posted: u64,
    pub(super) seq: u64,
    pub(super) timestamp: Millis,
    pub(super) text: String,
    pub(super) deleted: bool,
    pub(super) hidden: bool,
    pub(super) edits: u32,
    pub(super) reply_to: Option<usize>,
    pub(super) work: Option<Work>,
}

/// The work in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Work {
    pub(super) entity: u8,
    /// The human, and whether it is the God Mode session.
    pub(super) conversation: (u8, bool),
    /// Whose share it counts against, and whether it was posted for later.
    pub(super) author: Option<u8>,
    pub(super) for_later: bool,
    pub(super) status: Status,
    pub(super) priority: u32,
    pub(super) base: Millis,
    pub(super) claims: u32,
    pub(super) uncounted: u32,
    pub(super) outages: u32,
    pub(super) failures: u32,
    pub(super) expiries: u32,
    pub(super) lost_by: Vec<String>,
    pub(super) released_by: Option<String>,
    pub(super) lost_at: Option<Millis>,
    pub(super) cancelled: bool,
    pub(super) errors: Vec<String>,
    pub(super) not_before: Option<Millis>,
    pub(super) expires_at: Option<Millis>,
    /// Place of the last claim in the list of claims.
    pub(super) claim: Option<usize>,
    pub(super) lease: Option<Lease>,
    pub(super) completed_at: Option<Millis>,
    pub(super) reply: Option<usize>,
}

/// A lease that is running.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lease {
    pub(super) ends: Millis,
    pub(super) taker: Option<TakerId>,
}

/// A claim that was made.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Claim {
    pub(super) message: usize,
    pub(super) worker: u8,
    pub(super) session: Option<u8>,
    pub(super) at: Millis,
    pub(super) lease_ms: Millis,
    pub(super) first_ms: Millis,
}

/// Who loses leases: a session, or all that has a worker's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holder {
    Session(u8),
    Worker(u8),
}

/// Somebody who takes work.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taker {
    pub(super) worker: u8,
    pub(super) session: Option<u8>,
    pub(super) room: usize,
    pub(super) entities: Vec<u8>,
    pub(super) until: Option<Millis>,
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    Posted { message: usize, replayed: bool },
    Claimed { claim: usize, ends: Millis },
    Renewed(Millis),
    Changed(usize),
    Cancelled { count: usize, more: bool },
    Completed { reply: Option<usize>, late: bool, again: bool },
    Failed { retry_at: Option<Millis> },
    Refused(Refusal),
    Done,
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Refusal {
    Invalid,
    NotFound,
    NotPending,
    NotDue,
    EntityPaused,
    EntityLimit,
    WorkerPaused,
    TooManyClaims,
    TooManyEdits,
    Hidden,
    Blocked,
    LeaseLost,
    AlreadyCompleted,
    Cancelled,
    Failed,
    WrongStatus,
    QueueFull,
    IdempotencyConflict,
}

/// What takers are told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Work { taker: TakerId, claim: usize, ends: Millis },
    Cancelled { taker: TakerId, message: usize },
    Nothing { taker: TakerId },
    Refused { taker: TakerId, why: Refusal },
}

/// Everything.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) rules: QueueRules,
    pub(super) now: Millis,
    pub(super) seq: u64,
    pub(super) last_stamp: Millis,
    pub(super) stamp: Millis,
    pub(super) messages: Vec<Message>,
    pub(super) claims: Vec<Claim>,
    pub(super) takers: BTreeMap<TakerId, Taker>,
    /// Sessions that are given nothing until they join anew.
    pub(super) holding_back: BTreeSet<u8>,
    pub(super) joined: TakerId,
    pub(super) last_served: TakerId,
    /// By idempotency key: the request, the message that it stored, and when.
    pub(super) requests: BTreeMap<u8, (Ask, usize, Millis)>,
    /// What the last group answered and told.
    pub(super) outcomes: Vec<Outcome>,
    pub(super) told: Vec<Told>,
    pub(super) paused: BTreeSet<u8>,
    /// The leases that each holder has lost in a row: when the claim was made, and when its lease ended.
    pub(super) losses: BTreeMap<Holder, Vec<(Millis, Millis)>>,
    /// Sessions that have brought a result.
    pub(super) proved: BTreeSet<u8>,
    /// Until when authors are blocked.
    pub(super) blocked: BTreeMap<u8, Millis>,
    /// How many claims were made before the process started: buckets begin full.
    pub(super) before_start: usize,
}

/// Where an author is: each address has two.
pub(super) fn address_of(author: u8) -> u8 {
    author / 2
}

impl Model {
    pub(super) fn new(rules: QueueRules, now: Millis) -> Self {
        Self {
            rules,
            now,
            seq: 0,
            last_stamp: 0,
            stamp: now,
            messages: Vec::new(),
            claims: Vec::new(),
            takers: BTreeMap::new(),
            holding_back: BTreeSet::new(),
            joined: 0,
            last_served: 0,
            requests: BTreeMap::new(),
            outcomes: Vec::new(),
            told: Vec::new(),
            paused: BTreeSet::new(),
            losses: BTreeMap::new(),
            proved: BTreeSet::new(),
            blocked: BTreeMap::new(),
            before_start: 0,
        }
    }

    /// One group of commands.
    pub(super) fn group(&mut self, later: Millis, commands: &[Command]) {
        self.outcomes.clear();
        self.told.clear();
        self.now += later;
        self.stamp = self.now.max(self.last_stamp + 1);
        self.advance();
        for command in commands {
            let outcome = self.decide(command);
            self.outcomes.push(outcome);
            self.forget_sessions();
        }
        self.give_up_expired();
        self.dispatch();
    }

    /// The work of a message that is known to be work.
    pub(super) fn work(&mut self, message: usize) -> &mut Work {
        self.messages[message].work.as_mut().expect("it is work")
    }

    /// Gives the message's last change its number.
    pub(super) fn changed(&mut self, message: usize) {
        self.seq += 1;
        self.messages[message].seq = self.seq;
    }

    pub(super) fn store(&mut self, text: &str, reply_to: Option<usize>, work: Option<Work>) -> usize {
        self.seq += 1;
        self.last_stamp = self.stamp;
        self.messages.push(Message {
            posted: self.seq,
            seq: self.seq,
            timestamp: self.stamp,
            text: text.to_owned(),
            deleted: false,
            hidden: false,
            edits: 0,
            reply_to,
            work,
        });
        self.messages.len() - 1
    }

    pub(super) fn make_claim(&mut self, message: usize, claim: Claim) -> (usize, Millis) {
        let ends = self.now + claim.first_ms;
        self.claims.push(claim);
        let number = self.claims.len() - 1;
        let work = self.work(message);
        work.status = Status::Processing;
        work.claims += 1;
        work.not_before = None;
        work.lost_at = None;
        work.claim = Some(number);
        work.lease = Some(Lease { ends, taker: None });
        self.changed(message);
        (number, ends)
    }

    /// What is handed out next to somebody who answers these entities; all where there are none.
    pub(super) fn next_for(&self, entities: &[u8]) -> Option<usize> {
        self.next_that(entities, |_| true)
    }

    fn next_that(&self, entities: &[u8], may_have: impl Fn(usize) -> bool) -> Option<usize> {
        let asked = |work: &Work| entities.is_empty() || entities.contains(&work.entity);
        let fits = |work: &Work| asked(work) && self.check_open(work.entity).is_ok();
        let offered = (0..self.messages.len()).filter(|m| self.is_offered(*m));
        let fitting = offered.filter(|m| self.messages[*m].work.as_ref().is_some_and(fits) && may_have(*m));
        fitting.min_by_key(|m| self.place(*m))
    }

    fn is_offered(&self, message: usize) -> bool {
        let Some(work) = &self.messages[message].work else { return false };
        if work.status != Status::Pending || work.not_before.is_some_and(|due| due > self.now) {
            return false;
        }
        let line = |other: &usize| {
            self.messages[*other].work.as_ref().is_some_and(|w| w.conversation == work.conversation)
        };
        let stands_before = |other: usize| match self.messages[other].work.as_ref().map(|w| w.status) {
            Some(Status::Processing) => true,
            Some(Status::Pending) => !self.is_away(other) && self.place(other) < self.place(message),
            _ => false,
        };
        !self.rules.one_per_conversation || !(0..self.messages.len()).filter(line).any(stands_before)
    }

    /// Whether an entity's messages are handed out now.
    pub(super) fn check_open(&self, entity: u8) -> Result<(), Refusal> {
        let limit = self.rules.entity_limits.of(&format!("e{entity}"));
        let works = self.messages.iter().filter_map(|message| message.work.as_ref());
        let in_flight = works.filter(|work| work.entity == entity && work.lease.is_some()).count();
        if self.paused.contains(&entity) {
            Err(Refusal::EntityPaused)
        } else if limit.in_flight.is_some_and(|limit| in_flight >= limit as usize)
            || self.reopens(entity).is_some()
        {
            Err(Refusal::EntityLimit)
        } else {
            Ok(())
        }
    }

    /// When an entity has a message again that has used up what it may hand out: by all of its claims, one after the other.
    pub(super) fn reopens(&self, entity: u8) -> Option<Millis> {
        let limit = self.rules.entity_limits.of(&format!("e{entity}"));
        let interval = 60_000_000 / i64::from(limit.per_minute?);
        let burst = i64::from(limit.burst.expect("the machine says how large a burst is"));
        let theirs = self.claims[self.before_start..].iter().filter(|claim| {
            self.messages[claim.message].work.as_ref().is_some_and(|work| work.entity == entity)
        });
        let full = theirs.fold(0, |full, claim| (claim.at * 1_000).max(full) + interval);
        let opens = (full - (burst - 1) * interval + 999) / 1_000;
        (opens > self.now).then_some(opens)
    }

    /// True while a message that was posted for later is not due: it holds nobody up.
    pub(super) fn is_away(&self, message: usize) -> bool {
        let work = self.messages[message].work.as_ref();
        work.is_some_and(|work| work.claims == 0 && work.not_before.is_some_and(|due| due > self.now))
    }

    /// Higher priority first, then who waits longest by the base; each `aging` waited counts as one level.
    fn place(&self, message: usize) -> (i64, Millis, u64) {
        let Message { posted, work, .. } = &self.messages[message];
        let (priority, base) = work.as_ref().map_or((0, 0), |work| (i64::from(work.priority), work.base));
        match self.rules.aging_ms {
            0 => (-priority, base, *posted),
            aging => (0, base - priority * aging, *posted),
        }
    }

    /// From when on an author's next message counts as waiting: a share after the last one that waits.
    pub(super) fn base(&self, author: Option<u8>, for_later: bool, start: Millis) -> Millis {
        let (Some(author), share @ 1..) = (author, self.rules.fair_share_ms) else { return start };
        let works = self.messages.iter().filter_map(|message| message.work.as_ref());
        let theirs = works.filter(|work| {
            work.status == Status::Pending && work.author == Some(author) && work.for_later == for_later
        });
        let from = if for_later {
            start + share * theirs.count() as Millis
        } else {
            theirs.map(|work| work.base + share).chain([start]).max().unwrap_or(start)
        };
        self.free_place(address_of(author), from)
    }

    /// The first time from `from` on that is a share of the address away from all that waits from there.
    fn free_place(&self, address: u8, from: Millis) -> Millis {
        let share = self.rules.address_share_ms;
        let works = self.messages.iter().filter_map(|message| message.work.as_ref());
        let taken: Vec<_> = works
            .filter(|work| work.status == Status::Pending && work.author.map(address_of) == Some(address))
            .map(|work| work.base)
            .collect();
        let is_free = |place: &Millis| taken.iter().all(|base| (place - base).abs() >= share);
        let places = taken.iter().map(|base| base + share).chain([from]).filter(|place| *place >= from);
        places.filter(is_free).min().expect("behind the last of them is free")
    }

    pub(super) fn holds(&self, taker: TakerId) -> Vec<usize> {
        let held = |m: &usize| {
            let lease = self.messages[*m].work.as_ref().and_then(|work| work.lease);
            lease.is_some_and(|lease| lease.taker == Some(taker))
        };
        (0..self.messages.len()).filter(held).collect()
    }

    /// How many messages a session has under a lease.
    fn of_session(&self, session: u8) -> usize {
        let leased = |message: &&Message| {
            let work = message.work.as_ref().filter(|work| work.lease.is_some());
            work.and_then(|work| work.claim).is_some_and(|claim| self.claims[claim].session == Some(session))
        };
        self.messages.iter().filter(leased).count()
    }

    /// True where the session has opened the same stream again.
    fn is_superseded(&self, id: TakerId) -> bool {
        let taker = &self.takers[&id];
        let same = |other: &Taker| other.session == taker.session && other.entities == taker.entities;
        taker.session.is_some() && self.takers.range(id + 1..).any(|(_, other)| same(other))
    }

    fn dispatch(&mut self) {
        loop {
            let all: Vec<_> = self.takers.keys().copied().collect();
            let (before, after): (Vec<_>, Vec<_>) = all.into_iter().partition(|id| *id <= self.last_served);
            let served = after.into_iter().chain(before).filter(|id| self.serve(*id)).count();
            if served == 0 {
                return;
            }
        }
    }

    fn serve(&mut self, id: TakerId) -> bool {
        let taker = self.takers[&id].clone();
        if !self.may_take(id) {
            return false;
        }
        let may_have = |message| !self.is_kept_from(message, &taker);
        let Some(message) = self.next_that(&taker.entities, may_have) else { return false };
        if self.others_come_first(message, taker.worker) {
            return false;
        }
        let Taker { worker, session, .. } = taker;
        let (lease_ms, first_ms) = (30_000, 10_000);
        let (claim, ends) =
            self.make_claim(message, Claim { message, worker, session, at: self.now, lease_ms, first_ms });
        if taker.until.is_some() {
            self.takers.remove(&id);
        } else {
            self.work(message).lease = Some(Lease { ends, taker: Some(id) });
        }
        self.last_served = id;
        self.told.push(Told::Work { taker: id, claim, ends });
        true
    }
}
