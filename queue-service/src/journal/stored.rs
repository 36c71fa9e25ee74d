//! What is stored: one type a row, and its way to and from bytes.
//!
//! Format rule: a value is one version byte and then protobuf. Fields are only ever added, with new tags; a change that
//! older code would misread gets a new version byte, and the code that reads the old one stays.

use std::sync::Arc;

use prost::Message;
use uuid::Uuid;

use super::keys::Place;
use crate::domain::{
    Address, Author, Change, ChangeKind, Claim, Content, Record, Requested, State, Status, Token, Work,
};

/// The version byte of every value that this code writes.
const VERSION: u8 = 1;

/// A stored row that this program cannot read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FormatError {
    /// Written by a newer version.
    #[error("it has format version {0}, this program reads {VERSION}; start a newer version of the program")]
    Version(u8),
    /// Not protobuf.
    #[error("it is damaged")]
    Protobuf(#[from] prost::DecodeError),
    /// A field has a value that no version writes.
    #[error("it is damaged: its field {0} makes no sense")]
    Field(&'static str),
}

pub(super) fn encode(value: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1 + value.encoded_len());
    bytes.push(VERSION);
    value.encode(&mut bytes).expect("a vector grows");
    bytes
}

pub(super) fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, FormatError> {
    match bytes.split_first() {
        Some((&VERSION, bytes)) => Ok(M::decode(bytes)?),
        Some((&other, _)) => Err(FormatError::Version(other)),
        None => Err(FormatError::Field("version")),
    }
}

/// The log's name.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredMeta {
    #[prost(string, tag = "1")]
    pub(super) epoch: String,
}

/// A message as it was posted or finished; while it is live, its present state is in [`StoredLive`].
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredMessage {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(string, tag = "3")]
    domain: String,
    #[prost(string, tag = "4")]
    text: String,
    #[prost(string, tag = "5")]
    username: String,
    #[prost(string, tag = "6")]
    color: String,
    #[prost(bool, tag = "7")]
    by_ai: bool,
    #[prost(bytes = "vec", optional, tag = "8")]
    reply_to: Option<Vec<u8>>,
    #[prost(message, optional, tag = "9")]
    address: Option<StoredAddress>,
    #[prost(message, required, tag = "10")]
    state: StoredState,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAddress {
    #[prost(string, tag = "1")]
    entity: String,
    #[prost(string, tag = "2")]
    ai_username: String,
    #[prost(string, tag = "3")]
    ai_color: String,
    #[prost(string, optional, tag = "4")]
    session_id: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredState {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(sint32, tag = "2")]
    eq_score: i32,
    #[prost(bool, tag = "3")]
    deleted: bool,
    #[prost(message, optional, tag = "4")]
    work: Option<StoredWork>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredWork {
    /// 0 pending, 1 processing, 2 complete, 3 failed.
    #[prost(uint32, tag = "1")]
    status: u32,
    #[prost(uint32, tag = "2")]
    priority: u32,
    #[prost(uint32, tag = "3")]
    claims: u32,
    #[prost(uint32, tag = "4")]
    failures: u32,
    #[prost(uint32, tag = "5")]
    expiries: u32,
    #[prost(bool, tag = "6")]
    cancelled: bool,
    #[prost(string, repeated, tag = "7")]
    errors: Vec<String>,
    #[prost(int64, optional, tag = "8")]
    not_before: Option<i64>,
    #[prost(message, optional, tag = "9")]
    claim: Option<StoredClaim>,
    #[prost(int64, optional, tag = "10")]
    completed_at: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "11")]
    reply: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredClaim {
    #[prost(bytes = "vec", tag = "1")]
    token: Vec<u8>,
    #[prost(string, tag = "2")]
    worker_id: String,
    #[prost(string, optional, tag = "3")]
    session_id: Option<String>,
    #[prost(int64, tag = "4")]
    at: i64,
    #[prost(int64, tag = "5")]
    lease_ms: i64,
}

/// The present state of a message that is pending or processing.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredLive {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) conversation: Vec<u8>,
    #[prost(message, required, tag = "2")]
    pub(super) state: StoredState,
}

/// One commit: its changes, each the state of a message from then on. What was said stands in the message's row.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredCommit {
    #[prost(int64, tag = "1")]
    pub(super) stamp: i64,
    /// The domains of the changes, each once.
    #[prost(string, repeated, tag = "2")]
    pub(super) domains: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(super) changes: Vec<StoredChange>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredChange {
    /// 0 posted, 1 claimed, 2 released, 3 expired, 4 retry scheduled, 5 failed, 6 completed, 7 cancelled, 8 retried,
    /// 9 edited, 10 deleted.
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// Index into the commit's domains.
    #[prost(uint32, tag = "2")]
    pub(super) domain: u32,
    #[prost(bytes = "vec", tag = "3")]
    place: Vec<u8>,
    #[prost(message, required, tag = "4")]
    state: StoredState,
}

