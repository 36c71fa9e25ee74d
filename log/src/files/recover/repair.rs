//! What is changed once the log was found whole.

use std::io;

use super::{Unacknowledged, newest::Found, read_some};
use crate::files::{
    blocks::{BLOCK, Blocks, Tail, block_end, block_start},
    disk::{Access, Disk, DiskFile},
    header::{HEADER_BYTES, Header, file_name, index_name},
};

/// Bytes that are looked at at once.
const AT_ONCE: u64 = 1 << 20;

/// Removes segments that were dropped before.
pub(super) fn remove(disk: &dyn Disk, dropped: impl Iterator<Item = u32>) -> io::Result<()> {
    for ordinal in dropped {
        disk.remove(&file_name(ordinal))?;
        match disk.remove(&index_name(ordinal)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Writes zeros over what a crash left behind the end, and what was written last once more: after a sync that failed the
/// page cache may show what the disk does not have.
pub(super) fn mend(
    disk: &dyn Disk,
    read: &dyn DiskFile,
    header: &Header,
    found: &Found,
    how: Unacknowledged,
) -> io::Result<()> {
    let file = disk.open(&file_name(header.ordinal), Access::Blocks)?;
    let from = block_start(found.last_record.min(found.acknowledged).max(HEADER_BYTES));
    let bytes = read_some(read, from, found.at)?;
    let mut blocks = Blocks::zeroed((block_end(found.at) - from) as usize);
    blocks.bytes_mut()[..bytes.len()].copy_from_slice(&bytes);
    if !blocks.bytes().is_empty() {
        file.write_at(blocks.bytes(), from)?;
    }
    let end = block_end(found.at);
    if how == Unacknowledged::Adopt {
        // Nothing is written to it any more.
        file.set_length(end)?;
    } else {
        blank(read, &*file, end)?;
        file.set_length(file.length()?.next_multiple_of(BLOCK as u64))?;
    }
    if found.cut.is_torn {
        let file = file_name(header.ordinal);
        tracing::info!(
            file,
            offset = found.at,
            whole = found.cut.records,
            "cut off what was not whole at the end of the log"
        );
    }
    file.sync()
}

/// Writes zeros over blocks that have something else, to the end of the file.
fn blank(read: &dyn DiskFile, file: &dyn DiskFile, from: u64) -> io::Result<()> {
    let (mut at, length) = (from, read.length()?);
    while at < length {
        let bytes = read_some(read, at, length.min(at + AT_ONCE))?;
        if bytes.iter().any(|byte| *byte != 0) {
            file.write_at(Blocks::zeroed(bytes.len()).bytes(), at)?;
        }
        at += AT_ONCE;
    }
    Ok(())
}

/// The block that the log ends in, for the writer.
pub(super) fn tail(read: &dyn DiskFile, at: u64) -> io::Result<Tail> {
    read_some(read, block_start(at), at).map(|partial| Tail::new(&partial))
}
