//! What authors and operators do with a message: edit it, delete it, hide it, retry it, cancel it.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    At, AttemptEnd, ChangeKind, ClaimBy, Millis, Queue, Record, Rejection, Sender, Source, State, Status,
    Work, queue::entity,
};

/// Worker id of a message that was set to processing by hand.
const BY_HAND: &str = "operator";

/// Who edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Editor {
    /// The author, by the edit token: a message has so many edits. Who sent the edit, if that is known.
    Author(Option<Sender>),
    /// An operator, who may edit without end.
    Operator,
}

/// What an edit changes; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// New text.
    pub text: Option<String>,
    /// New score.
    pub eq_score: Option<i32>,
    /// New priority, only while the message waits.
    pub priority: Option<u32>,
    /// New status, one step along the lifecycle.
    pub status: Option<Status>,
}

impl Queue {
    /// Changes a message.
    ///
    /// # Errors
    /// `NotFound`; `Blocked`; `Hidden`; `WrongStatus` on a tombstone, for a priority where the message does not wait, and for a status that
    /// does not lead on from the present one; `QueueFull` where a failed one is to wait again; `TooManyEdits`. Then nothing
    /// is changed.
    pub fn update(
        &mut self,
        id: Uuid,
        update: Update,
        editor: Editor,
        at: &mut At<'_>,
    ) -> Result<Record, Rejection> {
        let mut record = self.record(id).ok_or(Rejection::NotFound(id))?.clone();
        if let Editor::Author(sender) = editor {
            self.check_blocked(sender, at.now)?;
            // The token proves that they are its author, whatever secret they bring now.
            if let Some(author) = record.content.sender.map(|sender| sender.author) {
                self.check_source(Source::Author(author), at.now)?;
            }
        }
        if record.state.deleted {
            return Err(Rejection::WrongStatus(format!("the message {id} is deleted; it cannot be changed")));
        }
        if record.state.hidden {
            return Err(Rejection::Hidden(id));
        }
        let step = update.status.map(|to| step(&record, to)).transpose()?.flatten();
        if let Some(Step::Retry) = step {
            self.check_room(entity(&record))?;
        }
        let waits_again = matches!(step, Some(Step::Retry));
        let before = record.clone();
        if let Some(text) = update.text.filter(|text| *text != record.content.text) {
            Arc::make_mut(&mut record.content).text = text;
        }
        if let Some(eq_score) = update.eq_score {
            record.state.eq_score = eq_score;
        }
        if let Some(priority) = update.priority {
            set_priority(&mut record, priority)?;
        }
        // What waits is bounded in bytes also where it gets longer later.
        if record.is_unfinished() || waits_again {
            let had = if waits_again { 0 } else { before.unfinished_bytes() };
            let more = record.unfinished_bytes().saturating_sub(had);
            if more > 0 {
                self.check_bytes(more)?;
            }
        }
        if record != before {
            if let Editor::Author(_) = editor {
                self.count_edit(&mut record.state)?;
            }
            if let Some(work) = &mut record.state.work {
                // A wait that is over must not keep the edited message back once more.
                work.not_before = work.not_before.filter(|due| *due > at.now);
            }
            record = self.change(ChangeKind::Edited, record.content, record.state);
        }
        Ok(match step {
            None => record,
            Some(Step::Claim) => {
                let by = ClaimBy::new(BY_HAND.to_owned(), None, None);
                self.claimed(record, &by, at).record
            }
            Some(Step::Complete) => {
                self.tell_holder(&record);
                // The claim did not finish it: an answer that its worker still brings is refused, not taken for a repeat.
                record.end_attempt(AttemptEnd::CalledOff, at.wall);
                if let Some(work) = &mut record.state.work {
                    work.claim = None;
                }
                self.completed(record, None, at.wall)
            }
            Some(Step::Release) => {
                self.tell_holder(&record);
                self.released(record, AttemptEnd::CalledOff)
            }
            Some(Step::Retry) => self.retried(record, at.now),
            Some(Step::Cancel) => self.cancelled(record),
        })
    }

    fn count_edit(&self, state: &mut State) -> Result<(), Rejection> {
        let limit = self.rules.max_edits;
        if state.edits >= limit {
            return Err(Rejection::TooManyEdits { limit });
        }
        state.edits += 1;
        Ok(())
    }

