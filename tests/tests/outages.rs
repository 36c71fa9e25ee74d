//! An endpoint that is away: the ready bot in front of it delays questions, and loses none.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{collections::HashSet, net::SocketAddr};

use e2e::{Browser, Metrics, Service, World, question, watch_live, within_deadline};
use repartee_proto::v1::{ChangeKind, Status};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
};
use tokio_util::task::AbortOnDropHandle;

/// An address that refuses connections until it is listened on.
fn refusing() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap();
    (socket, addr)
}

/// Answers everything there with one word.
fn answering(socket: TcpSocket) -> AbortOnDropHandle<()> {
    let listener: TcpListener = socket.listen(64).unwrap();
    AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 16 * 1024];
                let _ = stream.read(&mut request).await;
                let body = "data: {\"choices\":[{\"delta\":{\"content\":\"Here.\"},\"finish_reason\":\"stop\"}]}\n\n\
                    data: [DONE]\n\n";
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    }))
}

/// What `/api/stats` tells of the only session, once it holds back.
async fn holding_back(world: &World) -> Value {
    let told = async {
        loop {
            let stats = world.browser().get("/api/stats").await.ok(200);
            let session = stats["sessions"][0].clone();
            if session["holdsBack"].is_string() && session["leases"] == 0 {
                return session;
            }
            tokio::task::yield_now().await;
        }
    };
    within_deadline("a worker that holds back", told).await
}

#[tokio::test]
async fn an_endpoint_that_refuses_connections_costs_no_question_an_attempt() {
    let world = World::start().await;
    let client = world.grpc().await;
    let (socket, addr) = refusing();
    let bot = Service::bot(&world.queue.grpc_url(), "echo", &format!("http://{addr}/v1"), &[]).await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let mut asked = Vec::new();
    for number in 0..50 {
        asked.push(client.post(question("echo", &format!("Question {number}?"))).await.unwrap().id);
    }
    assert_eq!(holding_back(&world).await["holdsBack"], "the endpoint could not be reached");
    for id in &asked {
        let message = client.get(id).await.unwrap();
        let work = message.bot_params.unwrap();
        assert_eq!((work.status(), work.error), (Status::Pending, None));
    }
    let metrics = Metrics::of(&Browser::with(&format!("http://{}", bot.metrics_addr()), None)).await;
    assert_eq!(metrics.value("repartee_bot_out{bot=\"echo\"}"), 1.0);
    assert!(metrics.value("repartee_bot_probes_total{bot=\"echo\",outcome=\"success\"}") < 1.0);

    let _endpoint = answering(socket);
    let mut left: HashSet<_> = asked.into_iter().collect();
    while !left.is_empty() {
        let change = watch.change().await;
        assert_ne!(change.kind(), ChangeKind::Failed);
        if change.kind() == ChangeKind::Completed {
            left.remove(&change.message.unwrap().id);
        }
    }
    assert_eq!(client.failed().await.unwrap().failed, []);
}
