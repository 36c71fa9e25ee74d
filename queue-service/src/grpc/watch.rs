//! WatchMessages: the feed as a stream. Each watcher re-reads the views at its own cursor; none is ever skipped.

use std::pin::pin;

use repartee_proto::v1::{self, WatchMode, watch_messages_response::Event};
use tokio::time::{Instant, sleep_until};
use tonic::Status as Refusal;
use uuid::Uuid;

use super::{
    QueueGrpc, answer,
    caller::Caller,
    check,
    outlet::{Inlet, Outlet, Over},
    rights::Standing,
    service::{jittered, refused},
    status, traces,
};
use crate::{
    domain::Status,
    journal::JournalError,
    reads::{Cursor, Listed, Lost},
    writer::Clock as _,
};

/// Changes read at once.
const PAGE: usize = 256;

struct Watcher {
    grpc: QueueGrpc,
    standing: Standing,
    domain: Option<String>,
    seq: u64,
    /// The last step of the drafts that the client has; `None` where it wants none.
    drafted: Option<u64>,
    /// True for a gateway.
    tells_traces: bool,
    outlet: Outlet<v1::WatchMessagesResponse>,
}

impl QueueGrpc {
    pub(super) fn watch(
        &self,
        caller: Caller,
        request: v1::WatchMessagesRequest,
    ) -> Result<Inlet<v1::WatchMessagesResponse>, Refusal> {
        let (domain, _) = check::page(&self.limits, request.domain, 0, 1).map_err(refused)?;
        let cursor = match &request.cursor {
            Some(cursor) => Some(Cursor::parse(cursor).ok_or_else(|| status::no_cursor(cursor))?),
            None => None,
        };
        let tail = self.reads.tail();
        let (seq, mode, lost) = match cursor.map(|cursor| self.reads.position(&cursor)) {
            None => (tail, WatchMode::Live, None),
            Some(Ok(seq)) => (seq, WatchMode::Resumed, None),
            Some(Err(lost)) => (tail, WatchMode::Reset, Some(lost)),
        };
        let standing = self.rights.standing(&caller);
        let room = self.room_for(&caller, &self.streams.watchers);
        let counted = Some(self.streams.watches.open());
        let (outlet, inlet) =
            Outlet::open_counted(&self.streams, room, &self.bounds.answers, standing.clone(), counted)?;
        let drafted = request.drafts.then_some(0);
        let tells_traces = caller.is_gateway();
        let watcher = Watcher { grpc: self.clone(), standing, domain, seq, drafted, tells_traces, outlet };
        tokio::spawn(watcher.run(tail, mode, lost));
        Ok(inlet)
    }
}

impl Watcher {
    async fn run(mut self, tail: u64, mode: WatchMode, lost: Option<Lost>) {
        let hello = v1::WatchHello {
            epoch: self.grpc.reads.store.epoch().to_string(),
            tail: self.grpc.reads.cursor(tail).to_string(),
            mode: mode.into(),
            server_time: self.grpc.clock.read().wall,
        };
        let mut opened = self.send(Event::Hello(hello)).await;
        if let (Ok(()), Some(lost)) = (&opened, lost) {
            opened = self.reset(lost).await;
        }
        // On `Over` the client is gone or was told already.
        if opened.is_ok() {
            let _ = self.follow().await;
        }
    }

