//! An answer that goes on only as long as the right counts by which it was asked for.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    http::HeaderMap,
};
use http_body::Frame;
use pin_project_lite::pin_project;

use super::{rights::Standing, status};

type Lost = Pin<Box<dyn Future<Output = ()> + Send>>;

pin_project! {
    /// The body of such an answer. It ends with PERMISSION_DENIED once the right is lost.
    pub(super) struct WhileAllowed {
        #[pin]
        inner: Body,
        // None once it has ended.
        lost: Option<Lost>,
    }
}

impl WhileAllowed {
    pub(super) fn new(inner: Body, standing: Standing) -> Self {
        Self { inner, lost: Some(Box::pin(async move { standing.lost().await })) }
    }
}

impl http_body::Body for WhileAllowed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        let Some(lost) = this.lost else { return Poll::Ready(None) };
        if lost.as_mut().poll(cx).is_pending() {
            return this.inner.poll_frame(cx);
        }
        *this.lost = None;
        let mut trailers = HeaderMap::new();
        let added = status::token_refused().add_header(&mut trailers);
        Poll::Ready(Some(added.map(|()| Frame::trailers(trailers)).map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.lost.is_none() || self.inner.is_end_stream()
    }
}
