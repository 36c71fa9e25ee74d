//! The settings. Each doc comment is the help of its flag.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use tempfile::TempDir;

use crate::{attack, error::Error, scenario::Scenario, seed::Distinct, wire::Over};

/// Load, ceilings, costs: what Repartee does on this machine, in numbers.
#[derive(Debug, Clone, Parser)]
#[command(name = "repartee-load", version, about)]
pub struct Settings {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run one scenario and print its row.
    Run(Run),
    /// Run the whole matrix with its ceilings, and write table, JSON and chart.
    Report(Report),
    /// Count what a day costs in storage, in the original design and in this one, and print the bill.
    Cost(Cost),
    /// Let one hostile address do its worst in every way that is known, while visitors post, poll and follow; print what
    /// the visitors noticed and what it took.
    Attack(attack::Settings),
    /// The hostile address.
    #[command(hide = true)]
    Attacker(attack::AttackerSettings),
    /// A server that does nothing, for the ceilings.
    #[command(hide = true)]
    ServeEcho(ServeEcho),
}

/// Where servers and data are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Folder below which data and logs are kept while this runs; the system's folder for temporary files by default.
    /// The disk's own ceiling is measured there too, so it should not be in memory.
    #[arg(long, env = "REPARTEE_LOAD_WORK_DIR")]
    pub work_dir: Option<PathBuf>,
    /// Folder of queue-service and rest-gateway; beside this program by default.
    #[arg(long, env = "REPARTEE_BIN_DIR")]
    pub bin_dir: Option<PathBuf>,
    /// A running queue-service to use in place of an own one, on loopback.
    #[arg(long, requires = "http_url")]
    pub queue_url: Option<String>,
    /// The running rest-gateway before it.
    #[arg(long, requires = "queue_url")]
    pub http_url: Option<String>,
    /// File with an operator's token of the running servers.
    #[arg(long, env = "REPARTEE_LOAD_TOKEN_FILE", value_name = "PATH", requires = "queue_url")]
    pub token_file: Option<PathBuf>,
}

/// One scenario.
#[derive(Debug, Clone, Args)]
pub struct Run {
    /// What one operation is.
    #[arg(value_enum)]
    pub(crate) scenario: Scenario,
    /// Over which face. Streams of work are there over gRPC only.
    #[arg(long, value_enum, default_value = "grpc")]
    pub(crate) over: Over,
    /// How many clients at the same time.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) clients: u32,
    /// Operations a second, as an open loop; a closed loop without it.
    #[arg(long, value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Seconds after which nothing new is started, fractions allowed.
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Operations after which nothing new is started.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) operations: u64,
    /// Bytes of each message's text.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub(crate) text_bytes: u32,
    /// Messages that are stored before the measurement.
    #[arg(long, default_value_t = 0)]
    pub(crate) stored: u64,
    /// Messages that wait for a bot before the measurement; those that work on messages need some.
    #[arg(long, default_value_t = 0)]
    pub(crate) pending: u64,
    /// Users of the day in `mixed`.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) users: u32,
    /// What is new in each message of `growth`.
    #[arg(long, value_enum, default_value = "domain")]
    pub(crate) distinct: Distinct,
    /// Messages of `growth` that are stored before the measurement, each with a name of its own; those for a bot are worked
    /// off.
    #[arg(long, default_value_t = 0)]
    pub(crate) grown: u64,
    /// A setting for the queue-service that is started, as it takes it: --queue-setting=--retention=10s. May be given
    /// several times.
    #[arg(long, allow_hyphen_values = true, conflicts_with = "queue_url")]
    pub(crate) queue_setting: Vec<String>,
    /// The ceilings are not measured.
    #[arg(long)]
    pub(crate) no_ceiling: bool,
    /// The result as JSON in place of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Where.
    #[command(flatten)]
    pub(crate) place: Place,
}

