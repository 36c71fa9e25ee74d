//! The services under test, each with its data in a directory that outlives restarts.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use repartee_process::Ready;
use tempfile::TempDir;

use crate::{Browser, FakeTime, Grpc, Process};

/// Where a service keeps its data.
enum Data<'a> {
    Nowhere,
    InItsFolder,
    In(&'a Path),
}

/// One service: its settings, its data directory, and the process that runs it now.
#[derive(Debug)]
pub struct Service {
    binary: &'static str,
    settings: Vec<String>,
    variables: Vec<(String, String)>,
    process: Process,
    ready: Ready,
    data: PathBuf,
    _folder: TempDir,
}

impl Service {
    /// Starts a queue-service on an empty data directory.
    pub async fn queue_service(settings: &[&str]) -> Self {
        Self::queue_service_at("127.0.0.1:0", settings).await
    }

    /// Starts a queue-service at `address`, on an empty data directory.
    pub async fn queue_service_at(address: &str, settings: &[&str]) -> Self {
        Self::start("queue-service", &[&["--grpc-addr", address], settings].concat(), Data::InItsFolder).await
    }

    /// Starts a queue-service on the data directory `data`.
    pub async fn queue_service_on(data: &Path, settings: &[&str]) -> Self {
        let settings = [&["--grpc-addr", "127.0.0.1:0"], settings].concat();
        Self::start("queue-service", &settings, Data::In(data)).await
    }

    /// Starts a queue-service by a clock of its own, on an empty data directory.
    pub async fn queue_service_by(clock: &FakeTime, settings: &[&str]) -> Self {
        let settings = [&["--grpc-addr", "127.0.0.1:0"], settings].concat();
        Self::start_with("queue-service", &settings, Data::InItsFolder, clock.variables()).await
    }

    /// Starts a rest-gateway before the queue-service at `queue_url`.
    pub async fn gateway(queue_url: &str, settings: &[&str]) -> Self {
        Self::gateway_at("127.0.0.1:0", queue_url, settings).await
    }

    /// Starts a rest-gateway at `address` before the queue-service at `queue_url`.
    pub async fn gateway_at(address: &str, queue_url: &str, settings: &[&str]) -> Self {
        let own = ["--http-addr", address, "--queue-url", queue_url];
        Self::start("rest-gateway", &[&own, settings].concat(), Data::Nowhere).await
    }

    /// Starts a rest-gateway by a clock of its own.
    pub async fn gateway_by(clock: &FakeTime, queue_url: &str) -> Self {
        let own = ["--http-addr", "127.0.0.1:0", "--queue-url", queue_url];
        Self::start_with("rest-gateway", &own, Data::Nowhere, clock.variables()).await
    }

    /// Starts everything in one process on an empty data directory.
    pub async fn repartee(settings: &[&str]) -> Self {
        let own = ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"];
        Self::start("repartee", &[&own, settings].concat(), Data::InItsFolder).await
    }

    /// Starts everything in one process at `grpc_addr`, on an empty data directory.
    pub async fn repartee_at(grpc_addr: &str, settings: &[&str]) -> Self {
        let own = ["--grpc-addr", grpc_addr, "--http-addr", "127.0.0.1:0"];
        Self::start("repartee", &[&own, settings].concat(), Data::InItsFolder).await
    }

    /// Starts the ready bot as a worker of the queue-service at `queue_url`, answering each entity with its echo.
    pub async fn echo_bot(queue_url: &str, entities: &[&str]) -> Self {
        Self::echo_bot_with(queue_url, entities, &[]).await
    }

    /// The same with settings of its own.
    pub async fn echo_bot_with(queue_url: &str, entities: &[&str], settings: &[&str]) -> Self {
        let mut own = vec!["--queue-url", queue_url, "--reply", "echo", "--max-in-flight", "4"];
        own.extend(settings);
        own.extend(entities.iter().flat_map(|entity| ["--entity", *entity]));
        Self::start("bot-worker", &own, Data::Nowhere).await
    }

    /// Starts the ready bot as a worker of the queue-service at `queue_url`, answering `entity` by the endpoint at `base_url`.
    pub async fn bot(queue_url: &str, entity: &str, base_url: &str, settings: &[&str]) -> Self {
        let own =
            ["--queue-url", queue_url, "--entity", entity, "--openai-base-url", base_url, "--model", "small"];
        Self::start("bot-worker", &[&own, settings].concat(), Data::Nowhere).await
    }

    /// Starts a binary with these variables: a queue-service, a gateway, a bot, or `repartee`, each on free ports.
    pub async fn with_variables(
        binary: &'static str,
        settings: &[&str],
        variables: &[(&str, String)],
    ) -> Self {
        let data = match binary {
            "queue-service" | "repartee" => Data::InItsFolder,
            _ => Data::Nowhere,
        };
        let grpc: &[_] = match binary {
            "queue-service" | "repartee" => &["--grpc-addr", "127.0.0.1:0"],
            _ => &[],
        };
        let http: &[_] = match binary {
            "rest-gateway" | "repartee" => &["--http-addr", "127.0.0.1:0"],
            _ => &[],
        };
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self::start_with(binary, &[grpc, http, settings].concat(), data, variables).await
    }

