//! How many tokens a bot has used today, and how many it may: a bound on what strangers can make its operator pay.
//!
//! In memory; `ledger.rs` keeps it over restarts. A day is one of UTC. It only ever begins anew with a later day: a clock that
//! was set back forgets nothing.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use metrics::{Unit, counter, describe_counter};
use repartee_process::LiveGauge;

use super::history;

const DAY: u64 = 86_400;

/// The tokens of one bot.
#[derive(Debug)]
pub(crate) struct Spending {
    bot: String,
    /// The day, counted from the Unix epoch, and what was used in it.
    today: Mutex<(u64, u64)>,
    /// Where that is shown, if the bot is there.
    shown: Mutex<Weak<LiveGauge>>,
}

/// What the metrics show of a bot's tokens, as long as this is held.
#[derive(Debug)]
pub(super) struct Shown {
    _used: Arc<LiveGauge>,
    _limit: Option<LiveGauge>,
}

impl Spending {
    /// Nothing used yet by the bot of this name.
    pub(crate) fn new(bot: &str) -> Self {
        Self::resumed(bot, 0, 0)
    }

    /// So many used by it on that day, counted from the Unix epoch.
    pub(super) fn resumed(bot: &str, day: u64, used: u64) -> Self {
        describe_counter!(
            "repartee_bot_tokens_total",
            Unit::Count,
            "Tokens that the bot has used, estimated if its endpoint does not tell"
        );
        counter!("repartee_bot_tokens_total", "bot" => bot.to_owned()).absolute(0);
        Self { bot: bot.to_owned(), today: Mutex::new((day, used)), shown: Mutex::default() }
    }

    /// The day of `now`, or a later one that was seen before, and how many were used on it.
    pub(super) fn today(&self, now: SystemTime) -> (u64, u64) {
        self.with_today(now, |today| *today)
    }

    /// Shows what the bot has used today, and what it may use a day, for as long as what is given is held: what was used is
    /// remembered for longer than the bot is there.
    pub(super) fn show(&self, per_day: Option<u64>) -> Shown {
        let bot = [("bot", self.bot.as_str())];
        let limit = per_day.map(|limit| {
            let help = "Tokens that the bot may use a day; absent if there is no limit";
            let shown = LiveGauge::of("repartee_bot_tokens_per_day", help, &bot);
            shown.set(limit as f64);
            shown
        });
        let help = "Tokens that the bot has used since midnight, UTC";
        let used = Arc::new(LiveGauge::of("repartee_bot_tokens_today", help, &bot));
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&used);
        // The metrics show it from the start.
        self.today(SystemTime::now());
        Shown { _used: used, _limit: limit }
    }

    /// Notes that a request has cost so many tokens.
    fn spend(&self, tokens: u64, now: SystemTime) {
        counter!("repartee_bot_tokens_total", "bot" => self.bot.clone()).increment(tokens);
        self.with_today(now, |(_, used)| *used = used.saturating_add(tokens));
    }

    /// How long until there are tokens again, if `per_day` are used up.
    pub(super) fn used_up(&self, per_day: Option<u64>, now: SystemTime) -> Option<Duration> {
        let (_, used) = self.today(now);
        (used >= per_day?).then(|| Duration::from_secs(DAY - seconds(now) % DAY))
    }

    fn with_today<T>(&self, now: SystemTime, with: impl FnOnce(&mut (u64, u64)) -> T) -> T {
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        let day = day(now);
        if today.0 < day {
            *today = (day, 0);
        }
        let result = with(&mut today);
        if let Some(shown) = self.shown.lock().unwrap_or_else(PoisonError::into_inner).upgrade() {
            shown.set(today.1 as f64);
        }
        result
    }
}

/// What one request costs. It is spent when this is dropped, however the request ends.
#[derive(Debug)]
pub(super) struct Bill<'a> {
    spending: &'a Spending,
    /// The tokens of the chat, by estimate.
    chat: usize,
    /// Bytes that the model has written.
    written: usize,
    /// What is spent instead of the estimate.
    told: Option<u64>,
}

impl<'a> Bill<'a> {
    /// The bill of a chat of so many tokens.
    pub(super) fn new(spending: &'a Spending, chat: usize) -> Self {
        Self { spending, chat, written: 0, told: None }
    }

    /// The model has written so many bytes more.
    pub(super) fn add(&mut self, bytes: usize) {
        self.written += bytes;
    }

    /// The endpoint did not begin to answer: it costs nothing.
    pub(super) fn waive(&mut self) {
        self.told = Some(0);
    }

    /// The answer has ended; `told` is what it cost, if the endpoint tells.
    pub(super) fn settle(&mut self, told: Option<u64>) {
        self.told = told;
    }
}

impl Drop for Bill<'_> {
    fn drop(&mut self) {
        let estimate = (self.chat + history::tokens_of(self.written)) as u64;
        self.spending.spend(self.told.unwrap_or(estimate), SystemTime::now());
    }
}

/// The day of `now`, counted from the Unix epoch.
pub(super) fn day(now: SystemTime) -> u64 {
    seconds(now) / DAY
}

fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{Bill, DAY, Spending, seconds};

    fn at(day: u64, second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(day * DAY + second)
    }

    #[test]
    fn what_is_used_up_is_there_again_the_next_day() {
        let spending = Spending::new("test");
        let left = |limit, now| spending.used_up(Some(limit), now);
        assert_eq!(left(10, at(1, 0)), None);
        spending.spend(9, at(1, 5));
        assert_eq!(left(10, at(1, 6)), None);
        spending.spend(9, at(1, 7));
        assert_eq!(left(10, at(1, DAY - 60)), Some(Duration::from_secs(60)));
        assert_eq!(spending.used_up(None, at(1, 8)), None);
        assert_eq!(left(10, at(2, 0)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_forgets_nothing() {
        let spending = Spending::resumed("test", 2, 9);
        assert_eq!(spending.today(at(1, 0)), (2, 9));
        spending.spend(1, at(1, 5));
        assert!(spending.used_up(Some(10), at(1, 6)).is_some());
        assert_eq!(spending.today(at(2, 0)), (2, 10));
        assert_eq!(spending.today(at(3, 0)), (3, 0));
    }

    #[test]
    fn none_a_day_are_used_up_from_the_start() {
        assert!(Spending::new("test").used_up(Some(0), at(1, 0)).is_some());
    }

    #[test]
    fn what_a_request_cost_is_spent_however_it_ends() {
        let spending = Spending::new("test");
        let used = || spending.today(SystemTime::now()).1;
        let before = seconds(SystemTime::now()) / DAY;
        let mut broken_off = Bill::new(&spending, 10);
        broken_off.add(4);
        broken_off.add(2);
        drop(broken_off);
        let after_estimate = used();
        let mut told = Bill::new(&spending, 10);
        told.add(6);
        told.settle(Some(100));
        drop(told);
        let after_told = used();
        let mut refused = Bill::new(&spending, 10);
        refused.waive();
        drop(refused);
        // At midnight the count begins anew.
        if seconds(SystemTime::now()) / DAY == before {
            assert_eq!((after_estimate, after_told, used()), (12, 112, 112));
        }
    }
}
