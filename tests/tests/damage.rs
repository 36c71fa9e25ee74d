//! Damaged files: whatever a disk does to the data, the service says so and ends, or it has everything that was
//! acknowledged. It never starts with less.

#![expect(clippy::unwrap_used, reason = "what sets a test up may fail like the test")]

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use e2e::{Grpc, Process, Service, platform_post, question};
use repartee_proto::v1::{
    Message, NewMessage, PostMessageRequest, PostMessagesRequest, list_messages_request::Position,
    post_outcome,
};
use tempfile::TempDir;

/// The part of the log that is written to.
const LOG: &str = "log/0000000000.log";

/// The data of a service that was killed, and what it had acknowledged.
struct Killed {
    data: PathBuf,
    acknowledged: Vec<Message>,
    cursor: String,
    _folder: TempDir,
}

impl Killed {
    /// After some small messages: all of the log is its end.
    async fn early() -> Self {
        Self::after(vec![(0..20).map(|n| question("echo", &format!("Question {n}?"))).collect(); 3], 0).await
    }

    /// After so many bytes that most of the log is not its end, some of it before a restart.
    async fn late() -> Self {
        let batch: Vec<_> = (0..60).map(|_| platform_post("Human", &"x".repeat(16_000))).collect();
        Self::after(vec![batch; 30], 10).await
    }

    /// After these batches, with a restart after some of them.
    async fn after(batches: Vec<Vec<NewMessage>>, restart_after: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("data");
        let mut queue = Service::queue_service_on(&data, &["--min-free-disk", "0"]).await;
        let mut acknowledged = Vec::new();
        for (number, batch) in batches.into_iter().enumerate() {
            if number == restart_after {
                assert_eq!(queue.terminate().await, Some(0));
                queue.start_again().await;
            }
            acknowledged.extend(post_all(&queue.grpc().await, batch).await);
        }
        let cursor = queue.grpc().await.list(None, 1).await.unwrap().next_cursor;
        queue.kill().await;
        Self { data, acknowledged, cursor, _folder: folder }
    }

    /// A copy with one file changed.
    fn damaged(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) -> TempDir {
        let copy = TempDir::new().unwrap();
        for folder in ["log", "index/blobs"] {
            fs::create_dir_all(copy.path().join(folder)).unwrap();
        }
        for file in files(&self.data) {
            fs::copy(self.data.join(&file), copy.path().join(file)).unwrap();
        }
        let path = copy.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
        copy
    }

    /// Checks that a start on damaged data ends with 1 and the reason, or serves everything. True where it serves.
    async fn check(&self, damaged: &Path, what: &str) -> bool {
        let data = damaged.to_str().unwrap();
        let arguments = ["--grpc-addr", "127.0.0.1:0", "--min-free-disk", "0", "--data-dir", data];
        let mut process = Process::spawn("queue-service", &arguments);
        let ready = match process.ready_or_ended().await {
            Ok(ready) => ready,
            Err(code) => {
                assert_eq!(code, Some(1), "{what}: {}", process.log());
                let last = process.log().lines().last().unwrap_or_default().to_owned();
                assert!(last.contains(data) && last.contains("stopped by an error"), "{what}: {last}");
                return false;
            }
        };
        let client = Grpc::connect(&format!("http://{}", ready.grpc.unwrap())).await.unwrap();
        let there: HashMap<_, _> =
            client.all().await.unwrap().into_iter().map(|message| (message.id.clone(), message)).collect();
        let lost =
            self.acknowledged.iter().filter(|message| there.get(&message.id) != Some(*message)).count();
        assert_eq!(lost, 0, "{what}: it serves, and of {} messages are lost", self.acknowledged.len());
        client.post(question("echo", "Now?")).await.unwrap();
        true
    }
}

/// The files of a data directory, by their paths in it.
fn files(data: &Path) -> Vec<String> {
    let mut files = Vec::new();
    for folder in ["", "log", "index"] {
        let entries = fs::read_dir(data.join(folder)).unwrap().map(Result::unwrap);
        let names = entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name());
        files.extend(names.map(|name| format!("{folder}/{}", name.into_string().unwrap())));
    }
    files.iter().map(|file| file.trim_start_matches('/').to_owned()).collect()
}

async fn post_all(client: &Grpc, batch: Vec<NewMessage>) -> Vec<Message> {
    let item = |message| PostMessageRequest { message: Some(message), idempotency_key: None };
    let items = batch.into_iter().map(item).collect();
    let outcomes =
        client.raw().post_messages(PostMessagesRequest { items }).await.unwrap().into_inner().outcomes;
    let message = |outcome| match outcome {
        Some(post_outcome::Outcome::Posted(posted)) => posted.message.unwrap(),
        other => panic!("{other:?}"),
    };
    outcomes.into_iter().map(|outcome| message(outcome.outcome)).collect()
}

/// Places in what was written of a file: its first byte, near it, in between, and its last one.
fn places(bytes: &[u8]) -> Vec<usize> {
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    let mut places = vec![0, 5, last / 4, last / 2, last / 4 * 3, last.saturating_sub(8), last];
    places.retain(|place| *place <= last);
    places.dedup();
    places
}

#[tokio::test]
async fn a_flipped_bit_in_a_long_log_is_told_or_does_no_harm() {
    let killed = Killed::late().await;
    let log = fs::read(killed.data.join(LOG)).unwrap();
    let mut told = 0;
    for place in places(&log) {
        let damaged = killed.damaged(LOG, |bytes| bytes[place] ^= 0x10);
        told += u32::from(!killed.check(damaged.path(), &format!("a bit at {place} of {}", log.len())).await);
    }
    assert!(told >= 4, "{told}");
}

