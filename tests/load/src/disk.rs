//! What the disk can do: groups of records appended to a file that has its length already, each group made durable with
//! `fdatasync` before the next. No store that keeps its word is faster with groups of this size: a file that still grows
//! has to sync its length too.

use std::{
    fs::File,
    io::{self, Seek as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use crate::latency::{Latencies, Quantiles};

/// Length of the file; at its end writing begins anew.
const LENGTH: usize = 64 * 1024 * 1024;

/// What was measured with one size of groups.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appends {
    /// Records in a second.
    pub(crate) per_second: f64,
    /// How long one group took.
    pub(crate) group: Quantiles,
}

/// Appends groups of `records` records of `bytes` bytes for `time`, in a file of its own in `folder`. Blocks.
///
/// # Errors
/// Where the file cannot be written.
pub(crate) fn appends(folder: &Path, records: u32, bytes: u32, time: Duration) -> io::Result<Appends> {
    let group = vec![0x5a_u8; records as usize * bytes as usize];
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&vec![0; LENGTH])?;
    file.sync_all()?;
    let (mut latencies, mut written) = (Latencies::new(), LENGTH);
    let begun = Instant::now();
    while begun.elapsed() < time || latencies.count() == 0 {
        if written + group.len() > LENGTH {
            file.rewind()?;
            written = 0;
        }
        let at = Instant::now();
        append(&mut file, &group)?;
        latencies.record(at.elapsed());
        written += group.len();
    }
    let per_second = latencies.count() as f64 * f64::from(records) / begun.elapsed().as_secs_f64();
    Ok(Appends { per_second, group: latencies.quantiles() })
}

fn append(file: &mut File, group: &[u8]) -> io::Result<()> {
    file.write_all(group)?;
    file.sync_data()
}
