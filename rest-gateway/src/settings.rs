//! The settings of the gateway. Each doc comment is the help of its flag.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use http::{HeaderValue, Uri};
use repartee_process::{
    AnswerLimits, ByteLimit, Credential, DrainSettings, Patience, Probe, QueueLink, QueueLinkError,
    QueueTlsSettings, Secret, Size, Span, TlsSettings,
};
use serde::Serialize;

use crate::{
    client::{ClientSettings, ForwardedHeader, Network},
    hsts::Hsts,
    observe::LogAddresses,
    tail::Limits,
    trace_parents::TraceParents,
};

/// The longest `--request-timeout`, in seconds: nothing that a browser waits for takes this long.
const LONGEST_TIMEOUT: u64 = 600;

/// Room for the largest answer: a page is little more than 1 MiB, but that of one commit may be several.
pub(crate) const LEAST_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// JSON over HTTP for Repartee.
#[derive(Debug, Clone, Parser, Serialize)]
#[command(name = "rest-gateway", version, about)]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, env = "REPARTEE_HTTP_ADDR", default_value = "127.0.0.1:8080")]
    pub http_addr: SocketAddr,
    /// TLS at that address.
    #[command(flatten)]
    #[serde(flatten)]
    pub tls: TlsSettings,
    /// How long a browser that was here over TLS is to come back over TLS only (Strict-Transport-Security), as 180d; 0s makes
    /// browsers forget it, and off says nothing. It is said only where this server speaks TLS itself and was called by a name
    /// without a port, and never to localhost or an address: browsers keep it for all ports of that name.
    #[arg(long, env = "REPARTEE_HSTS", value_name = "SPAN|off", default_value = "180d")]
    pub hsts: Hsts,
    /// Address of the queue-service, http:// or https://.
    #[arg(long, env = "REPARTEE_QUEUE_URL", default_value = "http://127.0.0.1:50051")]
    pub queue_url: String,
    /// TLS on the way there.
    #[command(flatten)]
    #[serde(flatten)]
    pub queue_tls: QueueTlsSettings,
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
    /// Whose traceparent is continued and may ask for a trace to be recorded: tokens, that of callers whose token was accepted
    /// lately; proxies, also whatever comes through a trusted proxy, which then has to set that header or to drop it; all,
    /// anybody's, as for pages that begin the traces. Of everybody else a trace of our own begins, as the sampler says, with a
    /// link to theirs.
    #[arg(long, env = "REPARTEE_TRACE_PARENTS", value_enum, default_value_t = TraceParents::Tokens)]
    pub trace_parents: TraceParents,
    /// What each client may take.
    #[command(flatten)]
    #[serde(flatten)]
    pub clients: ClientSettings,
    /// The largest request body, as 64KiB.
    #[arg(long, env = "REPARTEE_MAX_BODY_BYTES", value_name = "SIZE", default_value = "64KiB", value_parser = Size::at_least(1))]
    pub max_body_bytes: Size,
    /// How long a request may take, as 10s, at most 10m. It is the deadline of the call to the queue-service,
    /// and the time within which a body has to arrive.
    #[arg(long, env = "REPARTEE_REQUEST_TIMEOUT", value_name = "SPAN", default_value = "10s", value_parser = Span::up_to(LONGEST_TIMEOUT))]
    pub request_timeout: Span,
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
    /// How often a stream of events says that it is alive, as 15s, at most 10m.
    #[arg(long, env = "REPARTEE_SSE_HEARTBEAT", value_name = "SPAN", default_value = "15s", value_parser = Span::up_to(LONGEST_TIMEOUT))]
    pub sse_heartbeat: Span,
    /// When a stream of events ends by itself, so that the client connects anew, as 5m, at most 10m: after this, or up to
    /// three times as long.
    #[arg(long, env = "REPARTEE_SSE_AGE", value_name = "SPAN", default_value = "5m", value_parser = Span::up_to(LONGEST_TIMEOUT))]
    pub sse_age: Span,
    /// How long a connection may be open without a request, and not take what is sent to it, as 75s, at most 10m; over HTTP/2 the latter ends a stream. Longer than a proxy keeps an idle connection, commonly 60 s: it might
    /// send a request just when that is closed here.
    #[arg(long, env = "REPARTEE_IDLE_TIMEOUT", value_name = "SPAN", default_value = "75s", value_parser = Span::up_to(LONGEST_TIMEOUT))]
    pub idle_timeout: Span,
    /// How long the head of a request may take over HTTP/1, from its first byte, as 20s or 500ms.
    #[arg(long, env = "REPARTEE_HEAD_TIMEOUT", default_value = "20s", value_name = "SPAN")]
    pub head_timeout: Span,
    /// The least bytes a second that a client has to take of an answer that waits for it, on average over the idle timeout;
    /// slower ones are cut off. 0: any at all is enough.
    #[arg(long, env = "REPARTEE_MIN_SEND_RATE", value_name = "SIZE", default_value = "256B")]
    pub min_send_rate: Size,
    /// Most bytes of answers on their way, as 256MiB; requests for more are refused with 429.
    #[arg(long, env = "REPARTEE_MAX_ANSWER_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = Size::at_least(LEAST_ANSWER_BYTES))]
    pub max_answer_bytes: Size,
    /// The same on one connection.
    #[arg(long, env = "REPARTEE_MAX_ANSWER_BYTES_PER_CONNECTION", value_name = "SIZE", default_value = "8MiB", value_parser = Size::at_least(LEAST_ANSWER_BYTES))]
    pub max_answer_bytes_per_connection: Size,
    /// Most bytes of request bodies that have arrived and wait for the rest, as 64MiB; more are refused with 429.
    #[arg(long, env = "REPARTEE_MAX_INCOMING_BYTES", value_name = "SIZE", default_value = "64MiB")]
    pub max_incoming_bytes: Size,
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
    /// Most bytes that these messages and their changes take, by estimate, as 32MiB; at least 64KiB.
    #[arg(long, env = "REPARTEE_TAIL_BYTES", value_name = "SIZE", default_value = "32MiB", value_parser = Size::at_least(65_536))]
    pub tail_bytes: Size,
    /// The newest messages that are listed when the gateway starts, so that polls need not wait for new ones.
    #[arg(long, env = "REPARTEE_TAIL_SEED", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub tail_seed: u32,
    /// How long the stream of changes from the queue-service may be silent before it is opened again, as 30s, at most 10m:
    /// twice its heartbeat.
    #[arg(long, env = "REPARTEE_WATCH_PATIENCE", value_name = "SPAN", default_value = "30s", value_parser = Span::up_to(LONGEST_TIMEOUT))]
    pub watch_patience: Span,
    /// List the rooms for whoever asks, at GET /api/rooms and on the page; the queue-service has to do so too. 404 otherwise.
    #[arg(long, env = "REPARTEE_LIST_ROOMS", value_name = "true|false", default_value_t = false, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub list_rooms: bool,
    /// How a stop goes on.
    #[command(flatten)]
    #[serde(flatten)]
    pub drain: DrainSettings,
    /// File whose first line is the gateway's token, with which it calls the queue-service; read again every second. The
    /// token itself may be given in the variable REPARTEE_TOKEN, not on the command line, which everybody on the machine can
    /// read.
    #[arg(long, env = "REPARTEE_TOKEN_FILE", value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// From REPARTEE_TOKEN.
    #[arg(skip = repartee_process::token_variable())]
    pub token: Option<Secret>,
    /// Address that answers GET /metrics, /livez and /readyz to everybody who reaches it; port 0 takes a free port. Without it, and on the
    /// address for browsers, it takes an operator's token.
    #[arg(long, env = "REPARTEE_METRICS_ADDR")]
    pub metrics_addr: Option<SocketAddr>,
    /// Time between two points of the operators' charts, as 10s, at most 10m; 360 points are kept.
    #[arg(long, env = "REPARTEE_HISTORY_INTERVAL", value_name = "SPAN", default_value = "10s", value_parser = Span::up_to(LONGEST_TIMEOUT))]
    pub history_interval: Span,
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

    fn probe(&self) -> Result<Probe, String> {
        let own = || Probe::http(self.http_addr).without_tls(self.tls.tls_cert.is_some());
        let probe = Probe::metrics(self.metrics_addr).map_or_else(own, Ok)?;
        Ok(probe.with_ready_file(self.ready_file.clone()))
    }

    fn drain_delay(&self) -> Duration {
        self.drain.drain_delay.0
    }

    fn check(&self) -> Result<(), String> {
        self.queue_link().map_err(|error| error.to_string())?;
        self.tls.check()?;
        self.credential()?;
        if self.max_incoming_bytes < self.max_body_bytes {
            let (least, given) = (self.max_body_bytes, self.max_incoming_bytes);
            return Err(format!(
                "--max-incoming-bytes must be at least --max-body-bytes ({least}), is {given}"
            ));
        }
        if self.cors_origins.len() > 1 && self.cors_origins.iter().any(|origin| origin == "*") {
            return Err("--cors-origin * allows all origins: name it alone".into());
        }
        self.cors_origins.iter().filter(|origin| *origin != "*").try_for_each(|origin| check_origin(origin))
    }
}

