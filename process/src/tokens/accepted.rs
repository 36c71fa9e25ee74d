//! Which tokens were accepted lately, and from whom: whoever is no judge of tokens knows by this who is more than a
//! visitor.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, header::AUTHORIZATION};
use parking_lot::Mutex;

use super::{Tokens, hash};
use crate::{ClientKey, bearer};

/// For so long after it was accepted a token counts.
const LATELY: Duration = Duration::from_secs(5 * 60);
/// Tokens that are known in each of two generations; one that is forgotten has to be accepted anew.
const KNOWN: usize = 4_096;

/// A token of a role, or what looks like one, and the client that sent it. It holds the hash, not the token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SentToken {
    client: ClientKey,
    hash: [u8; 32],
}

/// The tokens that were accepted in the last 5 minutes. Cheap to clone; clones share what they know.
///
/// A token is known with the client that sent it: another one that guesses it learns nothing by it.
#[derive(Clone, Default)]
pub struct AcceptedTokens(Arc<Mutex<[HashMap<SentToken, Instant>; 2]>>);

impl SentToken {
    /// The token in the header `authorization`, if it is shaped like that of a role.
    pub fn of(client: ClientKey, headers: &HeaderMap) -> Option<Self> {
        let sent = headers.get(AUTHORIZATION)?.to_str().ok().and_then(bearer)?;
        Tokens::is_token(sent).then(|| Self { client, hash: hash(sent) })
    }
}

impl AcceptedTokens {
    /// True if this token was accepted lately, when it came from the same client.
    pub fn has(&self, sent: &SentToken, now: Instant) -> bool {
        let generations = self.0.lock();
        let accepted = generations.iter().find_map(|generation| generation.get(sent));
        accepted.is_some_and(|accepted| now.saturating_duration_since(*accepted) < LATELY)
    }

    /// This token was accepted.
    pub fn accept(&self, sent: SentToken, now: Instant) {
        let mut generations = self.0.lock();
        let [young, old] = &mut *generations;
        if young.len() >= KNOWN && !young.contains_key(&sent) {
            *old = std::mem::take(young);
        }
        young.insert(sent, now);
    }

    /// This token was refused.
    pub fn refuse(&self, sent: &SentToken) {
        for generation in &mut *self.0.lock() {
            generation.remove(sent);
        }
    }
}

impl fmt::Debug for SentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentToken").field("client", &self.client).finish_non_exhaustive()
    }
}

impl fmt::Debug for AcceptedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptedTokens").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::IpAddr,
        time::{Duration, Instant},
    };

    use http::HeaderMap;

    use super::{AcceptedTokens, KNOWN, LATELY, SentToken};

    fn sent(last: u8, token: &str) -> Option<SentToken> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        SentToken::of(IpAddr::from([203, 0, 113, last]).into(), &headers)
    }

    #[test]
    fn a_token_is_known_once_it_was_accepted_for_a_while_and_from_its_client_only() {
        let (accepted, now) = (AcceptedTokens::default(), Instant::now());
        let (here, there) = (sent(1, "rpt_a_b").unwrap(), sent(2, "rpt_a_b").unwrap());
        assert!(!accepted.has(&here, now));
        accepted.accept(here, now);
        assert!(accepted.has(&here, now + LATELY - Duration::from_secs(1)));
        assert!(!accepted.has(&here, now + LATELY) && !accepted.has(&there, now));
        accepted.refuse(&here);
        assert!(!accepted.has(&here, now));
        assert_eq!(sent(1, "an-edit-token"), None);
    }

    #[test]
    fn so_many_tokens_are_known_and_the_newest_among_them() {
        let (accepted, now) = (AcceptedTokens::default(), Instant::now());
        for number in 0..KNOWN * 3 {
            let token = sent(1, &format!("rpt_{number}")).unwrap();
            accepted.accept(token, now);
            assert!(accepted.has(&token, now));
        }
        let known: usize = accepted.0.lock().iter().map(std::collections::HashMap::len).sum();
        assert!(known <= 2 * KNOWN);
        assert!(!accepted.has(&sent(1, "rpt_0").unwrap(), now));
    }
}
