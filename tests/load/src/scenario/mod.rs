//! What one operation is. Each scenario makes its clients; sending is left to [`crate::drive`].

mod claim;
mod deliver;
mod growth;
mod idle;
mod items;
mod mixed;
mod poll;
mod post;
mod restart;
mod sse;
mod stream;
mod work;

pub(crate) use mixed::{Mixed, last_timestamp, people};
pub(crate) use poll::{newest_path, up_to_date_path};
pub(crate) use post::comment;
pub(crate) use work::Workers;

use serde::{Deserialize, Serialize};

use crate::{
    drive::{Client, Limit, Measured, drive},
    error::Error,
    pace::Pace,
    seed::Distinct,
    wire::Over,
    world::World,
};

/// What one operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// Store one message that no bot has to answer; it is on disk when it is acknowledged.
    Post,
    /// The same on up to four streams of Posts; the clients are the items that are on their way at once.
    PostItems,
    /// The same, by clients that cost as little as can be: for more than the service takes.
    Crowd,
    /// Store one message for a bot.
    Ask,
    /// The poll of a browser that has seen everything: nothing new.
    Poll,
    /// The newest ten messages.
    PollNewest,
    /// The first fifty messages that wait for a bot.
    Pending,
    /// Claim the next message, complete it with a reply: two calls.
    ClaimComplete,
    /// Get a message through a lease stream, complete it with a reply.
    StreamComplete,
    /// Get a message and complete it with a reply, all on up to four streams of Work; the clients are the messages that are
    /// worked on at once.
    WorkItems,
    /// From the start of a post until a worker's stream has it.
    Deliver,
    /// The real day: people post and poll, bots answer, compressed in time.
    Mixed,
    /// From when a message is due to be posted until the last of the clients has it on its stream of events.
    Sse,
    /// Polls that find nothing new, by time stamp and by cursor; 100,000 a minute where no rate is given.
    IdlePolls,
    /// Store one message that names a domain, an author, an entity or a conversation which nobody has named before.
    Growth,
    /// Stop the queue-service and start it again: until it serves.
    Restart,
}

/// One load.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) scenario: Scenario,
    pub(crate) over: Over,
    pub(crate) clients: u32,
    pub(crate) pace: Pace,
    pub(crate) limit: Limit,
    /// Bytes of each message's text.
    pub(crate) text_bytes: u32,
    /// Users of the day, where the scenario is one.
    pub(crate) users: u32,
    /// What is new in each message, where the scenario is growth.
    pub(crate) distinct: Distinct,
}

impl Scenario {
    /// Operations a second of a load that is an open loop by what it means.
    pub(crate) fn rate(self) -> Option<f64> {
        match self {
            Self::Sse => Some(20.0),
            Self::IdlePolls => Some(100_000.0 / 60.0),
            _ => None,
        }
    }

    /// In words, for results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Post | Self::Crowd => "post",
            Self::PostItems => "post, by Posts",
            Self::Ask => "post for a bot",
            Self::Poll => "poll, up to date",
            Self::PollNewest => "poll, newest 10",
            Self::Pending => "list pending",
            Self::ClaimComplete => "claim + complete",
            Self::StreamComplete => "stream + complete",
            Self::WorkItems => "get + complete, by Work",
            Self::Deliver => "post → worker has it",
            Self::Mixed => "the real day",
            Self::Sse => "post → the last stream has it",
            Self::IdlePolls => "poll, nothing new",
            Self::Growth => "post, a name that is new",
            Self::Restart => "restart until ready",
        }
    }
}

/// Lets the load run.
///
/// # Errors
/// Where it cannot be prepared.
pub(crate) async fn measure(world: &mut World, load: &Load) -> Result<Measured, Error> {
    match (load.scenario, load.over) {
        (Scenario::Post, Over::Grpc) => go(load, post::over_grpc(world, load, false).await?).await,
        (Scenario::Post, Over::Json) => go(load, post::over_json(world, load, false).await?).await,
        (Scenario::PostItems, _) => items::posts(world, load).await,
        (Scenario::WorkItems, _) => items::work(world, load).await,
        (Scenario::Crowd, _) => go(load, post::by_a_crowd(world, load).await?).await,
        (Scenario::Ask, Over::Grpc) => go(load, post::over_grpc(world, load, true).await?).await,
        (Scenario::Ask, Over::Json) => go(load, post::over_json(world, load, true).await?).await,
        (Scenario::Poll | Scenario::PollNewest | Scenario::Pending, Over::Grpc) => {
            go(load, poll::over_grpc(world, load).await?).await
        }
        (Scenario::Poll | Scenario::PollNewest | Scenario::Pending, Over::Json) => {
            go(load, poll::over_json(world, load).await?).await
        }
        (Scenario::ClaimComplete, Over::Grpc) => go(load, claim::over_grpc(world, load).await?).await,
        (Scenario::ClaimComplete, Over::Json) => go(load, claim::over_json(world, load).await?).await,
        (Scenario::StreamComplete, _) => stream::measure(world, load).await,
        (Scenario::Deliver, _) => go(load, deliver::clients(world, load).await?).await,
        (Scenario::Mixed, _) => mixed::measure(world, load).await,
        (Scenario::Sse, _) => sse::measure(world, load).await,
        (Scenario::IdlePolls, _) => idle::measure(world, load).await,
        (Scenario::Growth, _) => go(load, growth::over_grpc(world, load).await?).await,
        (Scenario::Restart, _) => restart::measure(world, load).await,
    }
}

async fn go<C: Client>(load: &Load, clients: Vec<C>) -> Result<Measured, Error> {
    Ok(drive(clients, load.pace.clone(), load.limit).await.0)
}
