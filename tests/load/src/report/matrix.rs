//! The whole matrix: which sections run, how long, and where the results go.

use std::{collections::BTreeMap, path::Path, time::Duration, time::SystemTime};

use serde::Serialize;

use super::{check::Check, check::checks, rest::Rest, row, sections};
use crate::{
    ceiling::Ceilings,
    chart, document,
    drive::Limit,
    error::Error,
    pace::Pace,
    resources::{load_average, machine},
    row::Row,
    scenario::{Load, Scenario},
    seed::Distinct,
    settings::Report,
    table::{number, results},
    wire::Over,
    world::World,
};

/// Bytes of each message's text.
pub(super) const TEXT_BYTES: u32 = 1_024;

/// What has been measured so far, and with what.
pub(super) struct Matrix {
    pub(super) settings: Report,
    pub(super) size: Size,
    pub(super) ceilings: Ceilings,
    pub(super) figures: Figures,
    rows: Vec<Row>,
}

/// How much is measured.
#[derive(Debug, Clone)]
pub(super) struct Size {
    /// Streams of events that are open at the same time.
    pub(super) streams: u32,
    /// The numbers of clients.
    pub(super) clients: &'static [u32],
    /// How long each row takes.
    pub(super) time: Duration,
    /// Messages that wait before each row that works on them.
    pub(super) backlog: u64,
    /// Messages that are stored for the large rows.
    pub(super) stored: u64,
    /// Messages that go through the whole life for the row of the disk.
    pub(super) churned: u64,
    /// Domains, authors, entities and conversations that are stored for the rows of growth.
    pub(super) grown: u64,
    /// How long servers at rest are watched.
    pub(super) rest: Duration,
    /// How long the compressed day is watched.
    pub(super) day: Duration,
    /// How long messages come under retention.
    pub(super) steady: Duration,
}

/// The figures that have a target; absent where they were not measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Figures {
    pub(super) poll_ratio: Option<f64>,
    pub(super) newest_ratio: Option<f64>,
    pub(super) large_to_small_p50: Option<f64>,
    pub(super) post_grpc_ratio: Option<f64>,
    pub(super) post_json_ratio: Option<f64>,
    pub(super) post_p50_us: Option<f64>,
    pub(super) fdatasync_p50_us: Option<f64>,
    pub(super) stream_ratio: Option<f64>,
    pub(super) deliver_p50_us: Option<f64>,
    pub(super) resident_mib: Option<f64>,
    pub(super) restart_seconds: Option<f64>,
    pub(super) disk_ratio: Option<f64>,
    pub(super) steady_growth: Option<f64>,
    pub(super) refusal_p99_ms: Option<f64>,
    pub(super) overload: Option<f64>,
    pub(super) overload_p99_ms: Option<f64>,
    pub(super) last_p99_ms: Option<f64>,
    pub(super) idle_client_kib: Option<f64>,
    pub(super) idle_calls: Option<f64>,
    pub(super) idle_cores: Option<f64>,
    /// By the name of the server.
    pub(super) rest: BTreeMap<String, Rest>,
}

/// Everything, as JSON.
#[derive(Serialize)]
struct Results<'a> {
    conditions: &'a str,
    checks: &'a [Check],
    figures: &'a Figures,
    rows: &'a [Row],
}

/// Runs the matrix, prints its tables, and writes what was asked for.
///
/// # Errors
/// Where something cannot be prepared, or a file cannot be written.
#[expect(clippy::print_stdout, reason = "the tables are what the command is for")]
pub(crate) async fn matrix(settings: Report) -> Result<(), Error> {
    if settings.place.queue_url.is_some() {
        return Err(Error::OwnServers("report"));
    }
    let size = Size::of(&settings);
    let begun = conditions(&settings, &size);
    let ceilings = Ceilings::open(&settings.place, size.time / 2).await?;
    let mut matrix = Matrix { settings, size, ceilings, figures: Figures::default(), rows: Vec::new() };
    sections::all(&mut matrix).await?;
    let Matrix { settings, size, ceilings, figures, rows } = matrix;
    ceilings.close().await?;
    let conditions = format!("{begun} Load average at the end: {}.", load_average());
    let made = figures.checks(size.stored);
    let text = format!("{conditions}\n\n{}\n{}", checks(&made), results(&rows));
    println!("{text}");
    let results = Results { conditions: &conditions, checks: &made, figures: &figures, rows: &rows };
    write(&settings, &text, &results)
}

