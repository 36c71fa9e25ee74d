//! Deleted is gone: what a message said, before an edit or a deletion, and the errors that may quote it, are in no file any more.

use std::fs;

use super::Kept;
use crate::{
    domain::{
        Failure,
        tests::{
            history::Act,
            world::{failure, lease, question},
        },
    },
    journal::{Commit, Journal as _, Tally},
};

/// Whether a text is in any file of the data directory.
fn is_on_disk(kept: &Kept, text: &str) -> bool {
    let mut folders = vec![kept.dir.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if memchr(&fs::read(entry.path()).unwrap(), text.as_bytes()) {
                return true;
            }
        }
    }
    false
}

fn memchr(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// Commits what the world did since a number of changes.
fn keep_since(kept: &mut Kept, seen: usize) {
    let world = &kept.lived.world;
    let (stamp, at, changes) = (world.queue.last_stamp(), world.now, world.log[seen..].to_vec());
    kept.journal.append(&Commit { stamp, at, changes, ..Commit::default() }, &Tally::default()).unwrap();
}

#[test]
fn a_deleted_text_is_in_no_file() {
    let mut kept = Kept::new();
    let secret =
        crate::domain::NewMessage { text: "my number is 555-0199".to_owned(), ..question("ann", "bot") };
    let id = kept.lived.world.post(secret).content.id;
    keep_since(&mut kept, 0);
    assert!(is_on_disk(&kept, "555-0199"));
    kept.lived.world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    keep_since(&mut kept, 1);
    kept.journal.settle();
    assert!(!is_on_disk(&kept, "555-0199"));
    let kept = kept.reopen();
    assert!(!is_on_disk(&kept, "555-0199"));
    assert!(kept.store.find(id, &Tally::default()).unwrap().unwrap().state.deleted);
}

#[test]
fn what_an_edit_replaces_is_in_no_file_and_neither_are_errors_once_their_message_is_deleted() {
    let mut kept = Kept::new();
    let first = crate::domain::NewMessage { text: "the first wording".to_owned(), ..question("ann", "bot") };
    let id = kept.lived.world.post(first).content.id;
    for quoted in ["quoting 555-0199 once", "quoting 555-0199 again"] {
        let leased = kept.lived.world.claim(id, "w").unwrap();
        kept.lived
            .world
            .fail(&lease(&leased), Failure { retry_after_ms: Some(0), ..failure(quoted) })
            .unwrap();
    }
    keep_since(&mut kept, 0);
    let seen = kept.lived.world.log.len();
    let edit = crate::domain::Update { text: Some("the second wording".to_owned()), ..Default::default() };
    let editor = crate::domain::Editor::Operator;
    kept.lived.world.run(&[id], |queue, at| queue.update(id, edit, editor, at)).unwrap();
    keep_since(&mut kept, seen);
    kept.journal.settle();
    assert!(!is_on_disk(&kept, "the first wording"));
    assert!(is_on_disk(&kept, "the second wording") && is_on_disk(&kept, "555-0199"));
    let mut kept = kept.reopen();
    let errors = kept.store.live(&Tally::default()).unwrap().remove(0).state.work.unwrap().errors;
    assert_eq!(errors, ["quoting 555-0199 once", "quoting 555-0199 again"]);

    let seen = kept.lived.world.log.len();
    kept.lived.world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    keep_since(&mut kept, seen);
    kept.journal.settle();
    assert!(!is_on_disk(&kept, "555-0199") && !is_on_disk(&kept, "wording"));
}

#[test]
fn what_was_to_be_erased_when_the_process_ended_is_erased_by_the_next_start() {
    let mut kept = Kept::new();
    kept.keep(&[(0, vec![Act::Say { site: 0, human: 0 }])]);
    kept.journal.settle();
    let said = kept.lived.messages()[0].content.text.clone();
    assert!(is_on_disk(&kept, &said));
    // The log alone, as a kill leaves it: nothing was erased, and nothing is in the index.
    kept.journal.stop_settling();
    kept.keep(&[(1, vec![Act::Delete(0)])]);
    assert!(is_on_disk(&kept, &said));
    let kept = kept.reopen();
    assert!(!is_on_disk(&kept, &said));
}
