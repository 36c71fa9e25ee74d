//! Room on the disk: looked at regularly, so that writes are refused before one of them fails.
//!
//! Beside it stands what may be stored at the most, `--max-data-bytes`: that is kept by taking away the oldest, and where
//! nothing more may go, new texts are refused here too.
//!
//! A commit that fails ends the process. A disk that fills up would do that to everybody at once, so below a reserve new
//! texts are refused. Most of the reserve is for what has been taken in: it is still handed out, answered, given up,
//! deleted and swept, until a quarter of the reserve is left. From then on all that stores something is refused, while
//! everything that only reads goes on. Whoever looks again finds room or not: there is nothing to reset.

use std::{
    fmt, io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use metrics::Counter;
use repartee_process::refusals;

/// How often the disk is looked at. What is written between two looks has to fit into the reserve.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What the last look showed; cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskRoom(Arc<Shown>);

#[derive(Debug)]
struct Shown {
    reserve: u64,
    free: AtomicU64,
    data: DataLimit,
    data_is_full: AtomicBool,
    refused: Counter,
}

/// Why something is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiskFull {
    /// There is less room than this needs.
    #[error(
        "the disk is almost full: {free} bytes are free, and below {least} {what} is stored; nothing was done, try again \
         once there is room"
    )]
    Disk {
        /// Free bytes at the last look.
        free: u64,
        /// What has to be free.
        least: u64,
        /// What needs it.
        what: Stored,
    },
    /// As much is stored as may be.
    #[error(
        "{most} bytes of data may be stored, and they are; no new text is stored, nothing was done, try again once older \
         messages are finished and removed"
    )]
    Data {
        /// How many.
        most: u64,
    },
}

/// How much may be stored, in bytes as the journal counts them; `None`: without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DataLimit(pub Option<u64>);

impl DataLimit {
    /// By how much the oldest have to go, if so much is stored: from 15/16 of the limit on, so that it is not reached.
    pub fn excess(self, stored: u64) -> u64 {
        self.0.map_or(0, |most| stored.saturating_sub(most - most / 16))
    }

    /// Whether new texts are refused: from the limit on, until 31/32 of it are left.
    fn is_full(self, stored: u64, was_full: bool) -> bool {
        self.0.is_some_and(|most| stored >= if was_full { most - most / 32 } else { most })
    }
}

/// What is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// A text that was not there: a post, or an edit of a text. It needs the whole reserve, `--min-free-disk`.
    NewText,
    /// What becomes of a message: a claim, an answer, a deletion, what is swept. It needs a quarter of it.
    Progress,
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NewText => "no new text",
            Self::Progress => "nothing",
        })
    }
}

/// The part of the reserve that is left alone by all that stores.
const LAST_PART: u64 = 4;

impl DiskRoom {
    /// Room that is full below `reserve` bytes; never with 0. It has room until it was looked at.
    pub fn new(reserve: u64, data: DataLimit) -> Self {
        let refused = refusals("data_bytes");
        refused.increment(0);
        Self(Arc::new(Shown {
            reserve,
            free: AtomicU64::new(u64::MAX),
            data,
            data_is_full: AtomicBool::new(false),
            refused,
        }))
    }

    /// How much may be stored.
    pub fn data_limit(&self) -> DataLimit {
        self.0.data
    }

    /// Notes how much is stored, and logs where that changes whether new texts are.
    pub fn note_data(&self, stored: u64) {
        let was_full = self.0.data_is_full.load(Ordering::Relaxed);
        let is_full = self.0.data.is_full(stored, was_full);
        if was_full == is_full {
            return;
        }
        self.0.data_is_full.store(is_full, Ordering::Relaxed);
        let most = self.0.data.0;
        if is_full {
            tracing::error!(
                stored,
                most,
                "as much is stored as --max-data-bytes allows, and nothing more may be removed yet: no new text is stored"
            );
        } else {
            tracing::info!(
                stored,
                most,
                "there is room below --max-data-bytes again: everything is stored again"
            );
        }
    }

    /// Checks that there is room for this.
    ///
    /// # Errors
    /// If there was not at the last look.
    pub fn check(&self, what: Stored) -> Result<(), DiskFull> {
        let Shown { data, data_is_full, refused, .. } = &*self.0;
        if what == Stored::NewText
            && let Some(most) = data.0
            && data_is_full.load(Ordering::Relaxed)
        {
            refused.increment(1);
            return Err(DiskFull::Data { most });
        }
        self.0.check_disk(what)
    }

