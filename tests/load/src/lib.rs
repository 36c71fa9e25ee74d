//! The load generator of Repartee.
//!
//! It starts the real binaries, or takes running ones, sends them load over loopback, and tells what came back: how
//! much, how fast, and what it cost the servers. In the same run it measures what the parts can do by themselves (the
//! [`ceiling`]s), so that every result is a ratio too, and means something on another machine.
//!
//! Bounded by design: every load has an end in operations and in time, goes to loopback only, and whatever is started
//! is ended by its process id. Data lies in a temporary folder below `--work-dir` and is removed.
//!
//! | module | owns |
//! |---|---|
//! | [`drive`], [`pace`], [`latency`] | sending: how many at once, when, and how long it took |
//! | [`wire`] | the two faces as clients see them |
//! | [`scenario`] | what one operation is |
//! | [`access`] | in whose name calls are made, and the tokens that prove it |
//! | [`server`], [`resources`], [`cores`], [`world`], [`seed`] | the servers, their processes, their data |
//! | [`echo`], [`disk`], [`ceiling`] | what the parts can do without Repartee |
//! | [`day`], [`cost`] | the real day, and what it costs in storage |
//! | [`attack`] | a hostile address, and visitors who must not notice it |
//! | [`row`], [`table`], [`chart`], [`document`], [`report`] | results |

mod access;
mod attack;
mod ceiling;
mod chart;
mod cores;
mod cost;
mod day;
mod disk;
mod document;
mod drive;
mod echo;
mod error;
mod latency;
mod pace;
mod report;
mod resources;
mod row;
mod scenario;
mod seed;
mod server;
mod settings;
mod table;
mod wire;
mod world;

pub use error::Error;
pub use settings::{Command, Settings};

/// Does what the settings ask for, and prints its results.
///
/// # Errors
/// Where servers cannot be started or reached, or results cannot be written. Refused operations are no error: they are
/// counted in the results.
pub async fn run(settings: Settings) -> Result<(), Error> {
    match settings.command {
        Command::Run(one) => report::one(one).await,
        Command::Report(matrix) => report::matrix(matrix).await,
        Command::Cost(cost) => cost::run(cost).await,
        Command::Attack(settings) => attack::run(settings).await,
        Command::Attacker(settings) => attack::attacker(settings).await,
        Command::ServeEcho(echo) => echo::serve(echo).await,
    }
}
