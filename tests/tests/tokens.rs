//! Tokens over their life: made, listed, replaced while everything runs, revoked, expired; and where they never show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path, process::Output};

use e2e::{
    Bearer, Browser, GATEWAY, Grpc, OPERATOR, Process, Refused, WORKER, add_token, held, question,
    within_deadline, work,
};
use futures_util::{StreamExt as _, stream};
use repartee_process::Role;
use repartee_proto::v1::{
    LeaseRef, StreamDraftRequest, WatchMessagesRequest, stream_draft_request::Content,
    watch_messages_response::Event as Seen,
};
use tempfile::TempDir;
use tonic::{Code, Status, Streaming, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// Another token of a worker.
const NEXT_WORKER: &str = "rpt_00000000000a_abababababababababababababababababababababababababababababababab";

/// Runs a command of a binary to its end.
async fn run(binary: &str, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(e2e::binary(binary));
    within_deadline("the command", command.args(arguments).output()).await.unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8(output.to_vec()).unwrap()
}

/// A queue-service with a tokens file of the test's own.
async fn service(tokens: &Path, flags: &[&str]) -> (Process, String) {
    let data = tokens.parent().unwrap().join("data");
    let address = if flags.contains(&"--grpc-addr") { &[][..] } else { &["--grpc-addr", "127.0.0.1:0"] };
    let own = ["--data-dir", data.to_str().unwrap(), "--tokens-file", tokens.to_str().unwrap()];
    let mut process = Process::spawn_bare("queue-service", &[&own, address, flags].concat(), &[]);
    let ready = process.ready().await;
    (process, format!("http://{}", ready.grpc.unwrap()))
}

async fn claims(url: &str, token: &str) -> Result<bool, Status> {
    let client = Grpc::connect_with(url, Some(token)).await.unwrap();
    Ok(client.claim_next("w", &["echo"], 0).await?.is_some())
}

#[tokio::test]
async fn a_token_is_printed_once_and_is_good_for_what_it_was_made_for_until_it_is_revoked() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    let at = ["--tokens-file", tokens.to_str().unwrap()];
    let (_process, url) = service(&tokens, &[]).await;
    for binary in ["queue-service", "rest-gateway", "bot-worker", "repartee"] {
        let new =
            ["token", "new", "--role", "worker", "--entity", "echo", "--name", "an echo", "--expires", "90d"];
        let made = run(binary, &[&new[..], &at].concat()).await;
        assert!(made.status.success(), "{binary}: {}", text(&made.stderr));
        let token = text(&made.stdout).trim().to_owned();
        let accepted = async { while claims(&url, &token).await.is_err() {} };
        within_deadline("the token to be accepted", accepted).await;

        let listed = text(&run(binary, &[&["token", "list"][..], &at].concat()).await.stdout);
        let id = token.split('_').nth(1).unwrap();
        assert!(listed.contains(id) && listed.contains("an echo"), "{listed}");
        assert!(!listed.contains(&token) && !fs::read_to_string(&tokens).unwrap().contains(&token));

        let revoked = run(binary, &[&["token", "revoke", id][..], &at].concat()).await;
        assert!(revoked.status.success(), "{}", text(&revoked.stderr));
        let gone = async { while claims(&url, &token).await.is_ok() {} };
        within_deadline("the token to be refused", gone).await;
    }
}

#[tokio::test]
async fn wrong_commands_end_with_64_and_name_what_is_wrong() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    for (arguments, named) in [
        (&["new", "--role", "worker"][..], "--entity"),
        (&["new", "--role", "operator", "--entity", "echo"], "--entity"),
        (&["new", "--role", "king"], "king"),
        (&["new", "--role", "operator", "--expires", "soon"], "soon"),
        (&["new", "--role", "operator", "--expires", "0s"], "--expires"),
        (&["new", "--role", "worker", "--entity", ""], "--entity"),
        (&["revoke"], "<ID>"),
    ] {
        let arguments = [&["token"], arguments, &["--tokens-file", tokens.to_str().unwrap()]].concat();
        let ended = run("queue-service", &arguments).await;
        assert_eq!(ended.status.code(), Some(64), "{arguments:?}");
        assert!(text(&ended.stderr).contains(named), "{arguments:?}: {}", text(&ended.stderr));
    }
    let unknown = ["token", "revoke", "0123", "--tokens-file", tokens.to_str().unwrap()];
    assert_eq!(run("repartee", &unknown).await.status.code(), Some(1));
    assert!(!tokens.exists(), "nothing was written");
}

