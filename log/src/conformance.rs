//! What every engine has to pass, one rule a function. [`conformance_tests!`](crate::conformance_tests) makes a test of each.
//!
//! Must never know how an engine keeps its log: all is said through [`Log`] and [`LogWriter`].

#![allow(clippy::unwrap_used, reason = "a rule fails as a test does")]

mod erasing;
mod faults;
mod reading;
mod sharing;
mod writing;

use std::sync::Arc;

use crate::{Appended, Body, Draft, Kind, Log, LogWriter, Record};

pub use erasing::*;
pub use faults::*;
pub use reading::*;
pub use sharing::*;
pub use writing::*;

/// A writer, or `None` while there is another.
pub type Opened = Option<Box<dyn LogWriter>>;

/// A log under test. Dropping it takes away what it stored.
pub trait Engine {
    /// A new one, in which an extent holds about so many bytes.
    fn new(extent_bytes: usize) -> Self;

    /// Opens it: at first a new log, later the one that is there, as a restart would.
    fn open(&mut self) -> Opened;
}

/// An engine that can be made to fail.
pub trait Faults: Engine {
    /// From now on there is no space beyond what is prepared, or there is again.
    fn set_full(&mut self, full: bool);

    /// The next write fails.
    fn fail_next(&mut self);
}

/// Bytes of an extent in most rules.
const EXTENT: usize = 64 << 10;

/// What a rule has appended, to be held against what is read.
struct Story {
    log: Arc<dyn Log>,
    writer: Box<dyn LogWriter>,
    told: Vec<(Appended, Draft, Vec<Vec<u8>>)>,
}

impl Story {
    fn begin(engine: &mut impl Engine) -> Self {
        let writer = engine.open().expect("nobody else has it open");
        Self { log: writer.log(), writer, told: Vec::new() }
    }

    /// Closes the log and opens it again.
    fn reopen(self, engine: &mut impl Engine) -> Self {
        let Self { log, writer, told } = self;
        drop((log, writer));
        Self { told, ..Self::begin(engine) }
    }

    fn append(&mut self, kind: Kind, numbers: u32, stamp: i64, bodies: &[&[u8]]) -> Appended {
        let mut draft = Draft::new(kind, numbers, stamp);
        draft.head().extend_from_slice(format!("head {}", self.told.len()).as_bytes());
        for body in bodies {
            draft.add_body(|buffer| buffer.extend_from_slice(body));
        }
        let appended = self.writer.append(&draft).expect("it is appended");
        self.told.push((appended, draft, bodies.iter().map(|body| body.to_vec()).collect()));
        appended
    }

    /// A commit of one number with one body of so many bytes.
    fn post(&mut self, bytes: usize) -> Appended {
        let (nth, stamp) = (self.told.len(), self.told.len() as i64);
        self.append(Kind::Commit, 1, stamp, &[&vec![nth as u8 | 1; bytes]])
    }

    /// Everything that can be read, piece by piece.
    fn read(&self, max_bytes: usize) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        let mut place = self.log.begin().place;
        loop {
            let piece = self.log.read(place, max_bytes).expect("it can be read");
            let Some(last) = piece.last() else { return records };
            place = last.next;
            records.extend(piece);
        }
    }

    /// Holds all records from the `from`th on against what was appended.
    #[track_caller]
    fn check(&self, from: usize) {
        let records = self.read(10_000);
        assert_eq!(records.len(), self.told.len() - from);
        for (record, (appended, draft, bodies)) in records.iter().zip(&self.told[from..]) {
            assert_eq!((record.place, record.next), (appended.place, appended.next));
            assert_eq!((record.first, record.check), (appended.first, appended.check));
            assert_eq!((record.kind, record.numbers, record.stamp), (draft.kind, draft.numbers, draft.stamp));
            assert_eq!(record.bodies, bodies.iter().map(|body| whole(body)).collect::<Vec<_>>());
        }
        crate::verify(&*self.log, |_| {}).expect("it is whole");
    }
}

fn whole(body: &[u8]) -> Body {
    Body::Whole(bytes::Bytes::copy_from_slice(body))
}

/// A test of each rule for an [`Engine`](crate::conformance::Engine).
#[macro_export]
macro_rules! conformance_tests {
    ($engine:ty) => {
        $crate::conformance_tests!(
            $engine:
            a_new_log_is_empty, what_is_appended_is_read_in_order, it_is_read_backward_as_well,
            numbers_have_no_gap, stamps_may_be_shared_and_never_fall, kept_records_take_no_number,
            a_record_that_is_too_large_is_refused, records_of_any_shape_come_back, records_are_chained,
            a_log_that_is_opened_again_goes_on, a_number_is_found_in_its_record, a_stamp_is_found,
            a_place_between_records_is_refused, an_erased_body_is_gone_and_nothing_else,
            erasing_again_changes_nothing, a_body_that_is_not_there_is_refused,
            the_last_record_can_be_erased_too, the_beginning_is_dropped_in_whole_extents,
            what_was_dropped_is_said_to_be, the_extent_that_is_written_to_stays,
            a_sealed_extent_can_be_dropped, a_second_writer_is_refused, readers_outlive_the_writer,
            a_follower_reads_everything_once, a_follower_comes_to_the_end_behind_an_empty_extent,
            readers_beside_the_writer_see_whole_records,
            readers_beside_an_eraser_see_whole_or_erased_bodies, a_wait_ends_after_its_time,
        );
    };
    ($engine:ty: $($rule:ident),+ $(,)?) => {
        $(
            #[test]
            fn $rule() {
                $crate::conformance::$rule::<$engine>();
            }
        )+
    };
}

/// A test of each rule for an engine with [`Faults`](crate::conformance::Faults).
#[macro_export]
macro_rules! fault_tests {
    ($engine:ty) => {
        $crate::conformance_tests!(
            $engine:
            a_full_log_says_so_and_writes_nothing, a_log_that_failed_takes_nothing_more,
            a_log_that_failed_can_be_opened_again,
        );
    };
}
