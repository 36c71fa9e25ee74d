//! Posts: messages one after the other on one stream, each stored as PostMessage stores it, with their outcomes in order.
//!
//! An item is taken up as soon as it is read, and waits for the writer beside the others, so that one commit has many of them.
//! Nothing is read while as many are taken up as may be, or while the outcomes are not taken.

use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesOrdered};
use repartee_proto::v1::{self, posts_outcome::Outcome, posts_response::Event};
use tonic::{Status, Streaming};

use super::{
    QueueGrpc, answer,
    caller::Caller,
    items::{Course, Ending, IN_FLIGHT, Items, Moment},
    outlet::{Inlet, Outlet, Over},
};

/// The call for which each item stands.
const POST: &str = "/repartee.v1.QueueService/PostMessage";

/// One open stream of posts.
struct PostStream {
    items: Items,
    requests: Streaming<v1::PostsRequest>,
    outlet: Outlet<v1::PostsResponse>,
    course: Course,
}

impl QueueGrpc {
    pub(super) fn stream_posts(
        &self,
        caller: Caller,
        requests: Streaming<v1::PostsRequest>,
    ) -> Result<Inlet<v1::PostsResponse>, Status> {
        let standing = self.rights.standing(&caller);
        let room = self.room_for(&caller, &self.streams.posters);
        let (outlet, inlet) = Outlet::open(&self.streams, room, &self.bounds.answers, standing.clone())?;
        let course = Course::of(&self.streams, standing, &outlet);
        let stream = PostStream { items: Items::new(self.clone(), caller), requests, outlet, course };
        tokio::spawn(async move {
            // On `Over` the client is gone or was told already.
            let _ = stream.serve().await;
        });
        Ok(inlet)
    }
}

impl PostStream {
    async fn serve(mut self) -> Result<(), Over> {
        let heartbeat_interval = Some(answer::span(self.items.grpc().streams.heartbeat));
        let hello = v1::PostsHello { max_in_flight: IN_FLIGHT as u32, heartbeat_interval };
        self.send(Event::Hello(hello)).await?;
        let (mut taken_up, mut ending) = (FuturesOrdered::new(), None::<Ending>);
        loop {
            if taken_up.is_empty()
                && let Some(ending) = ending.take()
            {
                ending.finish(self.outlet);
                return Ok(());
            }
            let reads = ending.is_none() && taken_up.len() < IN_FLIGHT;
            tokio::select! {
                Some(outcome) = taken_up.next() => {
                    self.send(Event::Outcome(outcome)).await?;
                    // Those of one commit come together.
                    while let Some(Some(outcome)) = taken_up.next().now_or_never() {
                        self.send(Event::Outcome(outcome)).await?;
                    }
                }
                read = self.requests.message(), if reads => match read {
                    Ok(Some(item)) => match self.course.refusal() {
                        None => taken_up.push_back(outcome(self.items.clone(), item)),
                        refused => ending = refused,
                    },
                    Ok(None) => ending = Some(Ending::ClientDone),
                    Err(status) => ending = Some(Ending::Refused(status)),
                },
                moment = self.course.next() => match moment {
                    Moment::Heartbeat => self.send(Event::Heartbeat(v1::PostsHeartbeat {})).await?,
                    Moment::Gone => return Err(Over),
                    Moment::Ending(end) => {
                        if let Ending::GoingAway = end {
                            self.send(Event::GoingAway(answer::going_away())).await?;
                        }
                        ending = ending.or(Some(end));
                    }
                },
            }
        }
    }

    async fn send(&mut self, event: Event) -> Result<(), Over> {
        self.outlet.send_owed(v1::PostsResponse { event: Some(event) }).await
    }
}

/// What becomes of an item.
async fn outcome(items: Items, item: v1::PostsRequest) -> v1::PostsOutcome {
    let v1::PostsRequest { number, post, timeout, metadata } = item;
    let metadata = metadata.unwrap_or_default();
    let answer = async {
        let caller = items.caller(POST, &metadata)?;
        items.grpc().post(&caller, post.unwrap_or_default()).await
    };
    // In a box: each layer around it would hold it twice.
    let outcome = match items.serve(POST, &metadata, timeout, Box::pin(answer)).await {
        Ok(posted) => Outcome::Posted(posted),
        Err(refusal) => Outcome::Status((&refusal).into()),
    };
    v1::PostsOutcome { number, outcome: Some(outcome) }
}
