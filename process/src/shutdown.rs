//! Ending on SIGTERM and SIGINT.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. A second signal ends the process at once: everything that
/// was acknowledged is on disk already.
///
/// Must be called inside a tokio runtime.
pub fn on_signal() -> CancellationToken {
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened for");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened for");
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        let mut either = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = either().await;
        tracing::info!(signal, "stopping");
        stop.cancel();
        let signal = either().await;
        tracing::warn!(signal, "a second signal: stopping at once");
        std::process::exit(1);
    });
    token
}
