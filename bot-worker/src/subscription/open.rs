//! What one stream of work has come to.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};

use super::{End, HELLO_WITHIN, lost};
use crate::{health::OpenStream, steps::Taken};

/// The interval of heartbeats if the service does not name one.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An open stream, or one that is being opened.
pub(super) struct Open {
    /// It is dead if it says nothing until then.
    pub(super) until: Instant,
    pub(super) patience: Duration,
    pub(super) is_greeted: bool,
    pub(super) is_leaving: bool,
    /// What the service was told.
    pub(super) holds_back: bool,
    /// The token with which it was opened.
    pub(super) token: Option<MetadataValue<Ascii>>,
    /// Set once the service goes away, or another stream is to be opened: when it may be asked again.
    pub(super) retry_after: Option<Duration>,
    /// The steps for it, from its hello until it is about to end.
    pub(super) taken: Option<Taken>,
    /// While the service gives this session work.
    pub(super) shown: Option<OpenStream>,
}

impl Default for Open {
    fn default() -> Self {
        let until = Instant::now() + HELLO_WITHIN;
        let (is_greeted, is_leaving, holds_back) = (false, false, false);
        let (token, retry_after, taken, shown) = (None, None, None, None);
        let patience = HELLO_WITHIN;
        Self { until, patience, is_greeted, is_leaving, holds_back, token, retry_after, taken, shown }
    }
}

impl Open {
    /// The service has said hello, and how often it says that it is alive.
    pub(super) fn greet(&mut self, heartbeat_interval: Option<prost_types::Duration>) {
        self.is_greeted = true;
        self.patience = patience_for(heartbeat_interval);
    }

    /// The service has said something.
    pub(super) fn heard(&mut self) {
        self.until = Instant::now() + self.patience;
    }

    /// It takes no more items, and another one may be opened after this wait.
    pub(super) fn ends_after(&mut self, wait: Duration) {
        self.retry_after = Some(wait);
        self.taken = None;
    }

    /// The end of a stream that is over by itself.
    pub(super) fn ended(&self, why: &str) -> End {
        match self.retry_after {
            Some(wait) => End::Lost { why: "the service goes away".into(), wait },
            None => lost(why),
        }
    }

    /// True while items may be sent: from the start, for the service reads them when it has said hello.
    pub(super) fn takes_items(&self) -> bool {
        self.retry_after.is_none()
    }
}

/// How long a stream may be silent: twice the interval of its heartbeats.
fn patience_for(interval: Option<prost_types::Duration>) -> Duration {
    let interval =
        interval.and_then(|interval| interval.try_into().ok()).filter(|interval| *interval > Duration::ZERO);
    interval.unwrap_or(HEARTBEAT).saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_may_be_silent_for_two_heartbeats() {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        assert_eq!(patience_for(seconds(300)), Duration::from_secs(600));
        assert_eq!(patience_for(seconds(0)), Duration::from_secs(30));
        assert_eq!(patience_for(seconds(-1)), Duration::from_secs(30));
        assert_eq!(patience_for(None), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_has_said_hello_is_not_dead_before_its_first_heartbeat() {
        let mut open = Open::default();
        let began = Instant::now();
        assert_eq!(open.until, began + HELLO_WITHIN);
        open.greet(Some(prost_types::Duration { seconds: 15, nanos: 0 }));
        open.heard();
        assert_eq!(open.until, began + Duration::from_secs(30));
    }
}
