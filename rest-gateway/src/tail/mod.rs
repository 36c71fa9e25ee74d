//! The tail of the feed: what the gateway itself can answer polls from.
//!
//! One stream of changes of all domains comes from the queue-service, however many browsers ask (`follow.rs`). From it
//! the tail keeps, for each domain, the newest messages in their present state by time stamp, and the newest changes by
//! number, each written as JSON once; all answers share those bytes (`feeds.rs`). It owns no truth: what it does not
//! hold is asked for upstream, and when the stream is away it says so. It must never show a gap.
//!
//! **How it begins.** The stream is opened first and begins after number T0; then the newest page is listed, as it is
//! at some T1 ≥ T0. So each change lies before T0, and the page shows it; or after T1, and the stream brings it; or
//! between, and both do. For a message's present state the greater number wins, so what comes twice changes nothing.
//! The log of changes begins at T0 and has no gap: it takes every change that the stream brings, also one whose effect
//! the page showed already. Polls are answered from T1 on, when both agree. A message between T0 and T1 that is not on
//! the page is older than the page, and so below the floor.
//!
//! **What it holds.** Messages and changes are bounded together; the oldest leave, a time stamp as a whole. Where a
//! domain is complete from is its floor; a poll below it goes upstream, and what the answer shows about a quiet domain
//! is remembered, so that the next poll of an up-to-date browser is free again. A domain that the tail has never heard
//! of goes upstream as well: only the queue-service knows which names can be.
//!
//! **What it shows.** Whole commits only (`unsettled.rs`). Who was answered by this gateway, after a write or with a
//! page from upstream, sees that state in every later poll: the answer waits until the tail has reached it. Where the
//! stream is away the answer does not wait, and polls do; they never go back.
//!
//! **When the stream is away** polls wait for a short grace, which a restart of the queue-service fits in, then they
//! are refused with 503 until it is back. It goes on from its cursor; where that is lost, the tail begins again.

mod after;
mod change;
mod clock;
mod cursor;
mod drafts;
mod feed;
mod feeds;
mod follow;
mod heads;
mod notifiers;
mod page;
mod shown;
mod told;
mod unsettled;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use metrics::{Histogram, gauge, histogram};
use parking_lot::{Mutex, RwLock};
use repartee_proto::v1;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use crate::{pieces::Pieces, problem::Problem};
use change::Change;
use clock::ServiceClock;
use drafts::Drafts;
use feeds::Feeds;
use heads::Heads;
use notifiers::Notifiers;

pub(crate) use after::After;
pub(crate) use cursor::Cursor;
pub(crate) use feeds::{Changes, Limits, Older};
pub(crate) use follow::Follower;
pub(crate) use heads::tag_at;
pub(crate) use page::{Page, Wanted};
pub(crate) use shown::Shown;
pub(crate) use told::Told;

/// How long polls wait for a stream that is away, counted from when it went.
const GRACE: Duration = Duration::from_secs(2);
/// For so long a stream that is away is no news.
const UNTOLD: Duration = Duration::from_secs(1);
/// How long they wait for what a caller was told of, while the stream is there: it may be dead.
const PENDING: Duration = Duration::from_secs(1);

/// The tail, shared by everybody who polls.
#[derive(Debug)]
pub(crate) struct Tail {
    limits: Limits,
    /// The numbers of the log, while the tail is live: what is up to date is known from them alone.
    live: ArcSwapOption<Heads>,
    feeds: RwLock<Option<Feeds>>,
    progress: watch::Sender<Progress>,
    /// Where those wait who read on by cursor.
    notifiers: Notifiers,
    /// What bots are writing.
    drafts: Drafts,
    /// False while the changes do not come, as clients are told.
    is_hearing: AtomicBool,
    /// Why the changes do not come, if somebody has to mend that.
    trouble: Mutex<Option<String>>,
    /// The queue-service's time.
    pub(crate) clock: ServiceClock,
    /// How long after their posts messages are shown.
    delay: Histogram,
}

/// How far the tail is.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// Number of the last change that is shown.
    shown: u64,
    /// Since when the stream is away; `None` while it is there.
    away_since: Option<Instant>,
}

