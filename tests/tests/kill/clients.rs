//! The clients that load the service while it is killed. Each tells the history what was acknowledged to it.

use std::sync::Arc;

use e2e::{Grpc, Watch, held, platform_post, question_from, reply, seconds, watch_from, work};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use repartee_proto::v1::{
    ClaimNextRequest, NewMessage, PostMessageResponse, StreamPendingRequest, WatchMode, Work,
    stream_pending_response::Event as Sent, watch_messages_response::Event as Seen,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    history::History,
    link::{Life, Link},
    log::Entry,
};

/// What all clients share.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    /// The life that the service is in.
    pub(crate) life: watch::Receiver<Life>,
    /// Where acknowledged calls are told.
    pub(crate) history: Arc<History>,
    /// Fires when enough was posted.
    pub(crate) enough: CancellationToken,
    /// The cursor before the first change.
    pub(crate) origin: String,
}

/// Posts questions and platform posts, half of them under idempotency keys. A keyed post that was cut off is repeated
/// until it is acknowledged; one without a key is left in doubt.
pub(crate) async fn post(cast: Cast, poster: u64, seed: u64) {
    let mut link = Link::new(cast.life);
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0.. {
        if cast.enough.is_cancelled() {
            return;
        }
        let text = format!("Question {number} of poster {poster}?");
        let message = some_message(&mut random, poster, &text);
        let key = random.random_bool(0.5).then_some(text);
        let answer = match &key {
            Some(key) => Some(
                link.until_acknowledged(|client| post_once(client, message.clone(), Some(key.clone()))).await,
            ),
            None => link.once(|client| post_once(client, message.clone(), None)).await,
        };
        if let Some(answer) = answer {
            cast.history.posted(key.as_deref(), message, answer);
        }
    }
}

async fn post_once(
    client: Grpc,
    message: NewMessage,
    key: Option<String>,
) -> Result<PostMessageResponse, Status> {
    client.post_with_key(message, key.as_deref()).await
}

/// A question of one of a poster's thirty people, now and then a platform post.
fn some_message(random: &mut StdRng, poster: u64, text: &str) -> NewMessage {
    let person = format!("Human {poster}.{}", random.random_range(0..30));
    if random.random_ratio(1, 10) {
        platform_post(&person, text)
    } else {
        question_from(&person, "echo", text)
    }
}

/// Claims by claim-next and completes with a reply.
pub(crate) async fn claim_and_complete(cast: Cast, over: CancellationToken, number: u64) {
    // A short lease: a claim whose answer was cut off is handed out again once it has ended.
    let request = ClaimNextRequest {
        worker_id: format!("claimer {number}"),
        wait: seconds(20),
        lease: seconds(10),
        ..ClaimNextRequest::default()
    };
    let mut link = Link::new(cast.life.clone());
    loop {
        let claim = link.once(async |client| client.raw().claim_next(request.clone()).await);
        let claimed = tokio::select! {
            claimed = claim => claimed,
            () = over.cancelled() => return,
        };
        if let Some(claimed) = claimed.and_then(|answer| answer.into_inner().work) {
            finish(&cast, &mut link, &claimed).await;
        }
    }
}

/// Takes work from a stream and completes it, in one session across all kills: what was claimed for the session, but
/// never reached it, comes again.
pub(crate) async fn stream_and_complete(cast: Cast, over: CancellationToken, number: u64) {
    let mut link = Link::new(cast.life.clone());
    let session = work(&format!("streamer {number}"), &["echo"], 3);
    loop {
        let life = stream_through_one_life(&cast, &mut link, &session);
        tokio::select! {
            () = life => {}
            () = over.cancelled() => return,
        }
    }
}

async fn stream_through_one_life(cast: &Cast, link: &mut Link, session: &StreamPendingRequest) {
    let Some(mut stream) = link.once(async |client| client.stream(session.clone()).await).await else {
        return;
    };
    let life = link.current();
    while let Some(event) = link.settled(life, stream.event().await) {
        match event {
            Some(Sent::Work(work)) => finish(cast, link, &work).await,
            other => panic!("a service that is killed says nothing but work, not {other:?}"),
        }
    }
}

/// Completes claimed work with a reply, insisting on it across kills.
async fn finish(cast: &Cast, link: &mut Link, work: &Work) {
    cast.history.claimed(work.message.as_ref().expect("work has a message"));
    let lease = held(work);
    let text = format!("Answer to {}.", lease.message_id);
    let answer = link.until_acknowledged(|client| {
        let (lease, reply) = (lease.clone(), reply(&text));
        async move { client.complete(lease, reply).await }
    });
    cast.history.completed(answer.await);
}

/// Follows the feed by cursor, live and across all kills, and hands out what it saw.
pub(crate) async fn follow(cast: Cast, over: CancellationToken) -> Vec<Entry> {
    let mut link = Link::new(cast.life);
    let (mut cursor, mut seen) = (cast.origin, Vec::new());
    loop {
        let from = cursor.clone();
        let life = async {
            let Some(mut watch) = link.once(async |client| client.watch(watch_from(&from)).await).await
            else {
                return;
            };
            assert_eq!(watch.hello.mode(), WatchMode::Resumed, "a watcher's cursor outlives a kill");
            follow_one_life(&mut link, &mut watch, &mut cursor, &mut seen).await;
        };
        tokio::select! {
            () = life => {}
            () = over.cancelled() => return seen,
        }
    }
}

async fn follow_one_life(link: &mut Link, watch: &mut Watch, cursor: &mut String, seen: &mut Vec<Entry>) {
    let life = link.current();
    while let Some(event) = link.settled(life, watch.event().await) {
        match event {
            Some(Seen::Change(change)) => {
                cursor.clone_from(&change.cursor);
                seen.push(change.into());
            }
            other => panic!("a feed that goes on says nothing but changes, not {other:?}"),
        }
    }
}
