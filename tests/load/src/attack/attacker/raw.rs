//! Requests over HTTP/1 that no library would send.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use super::{Hand, NEXT_CONNECTION};

/// The most that is read of a head.
const MOST_HEAD: usize = 16 * 1024;

/// The head of an answer, and what came with it of the body; none if the connection ends before.
pub(super) async fn read_head(stream: &mut TcpStream) -> Option<(StatusCode, HeaderMap, Vec<u8>)> {
    // As much at once as there is: what comes of the body belongs to it.
    let mut read = Vec::with_capacity(MOST_HEAD);
    let end = loop {
        if let Some(end) = memchr::memmem::find(&read, b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut read).await.ok().filter(|count| *count > 0).is_none()
            || read.len() > MOST_HEAD
        {
            return None;
        }
    };
    let body = read.split_off(end + 4);
    let text = String::from_utf8_lossy(&read);
    let status = StatusCode::from_bytes(text.get(9..12)?.as_bytes()).ok()?;
    let line = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
    };
    Some((status, text.lines().skip(1).filter_map(line).collect(), body))
}

/// Reads an answer to the end of its connection and counts it; false if there is none.
async fn count_answer(hand: &Hand, stream: &mut TcpStream) -> bool {
    let Some((status, headers, mut body)) = read_head(stream).await else {
        hand.note("closed");
        return false;
    };
    // What is lost of the body is no matter.
    let _ = stream.read_to_end(&mut body).await;
    hand.tally.lock().answer(status, &headers, &body);
    true
}

/// Heads of 60 KB: addresses that are none, cookies, and tokens.
pub(super) async fn large_heads(hand: Hand, number: u32) {
    const BYTES: usize = 60_000;
    let header: Vec<u8> = match number % 4 {
        0 => [b"X-Forwarded-For: ".to_vec(), vec![0xff; BYTES]].concat(),
        1 => [b"Cookie: repartee_visitor=".to_vec(), vec![b'a'; BYTES]].concat(),
        2 => [b"Authorization: Bearer ".to_vec(), vec![b'a'; BYTES]].concat(),
        _ => b"X-Forwarded-For: 203.0.113.9, 203.0.113.10\r\n".repeat(BYTES / 44),
    };
    let head =
        b"GET /api/conversation?humanUsername=a&humanColor=default&aiUsername=c&aiColor=default HTTP/1.1\r\n\
                 Host: localhost\r\nConnection: close\r\n";
    let request = [&head[..], &header, b"\r\n\r\n"].concat();
    loop {
        let mut connection = hand.connect().await;
        hand.sent();
        // Whoever refuses a head may close before it has come whole.
        let _ = connection.write_all(&request).await;
        if !count_answer(&hand, &mut connection).await {
            sleep(NEXT_CONNECTION).await;
        }
    }
}
