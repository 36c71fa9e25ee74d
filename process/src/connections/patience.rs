//! How long a listener waits for a peer that does nothing, or hardly anything.

use std::{sync::Weak, time::Duration};

use tokio::time::sleep;

use super::{Fate, Registry};

/// How long a connection that was asked to leave may take, before it is closed.
const GRACE: Duration = Duration::from_secs(5);
/// The looks at all connections come so often within the shortest patience, but neither more often nor more rarely than
/// this.
const LOOKS: u32 = 8;
const OFTEN: Duration = Duration::from_millis(50);
const RARELY: Duration = Duration::from_secs(1);

/// How long a listener waits for its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a connection may be open without a request, and a peer may take nothing of an answer.
    pub idle: Duration,
    /// How long the head of a request may take from its first byte.
    pub head: Duration,
    /// Bytes a second that a peer has to take of an answer that waits for it, on average over `idle`.
    pub least_rate: u64,
}

impl Patience {
    /// Bytes that have to be taken within `idle` of what waits; at least one.
    pub(crate) fn least_bytes(&self) -> u64 {
        (self.idle.as_secs_f64() * self.least_rate as f64).ceil().max(1.0) as u64
    }
}

/// Ends what does nothing, until the listener and its last connection are gone.
pub(super) async fn look_after(registry: Weak<Registry>) {
    while let Some(registry) = registry.upgrade() {
        registry.look();
        let pause = registry.patience.idle.min(registry.patience.head) / LOOKS;
        drop(registry);
        sleep(pause.clamp(OFTEN, RARELY)).await;
    }
}

/// Since when a connection lets its listener wait, in milliseconds of the listener's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Waits {
    /// That it stands in a reserved place without a proof.
    pub(super) unproven: Option<u64>,
    /// That the head of a request is on its way.
    pub(super) head: Option<u64>,
    /// That nothing is asked for; `None` while something is.
    pub(super) idle: Option<u64>,
}

/// What is to become of a connection that let its listener wait for too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) fate: Fate,
    pub(super) why: Why,
}

/// What was waited for in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Idle,
    Head,
    Unproven,
}

impl Patience {
    /// What is to become of a connection at `now`; `None` if it may go on.
    pub(super) fn judge(&self, waits: &Waits, now: u64) -> Option<Verdict> {
        let waited = |since: u64| Duration::from_millis(now.saturating_sub(since));
        let end = |why| Some(Verdict { fate: Fate::End, why });
        if waits.unproven.is_some_and(|since| waited(since) >= self.head) {
            return end(Why::Unproven);
        }
        let idle = waited(waits.idle?);
        match waits.head {
            Some(since) if waited(since) >= self.head => end(Why::Head),
            Some(_) => None,
            None if idle >= self.idle + GRACE => end(Why::Idle),
            None if idle >= self.idle => Some(Verdict { fate: Fate::Leave, why: Why::Idle }),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Fate, Patience, Verdict, Waits, Why};

    const PATIENCE: Patience =
        Patience { idle: Duration::from_secs(120), head: Duration::from_secs(20), least_rate: 256 };

    fn judged(waits: Waits, now: u64) -> Option<(Fate, Why)> {
        PATIENCE.judge(&waits, now).map(|Verdict { fate, why }| (fate, why))
    }

    #[test]
    fn an_idle_connection_is_asked_to_leave_and_is_ended_if_it_does_not() {
        let waits = Waits { idle: Some(1_000), ..Waits::default() };
        assert_eq!(judged(waits, 120_999), None);
        assert_eq!(judged(waits, 121_000), Some((Fate::Leave, Why::Idle)));
        assert_eq!(judged(waits, 126_000), Some((Fate::End, Why::Idle)));
    }

    #[test]
    fn a_head_has_its_own_time_however_long_the_connection_was_idle_before() {
        let waits = Waits { idle: Some(1), head: Some(110_000), ..Waits::default() };
        assert_eq!(judged(waits, 129_999), None);
        assert_eq!(judged(waits, 130_000), Some((Fate::End, Why::Head)));
    }

    #[test]
    fn nobody_waits_for_a_connection_that_is_answered() {
        assert_eq!(judged(Waits { head: Some(1), ..Waits::default() }, u64::MAX), None);
    }

    #[test]
    fn a_reserved_place_is_lost_without_a_proof_even_while_something_is_asked_for() {
        let waits = Waits { unproven: Some(1_000), ..Waits::default() };
        assert_eq!(judged(waits, 20_999), None);
        assert_eq!(judged(waits, 21_000), Some((Fate::End, Why::Unproven)));
    }
}
