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
mod progress;
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
    if settings.check_data || settings.rebuild_index || settings.adopt {
        return look_after(settings).await;
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

/// Does with the data what is asked for, and prints what came of it.
async fn look_after(settings: Settings) -> Result<(), Error> {
    let work = move || {
        let Settings { data_dir, durability, .. } = &settings;
        let mut shown = progress::Bar::default();
        let mut progress = |done, total| shown.show(done, total);
        if settings.adopt {
            inspect::adopt(data_dir, *durability, &mut progress)
        } else if settings.rebuild_index {
            inspect::rebuild_index(data_dir, *durability, &mut progress)
        } else {
            inspect::inspect(data_dir, *durability).map(|found| found.to_string())
        }
    };
    let said = tokio::task::spawn_blocking(work).await.map_err(|_| Error::Inspection)??;
    // Whoever does not read it sees the exit code.
    let _ = writeln!(std::io::stdout(), "{said}");
    Ok(())
}
