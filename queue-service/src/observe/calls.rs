//! How many calls there were, and how long they took until their answer began, by method and outcome.
//!
//! All methods and all codes are known from the start, so that a count begins with 0 and no label is built for a call.

use std::{
    array,
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{extract::Request, http::header::CONTENT_TYPE, response::Response};
use metrics::{Counter, Histogram, Label, counter, histogram};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

/// How many status codes gRPC has; they are numbered from 0.
const CODES: usize = 17;

/// What this server answers.
const SERVED: [&[u8]; 4] = [
    repartee_proto::FILE_DESCRIPTOR_SET,
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// The handles of all methods, by the path of their calls; cheap to clone.
#[derive(Clone)]
pub(crate) struct CallTimes(Arc<HashMap<String, [ByCode; CODES]>>);

/// The calls of one method that ended with one code.
struct ByCode {
    calls: Counter,
    labels: [Label; 2],
    /// Made with the first call: most codes of most methods never come.
    seconds: OnceLock<Histogram>,
}

impl Default for CallTimes {
    fn default() -> Self {
        let by_code = |path: String| (path.clone(), array::from_fn(|code| ByCode::new(&path, code)));
        Self(Arc::new(SERVED.iter().flat_map(|set| paths(set)).map(by_code).collect()))
    }
}

impl CallTimes {
    /// Counts nothing: until there is a recorder.
    pub(crate) fn none() -> Self {
        Self(Arc::default())
    }

    /// Notes a call, or an item of a stream that stands for one.
    pub(crate) fn note(&self, path: &str, code: usize, took: Duration) {
        // Paths that clients make up have no handle.
        let Some(ByCode { calls, labels, seconds }) = self.0.get(path).and_then(|codes| codes.get(code))
        else {
            return;
        };
        calls.increment(1);
        seconds.get_or_init(|| histogram!("repartee_grpc_call_seconds", labels.to_vec())).record(took);
    }
}

impl ByCode {
    fn new(path: &str, code: usize) -> Self {
        let labels = [Label::new("method", path.to_owned()), Label::new("code", name_of(code))];
        let calls = counter!("repartee_grpc_calls_total", labels.to_vec());
        calls.increment(0);
        let seconds = OnceLock::new();
        if code == Code::Ok as usize {
            seconds.get_or_init(|| histogram!("repartee_grpc_call_seconds", labels.to_vec()));
        }
        Self { calls, labels, seconds }
    }
}

/// The paths of the calls that a set of descriptors describes.
fn paths(descriptors: &[u8]) -> Vec<String> {
    let set = FileDescriptorSet::decode(descriptors).expect("it is generated with the code");
    let mut paths = Vec::new();
    for file in &set.file {
        for service in &file.service {
            let of_service = |method: &prost_types::MethodDescriptorProto| {
                format!("/{}.{}/{}", file.package(), service.name(), method.name())
            };
            paths.extend(service.method.iter().map(of_service));
        }
    }
    paths
}

/// A status code by its name, as other gRPC servers write it: `OK`, `NotFound`.
fn name_of(code: usize) -> String {
    match Code::from(i32::try_from(code).unwrap_or(i32::MAX)) {
        Code::Ok => "OK".to_owned(),
        refused => format!("{refused:?}"),
    }
}

/// Times a call until its answer begins, by its method and its outcome as far as that is known then.
pub(crate) async fn time_call<A>(
    times: &CallTimes,
    request: Request,
    next: impl FnOnce(Request) -> A,
) -> Response
where
    A: Future<Output = Response>,
{
    let uri = request.uri().clone();
    let began = Instant::now();
    let response = next(request).await;
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        let code = response.headers().get("grpc-status").and_then(|code| code.to_str().ok()?.parse().ok());
        times.note(uri.path(), code.unwrap_or(Code::Ok as usize), began.elapsed());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{CODES, CallTimes, name_of};

    #[test]
    fn every_method_of_every_service_is_known_by_the_path_of_its_calls() {
        let times = CallTimes::default();
        for path in [
            "/repartee.v1.QueueService/PostMessage",
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(times.0.contains_key(path), "{path}");
        }
    }

    #[test]
    fn codes_have_the_names_that_grpc_gives_them() {
        let names: Vec<_> = (0..CODES).map(name_of).collect();
        assert_eq!(names[0], "OK");
        assert_eq!(names[5], "NotFound");
        assert_eq!(names[16], "Unauthenticated");
    }
}
