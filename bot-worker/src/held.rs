//! The claims that a session holds: when each has to be renewed, and which are known already.
//!
//! Pure bookkeeping; time comes in as an argument. It never calls the service and never runs a handler.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use repartee_proto::v1::LeaseRef;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::attempt::End;

/// A lease for which no length was asked is this short until its first renewal.
const UNRENEWED: Duration = Duration::from_secs(10);
/// The first renewal is due after this time at the latest.
const FIRST_RENEWAL: Duration = Duration::from_secs(3);
/// After a renewal without an answer, the next is due after this time.
const RENEW_AGAIN: Duration = Duration::from_secs(1);
/// Most leases in one renewal.
const BATCH: usize = 1_000;

/// What an attempt has to know of its claim.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    /// Names the claim in calls.
    pub(crate) lease: LeaseRef,
    /// Fires when the handler's answer is not wanted any more.
    pub(crate) stop: CancellationToken,
    /// When the lease ends, as far as this side knows. Follows the renewals.
    pub(crate) ends: watch::Receiver<Instant>,
}

struct Entry {
    lease: LeaseRef,
    stop: CancellationToken,
    ends: watch::Sender<Instant>,
    renew_at: Instant,
    lost: bool,
}

/// The claims of one session, by the token of their lease.
pub(crate) struct Held {
    lease: Duration,
    entries: HashMap<String, Entry>,
    /// Tokens of the claims that were reported last: the service may send such a claim once more, on a stream that it
    /// opened before it saw the report.
    reported: VecDeque<String>,
    remembered: usize,
}

impl Held {
    /// Nothing held yet. `lease` is the length of a renewed lease; `remembered` reported claims are recognised.
    pub(crate) fn new(lease: Duration, remembered: usize) -> Self {
        Self { lease, entries: HashMap::new(), reported: VecDeque::with_capacity(remembered), remembered }
    }

    /// Takes in a claim that came at `now`. None where it is known: held, or reported a moment ago. An older claim on
    /// the same message is lost with that.
    pub(crate) fn admit(&mut self, message_id: &str, token: &str, now: Instant) -> Option<Claim> {
        if self.knows(token) {
            return None;
        }
        self.lose_message(message_id);
        let lease = LeaseRef {
            message_id: message_id.to_owned(),
            lease_token: token.to_owned(),
            worker_id: String::new(),
        };
        let (ends, seen) = watch::channel(now + self.lease.min(UNRENEWED));
        let stop = CancellationToken::new();
        let claim = Claim { lease: lease.clone(), stop: stop.clone(), ends: seen };
        let renew_at = now + FIRST_RENEWAL.min(self.lease / 3);
        self.entries.insert(token.to_owned(), Entry { lease, stop, ends, renew_at, lost: false });
        Some(claim)
    }

    /// True where this claim is held, or was reported a moment ago.
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.entries.contains_key(token) || self.reported.iter().any(|known| known == token)
    }

    /// When the next renewal is due; None where nothing is held.
    pub(crate) fn renewal_due(&self) -> Option<Instant> {
        self.alive().map(|entry| entry.renew_at).min()
    }

    /// Everything that is held, for one renewal at `now`. Until its answer is known it counts as unanswered.
    pub(crate) fn renewal(&mut self, now: Instant) -> Vec<LeaseRef> {
        let mut oldest: Vec<_> = self.entries.values_mut().filter(|entry| !entry.lost).collect();
        oldest.sort_by_key(|entry| entry.renew_at);
        oldest.truncate(BATCH);
        let ask = |entry: &mut Entry| {
            entry.renew_at = now + RENEW_AGAIN;
            entry.lease.clone()
        };
        oldest.into_iter().map(ask).collect()
    }

    /// The service renewed this lease at `now`.
    pub(crate) fn renewed(&mut self, token: &str, now: Instant) {
        if let Some(entry) = self.entries.get_mut(token) {
            entry.renew_at = now + self.lease / 3;
            // An attempt that is over does not look any more.
            let _ = entry.ends.send(now + self.lease);
        }
    }

    /// The service says that this lease is lost: its attempt is told, and it is neither renewed nor released.
    pub(crate) fn lose(&mut self, token: &str) {
        if let Some(entry) = self.entries.get_mut(token) {
            entry.lost = true;
            entry.stop.cancel();
        }
    }

    /// The same for all claims on one message.
    pub(crate) fn lose_message(&mut self, message_id: &str) {
        for entry in self.entries.values_mut().filter(|entry| entry.lease.message_id == message_id) {
            entry.lost = true;
            entry.stop.cancel();
        }
    }

    /// The attempt on this claim is over. One that was reported is remembered for a while; one that was stopped, but not
    /// because it is lost, is kept to be released.
    pub(crate) fn finish(&mut self, token: String, end: End) {
        match end {
            End::Stopped if self.entries.get(&token).is_some_and(|entry| !entry.lost) => {}
            End::Stopped | End::Unanswered => drop(self.entries.remove(&token)),
            End::Reported => {
                self.entries.remove(&token);
                if self.reported.len() == self.remembered {
                    self.reported.pop_front();
                }
                self.reported.push_back(token);
            }
        }
    }

    /// Tells all attempts to stop.
    pub(crate) fn stop_all(&self) {
        self.entries.values().for_each(|entry| entry.stop.cancel());
    }

    /// What is still held and not lost, to be released.
    pub(crate) fn rest(&self) -> Vec<LeaseRef> {
        self.alive().map(|entry| entry.lease.clone()).collect()
    }

    fn alive(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().filter(|entry| !entry.lost)
    }
}

#[cfg(test)]
mod tests;
