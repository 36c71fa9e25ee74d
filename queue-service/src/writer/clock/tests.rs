//! The judge of two clocks, on clocks that tests turn.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

const START: Millis = 1_762_000_000_000;
const MINUTE: Millis = 60_000;
const DAY: Millis = 24 * 60 * MINUTE;

fn judge(last: LastCommit) -> Judge {
    Judge::new(Readings { wall: START, monotonic: 0 }, last, MINUTE)
}

fn at(judge: &mut Judge, monotonic: Millis, wall: Millis) -> Moment {
    judge.judge(Readings { wall: START + wall, monotonic })
}

fn moment(now: Millis, wall: Millis) -> Moment {
    Moment { now: START + now, wall: START + wall }
}

#[test]
fn a_clock_that_is_right_gives_one_time() {
    let mut judge = judge(LastCommit::default());
    for ms in [0, 1, 5_000, DAY] {
        assert_eq!(at(&mut judge, ms, ms), moment(ms, ms));
    }
}

#[test]
fn a_step_back_is_shown_at_once_and_ends_no_span_sooner_or_later() {
    let mut judge = judge(LastCommit::default());
    assert_eq!(at(&mut judge, 1_000, 1_000 - 2_000), moment(1_000, -1_000));
    assert_eq!(at(&mut judge, 2_000, 2_000 - 400 * DAY), moment(2_000, 2_000 - 400 * DAY));
    assert_eq!(at(&mut judge, 3_000, 3_000 - 400 * DAY), moment(3_000, 3_000 - 400 * DAY));
}

#[test]
fn a_jump_ahead_is_not_believed_until_it_has_lasted() {
    let mut judge = judge(LastCommit::default());
    assert_eq!(at(&mut judge, 1_000, 400 * DAY), moment(1_000, 1_000), "it may be over in a moment");
    assert_eq!(at(&mut judge, 1_000 + MINUTE - 1, 400 * DAY), moment(MINUTE + 999, MINUTE + 999));
    assert_eq!(at(&mut judge, 1_000 + MINUTE, 400 * DAY), moment(MINUTE + 1_000, 400 * DAY));
    assert_eq!(at(&mut judge, 2_000 + MINUTE, 400 * DAY + 1_000), moment(MINUTE + 2_000, 400 * DAY + 1_000));
}

#[test]
fn a_jump_that_was_over_in_a_moment_has_to_last_anew_when_it_comes_again() {
    let mut judge = judge(LastCommit::default());
    at(&mut judge, 1_000, 400 * DAY);
    assert_eq!(at(&mut judge, MINUTE, MINUTE), moment(MINUTE, MINUTE));
    assert_eq!(at(&mut judge, MINUTE + 2_000, 400 * DAY), moment(MINUTE + 2_000, MINUTE + 2_000));
}

#[test]
fn a_clock_that_comes_back_from_a_step_back_is_believed_at_once() {
    let mut judge = judge(LastCommit::default());
    at(&mut judge, 1_000, 1_000 - DAY);
    assert_eq!(at(&mut judge, 2_000, 2_000), moment(2_000, 2_000));
    assert_eq!(at(&mut judge, 3_000, DAY), moment(3_000, 3_000));
}

#[test]
fn a_jump_within_the_limit_is_believed_at_once() {
    let mut judge = judge(LastCommit::default());
    assert_eq!(at(&mut judge, 1_000, 1_000 + MINUTE), moment(1_000, 1_000 + MINUTE));
    assert_eq!(at(&mut judge, 2_000, 2_000 + 2 * MINUTE), moment(2_000, 2_000 + 2 * MINUTE));
}

#[test]
fn service_time_goes_on_from_the_last_commit_where_a_start_finds_the_clock_behind() {
    let last = LastCommit { service_time: START + 120_000, ..LastCommit::default() };
    let mut judge = judge(last);
    assert_eq!(at(&mut judge, 0, 0), moment(120_000, 0));
    assert_eq!(at(&mut judge, 500, 500), moment(120_500, 500));
}

proptest! {
    /// Whatever the wall clock does, spans are those of the monotonic clock, and a jump ahead shows at once only
    /// within the limit.
    #[test]
    fn spans_are_those_of_the_monotonic_clock_whatever_the_wall_clock_does(
        steps in prop::collection::vec((0..200_000_i64, -500 * DAY..500 * DAY, any::<bool>()), 1..50),
        ahead in 0..500 * DAY,
    ) {
        let mut judge = judge(LastCommit { service_time: START + ahead, ..LastCommit::default() });
        let mut monotonic = 0;
        let mut wall = 0;
        let mut before = at(&mut judge, monotonic, wall);
        for (passed, step, steps) in steps {
            monotonic += passed;
            wall += passed + if steps { step } else { 0 };
            let doubted_for = judge.doubted_since.map_or(0, |since| monotonic - since);
            let seen = at(&mut judge, monotonic, wall);
            prop_assert_eq!(seen.now - before.now, passed);
            let lasted = doubted_for >= MINUTE;
            let expected = (before.wall + passed).max(seen.now);
            prop_assert!(lasted || seen.wall <= expected + MINUTE);
            prop_assert!(seen.wall == START + wall || seen.wall == before.wall + passed);
            before = seen;
        }
    }

    /// What lasts is believed.
    #[test]
    fn whatever_the_wall_clock_did_it_is_believed_once_it_has_been_right_for_a_minute(
        steps in prop::collection::vec((0..200_000_i64, -500 * DAY..500 * DAY), 0..50),
    ) {
        let mut judge = judge(LastCommit::default());
        let (mut monotonic, mut wall) = (0, 0);
        for (passed, step) in steps {
            monotonic += passed;
            wall += passed + step;
            at(&mut judge, monotonic, wall);
        }
        at(&mut judge, monotonic + 1, wall + 1);
        let seen = at(&mut judge, monotonic + 1 + MINUTE, wall + 1 + MINUTE);
        prop_assert_eq!(seen.wall, START + wall + 1 + MINUTE);
    }
}
