//! One hostile address at its worst, and visitors who must not notice it.
//!
//! For each way of attacking there are servers of its own, with all their defaults. The same visitors work all the time, and
//! the attack comes and goes, so that what the machine does by itself shows in the quiet parts around it. The attacker is a
//! process of its own, with an address of its own on loopback; it ends by itself.

mod attacker;
mod kind;
mod report;
mod trial;
mod visitors;

#[expect(unreachable_pub, reason = "a command's settings are as public as the command")]
pub use attacker::AttackerSettings;
pub(crate) use attacker::run as attacker;

use std::path::PathBuf;

use clap::Args;
use kind::Kind;
use trial::Trial;

use crate::{document, error::Error, settings::Place};

/// Large pages, which attackers ask for and do not take.
const LOUD_PAGE: &str = "/api/comments?domain=loud.example&limit=1000";
const LOUD_DOMAIN: &str = "loud.example";

/// The attacks, and what they are held against.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Only this way; may be given several times. All of them by default.
    #[arg(long, value_enum)]
    only: Vec<Kind>,
    /// Visitors at the same time.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=250))]
    visitors: u8,
    /// Seconds of each part, quiet or not.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=120))]
    seconds: u64,
    /// How often each attack comes and goes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20))]
    rounds: u32,
    /// Five visitors and a few seconds: whether anybody is refused, and what is held, not how long anything takes.
    #[arg(long)]
    short: bool,
    /// Markdown file whose part between the marks `attack:begin` and `attack:end` is replaced by the table.
    #[arg(long)]
    write: Option<PathBuf>,
    /// File for the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where.
    #[command(flatten)]
    place: Place,
}

/// Attacks in each way, prints the table, and writes what was asked for.
///
/// # Errors
/// If something cannot be prepared, or a file cannot be written. What visitors are refused is no error: it is counted.
#[expect(clippy::print_stdout, reason = "the table is what the command is for")]
pub(crate) async fn run(settings: Settings) -> Result<(), Error> {
    if settings.place.queue_url.is_some() {
        return Err(Error::OwnServers("attack"));
    }
    let conditions = report::conditions(&settings);
    let all = <Kind as clap::ValueEnum>::value_variants();
    let kinds = if settings.only.is_empty() { all } else { &settings.only };
    let mut trials = Vec::new();
    for kind in kinds {
        let trial = Trial::run(*kind, &settings).await?;
        report::tell(&trial);
        trials.push(trial);
    }
    let text = report::text(&conditions, &trials);
    println!("{text}");
    if let Some(path) = &settings.json {
        let json = serde_json::to_string_pretty(&trials).expect("results are plain values");
        std::fs::write(path, json).map_err(Error::io(path.display().to_string()))?;
    }
    settings.write.as_deref().map_or(Ok(()), |path| document::replace(path, "attack", &text))
}
