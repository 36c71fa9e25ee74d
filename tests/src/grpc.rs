//! A gRPC client whose calls read as sentences. It sends what it is told to, retries nothing, and checks nothing.

use repartee_process::QueueLink;
use repartee_proto::v1::{
    self, CancelMessageRequest, ClaimMessageRequest, ClaimNextRequest, CompleteMessageRequest,
    CompleteMessageResponse, FailMessageRequest, FailMessageResponse, GetMessageRequest, GetStatsRequest,
    GetStatsResponse, LeaseRef, ListFailedRequest, ListFailedResponse, ListMessagesRequest,
    ListMessagesResponse, ListPendingRequest, Message, NewMessage, PostMessageRequest, PostMessageResponse,
    Rejection, ReleaseMessageRequest, RenewLeasesRequest, Reply, RetryMessageRequest, StreamPendingRequest,
    WatchMessagesRequest, Work, list_messages_request::Position, queue_service_client::QueueServiceClient,
    renew_outcome,
};
use tonic::{
    Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Error},
};

use crate::{OPERATOR, Watch, WorkStream, seconds};

/// The generated client, with a token.
pub type RawClient = QueueServiceClient<InterceptedService<Channel, Bearer>>;

/// A client on one connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Grpc {
    client: RawClient,
}

/// Sends a token with every call that has none of its own.
#[derive(Debug, Clone)]
pub struct Bearer(pub Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = self.0.as_ref().filter(|_| !request.metadata().contains_key("authorization")) {
            let bearer = format!("Bearer {token}").parse().expect("a token is visible ASCII");
            request.metadata_mut().insert("authorization", bearer);
        }
        Ok(request)
    }
}

