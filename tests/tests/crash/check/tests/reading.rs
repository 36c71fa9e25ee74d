//! Pages, watches and lists: no gap, nothing twice, in order, nothing cut in two.

use repartee_proto::v1::{ChangeKind, Status};

use super::story::Story;
use crate::{
    history::Answer,
    request::{From, Pair, Request},
};

#[test]
fn a_gap_in_a_watch_is_told() {
    let mut story = Story::new();
    story.posts_together(3);
    story.watches(0, &[1, 3]);
    story.assert_told("the watch of bob showed change 3, after 1, and has a gap: 2 is missing");
}

#[test]
fn a_gap_between_two_watches_of_one_client_is_told() {
    let mut story = Story::new();
    story.posts_together(4);
    story.watches(0, &[1, 2]);
    story.watches(2, &[4]);
    story.assert_told("the watch of bob showed change 4, after 2, and has a gap: 3 is missing");
}

#[test]
fn a_change_that_a_watch_shows_twice_is_told() {
    let mut story = Story::new();
    story.posts_together(3);
    story.watches(0, &[1, 2, 2]);
    story.assert_told("the watch of bob showed change 2, twice");
}

#[test]
fn a_watch_out_of_order_is_told() {
    let mut story = Story::new();
    story.posts_together(3);
    story.watches(0, &[1, 2, 3, 1]);
    story.assert_told("the watch of bob showed change 1, out of order: it was at 3");
}

#[test]
fn a_watch_that_does_not_go_on_or_is_of_another_log_is_told() {
    let mut story = Story::new();
    story.posts();
    story.watches(0, &[1]).resumed = false;
    story.assert_told("the watch of bob did not go on from its cursor e.0");
    let mut story = Story::new();
    story.posts();
    story.watches(0, &[1]).epoch = "f".to_owned();
    story.assert_told("the watch of bob is of the epoch f, the log of e");
}

#[test]
fn a_watch_that_catches_up_inside_a_time_stamp_is_told() {
    let mut story = Story::new();
    story.posts_together(2);
    story.watches(0, &[1, 2]);
    story.assert_sound();
    story.history.watched[0].changes[0].caught_up = true;
    story.assert_told("the watch of bob had caught up at change 1, inside a time stamp");
}

#[test]
fn a_page_with_a_gap_is_told() {
    let mut story = Story::new();
    let ids = [story.posts(), story.posts(), story.posts()];
    story.reads(1, 5, &[&ids[0], &ids[2]], false);
    story.assert_told("has a gap: it has not change 2 of 1000040");
}

#[test]
fn a_page_that_ends_inside_a_time_stamp_is_told() {
    let mut story = Story::new();
    let ids = story.posts_together(3);
    story.reads(1, 2, &[&ids[0], &ids[1]], true);
    story.assert_told("ends inside the time stamp 1000010: it has not change 3");
}

#[test]
fn a_page_that_begins_inside_a_time_stamp_is_told() {
    let mut story = Story::new();
    let ids = story.posts_together(3);
    let messages = ids[1..].iter().map(|id| story.message(id)).collect();
    let request = Request::Page { domain: String::new(), from: From::Newest, limit: 2 };
    let next = story.log.cursor();
    story.answered(request, Answer::Page { messages, next, more: false });
    story.assert_told("ends inside the time stamp 1000010: it has not change 1");
}

#[test]
fn a_page_that_shows_a_message_twice_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    story.reads(1, 5, &[&id, &id], false);
    story.assert_told("shows a message twice");
}

#[test]
fn a_page_out_of_order_is_told() {
    let mut story = Story::new();
    let ids = story.posts_together(2);
    story.reads(1, 5, &[&ids[1], &ids[0]], false);
    story.assert_told("is out of order");
}

#[test]
fn a_page_without_what_was_acknowledged_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    story.posts();
    story.reads(1, 5, &[&id], false);
    story.assert_told("says that nothing follows; change 2 does, and change 2 was shown before");
}

