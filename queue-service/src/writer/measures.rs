//! What the writer counts for operators. Each handle is made once: to look one up costs more than to count.

use std::{array, time::Duration};

use metrics::{Counter, Histogram, counter, gauge, histogram};

use crate::{
    domain::{Change, ChangeKind, GivenUp, LeaseLoss, Measured, Millis},
    journal::Commit,
};

/// The handles.
pub(super) struct Measures {
    commit_seconds: Histogram,
    commit_changes: Histogram,
    commit_commands: Histogram,
    waited: Histogram,
    worked: Histogram,
    /// In the order of [`LeaseLoss::ALL`].
    lost: [Counter; LeaseLoss::ALL.len()],
    swept: Counter,
    expired: Counter,
    exhausted: Counter,
}

impl Default for Measures {
    fn default() -> Self {
        // A handle that is made before the recorder would count for nobody.
        repartee_process::start_metrics();
        gauge!("repartee_sweep_stopped").set(0.0);
        let lost = |at: usize| {
            let counter = counter!("repartee_leases_lost_total", "reason" => reason(LeaseLoss::ALL[at]));
            // It is there before the first loss.
            counter.increment(0);
            counter
        };
        Self {
            commit_seconds: histogram!("repartee_commit_seconds"),
            commit_changes: histogram!("repartee_commit_changes"),
            commit_commands: histogram!("repartee_commit_commands"),
            waited: histogram!("repartee_offer_to_claim_seconds"),
            worked: histogram!("repartee_claim_to_complete_seconds"),
            lost: array::from_fn(lost),
            swept: counter!("repartee_swept_messages_total"),
            expired: counter!("repartee_expired_total"),
            exhausted: counter!("repartee_attempts_exhausted_total"),
        }
    }
}

impl Measures {
    /// Notes a commit of so many commands that took so long.
    pub(super) fn note_commit(&self, took: Duration, commands: usize, commit: &Commit) {
        self.commit_seconds.record(took);
        self.commit_changes.record(commit.changes.len() as f64);
        self.commit_commands.record(commands as f64);
        if let Some(sweep) = &commit.sweep {
            self.swept.increment(sweep.messages);
        }
        commit.changes.iter().for_each(|change| self.note_given_up(change));
    }

    /// Notes what the queue has measured of the same group.
    pub(super) fn note(&self, measured: &Measured) {
        let Measured { waited, worked, lost } = measured;
        waited.iter().for_each(|ms| self.waited.record(seconds(*ms)));
        worked.iter().for_each(|ms| self.worked.record(seconds(*ms)));
        for loss in lost {
            let at = LeaseLoss::ALL.iter().position(|known| known == loss);
            at.into_iter().for_each(|at| self.lost[at].increment(1));
        }
    }

    /// Counts what the queue gave up by itself.
    fn note_given_up(&self, change: &Change) {
        if change.kind != ChangeKind::Failed {
            return;
        }
        match change.record.state.work.as_deref().and_then(GivenUp::of) {
            Some(GivenUp::Expired) => self.expired.increment(1),
            Some(GivenUp::Attempts(_)) => self.exhausted.increment(1),
            Some(GivenUp::Leases(_)) | None => {}
        }
    }
}

fn reason(loss: LeaseLoss) -> &'static str {
    match loss {
        LeaseLoss::Expired => "expired",
        LeaseLoss::ClaimLimit => "claim_limit",
        LeaseLoss::Undelivered => "undelivered",
        LeaseLoss::CalledOff => "called_off",
    }
}

fn seconds(ms: Millis) -> f64 {
    ms as f64 / 1_000.0
}
