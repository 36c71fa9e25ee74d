//! Ceilings: what the stack and the disk do without Repartee, measured in the same run and with the same clients.

use std::time::Duration;

use hyper::body::Bytes;
use prost::Message as _;
use repartee_proto::v1::{ListMessagesRequest, ListPendingRequest};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::{
    access::Who,
    disk,
    drive::{Client, Limit, Measured, Outcome, drive},
    echo::{EchoClient, Payload},
    error::Error,
    pace::Pace,
    scenario::{Load, Scenario, newest_path, up_to_date_path},
    seed::{DOMAIN, platform_post, text},
    server::Server,
    settings::Place,
    wire::{Answer, Json, Over, channels, outcome},
    world::World,
};

/// Bytes of one record in the disk's ceiling, beside the text: names, ids, times, a key.
const RECORD_OVERHEAD: u32 = 128;

/// What the parts do by themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ceiling {
    /// Which part.
    pub(crate) name: String,
    /// Operations in a second.
    pub(crate) per_second: f64,
    /// The median of one, in microseconds.
    pub(crate) p50_us: f64,
}

/// The servers that do nothing.
#[derive(Debug)]
pub(crate) struct Ceilings {
    grpc: Server,
    http: Server,
    place: Place,
    time: Duration,
}

impl Ceilings {
    /// Starts the servers. Each measurement takes `time`.
    ///
    /// # Errors
    /// Where they do not start.
    pub(crate) async fn open(place: &Place, time: Duration) -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(Error::io("finding this program"))?;
        let work_dir = place.work_dir()?;
        let grpc = Server::start(&own, &["serve-echo".to_owned()], &work_dir).await?;
        let upstream = format!("http://{}", grpc.grpc_addr());
        let arguments = ["serve-echo", "--upstream", &upstream].map(str::to_owned);
        let http = Server::start(&own, &arguments, &work_dir).await?;
        Ok(Self { grpc, http, place: place.clone(), time })
    }

    /// The ceiling of a load; none where it has no single one.
    ///
    /// # Errors
    /// Where it cannot be measured.
    pub(crate) async fn of(&self, world: &World, load: &Load) -> Result<Option<Ceiling>, Error> {
        let Load { scenario, over, clients, text_bytes, .. } = *load;
        let echo = async |calls: f64| -> Result<Ceiling, Error> {
            let stack = self.echo(clients, text_bytes).await?.divided_by(calls, "call");
            let disk = self.disk(clients, text_bytes).await?.divided_by(calls, "commit");
            Ok(lower(stack, disk))
        };
        Ok(Some(match (scenario, over) {
            (Scenario::Post | Scenario::Ask, Over::Grpc) => echo(1.0).await?,
            (Scenario::ClaimComplete, Over::Grpc) => echo(2.0).await?,
            // One call carries them all: what is left to be a ceiling is the disk.
            (Scenario::PostItems, _) => self.disk(clients, text_bytes).await?,
            (Scenario::StreamComplete | Scenario::WorkItems, _) => self.echo(clients, text_bytes).await?,
            (Scenario::Post | Scenario::Ask, Over::Json) => self.hop(clients, text_bytes).await?,
            (Scenario::ClaimComplete, Over::Json) => {
                self.hop(clients, text_bytes).await?.divided_by(2.0, "call")
            }
            (Scenario::Poll | Scenario::PollNewest | Scenario::Pending, Over::Json) => {
                self.bytes(clients, json_answer(world, scenario).await?).await?
            }
            (Scenario::Poll | Scenario::PollNewest | Scenario::Pending, Over::Grpc) => {
                self.answer(clients, grpc_answer(world, scenario).await?).await?
            }
            (
                Scenario::Crowd
                | Scenario::Deliver
                | Scenario::Mixed
                | Scenario::Sse
                | Scenario::IdlePolls
                | Scenario::Growth
                | Scenario::Restart,
                _,
            ) => return Ok(None),
        }))
    }

    /// A bare tonic echo of a post.
    pub(crate) async fn echo(&self, clients: u32, text_bytes: u32) -> Result<Ceiling, Error> {
        let data = Bytes::from(platform_post("Human", text_bytes).encode_to_vec());
        self.grpc("tonic echo", clients, Payload { data, answer_bytes: 0 }).await
    }

    /// A bare tonic handler that answers so many bytes.
    async fn answer(&self, clients: u32, bytes: u32) -> Result<Ceiling, Error> {
        let name = format!("tonic, {bytes} bytes");
        self.grpc(&name, clients, Payload { data: Bytes::new(), answer_bytes: bytes }).await
    }

    async fn grpc(&self, name: &str, clients: u32, payload: Payload) -> Result<Ceiling, Error> {
        let url = format!("http://{}", self.grpc.grpc_addr());
        let channels = channels(&url, clients as usize).await?.into_iter();
        let clients = channels.map(|channel| Echo(EchoClient::new(channel), payload.clone())).collect();
        self.measure(name, clients).await
    }

    /// A bare axum handler that answers these bytes.
    async fn bytes(&self, clients: u32, body: Bytes) -> Result<Ceiling, Error> {
        let mut connections = Json::connect_all(self.http.http_addr(), clients as usize).await?;
        let name = format!("axum, the same {} bytes", body.len());
        let held = connections[0].post("/bytes", body).await;
        held.map_err(|error| Error::Http(error.to_string()))?;
        self.measure(&name, connections.into_iter().map(Bare::Get).collect()).await
    }

    /// axum with one tonic call that does nothing.
    pub(crate) async fn hop(&self, clients: u32, text_bytes: u32) -> Result<Ceiling, Error> {
        let connections = Json::connect_all(self.http.http_addr(), clients as usize).await?;
        let body = Bytes::from(text(text_bytes + RECORD_OVERHEAD));
        let clients = connections.into_iter().map(|connection| Bare::Hop(connection, body.clone())).collect();
        self.measure("axum + tonic call", clients).await
    }

    /// Group commit of as many records as there are clients.
    pub(crate) async fn disk(&self, clients: u32, text_bytes: u32) -> Result<Ceiling, Error> {
        let (folder, time) = (self.place.work_dir()?, self.time);
        let appending =
            spawn_blocking(move || disk::appends(&folder, clients, text_bytes + RECORD_OVERHEAD, time));
        let appends = appending.await.expect("appending does not panic").map_err(Error::io("appending"))?;
        let name = format!("fdatasync, groups of {clients}");
        Ok(Ceiling { name, per_second: appends.per_second, p50_us: appends.group.p50_us })
    }

    async fn measure<C: Client>(&self, name: &str, clients: Vec<C>) -> Result<Ceiling, Error> {
        let limit = Limit { operations: u64::MAX, time: self.time };
        let (_, clients) = drive(clients, Pace::Closed, Limit { time: self.time / 5, ..limit }).await;
        let (measured, _): (Measured, _) = drive(clients, Pace::Closed, limit).await;
        if let Some(error) = measured.errors.keys().next() {
            return Err(Error::Http(format!("the ceiling {name:?} met {error}")));
        }
        let (per_second, quantiles) = (measured.per_second(), measured.latencies.quantiles());
        Ok(Ceiling { name: name.to_owned(), per_second, p50_us: quantiles.p50_us })
    }

    /// Stops the servers.
    ///
    /// # Errors
    /// Where they cannot be awaited.
    pub(crate) async fn close(self) -> Result<(), Error> {
        self.http.stop().await?;
        self.grpc.stop().await
    }
}

