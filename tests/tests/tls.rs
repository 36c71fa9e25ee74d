//! TLS at both faces and on the way to the queue-service: who gets in, what is presented, what is told.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, io::ErrorKind, net::SocketAddr};

use e2e::{
    Answer, Authority, Browser, Grpc, Issued, Metrics, OPERATOR, Process, Service, WORKER, question,
    question_json, within_deadline,
};
use repartee_process::{QueueLink, QueueTlsSettings};
use reqwest::{
    Certificate, Client, ClientBuilder, Identity, Method, Version, redirect::Policy, tls::TlsInfo,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tonic::Code;

/// What a world of one test trusts.
struct Trust {
    authority: Authority,
    server: Issued,
    _folder: TempDir,
}

impl Trust {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new(folder.path(), "authority");
        Self { server: authority.issue("server"), authority, _folder: folder }
    }

    /// The flags of a server with TLS.
    fn server_flags(&self) -> [&str; 4] {
        ["--tls-cert", &self.server.cert, "--tls-key", &self.server.key]
    }

    /// A client that trusts the authority.
    fn client(&self) -> ClientBuilder {
        let root = Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        Client::builder().tls_certs_only([root]).no_proxy().redirect(Policy::none()).tls_info(true)
    }

    /// The way to a queue-service that speaks TLS, with a certificate of the client's or without.
    fn link(&self, queue: &Service, identity: Option<&Issued>) -> QueueLink {
        let settings = QueueTlsSettings {
            queue_ca: Some(self.authority.ca().into()),
            queue_client_cert: identity.map(|issued| issued.cert.clone().into()),
            queue_client_key: identity.map(|issued| issued.key.clone().into()),
        };
        QueueLink::new(&https(queue.grpc_addr()), &settings).unwrap()
    }
}

fn https(addr: SocketAddr) -> String {
    format!("https://127.0.0.1:{}", addr.port())
}

/// A queue-service and a gateway before it, both with TLS.
async fn world(trust: &Trust, gateway: &[&str]) -> (Service, Service) {
    let queue = Service::queue_service(&trust.server_flags()).await;
    let ca = trust.authority.ca();
    let own = [&trust.server_flags()[..], &["--queue-ca", &ca], gateway].concat();
    let gateway = Service::gateway(&https(queue.grpc_addr()), &own).await;
    (gateway, queue)
}

/// How often a handshake failed for this reason.
async fn failed(service: &Service, listener: &str, why: &str) -> f64 {
    let browser = Browser::new("").with_metrics_at(Some(service.metrics_addr()));
    let name = format!("repartee_tls_handshakes_failed_total{{bound=\"{listener}\",why=\"{why}\"}}");
    Metrics::of(&browser).await.value(&name)
}

#[tokio::test]
async fn browsers_post_and_read_over_tls_and_a_bot_answers_over_tls() {
    let trust = Trust::new();
    let (gateway, queue) = world(&trust, &[]).await;
    let ca = trust.authority.ca();
    let _bot = Service::echo_bot_with(&https(queue.grpc_addr()), &["echo"], &["--queue-ca", &ca]).await;
    for (version, client) in [
        (Version::HTTP_11, trust.client().http1_only().build().unwrap()),
        (Version::HTTP_2, trust.client().build().unwrap()),
    ] {
        let browser = Browser::by(client, &https(gateway.http_addr()));
        let sent = browser.request(Method::POST, "/api/comments").json(&question_json("echo", "Over TLS?"));
        let response = sent.send().await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (version, 201));
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.ends_with("; Secure"), "{cookie}");
        let id = response.json::<serde_json::Value>().await.unwrap()["id"].clone();
        browser.comments_once(|seen| seen.iter().any(|comment| comment["replyTo"] == id)).await;
    }
    let grpc = Grpc::behind(&trust.link(&queue, None), Some(OPERATOR));
    assert_eq!(grpc.all().await.unwrap().len(), 4, "two questions and their answers");
    assert_eq!(failed(&queue, "grpc_connections", "refused").await, 0.0);
}

