//! Who takes part in a run.

use std::collections::BTreeMap;

use repartee_proto::v1::ChangeKind;
use tokio::task::JoinSet;

use super::{
    Cast, DOMAINS, authors, followers,
    posters::{self, Poster},
    workers,
};
use crate::{log::Log, request::Pair};

const POSTERS: [&str; 4] = ["poster-0", "poster-1", "poster-2", "poster-3"];

/// How somebody follows the feed.
#[derive(Debug, Clone, Copy)]
enum By {
    Watch,
    /// By pages of changes, each at most so long.
    Cursor(u32),
    /// By pages of messages, each about so long.
    Stamp(u32),
    /// The same through the gateway.
    JsonStamp(u32),
}

const FOLLOWERS: [(&str, By, &str); 7] = [
    ("watcher-0", By::Watch, ""),
    ("watcher-1", By::Watch, DOMAINS[0]),
    ("cursor-0", By::Cursor(7), ""),
    ("cursor-1", By::Cursor(50), DOMAINS[1]),
    ("stamp-0", By::Stamp(5), ""),
    ("stamp-1", By::JsonStamp(50), ""),
    ("stamp-2", By::JsonStamp(5), DOMAINS[0]),
];

/// Starts those who ask for something new.
pub(crate) fn start_askers(cast: &Cast) -> JoinSet<()> {
    let mut askers = JoinSet::new();
    for (number, name) in POSTERS.into_iter().enumerate() {
        let client = if number == 3 { cast.over_json(name) } else { cast.over_grpc(name) };
        askers.spawn(Poster::new(cast, client).run());
    }
    askers.spawn(authors::edit(cast.clone(), cast.over_json("author-0")));
    askers.spawn(authors::edit(cast.clone(), cast.over_grpc("author-1")));
    askers.spawn(authors::operate(cast.clone(), cast.over_json("operator-0")));
    askers.spawn(authors::operate(cast.clone(), cast.over_grpc("operator-1")));
    askers
}

/// Starts those who answer, and those who look.
pub(crate) fn start_others(cast: &Cast) -> JoinSet<()> {
    let mut others = JoinSet::new();
    for number in 0..2 {
        let name = |what: &str| format!("{what}-{number}");
        others.spawn(workers::stream(cast.clone(), cast.over_grpc(&name("streamer"))));
        others.spawn(workers::claim_next(cast.clone(), cast.over_grpc(&name("claimer"))));
    }
    others.spawn(workers::claim_next(cast.clone(), cast.over_json("json-claimer")));
    others.spawn(workers::claim_by_id(cast.clone(), cast.over_grpc("picker-0")));
    others.spawn(workers::claim_by_id(cast.clone(), cast.over_json("picker-1")));
    for (name, by, domain) in FOLLOWERS {
        let cast = cast.clone();
        match by {
            By::Watch => others.spawn(followers::watch(cast, name, domain)),
            By::Cursor(limit) => {
                let client = cast.over_grpc(name);
                others.spawn(followers::poll_by_cursor(cast, client, domain, limit))
            }
            By::Stamp(limit) => {
                let client = cast.over_grpc(name);
                others.spawn(followers::poll_by_stamp(cast, client, domain, limit))
            }
            By::JsonStamp(limit) => {
                let client = cast.over_json(name);
                others.spawn(followers::poll_by_stamp(cast, client, domain, limit))
            }
        };
    }
    others
}

/// The position of every follower that has seen this whole log.
pub(crate) fn at_the_end_of(log: &Log) -> BTreeMap<String, String> {
    let position = |(name, by, domain): (&str, By, &str)| {
        let mut of_domain =
            log.changes.iter().filter(|change| change.message.domain == domain || domain.is_empty());
        let position = match by {
            By::Watch => of_domain.next_back().map(|change| change.cursor.clone()),
            By::Cursor(_) => Some(log.cursor()),
            By::Stamp(_) | By::JsonStamp(_) => {
                let last = of_domain.rfind(|change| change.kind == ChangeKind::Posted);
                last.map(|change| change.message.timestamp.to_string())
            }
        };
        (name.to_owned(), position.unwrap_or_default())
    };
    FOLLOWERS.into_iter().map(position).collect()
}

/// The conversations that may have begun.
pub(crate) fn conversations() -> Vec<Pair> {
    POSTERS.iter().flat_map(|poster| posters::conversations(poster)).collect()
}
