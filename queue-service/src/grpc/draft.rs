//! StreamDraft: a worker shows what it is writing. The lease is looked up in the views, so that the writer has no work with
//! it; it is looked at again with each text that is shown, and every second. A draft ends with its
//! lease, and with the token that it was begun with.

use std::{pin::pin, time::Duration};

use repartee_proto::v1::{self, stream_draft_request::Content};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tonic::{Status, Streaming};

use super::{QueueGrpc, caller::Caller, check, service::refused, status};
use crate::domain::{LeaseRef, Rejection};

/// Between two texts of one message; what comes in between is shown together.
const EVERY: Duration = Duration::from_millis(100);
/// How often it is looked whether a silent worker still holds its message.
const CHECK: Duration = Duration::from_secs(1);

impl QueueGrpc {
    /// Shows a draft until its stream ends or the lease does.
    pub(super) async fn draft(
        &self,
        caller: &Caller,
        mut requests: Streaming<v1::StreamDraftRequest>,
    ) -> Result<(), Status> {
        let _place = self.streams.enter(&self.streams.drafters)?;
        let first = timeout(self.streams.patience, requests.message());
        let first =
            first.await.map_err(|_| Status::deadline_exceeded("the draft has not begun in time"))??;
        let first = first.unwrap_or_default();
        let lease = check::lease(&self.limits, caller, first.lease.clone()).map_err(refused)?;
        self.may_answer(caller, lease.id).await?;
        let (record, _) = self.reads.message(lease.id).await.map_err(status::storage)?;
        let record = record.ok_or_else(|| refused(Rejection::NotFound(lease.id)))?;
        lease.held_on(&record).map_err(refused)?;

        let mut writing = self.drafts.begin(lease.id, &record.content.domain);
        drop(record);
        let mut text = String::new();
        let mut is_new = self.take_in(&mut text, first.content)?;
        let (mut next, mut check) = (Instant::now(), interval(CHECK));
        let standing = self.rights.standing(caller);
        let mut lost = pin!(standing.lost());
        loop {
            if is_new && Instant::now() >= next {
                self.still_held(&lease)?;
                writing.show(&text);
                (is_new, next) = (false, Instant::now() + EVERY);
            }
            tokio::select! {
                request = requests.message() => match request? {
                    Some(request) if request.lease.is_some() => {
                        return Err(refused(Rejection::field("lease", "is given once, with the first request")));
                    }
                    Some(request) => is_new |= self.take_in(&mut text, request.content)?,
                    None => return Ok(()),
                },
                () = sleep_until(next), if is_new => {}
                _ = check.tick() => self.still_held(&lease)?,
                () = &mut lost => return Err(status::token_refused()),
                () = self.streams.draining.cancelled() => return Err(status::draining()),
            }
        }
    }

    /// Takes in what a request brings; says whether there is something new.
    fn take_in(&self, text: &mut String, content: Option<Content>) -> Result<bool, Status> {
        let field = match content {
            None => return Ok(false),
            Some(Content::Text(whole)) => {
                *text = whole;
                "text"
            }
            Some(Content::Delta(delta)) => {
                text.push_str(&delta);
                "delta"
            }
        };
        check::draft(&self.limits, field, text).map_err(refused)?;
        Ok(true)
    }

    /// The views hold all live work: what is not there is finished.
    fn still_held(&self, lease: &LeaseRef) -> Result<(), Status> {
        let record = self.reads.shown(lease.id);
        let record = record.ok_or_else(|| refused(Rejection::LeaseLost("the message is finished")))?;
        lease.held_on(&record).map_err(refused)
    }
}
