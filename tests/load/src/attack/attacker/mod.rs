//! The hostile address: a process of its own that does one thing, as hard as it can, for a stated time.
//!
//! It runs on one thread, at the lowest priority: on machines of its own an attacker takes nothing of the servers' cores,
//! here it takes what they leave.

mod flood;
mod hold;
mod http2;
mod raw;
mod tally;

pub(crate) use tally::Tally;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use parking_lot::Mutex;
use tokio::{net::TcpStream, task::JoinSet, time::sleep};

use super::kind::Kind;
use crate::{
    error::Error,
    wire::{Json, dial},
};

/// After a connection that was refused, so that one refusal is not all that there is to see.
const NEXT_CONNECTION: Duration = Duration::from_millis(50);
/// After a refusal of what is to be held.
const NEXT_HOLD: Duration = Duration::from_millis(500);

/// What the hostile address does.
#[derive(Debug, Clone, Args)]
pub struct AttackerSettings {
    /// In which way.
    #[arg(value_enum)]
    kind: Kind,
    /// The gateway.
    #[arg(long)]
    http_addr: SocketAddr,
    /// Its own address.
    #[arg(long)]
    from: Ipv4Addr,
    /// Seconds after which it ends.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// One in how many of its hands is used.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    one_in: u32,
}

/// One of its hands: where it goes, and where it notes what came of it.
#[derive(Clone)]
pub(super) struct Hand {
    addr: SocketAddr,
    from: Ipv4Addr,
    tally: Arc<Mutex<Tally>>,
}

/// Attacks, and prints what came of it as JSON.
///
/// # Errors
/// If its address lies outside of this machine.
#[expect(clippy::print_stdout, reason = "the tally is what the process is for")]
pub(crate) async fn run(settings: AttackerSettings) -> Result<(), Error> {
    let (from, addr) = (settings.from, settings.http_addr);
    if !from.is_loopback() || !addr.ip().is_loopback() {
        return Err(Error::NotLoopback(format!("{from} → {addr}")));
    }
    // Failing to be polite is no reason not to attack.
    let _ = rustix::process::nice(19);
    let hand = Hand { addr, from, tally: Arc::default() };
    let mut hands = JoinSet::new();
    let of = |count: u32| (0..count.div_ceil(settings.one_in)).map(|number| (number, hand.clone()));
    match settings.kind {
        Kind::SlowHeads => of(800).for_each(|(_, hand)| drop(hands.spawn(hold::slow_head(hand)))),
        Kind::SlowBodies => {
            of(33).for_each(|(_, hand)| drop(hands.spawn(http2::slow_bodies(hand))));
            of(200).for_each(|(_, hand)| drop(hands.spawn(hold::slow_body(hand))));
        }
        Kind::ClosedWindows => {
            of(30).for_each(|(_, hand)| drop(hands.spawn(http2::closed_windows(hand))));
            of(40).for_each(|(_, hand)| drop(hands.spawn(hold::slow_reader(hand))));
        }
        Kind::Resets => {
            of(16).for_each(|(_, hand)| drop(hands.spawn(http2::resets(hand))));
            of(60).for_each(|(_, hand)| drop(hands.spawn(flood::cut_posts(hand))));
        }
        Kind::IdleConnections => {
            of(400).for_each(|(_, hand)| drop(hands.spawn(http2::idle(hand))));
            of(400).for_each(|(_, hand)| drop(hands.spawn(hold::idle(hand))));
        }
        Kind::Posts => of(64).for_each(|(_, hand)| drop(hands.spawn(flood::posts(hand)))),
        Kind::Edits => {
            let own = Arc::new(flood::own_message(&hand).await);
            of(64).for_each(|(_, hand)| drop(hands.spawn(flood::edits(hand, Arc::clone(&own)))));
        }
        Kind::Domains => of(64).for_each(|(_, hand)| drop(hands.spawn(flood::domains(hand)))),
        Kind::EventStreams => {
            of(600).for_each(|(number, hand)| drop(hands.spawn(hold::event_stream(hand, number % 2 == 0))));
        }
        Kind::LongPolls => of(600).for_each(|(_, hand)| drop(hands.spawn(hold::long_poll(hand)))),
        Kind::WaitingTexts => of(64).for_each(|(_, hand)| drop(hands.spawn(flood::waiting_texts(hand)))),
        Kind::LargeHeads => {
            of(32).for_each(|(number, hand)| drop(hands.spawn(raw::large_heads(hand, number))))
        }
        Kind::LargeAnswers => {
            of(64).for_each(|(number, hand)| drop(hands.spawn(flood::large_answers(hand, number % 2 == 0))));
        }
        Kind::WrongTokens => of(64).for_each(|(_, hand)| drop(hands.spawn(flood::wrong_tokens(hand)))),
    }
    // Its hands go on until they are stopped.
    sleep(Duration::from_secs(settings.seconds)).await;
    hands.abort_all();
    println!("{}", serde_json::to_string(&*hand.tally.lock()).expect("a tally is plain values"));
    Ok(())
}

impl Hand {
    /// A new connection; tried until there is one.
    async fn connect(&self) -> TcpStream {
        loop {
            if let Ok(stream) = dial(Some(self.from), self.addr).await {
                self.tally.lock().connections += 1;
                return stream;
            }
            self.note("no connection");
            sleep(NEXT_CONNECTION).await;
        }
    }

    /// The same, for whole requests over HTTP/1.
    async fn connect_json(&self) -> Json {
        loop {
            if let Ok(connection) = Json::connect_from(Some(self.from), self.addr).await {
                self.tally.lock().connections += 1;
                return connection;
            }
            self.note("no connection");
            sleep(NEXT_CONNECTION).await;
        }
    }

    /// Counts something that is no answer.
    fn note(&self, what: &str) {
        self.tally.lock().note(what);
    }

    /// Counts a request that is sent.
    fn sent(&self) {
        self.tally.lock().requests += 1;
    }
}
