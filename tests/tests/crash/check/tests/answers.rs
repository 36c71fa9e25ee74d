//! What an answer says fits to what was asked.

use repartee_proto::v1::ChangeKind;

use super::story::Story;
use crate::{
    history::{Answer, Outcome, Refusal},
    request::Request,
};

#[test]
fn an_answer_to_another_request_is_told() {
    let mut story = Story::new();
    story.posts();
    let Outcome::Answered(answer) = story.history.calls[0].outcome.clone() else { unreachable!() };
    let post = story.some_post();
    story.answered(Request::Post(vec![post]), answer);
    story.assert_told("the post [2] by ann (4 to 5) was answered for 2 with the post 1");
}

#[test]
fn an_answer_that_shows_a_change_of_another_kind_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let message = story.message(&id);
    story.answered(Request::Delete { id, token: None }, Answer::Message(Box::new(message)));
    story.assert_told("the deletion of m1 by ann (4 to 5) was answered with change 1, which is Posted");
}

#[test]
fn an_answer_that_differs_from_the_log_is_told() {
    let mut story = Story::new();
    story.posts();
    story.log.changes[0].message.domain = "hall".to_owned();
    story.assert_told("the post [1] by ann (2 to 3) showed change 1 as Message");
}

#[test]
fn a_text_that_a_message_never_had_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    story.edits(&id);
    let mut message = story.message(&id);
    message.text = "Post 1.".to_owned();
    story.answered(Request::Get(id), Answer::Message(Box::new(message)));
    story.assert_told(r#"showed change 2 of m1 with the text "Post 1.", then and later it had ["Edit 2."]"#);
}

#[test]
fn an_old_change_with_the_text_of_today_is_right() {
    let mut story = Story::new();
    let id = story.posts();
    story.edits(&id);
    story.log.changes[0].message.text = "Edit 2.".to_owned();
    story.watches(0, &[1, 2]);
    story.assert_sound();
    story.becomes(&id, ChangeKind::Deleted, |message, bot| {
        message.text.clear();
        message.deleted = true;
        bot.status = repartee_proto::v1::Status::Failed.into();
    });
    let message = story.message(&id);
    story.answered(Request::Delete { id, token: None }, Answer::Message(Box::new(message)));
    story.assert_sound();
}

#[test]
fn an_acknowledged_message_that_is_not_found_is_told() {
    let mut story = Story::new();
    let id = story.posts();
    let refusal = Refusal { code: "NotFound".to_owned(), reason: String::new() };
    story.call(Request::Get(id), Outcome::Refused(refusal));
    story.assert_told("the look at m1 by ann (4 to 5) was refused: NotFound");
}
