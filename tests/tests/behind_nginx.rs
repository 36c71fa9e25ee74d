//! Debian's nginx in front of the gateway, with nothing but its own default `proxy_pass`: no forwarding header, and the Host of
//! the upstream. It gives visitors nothing that they would not have without it. Where nginx cannot be had, the tests are
//! skipped and say so.

#![expect(
    clippy::unwrap_used,
    reason = "these are tests, which clippy does not see in a program with a main of its own"
)]

use std::{path::PathBuf, pin::Pin, process::Stdio};

use e2e::{OPERATOR, World, installed, within_deadline};
use libtest_mimic::{Arguments, Completion, Trial};
use repartee_process::access::{self, Callers};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    process::{Child, Command},
};

type Test = fn() -> Pin<Box<dyn Future<Output = ()>>>;

fn main() {
    let tests: [(&str, Test); 2] = [
        ("a_proxy_that_adds_nothing_makes_nobody_an_operator_or_a_worker", || {
            Box::pin(a_proxy_that_adds_nothing_makes_nobody_an_operator_or_a_worker())
        }),
        ("a_cache_that_answers_the_polls_of_many_shows_a_writer_what_was_written", || {
            Box::pin(a_cache_that_answers_the_polls_of_many_shows_a_writer_what_was_written())
        }),
    ];
    let trial = |(name, test): (&str, Test)| Trial::ignorable_test(name, move || Ok(run(test)));
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit();
}

fn run(test: Test) -> Completion {
    if installed("nginx").is_none() {
        return Completion::ignored_with("nginx is not installed");
    }
    tokio::runtime::Runtime::new().expect("the system gives threads").block_on(test());
    Completion::Completed
}

/// nginx on a socket of its own, in front of a gateway.
struct Nginx {
    socket: PathBuf,
    _process: Child,
    _folder: TempDir,
}

impl Nginx {
    async fn before(gateway: std::net::SocketAddr) -> Self {
        Self::with(gateway, "").await
    }

    /// With a cache for what may be cached, which shows how it answered; an old page is shown while a new one is fetched, as
    /// far as the answer itself allows.
    async fn caching(gateway: std::net::SocketAddr) -> Self {
        let cache = "proxy_cache shared; proxy_cache_lock on; proxy_cache_background_update on; proxy_cache_revalidate on; \
                     add_header X-Cache $upstream_cache_status always;";
        Self::with(gateway, cache).await
    }

    async fn with(gateway: std::net::SocketAddr, location: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let at = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; events {{}} http {{ access_log off; \
             {temporary} proxy_cache_path {at}/cache keys_zone=shared:1m; \
             server {{ listen unix:{at}/socket; location / {{ proxy_pass http://{gateway}; {location} }} }} }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), config).unwrap();
        let mut command = Command::new(installed("nginx").unwrap());
        command
            .arg("-c")
            .arg(folder.path().join("nginx.conf"))
            .arg("-e")
            .arg(folder.path().join("error.log"));
        let process = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let nginx = Self { socket: folder.path().join("socket"), _process: process, _folder: folder };
        let listens = async {
            while UnixStream::connect(&nginx.socket).await.is_err() {
                tokio::task::yield_now().await
            }
        };
        within_deadline("nginx to listen", listens).await;
        nginx
    }

    /// The status and the body of the answer.
    async fn ask(&self, method: &str, path: &str, body: &str, headers: &str) -> (u16, String) {
        let mut connection = UnixStream::connect(&self.socket).await.unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: talk.example\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        connection.write_all(body.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within_deadline("an answer", connection.read_to_string(&mut answer)).await.unwrap();
        let status = answer.get(9..12).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no status in {answer:?}")), answer)
    }
}

async fn a_proxy_that_adds_nothing_makes_nobody_an_operator_or_a_worker() {
    let world = World::start().await;
    let nginx = Nginx::before(world.gateway.http_addr()).await;
    let comment = json!({"domain": "d", "username": "Ann", "color": "001001001", "text": "Well?", "botParams": {"entity": "echo"}});
    assert_eq!(nginx.ask("POST", "/api/comments", &comment.to_string(), "").await.0, 201, "visitors post");
    assert_eq!(nginx.ask("GET", "/api/comments?domain=d", "", "").await.0, 200, "and read");
    for (method, path, callers) in
        access::ROUTES.iter().filter(|(_, _, callers)| !callers.include(Callers::VISITOR))
    {
        let path = path.replace("{id}", &uuid::Uuid::new_v4().to_string()).replace("{name}", "depth");
        let (status, answer) = nginx.ask(method, &path, "{}", "").await;
        assert_eq!(status, 401, "{method} {path} needs {}: {answer}", callers.tokens());
    }
    let forged =
        json!({"domain": "d", "username": "echo", "color": "default", "text": "!", "message-type": "AI"});
    assert_eq!(nginx.ask("POST", "/api/comments", &forged.to_string(), "").await.0, 401);
    let token = format!("Authorization: Bearer {OPERATOR}\r\n");
    assert_eq!(nginx.ask("GET", "/api/stats", "", &token).await.0, 200, "a token is one from anywhere");
}

async fn a_cache_that_answers_the_polls_of_many_shows_a_writer_what_was_written() {
    let world = World::start().await;
    let nginx = Nginx::caching(world.gateway.http_addr()).await;
    let list = async |cookie: &str| {
        let headers = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        let (status, answer) = nginx.ask("GET", "/api/comments?domain=d", "", &headers).await;
        assert_eq!(status, 200, "{answer}");
        answer
    };
    let mut hits = 0;
    for number in 0..20 {
        let text = format!("Comment {number}.");
        // The polls of those who write nothing keep the page of before in the cache.
        for _ in 0..3 {
            hits += u32::from(list("").await.contains("X-Cache: HIT"));
        }
        let comment = json!({"domain": "d", "username": "Ann", "color": "001001001", "text": text});
        let (status, posted) = nginx.ask("POST", "/api/comments", &comment.to_string(), "").await;
        assert_eq!(status, 201, "{posted}");
        let cookies = posted
            .lines()
            .filter_map(|line| line.to_lowercase().strip_prefix("set-cookie: ").map(str::to_owned));
        let cookie: Vec<_> = cookies.filter_map(|line| Some(line.split_once(';')?.0.to_owned())).collect();
        assert!(!cookie.is_empty(), "{posted}");
        let seen = list(&cookie.join("; ")).await;
        assert!(seen.contains(&text), "comment {number} is missing: {seen}");
    }
    assert!(hits > 0, "others are answered from the cache");
}
