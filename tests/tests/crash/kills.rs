//! When the service is killed, and how it comes back.

use std::time::Duration;

use e2e::{Door, Service, within_deadline};
use rand::{RngExt, rngs::StdRng};
use tokio::time::{Instant, sleep};

use crate::recorder::Recorder;

/// How long a life under load lasts at the most. Every length occurs, a life shorter than the first commit too.
const LONGEST_LIFE: Duration = Duration::from_millis(400);
/// Of a life that is left in peace for once: longer than the shortest lease, so that leases run out.
const CALM_LIFE: Duration = Duration::from_millis(6_500);
/// So often a life is left in peace.
const CALM_EVERY: usize = 15;
/// From a request to the kill that is aimed at it.
const JUST_SENT: Duration = Duration::from_millis(3);
/// From the signal to stop to the kill: most lives are still ending then.
const DRAIN: Duration = Duration::from_millis(40);

/// What a kill is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// At no moment in particular.
    Anytime,
    /// At a request that was just sent.
    JustSent,
    /// At a service that stops because it was asked to.
    Draining,
    /// At a service that is starting.
    Starting,
}

impl Aim {
    pub(crate) fn some(random: &mut StdRng) -> Self {
        match random.random_range(0..10) {
            0..4 => Self::Anytime,
            4..7 => Self::JustSent,
            7 => Self::Draining,
            _ => Self::Starting,
        }
    }
}

/// The service that is killed, and the one who kills it.
#[derive(Debug)]
pub(crate) struct Victim {
    pub(crate) queue: Service,
    pub(crate) door: Door,
    random: StdRng,
    lives: usize,
    kills: Vec<Aim>,
    /// Stops that ended by themselves before the kill came.
    clean_stops: u32,
    last_start: Duration,
}

impl Victim {
    pub(crate) fn new(queue: Service, door: Door, random: StdRng) -> Self {
        let (kills, last_start) = (Vec::new(), LONGEST_LIFE);
        Self { queue, door, random, lives: 0, kills, clean_stops: 0, last_start }
    }

    /// How often it was killed.
    pub(crate) fn kills(&self) -> usize {
        self.kills.len()
    }

    /// Lets the clients work for a random while, kills the service once, or more often where it is killed in its next
    /// start, and starts it again. Nobody finds it before it is shown to them.
    pub(crate) async fn kill_and_start_again(&mut self, recorder: &Recorder, most: usize) {
        let aim = match Aim::some(&mut self.random) {
            // There is nothing to start before something was killed.
            Aim::Starting => Aim::Anytime,
            aim => aim,
        };
        self.live(recorder, aim).await;
        if aim == Aim::Draining {
            self.queue.process().ask_to_stop();
            sleep(self.random.random_range(Duration::ZERO..DRAIN)).await;
        }
        self.door.close();
        self.kill(aim).await;
        while self.kills.len() < most && self.random.random_ratio(1, 4) {
            self.queue.spawn_again();
            sleep(self.random.random_range(Duration::ZERO..self.last_start)).await;
            self.kill(Aim::Starting).await;
        }
        let began = Instant::now();
        self.queue.start_again().await;
        self.last_start = began.elapsed();
    }

    /// Waits until something is acknowledged, so that every life does something, and then for the moment of the kill.
    async fn live(&mut self, recorder: &Recorder, aim: Aim) {
        let mut acknowledged = recorder.acknowledged();
        within_deadline("an acknowledged call", acknowledged.changed()).await.expect("the recorder lives");
        // The one wait for the clock: the moment of a kill is to depend on nothing.
        self.lives += 1;
        let is_calm = self.lives % CALM_EVERY == CALM_EVERY / 2;
        let life = if is_calm { CALM_LIFE } else { self.random.random_range(Duration::ZERO..LONGEST_LIFE) };
        sleep(life).await;
        if aim == Aim::JustSent {
            let mut sent = recorder.sent();
            within_deadline("a call", sent.changed()).await.expect("the recorder lives");
            sleep(self.random.random_range(Duration::ZERO..JUST_SENT)).await;
        }
    }

    async fn kill(&mut self, aim: Aim) {
        match self.queue.kill().await {
            None => self.kills.push(aim),
            Some(code) => {
                assert_eq!((aim, code), (Aim::Draining, 0), "it ends by itself only where it was asked to");
                self.clean_stops += 1;
            }
        }
    }

    /// What was done to it.
    pub(crate) fn summary(&self) -> String {
        let count = |aim| self.kills.iter().filter(|kill| **kill == aim).count();
        format!(
            "{} kills: {} at any time, {} just after a request, {} while stopping, {} while starting; {} stops in peace",
            self.kills.len(),
            count(Aim::Anytime),
            count(Aim::JustSent),
            count(Aim::Draining),
            count(Aim::Starting),
            self.clean_stops
        )
    }
}
