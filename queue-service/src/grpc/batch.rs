//! Batches: one outcome an item, one commit for all that can be done.

use tonic::Status;

use super::status;
use crate::{domain::Rejection, writer::CommandError};

/// Runs the good items of a batch together, and puts each outcome where its item stood.
pub(super) async fn batch<I, T, F>(
    checked: Vec<Result<I, Rejection>>,
    run: impl FnOnce(Vec<I>) -> F,
) -> Result<Vec<Result<T, Rejection>>, Status>
where
    F: Future<Output = Result<Vec<Result<T, Rejection>>, CommandError>>,
{
    let mut good = Vec::new();
    let places: Vec<Result<(), Rejection>> =
        checked.into_iter().map(|item| item.map(|item| good.push(item))).collect();
    let mut outcomes =
        if good.is_empty() { Vec::new() } else { run(good).await.map_err(status::command)? }.into_iter();
    let outcome =
        |place: Result<(), Rejection>| place.and_then(|()| outcomes.next().expect("one outcome an item"));
    Ok(places.into_iter().map(outcome).collect())
}