#[test]
fn a_page_of_changes_with_a_gap_is_told() {
    let mut story = Story::new();
    let ids = story.posts_together(3);
    let messages = [&ids[0], &ids[2]].map(|id| story.message(id)).to_vec();
    let request = Request::Page { domain: String::new(), from: From::Cursor("e.0".to_owned()), limit: 5 };
    story.answered(request, Answer::Page { messages, next: "e.3".to_owned(), more: false });
    story.assert_told("shows the changes [1, 3] up to 3, the log has [1, 2, 3]");
}

#[test]
fn a_cursor_of_another_log_is_told() {
    let mut story = Story::new();
    story.posts();
    let request = Request::Page { domain: String::new(), from: From::Cursor("e.0".to_owned()), limit: 5 };
    let messages = vec![story.message("m1")];
    story.answered(request, Answer::Page { messages, next: "f.1".to_owned(), more: false });
    story.assert_told("ends with a cursor of another log");
}

#[test]
fn a_message_that_is_older_than_acknowledged_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let old = story.message(&id);
    story.edits(&id);
    story.answered(Request::Get(id), Answer::Message(Box::new(old)));
    story.assert_told("the look at m1 by ann (6 to 7) shows m1 as of change 1, change 2 was shown before");
}

/// A list that was read while nothing happened.
fn lists(story: &mut Story, request: Request, ids: &[&str]) {
    let (at, messages) = (story.log.last(), ids.iter().map(|id| story.message(id)).collect());
    story.answered(request, Answer::Listed { from: at, to: at, messages });
}

#[test]
fn the_list_of_pending_messages_is_told_where_it_misses_one_shows_a_stranger_or_has_no_order() {
    let mut story = Story::new();
    let ids = story.posts_together(3);
    story.claims(&ids[0]);
    lists(&mut story, Request::ListPending, &[&ids[1], &ids[2]]);
    story.assert_sound();
    lists(&mut story, Request::ListPending, &[&ids[1]]);
    story.assert_told("the list of pending messages by ann (9 to 10) misses m3");
    lists(&mut story, Request::ListPending, &[&ids[0], &ids[1], &ids[2]]);
    story.assert_told("the list of pending messages by ann (11 to 12) shows m1, which does not belong to it");
    lists(&mut story, Request::ListPending, &[&ids[2], &ids[1]]);
    story.assert_told("the list of pending messages by ann (13 to 14) is out of order");
}

#[test]
fn a_message_that_waits_for_a_retry_may_be_listed_or_not() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    story.goes_back(&id, ChangeKind::RetryScheduled);
    story.lost(Request::Fail { lease, error: "no".to_owned(), retryable: true });
    lists(&mut story, Request::ListPending, &[]);
    lists(&mut story, Request::ListPending, &[&id]);
    story.assert_sound();
}

#[test]
fn the_list_of_failed_messages_is_told_where_it_misses_one() {
    let mut story = Story::new();
    let id = story.posts();
    let message = story.becomes(&id, ChangeKind::Cancelled, |_, bot| bot.status = Status::Failed.into());
    story.answered(Request::Cancel(id.clone()), Answer::Message(Box::new(message)));
    lists(&mut story, Request::ListFailed, &[&id]);
    story.assert_sound();
    lists(&mut story, Request::ListFailed, &[]);
    story.assert_told("the list of failed messages by ann (8 to 9) misses m1");
}

#[test]
fn a_conversation_is_told_where_it_misses_a_message_or_has_no_order() {
    let mut story = Story::new();
    let id = story.posts();
    let lease = story.claims(&id);
    let (_, reply_id) = story.completes(&lease);
    let pair =
        Pair { human: ("Ann".to_owned(), String::new()), ai: ("echo".to_owned(), "default".to_owned()) };
    let look = Request::GetConversation(pair);
    lists(&mut story, look.clone(), &[&id, &reply_id]);
    story.assert_sound();
    lists(&mut story, look.clone(), &[&id]);
    story.assert_told("misses change 3");
    lists(&mut story, look, &[&reply_id, &id]);
    story.assert_told("is out of order: [3, 1]");
}
