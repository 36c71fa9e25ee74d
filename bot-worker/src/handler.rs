//! What the author of a worker writes: a function from a [`Task`] to a [`Reply`].

use std::{future::Future, sync::Arc};

use futures_util::future::BoxFuture;
use repartee_proto::v1;

use crate::{HandlerError, Task};

/// What a bot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    text: String,
    eq_score: i32,
}

impl Reply {
    /// A reply of 1 to 16,384 bytes. One that the service refuses, because it is empty or too long, counts as a
    /// failed attempt.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), eq_score: 0 }
    }

    /// A score that the site keeps with the reply.
    #[must_use]
    pub fn eq_score(mut self, score: i32) -> Self {
        self.eq_score = score;
        self
    }
}

impl From<Reply> for v1::Reply {
    fn from(reply: Reply) -> Self {
        Self { text: reply.text, eq_score: reply.eq_score }
    }
}

/// What one call of a handler came to; `None` completes the message without a reply.
pub(crate) type Outcome = Result<Option<Reply>, HandlerError>;

/// A handler of any type, as the session keeps it.
pub(crate) type Handler = Arc<dyn Fn(Task) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// Erases the types of a handler, so that the session is not generic over them.
pub(crate) fn boxed<H, F, R>(handler: H) -> Handler
where
    H: Fn(Task) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<Option<Reply>>,
{
    let handler = Arc::new(handler);
    Arc::new(move |task| {
        let handler = Arc::clone(&handler);
        // The handler is called inside the future, so that its panic is the attempt's, wherever it happens.
        Box::pin(async move { handler(task).await.map(Into::into) })
    })
}
