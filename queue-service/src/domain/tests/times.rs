//! Messages that are posted for later, and messages that expire.

use super::world::{START, World, failure, handed_out, lease, question, stream};
use crate::domain::{Address, ChangeKind, NewMessage, QueueRules, Rejection, Status};

const DAY: i64 = 86_400_000;

fn timed(human: &str, not_before: Option<i64>, expires_at: Option<i64>) -> NewMessage {
    let plain = question(human, "bot");
    let address = Address { not_before, expires_at, ..plain.address.clone().expect("it asks a bot") };
    NewMessage { address: Some(address), ..plain }
}

#[test]
fn what_is_posted_for_later_is_handed_out_then_and_not_before() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(timed("ann", Some(START + 60_000), None)).content.id;
    assert_eq!(world.join(stream("s", 1)).1, []);
    assert_eq!(world.claim(id, "w"), Err(Rejection::NotDue { due: START + 60_000 }));
    assert_eq!(world.queue.next_deadline(), Some(START + 60_000));
    assert_eq!(world.pass(59_999), []);
    assert_eq!(handed_out(world.pass(1)).len(), 1);
}

#[test]
fn it_is_handed_out_after_a_restart_too() {
    let mut world = World::new(QueueRules::default());
    world.post(timed("ann", Some(START + 60_000), None));
    world.restart();
    assert_eq!(world.join(stream("s", 1)).1, []);
    world.restart();
    world.now += 60_000;
    assert_eq!(handed_out(world.join(stream("s", 1)).1).len(), 1);
}

#[test]
fn what_waits_for_its_time_holds_up_nobody_in_its_conversation() {
    let mut world = World::new(QueueRules::default());
    world.post(NewMessage { priority: 99, ..timed("ann", Some(START + 60_000), None) });
    let now = world.post(question("ann", "bot")).content.posted;
    assert_eq!(world.queue.lines.first(&[]), Some(now));
}

#[test]
fn what_was_due_when_it_was_posted_is_a_message_as_any_other() {
    let mut world = World::new(QueueRules::default());
    let said = world.post(timed("ann", Some(START - DAY), None));
    assert_eq!(said.content.address.as_ref().map(|address| address.not_before), Some(None));
    assert_eq!(said.state.work.as_ref().map(|work| work.base), Some(said.content.timestamp));
    assert_eq!(handed_out(world.join(stream("s", 1)).1).len(), 1);
}

#[test]
fn what_an_author_asks_for_is_as_far_away_whatever_the_clock_shows() {
    for behind in [2_000, 120_000, 400 * DAY, -400 * DAY] {
        let mut world = World::new(QueueRules::default());
        world.behind = behind;
        let wall = world.moment().wall;
        let said = world.post(timed("ann", Some(wall + 60_000), Some(wall + 120_000)));
        let (id, address) = (said.content.id, said.content.address.as_ref().unwrap());
        assert_eq!((address.not_before, address.expires_at), (Some(wall + 60_000), Some(wall + 120_000)));
        world.behind = 0;
        world.pass(59_999);
        assert_eq!(world.claim(id, "w"), Err(Rejection::NotDue { due: START + 60_000 }), "{behind}");
        world.pass(1);
        let (taker, events) = world.join(stream("s", 1));
        assert!(handed_out(events).len() == 1, "{behind}");
        world.part(taker);
        let other = world.post(timed("bob", None, Some(world.now + 60_000))).content.id;
        world.behind = behind;
        world.pass(59_999);
        assert_eq!(world.work(other).status, Status::Pending, "{behind}");
        world.pass(1);
        assert_eq!(world.work(other).errors, ["expired"], "{behind}");
    }
}

#[test]
fn a_message_counts_as_waiting_from_when_it_was_posted_whatever_the_clock_shows() {
    let mut world = World::new(QueueRules::default());
    let base = |record: &crate::domain::Record| record.state.work.as_ref().unwrap().base;
    for behind in [0, 400 * DAY, -400 * DAY] {
        world.behind = behind;
        let said = world.post(question("ann", "bot"));
        assert_eq!(base(&said), world.now, "{behind}");
        world.now += 1_000;
    }
}

