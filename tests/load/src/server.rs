//! One server process of ours: found beside this program, started, awaited, and ended by its process id.

use std::{
    env, fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use repartee_process::Ready;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{cores::Cores, error::Error};

/// How long a server may take to get ready: with ten million messages, cold.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// How long a server may take to stop before it is killed: it promises 10 s.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How much of a log is shown when a server ends.
const SHOWN_LOG: usize = 2_000;

/// A running server. Dropping it kills it.
pub(crate) struct Server {
    name: String,
    child: Child,
    pid: u32,
    ready: Ready,
    /// From the start of the process to its ready file.
    pub(crate) took: Duration,
    folder: TempDir,
}

impl Server {
    /// Starts `program` and waits until it serves.
    ///
    /// # Errors
    /// Where it is not there, or ends.
    pub(crate) async fn start(program: &Path, arguments: &[String], work_dir: &Path) -> Result<Self, Error> {
        Self::start_on(None, program, arguments, &[], work_dir).await
    }

    /// The same, on the first of these cores, with these variables beside what every process has.
    ///
    /// # Errors
    /// Where it is not there, or ends.
    pub(crate) async fn start_on(
        cores: Option<Cores>,
        program: &Path,
        arguments: &[String],
        environment: &[(&'static str, String)],
        work_dir: &Path,
    ) -> Result<Self, Error> {
        if !program.is_file() {
            return Err(Error::Binary(program.to_owned()));
        }
        let folder = TempDir::new_in(work_dir).map_err(Error::io("making a folder for a server"))?;
        let log = fs::File::create(folder.path().join("log")).map_err(Error::io("making a log"))?;
        let ready_file = folder.path().join("ready.json");
        let inherited = env::vars_os().filter(|(name, _)| !name.to_string_lossy().starts_with("REPARTEE_"));
        let begun = Instant::now();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg("--ready-file")
            .arg(&ready_file)
            .env_clear()
            .envs(inherited)
            // All the load comes from one address.
            .env("REPARTEE_CLIENT_LIMITS", "off")
            // Nobody is sent elsewhere while a server stops.
            .env("REPARTEE_DRAIN_DELAY", "0s")
            // A load has one bot for all of its questions: what one entity may have waiting is no matter of these rows.
            .env("REPARTEE_MAX_PENDING_PER_ENTITY", "100000")
            .envs(environment.iter().cloned())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let child = match cores {
            Some(cores) => cores.on_first(|| command.spawn())?,
            None => command.spawn(),
        };
        let child = child.map_err(Error::io(format!("starting {}", program.display())))?;
        let pid = child.id().expect("a child that was not awaited has an id");
        let name = program.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut server = Self { name, child, pid, ready: Ready::default(), took: Duration::ZERO, folder };
        server.ready = server.wait_until_ready(&ready_file).await?;
        server.took = begun.elapsed();
        Ok(server)
    }

    async fn wait_until_ready(&mut self, file: &Path) -> Result<Ready, Error> {
        let appears = async {
            // The file comes by a rename from another process; there is nothing to wait on but the clock.
            let mut look = tokio::time::interval(Duration::from_millis(1));
            loop {
                look.tick().await;
                if let Ok(text) = fs::read(file) {
                    return serde_json::from_slice(&text).ok();
                }
            }
        };
        let why = tokio::select! {
            ready = appears => match ready {
                Some(ready) => return Ok(ready),
                None => "its ready file is no JSON".to_owned(),
            },
            ended = self.child.wait() => format!("it ended ({ended:?}): {}", self.log()),
            () = tokio::time::sleep(READY_WITHIN) => format!("not ready after {READY_WITHIN:?}: {}", self.log()),
        };
        Err(Error::Server { name: self.name.clone(), why })
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let from = log.char_indices().rev().nth(SHOWN_LOG).map_or(0, |(at, _)| at);
        log[from..].to_owned()
    }

    /// Name of the binary.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Where it serves gRPC.
    pub(crate) fn grpc_addr(&self) -> SocketAddr {
        self.ready.grpc.expect("a server with a gRPC face says where")
    }

    /// Where it serves HTTP.
    pub(crate) fn http_addr(&self) -> SocketAddr {
        self.ready.http.expect("a server with an HTTP face says where")
    }

    /// Asks it to stop (SIGTERM) and waits; kills it where it takes too long.
    ///
    /// # Errors
    /// Where it cannot be awaited.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // An error says that it has ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        let ended = tokio::time::timeout(STOP_WITHIN, self.child.wait()).await;
        if ended.is_err() {
            self.child.kill().await.map_err(Error::io(format!("stopping {}", self.name)))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.pid)
    }
}

/// Where the servers' binaries lie: in `named`, else in `REPARTEE_BIN_DIR`, else beside this program.
///
/// # Errors
/// Where this program does not know its own path.
pub(crate) fn bin_dir(named: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(folder) = named {
        return folder.canonicalize().map_err(Error::io(folder.display().to_string()));
    }
    let own = env::current_exe().map_err(Error::io("finding this program"))?;
    Ok(own.parent().expect("a program lies in a folder").to_owned())
}
