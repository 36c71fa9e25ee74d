//! Who leaves for a newcomer. Pure: what is seen of the connections comes in, the candidates go out.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

use crate::ClientKey;

/// Candidates of one look: so many newcomers come in before all connections are looked at again.
const CANDIDATES: usize = 256;

/// What is seen of one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) id: u64,
    pub(super) client: ClientKey,
    /// `None` while a request is open.
    pub(super) idle_since: Option<u64>,
    pub(super) is_shared: bool,
    pub(super) may_end: bool,
}

/// A connection that may have to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) id: u64,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    IdleSince(u64),
    Crowd(ClientKey),
}

impl Candidate {
    /// False if the connection has got something to do since, or was chosen for a newcomer of another client.
    pub(super) fn still_holds(&self, seen: &Seen, newcomer: IpAddr) -> bool {
        seen.may_end
            && match self.why {
                Why::IdleSince(since) => seen.idle_since == Some(since),
                Why::Crowd(client) => client != ClientKey::from(newcomer),
            }
    }
}

/// The idlest first; if nobody is idle, connections of the client with the most, as long as it has more than the
/// newcomer's would have.
pub(super) fn candidates(seen: impl Iterator<Item = Seen>, newcomer: IpAddr) -> VecDeque<Candidate> {
    let seen: Vec<Seen> = seen.filter(|seen| seen.may_end).collect();
    let mut idle: Vec<(u64, u64)> =
        seen.iter().filter_map(|seen| Some((seen.idle_since?, seen.id))).collect();
    if !idle.is_empty() {
        idle.sort_unstable();
        let candidate = |(since, id)| Candidate { id, why: Why::IdleSince(since) };
        return idle.into_iter().take(CANDIDATES).map(candidate).collect();
    }
    let mut counts: HashMap<ClientKey, usize> = HashMap::new();
    let ours = || seen.iter().filter(|seen| !seen.is_shared);
    ours().for_each(|seen| *counts.entry(seen.client).or_default() += 1);
    let of_newcomer = counts.get(&ClientKey::from(newcomer)).copied().unwrap_or(0);
    let most = counts.into_iter().map(|(client, count)| (count, client)).max();
    let Some((count, client)) = most.filter(|(count, _)| *count > of_newcomer + 1) else {
        return VecDeque::new();
    };
    let mut crowd: Vec<u64> = ours().filter(|seen| seen.client == client).map(|seen| seen.id).collect();
    crowd.sort_unstable();
    let surplus = (count - of_newcomer).div_ceil(2).min(CANDIDATES);
    crowd.into_iter().take(surplus).map(|id| Candidate { id, why: Why::Crowd(client) }).collect()
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Seen, candidates};
    use crate::ClientKey;

    fn seen(id: u64, address: &str, idle_since: Option<u64>) -> Seen {
        Seen { id, client: ClientKey::from(ip(address)), idle_since, is_shared: false, may_end: true }
    }

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    fn chosen(all: &[Seen], newcomer: &str) -> Vec<u64> {
        candidates(all.iter().copied(), ip(newcomer)).into_iter().map(|candidate| candidate.id).collect()
    }

    #[test]
    fn the_idlest_go_first_whoever_they_are() {
        let all = [seen(1, "10.0.0.1", Some(30)), seen(2, "10.0.0.2", None), seen(3, "10.0.0.3", Some(20))];
        assert_eq!(chosen(&all, "10.0.0.1"), [3, 1]);
    }

    #[test]
    fn if_nobody_is_idle_the_client_with_the_most_gives() {
        let all = [1, 2, 3, 4].map(|id| seen(id, "10.0.0.1", None));
        let all = [&all[..], &[seen(5, "10.0.0.2", None)]].concat();
        assert_eq!(chosen(&all, "10.0.0.3"), [1, 2]);
        assert_eq!(chosen(&all, "10.0.0.2"), [1, 2]);
        assert!(chosen(&all, "10.0.0.1").is_empty(), "it is the newcomer's own");
    }

    #[test]
    fn a_newcomer_among_equals_goes() {
        let all = [seen(1, "10.0.0.1", None), seen(2, "10.0.0.2", None)];
        assert!(chosen(&all, "10.0.0.3").is_empty());
    }

    #[test]
    fn a_proxy_is_no_crowd() {
        let all = [1, 2, 3].map(|id| Seen { is_shared: true, ..seen(id, "10.0.0.1", None) });
        assert!(chosen(&all, "10.0.0.3").is_empty());
    }

    #[test]
    fn a_kept_connection_is_never_chosen() {
        let all = [Seen { may_end: false, ..seen(1, "10.0.0.1", Some(1)) }];
        assert!(chosen(&all, "10.0.0.3").is_empty());
    }

    #[test]
    fn a_choice_holds_only_as_long_as_nothing_has_changed() {
        let before = seen(1, "10.0.0.1", Some(5));
        let chosen = candidates([before].into_iter(), ip("10.0.0.2"))[0];
        assert!(chosen.still_holds(&before, ip("10.0.0.2")));
        for after in [Some(6), None] {
            assert!(!chosen.still_holds(&seen(1, "10.0.0.1", after), ip("10.0.0.2")));
        }
    }
}
