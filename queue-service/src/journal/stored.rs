//! What is stored: one type a row, and its way to and from bytes.
//!
//! Format rule: a value is one version byte and then protobuf. Fields are only ever added, with new tags; a change that
//! older code would misread gets a new version byte, and the code that reads the old one stays.

mod acts;
mod blocks;
mod convert;

use prost::Message;

pub(super) use acts::StoredAct;
pub(super) use blocks::StoredBlock;

/// The version byte of every value that this code writes.
const VERSION: u8 = 2;

/// A stored row that this program cannot read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FormatError {
    /// Written by another version.
    #[error(
        "it has format version {0}, this program reads {VERSION}; start the version that wrote it, or a newer one"
    )]
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

/// The log's name and the key of its ids; drawn once.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredMeta {
    #[prost(string, tag = "1")]
    pub(super) epoch: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) id_key: Vec<u8>,
}

/// A message as it was posted or edited. The present state of work stands in a row of its own, so that a claim and a
/// completion do not write the text again.
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
    #[prost(bytes = "vec", optional, tag = "11")]
    conversation: Option<Vec<u8>>,
    #[prost(message, optional, tag = "12")]
    sender: Option<StoredSender>,
    /// The request id of its post; in rows of older code also the id of a trace.
    #[prost(string, optional, tag = "13")]
    request_id: Option<String>,
    /// The place of its post in a trace: a version byte and what `TraceContext::to_bytes` says.
    #[prost(bytes = "vec", optional, tag = "14")]
    trace: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredSender {
    #[prost(bytes = "vec", tag = "1")]
    author: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    address: Vec<u8>,
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
    #[prost(int64, optional, tag = "5")]
    not_before: Option<i64>,
    #[prost(int64, optional, tag = "6")]
    expires_at: Option<i64>,
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
    #[prost(uint32, tag = "5")]
    edits: u32,
    #[prost(bool, tag = "6")]
    hidden: bool,
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
    #[prost(int64, tag = "12")]
    base: i64,
    #[prost(uint32, tag = "13")]
    uncounted: u32,
    #[prost(int64, optional, tag = "14")]
    expires_at: Option<i64>,
    #[prost(string, repeated, tag = "15")]
    lost_by: Vec<String>,
    #[prost(int64, optional, tag = "16")]
    lost_at: Option<i64>,
    /// The tokens of those in `lost_by`, in the same order; empty for none. Absent in rows from before they were stored.
    #[prost(string, repeated, tag = "17")]
    lost_by_tokens: Vec<String>,
    #[prost(uint32, tag = "18")]
    outages: u32,
    #[prost(message, repeated, tag = "19")]
    past_attempts: Vec<StoredAttempt>,
    #[prost(uint32, tag = "20")]
    errors_forgotten: u32,
    #[prost(message, optional, tag = "21")]
    released_by: Option<StoredWorker>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredWorker {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, optional, tag = "2")]
    token_id: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAttempt {
    #[prost(string, tag = "1")]
    worker: String,
    #[prost(int64, tag = "2")]
    began: i64,
    /// How much later it ended, in milliseconds.
    #[prost(sint64, tag = "3")]
    took: i64,
    /// 0 completed, 1 failed, 2 lease lost, 3 released, 4 held back, 5 undelivered, 6 called off.
    #[prost(uint32, tag = "4")]
    end: u32,
    #[prost(uint32, optional, tag = "5")]
    error: Option<u32>,
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
    /// Absent in rows from before it was stored.
    #[prost(int64, optional, tag = "6")]
    first_ms: Option<i64>,
    /// The token under which it was made; also absent in rows from before it was stored.
    #[prost(string, optional, tag = "7")]
    token_id: Option<String>,
}

/// Some messages of one conversation, by the numbers of their posts, oldest first.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredRun {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) posted: Vec<u64>,
}

/// Whose a conversation is.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredOwner {
    #[prost(bytes = "vec", tag = "1")]
    visitor: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    address: Option<Vec<u8>>,
}

/// A place in the log.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredMark {
    #[prost(uint64, tag = "1")]
    pub(super) seq: u64,
}

/// Where the log begins: the last commit that was swept.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredBeginning {
    #[prost(uint64, tag = "1")]
    pub(super) seq: u64,
    #[prost(int64, tag = "2")]
    pub(super) stamp: i64,
    /// Whether the messages that are kept from before have rows by their domains.
    #[prost(bool, tag = "3")]
    pub(super) indexed: bool,
    /// What is stored then, as in a commit; absent if it is not known.
    #[prost(fixed64, optional, tag = "4")]
    pub(super) data_bytes: Option<u64>,
    /// Number of the newest change then: what a later commit notes stands over this.
    #[prost(uint64, tag = "5")]
    pub(super) newest: u64,
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
    /// How much later than `stamp` it was committed by the wall clock, in milliseconds: a commit without messages has an
    /// older stamp. Below 0 while the clock is behind.
    #[prost(sint64, tag = "4")]
    later: i64,
    /// How far service time was ahead of the wall clock, in milliseconds; below 0 after a jump ahead.
    #[prost(sint64, tag = "5")]
    service_ahead: i64,
    /// Bytes that are stored after this commit, see `data_size.rs`; absent if that is not known. Of a fixed length, because
    /// this row is counted too.
    #[prost(fixed64, optional, tag = "6")]
    pub(super) data_bytes: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredChange {
    /// 0 posted, 1 claimed, 2 released, 3 expired, 4 retry scheduled, 5 failed, 6 completed, 7 cancelled, 8 retried,
    /// 9 edited, 10 deleted, 11 hidden, 12 restored.
    #[prost(uint32, tag = "1")]
    kind: u32,
    /// Index into the commit's domains.
    #[prost(uint32, tag = "2")]
    pub(super) domain: u32,
    /// Number of the post of the message that it is about.
    #[prost(uint64, tag = "3")]
    pub(super) posted: u64,
    #[prost(message, required, tag = "4")]
    state: StoredState,
    /// On a post: the conversation of the message.
    #[prost(bytes = "vec", optional, tag = "5")]
    conversation: Option<Vec<u8>>,
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
    /// How much later than `timestamp` it was stored, in milliseconds of service time.
    #[prost(sint64, tag = "5")]
    later: i64,
}

/// An entity that is paused.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredPause {
    #[prost(string, tag = "1")]
    pub(super) entity: String,
    #[prost(int64, tag = "2")]
    pub(super) since: i64,
}
