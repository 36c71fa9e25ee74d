//! What every Repartee binary does around its work: reading settings, writing logs, ending on a signal, telling that it
//! is ready, counting, bounds, connections, private files, tokens, and the exit codes. It knows nothing of messages.

pub mod access;
mod bearer;
mod bound;
mod byte_limit;
mod client_key;
mod client_permits;
mod client_rate;
mod connections;
mod door;
mod exit;
mod head;
mod logs;
mod metrics;
mod metrics_face;
pub mod names;
mod open_files;
pub mod private_file;
mod ready;
mod secret;
mod sent;
mod serve;
mod shutdown;
mod span;
mod switch;
mod tokens;
mod watched;

pub use bearer::bearer;
pub use bound::{Bound, Fill, Full, Place, refusals};
pub use byte_limit::{ByteLimit, BytePermit};
pub use client_key::ClientKey;
pub use client_permits::{ClientPermit, ClientPermits};
pub use client_rate::{ClientRate, Rate, RateUsage};
pub use connections::{
    AnswerLimits, AnswerPermit, ConnectionState, Connections, HeldAnswer, Patience, UnfinishedBody,
};
pub use door::{Begin, Connection, Door};
pub use exit::{Settings, main};
pub use head::{HTTP1_HEAD_BYTES, HeadFault, Host, check_head, check_host};
pub use metrics::{CONTENT_TYPE, recorder};
pub use metrics_face::serve_metrics;
pub use open_files::take_all as take_all_open_files;
pub use ready::{Ready, ReadyFileError};
pub use secret::Secret;
pub use sent::SentBody;
pub use serve::serve;
pub use shutdown::on_signal;
pub use span::Span;
pub use switch::Switch;
pub use tokens::{
    AcceptedTokens, Credential, Grant, Line, NewToken, Role, SentToken, TokenRefused, Tokens, TokensFile,
    TokensFileError, token_variable,
};

/// The allocator of every binary: it gives memory back that other allocators keep, and costs less than that of glibc
/// (see PERFORMANCE.md).
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
