//! How many files and sockets the system lets this process have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept free of connections: data files, logs, connections to other services.
const RESERVE: u64 = 256;

/// Takes as many as the system allows without asking: its first limit is made for programs that use `select`.
pub fn take_all() {
    let limit = getrlimit(Resource::Nofile);
    let all = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, all)
    {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// At most `wanted` connections, and no more than there are open files for. A process that has none left could not
/// even say no.
pub(crate) fn connections(wanted: u32) -> u32 {
    let Some(files) = getrlimit(Resource::Nofile).current else { return wanted };
    let possible = possible(files);
    if wanted > possible {
        tracing::warn!(
            wanted,
            possible,
            open_files = files,
            "the limit of open files allows fewer connections"
        );
    }
    wanted.min(possible)
}

fn possible(files: u64) -> u32 {
    // Where there are very few, half of them.
    u32::try_from(files.saturating_sub(RESERVE).max(files / 2)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::possible;

    #[test]
    fn some_files_are_kept_free_of_connections() {
        let cases = [(0, 1), (100, 50), (512, 256), (1_024, 768), (1 << 40, u32::MAX)];
        assert_eq!(cases.map(|(files, _)| possible(files)), cases.map(|(_, connections)| connections));
    }
}
