//! A breaker: an outage of what all answers need, such as the endpoint of a model, delays messages and costs them no
//! attempt.
//!
//! Owns whether answers can be given at present, and the probes that find out: one at a time, with full jitter between
//! them. Never looks at a message. While a breaker is open, its workers give back what they hold, and take nothing.

use std::{
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use metrics::{Unit, counter, describe_counter};
use repartee_process::LiveGauge;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    HandlerError,
    backoff::{Backoff, Waits},
};

/// Waits between two probes.
const PROBE: Waits = Waits::new(Duration::from_secs(1), Duration::from_secs(60));
/// No endpoint may silence a bot for longer before it is asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

type Probe = Box<dyn Fn() -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// Whether what all answers need is there. Clones share one state, and several workers may share a breaker.
///
/// It opens when a handler returns [`HandlerError::outage`]. Then probes are made until one succeeds.
#[derive(Clone)]
pub struct Breaker(Arc<Inner>);

struct Inner {
    name: String,
    /// 1 while there is an outage.
    out: LiveGauge,
    probe: Probe,
    /// The outage, if there is one.
    outage: watch::Sender<Option<Outage>>,
    backoff: Mutex<Backoff>,
    /// When the last probe that succeeded ended. Its lock is held by whoever probes.
    succeeded: tokio::sync::Mutex<Option<Instant>>,
}

/// Why no answer can be given at present.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    /// In words for operators.
    pub(crate) why: String,
    since: Instant,
    probe_at: Instant,
}

impl Breaker {
    /// A breaker named `name` in logs and metrics, whose `probe` succeeds if answers can be given again. What the probe
    /// fails with is what operators are told.
    pub fn new<P, F>(name: impl Into<String>, probe: P) -> Self
    where
        P: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        describe();
        let name = name.into();
        let out = out(&name);
        out.set(0.0);
        counter!("repartee_bot_outages_total", "bot" => name.clone()).absolute(0);
        for outcome in ["success", "failure"] {
            probes(&name, outcome).absolute(0);
        }
        Self(Arc::new(Inner {
            name,
            out,
            probe: Box::new(move || Box::pin(probe())),
            outage: watch::Sender::default(),
            backoff: Mutex::new(Backoff::new(PROBE)),
            succeeded: tokio::sync::Mutex::default(),
        }))
    }

    /// One without a probe: after each wait answers are tried again.
    pub(crate) fn of_time_alone(name: &str) -> Self {
        Self::new(name, || std::future::ready(Ok(())))
    }

    /// Its name in logs and metrics.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Why no answers can be given at present, if so.
    pub fn outage(&self) -> Option<String> {
        self.0.outage.borrow().as_ref().map(|outage| outage.why.clone())
    }

    /// An answer was given: the next outage is not the continuation of the last one.
    pub fn answered(&self) {
        self.backoff(Backoff::reset);
    }

    /// Finds out whether a failure lies in its message or in an outage, by a probe; several callers share one.
    ///
    /// # Errors
    /// [`HandlerError::outage`] if there is one.
    pub async fn check(&self) -> Result<(), HandlerError> {
        let asked = Instant::now();
        let mut succeeded = self.0.succeeded.lock().await;
        if let Some(why) = self.outage() {
            return Err(HandlerError::outage(why));
        }
        if succeeded.is_some_and(|at| at >= asked) {
            return Ok(());
        }
        self.probe(&mut succeeded).await
    }

    /// There is an outage; the next probe is made after `wait`, or after the backoff if that is later.
    pub(crate) fn open(&self, why: &str, wait: Option<Duration>) {
        let now = Instant::now();
        let asked = now + wait.unwrap_or_default().min(LONGEST_WAIT);
        self.0.outage.send_if_modified(|outage| match outage {
            Some(outage) => {
                let later = asked > outage.probe_at;
                outage.probe_at = outage.probe_at.max(asked);
                later
            }
            None => {
                let probe_at = asked.max(now + self.backoff(|backoff| backoff.next(rand::random())));
                tracing::warn!(
                    bot = self.0.name,
                    why,
                    "no answers for now; holding back until a probe succeeds"
                );
                self.0.out.set(1.0);
                counter!("repartee_bot_outages_total", "bot" => self.0.name.clone()).increment(1);
                *outage = Some(Outage { why: why.to_owned(), since: now, probe_at });
                true
            }
        });
    }

    /// What is told of outages as they come and go.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Outage>> {
        self.0.outage.subscribe()
    }

    /// Makes probes whenever they are due, for as long as it is polled.
    pub(crate) async fn keep_probing(self) {
        let mut outages = self.watch();
        loop {
            let due = outages.borrow_and_update().as_ref().map(|outage| outage.probe_at);
            tokio::select! {
                // The sender lives as long as `self`.
                _ = outages.changed() => {}
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.probe_if_due().await,
            }
        }
    }

    async fn probe_if_due(&self) {
        let mut succeeded = self.0.succeeded.lock().await;
        let is_due = self.0.outage.borrow().as_ref().is_some_and(|outage| outage.probe_at <= Instant::now());
        if is_due {
            // What it finds is in the state.
            let _ = self.probe(&mut succeeded).await;
        }
    }

    async fn probe(&self, succeeded: &mut Option<Instant>) -> Result<(), HandlerError> {
        // Whoever probes lives on, or the breaker would stay open for ever.
        let probed = AssertUnwindSafe(async { (self.0.probe)().await }).catch_unwind().await;
        let result = probed.unwrap_or_else(|_payload| Err(HandlerError::outage("the probe panicked")));
        probes(&self.0.name, if result.is_ok() { "success" } else { "failure" }).increment(1);
        let Err(error) = result else {
            *succeeded = Some(Instant::now());
            self.close();
            return Ok(());
        };
        if self.outage().is_none() {
            self.open(&error.text, error.retry_after);
        } else {
            self.still_out(&error);
        }
        Err(HandlerError::outage(error.text))
    }

    /// A probe has failed: the outage is told with its newest reason, and the next probe comes later.
    fn still_out(&self, error: &HandlerError) {
        let wait = error.retry_after.unwrap_or_default().min(LONGEST_WAIT);
        let wait = wait.max(self.backoff(|backoff| backoff.next(rand::random())));
        self.0.outage.send_modify(|outage| {
            if let Some(outage) = outage {
                outage.why.clone_from(&error.text);
                outage.probe_at = Instant::now() + wait;
            }
        });
    }

    fn close(&self) {
        let ended = self.0.outage.send_replace(None);
        if let Some(Outage { since, .. }) = ended {
            self.0.out.set(0.0);
            tracing::info!(bot = self.0.name, after = ?since.elapsed(), "answers can be given again");
        }
    }

    fn backoff<T>(&self, with: impl FnOnce(&mut Backoff) -> T) -> T {
        with(&mut self.0.backoff.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breaker")
            .field("name", &self.0.name)
            .field("outage", &self.outage())
            .finish_non_exhaustive()
    }
}

