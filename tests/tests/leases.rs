//! The life of a lease and what becomes of work whose worker vanishes or is told to stop.

use std::time::{SystemTime, UNIX_EPOCH};

use e2e::{Grpc, Service, World, held, id_of, question, reply, seconds, within_deadline, work};
use repartee_proto::v1::{Status, StreamPendingRequest, Work, stream_pending_response::Event as Sent};
use serde_json::{Value, json};

/// Failures after which a message is given up.
const MAX_FAILURES: usize = 5;

fn now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    i64::try_from(since_1970.as_millis()).expect("milliseconds fit for a long time")
}

async fn asked(client: &Grpc) -> String {
    client.post(question("echo", "Well?")).await.expect("a question is stored").id
}

#[tokio::test]
async fn a_lease_is_short_until_the_first_renewal_if_no_length_was_asked_for() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let claimed = client.claim(&asked(&client).await, "worker 1").await.unwrap();
    let lease = claimed.lease.clone().unwrap();
    assert!(
        lease.token.len() == 32 && lease.token.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f'))
    );
    let claimed_at = claimed.message.as_ref().unwrap().bot_params.as_ref().unwrap().claimed_at.unwrap();
    assert!((1..=10_000).contains(&(lease.expires_at - claimed_at)), "{claimed:?}");
    let tail = client.stats().await.unwrap().tail_seq;
    let end = client.renew(held(&claimed)).await.unwrap().unwrap();
    assert!((30_000..=30_000 + 10_000).contains(&(end - claimed_at)), "{end} after {claimed_at}");
    assert_eq!(client.stats().await.unwrap().tail_seq, tail, "a renewal is no change");
}

#[tokio::test]
async fn a_length_that_was_asked_for_holds_from_the_start() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let lasts = |claimed: &Work| {
        let lease = claimed.lease.as_ref().unwrap();
        lease.expires_at - claimed.message.as_ref().unwrap().bot_params.as_ref().unwrap().claimed_at.unwrap()
    };
    let by_id = client.claim_for(&asked(&client).await, "by id", 60).await.unwrap();
    assert!((59_000..=60_000).contains(&lasts(&by_id)), "{by_id:?}");
    let streaming = StreamPendingRequest { lease: seconds(60), ..work("streaming", &["echo"], 1) };
    let mut stream = client.stream(streaming).await.unwrap();
    asked(&client).await;
    let streamed = stream.work().await;
    assert!((59_000..=60_000).contains(&lasts(&streamed)), "{streamed:?}");
    for (path, id) in [("/api/queue/claim", Some(asked(&client).await)), ("/api/queue/claim-next", None)] {
        let mut body = json!({"workerId": "json", "leaseSeconds": 60});
        if let Some(id) = id {
            body["messageId"] = json!(id);
        } else {
            asked(&client).await;
        }
        let claimed = browser.post(path, &body).await.ok(200);
        let ends = claimed["lease"]["expiresAt"].as_i64().unwrap();
        let since = claimed["message"]["botParams"]["claimedAt"].as_i64().unwrap();
        assert!((59_000..=60_000).contains(&(ends - since)), "{path}: {claimed}");
    }
}

