//! gRPC: a few connections that all clients share, and what an answer counts as.

use std::{collections::BTreeMap, time::Duration};

use repartee_process::Credential;
use repartee_proto::v1::{GetStatsRequest, queue_service_client::QueueServiceClient};
use tonic::{
    Code, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

use crate::{drive::Outcome, error::Error};

/// A client of the queue-service, whose calls carry a token if it has one.
pub(crate) type Grpc = QueueServiceClient<InterceptedService<Channel, Credential>>;

/// One HTTP/2 connection serialises its calls; more than four bring nothing on few cores.
const MOST_CONNECTIONS: usize = 4;
/// A page of 1,000 long messages.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// A call that takes longer has failed.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A channel for each of `clients`, over at most [`MOST_CONNECTIONS`] connections.
///
/// # Errors
/// Where nobody listens.
pub(crate) async fn channels(url: &str, clients: usize) -> Result<Vec<Channel>, Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).timeout(TIMEOUT);
    let mut connections = Vec::new();
    for _ in 0..clients.min(MOST_CONNECTIONS) {
        connections.push(endpoint.connect().await?);
    }
    Ok(connections.iter().cycle().take(clients).cloned().collect())
}

/// A client of the queue-service on a channel.
pub(crate) fn client(channel: Channel, credential: Credential) -> Grpc {
    QueueServiceClient::with_interceptor(channel, credential).max_decoding_message_size(MAX_ANSWER_BYTES)
}

/// What an answer counts as.
pub(crate) fn outcome<T>(answer: Result<T, Status>) -> Outcome {
    answer.map_or_else(|status| refusal(&status), |_| Outcome::Done)
}

/// What a status counts as.
pub(crate) fn refusal(status: &Status) -> Outcome {
    let name = format!("{:?}", status.code());
    match status.code() {
        Code::ResourceExhausted => Outcome::Refused(name),
        _ => Outcome::Failed(name),
    }
}

/// What the storage has been asked so far, by call: calls, reads, writes.
///
/// # Errors
/// Where the queue-service refuses.
pub(crate) async fn stats(queue: &mut Grpc) -> Result<BTreeMap<String, [u64; 3]>, Error> {
    let stats = queue.get_stats(GetStatsRequest::default()).await?.into_inner();
    Ok(stats.calls.into_iter().map(|cost| (cost.call, [cost.calls, cost.reads, cost.writes])).collect())
}
