//! Opening the store of a data directory: the log first, which says whether it is whole, then the index, which is made up from
//! the log.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use repartee_log::{FileWriter, Log, LogWriter, Options, Place};
use repartee_process::private_file;
use serde::Serialize;

use super::{
    FormatError, JournalError, LogJournal, Store, Tally,
    commits::LogCommit,
    fold::{At, Folded, Seen, fold},
    index::{Checkpoint, Index, SledRows, Unusable, set_aside},
    keys::Key,
    stored::{StoredBeginning, decode},
};

/// Folder of the log in the data directory.
const LOG: &str = "log";
/// Folder of the index.
const INDEX: &str = "index";
/// The file of the store without a log that versions before had.
const BEFORE: &str = "db";

/// Most paths that one warning names.
const WIDER_NAMED: usize = 16;
/// Bytes of the log that are read at once to make the index up.
const PIECE: usize = 1 << 20;

/// How safe an acknowledged write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// It survives a power cut: the log is synced to the device.
    Power,
    /// It survives the end of the process: the data is with the kernel.
    Process,
}

/// The store could not be opened. Nothing in the log was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("the data directory {0} cannot be used; check that it exists, is writable and has space")]
    Directory(PathBuf, #[source] io::Error),
    /// Something in it leads elsewhere, or is no file at all.
    #[error(
        "{0} is neither a plain file nor a folder, and nothing in the data directory is opened through a link; nothing \
         was changed. Put the file itself there, or remove it"
    )]
    Strange(PathBuf),
    /// Another process has it.
    #[error(
        "the data directory {0} is in use by another process; stop that one, or choose another --data-dir"
    )]
    InUse(PathBuf),
    /// It holds the store of a version that had no log.
    #[error(
        "the data directory {0} was written by a version before there was a log, which this one does not read; nothing was \
         changed. Choose another --data-dir, or move the files in it away"
    )]
    Before(PathBuf),
    /// The store is sound, and of another version of this program.
    #[error("the store in {0} was written by another version of this program, and nothing was changed")]
    OtherVersion(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It is not what was acknowledged; it can be taken as it is.
    #[error(
        "the store in {0} is not what was acknowledged, and nothing was changed; to take it as it is, under a new name, \
         run queue-service --adopt on it"
    )]
    Unacknowledged(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store is damaged, or the disk failed.
    #[error(
        "the store in {0} cannot be used; no file was deleted. Check the disk, keep a copy of the directory, \
         and restore a backup or ask for help"
    )]
    Damaged(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
}

impl OpenError {
    /// What it means that something in the store of a data directory cannot be read.
    pub(crate) fn reading(data_dir: &Path, error: JournalError) -> Self {
        match error {
            JournalError::Format(FormatError::Version(_)) => {
                Self::OtherVersion(data_dir.to_owned(), Box::new(error))
            }
            error => Self::Damaged(data_dir.to_owned(), Box::new(error)),
        }
    }

    fn of_log(data_dir: &Path, error: repartee_log::OpenError) -> Self {
        let data_dir = data_dir.to_owned();
        match error {
            repartee_log::OpenError::Io(_, error) => Self::Directory(data_dir, error),
            repartee_log::OpenError::InUse(_) => Self::InUse(data_dir),
            repartee_log::OpenError::Version { .. } => Self::OtherVersion(data_dir, Box::new(error)),
            repartee_log::OpenError::Unacknowledged(fault) => Self::Unacknowledged(data_dir, Box::new(fault)),
            repartee_log::OpenError::Damaged(_)
            | repartee_log::OpenError::Missing(_)
            | repartee_log::OpenError::Setting { .. } => Self::Damaged(data_dir, Box::new(error)),
        }
    }
}

/// How far making up the index is: bytes of the log that were read, and of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// Opens the store of a data directory, and creates it at the first start.
///
/// # Errors
/// See [`OpenError`].
pub fn open(data_dir: &Path, durability: Durability, tally: &Tally) -> Result<LogJournal, OpenError> {
    let options = prepare(data_dir, durability)?;
    let writer = FileWriter::open(&options).map_err(|error| OpenError::of_log(data_dir, error))?;
    open_on(Box::new(writer), data_dir, durability, tally, &mut |_, _| {})
}

/// The same if there is one.
///
/// # Errors
/// See [`OpenError`]; `Directory` if there is none.
pub fn open_existing(
    data_dir: &Path,
    durability: Durability,
    tally: &Tally,
) -> Result<LogJournal, OpenError> {
    exists(data_dir)?;
    open(data_dir, durability, tally)
}

