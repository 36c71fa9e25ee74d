//! Answers that are lost with the connection between gateway and queue-service: nobody is told a guess.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use e2e::{DOMAIN, Service, within_deadline};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
};
use tokio_util::task::AbortOnDropHandle;

/// A way to a service that loses answers.
struct Lossy {
    addr: SocketAddr,
    losses: Arc<AtomicU32>,
    _task: AbortOnDropHandle<()>,
}

impl Lossy {
    async fn before(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, losses) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let seen = Arc::clone(&losses);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(service).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                let (losses, born) = (Arc::clone(&seen), seen.load(Ordering::Acquire));
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(from_client, to_server, || false) => {}
                        () = carry(from_server, to_client, || losses.load(Ordering::Acquire) > born) => {}
                    }
                });
            }
        });
        Self { addr, losses, _task: AbortOnDropHandle::new(task) }
    }

    /// Whatever a service says next on a connection that is open now is lost, and the connection with it.
    fn lose(&self) {
        self.losses.fetch_add(1, Ordering::AcqRel);
    }
}

async fn carry(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, is_lost: impl Fn() -> bool) {
    let mut bytes = [0; 16_384];
    while let Ok(count) = from.read(&mut bytes).await {
        if count == 0 || is_lost() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

fn comment(text: &str) -> Value {
    json!({"domain": DOMAIN, "username": "Human", "text": text})
}

#[tokio::test]
async fn a_post_whose_answer_is_lost_is_repeated_under_its_key_and_stored_once() {
    let queue = Service::queue_service(&[]).await;
    let way = Lossy::before(queue.grpc_addr()).await;
    let gateway = Service::gateway(&format!("http://{}", way.addr), &[]).await;
    let browser = gateway.browser();
    let first = browser.comment(&comment("The first.")).await;
    let stored = async || queue.grpc().await.all().await.unwrap().len();
    for number in 0..5 {
        way.lose();
        let key = format!("key {number}");
        let post = browser.request(reqwest::Method::POST, "/api/comments").header("idempotency-key", &key);
        let answer = within_deadline("the answer", e2e::Answer::to(post.json(&comment(&key)))).await;
        answer.ok(201);
        assert_eq!(stored().await, number + 2, "once");
    }
    way.lose();
    let path = format!("/api/comments/{}", first["id"].as_str().unwrap());
    assert_eq!(browser.get(&path).await.ok(200)["text"], "The first.", "a read is repeated");

    // Without a key it could be stored twice: the client is told that nobody knows.
    way.lose();
    let answer = browser.post("/api/comments", &comment("Without a key.")).await;
    let problem = answer.problem(502);
    assert!(problem["detail"].as_str().unwrap().contains("unknown"), "{problem}");
    assert_eq!(stored().await, 7);
}
