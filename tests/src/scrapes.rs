//! What Prometheus reads from each binary, with as much switched on as has metrics of its own.

use std::fs;

use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::{Authority, Browser, Metrics, Service, World, held, question, reply};

/// One scrape of each binary: two services and their bots, after some of everything has happened, and the one process.
#[derive(Debug)]
pub struct Scrapes {
    /// Of queue-service.
    pub queue: Metrics,
    /// Of rest-gateway.
    pub gateway: Metrics,
    /// Of another one, which speaks TLS to browsers.
    pub tls_gateway: Metrics,
    /// Of bot-worker, with an endpoint that is away, and a tool server that is not there.
    pub bot: Metrics,
    /// Of `repartee`.
    pub one_process: Metrics,
}

impl Scrapes {
    /// Starts all of it, lets it work, and looks once.
    ///
    /// # Panics
    /// If something does not start or answer.
    pub async fn take() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let issued = Authority::new(folder.path(), "authority").issue("server");
        let tools = folder.path().join("mcp.toml");
        fs::write(&tools, "[tower]\ncommand = \"/nowhere/at/all\"\ntools = [\"*\"]\n")
            .expect("a new folder can be written to");
        let world = World::start().await;
        let queue_url = world.queue.grpc_url();
        let tls = ["--tls-cert", &issued.cert, "--tls-key", &issued.key];
        let tls_gateway = Service::gateway(&queue_url, &tls).await;
        let tools = tools.to_str().expect("temporary paths are text");
        // Bound, but nobody listens: every connection is refused.
        let away = TcpSocket::new_v4().expect("the system gives sockets");
        away.bind(([127, 0, 0, 1], 0).into()).expect("some port is free");
        let base_url = format!("http://{}/v1", away.local_addr().expect("it is bound"));
        let settings = ["--mcp", tools, "--tokens-per-day", "1000"];
        let bot = Service::bot(&queue_url, "helper", &base_url, &settings).await;
        work(&world).await;
        let one_process = Service::repartee(&[]).await;
        Self {
            queue: of(&world.queue).await,
            gateway: of(&world.gateway).await,
            tls_gateway: of(&tls_gateway).await,
            bot: of(&bot).await,
            one_process: of(&one_process).await,
        }
    }

    /// All of them, each with the name of its binary.
    pub fn all(&self) -> [(&'static str, &Metrics); 5] {
        let Self { queue, gateway, tls_gateway, bot, one_process } = self;
        [
            ("queue-service", queue),
            ("rest-gateway", gateway),
            ("rest-gateway", tls_gateway),
            ("bot-worker", bot),
            ("repartee", one_process),
        ]
    }
}

async fn of(service: &Service) -> Metrics {
    Metrics::of(&Browser::new("").with_metrics_at(Some(service.metrics_addr()))).await
}

/// A post that waits, a claim, a completion, a failure, a poll.
async fn work(world: &World) {
    let (client, browser) = (world.grpc().await, world.browser());
    for _ in 0..2 {
        client.post(question("echo", "Well?")).await.expect("it is taken in");
    }
    let work = client.claim_next("w", &["echo"], 5).await.expect("it may").expect("one waits");
    client.complete(held(&work), reply("Well.")).await.expect("it is held");
    let work = client.claim_next("w", &["echo"], 5).await.expect("it may").expect("one waits");
    client.give_up(held(&work), "no").await.expect("it is held");
    client.post(question("nobody", "Well?")).await.expect("it is taken in");
    browser.get("/api/comments").await.ok(200);
}
