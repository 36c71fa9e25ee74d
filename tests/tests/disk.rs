//! The disk under the data: almost full, full, read-only. Each test has a small disk of its own; where this machine lets
//! us mount none, the tests are skipped and say why.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, which clippy does not see in a program with a main of its own"
)]

use std::{collections::HashSet, path::Path, pin::Pin};

use e2e::{
    Browser, Grpc, Process, Refused, Service, SmallDisk, held, platform_post, question, question_json, reply,
    watch_live, within_deadline, work,
};
use libtest_mimic::{Arguments, Completion, Trial};
use repartee_proto::v1::{
    DeleteMessageRequest, Message, UpdateMessageRequest, watch_messages_response::Event as Seen,
};
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

const MIB: u64 = 1024 * 1024;

type Test = fn(SmallDisk) -> Pin<Box<dyn Future<Output = ()>>>;

/// The tests by their names, which are those of their functions.
macro_rules! tests {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), (|disk| Box::pin($name(disk))) as Test)),*] };
}

fn main() {
    let tests = tests![
        below_the_reserve_new_texts_are_refused_and_what_was_taken_in_is_answered_and_deleted,
        a_disk_that_is_almost_full_refuses_what_stores_until_there_is_room,
        a_full_disk_ends_the_process_and_loses_nothing_that_was_acknowledged,
        a_disk_that_is_full_from_the_beginning_is_said_to_be_full,
        a_read_only_disk_is_said_to_be_read_only,
    ];
    let trial = |(name, test): (&str, Test)| Trial::ignorable_test(name, move || Ok(run(test)));
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit();
}

fn run(test: Test) -> Completion {
    let runtime = tokio::runtime::Runtime::new().expect("the system gives threads");
    runtime.block_on(async {
        match SmallDisk::mount(128 * MIB).await {
            Ok(disk) => {
                test(disk).await;
                Completion::Completed
            }
            Err(why) => Completion::ignored_with(why),
        }
    })
}

/// Refused because of the disk, with the time to come again.
#[track_caller]
fn disk_full<T: std::fmt::Debug>(outcome: Result<T, Status>) {
    let refused = Refused::from(&outcome.expect_err("the call stores something"));
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "DISK_FULL"));
    assert!(refused.retry_after.is_some_and(|delay| !delay.is_zero()), "{refused:?}");
}

/// Posts until a post has another outcome, and hands that out; those that were acknowledged go to `posted`.
async fn post_until_refused(client: &Grpc, bytes: usize, posted: &mut Vec<Message>) -> Status {
    let text = "x".repeat(bytes);
    let refused = async {
        loop {
            match client.post(platform_post("Human", &text)).await {
                Ok(message) => posted.push(message),
                Err(status) => return status,
            }
        }
    };
    within_deadline("a post to be refused", refused).await
}

/// Returns once a question is stored again.
async fn ask_until_stored(client: &Grpc) -> Message {
    let stored = async {
        loop {
            if let Ok(message) = client.post(question("echo", "Now?")).await {
                return message;
            }
        }
    };
    within_deadline("room to be noticed", stored).await
}

fn assert_holds(all: &[Message], acknowledged: &[Message]) {
    let there: HashSet<_> = all.iter().map(|message| (&message.id, &message.text)).collect();
    let lost = acknowledged.iter().filter(|message| !there.contains(&(&message.id, &message.text))).count();
    assert_eq!(lost, 0, "of {} acknowledged messages", acknowledged.len());
    let stamps = all.iter().map(|message| message.timestamp);
    assert!(stamps.is_sorted());
}