    /// Removes the text of a message and leaves a tombstone; live work is called off. Deleting twice changes nothing.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn delete(&mut self, id: Uuid) -> Result<Record, Rejection> {
        let mut record = self.record(id).ok_or(Rejection::NotFound(id))?.clone();
        if record.state.deleted {
            return Ok(record);
        }
        self.tell_holder(&record);
        let wall = self.wall();
        Arc::make_mut(&mut record.content).text.clear();
        record.state.deleted = true;
        if let Some(work) = &mut record.state.work {
            // An error may quote the text.
            work.forget_errors();
            if matches!(work.status, Status::Pending | Status::Processing) {
                Self::call_off(work, wall);
            }
        }
        Ok(self.change(ChangeKind::Deleted, record.content, record.state))
    }

    /// Hides a message: to all but operators it looks deleted, and its text stays stored. Live work is called off, as by a
    /// cancellation. Hiding twice changes nothing.
    ///
    /// # Errors
    /// `NotFound`, `WrongStatus` on a tombstone.
    pub fn hide(&mut self, id: Uuid) -> Result<Record, Rejection> {
        let mut record = self.present(id)?;
        if record.state.hidden {
            return Ok(record);
        }
        self.tell_holder(&record);
        let wall = self.wall();
        record.state.hidden = true;
        if let Some(work) = &mut record.state.work
            && matches!(work.status, Status::Pending | Status::Processing)
        {
            Self::call_off(work, wall);
        }
        Ok(self.change(ChangeKind::Hidden, record.content, record.state))
    }

    /// Shows a hidden message again, at its place. Work that was called off stays so; a retry puts it back. Nothing happens
    /// to one that is not hidden.
    ///
    /// # Errors
    /// `NotFound`, `WrongStatus` on a tombstone.
    pub fn unhide(&mut self, id: Uuid) -> Result<Record, Rejection> {
        let mut record = self.present(id)?;
        if !record.state.hidden {
            return Ok(record);
        }
        record.state.hidden = false;
        Ok(self.change(ChangeKind::Restored, record.content, record.state))
    }

    /// A message that was not deleted.
    fn present(&self, id: Uuid) -> Result<Record, Rejection> {
        let record = self.record(id).ok_or(Rejection::NotFound(id))?;
        if record.state.deleted {
            let gone = format!("the message {id} is deleted: its text is gone");
            return Err(Rejection::WrongStatus(gone));
        }
        Ok(record.clone())
    }

    /// Puts a failed message back to pending with fresh counters; when its author wanted it to expire counts no more. A message that waits already is left as it is. It has
    /// to find room as a new one has; only what was not given up goes back to pending however many wait.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyCompleted`, `Cancelled` if it is deleted, `Hidden`, `WrongStatus` where a worker holds it,
    /// `QueueFull`.
    pub fn retry(&mut self, id: Uuid, now: Millis) -> Result<Record, Rejection> {
        let (record, work) = self.work(id)?;
        match work.status {
            Status::Pending => Ok(record),
            Status::Failed if record.state.deleted => Err(Rejection::Cancelled),
            Status::Failed if record.state.hidden => Err(Rejection::Hidden(id)),
            Status::Failed => {
                self.check_room(entity(&record))?;
                self.check_bytes(record.unfinished_bytes())?;
                Ok(self.retried(record, now))
            }
            Status::Complete => Err(Rejection::AlreadyCompleted),
            Status::Processing => {
                Err(Rejection::WrongStatus("Message status is processing, not failed".to_owned()))
            }
        }
    }

    /// Takes a message out of the queue, or marks one that was given up as not to be tried again. What was cancelled or
    /// deleted already is left as it is.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyCompleted`, `WrongStatus` on a message that is no work.
    pub fn cancel(&mut self, id: Uuid) -> Result<Record, Rejection> {
        let (record, work) = self.work(id)?;
        match work.status {
            Status::Complete => Err(Rejection::AlreadyCompleted),
            Status::Failed if work.cancelled || record.state.deleted => Ok(record),
            Status::Pending | Status::Processing | Status::Failed => Ok(self.cancelled(record)),
        }
    }

    fn retried(&mut self, mut record: Record, now: Millis) -> Record {
        let expires_at = self.expiry(now);
        if let Some(work) = &mut record.state.work {
            **work = Work {
                claims: work.claims,
                uncounted: work.claims,
                errors: std::mem::take(&mut work.errors),
                errors_forgotten: work.errors_forgotten,
                past_attempts: std::mem::take(&mut work.past_attempts),
                expires_at,
                ..Work::pending(work.priority, work.base)
            };
        }
        self.change(ChangeKind::Retried, record.content, record.state)
    }

    pub(super) fn cancelled(&mut self, mut record: Record) -> Record {
        self.tell_holder(&record);
        let wall = self.wall();
        if let Some(work) = &mut record.state.work {
            Self::call_off(work, wall);
        }
        self.change(ChangeKind::Cancelled, record.content, record.state)
    }
}

/// What a new status asks for.
enum Step {
    Claim,
    Complete,
    Release,
    Retry,
    Cancel,
}

fn step(record: &Record, to: Status) -> Result<Option<Step>, Rejection> {
    let Some(work) = &record.state.work else {
        return Err(Rejection::WrongStatus(
            "the message is addressed to no bot: it has no status".to_owned(),
        ));
    };
    match (work.status, to) {
        (from, to) if from == to => Ok(None),
        (Status::Pending, Status::Processing) => Ok(Some(Step::Claim)),
        (Status::Processing, Status::Complete) => Ok(Some(Step::Complete)),
        (Status::Processing, Status::Pending) => Ok(Some(Step::Release)),
        (Status::Failed, Status::Pending) => Ok(Some(Step::Retry)),
        (Status::Pending | Status::Processing, Status::Failed) => Ok(Some(Step::Cancel)),
        (from, to) => Err(Rejection::WrongStatus(format!(
            "Message status is {from}; it cannot become {to}. The steps are pending → processing → complete, \
             processing → pending, failed → pending, and pending or processing → failed"
        ))),
    }
}

fn set_priority(record: &mut Record, priority: u32) -> Result<(), Rejection> {
    let Some(work) = &mut record.state.work else {
        return Err(Rejection::WrongStatus(
            "the message is addressed to no bot: it has no priority".to_owned(),
        ));
    };
    if work.status != Status::Pending {
        return Err(Rejection::NotPending(work.status));
    }
    work.priority = priority;
    Ok(())
}
