//! What is stored: nothing lost, nothing unasked, nothing torn, in order.

use repartee_proto::v1::{ChangeKind, Status};

use super::story::Story;
use crate::{
    history::{Answer, Posted},
    request::{Edit, Request},
};

/// Removes a change and closes the gap that it leaves.
fn forget(story: &mut Story, seq: u64) {
    story.log.changes.retain(|change| change.seq != seq);
    for (change, number) in story.log.changes.iter_mut().zip(1..) {
        (change.seq, change.message.seq, change.cursor) = (number, number, format!("e.{number}"));
    }
}

#[test]
fn a_history_in_which_everything_happens_as_promised_breaks_nothing() {
    let mut story = Story::new();
    let ids = story.posts_together(3);
    let lease = story.claims(&ids[0]);
    story.edits(&ids[0]);
    let (done, reply_id) = story.completes(&lease);
    let again = crate::history::Completed {
        message: Some(story.message(&ids[0])),
        reply_id: Some(reply_id),
        late: false,
        already: true,
    };
    story.answered(Request::Complete(vec![done]), Answer::Completed(vec![Ok(again)]));
    let post = story.some_post();
    story.lost(Request::Post(vec![post]));
    story.log.ends_of_lives.push(story.log.last());
    let stored = story.some_post();
    let stamp = story.now().wall;
    story.stored(&stored, stamp);
    story.lost(Request::Post(vec![stored]));
    let last = story.posts();
    let all: Vec<u64> = (1..=story.log.last()).collect();
    story.watches(0, &all[..4]);
    story.watches(4, &all[4..]);
    let before_last = story.message(&last).timestamp - 1;
    story.reads(before_last, 5, &[&last], false);
    story.assert_sound();
}

#[test]
fn a_lost_write_is_told() {
    let mut story = Story::new();
    story.posts();
    story.posts();
    story.log.changes.pop();
    story.assert_told("lost: the post [2] by ann (5 to 6) showed change 2 of m2, and the log ends at 1");
}

#[test]
fn a_lost_write_is_told_where_another_one_took_its_place() {
    let mut story = Story::new();
    story.posts();
    story.posts();
    forget(&mut story, 1);
    story.assert_told(
        "lost: the post [1] by ann (2 to 3) showed change 1 of m1, and in the log it is one of m2",
    );
}

#[test]
fn a_write_that_only_a_watcher_has_seen_is_not_lost_either() {
    let mut story = Story::new();
    let post = story.some_post();
    story.stored(&post, 7);
    story.lost(Request::Post(vec![post]));
    story.watches(0, &[1]);
    story.log.changes.pop();
    story.assert_told("lost: the watch of bob showed change 1 of m1, and the log ends at 0");
}

#[test]
fn a_lost_edit_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    story.edits(&id);
    story.log.changes[1].message.text = "Post 1.".to_owned();
    story.assert_told(r#"the text of m1 should be "Edit 2.", the log has "Post 1.""#);
}

#[test]
fn a_gap_in_the_numbers_is_told() {
    let mut story = Story::new();
    story.posts_together(3);
    story.log.changes.remove(1);
    story.assert_told("the log has a gap: change 3 stands where 2 belongs");
}

#[test]
fn a_change_that_nobody_asked_for_is_told() {
    let mut story = Story::new();
    let post = story.some_post();
    story.stored(&post, 7);
    story.assert_told("change 1 (Posted of m1) is nothing that anybody asked for");
}

#[test]
fn a_change_that_was_refused_is_told() {
    let mut story = Story::new();
    let post = story.some_post();
    story.stored(&post, 7);
    story.refused(Request::Post(vec![post]), "QUEUE_FULL");
    story.assert_told("change 1 (Posted of m1) was made, and yet the post [1] by ann (1 to 2) was refused");
}

#[test]
fn a_post_that_is_stored_twice_is_told() {
    let mut story = Story::new();
    story.posts();
    let mut twin = story.log.changes[0].message.clone();
    (twin.id, twin.timestamp) = ("m1 again".to_owned(), twin.timestamp + 1);
    story.change(ChangeKind::Posted, twin);
    story.assert_told("change 2 (Posted of m1 again) was made a second time, after change 1");
}

