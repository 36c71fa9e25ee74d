//! queue-service: owns the messages of Repartee. It stores them, hands those that are addressed to bots to workers, and
//! shows every change to everybody.
//!
//! The way of a command: [`grpc`] checks it → [`writer`] lets [`domain`] decide it and has [`journal`] make it durable →
//! [`views`] show it. Reads go from [`grpc`] through [`reads`] to the views, and to the journal only where the views do
//! not reach. ARCHITECTURE.md walks through all of it.

pub mod disk;
pub mod domain;
mod drafts;
mod grpc;
mod inspect;
pub mod journal;
mod limits_file;
mod observe;
mod reads;
mod restore;
mod server;
mod settings;
pub mod views;
pub mod writer;

use std::io::Write as _;

use repartee_process::Shutdown;

pub use server::{Error, Server};
pub use settings::{CacheBytes, MIN_FREE_DISK, Settings};

/// Runs the service until it is to stop, or only checks its data where the settings say so.
///
/// # Errors
/// Where it cannot start, or the journal fails.
pub async fn run(settings: Settings, shutdown: impl Into<Shutdown>) -> Result<(), Error> {
    if settings.check_data {
        return check(settings).await;
    }
    let (ready_file, data_dir) = (settings.ready_file.clone(), settings.data_dir.clone());
    let server = Server::bind(settings).await?;
    tracing::info!(address = %server.addr(), tls = server.is_tls(), data = %data_dir.display(), "queue-service serves gRPC");
    if let Some(path) = ready_file {
        repartee_process::Ready {
            grpc: Some(server.addr()),
            metrics: server.metrics_addr(),
            ..Default::default()
        }
        .write_to(&path)?;
    }
    server.serve(shutdown).await
}

/// Checks the data and prints what is found.
async fn check(settings: Settings) -> Result<(), Error> {
    let inspecting =
        tokio::task::spawn_blocking(move || inspect::inspect(&settings.data_dir, settings.durability));
    let found = inspecting.await.map_err(|_| Error::Inspection)??;
    // Whoever does not read it sees the exit code.
    let _ = writeln!(std::io::stdout(), "{found}");
    Ok(())
}
