//! Streams of one session: which of them is given work, and what happens when one of them may be dead.

use super::world::{START, World, handed_out, held, lease, question, stream};
use crate::domain::{Event, QueueRules, SessionView, SessionsAfter, Taker, TakerId};

/// Posts a question, and returns to whom it is handed out.
fn asked(world: &mut World, human: &str) -> Vec<TakerId> {
    world.begin(0);
    world
        .decide(&[], None, |queue, at| queue.post(question(human, "echo"), None, at))
        .expect("it is welcome");
    handed_out(world.end()).into_iter().map(|(taker, _)| taker).collect()
}

#[test]
fn a_stream_that_is_opened_again_gets_all_of_the_work() {
    let mut world = World::new(QueueRules::default());
    let (old, _) = world.join(stream("session", 9));
    assert_eq!(asked(&mut world, "Ann"), [old]);
    let (new, _) = world.join(stream("session", 9));
    for human in ["Bob", "Cem", "Dag"] {
        assert_eq!(asked(&mut world, human), [new]);
    }
}

#[test]
fn what_the_older_stream_holds_is_sent_again_with_the_same_token() {
    let mut world = World::new(QueueRules::default());
    world.join(stream("session", 9));
    world.begin(0);
    world
        .decide(&[], None, |queue, at| queue.post(question("Ann", "echo"), None, at))
        .expect("it is welcome");
    let first = handed_out(world.end());
    let (new, events) = world.join(stream("session", 9));
    let again = handed_out(events);
    assert_eq!(
        again.iter().map(|(taker, leased)| (*taker, leased.token)).collect::<Vec<_>>(),
        [(new, first[0].1.token)]
    );
}

#[test]
fn the_older_stream_takes_work_again_once_the_newer_is_gone() {
    let mut world = World::new(QueueRules::default());
    let (old, _) = world.join(stream("session", 9));
    let (new, _) = world.join(stream("session", 9));
    assert_eq!(asked(&mut world, "Ann"), [new]);
    world.part(new);
    assert_eq!(asked(&mut world, "Bob"), [old]);
}

#[test]
fn streams_for_other_entities_supersede_nothing() {
    let mut world = World::new(QueueRules::default());
    let (echo, _) = world.join(Taker { entities: vec!["echo".to_owned()], ..stream("session", 9) });
    world.join(Taker { entities: vec!["poet".to_owned()], ..stream("session", 9) });
    assert_eq!(asked(&mut world, "Ann"), [echo]);
    assert_eq!(told(&world)[0].streams, 2);
}

#[test]
fn only_work_that_nobody_has_seen_goes_back_where_it_cannot_be_delivered() {
    let mut world = World::new(QueueRules::default());
    world.join(stream("session", 9));
    world.begin(0);
    world
        .decide(&[], None, |queue, at| queue.post(question("Ann", "echo"), None, at))
        .expect("it is welcome");
    let goes_back = |events: Vec<Event>| events.iter().map(|event| event.unseen_lease().is_some()).collect();
    let first: Vec<bool> = goes_back(world.end());
    let (_, events) = world.join(stream("session", 9));
    let again: Vec<bool> = goes_back(events);
    assert_eq!((first, again), (vec![true], vec![false]), "its session may be working on it");
}

/// What statistics tell of a worker: its session, streams, leases, last claim and last renewal.
fn told(world: &World) -> Vec<SessionView> {
    world.queue.sessions(&SessionsAfter::Start).map(|(_, view)| view).collect()
}

