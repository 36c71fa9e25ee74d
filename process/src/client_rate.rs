//! How often one client may do something: a token bucket for each (GCRA, by the crate `governor`).

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, MonotonicClock, Reference},
    middleware::{StateInformationMiddleware, StateSnapshot},
    nanos::Nanos,
    state::StateStore,
};
use metrics::Counter;
use parking_lot::Mutex;
use serde::{Serialize, Serializer};

use crate::{ClientKey, Span, refusals};

/// Clients that do not share a lock.
const SHARDS: usize = 16;
/// Clients that are remembered, of each limit. Beyond it those are forgotten that used least lately, which costs them
/// nothing: they begin anew with a full bucket.
const MOST_CLIENTS: usize = 65_536;
/// A longer span would overflow the arithmetic of nanoseconds.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// So many in a span, written as `300/1m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: NonZeroU32,
    /// In this span, at most 7 days.
    pub span: Duration,
}

/// How much of something each client may use. What was used comes back evenly with time.
pub struct ClientRate<C: Clock = MonotonicClock> {
    name: &'static str,
    burst: u32,
    window: Duration,
    buckets: RateLimiter<ClientKey, Buckets, C, StateInformationMiddleware>,
    exceeded: Counter,
    #[cfg(test)]
    remembered: Buckets,
}

/// How a client stands against a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateUsage {
    /// Name of the limit.
    pub name: &'static str,
    /// What may be used at once.
    pub burst: u32,
    /// After this an empty bucket is full again.
    pub window: Duration,
    /// What is left.
    pub remaining: u32,
    /// After this there is more: enough for what was asked for if that was refused, else a full bucket.
    pub reset: Duration,
}

impl Rate {
    /// The span in which one comes back.
    fn period(self) -> Duration {
        (self.span / self.count.get()).max(Duration::from_nanos(1))
    }
}

impl ClientRate {
    /// `rate` for each client, of which `burst` may be used at once. `name` is the label in the metrics and belongs to
    /// this limit only.
    pub fn new(name: &'static str, rate: Rate, burst: NonZeroU32) -> Self {
        Self::with_clock(name, rate, burst, MonotonicClock, refusals(name))
    }

    /// The same for a rate beyond which nothing is refused: `exceeded` counts in place of the refusals.
    pub fn that_refuses_nothing(name: &'static str, rate: Rate, exceeded: Counter) -> Self {
        Self::with_clock(name, rate, rate.count, MonotonicClock, exceeded)
    }
}

impl<C: Clock + Clone> ClientRate<C> {
    fn with_clock(name: &'static str, rate: Rate, burst: NonZeroU32, clock: C, exceeded: Counter) -> Self {
        let quota = Quota::with_period(rate.period()).expect("a period is at least 1 ns").allow_burst(burst);
        let buckets = Buckets::default();
        Self {
            name,
            burst: burst.get(),
            window: rate.period() * burst.get(),
            #[cfg(test)]
            remembered: buckets.clone(),
            buckets: RateLimiter::new(quota, buckets, clock),
            exceeded,
        }
    }

    /// Uses `amount`, or all of a full bucket if `amount` is more than that.
    ///
    /// # Errors
    /// If the client has not so much left; nothing is used then, and it is counted.
    pub fn take(&self, client: ClientKey, amount: u32) -> Result<RateUsage, RateUsage> {
        let amount = NonZeroU32::new(amount.min(self.burst)).unwrap_or(NonZeroU32::MIN);
        let asked =
            self.buckets.check_key_n(&client, amount).expect("no more than a full bucket is asked for");
        asked.map(|left| self.left(&left)).map_err(|refused| {
            self.exceeded.increment(1);
            self.empty(&refused, self.buckets.clock().now())
        })
    }

    fn left(&self, snapshot: &StateSnapshot) -> RateUsage {
        let remaining = snapshot.remaining_burst_capacity().min(self.burst);
        let reset = self.window.mul_f64(f64::from(self.burst - remaining) / f64::from(self.burst));
        RateUsage { remaining, reset, ..self.empty_after(Duration::ZERO) }
    }

    fn empty<P: Reference>(&self, refused: &NotUntil<P>, now: P) -> RateUsage {
        self.empty_after(refused.wait_time_from(now))
    }

    fn empty_after(&self, reset: Duration) -> RateUsage {
        RateUsage { name: self.name, burst: self.burst, window: self.window, remaining: 0, reset }
    }
}

impl<C: Clock> fmt::Debug for ClientRate<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, burst, window, .. } = self;
        f.debug_struct("ClientRate")
            .field("name", name)
            .field("burst", burst)
            .field("window", window)
            .finish_non_exhaustive()
    }
}

/// The state of each client: when its bucket would be full again, in nanoseconds since the start.
#[derive(Clone, Default)]
struct Buckets(Arc<Inner>);

