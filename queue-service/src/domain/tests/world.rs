//! What the writer is to the rules, without a thread or a disk: groups of commands, a clock to turn, and a store of
//! what was committed.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use crate::domain::{
    Act, ActKind, ActRows, Actor, Address, At, Author, Block, BlockRow, Change, ClaimBy, Completed,
    ConversationId, Deed, Event, Failed, Failure, Ids, LeaseRef, Leased, Millis, Moment, NewMessage, OwnName,
    Owner, Pause, Posted, Proof, Queue, QueueRules, Record, Rejection, Reply, Request, RequestKey, Requested,
    Sender, SenderKey, Source, Status, Taker, TakerId, Target, Token, Work,
};

/// Where the clock of every world starts.
pub(crate) const START: Millis = 1_762_000_000_000;

/// How long the first wait for a retry is: the random bits of a world say so.
pub(crate) const SPREAD_MS: Millis = 700;

/// How long a message waits after its first failure, by the usual rules.
pub(crate) const FIRST_WAIT_MS: Millis = 5_000 + SPREAD_MS;

/// The ids of every world.
pub(crate) fn ids() -> Ids {
    Ids::new([7; 16])
}

/// A queue, its clock, and everything that it has committed.
pub(crate) struct World {
    pub(crate) queue: Queue,
    pub(crate) rules: QueueRules,
    ids: Ids,
    /// Service time.
    pub(crate) now: Millis,
    /// How far the wall clock is behind it.
    pub(crate) behind: Millis,
    /// Every message as its last change left it.
    pub(crate) store: HashMap<Uuid, Record>,
    pub(crate) log: Vec<Change>,
    requests: HashMap<RequestKey, Requested>,
    owners: HashMap<ConversationId, Owner>,
    pub(crate) paused: BTreeMap<String, Millis>,
    /// The log of operators' acts, and what of it was written last.
    pub(crate) acts: BTreeMap<u64, Act>,
    pub(crate) act_rows: ActRows,
    pub(crate) blocks: BTreeMap<Source, Block>,
    stamp: Millis,
    drawn: u64,
    takers: TakerId,
}

impl World {
    pub(crate) fn new(rules: QueueRules) -> Self {
        Self::with_ids(rules, ids())
    }

