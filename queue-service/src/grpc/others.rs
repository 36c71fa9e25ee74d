//! Calls that are not ours: health and reflection. Libraries answer them, as often and as long as a client likes, so they
//! are counted here. They have a share of the streams of their own: nobody's watch of the health takes a place away from
//! workers or readers.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::Request,
    response::Response,
};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use repartee_process::{Bound, Fill, Place};
use tokio::time::timeout;
use tonic::Status;

use super::{door::timed, status};

/// Says whether the service serves. Those who watch over it ask, and must learn that it is alive while it is busy.
const CHECK: &str = "/grpc.health.v1.Health/Check";
/// Largest check: it names a service.
const CHECK_BYTES: usize = 4 * 1024;
/// How long a check may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(2);
/// The same while there is no room: one that is sent at once is answered all the same.
const PROMPT: Duration = Duration::from_millis(250);
/// Their share of `--max-streams`.
const SHARE: u32 = 8;

/// Room for calls that are not ours.
#[derive(Debug, Clone)]
pub(crate) struct Others(Bound);

impl Others {
    pub(crate) fn new(max_streams: u32) -> Self {
        Self(Bound::new("other_streams", (max_streams / SHARE).max(1)))
    }

    pub(crate) fn fill(&self) -> Fill {
        self.0.fill()
    }

    /// Answers such a call, whose answer begins within `limit`. A check holds a place until it has arrived, everything else
    /// until its answer has ended.
    pub(super) async fn serve<A>(
        &self,
        limit: Duration,
        request: Request,
        next: impl FnOnce(Request) -> A,
    ) -> Response
    where
        A: Future<Output = Response>,
    {
        if request.uri().path() == CHECK {
            return match self.arrived(request, limit).await {
                Ok(request) => timed(limit, next(request)).await,
                Err(refusal) => refusal.into_http(),
            };
        }
        match self.0.enter(1) {
            Ok(place) => {
                let answer = timed(limit, next(request)).await;
                answer.map(|inner| Body::new(Held { inner, _place: place }))
            }
            Err(full) => status::too_many_streams(full).into_http(),
        }
    }

    async fn arrived(&self, request: Request, limit: Duration) -> Result<Request, Status> {
        let place = self.0.try_enter(1);
        let patience = if place.is_some() { ARRIVAL } else { PROMPT };
        let (parts, body) = request.into_parts();
        match timeout(patience.min(limit), to_bytes(body, CHECK_BYTES)).await {
            Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
            Ok(Err(_)) => Err(Status::invalid_argument(format!(
                "a check of the health has at most {CHECK_BYTES} bytes"
            ))),
            Err(_) if place.is_none() => Err(status::too_many_streams(self.0.refuse())),
            Err(_) => Err(Status::deadline_exceeded("a check of the health has to arrive within 2 s")),
        }
    }
}

pin_project! {
    /// The body of an answer that holds a place.
    struct Held {
        #[pin]
        inner: Body,
        _place: Place,
    }
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
