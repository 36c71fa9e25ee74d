//! The result of one load, as it is written to JSON and shown in tables.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ceiling::Ceiling,
    drive::Measured,
    latency::{Latencies, Quantiles},
    resources::Taken,
    scenario::{Load, Scenario},
    wire::Over,
};

const MIB: f64 = 1024.0 * 1024.0;

/// What the storage has been asked, by call: calls, reads, writes.
pub(crate) type StorageCalls = BTreeMap<String, [u64; 3]>;

/// The result of one load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    /// What stood in the storage, or what else is special.
    pub(crate) given: String,
    pub(crate) scenario: Scenario,
    pub(crate) over: Over,
    pub(crate) clients: u32,
    pub(crate) pace: String,
    /// Operations that went well.
    pub(crate) operations: u64,
    /// Operations that did not, by name.
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    #[serde(flatten)]
    pub(crate) latency: Quantiles,
    /// How long refusals took, where there were some, from the moment in which they were due to be asked for.
    pub(crate) refusal_latency: Option<Quantiles>,
    /// The same from the moment in which they were asked for.
    pub(crate) refusal_latency_sent: Option<Quantiles>,
    /// Operations that were sent, whatever came of them, in a second.
    pub(crate) sent_per_second: f64,
    /// How late operations were sent, in an open loop.
    pub(crate) sent_late: Option<Quantiles>,
    /// What each server took.
    pub(crate) servers: BTreeMap<String, Usage>,
    /// From the acknowledgement of a message to each of those who follow, where somebody does.
    pub(crate) each: Option<Quantiles>,
    /// What an idle client takes in the gateway's memory, in KiB, where that was looked at.
    pub(crate) idle_client_kib: Option<f64>,
    /// Calls that the queue-service answered meanwhile, where that was looked at.
    pub(crate) queue_calls: Option<u64>,
    pub(crate) storage_reads_per_operation: f64,
    pub(crate) storage_writes_per_operation: f64,
    /// What the data took on the disk, in MiB: at the start, and every second from then on.
    pub(crate) disk_mib: Vec<f64>,
    pub(crate) ceiling: Option<Ceiling>,
    /// Operations a second, as a part of the ceiling's.
    pub(crate) ratio: Option<f64>,
    /// The part of the ceiling that it has to reach.
    pub(crate) goal: Option<f64>,
}

/// What a server took for a load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Time on a core for one operation, in microseconds.
    pub(crate) cpu_us_per_operation: f64,
    /// Cores that it kept busy.
    pub(crate) cores: f64,
    /// Resident at the end, in MiB.
    pub(crate) resident_mib: f64,
    /// The most that was ever resident, in MiB.
    pub(crate) peak_mib: f64,
}

/// What servers and storage had been through, before a load and after it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Meters {
    pub(crate) servers: BTreeMap<String, Taken>,
    pub(crate) storage: StorageCalls,
}

