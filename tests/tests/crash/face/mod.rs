//! The two faces of the service, as one: a request goes in as a value, and what became of it comes out as one.

mod grpc;
mod json;
mod message;

use crate::{
    history::{FaceKind, Outcome},
    link::Link,
    request::Request,
};

pub(crate) use json::Gateway;

/// A client's way to the service.
#[derive(Debug)]
pub(crate) enum Face {
    /// Straight to the queue-service, whichever life it is in.
    Grpc(Link),
    /// Through the gateway, which outlives all kills.
    Json(Gateway),
}

impl Face {
    pub(crate) fn kind(&self) -> FaceKind {
        match self {
            Self::Grpc(_) => FaceKind::Grpc,
            Self::Json(_) => FaceKind::Json,
        }
    }

    /// Waits until there is somebody to talk to, as far as is known.
    pub(crate) async fn ready(&mut self) {
        match self {
            Self::Grpc(link) => drop(link.client().await),
            Self::Json(_) => {}
        }
    }

    /// Sends a request once.
    pub(crate) async fn send(&mut self, request: &Request) -> Outcome {
        match self {
            Self::Grpc(link) => {
                let client = link.client().await;
                let life = link.current();
                let answer = grpc::ask(&client, request).await;
                link.settled(life, answer)
            }
            Self::Json(gateway) => gateway.ask(request).await,
        }
    }
}
