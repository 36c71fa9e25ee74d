//! ListMessages, ListRooms, ListPending, ListFailed and ListHidden: pages of the feed, forwards and back, of the rooms, of
//! what waits for a worker, of what was given up, and of what is hidden.

use repartee_proto::v1::{self, list_messages_request::Position};
use tonic::Status;

use super::{QueueGrpc, answer, caller::Caller, check, service::refused, status};
use crate::{
    domain::{Millis, Rejection},
    reads::{Cursor, Listed, Lost},
    views::Room,
    writer::Clock as _,
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
        // Behind a kept message from before the log's beginning, changes were removed: a cursor from there is lost.
        let cursor = Some(self.reads.cursor(next)).filter(|cursor| self.reads.position(cursor).is_ok());
        Ok(v1::ListMessagesResponse {
            messages: items.iter().map(|record| self.message(record)).collect(),
            next_cursor: cursor.map(|cursor| cursor.to_string()).unwrap_or_default(),
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
                    messages: items.iter().map(|change| self.message(&change.record)).collect(),
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
            messages: items.iter().map(|record| self.message(record)).collect(),
            next_cursor: self.reads.cursor(next).to_string(),
            more: false,
            reset: true,
            reset_reason: lost.to_owned(),
            kv_stats: answer::kv_stats(reads),
            older,
        })
    }

    pub(super) fn list_of_pending(
        &self,
        caller: &Caller,
        v1::ListPendingRequest { entity, limit }: v1::ListPendingRequest,
    ) -> Result<v1::ListPendingResponse, Status> {
        let (entity, limit) = check::pending(&self.limits, entity, limit, PAGE).map_err(refused)?;
        let entities = Self::granted(caller, entity.into_iter().collect()).map_err(refused)?;
        let (pending, more) = self.reads.pending(&entities, limit, self.clock.read().now);
        let messages = pending.iter().map(|record| answer::work_for(caller, record)).collect();
        Ok(v1::ListPendingResponse { messages, kv_stats: answer::kv_stats(0), more })
    }

    pub(super) fn list_of_rooms(
        &self,
        request: &v1::ListRoomsRequest,
    ) -> Result<v1::ListRoomsResponse, Status> {
        let (_, limit) = check::page(&self.limits, String::new(), request.limit, PAGE).map_err(refused)?;
        let cursor = match request.cursor.as_str() {
            "" => None,
            given => Some(Cursor::parse(given).ok_or_else(|| status::no_cursor(given))?),
        };
        // Numbers of another log say nothing about this one.
        let is_of_this_log = |cursor: &Cursor| self.reads.cursor(0).epoch == cursor.epoch;
        let reset = cursor.as_ref().is_some_and(|cursor| !is_of_this_log(cursor));
        let before = cursor.filter(is_of_this_log).map_or(u64::MAX, |cursor| cursor.seq);
        let page = self.reads.rooms(before, limit).ok_or_else(status::rooms_not_listed)?;
        let last = page.items.last().filter(|_| page.more);
        Ok(v1::ListRoomsResponse {
            next_cursor: last.map(|room| self.reads.cursor(room.posted).to_string()).unwrap_or_default(),
            more: page.more,
            reset,
            as_of: self.reads.cursor(page.tail).to_string(),
            kv_stats: answer::kv_stats(0),
            rooms: page.items.iter().map(room).collect(),
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
        let failed =
            records.iter().map(|record| answer::failed(record, self.message_for_operator(record))).collect();
        Ok(v1::ListFailedResponse { failed, kv_stats: answer::kv_stats(reads), more })
    }

    pub(super) async fn list_of_hidden(
        &self,
        request: v1::ListHiddenRequest,
    ) -> Result<v1::ListHiddenResponse, Status> {
        let v1::ListHiddenRequest { limit, before_id } = request;
        let (_, limit) = check::page(&self.limits, String::new(), limit, PAGE).map_err(refused)?;
        let before = before_id.map_or(Ok(u64::MAX), |id| self.number(&id))?;
        let (records, more, reads) = self.reads.hidden(before, limit).await.map_err(status::storage)?;
        let messages = records.iter().map(|record| self.message_for_operator(record)).collect();
        Ok(v1::ListHiddenResponse { messages, kv_stats: answer::kv_stats(reads), more })
    }

    /// The place of the message before which a list is to end.
    pub(super) fn number(&self, before_id: &str) -> Result<u64, Status> {
        let id = check::id(&self.limits, "before_id", before_id).map_err(refused)?;
        let unknown = || {
            Rejection::field("before_id", format!("must be the id of a message, no message has the id {id}"))
        };
        self.reads.number(id).ok_or_else(|| refused(unknown()))
    }
}

fn room(room: &Room) -> v1::Room {
    v1::Room { domain: room.domain.to_string(), last_activity: room.stamp }
}

fn timestamp(after: i64) -> Result<Millis, Status> {
    let negative = || Rejection::field("after", format!("must be 0 or more, is {after}"));
    (after > 0).then_some(after).ok_or_else(|| refused(negative()))
}
