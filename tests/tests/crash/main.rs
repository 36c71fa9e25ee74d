//! The crash test: the queue-service is killed with SIGKILL many times, at random moments and at chosen ones, under every
//! kind of load at once. Every request and every answer is recorded, and after restarts and in the end a checker
//! compares them with what the service shows: nothing acknowledged is lost, nothing unasked appears, nothing is torn,
//! doubled or out of order, and no message is held by two.
//!
//! `REPARTEE_KILLS` says how many kills (30), `REPARTEE_SEED` repeats the choices of a run.
//!
//! The parts: `clients` load the service through a `face`; the `recorder` keeps the `history`; `kills` chooses the
//! moments; `audit` reads what the service shows; `check` is pure, and has tests of its own that make it fail.

use std::{collections::BTreeMap, env, time::Instant};

mod audit;
mod check;
mod clients;
mod face;
mod history;
mod kills;
mod link;
mod log;
mod recorder;
mod request;
mod run;

use history::{History, Outcome};
use log::Log;
use run::{Run, assert_nothing_broken};

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_any_moment_lose_nothing_double_nothing_and_tear_nothing() {
    let began = Instant::now();
    let seed = number("REPARTEE_SEED").unwrap_or_else(rand::random);
    let kills = usize::try_from(number("REPARTEE_KILLS").unwrap_or(30)).expect("so few kills");
    println!("REPARTEE_SEED={seed} REPARTEE_KILLS={kills}");
    let mut run = Run::start(seed).await;
    while run.victim.kills() < kills {
        run.kill_once(kills).await;
    }
    println!("{}", run.victim.summary());
    let (history, log) = run.finish().await;
    println!("{}", summary(&history, &log));
    assert_nothing_broken(&history, &log);
    println!("all in {:?}", began.elapsed());
}

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} has to be a whole number, is {text:?}")))
}

/// How much was asked, and what became of it.
fn summary(history: &History, log: &Log) -> String {
    let mut outcomes = BTreeMap::<&str, usize>::new();
    for call in &history.calls {
        let outcome = match &call.outcome {
            Outcome::Answered(_) => "answered",
            Outcome::Refused(_) => "refused",
            Outcome::Lost(_) => "without an answer",
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    let mut kinds = BTreeMap::<&str, usize>::new();
    for change in &log.changes {
        *kinds.entry(change.kind.as_str_name().trim_start_matches("CHANGE_KIND_")).or_default() += 1;
    }
    let (calls, changes) = (history.calls.len(), log.changes.len());
    format!("{calls} calls: {outcomes:?}\n{changes} changes: {kinds:?}")
}
