//! The settings of the gateway. Each doc comment is the help of its flag.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use clap::Parser;
use http::{HeaderValue, Uri};
use repartee_process::{AnswerLimits, ByteLimit, Credential, Patience, Secret, Span};
use serde::{Serialize, Serializer};

use crate::{
    client::{ClientSettings, ForwardedHeader, Network},
    observe::LogAddresses,
    tail::Limits,
};

/// The longest `--request-timeout`: nothing that a browser waits for takes this long.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(600);

/// Room for the largest answer: a page is little more than 1 MiB, but that of one commit may be several.
const LEAST_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// JSON over HTTP for Repartee.
#[derive(Debug, Clone, Parser, Serialize)]
#[command(name = "rest-gateway", version, about)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "REPARTEE_HTTP_ADDR", default_value = "127.0.0.1:8080")]
    pub http_addr: SocketAddr,
    /// Address of the queue-service.
    #[arg(long, env = "REPARTEE_QUEUE_URL", default_value = "http://127.0.0.1:50051")]
    pub queue_url: String,
    /// An origin whose pages may call this server, such as `https://example.org`, or `*` for all; may be given several
    /// times, separated by commas in the variable. None by default.
    #[arg(long = "cors-origin", env = "REPARTEE_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
    /// A proxy whose word counts for whom it asks, as a network (`10.0.0.0/8`, `2001:db8::/32`) or an address; may be
    /// given several times, separated by commas in the variable. Clients behind it are counted by the address that it
    /// names in `--forwarded-header`, and all others by that of their connection. None by default: then everybody behind
    /// a proxy counts as one client.
    #[arg(
        long = "trusted-proxy",
        env = "REPARTEE_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<Network>,
    /// The header in which trusted proxies name whom they ask for. Only this one is read: proxies that write one of the
    /// two pass the other one on as a client has sent it.
    #[arg(long, env = "REPARTEE_FORWARDED_HEADER", value_enum, default_value_t = ForwardedHeader::XForwardedFor)]
    pub forwarded_header: ForwardedHeader,
    /// How the log names the clients of requests that failed: by address, by a keyed hash of it that tells the same client
    /// apart from others until the restart, or not at all. An address is personal data, and logs travel: so a hash, unless
    /// an operator has to know whom to block.
    #[arg(long, env = "REPARTEE_LOG_ADDRESSES", value_enum, default_value = "hashed")]
    pub log_addresses: LogAddresses,
    /// What each client may take.
    #[command(flatten)]
    #[serde(flatten)]
    pub clients: ClientSettings,
    /// The largest request body, in bytes.
    #[arg(long, env = "REPARTEE_MAX_BODY_BYTES", default_value_t = 64 * 1024)]
    pub max_body_bytes: usize,
    /// How long a request may take, in seconds, fractions allowed. It is the deadline of the call to the queue-service,
    /// and the time within which a body has to arrive.
    #[arg(long, env = "REPARTEE_REQUEST_TIMEOUT", default_value = "10", value_parser = seconds)]
    #[serde(serialize_with = "as_seconds")]
    pub request_timeout: Duration,
    /// Most connections; for more the idlest is closed, or the newcomer if all are busy. Fewer where the system allows fewer
    /// open files.
    #[arg(long, env = "REPARTEE_MAX_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,
    /// Most requests at the same time, polls that wait among them; more are refused with 429.
    #[arg(long, env = "REPARTEE_MAX_REQUESTS", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_requests: u32,
    /// Most requests at the same time on one connection, over HTTP/2; a client waits with more, or has them refused by
    /// the protocol.
    #[arg(long, env = "REPARTEE_MAX_REQUESTS_PER_CONNECTION", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_requests_per_connection: u32,
    /// Most requests at the same time that need the queue-service; more are refused with 429.
    #[arg(long, env = "REPARTEE_MAX_UPSTREAM_CALLS", default_value_t = 4_096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_upstream_calls: u32,
    /// Most requests at the same time that wait for a change; more are refused with 429.
    #[arg(long, env = "REPARTEE_MAX_LONG_POLLS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_long_polls: u32,
    /// Most streams of events to browsers; more are refused with 429. Each takes a connection, or a part of one over
    /// HTTP/2.
    #[arg(long, env = "REPARTEE_MAX_SSE_CLIENTS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_sse_clients: u32,
    /// How often a stream of events says that it is alive, in seconds, fractions allowed.
    #[arg(long, env = "REPARTEE_SSE_HEARTBEAT", default_value = "15", value_parser = seconds)]
    #[serde(serialize_with = "as_seconds")]
    pub sse_heartbeat: Duration,
    /// When a stream of events ends by itself, so that the client connects anew, in seconds, fractions allowed: after
    /// this, or up to three times as long.
    #[arg(long, env = "REPARTEE_SSE_AGE", default_value = "300", value_parser = seconds)]
    #[serde(serialize_with = "as_seconds")]
    pub sse_age: Duration,
    /// How long a connection may be open without a request, and not take what is sent to it, in seconds, fractions
    /// allowed; over HTTP/2 the latter ends a stream. Longer than a proxy keeps an idle connection, commonly 60 s: it might
    /// send a request just when that is closed here.
    #[arg(long, env = "REPARTEE_IDLE_TIMEOUT", default_value = "75", value_parser = seconds)]
    #[serde(serialize_with = "as_seconds")]
    pub idle_timeout: Duration,
    /// How long the head of a request may take over HTTP/1, from its first byte, as 20s or 500ms.
    #[arg(long, env = "REPARTEE_HEAD_TIMEOUT", default_value = "20s", value_name = "SPAN")]
    pub head_timeout: Span,
    /// The least bytes a second that a client has to take of an answer that waits for it, on average over the idle timeout;
    /// slower ones are cut off. 0: any at all is enough.
    #[arg(long, env = "REPARTEE_MIN_SEND_RATE", default_value = "256B", value_name = "SIZE")]
    pub min_send_rate: ByteSize,
    /// Most bytes of answers on their way, as 256MiB; requests for more are refused with 429.
    #[arg(long, env = "REPARTEE_MAX_ANSWER_BYTES", default_value = "256MiB", value_name = "SIZE")]
    pub max_answer_bytes: ByteSize,
    /// The same on one connection.
    #[arg(
        long,
        env = "REPARTEE_MAX_ANSWER_BYTES_PER_CONNECTION",
        default_value = "8MiB",
        value_name = "SIZE"
    )]
    pub max_answer_bytes_per_connection: ByteSize,
    /// Most bytes of request bodies that have arrived and wait for the rest, as 64MiB; more are refused with 429.
    #[arg(long, env = "REPARTEE_MAX_INCOMING_BYTES", default_value = "64MiB", value_name = "SIZE")]
    pub max_incoming_bytes: ByteSize,
    /// Most requests of one connection whose bodies are still on their way; more are refused with 429.
    #[arg(long, env = "REPARTEE_MAX_BODIES_PER_CONNECTION", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_bodies_per_connection: u32,
    /// Connections to the queue-service, over which calls are spread; calls that wait have one more. One carries some
    /// 20,000 calls a second, and fewer connections cost less.
    #[arg(long, env = "REPARTEE_QUEUE_CONNECTIONS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub queue_connections: u32,
    /// Most messages that the gateway keeps to answer polls from; older ones are asked for from the queue-service.
    #[arg(long, env = "REPARTEE_TAIL_MESSAGES", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub tail_messages: u32,
    /// Most bytes that these messages and their changes take, by estimate.
    #[arg(long, env = "REPARTEE_TAIL_BYTES", default_value_t = 32 * 1024 * 1024, value_parser = clap::value_parser!(u64).range(65_536..))]
    pub tail_bytes: u64,
    /// The newest messages that are listed when the gateway starts, so that polls need not wait for new ones.
    #[arg(long, env = "REPARTEE_TAIL_SEED", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub tail_seed: u32,
    /// How long the stream of changes from the queue-service may be silent, in seconds, fractions allowed, before it is
    /// opened again: twice its heartbeat.
    #[arg(long, env = "REPARTEE_WATCH_PATIENCE", default_value = "30", value_parser = seconds)]
    #[serde(serialize_with = "as_seconds")]
    pub watch_patience: Duration,
    /// File whose first line is the gateway's token, with which it calls the queue-service; read again every second. The
    /// token itself may be given in the variable REPARTEE_TOKEN, not on the command line, which everybody on the machine can
    /// read.
    #[arg(long, env = "REPARTEE_TOKEN_FILE", value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// From REPARTEE_TOKEN.
    #[arg(skip = repartee_process::token_variable())]
    pub token: Option<Secret>,
    /// Address that answers GET /metrics to everybody who reaches it; port 0 takes a free port. Without it, and on the
    /// address for browsers, it takes an operator's token.
    #[arg(long, env = "REPARTEE_METRICS_ADDR")]
    pub metrics_addr: Option<SocketAddr>,
    /// Between two points of the operators' charts, in seconds, fractions allowed; 360 points are kept.
    #[arg(long, env = "REPARTEE_HISTORY_INTERVAL", default_value = "10", value_parser = seconds)]
    #[serde(serialize_with = "as_seconds")]
    pub history_interval: Duration,
    /// A file that is written once the gateway serves: `{"http":"ADDRESS"}`.
    #[arg(long, env = "REPARTEE_READY_FILE")]
    pub ready_file: Option<PathBuf>,
    /// Print the effective settings as JSON and exit.
    #[arg(long)]
    #[serde(skip)]
    pub print_config: bool,
}

