//! The rules of every log, for files: on the real file system with each way of writing, and on the model of a disk.

use std::sync::Weak;

use tempfile::TempDir;

use super::faulty_disk::FaultyDisk;
use crate::{
    Durability, FileWriter, OpenError, Options,
    conformance::{Engine, Faults, Opened},
    files::{Limits, Unacknowledged, open_on},
};

fn open(options: &Options) -> Opened {
    match FileWriter::open(options) {
        Ok(writer) => Some(Box::new(writer)),
        Err(OpenError::InUse(_)) => None,
        Err(error) => panic!("it cannot be opened: {error:?}"),
    }
}

/// A folder, as the service opens it.
struct Files(TempDir, Options);

impl Engine for Files {
    fn new(extent_bytes: usize) -> Self {
        let dir = tempfile::tempdir().expect("there is a folder for temporary files");
        let options = Options { segment_bytes: extent_bytes as u64, ..Options::new(dir.path().join("log")) };
        Self(dir, options)
    }

    fn open(&mut self) -> Opened {
        open(&self.1)
    }
}

/// The same without a sync for each record.
struct Unsynced(Files);

impl Engine for Unsynced {
    fn new(extent_bytes: usize) -> Self {
        let Files(dir, options) = Files::new(extent_bytes);
        Self(Files(dir, Options { durability: Durability::Process, ..options }))
    }

    fn open(&mut self) -> Opened {
        self.0.open()
    }
}

/// A disk that can fail, without a thread: what happens depends on nothing but the calls.
struct Model {
    disk: FaultyDisk,
    limits: Limits,
    in_use: Weak<()>,
}

impl Engine for Model {
    fn new(extent_bytes: usize) -> Self {
        let durability = Durability::Power;
        let limits = Limits { segment_bytes: extent_bytes as u64, durability };
        Self { disk: FaultyDisk::new(1, durability), limits, in_use: Weak::new() }
    }

    fn open(&mut self) -> Opened {
        if self.in_use.upgrade().is_some() {
            return None;
        }
        let (disk, in_use) = self.disk.again();
        self.in_use = in_use;
        let opened = open_on(std::sync::Arc::new(disk), self.limits, Unacknowledged::Refuse, false).unwrap();
        Some(Box::new(opened.0))
    }
}

impl Faults for Model {
    fn set_full(&mut self, full: bool) {
        self.disk.set_full(full);
    }

    fn fail_next(&mut self) {
        self.disk.fail_next();
    }
}

mod synced {
    crate::conformance_tests!(super::Files);
}

mod unsynced {
    crate::conformance_tests!(super::Unsynced);
}

mod model {
    crate::conformance_tests!(super::Model);
    crate::fault_tests!(super::Model);
}
