//! The way to the queue-service: a few connections, each made when it is first needed and made again by itself, and what
//! every call carries: who calls, under which request id, and until when an answer is of use.
//!
//! Calls go on to their end though their clients go away ([`uncancelled`]); calls that wait do not, and have a connection
//! of their own. What is posted, claimed and completed goes as [`items`] on streams that all clients share.

mod items;
mod uncancelled;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::extract::FromRequestParts;
use http::{StatusCode, header, request::Parts};
use repartee_process::{
    Credential, QueueLink, access,
    telemetry::{self, TraceContext},
};
use repartee_proto::v1::{self, queue_service_client::QueueServiceClient};
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use items::Streams;
use uncancelled::{Carried, Repeatable, Uncancelled};

use crate::{
    client::{Client as Sender, Held},
    judged::{Judged, Judgement},
    observe::RequestId,
    problem::Problem,
    server::App,
    visitor::Visitor,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A dead link is noticed after the interval and the timeout together: within 5 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pages end at 1 MiB, or with one commit, which is little more.
pub(crate) const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// More than any token has; longer metadata would break the connection to the queue-service.
const MAX_AUTHORIZATION_BYTES: usize = 4_096;
/// The sum of what a call carries, each entry counted as HTTP/2 does (RFC 9113, section 6.5.2); the queue-service takes
/// 16 KiB, with what tonic adds.
const MAX_METADATA_BYTES: usize = 8_192;
/// What HTTP/2 adds to each entry.
const ENTRY_BYTES: usize = 32;
/// The longest wait of a call that waits; more is refused by the queue-service.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// The connections that calls are spread over. The fewer there are, the more calls share a packet; calls that wait have
/// their own, for a connection carries a limited number at a time.
#[derive(Debug)]
pub(crate) struct Pool {
    channels: Vec<Channel>,
    next: AtomicUsize,
    waiting: Channel,
    streams: Streams,
}

/// A client whose calls carry a [`Caller`].
pub(crate) type Client = QueueServiceClient<Judged<InterceptedService<Uncancelled, Caller>>>;

/// Who asks: kept by what may ask the queue-service more than once, or never. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asker {
    metadata: Arc<Metadata>,
    /// Whose limits hold.
    pub(crate) client: Sender,
    /// Its token, if it is to be judged.
    judgement: Option<Judgement>,
}

type Metadata = Vec<(&'static str, MetadataValue<tonic::metadata::Ascii>)>;

/// The queue-service on behalf of the caller of one request.
pub(crate) struct Queue {
    app: App,
    asker: Asker,
    timeout: Duration,
}

/// What the queue-service learns about the caller, and the deadline.
#[derive(Clone)]
pub(crate) struct Caller {
    asker: Asker,
    own: Own,
}

/// What every call has of the gateway's own.
#[derive(Clone)]
struct Own {
    /// The token, which lets it say for whom it asks.
    credential: Credential,
    carried: Carried,
}

/// Asks what a token proves that a client has sent. The gateway asks for itself, and in the client's place all the same: a
/// flood of such questions takes no more than its client's share.
///
/// # Errors
/// 403 if it is not accepted; 429 if too many calls are on their way; 503 or 504 if the queue-service does not answer.
pub(crate) async fn authenticate(app: &App, sender: Sender, token: &str) -> Result<v1::Role, Problem> {
    let own =
        Own { credential: app.credential.clone(), carried: Carried::by(app, sender, app.request_timeout)? };
    let channel = InterceptedService::new(Uncancelled::over(app.pool.channel()), own);
    let request = v1::AuthenticateRequest { token: token.to_owned() };
    Ok(QueueServiceClient::new(channel).authenticate(request).await?.into_inner().role())
}

/// The connection; nothing is sent before the first call.
pub(crate) fn connect(link: &QueueLink) -> Channel {
    link.connect_lazy(|endpoint| {
        endpoint
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
    })
}

impl Pool {
    /// `size` connections, at least one, and one for calls that wait; nothing is sent before the first call.
    /// Streams are opened with the gateway's own token.
    pub(crate) fn to(link: &QueueLink, size: u32, credential: &Credential) -> Self {
        let channels: Vec<_> = (0..size.max(1)).map(|_| connect(link)).collect();
        let streams = Streams::over(&channels, credential);
        Self { channels, next: AtomicUsize::new(0), waiting: connect(link), streams }
    }

    /// The streams for items.
    fn streams(&self) -> &Streams {
        &self.streams
    }

    /// The connections in turn.
    fn channel(&self) -> Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.channels.len();
        self.channels[turn].clone()
    }
}

