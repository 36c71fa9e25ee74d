//! GetStats: the queue, its sessions, the cache, and the cost of the calls. Entities and sessions come by page.

use std::{collections::BTreeMap, ops::Bound};

use repartee_process::Fill;
use repartee_proto::v1;
use tonic::Status;

use super::{QueueGrpc, answer, check, service::refused, status};
use crate::{
    domain::{HeldBack, Millis, Moment, OwnName, Queue, SessionView, SessionsAfter},
    journal::CallCost,
    views::{CacheFill, EntityDepth},
    writer::Clock as _,
};

/// Most bytes of one list: together with the other one, an answer stays below 1 MiB, in JSON too.
const LIST_BYTES: usize = 320 * 1024;
/// What a row of a list takes beside its names.
const ROW_BYTES: usize = 160;
/// Most workers that are listed as held back.
const HELD_BACK: usize = 100;

/// A part of a list, and whether there is more.
struct Part<T> {
    rows: Vec<T>,
    more: bool,
}

impl<T> Part<T> {
    /// At most `most` rows of a list, and no more than fit into an answer; `names` says how long the names of a row are.
    fn of(list: impl Iterator<Item = T>, most: usize, names: impl Fn(&T) -> usize) -> Self {
        let (mut part, mut bytes) = (Self { rows: Vec::new(), more: false }, 0);
        for row in list {
            bytes += ROW_BYTES + names(&row);
            if part.rows.len() == most || bytes > LIST_BYTES {
                part.more = true;
                break;
            }
            part.rows.push(row);
        }
        part
    }
}

impl QueueGrpc {
    pub(super) async fn stats(&self, request: v1::GetStatsRequest) -> Result<v1::GetStatsResponse, Status> {
        let check::StatsPage { most, entities_after, sessions_after } =
            check::stats(&request).map_err(refused)?;
        let Moment { now, wall } = self.clock.read();
        let sessions = move |queue: &Queue| {
            let names = |(_, view): &(_, SessionView)| {
                view.worker_id.len() + view.session_id.len() + view.holds_back.as_ref().map_or(0, String::len)
            };
            (
                Part::of(queue.sessions(&sessions_after), most, names),
                queue.count_sessions(),
                queue.held_back(),
            )
        };
        let (sessions, sessions_total, held_back) =
            self.queue.read("Sessions", sessions).await.map_err(status::command)?;
        let failed = match request.only_in_memory {
            true => 0,
            false => self.reads.count_failed("GetStats").await.map_err(status::storage)?,
        };
        let views = &self.reads.views;
        let totals = views.totals(now);
        let paused = views.paused();
        let entities = views.depths(&entities_after, |depths| {
            Part::of(with_paused(depths, &paused, &entities_after), most, |depth| depth.entity.len())
        });
        let next_entity = entities.rows.last().filter(|_| entities.more && most > 0);
        let next_session = sessions.rows.last().filter(|_| sessions.more && most > 0);
        let count = |(kind, count)| v1::ChangeCount { kind: answer::kind(kind).into(), count };
        let begins = self.reads.store.begins();
        Ok(v1::GetStatsResponse {
            begins_after_seq: begins.seq,
            begins_after_timestamp: begins.stamp,
            epoch: self.reads.store.epoch().to_string(),
            tail_seq: self.reads.tail(),
            pending: totals.pending,
            delayed: totals.delayed,
            processing: totals.processing,
            oldest_age: answer::age(totals.oldest, wall),
            failed,
            changes_since_start: views.counts().into_iter().map(count).collect(),
            calls: self.reads.costs.by_call().into_iter().map(call).collect(),
            entities_total: totals.entities,
            next_entities_after: next_entity.map(|depth| depth.entity.clone()).unwrap_or_default(),
            sessions_total: sessions_total as u64,
            next_sessions_after: next_session.map(|(at, _)| written(at)).unwrap_or_default(),
            held_back_total: held_back.len() as u64,
            held_back: held_back
                .into_iter()
                .take(HELD_BACK)
                .map(|worker| one_held_back(worker, now, wall))
                .collect(),
            sessions: sessions.rows.into_iter().map(|(_, view)| session(view)).collect(),
            cache: Some(cache(views.fill())),
            watchers: self.streams.watches.count(),
            bounds: self.fills(&totals).into_iter().map(bound).collect(),
            entities: entities.rows.into_iter().map(|depth| entity(depth, &paused, wall)).collect(),
        })
    }
}

