//! The body of an answer on its way: in pieces that share the bytes, with a permit that is held until the last of them is
//! sent, however long the peer takes.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_util::task::AtomicWaker;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::connections::{AnswerPermit, HeldAnswer, OpenRequest};

/// Largest piece over HTTP/2: of what its peer does not take, the library holds one of each stream.
const PIECE: usize = 64 * 1024;
/// So much may be left with the library when a stream over HTTP/2 is over for us, and is watched no more.
const REST: u64 = 4 * 1024;

type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// The body of an answer on its way.
    pub struct SentBody<B> {
        #[pin]
        inner: B,
        // Most bodies have neither, and open streams are many: they take no room here.
        later: Option<Box<Later>>,
        permit: Option<Held>,
        // How far its stream is, over HTTP/2.
        progress: Option<Arc<Progress>>,
        request: OpenRequest,
    }
}

/// What was not handed on yet.
#[derive(Debug, Default)]
struct Later {
    /// Of a frame.
    rest: Bytes,
    /// What comes behind it.
    trailers: Option<HeaderMap>,
}

/// What holds bytes of an answer.
#[derive(Debug)]
enum Held {
    One(AnswerPermit),
    Shared(Arc<AnswerPermit>),
}

/// Bytes on their way to the socket.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    progress: Option<Arc<Progress>>,
    _permit: Option<Held>,
}

/// How far the body of one stream over HTTP/2 is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Bytes that went to the socket.
    taken: AtomicU64,
    /// Bytes of pieces that did not yet.
    waiting: AtomicU64,
    /// True while there is something that waits for the peer.
    is_blocked: AtomicBool,
    waker: AtomicWaker,
}

tokio::task_local! {
    /// The progress of the stream whose task this is.
    pub(crate) static STREAM: Arc<Progress>;
}

impl<B: Body<Data = Bytes>> SentBody<B> {
    /// Of an answer to `request`. One that brings no permit, and whose length is known, is counted here.
    pub(crate) fn new(inner: B, held: Option<HeldAnswer>, request: OpenRequest) -> Self {
        let length = inner.size_hint().exact().filter(|length| *length > 0);
        let permit = match (held, length) {
            (Some(HeldAnswer(permit)), _) => Some(Held::Shared(permit)),
            (None, Some(length)) => Some(Held::One(request.connection().count_answer(length))),
            (None, None) => None,
        };
        let progress = STREAM.try_with(Arc::clone).ok();
        Self { inner, later: None, permit, progress, request }
    }
}

impl<B> Body for SentBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BoxError>>> {
        let mut this = self.project();
        loop {
            if let Some(later) = this.later.as_mut().filter(|later| !later.rest.is_empty()) {
                let is_last = this.inner.is_end_stream();
                let piece = cut(&mut later.rest, this.permit, is_last, this.progress.as_ref());
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let frame = if this.later.as_ref().is_none_or(|later| later.trailers.is_none()) {
                let polled = this.inner.as_mut().poll_frame(cx);
                if let (Poll::Pending, Some(progress)) = (&polled, this.progress.as_ref()) {
                    progress.is_blocked.store(false, Ordering::Relaxed);
                }
                ready!(polled).transpose().map_err(Into::into)?
            } else {
                None
            };
            match frame.map(Frame::into_data) {
                Some(Ok(mut data)) => {
                    if data.is_empty() {
                        continue;
                    }
                    // Of a body whose length is not known, each frame is counted by itself.
                    if this.permit.is_none() {
                        let counted = this.request.connection().count_answer(data.len() as u64);
                        *this.permit = Some(Held::One(counted));
                    }
                    let is_last = this.inner.is_end_stream();
                    let piece = cut(&mut data, this.permit, is_last, this.progress.as_ref());
                    if !data.is_empty() {
                        this.later.get_or_insert_default().rest = data;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
                Some(Err(frame)) => {
                    this.later.get_or_insert_default().trailers = frame.into_trailers().ok();
                }
                None => {}
            }
            // The stream is watched until its peer has taken all but a rest.
            if let Some(progress) = this.progress.as_ref() {
                ready!(progress.poll_taken(cx));
            }
            let trailers = this.later.as_mut().and_then(|later| later.trailers.take());
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.later.as_ref().is_none_or(|later| later.rest.is_empty() && later.trailers.is_none())
            && self.inner.is_end_stream()
            && self.progress.as_ref().is_none_or(|progress| progress.is_taken())
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.later.as_ref().map_or(0, |later| later.rest.len() as u64);
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + rest);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

/// The next piece of `rest`. The last one takes the permit along.
fn cut(
    rest: &mut Bytes,
    permit: &mut Option<Held>,
    is_last: bool,
    progress: Option<&Arc<Progress>>,
) -> Piece {
    let length = if progress.is_some() { rest.len().min(PIECE) } else { rest.len() };
    let bytes = rest.split_to(length);
    let is_last = is_last && rest.is_empty();
    let held = match permit.take() {
        held if is_last => held,
        Some(Held::One(one)) => Some(Held::Shared(Arc::new(one))),
        shared => shared,
    };
    if let (false, Some(Held::Shared(shared))) = (is_last, &held) {
        *permit = Some(Held::Shared(Arc::clone(shared)));
    }
    if let Some(progress) = progress {
        progress.is_blocked.store(true, Ordering::Relaxed);
        progress.waiting.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }
    Piece { bytes, progress: progress.cloned(), _permit: held }
}

impl Progress {
    /// True while something waits for the peer.
    pub(crate) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// Bytes that the peer has taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn is_taken(&self) -> bool {
        self.waiting.load(Ordering::Acquire) <= REST
    }

    /// Ready once the peer has taken all but a rest.
    fn poll_taken(&self, cx: &Context<'_>) -> Poll<()> {
        if self.is_taken() {
            return Poll::Ready(());
        }
        self.waker.register(cx.waker());
        // It may have been taken in between.
        if self.is_taken() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn take(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        let before = self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        if before > REST && before - bytes <= REST {
            self.waker.wake();
        }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(progress) = &self.progress {
            progress.take(count);
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // What is dropped unsent waits for nobody either.
        if let Some(progress) = &self.progress
            && !self.bytes.is_empty()
        {
            progress.take(self.bytes.len());
        }
    }
}