impl repartee_process::Settings for Settings {
    fn print_config(&self) -> bool {
        self.print_config
    }

    fn check(&self) -> Result<(), String> {
        check_queue_url(&self.queue_url)?;
        self.credential()?;
        if self.max_body_bytes == 0 {
            return Err("--max-body-bytes has to be at least 1".into());
        }
        check_least("--max-answer-bytes", self.max_answer_bytes, LEAST_ANSWER_BYTES)?;
        check_least(
            "--max-answer-bytes-per-connection",
            self.max_answer_bytes_per_connection,
            LEAST_ANSWER_BYTES,
        )?;
        check_least("--max-incoming-bytes", self.max_incoming_bytes, self.max_body_bytes as u64)?;
        if self.cors_origins.len() > 1 && self.cors_origins.iter().any(|origin| origin == "*") {
            return Err("--cors-origin * allows all origins: name it alone".into());
        }
        self.cors_origins.iter().filter(|origin| *origin != "*").try_for_each(|origin| check_origin(origin))
    }
}

impl Settings {
    pub(crate) fn patience(&self) -> Patience {
        Patience { idle: self.idle_timeout, head: self.head_timeout.0, least_rate: self.min_send_rate.0 }
    }

    pub(crate) fn answers(&self) -> AnswerLimits {
        AnswerLimits {
            total: ByteLimit::new("answer_bytes", self.max_answer_bytes.0),
            per_connection: self.max_answer_bytes_per_connection.0,
            per_connection_name: "answer_bytes_of_connection",
        }
    }