impl Ceiling {
    /// The ceiling of operations that need it several times.
    fn divided_by(self, times: f64, unit: &str) -> Self {
        if times == 1.0 {
            return self;
        }
        let name = format!("{} ÷ {times} {unit}s", self.name);
        Self { name, per_second: self.per_second / times, p50_us: self.p50_us * times }
    }
}

fn lower(one: Ceiling, other: Ceiling) -> Ceiling {
    if one.per_second <= other.per_second { one } else { other }
}

async fn json_answer(world: &World, scenario: Scenario) -> Result<Bytes, Error> {
    let path = match scenario {
        Scenario::Poll => up_to_date_path(world).await?,
        Scenario::Pending => "/api/queue/pending".to_owned(),
        _ => newest_path(),
    };
    let answer = world.json(Who::Operator, 1).await?.remove(0).get(&path).await;
    Ok(answer.map_err(|error| Error::Http(error.to_string()))?.body)
}

async fn grpc_answer(world: &World, scenario: Scenario) -> Result<u32, Error> {
    let mut queue = world.operator().await?;
    let length = match scenario {
        Scenario::Pending => queue.list_pending(ListPendingRequest::default()).await?.get_ref().encoded_len(),
        // What a poll that is up to date answers is a cursor and a count.
        Scenario::Poll => 32,
        _ => {
            let request = ListMessagesRequest { domain: DOMAIN.to_owned(), limit: 10, position: None };
            queue.list_messages(request).await?.get_ref().encoded_len()
        }
    };
    Ok(u32::try_from(length).expect("a page is shorter than 4 GiB"))
}

struct Echo(EchoClient, Payload);

impl Client for Echo {
    async fn once(&mut self, _: u64) -> Outcome {
        outcome(self.0.echo(self.1.clone()).await)
    }
}

enum Bare {
    Get(Json),
    Hop(Json, Bytes),
}

impl Client for Bare {
    async fn once(&mut self, _: u64) -> Outcome {
        let answer = match self {
            Self::Get(connection) => connection.get("/bytes").await,
            Self::Hop(connection, body) => connection.post("/hop", body.clone()).await,
        };
        Answer::outcome(&answer)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ceiling, lower};

    fn ceiling(per_second: f64) -> Ceiling {
        Ceiling { name: format!("{per_second}"), per_second, p50_us: 10.0 }
    }

    #[test]
    fn two_calls_halve_a_ceiling() {
        let halved = ceiling(100.0).divided_by(2.0, "call");
        assert_eq!((halved.per_second, halved.p50_us, halved.name.as_str()), (50.0, 20.0, "100 ÷ 2 calls"));
        assert_eq!(ceiling(100.0).divided_by(1.0, "call"), ceiling(100.0));
    }

    #[test]
    fn of_two_ceilings_the_lower_one_limits() {
        assert_eq!(lower(ceiling(2.0), ceiling(1.0)), ceiling(1.0));
        assert_eq!(lower(ceiling(1.0), ceiling(2.0)), ceiling(1.0));
    }
}