fn write(settings: &Report, text: &str, results: &Results<'_>) -> Result<(), Error> {
    let save =
        |path: &Path, text: String| std::fs::write(path, text).map_err(Error::io(path.display().to_string()));
    if let Some(path) = &settings.json {
        save(path, serde_json::to_string_pretty(results).expect("results are plain values"))?;
    }
    if let Some(path) = &settings.chart {
        save(path, chart::chart(results.rows))?;
    }
    settings.write.as_deref().map_or(Ok(()), |path| document::replace(path, "measured", text))
}

fn conditions(settings: &Report, size: &Size) -> String {
    let build =
        if cfg!(debug_assertions) { "**debug build: figures mean nothing**" } else { "release build" };
    let form = if settings.short { "short form" } else { "full form" };
    format!(
        "{}. {}. {build}, {form}: {} s a row, texts of {TEXT_BYTES} bytes, durability `power`, clients, servers and \
         ceilings on the same cores. Load average at the start: {}.",
        httpdate::fmt_http_date(SystemTime::now()),
        machine(),
        size.time.as_secs_f64(),
        load_average(),
    )
}

impl Size {
    fn of(settings: &Report) -> Self {
        if settings.short {
            let (stored, churned) = (settings.stored.min(50_000), settings.churned.min(10_000));
            let (time, day) = (Duration::from_millis(1_000), Duration::from_secs(6));
            let steady = Duration::from_secs(20);
            return Self {
                streams: 500,
                clients: &[1, 64],
                time,
                backlog: 8_000,
                stored,
                churned,
                grown: settings.grown.min(20_000),
                rest: Duration::from_secs(5),
                day,
                steady,
            };
        }
        Self {
            streams: 5_000,
            clients: &[1, 16, 64, 256],
            time: Duration::from_secs(4),
            backlog: 40_000,
            stored: settings.stored,
            churned: settings.churned,
            grown: settings.grown,
            rest: Duration::from_secs(60),
            day: Duration::from_secs(60),
            steady: Duration::from_secs(120),
        }
    }
}

impl Matrix {
    /// Measures one row with its ceiling, right after each other.
    ///
    /// # Errors
    /// Where it cannot be prepared.
    pub(super) async fn row(
        &mut self,
        world: &mut World,
        load: &Load,
        given: &str,
        goal: Option<f64>,
    ) -> Result<Row, Error> {
        let ceiling = self.ceilings.of(world, load).await?;
        let row = row(world, load).await?.under(ceiling);
        Ok(self.keep(Row { goal, ..row }, given))
    }

    /// Keeps a row that was measured, and tells it.
    pub(super) fn keep(&mut self, row: Row, given: &str) -> Row {
        let row = Row { given: given.to_owned(), ..row };
        tell(&row);
        self.rows.push(row.clone());
        row
    }

    /// A load in a closed loop, for as long as a row takes.
    pub(super) fn load(&self, scenario: Scenario, over: Over, clients: u32) -> Load {
        let limit = Limit { operations: u64::MAX, time: self.size.time };
        Load {
            scenario,
            over,
            clients,
            pace: Pace::Closed,
            limit,
            text_bytes: TEXT_BYTES,
            users: 0,
            distinct: Distinct::default(),
        }
    }
}

#[expect(clippy::print_stderr, reason = "a quarter of an hour without a word would look like a hang")]
fn tell(row: &Row) {
    let ratio = row.ratio.map_or_else(String::new, |ratio| format!(", {ratio:.2} of the ceiling"));
    eprintln!(
        "{} {} over {:?}, {} clients: {}/s, p50 {:.0} µs{ratio}{}",
        row.scenario.name(),
        row.given,
        row.over,
        row.clients,
        number(row.per_second),
        row.latency.p50_us,
        if row.errors.is_empty() { String::new() } else { format!(", {:?}", row.errors) },
    );
}

