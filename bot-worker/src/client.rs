//! The client of the service, whose calls carry the worker's token.

use repartee_process::Credential;
use repartee_proto::v1::queue_service_client::QueueServiceClient;
use tonic::{service::interceptor::InterceptedService, transport::Channel};

/// A client whose calls carry the worker's token.
pub(crate) type Client = QueueServiceClient<InterceptedService<Channel, Credential>>;