impl Tail {
    pub(crate) fn new(limits: Limits) -> Self {
        let progress = Progress { shown: 0, away_since: Some(Instant::now()) };
        Self {
            limits,
            live: ArcSwapOption::empty(),
            feeds: RwLock::new(None),
            progress: watch::Sender::new(progress),
            notifiers: Notifiers::default(),
            drafts: Drafts::default(),
            is_hearing: AtomicBool::new(true),
            trouble: Mutex::new(None),
            clock: ServiceClock::default(),
            delay: histogram!("repartee_feed_delay_seconds"),
        }
    }

    /// The entity tag of what this domain shows, and the position behind it; `None` where that is not known for sure
    /// now. Takes no lock.
    pub(crate) fn tag(&self, domain: &str) -> Option<(String, String)> {
        let live = self.live.load();
        let heads = live.as_ref().filter(|heads| heads.owes_nothing())?;
        // The position first: a change that comes between the two is behind it.
        let position = cursor::format(heads.epoch(), heads.shown());
        Some((heads.tag(domain), position))
    }

    /// A page, where the tail holds all of it; waits for the stream from the queue-service for a little.
    ///
    /// # Errors
    /// Outside, 503 where the stream is away; inside, where the page is to be asked for upstream.
    pub(crate) async fn page(&self, wanted: &Wanted) -> Result<Result<Page, Older>, Problem> {
        self.wait_until_live().await?;
        self.held(wanted).ok_or_else(away)
    }

    /// A page, where it can be answered now without a wait and without a call.
    pub(crate) fn page_now(&self, wanted: &Wanted) -> Option<Page> {
        self.is_current().then(|| self.held(wanted))??.ok()
    }

    fn held(&self, wanted: &Wanted) -> Option<Result<Page, Older>> {
        let feeds = self.feeds.read();
        let feeds = feeds.as_ref()?;
        let limit = wanted.limit as usize;
        let found = match wanted.after {
            0 => feeds.newest(&wanted.domain, limit),
            after => feeds.after(&wanted.domain, after, limit),
        };
        Some(found.map(|page| {
            let mut tag = feeds.heads().tag(&wanted.domain);
            if page.more {
                // What is up to date has the plain tag: a client that has it knows that there is nothing more.
                tag.insert(tag.len() - 1, '+');
            }
            let next_cursor = cursor::format(feeds.heads().epoch(), page.next);
            Page { body: Pieces::array(page.items), more: page.more, next_cursor, tag }
        }))
    }

    /// Notes what the queue-service has answered where this tail was `older`.
    pub(crate) fn learn(&self, wanted: &Wanted, older: Older, answer: &v1::ListMessagesResponse) {
        let newest = wanted.after == 0;
        let whole = answer.messages.len() < wanted.limit as usize && !answer.older;
        let from = match answer.messages.first() {
            Some(first) if newest && !whole => first.timestamp - 1,
            Some(_) | None if answer.more || answer.reset => return,
            Some(_) | None => wanted.after,
        };
        let stamps = answer.messages.iter().map(|message| message.timestamp);
        if let Some(feeds) = self.feeds.write().as_mut() {
            feeds.learn(&wanted.domain, older.0, from, stamps);
        }
    }

    /// Waits until the tail shows everything up to change `seq`, at most for `patience`. Where it does not come that
    /// far, or the stream is away, later polls wait for it.
    pub(crate) async fn reach(&self, seq: u64, patience: Duration) {
        let mut progress = self.progress.subscribe();
        let heads = self.heads();
        // Before the first seed there is nobody to tell: the seed comes soon, or polls are refused.
        let patience = if heads.is_some() { patience } else { patience.min(GRACE) };
        let given_up = |now: &Progress| now.away_since.is_some() && heads.is_some();
        let reached = progress.wait_for(|now| now.shown >= seq || given_up(now));
        let reached = timeout(patience, reached).await;
        if !matches!(reached, Ok(Ok(now)) if now.shown >= seq)
            && let Some(heads) = heads
        {
            heads.owe(seq);
        }
    }

