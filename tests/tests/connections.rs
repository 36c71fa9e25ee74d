//! Connections to both faces: so many at once, and none that only stands there.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;

use e2e::{
    Browser, Metrics, Process, Service, World, drip_until_ended, platform_post, watch_live, within_deadline,
};
use futures_util::{FutureExt as _, future::join_all};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// A half of what opens an HTTP/2 connection.
const HALF_A_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A gateway with nobody behind it: probes and metrics are all that it is asked for.
async fn lonely_gateway(settings: &[&str]) -> Service {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    Service::gateway(&format!("http://{nobody}"), settings).await
}

/// Waits until the other side ends the connection, whatever it says before.
async fn ended(connection: &mut TcpStream) {
    let mut said = Vec::new();
    // How it ends, by a farewell or a reset, depends on what is still on its way.
    let _ = within_deadline("the end of a connection", connection.read_to_end(&mut said)).await;
}

/// Begins a request and never ends its head.
async fn drip(address: SocketAddr) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ").await.unwrap();
    drip_until_ended(&mut connection, b"x").await;
}

#[tokio::test]
async fn a_connection_too_many_ends_the_idlest_on_both_faces() {
    let queue = Service::queue_service(&["--max-connections", "2"]).await;
    // Metrics are for operators, whom a queue-service has to know.
    let world = World::with(&[], &["--max-connections", "2"]).await;
    for (address, bound) in
        [(queue.grpc_addr(), "grpc_connections"), (world.gateway.http_addr(), "http_connections")]
    {
        let operator = Browser::new(&format!("http://{address}"));
        assert_eq!(Metrics::of(&operator).await.bound(bound), (1.0, 2.0));
        let mut second = TcpStream::connect(address).await.unwrap();
        // The operator asks on, so the second is the one that has been idle for longer.
        let taken_in = async { while Metrics::of(&operator).await.bound(bound).0 < 2.0 {} };
        within_deadline("the second connection", taken_in).await;
        let _third = TcpStream::connect(address).await.unwrap();
        ended(&mut second).await;
        let taken_in = async { while Metrics::of(&operator).await.bound(bound).0 < 2.0 {} };
        within_deadline("the third connection", taken_in).await;
        let metrics = Metrics::of(&operator).await;
        assert_eq!((metrics.bound(bound), metrics.refused(bound)), ((2.0, 2.0), 0.0), "{bound}");
    }
}

#[tokio::test]
async fn a_place_is_free_again_when_its_connection_has_ended() {
    let queue = Service::queue_service(&["--max-connections", "1"]).await;
    for _ in 0..3 {
        let connected = async {
            loop {
                // The one before may not have been seen to end yet.
                if let Ok(client) = e2e::Grpc::connect(&queue.grpc_url()).await
                    && client.stats().await.is_ok()
                {
                    break;
                }
            }
        };
        within_deadline("a free place", connected).await;
    }
}

#[tokio::test]
async fn a_connection_that_sends_nothing_or_half_a_preface_is_closed() {
    let world = World::with(&["--idle-timeout", "1s"], &["--idle-timeout", "1s"]).await;
    for address in [world.queue.grpc_addr(), world.gateway.http_addr()] {
        for sent in [b"", HALF_A_PREFACE] {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(sent).await.unwrap();
            ended(&mut connection).await;
        }
    }
    world.browser().get("/api/comments").await.ok(200);
}

#[tokio::test]
async fn a_head_that_drips_in_ends_its_connection_while_others_are_served() {
    let gateway = lonely_gateway(&["--head-timeout", "1s"]).await;
    let browser = gateway.browser();
    let dripping = join_all((0..20).map(|_| drip(gateway.http_addr())));
    let (_, answer) = tokio::join!(dripping, browser.get("/livez"));
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_head_that_drips_in_ends_its_connection_on_the_grpc_face_too() {
    let queue = Service::queue_service(&["--head-timeout", "1s"]).await;
    drip(queue.grpc_addr()).await;
    queue.grpc().await.post(platform_post("Human", "Served.")).await.unwrap();
}

#[tokio::test]
async fn the_address_of_the_metrics_has_its_bound_as_well() {
    let queue = Service::queue_service(&[]).await;
    let gateway = lonely_gateway(&[]).await;
    for service in [&queue, &gateway] {
        let address = service.metrics_addr();
        let opening = (0..100).map(|_| TcpStream::connect(address));
        let _idle: Vec<_> = join_all(opening).await.into_iter().map(Result::unwrap).collect();
        let operator = Browser::new(&format!("http://{address}"));
        let (held, limit) = Metrics::of(&operator).await.bound("metrics_connections");
        assert!(held <= limit && limit == 64.0, "{held} of {limit}");
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_open_for_nothing_is_closed() {
    let gateway = lonely_gateway(&["--idle-timeout", "1s"]).await;
    let mut connection = TcpStream::connect(gateway.http_addr()).await.unwrap();
    connection.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    within_deadline("the end of an idle connection", connection.read_to_end(&mut said)).await.unwrap();
    assert!(said.starts_with(b"HTTP/1.1 200"), "it was answered before");
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_is_closed() {
    let world = World::with(&[], &["--idle-timeout", "1s"]).await;
    let client = world.grpc().await;
    let text = "x".repeat(16_384);
    for _ in 0..100 {
        client.post(platform_post("Human", &text)).await.unwrap();
    }
    let mut connection = TcpStream::connect(world.gateway.http_addr()).await.unwrap();
    let ask = b"GET /api/comments?limit=100 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let asking = async { while connection.write_all(ask).await.is_ok() {} };
    within_deadline("the end of a connection that is not read", asking).await;
    world.browser().get("/api/comments").await.ok(200);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_431() {
    let gateway = lonely_gateway(&[]).await;
    let mut connection = TcpStream::connect(gateway.http_addr()).await.unwrap();
    let head = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: {}", "x".repeat(70_000));
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    within_deadline("the refusal", connection.read_exact(&mut status)).await.unwrap();
    assert_eq!(str::from_utf8(&status).unwrap(), "HTTP/1.1 431");
}

#[tokio::test]
async fn one_connection_carries_so_many_calls_and_the_next_waits() {
    let queue = Service::queue_service(&["--max-calls-per-connection", "2"]).await;
    let (client, other) = (queue.grpc().await, queue.grpc().await);
    let mut first = client.watch(watch_live()).await.unwrap();
    let _second = client.watch(watch_live()).await.unwrap();
    let mut third = Box::pin(client.stats());
    assert!((&mut third).now_or_never().is_none());
    other.post(platform_post("Human", "Heard?")).await.unwrap();
    first.change().await;
    assert!((&mut third).now_or_never().is_none(), "it waits for a place");
    drop(first);
    assert!(within_deadline("a place for the third", third).await.is_ok());
}

#[tokio::test]
async fn a_process_takes_no_more_connections_than_it_may_have_open_files() {
    let mut process =
        Process::spawn("queue-service", &["--grpc-addr", "127.0.0.1:0", "--max-connections", "1000000"]);
    let address = process.ready().await.grpc.unwrap();
    let operator = Browser::new(&format!("http://{address}"));
    let (_, limit) = Metrics::of(&operator).await.bound("grpc_connections");
    let files = std::fs::read_to_string("/proc/self/limits").unwrap();
    let files = files.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let most: f64 = files.split_ascii_whitespace().nth(1).unwrap().parse().unwrap_or(f64::INFINITY);
    assert!(limit < most, "{limit} of {most}");
}
