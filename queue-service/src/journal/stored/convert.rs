//! From what the rules know to what is stored, and back.

use std::sync::Arc;

use repartee_process::telemetry::TraceContext;
use uuid::Uuid;

use super::{
    FormatError, StoredAddress, StoredAttempt, StoredClaim, StoredMessage, StoredOwner, StoredPause,
    StoredRequest, StoredSender, StoredState, StoredWork, StoredWorker,
};
use crate::domain::{
    Address, Attempt, AttemptEnd, Author, Claim, Content, ConversationId, Origin, OwnName, Owner, Pause,
    RequestKey, Requested, Sender, SenderKey, State, Status, Token, Work,
};

impl StoredMessage {
    pub(in crate::journal) fn of(content: &Content) -> Self {
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
            conversation: content.conversation.map(|conversation| conversation.0.to_vec()),
            sender: content.sender.as_ref().map(StoredSender::of),
            request_id,
            trace,
        }
    }

    /// The content of the message that was posted under this number.
    pub(in crate::journal) fn into_content(self, posted: u64) -> Result<Content, FormatError> {
        Ok(Content {
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
        })
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

    /// The state, with the errors of its attempts.
    pub(in crate::journal) fn into_state(self, errors: Vec<String>) -> Result<State, FormatError> {
        Ok(State {
            seq: self.seq,
            eq_score: self.eq_score,
            deleted: self.deleted,
            work: self.work.map(|work| work.into_work(errors).map(Box::new)).transpose()?,
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
            not_before: work.not_before,
            claim: work.claim.as_ref().map(|claim| StoredClaim {
                token: claim.token.0.to_vec(),
                worker_id: claim.worker.name.clone(),
                session_id: claim.session.as_ref().map(|session| session.name.clone()),
                token_id: claim.worker.token_id.as_deref().map(str::to_owned),
                at: claim.at,
                lease_ms: claim.lease_ms,
                first_ms: claim.first_ms,
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

    fn into_work(self, errors: Vec<String>) -> Result<Work, FormatError> {
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
            errors,
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

/// Who lost a message.
fn lost_by(names: Vec<String>, tokens: Vec<String>) -> Vec<OwnName> {
    let tokens = tokens.into_iter().map(|id| (!id.is_empty()).then(|| Arc::from(id)));
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
            first_ms: self.first_ms,
            lease_ms: self.lease_ms,
        })
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

pub(super) fn bytes16(bytes: &[u8], field: &'static str) -> Result<[u8; 16], FormatError> {
    bytes.try_into().map_err(|_| FormatError::Field(field))
}

pub(super) fn conversation(bytes: Option<&[u8]>) -> Result<Option<ConversationId>, FormatError> {
    bytes.map(|bytes| Ok(ConversationId(bytes16(bytes, "conversation")?))).transpose()
}

fn uuid(bytes: &[u8], field: &'static str) -> Result<Uuid, FormatError> {
    Ok(Uuid::from_bytes(bytes16(bytes, field)?))
}
