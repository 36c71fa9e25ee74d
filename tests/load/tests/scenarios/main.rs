//! Every scenario with a handful of operations against the real binaries: it does what was asked for, and nothing is
//! refused. Times are not looked at.
//!
//! The servers come from `REPARTEE_BIN_DIR`, or lie beside the generator, where `cargo build --workspace --bins` puts them.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// Runs the generator, with all that it keeps in a folder of its own.
fn generator(folder: &TempDir, arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_repartee-load");
    let output = Command::new(program).args(arguments).arg("--work-dir").arg(folder.path()).output();
    let output = output.expect("a built binary can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    let left = std::fs::read_dir(folder.path()).expect("our own folder can be read");
    let left = left.flatten().filter(|entry| entry.path().is_dir());
    assert_eq!(left.count(), 0, "folders are left behind");
    output
}

/// Runs a scenario and checks that all of its `operations` went well.
fn row(scenario: &str, operations: u64, flags: &[&str]) -> Value {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let count = operations.to_string();
    let own = ["run", scenario, "--json", "--no-ceiling", "--seconds", "60", "--operations", &count];
    let output = generator(&folder, &[&own, flags].concat());
    let row: Value = serde_json::from_slice(&output.stdout).expect("a row is JSON");
    assert_eq!((&row["operations"], &row["errors"]), (&operations.into(), &serde_json::json!({})), "{row}");
    row
}

#[test]
fn posts_go_well_over_both_faces_and_write_to_the_storage() {
    for over in ["grpc", "json"] {
        let row = row("post", 40, &["--over", over, "--clients", "4"]);
        assert!(row["storage_writes_per_operation"].as_f64() > Some(0.0), "{row}");
        assert!(row["servers"]["queue-service"]["peak_mib"].as_f64() > Some(0.0), "{row}");
    }
    row("ask", 10, &["--clients", "2"]);
    row("crowd", 40, &["--clients", "8"]);
}

#[test]
fn a_setting_reaches_the_queue_service_and_its_disk_is_watched() {
    let row = row("post", 40, &["--clients", "4", "--queue-setting=--retention=1h"]);
    assert!(row["disk_mib"][0].as_f64() > Some(0.0), "{row}");
}

#[test]
fn posts_in_an_open_loop_are_as_many_as_are_due() {
    row("post", 50, &["--rate", "1000", "--clients", "4"]);
}

#[test]
fn names_that_nobody_has_named_before_are_posted_and_worked_off() {
    for distinct in ["domain", "author", "entity", "conversation"] {
        row("growth", 20, &["--clients", "2", "--distinct", distinct, "--grown", "300"]);
    }
}

#[test]
fn polls_read_nothing_from_the_storage() {
    for scenario in ["poll", "poll-newest", "pending"] {
        for over in ["grpc", "json"] {
            let flags = ["--over", over, "--clients", "4", "--stored", "300", "--pending", "20"];
            let row = row(scenario, 40, &flags);
            assert_eq!(row["storage_reads_per_operation"], 0.0, "{row}");
        }
    }
}

#[test]
fn what_waits_is_claimed_and_completed() {
    for over in ["grpc", "json"] {
        row("claim-complete", 20, &["--over", over, "--clients", "4", "--pending", "20"]);
    }
    row("stream-complete", 40, &["--clients", "8", "--pending", "40"]);
    row("work-items", 40, &["--clients", "8", "--pending", "40"]);
}

#[test]
fn posts_go_on_streams() {
    row("post-items", 200, &["--clients", "16"]);
}

#[test]
fn a_post_is_delivered_to_a_worker() {
    row("deliver", 10, &["--clients", "1"]);
}

#[test]
fn a_post_reaches_every_stream_of_events() {
    let row = row("sse", 10, &["--over", "json", "--clients", "20", "--rate", "100"]);
    assert!(row["each"]["p99_us"].is_number() && row["idle_client_kib"].is_number(), "{row}");
}

#[test]
fn polls_that_find_nothing_new_ask_the_queue_service_nothing() {
    let row = row("idle-polls", 200, &["--over", "json", "--clients", "4", "--stored", "50"]);
    assert_eq!(row["queue_calls"], 0, "{row}");
}

#[test]
fn a_queue_service_restarts_with_its_data() {
    row("restart", 2, &["--stored", "500", "--pending", "10"]);
}

#[test]
fn the_real_day_goes_well() {
    row("mixed", 200, &["--clients", "8", "--users", "20"]);
}

#[test]
fn a_ceiling_makes_a_ratio() {
    let folder = TempDir::new().unwrap();
    let flags = ["--over", "json", "--clients", "2", "--operations", "10", "--json"];
    let output = generator(&folder, &[&["run", "poll-newest", "--stored", "20"], &flags[..]].concat());
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(row["ratio"].as_f64() > Some(0.0), "{row}");
}

#[test]
fn the_bill_is_counted_from_a_day_that_was_run() {
    let folder = TempDir::new().unwrap();
    let document = folder.path().join("document.md");
    std::fs::write(&document, "<!-- cost:begin --><!-- cost:end -->").unwrap();
    let flags = ["cost", "--users", "2", "--messages", "2", "--seconds", "2", "--write"];
    let output = generator(&folder, &[&flags[..], &[document.to_str().unwrap()]].concat());
    let said = String::from_utf8(output.stdout).unwrap();
    // The first question of each asks once whose the conversation is; nothing else is read.
    assert!(said.contains("Repartee: counted by GetStats over the day of 2 users: 1.0 reads"), "{said}");
    assert!(std::fs::read_to_string(&document).unwrap().contains(said.trim()));
}

#[test]
fn one_section_of_the_report_is_written_to_all_files() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    let (document, json, chart) = (file("document.md"), file("results.json"), file("chart.svg"));
    std::fs::write(&document, "before <!-- measured:begin --><!-- measured:end --> after").unwrap();
    let paths = [&document, &json, &chart].map(|path| path.to_str().unwrap());
    let flags = [
        "report", "--short", "--only", "overload", "--write", paths[0], "--json", paths[1], "--chart",
        paths[2],
    ];
    generator(&folder, &flags);
    let results: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let rows: Vec<_> = results["rows"].as_array().unwrap().iter().map(|row| &row["scenario"]).collect();
    assert_eq!(rows[..5], ["crowd", "crowd", "crowd", "poll-newest", "poll-newest"]);
    assert!(results["rows"][2]["sent_late"]["p99_us"].as_f64() > Some(0.0), "{results}");
    let text = std::fs::read_to_string(&document).unwrap();
    assert!(
        text.starts_with("before ") && text.ends_with(" after") && text.contains("not measured"),
        "{text}"
    );
    assert!(std::fs::read_to_string(&chart).unwrap().starts_with("<svg"));
}
