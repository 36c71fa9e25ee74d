//! The queue under test, driven by the commands of the model and seen with the model's eyes.

mod seen;
mod words;

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::{
    model::{Command, Hold, Model, Outcome, Told, newest},
    world::{START, World, by, deed, failure, handed_out, ids, is_live, lease, sender, stream, worker_name},
};
use crate::domain::{
    ActKind, At, Cancelled, ChangeKind, ClaimBy, Editor, Failure, LeaseRef, Moment, OwnName, Proof, Queue,
    QueueRules, Record, Rejection, Reply, RequestKey, Selection, Source, Taker, Token, Update,
};

use words::{entity_name, entity_names, new_message, refusal};

/// The queue and what is needed to compare it with the model.
pub(super) struct Driven {
    world: World,
    /// Ids of the messages in the order of their posts.
    ids: Vec<Uuid>,
    /// Tokens of the claims in their order.
    tokens: Vec<Token>,
    /// A second queue, to which only the changes were applied.
    folded: Queue,
    /// How many changes of the log were learned.
    learned: usize,
    idle: bool,
}

impl Driven {
    pub(super) fn new(rules: QueueRules) -> Self {
        let folded = Queue::restore(rules.clone(), ids(), (0, 0), Vec::new(), Moment::of(START));
        let (ids, tokens) = (Vec::new(), Vec::new());
        Self { world: World::new(rules), ids, tokens, folded, learned: 0, idle: true }
    }

    pub(super) fn group(&mut self, later: i64, commands: &[Command], model: &Model) {
        self.idle = commands.is_empty();
        self.world.begin(later);
        self.learn();
        for (command, expected) in commands.iter().zip(&model.outcomes) {
            assert_eq!(&self.decide(command, expected), expected, "{command:?}");
        }
        let events = self.world.end();
        self.learn();
        let told: Vec<Told> = events.iter().map(|event| self.told(event)).collect();
        assert_eq!(told, model.told);
    }

    pub(super) fn restart(&mut self) {
        self.world.restart();
    }

    /// Notes the ids and tokens of new changes, and applies them to the second queue.
    fn learn(&mut self) {
        for change in &self.world.log[self.learned..] {
            match change.kind {
                ChangeKind::Posted => self.ids.push(change.record.content.id),
                ChangeKind::Claimed => {
                    let claim = change.record.state.work.as_ref().and_then(|work| work.claim.as_ref());
                    self.tokens.push(claim.expect("a claimed message has a claim").token);
                }
                _ => {}
            }
            self.folded.apply(change);
        }
        self.folded.lines.wake(self.world.now);
        self.learned = self.world.log.len();
    }

    fn decide(&mut self, command: &Command, expected: &Outcome) -> Outcome {
        let refused = matches!(expected, Outcome::Refused(_));
        let (id, key) = self.touches(command);
        self.world.visit(&Vec::from_iter(id), key);
        let before = refused.then(|| (format!("{:?}", self.world.queue), self.world.log.len()));
        let outcome = self.ask(command, id, key);
        if let Some((queue, changes)) = before {
            assert_eq!(format!("{:?}", self.world.queue), queue, "a refused command changes nothing");
            assert_eq!(self.world.log.len(), changes, "a refused command makes no change");
        }
        self.learn();
        outcome
    }

    fn touches(&self, command: &Command) -> (Option<Uuid>, Option<RequestKey>) {
        match command {
            Command::Post(_, key) => (None, key.map(|key| RequestKey([key; 16]))),
            Command::Say(n) => (n.and_then(|n| self.id(n)), None),
            Command::Claim { message: n, .. }
            | Command::Retry(n)
            | Command::Cancel(n)
            | Command::Delete(n)
            | Command::Hide(n)
            | Command::Unhide(n)
            | Command::Update(n, _) => (self.id(*n), None),
            Command::Renew(hold, _)
            | Command::Release(hold)
            | Command::HoldBack(hold)
            | Command::Complete { hold, .. }
            | Command::Fail { hold, .. } => (Some(self.lease(hold).id), None),
            Command::Join { .. }
            | Command::Wait { .. }
            | Command::Part(_)
            | Command::CancelAll { .. }
            | Command::Block { .. }
            | Command::Unblock(_)
            | Command::Pause(_)
            | Command::Resume(_) => (None, None),
        }
    }

