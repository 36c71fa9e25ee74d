//! The tasks of streams over HTTP/2: each ends by itself if its peer takes too little of the answer.
//!
//! A peer that leaves the window of a stream closed keeps the library from asking for more of its body, for as long as the
//! connection lives; the socket itself may be well. So it is not the body that watches, but the task around it. When that
//! is dropped, the library resets the stream.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::{
    task::futures::TaskLocalFuture,
    time::{Instant, Sleep, sleep},
};

use crate::{
    Patience,
    sent::{Progress, STREAM},
};

/// Starts the task of each stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamExecutor(pub(crate) Patience);

pin_project! {
    /// One stream.
    struct Watched<F> {
        #[pin]
        inner: TaskLocalFuture<Arc<Progress>, F>,
        progress: Arc<Progress>,
        patience: Patience,
        // Runs while something waits for the peer.
        timer: Option<Pin<Box<Sleep>>>,
        // What the peer had taken when it began to run.
        taken: u64,
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        let progress = Arc::new(Progress::default());
        let inner = STREAM.scope(Arc::clone(&progress), stream);
        tokio::spawn(Watched { inner, progress, patience: self.0, timer: None, taken: 0 });
    }
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.inner.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !this.progress.is_blocked() {
            *this.timer = None;
            return Poll::Pending;
        }
        let taken = this.progress.taken();
        let timer = this.timer.get_or_insert_with(|| {
            *this.taken = taken;
            Box::pin(sleep(this.patience.idle))
        });
        while timer.as_mut().poll(cx).is_ready() {
            if taken - *this.taken < this.patience.least_bytes() {
                tracing::debug!("a stream is reset: its answer is not read");
                return Poll::Ready(());
            }
            *this.taken = taken;
            timer.as_mut().reset(Instant::now() + this.patience.idle);
        }
        Poll::Pending
    }
}
