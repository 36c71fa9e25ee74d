//! A service that is to stop: it says so first, serves on for a while, and ends when nobody is left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{DOMAIN, Events, Service, World, question, watch_live, within_deadline};
use repartee_proto::v1::queue_service_server::SERVICE_NAME;
use serde_json::json;
use tonic::transport::Endpoint;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// Longer than any test: what comes before its end has not waited for it.
const LONG: [&str; 2] = ["--drain-delay", "10m"];

/// What the service says of its health; of all of it if `service` is empty.
async fn health(queue: &Service, service: &str) -> ServingStatus {
    let channel = Endpoint::from_shared(queue.grpc_url()).unwrap().connect().await.unwrap();
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(channel).check(request).await.unwrap().get_ref().status()
}

async fn leaves(queue: &Service) {
    let told = async { while health(queue, "").await != ServingStatus::NotServing {} };
    within_deadline("the service to say that it leaves", told).await;
}

fn comment(text: &str) -> serde_json::Value {
    json!({"domain": DOMAIN, "username": "Ann", "color": "001001001", "text": text})
}

#[tokio::test]
async fn a_gateway_that_leaves_is_not_ready_and_serves_newcomers_and_streams() {
    let mut world = World::with(&[], &LONG).await;
    let mut stream = Events::open(&world.browser(), "/api/comments/stream", "").await.unwrap();
    stream.named("hello").await;

    world.gateway.process().ask_to_stop();
    let told = async { while world.browser().get("/readyz").await.status != 503 {} };
    within_deadline("the gateway to say that it leaves", told).await;
    assert_eq!(world.browser().get("/livez").await.status, 200);
    // Each browser has a connection of its own.
    let posted = world.browser().comment(&comment("Is it too late?")).await;
    assert_eq!(stream.until("message").await.data["id"], posted["id"]);

    world.gateway.process().ask_to_stop();
    assert_eq!(world.gateway.process().exit_code().await, Some(1), "a second signal ends it at once");
    assert_eq!(world.queue.terminate().await, Some(0));
}

#[tokio::test]
async fn a_queue_service_that_leaves_serves_its_gateways_and_workers() {
    let mut world = World::with(&LONG, &[]).await;
    let client = world.grpc().await;
    let mut watch = client.watch(watch_live()).await.unwrap();

    world.queue.process().ask_to_stop();
    leaves(&world.queue).await;
    assert_eq!(health(&world.queue, SERVICE_NAME).await, ServingStatus::Serving, "calls are answered");
    let posted = client.post(question("echo", "Is it too late?")).await.unwrap();
    assert_eq!(watch.change().await.message.unwrap().id, posted.id);
    world.grpc().await.post(question("echo", "And from a newcomer?")).await.unwrap();
    assert_eq!(world.browser().get("/readyz").await.status, 200, "gateways need it as long as it answers");

    world.queue.process().ask_to_stop();
    assert_eq!(world.queue.process().exit_code().await, Some(1), "a second signal ends it at once");
    world.queue.start_again().await;
    assert_eq!(world.grpc().await.get(&posted.id).await.unwrap().id, posted.id);
}

#[tokio::test]
async fn when_the_delay_is_over_streams_are_told_and_the_exit_is_clean() {
    let mut world = World::with(&["--drain-delay", "1s"], &["--drain-delay", "1s"]).await;
    let mut stream = Events::open(&world.browser(), "/api/comments/stream", "").await.unwrap();
    stream.named("hello").await;
    world.gateway.process().ask_to_stop();
    assert_eq!(stream.until("bye").await.data["reason"], "shutdown");
    assert_eq!(world.gateway.process().exit_code().await, Some(0));
    assert_eq!(world.queue.terminate().await, Some(0));
}

#[tokio::test]
async fn ctrl_c_does_not_wait_for_the_delay() {
    let mut world = World::with(&LONG, &LONG).await;
    let mut repartee = Service::repartee(&LONG).await;
    for service in [&mut world.gateway, &mut world.queue, &mut repartee] {
        service.process().interrupt();
        assert_eq!(service.process().exit_code().await, Some(0), "{:?}", service.process());
    }
}