/// A position in the list of sessions as clients give it back.
fn written(at: &SessionsAfter) -> String {
    match at {
        SessionsAfter::Start => String::new(),
        SessionsAfter::Session(session) => format!("s:{}", own_name(session)),
        SessionsAfter::Worker(worker) => format!("w:{}", own_name(worker)),
    }
}

/// The token first: an id of a token has no colon in it.
fn own_name(OwnName { token_id, name }: &OwnName) -> String {
    format!("{}:{name}", token_id.as_deref().unwrap_or_default())
}

/// The entities that have something in the queue, and among them those that are paused without; by name, after this one.
fn with_paused(
    depths: impl Iterator<Item = EntityDepth>,
    paused: &BTreeMap<String, Millis>,
    after: &str,
) -> impl Iterator<Item = EntityDepth> {
    let mut paused = paused.range::<str, _>((Bound::Excluded(after), Bound::Unbounded)).peekable();
    let mut depths = depths.peekable();
    std::iter::from_fn(move || {
        let depth = depths.peek().map(|depth| depth.entity.as_str());
        let idle = paused.next_if(|(name, _)| depth.is_none_or(|depth| name.as_str() <= depth));
        match idle {
            Some((name, _)) if depth != Some(name) => {
                Some(EntityDepth { entity: name.clone(), pending: 0, processing: 0, oldest: None })
            }
            Some(_) | None => depths.next(),
        }
    })
}

fn entity(depth: EntityDepth, paused: &BTreeMap<String, Millis>, wall: Millis) -> v1::EntityStats {
    v1::EntityStats {
        paused: paused.contains_key(&depth.entity),
        entity: depth.entity,
        pending: depth.pending,
        processing: depth.processing,
        oldest_age: answer::age(depth.oldest, wall),
    }
}

fn bound(fill: Fill) -> v1::BoundStats {
    v1::BoundStats { bound: fill.name.to_owned(), held: fill.held, limit: fill.limit }
}

fn call((call, cost): (&'static str, CallCost)) -> v1::CallStats {
    v1::CallStats { call: call.to_owned(), calls: cost.calls, reads: cost.reads, writes: cost.writes }
}

fn session(session: SessionView) -> v1::SessionStats {
    v1::SessionStats {
        worker_id: session.worker_id,
        session_id: session.session_id,
        streams: u32::try_from(session.streams).unwrap_or(u32::MAX),
        leases: u32::try_from(session.leases).unwrap_or(u32::MAX),
        last_renew_at: session.last_renew_at,
        last_claim_at: session.last_claim_at,
        holds_back: session.holds_back,
    }
}

fn one_held_back(worker: HeldBack, now: Millis, wall: Millis) -> v1::HeldBackWorker {
    v1::HeldBackWorker {
        worker_id: worker.worker_id,
        lost_leases: worker.lost,
        paused_until: worker.paused_until.map(|until| until - now + wall),
    }
}

fn cache(fill: CacheFill) -> v1::CacheStats {
    v1::CacheStats {
        messages: fill.messages as u64,
        changes: fill.changes as u64,
        bytes: fill.bytes as u64,
        max_messages: fill.limits.messages as u64,
        max_bytes: fill.limits.bytes as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::{LIST_BYTES, Part};

    #[test]
    fn a_part_of_a_list_ends_with_its_rows_or_its_bytes_and_says_so() {
        let part = |rows: usize, most, bytes| {
            let part = Part::of(0..rows, most, |_| bytes);
            (part.rows.len(), part.more)
        };
        assert_eq!(part(5, 5, 10), (5, false));
        assert_eq!(part(6, 5, 10), (5, true));
        assert_eq!(part(6, 0, 10), (0, true));
        assert_eq!(part(0, 5, 10), (0, false));
        let (rows, more) = part(500, 500, 4_096);
        assert!(more && rows > 70 && rows * 4_096 < LIST_BYTES, "{rows}");
    }
}
