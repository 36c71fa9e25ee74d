//! Which rows a commit writes. A post writes one row, a question two, and a claim a small one, beside two rows for the
//! whole commit.

use std::collections::BTreeMap;

use super::{
    Commit,
    data_size::{self, DataSize},
    keys::{DomainHash, EntityHash, Key},
    stored::{
        StoredAct, StoredBeginning, StoredBlock, StoredCommit, StoredMessage, StoredOwner, StoredPause,
        StoredRequest, StoredState, encode,
    },
};
use crate::domain::{Change, ChangeKind, Status};

/// Rows to write (`Some`) or remove (`None`).
pub(super) type Rows = BTreeMap<Key, Option<Vec<u8>>>;

/// The rows of a commit, each key once: of several changes of one message the last one stands. `left` is what is left of
/// the bytes that are stored; what is stored afterwards is noted in them, and in `size`.
pub(super) fn rows(commit: &Commit, left: Option<u64>, size: &mut DataSize) -> Rows {
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
    for act in &commit.acts.written {
        rows.insert(Key::Act(act.number), Some(encode(&StoredAct::of(act))));
    }
    // Behind what is written: of more entries than are kept, a commit drops some of its own.
    rows.extend(commit.acts.dropped.iter().map(|number| (Key::Act(*number), None)));
    for row in &commit.blocks {
        rows.insert(Key::Block(row.who), row.block.as_ref().map(|block| encode(&StoredBlock::of(block))));
    }
    for change in &commit.changes {
        message_rows(change, &mut rows);
    }
    if let Some(last) = commit.changes.last().map(Change::seq) {
        let mut stored = StoredCommit::of(commit.stamp, &commit.changes).at(commit.at, commit.service_time);
        for domain in &stored.domains {
            rows.insert(Key::Domain(DomainHash::of(domain), last), Some(Vec::new()));
        }
        stored.data_bytes = left;
        let own = data_size::of_row(Key::Commit(last), encode(&stored).len());
        size.newest = last;
        stored.data_bytes = left.map(|left| left + written(&rows) + own);
        size.bytes = stored.data_bytes;
        rows.insert(Key::Commit(last), Some(encode(&stored)));
    } else {
        size.bytes = left;
    }
    if let Some(sweep) = &commit.sweep {
        let begins = StoredBeginning {
            seq: sweep.begins.seq,
            stamp: sweep.begins.stamp,
            indexed: true,
            data_bytes: size.bytes,
            newest: size.newest,
        };
        rows.insert(Key::Begins, Some(encode(&begins)));
    }
    rows
}

fn written(rows: &Rows) -> u64 {
    let written = rows.iter().filter_map(|(key, value)| Some((*key, value.as_ref()?)));
    written.map(|(key, value)| data_size::of_row(key, value.len())).sum()
}

fn message_rows(change: &Change, rows: &mut Rows) {
    let Change { kind, record, request } = change;
    let posted = record.content.posted;
    let status = record.state.work.as_ref().map(|work| work.status);
    let live = matches!(status, Some(Status::Pending | Status::Processing));
    let (deleted, hidden) = (record.state.deleted, record.state.hidden);
    let failed = status == Some(Status::Failed) && !deleted && !hidden;

    // What is said, and whether it is shown, stands in the message's row.
    if matches!(
        kind,
        ChangeKind::Posted
            | ChangeKind::Edited
            | ChangeKind::Deleted
            | ChangeKind::Hidden
            | ChangeKind::Restored
    ) {
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
    } else if matches!(kind, ChangeKind::Retried | ChangeKind::Deleted | ChangeKind::Hidden) {
        rows.insert(Key::Failed(posted), None);
    }
    match kind {
        ChangeKind::Hidden => drop(rows.insert(Key::Hidden(posted), Some(Vec::new()))),
        ChangeKind::Restored => drop(rows.insert(Key::Hidden(posted), None)),
        ChangeKind::Deleted if hidden => drop(rows.insert(Key::Hidden(posted), None)),
        _ => {}
    }
    if let Some(request) = request {
        rows.insert(Key::Request(request.key), Some(encode(&StoredRequest::of(request))));
    }
}
