//! rest-gateway: JSON over HTTP for Repartee. It translates requests into gRPC calls of the queue-service and answers
//! back, serves the page, and describes itself in OpenAPI.
//!
//! It owns no state but a bounded copy of the newest messages (`tail/`): what a message may be and who may do what is
//! decided by the queue-service, and every refusal of it becomes one problem document here. Read `routes.rs` first: the whole URL table stands there.

mod access;
mod admin;
mod answers;
mod body;
mod changes;
mod client;
mod comments;
mod conditional;
mod conversation;
mod docs;
mod extract;
mod front;
mod hsts;
mod json;
mod judged;
mod kept;
mod layers;
mod observe;
mod page;
mod pieces;
mod pointer;
mod polls;
mod probes;
mod problem;
mod queue;
mod reached;
mod refusal;
mod rooms;
mod routes;
mod server;
mod settings;
mod source;
mod stats;
mod stream;
mod tail;
mod trace_parents;
mod upstream;
mod visitor;

pub use client::{ClientSettings, ForwardedHeader, Network};
pub use hsts::Hsts;
pub use observe::LogAddresses;
pub use server::{Error, Server, run};
pub use settings::Settings;
pub use trace_parents::TraceParents;
