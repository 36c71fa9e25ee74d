//! One change on its way into the tail.

use std::sync::Arc;

use bytes::Bytes;
use repartee_proto::v1;

use super::told::Told;
use crate::json::Message;

/// A committed change, written once.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Number of the change.
    pub(super) seq: u64,
    /// True where it stored the message.
    pub(super) posted: bool,
    /// What is said in the message from now on, also in what was told of it before: its text, and whether it is deleted.
    pub(super) rewrites: Option<(String, bool)>,
    /// Time stamp of the message, Unix milliseconds.
    pub(super) stamp: i64,
    /// Id of the message.
    pub(super) id: Arc<str>,
    /// Domain of the message.
    pub(super) domain: Arc<str>,
    /// The change, with the message as it left it.
    pub(super) told: Told,
}

impl Change {
    /// A change of the log `epoch`; `None` where the queue-service sent no message with it.
    pub(super) fn read(epoch: &str, change: v1::Change) -> Option<Self> {
        let kind = change.kind();
        let message = change.message?;
        let rewrites = matches!(kind, v1::ChangeKind::Edited | v1::ChangeKind::Deleted)
            .then(|| (message.text.clone(), message.deleted));
        Some(Self {
            seq: change.seq,
            posted: kind == v1::ChangeKind::Posted,
            rewrites,
            stamp: message.timestamp,
            id: message.id.as_str().into(),
            domain: message.domain.as_str().into(),
            told: Told::new(epoch, change.seq, &Message::from(message).to_json()),
        })
    }
}

/// A message as all answers share it.
pub(super) fn written(message: v1::Message) -> Bytes {
    Message::from(message).to_json().into()
}
