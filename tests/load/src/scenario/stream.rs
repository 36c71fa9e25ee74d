//! Getting messages through lease streams and completing them with a reply. `clients` is how many messages are worked on
//! at the same time, over up to four streams.

use std::time::Duration;

use repartee_proto::v1::{GetStatsRequest, StreamPendingResponse, Work};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tonic::Streaming;

use super::{
    Load,
    claim::completion,
    work::{lease_stream, next_work},
};
use crate::{
    drive::{Client, Limit, Measured, Outcome, drive},
    error::Error,
    seed::text,
    wire::{Grpc, outcome},
    world::World,
};

/// Most streams.
const STREAMS: u32 = 4;

/// Work that waits comes at once; a place that waits longer waits in vain.
const PATIENCE: Duration = Duration::from_secs(20);

/// One place of a worker: takes a message when it is free, completes it, is free again.
struct Place {
    queue: Grpc,
    free: mpsc::Sender<oneshot::Sender<Work>>,
    reply: String,
}

pub(super) async fn measure(world: &World, load: &Load) -> Result<Measured, Error> {
    let waiting = world.one_grpc().await?.get_stats(GetStatsRequest {}).await?.into_inner().pending;
    if waiting == 0 {
        return Err(Error::Setting("nothing waits for a worker: seed some with --pending".to_owned()));
    }
    let limit = Limit { operations: load.limit.operations.min(waiting), ..load.limit };
    let workers = STREAMS.min(load.clients);
    let each = load.clients / workers;
    let (mut readers, mut places) = (JoinSet::new(), Vec::new());
    for (worker, mut queue) in world.grpc(workers as usize).await?.into_iter().enumerate() {
        let stream = lease_stream(&mut queue, worker, each).await?;
        let (free, waiting) = mpsc::channel(each as usize);
        readers.spawn(hand_out(stream, waiting));
        places.extend((0..each).map(|_| Place {
            queue: queue.clone(),
            free: free.clone(),
            reply: text(load.text_bytes),
        }));
    }
    let (measured, places) = drive(places, load.pace.clone(), limit).await;
    drop(places);
    Ok(measured)
}

/// Gives each message of a stream to a place that is free. Ends with the stream, or when no place is left.
async fn hand_out(
    mut stream: Streaming<StreamPendingResponse>,
    mut waiting: mpsc::Receiver<oneshot::Sender<Work>>,
) {
    while let Some(place) = waiting.recv().await {
        let Ok(Some(work)) = next_work(&mut stream).await else { break };
        // A place that has ended leaves its message to the end of its lease.
        let _ = place.send(work);
    }
}

impl Client for Place {
    async fn once(&mut self, _: u64) -> Outcome {
        let (place, work) = oneshot::channel();
        if self.free.send(place).await.is_err() {
            return Outcome::Failed("the stream ended".to_owned());
        }
        match timeout(PATIENCE, work).await {
            Err(_) => Outcome::Failed("no work came".to_owned()),
            Ok(Ok(work)) => outcome(self.queue.complete_message(completion(work, self.reply.clone())).await),
            Ok(Err(_)) => Outcome::Failed("the stream ended".to_owned()),
        }
    }
}
