mod walk;

use std::sync::Arc;

use repartee_proto::v1::{self, ChangeKind};

use super::{Feeds, Limits, Older};
use crate::tail::{change::Change, heads::Heads};

const ROOM: Limits = Limits { messages: 100, bytes: 1 << 20 };

/// A message `name` of a domain with its time stamp, as change `seq` left it.
fn message(name: &str, domain: &str, stamp: i64, seq: u64) -> v1::Message {
    v1::Message {
        id: name.to_owned(),
        domain: domain.to_owned(),
        timestamp: stamp,
        seq,
        text: format!("{name} at {seq}"),
        ..v1::Message::default()
    }
}

fn change(kind: ChangeKind, message: v1::Message) -> Change {
    let change =
        v1::Change { seq: message.seq, kind: kind.into(), message: Some(message), ..Default::default() };
    Change::read("e", change).unwrap()
}

fn posted(name: &str, domain: &str, stamp: i64, seq: u64) -> Change {
    change(ChangeKind::Posted, message(name, domain, stamp, seq))
}

/// Feeds of a log whose newest page is this; the stream goes on after `seq`.
fn seeded(limits: Limits, seq: u64, newest: Vec<v1::Message>, complete: bool) -> Feeds {
    let listed = newest.iter().map(|message| message.seq).max().unwrap_or_default().max(seq);
    Feeds::seeded(limits, Arc::new(Heads::new("e", listed)), seq, newest, complete)
}

fn text(json: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(json).unwrap()["text"].as_str().unwrap().to_owned()
}

fn texts(page: Result<super::Page, Older>) -> Vec<String> {
    page.unwrap().items.iter().map(|json| text(json)).collect()
}

fn told(changes: Result<super::Reading, Older>) -> Vec<String> {
    changes.unwrap().written().items.iter().map(|told| text(&told.json())).collect()
}

#[test]
fn a_message_is_shown_as_its_last_change_left_it() {
    let mut feeds = seeded(ROOM, 0, Vec::new(), true);
    feeds.apply(&posted("a", "d", 10, 1));
    feeds.apply(&posted("b", "d", 11, 2));
    feeds.apply(&change(ChangeKind::Claimed, message("a", "d", 10, 3)));
    assert_eq!(texts(feeds.newest("d", 10)), ["a at 3", "b at 2"]);
    assert_eq!(texts(feeds.newest("", 1)), ["b at 2"]);
    assert_eq!(texts(feeds.after("d", 10, 10)), ["b at 2"]);
    assert_eq!(told(feeds.changes("d", 0, 10)), ["a at 1", "b at 2", "a at 3"]);
    assert_eq!(feeds.after("d", 11, 10).unwrap().next, 3);
}

#[test]
fn a_seed_and_the_stream_agree_on_what_both_bring() {
    // The stream began after 3; the page was read at 6.
    let newest = vec![message("a", "d", 10, 5), message("b", "d", 11, 6)];
    let mut feeds = seeded(ROOM, 3, newest, true);
    feeds.apply(&change(ChangeKind::Claimed, message("a", "d", 10, 4)));
    assert_eq!(texts(feeds.newest("d", 10)), ["a at 5", "b at 6"], "an earlier change changes nothing");
    feeds.apply(&change(ChangeKind::Completed, message("a", "d", 10, 5)));
    feeds.apply(&posted("b", "d", 11, 6));
    feeds.apply(&posted("c", "d", 12, 7));
    assert_eq!(texts(feeds.newest("d", 10)), ["a at 5", "b at 6", "c at 7"], "and none is there twice");
    assert_eq!(
        told(feeds.changes("d", 3, 10)),
        ["a at 4", "a at 5", "b at 6", "c at 7"],
        "the log has no gap"
    );
    assert!(feeds.changes("d", 2, 10).is_err());
}

#[test]
fn a_page_never_ends_inside_a_time_stamp() {
    let mut feeds = seeded(ROOM, 0, Vec::new(), true);
    for (seq, (name, stamp)) in
        [("a", 10), ("b", 11), ("c", 11), ("d", 11), ("e", 12)].into_iter().enumerate()
    {
        feeds.apply(&posted(name, "d", stamp, seq as u64 + 1));
    }
    let page = feeds.after("d", 9, 2).unwrap();
    assert_eq!((page.items.len(), page.more, page.next), (4, true, 4));
    assert_eq!(feeds.after("d", 11, 2).unwrap().next, 5);
    assert_eq!(feeds.newest("d", 2).unwrap().items.len(), 4);
}

