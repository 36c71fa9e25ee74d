//! Rules of what fails.

use super::{EXTENT, Faults, Story};
use crate::{AppendError, Draft, Kind};

/// Without space an append is refused, and nothing was written: the log goes on as soon as there is space again.
pub fn a_full_log_says_so_and_writes_nothing<E: Faults>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    story.post(10);
    engine.set_full(true);
    let mut draft = Draft::new(Kind::Commit, 1, 1_000_000);
    draft.add_body(|buffer| buffer.resize(buffer.len() + EXTENT / 4, 1));
    // What was prepared before may still be used.
    let refused = (0..100).find_map(|_| match story.writer.append(&draft) {
        Ok(appended) => {
            story.told.push((appended, draft.clone(), vec![vec![1; EXTENT / 4]]));
            None
        }
        Err(error) => Some(error),
    });
    assert!(matches!(refused, Some(AppendError::Full(_))), "{refused:?}");
    assert!(story.log.shortage().is_some());
    assert!(matches!(story.writer.reserve(EXTENT / 2), Err(AppendError::Full(_))));
    story.check(0);
    engine.set_full(false);
    story.append(Kind::Commit, 1, 1_000_000, &[&[5; EXTENT / 4]]);
    assert!(story.log.shortage().is_none());
    story.check(0);
    story.reopen(&mut engine).check(0);
}

/// After a failure nothing more is taken, though nothing is wrong with the next write, and what was there is read as before.
pub fn a_log_that_failed_takes_nothing_more<E: Faults>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    story.post(10);
    let end = story.log.end();
    engine.fail_next();
    for _ in 0..3 {
        let refused = story.writer.append(&Draft::new(Kind::Commit, 1, 5));
        assert!(matches!(refused, Err(AppendError::Failed(_))), "{refused:?}");
        assert!(matches!(story.writer.reserve(10), Err(AppendError::Failed(_))));
    }
    assert_eq!(story.log.end(), end);
    story.check(0);
}

/// A restart finds what was acknowledged, and goes on.
pub fn a_log_that_failed_can_be_opened_again<E: Faults>() {
    let mut engine = E::new(EXTENT);
    let mut story = Story::begin(&mut engine);
    story.post(10);
    engine.fail_next();
    story.writer.append(&Draft::new(Kind::Commit, 1, 5)).unwrap_err();
    let mut story = story.reopen(&mut engine);
    let records = story.read(usize::MAX);
    assert!(records.len() == 1 || records.len() == 2, "what failed is there or not");
    assert_eq!(records[0].place, story.told[0].0.place);
    let again = story.append(Kind::Commit, 1, 9, &[b"again"]);
    assert_eq!(again.first, records.len() as u64 + 1);
}
