//! The short form of the attack suite: one hostile address does what it can, and visitors notice nothing that is not a
//! matter of time. How long they wait is measured by `repartee-load attack` alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{binary, within_deadline};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

/// How visitors and attacker fared.
async fn attacked(kind: &str) -> Value {
    let folder = TempDir::new().unwrap();
    let results = folder.path().join("results.json");
    let attacking = Command::new(binary("repartee-load"))
        .args(["attack", "--short", "--only", kind, "--json"])
        .arg(&results)
        .arg("--work-dir")
        .arg(folder.path())
        .arg("--bin-dir")
        .arg(binary("queue-service").parent().unwrap())
        .kill_on_drop(true)
        .output();
    let output = within_deadline(kind, attacking).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results: Value = serde_json::from_slice(&std::fs::read(&results).unwrap()).unwrap();
    results[0].clone()
}

/// Attacks, and checks what holds in every case. `refused` is an answer that the attacker has to get, or how its connections
/// have to end.
async fn holds_against(kind: &str, refused: &str) {
    let result = attacked(kind).await;
    assert_eq!(result["errors"], serde_json::json!({}), "visitors were refused: {result}");
    assert!(result["requests"].as_u64() > Some(0), "visitors went on: {result}");
    for server in ["rest-gateway", "queue-service"] {
        let memory = &result["memory"][server];
        assert!(memory["attacked"].as_u64() > Some(0), "{server} runs: {result}");
        assert!(memory["attacked"].as_u64() <= memory["bound"].as_u64(), "{server}: {result}");
    }
    let attacker = &result["attacker"];
    assert_eq!(attacker["not_ours"], serde_json::json!({}), "every refusal is in our words: {result}");
    assert!(attacker["answers"][refused].as_u64() > Some(0), "{refused}: {result}");
}

#[tokio::test]
async fn one_who_sends_heads_slowly_keeps_nobody_out() {
    holds_against("slow-heads", "closed").await;
}

#[tokio::test]
async fn one_who_sends_bodies_slowly_keeps_nobody_from_writing() {
    holds_against("slow-bodies", "429 CLIENT_LIMIT").await;
}

#[tokio::test]
async fn one_who_takes_no_answers_fills_no_memory() {
    holds_against("closed-windows", "429").await;
}

#[tokio::test]
async fn one_who_resets_requests_and_cuts_connections_breaks_nobody_elses() {
    holds_against("resets", "reset by us").await;
}

#[tokio::test]
async fn one_who_holds_idle_connections_keeps_nobody_out() {
    holds_against("idle-connections", "closed").await;
}

#[tokio::test]
async fn one_who_posts_without_end_keeps_nobody_from_posting() {
    holds_against("posts", "429 CLIENT_LIMIT").await;
}

#[tokio::test]
async fn one_who_edits_without_end_keeps_nobody_out() {
    holds_against("edits", "429 CLIENT_LIMIT").await;
}

#[tokio::test]
async fn one_who_names_ever_new_domains_keeps_nobody_out() {
    holds_against("domains", "429 CLIENT_LIMIT").await;
}

#[tokio::test]
async fn one_who_takes_all_streams_of_events_leaves_others_theirs() {
    holds_against("event-streams", "429 CLIENT_LIMIT").await;
}

#[tokio::test]
async fn one_who_takes_all_long_polls_leaves_others_theirs() {
    holds_against("long-polls", "429 CLIENT_LIMIT").await;
}

#[tokio::test]
async fn one_who_fills_the_queue_with_long_texts_keeps_nobody_from_asking() {
    holds_against("waiting-texts", "429 CLIENT_LIMIT").await;
}

#[tokio::test]
async fn one_who_sends_large_heads_breaks_nobody_elses_calls() {
    holds_against("large-heads", "431").await;
}

#[tokio::test]
async fn one_who_asks_for_all_that_is_large_keeps_nobody_waiting() {
    // A debug build compresses too slowly to reach the limit, which has a test of its own (`shares.rs`).
    holds_against("large-answers", "200").await;
}

#[tokio::test]
async fn one_who_guesses_tokens_keeps_nobody_out() {
    holds_against("wrong-tokens", "429 CLIENT_LIMIT").await;
}
