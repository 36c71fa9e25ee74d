//! The rules of every log, for memory.

use super::*;
use crate::conformance::{Engine, Faults, Opened};

struct Memory(MemoryLog);

impl Engine for Memory {
    fn new(extent_bytes: usize) -> Self {
        Self(MemoryLog::new(extent_bytes))
    }

    fn open(&mut self) -> Opened {
        self.0.writer().map(|writer| Box::new(writer) as _)
    }
}

impl Faults for Memory {
    fn set_full(&mut self, full: bool) {
        self.0.set_full(full);
    }

    fn fail_next(&mut self) {
        self.0.fail_next();
    }
}

crate::conformance_tests!(Memory);
crate::fault_tests!(Memory);
