//! One gateway and one fake queue-service on ports of their own, and a client that checks what all answers have.

use std::{net::SocketAddr, time::Duration};

use clap::Parser as _;
use repartee_proto::v1::{self, queue_service_server::QueueServiceServer};
use reqwest::{
    Client, Method, RequestBuilder,
    header::{AUTHORIZATION, HeaderMap},
    redirect::Policy,
};
use rest_gateway::{Server, Settings};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::TcpIncoming;

use crate::fake::Fake;

/// Longer than every wait of these tests, on a slow machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// What one test works with; everything ends with it.
pub(crate) struct World {
    /// The queue-service behind the gateway.
    pub(crate) queue: Fake,
    /// Cancelled to stop the gateway.
    pub(crate) stop: CancellationToken,
    /// Ends once the gateway has stopped.
    pub(crate) gateway: JoinHandle<()>,
    base: String,
    client: Client,
    _queue: DropGuard,
    _gateway: DropGuard,
}

/// An answer that was read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// The settings of a gateway on a free port, in front of `queue`.
pub(crate) fn settings(queue: SocketAddr, flags: &[&str]) -> Settings {
    let url = format!("http://{queue}");
    let always = ["rest-gateway", "--http-addr", "127.0.0.1:0", "--queue-url", &url];
    // The log of the fake begins with one old message: with this seed, there may be older ones, and polls go upstream.
    let seed = if flags.contains(&"--tail-seed") { &[][..] } else { &["--tail-seed", "1"] };
    let parsed = Settings::try_parse_from(always.iter().chain(seed).chain(flags)).unwrap();
    Settings { token: Some("of-the-gateway".parse().unwrap()), ..parsed }
}

/// Serves `fake` on `listener` until the guard is dropped.
pub(crate) fn serve_queue(fake: Fake, listener: TcpListener) -> DropGuard {
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(async move {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_serving::<QueueServiceServer<Fake>>().await;
        let serving = tonic::transport::Server::builder()
            .add_service(health)
            .add_service(QueueServiceServer::new(fake))
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::select! {
            outcome = serving => outcome.unwrap(),
            () = stopped => {}
        }
    });
    stop.drop_guard()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        let queue = Fake::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let guard = serve_queue(queue.clone(), listener);
        Self::in_front_of(addr, queue, guard, flags).await
    }

    /// A gateway in front of an address.
    pub(crate) async fn in_front_of(addr: SocketAddr, queue: Fake, guard: DropGuard, flags: &[&str]) -> Self {
        Self::of(settings(addr, flags), queue, guard).await
    }

    /// A gateway that has no token of its own.
    pub(crate) async fn without_token(flags: &[&str]) -> Self {
        let queue = Fake::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = Settings { token: None, ..settings(listener.local_addr().unwrap(), flags) };
        let guard = serve_queue(queue.clone(), listener);
        Self::of(settings, queue, guard).await
    }

    async fn of(settings: Settings, queue: Fake, guard: DropGuard) -> Self {
        let server = Server::bind(settings).await.unwrap();
        let base = format!("http://{}", server.addr());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let gateway = tokio::spawn(async move { server.serve(stopped).await.unwrap() });
        let bearer = (AUTHORIZATION, "Bearer of-an-operator".parse().unwrap());
        let client =
            Client::builder().redirect(Policy::none()).default_headers([bearer].into_iter().collect());
        let client = client.build().unwrap();
        Self { queue, gateway, base, client, _queue: guard, _gateway: stop.clone().drop_guard(), stop }
    }

    /// A request to the gateway.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// The address of the gateway, for tests that speak HTTP themselves.
    pub(crate) fn authority(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::to(self.request(Method::PATCH, path).json(&body)).await
    }
}

impl Answer {
    /// Sends a request; every answer has an id and the headers that protect browsers.
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Self { status, headers, body: response.bytes().await.unwrap().to_vec() };
        for (name, value) in [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")] {
            assert_eq!(answer.header(name), value);
        }
        let of_all =
            ["x-request-id", "content-security-policy", "cache-control", "cross-origin-resource-policy"];
        for name in of_all {
            assert!(!answer.header(name).is_empty(), "{name} is missing: {:?}", answer.headers);
        }
        let is_page = answer.header("content-type").starts_with("text/html");
        for name in ["permissions-policy", "cross-origin-opener-policy", "x-frame-options"] {
            assert_eq!(!answer.header(name).is_empty(), is_page, "{name}: {:?}", answer.headers);
        }
        assert!(answer.header("content-security-policy").contains("frame-ancestors 'none'"));
        for tells in ["server", "x-powered-by"] {
            assert_eq!(answer.header(tells), "", "{tells} tells what runs here");
        }
        answer
    }

    /// A header; empty where it is absent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The problem of a refusal, after its shape was checked.
    pub(crate) fn problem(&self, status: u16) -> Value {
        let problem = self.json(status);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(!self.header("retry-after").is_empty(), matches!(status, 429 | 503), "{problem}");
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["success"], false);
        assert_eq!(problem["error"], problem["detail"]);
        for name in ["title", "detail", "instance"] {
            assert!(problem[name].as_str().is_some_and(|text| !text.is_empty()), "{name}: {problem}");
        }
        problem
    }

    /// Where a refusal with 400 points.
    pub(crate) fn pointers(&self) -> Vec<String> {
        let problem = self.problem(400);
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    }
}

/// A message as the queue-service sends it.
pub(crate) fn message(id: &str) -> v1::Message {
    v1::Message {
        id: id.to_owned(),
        timestamp: 1_762_025_642_726,
        seq: 1841,
        domain: "test.example".to_owned(),
        text: "Why is space black?".to_owned(),
        username: "Human".to_owned(),
        color: "169080199".to_owned(),
        message_type: v1::MessageType::Human.into(),
        bot_params: Some(v1::BotParams {
            status: v1::Status::Pending.into(),
            priority: 5,
            entity: "fear-and-loathing".to_owned(),
            ai_username: "FearAndLoathing".to_owned(),
            ai_color: "080175220".to_owned(),
            ..v1::BotParams::default()
        }),
        ..v1::Message::default()
    }
}

/// Storage reads and writes of a call.
pub(crate) fn kv_stats(reads: u64, writes: u64) -> Option<v1::KvStats> {
    Some(v1::KvStats { reads, writes })
}

/// A gateway whose tail begins before anything is published.
pub(crate) async fn live(flags: &[&str]) -> World {
    let world = World::start_with(flags).await;
    until("the tail", &world, "/readyz", |answer| answer.status == 200).await;
    world
}

/// Polls until the answer shows it.
pub(crate) async fn until(what: &str, world: &World, path: &str, shows: impl Fn(&Answer) -> bool) -> Answer {
    let seen = async {
        loop {
            let answer = world.get(path).await;
            if shows(&answer) {
                return answer;
            }
        }
    };
    timeout(DEADLINE, seen).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}