/// The whole matrix.
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// A minute instead of a quarter of an hour: fewer clients, less time, 50,000 messages instead of 1,000,000.
    #[arg(long)]
    pub(crate) short: bool,
    /// Only the sections whose name holds this.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
    /// Messages that are stored for the large rows.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) stored: u64,
    /// Messages that are posted, claimed and completed for the row of the disk.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) churned: u64,
    /// Domains, authors, entities and conversations that are stored for the rows of growth.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) grown: u64,
    /// Markdown file whose part between the marks `measured:begin` and `measured:end` is replaced by the tables.
    #[arg(long)]
    pub(crate) write: Option<PathBuf>,
    /// File for the results as JSON.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// File for the chart, as SVG.
    #[arg(long)]
    pub(crate) chart: Option<PathBuf>,
    /// Where.
    #[command(flatten)]
    pub(crate) place: Place,
}

/// The bill. Prices are those of Cloudflare Workers KV, on which the original design ran, as published at
/// <https://developers.cloudflare.com/kv/platform/pricing/> for the paid plan.
#[derive(Debug, Clone, Args)]
pub struct Cost {
    /// Dollars for a million keys read.
    #[arg(long, default_value_t = 0.50)]
    pub(crate) price_reads: f64,
    /// Dollars for a million keys written or deleted.
    #[arg(long, default_value_t = 5.00)]
    pub(crate) price_writes: f64,
    /// Dollars for a million list requests.
    #[arg(long, default_value_t = 5.00)]
    pub(crate) price_lists: f64,
    /// Keys that a poll of the original design reads.
    #[arg(long, default_value_t = 1_841)]
    pub(crate) original_keys: u64,
    /// Messages of each user in a day.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) messages: u32,
    /// Users of the day that is really run against the service; the day of one user is counted from it.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) users: u32,
    /// Seconds into which the day is compressed.
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub(crate) seconds: f64,
    /// Markdown file whose part between the marks `cost:begin` and `cost:end` is replaced by the table.
    #[arg(long)]
    pub(crate) write: Option<PathBuf>,
    /// Where.
    #[command(flatten)]
    pub(crate) place: Place,
}

/// One of the servers for the ceilings.
#[derive(Debug, Clone, Args)]
pub struct ServeEcho {
    /// The echo to which the HTTP face passes on; without it, the gRPC face is served.
    #[arg(long)]
    pub(crate) upstream: Option<String>,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) addr: SocketAddr,
    /// Write the bound address there once it serves.
    #[arg(long)]
    pub(crate) ready_file: PathBuf,
}

impl Place {
    /// A temporary folder; removed when it is dropped.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(crate) fn folder(&self) -> Result<TempDir, Error> {
        TempDir::new_in(self.work_dir()?).map_err(Error::io("making a folder for data"))
    }

    /// The folder below which everything lies, as an absolute path: servers have working directories of their own.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(crate) fn work_dir(&self) -> Result<PathBuf, Error> {
        let folder = self.work_dir.clone().unwrap_or_else(std::env::temp_dir);
        let made = std::fs::create_dir_all(&folder).and_then(|()| folder.canonicalize());
        made.map_err(Error::io(folder.display().to_string()))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (0.1..=1_000_000.0).contains(rate));
    rate.ok_or_else(|| "operations a second, from 0.1 to 1,000,000".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.05..=3_600.0).contains(seconds));
    seconds.ok_or_else(|| "seconds, from 0.05 to 3,600".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Settings;

    #[test]
    fn the_flags_are_consistent() {
        Settings::command().debug_assert();
    }

    #[test]
    fn a_load_without_an_end_is_refused() {
        for flags in [["--seconds", "0"], ["--seconds", "1e9"], ["--rate", "0"], ["--clients", "100000"]] {
            assert!(
                Settings::try_parse_from([&["repartee-load", "run", "post"], &flags[..]].concat()).is_err()
            );
        }
    }
}
