//! Authors, who edit and delete, and operators, who retry and cancel.

use rand::RngExt;
use repartee_proto::v1::Status;

use super::{Cast, Client, pace};
use crate::{
    history::Answer,
    request::{Edit, Request},
};

/// Edits messages, and deletes some by their edit tokens, until enough was asked.
pub(super) async fn edit(cast: Cast, mut client: Client) {
    let mut pace = pace(15);
    while !cast.enough.is_cancelled() {
        pace.tick().await;
        let Some(known) = client.recorder.any_known(&mut client.random) else { continue };
        if client.random.random_ratio(1, 12) {
            let deletion = Request::Delete { id: known.id, token: Some(known.edit_token) };
            client.call(deletion.clone()).await;
            if client.random.random_ratio(1, 4) {
                client.call(deletion).await;
            }
            continue;
        }
        let mark = client.recorder.mark();
        let text = client.random.random_bool(0.8).then(|| format!("Edit {mark}."));
        let priority = (known.is_work && client.random.random_bool(0.3)).then_some(mark.unsigned_abs() % 100);
        // Marks are scores, which operators set.
        client
            .call(Request::Edit(Edit { id: known.id, mark, text, priority, status: None, token: None }))
            .await;
    }
}

/// Retries what has failed and cancels at random, until enough was asked.
pub(super) async fn operate(cast: Cast, mut client: Client) {
    let mut pace = pace(40);
    while !cast.enough.is_cancelled() {
        pace.tick().await;
        match client.random.random_range(0..4) {
            0 => {
                let Some(known) = client.recorder.any_known(&mut client.random) else { continue };
                if known.is_work {
                    client.call(Request::Cancel(known.id)).await;
                }
            }
            1 => step_by_hand(&mut client).await,
            _ => retry_one(&mut client).await,
        }
    }
}

/// An edit that is one step along the lifecycle; it is refused where the message stands elsewhere.
async fn step_by_hand(client: &mut Client) {
    let Some(known) = client.recorder.any_known(&mut client.random) else { return };
    if !known.is_work {
        return;
    }
    let steps = [Status::Pending, Status::Complete, Status::Failed];
    let status = Some(steps[client.random.random_range(0..steps.len())]);
    let mark = client.recorder.mark();
    let text = client.random.random_bool(0.5).then(|| format!("Edit {mark}."));
    client.call(Request::Edit(Edit { id: known.id, mark, text, status, ..Edit::default() })).await;
}

async fn retry_one(client: &mut Client) {
    let Some(Answer::Listed { messages, .. }) = client.ask(Request::ListFailed).await else { return };
    if !messages.is_empty() {
        let id = messages[client.random.random_range(0..messages.len())].id.clone();
        client.call(Request::Retry(id)).await;
    }
}
