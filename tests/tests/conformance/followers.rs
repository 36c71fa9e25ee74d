//! Those who follow, each in its own way. Where a connection breaks, each goes on from what it has seen.

use std::{ops::Range, time::Duration};

use e2e::{Browser, Events, Grpc};
use rand::{RngExt as _, rngs::StdRng};
use repartee_proto::v1::{ListMessagesRequest, WatchMessagesRequest, watch_messages_response::Event};
use serde_json::Value;
use tokio::{sync::watch, time::interval};

use crate::{DOMAIN, LAST, Now, told, told_json};

/// The most that a page is asked for.
const LIMIT: u32 = 30;

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
    /// A stream of events that is left unread again and again, open, while others do a lot.
    StalledStream,
    /// A watch over gRPC.
    Watch,
    /// A watch that is left unread in the same way.
    StalledWatch,
}

impl Way {
    pub(crate) const ALL: [Self; 8] = [
        Self::Poll,
        Self::Changes,
        Self::LongPoll,
        Self::Stream,
        Self::SlowStream,
        Self::StalledStream,
        Self::Watch,
        Self::StalledWatch,
    ];

    fn stalls(self) -> bool {
        matches!(self, Self::StalledStream | Self::StalledWatch)
    }
}

/// What one who follows has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// How often the position was lost.
    pub(crate) resets: u32,
    /// The newest page that came with the last loss.
    pub(crate) page: Vec<Value>,
    /// The position behind that page; where it was never lost, the one that was given.
    pub(crate) from: String,
    /// The changes from there on; of a poll by timestamp, all messages.
    pub(crate) changes: Vec<Value>,
}

/// One who follows.
pub(crate) struct Follower {
    way: Way,
    cursor: String,
    after: i64,
    now: watch::Receiver<Now>,
    /// For how many steps of the others a stalled one reads nothing.
    pause: Range<u32>,
    rng: StdRng,
    seen: Seen,
}

impl Follower {
    pub(crate) fn new(
        way: Way,
        cursor: &str,
        now: watch::Receiver<Now>,
        pause: Range<u32>,
        rng: StdRng,
    ) -> Self {
        let seen = Seen { resets: 0, page: Vec::new(), from: cursor.to_owned(), changes: Vec::new() };
        Self { way, cursor: cursor.to_owned(), after: 1, now, pause, rng, seen }
    }

    /// Follows until the last message was seen.
    pub(crate) async fn run(mut self) -> Seen {
        // Not a wait for anything: it keeps those who are refused from asking without a pause.
        let mut again = interval(Duration::from_millis(10));
        while !self.is_done() {
            match self.way {
                Way::Poll => self.poll().await,
                Way::Changes => self.page(0).await,
                Way::LongPoll => self.page(25).await,
                Way::Stream | Way::StalledStream => self.stream(u32::MAX).await,
                Way::SlowStream => {
                    let count = self.rng.random_range(1..12);
                    self.stream(count).await;
                    self.fall_behind(1..30).await;
                }
                Way::Watch | Way::StalledWatch => self.watch().await,
            }
            again.tick().await;
        }
        self.seen
    }

    /// True once the last message was seen; a lease that ends later may still have come behind it.
    fn is_done(&self) -> bool {
        let newest = self.seen.changes.iter().rev().take(LIMIT as usize);
        newest.chain(&self.seen.page).any(|told| told[3] == LAST)
    }

    /// The position is lost: forgets what was seen, and begins with this page.
    fn start_over(&mut self, page: Vec<Value>, from: &str) {
        self.seen = Seen { resets: self.seen.resets + 1, page, from: from.to_owned(), changes: Vec::new() };
        from.clone_into(&mut self.cursor);
    }

    fn browser(&self) -> Browser {
        Browser::new(&self.now.borrow().gateway)
    }

    /// Waits until others have done something, unless it is all over.
    async fn fall_behind(&mut self, pause: Range<u32>) {
        let steps = self.now.borrow().steps + self.rng.random_range(pause);
        self.now.wait_for(|now| now.steps >= steps || now.over).await.expect("the test goes on");
    }