    pub(crate) fn with_ids(rules: QueueRules, ids: Ids) -> Self {
        Self {
            queue: Queue::restore(rules.clone(), ids.clone(), (0, 0), Vec::new(), Moment::of(START)),
            rules,
            ids,
            now: START,
            behind: 0,
            store: HashMap::new(),
            log: Vec::new(),
            requests: HashMap::new(),
            owners: HashMap::new(),
            paused: BTreeMap::new(),
            acts: BTreeMap::new(),
            act_rows: ActRows::default(),
            blocks: BTreeMap::new(),
            stamp: START,
            drawn: 0,
            takers: 0,
        }
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.now, wall: self.now - self.behind }
    }

    /// Begins a group of commands, as much later than the last one.
    pub(crate) fn begin(&mut self, later: Millis) {
        self.now += later;
        self.stamp = self.moment().wall.max(self.queue.last_stamp() + 1);
        self.queue.begin(self.moment());
        self.queue.advance(self.now);
        self.keep_changes();
    }

    /// Lets a rule decide within a group. The queue may ask for these messages and this key.
    pub(crate) fn decide<T>(
        &mut self,
        ids: &[Uuid],
        key: Option<RequestKey>,
        rule: impl FnOnce(&mut Queue, &mut At<'_>) -> T,
    ) -> T {
        self.visit(ids, key);
        let drawn = &mut self.drawn;
        let mut fresh = || random(drawn);
        let Moment { now, wall } = Moment { now: self.now, wall: self.now - self.behind };
        let mut at = At { now, wall, stamp: self.stamp, fresh: &mut fresh };
        let outcome = rule(&mut self.queue, &mut at);
        self.keep_changes();
        outcome
    }

    /// Shows the queue what it may ask for, as the writer does before each command.
    pub(crate) fn visit(&mut self, ids: &[Uuid], key: Option<RequestKey>) {
        for id in ids {
            if !self.queue.knows(*id)
                && let Some(record) = self.store.get(id)
            {
                self.queue.visit(record.clone());
            }
        }
        if let Some(request) = key.and_then(|key| self.requests.get(&key))
            && !self.queue.knows_request(request.key)
        {
            self.queue.visit_request(request.clone());
        }
    }

    /// Shows the queue whose the conversation of a question is, as the writer does.
    pub(crate) fn visit_owner(&mut self, new: &NewMessage) {
        if let Some(conversation) = new.claims()
            && !self.queue.knows_owner(conversation)
        {
            self.queue.visit_owner(conversation, self.owners.get(&conversation).copied());
        }
    }

    /// Ends a group: hands out work, commits, and returns what takers are told.
    pub(crate) fn end(&mut self) -> Vec<Event> {
        self.decide(&[], None, Queue::dispatch);
        self.queue.committed()
    }

    /// A group of one command.
    pub(crate) fn run<T>(&mut self, ids: &[Uuid], rule: impl FnOnce(&mut Queue, &mut At<'_>) -> T) -> T {
        self.begin(0);
        let outcome = self.decide(ids, None, rule);
        let events = self.end();
        assert_eq!(events, [], "a command of this test told takers what it does not look at");
        outcome
    }

    /// Lets time pass, and returns what takers are told.
    pub(crate) fn pass(&mut self, ms: Millis) -> Vec<Event> {
        self.begin(ms);
        self.end()
    }

    /// Ends the process and starts it again.
    pub(crate) fn restart(&mut self) {
        let last = (self.queue.last_seq(), self.queue.last_stamp());
        let mut live: Vec<_> = self.store.values().filter(|record| is_live(record)).cloned().collect();
        live.sort_by_key(|record| record.content.posted);
        self.queue = Queue::restore(self.rules.clone(), self.ids.clone(), last, live, self.moment());
        self.queue.restore_pauses(self.paused.clone());
        self.queue.restore_blocks(self.blocks.values().cloned());
        if let (Some(first), Some(last)) = (self.acts.keys().next(), self.acts.keys().next_back()) {
            self.queue.restore_acts(*first, *last);
        }
    }

    pub(crate) fn post(&mut self, new: NewMessage) -> Record {
        self.try_post(new, None).expect("the message is welcome").record
    }

    pub(crate) fn try_post(
        &mut self,
        new: NewMessage,
        request: Option<Request>,
    ) -> Result<Posted, Rejection> {
        self.begin(0);
        let (ids, key) = (Vec::from_iter(new.reply_to), request.as_ref().map(|request| request.key));
        self.visit_owner(&new);
        self.visit(&[], request.as_ref().and_then(|request| request.before));
        let posted = self.decide(&ids, key, |queue, at| queue.post(new, request, at));
        assert_eq!(self.end(), [], "nobody takes work in this test");
        posted
    }

    pub(crate) fn claim(&mut self, id: Uuid, worker: &str) -> Result<Leased, Rejection> {
        self.run(&[id], |queue, at| queue.claim(id, &by(worker), at))
    }

    pub(crate) fn complete(&mut self, lease: &LeaseRef, reply: Option<&str>) -> Result<Completed, Rejection> {
        let reply = reply.map(|text| Reply { text: text.to_owned(), eq_score: 0, origin: None });
        self.run(&[lease.id], |queue, at| queue.complete(lease, reply, at))
    }

    pub(crate) fn fail(&mut self, lease: &LeaseRef, failure: Failure) -> Result<Failed, Rejection> {
        self.run(&[lease.id], |queue, at| queue.fail(lease, failure, at))
    }

    pub(crate) fn renew(&mut self, lease: &LeaseRef) -> Result<Millis, Rejection> {
        self.run(&[lease.id], |queue, at| queue.renew(lease, None, at.now))
    }

    pub(crate) fn release(&mut self, lease: &LeaseRef) -> Result<Record, Rejection> {
        self.run(&[lease.id], |queue, at| queue.release(lease, at.now))
    }

    /// Lets a taker join, and returns its name and what takers are told then.
    pub(crate) fn join(&mut self, taker: Taker) -> (TakerId, Vec<Event>) {
        self.begin(0);
        let id = self.join_group(taker);
        (id, self.end())
    }

    /// The same within a group.
    pub(crate) fn join_group(&mut self, taker: Taker) -> TakerId {
        self.takers += 1;
        let (id, now) = (self.takers, self.now);
        self.decide(&[], None, |queue, _| queue.join(id, taker, now));
        id
    }

    pub(crate) fn part(&mut self, id: TakerId) -> Vec<Event> {
        self.begin(0);
        self.queue.part(id, self.now);
        self.end()
    }

    /// How many takers joined so far.
    pub(crate) fn takers(&self) -> TakerId {
        self.takers
    }

    /// A message as its last change left it.
    pub(crate) fn record(&self, id: Uuid) -> &Record {
        &self.store[&id]
    }

    pub(crate) fn work(&self, id: Uuid) -> &Work {
        self.store[&id].state.work.as_ref().expect("the message is work")
    }

    /// When the lease on a message ends.
    pub(crate) fn lease_end(&self, id: Uuid) -> Option<Millis> {
        let live = self.queue.live(self.store[&id].content.posted)?;
        Some(live.term.as_ref()?.ends)
    }

    fn keep_changes(&mut self) {
        for Pause { entity, since } in self.queue.take_pauses() {
            match since {
                Some(since) => self.paused.insert(entity, since),
                None => self.paused.remove(&entity),
            };
        }
        self.owners.extend(self.queue.take_owners());
        for BlockRow { who, block } in self.queue.take_blocks() {
            match block {
                Some(block) => self.blocks.insert(who, block),
                None => self.blocks.remove(&who),
            };
        }
        let acts = self.queue.take_acts();
        self.acts.extend(acts.written.iter().cloned().map(|act| (act.number, act)));
        self.acts.retain(|number, _| !acts.dropped.contains(number));
        if !acts.is_empty() {
            self.act_rows = acts;
        }
        for change in self.queue.take_changes() {
            self.store.insert(change.record.content.id, change.record.clone());
            if let Some(request) = &change.request {
                self.requests.insert(request.key, request.clone());
            }
            self.log.push(change);
        }
    }
}

/// 128 bits: the first 48 count, the last 64 say [`SPREAD_MS`].
fn random(drawn: &mut u64) -> [u8; 16] {
    *drawn += 1;
    let mut bits = [0; 16];
    bits[..8].copy_from_slice(&(*drawn << 16).to_be_bytes());
    bits[8..].copy_from_slice(&SPREAD_MS.to_be_bytes());
    bits
}

pub(crate) fn is_live(record: &Record) -> bool {
    let status = record.state.work.as_ref().map(|work| work.status);
    matches!(status, Some(Status::Pending | Status::Processing))
}

/// A question by a human of this name to a bot.
pub(crate) fn question(human: &str, entity: &str) -> NewMessage {
    NewMessage {
        address: Some(Address {
            entity: entity.to_owned(),
            ai_username: entity.to_owned(),
            ai_color: "default".to_owned(),
            session_id: None,
            not_before: None,
            expires_at: None,
        }),
        ..remark(human)
    }
}

/// The sender of this number, at an address of their own.
pub(crate) fn sender(author: u8) -> Sender {
    sender_at(author, author)
}

/// The sender of this number, at the address of another.
pub(crate) fn sender_at(author: u8, address: u8) -> Sender {
    Sender { author: SenderKey([author; 16]), address: SenderKey([address; 16]) }
}

/// What an operator does, on nothing yet.
pub(crate) fn deed(kind: ActKind) -> Deed {
    Deed {
        by: Actor { token_id: "t1".to_owned(), name: "Olga".to_owned() },
        kind,
        on: Target::Message(Uuid::nil()),
        detail: String::new(),
        reason: "spam".to_owned(),
    }
}

/// A platform post.
pub(crate) fn remark(human: &str) -> NewMessage {
    NewMessage {
        domain: "site".to_owned(),
        text: "Why is space black?".to_owned(),
        username: human.to_owned(),
        color: "1".to_owned(),
        author: Author::Human,
        reply_to: None,
        eq_score: 0,
        address: None,
        priority: 5,
        human: None,
        session_id: None,
        sender: None,
        origin: None,
        claimant: None,
    }
}

/// A claim by a worker that asks for no length of its leases: 10 s at first, then 30 s.
pub(crate) fn by(worker: &str) -> ClaimBy {
    ClaimBy::new(worker.to_owned(), None, None)
}

/// The name of a worker of the model.
pub(crate) fn worker_name(worker: u8) -> String {
    if worker == 8 { "operator".to_owned() } else { format!("w{worker}") }
}

/// A stream of a worker's session, for all entities.
pub(crate) fn stream(session: &str, max_in_flight: usize) -> Taker {
    let by = ClaimBy { session: Some(OwnName::of_nobody(session.to_owned())), ..by("streamer") };
    Taker { by, entities: Vec::new(), max_in_flight, until: None, holds_back: None }
}

/// The claim that a token names.
pub(crate) fn held(id: Uuid, token: Token) -> LeaseRef {
    LeaseRef { id, proof: Proof::Lease(token) }
}

/// The claim that a worker names by itself, under a token of a role.
pub(crate) fn by_name(id: Uuid, token_id: Option<&str>, worker: &str) -> LeaseRef {
    let worker = OwnName { token_id: token_id.map(Into::into), name: worker.to_owned() };
    LeaseRef { id, proof: Proof::Worker(worker) }
}

/// The claim that somebody got.
pub(crate) fn lease(leased: &Leased) -> LeaseRef {
    held(leased.record.content.id, leased.token)
}

/// A retryable failure.
pub(crate) fn failure(error: &str) -> Failure {
    Failure { error: error.to_owned(), retryable: true, retry_after_ms: None }
}

/// The work among these events: to whom, and which lease.
pub(crate) fn handed_out(events: Vec<Event>) -> Vec<(TakerId, Leased)> {
    let work = |event| match event {
        Event::Work(taker, leased) => Some((taker, *leased)),
        Event::Cancelled(..) | Event::Nothing(_) | Event::Refused(..) => None,
    };
    events.into_iter().filter_map(work).collect()
}