impl Row {
    /// The row of a load.
    pub(crate) fn new(load: &Load, measured: &Measured, before: &Meters, after: &Meters) -> Self {
        let (operations, seconds) = (measured.latencies.count(), measured.elapsed.as_secs_f64());
        // A restart takes the meters with it: what they show afterwards is one start.
        let started_anew = load.scenario == Scenario::Restart;
        let nothing = Meters::default();
        let (before, runs) = if started_anew { (&nothing, 1) } else { (before, operations) };
        let each = |total: f64| if runs == 0 { 0.0 } else { total / runs as f64 };
        let spent = |calls: usize| {
            let sum = |meters: &Meters| meters.storage.values().map(|cost| cost[calls]).sum::<u64>();
            sum(after).saturating_sub(sum(before)) as f64
        };
        let some = |latencies: &Latencies| (latencies.count() > 0).then(|| latencies.quantiles());
        let usage = |(name, now): (&String, &Taken)| {
            let begun = before.servers.get(name).map_or(0.0, |taken| taken.cpu_seconds);
            let cpu = (now.cpu_seconds - begun).max(0.0);
            let usage = Usage {
                cpu_us_per_operation: each(cpu * 1_000_000.0),
                cores: cpu / seconds.max(f64::MIN_POSITIVE),
                resident_mib: now.resident as f64 / MIB,
                peak_mib: now.peak as f64 / MIB,
            };
            (name.clone(), usage)
        };
        Self {
            given: String::new(),
            scenario: load.scenario,
            over: load.over,
            clients: load.clients,
            pace: load.pace.name(),
            operations,
            errors: measured.errors.clone(),
            seconds,
            per_second: measured.per_second(),
            latency: measured.latencies.quantiles(),
            refusal_latency: some(&measured.refusals),
            refusal_latency_sent: some(&measured.refusals_sent),
            sent_per_second: measured.sent_per_second(),
            sent_late: some(&measured.late),
            servers: after
                .servers
                .iter()
                .filter(|(name, _)| !started_anew || *name == "queue-service")
                .map(usage)
                .collect(),
            each: some(&measured.each),
            idle_client_kib: measured.idle_client_kib,
            queue_calls: measured.queue_calls,
            storage_reads_per_operation: each(spent(1)),
            storage_writes_per_operation: each(spent(2)),
            disk_mib: Vec::new(),
            ceiling: None,
            ratio: None,
            goal: None,
        }
    }

    /// The same with its ceiling.
    pub(crate) fn under(mut self, ceiling: Option<Ceiling>) -> Self {
        self.ratio = ceiling.as_ref().map(|ceiling| self.per_second / ceiling.per_second);
        self.ceiling = ceiling;
        self
    }

    /// How many operations did not go well.
    pub(crate) fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::{Duration, Instant};

    use super::{Meters, Row};
    use crate::{
        ceiling::Ceiling,
        drive::{Limit, Measured, Outcome},
        pace::Pace,
        resources::Taken,
        scenario::{Load, Scenario},
        wire::Over,
    };

    /// 100 posts in 2 s under a ceiling of 200 a second.
    pub(crate) fn row() -> Row {
        let limit = Limit { operations: 100, time: Duration::from_secs(2) };
        let load = Load {
            scenario: Scenario::Post,
            over: Over::Grpc,
            clients: 64,
            pace: Pace::Closed,
            limit,
            text_bytes: 1_024,
            users: 0,
            distinct: crate::seed::Distinct::default(),
        };
        let mut measured = Measured::new();
        let now = Instant::now();
        (0..100).for_each(|_| {
            measured.note(Outcome::DoneAt(now), now.checked_sub(Duration::from_micros(500)).unwrap());
        });
        measured.note(Outcome::Failed("Internal".into()), now);
        measured.elapsed = Duration::from_secs(2);
        let meters = |cpu_seconds, writes| Meters {
            servers: [("queue-service".into(), Taken { cpu_seconds, resident: 3 << 20, peak: 4 << 20 })]
                .into(),
            storage: [("Commit".into(), [10, 0, writes])].into(),
        };
        let ceiling = Ceiling { name: "tonic echo".into(), per_second: 200.0, p50_us: 100.0 };
        Row::new(&load, &measured, &meters(1.0, 50), &meters(1.5, 450)).under(Some(ceiling))
    }

    #[test]
    fn a_row_tells_what_each_operation_cost() {
        let row = row();
        assert_eq!((row.operations, row.error_count(), row.per_second), (100, 1, 50.0));
        assert_eq!((row.storage_reads_per_operation, row.storage_writes_per_operation), (0.0, 4.0));
        let usage = row.servers["queue-service"];
        assert_eq!((usage.cpu_us_per_operation, usage.cores, usage.peak_mib), (5_000.0, 0.25, 4.0));
        assert_eq!(row.ratio, Some(0.25));
    }
}
