//! Connections over HTTP/1 that hold what they have.

use std::time::Duration;

use http::{Method, StatusCode};
use hyper::body::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{interval, sleep, timeout},
};

use super::{Hand, NEXT_CONNECTION, NEXT_HOLD, raw::read_head};
use crate::{attack::LOUD_PAGE, seed::DOMAIN};

/// As slow as may be.
const A_BYTE: Duration = Duration::from_secs(1);

/// Waits until the server ends the connection.
async fn until_closed(hand: &Hand, stream: &mut TcpStream) {
    let mut buffer = [0; 4_096];
    while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    hand.note("closed");
    sleep(NEXT_CONNECTION).await;
}

/// Sends `begin` and then a byte a second; counts the answer, or the end.
async fn drip(hand: &Hand, begin: &[u8]) {
    let mut stream = hand.connect().await;
    hand.sent();
    let dripping = async |stream: &mut TcpStream| {
        stream.write_all(begin).await?;
        // Until there is something to read: an answer, or the end.
        while timeout(A_BYTE, stream.readable()).await.is_err() {
            stream.write_all(b"x").await?;
        }
        std::io::Result::Ok(())
    };
    let answered = dripping(&mut stream).await;
    match (answered, read_head(&mut stream).await) {
        (Ok(()), Some((status, headers, body))) => hand.tally.lock().answer(status, &headers, &body),
        _ => hand.note("closed"),
    }
    sleep(NEXT_CONNECTION).await;
}

pub(super) async fn slow_head(hand: Hand) {
    loop {
        drip(&hand, b"GET /api/comments HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await;
    }
}

pub(super) async fn slow_body(hand: Hand) {
    loop {
        let head = "POST /api/comments HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                    Content-Length: 60000\r\n\r\n{";
        drip(&hand, head.as_bytes()).await;
        sleep(NEXT_HOLD).await;
    }
}

/// Asks for large pages and takes 100 bytes a second of them.
pub(super) async fn slow_reader(hand: Hand) {
    let asked = format!("GET {LOUD_PAGE} HTTP/1.1\r\nHost: localhost\r\n\r\n").repeat(30);
    loop {
        let mut stream = hand.connect().await;
        hand.tally.lock().requests += 30;
        let mut pace = interval(A_BYTE);
        if stream.write_all(asked.as_bytes()).await.is_ok() {
            let mut buffer = [0; 100];
            while stream.read(&mut buffer).await.is_ok_and(|count| count > 0) {
                pace.tick().await;
            }
        }
        hand.note("closed");
        sleep(NEXT_CONNECTION).await;
    }
}

pub(super) async fn idle(hand: Hand) {
    loop {
        let mut stream = hand.connect().await;
        until_closed(&hand, &mut stream).await;
    }
}

/// Holds a stream of events, and reads it or not.
pub(super) async fn event_stream(hand: Hand, reads: bool) {
    let request = format!(
        "GET /api/comments/stream?domain={DOMAIN} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    );
    loop {
        let mut stream = hand.connect().await;
        hand.sent();
        // If it is closed already, that shows when it is read.
        let _ = stream.write_all(request.as_bytes()).await;
        let Some((status, headers, mut body)) = read_head(&mut stream).await else {
            hand.note("closed");
            sleep(NEXT_CONNECTION).await;
            continue;
        };
        if status != StatusCode::OK && body.is_empty() {
            // A refusal comes whole, in one piece; without it, its reason is missing in the tally.
            let _ = stream.read_buf(&mut body).await;
        }
        hand.tally.lock().answer(status, &headers, &body);
        match (status, reads) {
            (StatusCode::OK, true) => until_closed(&hand, &mut stream).await,
            // Ends with the attack.
            (StatusCode::OK, false) => sleep(Duration::from_secs(600)).await,
            _ => sleep(NEXT_HOLD).await,
        }
    }
}

/// Waits for changes, again and again.
pub(super) async fn long_poll(hand: Hand) {
    loop {
        let mut connection = hand.connect_json().await;
        let mut cursor = String::new();
        loop {
            hand.sent();
            let from = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}&wait=25") };
            let path = format!("/api/comments/changes?domain={DOMAIN}{from}");
            let Ok(answer) = connection.call(Method::GET, &path, Bytes::new()).await else {
                hand.note("closed");
                sleep(NEXT_CONNECTION).await;
                break;
            };
            hand.tally.lock().answer(answer.status, &answer.headers, &answer.body);
            match answer.json()["next"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => sleep(NEXT_HOLD).await,
            }
        }
    }
}
