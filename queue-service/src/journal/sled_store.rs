//! The embedded journal: sled on a local disk.

mod feed;
mod kept;
mod read;
mod work;

pub(super) use read::all;

pub use feed::{Changes, Posts};
pub use work::WorkRows;

use std::{
    fs::{File, TryLockError},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use metrics::Histogram;
use parking_lot::RwLock;
use repartee_process::private_file;
use serde::Serialize;
use sled::{Batch, Db};

use super::{
    Commit, FormatError, Journal, JournalError, Tally, appended,
    data_size::DataSize,
    keys::Key,
    runs::Gathered,
    sled_log,
    stored::{StoredMeta, decode, encode},
    sweep::Beginning,
};
use crate::domain::Ids;

/// Fixed when the store is created; smaller segments leak files for values over 16 KB.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;

/// sled's own cache; the service has one of its own, sled's serves the writer and rare reads.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;

/// Most paths that one warning names.
const WIDER_NAMED: usize = 16;

/// How safe an acknowledged write is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// It survives a power cut: the log file is synced to the device.
    Power,
    /// It survives the end of the process: the data is with the kernel.
    Process,
}

/// The store could not be opened. No file was deleted but drafts; sled blanks what it takes for an unfinished write at
/// the end of the log.
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
    /// The store is sound, and of another version of this program.
    #[error("the store in {0} was written by another version of this program, and nothing was changed")]
    OtherVersion(PathBuf, #[source] JournalError),
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
            JournalError::Format(FormatError::Version(_)) => Self::OtherVersion(data_dir.to_owned(), error),
            JournalError::Storage(_)
            | JournalError::Sync(_)
            | JournalError::Gap(_)
            | JournalError::Format(_) => Self::Damaged(data_dir.to_owned(), Box::new(error)),
        }
    }
}

/// The store; cheap to clone. Any clone may read, one writer appends.
#[derive(Clone)]
pub struct SledStore {
    db: Db,
    /// sled's log file, to make it durable; absent with [`Durability::Process`].
    log: Option<Arc<File>>,
    epoch: Arc<str>,
    ids: Ids,
    /// Shared with readers; only the writer changes it.
    pub(super) gathered: Arc<RwLock<Gathered>>,
    /// Shared with readers; only the writer moves it, before the rows go.
    pub(super) begins: Arc<RwLock<Beginning>>,
    /// Shared with readers; only the writer changes it.
    pub(super) size: Arc<RwLock<DataSize>>,
    /// How long commits took to be durable once they were written.
    sync_seconds: Histogram,
}

impl SledStore {
    /// Opens the store of a data directory, and creates it at the first start.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(data_dir: &Path, durability: Durability, tally: &Tally) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::Directory(data_dir.to_owned(), error);
        private_file::create_folder(data_dir).map_err(unusable)?;
        check_privacy(data_dir)?;
        check(data_dir, durability)?;
        let db = open_sled(data_dir)?;
        // The names of the files have to be durable too.
        let log = Arc::new(sled_log::open_log(data_dir).map_err(unusable)?);
        log.sync_all().map_err(unusable)?;
        File::open(data_dir).and_then(|folder| folder.sync_all()).map_err(unusable)?;
        sync_parent(data_dir).map_err(unusable)?;
        let meta = read_or_draw_meta(&db, &log).map_err(|error| OpenError::reading(data_dir, error))?;
        let key = meta.id_key.try_into();
        let key = key.map_err(|_| OpenError::reading(data_dir, FormatError::Field("id_key").into()))?;
        let store = Self {
            db,
            log: (durability == Durability::Power).then_some(log),
            epoch: meta.epoch.into(),
            ids: Ids::new(key),
            gathered: Arc::default(),
            begins: Arc::default(),
            size: Arc::default(),
            sync_seconds: metrics::histogram!("repartee_commit_sync_seconds"),
        };
        let read = store
            .read_beginning(tally)
            .and_then(|()| store.index_kept(tally))
            .and_then(|()| store.read_data_size(tally))
            .and_then(|()| store.gather(tally));
        read.map_err(|error| OpenError::reading(data_dir, error))?;
        Ok(store)
    }

    /// Opens the store of a data directory where there is one.
    ///
    /// # Errors
    /// See [`OpenError`]; `Directory` where there is none.
    pub fn open_existing(data_dir: &Path, durability: Durability, tally: &Tally) -> Result<Self, OpenError> {
        std::fs::metadata(data_dir.join("db"))
            .map_err(|error| OpenError::Directory(data_dir.to_owned(), error))?;
        Self::open(data_dir, durability, tally)
    }

    /// Reads all rows, whatever they hold, and counts them.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn count_rows(&self) -> Result<u64, JournalError> {
        self.db.iter().try_fold(0, |count, row| row.map(|_| count + 1).map_err(JournalError::from))
    }

    /// Names this log; new only where the store is new.
    pub fn epoch(&self) -> &Arc<str> {
        &self.epoch
    }

    /// The ids of this log's messages.
    pub fn ids(&self) -> &Ids {
        &self.ids
    }

    /// Gives the log a new name, for what it holds may not be what the old name stood for.
    pub(super) fn name_anew(&mut self) -> Result<(), JournalError> {
        let key = Key::Meta.to_bytes();
        let row = self.db.get(&key)?.ok_or(FormatError::Field("epoch"))?;
        let meta = StoredMeta { epoch: new_epoch(), ..decode(&row)? };
        self.db.insert(key, encode(&meta))?;
        self.epoch = meta.epoch.into();
        self.sync()
    }

    /// Puts something into a row that nobody can read.
    #[cfg(test)]
    pub(super) fn spoil(&self, key: Key) {
        self.db.insert(key.to_bytes(), &[0xff]).expect("sled takes it");
    }

    /// Writes one row, durably.
    pub(super) fn put(&self, key: Key, value: Vec<u8>) -> Result<(), JournalError> {
        self.db.insert(key.to_bytes(), value)?;
        self.sync()
    }

    fn sync(&self) -> Result<(), JournalError> {
        self.db.flush()?;
        match &self.log {
            Some(log) => log.sync_data().map_err(|error| JournalError::Sync(Arc::new(error))),
            None => Ok(()),
        }
    }
}

