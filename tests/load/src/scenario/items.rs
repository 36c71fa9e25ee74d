//! Many calls on one stream: posts by Posts, and messages that come and are completed by Work. `clients` is how many are on
//! their way at the same time, over up to four streams, each with a connection of its own.
//!
//! Each stream is read and written by one task: more tasks would measure themselves.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::stream::poll_fn;
use repartee_proto::v1::{
    GetStatsRequest, PostMessageRequest, PostsRequest, PostsResponse, StreamMode, StreamPendingRequest,
    WorkRequest, WorkResponse, posts_outcome, posts_response, work_outcome, work_request::Step,
    work_response::Event,
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};
use tonic::Streaming;

use super::{Load, claim::completion};
use crate::{
    access::Who,
    drive::{Limit, Measured, Outcome},
    error::Error,
    pace::Pace,
    seed::{ENTITY, platform_post, text},
    wire::{Grpc, refusal},
    world::World,
};

/// Most streams.
const STREAMS: u32 = 4;
/// A stream of work without any for so long has seen all that waited.
const SILENCE: Duration = Duration::from_secs(1);

/// The end of a load, as all of its streams see it.
#[derive(Debug, Clone)]
struct End {
    left: Arc<AtomicU64>,
    at: Instant,
}

impl End {
    fn of(Limit { operations, time }: Limit) -> Self {
        Self { left: Arc::new(AtomicU64::new(operations)), at: Instant::now() + time }
    }

    /// True if no more operations may begin.
    fn is_over(&self) -> bool {
        Instant::now() >= self.at || self.left.load(Ordering::Relaxed) == 0
    }

    /// True if one more operation may begin.
    fn goes_on(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        Instant::now() < self.at
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
    }
}

/// Posts on streams.
pub(super) async fn posts(world: &World, load: &Load) -> Result<Measured, Error> {
    let (streams, each) = shares(load)?;
    let queues = world.grpc(Who::Visitor, streams as usize).await?;
    let (end, began) = (End::of(load.limit), Instant::now());
    let mut running = JoinSet::new();
    for (number, mut queue) in queues.into_iter().enumerate() {
        let (items, mut sent) = mpsc::channel(each as usize);
        let events = queue.posts(poll_fn(move |cx| sent.poll_recv(cx))).await?.into_inner();
        let message = Some(platform_post(&format!("Human {number}"), load.text_bytes));
        let post = PostMessageRequest { message, idempotency_key: None };
        running.spawn(post_on(items, events, post, each.into(), end.clone()));
    }
    joined(running, began).await
}

/// Takes messages and completes them, on streams.
pub(super) async fn work(world: &World, load: &Load) -> Result<Measured, Error> {
    let (streams, each) = shares(load)?;
    let waiting = world.operator().await?.get_stats(GetStatsRequest::default()).await?.into_inner().pending;
    if waiting == 0 {
        return Err(Error::Setting("nothing waits for a worker: seed some with --pending".to_owned()));
    }
    let limit = Limit { operations: load.limit.operations.min(waiting), ..load.limit };
    let queues = world.grpc(Who::Worker, streams as usize).await?;
    let (end, began) = (End::of(limit), Instant::now());
    let mut running = JoinSet::new();
    for (number, queue) in queues.into_iter().enumerate() {
        let reply = text(load.text_bytes);
        running.spawn(work_on(queue, format!("worker {number}"), each, reply, end.clone()));
    }
    joined(running, began).await
}

/// How many streams, and how many on their way on each.
fn shares(load: &Load) -> Result<(u32, u32), Error> {
    if !matches!(load.pace, Pace::Closed) {
        return Err(Error::Setting("streams of items are measured in a closed loop".to_owned()));
    }
    let streams = STREAMS.min(load.clients);
    Ok((streams, load.clients / streams))
}

