//! Servers that do nothing, each as a process of its own like the real ones: what remains is what the stack costs.

mod grpc;
mod http;

pub(crate) use grpc::{EchoClient, Payload};

use std::time::Duration;

use repartee_process::{Ready, Shutdown};
use tokio::net::TcpListener;

use crate::{error::Error, settings::ServeEcho};

/// Serves one of the faces until the process is told to stop.
///
/// # Errors
/// Where the address cannot be bound or the ready file cannot be written.
pub(crate) async fn serve(settings: ServeEcho) -> Result<(), Error> {
    let stop = Shutdown::on_signal(Duration::ZERO).stop;
    let listener = TcpListener::bind(settings.addr).await.map_err(Error::io("binding the echo"))?;
    let addr = listener.local_addr().map_err(Error::io("binding the echo"))?;
    let ready = match settings.upstream {
        None => Ready { grpc: Some(addr), ..Ready::default() },
        Some(_) => Ready { http: Some(addr), ..Ready::default() },
    };
    // Connections that come before the server accepts wait in the listener.
    let told = ready.write_to(&settings.ready_file);
    told.map_err(|error| Error::Server { name: "serve-echo".to_owned(), why: error.to_string() })?;
    match settings.upstream {
        None => grpc::serve(listener, stop).await,
        Some(upstream) => http::serve(listener, &upstream, stop).await,
    }
}
