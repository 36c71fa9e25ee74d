//! What is done with the data while no service has it open: `--check`, `--rebuild-index` and `--adopt`.
//!
//! A start reads only what it needs, so damage in old messages is found when somebody asks for them. `--check` finds it
//! before: it reads the whole log with all of its checksums, and holds the index against one that is made anew.

use std::{fmt, path::Path};

use uuid::Uuid;

use crate::{
    domain::{ChangeKind, RequestKey},
    journal::{self, Durability, JournalError, OpenError, Store, Tally},
};

/// Changes that are held in memory together.
const CHANGES: usize = 1_000;
/// Idempotency keys that are.
const KEYS: usize = 1_000;

/// What is stored, once all of it was found to be whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    epoch: String,
    changes: u64,
    messages: u64,
    live: u64,
    failed: u64,
    keys: u64,
    commits: u64,
    erased: u64,
    rows: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, changes, messages, live, failed, keys, commits, erased, rows } = self;
        write!(
            f,
            "the log {epoch} is whole: {changes} changes in {commits} commits, {messages} messages, {live} of them pending or \
             processing, {failed} failed, {erased} texts erased; its index agrees: {keys} idempotency keys, {rows} rows"
        )
    }
}

/// Why the data is not whole.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error(transparent)]
    Read(#[from] JournalError),
    #[error("message {0} was posted with change {1}, but is not found by its id")]
    Id(Uuid, u64),
    #[error("the index does not agree with the log: {0}. Make it anew with --rebuild-index")]
    Index(String),
    #[error("{0} texts in the log are not what was written")]
    Bodies(u64),
}

/// Reads all of the data directory. Blocks for as long as that takes.
pub(crate) fn inspect(data_dir: &Path, durability: Durability) -> Result<Found, OpenError> {
    let tally = Tally::default();
    let journal = journal::open_existing(data_dir, durability, &tally)?;
    read_all(journal.store(), &tally)
        .map_err(|wrong| OpenError::Damaged(data_dir.to_owned(), Box::new(wrong)))
}

fn read_all(store: &Store, tally: &Tally) -> Result<Found, Wrong> {
    let verified = store.verify()?;
    if verified.damaged > 0 {
        return Err(Wrong::Bodies(verified.damaged));
    }
    let mut found = Found {
        epoch: store.epoch().to_string(),
        commits: verified.records,
        erased: verified.erased,
        ..Found::default()
    };
    let mut seq = store.begins().seq;
    loop {
        // Nobody else has it open, so nothing is swept meanwhile.
        let page = store.changes_after(seq, None, CHANGES, tally)?.unwrap_or_default();
        for change in &page.changes {
            if change.seq() != seq + 1 {
                return Err(JournalError::Gap(seq + 1).into());
            }
            seq = change.seq();
            found.changes += 1;
            if change.kind == ChangeKind::Posted {
                let content = &change.record.content;
                let by_id = store.find(content.id, tally)?.map(|record| record.content.posted);
                if by_id != Some(content.posted) {
                    return Err(Wrong::Id(content.id, content.posted));
                }
            }
        }
        if !page.more {
            break;
        }
    }
    found.messages = store.count_messages(tally)?;
    found.live = store.live(tally)?.len() as u64;
    found.failed = store.failed(u64::MAX, usize::MAX, tally)?.len() as u64;
    found.keys = count_keys(store, tally)?;
    found.rows = store.check_index(tally)?.map_err(Wrong::Index)?;
    Ok(found)
}

fn count_keys(store: &Store, tally: &Tally) -> Result<u64, JournalError> {
    let (mut count, mut from): (u64, Option<RequestKey>) = (0, None);
    loop {
        let keys = store.requests_after(from, KEYS, tally)?;
        count += keys.len() as u64;
        match keys.last().filter(|_| keys.len() == KEYS) {
            Some(last) => from = Some(last.key),
            None => return Ok(count),
        }
    }
}

/// Makes the index anew, and says what it took. Blocks.
pub(crate) fn rebuild_index(
    data_dir: &Path,
    durability: Durability,
    progress: journal::Progress<'_>,
) -> Result<String, OpenError> {
    let journal = journal::rebuild_index(data_dir, durability, progress)?;
    let seq = journal.store().last(&Tally::default()).map_err(|error| OpenError::reading(data_dir, error))?.0;
    Ok(format!("the index of the log {} is made anew, up to change {seq}", journal.store().epoch()))
}

/// Takes the log as it is, under a new name, and says what that means. Blocks.
pub(crate) fn adopt(
    data_dir: &Path,
    durability: Durability,
    progress: journal::Progress<'_>,
) -> Result<String, OpenError> {
    let (journal, before) = journal::adopt(data_dir, durability, progress)?;
    let store = journal.store();
    let seq = store.last(&Tally::default()).map_err(|error| OpenError::reading(data_dir, error))?.0;
    Ok(format!(
        "the log {before} is taken as it is, up to change {seq}, and called {} from now on: whatever was acknowledged behind \
         that is given up, and everybody who follows the feed begins anew",
        store.epoch()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::tests::history::Act,
        journal::{
            Parts,
            tests::{Kept, spoil_commit},
        },
    };

    fn inspected(kept: Kept) -> Result<Found, OpenError> {
        let Kept { journal, store, dir, .. } = kept;
        drop((journal, store));
        loop {
            match inspect(dir.path(), Durability::Process) {
                // sled gives its lock back a moment after the last handle is gone.
                Err(OpenError::InUse(_)) => std::thread::yield_now(),
                inspected => return inspected,
            }
        }
    }

    #[test]
    fn a_whole_log_is_counted() {
        let mut kept = Kept::new();
        let acts: Vec<_> = (0..5).map(|human| Act::Ask { site: 0, human }).collect();
        kept.keep(&[(0, acts), (1, vec![Act::Say { site: 1, human: 9 }])]);
        let epoch = kept.store.epoch().to_string();
        let found = inspected(kept).unwrap();
        let rows = found.rows;
        assert!(rows > found.live, "{rows}");
        let expected =
            Found { epoch, changes: 6, messages: 6, live: 5, commits: 2, rows, ..Found::default() };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_commit_that_is_not_what_was_written_is_found_wherever_it_is() {
        let mut kept = Kept::new();
        let commits: Vec<_> = (0..50).map(|human| (1, vec![Act::Say { site: 0, human }])).collect();
        kept.keep(&commits);
        // In a part of the log that a start does not read.
        kept.journal.set_parts(Parts { every_ms: None, bytes: Some(1) });
        kept.keep(&commits);
        spoil_commit(kept.dir.path(), &kept.store, 20);
        let OpenError::Damaged(_, wrong) = inspected(kept).unwrap_err() else { panic!("it is damage") };
        assert!(repartee_process::error_chain(&*wrong).contains("0000000000.log, byte "), "{wrong:?}");
    }

    #[test]
    fn where_there_is_no_data_none_is_made() {
        let dir = tempfile::TempDir::new().unwrap();
        let nowhere = dir.path().join("nowhere");
        let wrong = inspect(&nowhere, Durability::Process).unwrap_err();
        assert!(matches!(wrong, OpenError::Directory(..)), "{wrong}");
        assert!(!nowhere.exists());
    }
}
