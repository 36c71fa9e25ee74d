//! A message on its way to everybody who looks: posted, and then seen by each of thousands of open streams of events.
//!
//! An operation is one message; it is done when the last stream has it, counted from when it was due to be posted. Beside
//! it stands how long each stream waited from the moment in which the message was acknowledged, and so durable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinSet, time::timeout};

use super::{Load, post::comment};
use crate::{
    access::Who,
    drive::{Client, Measured, Outcome, drive},
    error::Error,
    latency::Latencies,
    seed::DOMAIN,
    wire::{Answer, Events, Json, stats},
    world::World,
};

/// Those who post: each waits until everybody has its message.
const POSTERS: usize = 16;
/// Messages of one load at the most.
const MOST: u64 = 100_000;
/// A message that somebody has not seen by then is counted as missed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long streams are idle before it is looked at what they take.
const IDLE: Duration = Duration::from_secs(2);

/// Who has seen what.
struct Board {
    streams: u32,
    /// Number of the last change before the load.
    before: u64,
    slots: Vec<Slot>,
    start: Instant,
    /// From the acknowledgement of a message to each stream.
    each: Mutex<Latencies>,
}

#[derive(Default)]
struct Slot {
    seen: AtomicU32,
    whole: Notify,
    /// When each stream had it, in microseconds from the start.
    arrivals: Mutex<Vec<u32>>,
}

/// One who posts.
struct Poster {
    connection: Json,
    board: Arc<Board>,
    text_bytes: u32,
}

pub(super) async fn measure(world: &mut World, load: &Load) -> Result<Measured, Error> {
    let resident = |world: &World| world.taken().get("rest-gateway").map_or(0, |taken| taken.resident);
    let posters = world.json(Who::Visitor, POSTERS).await?;
    let before = resident(world);
    let path = format!("/api/comments/stream?domain={DOMAIN}");
    let mut streams = Vec::new();
    for _ in 0..load.clients {
        streams.push(Events::open(world.http_addr(), &path).await?);
    }
    tokio::time::sleep(IDLE.min(load.limit.time)).await;
    let idle = resident(world).saturating_sub(before) as f64 / f64::from(load.clients);
    let board = Board::new(world, load).await?;
    let mut readers = JoinSet::new();
    for events in streams {
        readers.spawn(follow(events, Arc::clone(&board)));
    }
    let posters = posters.into_iter().map(|connection| {
        let board = Arc::clone(&board);
        Poster { connection, board, text_bytes: load.text_bytes }
    });
    let limit = crate::drive::Limit { operations: load.limit.operations.min(MOST), ..load.limit };
    let mut measured = drive(posters.collect(), load.pace.clone(), limit).await.0;
    readers.abort_all();
    measured.idle_client_kib = (before > 0).then_some(idle / 1024.0);
    measured.each = board.each.lock().clone();
    Ok(measured)
}

async fn follow(mut events: Events, board: Arc<Board>) {
    while events.read(|number| board.note(number)).await {}
}

impl Board {
    async fn new(world: &World, load: &Load) -> Result<Arc<Self>, Error> {
        let mut queue = world.operator().await?;
        stats(&mut queue).await?;
        let now = queue.get_stats(repartee_proto::v1::GetStatsRequest::default()).await?.into_inner();
        let count = load.limit.operations.min(MOST);
        Ok(Arc::new(Self {
            streams: load.clients,
            before: now.tail_seq,
            slots: (0..=count).map(|_| Slot::default()).collect(),
            start: Instant::now(),
            each: Mutex::new(Latencies::new()),
        }))
    }

    fn slot(&self, number: u64) -> Option<&Slot> {
        self.slots.get(usize::try_from(number.checked_sub(self.before + 1)?).ok()?)
    }

    /// A stream has this message.
    fn note(&self, number: u64) {
        let Some(slot) = self.slot(number) else { return };
        let micros = u32::try_from(self.start.elapsed().as_micros()).unwrap_or(u32::MAX);
        slot.arrivals.lock().push(micros);
        if slot.seen.fetch_add(1, Ordering::AcqRel) + 1 == self.streams {
            slot.whole.notify_one();
        }
    }

    /// Waits until all streams have it, and tells when the last one had.
    async fn whole(&self, number: u64, acknowledged: Instant) -> Option<Instant> {
        let slot = self.slot(number)?;
        timeout(PATIENCE, slot.whole.notified()).await.ok()?;
        let arrivals = std::mem::take(&mut *slot.arrivals.lock());
        let at = |micros: u32| self.start + Duration::from_micros(micros.into());
        let mut each = self.each.lock();
        for micros in &arrivals {
            each.record(at(*micros).saturating_duration_since(acknowledged));
        }
        arrivals.into_iter().max().map(at)
    }
}

impl Client for Poster {
    async fn once(&mut self, _: u64) -> Outcome {
        let posted = self.connection.post("/api/comments", comment("Human", self.text_bytes, false)).await;
        let acknowledged = Instant::now();
        match &posted {
            Ok(answer) if answer.status == http::StatusCode::CREATED => {
                let number = answer.json()["seq"].as_u64().unwrap_or_default();
                let last = self.board.whole(number, acknowledged).await;
                last.map_or_else(|| Outcome::Failed("not seen by all".to_owned()), Outcome::DoneAt)
            }
            _ => Answer::outcome(&posted),
        }
    }
}
