//! Logs go to stderr: readable lines on a terminal, one JSON object a line otherwise. `RUST_LOG` chooses what is shown.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

/// What is shown unless `RUST_LOG` says otherwise. sled logs its normal life at `info`.
const DEFAULT_FILTER: &str = "info,sled=warn,pagecache=warn,h2=warn";

/// Starts logging for this process. A second call changes nothing.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    // An error means that a subscriber is set already: in tests that start several servers in one process.
    let _ = if stderr().is_terminal() { lines.compact().try_init() } else { lines.json().try_init() };
}
