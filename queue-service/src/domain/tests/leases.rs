//! How long a claim holds: first lease, renewals, hard limit, sessions that come and go, restarts.

use super::world::{START, World, by, failure, handed_out, lease, question, stream};
use crate::domain::{ClaimBy, Event, QueueRules, Rejection, Status, Taker, TakerId};

const MINUTE: i64 = 60_000;

fn world_with(questions: usize) -> (World, Vec<uuid::Uuid>) {
    let mut world = World::new(QueueRules::default());
    let ids = (0..questions).map(|n| world.post(question(&format!("human{n}"), "bot")).content.id).collect();
    (world, ids)
}

/// A world in which a stream of session `s` holds the only message.
fn streaming() -> (World, uuid::Uuid, TakerId, crate::domain::Leased) {
    let (mut world, ids) = world_with(1);
    let (taker, events) = world.join(stream("s", 1));
    let (_, leased) = handed_out(events).pop().expect("the stream gets the message");
    (world, ids[0], taker, leased)
}

#[test]
fn the_first_lease_is_ten_seconds() {
    let (mut world, ids) = world_with(1);
    let leased = world.claim(ids[0], "w").unwrap();
    assert_eq!(leased.ends, START + 10_000);
    world.pass(9_999);
    assert_eq!(world.work(ids[0]).status, Status::Processing);
    world.pass(1);
    assert_eq!(world.work(ids[0]).status, Status::Pending);
    assert_eq!(world.work(ids[0]).expiries, 1);
}

#[test]
fn a_length_that_was_asked_for_holds_from_the_start() {
    for asked in [5_000, 30_000, 60_000, 600_000] {
        let (mut world, ids) = world_with(1);
        let by = ClaimBy::new("w".to_owned(), None, Some(asked));
        let leased = world.run(&[ids[0]], |queue, at| queue.claim(ids[0], &by, at)).unwrap();
        assert_eq!(leased.ends, START + asked);
        world.pass(asked - 1);
        assert_eq!(world.work(ids[0]).status, Status::Processing);
        let renewed = (START + asked - 1 + asked).min(START + 15 * MINUTE);
        assert_eq!(world.renew(&lease(&leased)), Ok(renewed));
        let (mut world, _) = world_with(1);
        let by = ClaimBy::new("w".to_owned(), Some("s".to_owned()), Some(asked));
        let (_, events) = world.join(Taker { by, ..stream("s", 1) });
        assert_eq!(handed_out(events)[0].1.ends, START + asked, "by a stream as well");
    }
}

#[test]
fn from_the_first_renew_on_a_lease_has_its_own_length() {
    let (mut world, ids) = world_with(1);
    let leased = world.claim(ids[0], "w").unwrap();
    world.pass(4_000);
    assert_eq!(world.renew(&lease(&leased)), Ok(START + 4_000 + 30_000));
    let longer = world.run(&ids, |queue, at| queue.renew(&lease(&leased), Some(MINUTE), at.now));
    assert_eq!(longer, Ok(START + 4_000 + MINUTE));
}

#[test]
fn a_renewal_is_not_a_change() {
    let (mut world, ids) = world_with(1);
    let leased = world.claim(ids[0], "w").unwrap();
    let changes = world.log.len();
    world.renew(&lease(&leased)).unwrap();
    assert_eq!(world.log.len(), changes);
}

#[test]
fn no_claim_outlives_fifteen_minutes_however_often_it_is_renewed() {
    let (mut world, ids) = world_with(1);
    let leased = world.claim(ids[0], "w").unwrap();
    for _ in 0..15 * 12 - 1 {
        world.pass(5_000);
        let ends = world.renew(&lease(&leased)).unwrap();
        assert!(ends <= START + 15 * MINUTE);
    }
    world.pass(5_000);
    assert_eq!(world.now, START + 15 * MINUTE);
    assert!(matches!(world.renew(&lease(&leased)), Err(Rejection::LeaseLost(_))));
    assert_eq!(world.work(ids[0]).status, Status::Pending);
}

#[test]
fn a_release_counts_nothing_and_the_message_waits_at_its_old_place() {
    let (mut world, ids) = world_with(2);
    let leased = world.claim(ids[0], "w").unwrap();
    world.release(&lease(&leased)).unwrap();
    let work = world.work(ids[0]);
    assert_eq!((work.status, work.claims, work.failures, work.expiries), (Status::Pending, 1, 0, 0));
    assert_eq!((work.not_before, work.errors.len()), (None, 0));
    let (_, events) = world.join(stream("s", 1));
    assert_eq!(handed_out(events)[0].1.record.content.id, ids[0]);
}

