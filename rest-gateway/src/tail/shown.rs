//! Reading one's own writes: an answer leaves when the tail shows what it tells of.

use std::{sync::Arc, time::Duration};

use axum::extract::FromRequestParts;
use http::request::Parts;
use repartee_proto::v1;
use tokio::time::Instant;

use super::Tail;
use crate::{problem::Problem, server::App};

/// What a write waits with before it is answered. It waits until the deadline of its request, and at least a little.
pub(crate) struct Shown {
    tail: Arc<Tail>,
    deadline: Instant,
}

/// A call that was answered just before its deadline still gives the tail this long.
const LEAST: Duration = Duration::from_millis(500);

impl Shown {
    /// Waits until polls of this gateway show `message` as it is in the answer of its write.
    pub(crate) async fn wait_for(&self, message: Option<&v1::Message>) {
        if let Some(message) = message {
            let patience = self.deadline.saturating_duration_since(Instant::now()).max(LEAST);
            self.tail.reach(message.seq, patience).await;
        }
    }
}

impl FromRequestParts<App> for Shown {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self { tail: Arc::clone(&app.tail), deadline: Instant::now() + app.request_timeout })
    }
}
