//! Leases that end without a result: whom that counts against, and who gets the message then.

use super::world::{START, World, by, failure, handed_out, lease, question, stream};
use crate::domain::{
    ClaimBy, Event, HeldBack, Leased, Millis, Moment, OwnName, Queue, QueueRules, Record, Rejection, Status,
    Taker, TakerId, tests::world::ids,
};

fn world_with(questions: usize) -> World {
    let mut world = World::new(QueueRules::default());
    for n in 0..questions {
        world.post(question(&format!("human{n}"), "bot"));
    }
    world
}

/// A stream of this worker, in a session of the same name.
fn of(worker: &str, max_in_flight: usize) -> Taker {
    let by = ClaimBy::new(worker.to_owned(), Some(worker.to_owned()), None);
    Taker { by, ..stream(worker, max_in_flight) }
}

/// A claim of this worker that does not wait.
fn claim_next(world: &mut World, worker: &str) -> Option<Result<Leased, Rejection>> {
    let until = Some(world.now);
    let taker = Taker { by: by(worker), entities: Vec::new(), max_in_flight: 1, until, holds_back: None };
    let (_, mut events) = world.join(taker);
    match events.pop() {
        Some(Event::Work(_, leased)) => Some(Ok(*leased)),
        Some(Event::Refused(_, rejection)) => Some(Err(rejection)),
        other => {
            assert!(matches!(other, None | Some(Event::Nothing(_))), "{other:?}");
            world.pass(0);
            None
        }
    }
}

/// Lets time pass, and counts what is handed out to each of two.
fn given(world: &mut World, ms: i64, to: [TakerId; 2]) -> [usize; 2] {
    let events = handed_out(world.pass(ms));
    to.map(|taker| events.iter().filter(|(id, _)| *id == taker).count())
}

fn held_back(world: &World) -> Vec<(String, u32, Option<i64>)> {
    let row = |HeldBack { worker_id, lost, paused_until }| (worker_id, lost, paused_until);
    world.queue.held_back().into_iter().map(row).collect()
}

#[test]
fn after_three_lost_leases_a_stream_gets_one_message_then_it_pauses_ever_longer() {
    let mut world = world_with(40);
    let (hung, events) = world.join(of("hung", 4));
    assert_eq!(handed_out(events).len(), 4);
    let none = [hung, 0];
    assert_eq!(given(&mut world, 10_000, none), [1, 0], "one at a time, and not what it has lost just now");
    assert_eq!(held_back(&world), [("hung".to_owned(), 4, None)]);
    let mut paused = 30_000;
    for lost in 5..12 {
        assert_eq!(given(&mut world, 10_000, none), [0, 0], "the pause begins");
        assert_eq!(held_back(&world), [("hung".to_owned(), lost, Some(world.now + paused))]);
        assert_eq!(given(&mut world, paused - 1, none), [0, 0]);
        assert_eq!(given(&mut world, 1, none), [1, 0], "one again");
        paused = (2 * paused).min(600_000);
    }
}

