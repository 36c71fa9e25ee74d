//! Outages of an endpoint: they delay messages, and cost them nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bot_worker::{Error, Settings, run};
use clap::Parser as _;
use tokio::{net::TcpSocket, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    endpoint::{Answer, Asked, Endpoint},
    fake::Fake,
};

/// The ready bot between a fake service and an endpoint.
pub(crate) struct Bot {
    pub(crate) fake: Fake,
    pub(crate) endpoint: Endpoint,
    running: JoinHandle<Result<(), Error>>,
    stop: DropGuard,
}

impl Bot {
    /// A bot whose endpoint answers by this rule.
    pub(crate) async fn asking(rule: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        Self::start(Endpoint::start(rule).await, &[]).await
    }

    pub(crate) async fn start(endpoint: Endpoint, more: &[&str]) -> Self {
        let url = endpoint.url();
        Self::at(&url, endpoint, more).await
    }

    /// Ends it as a signal would.
    async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
    }

    /// A bot that asks elsewhere.
    async fn at(base_url: &str, endpoint: Endpoint, more: &[&str]) -> Self {
        let fake = Fake::start().await;
        let queue_url = fake.url();
        let always =
            ["bot-worker", "--entity", "echo", "--queue-url", &queue_url, "--openai-base-url", base_url];
        let model = ["--model", "small", "--system-prompt", "Be brief.", "--openai-api-key", "sk-test"];
        let settings = Settings::parse_from(always.iter().chain(&model).chain(more));
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone().drop_guard();
        Self { fake, endpoint, running: tokio::spawn(run(settings, shutdown)), stop }
    }
}

/// Answers everything with this.
fn always(answer: Answer) -> impl FnMut(&Asked) -> Answer + Send {
    move |_| answer.clone()
}

#[tokio::test]
async fn an_outage_gives_messages_back_and_takes_none_until_a_probe_succeeds() {
    for status in [400, 401, 404, 429, 500, 503] {
        let mut bot = Bot::asking(always(Answer::status(status))).await;
        let first = bot.fake.accepted_stream().await;
        first.work("m1", "t1", "Why?").await;
        let (lease, why) = bot.fake.given_back().await;
        assert_eq!((lease.message_id.as_str(), why), ("m1", format!("the endpoint answered {status}")));
        let holds_back = bot.fake.accepted_stream().await;
        assert_eq!(holds_back.request.holds_back, Some(format!("the endpoint answered {status}")));
        assert_eq!(holds_back.request.session_id, first.request.session_id);

        bot.endpoint.answer_by(always(Answer::words("Because.")));
        let (stream, _) = bot.fake.stream_that_takes_work().await;
        stream.work("m1", "t2", "Why?").await;
        assert_eq!(bot.fake.completion().await.reply.unwrap().text, "Because.");
        assert!(bot.fake.unseen_call().is_none(), "nothing has failed");
    }
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_is_an_outage() {
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/v1", silent.local_addr().unwrap());
    let unused = Endpoint::start(always(Answer::status(500))).await;
    let mut bot = Bot::at(&url, unused, &[]).await;
    let stream = bot.fake.accepted_stream().await;
    for id in ["m1", "m2", "m3", "m4"] {
        stream.work(id, id, "Why?").await;
    }
    let mut given_back = Vec::new();
    for _ in 0..4 {
        let (lease, why) = bot.fake.given_back().await;
        assert_eq!(why, "the endpoint could not be reached");
        given_back.push(lease.message_id);
    }
    given_back.sort();
    assert_eq!(given_back, ["m1", "m2", "m3", "m4"]);
}

#[tokio::test]
async fn what_is_handed_out_in_an_outage_is_given_back_without_a_request() {
    let mut bot = Bot::asking(always(Answer::status(429).header("retry-after", "3600"))).await;
    let stream = bot.fake.accepted_stream().await;
    stream.work("m1", "t1", "Why?").await;
    bot.fake.given_back().await;
    assert!(!bot.endpoint.asked().await.is_probe());
    let late = bot.fake.accepted_stream().await;
    late.work("m2", "t2", "Why?").await;
    assert_eq!(bot.fake.given_back().await.0.message_id, "m2");
    assert!(bot.endpoint.unseen().is_none(), "the endpoint has asked for an hour of silence");
}

#[tokio::test]
async fn a_doubtful_failure_counts_against_its_message_if_a_probe_succeeds() {
    let rule = |asked: &Asked| if asked.is_probe() { Answer::words("OK") } else { Answer::status(500) };
    let mut bot = Bot::asking(rule).await;
    bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    let failed = bot.fake.failure().await;
    assert_eq!((failed.error.as_str(), failed.retryable), ("the endpoint answered 500", true));
}

/// Returns on a day that is not about to end: what was spent on it counts until the test is over.
async fn early_enough() {
    const DAY: Duration = Duration::from_secs(86_400);
    let left = || {
        let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % DAY.as_secs();
        DAY - Duration::from_secs(today)
    };
    if left() < Duration::from_secs(60) {
        tokio::time::sleep(left()).await;
    }
}

#[tokio::test]
async fn a_day_without_tokens_is_an_outage() {
    early_enough().await;
    let endpoint = Endpoint::start(always(Answer::words("Because."))).await;
    let mut bot = Bot::start(endpoint, &["--tokens-per-day", "1"]).await;
    let stream = bot.fake.accepted_stream().await;
    stream.work("m1", "t1", "Why?").await;
    assert_eq!(bot.fake.completion().await.reply.unwrap().text, "Because.");
    stream.work("m2", "t2", "And now?").await;
    let (lease, why) = bot.fake.given_back().await;
    assert_eq!(lease.message_id, "m2");
    assert_eq!(why, "the tokens of today are used up (--tokens-per-day)");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_counted_against_the_day() {
    early_enough().await;
    let half = "data: {\"choices\":[{\"delta\":{\"content\":\"Half\"}}]}\n\n";
    let endpoint = Endpoint::start(always(Answer::stream(half))).await;
    let mut bot = Bot::start(endpoint, &["--tokens-per-day", "1"]).await;
    bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    let (_, why) = bot.fake.given_back().await;
    assert_eq!(why, "the tokens of today are used up (--tokens-per-day)");
    assert!(!bot.endpoint.asked().await.is_probe());
    assert!(bot.endpoint.unseen().is_none(), "no probe is paid for");
}

#[tokio::test]
async fn what_was_used_today_is_known_after_a_restart_if_there_is_a_state_file() {
    early_enough().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let flags = ["--tokens-per-day", "1", "--state-file", path.to_str().unwrap()];
    let mut bot = Bot::start(Endpoint::start(always(Answer::words("Because."))).await, &flags).await;
    bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    assert_eq!(bot.fake.completion().await.reply.unwrap().text, "Because.");
    bot.stop().await;

    let mut again = Bot::start(Endpoint::start(always(Answer::words("Because."))).await, &flags).await;
    again.fake.accepted_stream().await.work("m2", "t2", "Why?").await;
    assert_eq!(again.fake.given_back().await.1, "the tokens of today are used up (--tokens-per-day)");
    again.stop().await;

    std::fs::write(&path, "no state").unwrap();
    let refused = Bot::start(Endpoint::start(always(Answer::status(500))).await, &flags).await;
    let why = refused.running.await.unwrap().unwrap_err().to_string();
    assert!(why.contains("is no state of a bot"), "{why}");
}