#[tokio::test]
async fn a_long_log_that_was_cut_off_is_told_or_does_no_harm() {
    let killed = Killed::late().await;
    let log = fs::read(killed.data.join(LOG)).unwrap();
    for length in places(&log) {
        let damaged = killed.damaged(LOG, |bytes| bytes.truncate(length));
        let what = format!("cut off at {length} of {}", log.len());
        assert!(!killed.check(damaged.path(), &what).await, "{what} and it starts");
    }
}

#[tokio::test]
async fn any_file_of_a_young_log_with_a_flipped_bit_is_told_or_does_no_harm() {
    let killed = Killed::early().await;
    for file in files(&killed.data) {
        let bytes = fs::read(killed.data.join(&file)).unwrap();
        for place in places(&bytes).into_iter().filter(|place| *place < bytes.len()) {
            let damaged = killed.damaged(&file, |bytes| bytes[place] ^= 0x10);
            killed.check(damaged.path(), &format!("{file}: a bit at {place} of {}", bytes.len())).await;
        }
    }
}

#[tokio::test]
async fn any_file_of_a_young_log_that_was_cut_off_is_told_or_does_no_harm() {
    let killed = Killed::early().await;
    for file in files(&killed.data) {
        let bytes = fs::read(killed.data.join(&file)).unwrap();
        for length in places(&bytes) {
            let damaged = killed.damaged(&file, |bytes| bytes.truncate(length));
            killed.check(damaged.path(), &format!("{file}: cut off at {length} of {}", bytes.len())).await;
        }
    }
}

#[tokio::test]
async fn what_is_left_of_a_log_can_be_gone_on_with_and_readers_are_told() {
    let killed = Killed::early().await;
    let end = places(&fs::read(killed.data.join(LOG)).unwrap()).pop().unwrap();
    let damaged = killed.damaged(LOG, |bytes| bytes[end - 100] ^= 0x10);
    for _ in 0..2 {
        assert!(
            !killed.check(damaged.path(), "the end of the log is damaged").await,
            "it is refused again and again"
        );
    }
    let arguments = ["--adopt", "--data-dir", damaged.path().to_str().unwrap()];
    let mut adopting = Process::spawn("queue-service", &arguments);
    assert_eq!(adopting.exit_code().await, Some(0), "{}", adopting.log());
    let said = adopting.output();
    assert!(said.contains("is taken as it is") && said.contains("begins anew"), "{said}");
    let queue = Service::queue_service_on(damaged.path(), &["--min-free-disk", "0"]).await;
    let client = queue.grpc().await;
    let left = client.all().await.unwrap();
    assert!(left.len() < killed.acknowledged.len());
    assert!(left.iter().all(|message| killed.acknowledged.contains(message)));
    let page = client.list(Some(Position::Cursor(killed.cursor.clone())), 10).await.unwrap();
    assert!(page.reset, "a cursor of the whole log is not continued");
}

#[tokio::test]
async fn an_operator_can_have_all_of_it_checked() {
    let killed = Killed::early().await;
    let check = async |data: &Path| {
        let mut process = Process::spawn("queue-service", &["--check", "--data-dir", data.to_str().unwrap()]);
        (process.exit_code().await, process.output(), process.log())
    };
    let (code, found, log) = check(&killed.data).await;
    assert_eq!(code, Some(0), "{log}");
    let counts = "is whole: 60 changes in 3 commits, 60 messages, 60 of them pending or processing, 0 failed";
    assert!(found.contains(counts), "{found}");
    let damaged = killed.damaged(LOG, |bytes| bytes[5_000] ^= 0x10);
    let (code, found, log) = check(damaged.path()).await;
    assert_eq!((code, found.as_str()), (Some(1), ""));
    assert!(log.contains(damaged.path().to_str().unwrap()), "{log}");
}

#[tokio::test]
async fn whatever_becomes_of_the_index_everything_is_there_and_it_can_be_made_anew_on_demand() {
    let killed = Killed::late().await;
    let damaged = killed.damaged("index/db", |bytes| bytes.fill(0xab));
    assert!(killed.check(damaged.path(), "the index is garbage").await);
    assert!(damaged.path().join("index.damaged").is_dir(), "it is set aside");

    let lost = killed.damaged("index/db", |_| {});
    fs::remove_dir_all(lost.path().join("index")).unwrap();
    assert!(killed.check(lost.path(), "the index is gone").await);

    let rebuilt = killed.damaged("index/db", |_| {});
    let arguments = ["--rebuild-index", "--data-dir", rebuilt.path().to_str().unwrap()];
    let mut rebuilding = Process::spawn("queue-service", &arguments);
    assert_eq!(rebuilding.exit_code().await, Some(0), "{}", rebuilding.log());
    assert!(rebuilding.output().contains("is made anew, up to change 1800"), "{}", rebuilding.output());
    assert!(killed.check(rebuilt.path(), "the index was made anew").await);
}

#[tokio::test]
async fn data_of_a_version_before_there_was_a_log_are_refused_by_name_and_left_as_they_are() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("db"), "of an older version").unwrap();
    let arguments = ["--grpc-addr", "127.0.0.1:0", "--data-dir", folder.path().to_str().unwrap()];
    let mut process = Process::spawn("queue-service", &arguments);
    assert_eq!(process.ready_or_ended().await.err(), Some(Some(1)));
    let log = process.log();
    assert!(log.contains("before there was a log") && log.contains("another --data-dir"), "{log}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
