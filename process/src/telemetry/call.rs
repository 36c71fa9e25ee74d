//! What is known of the call that is being served. It lies beside the task, so that what is logged, sent on or recorded
//! beneath it need not be handed the call through every function.

use std::cell::RefCell;

use http::HeaderValue;
use tokio::task::futures::TaskLocalFuture;

use super::{Span, TraceContext, is_on};

tokio::task_local! {
    static CALL: Call;
}

/// A call that is being served.
#[derive(Debug, Default)]
pub struct Call {
    /// Its place in a trace: that of its own span if one is recorded, else what its caller sent.
    pub trace: Option<TraceContext>,
    /// The name under which its logs stand elsewhere (`x-request-id`), visible ASCII of at most 128 characters.
    request_id: Option<HeaderValue>,
    /// Ends with the call.
    pub span: RefCell<Span>,
}

/// A future that knows its call.
pub type InCall<F> = TaskLocalFuture<Call, F>;

impl Call {
    /// A call whose span was just begun; `sent` is the context that its caller sent.
    pub fn new(span: Span, sent: Option<TraceContext>) -> Self {
        Self { trace: span.context().or(sent), span: RefCell::new(span), ..Self::default() }
    }

    /// Names it. A clone of a header costs one count.
    #[must_use]
    pub fn named(self, request_id: Option<HeaderValue>) -> Self {
        Self { request_id, ..self }
    }

    /// Its name.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_ref()?.to_str().ok()
    }
}

/// Runs a future as this call.
pub fn in_call<F: Future>(call: Call, future: F) -> InCall<F> {
    CALL.scope(call, future)
}

/// Reads the call that is being served; `None` outside of one.
pub fn with_current<T>(read: impl FnOnce(&Call) -> T) -> Option<T> {
    CALL.try_with(read).ok()
}

/// The place in a trace of what is being done, if that is in one.
pub fn current_trace() -> Option<TraceContext> {
    with_current(|call| call.trace.clone()).flatten()
}

/// The same if spans of that trace are recorded: for links.
pub fn recorded_trace() -> Option<TraceContext> {
    if is_on() { current_trace().filter(TraceContext::is_sampled) } else { None }
}

/// Does something with the span of the call, as when its outcome is known.
pub fn note_outcome(note: impl FnOnce(&mut Span)) {
    with_current(|call| note(&mut call.span.borrow_mut()));
}
