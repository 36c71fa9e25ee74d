use std::{
    convert::Infallible,
    io::ErrorKind,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::serve;
use crate::{AnswerLimits, Bound, ByteLimit, Door, Patience, Shutdown, listen};

/// No body.
struct Nothing;

impl Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

/// A server that answers everything with nothing.
struct Served {
    addr: SocketAddr,
    places: Bound,
    ended: JoinHandle<()>,
}

fn start(name: &'static str, shutdown: Shutdown) -> Served {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = listener.local_addr().unwrap();
    let hour = Duration::from_secs(3_600);
    let patience = Patience { idle: hour, head: hour, least_rate: 0 };
    let total = ByteLimit::new("test_serve_answers", 1 << 20);
    let answers = AnswerLimits { total, per_connection: 1, per_connection_name: "test_serve_answer" };
    let door = Door::new(listener, name, 1_000, patience, answers);
    let places = door.places().clone();
    let of_connection = |_: &crate::Connection| {
        Some(service_fn(async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(Nothing))))
    };
    let ended = tokio::spawn(serve(door, 1, of_connection, shutdown));
    Served { addr, places, ended }
}

/// Asks on an open connection, and reads the head of the answer.
async fn ask(connection: &mut TcpStream) -> std::io::Result<String> {
    connection.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    Ok(String::from_utf8(head).expect("heads are text"))
}

#[tokio::test]
async fn a_connection_that_has_asked_for_nothing_does_not_hold_up_the_stop() {
    let stop = CancellationToken::new();
    let served = start("test_serve", stop.clone().into());
    let _silent = TcpStream::connect(served.addr).await.unwrap();
    while served.places.held() == 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    served.ended.await.unwrap();
}

#[tokio::test]
async fn who_comes_before_the_stop_is_served_and_told_to_take_another_connection_next() {
    let shutdown = Shutdown::default();
    let served = start("test_serve_leaving", shutdown.clone());
    let mut kept = TcpStream::connect(served.addr).await.unwrap();
    assert!(!ask(&mut kept).await.unwrap().contains("connection: close"));

    shutdown.leaving.cancel();
    while !ask(&mut kept).await.unwrap().contains("connection: close") {}
    assert_eq!(kept.read(&mut [0; 1]).await.unwrap(), 0, "it ends with that answer");
    let mut newcomer = TcpStream::connect(served.addr).await.unwrap();
    assert!(ask(&mut newcomer).await.unwrap().contains("connection: close"));

    shutdown.stop.cancel();
    served.ended.await.unwrap();
    assert_eq!(TcpStream::connect(served.addr).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_is_connected_while_the_address_closes_is_answered() {
    for _ in 0..20 {
        let stop = CancellationToken::new();
        let served = start("test_serve_closing", stop.clone().into());
        let (addr, over) = (served.addr, Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for _ in 0..8 {
            let over = Arc::clone(&over);
            clients.spawn(async move {
                let mut answered = 0;
                while !over.load(Ordering::Relaxed) {
                    let Ok(mut connection) = TcpStream::connect(addr).await else { break };
                    ask(&mut connection).await.expect("a connection that was made is answered");
                    answered += 1;
                }
                answered
            });
        }
        while served.places.held() == 0 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        served.ended.await.unwrap();
        over.store(true, Ordering::Relaxed);
        assert!(clients.join_all().await.into_iter().sum::<u32>() > 0, "somebody was answered");
    }
}
