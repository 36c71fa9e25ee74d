//! The rows of a range: those of the overlay over those of sled, from either end.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use sled::IVec;

use crate::journal::JournalError;

/// A range of encoded keys.
pub(in crate::journal) type KeyRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// All rows whose keys begin with this byte.
pub(in crate::journal) fn all(row: u8) -> KeyRange {
    (Bound::Included(vec![row]), Bound::Excluded(vec![row + 1]))
}

type Row = (IVec, IVec);

/// The rows; each key once.
pub(in crate::journal) struct Rows {
    over: VecDeque<(IVec, Option<IVec>)>,
    rows: Option<sled::Iter>,
    /// Read from sled, and not given yet.
    front: Option<Row>,
    back: Option<Row>,
}

/// From which end.
#[derive(Clone, Copy)]
enum End {
    Front,
    Back,
}

impl Rows {
    pub(super) fn new(over: BTreeMap<Vec<u8>, Option<IVec>>, rows: Option<sled::Iter>) -> Self {
        let over = over.into_iter().map(|(key, value)| (IVec::from(key), value)).collect();
        Self { over, rows, front: None, back: None }
    }

    /// Reads the next row of sled at this end, unless there is one.
    fn fill(&mut self, end: End) -> Result<(), JournalError> {
        let (here, there) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if here.is_none() {
            let read = self.rows.as_mut().and_then(|rows| match end {
                End::Front => rows.next(),
                End::Back => rows.next_back(),
            });
            *here = read.transpose()?.or_else(|| there.take());
        }
        Ok(())
    }

    fn step(&mut self, end: End) -> Result<Option<Row>, JournalError> {
        loop {
            self.fill(end)?;
            let (over, row) = match end {
                End::Front => (self.over.front(), &mut self.front),
                End::Back => (self.over.back(), &mut self.back),
            };
            let order = match (over, &*row) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((over, _)), Some((key, _))) => match end {
                    End::Front => over.cmp(key),
                    End::Back => key.cmp(over),
                },
            };
            if order == Ordering::Greater {
                return Ok(row.take());
            }
            if order == Ordering::Equal {
                *row = None;
            }
            let over = match end {
                End::Front => self.over.pop_front(),
                End::Back => self.over.pop_back(),
            };
            if let Some((key, Some(value))) = over {
                return Ok(Some((key, value)));
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Row, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front).transpose()
    }
}

impl DoubleEndedIterator for Rows {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back).transpose()
    }
}
