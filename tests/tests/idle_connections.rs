//! Connections that do nothing: they end, and when all places are taken, the idlest makes room.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;

use e2e::{Browser, Frame, Frames, Metrics, World, connect_from, drip_until_ended, within_deadline};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Reads until the connection ends, answering pings; says whether it was told to go away before.
async fn told_to_leave(frames: &mut Frames) -> bool {
    let ended = async {
        let mut told = false;
        while let Some(frame) = frames.next().await {
            told |= frame == Frame::GoAway;
        }
        told
    };
    within_deadline("the end of an idle connection", ended).await
}

/// Asks over HTTP/1 from an address of this machine, and reads the begin of the answer.
async fn ask(from: &str, address: SocketAddr, path: &str) -> (TcpStream, Option<[u8; 12]>) {
    let mut connection = connect_from(from, address).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut status = [0; 12];
    let answered = async {
        connection.write_all(head.as_bytes()).await?;
        connection.read_exact(&mut status).await
    };
    let answered = within_deadline("an answer", answered).await.is_ok();
    (connection, answered.then_some(status))
}

#[tokio::test]
async fn an_idle_http_2_connection_that_answers_pings_ends_on_both_faces() {
    let world = World::with(&["--idle-timeout", "1s"], &["--idle-timeout", "1s"]).await;
    for address in [world.gateway.http_addr(), world.queue.grpc_addr()] {
        let mut never_asked = Frames::connect(address, 1 << 20).await.unwrap();
        assert!(told_to_leave(&mut never_asked).await, "{address}");
        let mut asked = Frames::connect(address, 1 << 20).await.unwrap();
        asked.get(1, "/metrics").await.unwrap();
        assert!(told_to_leave(&mut asked).await, "{address}");
    }
    // The gateway's own connections have ended too, and nobody notices.
    world.browser().get("/api/comments?domain=of.nobody.example").await.ok(200);
}

#[tokio::test]
async fn a_connection_with_an_open_stream_is_not_idle() {
    let world = World::with(&[], &["--idle-timeout", "1s", "--sse-heartbeat", "60s"]).await;
    let address = world.gateway.http_addr();
    let mut following = Frames::connect(address, 1 << 20).await.unwrap();
    following.get(1, "/api/comments/stream").await.unwrap();
    assert!(matches!(following.next().await, Some(Frame::Head { status: 200, .. })));
    let mut idle = Frames::connect(address, 1 << 20).await.unwrap();
    for _ in 0..2 {
        told_to_leave(&mut idle).await;
        idle = Frames::connect(address, 1 << 20).await.unwrap();
    }
    following.get(3, "/livez").await.unwrap();
    let answered = async {
        while !matches!(following.next().await, Some(Frame::Head { stream: 3, status: 200, .. })) {}
    };
    within_deadline("an answer beside the stream", answered).await;
}

#[tokio::test]
async fn idle_connections_that_take_all_places_make_room_for_newcomers() {
    let world = World::with(&[], &["--max-connections", "20"]).await;
    let address = world.gateway.http_addr();
    let mut idle = Vec::new();
    for _ in 0..60 {
        idle.push(Frames::connect(address, 1 << 20).await.unwrap());
        let (_, status) = ask("127.0.0.2", address, "/livez").await;
        assert_eq!(status.as_ref(), Some(b"HTTP/1.1 200"));
    }
    let metrics = Metrics::of(&world.browser()).await;
    assert_eq!(metrics.refused("http_connections"), 0.0);
    assert!(metrics.bound("http_connections").0 <= 20.0);
}

#[tokio::test]
async fn the_idlest_connection_goes_and_a_busy_one_stays() {
    let world = World::with(&[], &["--max-connections", "3"]).await;
    let address = world.gateway.http_addr();
    let mut busy = Frames::connect(address, 1 << 20).await.unwrap();
    busy.get(1, "/api/comments/stream").await.unwrap();
    assert!(matches!(busy.next().await, Some(Frame::Head { status: 200, .. })));
    let (mut older, _) = ask("127.0.0.1", address, "/livez").await;
    let (mut newer, _) = ask("127.0.0.1", address, "/livez").await;
    let (_newcomer, status) = ask("127.0.0.1", address, "/livez").await;
    assert_eq!(status.as_ref(), Some(b"HTTP/1.1 200"));
    let mut rest = Vec::new();
    let _ = within_deadline("the end of the idlest", older.read_to_end(&mut rest)).await;
    newer.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut text = Vec::new();
    let answered = async {
        while text.windows(12).filter(|words| words == b"HTTP/1.1 200").count() < 1 {
            assert!(newer.read_buf(&mut text).await.unwrap() > 0, "it was ended");
        }
    };
    within_deadline("a second answer", answered).await;
    busy.get(3, "/livez").await.unwrap();
    let answered =
        async { while !matches!(busy.next().await, Some(Frame::Head { stream: 3, status: 200, .. })) {} };
    within_deadline("an answer beside the stream", answered).await;
}

#[tokio::test]
async fn where_all_are_busy_the_client_with_the_most_connections_gives_one() {
    let world = World::with(&[], &["--max-connections", "4"]).await;
    let address = world.gateway.http_addr();
    let mut crowd = Vec::new();
    for _ in 0..4 {
        let (connection, status) = ask("127.0.0.1", address, "/api/comments/stream").await;
        assert_eq!(status.as_ref(), Some(b"HTTP/1.1 200"));
        crowd.push(connection);
    }
    let (_of_the_crowd, status) = ask("127.0.0.1", address, "/livez").await;
    assert_eq!(status, None, "a newcomer of the same client is closed");
    let (_other, status) = ask("127.0.0.2", address, "/api/comments/stream").await;
    assert_eq!(status.as_ref(), Some(b"HTTP/1.1 200"), "another client gets in");
}

#[tokio::test]
async fn a_head_has_its_own_time_and_the_pause_before_it_another() {
    let settings = ["--idle-timeout", "40s", "--head-timeout", "300ms"];
    let world = World::with(&settings, &settings).await;
    for address in [world.gateway.http_addr(), world.queue.grpc_addr()] {
        let (mut paused, status) = ask("127.0.0.1", address, "/metrics").await;
        assert_eq!(status.as_ref(), Some(b"HTTP/1.1 401"));
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ").await.unwrap();
        drip_until_ended(&mut connection, b"x").await;
        // The one that waits between two requests is still there, and its next head has the same time.
        paused.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX: ").await.unwrap();
        drip_until_ended(&mut paused, b"x").await;
        let operator = Browser::new(&format!("http://{address}"));
        assert_eq!(operator.get("/metrics").await.status, 200);
    }
}

#[tokio::test]
async fn a_head_that_drips_over_http2_ends_its_connection_whatever_else_is_asked_for_on_it() {
    let world = World::with(&[], &["--idle-timeout", "600s"]).await;
    let drip = async |with_stream: bool| {
        let mut frames = Frames::connect(world.gateway.http_addr(), 65_535).await.unwrap();
        if with_stream {
            frames.get(1, "/api/comments/stream").await.unwrap();
            let open = async { while !matches!(frames.next().await, Some(Frame::Head { stream: 1, .. })) {} };
            within_deadline("a stream of events", open).await;
        }
        let mut connection = frames.begin_head(3, 10_000).await.unwrap();
        drip_until_ended(&mut connection, &[0]).await;
    };
    tokio::join!(drip(false), drip(true));
}
