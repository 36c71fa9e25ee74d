//! Ending on SIGTERM and SIGINT.

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::Span;

/// A stop takes at most this long, if the delay leaves [`LEAST_DRAIN`] of it.
const STOP: Duration = Duration::from_secs(9);
/// What is in flight has at least this long to finish, however long the delay was.
const LEAST_DRAIN: Duration = Duration::from_secs(4);

/// How long a service that is to stop goes on serving.
#[derive(Debug, Clone, Copy, Args, Serialize)]
pub struct DrainSettings {
    /// How long it goes on serving after SIGTERM, as 5s, at most 10m, while it says that it is not ready: balancers need that
    /// long to send nobody here any more. Then streams are told to leave, and what is in flight has 4 s to finish. SIGINT,
    /// as by Ctrl-C, skips the wait; a second signal ends the process at once.
    #[arg(long, env = "REPARTEE_DRAIN_DELAY", value_name = "SPAN", default_value = "5s", value_parser = Span::seconds(0..=Self::LONGEST))]
    pub drain_delay: Span,
}

/// A stop in two steps: whoever chooses between several servers is told that this one leaves, while it serves as before; later
/// it stops.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Cancelled as soon as the stop is asked for: from now on the process is not ready, and refuses nobody yet.
    pub leaving: CancellationToken,
    /// Cancelled when nobody is to come any more: streams are told to leave, and what is in flight finishes.
    pub stop: CancellationToken,
}

/// A stop without a delay: both steps are one.
impl From<CancellationToken> for Shutdown {
    fn from(stop: CancellationToken) -> Self {
        Self { leaving: stop.clone(), stop }
    }
}

impl Shutdown {
    /// A stop that the first SIGTERM or SIGINT asks for; SIGTERM leaves `delay` between its two steps. A second signal ends the
    /// process at once: everything that was acknowledged is on disk already.
    ///
    /// Must be called inside a tokio runtime.
    pub fn on_signal(delay: Duration) -> Self {
        let mut signals = Signals {
            terminate: signal(SignalKind::terminate()).expect("SIGTERM can be listened for"),
            interrupt: signal(SignalKind::interrupt()).expect("SIGINT can be listened for"),
        };
        let asked = Self::default();
        let shutdown = asked.clone();
        tokio::spawn(async move {
            let signal = signals.next().await;
            // Whoever presses Ctrl-C waits for the end; an orchestrator sends SIGTERM.
            let delay = if signal == "SIGTERM" { delay } else { Duration::ZERO };
            tracing::info!(signal, ?delay, "stopping");
            asked.leaving.cancel();
            let second = tokio::select! {
                signal = signals.next() => signal,
                () = tokio::time::sleep(delay) => {
                    asked.stop.cancel();
                    signals.next().await
                }
            };
            tracing::warn!(signal = second, "a second signal: stopping at once");
            std::process::exit(1);
        });
        shutdown
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

impl DrainSettings {
    /// The longest delay, in seconds.
    pub const LONGEST: u64 = 600;

    /// How long what is in flight may take to finish, once the delay is over.
    pub fn drain(self) -> Duration {
        STOP.saturating_sub(self.drain_delay.0).max(LEAST_DRAIN)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::DrainSettings;
    use crate::Span;

    #[test]
    fn a_delay_is_taken_from_the_time_of_the_stop_and_leaves_four_seconds() {
        for (delay, drain) in [(0, 9), (1, 8), (5, 4), (600, 4)] {
            let settings = DrainSettings { drain_delay: Span::of_seconds(delay) };
            assert_eq!(settings.drain(), Duration::from_secs(drain), "{delay} s");
        }
    }
}
