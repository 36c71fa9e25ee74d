//! Those who follow, each in its own way. Where a connection breaks, each goes on from what it has seen.

use std::time::Duration;

use e2e::{Browser, Events, Grpc};
use rand::{RngExt as _, rngs::StdRng};
use repartee_proto::v1::{WatchMessagesRequest, watch_messages_response::Event as Seen};
use serde_json::Value;
use tokio::{sync::watch, time::interval};

use crate::{DOMAIN, LAST, Now, told, told_json};

/// A way to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Polls by timestamp.
    Poll,
    /// Pages by cursor.
    Changes,
    /// Pages by cursor that wait.
    LongPoll,
    /// A stream of events.
    Stream,
    /// The same, by somebody who goes away again and again and comes back late.
    SlowStream,
    /// A watch over gRPC.
    Watch,
}

/// One who follows.
pub(crate) struct Follower {
    way: Way,
    cursor: String,
    after: i64,
    now: watch::Receiver<Now>,
    rng: StdRng,
    seen: Vec<Value>,
}

impl Follower {
    pub(crate) fn new(way: Way, cursor: &str, now: watch::Receiver<Now>, rng: StdRng) -> Self {
        Self { way, cursor: cursor.to_owned(), after: 1, now, rng, seen: Vec::new() }
    }

    /// Follows until the last message was seen.
    pub(crate) async fn run(mut self) -> Vec<Value> {
        // Not a wait for anything: it keeps those who are refused from asking without a pause.
        let mut again = interval(Duration::from_millis(10));
        while !self.is_done() {
            match self.way {
                Way::Poll => self.poll().await,
                Way::Changes => self.page(0).await,
                Way::LongPoll => self.page(25).await,
                Way::Stream => self.stream(u32::MAX).await,
                Way::SlowStream => {
                    let count = self.rng.random_range(1..12);
                    self.stream(count).await;
                    self.fall_behind().await;
                }
                Way::Watch => self.watch().await,
            }
            again.tick().await;
        }
        self.seen
    }

    fn is_done(&self) -> bool {
        self.seen.last().is_some_and(|told| told[3] == LAST)
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.now.borrow().gateway)
    }

    /// Waits until others have done something, unless it is all over.
    async fn fall_behind(&mut self) {
        let steps = self.now.borrow().steps + self.rng.random_range(1..30);
        self.now.wait_for(|now| now.steps >= steps || now.over).await.expect("the test goes on");
    }

    /// Reads JSON; nothing where nobody answers, or not now.
    async fn read(&self, path: &str) -> Option<Value> {
        let request = self.browser().request(reqwest::Method::GET, path);
        let response = request.send().await.ok()?;
        let status = response.status().as_u16();
        let body = response.bytes().await.ok()?;
        assert!(matches!(status, 200 | 429 | 502 | 503 | 504), "{status} {}", String::from_utf8_lossy(&body));
        if status == 200 { serde_json::from_slice(&body).ok() } else { None }
    }

    async fn poll(&mut self) {
        let limit = self.rng.random_range(1..30);
        let path = format!("/api/comments?domain={DOMAIN}&after={}&limit={limit}", self.after);
        for message in self.read(&path).await.iter().flat_map(|page| page.as_array().expect("a bare array")) {
            self.after = message["timestamp"].as_i64().expect("every message has its timestamp");
            self.seen.push(told_json(message));
        }
    }

    async fn page(&mut self, wait: u32) {
        let limit = self.rng.random_range(1..30);
        let cursor = &self.cursor;
        let path = format!("/api/comments/changes?domain={DOMAIN}&cursor={cursor}&wait={wait}&limit={limit}");
        if let Some(page) = self.read(&path).await {
            assert_eq!(page["reset"], false, "{page}");
            self.seen.extend(page["messages"].as_array().expect("a page has messages").iter().map(told_json));
            self.cursor = page["next"].as_str().expect("a page has a cursor").to_owned();
        }
    }

    /// Reads so many messages of a stream, or until it breaks.
    async fn stream(&mut self, count: u32) {
        let path = format!("/api/comments/stream?domain={DOMAIN}&cursor={}", self.cursor);
        let Ok(mut events) = Events::open(&self.browser(), &path, "").await else { return };
        let mut left = count;
        while left > 0
            && !self.is_done()
            && let Some(event) = events.next().await
        {
            match event.name.as_str() {
                "hello" => assert_eq!(event.data["mode"], "resumed", "{event:?}"),
                "message" => {
                    self.seen.push(told_json(&event.data));
                    left -= 1;
                }
                "bye" => {}
                other => panic!("{other} is not expected: {event:?}"),
            }
            self.cursor.clone_from(&events.last_id);
        }
    }

    async fn watch(&mut self) {
        let url = self.now.borrow().queue.clone();
        let Ok(client) = Grpc::connect(&url).await else { return };
        let (cursor, domain) = (Some(self.cursor.clone()), DOMAIN.to_owned());
        let request = WatchMessagesRequest { cursor, domain, drafts: true };
        let Ok(mut watch) = client.watch(request).await else { return };
        while !self.is_done()
            && let Ok(Some(event)) = watch.event().await
        {
            match event {
                Seen::Change(change) => {
                    self.seen.push(told(&change.message.expect("a change has its message")));
                    self.cursor = change.cursor;
                }
                Seen::Draft(_) | Seen::GoingAway(_) => {}
                other => panic!("{other:?} is not expected"),
            }
        }
    }
}
