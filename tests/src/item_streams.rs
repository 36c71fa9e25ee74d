//! The streams of many calls, Posts and Work: items up, events down, each read with a deadline.

use futures_util::stream::poll_fn;
use repartee_proto::v1::{
    ItemMetadata, PostMessageRequest, PostMessageResponse, PostsHello, PostsOutcome, PostsRequest,
    PostsResponse, WorkOutcome, WorkRequest, WorkResponse, posts_outcome, posts_response::Event as Posted,
    work_outcome::Outcome, work_request::Step, work_response::Event as Told,
};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::{Grpc, within_deadline};

/// Items that wait here for the connection to take them.
const WAITING: usize = 16;

/// An open Posts stream.
#[derive(Debug)]
pub struct PostStream {
    items: Option<mpsc::Sender<PostsRequest>>,
    events: Streaming<PostsResponse>,
    /// How the stream began.
    pub hello: PostsHello,
}

impl PostStream {
    /// Opens a stream and reads its hello.
    ///
    /// # Errors
    /// The status with which it was refused.
    pub async fn open(client: &Grpc) -> Result<Self, Status> {
        let (items, mut waiting) = mpsc::channel(WAITING);
        let stream = client.raw().posts(poll_fn(move |cx| waiting.poll_recv(cx))).await?.into_inner();
        let mut stream = Self { items: Some(items), events: stream, hello: PostsHello::default() };
        match stream.event().await? {
            Some(Posted::Hello(hello)) => stream.hello = hello,
            other => panic!("a stream of posts begins with hello, not with {other:?}"),
        }
        Ok(stream)
    }

    /// Where items go in; to be used apart from what comes back.
    pub fn items(&self) -> mpsc::Sender<PostsRequest> {
        self.items.clone().expect("it was not ended")
    }

    /// Sends an item, once there is room for it.
    pub async fn send(&self, item: PostsRequest) {
        within_deadline("room for an item", self.items().send(item)).await.expect("the stream is open");
    }

    /// Ends this side of the stream.
    pub fn end(&mut self) {
        self.items = None;
    }

    /// The next event that is no heartbeat; none at the end of the stream.
    ///
    /// # Errors
    /// The status with which the stream ended.
    pub async fn event(&mut self) -> Result<Option<Posted>, Status> {
        loop {
            match within_deadline("an event of a stream of posts", self.events.message()).await? {
                Some(PostsResponse { event: Some(Posted::Heartbeat(_)) }) => {}
                Some(response) => return Ok(Some(response.event.expect("every event is one that we know"))),
                None => return Ok(None),
            }
        }
    }

    /// The next outcome: the item's number, and what became of it.
    ///
    /// # Panics
    /// If the stream says something else.
    pub async fn outcome(&mut self) -> (u64, Result<PostMessageResponse, Status>) {
        match self.event().await {
            Ok(Some(Posted::Outcome(outcome))) => read_post(outcome),
            other => panic!("waited for an outcome, got {other:?}"),
        }
    }

    /// Stores one message by itself.
    ///
    /// # Errors
    /// As its outcome says.
    pub async fn post(&mut self, item: PostsRequest) -> Result<PostMessageResponse, Status> {
        let number = item.number;
        self.send(item).await;
        let (answered, outcome) = self.outcome().await;
        assert_eq!(answered, number, "the number is the client's");
        outcome
    }
}

/// What became of a post.
pub fn read_post(outcome: PostsOutcome) -> (u64, Result<PostMessageResponse, Status>) {
    let result = match outcome.outcome.expect("every item has an outcome") {
        posts_outcome::Outcome::Posted(posted) => Ok(posted),
        posts_outcome::Outcome::Status(status) => Err(status.into()),
    };
    (outcome.number, result)
}

/// An item of Posts with nothing but a message.
pub fn post_item(number: u64, message: repartee_proto::v1::NewMessage) -> PostsRequest {
    let post = PostMessageRequest { message: Some(message), idempotency_key: None };
    PostsRequest { number, post: Some(post), ..PostsRequest::default() }
}

/// An open Work stream.
#[derive(Debug)]
pub struct StepStream {
    items: Option<mpsc::Sender<WorkRequest>>,
    events: Streaming<WorkResponse>,
    /// What came while an outcome was waited for.
    pub told: Vec<Told>,
    numbered: u64,
}

impl StepStream {
    /// Opens a stream and reads its hello.
    ///
    /// # Errors
    /// The status with which it was refused.
    pub async fn open(client: &Grpc) -> Result<Self, Status> {
        let (items, mut waiting) = mpsc::channel(WAITING);
        let events = client.raw().work(poll_fn(move |cx| waiting.poll_recv(cx))).await?.into_inner();
        let mut stream = Self { items: Some(items), events, told: Vec::new(), numbered: 0 };
        match stream.event().await? {
            Some(Told::Hello(hello)) => assert!(hello.max_in_flight > 0, "{hello:?}"),
            other => panic!("a stream of work begins with hello, not with {other:?}"),
        }
        Ok(stream)
    }

    /// Sends an item, once there is room for it.
    pub async fn send(&self, item: WorkRequest) {
        let items = self.items.as_ref().expect("it was not ended");
        within_deadline("room for an item", items.send(item)).await.expect("the stream is open");
    }

    /// Ends this side of the stream.
    pub fn end(&mut self) {
        self.items = None;
    }

    /// The next event that is no heartbeat; none at the end of the stream.
    ///
    /// # Errors
    /// The status with which the stream ended.
    pub async fn event(&mut self) -> Result<Option<Told>, Status> {
        if !self.told.is_empty() {
            return Ok(Some(self.told.remove(0)));
        }
        self.read().await
    }

    async fn read(&mut self) -> Result<Option<Told>, Status> {
        loop {
            match within_deadline("an event of a stream of work", self.events.message()).await? {
                Some(WorkResponse { event: Some(Told::Heartbeat(_)) }) => {}
                Some(response) => return Ok(Some(response.event.expect("every event is one that we know"))),
                None => return Ok(None),
            }
        }
    }

    /// Takes a step and waits for its outcome; what else comes meanwhile is kept for [`Self::event`].
    ///
    /// # Errors
    /// As its outcome says.
    ///
    /// # Panics
    /// If the stream ends.
    pub async fn take(&mut self, step: Step) -> Result<Outcome, Status> {
        self.take_with(step, ItemMetadata::default()).await
    }

    /// The same with metadata.
    ///
    /// # Errors
    /// As its outcome says.
    ///
    /// # Panics
    /// If the stream ends.
    pub async fn take_with(&mut self, step: Step, metadata: ItemMetadata) -> Result<Outcome, Status> {
        self.numbered += 1;
        let (number, metadata) = (self.numbered, Some(metadata));
        self.send(WorkRequest { number, metadata, step: Some(step), timeout: None }).await;
        loop {
            match self.read().await {
                Ok(Some(Told::Outcome(WorkOutcome { number: of, outcome }))) if of == number => {
                    return match outcome.expect("every item has an outcome") {
                        Outcome::Status(status) => Err(status.into()),
                        taken => Ok(taken),
                    };
                }
                Ok(Some(other)) => self.told.push(other),
                ended => panic!("waited for an outcome, got {ended:?}"),
            }
        }
    }
}
