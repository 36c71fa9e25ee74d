//! Whenever the power goes or the process ends: what was acknowledged is there, what was not is there as a whole or not at
//! all, and what was erased is gone.

use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::faulty_disk::FaultyDisk;
use crate::{
    Appended, Body, BodyAt, Check, Draft, Durability, Epoch, FileWriter, Kind, LogWriter as _, Place, Record,
    files::{Fault, Limits, Unacknowledged, open_on},
};

/// Small, so that a few records fill one.
const SEGMENT: u64 = 16 << 10;

/// What became of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Erasing {
    No,
    /// It was begun, and nobody knows.
    Begun,
    Done,
}

#[derive(Debug, Clone)]
struct Told {
    /// Absent as long as it was not acknowledged.
    appended: Option<Appended>,
    /// It has to be there.
    is_due: bool,
    head: Vec<u8>,
    bodies: Vec<(Vec<u8>, Erasing)>,
}

/// One log over several lives.
struct World {
    disk: FaultyDisk,
    limits: Limits,
    dice: StdRng,
    epoch: Option<Epoch>,
    /// All that may be there: only the last one may lack its acknowledgement.
    told: Vec<Told>,
    /// How many of them have to be there after a power cut.
    synced: usize,
    /// Places at which the log may begin; the first one is what was acknowledged.
    begins: Vec<Place>,
    cuts: u32,
}

impl World {
    fn new(seed: u64, durability: Durability) -> Self {
        Self {
            disk: FaultyDisk::new(seed, durability),
            limits: Limits { segment_bytes: SEGMENT, durability },
            dice: StdRng::seed_from_u64(!seed),
            epoch: None,
            told: Vec::new(),
            synced: 0,
            begins: Vec::new(),
            cuts: 0,
        }
    }

    /// Opens the log; `None` if the power went meanwhile. It is never refused.
    fn open(&mut self) -> Option<FileWriter> {
        let (disk, _) = self.disk.again();
        match open_on(Arc::new(disk), self.limits, Unacknowledged::Refuse, false) {
            Ok((writer, _)) => Some(writer),
            Err(Fault::Io(_)) if self.disk.is_off() => None,
            Err(fault) => panic!("{fault:?}"),
        }
    }

    /// A life of the process, to its end.
    fn live(&mut self) {
        self.disk.cut_after(self.dice.random_range(1..150));
        let Some(mut writer) = self.open() else { return };
        self.hold(&writer);
        while !self.disk.is_off() && self.act(&mut writer) {}
        // Dropping it must not save anything.
        self.disk.stop();
    }

    fn end(&mut self) {
        self.cuts += 1;
        if self.dice.random_bool(0.2) {
            self.disk.start();
        } else {
            self.disk.start_after_power_cut();
            if self.limits.durability == Durability::Process {
                self.told.iter_mut().skip(self.synced).for_each(|told| told.is_due = false);
            }
        }
    }

    /// One thing that a user of the log does; whether it succeeded.
    fn act(&mut self, writer: &mut FileWriter) -> bool {
        match self.dice.random_range(0..100) {
            0..75 => self.append(writer),
            75..90 => self.erase(writer),
            90..94 => self.drop_oldest(writer),
            94..97 => {
                writer.seal();
                true
            }
            _ => {
                let synced = writer.shared.sync_mark().is_ok();
                if synced {
                    self.synced = self.told.len();
                }
                synced
            }
        }
    }

    fn append(&mut self, writer: &mut FileWriter) -> bool {
        let stamp = writer.log().end().stamp.max(0);
        let mut draft = Draft::new(Kind::Commit, self.dice.random_range(0..3), stamp);
        let mut bytes = |most| {
            let mut bytes = vec![0; self.dice.random_range(0..most)];
            self.dice.fill(&mut bytes[..]);
            bytes
        };
        let head = bytes(200);
        let bodies = [bytes(500), bytes(2000), bytes(20)];
        draft.head().extend_from_slice(&head);
        for body in &bodies {
            draft.add_body(|buffer| buffer.extend_from_slice(body));
        }
        let bodies = bodies.into_iter().map(|body| (body, Erasing::No)).collect();
        let appended = writer.append(&draft).ok();
        self.told.push(Told { appended, is_due: appended.is_some(), head, bodies });
        if appended.is_some() && self.limits.durability == Durability::Power {
            self.synced = self.told.len();
        }
        appended.is_some()
    }

