//! Sending: a number of clients, a pace, and an end. Knows nothing of messages.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::Semaphore, task::JoinSet};

use crate::{latency::Latencies, pace::Pace};

/// The finest step of the thread that starts operations in an open loop.
const STEP: Duration = Duration::from_micros(50);

/// One of the clients that send at the same time.
pub(crate) trait Client: Send + 'static {
    /// Does operation `number`, counted over all clients.
    fn once(&mut self, number: u64) -> impl Future<Output = Outcome> + Send;
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well, and now.
    Done,
    /// Well, at that moment; what came later belongs to no latency.
    DoneAt(Instant),
    /// The server is at a bound and says so, with a name for it.
    Refused(String),
    /// In any other way, with a name for it.
    Failed(String),
    /// There is nothing left to do: this client ends, and nothing is counted.
    Drained,
}

/// Where a load ends, whichever comes first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Operations over all clients.
    pub(crate) operations: u64,
    /// Time in which operations are started. In an open loop those that are due by then may take as long again; what
    /// has not started after that is counted as not served.
    pub(crate) time: Duration,
}

/// What came of a load.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// From the intended start to the end of each operation that went well.
    pub(crate) latencies: Latencies,
    /// The same for refused operations.
    pub(crate) refusals: Latencies,
    /// From the sending of refused operations to their refusal: what of it is not the generator's own delay.
    pub(crate) refusals_sent: Latencies,
    /// In an open loop: from the intended start of each operation to the moment in which it was sent. Where that is long,
    /// the generator is what is slow, or all of its clients wait for answers.
    pub(crate) late: Latencies,
    /// How many operations did not go well, by name; refused ones are among them.
    pub(crate) errors: BTreeMap<String, u64>,
    /// From the acknowledgement of a message to each of those who follow, where somebody does.
    pub(crate) each: Latencies,
    /// What an idle client takes in the gateway's memory, in KiB, where that was looked at.
    pub(crate) idle_client_kib: Option<f64>,
    /// Calls that the queue-service answered meanwhile, where that was looked at.
    pub(crate) queue_calls: Option<u64>,
    /// From the first start to the last end.
    pub(crate) elapsed: Duration,
}

/// The name under which operations are counted that were due and never started.
const NOT_SERVED: &str = "not served in time";

impl Measured {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            latencies: Latencies::new(),
            refusals: Latencies::new(),
            refusals_sent: Latencies::new(),
            late: Latencies::new(),
            each: Latencies::new(),
            idle_client_kib: None,
            queue_calls: None,
            errors: BTreeMap::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Operations that went well, in a second.
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Operations that were sent, in a second.
    pub(crate) fn sent_per_second(&self) -> f64 {
        let failed = self.errors.iter().filter(|(name, _)| *name != NOT_SERVED).map(|(_, count)| count);
        let sent = self.latencies.count() + failed.sum::<u64>();
        sent as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Counts one outcome; false where the client has nothing left to do.
    pub(crate) fn note(&mut self, outcome: Outcome, intended: Instant) -> bool {
        match outcome {
            Outcome::Done => self.latencies.record(intended.elapsed()),
            Outcome::DoneAt(end) => self.latencies.record(end.saturating_duration_since(intended)),
            Outcome::Refused(name) => {
                self.refusals.record(intended.elapsed());
                *self.errors.entry(name).or_default() += 1;
            }
            Outcome::Failed(name) => *self.errors.entry(name).or_default() += 1,
            Outcome::Drained => return false,
        }
        true
    }

    /// Adds what came of a part of the load; the time is that of the whole.
    pub(crate) fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        self.refusals.add(&other.refusals);
        self.refusals_sent.add(&other.refusals_sent);
        self.late.add(&other.late);
        for (name, count) in other.errors {
            *self.errors.entry(name).or_default() += count;
        }
    }
}

/// What all clients of one load share.
struct Shared {
    pace: Pace,
    limit: Limit,
    start: Instant,
    /// Number of the next operation.
    next: AtomicU64,
    /// In an open loop, one permit for each operation that is due; closed behind the last.
    due: Semaphore,
}

/// Lets all clients work until the limit, and hands them back for another load.
pub(crate) async fn drive<C: Client>(clients: Vec<C>, pace: Pace, limit: Limit) -> (Measured, Vec<C>) {
    let (start, due) = (Instant::now(), Semaphore::new(0));
    let shared = Arc::new(Shared { pace, limit, start, next: AtomicU64::new(0), due });
    let starter = (!matches!(shared.pace, Pace::Closed)).then(|| {
        let shared = Arc::clone(&shared);
        tokio::task::spawn_blocking(move || shared.start_when_due())
    });
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(work(client, Arc::clone(&shared)));
    }
    let (mut measured, mut clients) = (Measured::new(), Vec::new());
    for (part, client) in running.join_all().await {
        measured.add(part);
        clients.push(client);
    }
    measured.elapsed = start.elapsed();
    if let Some(starter) = starter {
        let planned = starter.await.expect("the starter does not panic");
        let begun = shared.next.load(Ordering::Relaxed);
        if planned > begun {
            measured.errors.insert(NOT_SERVED.to_owned(), planned - begun);
        }
    }
    (measured, clients)
}

async fn work<C: Client>(mut client: C, shared: Arc<Shared>) -> (Measured, C) {
    let mut measured = Measured::new();
    while let Some((number, intended)) = shared.next().await {
        let sent = Instant::now();
        if !matches!(shared.pace, Pace::Closed) {
            measured.late.record(sent.saturating_duration_since(intended));
        }
        let outcome = client.once(number).await;
        if let Outcome::Refused(_) = outcome {
            measured.refusals_sent.record(sent.elapsed());
        }
        if !measured.note(outcome, intended) {
            break;
        }
    }
    (measured, client)
}

