//! One change on its way into the tail.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use repartee_process::telemetry::TraceContext;
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
    /// True where what is said in the message changed with it, also in what was told of it before.
    pub(super) reaches_back: bool,
    /// Time stamp of the message, Unix milliseconds.
    pub(super) stamp: i64,
    /// Where it completed the message: how long after it was posted.
    pub(super) answered_after: Option<Duration>,
    /// Id of the message.
    pub(super) id: Arc<str>,
    /// Domain of the message.
    pub(super) domain: Arc<str>,
    /// The change, with the message as it left it.
    pub(super) told: Told,
    /// Of a new message whose trace is recorded: the request that posted it.
    pub(super) trace: Option<Box<TraceContext>>,
}

impl Change {
    /// A change of the log `epoch`; `None` where the queue-service sent no message with it.
    pub(super) fn read(epoch: &str, change: v1::Change) -> Option<Self> {
        let kind = change.kind();
        let message = change.message?;
        let trace = change.traceparent.as_deref().and_then(|parent| TraceContext::parse(parent, None));
        Some(Self {
            seq: change.seq,
            posted: kind == v1::ChangeKind::Posted,
            reaches_back: matches!(kind, v1::ChangeKind::Edited | v1::ChangeKind::Deleted),
            stamp: message.timestamp,
            answered_after: (kind == v1::ChangeKind::Completed).then(|| took(&message)).flatten(),
            id: message.id.as_str().into(),
            domain: message.domain.as_str().into(),
            told: Told::new(epoch, change.seq, &Message::from(message).to_json()),
            trace: trace.map(Box::new),
        })
    }
}

/// From the message to its completion. Stamps may be a little ahead of the clock.
fn took(message: &v1::Message) -> Option<Duration> {
    let ms = message.bot_params.as_ref()?.completed_at?.saturating_sub(message.timestamp);
    Some(Duration::from_millis(ms.max(0).unsigned_abs()))
}

/// A message as all answers share it.
pub(super) fn written(message: v1::Message) -> Bytes {
    Message::from(message).to_json().into()
}

#[cfg(test)]
mod tests {
    use repartee_proto::v1::{self, ChangeKind};

    use super::Change;

    #[test]
    fn an_answer_took_from_the_post_to_the_completion_and_other_changes_are_no_answers() {
        let read = |kind: ChangeKind, completed_at: Option<i64>| {
            let bot_params = Some(v1::BotParams { completed_at, ..Default::default() });
            let message = v1::Message { timestamp: 10_000, bot_params, ..Default::default() };
            let change = v1::Change { kind: kind.into(), message: Some(message), ..Default::default() };
            Change::read("e", change).unwrap().answered_after.map(|took| took.as_millis())
        };
        assert_eq!(read(ChangeKind::Completed, Some(12_500)), Some(2_500));
        assert_eq!(read(ChangeKind::Completed, Some(9_500)), Some(0), "its stamp was ahead of the clock");
        assert_eq!(read(ChangeKind::Completed, None), None);
        assert_eq!(read(ChangeKind::Edited, Some(12_500)), None);
    }
}