#[test]
fn any_result_ends_what_is_held_against_a_worker() {
    let results: [fn(&mut Queue, &Leased, &mut crate::domain::At<'_>); 2] = [
        |queue, leased, at| drop(queue.complete(&lease(leased), None, at).unwrap()),
        |queue, leased, at| drop(queue.fail(&lease(leased), failure("busy"), at).unwrap()),
    ];
    for result in results {
        let mut world = world_with(20);
        let (_, events) = world.join(of("w", 3));
        assert_eq!(handed_out(events).len(), 3);
        let one = handed_out(world.pass(10_000));
        assert_eq!(one.len(), 1);
        world.begin(0);
        world.decide(&[one[0].1.record.content.id], None, |queue, at| result(queue, &one[0].1, at));
        assert_eq!(handed_out(world.end()).len(), 3, "it gets as much as it asks for");
        assert_eq!(held_back(&world), []);
    }
}

/// Gives one message back whenever it can be had, and returns how often that was.
fn given_back(
    world: &mut World,
    give_back: fn(&mut Queue, &Leased, Millis) -> Result<Record, Rejection>,
) -> u32 {
    let id = world.post(question("ann", "bot")).content.id;
    let mut given_back = 0;
    for _ in 0..200 {
        match world.claim(id, "w") {
            Ok(leased) => {
                world.run(&[id], |queue, at| give_back(queue, &leased, at.now)).unwrap();
                given_back += 1;
            }
            Err(_) => drop(world.pass(10_000)),
        }
        assert_eq!(world.work(id).status, Status::Pending);
    }
    assert_eq!(held_back(world)[0].0, "w");
    let sound = world.claim(id, "sound").unwrap();
    assert!(world.complete(&lease(&sound), None).is_ok());
    given_back
}

#[test]
fn who_gives_the_same_message_back_again_and_again_pauses_and_destroys_nothing() {
    let rules = || QueueRules { max_attempts: 5, ..QueueRules::default() };
    let released = |queue: &mut Queue, leased: &Leased, now| queue.release(&lease(leased), now);
    assert!(given_back(&mut World::new(rules()), released) < 15);
    let held_back =
        |queue: &mut Queue, leased: &Leased, now| queue.hold_back(&lease(leased), "out".to_owned(), now);
    assert!(given_back(&mut World::new(rules()), held_back) < 15);
}

#[test]
fn a_message_that_is_given_back_is_no_result() {
    let mut world = world_with(20);
    let (_, events) = world.join(of("w", 3));
    assert_eq!(handed_out(events).len(), 3);
    let one = handed_out(world.pass(10_000)).pop().unwrap().1;
    let before = held_back(&world);
    world.begin(0);
    world.decide(&[one.record.content.id], None, |queue, at| queue.release(&lease(&one), at.now).unwrap());
    assert_eq!(handed_out(world.end()).len(), 1, "still one at a time");
    assert_eq!(held_back(&world), before);
}

#[test]
fn what_a_worker_lost_goes_to_others_first() {
    let mut world = world_with(1);
    let (one, events) = world.join(of("one", 1));
    let first = handed_out(events).pop().unwrap().1;
    let (two, _) = world.join(of("two", 1));
    assert_eq!(given(&mut world, 10_000, [one, two]), [0, 1]);
    assert!(matches!(world.complete(&lease(&first), None), Err(Rejection::LeaseLost(_))));
}

#[test]
fn a_worker_of_another_name_comes_before_another_process_of_the_same() {
    let mut world = world_with(1);
    let (first, _) = world.join(of("w", 1));
    world.part(first);
    let again = ClaimBy::new("w".to_owned(), Some("second life".to_owned()), None);
    let (second, _) = world.join(Taker { by: again, ..of("w", 1) });
    let (other, _) = world.join(of("other", 1));
    assert_eq!(given(&mut world, 10_000, [second, other]), [0, 1]);
}

#[test]
fn a_session_is_not_offered_what_it_lost_while_it_may_still_answer() {
    let mut world = world_with(1);
    let (alone, _) = world.join(of("alone", 1));
    assert_eq!(given(&mut world, 10_000, [alone, 0]), [0, 0]);
    assert_eq!(world.queue.next_deadline(), Some(START + 40_000));
    assert_eq!(given(&mut world, 29_999, [alone, 0]), [0, 0]);
    assert_eq!(given(&mut world, 1, [alone, 0]), [1, 0], "as long again as its lease would have been");
}

#[test]
fn a_session_that_answers_late_is_taken_and_was_offered_nothing_twice() {
    let mut world = world_with(1);
    let (_, events) = world.join(of("slow", 1));
    let leased = handed_out(events).pop().unwrap().1;
    assert_eq!(handed_out(world.pass(35_000)), []);
    assert!(world.complete(&lease(&leased), Some("At last.")).is_ok_and(|completed| completed.late));
}

#[test]
fn a_restarted_worker_gets_what_its_last_life_lost_once_and_then_other_work_first() {
    let mut world = world_with(2);
    for life in 0..3 {
        let by = ClaimBy::new("w".to_owned(), Some(format!("life {life}")), None);
        let (taker, events) = world.join(Taker { by, ..of("w", 1) });
        let got = handed_out(events).pop().unwrap().1.record.content.posted;
        assert_eq!(got, [1, 1, 2][life], "in life {life}");
        world.part(taker);
        world.pass(10_000);
    }
    assert_eq!(held_back(&world), [("w".to_owned(), 3, None)]);
}

#[test]
fn a_sound_process_does_not_pay_for_another_one_of_its_name() {
    let mut world = world_with(30);
    let named = |session: &str| Taker {
        by: ClaimBy::new("bots".to_owned(), Some(session.to_owned()), None),
        ..stream(session, 3)
    };
    let (_, events) = world.join(named("sound"));
    let first = handed_out(events).pop().unwrap().1;
    world.begin(0);
    world.decide(&[first.record.content.id], None, |q, at| q.complete(&lease(&first), None, at)).unwrap();
    world.end();
    let (hung, events) = world.join(named("hung"));
    assert_eq!(handed_out(events).len(), 3);
    for ids in 0..2 {
        world.begin(9_000);
        let held: Vec<_> = world
            .store
            .values()
            .filter_map(|record| {
                let claim = record.state.work.as_ref()?.claim.as_ref()?;
                (claim.session.as_ref().is_some_and(|session| session.name == "sound"))
                    .then_some((record.content.id, claim.token))
            })
            .collect();
        for (id, token) in held {
            let lease = super::world::held(id, token);
            let _ = world.decide(&[id], None, |q, at| q.complete(&lease, None, at));
        }
        let events = handed_out(world.end());
        assert!(events.iter().any(|(id, _)| *id != hung), "the sound one goes on, round {ids}");
    }
}

#[test]
fn claims_without_a_session_are_bounded_and_a_loop_of_them_is_stopped() {
    let rules = QueueRules { max_worker_claims: 5, ..QueueRules::default() };
    let mut world = World::new(rules);
    for n in 0..20 {
        world.post(question(&format!("human{n}"), "bot"));
    }
    for _ in 0..5 {
        assert!(claim_next(&mut world, "loop").unwrap().is_ok());
    }
    let full = Rejection::TooManyClaims { worker_id: "loop".to_owned(), limit: 5, lost: 0 };
    assert_eq!(claim_next(&mut world, "loop").unwrap(), Err(full.clone()));
    let waiting = world.log.iter().map(|change| change.record.content.id).nth(19).unwrap();
    assert_eq!(world.claim(waiting, "loop"), Err(full), "by id as well");
    assert!(world.claim(waiting, "other").is_ok());
    world.pass(10_000);
    assert!(claim_next(&mut world, "loop").unwrap().is_ok(), "one");
    assert!(matches!(
        claim_next(&mut world, "loop").unwrap(),
        Err(Rejection::TooManyClaims { limit: 1, lost: 5, .. })
    ));
    world.pass(10_000);
    let paused = claim_next(&mut world, "loop").unwrap();
    assert!(matches!(paused, Err(Rejection::WorkerPaused { lost: 6, retry_after_ms: 30_000, .. })));
    assert!(matches!(
        world.claim(waiting, "loop"),
        Err(Rejection::NotPending(_) | Rejection::WorkerPaused { .. })
    ));
    assert_eq!(held_back(&world), [("loop".to_owned(), 6, Some(world.now + 30_000))], "with nothing in hand");
}

#[test]
fn claims_that_wait_get_no_more_than_their_worker_may_hold() {
    let mut world = World::new(QueueRules { max_worker_claims: 2, ..QueueRules::default() });
    let until = Some(START + 25_000);
    for _ in 0..4 {
        world.join(Taker { by: by("w"), entities: Vec::new(), max_in_flight: 1, until, holds_back: None });
    }
    world.begin(0);
    for human in ["ann", "bob", "cid", "dag"] {
        world.decide(&[], None, |queue, at| queue.post(question(human, "bot"), None, at)).unwrap();
    }
    let got = handed_out(world.end());
    assert_eq!(got.len(), 2);
    world.begin(0);
    let done = lease(&got[0].1);
    world.decide(&[done.id], None, |queue, at| queue.complete(&done, None, at)).unwrap();
    assert_eq!(handed_out(world.end()).len(), 1, "there is room for one more");
}

#[test]
fn a_restart_forgets_what_was_held_against_workers_but_not_who_lost_a_message() {
    let mut world = world_with(10);
    world.join(of("hung", 4));
    world.pass(10_000);
    world.restart();
    assert_eq!(held_back(&world), []);
    let (_, events) = world.join(of("hung", 4));
    let again = handed_out(events);
    assert_eq!(again.len(), 4);
    assert!(again[1..].iter().all(|(_, leased)| leased.record.content.posted > 5), "not what it lost");
}

#[test]
fn what_is_held_against_workers_is_bounded_in_memory() {
    let mut queue = Queue::restore(QueueRules::default(), ids(), (0, 0), Vec::new(), Moment::of(START));
    for n in 0..10_100i64 {
        let claim = crate::domain::Claim {
            token: crate::domain::Token([0; 16]),
            worker: OwnName::of_nobody(format!("w{n}")),
            session: None,
            at: START,
            lease_ms: 30_000,
            first_ms: 10_000,
        };
        for _ in 0..3 {
            queue.takers.note_loss(&claim, START, START + n);
        }
    }
    let held_back = queue.held_back();
    assert_eq!(held_back.len(), 10_000);
    assert!(held_back.iter().all(|worker| worker.worker_id != "w0"), "the oldest are forgotten");
}

#[test]
fn a_stream_of_a_worker_whose_losses_are_forgotten_takes_work_at_once() {
    let mut world = World::new(QueueRules::default());
    let (old, _) = world.join(of("old", 4));
    let lose = |world: &mut World, worker: String, now| {
        let claim = crate::domain::Claim {
            token: crate::domain::Token([0; 16]),
            worker: OwnName::of_nobody(worker),
            session: None,
            at: START,
            lease_ms: 30_000,
            first_ms: 10_000,
        };
        world.queue.takers.note_loss(&claim, START, now);
    };
    for _ in 0..4 {
        lose(&mut world, "old".to_owned(), START);
    }
    world.post(question("ann", "bot"));
    assert_eq!(handed_out(world.pass(0)).len(), 0, "it pauses");
    for n in 0..10_000 {
        lose(&mut world, format!("w{n}"), START + 1);
    }
    let given: Vec<_> = handed_out(world.pass(0)).into_iter().map(|(id, _)| id).collect();
    assert_eq!(given, [old]);
}

/// A stream of this worker under this token, in a session of the same name.
fn under(token_id: &str, worker: &str, max_in_flight: usize) -> Taker {
    let of = of(worker, max_in_flight);
    Taker { by: of.by.under(Some(token_id)), ..of }
}

#[test]
fn losses_under_one_token_hold_nothing_back_from_a_worker_of_another_that_calls_itself_the_same() {
    let mut world = world_with(12);
    let (thief, _) = world.join(under("thief", "bots", 4));
    while world.queue.held_back().first().is_none_or(|worker| worker.paused_until.is_none()) {
        world.pass(10_000);
    }
    let (sound, events) = world.join(under("sound", "bots", 4));
    assert_eq!(given(&mut world, 0, [thief, sound]), [0, 0]);
    assert_eq!(handed_out(events).iter().filter(|(id, _)| *id == sound).count(), 4);
    assert_eq!(held_back(&world)[0].0, "bots", "statistics show the name");
}

#[test]
fn what_a_worker_holds_under_one_token_takes_no_room_from_its_name_under_another() {
    let rules = QueueRules { max_worker_claims: 1, ..QueueRules::default() };
    let mut world = World::new(rules);
    let ids = ["ann", "bea", "cid"].map(|human| world.post(question(human, "bot")));
    let claim = |world: &mut World, at: usize, token: Option<&str>| {
        let id = ids[at].content.id;
        world.run(&[id], |queue, at| queue.claim(id, &by("w").under(token), at)).is_ok()
    };
    assert!(claim(&mut world, 0, Some("one")));
    assert!(!claim(&mut world, 1, Some("one")));
    assert!(claim(&mut world, 1, Some("other")));
    assert!(claim(&mut world, 2, None));
}

#[test]
fn a_session_of_another_token_gets_nothing_of_what_a_session_of_the_same_name_holds() {
    let mut world = world_with(1);
    let (mine, events) = world.join(under("mine", "bots", 4));
    assert_eq!(handed_out(events).len(), 1);
    world.part(mine);
    let (_, events) = world.join(under("another", "bots", 4));
    assert!(handed_out(events).is_empty());
    let (again, events) = world.join(under("mine", "bots", 4));
    assert_eq!(handed_out(events).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [again]);
}
