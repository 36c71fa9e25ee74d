//! The way of metrics to the collector: one request at a time, over gRPC or HTTP, each with a deadline.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Uri, header::CONTENT_TYPE};
use hyper_rustls::HttpsConnectorBuilder;
use opentelemetry_http::{HttpClient, hyper::HyperClient};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse, metrics_service_client::MetricsServiceClient,
};
use prost::Message as _;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tonic::{
    metadata::MetadataMap,
    transport::{Channel, ClientTlsConfig, Endpoint},
};

use super::environment::{Metrics, Protocol};

/// What HTTP says of a body in protobuf.
const PROTOBUF: &str = "application/x-protobuf";

/// Sends to one collector.
pub(super) struct Sender {
    way: To,
    headers: HeaderMap,
    timeout: Duration,
}

enum To {
    Grpc(MetricsServiceClient<Channel>),
    Http(Box<dyn HttpClient>, Uri),
}

impl Sender {
    /// One that has sent nothing yet. Needs a runtime of tokio.
    ///
    /// # Errors
    /// In one sentence, if no TLS client can be built on this machine.
    pub(super) fn to(environment: &Metrics) -> Result<Self, String> {
        let Metrics { way, url, headers, timeout, .. } = environment;
        let to = match way.protocol {
            Protocol::Grpc => To::Grpc(MetricsServiceClient::new(channel(url, way.tls)?)),
            Protocol::HttpProtobuf => To::Http(http_client(way.tls, *timeout)?, url.clone()),
        };
        Ok(Self { way: to, headers: headers.clone(), timeout: *timeout })
    }

    /// Sends one request, and gives how many points of it the collector did not take though it took the others.
    ///
    /// # Errors
    /// In one sentence, if it was not taken, or not in time.
    pub(super) async fn send(&mut self, request: ExportMetricsServiceRequest) -> Result<u64, String> {
        let (patience, headers) = (self.timeout, self.headers.clone());
        let sent = async {
            match &mut self.way {
                To::Grpc(client) => {
                    let mut request = tonic::Request::new(request);
                    *request.metadata_mut() = MetadataMap::from_headers(headers);
                    let answer = client.export(request).await;
                    answer.map(tonic::Response::into_inner).map_err(|status| crate::status_line(&status))
                }
                To::Http(client, url) => post(&**client, url, headers, &request).await,
            }
        };
        let answer =
            timeout(patience, sent).await.map_err(|_| format!("no answer within {patience:?}"))??;
        let rejected = answer.partial_success.map_or(0, |partial| partial.rejected_data_points);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }
}

async fn post(
    client: &dyn HttpClient,
    url: &Uri,
    headers: HeaderMap,
    message: &ExportMetricsServiceRequest,
) -> Result<ExportMetricsServiceResponse, String> {
    let mut request = Request::post(url).body(Bytes::from(message.encode_to_vec()));
    if let Ok(request) = &mut request {
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(PROTOBUF));
    }
    let request = request.map_err(|error| error.to_string())?;
    let response = client.send_bytes(request).await.map_err(|error| crate::error_chain(&*error))?;
    if !response.status().is_success() {
        return Err(format!("the collector answers {}", response.status()));
    }
    // A collector that answers with something else has taken it all the same.
    Ok(ExportMetricsServiceResponse::decode(response.into_body()).unwrap_or_default())
}

/// The connection; nothing is sent before the first call, and it is made again by itself.
fn channel(url: &Uri, tls: bool) -> Result<Channel, String> {
    let mut endpoint = Endpoint::from(url.clone());
    if tls {
        let with_roots = ClientTlsConfig::new().with_native_roots();
        endpoint = endpoint.tls_config(with_roots).map_err(|error| crate::error_chain(&error))?;
    }
    Ok(endpoint.connect_lazy())
}

fn http_client(tls: bool, timeout: Duration) -> Result<Box<dyn HttpClient>, String> {
    if !tls {
        return Ok(Box::new(HyperClient::with_default_connector(timeout, None)));
    }
    let tls = HttpsConnectorBuilder::new().with_provider_and_native_roots(ring::default_provider());
    let connector = tls.map_err(|error| error.to_string())?.https_only().enable_http1().build();
    Ok(Box::new(HyperClient::new(connector, timeout, None)))
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
