//! One run: the service and all who take part, the kills, and the looks after each of them.

use std::sync::Arc;

use e2e::{Door, Service, watch_live, within_deadline};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    audit, check,
    clients::{Cast, Client, crew},
    history::History,
    kills::Victim,
    link::Life,
    log::Log,
    recorder::Recorder,
};

/// Settings that make the run meet what is older than the caches too.
const QUEUE: [&str; 2] = ["--cache-messages", "1500"];
const GATEWAY: [&str; 4] = ["--tail-messages", "400", "--tail-seed", "100"];

/// Violations that are shown where there are many.
const SHOWN: usize = 20;

/// A run that goes on.
pub(crate) struct Run {
    pub(crate) victim: Victim,
    random: StdRng,
    cast: Cast,
    lives: watch::Sender<Life>,
    /// The auditor finds the service before the others do.
    auditor: Client,
    of_auditor: watch::Sender<Life>,
    askers: JoinSet<()>,
    others: JoinSet<()>,
    log: Log,
    /// Length of the log when all of it was checked last.
    checked: usize,
    _gateway: Service,
}

impl Run {
    /// Starts the service, a gateway before it, and all clients.
    pub(crate) async fn start(seed: u64) -> Self {
        let queue = Service::queue_service(&QUEUE).await;
        let door = Door::new().await.expect("a free port");
        let gateway = Service::gateway(&door.url(), &GATEWAY).await;
        let hello = queue.grpc().await.watch(watch_live()).await.expect("a watch").hello;
        let log = Log { epoch: hello.epoch, ..Log::default() };
        let life = Life { number: 1, url: queue.grpc_url() };
        let (lives, of_clients) = watch::channel(life.clone());
        let (of_auditor, its_lives) = watch::channel(life);
        door.open_to(queue.grpc_addr());
        let cast = Cast {
            life: of_clients,
            browser: gateway.browser(),
            recorder: Arc::new(Recorder::default()),
            open: watch::Sender::new(0),
            positions: watch::Sender::default(),
            enough: CancellationToken::new(),
            origin: log.cursor(),
            seed,
        };
        Self {
            victim: Victim::new(queue, door, StdRng::seed_from_u64(seed ^ 1)),
            random: StdRng::seed_from_u64(seed),
            auditor: Cast { life: its_lives, ..cast.clone() }.over_grpc("auditor"),
            askers: crew::start_askers(&cast),
            others: crew::start_others(&cast),
            cast,
            lives,
            of_auditor,
            log,
            checked: 0,
            _gateway: gateway,
        }
    }

    /// Kills the service at some moment, starts it again and looks at it: half of the time before anybody else may, so
    /// that nothing happens meanwhile. `most`: not more kills than so many in all.
    pub(crate) async fn kill_once(&mut self, most: usize) {
        self.assert_all_at_work();
        self.victim.kill_and_start_again(&self.cast.recorder, most).await;
        let number = self.lives.borrow().number + 1;
        let life = Life { number, url: self.victim.queue.grpc_url() };
        audit::read_on(&self.victim.queue.grpc().await, &mut self.log).await;
        self.log.ends_of_lives.push(self.log.last());
        self.of_auditor.send_replace(life.clone());
        if self.random.random_bool(0.5) {
            self.look().await;
        }
        self.lives.send_replace(life);
        self.victim.door.open_to(self.victim.queue.grpc_addr());
    }

    /// Looks at samples; checks everything where the log has grown by a quarter, so that all checks together take no more
    /// than a few times as long as the last one.
    async fn look(&mut self) {
        audit::sample(&mut self.auditor, &mut self.random, &self.log).await;
        if self.log.changes.len() > self.checked + self.checked / 4 {
            self.checked = self.log.changes.len();
            assert_nothing_broken(&self.cast.recorder.history(), &self.log);
        }
    }

    /// Lets everybody finish and looks at everything.
    pub(crate) async fn finish(mut self) -> (History, Log) {
        self.assert_all_at_work();
        self.cast.enough.cancel();
        within_deadline("the last requests", self.askers.join_all()).await;
        let mut open = self.cast.open.subscribe();
        within_deadline("an end of all open messages", open.wait_for(|open| *open == 0))
            .await
            .expect("the cast");
        self.log.changes.clear();
        audit::read_on(&self.victim.queue.grpc().await, &mut self.log).await;
        let end = crew::at_the_end_of(&self.log);
        let mut positions = self.cast.positions.subscribe();
        let arrived = positions.wait_for(|positions| *positions == end);
        within_deadline("all followers to arrive at the end", arrived).await.expect("the cast");
        drop(self.others);
        audit::everything(&self.cast, &self.log).await;
        (self.cast.recorder.history(), self.log)
    }

    /// Checks that no client has given up.
    fn assert_all_at_work(&mut self) {
        let ended = self.askers.try_join_next().or_else(|| self.others.try_join_next());
        assert!(ended.is_none(), "a client ended: {ended:?}");
    }
}

/// Checks that no promise is broken; tells the story of the first that is.
pub(crate) fn assert_nothing_broken(history: &History, log: &Log) {
    let broken = check::violations(history, log);
    let Some(first) = broken.first() else { return };
    let shown = broken.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("\n");
    panic!("{} violations:\n{shown}\n{}", broken.len(), check::story::of_those_in(first, history, log));
}
