//! From what the rules know to what is stored, and back.

use std::{iter, sync::Arc};

use repartee_process::telemetry::TraceContext;
use uuid::Uuid;

use super::{
    FormatError, StoredAddress, StoredAttempt, StoredChange, StoredClaim, StoredCommit, StoredMessage,
    StoredOwner, StoredPause, StoredRequest, StoredSender, StoredState, StoredWork, StoredWorker,
};
use crate::domain::{
    Address, Attempt, AttemptEnd, Author, Change, ChangeKind, Claim, Content, ConversationId, Millis, Origin,
    OwnName, Owner, Pause, Record, RequestKey, Requested, Sender, SenderKey, State, Status, Token, Work,
};

impl StoredMessage {
    pub(in crate::journal) fn of(record: &Record) -> Self {
        let content = &record.content;
        let (request_id, trace) = match content.origin.as_deref() {
            Some(Origin::Request(id)) => (Some(id.to_string()), None),
            Some(Origin::Trace(trace)) => (None, Some(trace.to_bytes())),
            None => (None, None),
        };
        Self {
            id: content.id.as_bytes().to_vec(),
            timestamp: content.timestamp,
            domain: content.domain.clone(),
            text: content.text.clone(),
            username: content.username.clone(),
            color: content.color.clone(),
            by_ai: content.author == Author::Ai,
            reply_to: content.reply_to.map(|id| id.as_bytes().to_vec()),
            address: content.address.as_ref().map(|address| StoredAddress {
                entity: address.entity.clone(),
                ai_username: address.ai_username.clone(),
                ai_color: address.ai_color.clone(),
                session_id: address.session_id.clone(),
                not_before: address.not_before,
                expires_at: address.expires_at,
            }),
            state: StoredState::of(&record.state),
            conversation: content.conversation.map(|conversation| conversation.0.to_vec()),
            sender: content.sender.as_ref().map(StoredSender::of),
            request_id,
            trace,
        }
    }

    pub(in crate::journal) fn into_record(self, posted: u64) -> Result<Record, FormatError> {
        let content = Content {
            id: uuid(&self.id, "id")?,
            posted,
            timestamp: self.timestamp,
            domain: self.domain,
            text: self.text,
            username: self.username,
            color: self.color,
            author: if self.by_ai { Author::Ai } else { Author::Human },
            reply_to: self.reply_to.map(|id| uuid(&id, "reply_to")).transpose()?,
            conversation: conversation(self.conversation.as_deref())?,
            address: self.address.map(|address| {
                Box::new(Address {
                    entity: address.entity,
                    ai_username: address.ai_username,
                    ai_color: address.ai_color,
                    session_id: address.session_id,
                    not_before: address.not_before,
                    expires_at: address.expires_at,
                })
            }),
            sender: self.sender.map(StoredSender::into_sender).transpose()?,
            origin: origin(self.request_id, self.trace.as_deref()),
        };
        Ok(Record { content: Arc::new(content), state: self.state.into_state()? })
    }
}

/// No rule asks for it, so a trace of a form that is not known is none, and no reason to refuse the message.
fn origin(request_id: Option<String>, trace: Option<&[u8]>) -> Option<Box<Origin>> {
    let trace = trace.and_then(TraceContext::from_bytes).map(Origin::Trace);
    trace.or_else(|| request_id.map(|id| Origin::Request(id.into_boxed_str()))).map(Box::new)
}

impl StoredSender {
    fn of(sender: &Sender) -> Self {
        Self { author: sender.author.0.to_vec(), address: sender.address.0.to_vec() }
    }

    fn into_sender(self) -> Result<Sender, FormatError> {
        Ok(Sender {
            author: SenderKey(bytes16(&self.author, "author")?),
            address: SenderKey(bytes16(&self.address, "address")?),
        })
    }
}

impl StoredState {
    pub(in crate::journal) fn of(state: &State) -> Self {
        Self {
            seq: state.seq,
            eq_score: state.eq_score,
            deleted: state.deleted,
            work: state.work.as_deref().map(StoredWork::of),
            edits: state.edits,
            hidden: state.hidden,
        }
    }

    pub(in crate::journal) fn into_state(self) -> Result<State, FormatError> {
        Ok(State {
            seq: self.seq,
            eq_score: self.eq_score,
            deleted: self.deleted,
            work: self.work.map(|work| work.into_work().map(Box::new)).transpose()?,
            edits: self.edits,
            hidden: self.hidden,
        })
    }
}