impl Journal for SledStore {
    fn append(&mut self, commit: &Commit, tally: &Tally) -> Result<(), JournalError> {
        if let Some(sweep) = &commit.sweep {
            // First of all: whoever finds a row gone finds that the log begins after it.
            *self.begins.write() = sweep.begins;
            self.gathered.write().forget(&sweep.gone);
        }
        let (left, mut size) = (self.left_by(commit, tally)?, *self.size.read());
        let mut rows = appended::rows(commit, left, &mut size);
        let runs = self.gathered.read().next(&commit.changes);
        rows.extend(runs.rows().map(|(key, value)| (key, Some(value))));
        tally.count_writes(rows.len() as u64);
        let mut batch = Batch::default();
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(key.to_bytes(), value),
                None => batch.remove(key.to_bytes()),
            }
        }
        self.db.apply_batch(batch)?;
        let began = Instant::now();
        self.sync()?;
        self.sync_seconds.record(began.elapsed());
        self.gathered.write().committed(runs, &commit.changes);
        *self.size.write() = size;
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

/// Refuses what leads out of the directory, before sled follows it: sled opens its files by name. What others may look
/// into is said, once, and left as it is. sled keeps what is too large for its log in `blobs`.
fn check_privacy(data_dir: &Path) -> Result<(), OpenError> {
    let seen = private_file::survey(data_dir, &["blobs"])
        .map_err(|error| OpenError::Directory(data_dir.to_owned(), error))?;
    if let Some(strange) = seen.strange.into_iter().next() {
        return Err(OpenError::Strange(strange));
    }
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

/// Refuses a damaged log before sled makes the damage larger, and removes what sled would mistake for damage.
fn check(data_dir: &Path, durability: Durability) -> Result<(), OpenError> {
    let unusable = |error| OpenError::Directory(data_dir.to_owned(), error);
    let log = match sled_log::open_log(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        log => log.map_err(unusable)?,
    };
    // The lock that sled takes: nobody writes while this looks.
    match log.try_lock() {
        Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(data_dir.to_owned())),
        locked => locked.map_err(|error| unusable(error.into()))?,
    }
    sled_log::remove_drafts(data_dir).map_err(unusable)?;
    sled_log::check(data_dir, SEGMENT_BYTES, durability == Durability::Power)
        .map_err(|error| OpenError::Damaged(data_dir.to_owned(), Box::new(error)))
}

/// sled may panic where its files are damaged, so the panic is caught and said as an error.
fn open_sled(data_dir: &Path) -> Result<Db, OpenError> {
    let config = sled::Config::new()
        .path(data_dir)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(CACHE_BYTES)
        .use_compression(false);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(error)) if in_use(&error) => Err(OpenError::InUse(data_dir.to_owned())),
        Ok(Err(sled::Error::Io(error))) if refused_by_disk(&error) => {
            Err(OpenError::Directory(data_dir.to_owned(), error))
        }
        Ok(Err(error)) => Err(OpenError::Damaged(data_dir.to_owned(), Box::new(error))),
        Err(_) => {
            let error = io::Error::other("the storage engine gave up while reading its files");
            Err(OpenError::Damaged(data_dir.to_owned(), Box::new(error)))
        }
    }
}

/// What is no damage: the same files can be opened once there is room, or the right to write.
fn refused_by_disk(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

/// sled reports a lock that is held as an I/O error of one of two kinds.
fn in_use(error: &sled::Error) -> bool {
    match error {
        sled::Error::Io(error) => {
            error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
        }
        _ => false,
    }
}

fn read_or_draw_meta(db: &Db, log: &File) -> Result<StoredMeta, JournalError> {
    let key = Key::Meta.to_bytes();
    if let Some(row) = db.get(&key)? {
        return Ok(decode(&row)?);
    }
    let meta = StoredMeta { epoch: new_epoch(), id_key: rand::random::<[u8; 16]>().to_vec() };
    db.insert(key, encode(&meta))?;
    db.flush()?;
    log.sync_data().map_err(|error| JournalError::Sync(Arc::new(error)))?;
    Ok(meta)
}

fn new_epoch() -> String {
    hex::encode(rand::random::<[u8; 8]>())
}
