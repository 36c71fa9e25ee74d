//! One way of attacking: the servers, the visitors, the parts of the time, and what was seen in them.

use std::{collections::BTreeMap, net::Ipv4Addr, process::Stdio, time::Duration};

use repartee_proto::v1::{NewMessage, PostMessageRequest, PostMessagesRequest};
use serde::Serialize;
use tokio::{process::Command, time::sleep};

use super::{
    LOUD_DOMAIN, Settings,
    attacker::Tally,
    kind::Kind,
    visitors::{Deed, Sample, Visitors},
};
use crate::{
    access::Who,
    error::Error,
    latency::{Latencies, Quantiles},
    scenario::Workers,
    seed,
    world::World,
};

/// The hostile address.
const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// After the beginning and the end of an attack, before the next part counts.
const BETWEEN: Duration = Duration::from_secs(2);
/// Large messages, each of 96 KB as JSON: a page of them ends at 1 MiB.
const LOUD: usize = 200;
/// Workers, and how many questions each answers at once.
const WORKERS: (usize, u32) = (2, 16);
/// What the bot answers, in bytes.
const REPLY_BYTES: u32 = 200;
/// The attacker ends by itself; if it does not by then, it is killed.
const LATE: Duration = Duration::from_secs(10);

/// What came of one way of attacking.
#[derive(Debug, Serialize)]
pub(super) struct Trial {
    pub(super) kind: Kind,
    /// Requests of visitors that were answered well during attacks.
    pub(super) requests: u64,
    /// What visitors met with otherwise, at any time.
    pub(super) errors: BTreeMap<String, u64>,
    /// In the order of [`Deed::ALL`].
    pub(super) deeds: [Compared; 4],
    pub(super) attacker: Tally,
    /// By the name of the server.
    pub(super) memory: BTreeMap<String, Memory>,
    /// Time on a core that each server took during attacks, in seconds.
    pub(super) cpu_seconds: BTreeMap<String, f64>,
    /// How long it was attacked and measured, in seconds.
    pub(super) seconds: u64,
}

/// How long the same took with and without an attack.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Compared {
    pub(super) quiet: Quantiles,
    /// Of each quiet part, the fastest and the slowest.
    pub(super) quiet_p99_us: [f64; 2],
    pub(super) attacked: Quantiles,
    /// 99 % under attack against 99 % of all quiet time.
    pub(super) ratio: f64,
}

/// The most that a server had resident, in bytes.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Memory {
    pub(super) quiet: u64,
    pub(super) attacked: u64,
    /// What it may have.
    pub(super) bound: u64,
}

/// What was measured, part by part.
#[derive(Default)]
struct Parts {
    /// Which samples are quiet ones.
    quiet: Vec<usize>,
    attacked: Vec<usize>,
    tally: Tally,
    memory: BTreeMap<String, Memory>,
    cpu_seconds: BTreeMap<String, f64>,
}

impl Trial {
    /// Attacks in one way.
    ///
    /// # Errors
    /// If servers or the attacker cannot be started.
    pub(super) async fn run(kind: Kind, settings: &Settings) -> Result<Self, Error> {
        let world = World::open_limited(&settings.place).await?;
        if matches!(kind, Kind::ClosedWindows | Kind::LargeAnswers) {
            post_loudly(&world).await?;
        }
        let workers = Workers::start(&world, WORKERS.0, WORKERS.1, REPLY_BYTES).await?;
        let visitors = Visitors::begin(world.http_addr(), settings.visitors()).await?;
        let mut parts = Parts::default();
        // The first sample is what comes before the first part.
        let mut sample = 0;
        parts.quiet(&world, &visitors, settings, &mut sample).await;
        for _ in 0..settings.rounds() {
            parts.attack(kind, &world, &visitors, settings, &mut sample).await?;
            parts.quiet(&world, &visitors, settings, &mut sample).await;
        }
        let samples = visitors.end().await;
        drop(workers);
        world.close().await?;
        Ok(Self::of(kind, parts, &samples, settings))
    }

    fn of(kind: Kind, parts: Parts, samples: &[Sample], settings: &Settings) -> Self {
        let mut errors = BTreeMap::new();
        for (what, count) in samples.iter().flat_map(|sample| &sample.errors) {
            *errors.entry(what.clone()).or_default() += count;
        }
        let mut memory = parts.memory;
        for (name, held) in &mut memory {
            held.bound =
                if name == "rest-gateway" { kind.gateway_bound(held.quiet) } else { kind.queue_bound() };
        }
        let attacked = |deed| pooled(samples, &parts.attacked, deed).count();
        Self {
            kind,
            requests: attacked(Deed::Post) + attacked(Deed::Poll) + attacked(Deed::Load),
            errors,
            deeds: Deed::ALL.map(|deed| Compared::of(samples, &parts.quiet, &parts.attacked, deed)),
            attacker: parts.tally,
            memory,
            cpu_seconds: parts.cpu_seconds,
            seconds: settings.part().as_secs() * u64::from(settings.rounds()),
        }
    }

