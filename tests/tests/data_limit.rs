//! `--max-data-bytes`: the oldest finished messages go before more is stored than may be, by the promises of retention.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{
    Browser, Grpc, Metrics, Process, Service, held, platform_post, question, reply, watch_live,
    within_deadline,
};
use repartee_proto::v1::{DeleteMessageRequest, Message, list_messages_request::Position};

/// The least that may be given with so small a cache, and some beside it.
const MOST: f64 = 3.0 * 1024.0 * 1024.0;
const LIMITED: [&str; 8] = [
    "--max-data-bytes",
    "3MiB",
    "--max-pending-bytes",
    "1MiB",
    "--cache-bytes",
    "1048576",
    "--cache-messages",
    "1",
];

async fn stored(queue: &Service) -> f64 {
    Metrics::of(&Browser::new(&queue.grpc_url())).await.value("repartee_data_bytes")
}

/// Posts 16 KB.
async fn post(client: &Grpc) -> Message {
    client.post(platform_post("Ann", &"x".repeat(16_000))).await.unwrap()
}

/// Posts until the log begins later than before.
async fn fill(client: &Grpc) -> Vec<Message> {
    let before = client.stats().await.unwrap().begins_after_seq;
    let mut posted = Vec::new();
    let filled = async {
        while client.stats().await.unwrap().begins_after_seq == before {
            for _ in 0..10 {
                posted.push(post(client).await);
            }
        }
    };
    within_deadline("the oldest to go", filled).await;
    posted
}

#[tokio::test]
async fn what_is_stored_stays_below_its_limit_over_kills_too_and_what_waits_stays() {
    let mut queue = Service::queue_service(&LIMITED).await;
    let mut client = queue.grpc().await;
    let waiting = client.post(question("other", "When?")).await.unwrap();
    let (mut posted, mut before) = (Vec::new(), 0);
    for _ in 0..4 {
        posted.extend(fill(&client).await);
        let noted = stored(&queue).await;
        assert!((MOST / 2.0..MOST).contains(&noted), "{noted}");
        queue.kill().await;
        queue.start_again().await;
        client = queue.grpc().await;
        let again = stored(&queue).await;
        assert!((MOST / 2.0..MOST).contains(&again), "{again}");
        let begins = client.stats().await.unwrap().begins_after_seq;
        assert!(begins >= before, "what was swept is swept");
        before = begins;
        for message in posted.iter().filter(|message| message.seq > begins) {
            let found = client.get(&message.id).await;
            let begins = client.stats().await.unwrap().begins_after_seq;
            let is_kept = found.as_ref().is_ok_and(|found| found == message);
            assert!(is_kept || message.seq <= begins, "{found:?}");
        }
        assert_eq!(client.pending("").await.unwrap(), std::slice::from_ref(&waiting));
    }
    let work = client.claim_next("worker", &["other"], 0).await.unwrap().expect("it waits");
    client.complete(held(&work), reply("Now.")).await.unwrap();
}

#[tokio::test]
async fn a_cursor_of_what_is_gone_is_reset_and_the_bound_is_shown() {
    let queue = Service::queue_service(&LIMITED).await;
    let client = queue.grpc().await;
    let origin = client.watch(watch_live()).await.unwrap().hello.tail;
    let first = post(&client).await;
    let last = fill(&client).await.pop().unwrap();
    assert!(client.get(&first.id).await.is_err());
    assert_eq!(client.get(&last.id).await.unwrap(), last);
    let page = client.list(Some(Position::Cursor(origin)), 100).await.unwrap();
    assert!(page.reset, "{page:?}");
    let (held, limit) = Metrics::of(&Browser::new(&queue.grpc_url())).await.bound("data_bytes");
    assert!(limit == MOST && (1.0..MOST).contains(&held), "{held} of {limit}");
}

#[tokio::test]
async fn a_deletion_takes_no_room_for_a_text_and_gives_none_back_before_its_part_of_the_log_goes() {
    let queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let message = post(&client).await;
    let before = stored(&queue).await;
    let request = DeleteMessageRequest { message_id: message.id, ..Default::default() };
    client.raw().delete_message(request).await.unwrap();
    let after = stored(&queue).await;
    assert!(before > 16_000.0 && after > before && after < before + 1_000.0, "{before} {after}");
}

#[tokio::test]
async fn a_limit_that_what_must_stay_would_reach_is_refused_at_the_start() {
    let mut process = Process::spawn("queue-service", &["--max-data-bytes", "200MiB"]);
    assert_eq!(process.ready_or_ended().await.err(), Some(Some(64)));
    let log = process.log();
    assert!(log.contains("--max-data-bytes must be at least") && log.contains("200"), "{log}");
}
