//! How the processes start and end: settings, exit codes, signals, and what they refuse to share.

use std::{net::TcpListener, pin::pin};

use e2e::{Process, Refused, Service, World, watch_live, work};
use repartee_proto::v1::watch_messages_response::Event as Seen;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tonic::Code;

const BINARIES: [&str; 4] = ["queue-service", "rest-gateway", "bot-worker", "repartee"];

#[tokio::test]
async fn sigterm_ends_a_queue_service_with_open_streams() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();
    let mut stream = client.stream(work("worker 1", &["echo"], 1)).await.unwrap();

    queue.process().ask_to_stop();
    assert!(matches!(watch.event().await, Ok(Some(Seen::GoingAway(_)))), "a watcher is told to leave");
    stream.going_away().await;
    assert_eq!(queue.process().exit_code().await, Some(0));
}

#[tokio::test]
async fn a_claim_that_waits_is_told_that_the_service_drains() {
    let mut queue = Service::queue_service(&[]).await;
    let client = queue.grpc().await;
    let mut claim = pin!(client.claim_next("worker 1", &["echo"], 25));
    // Both go over one connection in this order: once the second is answered, the first has arrived.
    tokio::select! {
        biased;
        early = &mut claim => panic!("nothing is pending: {early:?}"),
        stats = client.stats() => assert_eq!(stats.unwrap().pending, 0),
    }
    queue.process().ask_to_stop();
    let refused = Refused::from(&claim.await.unwrap_err());
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unavailable, "DRAINING"));
    assert_eq!(queue.process().exit_code().await, Some(0));
}

#[tokio::test]
async fn sigterm_ends_gateway_worker_and_the_one_process_cleanly() {
    let mut world = World::start().await;
    world.browser().get("/api/comments").await.ok(200);
    let mut bot = Service::echo_bot(&world.queue.grpc_url(), &["echo"]).await;
    let mut repartee = Service::repartee(&[]).await;
    let _watch = repartee.grpc().await.watch(watch_live()).await.unwrap();
    for service in [&mut world.gateway, &mut bot, &mut repartee] {
        assert_eq!(service.terminate().await, Some(0), "{:?}", service.process());
    }
}

#[tokio::test]
async fn half_open_connections_do_not_hold_a_stop_up() {
    let mut repartee = Service::repartee(&[]).await;
    let mut open = Vec::new();
    for address in [repartee.grpc_addr(), repartee.http_addr()] {
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(b"POST /api/comments HTTP/1.1\r\nHost: localhost\r\nContent-Le").await.unwrap();
        open.push(connection);
    }
    assert_eq!(repartee.terminate().await, Some(0));
}

#[tokio::test]
async fn an_unknown_setting_ends_with_64_and_the_usage() {
    for name in BINARIES {
        let mut process = Process::spawn(name, &["--no-such-setting"]);
        assert_eq!(process.exit_code().await, Some(64), "{name}");
        let log = process.log();
        assert!(log.contains("--no-such-setting") && log.contains("Usage"), "{name}: {log}");
    }
}

#[tokio::test]
async fn a_wrong_value_ends_with_64_and_names_the_setting() {
    let wrong = [
        ("queue-service", "--grpc-addr", "nowhere"),
        ("queue-service", "--durability", "hope"),
        ("queue-service", "--retention", "999ms"),
        ("repartee", "--retention", "soon"),
        ("rest-gateway", "--http-addr", "127.0.0.1:99999"),
        ("rest-gateway", "--queue-url", "not a url"),
        ("bot-worker", "--max-in-flight", "-1"),
        ("repartee", "--demo-bot", "perhaps"),
    ];
    for (name, setting, value) in wrong {
        let mut process = Process::spawn(name, &[format!("{setting}={value}")]);
        assert_eq!(process.exit_code().await, Some(64), "{name} {setting} {value}");
        assert!(process.log().contains(setting), "{name}: {}", process.log());
    }
}

#[tokio::test]
async fn a_wrong_setting_of_a_part_ends_the_one_process_with_64() {
    for variable in [("REPARTEE_MAX_PENDING", "abc"), ("REPARTEE_CORS_ORIGINS", "nonsense")] {
        let mut process = Process::spawn_with::<&str>("repartee", &[], &[variable]);
        assert_eq!(process.exit_code().await, Some(64), "{variable:?}");
        assert!(process.log().contains(variable.1), "{variable:?}: {}", process.log());
    }
}

