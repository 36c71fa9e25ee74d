//! Workers: by claim-next, by the list of pending messages, and by streams of leases.

use e2e::{WorkStream, seconds, work};
use rand::RngExt;
use repartee_proto::v1::{StreamPendingRequest, stream_pending_response::Event};

use super::{Cast, Client, ENTITIES, hand::Hand};
use crate::{
    face::Face,
    history::{Answer, FaceKind, Granted, Outcome},
    link::Link,
    request::Request,
};

/// The shortest lease that there is: what was forgotten is soon handed out again.
const LEASE: i64 = 5;

/// Claims whatever is next.
pub(super) async fn claim_next(cast: Cast, client: Client) {
    let mut hand = Hand::new(&cast, client);
    loop {
        let wait = hand.client.random.random_range(0..3);
        let claim = Request::ClaimNext { worker: hand.worker(), seconds: LEASE, wait };
        if let Some(granted) = Hand::granted(hand.client.call(claim).await) {
            hand.take(&granted).await;
        }
    }
}

/// Claims by id from the list of pending messages, where others claim too.
pub(super) async fn claim_by_id(cast: Cast, client: Client) {
    let mut hand = Hand::new(&cast, client);
    let mut pace = super::pace(20);
    loop {
        pace.tick().await;
        let Some(Answer::Listed { messages, .. }) = hand.client.ask(Request::ListPending).await else {
            continue;
        };
        for _ in 0..messages.len().min(3) {
            let id = messages[hand.client.random.random_range(0..messages.len())].id.clone();
            let claim = Request::Claim { id, worker: hand.worker(), seconds: LEASE };
            if let Some(granted) = Hand::granted(hand.client.call(claim).await) {
                hand.take(&granted).await;
            }
        }
    }
}

/// Takes work from a stream, in one session across all kills: what was claimed for the session and never reached it
/// comes again.
pub(super) async fn stream(cast: Cast, client: Client) {
    let request = StreamPendingRequest { lease: seconds(LEASE), ..work(&client.name, &ENTITIES, 4) };
    let mut link = Link::new(cast.life.clone());
    let mut hand = Hand::new(&cast, client);
    loop {
        stream_once(&mut link, &mut hand, &request).await;
    }
}

/// Takes work from one stream until it ends, or until the worker drops it.
async fn stream_once(link: &mut Link, hand: &mut Hand, request: &StreamPendingRequest) {
    debug_assert!(matches!(hand.client.face, Face::Grpc(_)));
    let client = link.client().await;
    let life = link.current();
    let opening = Request::Stream { worker: request.worker_id.clone(), session: request.session_id.clone() };
    let recorder = std::sync::Arc::clone(&hand.client.recorder);
    let mut flight = recorder.begin(&hand.client.name, FaceKind::Grpc, opening);
    let mut stream = match client.stream(request.clone()).await {
        Ok(stream) => stream,
        Err(status) => return flight.land(link.settled(life, Err(status))),
    };
    while let Some(granted) = next_work(&mut stream).await {
        flight.deliver(Answer::Work(Some(Box::new(granted.clone()))));
        hand.take(&granted).await;
        if hand.client.random.random_ratio(1, 10) {
            return flight.land(Outcome::Lost("was dropped by its worker".to_owned()));
        }
    }
    link.cut(life);
    flight.land(Outcome::Lost("ended".to_owned()));
}

/// The next work; none once the stream ends or says good-bye.
async fn next_work(stream: &mut WorkStream) -> Option<Granted> {
    loop {
        match stream.event().await {
            Ok(Some(Event::Work(work))) => {
                let lease = work.lease.expect("work in mode LEASE has a lease");
                let message = work.message.expect("work has a message");
                return Some(Granted { message, token: lease.token, expires_at: lease.expires_at });
            }
            Ok(Some(Event::Cancelled(_))) => {}
            Ok(Some(_) | None) | Err(_) => return None,
        }
    }
}
