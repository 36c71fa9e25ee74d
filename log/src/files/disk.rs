//! What the log needs of a file system. One implementation is the real one, another is a model in the tests that loses what
//! was not synced.

use std::{fmt, io, sync::Arc};

/// How a file is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It is read.
    Read,
    /// Small pieces are written, and durable after a sync.
    Small,
    /// Whole blocks are written, and durable after a sync.
    Blocks,
    /// Whole blocks are written, and as durable as a commit has to be when the write returns.
    Commit,
}

/// A folder of files.
pub(super) trait Disk: Send + Sync + fmt::Debug {
    /// The names of all files.
    fn names(&self) -> io::Result<Vec<String>>;
    /// Makes an empty file; one that is there is emptied.
    fn create(&self, name: &str) -> io::Result<()>;
    /// Opens a file that is there.
    fn open(&self, name: &str, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file over another, if there is one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes durable which names there are.
    fn sync(&self) -> io::Result<()>;
}

/// A file. Offsets and lengths are in bytes, and for [`Access::Blocks`] and [`Access::Commit`] in whole blocks.
pub(super) trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads until the buffer is full or the file ends, and says how much it was.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all of it.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes durable what was written to this file, by whatever handle.
    fn sync(&self) -> io::Result<()>;
    /// The length.
    fn length(&self) -> io::Result<u64>;
    /// Cuts it off, or makes it longer with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Reserves space, and makes the file so much longer. `false` if this file system cannot: then only writing tells.
    fn allocate(&self, from: u64, bytes: u64) -> io::Result<bool>;
}
