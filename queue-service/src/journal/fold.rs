//! What a commit means for the index: the rows and the lists that follow from it, and what may be erased.
//!
//! A start folds the commits that the index does not have, and the result is the same: whatever was written of it before is
//! written again.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use repartee_log::Place;

use super::{
    FormatError, JournalError, Tally,
    erase::Erase,
    index::{Index, Op},
    keys::{DomainHash, Key, List},
    stored::{
        Pointer, StoredBeginning, StoredChange, StoredCommit, StoredGone, StoredPointers, StoredRow,
        StoredRun, StoredSweep, decode, encode,
    },
};
use crate::domain::ChangeKind;

/// What follows from a commit.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) ops: Vec<Op>,
    pub(super) erase: Vec<Erase>,
}

/// Whether a commit is new, or may have been folded before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Never,
    Perhaps,
}

/// Where a commit stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) place: Place,
    /// Number of its last change, or of the last one before.
    pub(super) last: u64,
    /// The last number that was dropped from the log.
    pub(super) dropped: u64,
}

/// Folds a commit.
///
/// # Errors
/// If the index cannot be read, or the commit makes no sense.
pub(super) fn fold(
    index: &Index,
    head: &StoredCommit,
    at: At,
    seen: Seen,
    tally: &Tally,
) -> Result<Folded, JournalError> {
    let At { place, last, dropped } = at;
    let mut fold = Fold {
        index,
        head,
        tally,
        seen,
        place,
        dropped,
        folded: Folded::default(),
        contents: BTreeMap::new(),
        errors: BTreeMap::new(),
    };
    if let Some(sweep) = &head.sweep {
        fold.sweep(sweep)?;
    }
    // What this commit changes stands over what it sweeps.
    for StoredRow { key, value } in &head.rows {
        fold.folded.ops.push(match value {
            Some(value) => Op::Put(key.clone(), value.clone().into()),
            None => Op::Remove(key.clone()),
        });
    }
    if !head.changes.is_empty() {
        let domains = head.changes.iter().map(|change| change.domain).collect::<BTreeSet<_>>();
        for domain in domains {
            let name = head.domains.get(domain as usize).ok_or(FormatError::Field("domain"))?;
            fold.folded.ops.push(Op::Add(List::Domain(DomainHash::of(name)), last));
        }
    }
    for (nth, change) in head.changes.iter().enumerate() {
        fold.change(change, Pointer::to(place, nth))?;
    }
    Ok(fold.finish())
}

/// All errors of a message that stand in the log.
#[derive(Debug, Default)]
struct Errors {
    /// Whether the index has a row of them.
    had: bool,
    pointers: Vec<Pointer>,
}

struct Fold<'a> {
    index: &'a Index,
    head: &'a StoredCommit,
    tally: &'a Tally,
    seen: Seen,
    place: Place,
    dropped: u64,
    folded: Folded,
    /// Where the contents of messages stand that this commit brought.
    contents: BTreeMap<u64, Pointer>,
    /// All errors of messages that this commit touches.
    errors: BTreeMap<u64, Errors>,
}

