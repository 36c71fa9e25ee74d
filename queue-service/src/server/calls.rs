//! Serving gRPC and the metrics beside it: the services, and the layers around them.

use std::sync::Arc;

use axum::{Router, body::Body, http::Request, middleware::from_fn_with_state, routing::get};
use hyper::body::Incoming;
use repartee_process::{Connection, Door, InProcessDoor, Shutdown};
use repartee_proto::v1::queue_service_server::QueueServiceServer;
use tonic::{service::Routes, transport::server::Connected as _};
use tower::ServiceExt as _;

use super::{Error, dispatch::Dispatch};
use crate::{
    grpc::{self, QueueGrpc, enter_page, enter_route},
    observe,
};

/// Largest request; a batch has a bound of its own below it.
const REQUEST_BYTES: usize = 4 * 1024 * 1024;

/// What is answered beside the calls.
pub(super) struct Extras {
    /// Reflection; on loopback alone if absent.
    pub(super) reflection: Option<bool>,
    /// `GET /metrics`.
    pub(super) has_metrics: bool,
}

/// Serves until the stop, then until the last connection has ended.
pub(super) async fn serve(
    grpc: QueueGrpc,
    (door, within): (Door, Option<InProcessDoor>),
    calls_per_connection: u32,
    Extras { reflection, has_metrics }: Extras,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<QueueServiceServer<QueueGrpc>>().await;
    let (leaving, draining) = (shutdown.leaving.clone(), grpc.streams.draining.clone());
    tokio::spawn(async move {
        leaving.cancelled().await;
        // Nobody is to be sent here any more; gateways, which ask for the service by name, go on as long as it answers.
        health.set_service_status("", tonic_health::ServingStatus::NotServing).await;
        draining.cancelled().await;
        health.set_not_serving::<QueueServiceServer<QueueGrpc>>().await;
    });
    let is_loopback = door.is_loopback();
    let metrics = if has_metrics {
        Router::new().route("/metrics", get(observe::metrics_for_operators))
    } else {
        Router::new()
    };
    let metrics = metrics
        .with_state(grpc.clone())
        .layer(from_fn_with_state((Arc::clone(&grpc.rights), is_loopback), enter_page));
    let (draining, times) = (grpc.streams.draining.clone(), observe::CallTimes::default());
    let grpc = QueueGrpc { times: times.clone(), ..grpc };
    let front = Arc::new(grpc::Front {
        rights: Arc::clone(&grpc.rights),
        door: grpc::Door::new(draining, grpc.queue.clone(), &grpc.bounds, is_loopback),
        times,
    });
    let queue = QueueServiceServer::new(grpc).max_decoding_message_size(REQUEST_BYTES);
    let mut routes = Routes::from(Router::new()).add_service(health_service);
    if reflection.unwrap_or(is_loopback) {
        // The details of refusals are messages of google.rpc. Many tools know the older version of reflection only.
        let builder = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(repartee_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        };
        routes = routes.add_service(builder().build_v1()?).add_service(builder().build_v1alpha()?);
    }
    let others = routes.into_axum_router();
    let others = others.layer(from_fn_with_state(Arc::clone(&front), enter_route)).merge(metrics);
    let services = Dispatch { front, queue, others };
    let own = services.clone();
    let of_connection = move |connection: &Connection| {
        let (state, info) = (Arc::clone(connection.state()), connection.connect_info());
        // A gateway's, or a worker's with many tasks: what was reset takes no more than the streams that may be open anyway.
        state.expect_resets(calls_per_connection);
        Some(services.clone().map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(Arc::clone(&state));
            request.extensions_mut().insert(info.clone());
            request.map(Body::new)
        }))
    };
    let stop = shutdown.stop.clone();
    let serving = repartee_process::serve(door, calls_per_connection, of_connection, shutdown);
    tokio::join!(serving, async {
        if let Some(within) = within {
            let service = own.map_request(|request: Request<Incoming>| request.map(Body::new));
            repartee_process::serve_in_process(within, calls_per_connection, service, stop).await;
        }
    });
    Ok(())
}
