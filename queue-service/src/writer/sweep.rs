//! Taking away what is over: idempotency keys after a day and the oldest commits of the log, if they are older than
//! retention keeps them, or more is stored than may be.
//!
//! Both go in small steps with commits that are written anyway, and by themselves while nothing is asked for. Time comes
//! in as an argument; when to look again comes out. Steps and pauses, and the age of keys, are spans of service time; how
//! old a commit is, the wall clock says.

use std::collections::HashSet;

use metrics::gauge;

use super::{Clock, State};
use crate::{
    disk::DataLimit,
    domain::{Change, ChangeKind, Millis, Moment, RequestKey},
    journal::{Journal, JournalError, Oldest, Sweep, Sweepable, Swept, Tally},
};

/// How often the keys of old requests are gone through.
const KEYS_EVERY_MS: Millis = 60_000;
/// Pause between two steps of going through them.
const KEYS_ON_MS: Millis = 100;
/// How many idempotency keys are looked at in one step.
const KEYS: usize = 1_000;

/// Changes that are swept in a second in any case, where so many are old.
const CHANGES_A_SECOND: i64 = 1_000;
/// As many of them at once. Each is read before its step, from the disk where it is cold.
const CHANGES_AT_ONCE: i64 = 200;
/// For each change that is stored so many may be swept: old ones grow fewer however many come.
const CHANGES_FOR_ONE: i64 = 2;
/// While nothing is asked for, the log is not looked at again sooner than after this.
const LOG_PAUSE_MS: Millis = 1_000;
/// If most of what was swept because there is too much has to be kept, nothing is swept for that again sooner than after this,
/// unless something is finished.
const REST_MS: Millis = 60_000;

/// How far the sweep of the idempotency keys is.
#[derive(Debug)]
pub(super) struct KeySweep {
    next: Millis,
    swept_to: Option<RequestKey>,
}

impl KeySweep {
    pub(super) fn new(now: Millis) -> Self {
        Self { next: now, swept_to: None }
    }
}

/// The sweep of the log: what is old or too much, and how fast it goes.
#[derive(Debug)]
pub(super) struct LogSweep {
    /// How long finished messages are kept; for ever if absent.
    keep_ms: Option<Millis>,
    /// The oldest commit that stays; `None` where it has to be looked up.
    oldest: Option<Oldest>,
    /// While nothing is asked for, not before this.
    next: Millis,
    /// Nothing is old before this.
    from: Millis,
    /// Nothing is too much before this.
    rests_until: Millis,
    /// Changes that may be swept beside those that are swept for stored ones; below zero where a large commit took more.
    saved: i64,
    saved_at: Millis,
}

impl LogSweep {
    /// Sweeps nothing for its age before `from`, in service time.
    pub(super) fn new(keep_ms: Option<Millis>, limit: DataLimit, from: Millis) -> Self {
        let next = if limit.0.is_some() { Millis::MIN } else { from };
        Self {
            keep_ms,
            oldest: None,
            next,
            from,
            rests_until: Millis::MIN,
            saved: CHANGES_AT_ONCE,
            saved_at: from,
        }
    }

    /// Commits that were made before this, by the wall clock, are old.
    fn horizon(&self, Moment { now, wall }: Moment) -> Millis {
        let keep_ms = self.keep_ms.filter(|_| now >= self.from);
        keep_ms.map_or(Millis::MIN, |keep_ms| wall.saturating_sub(keep_ms))
    }

    /// How many changes may be swept with a commit that stores so many; `None` if none may, or none has to go. `left` is
    /// the number up to which nothing is cached, `excess` how many bytes are too many.
    fn budget(&mut self, moment: Moment, left: u64, stored: usize, excess: u64) -> Option<usize> {
        let now = moment.now;
        let passed = now.saturating_sub(self.saved_at).clamp(0, 1_000);
        self.saved = (self.saved + passed * CHANGES_A_SECOND / 1_000).min(CHANGES_AT_ONCE);
        self.saved_at = now;
        self.saved += CHANGES_FOR_ONE * i64::try_from(stored).unwrap_or(i64::MAX / CHANGES_FOR_ONE);
        if stored == 0 && now < self.next {
            return None;
        }
        let horizon = self.horizon(moment);
        let goes = |oldest: Oldest| oldest.last <= left && (oldest.at < horizon || excess > 0);
        let goes = self.oldest.is_none_or(goes);
        usize::try_from(self.saved).ok().filter(|budget| goes && *budget > 0)
    }

