//! StreamPending in mode OFFER: every matching stream sees every pending message, and workers claim by id.
//!
//! An offer stream follows the feed like a watcher; it changes nothing.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use repartee_proto::v1::{self, stream_pending_response::Event};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{Over, WorkStream, answer, status, traces};
use crate::{
    domain::{Millis, Record, Status},
    reads::{Listed, Lost},
    writer::Clock as _,
};

/// Changes read at once.
const PAGE: usize = 256;

/// What a stream has offered, and what it will offer when its wait for a retry is over.
#[derive(Default)]
struct Offers {
    /// Offered, and not ended since.
    open: HashSet<Uuid>,
    /// Pending, and held back by a pause of their entity.
    held_back: HashSet<Uuid>,
    /// Pending, not before a time.
    delayed: BTreeSet<(Millis, Uuid)>,
    /// The time of each of them.
    due: HashMap<Uuid, Millis>,
}

impl Offers {
    fn delay(&mut self, id: Uuid, due: Millis) {
        self.due.insert(id, due);
        self.delayed.insert((due, id));
    }

    fn forget_delay(&mut self, id: Uuid) {
        if let Some(due) = self.due.remove(&id) {
            self.delayed.remove(&(due, id));
        }
    }

    /// A message whose wait is over at `now`.
    fn take_due(&mut self, now: Millis) -> Option<Uuid> {
        let id = self.delayed.first().filter(|(due, _)| *due <= now)?.1;
        self.forget_delay(id);
        Some(id)
    }
}

impl WorkStream {
    /// Mode OFFER.
    pub(super) async fn offer(mut self) {
        // On `Over` the client is gone or was told already.
        let _ = self.serve_offers().await;
    }

    async fn serve_offers(&mut self) -> Result<(), Over> {
        self.hello().await?;
        let draining = self.grpc.streams.draining.clone();
        let standing = self.standing.clone();
        let mut lost = pin!(standing.lost());
        let mut tail = self.grpc.reads.views.subscribe();
        let mut pauses = self.grpc.reads.views.pause_changes();
        // The position comes first: what is pending now and changes meanwhile is seen again in the feed.
        let mut seq = *tail.borrow_and_update();
        let mut offers = Offers::default();
        for record in self.grpc.reads.views.waiting() {
            self.note(&record, &mut offers).await?;
        }
        loop {
            tail.borrow_and_update();
            while self.catch_up(&mut seq, &mut offers).await? {
                self.outlet.check()?;
            }
            tokio::select! {
                changed = tail.changed() => if changed.is_err() { return Err(self.go_away()) },
                changed = pauses.changed() => {
                    if changed.is_err() { return Err(self.go_away()) }
                    self.offer_resumed(&mut offers).await?;
                }
                () = sleep_until(due(&offers, self.grpc.clock.read().now)) => self.offer_due(&mut offers).await?,
                () = sleep_until(self.next_heartbeat) => self.heartbeat().await?,
                () = sleep_until(self.end) => return Err(self.go_away()),
                () = draining.cancelled() => return Err(self.go_away()),
                () = &mut lost => return Err(self.refuse(status::token_refused())),
                () = self.outlet.closed() => return Err(Over),
            }
        }
    }

    async fn catch_up(&mut self, seq: &mut u64, offers: &mut Offers) -> Result<bool, Over> {
        let Listed { items, next, more, .. } =
            match self.grpc.reads.changes("StreamPending", None, *seq, PAGE).await {
                Ok(Ok(listed)) => listed,
                // It read so slowly that its place in the feed is swept: a new stream begins with all that waits.
                Ok(Err(Lost(_))) => return Err(self.go_away()),
                Err(error) => return Err(self.refuse(status::storage(error))),
            };
        for change in items {
            self.note(&change.record, offers).await?;
        }
        *seq = next;
        Ok(more && !self.grpc.streams.draining.is_cancelled())
    }

    /// Offers a message that waits, and takes an offer back that needs no answer any more.
    async fn note(&mut self, record: &Record, offers: &mut Offers) -> Result<(), Over> {
        let (Some(address), Some(work)) = (&record.content.address, &record.state.work) else {
            return Ok(());
        };
        if !self.entities.is_empty() && !self.entities.contains(&address.entity) {
            return Ok(());
        }
        let id = record.content.id;
        offers.forget_delay(id);
        offers.held_back.remove(&id);
        match work.status {
            // What was changed since is shown as it is now: a late reader is given no text that was hidden meanwhile.
            _ if is_gone(record) => self.take_back(id, offers).await,
            Status::Pending => match work.not_before.filter(|due| *due > self.grpc.clock.read().now) {
                Some(due) => {
                    offers.delay(id, due);
                    Ok(())
                }
                None if self.grpc.reads.views.is_paused(&address.entity) => {
                    offers.held_back.insert(id);
                    Ok(())
                }
                None => self.offer_one(record, offers).await,
            },
            Status::Processing => Ok(()),
            Status::Complete | Status::Failed => self.take_back(id, offers).await,
        }
    }

    async fn take_back(&mut self, id: Uuid, offers: &mut Offers) -> Result<(), Over> {
        if !offers.open.remove(&id) {
            return Ok(());
        }
        self.send(Event::Cancelled(v1::WorkCancelled { message_id: id.to_string() })).await
    }

    async fn offer_one(&mut self, record: &Record, offers: &mut Offers) -> Result<(), Over> {
        offers.open.insert(record.content.id);
        let (traceparent, tracestate) = traces::told(traces::trace_of(record));
        let message = Some(answer::message_for_worker(record));
        let work = v1::Work { message, lease: None, context: Vec::new(), traceparent, tracestate };
        self.send(Event::Work(work)).await
    }

    /// After a pause began or ended: offers what was held back.
    async fn offer_resumed(&mut self, offers: &mut Offers) -> Result<(), Over> {
        if offers.held_back.is_empty() {
            return Ok(());
        }
        for record in self.grpc.reads.views.pending(&self.entities, usize::MAX, self.grpc.clock.read().now) {
            if offers.held_back.contains(&record.content.id) {
                self.note(&record, offers).await?;
            }
        }
        Ok(())
    }

    async fn offer_due(&mut self, offers: &mut Offers) -> Result<(), Over> {
        let now = self.grpc.clock.read().now;
        while let Some(id) = offers.take_due(now) {
            let Some(record) = self.grpc.reads.shown(id) else { continue };
            let entity = record.content.address.as_ref().map_or("", |address| &address.entity);
            if !is_pending(&record) {
                continue;
            }
            if self.grpc.reads.views.is_paused(entity) {
                offers.held_back.insert(id);
            } else {
                self.offer_one(&record, offers).await?;
            }
        }
        Ok(())
    }
}

/// True of what nobody is to answer, whatever its work was like before.
fn is_gone(record: &Record) -> bool {
    record.state.hidden || record.state.deleted
}

fn is_pending(record: &Arc<Record>) -> bool {
    !is_gone(record) && record.state.work.as_ref().is_some_and(|work| work.status == Status::Pending)
}

/// When the next offer is due; far away where none waits.
fn due(offers: &Offers, now: Millis) -> Instant {
    let wait = match offers.delayed.first() {
        Some((due, _)) => Duration::from_millis(due.saturating_sub(now).max(0).unsigned_abs()),
        None => Duration::from_secs(3_600),
    };
    Instant::now() + wait
}