/// A request with an idempotency key that stored a message.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredRequest {
    #[prost(bytes = "vec", tag = "1")]
    fingerprint: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    id: Vec<u8>,
    #[prost(uint64, tag = "3")]
    posted: u64,
    #[prost(int64, tag = "4")]
    timestamp: i64,
}

impl StoredMessage {
    pub(super) fn of(record: &Record) -> Self {
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
            }),
            state: StoredState::of(&record.state),
        }
    }

    pub(super) fn into_record(self, place: Place) -> Result<Record, FormatError> {
        let content = Content {
            id: uuid(&self.id, "id")?,
            posted: place.posted,
            timestamp: self.timestamp,
            domain: self.domain,
            text: self.text,
            username: self.username,
            color: self.color,
            author: if self.by_ai { Author::Ai } else { Author::Human },
            reply_to: self.reply_to.map(|id| uuid(&id, "reply_to")).transpose()?,
            conversation: place.conversation(),
            address: self.address.map(|address| Address {
                entity: address.entity,
                ai_username: address.ai_username,
                ai_color: address.ai_color,
                session_id: address.session_id,
            }),
        };
        Ok(Record { content: Arc::new(content), state: self.state.into_state()? })
    }
}

impl StoredState {
    pub(super) fn of(state: &State) -> Self {
        Self {
            seq: state.seq,
            eq_score: state.eq_score,
            deleted: state.deleted,
            work: state.work.as_ref().map(StoredWork::of),
        }
    }

    pub(super) fn into_state(self) -> Result<State, FormatError> {
        Ok(State {
            seq: self.seq,
            eq_score: self.eq_score,
            deleted: self.deleted,
            work: self.work.map(StoredWork::into_work).transpose()?,
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
            claims: self.claims,
            failures: self.failures,
            expiries: self.expiries,
            cancelled: self.cancelled,
            errors: self.errors,
            not_before: self.not_before,
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

impl StoredLive {
    pub(super) fn of(record: &Record) -> Self {
        let place = Place::new(record.content.conversation, record.content.posted);
        Self { conversation: place.conversation.to_vec(), state: StoredState::of(&record.state) }
    }

    pub(super) fn place(&self, posted: u64) -> Result<Place, FormatError> {
        Ok(Place { conversation: bytes16(&self.conversation, "conversation")?, posted })
    }
}

impl StoredCommit {
    pub(super) fn of(stamp: i64, changes: &[Change]) -> Self {
        let mut commit = Self { stamp, domains: Vec::new(), changes: Vec::with_capacity(changes.len()) };
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
                place: Place::new(content.conversation, content.posted).to_bytes().to_vec(),
                state: StoredState::of(&change.record.state),
            });
        }
        commit
    }
}

impl StoredChange {
    pub(super) fn seq(&self) -> u64 {
        self.state.seq
    }

    pub(super) fn is_post(&self) -> bool {
        self.kind == kind_number(ChangeKind::Posted)
    }

    pub(super) fn place(&self) -> Result<Place, FormatError> {
        Place::from_bytes(&self.place).ok_or(FormatError::Field("place"))
    }

    /// The change, its content taken from the message's row: where it was edited or deleted since, the later text.
    pub(super) fn to_change(&self, message: &Record) -> Result<Change, FormatError> {
        let mut state = self.state.clone().into_state()?;
        if message.state.deleted {
            state.deleted_since();
        }
        let record = Record { content: Arc::clone(&message.content), state };
        Ok(Change { kind: kind_of(self.kind)?, record, request: None })
    }
}

impl StoredRequest {
    pub(super) fn of(request: &Requested) -> Self {
        Self {
            fingerprint: request.fingerprint.to_vec(),
            id: request.id.as_bytes().to_vec(),
            posted: request.posted,
            timestamp: request.timestamp,
        }
    }

    pub(super) fn into_requested(self, key: crate::domain::RequestKey) -> Result<Requested, FormatError> {
        Ok(Requested {
            key,
            fingerprint: bytes16(&self.fingerprint, "fingerprint")?,
            id: uuid(&self.id, "id")?,
            posted: self.posted,
            timestamp: self.timestamp,
        })
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

fn uuid(bytes: &[u8], field: &'static str) -> Result<Uuid, FormatError> {
    Ok(Uuid::from_bytes(bytes16(bytes, field)?))
}