#[tokio::test]
async fn browsers_are_told_to_stay_with_tls_only_for_a_name_of_its_own() {
    let trust = Trust::new();
    let (gateway, queue) = world(&trust, &["--hsts", "1day"]).await;
    let client = trust.client().http1_only().build().unwrap();
    let (polls, none) = ("/api/comments?limit=1", "/nowhere");
    let told = async |path: &str, host: &str| {
        let url = format!("{}{path}", https(gateway.http_addr()));
        Answer::to(client.get(url).header("host", host)).await.header("strict-transport-security").to_owned()
    };
    for path in [polls, none, "/", "/readyz"] {
        assert_eq!(told(path, "talk.example").await, "max-age=86400", "{path}");
        for other in ["localhost", "127.0.0.1", "talk.example:8443"] {
            assert_eq!(told(path, other).await, "", "{path} of {other}");
        }
    }
    let ca = trust.authority.ca();
    let plain = Service::gateway(&https(queue.grpc_addr()), &["--queue-ca", &ca]).await;
    let asked = plain.browser().request(Method::GET, "/").header("host", "talk.example:80");
    let asked = asked.header("authorization", format!("Bearer {OPERATOR}"));
    assert_eq!(Answer::to(asked).await.header("strict-transport-security"), "");
}

#[tokio::test]
async fn who_has_no_certificate_of_the_clients_authority_is_refused_and_who_has_one_needs_a_token() {
    let (trust, folder) = (Trust::new(), TempDir::new().unwrap());
    let (friends, strangers) =
        (Authority::new(folder.path(), "friends"), Authority::new(folder.path(), "strangers"));
    let (friend, stranger, ca) = (friends.issue("worker"), strangers.issue("worker"), friends.ca());
    let flags = [&trust.server_flags()[..], &["--tls-client-ca", &ca]].concat();
    let queue = Service::queue_service(&flags).await;
    for identity in [None, Some(&stranger)] {
        let link = trust.link(&queue, identity);
        assert!(Grpc::behind(&link, Some(WORKER)).claim_next("w", &["echo"], 0).await.is_err());
    }
    assert_eq!(failed(&queue, "grpc_connections", "client_certificate").await, 2.0);
    let (url, server_ca) = (https(queue.grpc_addr()), trust.authority.ca());
    let to_queue = ["--queue-url", &url, "--queue-ca", &server_ca, "--reply", "echo", "--entity", "echo"];
    let of_stranger = ["--queue-client-cert", &stranger.cert, "--queue-client-key", &stranger.key];
    for flags in [to_queue.to_vec(), [&to_queue[..], &of_stranger].concat()] {
        Process::spawn("bot-worker", &flags).logs("it wants a certificate of this client").await;
    }
    let link = trust.link(&queue, Some(&friend));
    assert!(Grpc::behind(&link, Some(WORKER)).claim_next("w", &["echo"], 0).await.is_ok());
    let refused = Grpc::behind(&link, None).claim_next("w", &["echo"], 0).await;
    assert_eq!(refused.unwrap_err().code(), Code::Unauthenticated, "a certificate is no token");

    let identity =
        ["--queue-ca", &server_ca, "--queue-client-cert", &friend.cert, "--queue-client-key", &friend.key];
    let gateway = Service::gateway(&https(queue.grpc_addr()), &[&flags[..], &identity].concat()).await;
    let _bot = Service::echo_bot_with(&https(queue.grpc_addr()), &["echo"], &identity).await;
    let url = format!("{}/api/comments", https(gateway.http_addr()));
    let anybody = trust.client().build().unwrap();
    assert!(anybody.get(&url).send().await.is_err());
    let with_identity = trust.client().identity(Identity::from_pem(friend.pem.as_bytes()).unwrap());
    let browser = Browser::by(with_identity.build().unwrap(), &https(gateway.http_addr()));
    let id = browser.comment(&question_json("echo", "Who are you?")).await["id"].clone();
    browser.comments_once(|seen| seen.iter().any(|comment| comment["replyTo"] == id)).await;
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_presented_to_new_connections_and_old_ones_go_on() {
    let trust = Trust::new();
    let (mut gateway, _queue) = world(&trust, &[]).await;
    let url = format!("{}/livez", https(gateway.http_addr()));
    let presented = async |client: &Client| {
        let response = client.get(&url).send().await.unwrap();
        response.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec()
    };
    let old = trust.client().build().unwrap();
    assert_eq!(presented(&old).await, trust.server.der);
    let renewed = trust.authority.issue("server");
    let turned = async { while presented(&trust.client().build().unwrap()).await != renewed.der {} };
    within_deadline("the new certificate", turned).await;
    assert_eq!(presented(&old).await, trust.server.der, "the same connection");

    // What is broken is told, and changes nothing.
    fs::write(&trust.server.key, "broken").unwrap();
    gateway.process().logs("the TLS certificate stays as it was").await;
    assert!(gateway.process().log().contains("--tls-key"), "{}", gateway.process().log());
    assert_eq!(presented(&trust.client().build().unwrap()).await, renewed.der);
    let metrics = Metrics::of(&Browser::new("").with_metrics_at(Some(gateway.metrics_addr()))).await;
    assert_eq!(metrics.value("repartee_tls_reloads_failed_total{bound=\"http_connections\"}"), 1.0);
    let end = metrics.value("repartee_tls_certificate_expiry_seconds{bound=\"http_connections\"}");
    assert!(end > 4e9, "rcgen's certificates end in 4096: {end}");
    let mended = trust.authority.issue("server");
    let turned = async { while presented(&trust.client().build().unwrap()).await != mended.der {} };
    within_deadline("the mended certificate", turned).await;
}

#[tokio::test]
async fn a_start_with_files_that_cannot_be_used_ends_with_64_and_names_them() {
    let (trust, folder) = (Trust::new(), TempDir::new().unwrap());
    let other = Authority::new(folder.path(), "other").issue("server");
    let (cert, key) = (trust.server.cert.as_str(), trust.server.key.as_str());
    let ca = trust.authority.ca();
    for (binary, flags, named) in [
        ("rest-gateway", &["--tls-cert", cert][..], "--tls-key"),
        ("queue-service", &["--tls-key", key], "--tls-cert"),
        ("repartee", &["--tls-client-ca", &ca], "--tls-cert and --tls-key"),
        (
            "queue-service",
            &["--tls-cert", cert, "--tls-key", &other.key],
            "is not the key of the certificate",
        ),
        ("rest-gateway", &["--tls-cert", key, "--tls-key", key], "holds no certificate"),
        ("repartee", &["--tls-cert", cert, "--tls-key", "/nowhere/at/all"], "--tls-key /nowhere/at/all"),
        ("rest-gateway", &["--queue-ca", &ca], "--queue-ca"),
        ("bot-worker", &["--queue-ca", &ca, "--entity", "e", "--reply", "echo"], "--queue-ca"),
    ] {
        let mut process = Process::spawn(binary, flags);
        assert_eq!(process.exit_code().await, Some(64), "{binary} {flags:?}: {}", process.log());
        assert!(process.log().contains(named), "{binary} {flags:?}: {}", process.log());
    }
    let mut shown =
        Process::spawn("queue-service", &[&trust.server_flags()[..], &["--print-config"]].concat());
    assert_eq!(shown.exit_code().await, Some(0));
    let key_text = fs::read_to_string(key).unwrap();
    assert!(shown.output().contains(key) && !shown.output().contains(key_text.lines().nth(1).unwrap()));
}

#[tokio::test]
async fn who_connects_and_shakes_no_hands_is_cut_off_and_holds_up_nobody() {
    let trust = Trust::new();
    let (gateway, _queue) = world(&trust, &["--head-timeout", "5s"]).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(gateway.http_addr()).await.unwrap());
    }
    // The first bytes of a ClientHello, and no more of it.
    silent[0].write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    let browser = Browser::by(trust.client().build().unwrap(), &https(gateway.http_addr()));
    assert_eq!(browser.get("/livez").await.status, 200);
    for mut client in silent {
        let read = within_deadline("the end", client.read(&mut [0; 1])).await;
        assert!(matches!(read, Ok(0)) || read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    }
    assert_eq!(failed(&gateway, "http_connections", "unfinished").await, 20.0);
    assert_eq!(browser.get("/livez").await.status, 200);
}