#[tokio::test]
async fn a_worker_whose_token_is_replaced_goes_on_and_one_whose_token_is_revoked_is_cut_off() {
    let folder = TempDir::new().unwrap();
    let (tokens, token) = (folder.path().join("tokens"), folder.path().join("token"));
    for (token, role, entities) in [
        (OPERATOR, Role::Operator, &[][..]),
        (WORKER, Role::Worker, &["*"]),
        (NEXT_WORKER, Role::Worker, &["echo"]),
    ] {
        add_token(&tokens, token, role, entities);
    }
    let (_service, url) = service(&tokens, &[]).await;
    fs::write(&token, WORKER).unwrap();
    let flags =
        ["--queue-url", &url, "--reply", "echo", "--entity", "echo", "--token-file", token.to_str().unwrap()];
    let mut bot = Process::spawn_bare("bot-worker", &flags, &[]);
    bot.ready().await;
    let client = Grpc::connect(&url).await.unwrap();
    let answered = async |text: &str| {
        let id = client.post(question("echo", text)).await.unwrap().id;
        let complete =
            async { while client.status(&id).await.unwrap() != repartee_proto::v1::Status::Complete {} };
        within_deadline("an answer", complete).await;
    };
    answered("Before?").await;

    let mut other = client_stream(&url, WORKER).await;
    fs::write(&token, format!("{NEXT_WORKER}\n")).unwrap();
    let id = WORKER.split('_').nth(1).unwrap();
    let revoke = ["token", "revoke", id, "--tokens-file", tokens.to_str().unwrap()];
    assert!(run("queue-service", &revoke).await.status.success());
    // The streams that were opened with it end; the bot comes back with the new one.
    let ended = async {
        loop {
            if let Err(status) = other.event().await {
                return status.code();
            }
        }
    };
    assert_eq!(within_deadline("the end of the stream", ended).await, Code::PermissionDenied);
    answered("After?").await;
    assert!(matches!(claims(&url, WORKER).await, Err(status) if status.code() == Code::PermissionDenied));
}

/// How a stream ends that is open now.
async fn end<T>(mut stream: Streaming<T>) -> Code {
    let ended = async {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    };
    within_deadline("the end of a stream", ended).await
}