#[test]
fn what_nobody_took_in_time_is_given_up_as_expired() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(timed("ann", None, Some(START + 60_000))).content.id;
    assert_eq!(world.queue.next_deadline(), Some(START + 60_000));
    world.pass(59_999);
    assert_eq!(world.work(id).status, Status::Pending);
    world.pass(1);
    assert_eq!((world.work(id).status, world.work(id).cancelled), (Status::Failed, false));
    assert_eq!(world.work(id).errors, ["expired"]);
    assert_eq!(world.log.last().map(|change| change.kind), Some(ChangeKind::Failed));
    assert_eq!(world.queue.next_deadline(), None);
}

#[test]
fn a_message_under_a_lease_does_not_expire_and_does_once_it_waits_again() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(timed("ann", None, Some(START + 5_000))).content.id;
    let leased = world.claim(id, "w").unwrap();
    world.pass(9_000);
    assert_eq!(world.work(id).status, Status::Processing);
    world.fail(&lease(&leased), failure("overloaded")).unwrap();
    world.pass(0);
    assert_eq!(world.work(id).errors, ["overloaded", "expired"]);
    let id = world.post(timed("bob", None, Some(world.now + 5_000))).content.id;
    let leased = world.claim(id, "w").unwrap();
    world.pass(9_000);
    assert!(world.complete(&lease(&leased), Some("In time.")).is_ok());
}

#[test]
fn an_operators_retry_lifts_what_its_author_wanted() {
    let mut world = World::new(QueueRules::default());
    let id = world.post(timed("ann", None, Some(START + 1))).content.id;
    world.pass(1);
    world.run(&[id], |queue, at| queue.retry(id, at.now)).unwrap();
    world.pass(DAY);
    assert_eq!(world.work(id).status, Status::Pending);
}

#[test]
fn by_the_setting_everything_expires_a_span_after_it_could_be_taken() {
    let rules = QueueRules { pending_expiry_ms: Some(60_000), ..QueueRules::default() };
    let mut world = World::new(rules);
    let now = world.post(question("ann", "bot")).content.id;
    let later = world.post(timed("bob", Some(START + 60_000), None)).content.id;
    let sooner = world.post(timed("cid", None, Some(START + 1_000))).content.id;
    world.restart();
    let status = |world: &World, id| world.work(id).status;
    world.pass(1_000);
    assert_eq!(status(&world, sooner), Status::Failed);
    world.pass(59_000);
    assert_eq!([now, later].map(|id| status(&world, id)), [Status::Failed, Status::Pending]);
    world.pass(60_000);
    assert_eq!(status(&world, later), Status::Failed);
    world.run(&[now], |queue, at| queue.retry(now, at.now)).unwrap();
    world.pass(59_999);
    assert_eq!(status(&world, now), Status::Pending);
    world.pass(1);
    assert_eq!(status(&world, now), Status::Failed);
}

#[test]
fn of_very_many_that_expire_at_once_none_is_handed_out() {
    let mut world = World::new(QueueRules::default());
    for n in 0..1_500 {
        world.post(timed(&format!("h{n}"), None, Some(START + 60_000)));
    }
    world.join_group(stream("s", 1));
    world.begin(60_000);
    assert_eq!(world.end(), []);
    assert_eq!(world.pass(0), []);
    assert!(
        world
            .store
            .values()
            .all(|record| { record.state.work.as_ref().is_some_and(|work| work.status == Status::Failed) })
    );
}

#[test]
fn times_that_are_out_of_range_are_refused_with_the_field_the_limit_and_the_value() {
    let mut world = World::new(QueueRules::default());
    for (not_before, expires_at, field) in [
        (Some(START + 30 * DAY + 1), None, "message.bot.not_before: must be at most 30 days"),
        (Some(i64::MAX), None, "message.bot.not_before: "),
        (None, Some(START), "message.bot.expires_at: must be later"),
        (None, Some(i64::MIN), "message.bot.expires_at: must be later"),
        (Some(START + 5), Some(START + 5), "message.bot.expires_at: must be later"),
        (None, Some(START + 60 * DAY + 1), "message.bot.expires_at: must be at most 60 days"),
        (None, Some(i64::MAX), "message.bot.expires_at: must be at most 60 days"),
    ] {
        let refusal = world.try_post(timed("ann", not_before, expires_at), None).unwrap_err().to_string();
        let value = not_before.filter(|_| expires_at.is_none()).or(expires_at).expect("one is given");
        assert!(refusal.contains(field) && refusal.contains(&value.to_string()), "{refusal}");
    }
    assert_eq!(world.log.len(), 0);
    world.post(timed("ann", Some(START + 30 * DAY), Some(START + 60 * DAY)));
    world.post(timed("ann", Some(i64::MIN), None));
}
