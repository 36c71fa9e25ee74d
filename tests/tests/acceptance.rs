//! The two runs by which the system that Repartee replaces was judged: fourteen bots at once, and thirty browsers at once.

use std::collections::HashMap;

use e2e::{DOMAIN, Service, Watch, World, question_json, watch_live};
use futures_util::future::join_all;
use repartee_proto::v1::{Message, Status};
use serde_json::Value;

/// What the feed told about the questions, by their ids.
#[derive(Debug, Default)]
struct Told {
    statuses: HashMap<String, Vec<Status>>,
    replies: HashMap<String, Vec<Message>>,
}

impl Told {
    /// Follows the feed until so many questions have left the queue.
    async fn until_finished(watch: &mut Watch, questions: usize) -> Self {
        let mut told = Self::default();
        let mut finished = 0;
        while finished < questions {
            let message = watch.change().await.message.expect("a change holds its message");
            if let Some(question) = &message.reply_to {
                told.replies.entry(question.clone()).or_default().push(message);
            } else if let Some(bot) = &message.bot_params {
                finished += usize::from(matches!(bot.status(), Status::Complete | Status::Failed));
                told.statuses.entry(message.id.clone()).or_default().push(bot.status());
            }
        }
        told
    }

    /// Checks that every posted question walked its whole way and was answered once, with its own text.
    fn assert_each_answered_once(&self, posted: &[Value]) {
        assert_eq!(self.statuses.len(), posted.len(), "every question is its own message");
        for question in posted {
            let id = question["id"].as_str().expect("an answer names the id");
            assert_eq!(
                self.statuses[id],
                [Status::Pending, Status::Processing, Status::Complete],
                "{question}"
            );
            let [reply] = self.replies[id].as_slice() else {
                panic!("one reply to {id}, not {:?}", self.replies[id]);
            };
            assert_eq!(reply.text, question["message"]["text"].as_str().expect("the text is told"));
        }
    }
}

#[tokio::test]
async fn fourteen_questions_to_fourteen_bots_are_all_answered_once() {
    let entities: Vec<String> = (1..=14).map(|number| format!("bot-{number}")).collect();
    let entities: Vec<&str> = entities.iter().map(String::as_str).collect();
    let world = World::start().await;
    let _bot = Service::echo_bot(&world.queue.grpc_url(), &entities).await;
    let mut watch = world.grpc().await.watch(watch_live()).await.unwrap();

    let browser = world.browser();
    let questions = entities.iter().map(|entity| question_json(entity, &format!("Who are you, {entity}?")));
    let posted = join_all(questions.map(|question| {
        let browser = browser.clone();
        async move { browser.comment(&question).await }
    }))
    .await;

    let told = Told::until_finished(&mut watch, 14).await;
    told.assert_each_answered_once(&posted);
    for question in &posted {
        let reply = &told.replies[question["id"].as_str().unwrap()][0];
        assert_eq!(reply.username, question["message"]["botParams"]["entity"].as_str().unwrap());
    }
}

#[tokio::test]
async fn thirty_browsers_at_once_are_all_answered_once_and_see_it() {
    let world = World::start().await;
    let _bots = [
        Service::echo_bot(&world.queue.grpc_url(), &["echo"]).await,
        Service::echo_bot(&world.queue.grpc_url(), &["echo"]).await,
    ];
    let mut watch = world.grpc().await.watch(watch_live()).await.unwrap();

    let posted = join_all((1..=30).map(|number| {
        let browser = world.browser();
        async move { browser.comment(&question_json("echo", &format!("Question {number}?"))).await }
    }))
    .await;

    Told::until_finished(&mut watch, 30).await.assert_each_answered_once(&posted);
    let feeds = join_all(posted.iter().map(|question| {
        let (browser, after) = (world.browser(), question["timestamp"].as_i64().expect("a timestamp") - 1);
        async move {
            browser.get(&format!("/api/comments?domain={DOMAIN}&after={after}&limit=1000")).await.ok(200)
        }
    }))
    .await;
    for (question, feed) in posted.iter().zip(feeds) {
        let feed = feed.as_array().unwrap();
        let own =
            feed.iter().find(|comment| comment["id"] == question["id"]).expect("a browser sees its question");
        assert_eq!(own["botParams"]["status"], "complete");
        assert_eq!(feed.iter().filter(|comment| comment["replyTo"] == question["id"]).count(), 1);
    }
}
