//! One process under test: started, awaited, killed, and never left behind.

use std::{
    env,
    ffi::OsStr,
    fmt, fs,
    fs::File,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    thread,
    time::Duration,
};

use repartee_process::Ready;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{GATEWAY, WORKER, binary, within_deadline, write_tokens};

/// A running binary with a folder of its own for its ready file and its logs. Dropping it kills it; when its test
/// has failed, its log is printed then.
pub struct Process {
    name: String,
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts the binary `name` with `arguments`, a clean environment, and `--ready-file`.
    pub fn spawn<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Self {
        Self::spawn_with(name, arguments, &[])
    }

    /// The same with the given environment variables. A service accepts the tokens of [`write_tokens`]; a gateway and a bot
    /// have theirs.
    pub fn spawn_with<A: AsRef<OsStr>>(name: &str, arguments: &[A], variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let tokens = folder.path().join("tokens");
        write_tokens(&tokens);
        let tokens = tokens.to_str().expect("temporary paths are text").to_owned();
        let own = match name {
            "rest-gateway" => ("REPARTEE_TOKEN", GATEWAY),
            "bot-worker" => ("REPARTEE_TOKEN", WORKER),
            _ => ("REPARTEE_TOKENS_FILE", tokens.as_str()),
        };
        // Metrics on the address for browsers need the queue-service, which judges the token.
        let metrics = ("REPARTEE_METRICS_ADDR", "127.0.0.1:0");
        Self::spawn_in(folder, name, arguments, &[&[own, metrics], variables].concat())
    }

    /// The same with these variables only: without any token that it is not told of.
    pub fn spawn_bare<A: AsRef<OsStr>>(name: &str, arguments: &[A], variables: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        Self::spawn_in(folder, name, arguments, variables)
    }

    fn spawn_in<A: AsRef<OsStr>>(
        folder: TempDir,
        name: &str,
        arguments: &[A],
        variables: &[(&str, &str)],
    ) -> Self {
        let file =
            |name: &str| File::create(folder.path().join(name)).expect("a new folder can be written to");
        let inherited = env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("REPARTEE_"));
        let child = Command::new(binary(name))
            .args(arguments)
            .arg("--ready-file")
            .arg(folder.path().join("ready.json"))
            .env_clear()
            .envs(inherited)
            // All clients of a test are one address. A test of the limits switches them on by the flag.
            .env("REPARTEE_CLIENT_LIMITS", "off")
            // Nobody is in front of it who had to be told that it leaves; the tests of that set the flag.
            .env("REPARTEE_DRAIN_DELAY", "0s")
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(file("output"))
            .stderr(file("log"))
            .kill_on_drop(true)
            .spawn()
            .expect("a built binary can be started");
        Self { name: name.to_owned(), child, folder }
    }

    /// Waits until the process serves.
    ///
    /// # Panics
    /// When it ends instead; the message holds its log.
    pub async fn ready(&mut self) -> Ready {
        match self.ready_or_ended().await {
            Ok(ready) => ready,
            Err(code) => panic!("{} ended ({code:?}) and should serve:\n{}", self.name, self.log()),
        }
    }

    /// Waits until the process serves.
    ///
    /// # Errors
    /// When it ends instead: its exit code, none where a signal ended it.
    pub async fn ready_or_ended(&mut self) -> Result<Ready, Option<i32>> {
        let path = self.folder.path().join("ready.json");
        tokio::select! {
            ready = read_once_there(path) => Ok(ready),
            status = self.child.wait() => Err(status.as_ref().ok().and_then(ExitStatus::code)),
            () = tokio::time::sleep(crate::DEADLINE) => panic!("{} is not ready after {:?}", self.name, crate::DEADLINE),
        }
    }

    /// Ends the process at once, as `kill -9` does, and waits until it is gone. Hands out the exit code of a process that
    /// had ended by itself before; none where the kill ended it.
    pub async fn kill(&mut self) -> Option<i32> {
        self.child.kill().await.expect("our own child can be killed");
        self.exit_code().await
    }

    /// Its number in the system.
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process still runs")
    }

    /// Asks the process to stop (SIGTERM) and goes on at once.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks the process to stop as Ctrl-C does (SIGINT) and goes on at once.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    fn signal(&self, signal: Signal) {
        let pid =
            self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("the process still runs");
        kill_process(pid, signal).expect("our own child can be signalled");
    }

    /// Asks the process to stop and waits for its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.ask_to_stop();
        self.exit_code().await
    }

    /// Waits for the exit code; none where a signal ended the process.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let waited = within_deadline(&format!("the end of {}", self.name), self.child.wait()).await;
        waited.as_ref().ok().and_then(ExitStatus::code)
    }

    /// The memory that the process has, in bytes.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn memory(&self) -> u64 {
        let pid = self.child.id().expect("the process still runs");
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process has its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number of KiB");
        kib * 1024
    }

    /// What the process wrote to its log (stderr) so far.
    pub fn log(&self) -> String {
        self.read("log")
    }

    /// Waits until the log says this.
    ///
    /// # Panics
    /// If it does not.
    pub async fn logs(&self, text: &str) {
        let mut look = tokio::time::interval(Duration::from_millis(10));
        let told = async {
            while !self.log().contains(text) {
                look.tick().await;
            }
        };
        within_deadline(&format!("{text:?} in the log of {}", self.name), told).await;
    }

    /// What the process wrote to stdout so far.
    pub fn output(&self) -> String {
        self.read("output")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

/// The ready file appears by a rename in the folder of another process: it is looked for every 10 ms.
async fn read_once_there(path: PathBuf) -> Ready {
    let mut look = tokio::time::interval(Duration::from_millis(10));
    loop {
        look.tick().await;
        if let Ok(text) = fs::read(&path) {
            return serde_json::from_slice(&text).expect("the ready file is complete once it is there");
        }
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.child.id())
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "a failed test shows what its processes logged")]
    fn drop(&mut self) {
        // An error says that it has ended already. The folders have to outlive the process, so its end is awaited.
        let _ = self.child.start_kill();
        while matches!(self.child.try_wait(), Ok(None)) {
            thread::yield_now();
        }
        if thread::panicking() {
            eprintln!("--- log of {}\n{}", self.name, self.log());
        }
    }
}