    /// What is refused; nothing else is then, if it is a new text.
    fn refused(&self) -> Option<Stored> {
        [Stored::Progress, Stored::NewText].into_iter().find(|what| self.0.check_disk(*what).is_err())
    }

    /// Notes what a look showed, and logs where that changes what may be stored.
    pub fn note(&self, free: u64) {
        let before = self.refused();
        self.0.free.store(free, Ordering::Relaxed);
        metrics::gauge!("repartee_disk_free_bytes").set(free as f64);
        metrics::gauge!("repartee_disk_reserve_bytes").set(self.0.reserve as f64);
        let (reserve, now) = (self.0.reserve, self.refused());
        if before == now {
            return;
        }
        match now {
            Some(Stored::NewText) => tracing::error!(
                free,
                reserve,
                "the disk is almost full: no new text is stored until there is room; what was taken in is worked on"
            ),
            Some(Stored::Progress) => tracing::error!(
                free,
                reserve,
                "the disk is almost full: nothing is stored until there is room; reading goes on"
            ),
            None => tracing::info!(free, reserve, "the disk has room again: everything is stored again"),
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

impl Shown {
    fn check_disk(&self, what: Stored) -> Result<(), DiskFull> {
        let Self { reserve, free, .. } = self;
        let least = match what {
            Stored::NewText => *reserve,
            Stored::Progress => reserve / LAST_PART,
        };
        match free.load(Ordering::Relaxed) {
            free if free < least => Err(DiskFull::Disk { free, least, what }),
            _ => Ok(()),
        }
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
    fn below_the_reserve_there_is_no_room_for_new_texts_and_below_a_quarter_for_nothing() {
        let room = DiskRoom::new(100, DataLimit(None));
        assert_eq!(room.check(Stored::NewText), Ok(()), "before the first look");
        for (free, new, progress) in
            [(100, true, true), (99, false, true), (25, false, true), (24, false, false), (0, false, false)]
        {
            room.note(free);
            let refusal = |least, what| Err(DiskFull::Disk { free, least, what });
            let expected = |fits: bool, least, what| if fits { Ok(()) } else { refusal(least, what) };
            assert_eq!(room.check(Stored::NewText), expected(new, 100, Stored::NewText));
            assert_eq!(room.check(Stored::Progress), expected(progress, 25, Stored::Progress));
        }
        room.note(100);
        assert_eq!(room.check(Stored::NewText), Ok(()));
    }

    #[test]
    fn from_the_limit_of_data_on_new_texts_are_refused_until_there_is_some_room() {
        let room = DiskRoom::new(0, DataLimit(Some(3_200)));
        for (stored, fits) in
            [(3_199, true), (3_200, false), (3_101, false), (3_100, false), (3_099, true), (3_199, true)]
        {
            room.note_data(stored);
            let expected = if fits { Ok(()) } else { Err(DiskFull::Data { most: 3_200 }) };
            assert_eq!(room.check(Stored::NewText), expected, "{stored}");
            assert_eq!(room.check(Stored::Progress), Ok(()), "what was taken in goes on");
        }
    }

    #[test]
    fn what_is_stored_begins_to_go_before_the_limit_and_never_without_one() {
        let limit = DataLimit(Some(1_600));
        assert_eq!([0, 1_500, 1_501, 1_600].map(|stored| limit.excess(stored)), [0, 0, 1, 100]);
        assert_eq!(DataLimit(None).excess(u64::MAX), 0);
    }

    #[test]
    fn without_a_reserve_it_is_never_full() {
        let room = DiskRoom::new(0, DataLimit(None));
        room.note(0);
        assert_eq!(room.check(Stored::NewText), Ok(()));
    }

    #[test]
    fn the_first_look_is_over_when_the_watch_begins() {
        let room = DiskRoom::new(u64::MAX, DataLimit(None));
        let _watch = room.watch(&std::env::temp_dir()).unwrap();
        assert!(room.check(Stored::Progress).is_err(), "no disk has so much room");
    }

    #[test]
    fn where_there_is_no_folder_there_is_no_watch() {
        assert!(DiskRoom::new(0, DataLimit(None)).watch(Path::new("/nowhere/at/all")).is_err());
    }
}
