//! Looking at what the service shows: the log, and samples of everything else after a restart; all of it in the end. What
//! is looked at is recorded like every other call.

use std::collections::BTreeSet;

use e2e::{Grpc, watch_from};
use futures_util::future::join_all;
use rand::{RngExt, rngs::StdRng};
use repartee_proto::v1::WatchMode;

use crate::{
    clients::{Cast, Client, DOMAINS, crew::conversations},
    history::Answer,
    log::Log,
    request::{From, Request},
};

/// Clients that look at once in the end.
const AT_ONCE: usize = 16;

/// Reads all that is new in the log.
///
/// # Panics
/// Where the service does not go on from the cursor, or names another epoch.
pub(crate) async fn read_on(client: &Grpc, log: &mut Log) {
    let mut watch = client.watch(watch_from(&log.cursor())).await.expect("a watch by an old cursor");
    assert_eq!(watch.hello.epoch, log.epoch, "the epoch outlives a kill");
    assert_eq!(watch.hello.mode(), WatchMode::Resumed, "a cursor outlives a kill");
    let tail = watch.hello.tail.clone();
    if tail != log.cursor() {
        let changes = watch.up_to(&tail).await;
        log.changes.extend(changes.into_iter().map(Into::into));
    }
}

/// Looks at the lists, and at samples of the rest.
pub(crate) async fn sample(client: &mut Client, random: &mut StdRng, log: &Log) {
    client.call(Request::ListPending).await;
    client.call(Request::ListFailed).await;
    let pairs = conversations();
    for _ in 0..2 {
        let pair = pairs[random.random_range(0..pairs.len())].clone();
        client.call(Request::GetConversation(pair)).await;
    }
    if log.changes.is_empty() {
        return;
    }
    for _ in 0..20 {
        let message = &log.changes[random.random_range(0..log.changes.len())].message;
        client.call(Request::Get(message.id.clone())).await;
    }
    for _ in 0..3 {
        let change = &log.changes[random.random_range(0..log.changes.len())];
        let domain = ["", DOMAINS[0], DOMAINS[1]][random.random_range(0..3)].to_owned();
        let limit = random.random_range(1..60);
        let stamp = From::Stamp(change.message.timestamp);
        client.call(Request::Page { domain: domain.clone(), from: stamp, limit }).await;
        let cursor = From::Cursor(change.cursor.clone());
        client.call(Request::Page { domain: domain.clone(), from: cursor, limit }).await;
        client.call(Request::Page { domain, from: From::Newest, limit }).await;
    }
}

/// Looks at everything, over both faces.
pub(crate) async fn everything(cast: &Cast, log: &Log) {
    let ids: BTreeSet<&str> = log.changes.iter().map(|change| change.message.id.as_str()).collect();
    let mut looks: Vec<Request> = ids.into_iter().map(|id| Request::Get(id.to_owned())).collect();
    looks.extend(conversations().into_iter().map(Request::GetConversation));
    looks.extend([Request::ListPending, Request::ListFailed]);
    let looking = looks.chunks(looks.len().div_ceil(AT_ONCE)).enumerate().map(async |(number, looks)| {
        let mut client = if number % 4 == 0 { cast.over_json("auditor") } else { cast.over_grpc("auditor") };
        for look in looks {
            client.call(look.clone()).await;
        }
    });
    join_all(looking).await;
    for (domain, limit) in [("", 1_000), ("", 40), (DOMAINS[0], 200), (DOMAINS[1], 17)] {
        walk(&mut cast.over_grpc("auditor"), domain, limit).await;
        walk(&mut cast.over_json("auditor"), domain, limit).await;
    }
}

/// Reads the messages of a domain, or of all, page by page.
async fn walk(client: &mut Client, domain: &str, limit: u32) {
    let mut after = 1;
    loop {
        let request = Request::Page { domain: domain.to_owned(), from: From::Stamp(after), limit };
        let Some(Answer::Page { messages, more, .. }) = client.ask(request).await else {
            panic!("a service that nobody kills shows its pages");
        };
        after = messages.last().map_or(after, |last| last.timestamp);
        if !more {
            return;
        }
    }
}
