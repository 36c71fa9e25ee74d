//! Those who must not notice an attack: each has an address of its own, posts, polls, opens the page now and then, and
//! follows by a stream of events.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{interval, sleep_until},
};

use crate::{
    drive::Outcome,
    error::Error,
    latency::Latencies,
    scenario::{comment, last_timestamp},
    seed::DOMAIN,
    wire::{Answer, Events, Json},
};

/// How often each posts: every second.
const POST_EVERY: Duration = Duration::from_secs(1);
/// One in so many posts asks the bot.
const QUESTION_IN: u64 = 5;
/// How often each polls.
const POLL_EVERY: Duration = Duration::from_millis(250);
/// How often each opens the page: its largest file, and a list of more than 16 KiB, both compressed.
const LOAD_EVERY: Duration = Duration::from_secs(2);
const LOADED: [&str; 2] = ["/markdown.js", "/api/comments?limit=100"];
/// Bytes of each post's text.
const TEXT_BYTES: u32 = 200;
/// Who has not seen a message by then has missed it.
const PATIENCE: Duration = Duration::from_secs(15);

/// What one visitor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Post,
    Poll,
    /// One part of opening the page.
    Load,
    /// From when a message was due to be posted until a stream has it.
    Follow,
}

impl Deed {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Post, Self::Poll, Self::Load, Self::Follow];

    /// What results call them.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Post => "posts",
            Self::Poll => "polls",
            Self::Load => "pages",
            Self::Follow => "streams",
        }
    }
}

/// What visitors met with in one part of the time.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) posts: Latencies,
    pub(super) polls: Latencies,
    pub(super) loads: Latencies,
    pub(super) follows: Latencies,
    /// What did not go well, by name.
    pub(super) errors: BTreeMap<String, u64>,
}

/// What all visitors share.
struct Shared {
    /// The part of the time that is measured now.
    samples: Mutex<Vec<Sample>>,
    /// Number, due time and part of each message that was acknowledged.
    posted: Mutex<Vec<(u64, Instant, usize)>>,
    is_over: AtomicBool,
}

type Seen = Arc<Mutex<HashMap<u64, Instant>>>;

/// The visitors, at work.
pub(super) struct Visitors {
    shared: Arc<Shared>,
    working: JoinSet<()>,
    following: JoinSet<()>,
    seen: Vec<Seen>,
}

impl Sample {
    fn new() -> Self {
        let [posts, polls, loads, follows] = [(); 4].map(|()| Latencies::new());
        Self { posts, polls, loads, follows, errors: BTreeMap::new() }
    }

    /// The histogram of a deed.
    pub(super) fn of(&self, deed: Deed) -> &Latencies {
        match deed {
            Deed::Post => &self.posts,
            Deed::Poll => &self.polls,
            Deed::Load => &self.loads,
            Deed::Follow => &self.follows,
        }
    }

    fn of_mut(&mut self, deed: Deed) -> &mut Latencies {
        match deed {
            Deed::Post => &mut self.posts,
            Deed::Poll => &mut self.polls,
            Deed::Load => &mut self.loads,
            Deed::Follow => &mut self.follows,
        }
    }

    fn error(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }
}

impl Visitors {
    /// Lets `count` visitors begin, each from an address of its own: 127.0.1.1 and the following.
    ///
    /// # Errors
    /// If one cannot connect.
    pub(super) async fn begin(addr: SocketAddr, count: u8) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            samples: Mutex::new(vec![Sample::new()]),
            posted: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let (mut working, mut following, mut seen) = (JoinSet::new(), JoinSet::new(), Vec::new());
        let path = format!("/api/comments/stream?domain={DOMAIN}");
        let address = |number| Ipv4Addr::new(127, 0, 1, number);
        // All of them follow before the first one posts.
        for from in (1..=count).map(address) {
            let events = Events::open_from(Some(from), addr, &path).await?;
            seen.push(Seen::default());
            following.spawn(follow(events, Arc::clone(&seen[seen.len() - 1]), Arc::clone(&shared)));
        }
        for number in 1..=count {
            let from = address(number);
            let begins = u32::from(number) * POLL_EVERY / u32::from(count);
            let visitor = Visitor::new(addr, from, Arc::clone(&shared)).await?;
            working.spawn(visitor.poll(begins));
            let visitor = Visitor::new(addr, from, Arc::clone(&shared)).await?;
            working.spawn(visitor.load(begins * 8));
            let visitor = Visitor::new(addr, from, Arc::clone(&shared)).await?;
            working.spawn(visitor.post(begins * 4, number));
        }
        Ok(Self { shared, working, following, seen })
    }

    /// What is done from now on belongs to the next part.
    pub(super) fn next_part(&self) {
        self.shared.samples.lock().push(Sample::new());
    }

    /// Stops them, waits until everybody has seen everything, and tells what each part was like.
    pub(super) async fn end(mut self) -> Vec<Sample> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        while self.working.join_next().await.is_some() {}
        let posted = std::mem::take(&mut *self.shared.posted.lock());
        let deadline = Instant::now() + PATIENCE;
        let mut look = interval(Duration::from_millis(20));
        let is_missing = |seen: &Seen| {
            let seen = seen.lock();
            posted.iter().any(|(number, ..)| !seen.contains_key(number))
        };
        while Instant::now() < deadline && self.seen.iter().any(is_missing) {
            look.tick().await;
        }
        self.following.abort_all();
        let mut samples = std::mem::take(&mut *self.shared.samples.lock());
        for (number, due, part) in posted {
            for seen in &self.seen {
                match seen.lock().get(&number) {
                    Some(at) => {
                        samples[part].of_mut(Deed::Follow).record(at.saturating_duration_since(due));
                    }
                    None => samples[part].error("a stream missed a message".to_owned()),
                }
            }
        }
        samples
    }
}