    /// As [`Self::reach`], for the position behind a page from upstream.
    pub(crate) async fn reach_cursor(&self, position: &str, patience: Duration) {
        if let Some((_, seq)) = cursor::parse(position) {
            self.reach(seq, patience).await;
        }
    }

    /// True once the tail is live; false where it is not after `patience`.
    pub(crate) async fn live_within(&self, patience: Duration) -> bool {
        let mut progress = self.progress.subscribe();
        let live = progress.wait_for(|now| now.away_since.is_none());
        matches!(timeout(patience, live).await, Ok(Ok(_)))
    }

    /// True while the changes come, as far as clients are told.
    pub(crate) fn hears(&self) -> bool {
        self.is_hearing.load(Ordering::Relaxed)
    }

    /// True while the stream is not known to be away; it may be dead all the same.
    pub(crate) fn is_streaming(&self) -> bool {
        self.live.load().is_some()
    }

    /// The queue-service was found to serve, or not to; called each second. A stream that is away for a moment, as each one is
    /// that is old enough, is told to nobody.
    pub(crate) fn note_served(&self, is_served: bool) {
        let away_since = self.progress.borrow().away_since;
        let is_away = away_since.is_some_and(|since| since.elapsed() >= UNTOLD);
        self.set_hearing(is_served && !is_away);
    }

    fn set_hearing(&self, is_hearing: bool) {
        if self.is_hearing.swap(is_hearing, Ordering::Relaxed) != is_hearing {
            self.notifiers.wake_all();
        }
    }

    /// Why the changes do not come, if somebody has to mend that.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// The position behind change `seq`; `None` before the first seed.
    fn at(&self, seq: u64) -> Option<String> {
        self.heads().map(|heads| cursor::format(heads.epoch(), seq))
    }

    /// True if everything up to this position is shown now. A position of another log stands for nothing.
    pub(crate) fn has_reached(&self, position: &str) -> bool {
        let Some((epoch, seq)) = cursor::parse(position) else { return true };
        let live = self.live.load();
        live.as_ref().is_some_and(|heads| heads.epoch() != epoch || heads.shown() >= seq)
    }

    /// True once everything up to this position is shown; false if that takes longer than `patience`.
    pub(crate) async fn reaches(&self, position: &str, patience: Duration) -> bool {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|_| self.has_reached(position));
        matches!(timeout(patience, reached).await, Ok(Ok(_)))
    }

    /// Writes down how full the tail is.
    pub(crate) fn measure(&self) {
        let fill = self.feeds.read().as_ref().map(Feeds::fill).unwrap_or_default();
        gauge!("repartee_tail_messages").set(fill.messages as f64);
        gauge!("repartee_tail_changes").set(fill.changes as f64);
        gauge!("repartee_tail_bytes").set(fill.bytes as f64);
        gauge!("repartee_tail_domains").set(fill.domains as f64);
        gauge!("repartee_tail_max_messages").set(self.limits.messages as f64);
        gauge!("repartee_tail_max_bytes").set(self.limits.bytes as f64);
        let progress = *self.progress.borrow();
        gauge!("repartee_gateway_seq").set(progress.shown as f64);
        gauge!("repartee_tail_live").set(if progress.away_since.is_none() { 1.0 } else { 0.0 });
        let lag = progress.away_since.map_or(Duration::ZERO, |since| since.elapsed());
        gauge!("repartee_feed_lag_seconds").set(lag.as_secs_f64());
        gauge!("repartee_drafts").set(self.drafts.count_open() as f64);
    }

    /// True where the tail shows everything that callers were told of.
    pub(crate) fn is_current(&self) -> bool {
        self.live.load().as_ref().is_some_and(|heads| heads.owes_nothing())
    }

    /// Waits for a little until everything is shown that callers of this gateway were told of.
    ///
    /// # Errors
    /// 503 where the stream from the queue-service is away for longer.
    pub(crate) async fn wait_until_live(&self) -> Result<(), Problem> {
        if self.is_current() {
            return Ok(());
        }
        let (mut progress, began) = (self.progress.subscribe(), Instant::now());
        loop {
            let away_since = progress.borrow().away_since;
            let end = away_since.map_or(began + PENDING, |since| since + GRACE);
            let shows_all = progress.wait_for(|now| now.away_since.is_none() && self.is_current());
            let in_time = timeout_at(end, shows_all).await.map(|shown| shown.is_ok());
            match in_time {
                Ok(true) => return Ok(()),
                // The stream has gone or come back meanwhile: that is another deadline.
                Err(_) if progress.borrow().away_since != away_since => {}
                Ok(false) | Err(_) => return Err(away()),
            }
        }
    }
}