/// A draft that goes on until its stream is ended.
async fn draft(client: &Grpc, lease: LeaseRef) -> Code {
    let content = Some(Content::Text("I".to_owned()));
    let begun = stream::iter([StreamDraftRequest { lease: Some(lease), content }]);
    let mut client = client.raw();
    let ended = client.stream_draft(begun.chain(stream::pending()));
    match within_deadline("the end of a draft", ended).await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

#[tokio::test]
async fn whatever_a_token_has_opened_ends_when_it_is_revoked() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    add_token(&tokens, OPERATOR, Role::Operator, &[]);
    add_token(&tokens, WORKER, Role::Worker, &["*"]);
    let (_service, url) = service(&tokens, &[]).await;
    let operator = Grpc::connect(&url).await.unwrap();
    let client = Grpc::connect_with(&url, Some(WORKER)).await.unwrap();
    let id = operator.post(question("echo", "Why?")).await.unwrap().id;
    let lease = held(&client.claim_for(&id, "w", 300).await.unwrap());
    // From now on it lasts as long as was asked for.
    client.renew(lease.clone()).await.unwrap().unwrap();
    let drafts = WatchMessagesRequest { drafts: true, ..e2e::watch_live() };
    let mut kept = operator.watch(drafts).await.unwrap();

    let watch = client.raw().watch_messages(e2e::watch_live()).await.unwrap().into_inner();
    let leases = client.raw().stream_pending(work("w", &["nothing"], 1)).await.unwrap().into_inner();
    let offers = client.raw().stream_pending(e2e::offers("w", &["nothing"])).await.unwrap().into_inner();
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let mut health = HealthClient::with_interceptor(channel, Bearer(Some(WORKER.to_owned())));
    let health = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    let waiting = client.claim_next("w", &["nothing"], 25);
    let revoke = async {
        // Whoever sees the draft knows that its stream is open.
        while !matches!(kept.event().await.unwrap(), Some(Seen::Draft(_))) {}
        let id = WORKER.split('_').nth(1).unwrap();
        let revoke = ["token", "revoke", id, "--tokens-file", tokens.to_str().unwrap()];
        assert!(run("queue-service", &revoke).await.status.success());
    };
    let ((), draft, waiting, watch, leases, offers, health) = tokio::join!(
        revoke,
        draft(&client, lease),
        waiting,
        end(watch),
        end(leases),
        end(offers),
        end(health)
    );
    let ended = [draft, waiting.unwrap_err().code(), watch, leases, offers, health];
    assert_eq!(ended, [Code::PermissionDenied; 6]);
    operator.post(question("echo", "Still there?")).await.unwrap();
    assert!(kept.event().await.unwrap().is_some(), "another's stream goes on");
}

async fn client_stream(url: &str, token: &str) -> e2e::WorkStream {
    let client = Grpc::connect_with(url, Some(token)).await.unwrap();
    client.stream(work("w", &["nothing"], 1)).await.unwrap()
}

#[tokio::test]
async fn a_port_that_others_reach_takes_a_token_for_every_call_but_health() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    add_token(&tokens, GATEWAY, Role::Gateway, &[]);
    let (_service, url) = service(&tokens, &["--grpc-addr", "0.0.0.0:0"]).await;
    let url = url.replace("0.0.0.0", "127.0.0.1");
    let stranger = Grpc::connect_with(&url, None).await.unwrap();
    let asked = stranger.list(None, 1).await.map(|_| ());
    assert_eq!(asked.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(stranger.post(question("echo", "Hello?")).await.unwrap_err().code(), Code::Unauthenticated);
    let watch = e2e::watch_live();
    assert_eq!(stranger.watch(watch).await.map(drop).unwrap_err().code(), Code::Unauthenticated);
    let gateway = Grpc::connect_with(&url, Some(GATEWAY)).await.unwrap();
    gateway.list(None, 1).await.unwrap();
    let denied = gateway.post(question("echo", "Hello?")).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied, "a gateway itself says nothing");
}

#[tokio::test]
async fn the_first_start_makes_tokens_that_only_the_owner_reads_and_prints_the_operators_page() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let flags =
        ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()];
    let read = |name: &str| {
        let path = data.join(name);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        fs::read_to_string(path).unwrap().trim().to_owned()
    };
    let mut process = Process::spawn_bare("repartee", &flags, &[]);
    let ready = process.ready().await;
    let [operator, worker, gateway] = ["operator-token", "worker-token", "gateway-token"].map(read);
    read("tokens");
    let page = format!("http://{}/admin#token={operator}", ready.http.unwrap());
    assert!(process.output().contains(&page), "{}", process.output());
    assert!(process.output().contains("worker-token"), "{}", process.output());
    let base = format!("http://{}", ready.http.unwrap());
    assert_eq!(Browser::with(&base, Some(&operator)).get("/api/stats").await.status, 200);
    assert_eq!(Browser::with(&base, None).get("/api/stats").await.status, 401);
    let grpc = format!("http://{}", ready.grpc.unwrap());
    assert!(claims(&grpc, &worker).await.is_ok());

    // In a log, in the settings and in the process list there is none of them, whatever was asked.
    let listed = fs::read(format!("/proc/{}/cmdline", process.id())).unwrap();
    let config = run("repartee", &[&flags[..], &["--print-config"]].concat()).await;
    for token in [&operator, &worker, &gateway] {
        let secret = token.rsplit('_').next().unwrap();
        assert!(!process.log().contains(secret) && !text(&listed).contains(secret));
        assert!(!text(&config.stdout).contains(secret));
    }
    assert_eq!(process.terminate().await, Some(0));
    let mut again = Process::spawn_bare("repartee", &flags, &[]);
    again.ready().await;
    assert_eq!(read("operator-token"), operator, "the next start makes no other");
    let output = again.output();
    assert!(
        output.contains("/operator-token") && !output.contains(&operator),
        "nor is it in a log: {output}"
    );
}

