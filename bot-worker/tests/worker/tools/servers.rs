//! The life of tool servers: those that cannot be started, die, or are reached by HTTP.

use std::{
    io,
    sync::{Arc, Mutex},
};

use tokio::{sync::Notify, time::timeout};

use super::{
    WithTools, calling, has_results, once,
    server::{ByHttp, as_child},
};
use crate::{
    endpoint::{Answer, Asked},
    fake::PATIENCE,
};

/// All that is logged, by everything that runs in this test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>, Arc<Notify>);

impl Log {
    fn start() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        // As the bot logs it.
        let lines = tracing_subscriber::fmt().with_ansi(false).with_env_filter("info,rmcp=off");
        (log, tracing::subscriber::set_default(lines.with_writer(move || writer.clone()).finish()))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// What is logged once it holds these words.
    async fn until(&self, words: &str) -> String {
        let logged = async {
            loop {
                let line = self.1.notified();
                if self.text().contains(words) {
                    return self.text();
                }
                line.await;
            }
        };
        timeout(PATIENCE, logged).await.unwrap_or_else(|_| panic!("no {words:?} in {}", self.text()))
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        self.1.notify_one();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_started_is_named_once_and_the_bot_answers_without_it() {
    let (log, _guard) = Log::start();
    let broken = "[broken]\ncommand = \"sh\"\nargs = [\"-c\", \"echo the key $KEY is wrong >&2; exit 1\"]\n\
        env = { KEY = { file = \"HERE/key\" } }\ntools = [\"*\"]\n\
        [missing]\ncommand = \"/nowhere/at/all\"\ntools = [\"*\"]\n";
    let file = broken.to_owned() + &as_child("shed", &["echo"]);
    let mut bot = WithTools::start(&file, &[], once(calling(&[("echo", "{\"text\":\"Hi\"}")]))).await;
    let stream = bot.bot.fake.accepted_stream().await;
    for token in ["t1", "t2"] {
        stream.work(token, token, "Why?").await;
        assert_eq!(bot.bot.fake.completion().await.reply.unwrap().text, "Done.");
    }
    assert_eq!(bot.asked().await["tools"].as_array().unwrap().len(), 1);
    let log = log.text();
    let said = |server: &str| {
        let of_server =
            |line: &&str| line.contains("ERROR ") && line.contains(&format!("server=\"{server}\""));
        log.lines().filter(of_server).collect::<Vec<_>>()
    };
    let [broken] = said("broken")[..] else { panic!("{log}") };
    assert!(broken.contains("it ended before it was ready; it wrote: the key *** is wrong"), "{broken}");
    assert_eq!(said("missing").len(), 1, "{log}");
    assert!(!log.contains(super::server::KEY), "{log}");
}

#[tokio::test]
async fn a_server_that_dies_is_started_again() {
    let dies_first = |asked: &Asked| match asked {
        asked if has_results(asked) => Answer::words("Done."),
        asked if asked.body.get("tools").is_none() => Answer::words("None."),
        asked if asked.body["messages"][1]["content"] == "Die!" => Answer::stream(calling(&[("die", "{}")])),
        _ => Answer::stream(calling(&[("time_now", "{}")])),
    };
    let mut bot = WithTools::start(&as_child("shed", &["*"]), &[], dies_first).await;
    let stream = bot.bot.fake.accepted_stream().await;
    stream.work("m0", "t0", "Die!").await;
    assert_eq!(bot.bot.fake.completion().await.reply.unwrap().text, "Done.");
    let again = async {
        for number in 1.. {
            let name = format!("m{number}");
            stream.work(&name, &name, "What time is it?").await;
            if bot.bot.fake.completion().await.reply.unwrap().text == "Done." {
                return;
            }
        }
    };
    timeout(PATIENCE, again).await.expect("its tools are back in time");
}

#[tokio::test]
async fn a_child_has_what_its_table_gives_it_and_nothing_of_the_bots_environment() {
    let asked =
        calling(&[("variable", "{\"text\":\"CARGO_MANIFEST_DIR\"}"), ("variable", "{\"text\":\"ZONE\"}")]);
    let mut bot = WithTools::start(&as_child("shed", &["variable"]), &[], once(asked)).await;
    assert_eq!(bot.reply().await, "Done.");
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    assert_eq!(bot.results().await, ["unset", "Rome"]);
}

#[tokio::test]
async fn a_server_by_http_is_used_with_its_key_and_not_without() {
    let server = ByHttp::start();
    let table = format!("[shed]\nurl = \"http://{}/mcp\"\ntools = [\"echo\"]\n", server.addr);
    let calls = || once(calling(&[("echo", "{\"text\":\"Hi\"}")]));
    let mut bot = WithTools::start(&format!("{table}key-file = \"HERE/key\"\n"), &[], calls()).await;
    assert_eq!(bot.reply().await, "Done.");
    assert_eq!(bot.results().await, ["Hi"]);

    let (log, _guard) = Log::start();
    let mut without = WithTools::start(&table, &[], |_: &Asked| Answer::words("None.")).await;
    assert_eq!(without.reply().await, "None.");
    assert!(without.asked().await.get("tools").is_none());
    assert!(log.text().contains("server=\"shed\""), "{}", log.text());
}

#[tokio::test]
async fn a_server_by_http_that_goes_away_in_the_midst_is_told_to_the_model() {
    let server = ByHttp::start();
    let table = format!(
        "[shed]\nurl = \"http://{}/mcp\"\nkey-file = \"HERE/key\"\ntools = [\"hang\"]\n",
        server.addr
    );
    let calls = once(calling(&[("hang", "{}")]));
    let mut bot = WithTools::start(&table, &["--tool-timeout", "5s"], calls).await;
    bot.bot.fake.accepted_stream().await.work("m1", "t1", "Why?").await;
    bot.asked().await;
    drop(server);
    assert_eq!(bot.bot.fake.completion().await.reply.unwrap().text, "Done.");
    let told = super::results(&bot.asked().await).concat();
    assert!(told.starts_with("The tool failed: "), "{told}");
}

#[tokio::test]
async fn no_key_of_an_address_is_in_the_log_of_a_server_that_is_lost() {
    let (log, _guard) = Log::start();
    let server = ByHttp::start();
    // Libraries write it with small letters.
    let url = format!("HTTP://{}/mcp?key=sk-in-the-address", server.addr);
    let table = format!("[shed]\nurl = \"{url}\"\nkey-file = \"HERE/key\"\ntools = [\"*\"]\n");
    let calls = once(calling(&[("hang", "{}")]));
    let mut bot = WithTools::start(&table, &["--tool-timeout", "1s"], calls).await;
    let stream = bot.bot.fake.accepted_stream().await;
    stream.work("m1", "t1", "Why?").await;
    bot.asked().await;
    drop(server);
    bot.bot.fake.completion().await;
    stream.work("m2", "t2", "Why?").await;
    let log = log.until("the tool server is lost").await;
    assert!(log.contains("***"), "{log}");
    assert!(!log.contains("sk-in-the-address") && !log.contains(super::server::KEY), "{log}");
}

#[tokio::test]
async fn calls_are_counted_by_server_tool_and_outcome() {
    repartee_process::start_metrics();
    let calls = once(calling(&[("time_now", "{}"), ("fail", "{}"), ("fly", "{}")]));
    let mut bot = WithTools::start(&as_child("counted", &["*"]), &[], calls).await;
    assert_eq!(bot.reply().await, "Done.");
    let shown = repartee_process::metrics_text();
    for (tool, outcome) in [("time_now", "ok"), ("fail", "failed")] {
        let labels = format!("{{bot=\"echo\",server=\"counted\",tool=\"{tool}\",outcome=\"{outcome}\"}} 1");
        assert!(shown.contains(&format!("repartee_bot_tool_calls_total{labels}")), "{shown}");
    }
    assert!(
        shown.contains(
            "repartee_bot_tool_calls_total{bot=\"echo\",server=\"\",tool=\"\",outcome=\"refused\"}"
        )
    );
    assert!(shown.contains(
        "repartee_bot_tool_call_seconds_count{bot=\"echo\",server=\"counted\",tool=\"time_now\"} 1"
    ));
    assert!(shown.contains("repartee_bot_tool_server_up{bot=\"echo\",server=\"counted\"} 1"));
}