/// What the follower does with the tail.
impl Tail {
    /// Where the stream is to go on: the last change that is shown. `None` where there is nothing yet.
    fn position(&self) -> Option<(String, u64)> {
        self.feeds.read().as_ref().map(|feeds| (feeds.heads().epoch().to_owned(), feeds.seq()))
    }

    /// Begins with a newest page that was read at change `listed`; the stream goes on after `seq`.
    fn seed(&self, epoch: &str, seq: u64, listed: u64, newest: Vec<v1::Message>, complete: bool) {
        let heads = Arc::new(Heads::new(epoch, listed));
        let feeds = Feeds::seeded(self.limits, heads, seq, newest, complete);
        *self.feeds.write() = Some(feeds);
    }

    /// Shows changes, all that belong together at once, and wakes those who wait for them.
    fn show(&self, changes: Vec<Change>) {
        let Some(last) = changes.last().map(|change| change.seq) else { return };
        let now = self.clock.now();
        for posted in changes.iter().filter(|change| change.posted) {
            // Stamps may be a little ahead of the clock.
            self.delay.record(now.saturating_sub(posted.stamp.max(0).unsigned_abs()) as f64 / 1_000.0);
        }
        if let Some(feeds) = self.feeds.write().as_mut() {
            for change in &changes {
                feeds.apply(change);
            }
        }
        changes.iter().for_each(|change| self.drafts.forget(&change.id));
        self.notifiers.wake(changes.iter().map(|change| &*change.domain));
        self.progress.send_modify(|now| now.shown = last);
    }

    /// Takes in what a bot is writing; those who follow are not woken yet.
    fn draft(&self, draft: &v1::Draft) {
        self.drafts.put(draft);
    }

    /// There is something new to read of what bots write.
    fn show_drafts(&self, domains: impl Iterator<Item = String>) {
        for domain in domains {
            self.notifiers.wake(std::iter::once(&*domain));
        }
    }

    /// The stream has brought everything that there was when it was opened.
    fn go_live(&self) {
        let Some(heads) = self.heads() else { return };
        let shown = self.feeds.read().as_ref().map_or(0, Feeds::seq);
        self.live.store(Some(heads));
        *self.trouble.lock() = None;
        self.is_hearing.store(true, Ordering::Relaxed);
        self.progress.send_replace(Progress { shown, away_since: None });
        self.notifiers.wake_all();
    }

    /// Notes why the changes do not come, if somebody has to mend that.
    fn set_trouble(&self, trouble: Option<String>) {
        if trouble.is_some() {
            *self.trouble.lock() = trouble;
        }
    }

    /// The stream has ended. Says whether it had been live.
    fn go_away(&self) -> bool {
        self.live.store(None);
        self.notifiers.wake(self.drafts.end_all().iter().map(|domain| &**domain));
        self.progress.send_if_modified(|now| {
            let was_live = now.away_since.is_none();
            now.away_since.get_or_insert_with(Instant::now);
            was_live
        })
    }

    /// The position is lost: nothing of what is held may be shown any more.
    fn forget(&self) {
        self.go_away();
        *self.feeds.write() = None;
        self.progress.send_modify(|now| now.shown = 0);
    }

    fn heads(&self) -> Option<Arc<Heads>> {
        self.feeds.read().as_ref().map(|feeds| Arc::clone(feeds.heads()))
    }
}

fn away() -> Problem {
    Problem::unavailable(
        "the stream of changes from the queue-service is away; this gateway goes on trying, try again",
    )
}
