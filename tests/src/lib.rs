//! The harness of Repartee's end-to-end tests: it starts the real binaries, each on port 0 and in a directory of its own,
//! and speaks to them as browsers and workers do, over real sockets.
//!
//! It knows the wire and nothing else: no code of a server is linked in, so what passes here passes for every client.
//! Tests wait for what a stream tells them, never for a guessed time; every wait has the deadline [`DEADLINE`].

use std::{future::Future, time::Duration};

mod authority;
mod binaries;
mod browser;
mod collector;
mod disk;
mod door;
mod drip;
mod events;
mod fake_time;
mod frames;
mod grpc;
mod item_streams;
mod messages;
mod metrics;
mod process;
mod refusal;
mod scrapes;
mod service;
mod streams;
mod tokens;
mod way;

pub use authority::{Authority, Issued};
pub use binaries::{binary, installed};
pub use browser::{Answer, Browser};
pub use collector::{Collector, SentSpan};
pub use disk::SmallDisk;
pub use door::Door;
pub use drip::drip_until_ended;
pub use events::{Events, SentEvent};
pub use fake_time::FakeTime;
pub use frames::{Frame, Frames, connect_from};
pub use grpc::{Bearer, Grpc, RawClient};
pub use item_streams::{PostStream, StepStream, post_item, read_post};
pub use messages::{
    DOMAIN, held, id_of, platform_post, question, question_from, question_json, reply, seconds,
};
pub use metrics::Metrics;
pub use process::Process;
pub use refusal::{Refused, assert_full, precondition, refused};
pub use scrapes::Scrapes;
pub use service::{Service, World};
pub use streams::{Watch, WorkStream, offers, watch_from, watch_live, work};
pub use tokens::{ECHO_WORKER, GATEWAY, OPERATOR, WORKER, add_token, write_tokens};
pub use way::Way;

/// How long a test waits for anything before it fails: longer than every lease and backoff that a test waits out, on a
/// slow machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for `event` until the deadline.
///
/// # Panics
/// When the deadline passes; the message says what was waited for.
pub async fn within_deadline<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}