    /// What is not as it should be: nothing, if all is well.
    pub(super) fn misses(&self, slower: f64) -> Vec<String> {
        let names = Deed::ALL.map(Deed::name);
        let errors = self.errors.iter().map(|(what, count)| format!("{count} × {what}"));
        let slow = self.deeds.iter().zip(names).filter(|(deed, _)| deed.ratio > slower);
        let slow = slow.map(|(deed, name)| format!("p99 of {name} {:.1} ×", deed.ratio));
        let large = self.memory.iter().filter(|(_, held)| held.attacked > held.bound);
        let large = large.map(|(name, _)| format!("memory of {name}"));
        errors.chain(slow).chain(large).collect()
    }
}

impl Settings {
    pub(super) fn visitors(&self) -> u8 {
        if self.short { self.visitors.min(5) } else { self.visitors }
    }

    pub(super) fn rounds(&self) -> u32 {
        if self.short { 1 } else { self.rounds }
    }

    pub(super) fn part(&self) -> Duration {
        Duration::from_secs(if self.short { 2 } else { self.seconds })
    }

    fn between(&self) -> Duration {
        if self.short { Duration::ZERO } else { BETWEEN }
    }
}

impl Parts {
    async fn quiet(&mut self, world: &World, visitors: &Visitors, settings: &Settings, sample: &mut usize) {
        sleep(settings.between()).await;
        visitors.next_part();
        *sample += 1;
        self.quiet.push(*sample);
        world.reset_peaks();
        sleep(if settings.short { settings.part() / 4 } else { settings.part() }).await;
        for (name, taken) in world.taken() {
            // What an attack left behind is no part of the quiet that it is held against.
            let held = self.memory.entry(name).or_default();
            held.quiet = if held.quiet == 0 { taken.peak } else { held.quiet };
        }
        self.leave(visitors, sample);
    }

    async fn attack(
        &mut self,
        kind: Kind,
        world: &World,
        visitors: &Visitors,
        settings: &Settings,
        sample: &mut usize,
    ) -> Result<(), Error> {
        world.reset_peaks();
        let attacker = start(kind, world, settings)?;
        sleep(settings.between()).await;
        visitors.next_part();
        *sample += 1;
        self.attacked.push(*sample);
        let before = world.taken();
        sleep(settings.part()).await;
        for (name, taken) in world.taken() {
            let begun = before.get(&name).map_or(0.0, |taken| taken.cpu_seconds);
            *self.cpu_seconds.entry(name.clone()).or_default() += taken.cpu_seconds - begun;
            let held = self.memory.entry(name).or_default();
            held.attacked = held.attacked.max(taken.peak);
        }
        self.leave(visitors, sample);
        let output = tokio::time::timeout(LATE, attacker.wait_with_output()).await;
        let output = output.map_err(|_| Error::Reader("the attacker does not end".to_owned()))?;
        let output = output.map_err(Error::io("waiting for the attacker"))?;
        let tally =
            serde_json::from_slice(&output.stdout).map_err(|error| Error::Reader(error.to_string()))?;
        self.tally.add(tally);
        Ok(())
    }

    /// What comes until the next part is counted, and belongs to none.
    fn leave(&mut self, visitors: &Visitors, sample: &mut usize) {
        visitors.next_part();
        *sample += 1;
    }
}

impl Compared {
    fn of(samples: &[Sample], quiet: &[usize], attacked: &[usize], deed: Deed) -> Self {
        let p99 = |part: &usize| samples[*part].of(deed).quantiles().p99_us;
        let parts = || quiet.iter().map(p99);
        let (calm, hit) =
            (pooled(samples, quiet, deed).quantiles(), pooled(samples, attacked, deed).quantiles());
        Self {
            quiet: calm,
            quiet_p99_us: [parts().fold(f64::INFINITY, f64::min), parts().fold(0.0, f64::max)],
            attacked: hit,
            ratio: hit.p99_us / calm.p99_us.max(f64::MIN_POSITIVE),
        }
    }
}

fn pooled(samples: &[Sample], parts: &[usize], deed: Deed) -> Latencies {
    let mut all = Latencies::new();
    parts.iter().for_each(|part| all.add(samples[*part].of(deed)));
    all
}

/// Starts the attacker. It is killed if it is dropped.
fn start(kind: Kind, world: &World, settings: &Settings) -> Result<tokio::process::Child, Error> {
    let own = std::env::current_exe().map_err(Error::io("finding this program"))?;
    let seconds = (settings.between() + settings.part()).as_secs();
    let one_in = if settings.short { kind.short_one_in() } else { 1 };
    Command::new(own)
        .arg("attacker")
        .arg(kind.flag())
        .args(["--http-addr", &world.http_addr().to_string(), "--from", &HOSTILE.to_string()])
        .args(["--seconds", &seconds.to_string(), "--one-in", &one_in.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io("starting the attacker"))
}

/// Messages whose JSON takes six times their bytes.
async fn post_loudly(world: &World) -> Result<(), Error> {
    let text = format!("{}!", "\u{1}".repeat(16_000));
    let message = NewMessage { domain: LOUD_DOMAIN.to_owned(), text, ..seed::platform_post("Human", 1) };
    let mut queue = world.grpc(Who::Operator, 1).await?.remove(0);
    for _ in 0..LOUD / 20 {
        let item = PostMessageRequest { message: Some(message.clone()), idempotency_key: None };
        let items = vec![item; 20];
        queue.post_messages(PostMessagesRequest { items }).await?;
    }
    Ok(())
}