#[tokio::test]
async fn a_session_never_holds_more_than_its_max_in_flight() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut stream = client.stream(work("worker 1", &["echo"], 3)).await.unwrap();
    for _ in 0..10 {
        asked(&client).await;
    }
    let mut in_hand = Vec::new();
    for delivered in 0..10 {
        in_hand.push(stream.work().await);
        if in_hand.len() == 3 {
            let stats = client.stats().await.unwrap();
            assert_eq!(
                (stats.processing, stats.pending),
                (3, 10 - delivered as u64 - 1),
                "its hands are full"
            );
            assert_eq!(
                (stats.sessions.len(), stats.sessions[0].leases, stats.sessions[0].streams),
                (1, 3, 1)
            );
            client.complete(held(&in_hand.remove(0)), reply("Well.")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn what_workers_hold_without_a_session_is_told_by_worker() {
    let world = World::start().await;
    let (client, browser) = (world.grpc().await, world.browser());
    let claimed = client.claim(&asked(&client).await, "by id").await.unwrap();
    for _ in 0..2 {
        asked(&client).await;
        client.claim_next("next", &[], 0).await.unwrap().expect("one waits");
    }
    let told = async || {
        let stats = browser.get("/api/stats").await.ok(200);
        let sessions = stats["sessions"].as_array().unwrap().clone();
        let rest = |s: &Value| (s["sessionId"] == "", s["streams"] == 0, s["lastClaimAt"].is_i64());
        assert!(sessions.iter().all(|s| rest(s) == (true, true, true)), "{stats}");
        let shown = |s: &Value| {
            (
                s["workerId"].as_str().unwrap().to_owned(),
                s["leases"].as_u64().unwrap(),
                s["lastRenewAt"].is_i64(),
            )
        };
        sessions.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(told().await, [("by id".to_owned(), 1, false), ("next".to_owned(), 2, false)]);
    client.renew(held(&claimed)).await.unwrap().unwrap();
    assert_eq!(told().await[0], ("by id".to_owned(), 1, true));
    client.complete(held(&claimed), None).await.unwrap();
    assert_eq!(told().await, [("next".to_owned(), 2, false)]);
}

#[tokio::test]
async fn two_streams_of_one_session_share_its_max_in_flight() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let session = work("worker 1", &["echo"], 2);
    let mut one = client.stream(session.clone()).await.unwrap();
    let mut two = client.stream(session).await.unwrap();
    for _ in 0..5 {
        asked(&client).await;
    }
    let first = tokio::select! { work = one.work() => work, work = two.work() => work };
    let _second = tokio::select! { work = one.work() => work, work = two.work() => work };
    assert_eq!(client.stats().await.unwrap().processing, 2);
    client.release(held(&first)).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_not_read_gets_its_share_and_no_more() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let stalled = client.stream(work("stalled", &["echo"], 5)).await.unwrap();
    let mut posted = Vec::new();
    for _ in 0..40 {
        posted.push(asked(&client).await);
    }
    let other = queue.grpc().await;
    for _ in 0..35 {
        let claimed =
            other.claim_next("worker 2", &["echo"], 25).await.unwrap().expect("the rest is for others");
        other.complete(held(&claimed), None).await.unwrap();
    }
    let stats = client.stats().await.unwrap();
    assert_eq!((stats.processing, stats.pending), (5, 0));
    drop(stalled);
}

#[tokio::test]
async fn a_session_that_comes_back_gets_its_leases_back() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let session = work("worker 1", &["echo"], 2);
    let mut stream = client.stream(session.clone()).await.unwrap();
    let id = asked(&client).await;
    let before = stream.work().await;
    drop(stream);

    let mut stream = client.stream(session).await.unwrap();
    let after = stream.work().await;
    assert_eq!((id_of(&after), &held(&after)), (id, &held(&before)));
    assert_eq!(after.message, before.message, "it is the same claim, not a second one");
    client.complete(held(&after), reply("Well.")).await.unwrap();
}

#[tokio::test]
async fn a_session_gets_its_leases_back_across_a_restart_of_the_service() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let session: StreamPendingRequest = work("worker 1", &["echo"], 2);
    let mut stream = client.stream(session.clone()).await.unwrap();
    asked(&client).await;
    let before = stream.work().await;
    queue.kill().await;
    queue.start_again().await;

    let client = queue.grpc().await;
    let mut stream = client.stream(session).await.unwrap();
    let after = stream.work().await;
    assert_eq!(held(&after), held(&before));
    assert!(after.lease.as_ref().unwrap().expires_at > now(), "a restart gives every lease a fresh grace");
    client.complete(held(&after), reply("Well.")).await.unwrap();
}

#[tokio::test]
async fn what_a_vanished_session_held_goes_to_another_worker() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut gone = client
        .stream(StreamPendingRequest { lease: seconds(600), ..work("gone", &["echo"], 1) })
        .await
        .unwrap();
    let id = asked(&client).await;
    let lost = gone.work().await;
    client.renew(held(&lost)).await.unwrap().unwrap();
    let mut other = client.stream(work("other", &["echo"], 1)).await.unwrap();
    drop(gone);
    let taken = other.work().await;
    assert_eq!(id_of(&taken), id, "long before its 10 minutes are over");
    client.complete(held(&taken), reply("Well.")).await.unwrap();
}