impl Fold<'_> {
    fn put(&mut self, key: Key, pointer: Pointer) {
        self.folded.ops.push(Op::put(key, encode(&pointer)));
    }

    fn remove(&mut self, key: Key) {
        self.folded.ops.push(Op::remove(key));
    }

    fn change(&mut self, change: &StoredChange, at: Pointer) -> Result<(), JournalError> {
        let (kind, posted) = (change.kind()?, change.posted);
        if change.has_content() {
            self.content(kind, change, at)?;
        }
        if kind == ChangeKind::Posted
            && let Some(conversation) = change.said_in()?
        {
            self.folded.ops.push(Op::Add(List::Conversation(conversation), posted));
        }
        if change.is_of_work() {
            self.work(kind, change, at);
        }
        if change.is_failed() {
            self.folded.ops.push(Op::put(Key::Failed(posted), Vec::new()));
        } else if matches!(kind, ChangeKind::Retried | ChangeKind::Deleted | ChangeKind::Hidden)
            && change.is_of_work()
        {
            self.remove(Key::Failed(posted));
        }
        match kind {
            ChangeKind::Hidden => self.folded.ops.push(Op::put(Key::Hidden(posted), Vec::new())),
            ChangeKind::Restored => self.remove(Key::Hidden(posted)),
            ChangeKind::Deleted if change.is_hidden() => self.remove(Key::Hidden(posted)),
            _ => {}
        }
        if kind == ChangeKind::Deleted && change.is_of_work() {
            self.erase_errors(posted, at)?;
        }
        if change.has_errors() {
            self.errors_of(posted)?.pointers.push(at);
        }
        Ok(())
    }

    /// The content of a message stands here now. What stood elsewhere is to be erased.
    fn content(&mut self, kind: ChangeKind, change: &StoredChange, at: Pointer) -> Result<(), JournalError> {
        if kind == ChangeKind::Posted {
            return Ok(());
        }
        self.moved(change.posted, at)?;
        if self.is_swept(change.posted)? {
            self.list_kept(change)?;
        }
        Ok(())
    }

    fn moved(&mut self, posted: u64, at: Pointer) -> Result<(), JournalError> {
        if let Some(before) = self.contents.get(&posted) {
            self.folded.erase.push(Erase::Content(*before));
        } else {
            let before = self.index.get(Key::Content(posted), self.tally)?;
            match before.map(|row| decode::<Pointer>(&row)).transpose()? {
                // An index that was written before the process ended may know already where it stands now, or will later;
                // what was before was erased then.
                Some(before) if before.place() >= self.place => {}
                Some(before) => self.folded.erase.push(Erase::Content(before)),
                None => self.folded.erase.push(Erase::Posted(posted)),
            }
        }
        self.contents.insert(posted, at);
        self.put(Key::Content(posted), at);
        Ok(())
    }

    /// Where the state of work stands.
    fn work(&mut self, kind: ChangeKind, change: &StoredChange, at: Pointer) {
        let posted = change.posted;
        let live = change.leaves_work();
        let (now, before) = if live {
            (Key::Live(posted), Key::Finished(posted))
        } else {
            (Key::Finished(posted), Key::Live(posted))
        };
        let is_new = self.seen == Seen::Never && kind == ChangeKind::Posted;
        let row = encode(&at);
        self.folded.ops.push(if is_new { Op::PutNew(now.to_bytes(), row.into()) } else { Op::put(now, row) });
        // A message that goes on in the same status has no other row.
        if !live || kind == ChangeKind::Retried {
            self.remove(before);
        }
    }

    /// All errors of a message that stand in the log, as they are after what was folded so far.
    fn errors_of(&mut self, posted: u64) -> Result<&mut Errors, JournalError> {
        Ok(match self.errors.entry(posted) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let row = self.index.get(Key::Errors(posted), self.tally)?;
                let known = row.map(|row| decode::<StoredPointers>(&row)).transpose()?;
                unknown.insert(Errors { had: known.is_some(), pointers: known.unwrap_or_default().pointers })
            }
        })
    }

    /// Erases the errors of a message that stand before an entry.
    fn erase_errors(&mut self, posted: u64, at: Pointer) -> Result<(), JournalError> {
        let known = self.errors_of(posted)?;
        // The index may know what this commit and later ones say.
        let (later, before) = known.pointers.drain(..).partition(|pointer| *pointer >= at);
        known.pointers = later;
        let before: Vec<_> = before;
        self.folded.erase.extend(before.into_iter().map(Erase::Errors));
        Ok(())
    }

    fn sweep(&mut self, sweep: &StoredSweep) -> Result<(), JournalError> {
        self.folded.ops.push(Op::put(Key::Begins, encode(&sweep.begins)));
        for gone in &sweep.gone {
            self.gone(gone, sweep.begins.beginning().place)?;
        }
        for stays in &sweep.stay {
            self.folded.ops.push(Op::put(Key::Kept(DomainHash(stays.domain()?), stays.posted), Vec::new()));
        }
        for domain in sweep.domains() {
            let list = List::Domain(DomainHash(domain));
            self.folded.ops.push(Op::ForgetUpTo(list, sweep.begins.seq));
            for run in self.index.stored_runs(list, 0..=sweep.begins.seq, self.tally) {
                self.folded.ops.push(Op::Remove(list.run(run?.0)));
            }
        }
        self.shorten_conversations(&sweep.gone)?;
        for conversation in sweep.ownerless() {
            self.remove(Key::Owner(conversation));
        }
        for (nth, kept) in sweep.kept.iter().enumerate() {
            self.kept(kept, Pointer::to(self.place, self.head.changes.len() + nth))?;
        }
        Ok(())
    }

    fn gone(&mut self, gone: &StoredGone, begins: Place) -> Result<(), JournalError> {
        let kept = Key::Kept(DomainHash(gone.domain()?), gone.posted);
        if self.index.has(kept, self.tally)? {
            self.remove(kept);
        }
        let posted = gone.posted;
        self.erase_kept(gone, begins)?;
        for row in &gone.rows {
            self.remove(match row {
                b'm' => Key::Content(posted),
                b's' => Key::Finished(posted),
                b'f' => Key::Failed(posted),
                b'h' => Key::Hidden(posted),
                b'q' => Key::Errors(posted),
                _ => return Err(FormatError::Field("rows").into()),
            });
        }
        Ok(())
    }

    /// What an earlier sweep has kept of a message that goes would stay until that part of the log goes, too.
    fn erase_kept(&mut self, gone: &StoredGone, begins: Place) -> Result<(), JournalError> {
        if gone.rows.contains(&b'm')
            && let Some(row) = self.index.get(Key::Content(gone.posted), self.tally)?
        {
            let content: Pointer = decode(&row)?;
            if content.place() >= begins && content.place() < self.place {
                self.folded.erase.push(Erase::Content(content));
            }
        }
        if gone.rows.contains(&b'q')
            && let Some(row) = self.index.get(Key::Errors(gone.posted), self.tally)?
        {
            let errors = decode::<StoredPointers>(&row)?.pointers;
            let kept = errors.into_iter().filter(|at| at.place() >= begins && at.place() < self.place);
            self.folded.erase.extend(kept.map(Erase::Errors));
        }
        Ok(())
    }

    /// What is kept stands here from now on, and is found by its domain and its conversation even if all records before this
    /// one are gone.
    fn kept(&mut self, kept: &StoredChange, at: Pointer) -> Result<(), JournalError> {
        let posted = kept.posted;
        if kept.has_content() {
            self.list_kept(kept)?;
            // There is one copy of it at any time, so that a deletion has one to erase.
            self.moved(posted, at)?;
        }
        if kept.keeps_state() {
            self.put(if kept.leaves_work() { Key::Live(posted) } else { Key::Finished(posted) }, at);
        }
        if kept.has_errors() {
            self.errors_of(posted)?.pointers.push(at);
        }
        Ok(())
    }

    /// Runs whose last messages go end with the last one that stays, or go. A run keeps numbers of messages that are gone,
    /// which readers pass over, until it ends with one: so each is looked at once.
    fn shorten_conversations(&mut self, gone: &[StoredGone]) -> Result<(), JournalError> {
        let mut of: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for one in gone {
            if let Some(conversation) = one.said_in()? {
                of.entry(conversation).or_default().push(one.posted);
            }
        }
        for (conversation, mut gone) in of {
            gone.sort_unstable();
            let list = List::Conversation(conversation);
            let (Some(first), Some(last)) = (gone.first(), gone.last()) else { continue };
            for run in self.index.stored_runs(list, *first..=*last, self.tally) {
                let (end, mut numbers) = run?;
                let before = numbers.len();
                while let Some(number) = numbers.last() {
                    if gone.binary_search(number).is_err() && self.is_there(*number)? {
                        break;
                    }
                    numbers.pop();
                }
                if numbers.len() == before {
                    continue;
                }
                self.folded.ops.push(Op::Remove(list.run(end)));
                if let Some(end) = numbers.last().copied() {
                    let run = StoredRun { numbers };
                    self.folded.ops.push(Op::Put(list.run(end), encode(&run).into()));
                }
            }
            self.folded.ops.push(Op::Forget(list, gone));
        }
        Ok(())
    }

    /// A message whose post was swept is found by its domain and its conversation from here on: who makes the index anew may
    /// have nothing of what is before.
    fn list_kept(&mut self, entry: &StoredChange) -> Result<(), JournalError> {
        let domain = self.head.domains.get(entry.domain as usize).ok_or(FormatError::Field("domain"))?;
        self.folded.ops.push(Op::put(Key::Kept(DomainHash::of(domain), entry.posted), Vec::new()));
        if let Some(conversation) = entry.said_in()? {
            let key = List::Conversation(conversation).run(entry.posted);
            // A run that ends with it has it already.
            if self.index.get_bytes(&key, self.tally)?.is_none() {
                let run = StoredRun { numbers: vec![entry.posted] };
                self.folded.ops.push(Op::Put(key, encode(&run).into()));
            }
        }
        Ok(())
    }

    /// Whether the post of a message was swept before this commit.
    fn is_swept(&self, posted: u64) -> Result<bool, JournalError> {
        let begins = self.index.get(Key::Begins, self.tally)?;
        let begins = begins.map(|row| decode::<StoredBeginning>(&row)).transpose()?;
        Ok(posted <= begins.map_or(0, |begins| begins.seq).max(self.dropped))
    }

    /// Whether a message that a run names is kept: of one whose post was swept before the content has a row.
    fn is_there(&self, posted: u64) -> Result<bool, JournalError> {
        Ok(!self.is_swept(posted)? || self.index.has(Key::Content(posted), self.tally)?)
    }

    fn finish(mut self) -> Folded {
        for (posted, Errors { had, mut pointers }) in self.errors {
            if !pointers.is_empty() {
                pointers.sort_unstable();
                pointers.dedup();
                self.folded.ops.push(Op::put(Key::Errors(posted), encode(&StoredPointers { pointers })));
            } else if had {
                self.folded.ops.push(Op::remove(Key::Errors(posted)));
            }
        }
        self.folded
    }
}