/// A start that is refused ends with 1 and says which directory and why.
async fn assert_refused(data: &Path, why: &str) {
    let arguments = ["--grpc-addr", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let mut process = Process::spawn("queue-service", &arguments);
    assert_eq!(process.ready_or_ended().await.err(), Some(Some(1)), "{}", process.log());
    let log = process.log();
    assert!(log.contains(data.to_str().unwrap()) && log.contains(why), "{log}");
}

async fn below_the_reserve_new_texts_are_refused_and_what_was_taken_in_is_answered_and_deleted(
    disk: SmallDisk,
) {
    let data = disk.path().join("data");
    let reserve = (64 * MIB).to_string();
    let queue = Service::queue_service_on(&data, &["--min-free-disk", &reserve]).await;
    let client = queue.grpc().await;
    let mut asked = Vec::new();
    for entity in ["answered", "failed", "released", "cancelled", "taken"] {
        asked.push(client.post(question(entity, "Well?")).await.unwrap().id);
    }
    let said = client.post(platform_post("Human", "Well!")).await.unwrap().id;
    disk.fill_up_to(40 * MIB);

    disk_full::<()>(Err(post_until_refused(&client, 10, &mut Vec::new()).await));
    let text = Some("Edited.".to_owned());
    let edit = UpdateMessageRequest { message_id: said.clone(), text, ..Default::default() };
    disk_full(client.raw().update_message(edit).await);
    let work = client.claim(&asked[0], "w").await.unwrap();
    client.complete(held(&work), reply("Well.")).await.unwrap();
    client.fail(held(&client.claim(&asked[1], "w").await.unwrap()), "no", None).await.unwrap();
    client.release(held(&client.claim(&asked[2], "w").await.unwrap())).await.unwrap();
    client.cancel(&asked[3]).await.unwrap();
    client.retry(&asked[3]).await.unwrap();
    let next = client.claim_next("w", &["taken"], 0).await.unwrap().expect("work is handed out");
    client.complete(held(&next), reply("Here.")).await.unwrap();
    client
        .raw()
        .delete_message(DeleteMessageRequest { message_id: said, ..Default::default() })
        .await
        .unwrap();
    assert!((16 * MIB..64 * MIB).contains(&free_in_metrics(&queue).await));
    disk.make_room();
    ask_until_stored(&client).await;
}

async fn a_disk_that_is_almost_full_refuses_what_stores_until_there_is_room(disk: SmallDisk) {
    let data = disk.path().join("data");
    let reserve = (64 * MIB).to_string();
    let queue = Service::queue_service_on(&data, &["--min-free-disk", &reserve]).await;
    let gateway = Service::gateway(&queue.grpc_url(), &[]).await;
    let (client, browser) = (queue.grpc().await, gateway.browser());
    let waiting = client.post(question("echo", "Well?")).await.unwrap();
    let claimed =
        client.claim(&client.post(question("claim", "Well?")).await.unwrap().id, "w").await.unwrap();
    let mut watch = client.watch(watch_live()).await.unwrap();
    disk.fill_up_to(12 * MIB);

    let mut posted = Vec::new();
    disk_full::<()>(Err(post_until_refused(&client, 10, &mut posted).await));
    let before = client.all().await.unwrap();
    assert_holds(&before, &posted);
    let tail = client.stats().await.unwrap().tail_seq;
    let message_id = waiting.id.clone();
    let edit = UpdateMessageRequest { message_id, text: Some("Edited.".to_owned()), ..Default::default() };
    disk_full(client.raw().update_message(edit).await);
    let message_id = waiting.id.clone();
    disk_full(client.raw().delete_message(DeleteMessageRequest { message_id, ..Default::default() }).await);
    disk_full(client.claim(&waiting.id, "w").await);
    disk_full(client.claim_next("w", &[], 25).await);
    disk_full(client.complete(held(&claimed), reply("Well.")).await);
    disk_full(client.fail(held(&claimed), "no", None).await);
    disk_full(client.release(held(&claimed)).await);
    disk_full(client.cancel(&waiting.id).await);
    disk_full(client.retry(&waiting.id).await);
    let refusal = browser.post("/api/comments", &question_json("echo", "Well?")).await;
    assert_eq!(refusal.problem(429)["reason"], "DISK_FULL");

    assert!(client.renew(held(&claimed)).await.unwrap().is_ok(), "a lease is kept in memory");
    assert_eq!(client.get(&waiting.id).await.unwrap(), waiting);
    assert_eq!(client.pending("echo").await.unwrap().len(), 1);
    assert_eq!(browser.get("/api/comments?limit=1000").await.ok(200).as_array().unwrap().len(), before.len());
    let mut stream = client.stream(work("worker", &["echo"], 1)).await.unwrap();
    assert_eq!(client.stats().await.unwrap().tail_seq, tail, "nothing was stored, nobody was given work");
    is_serving(&queue).await;
    assert!(free_in_metrics(&queue).await < 16 * MIB);

    disk.make_room();
    assert_eq!(stream.work().await.message.unwrap().id, waiting.id, "the stream gets its work by itself");
    let later = ask_until_stored(&client).await;
    client.complete(held(&claimed), reply("Well.")).await.unwrap();
    browser.comment(&question_json("echo", "Well?")).await;
    assert_holds(&client.all().await.unwrap(), &[before, vec![later.clone()]].concat());
    let seen = async {
        while !matches!(watch.event().await, Ok(Some(Seen::Change(change))) if change.seq >= later.seq) {}
    };
    within_deadline("the watch that was open all the time", seen).await;
}

async fn is_serving(queue: &Service) {
    let channel = tonic::transport::Channel::from_shared(queue.grpc_url()).unwrap().connect().await.unwrap();
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();
    assert_eq!(answer.into_inner().status, 1, "it serves: reading goes on");
}

async fn free_in_metrics(queue: &Service) -> u64 {
    let metrics = Browser::new(&queue.grpc_url()).get("/metrics").await;
    let free = metrics.text().lines().find_map(|line| line.strip_prefix("repartee_disk_free_bytes "));
    free.expect("the metric is there").parse().expect("it is a number")
}

async fn a_full_disk_ends_the_process_and_loses_nothing_that_was_acknowledged(disk: SmallDisk) {
    let data = disk.path().join("data");
    disk.fill_up_to(20 * MIB);
    let mut queue = Service::queue_service_on(&data, &["--min-free-disk", "0"]).await;
    let mut posted = Vec::new();
    let last = post_until_refused(&queue.grpc().await, 16_000, &mut posted).await;
    assert_ne!(last.code(), Code::ResourceExhausted, "the process has ended: {last}");
    assert_eq!(queue.process().exit_code().await, Some(1));
    let log = queue.process().log();
    let says = |line: &str| line.contains(data.to_str().unwrap()) && line.contains("No space left on device");
    assert_eq!(log.lines().filter(|line| says(line)).count(), 1, "{log}");

    // A start needs room for the rest of a segment of 8 MiB.
    assert_refused(&data, "No space left on device").await;
    disk.make_room();
    queue.start_again().await;
    let client = queue.grpc().await;
    assert_holds(&client.all().await.unwrap(), &posted);
    client.post(question("echo", "Now?")).await.unwrap();
}

async fn a_disk_that_is_full_from_the_beginning_is_said_to_be_full(disk: SmallDisk) {
    let data = disk.path().join("data");
    disk.fill_up_to(0);
    assert_refused(&data, "No space left on device").await;
    disk.make_room();
    let mut queue = Service::queue_service_on(&data, &["--min-free-disk", "0"]).await;
    queue.grpc().await.post(question("echo", "Well?")).await.unwrap();
    assert_eq!(queue.terminate().await, Some(0));
}

async fn a_read_only_disk_is_said_to_be_read_only(mut disk: SmallDisk) {
    let data = disk.path().join("data");
    let mut queue = Service::queue_service_on(&data, &["--min-free-disk", "0"]).await;
    let posted = queue.grpc().await.post(question("echo", "Well?")).await.unwrap();
    queue.kill().await;
    disk.remount("ro").await;
    assert_refused(&data, "Read-only file system").await;
    assert_refused(&disk.path().join("elsewhere"), "Read-only file system").await;
    disk.remount("rw").await;
    queue.start_again().await;
    assert_eq!(queue.grpc().await.get(&posted.id).await.unwrap(), posted);
}