impl StoredWork {
    fn of(work: &Work) -> Self {
        Self {
            status: match work.status {
                Status::Pending => 0,
                Status::Processing => 1,
                Status::Complete => 2,
                Status::Failed => 3,
            },
            priority: work.priority,
            claims: work.claims,
            failures: work.failures,
            expiries: work.expiries,
            lost_by: work.lost_by.iter().map(|worker| worker.name.clone()).collect(),
            lost_by_tokens: work
                .lost_by
                .iter()
                .map(|worker| worker.token_id.as_deref().unwrap_or_default().to_owned())
                .collect(),
            released_by: work.released_by.as_ref().map(|worker| StoredWorker {
                name: worker.name.clone(),
                token_id: worker.token_id.as_deref().map(str::to_owned),
            }),
            lost_at: work.lost_at,
            cancelled: work.cancelled,
            errors: work.errors.clone(),
            not_before: work.not_before,
            claim: work.claim.as_ref().map(|claim| StoredClaim {
                token: claim.token.0.to_vec(),
                worker_id: claim.worker.name.clone(),
                session_id: claim.session.as_ref().map(|session| session.name.clone()),
                token_id: claim.worker.token_id.as_deref().map(str::to_owned),
                at: claim.at,
                lease_ms: claim.lease_ms,
                first_ms: Some(claim.first_ms),
            }),
            completed_at: work.completed_at,
            reply: work.reply.map(|id| id.as_bytes().to_vec()),
            base: work.base,
            uncounted: work.uncounted,
            outages: work.outages,
            expires_at: work.expires_at,
            past_attempts: work.past_attempts.iter().map(StoredAttempt::of).collect(),
            errors_forgotten: work.errors_forgotten,
        }
    }

    fn into_work(self) -> Result<Work, FormatError> {
        Ok(Work {
            status: match self.status {
                0 => Status::Pending,
                1 => Status::Processing,
                2 => Status::Complete,
                3 => Status::Failed,
                _ => return Err(FormatError::Field("status")),
            },
            priority: self.priority,
            base: self.base,
            claims: self.claims,
            uncounted: self.uncounted,
            outages: self.outages,
            failures: self.failures,
            expiries: self.expiries,
            lost_by: lost_by(self.lost_by, self.lost_by_tokens),
            released_by: self
                .released_by
                .map(|StoredWorker { name, token_id }| OwnName { token_id: token_id.map(Arc::from), name }),
            lost_at: self.lost_at,
            cancelled: self.cancelled,
            errors: self.errors,
            errors_forgotten: self.errors_forgotten,
            past_attempts: self
                .past_attempts
                .into_iter()
                .map(StoredAttempt::into_attempt)
                .collect::<Result<_, _>>()?,
            not_before: self.not_before,
            expires_at: self.expires_at,
            claim: self.claim.map(StoredClaim::into_claim).transpose()?,
            completed_at: self.completed_at,
            reply: self.reply.map(|id| uuid(&id, "reply")).transpose()?,
        })
    }
}

impl StoredAttempt {
    fn of(attempt: &Attempt) -> Self {
        Self {
            worker: attempt.worker.clone(),
            began: attempt.began,
            took: attempt.ended.wrapping_sub(attempt.began),
            end: match attempt.end {
                AttemptEnd::Completed => 0,
                AttemptEnd::Failed => 1,
                AttemptEnd::LeaseLost => 2,
                AttemptEnd::Released => 3,
                AttemptEnd::HeldBack => 4,
                AttemptEnd::Undelivered => 5,
                AttemptEnd::CalledOff => 6,
            },
            error: attempt.error,
        }
    }

    fn into_attempt(self) -> Result<Attempt, FormatError> {
        Ok(Attempt {
            worker: self.worker,
            began: self.began,
            ended: self.began.wrapping_add(self.took),
            end: match self.end {
                0 => AttemptEnd::Completed,
                1 => AttemptEnd::Failed,
                2 => AttemptEnd::LeaseLost,
                3 => AttemptEnd::Released,
                4 => AttemptEnd::HeldBack,
                5 => AttemptEnd::Undelivered,
                6 => AttemptEnd::CalledOff,
                _ => return Err(FormatError::Field("end")),
            },
            error: self.error,
        })
    }
}

/// Who lost a message. The names of rows that hold no tokens were chosen under none, as far as is known.
fn lost_by(names: Vec<String>, tokens: Vec<String>) -> Vec<OwnName> {
    let tokens = tokens.into_iter().map(|id| (!id.is_empty()).then(|| Arc::from(id)));
    let tokens = tokens.chain(iter::repeat(None));
    names.into_iter().zip(tokens).map(|(name, token_id)| OwnName { token_id, name }).collect()
}

impl StoredClaim {
    fn into_claim(self) -> Result<Claim, FormatError> {
        let token_id = self.token_id.map(Arc::<str>::from);
        Ok(Claim {
            token: Token(bytes16(&self.token, "token")?),
            session: self.session_id.map(|name| OwnName { token_id: token_id.clone(), name }),
            worker: OwnName { token_id, name: self.worker_id },
            at: self.at,
            first_ms: self.first_ms.unwrap_or_else(|| Claim::short_first_ms(self.lease_ms)),
            lease_ms: self.lease_ms,
        })
    }
}

