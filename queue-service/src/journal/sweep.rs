//! Taking away the beginning of the log: which rows go with the oldest commits, and where the log begins afterwards.
//!
//! A commit's own rows go with it. A message goes with the commit of its last change, so no change that is kept names a
//! message that is gone; until then it stays, however old its post is, and an index by domain keeps it in the lists. A run of a conversation may name some for a while.
//! Who decides how much goes, and when, is the writer.

use std::collections::BTreeMap;

use super::{
    JournalError, SledStore, Tally,
    data_size::of_row,
    keys::{DomainHash, Key},
    stored::{StoredBeginning, StoredChange, StoredCommit, StoredRun, decode, encode},
};
use crate::domain::{Change, ChangeKind, ConversationId, Millis, Record, Status};

/// Where the log begins: all commits up to here are swept. Zeros while it is whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beginning {
    /// Number of the last swept change.
    pub seq: u64,
    /// Time stamp of the last swept commit: every message that was posted by a commit that is kept has a greater one.
    pub stamp: Millis,
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
    /// How many bytes that are counted go.
    pub freed: u64,
    /// Rows to write (`Some`) or remove (`None`).
    pub(super) rows: BTreeMap<Key, Option<Vec<u8>>>,
    /// The messages that go and belong to a conversation.
    pub(super) gone: Vec<(ConversationId, u64)>,
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
    /// Leaves conversations their owners in which something is posted with the commit that sweeps.
    pub fn spare_owners(&mut self, changes: &[Change]) {
        let posted = changes.iter().filter(|change| change.kind == ChangeKind::Posted);
        for conversation in posted.filter_map(|change| change.record.content.conversation) {
            self.rows.remove(&Key::Owner(conversation));
        }
    }

    /// The conversations that belong to nobody afterwards.
    pub fn ownerless(&self) -> impl Iterator<Item = ConversationId> {
        self.rows.keys().filter_map(|key| match key {
            Key::Owner(conversation) => Some(*conversation),
            _ => None,
        })
    }
}

impl SledStore {
    /// Where the log begins. What a reader finds gone was before it.
    pub fn begins(&self) -> Beginning {
        *self.begins.read()
    }

    /// Finds what may be swept now. The newest commit stays in any case: it says where the log ends.
    pub fn sweep(&self, may: &Sweepable<'_>, tally: &Tally) -> Result<Swept, JournalError> {
        let begins = self.begins();
        let mut broom = Broom {
            store: self,
            tally,
            stays: may.stays,
            sweep: Sweep::nothing(begins),
            posts: Vec::new(),
            said: Vec::new(),
        };
        let mut commits = self.commits(begins.seq, None, tally).peekable();
        // A commit with a time that can be, and that time.
        let mut witness = (0, may.now);
        while let Some(commit) = commits.next() {
            let commit = commit?;
            let last = commit.changes.last().map_or(0, StoredChange::seq);
            if commit.time() > may.now && last > witness.0 {
                witness = self.witness(last, may.now, tally)?;
            }
            let at = if commit.time() > may.now { witness.1 } else { commit.time() };
            let oldest = Oldest { last, at };
            let goes = oldest.at < may.before || broom.sweep.freed < may.free;
            let old = oldest.last <= may.to && goes;
            if !old || broom.sweep.changes >= may.changes || commits.peek().is_none() {
                return Ok(Swept { sweep: broom.finish()?, oldest: Some(oldest) });
            }
            broom.take(&commit, oldest.last)?;
        }
        Ok(Swept::default())
    }

    /// A commit after change `seq` that was made by `now`, and when: what is before it is at least as old. Where there is
    /// none, how old that is cannot be told, and it counts as new. Looked for in steps that double.
    fn witness(&self, seq: u64, now: Millis, tally: &Tally) -> Result<(u64, Millis), JournalError> {
        let (mut from, mut step) = (seq, 1);
        while let Some(commit) = self.commits(from, None, tally).next().transpose()? {
            if commit.time() <= now {
                return Ok((commit.changes.last().map_or(seq, StoredChange::seq), commit.time()));
            }
            (from, step) = (from.saturating_add(step), step.saturating_mul(2));
        }
        let newest = self.last_commit(tally)?;
        Ok((newest.seq, newest.time.min(now)))
    }

    pub(super) fn read_beginning(&self, tally: &Tally) -> Result<(), JournalError> {
        if let Some(row) = self.get(Key::Begins, tally)? {
            let StoredBeginning { seq, stamp, .. } = decode(&row)?;
            *self.begins.write() = Beginning { seq, stamp };
        }
        Ok(())
    }
}

impl Sweep {
    fn nothing(begins: Beginning) -> Self {
        Self { begins, changes: 0, messages: 0, freed: 0, rows: BTreeMap::new(), gone: Vec::new() }
    }
}

/// Gathers what goes.
struct Broom<'a> {
    store: &'a SledStore,
    tally: &'a Tally,
    stays: &'a dyn Fn(u64) -> bool,
    sweep: Sweep,
    /// The messages of conversations that were posted in these commits.
    posts: Vec<(ConversationId, u64)>,
    /// All messages that were, with their domains.
    said: Vec<(DomainHash, u64)>,
}

