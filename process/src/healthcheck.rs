//! `healthcheck`: a process asks another one of the same settings whether it is well, for images without a shell.

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Arg, ArgAction};
use http::{Request, StatusCode, header::HOST};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    Ready, Settings,
    exit::{EXIT_USAGE, or_exit},
};

/// The word that asks for it.
pub(crate) const WORD: &str = "healthcheck";
const LIVE: &str = "live";
/// Longer than a service that is well takes to say so.
const PATIENCE: Duration = Duration::from_secs(5);
/// As much of an answer as is shown.
const SHOWN_BYTES: usize = 4_096;

/// Where a service is asked whether it is well, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    face: Face,
    addr: SocketAddr,
    ready_file: Option<PathBuf>,
}

/// Which of its addresses, as the ready file names them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    Grpc,
    Http,
    Metrics,
}

impl Probe {
    /// By the gRPC health protocol, at the address of `--grpc-addr`.
    pub fn grpc(addr: SocketAddr) -> Self {
        Self { face: Face::Grpc, addr, ready_file: None }
    }

    /// By `/readyz`, at the address of `--http-addr`.
    pub fn http(addr: SocketAddr) -> Self {
        Self { face: Face::Http, addr, ready_file: None }
    }

    /// By `/readyz`, at the address of `--metrics-addr`; `None` if there is none.
    pub fn metrics(addr: Option<SocketAddr>) -> Option<Self> {
        Some(Self { face: Face::Metrics, addr: addr?, ready_file: None })
    }

    /// This one, unless its address speaks TLS, which would need a certificate that it trusts and perhaps one of its own.
    ///
    /// # Errors
    /// Says what is needed then.
    pub fn without_tls(self, is_tls: bool) -> Result<Self, String> {
        let flag = self.face.flag();
        let needed = || format!("{flag} speaks TLS: {WORD} needs --metrics-addr, and asks there");
        (!is_tls).then_some(self).ok_or_else(needed)
    }

    /// The file that names the port if the settings leave it open.
    pub fn with_ready_file(self, ready_file: Option<PathBuf>) -> Self {
        Self { ready_file, ..self }
    }

    /// The address that answers.
    fn target(&self) -> Result<SocketAddr, String> {
        let bound = if self.addr.port() == 0 { self.by_ready_file()? } else { self.addr };
        Ok(reachable(bound))
    }

    fn by_ready_file(&self) -> Result<SocketAddr, String> {
        let flag = self.face.flag();
        let Some(path) = &self.ready_file else {
            return Err(format!(
                "{flag} leaves the port open ({}): {WORD} finds it by --ready-file",
                self.addr
            ));
        };
        let problem = |why: String| format!("the ready file {} {why}", path.display());
        let text = fs::read(path).map_err(|error| problem(format!("cannot be read: {error}")))?;
        let ready: Ready =
            serde_json::from_slice(&text).map_err(|error| problem(format!("is none: {error}")))?;
        let addr = match self.face {
            Face::Grpc => ready.grpc,
            Face::Http => ready.http,
            Face::Metrics => ready.metrics,
        };
        addr.ok_or_else(|| problem(format!("names no address of {flag}")))
    }

    async fn ask(&self, live: bool) -> Result<(), String> {
        let addr = self.target()?;
        match self.face {
            Face::Grpc => ask_grpc(addr, live).await,
            Face::Http | Face::Metrics => ask_http(addr, if live { "/livez" } else { "/readyz" }).await,
        }
    }
}

impl Face {
    fn flag(self) -> &'static str {
        match self {
            Self::Grpc => "--grpc-addr",
            Self::Http => "--http-addr",
            Self::Metrics => "--metrics-addr",
        }
    }
}

async fn ask_grpc(addr: SocketAddr, live: bool) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).expect("an address makes a URL");
    let channel = endpoint.connect().await.map_err(|error| unreachable(addr, &error))?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
    let status = answer.map_err(|status| format!("{addr} refused the check: {status}"))?.get_ref().status();
    // Whoever answers is alive, whatever it says.
    if live || status == ServingStatus::Serving {
        return Ok(());
    }
    Err(format!("{addr} says {}", status.as_str_name()))
}