/// Makes the index of a data directory anew from its log.
///
/// # Errors
/// See [`OpenError`]; `Directory` if there is none.
pub fn rebuild_index(
    data_dir: &Path,
    durability: Durability,
    progress: Progress<'_>,
) -> Result<LogJournal, OpenError> {
    exists(data_dir)?;
    let options = prepare(data_dir, durability)?;
    let writer = FileWriter::open(&options).map_err(|error| OpenError::of_log(data_dir, error))?;
    match fs::remove_dir_all(data_dir.join(INDEX)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(OpenError::Directory(data_dir.to_owned(), error));
        }
        Ok(()) | Err(_) => {}
    }
    open_on(Box::new(writer), data_dir, durability, &Tally::default(), progress)
}

/// Takes the log of a data directory as it is: a copy that was put back, or one whose end was lost. It gets a new name, so
/// that nobody goes on reading what is not there any more. Says what it was called before.
///
/// # Errors
/// See [`OpenError`]; `Directory` if there is none.
pub fn adopt(
    data_dir: &Path,
    durability: Durability,
    progress: Progress<'_>,
) -> Result<(LogJournal, String), OpenError> {
    exists(data_dir)?;
    let options = prepare(data_dir, durability)?;
    let adopted = FileWriter::adopt(&options).map_err(|error| OpenError::of_log(data_dir, error))?;
    let before = adopted.before.to_string();
    Ok((open_on(Box::new(adopted.writer), data_dir, durability, &Tally::default(), progress)?, before))
}

fn exists(data_dir: &Path) -> Result<(), OpenError> {
    let found = fs::metadata(data_dir.join(LOG)).or_else(|_| fs::metadata(data_dir.join(BEFORE)));
    found.map(drop).map_err(|error| OpenError::Directory(data_dir.to_owned(), error))
}

/// Looks at the directory before anything in it is opened.
fn prepare(data_dir: &Path, durability: Durability) -> Result<Options, OpenError> {
    let unusable = |error| OpenError::Directory(data_dir.to_owned(), error);
    private_file::create_folder(data_dir).map_err(unusable)?;
    if data_dir.join(BEFORE).exists() {
        return Err(OpenError::Before(data_dir.to_owned()));
    }
    check_privacy(data_dir)?;
    private_file::create_folder(&data_dir.join(LOG)).map_err(unusable)?;
    // The names of the folders have to be durable too.
    File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(unusable)?;
    sync_parent(data_dir).map_err(unusable)?;
    let durability = match durability {
        Durability::Power => repartee_log::Durability::Power,
        Durability::Process => repartee_log::Durability::Process,
    };
    Ok(Options { durability, ..Options::new(data_dir.join(LOG)) })
}

fn open_on(
    writer: Box<dyn LogWriter>,
    data_dir: &Path,
    durability: Durability,
    tally: &Tally,
    progress: Progress<'_>,
) -> Result<LogJournal, OpenError> {
    let unreadable = |error| OpenError::reading(data_dir, error);
    let log = writer.log();
    check_version(&*log).map_err(unreadable)?;
    let (index, from) = open_index(data_dir, durability, &*log, tally)?;
    let store = Store::new(log, index);
    store.catch_up(from, tally, progress).map_err(unreadable)?;
    LogJournal::start(writer, store).map_err(|error| OpenError::Directory(data_dir.to_owned(), error))
}

/// Refuses a log that another version wrote before anything is made of it.
fn check_version(log: &dyn Log) -> Result<(), JournalError> {
    if let Some(newest) = log.read_back(log.end().place, 1)?.pop() {
        LogCommit::parse(newest)?;
    }
    Ok(())
}

/// The index, and the place from which on the log is not in it. One that is damaged, or of another log, is set aside: it is
/// derived.
fn open_index(
    data_dir: &Path,
    durability: Durability,
    log: &dyn Log,
    tally: &Tally,
) -> Result<(Index, Place), OpenError> {
    let folder = data_dir.join(INDEX);
    let unusable = |error| OpenError::Directory(data_dir.to_owned(), error);
    for _ in 0..2 {
        let why = match SledRows::open(&folder, durability) {
            Err(Unusable::InUse) => return Err(OpenError::InUse(data_dir.to_owned())),
            Err(Unusable::Io(error)) => return Err(unusable(error)),
            Err(Unusable::Damaged(why)) => why,
            Ok(rows) => {
                let index = Index::new(Some(rows));
                match index.checkpoint(log.epoch(), tally) {
                    Ok(Some(checkpoint)) if stands(log, checkpoint) => return Ok((index, checkpoint.place)),
                    Ok(None) if index.is_empty() => return Ok((index, log.begin().place)),
                    Ok(_) => "it is of another log, or of another version".to_owned(),
                    Err(error) => repartee_process::error_chain(&error),
                }
            }
        };
        let aside = set_aside(&folder).map_err(unusable)?;
        tracing::warn!(why, aside = %aside.display(), "the index cannot be used and is made anew from the log");
    }
    Err(unusable(io::Error::other("a new index cannot be used either")))
}

