//! A small disk of its own for one test.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::within_deadline;

/// Carries out what it is told to in the mount namespace where the disk is, and ends with its input.
const HOLDER: &str = "while read -r line; do if said=$(sh -c \"$line\" 2>&1); then echo done; else echo \"$said\" | tr '\\n' ' '; echo; fi; done";

/// A file system in memory, of a few megabytes. It is mounted where only its holder sees it, so it is gone with the
/// test however that ends; everybody else reaches it through the holder's `/proc/PID/root`.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    mounted: TempDir,
}

impl SmallDisk {
    /// Mounts a disk of so many bytes.
    ///
    /// # Errors
    /// Where this machine does not let us mount anything; what it says.
    pub async fn mount(bytes: u64) -> Result<Self, String> {
        let mounted = TempDir::new().map_err(|error| error.to_string())?;
        let mut holder = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", HOLDER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("unshare cannot be started: {error}"))?;
        let (orders, answers) =
            (holder.stdin.take().expect("it is piped"), holder.stdout.take().expect("it is piped"));
        let mut disk = Self { holder, orders, answers: BufReader::new(answers).lines(), mounted };
        disk.mount_with(&format!("size={bytes}")).await?;
        fs::read_dir(disk.path()).map_err(|error| format!("a mounted disk cannot be reached: {error}"))?;
        Ok(disk)
    }

    /// Where the disk is.
    pub fn path(&self) -> PathBuf {
        let holder = self.holder.id().expect("the holder runs as long as the disk is there");
        let mounted = self.mounted.path().strip_prefix("/").expect("temporary folders have absolute paths");
        Path::new("/proc").join(holder.to_string()).join("root").join(mounted)
    }

    /// Changes how the disk is mounted: `ro`, `rw`, or another `size=`.
    ///
    /// # Panics
    /// Where that is refused.
    pub async fn remount(&mut self, options: &str) {
        self.mount_with(&format!("remount,{options}")).await.expect("what is mounted can be remounted");
    }

    async fn mount_with(&mut self, options: &str) -> Result<(), String> {
        let order = format!("mount -t tmpfs -o {options} tmpfs {}\n", self.mounted.path().display());
        // An error means that the holder has ended; its silence says the same.
        let _ = self.orders.write_all(order.as_bytes()).await;
        match within_deadline("the holder of a disk", self.answers.next_line()).await {
            Ok(Some(answer)) if answer == "done" => Ok(()),
            Ok(Some(answer)) => Err(format!("mount is refused: {answer}")),
            Ok(None) | Err(_) => Err("this machine gives no mount namespace".to_owned()),
        }
    }

    /// Free bytes.
    ///
    /// # Panics
    /// Where the disk is gone.
    pub fn free(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.path()).expect("the disk is mounted");
        disk.f_bavail * disk.f_frsize
    }

    /// Writes a file that leaves so many bytes free; [`Self::make_room`] removes it.
    ///
    /// # Panics
    /// Where it cannot be written.
    pub fn fill_up_to(&self, left: u64) {
        let bytes = usize::try_from(self.free().saturating_sub(left)).expect("a small disk");
        fs::write(self.filler(), vec![1; bytes]).expect("the file fits");
    }

    /// Removes what [`Self::fill_up_to`] wrote.
    ///
    /// # Panics
    /// Where it cannot be removed.
    pub fn make_room(&self) {
        match fs::remove_file(self.filler()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.expect("the file can be removed"),
        }
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}