fn describe() {
    describe_counter!("repartee_bot_outages_total", Unit::Count, "Outages that kept the bot from answering");
    describe_counter!(
        "repartee_bot_probes_total",
        Unit::Count,
        "Probes that looked whether answers can be given again, by outcome"
    );
}

fn out(name: &str) -> LiveGauge {
    let help = "1 while an outage keeps the bot from answering, else 0";
    LiveGauge::of("repartee_bot_out", help, &[("bot", name)])
}

fn probes(name: &str, outcome: &'static str) -> metrics::Counter {
    counter!("repartee_bot_probes_total", "bot" => name.to_owned(), "outcome" => outcome)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use tokio::time::{Instant, sleep};
    use tokio_util::task::AbortOnDropHandle;

    use super::{Breaker, LONGEST_WAIT};
    use crate::HandlerError;

    const S: Duration = Duration::from_secs(1);

    /// A breaker whose first `failures` probes fail, and how many there were.
    fn failing(failures: u32) -> (Breaker, Arc<AtomicU32>) {
        let probes = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&probes);
        let breaker = Breaker::new("test", move || {
            let fails = counted.fetch_add(1, Ordering::Relaxed) < failures;
            async move {
                sleep(S).await;
                if fails { Err(HandlerError::outage("still out")) } else { Ok(()) }
            }
        });
        (breaker, probes)
    }

    async fn closed(breaker: &Breaker) {
        breaker.watch().wait_for(Option::is_none).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_open_until_a_probe_succeeds() {
        let (breaker, probes) = failing(3);
        let _probing = AbortOnDropHandle::new(tokio::spawn(breaker.clone().keep_probing()));
        breaker.open("out", None);
        assert_eq!(breaker.outage().as_deref(), Some("out"));
        breaker
            .watch()
            .wait_for(|outage| outage.as_ref().is_some_and(|o| o.why == "still out"))
            .await
            .unwrap();
        closed(&breaker).await;
        assert_eq!(probes.load(Ordering::Relaxed), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_that_is_asked_for_is_waited_and_a_longer_one_counts() {
        let (breaker, _) = failing(0);
        let _probing = AbortOnDropHandle::new(tokio::spawn(breaker.clone().keep_probing()));
        let begun = Instant::now();
        for wait in [300 * S, 500 * S, 200 * S] {
            breaker.open("busy", Some(wait));
        }
        closed(&breaker).await;
        let waited = begun.elapsed();
        assert!((500 * S..=502 * S).contains(&waited), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_silences_it_for_longer_than_an_hour() {
        let (breaker, _) = failing(0);
        let _probing = AbortOnDropHandle::new(tokio::spawn(breaker.clone().keep_probing()));
        let begun = Instant::now();
        breaker.open("never again", Some(24 * LONGEST_WAIT));
        closed(&breaker).await;
        assert!(begun.elapsed() <= LONGEST_WAIT + 2 * S);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_doubt_at_the_same_time_share_one_probe() {
        for (failures, is_out) in [(0, false), (9, true)] {
            let (breaker, probes) = failing(failures);
            let (one, two, three) = tokio::join!(breaker.check(), breaker.check(), breaker.check());
            assert_eq!([one.is_err(), two.is_err(), three.is_err()], [is_out; 3]);
            assert_eq!(probes.load(Ordering::Relaxed), 1);
            assert_eq!(breaker.outage().is_some(), is_out);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_panics_has_failed_and_the_next_is_made() {
        let probes = AtomicU32::new(0);
        let breaker = Breaker::new("test", move || {
            let first = probes.fetch_add(1, Ordering::Relaxed) == 0;
            async move {
                assert!(!first, "prepared by the test");
                Ok(())
            }
        });
        let _probing = AbortOnDropHandle::new(tokio::spawn(breaker.clone().keep_probing()));
        assert_eq!(breaker.check().await, Err(HandlerError::outage("the probe panicked")));
        closed(&breaker).await;
    }

    #[tokio::test(start_paused = true)]
    async fn in_an_outage_nobody_probes_out_of_turn() {
        let (breaker, probes) = failing(0);
        breaker.open("busy", Some(60 * S));
        assert_eq!(breaker.check().await, Err(HandlerError::outage("busy")));
        assert_eq!(probes.load(Ordering::Relaxed), 0);
    }
}
