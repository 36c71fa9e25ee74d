//! A commit as it is stored: its head, and which bodies go with it.

use std::sync::Arc;

use super::{
    FormatError, Pointer, StoredBeginning, StoredChange, StoredCommit, StoredState, StoredSweep,
    convert::{bytes16, conversation},
};
use crate::{
    domain::{Change, ChangeKind, Content, ConversationId, Millis, Record, State},
    journal::Beginning,
};
use repartee_log::Place;

/// The kind of what is kept of a message: no change.
const KEPT: u32 = 13;

const CONTENT: u32 = 1;
const ERRORS: u32 = 2;
const STATE: u32 = 4;

impl StoredCommit {
    pub(in crate::journal) fn new(stamp: Millis, time: Millis, service_time: Millis) -> Self {
        Self {
            later: time.saturating_sub(stamp),
            service_ahead: service_time.saturating_sub(time),
            ..Self::default()
        }
    }

    pub(in crate::journal) fn push(&mut self, change: &Change) {
        let content = &change.record.content;
        let stored = StoredChange {
            kind: kind_number(change.kind),
            domain: self.domain(&content.domain),
            posted: content.posted,
            state: StoredState::of(&change.record.state),
            conversation: content
                .conversation
                .filter(|_| brings_content(change.kind))
                .map(|conversation| conversation.0.to_vec()),
            bodies: u32::from(brings_content(change.kind)) * CONTENT + of_errors(&change.record.state),
        };
        self.changes.push(stored);
    }

    /// What is kept of a message: its content, its state, or both.
    pub(in crate::journal) fn keep(&mut self, record: &Record, content: bool, state: bool) -> StoredChange {
        StoredChange {
            kind: KEPT,
            domain: self.domain(&record.content.domain),
            posted: record.content.posted,
            state: StoredState::of(&record.state),
            conversation: record.content.conversation.map(|conversation| conversation.0.to_vec()),
            bodies: u32::from(content) * CONTENT + u32::from(state) * STATE + of_errors(&record.state),
        }
    }

    fn domain(&mut self, name: &str) -> u32 {
        let known = self.domains.iter().position(|domain| *domain == *name);
        let at = known.unwrap_or_else(|| {
            self.domains.push(name.to_owned());
            self.domains.len() - 1
        });
        at as u32
    }

    /// When it was committed, by the wall clock.
    pub(in crate::journal) fn time(&self, stamp: Millis) -> Millis {
        stamp.saturating_add(self.later)
    }

    /// The same in service time.
    pub(in crate::journal) fn service_time(&self, stamp: Millis) -> Millis {
        self.time(stamp).saturating_add(self.service_ahead)
    }

    /// Its changes, and behind them what it keeps.
    pub(in crate::journal) fn entries(&self) -> impl Iterator<Item = &StoredChange> {
        self.changes.iter().chain(self.sweep.iter().flat_map(|sweep| &sweep.kept))
    }
}

/// Whether a change of this kind brings the content: it is new, or another one, or a message without work, whose state stands
/// with its content, has another state.
fn brings_content(kind: ChangeKind) -> bool {
    use ChangeKind::{Deleted, Edited, Hidden, Posted, Restored};
    matches!(kind, Posted | Edited | Deleted | Hidden | Restored)
}

fn of_errors(state: &State) -> u32 {
    if errors(state).is_empty() { 0 } else { ERRORS }
}

/// The errors of the attempts of a message.
pub(in crate::journal) fn errors(state: &State) -> &[String] {
    state.work.as_ref().map_or(&[], |work| &work.errors)
}

impl StoredChange {
    pub(in crate::journal) fn seq(&self) -> u64 {
        self.state.seq
    }

    pub(in crate::journal) fn kind(&self) -> Result<ChangeKind, FormatError> {
        kind_of(self.kind)
    }

    pub(in crate::journal) fn is_post(&self) -> bool {
        self.kind == kind_number(ChangeKind::Posted)
    }

    /// True if it is a body of this change that says what the message says.
    pub(in crate::journal) fn has_content(&self) -> bool {
        self.bodies & CONTENT != 0
    }

    pub(in crate::journal) fn has_errors(&self) -> bool {
        self.bodies & ERRORS != 0
    }

    /// True of what is kept because the state of its message stands here.
    pub(in crate::journal) fn keeps_state(&self) -> bool {
        self.bodies & STATE != 0
    }

    /// How many bodies it has.
    pub(in crate::journal) fn bodies(&self) -> u32 {
        u32::from(self.has_content()) + u32::from(self.has_errors())
    }

