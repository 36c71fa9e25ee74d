//! queue-service: owns the messages of Repartee. It stores them, hands those that are addressed to bots to workers, and
//! shows every change to everybody.
//!
//! The way of a command: [`grpc`] checks it → [`writer`] lets [`domain`] decide it and has [`journal`] make it durable →
//! [`views`] show it. Reads go from [`grpc`] through [`reads`] to the views, and to the journal only where the views do
//! not reach. ARCHITECTURE.md walks through all of it.

pub mod disk;
pub mod domain;
mod grpc;
pub mod journal;
mod observe;
mod reads;
mod restore;
mod server;
mod settings;
pub mod views;
pub mod writer;

use tokio_util::sync::CancellationToken;

pub use server::{Error, Server};
pub use settings::{MIN_FREE_DISK, Settings};

/// Runs the service until `shutdown` is cancelled.
///
/// # Errors
/// Where it cannot start, or the journal fails.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), Error> {
    let (ready_file, data_dir) = (settings.ready_file.clone(), settings.data_dir.clone());
    let server = Server::bind(settings).await?;
    tracing::info!(address = %server.addr(), data = %data_dir.display(), "queue-service serves gRPC");
    if let Some(path) = ready_file {
        repartee_process::Ready { grpc: Some(server.addr()), http: None }.write_to(&path)?;
    }
    server.serve(shutdown).await
}
