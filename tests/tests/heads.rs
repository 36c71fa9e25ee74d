//! Heads of requests that the standards do not allow, and names of this server that somebody else made up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;

use e2e::{World, within_deadline};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// A poll, a probe, and what no route knows.
const PAGES: [&str; 3] = ["/api/comments?limit=1", "/livez", "/nothing"];
/// A call that needs no token, as HTTP/1 carries it.
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const GRPC: &str = "Content-Type: application/grpc\r\n";

/// The answer to these bytes, whole, on a connection that ends with it.
async fn answer(address: SocketAddr, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    // Whoever refuses a head may close before it has come whole.
    let _ = connection.write_all(request).await;
    let mut said = Vec::new();
    let _ = within_deadline("the answer to a head", connection.read_to_end(&mut said)).await;
    String::from_utf8_lossy(&said).into_owned()
}

async fn get(address: SocketAddr, page: &str, version: &str, headers: &str) -> u16 {
    let request = format!("GET {page} HTTP/{version}\r\nConnection: close\r\n{headers}\r\n");
    status(&answer(address, request.as_bytes()).await)
}

/// The answer to a call over HTTP/1, as a page can make it.
async fn called(address: SocketAddr, headers: &str) -> String {
    let head = format!("POST {HEALTH} HTTP/1.1\r\nConnection: close\r\nContent-Length: 5\r\n{headers}\r\n");
    answer(address, &[head.as_bytes(), &[0; 5]].concat()).await
}

async fn call(address: SocketAddr, headers: &str) -> u16 {
    status(&called(address, headers).await)
}

fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

const BROKEN: [&str; 7] = [
    "",
    "Host: localhost\r\nHost: localhost\r\n",
    "Host: localhost\r\nHost: evil.example\r\n",
    "Host: localhost:evil\r\n",
    "Host: 127.0.0.1:8080@evil.example\r\n",
    "Host: localhost/evil\r\n",
    "Host: localhost, evil.example\r\n",
];

#[tokio::test]
async fn a_request_names_one_sound_host_or_is_refused() {
    let world = World::start().await;
    let (gateway, queue) = (world.gateway.http_addr(), world.queue.grpc_addr());
    for page in PAGES {
        let sound = if page == "/nothing" { 404 } else { 200 };
        assert_eq!(get(gateway, page, "1.1", "Host: chat.example:8080\r\n").await, sound, "{page}");
        assert_eq!(get(gateway, page, "1.0", "").await, sound, "HTTP/1.0 knows no Host: {page}");
        for broken in BROKEN {
            assert_eq!(get(gateway, page, "1.1", broken).await, 400, "{page} {broken:?}");
        }
    }
    assert_eq!(call(queue, &format!("{GRPC}Host: localhost\r\n")).await, 200);
    for broken in BROKEN {
        assert_eq!(call(queue, &format!("{GRPC}{broken}")).await, 400, "{broken:?}");
        assert_eq!(get(queue, "/metrics", "1.1", broken).await, 400, "{broken:?}");
    }
    let request = b"GET http://user@localhost/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&answer(gateway, request).await), 400);
}

#[tokio::test]
async fn a_refused_head_is_told_why_and_ends_its_connection() {
    let world = World::start().await;
    let request = b"GET /api/comments HTTP/1.1\r\nHost: a:b\r\n\r\nGET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    let said = answer(world.gateway.http_addr(), request).await;
    assert!(said.contains("application/problem+json") && said.contains("the Host must be a name"), "{said}");
    assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "nothing behind it is answered: {said}");
}