    /// True where the message waited or was worked on after this change: then it is not the last of a finished message.
    pub(in crate::journal) fn leaves_work(&self) -> bool {
        self.state.work.as_ref().is_some_and(|work| work.status < 2)
    }

    /// True if the message is addressed to a bot.
    pub(in crate::journal) fn is_of_work(&self) -> bool {
        self.state.work.is_some()
    }

    /// True if the message has failed, and is neither deleted nor hidden.
    pub(in crate::journal) fn is_failed(&self) -> bool {
        let failed = self.state.work.as_ref().is_some_and(|work| work.status == 3);
        failed && !self.state.deleted && !self.state.hidden
    }

    pub(in crate::journal) fn is_deleted(&self) -> bool {
        self.state.deleted
    }

    pub(in crate::journal) fn is_hidden(&self) -> bool {
        self.state.hidden
    }

    /// The conversation of the message, if it has one and the content is here.
    pub(in crate::journal) fn said_in(&self) -> Result<Option<ConversationId>, FormatError> {
        conversation(self.conversation.as_deref())
    }

    /// The state, with the errors of its attempts.
    pub(in crate::journal) fn state(&self, errors: Vec<String>) -> Result<State, FormatError> {
        self.state.clone().into_state(errors)
    }

    /// The change as it was, with what the message says now.
    pub(in crate::journal) fn as_it_was(
        &self,
        errors: Vec<String>,
        content: &Arc<Content>,
    ) -> Result<Change, FormatError> {
        let record = Record { content: Arc::clone(content), state: self.state(errors)? };
        Ok(Change { kind: self.kind()?, record, request: None })
    }
}

impl StoredSweep {
    /// What names the domains of the commits that go.
    pub(in crate::journal) fn domains(&self) -> impl Iterator<Item = [u8; 16]> {
        chunks(&self.domains)
    }

    /// The conversations that belong to nobody afterwards.
    pub(in crate::journal) fn ownerless(&self) -> impl Iterator<Item = ConversationId> {
        chunks(&self.ownerless).map(ConversationId)
    }
}

fn chunks(bytes: &[u8]) -> impl Iterator<Item = [u8; 16]> {
    bytes.as_chunks::<16>().0.iter().copied()
}

impl super::StoredGone {
    pub(in crate::journal) fn domain(&self) -> Result<[u8; 16], FormatError> {
        bytes16(&self.domain, "domain")
    }

    pub(in crate::journal) fn said_in(&self) -> Result<Option<ConversationId>, FormatError> {
        conversation(self.conversation.as_deref())
    }
}

impl StoredBeginning {
    pub(in crate::journal) fn of(begins: Beginning) -> Self {
        let Beginning { seq, stamp, place } = begins;
        Self { seq, stamp, place: place.to_u64() }
    }

    pub(in crate::journal) fn beginning(&self) -> Beginning {
        Beginning { seq: self.seq, stamp: self.stamp, place: Place::from_u64(self.place) }
    }
}

impl Pointer {
    pub(in crate::journal) fn to(record: Place, entry: usize) -> Self {
        Self { record: record.to_u64(), entry: entry as u32 }
    }

    pub(in crate::journal) fn place(self) -> Place {
        Place::from_u64(self.record)
    }
}

fn kind_number(kind: ChangeKind) -> u32 {
    match kind {
        ChangeKind::Posted => 0,
        ChangeKind::Claimed => 1,
        ChangeKind::Released => 2,
        ChangeKind::Expired => 3,
        ChangeKind::RetryScheduled => 4,
        ChangeKind::Failed => 5,
        ChangeKind::Completed => 6,
        ChangeKind::Cancelled => 7,
        ChangeKind::Retried => 8,
        ChangeKind::Edited => 9,
        ChangeKind::Deleted => 10,
        ChangeKind::Hidden => 11,
        ChangeKind::Restored => 12,
    }
}

fn kind_of(number: u32) -> Result<ChangeKind, FormatError> {
    Ok(match number {
        0 => ChangeKind::Posted,
        1 => ChangeKind::Claimed,
        2 => ChangeKind::Released,
        3 => ChangeKind::Expired,
        4 => ChangeKind::RetryScheduled,
        5 => ChangeKind::Failed,
        6 => ChangeKind::Completed,
        7 => ChangeKind::Cancelled,
        8 => ChangeKind::Retried,
        9 => ChangeKind::Edited,
        10 => ChangeKind::Deleted,
        11 => ChangeKind::Hidden,
        12 => ChangeKind::Restored,
        _ => return Err(FormatError::Field("kind")),
    })
}
