//! What a client asks for, as plain values.

use std::fmt;

use repartee_proto::v1::{NewMessage, Status};

/// A number that names a request. A request that posts, edits or replies writes it into the score of its message, and so
/// every such change tells who asked for it, even where its text was overwritten later.
pub(crate) type Mark = i32;

/// A claim, as its holder names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// A message to be stored; its score is the mark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Post {
    pub(crate) message: NewMessage,
    pub(crate) key: Option<String>,
}

/// An edit; it sets the score to its mark.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Edit {
    pub(crate) id: String,
    pub(crate) mark: Mark,
    pub(crate) text: Option<String>,
    pub(crate) priority: Option<u32>,
    pub(crate) status: Option<Status>,
    /// The author's right; without it the caller is an operator.
    pub(crate) token: Option<String>,
}

/// A completion, with the reply's mark and text where it brings one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Completion {
    pub(crate) lease: Lease,
    pub(crate) reply: Option<(Mark, String)>,
}

/// The two ends of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    pub(crate) human: (String, String),
    pub(crate) ai: (String, String),
}

/// Where a page of the feed begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// The newest messages.
    Newest,
    /// Messages after a time stamp.
    Stamp(i64),
    /// Changes after a cursor.
    Cursor(String),
}

/// What a client asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    /// Store messages; several of them in one commit.
    Post(Vec<Post>),
    Edit(Edit),
    Delete {
        id: String,
        token: Option<String>,
    },
    Retry(String),
    Cancel(String),
    /// No two claims have the same worker.
    Claim {
        id: String,
        worker: String,
        seconds: i64,
    },
    ClaimNext {
        worker: String,
        seconds: i64,
        wait: i64,
    },
    /// A stream of work that was opened. Each delivery on it is an answer of its own to the same opening.
    Stream {
        worker: String,
        session: String,
    },
    Renew(Lease),
    Release(Lease),
    Fail {
        lease: Lease,
        error: String,
        retryable: bool,
    },
    /// Finish messages; several of them in one commit.
    Complete(Vec<Completion>),
    Get(String),
    ListPending,
    ListFailed,
    GetConversation(Pair),
    Page {
        domain: String,
        from: From,
        limit: u32,
    },
}

impl Post {
    pub(crate) fn mark(&self) -> Mark {
        self.message.eq_score
    }
}

impl Request {
    /// Whether the request can change anything.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::Post(_) | Self::Edit(_) | Self::Delete { .. } | Self::Retry(_) | Self::Cancel(_) => true,
            Self::Claim { .. } | Self::ClaimNext { .. } | Self::Stream { .. } => true,
            Self::Renew(_) | Self::Release(_) | Self::Fail { .. } | Self::Complete(_) => true,
            Self::Get(_) | Self::ListPending | Self::ListFailed => false,
            Self::GetConversation(_) | Self::Page { .. } => false,
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Post(items) => {
                let marks: Vec<_> = items.iter().map(Post::mark).collect();
                write!(f, "the post {marks:?}")
            }
            Self::Edit(edit) => write!(f, "the edit {} of {}", edit.mark, edit.id),
            Self::Delete { id, .. } => write!(f, "the deletion of {id}"),
            Self::Retry(id) => write!(f, "the retry of {id}"),
            Self::Cancel(id) => write!(f, "the cancellation of {id}"),
            Self::Claim { id, worker, .. } => write!(f, "the claim of {id} for {worker}"),
            Self::ClaimNext { worker, .. } => write!(f, "the next claim for {worker}"),
            Self::Stream { worker, .. } => write!(f, "the stream of {worker}"),
            Self::Renew(lease) => write!(f, "the renewal of {}", lease.id),
            Self::Release(lease) => write!(f, "the release of {}", lease.id),
            Self::Fail { lease, .. } => write!(f, "the failure of {}", lease.id),
            Self::Complete(items) => {
                let ids: Vec<_> = items.iter().map(|item| &item.lease.id).collect();
                write!(f, "the completion of {ids:?}")
            }
            Self::Get(id) => write!(f, "the look at {id}"),
            Self::ListPending => f.write_str("the list of pending messages"),
            Self::ListFailed => f.write_str("the list of failed messages"),
            Self::GetConversation(pair) => {
                write!(f, "the conversation of {:?} and {:?}", pair.human, pair.ai)
            }
            Self::Page { domain, from, limit } => {
                write!(f, "the page of {limit} in {domain:?} from {from:?}")
            }
        }
    }
}
