//! Ways to find things in a history and a log.

use std::collections::HashMap;

use repartee_proto::v1::ChangeKind;

use crate::{
    history::{Answer, Call, History, Seen},
    log::Log,
    request::{Completion, Edit, Mark, Post, Request},
};

/// A history and the log beside it, with the ways to find things.
pub(super) struct Index<'a> {
    pub(super) history: &'a History,
    pub(super) log: &'a Log,
    by_message: HashMap<&'a str, Vec<&'a Seen>>,
    by_mark: HashMap<Mark, Vec<Asked<'a>>>,
    by_worker: HashMap<&'a str, Vec<&'a Call>>,
    by_token: HashMap<&'a str, Vec<(&'a Call, usize)>>,
    steps: HashMap<&'a str, Vec<&'a Call>>,
    tokens: HashMap<u64, &'a str>,
    posted_under: HashMap<Mark, &'a Seen>,
}

/// Who asked for what stands under a mark. A request that was repeated is there as often as it was sent.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) call: &'a Call,
    pub(super) item: usize,
    pub(super) wrote: Wrote<'a>,
}

/// What stands under a mark.
#[derive(Clone, Copy)]
pub(super) enum Wrote<'a> {
    Post(&'a Post),
    Edit(&'a Edit),
    Reply(&'a Completion),
}

impl<'a> Index<'a> {
    pub(super) fn of(history: &'a History, log: &'a Log) -> Self {
        let mut index = Self {
            history,
            log,
            by_message: HashMap::new(),
            by_mark: HashMap::new(),
            by_worker: HashMap::new(),
            by_token: HashMap::new(),
            steps: HashMap::new(),
            tokens: HashMap::new(),
            posted_under: HashMap::new(),
        };
        for change in &log.changes {
            index.by_message.entry(&change.message.id).or_default().push(change);
            if change.kind == ChangeKind::Posted {
                index.posted_under.entry(change.message.eq_score).or_insert(change);
            }
        }
        history.calls.iter().for_each(|call| index.add(call));
        index
    }

    fn add(&mut self, call: &'a Call) {
        match &call.request {
            Request::Post(items) => {
                for (item, post) in items.iter().enumerate() {
                    self.wrote(post.mark(), Asked { call, item, wrote: Wrote::Post(post) });
                }
            }
            Request::Edit(edit) => {
                self.wrote(edit.mark, Asked { call, item: 0, wrote: Wrote::Edit(edit) });
                self.steps.entry(&edit.id).or_default().push(call);
            }
            Request::Delete { id, .. } | Request::Retry(id) | Request::Cancel(id) => {
                self.steps.entry(id).or_default().push(call);
            }
            Request::Claim { worker, .. }
            | Request::ClaimNext { worker, .. }
            | Request::Stream { worker, .. } => {
                self.by_worker.entry(worker).or_default().push(call);
            }
            Request::Renew(lease) | Request::Release(lease) | Request::Fail { lease, .. } => {
                self.by_token.entry(&lease.token).or_default().push((call, 0));
            }
            Request::Complete(items) => {
                for (item, done) in items.iter().enumerate() {
                    self.by_token.entry(&done.lease.token).or_default().push((call, item));
                    if let Some((mark, _)) = &done.reply {
                        self.wrote(*mark, Asked { call, item, wrote: Wrote::Reply(done) });
                    }
                }
            }
            Request::Get(_) | Request::ListPending | Request::ListFailed => {}
            Request::GetConversation(_) | Request::Page { .. } => {}
        }
        if let Some(Answer::Work(Some(granted))) = call.answer()
            && let Some(claim) = self.claim_at(&granted.message.id, granted.message.seq)
        {
            self.tokens.entry(claim.seq).or_insert(&granted.token);
        }
    }

    fn wrote(&mut self, mark: Mark, asked: Asked<'a>) {
        self.by_mark.entry(mark).or_default().push(asked);
    }

    /// All messages of the log with their changes in order.
    pub(super) fn messages(&self) -> impl Iterator<Item = (&'a str, &[&'a Seen])> {
        self.by_message.iter().map(|(id, changes)| (*id, changes.as_slice()))
    }

    /// The changes of a message in order.
    pub(super) fn changes_of(&self, id: &str) -> &[&'a Seen] {
        self.by_message.get(id).map_or(&[], Vec::as_slice)
    }

    /// The changes that posted a message, in order.
    pub(super) fn posts(&self) -> impl Iterator<Item = &'a Seen> {
        self.log.changes.iter().filter(|change| change.kind == ChangeKind::Posted)
    }

    /// The changes of a domain in order; all of them where it is empty.
    pub(super) fn changes_in(&self, domain: &str) -> Vec<&'a Seen> {
        let is_there = |change: &&Seen| domain.is_empty() || change.message.domain == domain;
        self.log.changes.iter().filter(is_there).collect()
    }

    /// The number of a cursor of this log.
    pub(super) fn number_of(&self, cursor: &str) -> Option<u64> {
        let (epoch, seq) = cursor.rsplit_once('.')?;
        (epoch == self.log.epoch).then_some(seq.parse().ok()).flatten()
    }

    /// Who asked for what stands under a mark.
    pub(super) fn asked(&self, mark: Mark) -> &[Asked<'a>] {
        self.by_mark.get(&mark).map_or(&[], Vec::as_slice)
    }

    /// The change that posted the message with a mark.
    pub(super) fn posted_under(&self, mark: Mark) -> Option<&'a Seen> {
        self.posted_under.get(&mark).copied()
    }

    /// The claims and streams of a worker.
    pub(super) fn claims_by(&self, worker: &str) -> &[&'a Call] {
        self.by_worker.get(worker).map_or(&[], Vec::as_slice)
    }

    /// The steps that name a claim by its token, each with its place in the request.
    pub(super) fn steps_under(&self, token: &str) -> &[(&'a Call, usize)] {
        self.by_token.get(token).map_or(&[], Vec::as_slice)
    }

    /// The steps of authors and operators that name a message.
    pub(super) fn steps_on(&self, id: &str) -> &[&'a Call] {
        self.steps.get(id).map_or(&[], Vec::as_slice)
    }

    /// The last claim of a message up to this change.
    pub(super) fn claim_at(&self, id: &str, seq: u64) -> Option<&'a Seen> {
        let claims = self.changes_of(id).iter().filter(|change| change.kind == ChangeKind::Claimed);
        claims.copied().rfind(|claim| claim.seq <= seq)
    }

    /// The token of a claim, where a worker was told of it.
    pub(super) fn token_of(&self, claim: &Seen) -> Option<&'a str> {
        self.tokens.get(&claim.seq).copied()
    }

    /// The text under a mark; nothing where the request left the text as it was.
    pub(super) fn text_under(&self, mark: Mark) -> Option<&'a str> {
        match self.asked(mark).first()?.wrote {
            Wrote::Post(post) => Some(&post.message.text),
            Wrote::Edit(edit) => edit.text.as_deref(),
            Wrote::Reply(done) => done.reply.as_ref().map(|(_, text)| text.as_str()),
        }
    }

    /// All beginnings and ends of calls in the order in which they happened.
    pub(super) fn timeline(&self) -> Vec<(u64, Side, &'a Call)> {
        let sides =
            |call: &'a Call| [(call.begun.tick, Side::Begins, call), (call.ended.tick, Side::Ends, call)];
        let mut timeline: Vec<_> = self.history.calls.iter().flat_map(sides).collect();
        timeline.sort_by_key(|(tick, side, _)| (*tick, *side));
        timeline
    }
}

/// The beginning or the end of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Begins,
    Ends,
}
