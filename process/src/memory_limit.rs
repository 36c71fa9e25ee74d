//! How much memory the process may take, as its control group says: the limit of a container.
//!
//! The files are those of the kernel's "Control Group v2" (`memory.max`) and "Memory Resource Controller" of version 1
//! (`memory.limit_in_bytes`). A limit of a group holds for those below it, so the least on the way up counts.

use std::{fs, path::Path};

use crate::Size;

/// Where the files of groups are, from the root of the file system on.
const OF_VERSION_2: &str = "sys/fs/cgroup";
const OF_VERSION_1: &str = "sys/fs/cgroup/memory";
/// Version 1 says that there is no limit by the largest number of pages, which no machine has.
const NO_LIMIT: u64 = 1 << 60;

/// The memory that this process may take, if its control group has a limit. Blocks.
pub fn memory_limit() -> Option<Size> {
    memory_limit_below(Path::new("/"))
}

/// The same with a file system that begins at `root`.
fn memory_limit_below(root: &Path) -> Option<Size> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let limits = groups.lines().filter_map(|line| {
        let (folder, file, group) = memory_group(line)?;
        least_limit(&root.join(folder), group, file)
    });
    limits.min().map(Size)
}

/// Where the limit of a line of `/proc/self/cgroup` is, `HIERARCHY:CONTROLLERS:GROUP`: the folder of all groups, the file, and
/// the group. `None` if the line is not about memory.
fn memory_group(line: &str) -> Option<(&'static str, &'static str, &str)> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, group) = rest.split_once(':')?;
    if controllers.is_empty() {
        Some((OF_VERSION_2, "memory.max", group))
    } else {
        let is_memory = controllers.split(',').any(|controller| controller == "memory");
        is_memory.then_some((OF_VERSION_1, "memory.limit_in_bytes", group))
    }
}

/// The least limit of a group and of those above it. A container may be told its name outside, which is no folder inside: then
/// the topmost one is its own.
fn least_limit(folder: &Path, group: &str, file: &str) -> Option<u64> {
    let way_up = Path::new(group.trim_start_matches('/')).ancestors();
    let texts = way_up.filter_map(|group| fs::read_to_string(folder.join(group).join(file)).ok());
    texts.filter_map(|text| limit(&text)).min()
}

/// The limit in bytes that a file tells; `None` if there is none.
fn limit(text: &str) -> Option<u64> {
    // `max` is no number.
    text.trim().parse().ok().filter(|bytes| *bytes < NO_LIMIT)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use tempfile::TempDir;

    use super::{limit, memory_limit_below};
    use crate::Size;

    /// A file system of these files.
    fn root(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn found(files: &[(&str, &str)]) -> Option<Size> {
        memory_limit_below(root(files).path())
    }

    #[test]
    fn a_file_tells_bytes_or_that_there_is_no_limit() {
        assert_eq!(limit("536870912\n"), Some(512 << 20));
        for none in ["max\n", "9223372036854771712\n", "", "much"] {
            assert_eq!(limit(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_limit_of_a_container_is_found_in_both_versions() {
        let of_version_2 = [("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "536870912\n")];
        assert_eq!(found(&of_version_2), Some(Size::mib(512)));
        let of_version_1 = [
            ("proc/self/cgroup", "12:cpu,cpuacct:/docker/7\n9:memory:/docker/7\n0::/docker/7\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n"),
        ];
        assert_eq!(found(&of_version_1), Some(Size::mib(256)));
    }

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let nested = [
            ("proc/self/cgroup", "0::/machine/pod/service\n"),
            ("sys/fs/cgroup/memory.max", "max\n"),
            ("sys/fs/cgroup/machine/memory.max", "8589934592\n"),
            ("sys/fs/cgroup/machine/pod/memory.max", "1073741824\n"),
            ("sys/fs/cgroup/machine/pod/service/memory.max", "max\n"),
        ];
        assert_eq!(found(&nested), Some(Size::mib(1024)));
    }

    #[test]
    fn without_a_limit_or_its_files_there_is_none() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("proc/self/cgroup", "0::/\n")]), None);
        assert_eq!(
            found(&[("proc/self/cgroup", "nonsense\n0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")]),
            None
        );
        assert_eq!(memory_limit_below(Path::new("/nowhere/at/all")), None);
    }
}