impl Settings {
    pub(crate) fn patience(&self) -> Patience {
        Patience { idle: self.idle_timeout.0, head: self.head_timeout.0, least_rate: self.min_send_rate.0 }
    }

    pub(crate) fn answers(&self) -> AnswerLimits {
        AnswerLimits {
            total: ByteLimit::new("answer_bytes", self.max_answer_bytes.0),
            per_connection: self.max_answer_bytes_per_connection.0,
            per_connection_name: "answer_bytes_of_connection",
        }
    }

    /// The way to the queue-service. Reads files.
    pub(crate) fn queue_link(&self) -> Result<QueueLink, QueueLinkError> {
        QueueLink::new(&self.queue_url, &self.queue_tls)
    }

    /// The gateway's own token.
    pub(crate) fn credential(&self) -> Result<Credential, String> {
        let problem = |problem| format!("--token-file or REPARTEE_TOKEN: {problem}");
        Credential::from_settings(self.token_file.clone(), self.token.as_ref()).map_err(problem)
    }

    pub(crate) fn tail(&self) -> Limits {
        Limits { messages: self.tail_messages as usize, bytes: self.tail_bytes.in_memory() }
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
    fn balancers_have_five_seconds_to_send_nobody_here_any_more() {
        let settings = Settings::try_parse_from(["rest-gateway"]).unwrap();
        assert_eq!(settings.drain_delay(), Duration::from_secs(5));
        assert_eq!(settings.effective()["drain_delay"], "5s");
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
            (["--queue-url", "ftp://queue"], "ftp://queue"),
            (["--queue-url", "https://queue:500511"], "https://queue:500511"),
            (["--queue-url", "https://[::1]:500511"], "https://[::1]:500511"),
            (["--queue-url", "http://queue:"], "http://queue:"),
            (["--queue-ca", "/ca"], "https://"),
            (["--queue-client-key", "/key"], "--queue-client-cert"),
            (["--tls-cert", "/nowhere/at/all"], "--tls-key"),
            (["--hsts", "soon"], "soon"),
            (["--cors-origin", "https://a.example/"], "https://a.example/"),
            (["--cors-origin", "a.example"], "a.example"),
            (["--cors-origin", "https://a.example,*"], "*"),
            (["--max-body-bytes", "0"], "--max-body-bytes"),
            (["--client-posts", "5/min"], "5/min"),
            (["--client-post-burst", "0"], "0"),
            (["--client-bytes-per-day", "5GiB"], "5GiB"),
            (["--client-answer-bytes", "1MiB"], "1MiB"),
            (["--client-limits", "no"], "no"),
            (["--trusted-proxy", "proxy.example"], "proxy.example"),
            (["--trusted-proxy", "10.0.0.0/8,0.0.0.0/0"], "0.0.0.0/0"),
            (["--forwarded-header", "via"], "via"),
            (["--max-answer-bytes", "1MiB"], "--max-answer-bytes"),
            (["--max-incoming-bytes", "1KiB"], "--max-incoming-bytes"),
            (["--head-timeout", "20"], "20"),
            (["--drain-delay", "11m"], "11m"),
            (["--token-file", "/nowhere/at/all"], "/nowhere/at/all"),
            (["--trusted-proxy", "proxy.example"], "proxy.example"),
            (["--trusted-proxy", "10.0.0.0/8,0.0.0.0/0"], "0.0.0.0/0"),
            (["--forwarded-header", "via"], "via"),
            (["--history-interval", "0s"], "--history-interval"),
            (["--request-timeout", "0s"], "--request-timeout"),
            (["--request-timeout", "-1"], "-1"),
            (["--request-timeout", "1e9"], "1e9"),
            (["--request-timeout", "10"], "unit needed"),
            (["--request-timeout", "11m"], "at most 10m"),
            (["--tail-bytes", "1KiB"], "at least 64KiB"),
        ] {
            let refusal = check(&flags).unwrap_err();
            assert!(refusal.contains(named), "{refusal}");
        }
    }
}