impl Shared {
    fn part(&self) -> usize {
        self.samples.lock().len() - 1
    }

    fn note(&self, part: usize, deed: Deed, from: Instant, outcome: Outcome) {
        let sample = &mut self.samples.lock()[part];
        match outcome {
            Outcome::Done | Outcome::DoneAt(_) => sample.of_mut(deed).record(from.elapsed()),
            Outcome::Refused(what) | Outcome::Failed(what) => sample.error(format!("{deed:?}: {what}")),
            Outcome::Drained => {}
        }
    }
}

/// Notes when each message comes; a stream that ends before its time is an error.
async fn follow(mut events: Events, seen: Seen, shared: Arc<Shared>) {
    let note = |number| {
        seen.lock().entry(number).or_insert_with(Instant::now);
    };
    while events.read(note).await {}
    let part = shared.part();
    shared.samples.lock()[part].error("a stream of events ended".to_owned());
}

/// One visitor and one connection.
struct Visitor {
    addr: SocketAddr,
    from: Ipv4Addr,
    connection: Json,
    shared: Arc<Shared>,
}

impl Visitor {
    async fn new(addr: SocketAddr, from: Ipv4Addr, shared: Arc<Shared>) -> Result<Self, Error> {
        let connection = Json::connect_from(Some(from), addr).await?;
        Ok(Self { addr, from, connection, shared })
    }

    async fn post(mut self, begins: Duration, number: u8) {
        let username = format!("Human {number}");
        let [plain, question] = [false, true].map(|asks| comment(&username, TEXT_BYTES, asks));
        let mut pace = Pace::new(begins, POST_EVERY);
        while let Some((count, due, part)) = pace.next(&self.shared).await {
            // Not all ask in the same second.
            let is_question = (count + u64::from(number)).is_multiple_of(QUESTION_IN);
            let body = if is_question { &question } else { &plain };
            let answer = self.connection.post("/api/comments", body.clone()).await;
            if let Ok(answer) = &answer
                && answer.status == StatusCode::CREATED
            {
                let number = answer.json()["seq"].as_u64().unwrap_or_default();
                self.shared.posted.lock().push((number, due, part));
            }
            self.done(Deed::Post, due, part, &answer).await;
        }
    }

    async fn poll(mut self, begins: Duration) {
        let mut pace = Pace::new(begins, POLL_EVERY);
        let mut after = 1;
        while let Some((_, due, part)) = pace.next(&self.shared).await {
            let path = format!("/api/comments?domain={DOMAIN}&limit=100&after={after}");
            let answer = self.connection.get(&path).await;
            if let Some(newest) = answer.as_ref().ok().and_then(|page| last_timestamp(&page.body)) {
                after = newest;
            }
            self.done(Deed::Poll, due, part, &answer).await;
        }
    }

    async fn load(mut self, begins: Duration) {
        let mut pace = Pace::new(begins, LOAD_EVERY);
        while let Some((count, due, part)) = pace.next(&self.shared).await {
            let path = LOADED[(count % LOADED.len() as u64) as usize];
            let answer = self.connection.get_compressed(path).await;
            self.done(Deed::Load, due, part, &answer).await;
        }
    }

    /// Notes an answer, and connects anew if there was none.
    async fn done(&mut self, deed: Deed, due: Instant, part: usize, answer: &Result<Answer, hyper::Error>) {
        self.shared.note(part, deed, due, Answer::outcome(answer));
        if answer.is_err()
            && let Ok(connection) = Json::connect_from(Some(self.from), self.addr).await
        {
            self.connection = connection;
        }
    }
}

/// When one visitor does the same thing again.
struct Pace {
    due: Instant,
    every: Duration,
    count: u64,
}

impl Pace {
    fn new(begins: Duration, every: Duration) -> Self {
        Self { due: Instant::now() + begins, every, count: 0 }
    }

    /// Waits for the next time. Tells the count, from when on its latency counts, and the part; none at the end.
    ///
    /// Latency counts from when it was due, if the answer before came later than that. Else it counts from now: timers are
    /// exact to a millisecond only.
    async fn next(&mut self, shared: &Shared) -> Option<(u64, Instant, usize)> {
        let (due, is_late) = (self.due, Instant::now() > self.due);
        sleep_until(due.into()).await;
        self.due += self.every;
        self.count += 1;
        let from = if is_late { due } else { Instant::now() };
        (!shared.is_over.load(Ordering::Relaxed)).then(|| (self.count, from, shared.part()))
    }
}
