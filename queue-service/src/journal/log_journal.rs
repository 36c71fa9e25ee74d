//! The embedded journal: commits are records of the log, and what follows from them is in the index at once.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Instant,
};

use metrics::Histogram;
use repartee_log::{AppendError, Draft, Kind, LogWriter};

use super::{
    Commit, Journal, JournalError, Store, Sweep, Tally,
    fold::{At, Folded, Seen, fold},
    index::Checkpoint,
    keys::{EntityHash, Key},
    settling,
    stored::{
        StoredAct, StoredBlock, StoredCommit, StoredErrors, StoredMessage, StoredOwner, StoredPause,
        StoredRequest, StoredRow, encode, errors,
    },
};
use crate::domain::{Change, ChangeKind, Millis, Record};

/// How often the part of the log that is written to ends, so that it can be dropped when it is old, or too much is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    /// After this time; by itself only if absent.
    pub every_ms: Option<Millis>,
    /// After so many bytes.
    pub bytes: Option<u64>,
}

/// The journal. Dropping it writes what the index does not have yet.
pub struct LogJournal {
    writer: Box<dyn LogWriter>,
    store: Store,
    draft: Draft,
    parts: Parts,
    /// When the present part of the log began, in service time, and how much of it is written.
    part: Option<(Millis, u64)>,
    /// Writes the index; `None` in a journal that is only looked at.
    settling: Option<JoinHandle<()>>,
    sync_seconds: Histogram,
}

impl LogJournal {
    /// A journal on an open log whose index is folded.
    pub(super) fn start(writer: Box<dyn LogWriter>, store: Store) -> std::io::Result<Self> {
        let settling = settling::start(&store)?;
        Ok(Self {
            writer,
            store,
            draft: Draft::default(),
            parts: Parts::default(),
            part: None,
            settling: Some(settling),
            sync_seconds: metrics::histogram!("repartee_commit_sync_seconds"),
        })
    }

    /// What readers read.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Sets how often a part of the log ends.
    pub fn set_parts(&mut self, parts: Parts) {
        self.parts = parts;
        // How old the present part is, is not known: with a limit it ends here, or restarts would keep it for good.
        if parts != Parts::default() {
            self.writer.seal();
        }
    }

    /// The commit as it is stored; its bodies are in the draft.
    fn encode(&mut self, commit: &Commit, stamp: Millis) -> Result<StoredCommit, JournalError> {
        let mut head = StoredCommit::new(stamp, commit.at, commit.service_time);
        self.draft.clear();
        (self.draft.kind, self.draft.stamp) = (Kind::Commit, stamp);
        self.draft.numbers =
            u32::try_from(commit.changes.len()).map_err(|_| super::FormatError::Field("changes"))?;
        for change in &commit.changes {
            head.push(change);
            if head.changes.last().is_some_and(super::stored::StoredChange::has_content) {
                add_content(&mut self.draft, &change.record);
            }
            add_errors(&mut self.draft, &change.record);
        }
        if let Some(sweep) = &commit.sweep {
            let mut stored = sweep.stored.clone();
            let brings = |change: &&Change| {
                matches!(
                    change.kind,
                    ChangeKind::Edited | ChangeKind::Deleted | ChangeKind::Hidden | ChangeKind::Restored
                )
            };
            let newer: HashSet<_> =
                commit.changes.iter().filter(brings).map(|change| change.record.content.posted).collect();
            for kept in &sweep.kept {
                // What this commit replaces is not kept, or there would be two of it.
                if newer.contains(&kept.record.content.posted) {
                    continue;
                }
                stored.kept.push(head.keep(&kept.record, kept.content, kept.state));
                if kept.content {
                    add_content(&mut self.draft, &kept.record);
                }
                add_errors(&mut self.draft, &kept.record);
            }
            head.sweep = Some(stored);
        }
        head.rows = rows(commit);
        // Of one length whatever it is: set once the length of the record is known.
        head.data_bytes = u64::MAX;
        self.draft.head().extend(encode(&head));
        let left =
            self.store.data_bytes().saturating_sub(commit.sweep.as_ref().map_or(0, |sweep| sweep.freed));
        head.data_bytes = left + self.draft.encoded_len() as u64;
        let bytes = self.draft.head();
        let at = bytes.len() - size_of::<u64>();
        bytes[at..].copy_from_slice(&head.data_bytes.to_le_bytes());
        Ok(head)
    }

    fn end_part(&mut self, now: Millis) {
        let (began, bytes) = *self.part.get_or_insert((now, 0));
        let is_old = self.parts.every_ms.is_some_and(|every| now.saturating_sub(began) >= every);
        let is_long = self.parts.bytes.is_some_and(|most| bytes >= most);
        if is_old || is_long {
            self.writer.seal();
            self.part = Some((now, 0));
        }
    }

    /// The keys of rows that follow from a commit, and how long their values are; `None` if they are removed.
    #[cfg(test)]
    pub(super) fn rows_of(&mut self, commit: &Commit) -> Vec<(Vec<u8>, Option<usize>)> {
        let head = self.encode(commit, commit.stamp).expect("it can be encoded");
        let at = At { place: repartee_log::Place::from_u64(0), last: u64::MAX, dropped: 0 };
        let folded = fold(&self.store.0.index, &head, at, Seen::Never, &Tally::default());
        super::index::effect(folded.expect("it can be folded").ops)
    }