#[test]
fn when_the_last_stream_of_a_session_drops_its_leases_are_cut_to_ten_seconds() {
    let (mut world, id, taker, leased) = streaming();
    world.renew(&lease(&leased)).unwrap();
    assert_eq!(world.lease_end(id), Some(START + 30_000));
    world.part(taker);
    assert_eq!(world.lease_end(id), Some(START + 10_000));
}

#[test]
fn a_lease_that_ends_sooner_is_not_made_longer_by_the_drop() {
    let (mut world, id, taker, _) = streaming();
    world.pass(8_000);
    world.part(taker);
    assert_eq!(world.lease_end(id), Some(START + 10_000));
}

#[test]
fn a_session_that_reconnects_gets_its_lease_back_with_the_same_token() {
    let (mut world, _, taker, leased) = streaming();
    world.part(taker);
    world.pass(9_000);
    let (again, events) = world.join(stream("s", 1));
    let back = handed_out(events);
    assert_eq!((back[0].0, back[0].1.token), (again, leased.token));
    assert_eq!(back[0].1.ends, START + 9_000 + 30_000);
    assert_eq!(back[0].1.record.state.work.as_ref().map(|work| work.claims), Some(1), "it is no new claim");
    assert!(world.complete(&lease(&leased), None).is_ok());
}

#[test]
fn another_session_does_not_get_what_a_dropped_one_holds() {
    let (mut world, id, taker, leased) = streaming();
    world.part(taker);
    let (_, events) = world.join(stream("other", 1));
    assert_eq!(events, []);
    let events = world.pass(10_000);
    let other = &handed_out(events)[0].1;
    assert_eq!(other.record.content.id, id);
    assert_ne!(other.token, leased.token);
}

#[test]
fn a_session_with_another_stream_keeps_working_there() {
    let (mut world, id, first, leased) = streaming();
    let elsewhere = Taker { entities: vec!["other".to_owned()], ..stream("s", 1) };
    let (second, events) = world.join(elsewhere);
    assert_eq!(events, [], "the first stream still has it");
    let moved = handed_out(world.part(first));
    assert_eq!((moved[0].0, moved[0].1.token), (second, leased.token));
    assert_eq!(world.lease_end(id), Some(START + 10_000), "it is as short as before, until it is renewed");
}

#[test]
fn a_session_that_reconnects_for_ever_does_not_pass_the_limit_of_the_claim() {
    let (mut world, id, mut taker, leased) = streaming();
    for _ in 0..15 * 12 {
        world.part(taker);
        world.pass(5_000);
        if world.work(id).claim.as_ref().map(|claim| claim.token) != Some(leased.token) {
            break;
        }
        taker = world.join(stream("s", 1)).0;
    }
    assert!(world.now <= START + 15 * MINUTE);
    assert_eq!(world.work(id).expiries, 1, "at fifteen minutes the claim is over");
}

#[test]
fn a_stream_holds_no_more_than_its_max_in_flight() {
    let (mut world, _) = world_with(5);
    let (taker, events) = world.join(stream("s", 2));
    let held = handed_out(events);
    assert_eq!(held.len(), 2);
    world.begin(0);
    let first = lease(&held[0].1);
    world.decide(&[first.id], None, |queue, at| queue.complete(&first, None, at)).unwrap();
    let next = handed_out(world.end());
    assert_eq!(next.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [taker]);
}

#[test]
fn streams_of_one_session_share_its_max_in_flight() {
    let (mut world, _) = world_with(5);
    world.begin(0);
    world.join_group(stream("s", 1));
    world.join_group(Taker { entities: vec!["bot".to_owned()], ..stream("s", 1) });
    assert_eq!(handed_out(world.end()).len(), 1);
}

#[test]
fn a_failed_attempt_makes_room_for_the_next_message() {
    let (mut world, ids) = world_with(2);
    let (_, events) = world.join(stream("s", 1));
    let held = lease(&handed_out(events)[0].1);
    world.begin(0);
    world.decide(&[held.id], None, |queue, at| queue.fail(&held, failure("busy"), at)).unwrap();
    assert_eq!(handed_out(world.end())[0].1.record.content.id, ids[1]);
}

