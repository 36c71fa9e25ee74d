//! One client of the stream: what it is sent next, when it is told that the stream lives, and when it is sent away.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http::StatusCode;
use repartee_process::{ClientPermit, Place};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    events::{self, Bye},
    reader::{Next, Reader},
};
use crate::{problem::Problem, source::Source, tail::Cursor};

/// How long a stream waits before it asks a queue-service again that did not answer: this, or up to twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// What a stream holds of the bound of all, and of its client's share.
pub(super) type Room = (Place, Option<ClientPermit>);

/// One stream.
pub(super) struct Follower {
    source: Source,
    reader: Reader,
    /// Runs until the next heartbeat, or the end.
    timer: Pin<Box<Sleep>>,
    heartbeat: Instant,
    end: Instant,
    over: bool,
    _room: Room,
}

/// What comes after a look and a wait.
enum Step {
    Again,
    Beat,
    Leave,
}

impl Follower {
    /// A stream from `cursor` on, or from now. Waits a little for a queue-service that is away or has no room; a stream
    /// that opens all the same greets its client when it is back: to be refused is final for an `EventSource`.
    ///
    /// # Errors
    /// What the queue-service has against the domain or the cursor.
    pub(super) async fn open(source: Source, cursor: Option<Cursor>, room: Room) -> Result<Self, Problem> {
        let mut reader = Reader::new(cursor);
        if source.app().tail.wait_until_live().await.is_ok()
            && let Err(problem) = reader.read_on(&source).await
            && problem.status.is_client_error()
            && problem.status != StatusCode::TOO_MANY_REQUESTS
        {
            return Err(problem);
        }
        let (now, pulse) = (Instant::now(), source.app().pulse);
        let (heartbeat, end) =
            (now + pulse.heartbeat, now + pulse.age.mul_f64(1.0 + 2.0 * rand::random::<f64>()));
        let timer = Box::pin(sleep_until(heartbeat.min(end)));
        Ok(Self { source, reader, timer, heartbeat, end, over: false, _room: room })
    }

    /// What the client gets next, once there is something; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.reader.take() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            // Where there is always more to tell, nothing is waited for, and the timer is never looked at.
            if Instant::now() >= self.end {
                self.leave(Bye::Age);
                continue;
            }
            match self.step().await {
                Step::Again => {}
                Step::Beat => self.beat(),
                Step::Leave => self.leave(Bye::Shutdown),
            }
        }
    }

    /// Reads what is new, or waits for it.
    async fn step(&mut self) -> Step {
        let Self { source, reader, timer, .. } = self;
        let tail = &source.app().tail;
        // Before the look: what comes after it wakes this stream.
        let woken = tail.woken(source.domain());
        if tail.is_closed() {
            return Step::Leave;
        }
        match reader.read_on(source).await {
            Ok(Next::Go) => Step::Again,
            Ok(Next::Wait) => tokio::select! {
                biased;
                () = woken => {
                    source.app().limits.turn(source.client()).await;
                    Step::Again
                }
                () = timer => Step::Beat,
            },
            Err(problem) => {
                tracing::debug!(detail = problem.detail, "a stream cannot read on yet");
                tokio::select! {
                    () = tokio::time::sleep(PAUSE.mul_f64(1.0 + rand::random::<f64>())) => Step::Again,
                    () = source.app().stopping.cancelled() => Step::Leave,
                    () = timer => Step::Beat,
                }
            }
        }
    }

    fn beat(&mut self) {
        let now = Instant::now();
        if now >= self.end {
            return self.leave(Bye::Age);
        }
        self.reader.say_alive();
        self.heartbeat = now + self.source.app().pulse.heartbeat;
        self.timer.as_mut().reset(self.heartbeat.min(self.end));
    }

    fn leave(&mut self, why: Bye) {
        self.reader.push(events::bye(why, self.reader.cursor()));
        self.over = true;
    }
}