    async fn start(binary: &'static str, settings: &[&str], data: Data<'_>) -> Self {
        Self::start_with(binary, settings, data, Vec::new()).await
    }

    async fn start_with(
        binary: &'static str,
        settings: &[&str],
        data: Data<'_>,
        variables: Vec<(String, String)>,
    ) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let mut settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let own = folder.path().join("data");
        let (data, owns_data) = match data {
            Data::Nowhere => (own, false),
            Data::InItsFolder => (own, true),
            Data::In(data) => (data.to_owned(), true),
        };
        if owns_data {
            settings.extend(["--data-dir".to_owned(), data.display().to_string()]);
        }
        let mut process = spawn(binary, &settings, &variables);
        let ready = process.ready().await;
        Self { binary, settings, variables, process, ready, data, _folder: folder }
    }

    /// Starts the service again with the same settings and data, after [`Self::kill`] or [`Self::terminate`]. Where a
    /// setting leaves the port open, it is another one than before.
    pub async fn start_again(&mut self) {
        self.spawn_again();
        self.ready = self.process.ready().await;
    }

    /// As [`Self::start_again`], without waiting until the service serves.
    pub fn spawn_again(&mut self) {
        self.process = spawn(self.binary, &self.settings, &self.variables);
    }

    /// As [`Self::start_again`], at the addresses that the service had before, for clients that know only those.
    pub async fn start_again_in_place(&mut self) {
        for (flag, address) in [("--grpc-addr", self.ready.grpc), ("--http-addr", self.ready.http)] {
            let open_port = self.settings.iter().position(|setting| setting == flag);
            if let (Some(open_port), Some(address)) = (open_port, address) {
                self.settings[open_port + 1] = address.to_string();
            }
        }
        self.start_again().await;
    }

    /// Ends the process as `kill -9` does. Hands out the exit code of one that had ended by itself before.
    pub async fn kill(&mut self) -> Option<i32> {
        self.process.kill().await
    }

    /// Asks the process to stop and waits for its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.process.terminate().await
    }

    /// The process that runs the service now.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The data directory.
    pub fn data_dir(&self) -> String {
        self.data.display().to_string()
    }

    /// Where the service serves gRPC.
    pub fn grpc_addr(&self) -> SocketAddr {
        self.ready.grpc.expect("the ready file of this binary names its gRPC address")
    }

    /// The same as a URL.
    pub fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc_addr())
    }

    /// Where the service answers for its metrics, if they have an address of their own.
    pub fn metrics_addr(&self) -> SocketAddr {
        self.ready.metrics.expect("the service was given an address for its metrics")
    }

    /// Where the service serves HTTP.
    pub fn http_addr(&self) -> SocketAddr {
        self.ready.http.expect("the ready file of this binary names its HTTP address")
    }

    /// A client of its gRPC face, on a connection of its own.
    pub async fn grpc(&self) -> Grpc {
        Grpc::connect(&self.grpc_url()).await.expect("a service that is ready accepts connections")
    }

    /// A client of its gRPC face with this token, or without any.
    pub async fn grpc_with(&self, token: Option<&str>) -> Grpc {
        Grpc::connect_with(&self.grpc_url(), token)
            .await
            .expect("a service that is ready accepts connections")
    }

    /// A client of its JSON face without any token.
    pub fn visitor(&self) -> Browser {
        Browser::with(&format!("http://{}", self.http_addr()), None)
    }

    /// The same at an address of this machine, which is one of those that begin with 127.
    pub fn visitor_at(&self, address: Ipv4Addr) -> Browser {
        Browser::at(&format!("http://{}", self.http_addr()), address)
    }

    /// A client of its JSON face that sends this token where a request has none.
    pub fn browser_with(&self, token: &str) -> Browser {
        Browser::with(&format!("http://{}", self.http_addr()), Some(token))
    }

    /// A client of its JSON face.
    pub fn browser(&self) -> Browser {
        Browser::new(&format!("http://{}", self.http_addr())).with_metrics_at(self.ready.metrics)
    }
}

fn spawn(binary: &str, settings: &[String], variables: &[(String, String)]) -> Process {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Process::spawn_with(binary, settings, &variables)
}

/// A queue-service with a rest-gateway before it, as separate processes.
#[derive(Debug)]
pub struct World {
    /// The gateway; it ends first.
    pub gateway: Service,
    /// The queue-service.
    pub queue: Service,
}

impl World {
    /// Both with default settings.
    pub async fn start() -> Self {
        Self::with(&[], &[]).await
    }

    /// Both, each with settings of its own.
    pub async fn with(queue: &[&str], gateway: &[&str]) -> Self {
        let queue = Service::queue_service(queue).await;
        let gateway = Service::gateway(&queue.grpc_url(), gateway).await;
        Self { gateway, queue }
    }

    /// A client of the JSON face.
    pub fn browser(&self) -> Browser {
        self.gateway.browser()
    }

    /// A client of the gRPC face.
    pub async fn grpc(&self) -> Grpc {
        self.queue.grpc().await
    }
}