    /// Before the next event is read: a stalled one leaves its connection open and reads nothing for a while.
    async fn stall(&mut self) {
        if self.way.stalls() && self.rng.random_bool(0.1) {
            self.fall_behind(self.pause.clone()).await;
        }
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
        let limit = self.rng.random_range(1..=LIMIT);
        let path = format!("/api/comments?domain={DOMAIN}&after={}&limit={limit}", self.after);
        for message in self.read(&path).await.iter().flat_map(|page| page.as_array().expect("a bare array")) {
            self.after = message["timestamp"].as_i64().expect("every message has its timestamp");
            self.seen.changes.push(told_json(message));
        }
    }

    async fn page(&mut self, wait: u32) {
        let limit = self.rng.random_range(1..=LIMIT);
        let cursor = &self.cursor;
        let path = format!("/api/comments/changes?domain={DOMAIN}&cursor={cursor}&wait={wait}&limit={limit}");
        if let Some(page) = self.read(&path).await {
            let messages = page["messages"].as_array().expect("a page has messages").iter().map(told_json);
            let next = page["next"].as_str().expect("a page has a cursor");
            if page["reset"] == true {
                self.start_over(messages.collect(), next);
            } else {
                self.seen.changes.extend(messages);
                next.clone_into(&mut self.cursor);
            }
        }
    }

    /// Reads so many messages of a stream, or until it breaks.
    async fn stream(&mut self, count: u32) {
        let path = format!("/api/comments/stream?domain={DOMAIN}&cursor={}", self.cursor);
        let Ok(mut events) = Events::open(&self.browser(), &path, "").await else { return };
        let mut left = count;
        while left > 0 && !self.is_done() {
            self.stall().await;
            let Some(event) = events.next().await else { return };
            match event.name.as_str() {
                "hello" | "bye" | "upstream" => {}
                // Its page follows, message by message, without ids: before they are all there the cursor stays lost.
                "reset" => {
                    let from = event.data["cursor"].as_str().expect("a reset has its cursor");
                    let lost = self.cursor.clone();
                    self.start_over(Vec::new(), from);
                    self.cursor = lost;
                }
                "message" if event.id.is_none() => self.seen.page.push(told_json(&event.data)),
                "message" => {
                    self.seen.changes.push(told_json(&event.data));
                    left -= 1;
                }
                other => panic!("{other} is not expected: {event:?}"),
            }
            if !events.last_id.is_empty() {
                self.cursor.clone_from(&events.last_id);
            }
        }
    }

    async fn watch(&mut self) {
        let url = self.now.borrow().queue.clone();
        let Ok(client) = Grpc::connect(&url).await else { return };
        let (cursor, domain) = (Some(self.cursor.clone()), DOMAIN.to_owned());
        let request = WatchMessagesRequest { cursor, domain, drafts: true };
        let Ok(mut watch) = client.watch(request).await else { return };
        while !self.is_done() {
            self.stall().await;
            let Ok(Some(event)) = watch.event().await else { return };
            match event {
                Event::Change(change) => {
                    self.seen.changes.push(told(&change.message.expect("a change has its message")));
                    self.cursor = change.cursor;
                }
                // A watch brings no page: who needs one lists it, and watches on behind it.
                Event::Reset(_) => return self.list_newest(&client).await,
                Event::Draft(_) | Event::GoingAway(_) => {}
                other => panic!("{other:?} is not expected"),
            }
        }
    }

    async fn list_newest(&mut self, client: &Grpc) {
        let limit = self.rng.random_range(1..=LIMIT);
        let request = ListMessagesRequest { domain: DOMAIN.to_owned(), position: None, limit };
        if let Ok(page) = client.raw().list_messages(request).await {
            let page = page.into_inner();
            self.start_over(page.messages.iter().map(told).collect(), &page.next_cursor);
        }
    }
}