    fn ask(&mut self, command: &Command, id: Option<Uuid>, key: Option<RequestKey>) -> Outcome {
        let ids = Vec::from_iter(id);
        let id = id.unwrap_or_default();
        match command.clone() {
            Command::Post(..) | Command::Say(_) => {
                let (new, request) = new_message(command, &ids, key, self.world.now);
                let posted = self.rule(&ids, |queue, at| queue.post(new, request, at));
                self.outcome(posted, |this, posted| Outcome::Posted {
                    message: this.place(posted.record.content.id),
                    replayed: posted.replayed,
                })
            }
            Command::Claim { worker, asked, .. } => {
                let by = ClaimBy::new(worker_name(worker), None, asked);
                let leased = self.rule(&ids, |queue, at| queue.claim(id, &by, at));
                self.outcome(leased, |this, leased| Outcome::Claimed {
                    claim: this.claim_of(leased.token),
                    ends: leased.ends,
                })
            }
            Command::Renew(hold, ms) => {
                let lease = self.lease(&hold);
                let renewed = self.rule(&ids, |queue, at| queue.renew(&lease, ms, at.now));
                self.outcome(renewed, |_, ends| Outcome::Renewed(ends))
            }
            Command::Release(hold) => {
                let lease = self.lease(&hold);
                self.changed(&ids, |queue, at| queue.release(&lease, at.now))
            }
            Command::HoldBack(hold) => {
                let lease = self.lease(&hold);
                self.changed(&ids, |queue, at| queue.hold_back(&lease, "out".to_owned(), at.now))
            }
            Command::Complete { hold, reply } => {
                let lease = self.lease(&hold);
                let reply = reply.then(|| Reply { text: "reply".to_owned(), eq_score: 0, origin: None });
                let completed = self.rule(&ids, |queue, at| queue.complete(&lease, reply, at));
                self.outcome(completed, |this, completed| Outcome::Completed {
                    reply: completed.reply.map(|id| this.place(id)),
                    late: completed.late,
                    again: completed.already_completed,
                })
            }
            Command::Fail { hold, retryable, retry_after_ms } => {
                let lease = self.lease(&hold);
                let failure = Failure { retryable, retry_after_ms, ..failure("failed") };
                let failed = self.rule(&ids, |queue, at| queue.fail(&lease, failure, at));
                self.outcome(failed, |_, failed| Outcome::Failed { retry_at: failed.retry_at })
            }
            Command::Retry(_) => self.changed(&ids, |queue, at| queue.retry(id, at.now)),
            Command::Cancel(_) => self.changed(&ids, |queue, _| queue.cancel(id)),
            Command::CancelAll { by_author, who, in_work, most } => {
                let which = match by_author {
                    true => Selection::Author(sender(who).author),
                    false => Selection::Entity(entity_name(who)),
                };
                let rule = move |queue: &mut Queue, at: &mut At<'_>| {
                    queue.cancel_all(which, in_work, most, (None, deed(ActKind::Cancel)), at.wall)
                };
                let Cancelled { count, more, .. } = self.world.decide(&ids, key, rule);
                Outcome::Cancelled { count, more }
            }
            Command::Delete(_) => self.changed(&ids, |queue, _| queue.delete(id)),
            Command::Hide(_) => self.changed(&ids, |queue, _| queue.hide(id)),
            Command::Unhide(_) => self.changed(&ids, |queue, _| queue.unhide(id)),
            Command::Update(_, edit) => {
                let update =
                    Update { text: edit.text, eq_score: None, priority: edit.priority, status: edit.status };
                let editor = if edit.by_author { Editor::Author(None) } else { Editor::Operator };
                self.changed(&ids, |queue, at| queue.update(id, update, editor, at))
            }
            Command::Join { session, room, entities } => {
                let seat = stream(&format!("s{session}"), room);
                let by = ClaimBy { worker: OwnName::of_nobody(worker_name(session)), ..seat.by };
                self.world.join_group(Taker { by, entities: entity_names(&entities), ..seat });
                Outcome::Done
            }
            Command::Wait { entities, ms } => {
                let until = Some(self.world.now + ms);
                let entities = entity_names(&entities);
                self.world.join_group(Taker {
                    by: by(&worker_name(9)),
                    entities,
                    max_in_flight: 1,
                    until,
                    holds_back: None,
                });
                Outcome::Done
            }
            Command::Block { author, ms } => {
                let who = Source::Author(sender(author).author);
                let blocked = self.rule(&[], |queue, at| queue.block(who, ms, String::new(), at));
                self.outcome(blocked, |_, _| Outcome::Done)
            }
            Command::Unblock(author) => {
                self.rule(&[], |queue, _| queue.unblock(Source::Author(sender(author).author)));
                Outcome::Done
            }
            Command::Pause(entity) => {
                let paused = self.rule(&[], |queue, at| queue.pause(&entity_name(entity), at.now));
                self.outcome(paused, |_, _| Outcome::Done)
            }
            Command::Resume(entity) => {
                self.rule(&[], |queue, _| queue.resume(&entity_name(entity)));
                Outcome::Done
            }
            Command::Part(n) => {
                let id = newest(n, self.world.takers() as usize).map_or(0, |at| at as u64 + 1);
                self.world.decide(&[], None, |queue, at| queue.part(id, at.now));
                Outcome::Done
            }
        }
    }

    fn rule<T>(&mut self, ids: &[Uuid], rule: impl FnOnce(&mut Queue, &mut At<'_>) -> T) -> T {
        let outcome = self.world.decide(ids, None, rule);
        self.learn();
        outcome
    }

    fn changed(
        &mut self,
        ids: &[Uuid],
        rule: impl FnOnce(&mut Queue, &mut At<'_>) -> Result<Record, Rejection>,
    ) -> Outcome {
        let record = self.rule(ids, rule);
        self.outcome(record, |this, record| {
            assert_eq!(this.world.record(record.content.id), &record, "what is answered is what is stored");
            Outcome::Changed(this.place(record.content.id))
        })
    }

    fn outcome<T>(&self, outcome: Result<T, Rejection>, ok: impl FnOnce(&Self, T) -> Outcome) -> Outcome {
        match outcome {
            Ok(value) => ok(self, value),
            Err(rejection) => Outcome::Refused(refusal(&rejection)),
        }
    }

    fn id(&self, n: usize) -> Option<Uuid> {
        newest(n, self.ids.len()).map(|at| self.ids[at])
    }

    fn place(&self, id: Uuid) -> usize {
        self.ids.iter().position(|known| *known == id).expect("the message was posted")
    }

    fn claim_of(&self, token: Token) -> usize {
        self.tokens.iter().position(|known| *known == token).expect("the claim was made")
    }

    fn lease(&self, hold: &Hold) -> LeaseRef {
        let guess = Proof::Lease(Token([0; 16]));
        let (id, proof) = match hold {
            Hold::Token(n) => match newest(*n, self.tokens.len()) {
                Some(claim) => (self.claimed_in(claim), Proof::Lease(self.tokens[claim])),
                None => (None, guess),
            },
            Hold::Worker(n, worker) => (self.id(*n), Proof::Worker(OwnName::of_nobody(worker_name(*worker)))),
            Hold::Guess(n) => (self.id(*n), guess),
        };
        LeaseRef { id: id.unwrap_or_default(), proof }
    }

    fn claimed_in(&self, claim: usize) -> Option<Uuid> {
        let claims = self.world.log.iter().filter(|change| change.kind == ChangeKind::Claimed);
        claims.map(|change| change.record.content.id).nth(claim)
    }

    /// Serves everything that waits, as a single patient worker would.
    pub(super) fn drain(&mut self) {
        self.world.begin(0);
        for id in 1..=self.world.takers() {
            self.world.decide(&[], None, |queue, at| queue.part(id, at.now));
        }
        for entity in [0, 1] {
            self.world.decide(&[], None, |queue, _| queue.resume(&entity_name(entity)));
        }
        self.world.join_group(stream("last", usize::MAX));
        for _ in 0..20 * self.ids.len() + 10 {
            let work = handed_out(self.world.end());
            let served = !work.is_empty();
            for (_, leased) in work {
                let lease = lease(&leased);
                let done = self.world.decide(&[lease.id], None, |q, at| q.complete(&lease, None, at));
                assert!(done.is_ok(), "work that was just handed out can be completed");
            }
            if !served {
                let Some(deadline) = self.world.queue.next_deadline() else { break };
                self.world.begin(deadline.saturating_sub(self.world.now).max(0));
            }
        }
        self.learn();
        let left: Vec<_> = self.world.store.values().filter(|record| is_live(record)).collect();
        assert!(left.is_empty(), "nothing starves, but these were never served: {left:?}");
    }

    /// What holds for every log: numbers without a gap, nothing finished or answered twice.
    pub(super) fn check_log(&self) {
        let (mut completed, mut answered) = (BTreeSet::new(), BTreeSet::new());
        for (number, change) in (1..).zip(&self.world.log) {
            let content = &change.record.content;
            assert_eq!(change.seq(), number, "numbers have no gap");
            if change.kind == ChangeKind::Completed {
                assert!(completed.insert(content.id), "a message is completed once");
            }
            if change.kind == ChangeKind::Posted && content.text == "reply" {
                assert!(answered.insert(content.reply_to), "a message is answered once");
            }
        }
    }
}
