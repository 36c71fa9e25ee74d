//! A client's link to a service that dies and comes back: which of its lives the client talks to, and what a failed call
//! means. It repeats a call only where it is told to.

use std::future::Future;

use e2e::Grpc;
use tokio::sync::watch;
use tonic::{Code, Status};

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
            let life = self
                .lives
                .wait_for(|life| life.number > self.over)
                .await
                .expect("the test lives longer")
                .clone();
            self.current = life.number;
            match Grpc::connect(&life.url).await {
                Ok(client) => self.client = Some(client),
                Err(_) => self.over = life.number,
            }
        }
    }

    /// Calls once. None where the call was cut off: it may or may not have happened.
    pub(crate) async fn once<T, F>(&mut self, call: impl Fn(Grpc) -> F) -> Option<T>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let client = self.client().await;
        self.settled(self.current, call(client).await)
    }

    /// Repeats the call, life after life, until it is acknowledged.
    pub(crate) async fn until_acknowledged<T, F>(&mut self, call: impl Fn(Grpc) -> F) -> T
    where
        F: Future<Output = Result<T, Status>>,
    {
        loop {
            if let Some(answer) = self.once(&call).await {
                return answer;
            }
        }
    }

    /// The life that the client talks to.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// The answer to a call of that life, or none where the connection was cut, which ends that life for the client.
    ///
    /// # Panics
    /// Where the service refused: these clients ask for nothing that may be refused.
    pub(crate) fn settled<T>(&mut self, life: u32, outcome: Result<T, Status>) -> Option<T> {
        match outcome {
            Ok(answer) => Some(answer),
            Err(status) => {
                let cut = matches!(
                    status.code(),
                    Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
                );
                assert!(cut, "refused: {status:?}");
                if life == self.current {
                    self.client = None;
                }
                self.over = self.over.max(life);
                None
            }
        }
    }
}