    /// So many changes were swept, this is the oldest commit now, and so many bytes are still too many.
    fn swept(&mut self, moment: Moment, left: u64, changes: usize, oldest: Option<Oldest>, excess: u64) {
        self.saved -= i64::try_from(changes).unwrap_or(i64::MAX);
        self.oldest = oldest;
        let horizon = self.horizon(moment);
        let more = oldest.is_some_and(|oldest| oldest.last <= left && (oldest.at < horizon || excess > 0));
        let short = (CHANGES_AT_ONCE - self.saved).max(0);
        let pause = if more { short * 1_000 / CHANGES_A_SECOND } else { LOG_PAUSE_MS };
        self.next = moment.now.saturating_add(pause);
    }

    /// When the log has to be looked at unless a commit comes before; `None` where only a commit can make something old.
    fn next(&self, Moment { now, wall }: Moment, left: u64, excess: u64) -> Option<Millis> {
        let oldest = match self.oldest {
            None => return Some(self.next),
            Some(oldest) if oldest.last > left => return None,
            Some(oldest) => oldest,
        };
        if excess > 0 {
            return Some(self.next);
        }
        let old_in = oldest.at.saturating_add(self.keep_ms?).saturating_add(1).saturating_sub(wall);
        Some(self.next.max(self.from).max(now.saturating_add(old_in)))
    }
}

impl<J: Journal, C: Clock> State<J, C> {
    /// When something has to be swept unless a commit comes before.
    pub(super) fn next_sweep(&self, moment: Moment) -> Millis {
        let log = self.log_sweep.as_ref();
        let excess = self.excess(moment.now);
        let log = log.and_then(|sweep| sweep.next(moment, self.sweepable_to(excess), excess));
        log.map_or(self.key_sweep.next, |log| log.min(self.key_sweep.next))
    }

    /// Now and then: a few idempotency keys that are over, to be forgotten with this commit.
    pub(super) fn sweep_keys(&mut self, now: Millis) -> Result<Vec<RequestKey>, JournalError> {
        let keys = &mut self.key_sweep;
        if now < keys.next {
            return Ok(Vec::new());
        }
        let tally = Tally::default();
        let requests = self.with.store.requests_after(keys.swept_to, KEYS, &tally)?;
        keys.swept_to = requests.last().filter(|_| requests.len() == KEYS).map(|request| request.key);
        let pause = if keys.swept_to.is_some() { KEYS_ON_MS } else { KEYS_EVERY_MS };
        keys.next = now.saturating_add(pause);
        self.with.costs.note("SweepKeys", &tally);
        Ok(requests.into_iter().filter(|request| request.is_over(now)).map(|request| request.key).collect())
    }

