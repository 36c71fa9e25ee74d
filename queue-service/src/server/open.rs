//! Opening the data and starting the writer on it.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use repartee_process::{Bound, ByteLimit, NewToken, Span, Switch, Tokens};
use tokio_util::sync::CancellationToken;

use super::Error;
use crate::{
    disk::{DiskRoom, Watch},
    drafts::Drafts,
    grpc::{Bounds, DoorBounds, Guesses, Names, QueueGrpc, Rights, StreamRules},
    journal::{self, Costs, EditSecret, Journal, LogJournal, OpenError, Parts, Tally},
    limits_file::LimitsFile,
    observe::CallTimes,
    reads::Reads,
    restore::restore,
    settings::{CacheBytes, ConversationOwner, Settings},
    writer::{Clock as _, Running, ServiceClock, Writer},
};

/// What runs once the data is read.
pub(super) struct Opened {
    pub(super) grpc: QueueGrpc,
    pub(super) running: Running,
    pub(super) disk: Watch,
    pub(super) data_dir: PathBuf,
    pub(super) limits_file: Option<LimitsFile>,
}

/// Parts of the log: what is old or too much goes by whole parts, so it stays for at most so much longer.
const PARTS: u64 = 16;

fn parts(settings: &Settings) -> Parts {
    let every_ms = settings.retention.map(|retention| (retention.millis() / PARTS.cast_signed()).max(1));
    Parts { every_ms, bytes: settings.data_limit().0.map(|most| most / PARTS) }
}

/// Opens the data and starts the writer. Blocks.
pub(super) fn open<J: Journal>(
    settings: &Settings,
    own: &[NewToken],
    addr: SocketAddr,
    connections: DoorBounds,
    answers: ByteLimit,
    journal: impl FnOnce(LogJournal) -> J,
) -> Result<Opened, Error> {
    let (data_dir, durability) = (settings.data_dir.clone(), settings.durability);
    let tally = Tally::default();
    let mut opened = journal::open(&data_dir, durability, &tally)?;
    opened.set_parts(parts(settings));
    let store = opened.store().clone();
    let tokens = Tokens::load(Some(&settings.tokens_path()), own)?;
    if tokens.is_empty() {
        let file = settings.tokens_path();
        tracing::warn!(file = %file.display(), "there are no tokens: no worker, gateway or operator can call; `token new` makes one");
    }
    let edits = EditSecret::open(&data_dir).map_err(Error::Secret)?;
    let names = Names::open(settings).map_err(|error| Error::Names(data_dir.clone(), error))?;
    if durability == journal::Durability::Process {
        tracing::warn!("durability is \"process\": acknowledged writes survive a kill, not a power cut");
    }
    let room = DiskRoom::new(settings.min_free_disk.0, settings.data_limit());
    let disk = room.watch(&data_dir).map_err(|error| OpenError::Directory(data_dir.clone(), error))?;
    if let CacheBytes::Auto { .. } = settings.cache_bytes {
        tracing::info!(cache_bytes = %settings.cache_bytes, "the memory limit sets the size of the cache");
    }
    let (costs, mut rules) = (Costs::default(), settings.rules());
    let mut limits_file = None;
    if let Some((text, limits)) = settings.read_entity_limits().map_err(Error::EntityLimits)? {
        rules.entity_limits = limits;
        limits_file = settings.entity_limits.clone().map(|path| LimitsFile { path, text });
    }
    let unreadable = |error| OpenError::reading(&data_dir, error);
    let last = store.last_commit(&Tally::default()).map_err(unreadable)?;
    let clock = ServiceClock::start(last, settings.max_clock_jump.0);
    let (queue, views) =
        restore(&store, rules.clone(), settings.cache(), &costs, clock.read(), tally).map_err(unreadable)?;
    let views = Arc::new(views);
    let writer = Writer {
        queue,
        journal: journal(opened),
        store: store.clone(),
        views: Arc::clone(&views),
        costs: costs.clone(),
        clock: clock.clone(),
        disk: room,
        retention: settings.retention.map(Span::millis),
        ages_from: clock.ages_from(),
    };
    let guesses = (settings.client_limits == Switch::On).then(|| Guesses::new(settings.client_wrong_tokens));
    let (queue, running) = writer.start(settings.room()).map_err(Error::Thread)?;
    let grpc = QueueGrpc {
        queue,
        clock,
        reads: Reads { views, store, costs, failures: Arc::default() },
        limits: Arc::new(settings.limits.clone()),
        rights: Arc::new(Rights { tokens, edits, visitors: addr.ip().to_canonical().is_loopback(), guesses }),
        streams: StreamRules {
            workers: Bound::new("worker_streams", settings.max_streams),
            watchers: Bound::new("watches", settings.max_streams),
            gateways: Bound::new("gateway_streams", settings.gateway_streams),
            posters: Bound::new("post_streams", settings.max_streams),
            drafters: Bound::new("drafts", settings.max_streams),
            watches: Default::default(),
            slow: repartee_process::refusals("stream_events"),
            heartbeat: settings.heartbeat.0,
            age: settings.stream_age.0,
            patience: settings.stream_patience.0,
            draining: CancellationToken::new(),
        },
        bounds: Bounds::new(
            connections,
            answers,
            (settings.max_calls, settings.max_streams),
            &rules,
            settings.data_limit(),
        ),
        drafts: Drafts::default(),
        names,
        times: CallTimes::none(),
        visitor_priority: settings.visitor_priority,
        conversation_owners: settings.conversation_owner == ConversationOwner::Visitor,
    };
    Ok(Opened { grpc, running, disk, data_dir, limits_file })
}
