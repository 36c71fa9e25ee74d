//! Taking away the beginning of the log: which rows go with the oldest commits, and where the log begins afterwards.
//!
//! A message goes with the commit of its last change, so no change that is kept names a message that is gone; until then it
//! stays, however old its post is: what the commits that go hold of it is kept, written again by the commit that sweeps. So
//! nothing that stands needs what was swept, and a part of the log that is swept as a whole is dropped. A run of a
//! conversation may name messages that are gone for a while. Who decides how much goes, and when, is the writer.

use std::collections::{BTreeMap, BTreeSet};

use repartee_log::Place;

use super::{
    JournalError, Store, Tally,
    commits::LogCommit,
    keys::{DomainHash, Key, List},
    read::{Forward, Reader},
    stored::{Pointer, StoredBeginning, StoredChange, StoredGone, StoredRow, StoredSweep, decode},
};
use crate::domain::{Change, ChangeKind, ConversationId, Millis, Record};

/// Bytes of texts that one sweep keeps: they are written again with the commit that sweeps.
const KEPT_BYTES: usize = 1 << 20;

/// Where the log begins: all commits up to here are swept. Zeros while it is whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Number of the last swept change.
    pub seq: u64,
    /// Time stamp of the last swept commit: every message that was posted by a commit that is kept has a greater one.
    pub stamp: Millis,
    /// Where the first commit stands that was not swept.
    pub(crate) place: Place,
}

/// What may be swept.
pub struct Sweepable<'a> {
    /// Only commits that end with this change or before it.
    pub to: u64,
    /// Only commits that were made before this time, Unix milliseconds.
    pub before: Millis,
    /// The wall clock. A commit that was made later by it is as old as one after it that was not: the clock was ahead when
    /// it was made, but numbers rise with the true time.
    pub now: Millis,
    /// And, however young they are, until so many bytes are freed.
    pub free: u64,
    /// Whole commits until there are so many changes.
    pub changes: usize,
    /// Whether the message that was posted under a number stays, whatever the log says: it is live, or about to change.
    pub stays: &'a dyn Fn(u64) -> bool,
}

/// A commit at the beginning of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oldest {
    /// Number of its last change.
    pub last: u64,
    /// When it was made.
    pub at: Millis,
}

/// The oldest commits with all that goes with them, to be taken away by the next commit.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Where the log begins afterwards.
    pub begins: Beginning,
    /// How many changes go.
    pub changes: usize,
    /// How many messages go.
    pub messages: u64,
    /// How many bytes of the log go.
    pub freed: u64,
    /// How many bytes of what goes are kept, and written again, about.
    pub kept_bytes: u64,
    /// What it costs: changes, commits without any, and what is kept of both, each counts one.
    pub cost: usize,
    /// What is stored of it, but for what is kept.
    pub(super) stored: StoredSweep,
    /// What is kept of messages that stay.
    pub(super) kept: Vec<KeptMessage>,
    /// Rows of the index that are named by commits that go, and stand.
    pub(super) rows: Vec<StoredRow>,
}

/// What is kept of a message.
#[derive(Debug, Clone)]
pub(super) struct KeptMessage {
    pub(super) record: Record,
    /// Whether the content stood in a commit that goes.
    pub(super) content: bool,
    /// Whether the state did.
    pub(super) state: bool,
}

/// What a look at the beginning of the log has found.
#[derive(Debug, Default)]
pub struct Swept {
    /// What may go; absent where nothing may.
    pub sweep: Option<Sweep>,
    /// The oldest commit that stays; absent in an empty log.
    pub oldest: Option<Oldest>,
}