#[derive(Default)]
struct Inner {
    hasher: RandomState,
    shards: [Mutex<HashMap<ClientKey, u64>>; SHARDS],
}

impl Inner {
    fn shard(&self, client: &ClientKey) -> &Mutex<HashMap<ClientKey, u64>> {
        &self.shards[self.hasher.hash_one(client) as usize % SHARDS]
    }
}

impl StateStore for Buckets {
    type Key = ClientKey;

    fn measure_and_replace<T, F, E>(&self, client: &ClientKey, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.0.shard(client).lock();
        let (outcome, full_at) = decide(shard.get(client).copied().map(Nanos::new))?;
        if shard.len() >= MOST_CLIENTS / SHARDS && !shard.contains_key(client) {
            forget_half(&mut shard);
        }
        shard.insert(*client, full_at.as_u64());
        Ok(outcome)
    }
}

/// Those whose buckets are full first are forgotten: whoever has emptied theirs stays.
fn forget_half(shard: &mut HashMap<ClientKey, u64>) {
    let mut full_at: Vec<u64> = shard.values().copied().collect();
    let middle = full_at.len() / 2;
    let (_, median, _) = full_at.select_nth_unstable(middle);
    let median = *median;
    shard.retain(|_, full_at| *full_at > median);
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("must be a rate such as 300/1m, is {text:?}: {why}");
        let (count, span) = text.split_once('/').ok_or_else(|| wrong("there is no /"))?;
        let count = count.trim().parse().map_err(|_| wrong("the count must be 1 to 4294967295"))?;
        let Span(span) = span.trim().parse().map_err(|why: String| wrong(&format!("the span {why}")))?;
        if span > LONGEST {
            return Err(wrong("the span must be at most 7d"));
        }
        Ok(Self { count, span })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, Span(self.span))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, num::NonZeroU32, time::Duration};

    use governor::clock::FakeRelativeClock;

    use super::{ClientRate, MOST_CLIENTS, Rate};
    use crate::{ClientKey, refusals};

    fn client(number: u32) -> ClientKey {
        IpAddr::from(number.to_be_bytes()).into()
    }

    /// Two a second, of which ten may be used at once.
    fn rate(name: &'static str) -> (ClientRate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        clock.advance(Duration::from_secs(1));
        let burst = NonZeroU32::new(10).unwrap();
        let exceeded = refusals(name);
        (ClientRate::with_clock(name, "2/1s".parse().unwrap(), burst, clock.clone(), exceeded), clock)
    }

    #[test]
    fn who_has_used_all_waits_for_more_and_nobody_else_does() {
        let (rate, clock) = rate("test_rate");
        let used = rate.take(client(1), 3).unwrap();
        assert_eq!((used.remaining, used.burst, used.window), (7, 10, Duration::from_secs(5)));
        assert_eq!(used.reset, Duration::from_millis(1_500));
        rate.take(client(1), 7).unwrap();
        let empty = rate.take(client(1), 1).unwrap_err();
        assert_eq!((empty.remaining, empty.reset), (0, Duration::from_millis(500)));
        assert_eq!(rate.take(client(1), 4).unwrap_err().reset, Duration::from_secs(2));
        assert_eq!(rate.take(client(2), 10).unwrap().remaining, 0);
        clock.advance(Duration::from_millis(500));
        assert_eq!(rate.take(client(1), 1).unwrap().remaining, 0);
    }

    #[test]
    fn more_than_a_full_bucket_empties_it() {
        let (rate, _) = rate("test_rate_more");
        assert_eq!(rate.take(client(1), u32::MAX).unwrap().remaining, 0);
        assert!(rate.take(client(1), 1).is_err());
    }

    #[test]
    fn so_many_clients_are_remembered_and_first_of_all_those_that_used_most() {
        let (rate, _) = rate("test_rate_clients");
        rate.take(client(0), 10).unwrap();
        for number in 1..200_000 {
            rate.take(client(number), 1).unwrap();
        }
        let remembered: usize = rate.remembered.0.shards.iter().map(|shard| shard.lock().len()).sum();
        assert!(remembered <= MOST_CLIENTS, "{remembered}");
        assert!(rate.take(client(0), 1).is_err());
    }

    #[test]
    fn a_rate_is_written_as_a_count_in_a_span() {
        let rate: Rate = "300/1m".parse().unwrap();
        assert_eq!((rate.count.get(), rate.span), (300, Duration::from_secs(60)));
        assert_eq!(rate.to_string(), "300/1m");
        for wrong in ["", "300", "0/1m", "-1/1m", "5/0s", "5/8d", "5/min", "x/1s"] {
            let refusal = wrong.parse::<Rate>().unwrap_err();
            assert!(refusal.contains(&format!("{wrong:?}")), "{refusal}");
        }
    }
}
