//! Room on the disk: looked at regularly, so that writes are refused before one of them fails.
//!
//! A commit that fails ends the process. A disk that fills up would do that to everybody at once, so below a reserve all
//! that stores something is refused, while everything that only reads goes on. Whoever looks again finds room or not:
//! there is nothing to reset.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// How often the disk is looked at. What is written between two looks has to fit into the reserve.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the last look showed; cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskRoom(Arc<Shown>);

#[derive(Debug)]
struct Shown {
    reserve: u64,
    free: AtomicU64,
}

/// There is less room than the reserve: nothing is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disk is almost full: {free} bytes are free, and below {reserve} nothing is stored; nothing was done, try again \
     once there is room"
)]
pub struct DiskFull {
    /// Free bytes at the last look.
    pub free: u64,
    /// The setting `--min-free-disk`.
    pub reserve: u64,
}

impl DiskRoom {
    /// Room that is full below `reserve` bytes; never with 0. It has room until it was looked at.
    pub fn new(reserve: u64) -> Self {
        Self(Arc::new(Shown { reserve, free: AtomicU64::new(u64::MAX) }))
    }

    /// Checks that there is room.
    ///
    /// # Errors
    /// Where there was not at the last look.
    pub fn check(&self) -> Result<(), DiskFull> {
        let Shown { reserve, free } = &*self.0;
        match free.load(Ordering::Relaxed) {
            free if free < *reserve => Err(DiskFull { free, reserve: *reserve }),
            _ => Ok(()),
        }
    }

    /// Notes what a look showed, and logs where that changes what may be stored.
    pub fn note(&self, free: u64) {
        let before = self.check();
        self.0.free.store(free, Ordering::Relaxed);
        metrics::gauge!("repartee_disk_free_bytes").set(free as f64);
        match (before, self.check()) {
            (Ok(()), Err(DiskFull { reserve, .. })) => tracing::error!(
                free,
                reserve,
                "the disk is almost full: nothing is stored until there is room; reading goes on"
            ),
            (Err(DiskFull { reserve, .. }), Ok(())) => {
                tracing::info!(free, reserve, "the disk has room again: everything is stored again");
            }
            (Ok(()), Ok(())) | (Err(_), Err(_)) => {}
        }
    }

    /// Looks at the disk of `folder` now, and from then on regularly until the watch is dropped.
    ///
    /// # Errors
    /// Where the system does not tell the room there, or gives no thread.
    pub fn watch(&self, folder: &Path) -> io::Result<Watch> {
        self.note(free(folder)?);
        let (stop, stopped) = sync_channel::<()>(0);
        let (room, folder) = (self.clone(), folder.to_owned());
        thread::Builder::new().name("disk".to_owned()).spawn(move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                // A look that fails says nothing about the room: what the last one showed stands.
                match free(&folder) {
                    Ok(free) => room.note(free),
                    Err(error) => tracing::debug!(%error, "the room on the disk cannot be told"),
                }
            }
        })?;
        Ok(Watch(stop))
    }
}

/// Keeps the looks going; they end when it is dropped.
#[derive(Debug)]
pub struct Watch(#[expect(dead_code, reason = "it is dropped, never sent to")] SyncSender<()>);

/// Free bytes for us on the file system of `folder`.
fn free(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_the_reserve_it_is_full_and_at_it_there_is_room() {
        let room = DiskRoom::new(100);
        assert_eq!(room.check(), Ok(()), "before the first look");
        for (free, full) in [(99, true), (0, true), (100, false), (101, false), (99, true)] {
            room.note(free);
            assert_eq!(room.check(), if full { Err(DiskFull { free, reserve: 100 }) } else { Ok(()) });
        }
    }

    #[test]
    fn without_a_reserve_it_is_never_full() {
        let room = DiskRoom::new(0);
        room.note(0);
        assert_eq!(room.check(), Ok(()));
    }

    #[test]
    fn the_first_look_is_over_when_the_watch_begins() {
        let room = DiskRoom::new(u64::MAX);
        let _watch = room.watch(&std::env::temp_dir()).unwrap();
        assert!(room.check().is_err(), "no disk has so much room");
    }

    #[test]
    fn where_there_is_no_folder_there_is_no_watch() {
        assert!(DiskRoom::new(0).watch(Path::new("/nowhere/at/all")).is_err());
    }
}
