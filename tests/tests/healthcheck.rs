//! `healthcheck`: what an image without a shell asks a service by.

use std::net::SocketAddr;

use e2e::{Process, Service, World, within_deadline};

/// The exit code of `NAME healthcheck FLAGS`, and what it says.
async fn check(name: &str, flags: &[&str]) -> (Option<i32>, String) {
    let mut process = Process::spawn_bare(name, &[&["healthcheck"], flags].concat(), &[]);
    (process.exit_code().await, process.log())
}

async fn is_well(name: &str, flags: &[&str]) {
    for live in [&[][..], &["--live"]] {
        assert_eq!(check(name, &[flags, live].concat()).await, (Some(0), String::new()), "{name} {flags:?}");
    }
}

#[tokio::test]
async fn a_service_that_serves_is_ready_and_alive() {
    let world = World::start().await;
    let repartee = Service::repartee(&[]).await;
    let at = |addr: SocketAddr| addr.to_string();
    is_well("queue-service", &["--grpc-addr", &at(world.queue.grpc_addr())]).await;
    is_well("queue-service", &["--metrics-addr", &at(world.queue.metrics_addr())]).await;
    is_well("rest-gateway", &["--http-addr", &at(world.gateway.http_addr())]).await;
    is_well("rest-gateway", &["--metrics-addr", &at(world.gateway.metrics_addr())]).await;
    is_well("repartee", &["--http-addr", &at(repartee.http_addr())]).await;
    let everywhere = format!("0.0.0.0:{}", world.gateway.http_addr().port());
    is_well("rest-gateway", &["--http-addr", &everywhere]).await;
}

#[tokio::test]
async fn a_service_that_leaves_is_alive_and_not_ready() {
    let delay = ["--drain-delay", "10m"];
    let mut world = World::with(&delay, &delay).await;
    let queue = world.queue.grpc_addr().to_string();
    let (queue_metrics, gateway) =
        (world.queue.metrics_addr().to_string(), world.gateway.http_addr().to_string());
    world.queue.process().ask_to_stop();
    world.gateway.process().ask_to_stop();
    for (name, address, told) in [
        ("queue-service", ["--grpc-addr", &queue], "NOT_SERVING"),
        ("queue-service", ["--metrics-addr", &queue_metrics], "this queue-service stops"),
        ("rest-gateway", ["--http-addr", &gateway], "this gateway stops"),
    ] {
        let unready = async {
            loop {
                if let (Some(1), said) = check(name, &address).await {
                    return said;
                }
            }
        };
        let said = within_deadline("the service to be unready", unready).await;
        assert!(said.contains(told), "{name} {address:?}: {said}");
        assert_eq!(check(name, &[&address[..], &["--live"]].concat()).await.0, Some(0), "{name} {address:?}");
    }
}

#[tokio::test]
async fn a_gateway_without_its_queue_is_alive_and_not_ready() {
    let mut world = World::start().await;
    world.queue.kill().await;
    let gateway = world.gateway.http_addr().to_string();
    let flags = ["--http-addr", &gateway];
    let unready = async { while check("rest-gateway", &flags).await.0 != Some(1) {} };
    within_deadline("the gateway to notice", unready).await;
    assert_eq!(check("rest-gateway", &[&flags[..], &["--live"]].concat()).await.0, Some(0));
}

#[tokio::test]
async fn nobody_there_is_neither_alive_nor_ready() {
    // Nobody listens on the port of discard.
    for (name, flag) in
        [("queue-service", "--grpc-addr"), ("rest-gateway", "--http-addr"), ("bot-worker", "--metrics-addr")]
    {
        for live in [&[][..], &["--live"]] {
            let (code, said) = check(name, &[&[flag, "127.0.0.1:9"], live].concat()).await;
            assert_eq!(code, Some(1), "{said}");
            assert!(said.contains("127.0.0.1:9 cannot be reached"), "{said}");
        }
    }
}

#[tokio::test]
async fn settings_that_do_not_say_where_to_ask_end_with_64() {
    let tls = ["--tls-cert", "/certificate", "--tls-key", "/key"];
    for (name, flags) in [("bot-worker", &[][..]), ("queue-service", &tls), ("rest-gateway", &tls)] {
        let (code, said) = check(name, flags).await;
        assert_eq!(code, Some(64), "{name}: {said}");
        assert!(said.contains("--metrics-addr"), "{name}: {said}");
    }
    let (code, said) = check("queue-service", &["--no-such-setting"]).await;
    assert_eq!(code, Some(64), "{said}");
}
