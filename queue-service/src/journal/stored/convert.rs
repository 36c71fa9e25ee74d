//! From what the rules know to what is stored, and back.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    FormatError, StoredAddress, StoredChange, StoredClaim, StoredCommit, StoredMessage, StoredOwner,
    StoredPause, StoredRequest, StoredSender, StoredState, StoredWork,
};
use crate::domain::{
    Address, Author, Change, ChangeKind, Claim, Content, ConversationId, Millis, Owner, Pause, Record,
    RequestKey, Requested, Sender, SenderKey, State, Status, Token, Work,
};

impl StoredMessage {
    pub(in crate::journal) fn of(record: &Record) -> Self {
        let content = &record.content;
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
        };
        Ok(Record { content: Arc::new(content), state: self.state.into_state()? })
    }
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
        }
    }

    pub(in crate::journal) fn into_state(self) -> Result<State, FormatError> {
        Ok(State {
            seq: self.seq,
            eq_score: self.eq_score,
            deleted: self.deleted,
            work: self.work.map(|work| work.into_work().map(Box::new)).transpose()?,
            edits: self.edits,
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
            cancelled: work.cancelled,
            errors: work.errors.clone(),
            not_before: work.not_before,
            claim: work.claim.as_ref().map(|claim| StoredClaim {
                token: claim.token.0.to_vec(),
                worker_id: claim.worker_id.clone(),
                session_id: claim.session_id.clone(),
                at: claim.at,
                lease_ms: claim.lease_ms,
            }),
            completed_at: work.completed_at,
            reply: work.reply.map(|id| id.as_bytes().to_vec()),
            base: work.base,
            uncounted: work.uncounted,
            expires_at: work.expires_at,
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
            failures: self.failures,
            expiries: self.expiries,
            cancelled: self.cancelled,
            errors: self.errors,
            not_before: self.not_before,
            expires_at: self.expires_at,
            claim: self.claim.map(StoredClaim::into_claim).transpose()?,
            completed_at: self.completed_at,
            reply: self.reply.map(|id| uuid(&id, "reply")).transpose()?,
        })
    }
}

impl StoredClaim {
    fn into_claim(self) -> Result<Claim, FormatError> {
        Ok(Claim {
            token: Token(bytes16(&self.token, "token")?),
            worker_id: self.worker_id,
            session_id: self.session_id,
            at: self.at,
            lease_ms: self.lease_ms,
        })
    }
}

impl StoredCommit {
    pub(in crate::journal) fn of(stamp: i64, changes: &[Change]) -> Self {
        let room = Vec::with_capacity(changes.len());
        let mut commit = Self { stamp, domains: Vec::new(), changes: room, later: 0, service_ahead: 0 };
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
        let mut state = self.state.clone().into_state()?;
        if message.state.deleted {
            state.deleted_since();
        }
        let record = Record { content: Arc::clone(&message.content), state };
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
        _ => return Err(FormatError::Field("kind")),
    })
}

fn bytes16(bytes: &[u8], field: &'static str) -> Result<[u8; 16], FormatError> {
    bytes.try_into().map_err(|_| FormatError::Field(field))
}

fn conversation(bytes: Option<&[u8]>) -> Result<Option<ConversationId>, FormatError> {
    bytes.map(|bytes| Ok(ConversationId(bytes16(bytes, "conversation")?))).transpose()
}

fn uuid(bytes: &[u8], field: &'static str) -> Result<Uuid, FormatError> {
    Ok(Uuid::from_bytes(bytes16(bytes, field)?))
}