impl Queue {
    /// On behalf of a visitor who may have been given their secret just now.
    pub(crate) fn with_visitor(mut self, visitor: &Visitor) -> Self {
        self.asker = self.asker.with_visitor(visitor);
        self
    }

    /// For calls that answer at once.
    ///
    /// # Errors
    /// 429 if too many calls are on their way.
    pub(crate) fn client(self) -> Result<Client, Problem> {
        let channel = Uncancelled::over(self.app.pool.channel());
        self.over(channel)
    }

    /// For calls that wait for something to happen, up to `wait`.
    ///
    /// # Errors
    /// 429 if too many calls are on their way.
    pub(crate) fn client_that_waits(mut self, wait: Duration) -> Result<Client, Problem> {
        self.timeout += wait.min(LONGEST_WAIT);
        let channel = Uncancelled::that_waits(self.app.pool.waiting.clone());
        self.over(channel)
    }

    /// The place is taken here, when all of the request is there: nobody holds one while they take their time.
    fn over(self, channel: Uncancelled) -> Result<Client, Problem> {
        let carried = Carried::by(&self.app, self.asker.client, self.timeout)?;
        let own = Own { credential: self.app.credential.clone(), carried };
        let judgement = self.asker.judgement.clone();
        let caller = Caller { asker: self.asker, own };
        let client =
            QueueServiceClient::new(Judged::new(InterceptedService::new(channel, caller), judgement));
        Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES))
    }
}

impl FromRequestParts<App> for Queue {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        Ok(Asker::of(parts, app)?.queue(app))
    }
}

impl Asker {
    /// Whoever sent this request.
    ///
    /// # Errors
    /// 431 where its token is longer than any is, or all that would be passed on is more than the queue-service takes.
    pub(crate) fn of(parts: &Parts, app: &App) -> Result<Self, Problem> {
        let longest = parts.headers.get(header::AUTHORIZATION).map_or(0, |value| value.len());
        if longest > MAX_AUTHORIZATION_BYTES {
            let detail = format!(
                "header Authorization: has to have at most {MAX_AUTHORIZATION_BYTES} bytes, has {longest}"
            );
            return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail));
        }
        let client = Sender::of(&parts.extensions);
        // Without a token of its own the gateway may not say for whom it asks: nobody looks at what it passes on, and an
        // answer says nothing of it.
        let is_judged = app.credential.is_set();
        let judgement = is_judged.then(|| app.limits.judgement(client, &parts.headers)).flatten();
        let mut metadata = metadata(parts);
        if let Some(secret) = Visitor::brought(&parts.headers)? {
            metadata.push((access::VISITOR, visitor_value(&Visitor::digest(&secret))));
        }
        bounded(metadata).map(|metadata| Self { metadata: Arc::new(metadata), client, judgement })
    }

    /// The same for a visitor who may have been given their secret just now.
    pub(crate) fn with_visitor(self, visitor: &Visitor) -> Self {
        if visitor.is_known() {
            return self;
        }
        let mut metadata = Metadata::clone(&self.metadata);
        metadata.push((access::VISITOR, visitor_value(&visitor.own_digest())));
        metadata.push((access::NEW_VISITOR, MetadataValue::from_static("1")));
        Self { metadata: Arc::new(metadata), ..self }
    }

    /// The queue-service, for one call.
    pub(crate) fn queue(self, app: &App) -> Queue {
        Queue { app: App::clone(app), asker: self, timeout: app.request_timeout }
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in self.asker.metadata.iter() {
            request.metadata_mut().insert(*name, value.clone());
        }
        self.own.call(request)
    }
}