    /// From now on nothing is erased or written behind the log, as if the process had been killed.
    #[cfg(test)]
    pub(super) fn stop_settling(&mut self) {
        let shared = &self.store.0;
        shared.signal.raised.lock().killed = true;
        shared.signal.raise(true);
        if let Some(thread) = self.settling.take() {
            thread.join().expect("it ends");
        }
    }

    /// Up to the last commit the index holds everything once this is done, on the disk.
    #[cfg(test)]
    pub(super) fn settle(&self) {
        self.store.0.settle().expect("it is written");
    }
}

fn add_content(draft: &mut Draft, record: &Record) {
    let stored = StoredMessage::of(&record.content);
    draft.add_body(|bytes| prost::Message::encode(&stored, bytes).expect("a vector grows"));
}

fn add_errors(draft: &mut Draft, record: &Record) {
    let errors = errors(&record.state);
    if !errors.is_empty() {
        let stored = StoredErrors { errors: errors.to_vec() };
        draft.add_body(|bytes| prost::Message::encode(&stored, bytes).expect("a vector grows"));
    }
}

/// The rows of the index that a commit names, those that it removes first.
fn rows(commit: &Commit) -> Vec<StoredRow> {
    let mut rows = BTreeMap::new();
    let kept = commit.sweep.iter().flat_map(|sweep| &sweep.rows);
    rows.extend(kept.map(|row| (row.key.clone(), row.value.clone())));
    for conversation in commit.sweep.iter().flat_map(Sweep::ownerless) {
        rows.remove(&Key::Owner(conversation).to_bytes());
    }
    for key in &commit.forget {
        rows.insert(Key::Request(*key).to_bytes(), None);
    }
    let mut put = |key: Key, value: Option<Vec<u8>>| drop(rows.insert(key.to_bytes(), value));
    for (conversation, owner) in &commit.owners {
        put(Key::Owner(*conversation), Some(encode(&StoredOwner::of(owner))));
    }
    for pause in &commit.pauses {
        let row = StoredPause::of(pause).map(|stored| encode(&stored));
        put(Key::Pause(EntityHash::of(&pause.entity)), row);
    }
    for act in &commit.acts.written {
        put(Key::Act(act.number), Some(encode(&StoredAct::of(act))));
    }
    // Behind what is written: of more entries than are kept, a commit drops some of its own.
    for number in &commit.acts.dropped {
        put(Key::Act(*number), None);
    }
    for row in &commit.blocks {
        put(Key::Block(row.who), row.block.as_ref().map(|block| encode(&StoredBlock::of(block))));
    }
    for request in commit.changes.iter().filter_map(|change| change.request.as_ref()) {
        put(Key::Request(request.key), Some(encode(&StoredRequest::of(request))));
    }
    rows.into_iter().map(|(key, value)| StoredRow { key, value }).collect()
}

impl Journal for LogJournal {
    fn append(&mut self, commit: &Commit, tally: &Tally) -> Result<(), JournalError> {
        let shared = Arc::clone(&self.store.0);
        shared.index.wait_for_room(|| shared.failed.get().is_none());
        if let Some(failed) = shared.failed.get() {
            return Err(failed.clone());
        }
        let end = shared.log.end();
        if let Some(first) = commit.changes.first().map(Change::seq)
            && first != end.last + 1
        {
            return Err(JournalError::Gap(end.last + 1));
        }
        self.end_part(commit.service_time);
        let head = self.encode(commit, commit.stamp.max(end.stamp))?;
        let began = Instant::now();
        let appended = self.writer.append(&self.draft)?;
        self.sync_seconds.record(began.elapsed());
        if let Some(part) = &mut self.part {
            part.1 += self.draft.encoded_len() as u64;
        }
        tally.count_writes(1);
        let last = end.last + u64::from(self.draft.numbers);
        let at = At { place: appended.place, last, dropped: shared.log.begin().dropped };
        let Folded { ops, erase } = fold(&shared.index, &head, at, Seen::Never, tally)?;
        let erases = !erase.is_empty();
        {
            // At once for readers, who look at the beginning first, and for whoever erases: what is swept is found where it
            // is kept, and what is erased where it stands now.
            let mut begins = shared.begins.write();
            let mut due = shared.erase.lock();
            if let Some(sweep) = &commit.sweep {
                *begins = sweep.begins;
            }
            due.extend(erase);
            shared.index.apply(ops, Checkpoint { place: appended.next, check: appended.check });
        }
        shared.data_bytes.store(head.data_bytes, Ordering::Relaxed);
        if erases || shared.index.is_large() {
            shared.signal.raise(false);
        }
        Ok(())
    }

    fn reserve(&mut self, bytes: usize) -> Result<(), JournalError> {
        match self.writer.reserve(bytes) {
            // It is larger than anything that is appended.
            Ok(()) | Err(AppendError::TooLarge { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for LogJournal {
    fn drop(&mut self) {
        self.store.0.signal.raise(true);
        if let Some(thread) = self.settling.take() {
            // If it panicked, the index is what it was: a start makes it up from the log.
            let _ = thread.join();
        }
    }
}
