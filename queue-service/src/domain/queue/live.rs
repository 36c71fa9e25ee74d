//! Live messages, and what is looked up among them: each is entered when it begins to wait or to be worked on, and taken
//! out of everything when that ends.

use uuid::Uuid;

use super::{Queue, entity};
use crate::domain::{Millis, Record, Status, TakerId, Work};

/// A lease's end, in service time: in memory only, so that a renewal costs no write.
#[derive(Debug)]
pub(in crate::domain) struct Term {
    pub(in crate::domain) ends: Millis,
    /// When the message was claimed.
    pub(in crate::domain) since: Millis,
    pub(in crate::domain) taker: Option<TakerId>,
}

#[derive(Debug)]
pub(in crate::domain) struct Live {
    pub(in crate::domain) record: Record,
    /// Set while it is processing.
    pub(in crate::domain) term: Option<Term>,
}

impl Queue {
    /// Moves the end of a lease, and returns it.
    pub(in crate::domain) fn set_term(&mut self, posted: u64, ends: Millis) -> Millis {
        if let Some(term) = self.live.get_mut(&posted).and_then(|live| live.term.as_mut()) {
            self.leases.remove(&(term.ends, posted));
            self.leases.insert((ends, posted));
            term.ends = ends;
        }
        ends
    }

    /// Notes which taker a lease counts against.
    pub(in crate::domain) fn set_taker(&mut self, posted: u64, taker: Option<TakerId>) {
        if let Some(term) = self.live.get_mut(&posted).and_then(|live| live.term.as_mut()) {
            self.takers.unhold(term.taker, posted);
            term.taker = taker;
            self.takers.hold(taker, posted);
        }
    }

    /// Enters a message in its present state.
    pub(super) fn index(&mut self, record: Record) {
        let (id, posted) = (record.content.id, record.content.posted);
        let Some(work) = record.state.work.clone() else {
            self.visiting.insert(id, record);
            return;
        };
        let term = match work.status {
            Status::Pending => {
                self.lines.enter(&record, &work);
                self.shares.enter(&record, &work);
                self.expiring.extend(work.expires_at.map(|due| (due, posted)));
                self.returning.extend(work.returns_at().map(|due| (due, posted)));
                *self.waiting.entry(entity(&record).to_owned()).or_default() += 1;
                self.waiting_in_all += 1;
                None
            }
            Status::Processing => Some(self.open_term(&record, &work)),
            Status::Complete | Status::Failed => {
                self.visiting.insert(id, record);
                return;
            }
        };
        self.selections.add(&record, term.is_some());
        self.live_ids.insert(id, posted);
        self.live_bytes += record.unfinished_bytes();
        self.live.insert(posted, Live { record, term });
    }

    fn open_term(&mut self, record: &Record, work: &Work) -> Term {
        let posted = record.content.posted;
        let claim = work.claim.as_ref().expect("only a claim makes work processing");
        let since = self.since(claim.at);
        let ends = claim.first_end(since);
        self.lines.begin(record);
        self.throttle.begin(entity(record));
        self.reconsider(entity(record));
        self.leases.insert((ends, posted));
        self.takers.open_lease(claim, posted);
        Term { ends, since, taker: None }
    }

    /// Takes a message out of all that it was entered into.
    pub(super) fn unindex(&mut self, id: Uuid) {
        let Some(live) = self.live_ids.remove(&id).and_then(|posted| self.live.remove(&posted)) else {
            return;
        };
        let Live { record, term } = live;
        self.live_bytes -= record.unfinished_bytes();
        self.selections.remove(&record, term.is_some());
        let posted = record.content.posted;
        let work = record.state.work.as_ref().expect("live messages have work");
        if let Some(term) = term {
            self.lines.end(&record);
            self.throttle.end(entity(&record));
            self.reconsider(entity(&record));
            self.leases.remove(&(term.ends, posted));
            self.takers.unhold(term.taker, posted);
            self.takers.close_lease(work.claim.as_ref(), posted);
            return;
        }
        self.lines.leave(&record, work);
        self.shares.leave(&record, work);
        if let Some(due) = work.expires_at {
            self.expiring.remove(&(due, posted));
        }
        if let Some(due) = work.returns_at() {
            self.returning.remove(&(due, posted));
        }
        self.waiting_in_all -= 1;
        let entity = entity(&record);
        if let Some(count) = self.waiting.get_mut(entity) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(entity);
            }
        }
    }
}

/// True where a change leaves the claim on a message as it was: an edit in the middle of the work.
pub(super) fn goes_on(before: &Record, after: &Record) -> bool {
    match (&before.state.work, &after.state.work) {
        (Some(before), Some(after)) => {
            before.status == Status::Processing
                && after.status == Status::Processing
                && before.claim.as_ref().map(|c| c.token) == after.claim.as_ref().map(|c| c.token)
        }
        _ => false,
    }
}