impl StoredCommit {
    pub(in crate::journal) fn of(stamp: i64, changes: &[Change]) -> Self {
        let room = Vec::with_capacity(changes.len());
        let mut commit = Self { stamp, changes: room, ..Self::default() };
        for change in changes {
            let content = &change.record.content;
            let domain = match commit.domains.iter().position(|domain| *domain == content.domain) {
                Some(index) => index,
                None => {
                    commit.domains.push(content.domain.clone());
                    commit.domains.len() - 1
                }
            };
            commit.changes.push(StoredChange {
                kind: kind_number(change.kind),
                domain: domain as u32,
                posted: content.posted,
                state: StoredState::of(&change.record.state),
                conversation: content
                    .conversation
                    .filter(|_| change.kind == ChangeKind::Posted)
                    .map(|conversation| conversation.0.to_vec()),
            });
        }
        commit
    }

    /// The same, committed at this time, by the wall clock and in service time.
    pub(in crate::journal) fn at(mut self, time: Millis, service_time: Millis) -> Self {
        self.later = time.saturating_sub(self.stamp);
        self.service_ahead = service_time.saturating_sub(time);
        self
    }

    /// When it was committed, by the wall clock.
    pub(in crate::journal) fn time(&self) -> Millis {
        self.stamp.saturating_add(self.later)
    }

    /// The same in service time.
    pub(in crate::journal) fn service_time(&self) -> Millis {
        self.time().saturating_add(self.service_ahead)
    }
}

impl StoredChange {
    pub(in crate::journal) fn seq(&self) -> u64 {
        self.state.seq
    }

    pub(in crate::journal) fn is_post(&self) -> bool {
        self.kind == kind_number(ChangeKind::Posted)
    }

    /// True where the message waited or was worked on after this change: then it is not the last of a finished message.
    pub(in crate::journal) fn leaves_work(&self) -> bool {
        self.state.work.as_ref().is_some_and(|work| work.status < 2)
    }

    /// On a post: the conversation of the message, where it has one.
    pub(in crate::journal) fn posted_in(&self) -> Result<Option<ConversationId>, FormatError> {
        conversation(self.conversation.as_deref())
    }

    /// The change, its content taken from the message's row: where it was edited or deleted since, the later text.
    pub(in crate::journal) fn to_change(&self, message: &Record) -> Result<Change, FormatError> {
        let mut change = self.as_it_was(message)?;
        change.record.state.seen_from(&message.state);
        Ok(change)
    }

    /// The same with the state as it was then: for those who see to it themselves that what is gone or hidden by now is not
    /// shown.
    pub(in crate::journal) fn as_it_was(&self, message: &Record) -> Result<Change, FormatError> {
        let record =
            Record { content: Arc::clone(&message.content), state: self.state.clone().into_state()? };
        Ok(Change { kind: kind_of(self.kind)?, record, request: None })
    }
}

impl StoredRequest {
    pub(in crate::journal) fn of(request: &Requested) -> Self {
        Self {
            fingerprint: request.fingerprint.to_vec(),
            id: request.id.as_bytes().to_vec(),
            posted: request.posted,
            timestamp: request.timestamp,
            later: request.at.saturating_sub(request.timestamp),
        }
    }

    pub(in crate::journal) fn into_requested(self, key: RequestKey) -> Result<Requested, FormatError> {
        Ok(Requested {
            key,
            fingerprint: bytes16(&self.fingerprint, "fingerprint")?,
            id: uuid(&self.id, "id")?,
            posted: self.posted,
            timestamp: self.timestamp,
            at: self.timestamp.saturating_add(self.later),
        })
    }
}

impl StoredOwner {
    pub(in crate::journal) fn of(owner: &Owner) -> Self {
        Self { visitor: owner.visitor.0.to_vec(), address: owner.address.map(|address| address.0.to_vec()) }
    }

    pub(in crate::journal) fn into_owner(self) -> Result<Owner, FormatError> {
        let address = self.address.map(|address| bytes16(&address, "address")).transpose()?;
        Ok(Owner { visitor: SenderKey(bytes16(&self.visitor, "visitor")?), address: address.map(SenderKey) })
    }
}

impl StoredPause {
    /// The row of a pause; none once the entity goes on.
    pub(in crate::journal) fn of(pause: &Pause) -> Option<Self> {
        Some(Self { since: pause.since?, entity: pause.entity.clone() })
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

pub(super) fn bytes16(bytes: &[u8], field: &'static str) -> Result<[u8; 16], FormatError> {
    bytes.try_into().map_err(|_| FormatError::Field(field))
}

fn conversation(bytes: Option<&[u8]>) -> Result<Option<ConversationId>, FormatError> {
    bytes.map(|bytes| Ok(ConversationId(bytes16(bytes, "conversation")?))).transpose()
}

fn uuid(bytes: &[u8], field: &'static str) -> Result<Uuid, FormatError> {
    Ok(Uuid::from_bytes(bytes16(bytes, field)?))
}