#[tokio::test]
async fn a_broken_tokens_file_is_refused_at_the_start_by_its_line() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, "not a token\n").unwrap();
    let data = folder.path().join("data");
    let flags = [
        "--grpc-addr",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
        "--tokens-file",
        tokens.to_str().unwrap(),
    ];
    let mut process = Process::spawn_bare("queue-service", &flags, &[]);
    assert_eq!(process.exit_code().await, Some(1));
    assert!(process.log().contains("line 1"), "{}", process.log());
}

#[tokio::test]
async fn a_wrong_token_of_a_gateway_or_a_bot_is_named() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    add_token(&tokens, OPERATOR, Role::Operator, &[]);
    let (_service, url) = service(&tokens, &[]).await;
    let flags = ["--queue-url", &url, "--reply", "echo", "--entity", "echo"];
    let mut bot = Process::spawn_bare("bot-worker", &flags, &[("REPARTEE_TOKEN", WORKER)]);
    assert_eq!(bot.exit_code().await, Some(1));
    assert!(bot.log().contains("token"), "{}", bot.log());
    let missing = Process::spawn_bare("bot-worker", &flags, &[]).exit_code().await;
    assert_eq!(missing, Some(1));
    let refused = Refused::from(&claims(&url, WORKER).await.unwrap_err());
    assert_eq!(refused.code, Code::PermissionDenied);
}

#[tokio::test]
async fn a_bot_whose_token_is_of_another_role_or_for_other_entities_ends_and_says_which() {
    let folder = TempDir::new().unwrap();
    let tokens = folder.path().join("tokens");
    add_token(&tokens, GATEWAY, Role::Gateway, &[]);
    add_token(&tokens, NEXT_WORKER, Role::Worker, &["echo"]);
    let (_service, url) = service(&tokens, &[]).await;
    for (token, named) in [
        (GATEWAY, "this call needs a worker's or an operator's token"),
        (NEXT_WORKER, "is not among those of this worker's token"),
    ] {
        let flags = ["--queue-url", &url, "--reply", "echo", "--entity", "helper"];
        let mut bot = Process::spawn_bare("bot-worker", &flags, &[("REPARTEE_TOKEN", token)]);
        assert_eq!(bot.exit_code().await, Some(1));
        let log = bot.log();
        assert!(log.contains(named) && log.contains("token new --role worker"), "{log}");
        assert!(!log.contains(token), "{log}");
    }
}

#[tokio::test]
async fn a_bot_whose_token_file_is_ahead_of_the_service_says_so_once_and_begins_when_the_token_is_known() {
    let folder = TempDir::new().unwrap();
    let (tokens, token) = (folder.path().join("tokens"), folder.path().join("token"));
    add_token(&tokens, OPERATOR, Role::Operator, &[]);
    let (_service, url) = service(&tokens, &[]).await;
    fs::write(&token, WORKER).unwrap();
    let flags =
        ["--queue-url", &url, "--reply", "echo", "--entity", "echo", "--token-file", token.to_str().unwrap()];
    let mut bot = Process::spawn_bare("bot-worker", &flags, &[("RUST_LOG", "debug")]);
    // The first try is told aloud, the others are not.
    bot.logs("the token is not accepted yet").await;
    bot.logs("no stream of work; trying again\"").await;
    add_token(&tokens, WORKER, Role::Worker, &["echo"]);
    bot.ready().await;
    let log = bot.log();
    assert_eq!(log.matches("trying again until there is one").count(), 1, "{log}");
}