    /// The gateway's own token.
    pub(crate) fn credential(&self) -> Result<Credential, String> {
        let problem = |problem| format!("--token-file or REPARTEE_TOKEN: {problem}");
        Credential::from_settings(self.token_file.clone(), self.token.as_ref()).map_err(problem)
    }

    pub(crate) fn tail(&self) -> Limits {
        let bytes = usize::try_from(self.tail_bytes).unwrap_or(usize::MAX);
        Limits { messages: self.tail_messages as usize, bytes }
    }
}

fn check_least(flag: &str, size: ByteSize, least: u64) -> Result<(), String> {
    let least = ByteSize(least);
    (size >= least).then_some(()).ok_or_else(|| format!("{flag} must be at least {least}, is {size}"))
}

fn check_queue_url(url: &str) -> Result<(), String> {
    let valid = url.parse::<Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    valid.then_some(()).ok_or_else(|| format!("--queue-url has to look like http://HOST:PORT, not {url:?}"))
}

/// An origin as browsers send it (RFC 6454): scheme, host and port, nothing behind them.
fn check_origin(origin: &str) -> Result<(), String> {
    let bare = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && !origin.ends_with('/')
    };
    let valid = HeaderValue::from_str(origin).is_ok()
        && origin.parse::<Uri>().is_ok_and(|uri| bare(&uri) && uri.path() == "/" && uri.query().is_none());
    valid.then_some(()).ok_or_else(|| {
        format!("--cors-origin has to look like https://HOST[:PORT] without a path, not {origin:?}")
    })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let parsed = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    parsed
        .filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST_TIMEOUT)
        .ok_or_else(|| format!("seconds, more than 0 and at most {}", LONGEST_TIMEOUT.as_secs()))
}

