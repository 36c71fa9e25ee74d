//! Storing messages: time stamps, conversations, idempotency keys, a queue that is full.

use super::world::{START, World, lease, question, remark};
use crate::domain::{
    Author, ConversationId, NewMessage, Posted, QueueRules, Rejection, Request, RequestKey, Status,
};

const DAY: i64 = 24 * 3_600_000;

fn keyed(key: u8, body: u8) -> Option<Request> {
    Some(Request { key: RequestKey([key; 16]), fingerprint: [body; 16], before: None })
}

fn posted(outcome: Result<Posted, Rejection>) -> (uuid::Uuid, bool) {
    let Posted { record, replayed, .. } = outcome.expect("the message is welcome");
    (record.content.id, replayed)
}

#[test]
fn a_question_waits_and_a_remark_is_no_work() {
    let mut world = World::new(QueueRules::default());
    let asked = world.post(question("ann", "bot"));
    assert_eq!(asked.state.work.map(|work| (work.status, work.priority)), Some((Status::Pending, 5)));
    let said = world.post(remark("ann"));
    assert_eq!((said.state.work, said.content.conversation), (None, None));
}

#[test]
fn all_messages_of_a_commit_share_one_stamp_and_each_commit_has_a_greater_one() {
    let mut world = World::new(QueueRules::default());
    world.begin(0);
    let group: Vec<_> = (0..3)
        .map(|_| world.decide(&[], None, |queue, at| queue.post(remark("ann"), None, at)).unwrap())
        .map(|posted| posted.record.content.timestamp)
        .collect();
    world.end();
    assert_eq!(group, [START; 3]);
    assert_eq!(world.post(remark("ann")).content.timestamp, START + 1, "though the clock stands still");
    world.now += 5_000;
    assert_eq!(world.post(remark("ann")).content.timestamp, START + 5_000);
}

#[test]
fn an_answer_of_an_ai_is_in_the_conversation_of_the_question() {
    let mut world = World::new(QueueRules::default());
    let asked = world.post(question("ann", "bot"));
    let answer = NewMessage { author: Author::Ai, reply_to: Some(asked.content.id), ..remark("somebody") };
    assert_eq!(world.post(answer).content.conversation, asked.content.conversation);
}

#[test]
fn an_answer_of_an_ai_to_a_remark_begins_their_conversation() {
    let mut world = World::new(QueueRules::default());
    let said = world.post(remark("ann"));
    let answer = NewMessage { author: Author::Ai, reply_to: Some(said.content.id), ..remark("bot") };
    let expected = ConversationId::of(("ann", "1"), ("bot", "1"), None);
    assert_eq!(world.post(answer).content.conversation, Some(expected));
}

#[test]
fn an_ai_may_name_the_human_and_the_session_of_its_conversation() {
    let mut world = World::new(QueueRules::default());
    let said = NewMessage {
        author: Author::Ai,
        human: Some(("ann".to_owned(), "1".to_owned())),
        session_id: Some("god".to_owned()),
        ..remark("bot")
    };
    let expected = ConversationId::of(("ann", "1"), ("bot", "1"), Some("god"));
    assert_eq!(world.post(said).content.conversation, Some(expected));
    let alone = NewMessage { author: Author::Ai, ..remark("bot") };
    assert_eq!(world.post(alone).content.conversation, None);
}

#[test]
fn an_answer_to_nothing_is_refused_with_its_field() {
    let mut world = World::new(QueueRules::default());
    let lost = NewMessage { reply_to: Some(uuid::Uuid::from_u128(7)), ..remark("ann") };
    let refusal = world.try_post(lost, None).unwrap_err().to_string();
    assert!(refusal.starts_with("message.reply_to: "), "{refusal}");
    assert_eq!(world.log.len(), 0);
}

#[test]
fn a_repeated_request_answers_the_first_message_and_stores_nothing() {
    let mut world = World::new(QueueRules::default());
    let first = world.try_post(question("ann", "bot"), keyed(1, 1)).unwrap();
    world.pass(60_000);
    let again = world.try_post(question("ann", "bot"), keyed(1, 1)).unwrap();
    assert!(again.replayed);
    assert_eq!(again.record, first.record);
    assert_eq!(world.log.len(), 1);
}

#[test]
fn a_repeated_request_answers_as_the_first_time_whatever_became_of_the_message() {
    let mut world = World::new(QueueRules::default());
    let first = world.try_post(question("ann", "bot"), keyed(1, 1)).unwrap().record;
    let id = first.content.id;
    let leased = world.claim(id, "w").unwrap();
    world.complete(&lease(&leased), Some("It is not.")).unwrap();
    world.run(&[id], |queue, _| queue.delete(id)).unwrap();
    assert_eq!(world.try_post(question("ann", "bot"), keyed(1, 1)).unwrap().record, first);
}

#[test]
fn a_repeated_reply_is_a_replay_also_where_what_it_answers_is_gone() {
    let mut world = World::new(QueueRules::default());
    let asked = world.post(remark("ann")).content.id;
    let reply = NewMessage { reply_to: Some(asked), ..remark("bob") };
    let (first, _) = posted(world.try_post(reply.clone(), keyed(1, 1)));
    world.store.remove(&asked);
    assert_eq!(posted(world.try_post(reply.clone(), keyed(1, 1))), (first, true));
    let conflict = world.try_post(reply.clone(), keyed(1, 2));
    assert_eq!(conflict, Err(Rejection::IdempotencyConflict));
    let refusal = world.try_post(reply, keyed(2, 1)).unwrap_err().to_string();
    assert!(refusal.contains("message.reply_to") && refusal.contains(&asked.to_string()), "{refusal}");
}

