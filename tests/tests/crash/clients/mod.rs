//! The clients that load the service while it is killed. They do what clients do, right and wrong, and everything goes
//! through [`Client::call`], which records it; what an answer should have been is for the checker to say.

mod authors;
pub(crate) mod crew;
mod followers;
mod hand;
mod posters;
mod workers;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use e2e::Browser;
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    sync::watch,
    time::{Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    face::{Face, Gateway},
    history::{Answer, Outcome},
    link::{Life, Link},
    recorder::Recorder,
    request::Request,
};

/// The rooms that are written to.
pub(crate) const DOMAINS: [&str; 2] = ["lobby.example", "hall.example"];

/// The bots that are asked.
pub(crate) const ENTITIES: [&str; 3] = ["echo", "sage", "poet"];

/// What all clients share.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    /// The life that the service is in.
    pub(crate) life: watch::Receiver<Life>,
    /// A client of the gateway.
    pub(crate) browser: Browser,
    pub(crate) recorder: Arc<Recorder>,
    /// How many messages are pending or processing, as the follower of all domains sees it.
    pub(crate) open: watch::Sender<usize>,
    /// How far each follower has come.
    pub(crate) positions: watch::Sender<BTreeMap<String, String>>,
    /// Fires when enough was asked: from then on workers only complete.
    pub(crate) enough: CancellationToken,
    /// The cursor before the first change.
    pub(crate) origin: String,
    pub(crate) seed: u64,
}

impl Cast {
    /// A client that speaks gRPC.
    pub(crate) fn over_grpc(&self, name: &str) -> Client {
        self.client(name, Face::Grpc(Link::new(self.life.clone())))
    }

    /// A client that speaks JSON.
    pub(crate) fn over_json(&self, name: &str) -> Client {
        self.client(name, Face::Json(Gateway::new(self.browser.clone())))
    }

    /// Tells how far a follower has come: its cursor, or the time stamp of the last message that it saw.
    fn has_come_to(&self, name: &str, position: String) {
        self.positions.send_if_modified(|positions| {
            let before = positions.insert(name.to_owned(), position.clone());
            before != Some(position)
        });
    }

    fn client(&self, name: &str, face: Face) -> Client {
        let of_name = name.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Client {
            name: name.to_owned(),
            face,
            recorder: Arc::clone(&self.recorder),
            random: StdRng::seed_from_u64(self.seed ^ of_name),
        }
    }
}

/// One client: its name, its way to the service, and its dice.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) face: Face,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) random: StdRng,
}

impl Client {
    /// Calls once.
    pub(crate) async fn call(&mut self, request: Request) -> Outcome {
        self.face.ready().await;
        let (kind, sent) = (self.face.kind(), request.clone());
        self.recorder.record(&self.name, kind, request, self.face.send(&sent)).await
    }

    /// Calls once and hands out the answer, where there is one.
    pub(crate) async fn ask(&mut self, request: Request) -> Option<Answer> {
        match self.call(request).await {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Refused(_) | Outcome::Lost(_) => None,
        }
    }

    /// Repeats a call that may be repeated until there is an answer or a refusal.
    pub(crate) async fn insist(&mut self, request: Request) {
        while let Outcome::Lost(_) = self.call(request.clone()).await {}
    }
}

/// The pace of a client that acts now and then: nobody waits for it.
pub(crate) fn pace(millis: u64) -> Interval {
    let mut pace = interval(Duration::from_millis(millis));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}
