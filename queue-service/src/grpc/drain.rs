//! Refusing new calls while the service stops.

use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::status;

/// Decides at the door whether a call is served.
#[derive(Clone)]
pub(crate) struct Admission(CancellationToken);

/// Refuses all calls with UNAVAILABLE and reason DRAINING from the moment that `draining` is cancelled.
pub(crate) fn refuse_while_draining(draining: CancellationToken) -> Admission {
    Admission(draining)
}

impl tonic::service::Interceptor for Admission {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        if self.0.is_cancelled() { Err(status::draining()) } else { Ok(request) }
    }
}