#[test]
fn a_repeated_request_in_the_same_group_is_a_replay_too() {
    let mut world = World::new(QueueRules::default());
    world.begin(0);
    let mut post =
        || world.decide(&[], None, |queue, at| queue.post(remark("ann"), keyed(1, 1), at)).unwrap().replayed;
    assert_eq!([post(), post()], [false, true]);
}

#[test]
fn the_same_key_with_another_body_is_a_conflict() {
    let mut world = World::new(QueueRules::default());
    world.try_post(remark("ann"), keyed(1, 1)).unwrap();
    assert_eq!(world.try_post(remark("bob"), keyed(1, 2)), Err(Rejection::IdempotencyConflict));
    assert_eq!(world.log.len(), 1);
}

#[test]
fn a_key_is_free_again_after_a_day() {
    let mut world = World::new(QueueRules::default());
    let (first, _) = posted(world.try_post(remark("ann"), keyed(1, 1)));
    world.now = START + DAY - 1;
    assert_eq!(posted(world.try_post(remark("ann"), keyed(1, 1))), (first, true));
    world.now = START + DAY;
    let (second, replayed) = posted(world.try_post(remark("bob"), keyed(1, 2)));
    assert_ne!(second, first);
    assert!(!replayed);
    assert_eq!(posted(world.try_post(remark("bob"), keyed(1, 2))), (second, true));
}

#[test]
fn keys_survive_a_restart() {
    let mut world = World::new(QueueRules::default());
    let (first, _) = posted(world.try_post(remark("ann"), keyed(1, 1)));
    world.restart();
    assert_eq!(posted(world.try_post(remark("ann"), keyed(1, 1))), (first, true));
}

#[test]
fn a_full_queue_refuses_work_and_says_how_full_it_is() {
    let mut world = World::new(QueueRules { max_pending: 2, ..QueueRules::default() });
    world.post(question("ann", "one"));
    let id = world.post(question("bob", "two")).content.id;
    let refusal = world.try_post(question("cid", "three"), None).unwrap_err();
    assert!(matches!(refusal, Rejection::QueueFull { waiting: 2, limit: 2, retry_after_ms: 1.., .. }));
    assert_eq!(
        refusal.to_string(),
        "2 messages wait in all, the limit is 2; nothing was changed, try again later"
    );
    world.post(remark("dan"));
    world.claim(id, "w").unwrap();
    world.post(question("cid", "three"));
}

#[test]
fn a_full_entity_does_not_keep_others_out() {
    let mut world = World::new(QueueRules { max_pending_per_entity: 1, ..QueueRules::default() });
    world.post(question("ann", "one"));
    let refusal = world.try_post(question("bob", "one"), None).unwrap_err().to_string();
    assert!(refusal.contains("for the entity \"one\", the limit is 1"), "{refusal}");
    world.post(question("bob", "two"));
}

#[test]
fn a_replay_is_answered_also_where_the_queue_is_full() {
    let mut world = World::new(QueueRules { max_pending: 1, ..QueueRules::default() });
    let (first, _) = posted(world.try_post(question("ann", "bot"), keyed(1, 1)));
    assert_eq!(posted(world.try_post(question("ann", "bot"), keyed(1, 1))), (first, true));
}

#[test]
fn a_clock_that_stepped_back_refuses_nothing_and_stamps_run_on_by_number() {
    const YEAR: i64 = 31_536_000_000;
    let mut world = World::new(QueueRules::default());
    let asked = world.post(question("Ann", "echo"));
    let leased = world.claim(asked.content.id, "worker").expect("it waits");
    for (n, behind) in [(1, 2_000), (2, 120_000), (3, YEAR)] {
        world.behind = behind;
        world.now += 1;
        assert_eq!(world.post(remark("Bob")).content.timestamp, START + n, "{behind} ms behind");
    }
    let ends = world.renew(&lease(&leased)).expect("it is held");
    assert_eq!(ends, world.moment().wall + 30_000, "as far away by the clock that clients see");
    let done = world.complete(&lease(&leased), Some("Hello.")).expect("it is held");
    let work = done.record.state.work.expect("it is work");
    assert_eq!(work.completed_at, Some(world.moment().wall));
}

#[test]
fn an_idempotency_key_answers_for_a_day_whatever_the_clock_shows() {
    let mut world = World::new(QueueRules::default());
    let (first, _) = posted(world.try_post(remark("ann"), keyed(1, 1)));
    for behind in [400 * DAY, -400 * DAY, 0] {
        world.behind = behind;
        world.now = START + DAY - 1;
        assert_eq!(posted(world.try_post(remark("ann"), keyed(1, 1))), (first, true));
    }
    world.now = START + DAY;
    world.behind = 400 * DAY;
    assert!(!posted(world.try_post(remark("ann"), keyed(1, 1))).1, "it is free again");
}
