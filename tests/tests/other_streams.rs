//! Calls beside ours, health and reflection: so many at once as well, and nothing of them takes a place of ours.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use e2e::{Browser, Metrics, Refused, Service, watch_live, within_deadline};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use tonic::{Code, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, ServerReflectionResponse, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

async fn channel(queue: &Service) -> Channel {
    Channel::from_shared(queue.grpc_url()).unwrap().connect().await.unwrap()
}

async fn watch(channel: &Channel) -> Result<Streaming<HealthCheckResponse>, Refused> {
    let mut health = HealthClient::new(channel.clone());
    match health.watch(HealthCheckRequest::default()).await {
        Ok(stream) => Ok(stream.into_inner()),
        Err(status) => Err(Refused::from(&status)),
    }
}

async fn check(channel: &Channel) -> ServingStatus {
    let mut health = HealthClient::new(channel.clone());
    health.check(HealthCheckRequest::default()).await.unwrap().into_inner().status()
}

async fn reflect(channel: &Channel) -> Result<(), Refused> {
    asked(channel, MessageRequest::ListServices(String::new())).await.map(drop)
}

/// Asks one question of the reflection.
async fn asked(
    channel: &Channel,
    question: MessageRequest,
) -> Result<Option<ServerReflectionResponse>, Refused> {
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut reflection = ServerReflectionClient::new(channel.clone());
    let answer = reflection.server_reflection_info(futures_util::stream::iter([request])).await;
    let mut answers = answer.map_err(|status| Refused::from(&status))?.into_inner();
    answers.message().await.map_err(|status| Refused::from(&status))
}

fn too_many(refused: &Refused) {
    assert_eq!((refused.code, refused.reason.as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
}

#[tokio::test]
async fn watches_of_the_health_and_reflection_are_bounded_and_take_no_place_of_ours() {
    let queue = Service::queue_service(&["--max-streams", "16"]).await;
    let (stranger, other) = (channel(&queue).await, channel(&queue).await);
    let first = watch(&stranger).await.unwrap();
    let _second = watch(&stranger).await.unwrap();
    for _ in 0..100 {
        too_many(&watch(&stranger).await.unwrap_err());
    }
    too_many(&reflect(&other).await.unwrap_err());
    let operator = Browser::new(&queue.grpc_url());
    let metrics = Metrics::of(&operator).await;
    assert_eq!(metrics.bound("other_streams"), (2.0, 2.0));
    assert_eq!(metrics.refused("other_streams"), 101.0);
    assert_eq!(check(&other).await, ServingStatus::Serving, "who looks whether it is alive is told");
    let _live = queue.grpc().await.watch(watch_live()).await.unwrap();
    drop(first);
    let again = async { while watch(&other).await.is_err() {} };
    within_deadline("room after the end of a watch", again).await;
}

#[tokio::test]
async fn checks_of_the_health_that_never_arrive_keep_nobody_from_checking() {
    let queue = Service::queue_service(&["--max-streams", "16"]).await;
    let mut unfinished = Vec::new();
    for _ in 0..20 {
        let mut connection = TcpStream::connect(queue.grpc_addr()).await.unwrap();
        let head = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/grpc\r\n\
                    Content-Length: 5\r\n\r\n";
        connection.write_all(head.as_bytes()).await.unwrap();
        unfinished.push(connection);
        assert_eq!(check(&channel(&queue).await).await, ServingStatus::Serving);
    }
    let operator = Browser::new(&queue.grpc_url());
    let given_up = async { while Metrics::of(&operator).await.bound("other_streams").0 > 0.0 {} };
    within_deadline("the end of what never arrives", given_up).await;
}

#[tokio::test]
async fn reflection_is_for_this_machine_unless_it_is_switched_on_or_off() {
    let queue = Service::queue_service(&["--reflection", "false"]).await;
    let refused = reflect(&channel(&queue).await).await.unwrap_err();
    assert_eq!(refused.code, Code::Unimplemented);
    let queue = Service::queue_service(&[]).await;
    reflect(&channel(&queue).await).await.unwrap();
    let queue = Service::queue_service_at("0.0.0.0:0", &[]).await;
    let here = format!("http://127.0.0.1:{}", queue.grpc_addr().port());
    assert!(reflect(&Channel::from_shared(here).unwrap().connect().await.unwrap()).await.is_err());
}

#[tokio::test]
async fn reflection_knows_the_details_of_refusals() {
    let queue = Service::queue_service(&[]).await;
    let channel = channel(&queue).await;
    for symbol in
        ["google.rpc.BadRequest", "google.rpc.ErrorInfo", "google.rpc.RetryInfo", "repartee.v1.Message"]
    {
        let question = MessageRequest::FileContainingSymbol(symbol.to_owned());
        let answer = asked(&channel, question).await.unwrap().unwrap().message_response;
        assert!(matches!(answer, Some(MessageResponse::FileDescriptorResponse(_))), "{symbol}: {answer:?}");
    }
}

#[tokio::test]
async fn reflection_answers_tools_that_know_its_older_version() {
    use tonic_reflection::pb::v1alpha;
    let queue = Service::queue_service(&[]).await;
    let mut reflection =
        v1alpha::server_reflection_client::ServerReflectionClient::new(channel(&queue).await);
    let list = v1alpha::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let answer = reflection.server_reflection_info(futures_util::stream::iter([request])).await;
    let answer = answer.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(services)) =
        answer.message_response
    else {
        panic!("no list of services")
    };
    assert!(
        services.service.iter().any(|service| service.name == "repartee.v1.QueueService"),
        "{services:?}"
    );
}
