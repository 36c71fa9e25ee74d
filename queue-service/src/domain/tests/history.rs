//! Random histories: what people, bots and operators did, in commits. Whatever a rule refuses does not happen.

use proptest::prelude::*;
use uuid::Uuid;

use super::world::{World, by, failure, held, question, remark};
use crate::domain::{
    At, Author, Change, Editor, Failure, Ids, LeaseRef, Millis, NewMessage, Queue, QueueRules, Record, Reply,
    Token, Update,
};

/// Something that somebody did. Messages are numbered from the newest on, in circles.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Say { site: u8, human: u8 },
    Ask { site: u8, human: u8 },
    Answer(usize),
    Claim(usize),
    Complete(usize),
    Fail { message: usize, retryable: bool },
    Edit { message: usize, length: usize },
    Delete(usize),
    Cancel(usize),
    Retry(usize),
    Hide(usize),
    Unhide(usize),
}

/// Commits: how much later than the one before, and what was done.
pub(crate) type Commits = Vec<(Millis, Vec<Act>)>;

/// Histories of up to this many commits.
pub(crate) fn history(commits: usize) -> impl Strategy<Value = Commits> {
    let later = prop_oneof![2 => Just(0i64), 3 => 1..5_000i64, 1 => 10_000..30_000i64];
    prop::collection::vec((later, prop::collection::vec(act(), 0..5)), 1..commits)
}

fn act() -> impl Strategy<Value = Act> {
    let pick = || prop_oneof![3 => 0..4usize, 1 => 0..50usize];
    prop_oneof![
        3 => (0..3u8, 0..3u8).prop_map(|(site, human)| Act::Say { site, human }),
        5 => (0..3u8, 0..3u8).prop_map(|(site, human)| Act::Ask { site, human }),
        1 => pick().prop_map(Act::Answer),
        4 => pick().prop_map(Act::Claim),
        4 => pick().prop_map(Act::Complete),
        2 => (pick(), any::<bool>()).prop_map(|(message, retryable)| Act::Fail { message, retryable }),
        1 => (pick(), 1..200usize).prop_map(|(message, length)| Act::Edit { message, length }),
        1 => pick().prop_map(Act::Delete),
        1 => pick().prop_map(Act::Cancel),
        1 => pick().prop_map(Act::Retry),
        1 => pick().prop_map(Act::Hide),
        1 => pick().prop_map(Act::Unhide),
    ]
}

/// A world and what each of its commits changed.
pub(crate) struct Lived {
    pub(crate) world: World,
    pub(crate) commits: Vec<Vec<Change>>,
}

impl Lived {
    pub(crate) fn new(ids: Ids) -> Self {
        let rules = QueueRules { max_pending_per_entity: 100_000, ..QueueRules::default() };
        Self { world: World::with_ids(rules, ids), commits: Vec::new() }
    }

    /// Lives through one more commit, and returns what it changed.
    pub(crate) fn live(&mut self, later: Millis, acts: &[Act]) -> &[Change] {
        let before = self.world.log.len();
        self.world.begin(later);
        for act in acts {
            self.act(act);
        }
        assert_eq!(self.world.end(), [], "nobody takes work in a history");
        self.commits.push(self.world.log[before..].to_vec());
        self.commits.last().map_or(&[], |commit| commit)
    }

    /// All messages in the order of their posts, as they are now.
    pub(crate) fn messages(&self) -> Vec<&Record> {
        let mut messages: Vec<_> = self.world.store.values().collect();
        messages.sort_by_key(|record| record.content.posted);
        messages
    }

    /// All changes in their order, with what their messages say now: as readers are to see them.
    pub(crate) fn changes(&self) -> Vec<Change> {
        self.world.log.iter().map(|change| self.as_read_now(change)).collect()
    }

    /// A change, with what its message says now.
    pub(crate) fn as_read_now(&self, change: &Change) -> Change {
        let now = self.world.record(change.record.content.id);
        let mut change = Change { request: None, ..change.clone() };
        change.record.content = now.content.clone();
        change.record.state.hidden |= now.state.hidden;
        if now.state.deleted && !change.record.state.deleted {
            change.record.state.deleted = true;
            if let Some(work) = &mut change.record.state.work {
                work.errors.clear();
            }
        }
        change
    }

    fn act(&mut self, act: &Act) {
        match act.clone() {
            Act::Say { site, human } => self.post(site, remark(&format!("human{human}"))),
            Act::Ask { site, human } => self.post(site, question(&format!("human{human}"), "bot")),
            Act::Answer(n) => {
                let reply_to = self.nth(n).map(|to| to.content.id);
                self.post(0, NewMessage { author: Author::Ai, reply_to, ..remark("bot") });
            }
            Act::Claim(n) => self.rule(n, |queue, id, at| drop(queue.claim(id, &by("worker"), at))),
            Act::Complete(n) => {
                let (lease, reply) =
                    (self.lease(n), Reply { text: "A reply.".to_owned(), eq_score: 1, origin: None });
                self.rule(n, |queue, _, at| drop(queue.complete(&lease, Some(reply), at)));
            }
            Act::Fail { message, retryable } => {
                let (lease, failure) =
                    (self.lease(message), Failure { retryable, ..failure("it quotes you") });
                self.rule(message, |queue, _, at| drop(queue.fail(&lease, failure, at)));
            }
            Act::Edit { message, length } => {
                let update =
                    Update { text: Some("x".repeat(length)), eq_score: Some(7), ..Update::default() };
                self.rule(message, |queue, id, at| drop(queue.update(id, update, Editor::Operator, at)));
            }
            Act::Delete(n) => self.rule(n, |queue, id, _| drop(queue.delete(id))),
            Act::Cancel(n) => self.rule(n, |queue, id, _| drop(queue.cancel(id))),
            Act::Retry(n) => self.rule(n, |queue, id, at| drop(queue.retry(id, at.now))),
            Act::Hide(n) => self.rule(n, |queue, id, _| drop(queue.hide(id))),
            Act::Unhide(n) => self.rule(n, |queue, id, _| drop(queue.unhide(id))),
        }
    }

    fn nth(&self, n: usize) -> Option<&Record> {
        let messages = self.messages();
        let at = messages.len().checked_sub(1)? - n % messages.len();
        messages.get(at).copied()
    }

    /// The lease of the message's last claim; of nobody where it has none.
    fn lease(&self, n: usize) -> LeaseRef {
        let record = self.nth(n);
        let claim = record.and_then(|record| record.state.work.as_ref()?.claim.as_ref());
        held(record.map_or(Uuid::nil(), |r| r.content.id), claim.map_or(Token([0; 16]), |claim| claim.token))
    }

    fn post(&mut self, site: u8, new: NewMessage) {
        let new = NewMessage { domain: format!("site{site}"), ..new };
        let ids = Vec::from_iter(new.reply_to);
        drop(self.world.decide(&ids, None, |queue, at| queue.post(new, None, at)));
    }

    fn rule(&mut self, n: usize, rule: impl FnOnce(&mut Queue, Uuid, &mut At<'_>)) {
        let id = self.nth(n).map_or(Uuid::nil(), |record| record.content.id);
        self.world.decide(&[id], None, |queue, at| rule(queue, id, at));
    }
}