    /// The oldest commits that are old enough and not cached, to be taken away with the commit of these changes. Where they
    /// cannot be read, nothing is swept until the next start: one damaged old row is no reason to stop serving.
    pub(super) fn sweep_log(&mut self, moment: Moment, changes: &[Change]) -> Option<Sweep> {
        let swept = self.try_to_sweep_log(moment, changes);
        swept.unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the oldest part of the log cannot be read: nothing is swept any more; look with --check"
            );
            self.log_sweep = None;
            gauge!("repartee_sweep_stopped").set(1.0);
            None
        })
    }

    fn try_to_sweep_log(
        &mut self,
        moment: Moment,
        changes: &[Change],
    ) -> Result<Option<Sweep>, JournalError> {
        // What is finished may go.
        if let Some(log) = &mut self.log_sweep
            && changes
                .iter()
                .any(|change| change.kind != ChangeKind::Posted && !change.record.is_unfinished())
        {
            log.rests_until = Millis::MIN;
        }
        let excess = self.excess(moment.now);
        let left = self.sweepable_to(excess);
        let Some(log) = &mut self.log_sweep else { return Ok(None) };
        let Some(budget) = log.budget(moment, left, changes.len(), excess) else { return Ok(None) };
        let touched = changes.iter().map(|change| change.record.content.posted).collect::<HashSet<_>>();
        let queue = &self.with.queue;
        let stays = |posted| queue.is_live(posted) || touched.contains(&posted);
        let (before, now) = (log.horizon(moment), moment.wall);
        let may = Sweepable { to: left, before, now, free: excess, changes: budget, stays: &stays };
        let tally = Tally::default();
        let Swept { sweep, oldest } = self.with.store.sweep(&may, &tally)?;
        let (cost, freed) = sweep.as_ref().map_or((0, 0), |sweep| (sweep.cost, sweep.freed));
        log.swept(moment, left, cost, oldest, excess.saturating_sub(freed));
        // Unfinished work stays, however often it is written again: to go through it once more frees nothing.
        if excess > 0 && sweep.as_ref().is_some_and(|sweep| sweep.kept_bytes > sweep.freed / 2) {
            log.rests_until = moment.now.saturating_add(REST_MS);
        }
        if let Some(sweep) = &sweep {
            self.with.views.evict_to(sweep.begins.seq);
        }
        self.with.costs.note("SweepLog", &tally);
        Ok(sweep)
    }

    /// How many bytes are stored that should go.
    fn excess(&self, now: Millis) -> u64 {
        if self.log_sweep.as_ref().is_some_and(|sweep| now < sweep.rests_until) {
            return 0;
        }
        self.with.disk.data_limit().excess(self.with.store.data_bytes())
    }

    /// Number up to which the log may be swept: what is cached stays, unless too many bytes are stored. The newest change
    /// always does: the log ends with it.
    fn sweepable_to(&self, excess: u64) -> u64 {
        let cached = if excess > 0 { u64::MAX } else { self.with.views.evicted_to() };
        cached.min(self.with.queue.last_seq().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Millis = 60_000;

    /// A moment of a clock that is right.
    fn at(ms: Millis) -> Moment {
        Moment::of(ms)
    }

    /// A sweep of a log whose oldest commit ends with change 10 and was made at 0.
    fn sweep(now: Millis) -> LogSweep {
        LogSweep {
            oldest: Some(Oldest { last: 10, at: 0 }),
            ..LogSweep::new(Some(KEEP), DataLimit(None), now)
        }
    }

    #[test]
    fn nothing_is_swept_before_it_is_old_and_out_of_the_cache() {
        for (now, left, old) in [(KEEP, 10, false), (KEEP + 1, 9, false), (KEEP + 1, 10, true)] {
            assert_eq!(sweep(now).budget(at(now), left, 1, 0).is_some(), old, "at {now}, {left}");
        }
    }

    #[test]
    fn the_next_look_is_when_the_oldest_commit_gets_old_or_leaves_the_cache() {
        let mut log = LogSweep::new(Some(KEEP), DataLimit(None), 5);
        assert_eq!(log.next(at(0), 0, 0), Some(5), "nothing is known yet");
        log.swept(at(5), 10, 0, Some(Oldest { last: 10, at: 3 }), 0);
        assert_eq!(log.next(at(5), 10, 0), Some(3 + KEEP + 1));
        assert_eq!(log.next(at(5), 9, 0), None, "only a commit lets it leave the cache");
    }

    #[test]
    fn a_log_that_is_not_as_old_as_that_is_looked_at_once_a_second_at_most() {
        let mut log = sweep(KEEP + 1);
        log.swept(at(KEEP + 1), 11, 1, Some(Oldest { last: 11, at: 2 }), 0);
        assert_eq!(log.next(at(0), 11, 0), Some(KEEP + 1 + LOG_PAUSE_MS));
        assert_eq!(log.budget(at(KEEP + 500), 11, 0, 0), None);
        assert!(log.budget(at(KEEP + 500), 11, 1, 0).is_some(), "a commit takes it along");
    }

    #[test]
    fn in_the_long_run_no_more_goes_than_time_and_commits_allow_however_large_a_commit_is() {
        let (mut log, mut now, mut swept) = (sweep(KEEP + 1), KEEP + 1, 0);
        let stored = |step: usize| if step.is_multiple_of(3) { 7 } else { 0 };
        for step in 0..1_000 {
            now += 13;
            if log.budget(at(now), 10, stored(step), 0).is_some() {
                // The smallest commit is larger than what is allowed.
                swept += 500;
                log.swept(at(now), 10, 500, Some(Oldest { last: 10, at: 0 }), 0);
            }
        }
        let allowed = CHANGES_AT_ONCE + 13 * 1_000 * CHANGES_A_SECOND / 1_000 + 334 * 7 * CHANGES_FOR_ONE;
        assert!(swept <= allowed + 500, "{swept} of {allowed}");
        assert!(swept >= allowed - 1_000, "{swept} of {allowed}");
    }

    #[test]
    fn a_long_pause_gives_no_more_than_a_step() {
        let mut log = sweep(KEEP + 1);
        assert_eq!(log.budget(at(KEEP * 1_000), 10, 0, 0), Some(200));
        log.swept(at(KEEP * 1_000), 10, 200, Some(Oldest { last: 10, at: 0 }), 0);
        assert_eq!(log.budget(at(KEEP * 1_000), 10, 1, 0), Some(2), "what the commit brings");
    }

    #[test]
    fn how_old_a_commit_is_the_wall_clock_says_and_how_long_a_pause_is_service_time() {
        let mut log = sweep(KEEP + 1);
        let behind = |now| Moment { now, wall: now - KEEP * 900 };
        assert_eq!(log.budget(behind(KEEP * 2), 10, 0, 0), None, "nothing is old by a clock that is behind");
        assert_eq!(
            log.next(behind(KEEP * 2), 10, 0),
            Some(KEEP * 901 + 1),
            "when it will be, as spans are counted"
        );
        assert_eq!(log.budget(at(KEEP * 2), 10, 0, 0), Some(200));
    }

    #[test]
    fn nothing_is_old_before_the_clock_is_trusted() {
        let mut log = LogSweep {
            oldest: Some(Oldest { last: 10, at: 0 }),
            ..LogSweep::new(Some(KEEP), DataLimit(None), KEEP * 2)
        };
        assert_eq!(log.budget(at(KEEP * 2 - 1), 10, 1, 0), None, "a commit does not take it along either");
        assert_eq!(log.next(at(KEEP * 2 - 1), 10, 0), Some(KEEP * 2));
        assert!(log.budget(at(KEEP * 2), 10, 0, 0).is_some());
    }

    /// The same without an age.
    fn sweep_by_size() -> LogSweep {
        let limited = LogSweep::new(None, DataLimit(Some(1_600)), KEEP);
        LogSweep { oldest: Some(Oldest { last: 10, at: 0 }), ..limited }
    }

    #[test]
    fn what_is_too_much_goes_however_young_it_is_once_it_has_left_the_cache() {
        for (now, left, excess, goes) in [(1, 10, 0, false), (1, 9, 1, false), (1, 10, 1, true)] {
            assert_eq!(sweep_by_size().budget(at(now), left, 0, excess).is_some(), goes, "{left}, {excess}");
        }
        assert!(sweep(KEEP).budget(at(KEEP), 10, 0, 1).is_some(), "under retention too");
    }

    #[test]
    fn while_too_much_is_stored_the_log_is_looked_at_as_soon_as_the_rate_allows() {
        let mut log = sweep_by_size();
        log.swept(at(5), 10, 200, Some(Oldest { last: 10, at: 0 }), 7);
        assert_eq!(log.next(at(5), 10, 7), Some(5 + 200));
        assert_eq!(log.next(at(5), 9, 7), None, "only a commit lets more leave the cache");
        log.swept(at(5), 10, 0, Some(Oldest { last: 10, at: 0 }), 0);
        assert_eq!(log.next(at(5), 10, 0), None, "only a commit makes it too much");
    }

    #[test]
    fn what_is_too_much_does_not_wait_until_the_clock_is_trusted() {
        let old = Some(Oldest { last: 10, at: 0 });
        let mut log = LogSweep { oldest: old, ..LogSweep::new(Some(KEEP), DataLimit(Some(1_600)), KEEP * 2) };
        assert_eq!(log.budget(at(KEEP * 2 - 1), 10, 1, 0), None);
        assert!(log.budget(at(KEEP * 2 - 1), 10, 1, 1).is_some());
    }
}