async fn ask_http(addr: SocketAddr, path: &str) -> Result<(), String> {
    let stream = TcpStream::connect(addr).await.map_err(|error| unreachable(addr, &error))?;
    let broken = |error: hyper::Error| format!("{addr} does not answer {path} over HTTP: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, addr.to_string()).body(String::new());
    let response = sender.send_request(request.expect("all parts are sound")).await.map_err(broken)?;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(());
    }
    let body = Limited::new(response.into_body(), SHOWN_BYTES).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    Err(format!("{addr} answers {path} with {status}: {}", String::from_utf8_lossy(&body).trim_end()))
}

fn unreachable(addr: SocketAddr, error: &(dyn std::error::Error + 'static)) -> String {
    format!("{addr} cannot be reached: {}", crate::error_chain(error))
}

/// The address under which this machine reaches what was bound here: an unspecified one means all, so the loopback too.
pub fn reachable(bound: SocketAddr) -> SocketAddr {
    match bound {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => bound,
    }
}

/// Runs the command whose words, from its own on, are `words`: exit code 0 if the service is ready, 1 if not, 64 if the
/// settings do not say where to ask.
#[expect(clippy::print_stderr, reason = "the answer is for whoever asked")]
pub(crate) fn command<S: Settings>(words: impl Iterator<Item = OsString>) -> ExitCode {
    let live = Arg::new(LIVE).long(LIVE).action(ArgAction::SetTrue);
    let live = live.help("Ask whether it is alive: whether it has to be started anew. Otherwise, whether it is ready for calls");
    let service = S::command();
    let name = format!("{} {WORD}", service.get_name());
    let about = "Asks the service of these settings and variables whether it is ready: exit code 0 if it is, 1 if not";
    let parsed = service.bin_name(name).about(about).long_about(None).arg(live).try_get_matches_from(words);
    let parsed = parsed.and_then(|mut matches| {
        let is_live = matches.get_flag(LIVE);
        Ok((S::from_arg_matches_mut(&mut matches)?, is_live))
    });
    let (settings, live) = match or_exit(parsed) {
        Ok(parsed) => parsed,
        Err(exit) => return exit,
    };
    let probe = match settings.probe() {
        Ok(probe) => probe,
        Err(wrong) => {
            eprintln!("error: {wrong}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = runtime.map_err(|error| format!("the runtime cannot start: {error}")).and_then(|runtime| {
        let asking = async { timeout(PATIENCE, probe.ask(live)).await };
        runtime.block_on(asking).unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
    });
    match asked {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Probe, reachable};

    #[test]
    fn an_unspecified_address_is_asked_on_the_loopback() {
        for (bound, asked) in
            [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("10.0.0.1:80", "10.0.0.1:80")]
        {
            assert_eq!(reachable(bound.parse().unwrap()), asked.parse().unwrap());
        }
    }

    #[test]
    fn an_open_port_is_found_by_the_ready_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ready.json");
        let open = Probe::http("0.0.0.0:0".parse().unwrap());
        assert!(open.target().unwrap_err().contains("--ready-file"));
        let probe = open.with_ready_file(Some(file.clone()));
        assert!(probe.target().unwrap_err().contains("cannot be read"));
        std::fs::write(&file, r#"{"grpc":"127.0.0.1:81"}"#).unwrap();
        assert!(probe.target().unwrap_err().contains("names no address of --http-addr"));
        std::fs::write(&file, r#"{"http":"0.0.0.0:82","grpc":"127.0.0.1:81"}"#).unwrap();
        assert_eq!(probe.target().unwrap(), "127.0.0.1:82".parse().unwrap());
    }

    #[test]
    fn an_address_that_speaks_tls_is_not_asked() {
        let probe = Probe::grpc("127.0.0.1:50051".parse().unwrap());
        assert_eq!(probe.clone().without_tls(false), Ok(probe.clone()));
        assert!(probe.without_tls(true).unwrap_err().contains("--metrics-addr"));
    }
}