#[test]
fn a_key_that_stands_for_two_messages_is_told() {
    let mut story = Story::new();
    for _ in 0..2 {
        let (mut post, stamp) = (story.some_post(), story.now().wall);
        post.key = Some("key".to_owned());
        let message = story.stored(&post, stamp);
        let posted = Posted { message, edit_token: "t".to_owned(), replayed: false };
        story.answered(Request::Post(vec![post]), Answer::Posted(vec![Ok(posted)]));
    }
    story.assert_told("the key key stands for m1 and, as the post [2] by ann (5 to 6) was told, for m2");
    story.assert_told("the key key was stored 2 times");
}

#[test]
fn a_torn_batch_is_told() {
    let mut story = Story::new();
    let posts: Vec<_> = (0..3).map(|_| story.some_post()).collect();
    story.stored(&posts[0], 7);
    story.stored(&posts[2], 7);
    story.lost(Request::Post(posts));
    story.assert_told("torn: of the post [1, 2, 3] by ann (1 to 2), 2 of 3 items are in the log");
}

#[test]
fn a_batch_with_two_time_stamps_is_told() {
    let mut story = Story::new();
    let posts: Vec<_> = (0..2).map(|_| story.some_post()).collect();
    story.stored(&posts[0], 7);
    story.stored(&posts[1], 8);
    story.lost(Request::Post(posts));
    story.assert_told("torn: the post [1, 2] by ann (1 to 2) is scattered over the changes [1, 2]");
}

#[test]
fn an_edit_without_its_step_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let mark = story.mark();
    let status = Some(Status::Failed);
    story.becomes(&id, ChangeKind::Edited, |message, _| message.eq_score = mark);
    story.lost(Request::Edit(Edit { id, mark, status, ..Edit::default() }));
    story.assert_told(
        "torn: of the edit 2 of m1 by ann (4 to 5), change 2 is in the log without its step to Failed",
    );
}

#[test]
fn time_stamps_that_fall_are_told() {
    let mut story = Story::new();
    story.posts();
    story.posts();
    story.log.changes[1].message.timestamp = 7;
    story.assert_told("time stamps fall: change 2 has the time stamp 7, change 1 before it");
}

#[test]
fn a_time_stamp_on_both_sides_of_a_kill_is_told() {
    let mut story = Story::new();
    for _ in 0..2 {
        let post = story.some_post();
        story.stored(&post, 7);
        story.lost(Request::Post(vec![post]));
    }
    story.assert_sound();
    story.log.ends_of_lives.push(1);
    story
        .assert_told("a time stamp is used twice: change 2 has the time stamp 7, change 1 before the kill 7");
}

#[test]
fn a_later_commit_without_a_greater_time_stamp_is_told() {
    let mut story = Story::new();
    let (one, two) = (story.posts(), story.posts());
    let stamp = story.message(&one).timestamp;
    story.log.changes[1].message.timestamp = stamp;
    if let Some(crate::history::Outcome::Answered(Answer::Posted(items))) =
        story.history.calls.last_mut().map(|call| &mut call.outcome)
    {
        items[0].as_mut().unwrap().message.timestamp = stamp;
    }
    assert_eq!(two, "m2");
    story.assert_told("a later commit has no greater time stamp: the post [2] by ann (5 to 6) has 1000010");
}

#[test]
fn a_change_that_comes_before_one_that_was_acknowledged_earlier_is_told() {
    let mut story = Story::new();
    story.posts();
    story.posts();
    story.history.calls.swap(0, 1);
    let moments = story.history.calls.iter().map(|call| (call.begun, call.ended)).collect::<Vec<_>>();
    for (call, (begun, ended)) in story.history.calls.iter_mut().zip(moments.into_iter().rev()) {
        (call.begun, call.ended) = (begun, ended);
    }
    story.assert_told("the post [1] by ann (5 to 6) was asked for after change 2 was shown, and became 1");
}
