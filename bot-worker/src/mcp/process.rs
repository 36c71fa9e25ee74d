//! A tool server as a child process: how it starts, its last words, and its end with all that it started.
//!
//! A process gets an environment of its own, so that no key of the bot is in it, and a group of its own, so that what it
//! started ends with it and Ctrl-C is the bot's to handle. What it writes to its standard error is shown only as the reason
//! why it did not start: from then on it may hold what people asked.

use std::{
    env, io,
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::AsyncReadExt as _,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// How much of what a process wrote to its standard error is shown.
const SHOWN_BYTES: usize = 400;
/// How long a process may take to end once its input has ended, and then once it is asked to by SIGTERM.
const ENDS: Duration = Duration::from_secs(2);
const ENDS_ASKED: Duration = Duration::from_secs(1);

/// What of the bot's environment a process is given: where programs, files and languages are, and nothing else.
const INHERITED: [&str; 12] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TERM",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
];

/// A process and its group. Dropping it kills all of them.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
}

/// What connects a process with the bot.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) written: Written,
}

impl Process {
    /// Starts a process. `secrets` are masked in what is kept of its standard error.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub(super) fn start(
        program: &str,
        args: &[String],
        env: &[(&str, &str)],
        secrets: Vec<String>,
    ) -> io::Result<(Self, Pipes)> {
        let inherited = INHERITED.iter().filter_map(|name| Some((*name, env::var_os(name)?)));
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(inherited).envs(env.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let process = Self { child, group };
        let no_pipe = || io::Error::other("it has no pipes");
        let written = Written::by(stderr.ok_or_else(no_pipe)?, secrets);
        let (stdin, stdout) = (stdin.ok_or_else(no_pipe)?, stdout.ok_or_else(no_pipe)?);
        Ok((process, Pipes { stdin, stdout, written }))
    }

    /// Waits until the process has exited; what it started may live on.
    pub(super) async fn exited(&mut self) {
        let _ = self.child.wait().await;
    }

    /// Ends it, once its input has ended: it is given time, asked, and then killed with all that it started.
    pub(super) async fn end(mut self) {
        if timeout(ENDS, self.exited()).await.is_err() {
            self.signal(Signal::TERM);
            let _ = timeout(ENDS_ASKED, self.exited()).await;
        }
    }

    fn signal(&self, signal: Signal) {
        // An error says that nobody is left. The number is not another's yet: it was the group's until a moment ago.
        let _ = self.group.map(|group| kill_process_group(group, signal));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// The end of what a process has written to its standard error, without secrets, until that is forgotten.
#[derive(Debug, Clone)]
pub(super) struct Written {
    kept: Arc<Mutex<Option<Vec<u8>>>>,
    secrets: Arc<Vec<String>>,
}

impl Written {
    fn new(secrets: Vec<String>) -> Self {
        Self { kept: Arc::new(Mutex::new(Some(Vec::new()))), secrets: Arc::new(secrets) }
    }

    /// Reads it for as long as the process writes.
    fn by(mut stderr: ChildStderr, secrets: Vec<String>) -> Self {
        let written = Self::new(secrets);
        let own = written.clone();
        tokio::spawn(async move {
            let mut part = [0; 4096];
            while let Ok(1..) = stderr.read(&mut part).await.inspect(|read| own.add(&part[..*read])) {}
        });
        written
    }

    /// Masks before it cuts: a half of a secret could not be found any more. One whose end has not come yet stays whole.
    fn add(&self, part: &[u8]) {
        if let Some(kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            kept.extend_from_slice(part);
            self.secrets.iter().for_each(|secret| mask(kept, secret.as_bytes()));
            let longest = self.secrets.iter().map(String::len).max().unwrap_or_default();
            let surplus = kept.len().saturating_sub(SHOWN_BYTES + longest);
            kept.drain(..surplus);
        }
    }

    /// What was written last; what follows is not kept.
    pub(super) fn forget(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let shown = kept.len().saturating_sub(SHOWN_BYTES);
        String::from_utf8_lossy(&kept[shown..]).trim().to_owned()
    }
}

fn mask(text: &mut Vec<u8>, secret: &[u8]) {
    let find = |text: &[u8]| text.windows(secret.len()).position(|part| part == secret);
    while let Some(at) = find(text).filter(|_| !secret.is_empty()) {
        text.splice(at..at + secret.len(), *b"***");
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
        time::{Duration, pause, resume, timeout},
    };

    use super::{Process, Written};

    #[tokio::test]
    async fn nothing_that_a_server_started_outlives_it() {
        let script = "trap '' TERM; sleep 1000 & echo ready; wait";
        for is_dropped in [true, false] {
            let args = ["-c".to_owned(), script.to_owned()];
            let (process, pipes) = Process::start("sh", &args, &[], Vec::new()).unwrap();
            let mut stdout = BufReader::new(pipes.stdout);
            let mut line = String::new();
            stdout.read_line(&mut line).await.unwrap();
            assert_eq!(line, "ready\n");
            drop(pipes.stdin);
            if is_dropped {
                drop(process);
            } else {
                // It takes no notice of either, so that all waiting is for nothing.
                pause();
                process.end().await;
                resume();
            }
            // Each of them holds the other end of the pipe until it is gone.
            let gone = timeout(Duration::from_secs(10), stdout.read_to_string(&mut line)).await;
            assert_eq!(gone.expect("nobody is left").unwrap(), 0);
        }
    }

    #[test]
    fn a_secret_is_masked_wherever_it_is_cut() {
        let secret = "sk-0123456789".repeat(50);
        for before in 0..secret.len() {
            let written = Written::new(vec![secret.clone()]);
            let text = format!("{}{secret} is wrong{}", "x".repeat(before), "!".repeat(before));
            text.as_bytes().chunks(97).for_each(|part| written.add(part));
            let shown = written.forget();
            assert!(!shown.contains("0123") && shown.len() <= 400, "{shown}");
        }
    }
}
