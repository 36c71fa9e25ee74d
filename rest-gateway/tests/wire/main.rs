//! The gateway over real sockets, in front of a queue-service that answers what each test tells it to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod changes;
mod comments;
mod cors;
mod documents;
mod errors;
mod fake;
mod headers;
mod input;
mod items;
mod life;
mod log;
mod queue;
mod stream;
mod tail;
mod world;