#[test]
fn reading_on_after_a_page_of_the_seed_is_for_the_queue_service() {
    let newest = vec![message("a", "d", 10, 8), message("b", "d", 11, 2), message("c", "d", 12, 3)];
    let mut feeds = seeded(ROOM, 8, newest, true);
    assert!(feeds.after("d", 9, 1).is_err(), "nobody here knows the number that posted it");
    assert_eq!(texts(feeds.after("d", 10, 9)), ["b at 2", "c at 3"]);
    feeds.apply(&posted("x", "d", 13, 9));
    feeds.apply(&posted("y", "d", 14, 10));
    assert_eq!(feeds.after("d", 12, 1).unwrap().next, 9);
}

#[test]
fn below_the_floor_of_a_seed_nothing_is_answered() {
    let mut feeds = seeded(ROOM, 5, vec![message("a", "d", 10, 4), message("b", "d", 11, 5)], false);
    assert_eq!(texts(feeds.after("d", 9, 9)), ["a at 4", "b at 5"]);
    assert!(feeds.after("d", 8, 9).is_err());
    assert!(feeds.newest("d", 3).is_err(), "there may be older ones");
    assert_eq!(texts(feeds.newest("d", 2)), ["a at 4", "b at 5"]);
    // A message that the page was too short for.
    feeds.apply(&posted("old", "d", 9, 6));
    assert_eq!(texts(feeds.after("d", 9, 9)), ["a at 4", "b at 5"]);
    assert_eq!(told(feeds.changes("d", 5, 9)), ["old at 6"]);
}

#[test]
fn an_edit_and_a_deletion_reach_back() {
    let mut feeds = seeded(ROOM, 0, Vec::new(), true);
    feeds.apply(&posted("a", "d", 10, 1));
    feeds.apply(&change(ChangeKind::Claimed, message("a", "d", 10, 2)));
    feeds.apply(&posted("b", "d", 11, 3));
    feeds.apply(&change(ChangeKind::Edited, message("a", "d", 10, 4)));
    assert_eq!(told(feeds.changes("", 0, 9)), ["a at 4", "a at 4", "b at 3", "a at 4"]);
    let tombstone = v1::Message { text: String::new(), deleted: true, ..message("a", "d", 10, 5) };
    feeds.apply(&change(ChangeKind::Deleted, tombstone));
    assert_eq!(told(feeds.changes("", 0, 9)), ["", "", "b at 3", "", ""]);
    let first = feeds.changes("", 0, 1).unwrap().written().items.remove(0);
    let first: serde_json::Value = serde_json::from_slice(&first.json()).unwrap();
    assert_eq!((&first["seq"], &first["deleted"]), (&1.into(), &true.into()));
}

#[test]
fn a_deletion_takes_the_errors_of_earlier_changes_with_it() {
    let mut feeds = seeded(ROOM, 0, Vec::new(), true);
    let params = v1::BotParams { error: Some("cannot say \"secret\"".to_owned()), ..Default::default() };
    let failed = v1::Message { bot_params: Some(params), ..message("a", "d", 10, 2) };
    feeds.apply(&posted("a", "d", 10, 1));
    feeds.apply(&change(ChangeKind::Failed, failed));
    assert!(
        String::from_utf8_lossy(&feeds.changes("d", 1, 1).unwrap().written().items[0].json())
            .contains("secret")
    );
    let params = Some(v1::BotParams::default());
    let tombstone =
        v1::Message { text: String::new(), deleted: true, bot_params: params, ..message("a", "d", 10, 3) };
    feeds.apply(&change(ChangeKind::Deleted, tombstone));
    for told in feeds.changes("d", 0, 9).unwrap().written().items {
        assert!(!String::from_utf8_lossy(&told.event()).contains("secret"));
    }
}