async fn joined(running: JoinSet<Result<Measured, Error>>, began: Instant) -> Result<Measured, Error> {
    let mut measured = Measured::new();
    for part in running.join_all().await {
        measured.add(part?);
    }
    measured.elapsed = began.elapsed();
    Ok(measured)
}

async fn post_on(
    items: mpsc::Sender<PostsRequest>,
    mut events: Streaming<PostsResponse>,
    post: PostMessageRequest,
    most: u64,
    end: End,
) -> Result<Measured, Error> {
    let item = |number| PostsRequest { number, post: Some(post.clone()), ..PostsRequest::default() };
    let (mut measured, mut on_their_way, mut last) = (Measured::new(), HashMap::new(), 0);
    while last < most && end.goes_on() {
        last += 1;
        on_their_way.insert(last, Instant::now());
        // There is a place for each; of a stream that is over the reader is told.
        let _ = items.try_send(item(last));
    }
    while !on_their_way.is_empty() {
        let Some(PostsResponse { event }) = events.message().await? else { break };
        let Some(posts_response::Event::Outcome(outcome)) = event else { continue };
        let Some(sent) = on_their_way.remove(&outcome.number) else { continue };
        let result = match outcome.outcome {
            Some(posts_outcome::Outcome::Posted(_)) => Outcome::DoneAt(Instant::now()),
            Some(posts_outcome::Outcome::Status(status)) => refusal(&status.into()),
            None => Outcome::Failed("an outcome that says nothing".to_owned()),
        };
        measured.note(result, sent);
        if end.goes_on() {
            last += 1;
            on_their_way.insert(last, Instant::now());
            let _ = items.try_send(item(last));
        }
    }
    Ok(measured)
}

async fn work_on(
    mut queue: Grpc,
    worker_id: String,
    each: u32,
    reply: String,
    end: End,
) -> Result<Measured, Error> {
    // A completion for each, and the subscription.
    let (items, mut sent) = mpsc::channel(each as usize + 1);
    let subscribe = Step::Subscribe(StreamPendingRequest {
        worker_id,
        session_id: uuid::Uuid::new_v4().to_string(),
        entities: vec![ENTITY.to_owned()],
        mode: StreamMode::Lease.into(),
        max_in_flight: each,
        ..StreamPendingRequest::default()
    });
    let put = |number, step| {
        // There is a place for each; of a stream that is over the reader is told.
        let _ = items.try_send(WorkRequest { number, step: Some(step), ..WorkRequest::default() });
    };
    put(0, subscribe);
    let mut events = queue.work(poll_fn(move |cx| sent.poll_recv(cx))).await?.into_inner();
    let (mut measured, mut on_their_way, mut last) = (Measured::new(), HashMap::new(), 0);
    loop {
        let Ok(event) = timeout(SILENCE, events.message()).await else { break };
        let Some(WorkResponse { event }) = event? else { break };
        match event {
            Some(Event::Work(work)) if end.goes_on() => {
                last += 1;
                on_their_way.insert(last, Instant::now());
                put(last, Step::Complete(completion(work, reply.clone())));
            }
            // What was handed out and is not completed any more goes to others when its lease ends.
            Some(Event::Work(_)) if on_their_way.is_empty() => break,
            Some(Event::Outcome(outcome)) => {
                let Some(sent) = on_their_way.remove(&outcome.number) else { continue };
                measured.note(
                    match outcome.outcome {
                        Some(work_outcome::Outcome::Status(status)) => refusal(&status.into()),
                        Some(_) => Outcome::DoneAt(Instant::now()),
                        None => Outcome::Failed("an outcome that says nothing".to_owned()),
                    },
                    sent,
                );
                if on_their_way.is_empty() && end.is_over() {
                    break;
                }
            }
            Some(Event::Hello(_) | Event::Work(_) | Event::Cancelled(_) | Event::Heartbeat(_)) | None => {}
            Some(Event::GoingAway(_)) => break,
        }
    }
    Ok(measured)
}