    fn erase(&mut self, writer: &FileWriter) -> bool {
        if self.told.is_empty() {
            return true;
        }
        // Rather something new: that may be in the block that the writer has.
        let newest = self.told.len() - 1;
        let from = if self.dice.random() { newest.saturating_sub(3) } else { 0 };
        let mut chosen = Vec::new();
        for _ in 0..self.dice.random_range(1..4) {
            chosen.push((self.dice.random_range(from..=newest), self.dice.random_range(0..3)));
        }
        let at = |(record, body): (usize, usize)| BodyAt {
            record: self.told[record].appended.expect("it was acknowledged").place,
            body: body as u32,
        };
        let bodies: Vec<_> = chosen.iter().copied().map(at).collect();
        let done = writer.log().erase(&bodies).is_ok();
        for (record, body) in chosen {
            let erasing = &mut self.told[record].bodies[body].1;
            *erasing = if done || *erasing == Erasing::Done { Erasing::Done } else { Erasing::Begun };
            if done {
                // Nothing is erased before what is erased is durable.
                self.synced = self.synced.max(record + 1);
            }
        }
        done
    }

    fn drop_oldest(&mut self, writer: &FileWriter) -> bool {
        let log = writer.log();
        let Some(oldest) = log.oldest() else { return true };
        self.begins.push(oldest.end);
        let done = log.drop_before(oldest.end).is_ok();
        if done {
            self.begins = vec![oldest.end];
            self.forget(oldest.end);
        }
        done
    }

    /// Forgets what is before the beginning of the log.
    fn forget(&mut self, begin: Place) {
        let is_gone = |told: &&Told| told.appended.is_some_and(|appended| appended.place < begin);
        let gone = self.told.iter().take_while(is_gone).count();
        self.told.drain(..gone);
        self.synced = self.synced.saturating_sub(gone);
    }

    /// Holds the log against what it was told, and goes on from what it has.
    fn hold(&mut self, writer: &FileWriter) {
        let log = writer.log();
        assert_eq!(*self.epoch.get_or_insert(log.epoch()), log.epoch());
        let begin = log.begin();
        if self.begins.is_empty() {
            self.begins.push(begin.place);
        }
        assert!(self.begins.contains(&begin.place), "{:?} {begin:?}", self.begins);
        self.begins = vec![begin.place];
        self.forget(begin.place);

        let (mut place, mut records) = (begin.place, Vec::<Record>::new());
        while let Some(piece) = Some(log.read(place, 8000).unwrap()).filter(|piece| !piece.is_empty()) {
            place = piece.last().expect("it is not empty").next;
            records.extend(piece);
        }
        assert!(records.len() >= self.synced, "{} records, {} were durable", records.len(), self.synced);
        let required = self.told.iter().take_while(|told| told.is_due).count();
        assert!(records.len() >= required, "{} records of {required}", records.len());
        assert!(records.len() <= self.told.len());
        self.told.truncate(records.len());
        let mut torn = Vec::new();
        let mut before: Option<Check> = None;
        for (told, record) in self.told.iter_mut().zip(&records) {
            assert_eq!(record.head, told.head);
            assert!(before.is_none_or(|before| record.before == before));
            before = Some(record.check);
            told.is_due = true;
            told.appended.get_or_insert(Appended {
                place: record.place,
                next: record.next,
                first: record.first,
                check: record.check,
            });
            for (nth, ((told, erasing), body)) in told.bodies.iter_mut().zip(&record.bodies).enumerate() {
                match (&erasing, body) {
                    (Erasing::No | Erasing::Begun, Body::Whole(body)) => assert_eq!(body, told),
                    (Erasing::Done | Erasing::Begun, Body::Erased) => {}
                    (Erasing::Begun, Body::Damaged) => {}
                    (erasing, body) => panic!("{erasing:?}, but {body:?}"),
                }
                if *erasing == Erasing::Begun {
                    torn.push(BodyAt { record: record.place, body: nth as u32 });
                }
            }
        }
        if self.limits.durability == Durability::Power {
            self.synced = records.len();
        }
        self.finish_erasing(writer, &torn);
    }

    /// There was a reason to erase these, so whoever opens the log does it again.
    fn finish_erasing(&mut self, writer: &FileWriter, torn: &[BodyAt]) {
        if writer.log().erase(torn).is_err() {
            assert!(self.disk.is_off());
            return;
        }
        for at in torn {
            let is_it = |told: &&mut Told| told.appended.is_some_and(|told| told.place == at.record);
            let told = self.told.iter_mut().find(is_it).expect("it is there");
            told.bodies[at.body as usize].1 = Erasing::Done;
        }
    }
}

/// How many seeds, and the lives of each.
const SEEDS: u64 = 250;
const LIVES: u32 = 8;

fn survive(durability: Durability) {
    let mut cuts = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed, durability);
        for _ in 0..LIVES {
            world.live();
            world.end();
        }
        let writer = world.open().expect("the power is on");
        world.hold(&writer);
        cuts += world.cuts;
    }
    assert_eq!(u64::from(cuts), SEEDS * u64::from(LIVES));
}

#[test]
fn synced_records_survive_any_power_cut() {
    survive(Durability::Power);
}

#[test]
fn unsynced_records_survive_up_to_the_mark() {
    survive(Durability::Process);
}
