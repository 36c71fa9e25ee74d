//! Which rows a commit writes. A post writes one row, a question two, and a claim a small one, beside two rows for the
//! whole commit.

use std::collections::BTreeMap;

use super::{
    Commit,
    keys::{DomainHash, EntityHash, Key},
    stored::{StoredCommit, StoredMessage, StoredOwner, StoredPause, StoredRequest, StoredState, encode},
};
use crate::domain::{Change, ChangeKind, Status};

/// Rows to write (`Some`) or remove (`None`), each key once: of several changes of one message the last one stands.
pub(super) fn rows(commit: &Commit) -> BTreeMap<Key, Option<Vec<u8>>> {
    let mut rows = BTreeMap::new();
    for key in &commit.forget {
        rows.insert(Key::Request(*key), None);
    }
    // What this commit changes stands over what it sweeps.
    rows.extend(commit.sweep.iter().flat_map(|sweep| sweep.rows.clone()));
    for (conversation, owner) in &commit.owners {
        rows.insert(Key::Owner(*conversation), Some(encode(&StoredOwner::of(owner))));
    }
    for pause in &commit.pauses {
        let row = StoredPause::of(pause).map(|stored| encode(&stored));
        rows.insert(Key::Pause(EntityHash::of(&pause.entity)), row);
    }
    for change in &commit.changes {
        message_rows(change, &mut rows);
    }
    if let Some(last) = commit.changes.last().map(Change::seq) {
        let stored = StoredCommit::of(commit.stamp, &commit.changes).at(commit.at, commit.service_time);
        for domain in &stored.domains {
            rows.insert(Key::Domain(DomainHash::of(domain), last), Some(Vec::new()));
        }
        rows.insert(Key::Commit(last), Some(encode(&stored)));
    }
    rows
}

fn message_rows(change: &Change, rows: &mut BTreeMap<Key, Option<Vec<u8>>>) {
    let Change { kind, record, request } = change;
    let posted = record.content.posted;
    let status = record.state.work.as_ref().map(|work| work.status);
    let live = matches!(status, Some(Status::Pending | Status::Processing));
    let failed = status == Some(Status::Failed) && !record.state.deleted;

    if matches!(kind, ChangeKind::Posted | ChangeKind::Edited | ChangeKind::Deleted) {
        rows.insert(Key::Message(posted), Some(encode(&StoredMessage::of(record))));
    }
    if status.is_some() {
        let (now, before) = if live {
            (Key::Live(posted), Key::Finished(posted))
        } else {
            (Key::Finished(posted), Key::Live(posted))
        };
        rows.insert(now, Some(encode(&StoredState::of(&record.state))));
        // A message that was just posted has no other row, and one that goes on in the same status has it already.
        if !live || *kind == ChangeKind::Retried {
            rows.insert(before, None);
        }
    }
    if failed {
        rows.insert(Key::Failed(posted), Some(Vec::new()));
    } else if matches!(kind, ChangeKind::Retried | ChangeKind::Deleted) {
        rows.insert(Key::Failed(posted), None);
    }
    if let Some(request) = request {
        rows.insert(Key::Request(request.key), Some(encode(&StoredRequest::of(request))));
    }
}
