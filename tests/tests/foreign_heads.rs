//! Heads of requests that somebody made to do harm: whatever they hold, only their own request is refused for it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;

use e2e::{Browser, World, question_json, within_deadline};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};

/// One seed for each attacker; a failure names it.
const SEEDS: [u64; 4] = [1, 2, 3, 4];
/// Heads by each.
const HEADS: usize = 250;

/// Headers that a gateway or something behind it may look at, pass on, or copy.
const NAMES: [&str; 22] = [
    "X-Forwarded-For",
    "X-Real-IP",
    "Forwarded",
    "Via",
    "Authorization",
    "Cookie",
    "X-Request-Id",
    "Idempotency-Key",
    "If-None-Match",
    "If-Match",
    "Last-Event-ID",
    "Accept-Encoding",
    "TE",
    "Origin",
    "User-Agent",
    "grpc-timeout",
    "grpc-encoding",
    "grpc-trace-bin",
    "traceparent",
    "X-Visitor",
    "x-repartee-visitor",
    "x-repartee-client",
];
/// Around every limit that there is: of a token, of metadata, of a head over HTTP/2 and over HTTP/1.
const SIZES: [usize; 14] =
    [0, 1, 15, 128, 129, 1_024, 4_096, 4_097, 8_192, 16_000, 16_384, 30_000, 60_000, 66_000];
const TARGETS: [(&str, &str); 6] = [
    ("GET", "/api/queue/pending"),
    ("GET", "/api/comments?limit=1&after=1"),
    ("GET", "/api/conversation?humanUsername=a&humanColor=default&aiUsername=c&aiColor=default"),
    ("POST", "/api/comments"),
    ("PATCH", "/api/comments/018f3b1c-0000-7000-8000-000000000000"),
    ("DELETE", "/api/comments/018f3b1c-0000-7000-8000-000000000000"),
];

/// A head that HTTP allows, but for its size.
fn head(random: &mut StdRng) -> Vec<u8> {
    let (method, target) = TARGETS.choose(random).unwrap();
    let body =
        if *method == "GET" { "" } else { r#"{"domain":"test.example","text":"!","username":"Mallory"}"# };
    let mut head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n",
        body.len()
    )
    .into_bytes();
    for _ in 0..*[1, 2, 3, 40].choose(random).unwrap() {
        let size = *SIZES[..if head.len() > 70_000 { 5 } else { SIZES.len() }].choose(random).unwrap();
        head.extend(NAMES.choose(random).unwrap().as_bytes());
        head.extend(b": ");
        head.extend(value(random, size));
        head.extend(b"\r\n");
    }
    head.extend(b"\r\n");
    head.extend(body.as_bytes());
    head
}

/// Visible characters, obs-text, one byte again and again, or addresses.
fn value(random: &mut StdRng, size: usize) -> Vec<u8> {
    match random.random_range(0..4) {
        0 => (0..size).map(|_| random.random_range(0x21..0x7f)).collect(),
        1 => (0..size).map(|_| random.random_range(0x80..=0xff)).collect(),
        2 => vec![*[b'x', 0xff, b',', b'"'].choose(random).unwrap(); size],
        _ => b"Bearer 203.0.113.9, ".iter().copied().cycle().take(size).collect(),
    }
}

/// The status of the answer to these bytes; `None` if the connection was cut before it came.
async fn status(gateway: SocketAddr, request: &[u8]) -> Option<u16> {
    let mut connection = TcpStream::connect(gateway).await.unwrap();
    let (mut from, mut to) = connection.split();
    let mut answer = Vec::new();
    // Of what is too long the rest is not read.
    let _ = tokio::join!(to.write_all(request), from.read_to_end(&mut answer));
    str::from_utf8(answer.get(9..12)?).unwrap().parse().ok()
}

/// Sends what it can, and is answered with what is its own fault.
async fn attack(gateway: SocketAddr, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    for number in 0..HEADS {
        let request = head(&mut random);
        let status = within_deadline("an answer to a foreign head", status(gateway, &request)).await;
        let fine = status.is_none_or(|status| (200..500).contains(&status));
        assert!(fine, "head {number} of seed {seed}: {status:?}");
    }
    let worst = [
        b"GET /api/conversation?humanUsername=a&humanColor=001001001&aiUsername=b&aiColor=001001001 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: ",
        &[0xff; 60_000][..],
        b"\r\n\r\n",
    ];
    for _ in 0..50 {
        assert_eq!(status(gateway, &worst.concat()).await, Some(200));
    }
}

/// Posts and polls until it is over: each answer is the usual one.
async fn go_on(browser: Browser, mut over: watch::Receiver<bool>) -> usize {
    let mut answers = 0;
    while !*over.borrow_and_update() {
        browser.comment(&question_json("nobody", "Still there?")).await;
        browser.get("/api/comments?limit=5").await.ok(200);
        browser.get("/api/queue/pending").await.ok(200);
        answers += 3;
    }
    answers
}

#[tokio::test]
async fn no_header_that_the_gateway_accepts_causes_an_error_in_the_request_of_somebody_else() {
    let world = World::start().await;
    let (done, over) = watch::channel(false);
    let innocent = tokio::spawn(go_on(world.browser(), over));
    let gateway = world.gateway.http_addr();
    let attacks = SEEDS.map(|seed| tokio::spawn(attack(gateway, seed)));
    for attack in attacks {
        attack.await.unwrap();
    }
    done.send_replace(true);
    assert!(innocent.await.unwrap() > 0);
}
