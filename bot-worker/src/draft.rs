//! What a handler shows of its answer while it works on it.
//!
//! Showing is of no consequence: it never waits, never fails, and takes nothing from the answer. A service that is slow, is
//! away or knows no drafts sees fewer of them, or none.

use futures_util::{Stream, stream::unfold};
use repartee_proto::v1::{LeaseRef, StreamDraftRequest, stream_draft_request::Content};
use tokio::{
    sync::watch,
    time::{Duration, sleep},
};
use tonic::Request;

use crate::{
    backoff::{Backoff, Waits},
    client::Client,
    status,
    text::{REPLY_BYTES, cut},
    traces,
};

/// Between two texts: the service shows no more.
const EVERY: Duration = Duration::from_millis(100);
/// Waits before the draft is shown again after its connection broke.
const AGAIN: Waits = Waits::new(Duration::from_millis(200), Duration::from_secs(5));

/// Shows people what the bot is writing, before it has finished.
#[derive(Debug, Clone)]
pub struct Draft(watch::Sender<Written>);

/// What was written so far.
#[derive(Debug, Clone, Default)]
struct Written {
    text: String,
    /// Counts how often the text began anew.
    edition: u64,
}

/// What the service has of it.
struct Shown {
    lease: Option<LeaseRef>,
    written: watch::Receiver<Written>,
    edition: u64,
    bytes: usize,
}

impl Draft {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::default())
    }

    /// Adds to what is shown. Costs a copy of `more`, and returns at once; what exceeds 16,384 bytes in all is not shown.
    pub fn push(&self, more: impl AsRef<str>) {
        let more = more.as_ref();
        self.0.send_if_modified(|written| {
            let before = written.text.len();
            written.text.push_str(cut(more, REPLY_BYTES.saturating_sub(before)));
            written.text.len() > before
        });
    }

    /// Shows this in place of all that was shown before.
    pub fn replace(&self, text: impl AsRef<str>) {
        let text = cut(text.as_ref(), REPLY_BYTES).to_owned();
        self.0.send_modify(|written| *written = Written { text, edition: written.edition + 1 });
    }

    /// Takes what is pushed to the service, from the first push on, until this is dropped or the service refuses it. After
    /// a broken connection it begins again with all that there is.
    pub(crate) async fn show(self, client: Client, lease: LeaseRef) {
        let (id, mut written) = (lease.message_id.clone(), self.0.subscribe());
        // Held by the attempt as well, so it is not closed before this is dropped.
        if written.wait_for(|written| !written.text.is_empty()).await.is_err() {
            return;
        }
        let mut backoff = Backoff::new(AGAIN);
        loop {
            let shown = Shown { lease: Some(lease.clone()), written: written.clone(), edition: 0, bytes: 0 };
            let mut client = client.clone();
            let send = |request| async move { client.stream_draft(request).await };
            let shown = traces::call("StreamDraft", Request::new(steps(shown)), send).await;
            let Err(status) = shown else { return };
            let wait = status::asked_wait(&status).max(backoff.next(rand::random()));
            let again = status::may_pass(status.code());
            tracing::debug!(id, code = ?status.code(), again, "the draft is not shown any more");
            if !again {
                return;
            }
            sleep(wait).await;
        }
    }
}

/// The steps, each when the connection takes it: what comes in between is one step.
fn steps(shown: Shown) -> impl Stream<Item = StreamDraftRequest> + Send {
    unfold(shown, async |mut shown| {
        if shown.lease.is_none() {
            sleep(EVERY).await;
            shown.written.changed().await.ok()?;
        }
        let content = shown.content();
        let request = StreamDraftRequest { lease: shown.lease.take(), content: Some(content) };
        Some((request, shown))
    })
}

impl Shown {
    fn content(&mut self) -> Content {
        let written = self.written.borrow_and_update();
        // A service that shows NUL to nobody would refuse the rest with it.
        let clean = |text: &str| text.replace('\0', " ");
        let content = if written.edition == self.edition && self.bytes > 0 {
            Content::Delta(clean(&written.text[self.bytes..]))
        } else {
            Content::Text(clean(&written.text))
        };
        (self.edition, self.bytes) = (written.edition, written.text.len());
        content
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, future::FutureExt as _};
    use repartee_proto::v1::{LeaseRef, stream_draft_request::Content};

    use super::{Draft, Shown, steps};

    fn shown(draft: &Draft) -> Shown {
        Shown { lease: Some(LeaseRef::default()), written: draft.0.subscribe(), edition: 0, bytes: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_pushed_between_two_steps_is_one_step() {
        let draft = Draft::new();
        draft.push("I ");
        let mut steps = Box::pin(steps(shown(&draft)));
        let first = steps.next().await.unwrap();
        assert_eq!((first.lease.is_some(), first.content), (true, Some(Content::Text("I ".into()))));
        assert!(steps.next().now_or_never().is_none(), "nothing is new");
        draft.push("think");
        draft.push(", so");
        let second = steps.next().await.unwrap();
        assert_eq!((second.lease, second.content), (None, Some(Content::Delta("think, so".into()))));
        draft.replace("No");
        draft.push("!");
        assert_eq!(steps.next().await.unwrap().content, Some(Content::Text("No!".into())));
    }

    #[test]
    fn a_draft_is_as_long_as_a_reply_may_be() {
        let draft = Draft::new();
        for _ in 0..9_000 {
            draft.push("ää");
        }
        assert_eq!(draft.0.borrow().text.len(), 16_384);
        draft.push("x");
        assert_eq!(draft.0.borrow().text.len(), 16_384);
    }
}
