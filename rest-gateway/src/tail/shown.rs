//! Reading one's own writes: an answer leaves when the tail shows what it tells of.

use std::{sync::Arc, time::Duration};

use axum::extract::FromRequestParts;
use http::request::Parts;
use repartee_proto::v1;

use super::Tail;
use crate::{problem::Problem, reached::Reached, server::App};

/// What a write waits with before it is answered, and what tells its client how far it came.
pub(crate) struct Shown {
    tail: Arc<Tail>,
    reached: Option<Reached>,
    is_tls: bool,
}

/// What is stored is answered after this long at the most: if the stream of changes is dead, nobody knows for how long.
const LONGEST: Duration = Duration::from_secs(1);

impl Shown {
    /// Waits until polls of this gateway show `message` as it is in the answer of its write. If that takes too long, they
    /// wait for it instead.
    pub(crate) async fn wait_for(&self, message: Option<&v1::Message>) {
        if let Some(message) = message {
            self.wait_for_change(message.seq).await;
        }
    }

    /// The same for a write that answers with the number of its last change.
    pub(crate) async fn wait_for_change(&self, seq: u64) {
        if let (Some(reached), Some(position)) = (&self.reached, self.tail.at(seq)) {
            reached.note(position, self.is_tls);
        }
        self.tail.reach(seq, LONGEST).await;
    }
}

impl FromRequestParts<App> for Shown {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Self { tail: Arc::clone(&app.tail), reached: parts.extensions.get().cloned(), is_tls: app.is_tls })
    }
}