#[test]
fn a_claim_that_waits_takes_one_message_and_is_gone() {
    let (mut world, _) = world_with(0);
    let until = Some(START + 25_000);
    let waiting =
        Taker { by: by("w"), entities: vec!["bot".to_owned()], max_in_flight: 1, until, holds_back: None };
    let (taker, events) = world.join(waiting);
    assert_eq!(events, []);
    world.begin(1_000);
    for human in ["ann", "bob"] {
        world.decide(&[], None, |queue, at| queue.post(question(human, "bot"), None, at)).unwrap();
    }
    let events = handed_out(world.end());
    assert_eq!(events.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [taker]);
    assert_eq!(world.pass(60_000), [], "nothing more is said to it");
}

#[test]
fn a_claim_that_waits_in_vain_is_sent_away_in_time() {
    let (mut world, _) = world_with(0);
    let until = Some(START + 25_000);
    let waiting = Taker { by: by("w"), entities: Vec::new(), max_in_flight: 1, until, holds_back: None };
    let (taker, _) = world.join(waiting);
    assert_eq!(world.queue.next_deadline(), until);
    assert_eq!(world.pass(24_999), []);
    assert_eq!(world.pass(1), [Event::Nothing(taker)]);
    assert_eq!(world.queue.next_deadline(), None);
}

#[test]
fn a_restart_gives_every_lease_a_fresh_grace_with_the_same_token() {
    let (mut world, ids) = world_with(1);
    let leased = world.claim(ids[0], "w").unwrap();
    world.now += 3_600_000;
    world.restart();
    assert_eq!(world.lease_end(ids[0]), Some(world.now + 10_000), "also where the claim's limit is over");
    assert!(world.complete(&lease(&leased), None).is_ok_and(|done| !done.late));
}

#[test]
fn after_a_restart_a_session_gets_back_what_it_held() {
    let (mut world, id, _, leased) = streaming();
    world.now += 5_000;
    world.restart();
    assert_eq!(world.lease_end(id), Some(START + 35_000));
    let (_, events) = world.join(stream("s", 1));
    assert_eq!(handed_out(events)[0].1.token, leased.token);
}

#[test]
fn the_next_deadline_is_the_first_lease_end_or_retry() {
    let (mut world, ids) = world_with(2);
    assert_eq!(world.queue.next_deadline(), None);
    let first = world.claim(ids[0], "w").unwrap();
    world.claim(ids[1], "w").unwrap();
    assert_eq!(world.queue.next_deadline(), Some(START + 10_000));
    let soon = crate::domain::Failure { retry_after_ms: Some(3_000), ..failure("busy") };
    world.fail(&lease(&first), soon).unwrap();
    assert_eq!(world.queue.next_deadline(), Some(START + 3_000));
    world.pass(3_000);
    assert_eq!(world.queue.next_deadline(), Some(START + 10_000));
}

#[test]
fn a_lease_lasts_as_long_as_it_does_whatever_the_clock_shows_meanwhile() {
    const YEAR: i64 = 31_536_000_000;
    for step in [2_000, 120_000, YEAR, -120_000, -YEAR] {
        let mut world = World::new(QueueRules::default());
        let id = world.post(question("ann", "bot")).content.id;
        let leased = world.claim(id, "w").unwrap();
        assert_eq!(leased.ends, START + 10_000);
        world.behind = step;
        world.pass(9_999);
        assert_eq!(world.work(id).status, Status::Processing, "{step}");
        world.pass(1);
        assert_eq!(world.work(id).status, Status::Pending, "{step}");
        let again = world.claim(id, "w").unwrap();
        assert_eq!(again.ends, world.moment().wall + 10_000, "told by the clock that clients see");
    }
}

#[test]
fn a_restart_with_a_clock_that_is_behind_leaves_a_claim_its_limit() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("ann", "bot")).content.id;
    let leased = world.claim(id, "w").unwrap();
    world.behind = 120_000;
    world.restart();
    let (mut renewed, limit) = (world.now, world.now + 15 * 60_000);
    while world.now < limit - 20_000 {
        world.pass(20_000);
        renewed = world.renew(&lease(&leased)).unwrap() + world.behind;
    }
    assert_eq!(renewed, limit, "no claim outlives it");
}
