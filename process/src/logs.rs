//! Logs go to stderr: readable lines on a terminal, one JSON object a line otherwise. `RUST_LOG` chooses what is shown. Every
//! line that is written while a call is served names that call, by its trace and its request id.

mod json;
mod terminal;

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// What is shown unless `RUST_LOG` says otherwise. sled logs its normal life at `info`.
const DEFAULT_FILTER: &str = "info,sled=warn,pagecache=warn,h2=warn";

/// With every `RUST_LOG` that names none of these modules: the library of the bot's tools logs what they are asked and what they
/// give, which is made of what people wrote, and with its warnings addresses that hold keys. The bot says itself what is wrong.
/// That of traces says the same with each batch that a collector does not take, which is said once here, and its headers.
/// And sled shows each row that it writes.
const NEVER: [&str; 6] = [
    "rmcp=off",
    "opentelemetry=off",
    "opentelemetry_sdk=off",
    "opentelemetry-otlp=off",
    "sled=warn",
    "pagecache=warn",
];

/// Starts logging for this process. A second call changes nothing.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let lines = tracing_subscriber::fmt().with_env_filter(bounded(filter)).with_writer(stderr);
    // An error means that a subscriber is set already: in tests that start several servers in one process.
    let _ = if stderr().is_terminal() {
        lines.event_format(terminal::Lines::default()).try_init()
    } else {
        lines.event_format(json::Records).try_init()
    };
}

fn bounded(filter: EnvFilter) -> EnvFilter {
    let never = |name: &str| name.parse().expect("it is a directive");
    NEVER.into_iter().map(never).fold(filter, EnvFilter::add_directive)
}

#[cfg(test)]
mod tests {
    use tracing::{Level, enabled, subscriber::with_default};
    use tracing_subscriber::EnvFilter;

    use super::bounded;

    #[test]
    fn what_tools_are_asked_is_not_shown_by_a_setting_for_all() {
        for setting in ["trace", "rmcp=trace,sled=trace", "info,rmcp=debug"] {
            let filter = bounded(EnvFilter::new(setting));
            let subscriber = tracing_subscriber::fmt().with_env_filter(filter).finish();
            with_default(subscriber, || {
                assert!(!enabled!(target: "rmcp::transport::worker", Level::ERROR), "{setting}");
                assert!(!enabled!(target: "rmcp::service", Level::ERROR), "{setting}");
                assert!(!enabled!(target: "sled::tree", Level::INFO), "{setting}");
            });
        }
    }
}
