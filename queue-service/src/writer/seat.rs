//! What a caller has got from the writer and may never see: work goes back where its caller has gone away.

use std::sync::mpsc::SyncSender;

use tokio::sync::mpsc;

use super::job::{Job, Parted};
use crate::domain::{Event, LeaseRef, Leased, TakerId};

/// Stands for a caller without a seat; seats are numbered from 1.
const NO_SEAT: TakerId = 0;

/// The way back to the writer.
#[derive(Debug, Clone)]
pub(super) struct Returns {
    jobs: SyncSender<Job>,
    parted: Parted,
}

impl Returns {
    pub(super) fn new(jobs: SyncSender<Job>, parted: Parted) -> Self {
        Self { jobs, parted }
    }

    fn give_back(&self, seat: TakerId, unseen: Vec<LeaseRef>) {
        self.parted.lock().push((seat, unseen));
        // Where the channel is full, the writer is awake and looks at the list by itself.
        let _ = self.jobs.try_send(Job::Wake);
    }
}

/// A taker's place at the queue. Dropping it gives the place up.
pub struct Seat {
    id: TakerId,
    events: mpsc::Receiver<Event>,
    /// What a claim that waited has got and not accepted yet.
    unaccepted: Option<LeaseRef>,
    returns: Returns,
}

impl Seat {
    pub(super) fn new(id: TakerId, events: mpsc::Receiver<Event>, returns: Returns) -> Self {
        Self { id, events, unaccepted: None, returns }
    }

    /// What happens next; `None` once the seat was taken away because its reader fell behind, or the writer ended.
    pub async fn next(&mut self) -> Option<Event> {
        let event = self.events.recv().await?;
        if event.is_last() {
            self.unaccepted = event.unseen_lease();
        }
        Some(event)
    }

    /// The caller of a claim that waited is about to get its work: from now on it is not given back with the seat.
    pub fn accept(&mut self) {
        self.unaccepted = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.events.close();
        let mut unseen = Vec::from_iter(self.unaccepted.take());
        while let Ok(event) = self.events.try_recv() {
            // A session gets its leases back when it returns; a claim that waited does not return.
            unseen.extend(event.unseen_lease().filter(|_| event.is_last()));
        }
        self.returns.give_back(self.id, unseen);
    }
}

/// A message that was claimed by its id, for a caller that has not got it yet. Dropping it gives the message back.
#[derive(Debug)]
pub struct Claimed {
    leased: Option<Leased>,
    returns: Returns,
}

impl Claimed {
    pub(super) fn new(leased: Leased, returns: Returns) -> Self {
        Self { leased: Some(leased), returns }
    }

    /// The caller is about to get it: from now on it is not given back.
    pub fn accept(mut self) -> Leased {
        self.leased.take().expect("it is taken here only, and with it the claim ends")
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some(leased) = &self.leased {
            self.returns.give_back(NO_SEAT, vec![leased.lease()]);
        }
    }
}