impl Shared {
    /// The next operation and its intended start; none at the end.
    async fn next(&self) -> Option<(u64, Instant)> {
        if let Pace::Closed = self.pace {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let goes_on = number < self.limit.operations && self.start.elapsed() < self.limit.time;
            return goes_on.then(|| (number, Instant::now()));
        }
        // A closed semaphore says that all operations that were planned have been taken, or given up.
        self.due.acquire().await.ok()?.forget();
        if self.start.elapsed() > self.limit.time * 2 {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some((number, self.start + self.pace.due(number).unwrap_or_default()))
    }

    /// Adds a permit for each operation when it is due, and tells how many there were. tokio's timers are exact to
    /// 1 ms only, which would be counted as latency.
    #[expect(clippy::disallowed_methods, reason = "the clock itself is waited for")]
    fn start_when_due(&self) -> u64 {
        let mut begun = 0;
        loop {
            let elapsed = self.start.elapsed();
            let due = self.pace.due_by(elapsed.min(self.limit.time)).min(self.limit.operations);
            self.due.add_permits(usize::try_from(due - begun).expect("a count fits a machine word"));
            begun = due;
            let at_the_end = begun == self.limit.operations || self.pace.due(begun).is_none();
            if at_the_end || elapsed >= self.limit.time {
                break;
            }
            thread::sleep(STEP);
        }
        // Closing the semaphore would take back permits that were given and not noticed yet.
        while self.next.load(Ordering::Relaxed) < begun && self.start.elapsed() <= self.limit.time * 2 {
            thread::sleep(STEP);
        }
        self.due.close();
        begun
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicU64, atomic::Ordering},
        time::{Duration, Instant},
    };

    use super::{Client, Limit, Measured, NOT_SERVED, Outcome, drive};
    use crate::pace::Pace;

    const LONG: Duration = Duration::from_secs(60);

    /// Counts what it is asked for and answers what the test says.
    struct Counting(Arc<AtomicU64>, fn(u64) -> Outcome);

    impl Client for Counting {
        async fn once(&mut self, number: u64) -> Outcome {
            self.0.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            (self.1)(number)
        }
    }

    async fn load(pace: Pace, operations: u64, answer: fn(u64) -> Outcome) -> (Measured, u64) {
        let asked = Arc::new(AtomicU64::new(0));
        let clients = (0..4).map(|_| Counting(Arc::clone(&asked), answer)).collect();
        let (measured, clients) = drive(clients, pace, Limit { operations, time: LONG }).await;
        assert_eq!(clients.len(), 4);
        (measured, asked.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_closed_loop_does_exactly_what_was_asked_for() {
        let (measured, asked) = load(Pace::Closed, 1_000, |_| Outcome::Done).await;
        assert_eq!((measured.latencies.count(), asked), (1_000, 1_000));
        assert!(measured.errors.is_empty());
    }

    #[tokio::test]
    async fn an_open_loop_does_exactly_what_is_due() {
        let (measured, asked) = load(Pace::Rate(50_000.0), 500, |_| Outcome::Done).await;
        assert_eq!((measured.latencies.count(), measured.late.count(), asked), (500, 500, 500));
        let plan = Pace::Plan([0, 1, 1].map(Duration::from_millis).into());
        assert_eq!(load(plan, 500, |_| Outcome::Done).await.1, 3);
    }

    #[tokio::test]
    async fn refusals_and_failures_are_counted_by_name() {
        let answer = |number| match number % 4 {
            0 => Outcome::Refused("full".into()),
            1 => Outcome::Failed("broken".into()),
            _ => Outcome::Done,
        };
        let (measured, _) = load(Pace::Closed, 400, answer).await;
        assert_eq!(measured.errors, [("broken".into(), 100), ("full".into(), 100)].into());
        assert_eq!((measured.latencies.count(), measured.refusals.count()), (200, 100));
        assert_eq!((measured.refusals_sent.count(), measured.late.count()), (100, 0));
    }

    #[tokio::test]
    async fn a_client_that_finds_nothing_to_do_ends() {
        let (measured, asked) = load(Pace::Closed, 1_000, |_| Outcome::Drained).await;
        assert_eq!((measured.latencies.count(), asked), (0, 4));
    }

    #[test]
    fn latency_counts_from_the_intended_start() {
        let mut measured = Measured::new();
        let end = Instant::now();
        measured.note(Outcome::DoneAt(end), end.checked_sub(Duration::from_secs(3)).unwrap());
        assert!((measured.latencies.quantiles().p50_us / 3_000_000.0 - 1.0).abs() < 0.002);
    }

    #[tokio::test]
    async fn what_an_open_loop_could_not_start_in_time_is_told() {
        /// Never answers before the end of the load.
        struct Stuck(Duration);
        impl Client for Stuck {
            async fn once(&mut self, _: u64) -> Outcome {
                tokio::time::sleep(self.0).await;
                Outcome::Done
            }
        }
        let time = Duration::from_millis(20);
        let plan = Pace::Plan([Duration::ZERO; 10].into());
        let (measured, _) = drive(vec![Stuck(time * 3)], plan, Limit { operations: 10, time }).await;
        assert_eq!((measured.latencies.count(), &measured.errors), (1, &[(NOT_SERVED.to_owned(), 9)].into()));
    }
}