#[test]
fn a_session_that_holds_back_is_given_nothing_until_it_joins_anew_and_keeps_what_it_holds() {
    let mut world = World::new(QueueRules::default());
    let (taker, _) = world.join(stream("session", 2));
    assert_eq!(asked(&mut world, "Ann"), [taker]);
    assert_eq!(asked(&mut world, "Bob"), [taker]);
    let given = |id| {
        let record = world.queue.live(id).unwrap().record.clone();
        let claim = record.state.work.unwrap().claim.unwrap();
        held(record.content.id, claim.token)
    };
    let ann = given(1);
    world.run(&[ann.id], |queue, at| queue.hold_back(&ann, "no model".to_owned(), at.now)).unwrap();
    let seen = told(&world).remove(0);
    assert_eq!((seen.leases, seen.holds_back.as_deref()), (1, Some("no model")));
    assert!(asked(&mut world, "Cid").is_empty());
    let (back, again) = world.join(Taker { holds_back: Some("still".to_owned()), ..stream("session", 2) });
    assert_eq!(again.len(), 1, "what it holds, and no more: {again:?}");
    assert_eq!(told(&world)[0].holds_back.as_deref(), Some("still"));
    let (_, events) = world.join(stream("session", 2));
    assert_eq!((events.len(), told(&world)[0].holds_back.as_deref()), (2, None), "{events:?} {back}");
}

#[test]
fn claims_without_a_session_are_told_by_worker_for_as_long_as_it_holds_any() {
    let mut world = World::new(QueueRules::default());
    let [first, second] = ["Ann", "Bob"].map(|human| world.post(question(human, "echo")).content.id);
    let one = world.claim(first, "curl").unwrap();
    world.pass(1_000);
    let two = world.claim(second, "curl").unwrap();
    let mut expected = SessionView {
        worker_id: "curl".to_owned(),
        session_id: String::new(),
        streams: 0,
        leases: 2,
        last_claim_at: Some(START + 1_000),
        last_renew_at: None,
        holds_back: None,
    };
    assert_eq!(told(&world), [expected.clone()]);
    world.pass(1_000);
    world.renew(&lease(&one)).unwrap();
    world.complete(&lease(&two), None).unwrap();
    (expected.leases, expected.last_renew_at) = (1, Some(START + 2_000));
    assert_eq!(told(&world), [expected.clone()]);
    world.pass(1_000);
    world.restart();
    (expected.last_claim_at, expected.last_renew_at) = (Some(START + 3_000), None);
    assert_eq!(told(&world), [expected], "nobody is silent yet after a restart");
    world.complete(&lease(&one), None).unwrap();
    assert_eq!(told(&world), []);
}

#[test]
fn a_worker_without_a_session_is_nobodys_session_whatever_its_name() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(question("Ann", "echo")).content.id;
    let leased = world.claim(id, "session").unwrap();
    let (taker, events) = world.join(stream("session", 1));
    assert_eq!(events, [], "the stream is not given what the worker of its session's name holds");
    assert_eq!(asked(&mut world, "Bob"), [taker], "and may hold as much as without it");
    let seen: Vec<_> =
        told(&world).into_iter().map(|s| (s.worker_id, s.session_id, s.streams, s.leases)).collect();
    let named = |text: &str| text.to_owned();
    assert_eq!(seen, [(named("streamer"), named("session"), 1, 1), (named("session"), named(""), 0, 1)]);
    world.part(taker);
    assert_eq!(world.lease_end(id), Some(leased.ends), "its lease is not cut with the stream");
}

/// Work for an entity that nobody answers stays offered for ever: it must not make each commit ask every taker.
#[test]
fn work_that_nobody_answers_lets_nobody_look_for_work() {
    let mut world = World::new(QueueRules::default());
    let answers = |entity: &str| Taker { entities: vec![entity.to_owned()], ..stream(entity, 1) };
    let is_hungry = |world: &World| world.queue.takers.is_hungry_for(world.queue.lines.offered());
    let (echo, _) = world.join(answers("echo"));
    world.join(answers("oracle"));
    world.post(question("Ann", "nobody"));
    assert!(!is_hungry(&world), "nobody answers it");
    world.begin(0);
    world.decide(&[], None, |queue, at| queue.post(question("Bob", "echo"), None, at)).unwrap();
    assert!(is_hungry(&world));
    assert_eq!(handed_out(world.end())[0].0, echo);
    world.post(question("Cid", "echo"));
    assert!(!is_hungry(&world), "who answers it is busy");
    world.join(stream("all", 1));
    assert_eq!(world.queue.sessions(&SessionsAfter::Start).count(), 3);
}