#[tokio::test]
async fn who_speaks_plainly_to_tls_is_told_so_by_both_protocols() {
    let trust = Trust::new();
    let (gateway, queue) = world(&trust, &[]).await;
    let plain = Browser::with(&format!("http://{}", gateway.http_addr()), None);
    let answer = plain.get("/api/comments").await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["detail"].as_str().unwrap().contains("https://"), "{}", answer.text());
    assert_eq!(failed(&gateway, "http_connections", "plain").await, 1.0);

    let plain =
        QueueLink::new(&format!("http://{}", queue.grpc_addr()), &QueueTlsSettings::default()).unwrap();
    let refused = Grpc::behind(&plain, Some(OPERATOR)).stats().await.unwrap_err();
    let told = repartee_process::status_line(&refused);
    assert!(told.contains("this port speaks TLS: use an https:// address"), "{told}");
}

#[tokio::test]
async fn the_log_says_why_there_is_no_tls_with_the_queue_service() {
    let (trust, folder) = (Trust::new(), TempDir::new().unwrap());
    let other = Authority::new(folder.path(), "other");
    let (ca, wrong_ca) = (trust.authority.ca(), other.ca());
    let plain = Service::queue_service(&[]).await;
    let tls = Service::queue_service(&trust.server_flags()).await;
    let misnamed = trust.authority.issue_for("misnamed", &["other.example"]);
    let misnamed = Service::queue_service(&["--tls-cert", &misnamed.cert, "--tls-key", &misnamed.key]).await;
    for (url, ca, why) in [
        (https(plain.grpc_addr()), &ca, "it does not speak TLS"),
        (https(tls.grpc_addr()), &wrong_ca, "no authority that is trusted here"),
        (https(misnamed.grpc_addr()), &ca, "not valid for name"),
    ] {
        let link = ["--queue-url", &url, "--queue-ca", ca];
        let bot =
            Process::spawn("bot-worker", &[&link[..], &["--reply", "echo", "--entity", "echo"]].concat());
        bot.logs(why).await;
        let gateway = Process::spawn("rest-gateway", &[&link[..], &["--http-addr", "127.0.0.1:0"]].concat());
        gateway.logs(why).await;
    }
    let to_tls =
        ["--queue-url", &format!("http://{}", tls.grpc_addr()), "--reply", "echo", "--entity", "echo"];
    Process::spawn("bot-worker", &to_tls).logs("this port speaks TLS: use an https:// address").await;
}

