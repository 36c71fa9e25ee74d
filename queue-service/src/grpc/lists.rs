//! ListMessages and ListFailed: pages of the feed, forwards and back, and of what was given up.

use repartee_proto::v1::{self, list_messages_request::Position};
use tonic::Status;

use super::{QueueGrpc, answer, check, service::refused, status};
use crate::{
    domain::{Millis, Rejection},
    reads::{Cursor, Listed, Lost},
};

/// Messages on a page whose reader did not say.
pub(super) const PAGE: u32 = 50;

impl QueueGrpc {
    pub(super) async fn list(
        &self,
        request: v1::ListMessagesRequest,
    ) -> Result<v1::ListMessagesResponse, Status> {
        let v1::ListMessagesRequest { domain, position, limit } = request;
        let (domain, limit) = check::page(&self.limits, domain, limit, PAGE).map_err(refused)?;
        let (mut is_newest, mut goes_back) = (false, false);
        let listed = match position {
            None | Some(Position::After(0)) => {
                is_newest = true;
                self.reads.newest(domain, limit).await
            }
            Some(Position::After(after)) => self.reads.after(domain, timestamp(after)?, limit).await,
            Some(Position::BeforeId(id)) => {
                goes_back = true;
                self.reads.before(domain, self.number(&id)?, limit).await
            }
            Some(Position::Cursor(cursor)) => return self.list_changes(domain, &cursor, limit).await,
        };
        let Listed { items, next, more, reads } = listed.map_err(status::storage)?;
        let older = more && (is_newest || goes_back);
        Ok(v1::ListMessagesResponse {
            messages: items.iter().map(|record| answer::message(record)).collect(),
            next_cursor: self.reads.cursor(next).to_string(),
            more: more && !is_newest,
            older,
            kv_stats: answer::kv_stats(reads),
            ..Default::default()
        })
    }

    /// The feed by cursor; the newest page, marked as a reset, where the position is lost.
    async fn list_changes(
        &self,
        domain: Option<String>,
        cursor: &str,
        limit: usize,
    ) -> Result<v1::ListMessagesResponse, Status> {
        let cursor = Cursor::parse(cursor).ok_or_else(|| status::no_cursor(cursor))?;
        let read = match self.reads.position(&cursor) {
            Ok(seq) => {
                let read = self.reads.changes("ListMessages", domain.clone(), seq, limit).await;
                read.map_err(status::storage)?
            }
            Err(lost) => Err(lost),
        };
        let Lost(lost) = match read {
            Ok(Listed { items, next, more, reads }) => {
                return Ok(v1::ListMessagesResponse {
                    messages: items.iter().map(|change| answer::message(&change.record)).collect(),
                    next_cursor: self.reads.cursor(next).to_string(),
                    more,
                    kv_stats: answer::kv_stats(reads),
                    ..Default::default()
                });
            }
            Err(lost) => lost,
        };
        let Listed { items, next, more: older, reads } =
            self.reads.newest(domain, limit).await.map_err(status::storage)?;
        Ok(v1::ListMessagesResponse {
            messages: items.iter().map(|record| answer::message(record)).collect(),
            next_cursor: self.reads.cursor(next).to_string(),
            more: false,
            reset: true,
            reset_reason: lost.to_owned(),
            kv_stats: answer::kv_stats(reads),
            older,
        })
    }

    pub(super) async fn list_of_failed(
        &self,
        request: v1::ListFailedRequest,
    ) -> Result<v1::ListFailedResponse, Status> {
        let v1::ListFailedRequest { limit, before_id } = request;
        let (_, limit) = check::page(&self.limits, String::new(), limit, PAGE).map_err(refused)?;
        let before = before_id.map_or(Ok(u64::MAX), |id| self.number(&id))?;
        let (records, more, reads) = self.reads.failed(before, limit).await.map_err(status::storage)?;
        let failed = records.iter().map(answer::failed).collect();
        Ok(v1::ListFailedResponse { failed, kv_stats: answer::kv_stats(reads), more })
    }

    /// The place of the message before which a list is to end.
    fn number(&self, before_id: &str) -> Result<u64, Status> {
        let id = check::id(&self.limits, "before_id", before_id).map_err(refused)?;
        let unknown = || {
            Rejection::field("before_id", format!("must be the id of a message, no message has the id {id}"))
        };
        self.reads.number(id).ok_or_else(|| refused(unknown()))
    }
}

fn timestamp(after: i64) -> Result<Millis, Status> {
    let negative = || Rejection::field("after", format!("must be 0 or more, is {after}"));
    (after > 0).then_some(after).ok_or_else(|| refused(negative()))
}