/// Whether the log went through this point.
fn stands(log: &dyn Log, checkpoint: Checkpoint) -> bool {
    if checkpoint.place == log.begin().place {
        return checkpoint.check == log.begin().check;
    }
    let before = log.read_back(checkpoint.place, 1);
    before.is_ok_and(|records| {
        records.last().is_some_and(|last| last.next == checkpoint.place && last.check == checkpoint.check)
    })
}

impl Store {
    /// Folds the commits that the index does not have, from a place on, and erases again what they erased.
    fn catch_up(&self, from: Place, tally: &Tally, progress: Progress<'_>) -> Result<(), JournalError> {
        let shared = &self.0;
        let (log, index) = (&shared.log, &shared.index);
        let total = log.bytes();
        let (mut place, mut done) = (from, 0);
        let mut newest = None;
        let dropped = log.begin().dropped;
        loop {
            tally.count_read();
            let records = log.read(place, PIECE)?;
            if records.is_empty() {
                break;
            }
            for record in records {
                let (next, check) = (record.next, record.check);
                let at = At { place: record.place, last: record.last(), dropped };
                done += next.to_u64().saturating_sub(record.place.to_u64()).min(u64::from(u32::MAX));
                let commit = LogCommit::parse(record)?;
                let Folded { ops, erase } = fold(index, &commit.head, at, Seen::Perhaps, tally)?;
                shared.erase.lock().extend(erase);
                index.apply(ops, Checkpoint { place: next, check });
                newest = Some(commit.head.data_bytes);
                place = next;
            }
            if index.is_large() {
                index.settle(log.epoch(), || shared.erase_due())?;
            }
            progress(done.min(total), total);
        }
        shared.erase_due()?;
        self.read_beginning(tally)?;
        let bytes = match newest {
            Some(bytes) => bytes,
            None => self.newest_bytes(tally)?,
        };
        shared.data_bytes.store(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn newest_bytes(&self, tally: &Tally) -> Result<u64, JournalError> {
        let log = &self.0.log;
        tally.count_read();
        let newest = log.read_back(log.end().place, 1)?.pop().map(LogCommit::parse).transpose()?;
        Ok(newest.map_or(0, |commit| commit.head.data_bytes))
    }

    fn read_beginning(&self, tally: &Tally) -> Result<(), JournalError> {
        if let Some(row) = self.0.index.get(Key::Begins, tally)? {
            *self.0.begins.write() = decode::<StoredBeginning>(&row)?.beginning();
        }
        Ok(())
    }
}

/// Makes the name of the data directory itself durable.
fn sync_parent(data_dir: &Path) -> io::Result<()> {
    match std::path::absolute(data_dir)?.parent() {
        // Whoever may not read the folder above did not create the directory in it.
        Some(parent) => match File::open(parent) {
            Ok(folder) => folder.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            Err(error) => Err(error),
        },
        None => Ok(()),
    }
}

/// Refuses what leads out of the directory, before it is followed. What others may look into is said, once, and left as it
/// is. sled keeps what is too large for its file in `blobs`.
fn check_privacy(data_dir: &Path) -> Result<(), OpenError> {
    let mut seen = private_file::Survey::default();
    for (folder, inner) in [(data_dir.to_owned(), &[LOG][..]), (data_dir.join(INDEX), &["blobs"])] {
        // What leads elsewhere is not looked into.
        if !seen.strange.is_empty() {
            break;
        }
        match private_file::survey(&folder, inner) {
            Ok(survey) => {
                seen.strange.extend(survey.strange);
                seen.wider.extend(survey.wider);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenError::Directory(data_dir.to_owned(), error)),
        }
    }
    if let Some(strange) = seen.strange.into_iter().next() {
        return Err(OpenError::Strange(strange));
    }
    seen.wider.dedup();
    if !seen.wider.is_empty() {
        let more = seen.wider.len().saturating_sub(WIDER_NAMED);
        let named = seen.wider.iter().take(WIDER_NAMED);
        let named: Vec<_> = named.map(|(path, mode)| format!("{} ({mode:04o})", path.display())).collect();
        tracing::warn!(
            wider = named.join(", "),
            more,
            "others than the owner may look into the data: texts, leases and secrets; chmod -R go= takes that away"
        );
    }
    Ok(())
}

#[cfg(test)]
impl LogJournal {
    /// A journal on a log that is kept elsewhere, with an index in memory.
    pub(super) fn on(writer: Box<dyn LogWriter>) -> Self {
        let store = Store::new(writer.log(), Index::new(None));
        let from = store.0.log.begin().place;
        store.catch_up(from, &Tally::default(), &mut |_, _| {}).expect("it is whole");
        Self::start(writer, store).expect("the system gives a thread")
    }
}
