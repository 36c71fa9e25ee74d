//! The bookkeeping of claims, with time as an argument.

use super::{Duration, End, Held, Instant};

const S: Duration = Duration::from_secs(1);

fn held() -> Held {
    Held::new(30 * S, 2)
}

#[test]
fn the_first_renewal_comes_well_before_the_short_lease_ends() {
    let (mut held, now) = (held(), Instant::now());
    let claim = held.admit("m1", "t1", now).unwrap();
    assert_eq!(*claim.ends.borrow(), now + 10 * S);
    assert_eq!(held.renewal_due(), Some(now + 3 * S));
}

#[test]
fn a_renewed_lease_is_due_after_a_third_of_its_length() {
    let (mut held, now) = (held(), Instant::now());
    let claim = held.admit("m1", "t1", now).unwrap();
    held.renewed("t1", now + 3 * S);
    assert_eq!(held.renewal_due(), Some(now + 13 * S));
    assert_eq!(*claim.ends.borrow(), now + 33 * S);
}

#[test]
fn an_unanswered_renewal_is_repeated_soon() {
    let (mut held, now) = (held(), Instant::now());
    held.admit("m1", "t1", now).unwrap();
    assert_eq!(held.renewal(now + 3 * S).len(), 1);
    assert_eq!(held.renewal_due(), Some(now + 4 * S));
}

#[test]
fn one_renewal_takes_everything_that_is_held() {
    let (mut held, now) = (held(), Instant::now());
    held.admit("m1", "t1", now).unwrap();
    held.admit("m2", "t2", now + S).unwrap();
    assert_eq!(held.renewal(now + 3 * S).len(), 2);
}

#[test]
fn a_claim_that_is_held_or_was_just_reported_is_recognised() {
    let (mut held, now) = (held(), Instant::now());
    held.admit("m1", "t1", now).unwrap();
    assert!(held.admit("m1", "t1", now).is_none());
    held.finish("t1".into(), End::Reported);
    assert!(held.admit("m1", "t1", now).is_none());
}

#[test]
fn only_the_last_reported_claims_are_remembered() {
    let (mut held, now) = (held(), Instant::now());
    for token in ["t1", "t2", "t3"] {
        held.admit("m1", token, now).unwrap();
        held.finish(token.into(), End::Reported);
    }
    assert!(held.admit("m1", "t3", now).is_none());
    assert!(held.admit("m1", "t1", now).is_some());
}

#[test]
fn a_claim_whose_report_failed_may_be_tried_again() {
    let (mut held, now) = (held(), Instant::now());
    held.admit("m1", "t1", now).unwrap();
    held.finish("t1".into(), End::Unanswered);
    assert!(held.admit("m1", "t1", now).is_some());
}

#[test]
fn a_new_claim_on_a_message_ends_the_older_one() {
    let (mut held, now) = (held(), Instant::now());
    let older = held.admit("m1", "t1", now).unwrap();
    let newer = held.admit("m1", "t2", now).unwrap();
    assert!(older.stop.is_cancelled());
    assert!(!newer.stop.is_cancelled());
}

#[test]
fn a_lost_claim_is_stopped_and_neither_renewed_nor_released() {
    let (mut held, now) = (held(), Instant::now());
    let claim = held.admit("m1", "t1", now).unwrap();
    held.lose("t1");
    assert!(claim.stop.is_cancelled());
    assert_eq!(held.renewal_due(), None);
    assert!(held.rest().is_empty());
}

#[test]
fn a_stopped_claim_is_kept_to_be_released() {
    let (mut held, now) = (held(), Instant::now());
    held.admit("m1", "t1", now).unwrap();
    held.admit("m2", "t2", now).unwrap();
    held.lose("t2");
    held.finish("t1".into(), End::Stopped);
    held.finish("t2".into(), End::Stopped);
    let rest: Vec<_> = held.rest().into_iter().map(|lease| lease.lease_token).collect();
    assert_eq!(rest, ["t1"]);
}
