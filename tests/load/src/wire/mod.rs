//! The faces of the servers, as cheap clients see them: what a client costs is taken from the servers' cores.

mod bare;
mod events;
mod grpc;
mod json;

pub(crate) use bare::Bare;
pub(crate) use events::Events;
pub(crate) use grpc::{Grpc, channels, client, outcome, refusal, stats};
pub(crate) use json::{Answer, Json};

use serde::{Deserialize, Serialize};

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
