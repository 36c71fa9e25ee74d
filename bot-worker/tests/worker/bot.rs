//! The ready bot: its settings, and its start.

use std::path::Path;

use bot_worker::{Settings, run};
use clap::Parser as _;
use repartee_process::Settings as _;
use tokio_util::sync::CancellationToken;

use crate::fake::Fake;

fn parsed(flags: &[&str]) -> Settings {
    Settings::try_parse_from(["bot-worker", "--entity", "echo"].iter().chain(flags)).unwrap()
}

#[test]
fn an_entity_is_needed_and_several_are_allowed() {
    let nobody = Settings::try_parse_from(["bot-worker", "--reply", "echo"]).unwrap();
    assert!(nobody.check().unwrap_err().contains("--entity"));
    assert_eq!(parsed(&["--entity", "two"]).entities, ["echo", "two"]);
}

#[test]
fn the_bot_has_to_be_told_how_to_answer() {
    assert!(parsed(&[]).check().is_err());
    assert_eq!(parsed(&["--reply", "echo"]).check(), Ok(()));
}

#[cfg(feature = "openai")]
#[test]
fn an_endpoint_needs_a_url_a_model_and_a_key_of_one_line() {
    let check = |flags: &[&str]| parsed(flags).check();
    let local = ["--openai-base-url", "http://127.0.0.1:8000/v1"];
    let with = |more: &[&'static str]| check(&[&local, more].concat());
    assert_eq!(with(&["--model", "small"]), Ok(()));
    assert!(with(&[]).unwrap_err().contains("--model"));
    assert!(with(&["--model", "small", "--reply", "echo"]).unwrap_err().contains("exclude"));
    assert!(with(&["--model", "small", "--timeout", "841s"]).unwrap_err().contains("14m 1s"));
    assert!(with(&["--model", "small", "--history", "101"]).unwrap_err().contains("101"));
    let wrong = with(&["--model", "small", "--openai-api-key", "two\nlines"]).unwrap_err();
    assert!(!wrong.contains("two"));
    assert!(
        check(&["--openai-base-url", "localhost", "--model", "small"]).unwrap_err().contains("localhost")
    );
    for (flag, value) in [("--temperature", "2.5"), ("--top-p", "0"), ("--max-tokens", "0"), ("--stop", "")] {
        let wrong = with(&["--model", "small", flag, value]).unwrap_err();
        assert!(wrong.contains(flag), "{wrong}");
    }
    let wrong = with(&["--model", "small", "--system-prompt-file", "/nowhere/prompt"]).unwrap_err();
    assert!(wrong.contains("--system-prompt-file /nowhere/prompt"), "{wrong}");
}

#[cfg(feature = "openai")]
#[test]
fn a_wrong_header_is_refused_without_being_shown() {
    for header in ["sk-secret", "sk secret: 1", "x-key: sk-secret\u{7}"] {
        let endpoint = ["--openai-base-url", "http://127.0.0.1:8000/v1", "--model", "small"];
        let settings = parsed(&[&endpoint[..], &["--header", "x-a: 1", "--header", header]].concat());
        let wrong = settings.check().unwrap_err();
        assert!(wrong.starts_with("--header, number 2: must "), "{wrong}");
        let shown = format!("{wrong}{settings:?}{}", serde_json::to_string(&settings).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[cfg(feature = "openai")]
#[test]
fn the_key_is_masked_in_the_printed_settings() {
    let settings = parsed(&["--reply", "echo", "--openai-api-key", "sk-test"]);
    let shown = serde_json::to_string(&settings).unwrap();
    assert!(shown.contains("\"openai_api_key\":\"***\""));
    assert!(!shown.contains("sk-test"));
}

#[tokio::test]
async fn the_echo_bot_writes_its_ready_file_and_answers() {
    let mut fake = Fake::start().await;
    let folder = tempfile::tempdir().unwrap();
    let ready = folder.path().join("ready.json");
    let url = fake.url();
    let settings = parsed(&["--reply", "echo", "--queue-url", &url, "--ready-file", ready.to_str().unwrap()]);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(run(settings, shutdown.clone()));
    let stream = fake.accepted_stream().await;
    stream.work("m1", "t1", "hello").await;
    assert_eq!(fake.completion().await.reply.unwrap().text, "hello");
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(ready).unwrap(), "{}");
}

#[tokio::test]
async fn a_ready_file_that_cannot_be_written_ends_the_bot() {
    let mut fake = Fake::start().await;
    let url = fake.url();
    let nowhere = Path::new("/nonexistent/ready.json").to_str().unwrap();
    let settings = parsed(&["--reply", "echo", "--queue-url", &url, "--ready-file", nowhere]);
    let running = tokio::spawn(run(settings, CancellationToken::new()));
    let _stream = fake.accepted_stream().await;
    let error = running.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("/nonexistent/ready.json"));
}
