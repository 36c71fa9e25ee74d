//! What was asked of the service and what it answered, as plain values. The run fills a history, the checker reads it,
//! and neither knows the other.

use std::fmt;

use repartee_proto::v1::{ChangeKind, Message};

use crate::request::Request;

/// When something happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// Counts the moments of a run: what ended before another thing began has the smaller number.
    pub(crate) tick: u64,
    /// The clock, Unix milliseconds. Only the ends of leases are compared with it.
    pub(crate) wall: i64,
}

/// Through which face a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaceKind {
    /// gRPC, with the queue-service.
    Grpc,
    /// JSON, with the gateway.
    Json,
}

/// A refusal: nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Name of the gRPC code, or the HTTP status.
    pub(crate) code: String,
    pub(crate) reason: String,
}

/// What a post was answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Posted {
    pub(crate) message: Message,
    pub(crate) edit_token: String,
    pub(crate) replayed: bool,
}

/// What a completion was answered; the JSON face does not show the message.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Completed {
    pub(crate) message: Option<Message>,
    pub(crate) reply_id: Option<String>,
    pub(crate) late: bool,
    pub(crate) already: bool,
}

/// Work that was handed out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Granted {
    pub(crate) message: Message,
    pub(crate) token: String,
    pub(crate) expires_at: i64,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// To Post: one outcome an item.
    Posted(Vec<Result<Posted, Refusal>>),
    /// To Complete: one outcome an item.
    Completed(Vec<Result<Completed, Refusal>>),
    /// To a claim and to a stream; nothing where nothing was pending.
    Work(Option<Box<Granted>>),
    /// To Renew: when the lease ends, Unix milliseconds.
    Renewed(i64),
    /// To every step that shows its message.
    Message(Box<Message>),
    /// To the lists: the newest change was `from` before the list was read, and `to` after it.
    Listed { from: u64, to: u64, messages: Vec<Message> },
    /// To Page.
    Page { messages: Vec<Message>, next: String, more: bool },
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Answered(Answer),
    Refused(Refusal),
    /// No answer came, or one that leaves open whether anything was done; with what the client saw instead.
    Lost(String),
}

/// One call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) by: String,
    pub(crate) face: FaceKind,
    pub(crate) request: Request,
    pub(crate) begun: Moment,
    pub(crate) ended: Moment,
    pub(crate) outcome: Outcome,
}

/// What one watch of the feed brought, from its opening to its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Watched {
    pub(crate) by: String,
    /// Only this domain; all where empty.
    pub(crate) domain: String,
    /// The cursor that it was opened with.
    pub(crate) from: String,
    pub(crate) epoch: String,
    /// False where the service did not go on from the cursor.
    pub(crate) resumed: bool,
    pub(crate) changes: Vec<Seen>,
}

/// One change as a watcher saw it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) seq: u64,
    pub(crate) cursor: String,
    pub(crate) kind: ChangeKind,
    pub(crate) message: Message,
    /// Up to here no commit is seen in part.
    pub(crate) caught_up: bool,
}

/// Everything that the clients asked and saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct History {
    pub(crate) calls: Vec<Call>,
    pub(crate) watched: Vec<Watched>,
}

impl Call {
    /// The answer, where one came.
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Refused(_) | Outcome::Lost(_) => None,
        }
    }

    /// Why the item with this index was refused; a call that was refused refuses all of them.
    pub(crate) fn refusal(&self, item: usize) -> Option<&Refusal> {
        match &self.outcome {
            Outcome::Refused(refusal) => Some(refusal),
            Outcome::Answered(Answer::Posted(items)) => items.get(item)?.as_ref().err(),
            Outcome::Answered(Answer::Completed(items)) => items.get(item)?.as_ref().err(),
            Outcome::Answered(_) | Outcome::Lost(_) => None,
        }
    }

    /// The messages that the answer shows.
    pub(crate) fn shown(&self) -> Vec<&Message> {
        match self.answer() {
            Some(Answer::Posted(items)) => items.iter().flatten().map(|posted| &posted.message).collect(),
            Some(Answer::Completed(items)) => {
                items.iter().flatten().filter_map(|completed| completed.message.as_ref()).collect()
            }
            Some(Answer::Work(granted)) => granted.iter().map(|granted| &granted.message).collect(),
            Some(Answer::Message(message)) => vec![&**message],
            Some(Answer::Listed { messages, .. } | Answer::Page { messages, .. }) => {
                messages.iter().collect()
            }
            Some(Answer::Renewed(_)) | None => Vec::new(),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {} ({} to {})", self.request, self.by, self.begun.tick, self.ended.tick)
    }
}