impl Sweep {
    fn nothing(begins: Beginning) -> Self {
        Self {
            begins,
            changes: 0,
            messages: 0,
            freed: 0,
            kept_bytes: 0,
            cost: 0,
            stored: StoredSweep::default(),
            kept: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Leaves conversations their owners in which something is posted with the commit that sweeps.
    pub fn spare_owners(&mut self, changes: &[Change]) {
        let posted = changes.iter().filter(|change| change.kind == ChangeKind::Posted);
        let spared: BTreeSet<_> = posted.filter_map(|change| change.record.content.conversation).collect();
        let ownerless = self.ownerless().filter(|conversation| !spared.contains(conversation));
        self.stored.ownerless = ownerless.flat_map(|conversation| conversation.0).collect();
    }

    /// The conversations that belong to nobody afterwards.
    pub fn ownerless(&self) -> impl Iterator<Item = ConversationId> {
        self.stored.ownerless()
    }
}

impl Store {
    /// Finds what may be swept now. The newest change stays in any case, and what is behind it.
    ///
    /// # Errors
    /// If the log or the index cannot be read.
    pub fn sweep(&self, may: &Sweepable<'_>, tally: &Tally) -> Result<Swept, JournalError> {
        let begins = self.begins();
        let newest = self.0.log.end().last;
        let mut broom = Broom::new(self, may, tally);
        // A commit with a time that can be, and that time.
        let mut witness = (0, may.now);
        let from = begins.place.max(self.0.log.begin().place);
        for commit in Forward::from(self, from, tally) {
            let commit = commit?;
            let (last, time) = (commit.last(), commit.time());
            if time > may.now && last > witness.0 {
                witness = self.witness(last, may.now, tally)?;
            }
            let at = if time > may.now { witness.1 } else { time };
            let oldest = Oldest { last, at };
            let goes = oldest.at < may.before || broom.sweep.freed < may.free;
            let old = oldest.last <= may.to && oldest.last < newest && goes;
            if !old || broom.is_full(may.changes) {
                return Ok(Swept { sweep: broom.finish()?, oldest: Some(oldest) });
            }
            broom.take(&commit)?;
        }
        Ok(Swept { sweep: broom.finish()?, oldest: None })
    }

    /// A commit after change `seq` that was made by `now`, and when: what is before it is at least as old. Where there is
    /// none, how old that is cannot be told, and it counts as new. Looked for in steps that double.
    fn witness(&self, seq: u64, now: Millis, tally: &Tally) -> Result<(u64, Millis), JournalError> {
        let (mut from, mut step, mut reader) = (seq, 1, Reader::new(self, tally));
        while let Some(commit) = reader.commit_of(from.saturating_add(1))? {
            if commit.time() <= now {
                return Ok((commit.last(), commit.time()));
            }
            (from, step) = (from.saturating_add(step), u64::saturating_mul(step, 2));
        }
        let newest = self.last_commit(tally)?;
        Ok((newest.seq, newest.time.min(now)))
    }
}

/// Gathers what goes.
struct Broom<'a> {
    store: &'a Store,
    tally: &'a Tally,
    reader: Reader<'a>,
    stays: &'a dyn Fn(u64) -> bool,
    sweep: Sweep,
    gone: BTreeSet<u64>,
    domains: BTreeSet<DomainHash>,
    /// The messages that were posted by commits that go.
    posts: Vec<StoredGone>,
    /// What is kept of each message, with where it stands.
    kept: BTreeMap<u64, KeptMessage>,
    kept_bytes: usize,
    /// Changes, and commits without any.
    cost: usize,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Where content and state of a message stand.
struct Stands {
    content: Option<Pointer>,
    /// Its row, if it has one.
    finished: Option<Pointer>,
    live: Option<Pointer>,
}

impl<'a> Broom<'a> {
    fn new(store: &'a Store, may: &Sweepable<'a>, tally: &'a Tally) -> Self {
        Self {
            store,
            tally,
            reader: Reader::new(store, tally),
            stays: may.stays,
            sweep: Sweep::nothing(store.begins()),
            gone: BTreeSet::new(),
            domains: BTreeSet::new(),
            posts: Vec::new(),
            kept: BTreeMap::new(),
            kept_bytes: 0,
            cost: 0,
            rows: BTreeMap::new(),
        }
    }

    /// Whether so many changes went already, or so much is kept, that the rest has to wait.
    fn is_full(&self, changes: usize) -> bool {
        self.cost + self.kept.len() + self.rows.len() >= changes || self.kept_bytes >= KEPT_BYTES
    }

    fn take(&mut self, commit: &std::sync::Arc<LogCommit>) -> Result<(), JournalError> {
        let record = commit.record();
        self.reader.note(commit);
        self.sweep.freed += record.next.to_u64().saturating_sub(record.place.to_u64());
        self.sweep.begins = Beginning { seq: commit.last(), stamp: commit.stamp(), place: record.next };
        self.sweep.changes += commit.head.changes.len();
        self.cost += commit.head.changes.len().max(1);
        if !commit.head.changes.is_empty() {
            let hash = |change: &StoredChange| {
                commit.head.domains.get(change.domain as usize).map(|name| DomainHash::of(name))
            };
            self.domains.extend(commit.head.changes.iter().filter_map(hash));
        }
        for (pointer, entry) in commit.entries() {
            self.take_entry(commit, pointer, entry)?;
        }
        for row in commit.head.rows.iter().filter(|row| row.value.is_some()) {
            if let Some(value) = self.store.0.index.get_bytes(&row.key, self.tally)? {
                self.kept_bytes += row.key.len() + value.len();
                self.rows.insert(row.key.clone(), value.to_vec());
            }
        }
        Ok(())
    }

    /// A message goes with its last change. Of one that stays is kept what stands here.
    fn take_entry(
        &mut self,
        commit: &LogCommit,
        at: Pointer,
        entry: &StoredChange,
    ) -> Result<(), JournalError> {
        let posted = entry.posted;
        // What is kept of it stands behind its last change if its post was swept after that was made.
        if self.gone.contains(&posted) {
            return Ok(());
        }
        let domain = commit.head.domains.get(entry.domain as usize);
        let domain = DomainHash::of(domain.ok_or(super::FormatError::Field("domain"))?).0.to_vec();
        let conversation = entry.said_in()?.map(|conversation| conversation.0.to_vec());
        if entry.is_post() {
            self.posts.push(StoredGone { posted, domain: domain.clone(), conversation, rows: Vec::new() });
        }
        let stands = self.stands(posted)?;
        let content = match stands.content {
            Some(content) => content == at,
            None => entry.is_post(),
        };
        let state = stands.finished == Some(at) || stands.live == Some(at);
        let is_last = if entry.is_of_work() { state } else { content };
        if is_last && !entry.leaves_work() && !(self.stays)(posted) {
            return self.goes(posted, domain, &stands, entry);
        }
        if content || state {
            self.keep(commit, at, content, state)?;
        }
        Ok(())
    }

    fn stands(&self, posted: u64) -> Result<Stands, JournalError> {
        let find = |key| -> Result<Option<Pointer>, JournalError> {
            let row = self.store.0.index.get(key, self.tally)?;
            Ok(row.map(|row| decode(&row)).transpose()?)
        };
        let finished = find(Key::Finished(posted))?;
        let live = if finished.is_none() { find(Key::Live(posted))? } else { None };
        Ok(Stands { content: find(Key::Content(posted))?, finished, live })
    }

    fn goes(
        &mut self,
        posted: u64,
        domain: Vec<u8>,
        stands: &Stands,
        last: &StoredChange,
    ) -> Result<(), JournalError> {
        let conversation = match self.reader.said(posted)? {
            Some((content, _)) => content.conversation.map(|conversation| conversation.0.to_vec()),
            None => None,
        };
        let rows = [
            (b'm', stands.content.is_some()),
            (b's', stands.finished.is_some()),
            (b'f', last.is_failed()),
            (b'h', last.is_hidden()),
            (b'q', last.is_of_work() && self.store.0.index.has(Key::Errors(posted), self.tally)?),
        ];
        let rows = rows.into_iter().filter_map(|(row, there)| there.then_some(row)).collect();
        self.kept.remove(&posted);
        self.gone.insert(posted);
        self.sweep.messages += 1;
        self.sweep.stored.gone.push(StoredGone { posted, domain, conversation, rows });
        Ok(())
    }

    fn keep(
        &mut self,
        commit: &LogCommit,
        at: Pointer,
        content: bool,
        state: bool,
    ) -> Result<(), JournalError> {
        let entry = commit.entry(at.entry)?;
        let Some((said, _)) = self.reader.said(entry.posted)? else { return Ok(()) };
        self.kept_bytes += if content { said.text.len() } else { 0 };
        let present = commit.state(at.entry)?;
        let kept = self.kept.entry(entry.posted).or_insert_with(|| {
            let record = Record { content: said, state: present.clone() };
            KeptMessage { record, content: false, state: false }
        });
        kept.content |= content;
        if state {
            (kept.state, kept.record.state) = (true, present);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Option<Sweep>, JournalError> {
        if self.sweep.freed == 0 {
            return Ok(None);
        }
        self.sweep.stored.begins = StoredBeginning::of(self.sweep.begins);
        self.sweep.stored.domains = self.domains.iter().flat_map(|domain| domain.0).collect();
        self.sweep.stored.gone.sort_by_key(|gone| gone.posted);
        let mut conversations: BTreeMap<ConversationId, Vec<u64>> = BTreeMap::new();
        for gone in &self.sweep.stored.gone {
            if let Some(conversation) = gone.said_in()? {
                conversations.entry(conversation).or_default().push(gone.posted);
            }
        }
        for (conversation, gone) in conversations {
            if !self.is_anything_left(conversation, &gone)? {
                self.sweep.stored.ownerless.extend(conversation.0);
            }
        }
        let Self { mut sweep, gone, posts, kept, kept_bytes, cost, rows, .. } = self;
        sweep.kept_bytes = kept_bytes as u64;
        sweep.cost = cost + kept.len() + rows.len();
        sweep.stored.stay = posts.into_iter().filter(|post| !gone.contains(&post.posted)).collect();
        sweep.kept = kept.into_values().collect();
        for kept in &mut sweep.kept {
            // Its errors stand with the state, and only there.
            if !kept.state
                && let Some(work) = &mut kept.record.state.work
            {
                work.errors.clear();
            }
        }
        sweep.rows = rows.into_iter().map(|(key, value)| StoredRow { key, value: Some(value) }).collect();
        Ok(Some(sweep))
    }

    /// Whether a conversation has messages beside these, which go.
    fn is_anything_left(&mut self, conversation: ConversationId, gone: &[u64]) -> Result<bool, JournalError> {
        let begins = self.store.begins().seq;
        for posted in
            self.store.0.index.numbers_before(List::Conversation(conversation), u64::MAX, self.tally)
        {
            let posted = posted?;
            // A run may name messages that went before.
            let is_there = posted > begins || self.store.0.index.has(Key::Content(posted), self.tally)?;
            if is_there && gone.binary_search(&posted).is_err() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
