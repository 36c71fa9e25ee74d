//! Space for the records to come: reserved and written with zeros ahead of the writer.
//!
//! A write into blocks that were written before changes no metadata, so it is one wait for the device where a file that
//! grows takes several. And whether there is space is known before a commit depends on it. It is done in steps that grow
//! with the load, so that an idle log holds little.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, MutexGuard};

use super::{
    Durability,
    blocks::{Blocks, block_end},
    disk::{Access, Disk, DiskFile},
};

/// The next segment has this name until it has a header.
pub(super) const NEXT: &str = "next.tmp";

/// The least and the most that is prepared at once.
const SMALLEST_STEP: u64 = 256 << 10;
const LARGEST_STEP: u64 = 16 << 20;
/// Steps that were used up faster than this are doubled, slower than that halved.
const SOON: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(10);
/// Bytes of zeros in memory.
const ZEROS: usize = 256 << 10;

/// What is prepared, and by whom more is.
#[derive(Debug)]
pub(super) struct Prepared {
    limits: Limits,
    /// Up to where the segment that is written to is ready.
    ready: AtomicU64,
    step: AtomicU64,
    has_next: AtomicBool,
    work: Mutex<Work>,
    short: Mutex<Option<Arc<io::Error>>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) segment_bytes: u64,
    pub(super) durability: Durability,
}

/// A file and up to where it is ready.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) to: u64,
}

/// Held by whoever prepares: the thread of the log, or the writer if that is behind.
#[derive(Debug)]
pub(super) struct Work {
    current: Ready,
    next: Option<Ready>,
    stepped: Instant,
}

/// How large the next step is, if the last one was used up in this time.
fn next_step(step: u64, used_in: Duration, limits: &Limits) -> u64 {
    let largest = LARGEST_STEP.min(limits.segment_bytes / 4);
    let smallest = SMALLEST_STEP.min(largest);
    let step = match used_in {
        used_in if used_in < SOON => step * 2,
        used_in if used_in > LATE => step / 2,
        _ => step,
    };
    block_end(step.clamp(smallest, largest))
}

impl Limits {
    /// Makes a file ready for so many bytes more, but not beyond a segment.
    fn extend(&self, ready: &mut Ready, bytes: u64) -> io::Result<()> {
        let to = block_end(ready.to + bytes).min(self.segment_bytes);
        let is_reserved = ready.file.allocate(ready.to, to - ready.to)?;
        if !is_reserved || self.durability == Durability::Power {
            let zeros = Blocks::zeroed(ZEROS.min((to - ready.to) as usize));
            let mut at = ready.to;
            while at < to {
                let piece = zeros.bytes().len().min((to - at) as usize);
                ready.file.write_at(&zeros.bytes()[..piece], at)?;
                at += piece as u64;
            }
        }
        ready.file.sync()?;
        ready.to = to;
        Ok(())
    }

    /// Begins a file for the next segment.
    pub(super) fn begin(&self, disk: &dyn Disk, step: u64) -> io::Result<Ready> {
        disk.create(NEXT)?;
        let mut ready = Ready { file: disk.open(NEXT, Access::Blocks)?, to: 0 };
        self.extend(&mut ready, step)?;
        Ok(ready)
    }

    pub(super) fn first_step(&self) -> u64 {
        next_step(SMALLEST_STEP, SOON, self)
    }
}

impl Prepared {
    pub(super) fn new(limits: Limits, current: Ready) -> Self {
        Self {
            limits,
            ready: AtomicU64::new(current.to),
            step: AtomicU64::new(limits.first_step()),
            has_next: AtomicBool::new(false),
            work: Mutex::new(Work { current, next: None, stepped: Instant::now() }),
            short: Mutex::new(None),
        }
    }

    /// Bytes that are on disk for records to come, with those that are in use.
    pub(super) fn ready(&self) -> u64 {
        self.ready.load(Ordering::Acquire)
    }