impl Broom<'_> {
    fn take(&mut self, commit: &StoredCommit, last: u64) -> Result<(), JournalError> {
        self.remove(Key::Commit(last), encode(commit).len());
        for domain in &commit.domains {
            self.remove(Key::Domain(DomainHash::of(domain), last), 0);
        }
        self.sweep.begins = Beginning { seq: last, stamp: commit.stamp };
        self.sweep.changes += commit.changes.len();
        for change in &commit.changes {
            self.posts.extend(change.posted_in()?.map(|conversation| (conversation, change.posted)));
            if change.is_post()
                && let Some(domain) = commit.domains.get(change.domain as usize)
            {
                self.said.push((DomainHash::of(domain), change.posted));
            }
            if let Some((message, bytes)) = self.finished_by(change)? {
                self.take_message(&message, bytes);
            }
        }
        Ok(())
    }

    /// Takes away a row that is counted.
    fn remove(&mut self, key: Key, value: usize) {
        self.sweep.freed += of_row(key, value);
        self.sweep.rows.insert(key, None);
    }

    /// The message of which this is the last change, if it is not live, and the bytes of its rows.
    fn finished_by(&self, change: &StoredChange) -> Result<Option<(Record, u64)>, JournalError> {
        if change.leaves_work() || (self.stays)(change.posted) {
            return Ok(None);
        }
        let message = self.store.message_and_size(change.posted, self.tally)?;
        Ok(message.filter(|(message, _)| message.state.seq == change.seq()))
    }

    fn take_message(&mut self, message: &Record, bytes: u64) {
        let posted = message.content.posted;
        self.sweep.messages += 1;
        self.sweep.freed += bytes;
        self.sweep.rows.insert(Key::Message(posted), None);
        if posted <= self.store.begins().seq {
            self.sweep.rows.insert(Key::Kept(DomainHash::of(&message.content.domain), posted), None);
        }
        if message.state.hidden {
            self.sweep.rows.insert(Key::Hidden(posted), None);
        }
        if let Some(work) = &message.state.work {
            self.sweep.rows.insert(Key::Finished(posted), None);
            if work.status == Status::Failed {
                self.sweep.rows.insert(Key::Failed(posted), None);
            }
        }
        self.sweep.gone.extend(message.content.conversation.map(|conversation| (conversation, posted)));
    }

    fn finish(mut self) -> Result<Option<Sweep>, JournalError> {
        if self.sweep.changes == 0 {
            return Ok(None);
        }
        self.sweep.gone.sort_unstable();
        self.keep_survivors();
        self.index_survivors();
        let gone = std::mem::take(&mut self.sweep.gone);
        for of_one in gone.chunk_by(|(one, _), (other, _)| one == other) {
            self.shorten_runs(of_one)?;
            self.forget_owner(of_one)?;
        }
        self.sweep.gone = gone;
        Ok(Some(self.sweep))
    }

    /// A message that stays gets a run of its own where the runs may be written anew: after a restart its commit, from
    /// which it would be gathered, is gone.
    fn keep_survivors(&mut self) {
        let gathered = self.store.gathered.read();
        for (conversation, posted) in self.posts.drain(..) {
            let stays = self.sweep.gone.binary_search(&(conversation, posted)).is_err();
            if stays && gathered.may_gather_again(posted) {
                let run = encode(&StoredRun { posted: vec![posted] });
                self.sweep.rows.insert(Key::Run(conversation, posted), Some(run));
            }
        }
    }

    /// A message that stays, though the commit that posted it goes, is found by its domain from now on.
    fn index_survivors(&mut self) {
        for (domain, posted) in self.said.drain(..) {
            if !self.sweep.rows.contains_key(&Key::Message(posted)) {
                self.sweep.rows.insert(Key::Kept(domain, posted), Some(Vec::new()));
            }
        }
    }

    /// A conversation of which nothing is left belongs to nobody.
    fn forget_owner(&mut self, gone: &[(ConversationId, u64)]) -> Result<(), JournalError> {
        let Some((conversation, _)) = gone.first() else { return Ok(()) };
        for posted in self.store.conversation(*conversation, u64::MAX, self.tally) {
            let posted = posted?;
            let stays = gone.binary_search(&(*conversation, posted)).is_err();
            // A run may name messages that went before.
            if stays && self.store.message(posted, self.tally)?.is_some() {
                return Ok(());
            }
        }
        self.sweep.rows.insert(Key::Owner(*conversation), None);
        Ok(())
    }

    /// Runs whose last message goes end with the last one that stays, or go. A run keeps numbers of messages that are
    /// gone, which readers pass over, until it ends with one: so each is looked at once.
    fn shorten_runs(&mut self, gone: &[(ConversationId, u64)]) -> Result<(), JournalError> {
        let (Some(first), Some(last)) = (gone.first(), gone.last()) else { return Ok(()) };
        for run in self.store.runs(first.0, first.1..=last.1, self.tally) {
            let (key, mut posted) = run?;
            let before = posted.len();
            while let Some(end) = posted.last() {
                let goes = gone.binary_search(&(first.0, *end)).is_ok();
                if !goes && self.store.get(Key::Message(*end), self.tally)?.is_some() {
                    break;
                }
                posted.pop();
            }
            if posted.len() == before {
                continue;
            }
            self.sweep.rows.insert(key, None);
            if let Some(end) = posted.last() {
                self.sweep.rows.insert(Key::Run(first.0, *end), Some(encode(&StoredRun { posted })));
            }
        }
        Ok(())
    }
}
