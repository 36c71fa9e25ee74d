//! Several bots in one process, by a file that is followed.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use bot_worker::{Error, Settings, run};
use clap::Parser as _;
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Code;

use crate::{
    endpoint::{Answer, Endpoint},
    fake::{Fake, PATIENCE, Stream},
};

struct Bots {
    fake: Fake,
    endpoint: Endpoint,
    folder: TempDir,
    running: JoinHandle<Result<(), Error>>,
    _stop: DropGuard,
}

impl Bots {
    async fn start(file: &str) -> Self {
        Self::start_at(Fake::start().await, file).await
    }

    async fn start_at(fake: Fake, file: &str) -> Self {
        let endpoint = Endpoint::start(|_| Answer::words("Because.")).await;
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("bots.toml"), file).unwrap();
        let path = folder.path().join("bots.toml");
        let (queue_url, base_url) = (fake.url(), endpoint.url());
        let flags =
            ["bot-worker", "--queue-url", &queue_url, "--openai-base-url", &base_url, "--model", "small"];
        let settings = Settings::parse_from(flags.iter().chain(&["--bots", path.to_str().unwrap()]));
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone().drop_guard();
        Self { fake, endpoint, folder, running: tokio::spawn(run(settings, shutdown)), _stop: stop }
    }

    /// Writes the file beside the old one and renames it.
    fn write(&self, file: &str) {
        let written = self.path("new.toml");
        fs::write(&written, file).unwrap();
        fs::rename(written, self.path("bots.toml")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The next streams that are opened, by their entities.
    async fn streams(&mut self, count: usize) -> BTreeMap<String, Stream> {
        let mut streams = BTreeMap::new();
        for _ in 0..count {
            let stream = self.fake.accepted_stream().await;
            streams.insert(stream.request.entities.join(","), stream);
        }
        streams
    }
}

fn entry(entity: &str, model: &str) -> String {
    format!("[[bot]]\nentity = \"{entity}\"\nmodel = \"{model}\"\n")
}

#[tokio::test]
async fn each_bot_answers_its_entity_with_its_own_model() {
    let mut bots = Bots::start(&(entry("one", "large") + &entry("two", "small"))).await;
    let streams = bots.streams(2).await;
    for (entity, model) in [("one", "large"), ("two", "small")] {
        streams[entity].work(entity, entity, "Why?").await;
        assert_eq!(bots.fake.completion().await.lease.unwrap().message_id, entity);
        assert_eq!(bots.endpoint.asked().await.body["model"], model);
    }
}

#[tokio::test]
async fn a_change_of_the_file_is_a_change_of_the_bots_and_wrong_content_is_none() {
    let mut bots = Bots::start(&(entry("stays", "small") + &entry("goes", "small"))).await;
    let streams = bots.streams(2).await;
    bots.write(&(entry("stays", "small") + &entry("comes", "large")));
    let new = bots.streams(1).await;
    new["comes"].work("m1", "t1", "Why?").await;
    bots.fake.completion().await;
    assert_eq!(bots.endpoint.asked().await.body["model"], "large");
    streams["goes"].dropped().await;
    streams["stays"].work("m2", "t2", "Why?").await;
    assert_eq!(bots.fake.completion().await.lease.unwrap().message_id, "m2");
}

/// True if a scrape of this process tells of the bot of this name, in each of the families that are told of bots that are there.
fn is_shown(bot: &str) -> bool {
    let text = repartee_process::metrics_text();
    let families = ["repartee_bot_streams", "repartee_bot_out", "repartee_bot_tokens_today"];
    let shown = families.map(|family| text.contains(&format!("{family}{{bot=\"{bot}\"}}")));
    assert!(shown.iter().all(|is_shown| *is_shown == shown[0]), "{shown:?}");
    shown[0]
}

#[tokio::test]
async fn a_bot_that_was_removed_from_the_file_is_in_no_gauge_any_more() {
    let mut bots = Bots::start(&(entry("kept", "small") + &entry("removed", "small"))).await;
    let streams = bots.streams(2).await;
    assert!(is_shown("kept") && is_shown("removed"));
    bots.write(&entry("kept", "small"));
    streams["removed"].dropped().await;
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let gone = async {
        // It is there until it has drained.
        while repartee_process::metrics_text().contains("bot=\"removed\"} 0") {
            look.tick().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the bot is gone in time");
    assert!(is_shown("kept") && !is_shown("removed"));
    bots.write(&(entry("kept", "small") + &entry("removed", "small")));
    bots.streams(1).await;
    assert!(is_shown("removed"), "it is there again");
}

#[tokio::test]
async fn a_bot_that_is_refused_leaves_the_others_as_they_are() {
    let fake = Fake::start().await;
    fake.refuse_stream(Code::PermissionDenied);
    let file = entry("one", "small") + &entry("two", "small");
    let mut bots = Bots::start_at(fake, &file).await;
    let left = bots.streams(1).await;
    bots.write(&(file + &entry("three", "small")));
    bots.streams(1).await["three"].work("m3", "t3", "Why?").await;
    assert_eq!(bots.fake.completion().await.lease.unwrap().message_id, "m3");
    left.values().next().unwrap().work("m1", "t1", "Why?").await;
    assert_eq!(bots.fake.completion().await.lease.unwrap().message_id, "m1");
}

#[tokio::test]
async fn bots_of_which_none_is_left_end_with_the_reason() {
    let fake = Fake::start().await;
    fake.refuse_stream(Code::PermissionDenied);
    fake.refuse_stream(Code::PermissionDenied);
    let bots = Bots::start_at(fake, &(entry("one", "small") + &entry("two", "small"))).await;
    assert!(matches!(bots.running.await.unwrap(), Err(Error::Refused(_))));
}
