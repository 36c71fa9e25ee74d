//! What goes through the writer's channel.

use std::sync::Arc;

use parking_lot::Mutex;
use repartee_process::telemetry::{self, TraceContext};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::room::Taken;
use crate::domain::{At, ConversationId, Event, LeaseRef, Queue, RequestKey, Taker, TakerId};

/// What the writer is asked to do.
pub(super) enum Job {
    /// Let a rule decide.
    Command(Command),
    /// Hand out work to a taker.
    Join(TakerId, Taker, mpsc::Sender<Event>),
    /// Look at the list of takers that are gone.
    Wake,
}

/// The takers that are gone, each with what it had not looked at yet, to be given back. A list beside the channel: a
/// seat that is given up must not be lost where the channel is full. It is as short as there are seats.
pub(super) type Parted = Arc<Mutex<Vec<(TakerId, Vec<LeaseRef>)>>>;

/// A command: which messages and keys it has to see, and the rule that decides it.
pub(super) struct Command {
    /// Under which name its storage calls are counted.
    pub(super) call: &'static str,
    /// Messages that it touches.
    pub(super) ids: Vec<Uuid>,
    /// Idempotency keys that it asks for.
    pub(super) keys: Vec<RequestKey>,
    /// The same, asked for only if the secret that this conversation handed out has not come back.
    pub(super) keys_before: Vec<(ConversationId, RequestKey)>,
    /// Conversations whose owners it asks for.
    pub(super) conversations: Vec<ConversationId>,
    /// How many items it has and how many bytes of texts: a group of commands has a bound in both.
    pub(super) weight: Weight,
    /// Its part of the room before the writer, given back once it is decided.
    pub(super) taken: Option<Taken>,
    /// The span of the call that it is of, if that is recorded.
    pub(super) call_span: Option<TraceContext>,
    pub(super) decide: Decide,
}

/// What a command adds to its commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

impl Job {
    pub(super) fn weight(&self) -> Weight {
        match self {
            Self::Command(command) => command.weight,
            Self::Join(..) | Self::Wake => Weight { items: 1, bytes: 0 },
        }
    }
}

/// Lets a rule decide, and keeps its outcome until the commit.
pub(super) type Decide = Box<dyn FnOnce(&mut Queue, &mut At<'_>) -> Answer + Send>;

/// Sends the outcome to the caller; called after the commit.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

impl Command {
    /// Wraps a rule and the way back to its caller. Where the caller has gone away before its turn, nothing is done.
    pub(super) fn new<T: Send + 'static>(
        call: &'static str,
        reply: oneshot::Sender<T>,
        rule: impl FnOnce(&mut Queue, &mut At<'_>) -> T + Send + 'static,
    ) -> Self {
        let decide = move |queue: &mut Queue, at: &mut At<'_>| -> Answer {
            if reply.is_closed() {
                return Box::new(|| ());
            }
            let outcome = rule(queue, at);
            Box::new(move || {
                // A caller that went away in the meantime finds the outcome in the feed.
                let _ = reply.send(outcome);
            })
        };
        Self {
            call,
            ids: Vec::new(),
            keys: Vec::new(),
            keys_before: Vec::new(),
            conversations: Vec::new(),
            weight: Weight { items: 1, bytes: 0 },
            taken: None,
            call_span: telemetry::recorded_trace(),
            decide: Box::new(decide),
        }
    }
}
