//! Which rows of the index follow from a commit: the costs of each step, and nothing that a restart or a reader would miss.
//! Beside them stands one record in the log, for each commit.

use uuid::Uuid;

use crate::{
    domain::{
        ActKind, ActRows, At, Change, Editor, Failure, Queue, QueueRules, Request, RequestKey, Update,
        tests::world::{World, deed, failure, lease, question, remark},
    },
    journal::{Commit, LogJournal, keys::Key},
};

/// A world of which the test looks at the rows of each step.
struct Steps {
    world: World,
    seen: usize,
}

impl Steps {
    fn new() -> Self {
        Self { world: World::new(QueueRules::default()), seen: 0 }
    }

    /// The rows of what happened since the last look: their letters, with `-` before those that are removed.
    fn rows(&mut self) -> String {
        let changes = self.world.log[self.seen..].to_vec();
        self.seen = self.world.log.len();
        letters(changes, Vec::new())
    }

    fn asked(&mut self) -> Uuid {
        self.world.post(question("ann", "bot")).content.id
    }
}

fn letters(changes: Vec<Change>, forget: Vec<RequestKey>) -> String {
    letters_of(Commit { changes, forget, ..Commit::default() })
}

fn letters_of(commit: Commit) -> String {
    let mut letters: Vec<_> = rows(&commit)
        .into_iter()
        .map(|(key, is_there)| {
            let sign = if is_there.is_some() { "" } else { "-" };
            format!("{sign}{}", char::from(key[0]))
        })
        .collect();
    letters.sort();
    letters.join(" ")
}

/// The keys of rows that follow from a commit in an index that has none, and how long their values are; `None` if they are
/// removed.
fn rows(commit: &Commit) -> Vec<(Vec<u8>, Option<usize>)> {
    let log = repartee_log::MemoryLog::new(1 << 20);
    LogJournal::on(Box::new(log.writer().expect("nobody else has it"))).rows_of(commit)
}

#[test]
fn a_post_without_work_is_listed_in_its_domain() {
    let mut steps = Steps::new();
    steps.world.post(remark("ann"));
    assert_eq!(steps.rows(), "d");
}

#[test]
fn a_question_writes_its_live_row_too() {
    let mut steps = Steps::new();
    steps.asked();
    assert_eq!(steps.rows(), "c d l");
}

#[test]
fn a_post_with_an_idempotency_key_writes_the_key_too() {
    let mut steps = Steps::new();
    let request = Request { key: RequestKey([1; 16]), fingerprint: [1; 16], before: None };
    steps.world.try_post(remark("ann"), Some(request)).unwrap();
    assert_eq!(steps.rows(), "d k");
}

#[test]
fn a_claim_a_release_and_an_expiry_rewrite_only_the_live_row() {
    let mut steps = Steps::new();
    let id = steps.asked();
    steps.rows();
    let leased = steps.world.claim(id, "w").unwrap();
    assert_eq!(steps.rows(), "d l");
    steps.world.release(&lease(&leased)).unwrap();
    assert_eq!(steps.rows(), "d l");
    steps.world.claim(id, "w").unwrap();
    steps.world.pass(10_000);
    assert_eq!(steps.rows(), "d l");
}

#[test]
fn a_renewal_writes_nothing() {
    let mut steps = Steps::new();
    let id = steps.asked();
    let leased = steps.world.claim(id, "w").unwrap();
    steps.rows();
    steps.world.renew(&lease(&leased)).unwrap();
    assert_eq!(steps.rows(), "");
}

#[test]
fn a_completion_moves_the_state_and_leaves_the_message_as_it_is() {
    let mut steps = Steps::new();
    let id = steps.asked();
    let leased = steps.world.claim(id, "w").unwrap();
    steps.rows();
    steps.world.complete(&lease(&leased), None).unwrap();
    assert_eq!(steps.rows(), "-l d s");
}

#[test]
fn a_completion_with_a_reply_writes_the_reply_in_the_same_commit() {
    let mut steps = Steps::new();
    let id = steps.asked();
    let leased = steps.world.claim(id, "w").unwrap();
    steps.rows();
    steps.world.complete(&lease(&leased), Some("It is not.")).unwrap();
    assert_eq!(steps.rows(), "-l c d s");
}

#[test]
fn a_retryable_failure_rewrites_the_live_row_and_a_final_one_lists_the_message_as_failed() {
    let mut steps = Steps::new();
    let id = steps.asked();
    let leased = steps.world.claim(id, "w").unwrap();
    steps.rows();
    steps.world.fail(&lease(&leased), failure("busy")).unwrap();
    assert_eq!(steps.rows(), "d l q");
    let leased = steps.world.claim(id, "w").unwrap();
    steps.rows();
    steps.world.fail(&lease(&leased), Failure { retryable: false, ..failure("no") }).unwrap();
    assert_eq!(steps.rows(), "-l d f q s");
}

#[test]
fn a_retry_lists_the_message_as_live_again_and_not_as_failed() {
    let mut steps = Steps::new();
    let id = steps.asked();
    steps.world.run(&[id], |queue, _| queue.cancel(id)).unwrap();
    assert_eq!(steps.rows(), "c d f q s");
    steps.world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
    assert_eq!(steps.rows(), "-f -s d l q");
}