impl Interceptor for Own {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.set_timeout(self.carried.timeout);
        request.extensions_mut().insert(self.carried.clone());
        self.credential.call(request)
    }
}

impl Carried {
    /// A place for a call of this client, until its answer is there.
    ///
    /// # Errors
    /// 429 if the client has too many calls on their way, or all have.
    fn by(app: &App, client: Sender, timeout: Duration) -> Result<Self, Problem> {
        let share = app.limits.hold(Held::UpstreamCall, client)?;
        let place = app.bounds.upstream_calls.enter(1);
        let place = place.map_err(|full| Problem::too_many("TOO_MANY_CALLS", full))?;
        Ok(Self { timeout, place: Arc::new((place, share)) })
    }
}

/// Whatever is passed on, no call carries more than the queue-service takes: it would end the connection, and with it the
/// calls of everybody.
///
/// # Errors
/// 431 that names the limit and the longest of the headers.
fn bounded(metadata: Metadata) -> Result<Metadata, Problem> {
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len() + ENTRY_BYTES).sum();
    if bytes <= MAX_METADATA_BYTES {
        return Ok(metadata);
    }
    let longest = metadata.iter().max_by_key(|(_, value)| value.len()).map_or(("", 0), |(n, v)| (n, v.len()));
    let detail = format!(
        "headers that are passed on: have to have at most {MAX_METADATA_BYTES} bytes together, have {bytes}; the longest \
         is {} with {}",
        longest.0, longest.1
    );
    Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail))
}

fn visitor_value(digest: &str) -> MetadataValue<tonic::metadata::Ascii> {
    let mut value = MetadataValue::try_from(digest).expect("hex digits are visible ASCII");
    value.set_sensitive(true);
    value
}

/// For whom a call is: nothing of it proves anything but the token that the client sent, which the queue-service judges.
fn metadata(parts: &Parts) -> Metadata {
    let authorization = parts.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
    let request_id = parts.extensions.get::<RequestId>().map(|id| id.as_str().as_bytes().to_vec());
    let address = Sender::of(&parts.extensions).address;
    let trace = telemetry::current_trace();
    let state = trace.as_ref().and_then(TraceContext::tracestate).map(|state| state.as_bytes().to_vec());
    let values = [
        (access::ON_BEHALF, authorization),
        (access::CLIENT, Some(address.to_string().into_bytes())),
        ("x-request-id", request_id),
        ("traceparent", trace.map(|trace| trace.traceparent().into_bytes())),
        ("tracestate", state),
    ];
    let metadata = |(name, value): (_, Option<Vec<u8>>)| {
        let mut value = MetadataValue::try_from(value?).ok()?;
        // Most come once: an index of them would be filled and emptied with each call, on both sides.
        value.set_sensitive(true);
        Some((name, value))
    };
    values.into_iter().filter_map(metadata).collect()
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::{MAX_METADATA_BYTES, bounded};

    #[test]
    fn more_metadata_than_the_queue_service_takes_is_refused_with_the_longest_header() {
        let value = |bytes: usize| MetadataValue::try_from("x".repeat(bytes)).unwrap();
        let rest = MAX_METADATA_BYTES - "authorization".len() - "cookie".len() - 2 * 32 - 100;
        assert!(bounded(vec![("authorization", value(100)), ("cookie", value(rest))]).is_ok());
        let problem = bounded(vec![("authorization", value(100)), ("cookie", value(rest + 1))]).unwrap_err();
        assert_eq!(problem.status, 431);
        assert!(problem.detail.contains("8192") && problem.detail.contains("cookie"), "{}", problem.detail);
    }
}
