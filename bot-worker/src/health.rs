//! Whether the bots of a process take work, for the probes of whoever runs it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use repartee_process::LiveGauge;
use tokio_util::sync::CancellationToken;

use crate::Breaker;

/// The streams of work that one bot has open: one, or none while the service cannot be reached.
#[derive(Clone)]
pub(crate) struct OpenStreams {
    count: Arc<AtomicUsize>,
    shown: LiveGauge,
}

/// One of them, until it is dropped.
pub(crate) struct OpenStream(OpenStreams);

impl OpenStreams {
    /// None yet, of the bot of this name.
    pub(crate) fn new(bot: &str) -> Self {
        let help = "Streams of work that the bot has open; 0 while it is not connected";
        // It is there before the first stream. One that is started anew shares it with its forerunner, which may have one open.
        let shown = LiveGauge::of("repartee_bot_streams", help, &[("bot", bot)]);
        Self { count: Arc::default(), shown }
    }

    /// The service has said hello on a stream.
    pub(crate) fn open(&self) -> OpenStream {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.shown.add(1.0);
        OpenStream(self.clone())
    }

    fn are_any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::Relaxed);
        self.0.shown.add(-1.0);
    }
}

/// The bots of a process; clones share them.
#[derive(Clone)]
pub(crate) struct Health {
    bots: Arc<Mutex<BTreeMap<String, OneBot>>>,
    draining: CancellationToken,
}

struct OneBot {
    streams: OpenStreams,
    breaker: Breaker,
}

impl Health {
    /// No bots yet; `draining` is cancelled once they take nothing more.
    pub(crate) fn new(draining: CancellationToken) -> Self {
        Self { bots: Arc::default(), draining }
    }

    /// A bot begins, in place of one of the same name.
    pub(crate) fn begin(&self, name: String, streams: OpenStreams, breaker: Breaker) {
        self.with(|bots| bots.insert(name, OneBot { streams, breaker }));
    }

    /// Only bots with these names go on.
    pub(crate) fn keep(&self, goes_on: impl Fn(&str) -> bool) {
        self.with(|bots| bots.retain(|name, _| goes_on(name)));
    }

    /// Whether all bots take work, in words for operators. One that holds back because of an outage counts as ready: to be
    /// taken for broken, and restarted or rolled back, would help nobody.
    pub(crate) fn readiness(&self) -> Result<String, String> {
        if self.draining.is_cancelled() {
            return Err("draining\n".to_owned());
        }
        self.with(|bots| {
            let (mut away, mut out) = (String::new(), String::new());
            for (name, OneBot { streams, breaker }) in bots.iter() {
                if !streams.are_any() {
                    // A string takes all that is written.
                    let _ = writeln!(away, "not connected: {name}");
                } else if breaker.outage().is_some() {
                    let _ = writeln!(out, "holding back: {name}");
                }
            }
            match (bots.is_empty(), away.is_empty()) {
                (true, _) => Err("no bots\n".to_owned()),
                (false, false) => Err(away + &out),
                (false, true) => Ok("ok\n".to_owned() + &out),
            }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, OneBot>) -> T) -> T {
        act(&mut self.bots.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::{Health, OpenStreams};
    use crate::Breaker;

    fn two_bots() -> (Health, CancellationToken, [OpenStreams; 2], Breaker) {
        let draining = CancellationToken::new();
        let health = Health::new(draining.clone());
        let streams = ["one", "two"].map(OpenStreams::new);
        let breaker = Breaker::of_time_alone("one");
        health.begin("one".into(), streams[0].clone(), breaker.clone());
        health.begin("two".into(), streams[1].clone(), Breaker::of_time_alone("two"));
        (health, draining, streams, breaker)
    }

    fn not_ready(why: &str) -> Result<String, String> {
        Err(why.to_owned())
    }

    #[tokio::test]
    async fn bots_are_ready_while_each_has_a_stream_open() {
        let (health, _, streams, _) = two_bots();
        assert_eq!(health.readiness(), not_ready("not connected: one\nnot connected: two\n"));
        let one = streams[0].open();
        assert_eq!(health.readiness(), not_ready("not connected: two\n"));
        let _two = streams[1].open();
        assert_eq!(health.readiness(), Ok("ok\n".to_owned()));
        drop(one);
        assert_eq!(health.readiness(), not_ready("not connected: one\n"));
        health.keep(|name| name == "two");
        assert_eq!(health.readiness(), Ok("ok\n".to_owned()));
        health.keep(|_| false);
        assert_eq!(health.readiness(), not_ready("no bots\n"));
    }

    #[tokio::test]
    async fn a_bot_that_holds_back_is_ready_and_a_draining_one_is_not() {
        let (health, draining, streams, breaker) = two_bots();
        let _open = streams.each_ref().map(OpenStreams::open);
        breaker.open("no model", None);
        assert_eq!(health.readiness(), Ok("ok\nholding back: one\n".to_owned()));
        draining.cancel();
        assert_eq!(health.readiness(), not_ready("draining\n"));
    }
}
