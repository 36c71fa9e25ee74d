//! A client's link to a service that dies and comes back: which of its lives the client talks to, and what a failed call
//! means. It repeats nothing.

use std::error::Error as _;

use e2e::{Grpc, Refused};
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::history::{Answer, Outcome, Refusal};

/// One life of the service: from a start to the kill that ends it.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    /// Counts the lives, from 1.
    pub(crate) number: u32,
    /// Where the service serves in this life.
    pub(crate) url: String,
}

/// A link of one client.
#[derive(Debug)]
pub(crate) struct Link {
    lives: watch::Receiver<Life>,
    current: u32,
    over: u32,
    client: Option<Grpc>,
}

impl Link {
    pub(crate) fn new(lives: watch::Receiver<Life>) -> Self {
        Self { lives, current: 0, over: 0, client: None }
    }

    /// A client of a life that, as far as is known, is not over.
    pub(crate) async fn client(&mut self) -> Grpc {
        loop {
            if let Some(client) = &self.client {
                return client.clone();
            }
            let over = self.over;
            let next = self.lives.wait_for(|life| life.number > over).await;
            let life = next.expect("the test lives longer").clone();
            self.current = life.number;
            match Grpc::connect(&life.url).await {
                Ok(client) => self.client = Some(client),
                Err(_) => self.over = life.number,
            }
        }
    }

    /// The life that the client talks to.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// What became of a call of that life.
    pub(crate) fn settled(&mut self, life: u32, outcome: Result<Answer, Status>) -> Outcome {
        match outcome {
            Ok(answer) => Outcome::Answered(answer),
            Err(status) if is_cut(&status) => {
                self.cut(life);
                Outcome::Lost(status.to_string())
            }
            Err(status) => Outcome::Refused(refusal(&status)),
        }
    }

    /// The connection of that life was cut, or the service said good-bye: the life is over for this client.
    pub(crate) fn cut(&mut self, life: u32) {
        if life == self.current {
            self.client = None;
        }
        self.over = self.over.max(life);
    }
}

/// Whether a call ended without the service's own word on what became of it. INTERNAL is both: what the transport says
/// of a cut connection has a cause, what the service says has none.
pub(crate) fn is_cut(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => true,
        Code::Internal => status.source().is_some(),
        _ => false,
    }
}

/// A refusal in few words.
pub(crate) fn refusal(status: &Status) -> Refusal {
    Refusal { code: format!("{:?}", status.code()), reason: Refused::from(status).reason }
}