#[test]
fn an_edit_rewrites_the_message_and_where_it_is_live_its_live_row() {
    let mut steps = Steps::new();
    let asked = steps.asked();
    let said = steps.world.post(remark("ann")).content.id;
    steps.rows();
    for (id, expected) in [(asked, "d l m"), (said, "d m")] {
        let update = Update { text: Some("edited".to_owned()), ..Update::default() };
        steps.world.run(&[id], |queue, at| queue.update(id, update, Editor::Operator, at)).unwrap();
        assert_eq!(steps.rows(), expected);
    }
}

#[test]
fn a_deletion_rewrites_the_message_and_lists_it_nowhere() {
    let mut steps = Steps::new();
    let id = steps.asked();
    steps.rows();
    steps.world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    assert_eq!(steps.rows(), "-f -l d m q s");
}

#[test]
fn a_hidden_message_is_listed_as_such_and_not_as_failed_until_it_is_shown_or_deleted() {
    let mut steps = Steps::new();
    let id = steps.asked();
    steps.rows();
    steps.world.run(&[id], |queue, _| queue.hide(id)).unwrap();
    assert_eq!(steps.rows(), "-f -l d h m q s");
    steps.world.run(&[id], |queue, _| queue.unhide(id)).unwrap();
    assert_eq!(steps.rows(), "-h -l d f m q s");
    steps.world.run(&[id], |queue, _| queue.hide(id)).unwrap();
    steps.rows();
    steps.world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    assert_eq!(steps.rows(), "-f -h -l d m s");
}

#[test]
fn an_act_is_written_with_what_it_did_and_the_oldest_is_removed() {
    let mut world = World::new(QueueRules { max_acts: 1, ..QueueRules::default() });
    for expected in ["a c d f q s", "-a a c d f q s"] {
        let id = world.post(question("ann", "bot")).content.id;
        let before = world.log.len() - 1;
        let cancel = |queue: &mut Queue, at: &mut At<'_>| {
            queue.acting(Some(deed(ActKind::Cancel)), at, |queue, _| queue.cancel(id))
        };
        world.run(&[id], cancel).unwrap();
        let (changes, acts) = (world.log[before..].to_vec(), world.act_rows.clone());
        assert_eq!(letters_of(Commit { changes, acts, ..Commit::default() }), expected);
    }
}

#[test]
fn of_more_acts_in_one_commit_than_are_kept_the_oldest_are_not_stored() {
    let mut world = World::new(QueueRules { max_acts: 1, ..QueueRules::default() });
    let mut acts = ActRows::default();
    for human in ["ann", "bea", "cid"] {
        let id = world.post(question(human, "bot")).content.id;
        let cancel = |queue: &mut Queue, at: &mut At<'_>| {
            queue.acting(Some(deed(ActKind::Cancel)), at, |queue, _| queue.cancel(id))
        };
        world.run(&[id], cancel).unwrap();
        acts.written.append(&mut world.act_rows.written);
        acts.dropped.append(&mut world.act_rows.dropped);
    }
    let rows = rows(&Commit { acts, ..Commit::default() });
    let kept: Vec<_> = rows.into_iter().filter_map(|(key, row)| row.map(|_| key)).collect();
    assert_eq!(kept, [Key::Act(3).to_bytes()]);
}

#[test]
fn of_several_changes_of_a_message_in_one_commit_the_last_one_stands() {
    let mut steps = Steps::new();
    let id = steps.asked();
    let leased = steps.world.claim(id, "w").unwrap();
    steps.world.complete(&lease(&leased), None).unwrap();
    assert_eq!(steps.rows(), "c d s", "sled never hears that it was live");
}

#[test]
fn messages_in_two_domains_are_listed_in_both() {
    let mut steps = Steps::new();
    steps.world.post(remark("ann"));
    steps.world.post(crate::domain::NewMessage { domain: "elsewhere".to_owned(), ..remark("ann") });
    assert_eq!(steps.rows(), "d d");
}

#[test]
fn a_key_that_is_over_is_removed_and_without_changes_nothing_else_is_written() {
    assert_eq!(letters(Vec::new(), vec![RequestKey([1; 16])]), "-k");
}

#[test]
fn a_key_that_is_over_and_used_again_in_the_same_commit_stays() {
    let mut steps = Steps::new();
    let request = Request { key: RequestKey([1; 16]), fingerprint: [1; 16], before: None };
    steps.world.try_post(remark("ann"), Some(request)).unwrap();
    assert_eq!(letters(steps.world.log.clone(), vec![RequestKey([1; 16])]), "d k");
}

#[test]
fn the_row_of_a_claim_is_small_however_long_the_text_is() {
    let mut steps = Steps::new();
    let long = crate::domain::NewMessage { text: "x".repeat(16_384), ..question("ann", "bot") };
    let id = steps.world.post(long).content.id;
    let before = steps.world.log.len();
    steps.world.claim(id, "w").unwrap();
    let changes = steps.world.log[before..].to_vec();
    let rows = rows(&Commit { changes, ..Commit::default() });
    let bytes: usize = rows.iter().map(|(key, value)| key.len() + value.unwrap_or(0)).sum();
    assert!(bytes < 100, "a claim writes {bytes} bytes");
}
