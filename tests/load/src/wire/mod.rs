//! The faces of the servers, as cheap clients see them: what a client costs is taken from the servers' cores.

mod bare;
mod events;
mod grpc;
mod json;

pub(crate) use bare::Bare;
pub(crate) use events::Events;
pub(crate) use grpc::{Grpc, channels, client, outcome, refusal, stats};
pub(crate) use json::{Answer, Json};

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use tokio::net::{TcpSocket, TcpStream};

use crate::error::Error;

/// Connects, from an address of this machine if one is named: for a server, each is another client.
///
/// # Errors
/// If nobody listens.
pub(crate) async fn dial(from: Option<Ipv4Addr>, addr: SocketAddr) -> Result<TcpStream, Error> {
    let connected = async {
        let Some(from) = from else { return TcpStream::connect(addr).await };
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        socket.connect(addr).await
    };
    let stream = connected.await.map_err(Error::io(format!("connecting to {addr}")))?;
    stream.set_nodelay(true).map_err(Error::io("setting TCP_NODELAY"))?;
    Ok(stream)
}

/// Which face is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Over {
    /// The queue-service.
    Grpc,
    /// The rest-gateway.
    Json,
}

impl Over {
    /// In words, for results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Grpc => "gRPC",
            Self::Json => "JSON",
        }
    }
}
