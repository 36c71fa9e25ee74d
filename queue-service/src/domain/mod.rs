//! The rules of the queue: what a command does to the messages, decided without a clock, a disk or a network.
//!
//! Owns the state of all live work ([`Queue`]). Must never name tonic, sled or tokio, read a clock or draw randomness:
//! both come in with [`At`]. Everything that a rule changes leaves as a [`Change`], and folding the changes of a log
//! into an empty queue gives the same state again.

mod acts;
mod attempt;
mod backoff;
mod blocks;
mod claim;
mod conversation;
mod dispatch;
mod finish;
mod ids;
mod limits;
mod lines;
mod measured;
mod message;
mod moment;
mod operate;
mod origin;
mod own_name;
mod owner;
mod post;
mod queue;
mod rejection;
mod reserved;
mod rules;
mod selection;
mod sender;
mod shares;
mod takers;
mod throttle;
mod trust;
mod work;

pub use acts::{Act, ActKind, ActRows, Actor, Deed, Target};
pub use attempt::{Attempt, AttemptEnd, ShownAttempt};
pub use backoff::Backoff;
pub use blocks::{Block, BlockRow};
pub use claim::{ClaimBy, LeaseRef, Leased, Proof};
pub use conversation::ConversationId;
pub use finish::{Completed, Failed, Failure, Reply};
pub use ids::Ids;
pub use limits::{Checks, Limits, Violation};
pub use lines::Place;
pub use measured::{LeaseLoss, Measured};
pub use message::{Address, Author, Change, ChangeKind, Content, Record, State};
pub use moment::{At, Millis, Moment};
pub use operate::{Editor, Update};
pub use origin::Origin;
pub use own_name::OwnName;
pub use owner::{Claimant, Owner};
pub use post::{NewMessage, Posted, Request, RequestKey, Requested};
pub use queue::Queue;
pub use rejection::Rejection;
pub use reserved::{BotName, Reserved, ReservedNames, name_setting};
pub use rules::QueueRules;
pub use selection::{Cancelled, Selection, Selector};
pub use sender::{Sender, SenderKey, Source};
pub use takers::{Event, SessionView, SessionsAfter, Taker, TakerId};
pub use throttle::{EntityLimit, EntityLimits, Pause};
pub use trust::HeldBack;
pub use work::{Claim, GivenUp, Status, Token, Work};

#[cfg(test)]
pub(crate) mod tests;
