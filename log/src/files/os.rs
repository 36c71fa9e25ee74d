//! The real file system. Files are for their owner only, and no symbolic link is followed.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, OFlags, fallocate},
    io::Errno,
};

use super::{
    Durability,
    blocks::{BLOCK, Blocks},
    disk::{Access, Disk, DiskFile},
};
use crate::error::OpenError;

/// Held by whoever has the folder.
const LOCK: &str = "lock";
/// What the first look at the file system leaves behind if it is killed.
const PROBE: &str = "probe.tmp";

/// A folder that is locked until the last file of it is closed.
#[derive(Debug)]
pub(super) struct OsDisk {
    folder: PathBuf,
    writing: Writing,
    _lock: File,
}

/// How a commit is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// Past the page cache, synced by the write itself.
    Direct,
    /// To the page cache, then synced.
    Synced,
    /// To the page cache.
    Cached,
}

#[derive(Debug)]
struct OsFile {
    file: File,
    syncs_writes: bool,
}

impl OsDisk {
    /// Opens a folder, and makes it if it is missing.
    pub(super) fn open(folder: &Path, durability: Durability) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::Io(folder.to_owned(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let lock = private(0).write(true).create(true).open(folder.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse(folder.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        sync_parent(folder).map_err(unusable)?;
        let writing = match durability {
            Durability::Process => Writing::Cached,
            Durability::Power if takes_direct_writes(folder).map_err(unusable)? => Writing::Direct,
            Durability::Power => {
                tracing::info!(log = %folder.display(), "no direct writes on this file system; commits are synced one by one");
                Writing::Synced
            }
        };
        Ok(Self { folder: folder.to_owned(), writing, _lock: lock })
    }
}

/// Options of a file for its owner, that is no link.
fn private(flags: u32) -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags((OFlags::NOFOLLOW.bits() | flags).cast_signed());
    options
}

/// The name of the folder has to be durable as well. Whoever may not read the folder above did not make this one.
fn sync_parent(folder: &Path) -> io::Result<()> {
    match std::path::absolute(folder)?.parent().map(File::open) {
        Some(Ok(parent)) => parent.sync_all(),
        Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        Some(Err(_)) | None => Ok(()),
    }
}

/// Some file systems refuse direct writes when a file is opened, some when it is written.
fn takes_direct_writes(folder: &Path) -> io::Result<bool> {
    let path = folder.join(PROBE);
    let direct = (OFlags::DIRECT | OFlags::DSYNC).bits();
    let written = private(direct)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .and_then(|file| file.write_all_at(Blocks::zeroed(BLOCK).bytes(), 0));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    match written.map_err(|error| (Errno::from_io_error(&error), error)) {
        Ok(()) => Ok(true),
        Err((Some(Errno::INVAL | Errno::OPNOTSUPP), _)) => Ok(false),
        Err((_, error)) => Err(error),
    }
}

impl Disk for OsDisk {
    fn names(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        names.filter_map(Result::transpose).collect()
    }

    fn create(&self, name: &str) -> io::Result<()> {
        private(0).write(true).create(true).truncate(true).open(self.folder.join(name)).map(drop)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let flags = match (access, self.writing) {
            (Access::Blocks, Writing::Direct) => OFlags::DIRECT,
            (Access::Commit, Writing::Direct) => OFlags::DIRECT | OFlags::DSYNC,
            (Access::Blocks | Access::Commit, Writing::Synced | Writing::Cached)
            | (Access::Read | Access::Small, _) => OFlags::empty(),
        };
        let writes = access != Access::Read;
        let file = private(flags.bits()).read(true).write(writes).open(self.folder.join(name))?;
        let syncs_writes = access == Access::Commit && self.writing == Writing::Synced;
        Ok(Arc::new(OsFile { file, syncs_writes }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.folder.join(name))
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)?;
        if self.syncs_writes { self.file.sync_data() } else { Ok(()) }
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn allocate(&self, from: u64, bytes: u64) -> io::Result<bool> {
        match fallocate(&self.file, FallocateFlags::empty(), from, bytes) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
