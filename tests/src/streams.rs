//! The two streams of the service, read with a deadline.

use repartee_proto::v1::{
    Change, ChangeKind, GoingAway, StreamMode, StreamPendingRequest, StreamPendingResponse, WatchHello,
    WatchMessagesRequest, WatchMessagesResponse, WatchReset, Work, stream_pending_response::Event as Sent,
    watch_messages_response::Event as Seen,
};
use tonic::{Status, Streaming};
use uuid::Uuid;

use crate::within_deadline;

/// A watch of the feed from `cursor` on, over all domains.
pub fn watch_from(cursor: &str) -> WatchMessagesRequest {
    WatchMessagesRequest { cursor: Some(cursor.to_owned()), domain: String::new(), drafts: false }
}

/// A watch of the feed from now on, over all domains.
pub fn watch_live() -> WatchMessagesRequest {
    WatchMessagesRequest::default()
}

/// A stream of work in mode LEASE, in a session of its own.
pub fn work(worker: &str, entities: &[&str], max_in_flight: u32) -> StreamPendingRequest {
    StreamPendingRequest {
        worker_id: worker.to_owned(),
        session_id: Uuid::new_v4().to_string(),
        entities: entities.iter().map(|entity| (*entity).to_owned()).collect(),
        mode: StreamMode::Lease.into(),
        max_in_flight,
        ..StreamPendingRequest::default()
    }
}

/// A stream of work in mode OFFER, in a session of its own.
pub fn offers(worker: &str, entities: &[&str]) -> StreamPendingRequest {
    StreamPendingRequest { mode: StreamMode::Offer.into(), ..work(worker, entities, 0) }
}

/// An open WatchMessages stream.
#[derive(Debug)]
pub struct Watch {
    stream: Streaming<WatchMessagesResponse>,
    /// How the stream began.
    pub hello: WatchHello,
}

impl Watch {
    pub(crate) async fn open(mut stream: Streaming<WatchMessagesResponse>) -> Result<Self, Status> {
        match within_deadline("the hello of a watch", stream.message())
            .await?
            .and_then(|response| response.event)
        {
            Some(Seen::Hello(hello)) => Ok(Self { stream, hello }),
            other => panic!("a watch begins with hello, not with {other:?}"),
        }
    }

    /// The next event that is no heartbeat; none at the end of the stream.
    ///
    /// # Errors
    /// The status with which the stream ended.
    pub async fn event(&mut self) -> Result<Option<Seen>, Status> {
        loop {
            match within_deadline("an event of the feed", self.stream.message()).await? {
                Some(WatchMessagesResponse { event: Some(Seen::Heartbeat(_)) }) => {}
                Some(response) => return Ok(Some(response.event.expect("every event is one that we know"))),
                None => return Ok(None),
            }
        }
    }

    /// The next change.
    ///
    /// # Panics
    /// Where the stream says something else.
    pub async fn change(&mut self) -> Change {
        match self.event().await {
            Ok(Some(Seen::Change(change))) => change,
            other => panic!("waited for a change, got {other:?}"),
        }
    }

    /// The reset that has to come next.
    ///
    /// # Panics
    /// Where the stream says something else.
    pub async fn reset(&mut self) -> WatchReset {
        match self.event().await {
            Ok(Some(Seen::Reset(reset))) => reset,
            other => panic!("waited for a reset, got {other:?}"),
        }
    }

    /// Reads on to the change of this kind and this message.
    pub async fn until(&mut self, kind: ChangeKind, message_id: &str) -> Change {
        loop {
            let change = self.change().await;
            if change.kind() == kind
                && change.message.as_ref().is_some_and(|message| message.id == message_id)
            {
                return change;
            }
        }
    }

    /// Reads on to `cursor` and hands out the changes on the way, the last one included.
    pub async fn up_to(&mut self, cursor: &str) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.last().is_none_or(|change: &Change| change.cursor != cursor) {
            changes.push(self.change().await);
        }
        changes
    }
}

/// An open StreamPending stream.
#[derive(Debug)]
pub struct WorkStream {
    stream: Streaming<StreamPendingResponse>,
}

impl WorkStream {
    pub(crate) async fn open(mut stream: Streaming<StreamPendingResponse>) -> Result<Self, Status> {
        match within_deadline("the hello of a stream", stream.message())
            .await?
            .and_then(|response| response.event)
        {
            Some(Sent::Hello(hello)) => {
                assert!(hello.heartbeat_interval.is_some(), "hello says how often heartbeats come");
                Ok(Self { stream })
            }
            other => panic!("a stream of work begins with hello, not with {other:?}"),
        }
    }

    /// The next event that is no heartbeat; none at the end of the stream.
    ///
    /// # Errors
    /// The status with which the stream ended.
    pub async fn event(&mut self) -> Result<Option<Sent>, Status> {
        loop {
            match within_deadline("an event of the stream", self.stream.message()).await? {
                Some(StreamPendingResponse { event: Some(Sent::Heartbeat(_)) }) => {}
                Some(response) => return Ok(Some(response.event.expect("every event is one that we know"))),
                None => return Ok(None),
            }
        }
    }

    /// The next work.
    ///
    /// # Panics
    /// Where the stream says something else.
    pub async fn work(&mut self) -> Work {
        match self.event().await {
            Ok(Some(Sent::Work(work))) => work,
            other => panic!("waited for work, got {other:?}"),
        }
    }

    /// Id of the message whose cancellation has to come next.
    ///
    /// # Panics
    /// Where the stream says something else.
    pub async fn cancelled(&mut self) -> String {
        match self.event().await {
            Ok(Some(Sent::Cancelled(cancelled))) => cancelled.message_id,
            other => panic!("waited for a cancellation, got {other:?}"),
        }
    }

    /// The farewell that has to come next.
    ///
    /// # Panics
    /// Where the stream says something else.
    pub async fn going_away(&mut self) -> GoingAway {
        match self.event().await {
            Ok(Some(Sent::GoingAway(going_away))) => going_away,
            other => panic!("waited for the farewell, got {other:?}"),
        }
    }
}
