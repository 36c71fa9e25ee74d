//! What the index holds in memory: the commits that sled does not have yet.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::Bound,
    sync::Arc,
};

use repartee_log::{Check, Place};
use sled::IVec;

use super::KeyRange;
use crate::journal::keys::{Key, List};

/// What a row takes in memory beside its key and its value, by estimate.
const ROW_BYTES: usize = 96;

/// A place between two records: the place of the next one, and the check of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::journal) struct Checkpoint {
    pub(in crate::journal) place: Place,
    pub(in crate::journal) check: Check,
}

/// A change of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::journal) enum Op {
    /// Writes a row.
    Put(Vec<u8>, IVec),
    /// Writes a row that sled does not have: if it goes again before sled gets it, sled never hears of it.
    PutNew(Vec<u8>, IVec),
    /// Removes a row.
    Remove(Vec<u8>),
    /// Adds a number to a list, greater than those before.
    Add(List, u64),
    /// Takes numbers out of a list, as far as it is in memory.
    Forget(List, Vec<u64>),
    /// The same with all up to one.
    ForgetUpTo(List, u64),
}

impl Op {
    pub(in crate::journal) fn put(key: Key, value: impl Into<IVec>) -> Self {
        Self::Put(key.to_bytes(), value.into())
    }

    pub(in crate::journal) fn remove(key: Key) -> Self {
        Self::Remove(key.to_bytes())
    }
}

#[derive(Debug)]
struct Slot {
    /// `None`: the row is removed.
    value: Option<IVec>,
    /// Whether sled has no such row.
    is_new: bool,
}

/// What some commits in a row have added.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<Vec<u8>, Slot>,
    lists: BTreeMap<List, Vec<u64>>,
    /// Where the last of these commits ends; `None` in an empty table.
    pub(super) upto: Option<Checkpoint>,
    /// What it takes in memory, by estimate.
    pub(super) bytes: usize,
}

impl Table {
    pub(super) fn apply(&mut self, ops: Vec<Op>, upto: Checkpoint) {
        ops.into_iter().for_each(|op| self.apply_one(op));
        self.upto = Some(upto);
    }

    fn apply_one(&mut self, op: Op) {
        match op {
            Op::Put(key, value) => self.put(key, value, false),
            Op::PutNew(key, value) => self.put(key, value, true),
            Op::Remove(key) => match self.rows.entry(key) {
                Entry::Occupied(known) if known.get().is_new => drop(known.remove()),
                Entry::Occupied(mut known) => known.get_mut().value = None,
                Entry::Vacant(unknown) => {
                    self.bytes += unknown.key().len() + ROW_BYTES;
                    unknown.insert(Slot { value: None, is_new: false });
                }
            },
            Op::Add(list, number) => {
                self.bytes += size_of::<u64>();
                let numbers = self.lists.entry(list).or_insert_with(|| {
                    self.bytes += ROW_BYTES;
                    Vec::new()
                });
                numbers.push(number);
            }
            Op::Forget(list, gone) => self.forget(list, |number| gone.binary_search(number).is_ok()),
            Op::ForgetUpTo(list, last) => self.forget(list, |number| *number <= last),
        }
    }

    fn put(&mut self, key: Vec<u8>, value: IVec, is_new: bool) {
        self.bytes += key.len() + value.len() + ROW_BYTES;
        match self.rows.entry(key) {
            Entry::Occupied(mut known) => known.get_mut().value = Some(value),
            Entry::Vacant(unknown) => drop(unknown.insert(Slot { value: Some(value), is_new })),
        }
    }

    fn forget(&mut self, list: List, goes: impl Fn(&u64) -> bool) {
        if let Entry::Occupied(mut numbers) = self.lists.entry(list) {
            numbers.get_mut().retain(|number| !goes(number));
            if numbers.get().is_empty() {
                numbers.remove();
            }
        }
    }

    /// The rows in the order of their keys.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&[u8], Option<&IVec>)> {
        self.rows.iter().map(|(key, slot)| (&key[..], slot.value.as_ref()))
    }

    /// The lists in the order of their keys.
    pub(super) fn lists(&self) -> impl Iterator<Item = (List, &[u64])> {
        self.lists.iter().map(|(list, numbers)| (*list, &numbers[..]))
    }
}

/// What is not in sled yet: what commits add now, and before that what is being written.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    pub(super) active: Table,
    pub(super) settling: Option<Arc<Table>>,
}

impl Overlay {
    /// The tables, the newest first.
    fn tables(&self) -> impl DoubleEndedIterator<Item = &Table> {
        [Some(&self.active), self.settling.as_deref()].into_iter().flatten()
    }

    /// What is known of a row; `Some(None)`: it is removed.
    pub(super) fn get(&self, key: &[u8]) -> Option<Option<IVec>> {
        self.tables().find_map(|table| table.rows.get(key)).map(|slot| slot.value.clone())
    }

    /// What is known of the rows of a range, in the order of their keys.
    pub(super) fn range(&self, (low, high): &KeyRange) -> BTreeMap<Vec<u8>, Option<IVec>> {
        let mut found = BTreeMap::new();
        if is_empty(low, high) {
            return found;
        }
        for table in self.tables().rev() {
            let rows = table
                .rows
                .range::<[u8], _>((low.as_ref().map(|key| &key[..]), high.as_ref().map(|key| &key[..])));
            found.extend(rows.map(|(key, slot)| (key.clone(), slot.value.clone())));
        }
        found
    }

    /// The numbers of a list, rising.
    pub(super) fn list(&self, list: List) -> Vec<u64> {
        let mut numbers = Vec::new();
        for table in self.tables().rev() {
            numbers.extend(table.lists.get(&list).into_iter().flatten());
        }
        numbers
    }
}

/// A map gives no such range.
fn is_empty(low: &Bound<Vec<u8>>, high: &Bound<Vec<u8>>) -> bool {
    match (low, high) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high) | Bound::Included(high)) => {
            low >= high
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}
