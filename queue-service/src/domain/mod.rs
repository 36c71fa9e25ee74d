//! The rules of the queue: what a command does to the messages, decided without a clock, a disk or a network.
//!
//! Owns the state of all live work ([`Queue`]). Must never name tonic, sled or tokio, read a clock or draw randomness:
//! both come in with [`At`]. Everything that a rule changes leaves as a [`Change`], and folding the changes of a log
//! into an empty queue gives the same state again.

mod backoff;
mod claim;
mod conversation;
mod dispatch;
mod finish;
mod ids;
mod limits;
mod lines;
mod message;
mod operate;
mod owner;
mod post;
mod queue;
mod rejection;
mod reserved;
mod sender;
mod shares;
mod takers;
mod throttle;

pub use claim::{ClaimBy, LeaseRef, Leased};
pub use conversation::ConversationId;
pub use finish::{Completed, Failed, Failure, Reply};
pub use ids::Ids;
pub use limits::{Checks, Limits, Violation};
pub use lines::Place;
pub use message::{
    Address, Author, Change, ChangeKind, Claim, Content, GivenUp, Record, State, Status, Token, Work,
};
pub use operate::{Editor, Update};
pub use owner::{Claimant, Owner};
pub use post::{NewMessage, Posted, Request, RequestKey, Requested};
pub use queue::{At, Millis, Moment, Queue, QueueRules};
pub use rejection::Rejection;
pub use reserved::{BotName, Reserved, ReservedNames, name_setting};
pub use sender::{Sender, SenderKey};
pub use takers::{Event, SessionView, SessionsAfter, Taker, TakerId};
pub use throttle::{EntityLimit, EntityLimits, Pause};

#[cfg(test)]
pub(crate) mod tests;
