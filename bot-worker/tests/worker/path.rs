//! The way to the service: what dies without a word, and what breaks the contract.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bot_worker::{Worker, echo};
use repartee_proto::v1::{Message, StreamHeartbeat, Work, stream_pending_response::Event};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    fake::{Call, Fake},
    start_echo,
};

/// A path to the service. Once it is a black hole, connections that stand swallow everything and stay open; new ones work.
struct Path {
    addr: SocketAddr,
    holes: mpsc::Sender<()>,
    _forwarding: AbortOnDropHandle<()>,
}

impl Path {
    async fn to(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (holes, mut swallow) = mpsc::channel(1);
        let forwarding = async move {
            let mut dead = Arc::new(AtomicBool::new(false));
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (near, _) = accepted.unwrap();
                        let (near_in, near_out) = near.into_split();
                        let (far_in, far_out) = TcpStream::connect(service).await.unwrap().into_split();
                        tokio::spawn(forward(near_in, far_out, Arc::clone(&dead)));
                        tokio::spawn(forward(far_in, near_out, Arc::clone(&dead)));
                    }
                    Some(()) = swallow.recv() => {
                        dead.store(true, Ordering::Relaxed);
                        dead = Arc::default();
                    }
                }
            }
        };
        Self { addr, holes, _forwarding: AbortOnDropHandle::new(tokio::spawn(forwarding)) }
    }

    async fn becomes_a_black_hole(&self) {
        self.holes.send(()).await.unwrap();
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, dead: Arc<AtomicBool>) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if !dead.load(Ordering::Relaxed) && to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
    if dead.load(Ordering::Relaxed) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_path_that_swallows_everything_is_left_for_a_fresh_connection() {
    let mut fake = Fake::start().await;
    let path = Path::to(fake.addr()).await;
    let worker = Worker::connect(format!("http://{}", path.addr)).name("tester").entity("echo");
    let worker = start_echo(worker);
    let first = fake.accepted_stream().await;
    path.becomes_a_black_hole().await;
    // Within the patience of the tests, which is shorter than the keepalive of 15 s that there once was.
    let second = fake.accepted_stream().await;
    assert_eq!(second.request.session_id, first.request.session_id);
    second.work("m1", "t1", "still here").await;
    assert_eq!(fake.completion().await.reply.unwrap().text, "still here");
    worker.stop().await;
}

#[tokio::test]
async fn a_completion_that_was_swallowed_is_repeated_over_a_fresh_connection() {
    let mut fake = Fake::start().await;
    let path = Path::to(fake.addr()).await;
    let worker = Worker::connect(format!("http://{}", path.addr)).name("tester").entity("echo");
    let path = Arc::new(path);
    let swallowing = Arc::clone(&path);
    let worker = crate::start(worker, move |task| {
        let path = Arc::clone(&swallowing);
        async move {
            path.becomes_a_black_hole().await;
            echo(task).await
        }
    });
    fake.accepted_stream().await.work("m1", "t1", "heard").await;
    let completed = loop {
        match fake.call().await {
            Call::Complete(request) => break request,
            // Held for long enough to be renewed meanwhile.
            Call::Renew(_) => {}
            other => panic!("a completion was expected, not {other:?}"),
        }
    };
    assert_eq!(completed.reply.unwrap().text, "heard");
    worker.stop().await;
}

#[tokio::test]
async fn a_service_that_breaks_the_contract_is_left_and_asked_again() {
    let mut fake = Fake::start().await;
    let shutdown = CancellationToken::new();
    let worker = tokio::spawn(fake.worker().run_until(shutdown.clone(), echo));
    let broken = fake.stream().await;
    broken.send(Event::Heartbeat(StreamHeartbeat::default())).await;
    broken.dropped().await;
    let unleased = fake.accepted_stream().await;
    let message = Some(Message { id: "m1".into(), ..Message::default() });
    unleased.send(Event::Work(Work { message, lease: None, context: Vec::new(), ..Work::default() })).await;
    unleased.dropped().await;
    let stream = fake.accepted_stream().await;
    stream.hello(Duration::from_secs(15)).await;
    stream.work("m2", "t2", "again").await;
    assert_eq!(fake.completion().await.reply.unwrap().text, "again");
    shutdown.cancel();
    worker.await.unwrap().unwrap();
}