impl Figures {
    /// The targets, in the order in which they were set.
    fn checks(&self, stored: u64) -> Vec<Check> {
        let stored = number(stored as f64);
        let ms = |micros: Option<f64>| micros.map(|micros| micros / 1_000.0);
        let one_post = self.fdatasync_p50_us.map_or(f64::NAN, |sync| 2.0 * sync / 1_000.0 + 0.4);
        let (queue, gateway) = (self.rest.get("queue-service"), self.rest.get("rest-gateway"));
        let delivered = self.post_p50_us.map_or(f64::NAN, |post| post / 1_000.0 + 0.3);
        vec![
            Check::at_least(
                "JSON poll, up to date, 64 clients, 50,000 cached",
                self.poll_ratio,
                0.8,
                "of axum",
            ),
            Check::at_least("JSON poll, newest 10 of 50,000, 64 clients", self.newest_ratio, 0.6, "of axum"),
            Check::at_most(
                &format!("p50 of a poll at {stored} stored, against 1,000"),
                self.large_to_small_p50,
                1.1,
                "",
            ),
            Check::at_least(
                "durable post over gRPC, 64 clients",
                self.post_grpc_ratio,
                0.5,
                "of the lower of tonic echo and group commit",
            ),
            Check::at_least(
                "durable post over JSON, 64 clients",
                self.post_json_ratio,
                0.4,
                "of axum + tonic call",
            ),
            Check::at_most(
                "one client's durable post, p50 (2 × fdatasync + 0.4 ms)",
                ms(self.post_p50_us),
                one_post,
                "ms",
            ),
            Check::at_least("stream + complete with reply, 4 × 16", self.stream_ratio, 0.35, "of tonic echo"),
            Check::at_most(
                "post → worker has it, p50 (durable post + 0.3 ms)",
                ms(self.deliver_p50_us),
                delivered,
                "ms",
            ),
            Check::at_most(
                &format!("queue-service resident, cache full, {stored} stored, after load"),
                self.resident_mib,
                128.0,
                "MiB",
            ),
            Check::at_most(
                &format!("ready after the slowest restart, {stored} stored, 1,000 pending, warm"),
                self.restart_seconds,
                1.0,
                "s",
            ),
            Check::at_most("disk, against the bytes of posts and replies", self.disk_ratio, 2.5, "×"),
            Check::at_most(
                "disk under a steady load with retention, second half of the time against the first",
                self.steady_growth,
                1.25,
                "×",
            ),
            Check::at_most(
                "refusals to 256 clients at once, room for 64, p99",
                self.refusal_p99_ms,
                10.0,
                "ms",
            ),
            Check::at_least(
                "open overload that was sent, for what 64 clients get",
                self.overload,
                3.8,
                "times that",
            ),
            Check::at_most("refusals under that overload, p99", self.overload_p99_ms, 10.0, "ms"),
            Check::at_most(
                "post → the last stream of events has it, 20 a second, p99",
                self.last_p99_ms,
                250.0,
                "ms",
            ),
            Check::at_most(
                "an idle stream of events in the gateway's memory",
                self.idle_client_kib,
                20.0,
                "KiB",
            ),
            Check::at_most(
                "calls of the queue-service for one of 100,000 idle polls a minute",
                self.idle_calls,
                0.001,
                "",
            ),
            Check::at_most("cores that it keeps busy then", self.idle_cores, 0.01, ""),
            Check::at_most("queue-service at rest, of a core", Rest::core_percent(queue), 0.5, "%"),
            Check::at_most("queue-service at rest, resident", Rest::resident_mib(queue), 30.0, "MiB"),
            Check::at_most("rest-gateway at rest, of a core", Rest::core_percent(gateway), 0.5, "%"),
            Check::at_most("rest-gateway at rest, resident", Rest::resident_mib(gateway), 20.0, "MiB"),
        ]
    }
}
