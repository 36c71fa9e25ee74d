//! What a worker does with the work that it holds: mostly what it should, and sometimes nothing at all.

use std::collections::HashMap;

use rand::RngExt;

use super::{Cast, Client};
use crate::{
    face::Face,
    history::{Answer, Granted, Outcome},
    request::{Completion, Lease, Request},
};

/// Completions that are sent together.
const BATCH: usize = 3;

/// A worker and what it holds.
pub(super) struct Hand {
    pub(super) client: Client,
    cast: Cast,
    /// Done, and to be completed together.
    basket: Vec<Completion>,
    /// Work that was walked away from: its lease runs out, or it is finished late.
    forgotten: Vec<Lease>,
    /// The reply to each claim: a completion that is repeated brings the same one.
    replies: HashMap<String, Option<(i32, String)>>,
}

impl Hand {
    pub(super) fn new(cast: &Cast, client: Client) -> Self {
        let (basket, forgotten, replies) = (Vec::new(), Vec::new(), HashMap::new());
        Self { client, cast: cast.clone(), basket, forgotten, replies }
    }

    /// Does something with work that was handed out. A stream hands out again what its session holds.
    pub(super) async fn take(&mut self, granted: &Granted) {
        let lease = Lease { id: granted.message.id.clone(), token: granted.token.clone() };
        if self.basket.iter().any(|done| done.lease == lease) {
            return;
        }
        self.forgotten.retain(|forgotten| *forgotten != lease);
        if self.cast.enough.is_cancelled() {
            self.complete(lease).await;
            return;
        }
        match self.client.random.random_range(0..100) {
            0..50 => self.complete(lease).await,
            50..65 if matches!(self.client.face, Face::Grpc(_)) => self.complete_later(lease).await,
            50..75 => {
                self.client.call(Request::Renew(lease.clone())).await;
                self.complete(lease).await;
            }
            75..87 => {
                let error = format!("no answer came to {}", lease.token.get(..8).unwrap_or_default());
                let retryable = self.client.random.random_ratio(3, 4);
                self.client.call(Request::Fail { lease, error, retryable }).await;
            }
            87..94 => drop(self.client.call(Request::Release(lease)).await),
            _ => self.forgotten.push(lease),
        }
        if self.client.random.random_ratio(1, 6)
            && let Some(lease) = self.forgotten.pop()
        {
            self.complete(lease).await;
        }
    }

    /// Completes, insisting on it across kills; now and then once more.
    async fn complete(&mut self, lease: Lease) {
        let done = self.completion(lease);
        let request = Request::Complete(vec![done]);
        self.client.insist(request.clone()).await;
        if self.client.random.random_ratio(1, 4) {
            self.client.call(request).await;
        }
    }

    async fn complete_later(&mut self, lease: Lease) {
        let done = self.completion(lease);
        self.basket.push(done);
        if self.basket.len() >= BATCH {
            self.client.insist(Request::Complete(std::mem::take(&mut self.basket))).await;
        }
    }

    fn completion(&mut self, lease: Lease) -> Completion {
        let (client, id) = (&mut self.client, &lease.id);
        let reply = self.replies.entry(lease.token.clone()).or_insert_with(|| {
            let mark = client.recorder.mark();
            client.random.random_ratio(7, 8).then(|| (mark, format!("Answer {mark} to {id}.")))
        });
        Completion { reply: reply.clone(), lease }
    }

    /// A name that no other claim has.
    pub(super) fn worker(&self) -> String {
        format!("{} {}", self.client.name, self.client.recorder.mark())
    }

    /// A claim's work, where it got some.
    pub(super) fn granted(outcome: Outcome) -> Option<Granted> {
        match outcome {
            Outcome::Answered(Answer::Work(granted)) => granted.map(|granted| *granted),
            _ => None,
        }
    }
}
