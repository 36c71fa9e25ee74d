//! What is stored: the head and the bodies of a record in the log, one type a row of the index, and their way to and from
//! bytes.
//!
//! Format rule: a head and a row are one version byte and then protobuf; a body is protobuf of its head's version. Fields
//! are only ever added, with new tags; a change that older code would misread gets a new version byte, and the code that
//! reads the old one stays.

mod acts;
mod blocks;
mod commit;
mod convert;

use prost::Message;

pub(super) use acts::StoredAct;
pub(super) use blocks::StoredBlock;
pub(super) use commit::errors;

/// The version byte of every head and row that this code writes. Versions 1 and 2 were rows of a store without a log.
const VERSION: u8 = 3;

/// Something stored that this program cannot read.
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

/// The content of a message, as it was posted or edited: a body, so that it can be erased.
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
    #[prost(bytes = "vec", optional, tag = "11")]
    conversation: Option<Vec<u8>>,
    #[prost(message, optional, tag = "12")]
    sender: Option<StoredSender>,
    /// The request id of its post.
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

/// The errors of attempts, oldest first. They may quote a text, so they are a body of their own and not part of the state.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredErrors {
    #[prost(string, repeated, tag = "1")]
    pub(super) errors: Vec<String>,
}

/// The state of a message, without the errors of its attempts.
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
    /// The tokens of those in `lost_by`, in the same order; empty for none.
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
    #[prost(int64, tag = "6")]
    first_ms: i64,
    /// The token under which it was made.
    #[prost(string, optional, tag = "7")]
    token_id: Option<String>,
}

/// Some numbers of a list, rising.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredRun {
    #[prost(uint64, repeated, tag = "1")]
    pub(super) numbers: Vec<u64>,
}

/// Where something stands in the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(super) struct Pointer {
    /// The place of a record.
    #[prost(fixed64, tag = "1")]
    pub(super) record: u64,
    /// Which of its entries: its changes from 0, and behind them what it keeps.
    #[prost(uint32, tag = "2")]
    pub(super) entry: u32,
}

/// The same of several.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredPointers {
    #[prost(message, repeated, tag = "1")]
    pub(super) pointers: Vec<Pointer>,
}

/// Up to where the log stands in the index.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredCheckpoint {
    /// Version of the index: one of another version is made anew.
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(fixed64, tag = "2")]
    pub(super) epoch: u64,
    /// The place of the first record that is not in it.
    #[prost(fixed64, tag = "3")]
    pub(super) place: u64,
    /// The check of the record before: an index of a log that went another way is no index of this one.
    #[prost(fixed32, tag = "4")]
    pub(super) check: u32,
}

/// Whose a conversation is.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredOwner {
    #[prost(bytes = "vec", tag = "1")]
    visitor: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    address: Option<Vec<u8>>,
}

/// Where the log begins for readers: the last commit that was swept.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredBeginning {
    #[prost(uint64, tag = "1")]
    pub(super) seq: u64,
    #[prost(int64, tag = "2")]
    pub(super) stamp: i64,
    /// The place of the first record that was not swept.
    #[prost(fixed64, tag = "3")]
    pub(super) place: u64,
}

/// The head of a record: what one commit did. What was said stands in the bodies. Its stamp is the record's.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredCommit {
    /// The domains of the changes and of what is kept, each once.
    #[prost(string, repeated, tag = "2")]
    pub(super) domains: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(super) changes: Vec<StoredChange>,
    /// How much later than its stamp it was committed by the wall clock, in milliseconds: a commit without messages has an
    /// older stamp. Below 0 while the clock is behind.
    #[prost(sint64, tag = "4")]
    later: i64,
    /// How far service time was ahead of the wall clock, in milliseconds; below 0 after a jump ahead.
    #[prost(sint64, tag = "5")]
    service_ahead: i64,
    /// Rows of the index that the changes do not say: written or, without a value, removed.
    #[prost(message, repeated, tag = "7")]
    pub(super) rows: Vec<StoredRow>,
    #[prost(message, optional, tag = "8")]
    pub(super) sweep: Option<StoredSweep>,
    /// Bytes of the log that are not swept, this record included: the last 8 bytes of the head, because how many they are is
    /// only known once the rest is written.
    #[prost(fixed64, tag = "15")]
    pub(super) data_bytes: u64,
}

/// A row of the index that stands in the log.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct StoredRow {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) value: Option<Vec<u8>>,
}

/// What a commit takes away from the beginning of the log.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredSweep {
    #[prost(message, required, tag = "1")]
    pub(super) begins: StoredBeginning,
    /// The messages that go.
    #[prost(message, repeated, tag = "2")]
    pub(super) gone: Vec<StoredGone>,
    /// Those that stay, though the record goes that holds their content or their state: both stand here from now on.
    #[prost(message, repeated, tag = "3")]
    pub(super) kept: Vec<StoredChange>,
    /// The messages that stay though their posts go, each with what names its domain in the index.
    #[prost(message, repeated, tag = "4")]
    pub(super) stay: Vec<StoredGone>,
    /// What names the domains of the commits that go, 16 bytes each.
    #[prost(bytes = "vec", tag = "5")]
    pub(super) domains: Vec<u8>,
    /// The conversations that belong to nobody afterwards, 16 bytes each.
    #[prost(bytes = "vec", tag = "6")]
    pub(super) ownerless: Vec<u8>,
}

/// A message that is swept, or whose post is.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredGone {
    #[prost(uint64, tag = "1")]
    pub(super) posted: u64,
    /// What names its domain in the index, 16 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) domain: Vec<u8>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(super) conversation: Option<Vec<u8>>,
    /// The letters of the rows that it has in the index.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) rows: Vec<u8>,
}

/// A change of a message, or what is kept of one.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StoredChange {
    /// 0 posted, 1 claimed, 2 released, 3 expired, 4 retry scheduled, 5 failed, 6 completed, 7 cancelled, 8 retried,
    /// 9 edited, 10 deleted, 11 hidden, 12 restored; 13 of what is kept.
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
    /// With the content: the conversation of the message.
    #[prost(bytes = "vec", optional, tag = "5")]
    conversation: Option<Vec<u8>>,
    /// 1: it has a body with the content; 2: one with errors, behind that; 4: it is kept for its state.
    #[prost(uint32, tag = "6")]
    bodies: u32,
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