#[tokio::test]
async fn a_head_over_the_stated_size_is_refused_however_it_is_made_up() {
    let world = World::start().await;
    for address in [world.gateway.http_addr(), world.queue.grpc_addr()] {
        let page = if address == world.gateway.http_addr() { PAGES[0] } else { "/metrics" };
        let one = |bytes: usize| format!("Host: localhost\r\nX: {}\r\n", "x".repeat(bytes));
        let many = |bytes: usize| {
            format!("Host: localhost\r\n{}", format!("X: {}\r\n", "x".repeat(995)).repeat(bytes / 1_000))
        };
        assert!([200, 401].contains(&get(address, page, "1.1", &one(64_000)).await));
        assert!([200, 401].contains(&get(address, page, "1.1", &many(64_000)).await));
        for bytes in [66_000, 70_000, 90_000] {
            assert_eq!(get(address, page, "1.1", &one(bytes)).await, 431, "{bytes}");
            assert_eq!(get(address, page, "1.1", &many(bytes)).await, 431, "{bytes}");
        }
    }
    let long = format!("/livez?{}", "x".repeat(70_000));
    let refused = get(world.gateway.http_addr(), &long, "1.1", "Host: localhost\r\n").await;
    assert!([414, 431].contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_page_under_a_name_that_was_made_to_point_here_reads_nothing() {
    let world = World::start().await;
    let queue = world.queue.grpc_addr();
    let port = queue.port();
    for name in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1"] {
        for host in [format!("Host: {name}\r\n"), format!("Host: {name}:{port}\r\n")] {
            assert_eq!(call(queue, &format!("{GRPC}{host}")).await, 421, "{host}");
            assert_eq!(get(queue, "/metrics", "1.1", &host).await, 421, "{host}");
            for metrics in [world.queue.metrics_addr(), world.gateway.metrics_addr()] {
                assert_eq!(get(metrics, "/metrics", "1.1", &host).await, 421, "{host}");
            }
        }
    }
    for name in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "queue.localhost"] {
        let host = format!("{GRPC}Host: {name}:{port}\r\n");
        assert_eq!(call(queue, &host).await, 200, "{name}");
        assert_eq!(
            call(queue, &format!("{host}Origin: http://{name}:{port}\r\n")).await,
            403,
            "no page at all"
        );
    }
}

#[tokio::test]
async fn under_a_foreign_name_no_header_opens_a_page_and_only_a_right_token_a_call() {
    let world = World::start().await;
    let queue = world.queue.grpc_addr();
    let unknown = "rpt_000000000000_0000000000000000000000000000000000000000000000000000000000000000";
    for sent in ["Bearer anything", "Basic eDp5", "Bearer ", &format!("Bearer {unknown}")] {
        let headers = format!("Host: evil.example\r\nAuthorization: {sent}\r\n");
        let said = called(queue, &format!("{GRPC}{headers}")).await;
        assert!(said.contains("grpc-status: 7"), "{sent}: {said}");
        for address in [queue, world.queue.metrics_addr(), world.gateway.metrics_addr()] {
            assert_eq!(get(address, "/metrics", "1.1", &headers).await, 421, "{sent}");
        }
    }
    // A program that comes through a proxy which passes the name on.
    for token in [e2e::OPERATOR, e2e::WORKER, e2e::GATEWAY] {
        let headers = format!("Host: talk.example\r\nAuthorization: Bearer {token}\r\n");
        let said = called(queue, &format!("{GRPC}{headers}")).await;
        assert!(status(&said) == 200 && !said.contains("grpc-status: 7"), "{said}");
        assert_eq!(get(world.queue.metrics_addr(), "/metrics", "1.1", &headers).await, 421);
    }
}

#[tokio::test]
async fn what_is_called_grpc_and_something_more_is_no_call() {
    let world = World::start().await;
    let queue = world.queue.grpc_addr();
    let kind = |kind: &str| format!("Host: localhost\r\nContent-Type: {kind}\r\n");
    for served in ["application/grpc", "application/grpc+proto", "application/grpc; charset=utf-8"] {
        assert_eq!(call(queue, &kind(served)).await, 200, "{served}");
    }
    for other in ["application/grpcx", "application/grpc-web", "application/grpc+json", "text/plain"] {
        assert_eq!(call(queue, &kind(other)).await, 415, "{other}");
    }
    assert_eq!(call(queue, "Host: localhost\r\n").await, 415);
}

#[tokio::test]
async fn over_http2_too_a_foreign_name_reads_nothing_without_a_token() {
    let world = World::start().await;
    let check = async |name: &str| {
        let channel = Channel::from_shared(world.queue.grpc_url()).unwrap();
        let channel = channel.origin(format!("http://{name}").parse().unwrap()).connect().await.unwrap();
        let mut health = HealthClient::new(channel);
        health.check(HealthCheckRequest::default()).await.map(drop).map_err(|status| status.code())
    };
    assert_eq!(check("localhost:50051").await, Ok(()));
    for name in ["evil.example", "127.0.0.1.evil.example:50051", "user@localhost"] {
        assert!(check(name).await.is_err(), "{name}");
    }
}