#[test]
fn the_oldest_leave_with_their_whole_time_stamp_and_the_floor_says_so() {
    let mut feeds = seeded(Limits { messages: 3, ..ROOM }, 0, Vec::new(), true);
    for (seq, (name, stamp)) in [("a", 10), ("b", 10), ("c", 11), ("d", 12)].into_iter().enumerate() {
        feeds.apply(&posted(name, "d", stamp, seq as u64 + 1));
    }
    assert_eq!(texts(feeds.after("d", 10, 9)), ["c at 3", "d at 4"]);
    assert!(feeds.after("d", 9, 9).is_err());
    assert_eq!(texts(feeds.newest("d", 2)), ["c at 3", "d at 4"]);
    assert!(feeds.newest("d", 3).is_err());
}

#[test]
fn a_commit_that_is_larger_than_the_tail_leaves_no_gap() {
    let mut feeds = seeded(Limits { messages: 2, ..ROOM }, 0, Vec::new(), true);
    for (seq, domain) in ["d", "e", "d", "e"].into_iter().enumerate() {
        feeds.apply(&posted(&seq.to_string(), domain, 10, seq as u64 + 1));
    }
    for domain in ["", "d", "e"] {
        assert!(feeds.after(domain, 9, 9).is_err(), "{domain}");
        assert!(feeds.after(domain, 10, 9).unwrap().items.is_empty(), "{domain}");
    }
}

#[test]
fn a_quiet_domain_stays_complete_while_others_push_their_oldest_out() {
    let mut feeds = seeded(Limits { messages: 4, ..ROOM }, 0, Vec::new(), true);
    feeds.apply(&posted("q", "quiet", 10, 1));
    for seq in 2..20 {
        feeds.apply(&posted(&seq.to_string(), "loud", 10 + seq as i64, seq));
    }
    assert!(feeds.after("quiet", 10, 9).unwrap().items.is_empty(), "an up-to-date reader asks nobody else");
    assert!(feeds.after("quiet", 9, 9).is_err());
}

#[test]
fn bytes_are_bounded_and_add_up() {
    let limits = Limits { messages: 1_000, bytes: 20_000 };
    let mut feeds = seeded(limits, 0, vec![message("s", "d", 1, 0)], false);
    for seq in 1..400 {
        let name = (seq / 3).to_string();
        let of = |kind| change(kind, message(&name, "d", 10 + seq as i64 / 3, seq));
        feeds.apply(&if seq % 3 == 0 { of(ChangeKind::Posted) } else { of(ChangeKind::Edited) });
        assert!(feeds.fill().bytes <= limits.bytes, "{:?}", feeds.fill());
        let messages: usize = feeds.messages.iter().map(super::Held::bytes).sum();
        let changes: usize = feeds.kept.iter().map(super::Kept::bytes).sum();
        assert_eq!((feeds.message_bytes, feeds.change_bytes), (messages, changes));
    }
    assert!(feeds.fill().messages > 10 && feeds.fill().changes > 10, "{:?}", feeds.fill());
    assert_eq!(feeds.ids.len(), feeds.messages.len());
}

#[test]
fn what_an_answer_from_upstream_shows_about_a_domain_is_remembered() {
    let mut feeds = seeded(ROOM, 5, vec![message("a", "d", 100, 5)], false);
    let Err(Older(before)) = feeds.after("quiet", 40, 9) else { panic!("nobody has spoken there yet") };
    feeds.learn("quiet", before, 40, [50].into_iter());
    assert!(feeds.after("quiet", 50, 9).unwrap().items.is_empty());
    assert!(feeds.after("quiet", 49, 9).is_err());
    feeds.apply(&posted("q", "quiet", 101, 6));
    assert_eq!(texts(feeds.after("quiet", 50, 9)), ["q at 6"]);

    let Err(Older(before)) = feeds.newest("empty", 9) else { panic!("nobody has spoken there yet") };
    feeds.learn("empty", before, 0, std::iter::empty());
    assert!(feeds.newest("empty", 9).unwrap().items.is_empty());
}

#[test]
fn what_was_learned_before_something_left_is_not_believed() {
    let mut feeds = seeded(Limits { messages: 1, ..ROOM }, 5, vec![message("a", "d", 100, 5)], false);
    let Err(Older(before)) = feeds.after("d", 40, 9) else { panic!("it is below the floor") };
    feeds.apply(&posted("b", "d", 101, 6));
    feeds.learn("d", before, 40, std::iter::empty());
    assert!(feeds.after("d", 40, 9).is_err());
}