impl Grpc {
    /// Connects to `url` as an operator, who may do what anybody may.
    ///
    /// # Errors
    /// Where nobody answers there.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::connect_with(url, Some(OPERATOR)).await
    }

    /// Connects to `url` with this token, or without any.
    ///
    /// # Errors
    /// Where nobody answers there.
    pub async fn connect_with(url: &str, token: Option<&str>) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true);
        let bearer = Bearer(token.map(str::to_owned));
        let client = QueueServiceClient::with_interceptor(endpoint.connect().await?, bearer);
        Ok(Self { client: client.max_decoding_message_size(64 << 20) })
    }

    /// A client of the queue-service behind `link` with this token, or without any; it connects with its first call.
    pub fn behind(link: &QueueLink, token: Option<&str>) -> Self {
        let channel = link.connect_lazy(|endpoint| endpoint.tcp_nodelay(true));
        let client = QueueServiceClient::with_interceptor(channel, Bearer(token.map(str::to_owned)));
        Self { client: client.max_decoding_message_size(64 << 20) }
    }

    /// The generated client, for requests that the calls below cannot say.
    pub fn raw(&self) -> RawClient {
        self.client.clone()
    }

    /// Posts `message` and hands it out as it was stored.
    pub async fn post(&self, message: NewMessage) -> Result<Message, Status> {
        Ok(stored(self.post_with_key(message, None).await?.message))
    }

    /// Posts `message` under an idempotency key.
    pub async fn post_with_key(
        &self,
        message: NewMessage,
        key: Option<&str>,
    ) -> Result<PostMessageResponse, Status> {
        let request = PostMessageRequest { message: Some(message), idempotency_key: key.map(str::to_owned) };
        Ok(self.raw().post_message(request).await?.into_inner())
    }

    /// Reads one message.
    pub async fn get(&self, message_id: &str) -> Result<Message, Status> {
        let request = GetMessageRequest { message_id: message_id.to_owned() };
        Ok(stored(self.raw().get_message(request).await?.into_inner().message))
    }

    /// Where the work in a message stands.
    ///
    /// # Panics
    /// Where the message is addressed to no bot.
    pub async fn status(&self, message_id: &str) -> Result<v1::Status, Status> {
        Ok(self.get(message_id).await?.bot_params.expect("it is addressed to a bot").status())
    }

    /// Reads the feed of all domains from `position`.
    pub async fn list(&self, position: Option<Position>, limit: u32) -> Result<ListMessagesResponse, Status> {
        let request = ListMessagesRequest { domain: String::new(), position, limit };
        Ok(self.raw().list_messages(request).await?.into_inner())
    }

    /// Reads all messages of all domains, page by page from the beginning.
    pub async fn all(&self) -> Result<Vec<Message>, Status> {
        let (mut all, mut after) = (Vec::new(), 1);
        loop {
            let page = self.list(Some(Position::After(after)), 200).await?;
            let Some(last) = page.messages.last() else { return Ok(all) };
            after = last.timestamp;
            all.extend(page.messages);
        }
    }

    /// Lists the pending work for `entity` in order.
    pub async fn pending(&self, entity: &str) -> Result<Vec<Message>, Status> {
        let request = ListPendingRequest { entity: entity.to_owned(), limit: 1_000 };
        Ok(self.raw().list_pending(request).await?.into_inner().messages)
    }

    /// Lists the failed messages.
    pub async fn failed(&self) -> Result<ListFailedResponse, Status> {
        Ok(self.raw().list_failed(ListFailedRequest { limit: 1_000, before_id: None }).await?.into_inner())
    }

    /// Claims one message, with a lease of the default length.
    pub async fn claim(&self, message_id: &str, worker_id: &str) -> Result<Work, Status> {
        self.claimed(message_id, worker_id, None).await
    }

    /// Claims one message with a lease of so many seconds.
    pub async fn claim_for(&self, message_id: &str, worker_id: &str, lease: i64) -> Result<Work, Status> {
        self.claimed(message_id, worker_id, seconds(lease)).await
    }

    async fn claimed(
        &self,
        message_id: &str,
        worker_id: &str,
        lease: Option<prost_types::Duration>,
    ) -> Result<Work, Status> {
        let (message_id, worker_id) = (message_id.to_owned(), worker_id.to_owned());
        let request = ClaimMessageRequest { message_id, worker_id, lease };
        let claimed = self.raw().claim_message(request).await?.into_inner();
        Ok(Work {
            message: claimed.message,
            lease: claimed.lease,
            context: Vec::new(),
            traceparent: claimed.traceparent,
            tracestate: claimed.tracestate,
        })
    }

    /// Claims the first message that fits, waiting up to `wait` seconds for one.
    pub async fn claim_next(
        &self,
        worker_id: &str,
        entities: &[&str],
        wait: i64,
    ) -> Result<Option<Work>, Status> {
        let request = ClaimNextRequest {
            worker_id: worker_id.to_owned(),
            entities: entities.iter().map(|entity| (*entity).to_owned()).collect(),
            wait: seconds(wait),
            ..ClaimNextRequest::default()
        };
        Ok(self.raw().claim_next(request).await?.into_inner().work)
    }

    /// Extends one lease by its own length and hands out its new end, Unix milliseconds.
    ///
    /// # Errors
    /// Outside, where the call failed; inside, where the lease is lost.
    pub async fn renew(&self, lease: LeaseRef) -> Result<Result<i64, Rejection>, Status> {
        let request = RenewLeasesRequest { leases: vec![lease], lease: None };
        let outcome = self.raw().renew_leases(request).await?.into_inner().outcomes.pop();
        match outcome.and_then(|outcome| outcome.outcome) {
            Some(renew_outcome::Outcome::ExpiresAt(end)) => Ok(Ok(end)),
            Some(renew_outcome::Outcome::Rejection(rejection)) => Ok(Err(rejection)),
            None => panic!("a renewal has one outcome an item"),
        }
    }

    /// Gives a claim back.
    pub async fn release(&self, lease: LeaseRef) -> Result<Message, Status> {
        let request = ReleaseMessageRequest { lease: Some(lease), holds_back: None };
        Ok(stored(self.raw().release_message(request).await?.into_inner().message))
    }

    /// Finishes a claim.
    pub async fn complete(
        &self,
        lease: LeaseRef,
        reply: Option<Reply>,
    ) -> Result<CompleteMessageResponse, Status> {
        let request = CompleteMessageRequest { lease: Some(lease), reply };
        Ok(self.raw().complete_message(request).await?.into_inner())
    }

    /// Reports a failure that may be tried again after so many seconds.
    pub async fn fail(
        &self,
        lease: LeaseRef,
        error: &str,
        after: Option<i64>,
    ) -> Result<FailMessageResponse, Status> {
        let retry_after = after.and_then(seconds);
        let request =
            FailMessageRequest { lease: Some(lease), error: error.to_owned(), retryable: true, retry_after };
        Ok(self.raw().fail_message(request).await?.into_inner())
    }

    /// Gives a claim up for good.
    pub async fn give_up(&self, lease: LeaseRef, error: &str) -> Result<Message, Status> {
        let (error, retry_after) = (error.to_owned(), None);
        let request = FailMessageRequest { lease: Some(lease), error, retryable: false, retry_after };
        Ok(stored(self.raw().fail_message(request).await?.into_inner().message))
    }

    /// Puts a failed message back to pending.
    pub async fn retry(&self, message_id: &str) -> Result<Message, Status> {
        let request = RetryMessageRequest { message_id: message_id.to_owned(), reason: String::new() };
        Ok(stored(self.raw().retry_message(request).await?.into_inner().message))
    }

    /// Takes a message out of the queue.
    pub async fn cancel(&self, message_id: &str) -> Result<Message, Status> {
        let request = CancelMessageRequest { message_id: message_id.to_owned(), reason: String::new() };
        Ok(stored(self.raw().cancel_message(request).await?.into_inner().message))
    }

    /// Reads the counters of the service.
    pub async fn stats(&self) -> Result<GetStatsResponse, Status> {
        Ok(self.raw().get_stats(GetStatsRequest::default()).await?.into_inner())
    }

    /// Opens a watch of the feed and reads its hello.
    pub async fn watch(&self, request: WatchMessagesRequest) -> Result<Watch, Status> {
        Watch::open(self.raw().watch_messages(request).await?.into_inner()).await
    }

    /// Opens a stream of work and reads its hello.
    pub async fn stream(&self, request: StreamPendingRequest) -> Result<WorkStream, Status> {
        WorkStream::open(self.raw().stream_pending(request).await?.into_inner()).await
    }
}

/// The message that every one of these answers holds.
fn stored(message: Option<Message>) -> Message {
    message.expect("the answer holds the message")
}
