//! Cores: where service and generator are both to be busy, each gets its own, so that neither is what slows the other.

use std::fs;

use rustix::{
    io,
    thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity},
};

use crate::error::Error;

/// The cores that this process may use, cut in two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    all: CpuSet,
    first: CpuSet,
    others: CpuSet,
}

impl Cores {
    /// One core for the service, the rest for everybody else; none where there is one only.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub(crate) fn split() -> Result<Option<Self>, Error> {
        let all = sched_getaffinity(None).map_err(wrong)?;
        let Some(core) = (0..CpuSet::MAX_CPU).find(|core| all.is_set(*core)) else { return Ok(None) };
        let (mut first, mut others) = (CpuSet::new(), all);
        first.set(core);
        others.unset(core);
        Ok((others.count() > 0).then_some(Self { all, first, others }))
    }

    /// Starts something on the first core, where it stays. It must not wait in between.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn on_first<T>(&self, start: impl FnOnce() -> T) -> Result<T, Error> {
        let before = sched_getaffinity(None).map_err(wrong)?;
        sched_setaffinity(None, &self.first).map_err(wrong)?;
        let started = start();
        sched_setaffinity(None, &before).map_err(wrong)?;
        Ok(started)
    }

    /// Leaves the first core to what was started there.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn leave_first(&self) -> Result<(), Error> {
        move_to(&self.others)
    }

    /// Uses all of them again.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn use_all(&self) -> Result<(), Error> {
        move_to(&self.all)
    }
}

/// Moves every thread of this process.
fn move_to(cores: &CpuSet) -> Result<(), Error> {
    for thread in fs::read_dir("/proc/self/task").map_err(Error::io("reading the list of threads"))? {
        let thread = thread.map_err(Error::io("reading the list of threads"))?.file_name();
        let Some(thread) = thread.to_str().and_then(|id| Pid::from_raw(id.parse().ok()?)) else { continue };
        match sched_setaffinity(Some(thread), cores) {
            // It has ended since.
            Ok(()) | Err(io::Errno::SRCH) => {}
            Err(error) => return Err(wrong(error)),
        }
    }
    Ok(())
}

fn wrong(error: io::Errno) -> Error {
    Error::io("choosing cores")(error.into())
}

#[cfg(test)]
mod tests {
    use rustix::thread::sched_getaffinity;

    use super::Cores;

    #[test]
    fn what_is_started_on_the_first_core_stays_there_and_nothing_else() {
        let before = sched_getaffinity(None).unwrap();
        let Some(cores) = Cores::split().unwrap() else { return };
        let inside = cores.on_first(|| sched_getaffinity(None).unwrap()).unwrap();
        assert_eq!((inside.count(), inside == cores.first), (1, true));
        assert!(sched_getaffinity(None).unwrap() == before);
        assert_eq!(cores.others.count() + 1, before.count());
    }
}
