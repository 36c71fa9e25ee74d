//! The rows that sled keeps, in a folder of their own.

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use sled::{Batch, Db, IVec};

use super::KeyRange;
use crate::journal::{Durability, JournalError};

/// Fixed when the index is created; smaller segments leak files for values over 16 KB.
const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// sled's own cache. The service has one of its own, sled's serves the writer and rare reads.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Rows that are written together. Many more pin a version of each page that they replace.
const PIECE: usize = 256;

/// Why the rows cannot be opened.
#[derive(Debug)]
pub(in crate::journal) enum Unusable {
    /// Another process has them.
    InUse,
    /// The folder cannot be used, or the disk refuses.
    Io(io::Error),
    /// What is in the folder is not what was written. It is derived: it can be made anew.
    Damaged(String),
}

/// An open folder of rows.
pub(in crate::journal) struct SledRows {
    db: Db,
    /// sled's file, to make it durable; absent if that is not asked for.
    file: Option<File>,
}

impl SledRows {
    /// Opens the rows in a folder, and creates it if it is missing.
    pub(in crate::journal) fn open(folder: &Path, durability: Durability) -> Result<Self, Unusable> {
        repartee_process::private_file::create_folder(folder).map_err(Unusable::Io)?;
        let config = sled::Config::new()
            .path(folder)
            .segment_size(SEGMENT_BYTES)
            .cache_capacity(CACHE_BYTES)
            // What is to be durable is flushed by whoever writes it.
            .flush_every_ms(None)
            .use_compression(false);
        // sled may panic if its files are damaged.
        let db = match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => db,
            Ok(Err(error)) if in_use(&error) => return Err(Unusable::InUse),
            Ok(Err(sled::Error::Io(error))) if refused_by_disk(&error) => return Err(Unusable::Io(error)),
            Ok(Err(error)) => return Err(Unusable::Damaged(error.to_string())),
            Err(_) => {
                return Err(Unusable::Damaged(
                    "the storage engine gave up while reading its files".to_owned(),
                ));
            }
        };
        let file = match durability {
            Durability::Power => {
                let file = fs::OpenOptions::new().write(true).open(folder.join("db"));
                let synced = file.and_then(|file| {
                    file.sync_all()?;
                    File::open(folder)?.sync_all()?;
                    Ok(file)
                });
                Some(synced.map_err(Unusable::Io)?)
            }
            Durability::Process => None,
        };
        Ok(Self { db, file })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.db.is_empty()
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<IVec>, JournalError> {
        Ok(self.db.get(key)?)
    }

    pub(super) fn range(&self, range: KeyRange) -> sled::Iter {
        self.db.range::<Vec<u8>, _>(range)
    }

    /// Writes rows, in the order in which they come, and makes them durable. Says how many.
    pub(super) fn write(
        &self,
        mut rows: impl Iterator<Item = (Vec<u8>, Option<IVec>)>,
    ) -> Result<u64, JournalError> {
        let mut written = 0;
        loop {
            let (mut batch, mut count) = (Batch::default(), 0);
            for (key, value) in rows.by_ref().take(PIECE) {
                count += 1;
                match value {
                    Some(value) => batch.insert(key, value),
                    None => batch.remove(key),
                }
            }
            if count == 0 {
                break;
            }
            self.db.apply_batch(batch)?;
            written += count;
        }
        self.sync()?;
        Ok(written)
    }

    fn sync(&self) -> Result<(), JournalError> {
        self.db.flush()?;
        let synced = self.file.as_ref().map_or(Ok(()), File::sync_data);
        synced.map_err(|error| JournalError::Sync(Arc::new(error)))
    }
}

/// Sets a folder of rows aside, in place of one that was set aside before, so that a new one can be made.
///
/// # Errors
/// If the folder cannot be renamed.
pub(in crate::journal) fn set_aside(folder: &Path) -> io::Result<PathBuf> {
    let mut aside = folder.as_os_str().to_owned();
    aside.push(".damaged");
    let aside = PathBuf::from(aside);
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::rename(folder, &aside)?;
    Ok(aside)
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
