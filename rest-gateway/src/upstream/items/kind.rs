//! The two kinds of streams that items go on: how they are opened, what goes up, and what comes down.

use futures_util::Stream;
use repartee_process::Credential;
use repartee_proto::v1::{
    self, posts_outcome, posts_response, queue_service_client::QueueServiceClient, work_outcome,
    work_request, work_response,
};
use tonic::{Status, Streaming, service::interceptor::InterceptedService, transport::Channel};

use super::{Streams, lane::Lane};

/// What opens a stream: with the gateway's own token.
pub(super) type Opener = QueueServiceClient<InterceptedService<Channel, Credential>>;

/// What a stream says.
pub(super) enum Event<A> {
    /// So many items are taken up at once.
    Hello(u32),
    /// What became of the item with this number.
    Outcome(u64, Result<A, Status>),
    /// No more items are read.
    GoingAway,
    /// It is alive; or an event of a later version of the contract.
    Alive,
}

/// A kind of streams.
pub(crate) trait Kind: Sized + Send + 'static {
    /// What an item asks for.
    type Asked: Clone + Send + 'static;
    /// What it is answered.
    type Answer: Send + 'static;
    /// An item on the wire.
    type Request: Send + 'static;
    /// An event on the wire.
    type Response: Send + 'static;

    /// The streams of this kind.
    fn lanes(streams: &Streams) -> &[Lane<Self>];

    /// Opens a stream.
    fn open(
        opener: Opener,
        items: impl Stream<Item = Self::Request> + Send + 'static,
    ) -> impl Future<Output = Result<Streaming<Self::Response>, Status>> + Send;

    /// An item as it is sent.
    fn item(
        number: u64,
        timeout: Option<prost_types::Duration>,
        metadata: v1::ItemMetadata,
        asked: Self::Asked,
    ) -> Self::Request;

    /// An event as it has come.
    fn event(response: Self::Response) -> Event<Self::Answer>;
}

/// Posts.
pub(crate) struct Posts;

/// Work, without a subscription.
pub(crate) struct Work;

impl Kind for Posts {
    type Asked = v1::PostMessageRequest;
    type Answer = v1::PostMessageResponse;
    type Request = v1::PostsRequest;
    type Response = v1::PostsResponse;

    fn lanes(streams: &Streams) -> &[Lane<Self>] {
        &streams.posts
    }

    async fn open(
        mut opener: Opener,
        items: impl Stream<Item = Self::Request> + Send + 'static,
    ) -> Result<Streaming<Self::Response>, Status> {
        Ok(opener.posts(items).await?.into_inner())
    }

    fn item(
        number: u64,
        timeout: Option<prost_types::Duration>,
        metadata: v1::ItemMetadata,
        asked: Self::Asked,
    ) -> Self::Request {
        v1::PostsRequest { number, post: Some(asked), timeout, metadata: Some(metadata) }
    }

    fn event(response: Self::Response) -> Event<Self::Answer> {
        use posts_outcome::Outcome;
        use posts_response::Event as Sent;

        match response.event {
            Some(Sent::Hello(hello)) => Event::Hello(hello.max_in_flight),
            Some(Sent::Outcome(v1::PostsOutcome { number, outcome })) => {
                let outcome = match outcome {
                    Some(Outcome::Posted(posted)) => Ok(posted),
                    Some(Outcome::Status(status)) => Err(status.into()),
                    None => Err(unknown_outcome()),
                };
                Event::Outcome(number, outcome)
            }
            Some(Sent::GoingAway(_)) => Event::GoingAway,
            Some(Sent::Heartbeat(_)) | None => Event::Alive,
        }
    }
}

impl Kind for Work {
    type Asked = work_request::Step;
    type Answer = work_outcome::Outcome;
    type Request = v1::WorkRequest;
    type Response = v1::WorkResponse;

    fn lanes(streams: &Streams) -> &[Lane<Self>] {
        &streams.work
    }

    async fn open(
        mut opener: Opener,
        items: impl Stream<Item = Self::Request> + Send + 'static,
    ) -> Result<Streaming<Self::Response>, Status> {
        Ok(opener.work(items).await?.into_inner())
    }

    fn item(
        number: u64,
        timeout: Option<prost_types::Duration>,
        metadata: v1::ItemMetadata,
        asked: Self::Asked,
    ) -> Self::Request {
        v1::WorkRequest { number, timeout, metadata: Some(metadata), step: Some(asked) }
    }

    fn event(response: Self::Response) -> Event<Self::Answer> {
        use work_outcome::Outcome;
        use work_response::Event as Sent;

        match response.event {
            Some(Sent::Hello(hello)) => Event::Hello(hello.max_in_flight),
            Some(Sent::Outcome(v1::WorkOutcome { number, outcome })) => {
                let outcome = match outcome {
                    Some(Outcome::Status(status)) => Err(status.into()),
                    Some(outcome) => Ok(outcome),
                    None => Err(unknown_outcome()),
                };
                Event::Outcome(number, outcome)
            }
            Some(Sent::GoingAway(_)) => Event::GoingAway,
            // Nobody subscribes on these.
            Some(Sent::Work(_) | Sent::Cancelled(_) | Sent::Heartbeat(_)) | None => Event::Alive,
        }
    }
}

fn unknown_outcome() -> Status {
    Status::internal("the queue-service answered an item with what this gateway does not know")
}