    async fn follow(&mut self) -> Result<(), Over> {
        let mut tail = self.grpc.reads.views.subscribe();
        let mut drafts = self.grpc.drafts.subscribe();
        let draining = self.grpc.streams.draining.clone();
        let standing = self.standing.clone();
        let mut lost = pin!(standing.lost());
        let end = Instant::now() + jittered(self.grpc.streams.age);
        let heartbeat = self.grpc.streams.heartbeat;
        let mut next_heartbeat = Instant::now() + heartbeat;
        loop {
            tail.borrow_and_update();
            while self.catch_up().await? {
                self.outlet.check()?;
                // Where there is always more to tell, nothing is waited for, and the timer is never looked at.
                if Instant::now() >= end {
                    return self.go_away();
                }
            }
            drafts.borrow_and_update();
            self.show_drafts();
            tokio::select! {
                changed = tail.changed() => if changed.is_err() { return self.go_away() },
                // Its sender lives as long as the service.
                _ = drafts.changed(), if self.drafted.is_some() => {}
                () = sleep_until(next_heartbeat) => {
                    next_heartbeat += heartbeat;
                    let cursor = self.cursor();
                    self.send(Event::Heartbeat(v1::WatchHeartbeat { cursor, server_time: self.grpc.clock.read().wall })).await?;
                }
                () = sleep_until(end) => return self.go_away(),
                () = draining.cancelled() => return self.go_away(),
                () = &mut lost => {
                    self.outlet.end(Err(status::token_refused()));
                    return Err(Over);
                }
                () = self.outlet.closed() => return Err(Over),
            }
        }
    }

    /// Sends what is new. Says whether there is more at once.
    async fn catch_up(&mut self) -> Result<bool, Over> {
        let read = self.grpc.reads.changes("WatchMessages", self.domain.clone(), self.seq, PAGE).await;
        let Listed { items, next, more, .. } = match read {
            Ok(Ok(listed)) => listed,
            Ok(Err(lost)) => {
                // It was so slow that what it was to read next is swept.
                self.seq = self.grpc.reads.tail();
                self.reset(lost).await?;
                return Ok(true);
            }
            Err(error) => return Err(self.fail(error)),
        };
        let last = if more { None } else { items.last().map(|change| change.seq()) };
        for change in items {
            let caught_up = last == Some(change.seq());
            let message = self.grpc.message(&change.record);
            let trace = self.tells_traces.then(|| traces::of_post(change.kind, &change.record)).flatten();
            let change = answer::change(&self.grpc.reads, &change, message, caught_up, trace);
            self.send(Event::Change(change)).await?;
        }
        self.seq = next;
        Ok(more && !self.grpc.streams.draining.is_cancelled())
    }

    /// Sends what bots are writing, as far as the client keeps up; what is left out is sent later, with the newest text.
    fn show_drafts(&mut self) {
        let Some(seen) = self.drafted else { return };
        for (step, draft) in self.grpc.drafts.after(seen) {
            let wanted = self.domain.as_ref().is_none_or(|domain| **domain == *draft.domain);
            if wanted && (draft.ended || self.is_live(draft.id)) {
                let event = Event::Draft(v1::Draft {
                    message_id: draft.id.to_string(),
                    domain: draft.domain.to_string(),
                    text: draft.text.to_string(),
                    ended: draft.ended,
                });
                if !self.outlet.offer(v1::WatchMessagesResponse { event: Some(event) }) {
                    return;
                }
            }
            self.drafted = Some(step);
        }
    }

    /// A draft that comes after the change that ended its work would stay for ever.
    fn is_live(&self, id: Uuid) -> bool {
        let record = self.grpc.reads.shown(id);
        record.is_some_and(|record| {
            record.state.work.as_ref().is_some_and(|work| work.status == Status::Processing)
        })
    }

    async fn reset(&mut self, Lost(reason): Lost) -> Result<(), Over> {
        let reset = v1::WatchReset { reason: reason.to_owned(), cursor: self.cursor() };
        self.send(Event::Reset(reset)).await
    }

    async fn send(&mut self, event: Event) -> Result<(), Over> {
        self.outlet.send(v1::WatchMessagesResponse { event: Some(event) }).await
    }

    fn go_away(&mut self) -> Result<(), Over> {
        let event = Some(Event::GoingAway(answer::going_away()));
        self.outlet.end(Ok(v1::WatchMessagesResponse { event }));
        Err(Over)
    }

    fn fail(&mut self, error: JournalError) -> Over {
        self.outlet.end(Err(status::storage(error)));
        Over
    }

    fn cursor(&self) -> String {
        self.grpc.reads.cursor(self.seq).to_string()
    }
}
