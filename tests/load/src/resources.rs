//! What processes take from the machine, read from `/proc` (proc(5)). Zero where a process is gone.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::task::JoinHandle;

/// What one process has taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Taken {
    /// Time on a core, user and system together, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Resident now, in bytes.
    pub(crate) resident: u64,
    /// The most that was resident, in bytes.
    pub(crate) peak: u64,
}

/// Reads what a process has taken.
pub(crate) fn taken(pid: u32) -> Taken {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let status = read("status");
    let ticks = cpu_ticks(&read("stat")) as f64;
    Taken {
        cpu_seconds: ticks / rustix::param::clock_ticks_per_second() as f64,
        resident: kib(&status, "VmRSS:") * 1024,
        peak: kib(&status, "VmHWM:") * 1024,
    }
}

/// Forgets the most that was resident in a process, so that the next look shows the most from now on.
pub(crate) fn reset_peak(pid: u32) {
    // proc(5): 5 resets VmHWM. If the process is gone there is nothing to forget.
    let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Fields 14 and 15 of `stat`; the second field is the name in brackets, which may hold anything.
fn cpu_ticks(stat: &str) -> u64 {
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    behind_name.split_ascii_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

fn kib(status: &str, field: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// Number of cores, the processor's name, memory, the load of the last minute, and the kernel: under which conditions
/// was measured.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (info, memory) = (read("/proc/cpuinfo"), kib(&read("/proc/meminfo"), "MemTotal:") >> 20);
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cores} cores ({}), {memory} GiB, Linux {}",
        model.trim_start_matches([' ', '\t', ':']).trim(),
        kernel.trim()
    )
}

/// The load averages of the last 1, 5 and 15 minutes.
pub(crate) fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Bytes that the files of a folder take on the disk.
pub(crate) fn on_disk(folder: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => on_disk(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}

/// Looks every second at what a folder takes on the disk.
pub(crate) struct DiskWatch {
    mib: Arc<Mutex<Vec<f64>>>,
    task: JoinHandle<()>,
}

impl DiskWatch {
    pub(crate) fn start(folder: PathBuf) -> Self {
        let mib = Arc::<Mutex<Vec<f64>>>::default();
        let noted = Arc::clone(&mib);
        let task = tokio::spawn(async move {
            let mut look = tokio::time::interval(Duration::from_secs(1));
            loop {
                look.tick().await;
                noted.lock().push(on_disk(&folder) as f64 / (1024.0 * 1024.0));
            }
        });
        Self { mib, task }
    }

    /// What it has seen.
    pub(crate) fn end(self) -> Vec<f64> {
        self.task.abort();
        std::mem::take(&mut self.mib.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::{cpu_ticks, kib, taken};

    #[test]
    fn cpu_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 100 0 0 0 30 12 0 0 20 0 4 0 100 1 1";
        assert_eq!(cpu_ticks(stat), 42);
    }

    #[test]
    fn memory_is_read_in_kib() {
        assert_eq!(kib("VmPeak:\t  9 kB\nVmRSS:\t   123 kB\n", "VmRSS:"), 123);
        assert_eq!(kib("", "VmRSS:"), 0);
    }

    #[test]
    fn a_running_process_takes_memory_and_one_that_is_gone_takes_none() {
        let own = taken(std::process::id());
        assert!(own.resident > 0 && own.peak >= own.resident);
        assert_eq!(taken(u32::MAX).resident, 0);
    }
}
