//! Getting messages through lease streams and completing them with a reply. `clients` is how many messages are worked on
//! at the same time, over up to four streams.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use repartee_proto::v1::{GetStatsRequest, StreamPendingResponse, Work};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::{
    Load,
    claim::completion,
    work::{lease_stream, next_work},
};
use crate::{
    access::Who,
    drive::{Client, Limit, Measured, Outcome, drive},
    error::Error,
    seed::text,
    wire::{Grpc, outcome},
    world::World,
};

/// Most streams.
const STREAMS: u32 = 4;

/// What waited at the start. A message may wait in the buffer of another stream, so a place cannot know by itself that
/// nothing will come any more.
struct Backlog {
    left: AtomicU64,
    over: CancellationToken,
}

/// One place of a worker: takes a message when it is free, completes it, is free again.
struct Place {
    queue: Grpc,
    free: mpsc::Sender<oneshot::Sender<Work>>,
    reply: String,
    backlog: Arc<Backlog>,
}

pub(super) async fn measure(world: &World, load: &Load) -> Result<Measured, Error> {
    let waiting = world.operator().await?.get_stats(GetStatsRequest::default()).await?.into_inner().pending;
    if waiting == 0 {
        return Err(Error::Setting("nothing waits for a worker: seed some with --pending".to_owned()));
    }
    let left = AtomicU64::new(load.limit.operations.min(waiting));
    let backlog = Arc::new(Backlog { left, over: CancellationToken::new() });
    let limit = Limit { operations: u64::MAX, ..load.limit };
    let workers = STREAMS.min(load.clients);
    let each = load.clients / workers;
    let (mut readers, mut places) = (JoinSet::new(), Vec::new());
    for (worker, mut queue) in world.grpc(Who::Worker, workers as usize).await?.into_iter().enumerate() {
        let stream = lease_stream(&mut queue, worker, each).await?;
        let (free, waiting) = mpsc::channel(each as usize);
        readers.spawn(hand_out(stream, waiting));
        places.extend((0..each).map(|_| Place {
            queue: queue.clone(),
            free: free.clone(),
            reply: text(load.text_bytes),
            backlog: Arc::clone(&backlog),
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
        let work = tokio::select! {
            work = work => work,
            () = self.backlog.over.cancelled() => return Outcome::Drained,
        };
        let Ok(work) = work else { return Outcome::Failed("the stream ended".to_owned()) };
        let completed = self.queue.complete_message(completion(work, self.reply.clone())).await;
        self.backlog.one_less();
        outcome(completed)
    }
}

impl Backlog {
    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.over.cancel();
        }
    }
}