#[tokio::test]
async fn a_release_gives_the_message_back_and_counts_nothing() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = asked(&client).await;
    for number in 0..2 * MAX_FAILURES {
        // By turns: what one worker gives back again and again is held against it.
        let worker = format!("worker {}", number % 2);
        let claimed = client.claim_next(&worker, &[], 0).await.unwrap().expect("it is there at once");
        let released = client.release(held(&claimed)).await.unwrap();
        assert_eq!(released.bot_params.unwrap().status(), Status::Pending);
    }
    assert_eq!(client.status(&id).await.unwrap(), Status::Pending);
    assert_eq!(client.failed().await.unwrap().failed, []);
}

#[tokio::test]
async fn a_failed_attempt_is_tried_again_after_the_time_that_the_worker_names() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let id = asked(&client).await;
    let claimed = client.claim(&id, "worker 1").await.unwrap();
    let before = now();
    let failed = client.fail(held(&claimed), "rate limited", Some(2)).await.unwrap();
    let retry_at = failed.retry_at.unwrap();
    assert!((2_000..5_000).contains(&(retry_at - before)), "{retry_at} after {before}");
    let bot = failed.message.unwrap().bot_params.unwrap();
    assert_eq!((bot.status(), bot.error.as_deref()), (Status::Pending, Some("rate limited")));
    assert!(client.pending("").await.unwrap().is_empty(), "it is listed when it is due");
    let stats = client.stats().await.unwrap();
    assert_eq!((stats.pending, stats.delayed), (1, 1));
    assert_eq!(client.claim_next("worker 1", &[], 0).await.unwrap(), None);

    let again = client.claim_next("worker 1", &[], 25).await.unwrap().expect("it comes again");
    assert!(now() >= retry_at);
    assert_eq!(again.message.unwrap().bot_params.unwrap().attempts, 2);
}

#[tokio::test]
async fn without_a_named_time_the_backoff_decides() {
    let queue = Service::queue_service(&["--retry-wait", "500ms"]).await;
    let client = queue.grpc().await;
    let claimed = client.claim(&asked(&client).await, "worker 1").await.unwrap();
    let before = now();
    let retry_at = client.fail(held(&claimed), "hiccup", None).await.unwrap().retry_at.unwrap();
    // Half a second and up to a fifth, from a moment between these two; the clock counts milliseconds.
    assert!((before + 500..=now() + 601).contains(&retry_at), "{}", retry_at - before);
    client.claim_next("worker 1", &[], 25).await.unwrap().expect("it comes again");
}

#[tokio::test]
async fn a_stream_beats_and_tells_what_waits() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    for _ in 0..3 {
        asked(&client).await;
    }
    let request = work("worker 1", &["echo"], 1);
    let mut stream = client.raw().stream_pending(request).await.unwrap().into_inner();
    let beat = within_deadline("a heartbeat", async {
        loop {
            match stream.message().await.unwrap().unwrap().event.unwrap() {
                Sent::Heartbeat(beat) => break beat,
                Sent::Hello(hello) => assert_eq!(hello.heartbeat_interval, seconds(15)),
                _ => {}
            }
        }
    })
    .await;
    assert!((2..=3).contains(&beat.pending), "{beat:?}");
    assert!(beat.oldest_age.unwrap().seconds >= 9, "{beat:?}");
}
