//! Which work an operator looks for, and which messages a step is taken on.

use repartee_proto::v1;
use uuid::Uuid;

use super::{BATCH, act::REASON_CHARS, act::key, page, uuid};
use crate::{
    domain::{Checks, Limits, Rejection, Status},
    reads::WorkFilter,
};

/// Longest part of an error that is looked for, in characters.
const ERROR_CHARS: u32 = 200;
/// Messages on a page whose reader did not say.
const PAGE: u32 = 50;

/// Which work, and how much of it.
pub(in crate::grpc) fn work(
    limits: &Limits,
    request: &v1::ListWorkRequest,
) -> Result<(WorkFilter, usize), Rejection> {
    let mut checks = Checks::new(limits);
    let mut name = |field: &str, name: &str| {
        let mut name = name.to_owned();
        let is_given = !name.is_empty();
        if is_given {
            checks.name(field, &mut name);
        }
        is_given.then_some(name)
    };
    let entity = name("entity", &request.entity);
    let worker = name("worker_id", &request.worker_id);
    checks.chars("error", &request.error, 0, ERROR_CHARS);
    let status = match v1::Status::try_from(request.status) {
        Ok(v1::Status::Unspecified) => None,
        Ok(v1::Status::Pending) => Some(Status::Pending),
        Ok(v1::Status::Processing) => Some(Status::Processing),
        Ok(v1::Status::Complete) => Some(Status::Complete),
        Ok(v1::Status::Failed) => Some(Status::Failed),
        Err(_) => {
            let why = format!("must be PENDING, PROCESSING, COMPLETE or FAILED, is {}", request.status);
            checks.refuse("status", why);
            None
        }
    };
    let author = Some(&request.author).filter(|author| !author.is_empty());
    let author = author.and_then(|author| key(&mut checks, "author", author));
    checks.done()?;
    let (_, limit) = page(limits, String::new(), request.limit, PAGE)?;
    let error = Some(request.error.to_lowercase()).filter(|error| !error.is_empty());
    Ok((WorkFilter { entity, status, worker, author, error }, limit))
}

/// The messages that a step is taken on, and why.
pub(in crate::grpc) fn messages(
    limits: &Limits,
    ids: &[String],
    why: String,
) -> Result<(Vec<Uuid>, String), Rejection> {
    let mut checks = Checks::new(limits);
    checks.range("message_ids", ids.len() as i64, 1, BATCH as i64);
    checks.chars("reason", &why, 0, REASON_CHARS);
    // So many at the most: a list that is too long is refused by its length.
    let some = ids.iter().take(BATCH).enumerate();
    let ids = some.filter_map(|(at, id)| uuid(&mut checks, &format!("message_ids[{at}]"), id)).collect();
    checks.done()?;
    Ok((ids, why))
}