#[tokio::test]
async fn an_address_that_others_reach_says_once_what_is_readable_without_tls() {
    const WARNING: &str = "without TLS everybody on the way";
    let trust = Trust::new();
    let warnings = |service: &mut Service| service.process().log().matches(WARNING).count();
    let mut queue = Service::queue_service_at("0.0.0.0:0", &[]).await;
    assert_eq!(warnings(&mut queue), 1);
    assert!(queue.process().log().contains("tokens of workers, gateways and operators"));
    let mut queue = Service::queue_service_at("0.0.0.0:0", &trust.server_flags()).await;
    assert_eq!(warnings(&mut queue), 0);
    let mut queue = Service::queue_service(&[]).await;
    assert_eq!(warnings(&mut queue), 0);
    let url = queue.grpc_url();
    let mut plain = Service::gateway_at("0.0.0.0:0", &url, &[]).await;
    assert_eq!(warnings(&mut plain), 1);
    let mut tls = Service::gateway_at("0.0.0.0:0", &url, &trust.server_flags()).await;
    assert_eq!(warnings(&mut tls), 0);
    let mut away = Service::gateway("http://queue.invalid:50051", &[]).await;
    assert_eq!(warnings(&mut away), 1);
    assert!(away.process().log().contains("to the queue-service"));
}

#[tokio::test]
async fn one_process_speaks_tls_at_both_faces_and_its_parts_still_find_each_other() {
    let trust = Trust::new();
    let flags = trust.server_flags();
    for (grpc_addr, is_tls) in [("127.0.0.1:0", false), ("0.0.0.0:0", true)] {
        let mut all = Service::repartee_at(grpc_addr, &flags).await;
        let browser = Browser::by(trust.client().build().unwrap(), &https(all.http_addr()));
        let id = browser.comment(&question_json("echo", "Together?")).await["id"].clone();
        browser.comments_once(|seen| seen.iter().any(|comment| comment["replyTo"] == id)).await;
        let output = all.process().output();
        let scheme = if is_tls { "https" } else { "http" };
        assert!(
            output.contains(&format!("workers  {scheme}://127.0.0.1:{}", all.grpc_addr().port())),
            "{output}"
        );
        assert!(output.contains(&format!("page     {}/", https(all.http_addr()))), "{output}");
        let grpc = match is_tls {
            true => Grpc::behind(&trust.link(&all, None), Some(OPERATOR)),
            false => all.grpc().await,
        };
        grpc.post(question("echo", "And over gRPC?")).await.unwrap();
    }
}