#[tokio::test]
async fn print_config_shows_the_effective_settings_and_masks_secrets() {
    let folder = TempDir::new().unwrap();
    let (flag, variable) = (folder.path().join("by flag"), folder.path().join("by variable"));
    let (flag, variable) = (flag.to_str().unwrap(), variable.to_str().unwrap());
    for name in BINARIES {
        let secrets = [("OPENAI_API_KEY", "hunter2"), ("REPARTEE_TOKEN", "hunter2-of-the-house")];
        let environment = [("REPARTEE_DATA_DIR", variable), secrets[0], secrets[1]];
        let mut process = Process::spawn_with(name, &["--print-config"], &environment);
        assert_eq!(process.exit_code().await, Some(0), "{name}: {}", process.log());
        let shown = process.output();
        let settings: Value = serde_json::from_str(&shown).expect("settings are shown as JSON");
        assert!(settings.as_object().is_some_and(|settings| !settings.is_empty()), "{name}: {shown}");
        assert!(!shown.contains("hunter2"), "{name}: {shown}");
        assert_eq!(shown.contains(variable), matches!(name, "queue-service" | "repartee"), "{name}: {shown}");
    }
    let both = [("REPARTEE_DATA_DIR", variable)];
    let mut process = Process::spawn_with("queue-service", &["--print-config", "--data-dir", flag], &both);
    assert_eq!(process.exit_code().await, Some(0));
    assert!(process.output().contains(flag), "a flag wins over its variable: {}", process.output());
    assert!(!folder.path().join("by flag").exists(), "showing the settings starts nothing");
}

#[tokio::test]
async fn a_port_in_use_ends_with_1_and_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let attempts =
        [("queue-service", "--grpc-addr"), ("rest-gateway", "--http-addr"), ("repartee", "--http-addr")];
    for (name, setting) in attempts {
        let mut settings = vec![setting, &address];
        if name == "repartee" {
            settings.extend(["--grpc-addr", "127.0.0.1:0"]);
        }
        let mut process = Process::spawn(name, &settings);
        assert_eq!(process.exit_code().await, Some(1), "{name}: {}", process.log());
        assert!(process.log().contains(&address), "{name}: {}", process.log());
    }
}

#[tokio::test]
async fn a_second_process_on_the_same_data_directory_is_refused_and_the_first_goes_on() {
    let first = Service::queue_service(&[]).await;
    let data = first.data_dir();
    let mut second = Process::spawn("queue-service", &["--grpc-addr", "127.0.0.1:0", "--data-dir", &data]);
    assert_eq!(second.exit_code().await, Some(1), "{}", second.log());
    assert!(second.log().contains(&data), "the refusal names the directory: {}", second.log());
    first.grpc().await.post(e2e::question("echo", "Still here?")).await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_epoch_and_numbers() {
    let mut queue = Service::queue_service(&[]).await;
    let before = queue.grpc().await.post(e2e::question("echo", "One?")).await.unwrap();
    let epoch = queue.grpc().await.stats().await.unwrap().epoch;
    assert_eq!(queue.terminate().await, Some(0));
    queue.start_again().await;
    let client = queue.grpc().await;
    let after = client.post(e2e::question("echo", "Two?")).await.unwrap();
    assert_eq!(client.stats().await.unwrap().epoch, epoch);
    assert_eq!(after.seq, before.seq + 1);
    assert!(after.timestamp > before.timestamp);
    assert_eq!(client.get(&before.id).await.unwrap(), before);
}

#[tokio::test]
async fn editing_tokens_survive_a_restart() {
    let mut queue = Service::queue_service(&[]).await;
    let question = e2e::question("echo", "One?");
    let before = queue.grpc().await.post_with_key(question.clone(), Some("key 1")).await.unwrap();
    assert!(!before.replayed);
    queue.kill().await;
    queue.start_again().await;
    let after = queue.grpc().await.post_with_key(question, Some("key 1")).await.unwrap();
    assert!(after.replayed);
    assert_eq!(after.edit_token, before.edit_token);
    assert_eq!(after.message, before.message);
}
