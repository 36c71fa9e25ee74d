//! Bots: lease streams, and workers that answer all they get.

use repartee_proto::v1::{
    StreamMode, StreamPendingRequest, StreamPendingResponse, Work, stream_pending_response::Event,
};
use tokio::task::JoinSet;
use tonic::{Status, Streaming};

use super::claim::completion;
use crate::{
    access::Who,
    error::Error,
    seed::{ENTITY, text},
    wire::Grpc,
    world::World,
};

/// Opens a lease stream in a session of its own.
///
/// # Errors
/// Where it is refused.
pub(super) async fn lease_stream(
    queue: &mut Grpc,
    worker: usize,
    max_in_flight: u32,
) -> Result<Streaming<StreamPendingResponse>, Status> {
    let request = StreamPendingRequest {
        worker_id: format!("worker {worker}"),
        session_id: uuid::Uuid::new_v4().to_string(),
        entities: vec![ENTITY.to_owned()],
        mode: StreamMode::Lease.into(),
        max_in_flight,
        ..StreamPendingRequest::default()
    };
    Ok(queue.stream_pending(request).await?.into_inner())
}

/// The next message of a stream; none at its end.
///
/// # Errors
/// The status with which the stream ended.
pub(super) async fn next_work(stream: &mut Streaming<StreamPendingResponse>) -> Result<Option<Work>, Status> {
    while let Some(response) = stream.message().await? {
        match response.event {
            Some(Event::Work(work)) => return Ok(Some(work)),
            Some(Event::GoingAway(_)) => return Ok(None),
            Some(Event::Hello(_) | Event::Cancelled(_) | Event::Heartbeat(_)) | None => {}
        }
    }
    Ok(None)
}

/// Workers that answer whatever comes. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Workers(#[expect(dead_code, reason = "held for its end: it aborts them")] JoinSet<()>);

impl Workers {
    /// Starts `count` workers with up to `max_in_flight` messages each.
    ///
    /// # Errors
    /// Where their streams are refused.
    pub(crate) async fn start(
        world: &World,
        count: usize,
        max_in_flight: u32,
        text_bytes: u32,
    ) -> Result<Self, Error> {
        let mut workers = JoinSet::new();
        for (worker, mut queue) in world.grpc(Who::Worker, count).await?.into_iter().enumerate() {
            let stream = lease_stream(&mut queue, worker, max_in_flight).await?;
            workers.spawn(answer_all(queue, stream, text(text_bytes)));
        }
        Ok(Self(workers))
    }
}

async fn answer_all(queue: Grpc, mut stream: Streaming<StreamPendingResponse>, reply: String) {
    let mut answers = JoinSet::new();
    while let Ok(Some(work)) = next_work(&mut stream).await {
        let (mut queue, completion) = (queue.clone(), completion(work, reply.clone()));
        answers.spawn(async move { queue.complete_message(completion).await.is_ok() });
        while answers.try_join_next().is_some() {}
    }
}
