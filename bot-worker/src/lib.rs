//! The worker SDK of Repartee, and the ready bot that is built with it.
//!
//! A worker opens one stream of work, runs the author's handler on each message under a lease, renews the leases, and
//! reports each outcome until the service has taken it. It keeps no state of its own: whatever it forgets, the service
//! hands out again when the lease ends. It must never report one claim twice with different outcomes, and never log what
//! people wrote.
//!
//! ```no_run
//! use bot_worker::{Reply, Task, Worker};
//!
//! # async fn example() -> Result<(), bot_worker::Error> {
//! Worker::connect("http://127.0.0.1:50051")
//!     .token_file("data/worker-token")
//!     .name("shouter")
//!     .entity("shout")
//!     .max_in_flight(4)
//!     .run(async |task: Task| Ok(Reply::new(task.text().to_uppercase())))
//!     .await
//! # }
//! ```
//!
//! To read it top to bottom: [`Worker`] → `session` (the loop) → `subscription` (the stream), `steps` (what is reported on it) and `held` (the leases) →
//! `attempt` (one handler) → `report` (its outcome).

mod attempt;
mod backoff;
mod bot;
mod bots;
mod breaker;
mod client;
mod draft;
mod error;
mod handler;
mod health;
mod held;
#[cfg(feature = "openai")]
mod mcp;
mod measures;
#[cfg(feature = "openai")]
mod openai;
mod report;
mod scrape;
mod session;
mod settings;
mod status;
mod steps;
mod subscription;
mod task;
mod text;
mod traces;
mod worker;

pub use bot::{echo, echo_aloud, run};
pub use breaker::Breaker;
pub use draft::Draft;
pub use error::{Error, HandlerError};
pub use handler::Reply;
#[cfg(feature = "openai")]
pub use mcp::{ToolServers, ToolSettings};
#[cfg(feature = "openai")]
pub use openai::{FailedQuestions, Header, MaxTokensField, Name, OpenAi, OpenAiSettings};
pub use repartee_proto::v1::{Message, MessageType};
pub use settings::{ReplyKind, Settings};
pub use task::Task;
pub use worker::Worker;
