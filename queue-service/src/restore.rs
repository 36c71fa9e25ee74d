//! Starting from what the journal holds: live work and the newest commits are read, nothing else.

use crate::{
    domain::{Change, ChangeKind, Millis, Moment, Queue, QueueRules},
    journal::{Costs, JournalError, Store, Tally},
    views::{self, CacheLimits, Floor, Shown, Views},
};

/// The state and the views of a log. `tally` has counted what opening it cost.
pub(crate) fn restore(
    store: &Store,
    rules: QueueRules,
    limits: CacheLimits,
    costs: &Costs,
    moment: Moment,
    tally: Tally,
) -> Result<(Queue, Views), JournalError> {
    let last = store.last(&tally)?;
    let (live, paused, acts) = (store.live(&tally)?, store.paused(&tally)?, store.acts(&tally)?);
    let blocks = store.blocks(&tally)?;
    let newest = Newest::read(store, limits, last, &tally)?;
    costs.note("Start", &tally);
    tracing::info!(
        seq = last.0,
        live = live.len(),
        cached_messages = newest.messages,
        storage_reads = tally.reads(),
        "read the journal"
    );
    let commits = newest.commits.into_iter().rev().flatten();
    let views = Views::restore(limits, rules.aging_ms, newest.floor, commits, &live, last.0);
    let mut queue = Queue::restore(rules, store.ids().clone(), last, live, moment);
    views.restore_pauses(paused.iter().cloned());
    queue.restore_pauses(paused);
    if let (Some(first), Some(last)) = (acts.first(), acts.last()) {
        queue.restore_acts(first.number, last.number);
    }
    views.restore_acts(acts);
    views.restore_blocks(blocks.iter().cloned());
    queue.restore_blocks(blocks);
    Ok((queue, views))
}

/// The newest commits, the newest first, as many as the cache holds.
struct Newest {
    commits: Vec<Vec<Shown>>,
    messages: usize,
    bytes: usize,
    floor: Floor,
}

impl Newest {
    fn read(
        store: &Store,
        limits: CacheLimits,
        last: (u64, Millis),
        tally: &Tally,
    ) -> Result<Self, JournalError> {
        let floor = Floor { seq: last.0, stamp: last.1 };
        let mut newest = Self { commits: Vec::new(), messages: 0, bytes: 0, floor };
        let (mut changes, mut gap) = (0, None);
        store.newest_commits(tally, |commit| {
            if commit.last().map(Change::seq) != Some(newest.floor.seq) {
                gap = Some(newest.floor.seq);
                return false;
            }
            changes += commit.len();
            newest.take(commit);
            newest.messages < limits.messages && newest.bytes < limits.bytes && changes < limits.changes()
        })?;
        if let Some(missing) = gap {
            return Err(JournalError::Gap(missing));
        }
        // If the log begins there, nothing is older, unless it is kept from before.
        if newest.floor.seq == store.begins().seq && !store.has_kept(tally)? {
            newest.floor.stamp = 0;
        }
        Ok(newest)
    }

    fn take(&mut self, commit: Vec<Change>) {
        let commit: Vec<_> = commit.into_iter().map(Shown::from).collect();
        for change in &commit {
            self.bytes += views::bytes(change);
            self.floor.seq = self.floor.seq.min(change.seq() - 1);
            if change.kind == ChangeKind::Posted {
                self.messages += 1;
                self.floor.stamp = self.floor.stamp.min(change.record.content.timestamp - 1);
            }
        }
        self.commits.push(commit);
    }
}
