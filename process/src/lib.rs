//! What every Repartee binary does around its work: reading settings, writing logs, ending on a signal, telling that it
//! is ready, counting, bounds, connections, private files, tokens, and the exit codes. It knows nothing of messages.

pub mod access;
mod bearer;
mod bound;
mod byte_limit;
mod client_key;
mod client_permits;
mod client_rate;
mod closing;
mod connection;
mod connections;
mod door;
mod exit;
mod followed;
mod head;
mod healthcheck;
mod in_process;
mod listen;
mod logs;
mod memory_limit;
mod metrics;
mod metrics_face;
pub mod names;
mod open_files;
mod panics;
pub mod private_file;
mod quiet_map;
mod ready;
mod sample;
mod secret;
mod sent;
mod serve;
mod shutdown;
mod size;
mod socket;
mod span;
mod status_line;
mod switch;
pub mod telemetry;
mod tls;
mod tokens;
mod turns;
mod watched;

pub use bearer::bearer;
pub use bound::{Bound, Fill, Full, Place, refusals};
pub use byte_limit::{ByteLimit, BytePermit};
pub use client_key::ClientKey;
pub use client_permits::{ClientPermit, ClientPermits};
pub use client_rate::{ClientRate, Rate, RateUsage};
pub use connection::{Begin, Connection};
pub use connections::{
    AnswerLimits, AnswerPermit, ConnectionState, Connections, HeldAnswer, Patience, UnfinishedBody,
};
pub use door::Door;
pub use exit::{Settings, error_chain, main};
pub use followed::Looks;
pub use head::{HTTP1_HEAD_BYTES, HeadFault, Host, MISDIRECTED, check_head, check_host};
pub use healthcheck::{Probe, reachable};
pub use in_process::{InProcess, InProcessDoor, in_process, serve_in_process};
pub use listen::listen;
pub use memory_limit::memory_limit;
pub use metrics::{
    CONTENT_TYPE, LabelledRows, LiveGauge, Measure, MeasuredPart, measure_part, measured_text, metrics_text,
    start_metrics,
};
pub use metrics_face::serve_metrics;
pub use open_files::take_all as take_all_open_files;
pub use quiet_map::QuietMap;
pub use ready::{Ready, ReadyFileError};
pub use sample::Sample;
pub use secret::Secret;
pub use sent::SentBody;
pub use serve::serve;
pub use shutdown::{DrainSettings, Shutdown};
pub use size::Size;
pub use span::Span;
pub use status_line::status_line;
pub use switch::Switch;
pub use tls::{QueueLink, QueueLinkError, QueueTlsSettings, Tls, TlsSettings};
pub use tokens::{
    AcceptedTokens, Credential, Grant, Line, NewToken, Role, SentToken, TokenRefused, Tokens, TokensFile,
    TokensFileError, token_variable,
};
pub use turns::Turns;

/// The allocator of every binary: it gives memory back that other allocators keep, and costs less than that of glibc
/// (see PERFORMANCE.md).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