    /// Why there is no space, if that is so.
    pub(super) fn short(&self) -> Option<Arc<io::Error>> {
        self.short.lock().clone()
    }

    /// Whether it is time to prepare more for a log that is written up to here.
    pub(super) fn is_low(&self, at: u64) -> bool {
        let (ready, step) = (self.ready(), self.step.load(Ordering::Relaxed));
        let is_low = ready.saturating_sub(at) < step / 2;
        is_low && (ready < self.limits.segment_bytes || !self.has_next.load(Ordering::Acquire))
    }

    /// Makes sure that the segment is ready up to an offset. Usually it is.
    pub(super) fn ensure(&self, disk: &dyn Disk, to: u64) -> Result<(), Arc<io::Error>> {
        // Read once: the log's own thread may be preparing as well.
        while let Some(missing) = to.checked_sub(self.ready()).filter(|missing| *missing > 0) {
            self.prepare(disk, missing)?;
        }
        Ok(())
    }

    /// Prepares what is due, `missing` bytes at least.
    pub(super) fn prepare(&self, disk: &dyn Disk, missing: u64) -> Result<(), Arc<io::Error>> {
        let mut work = self.work.lock();
        let before = self.step.load(Ordering::Relaxed);
        let step = next_step(before, work.stepped.elapsed(), &self.limits);
        let done = if work.current.to < self.limits.segment_bytes {
            let extended = self.limits.extend(&mut work.current, step.max(missing));
            self.ready.store(work.current.to, Ordering::Release);
            extended
        } else {
            self.make_next(disk, &mut work, step)
        };
        work.stepped = Instant::now();
        drop(work);
        self.step.store(step, Ordering::Relaxed);
        self.note(done)
    }

    fn make_next(&self, disk: &dyn Disk, work: &mut Work, step: u64) -> io::Result<()> {
        if work.next.is_none() {
            work.next = Some(self.limits.begin(disk, step)?);
            self.has_next.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn note(&self, done: io::Result<()>) -> Result<(), Arc<io::Error>> {
        let short = done.err().map(Arc::new);
        let mut noted = self.short.lock();
        if let (None, Some(error)) = (&*noted, &short) {
            tracing::warn!(
                error = &**error as &dyn std::error::Error,
                "no space for what comes next in the log"
            );
        }
        (*noted).clone_from(&short);
        short.map_or(Ok(()), Err)
    }

    /// The file of the next segment, ready for its header and `bytes` more. Nobody prepares until [`Work::switch`] gave
    /// that file its name: the one after it gets the name that it has now.
    pub(super) fn next(&self, disk: &dyn Disk) -> Result<MutexGuard<'_, Work>, Arc<io::Error>> {
        let mut work = self.work.lock();
        let made = self.make_next(disk, &mut work, self.step.load(Ordering::Relaxed));
        self.note(made)?;
        Ok(work)
    }

    /// The next segment has its name, and is the one that is written to.
    pub(super) fn switch(&self, mut work: MutexGuard<'_, Work>) {
        if let Some(next) = work.next.take() {
            self.ready.store(next.to, Ordering::Release);
            self.has_next.store(false, Ordering::Release);
            work.current = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_load_within_their_limits() {
        let limits = Limits { segment_bytes: 64 << 20, durability: Durability::Power };
        let after = |step, millis| next_step(step, Duration::from_millis(millis), &limits);
        assert_eq!(limits.first_step(), 256 << 10);
        assert_eq!(after(256 << 10, 999), 512 << 10);
        assert_eq!(after(512 << 10, 1000), 512 << 10);
        assert_eq!(after(512 << 10, 10_001), 256 << 10);
        assert_eq!(after(256 << 10, 60_000), 256 << 10);
        assert_eq!(after(16 << 20, 1), 16 << 20);
        let small = Limits { segment_bytes: 64 << 10, ..limits };
        assert_eq!(small.first_step(), 16 << 10);
    }
}