fn as_seconds<S: Serializer>(timeout: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(timeout.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use repartee_process::Settings as _;

    use super::Settings;

    fn check(flags: &[&str]) -> Result<(), String> {
        let settings =
            Settings::try_parse_from([&["rest-gateway"], flags].concat()).map_err(|e| e.to_string())?;
        settings.check()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(check(&[]), Ok(()));
        assert_eq!(check(&["--cors-origin", "*"]), Ok(()));
        assert_eq!(
            check(&["--cors-origin", "https://a.example", "--cors-origin", "http://b.example:81"]),
            Ok(())
        );
    }

    #[test]
    fn the_token_is_never_shown_and_has_no_flag() {
        let mut settings = Settings::try_parse_from(["rest-gateway"]).unwrap();
        settings.token = Some("rpt_of_the_house".parse().unwrap());
        assert_eq!(settings.effective()["token"], "***");
        assert!(Settings::try_parse_from(["rest-gateway", "--token", "rpt_of_the_house"]).is_err());
    }

    #[test]
    fn wrong_settings_are_refused_with_their_value() {
        for (flags, named) in [
            (["--queue-url", "queue:50051"], "queue:50051"),
            (["--queue-url", "https://queue"], "https://queue"),
            (["--cors-origin", "https://a.example/"], "https://a.example/"),
            (["--cors-origin", "a.example"], "a.example"),
            (["--cors-origin", "https://a.example,*"], "*"),
            (["--max-body-bytes", "0"], "--max-body-bytes"),
            (["--client-posts", "5/min"], "5/min"),
            (["--client-post-burst", "0"], "0"),
            (["--client-bytes-per-day", "5GiB"], "5GiB"),
            (["--client-limits", "no"], "no"),
            (["--trusted-proxy", "proxy.example"], "proxy.example"),
            (["--trusted-proxy", "10.0.0.0/8,0.0.0.0/0"], "0.0.0.0/0"),
            (["--forwarded-header", "via"], "via"),
            (["--max-answer-bytes", "1MiB"], "--max-answer-bytes"),
            (["--max-incoming-bytes", "1KiB"], "--max-incoming-bytes"),
            (["--head-timeout", "20"], "20"),
            (["--token-file", "/nowhere/at/all"], "/nowhere/at/all"),
            (["--trusted-proxy", "proxy.example"], "proxy.example"),
            (["--trusted-proxy", "10.0.0.0/8,0.0.0.0/0"], "0.0.0.0/0"),
            (["--forwarded-header", "via"], "via"),
            (["--history-interval", "0"], "--history-interval"),
            (["--request-timeout", "0"], "--request-timeout"),
            (["--request-timeout", "-1"], "-1"),
            (["--request-timeout", "1e9"], "1e9"),
        ] {
            let refusal = check(&flags).unwrap_err();
            assert!(refusal.contains(named), "{refusal}");
        }
    }
}
