//! The commands of the machine.

use super::{Millis, Status};

/// A command. It names messages, claims and takers by numbers that always fit: see [`newest`].
#[derive(Debug, Clone, PartialEq)]
pub(in crate::domain::tests) enum Command {
    Post(Ask, Option<u8>),
    /// An AI says something of its own accord, in answer to a message or not.
    Say(Option<usize>),
    Claim {
        message: usize,
        worker: u8,
        /// The length of the lease that is asked for.
        asked: Option<Millis>,
    },
    Renew(Hold, Option<Millis>),
    Release(Hold),
    HoldBack(Hold),
    Complete {
        hold: Hold,
        reply: bool,
    },
    Fail {
        hold: Hold,
        retryable: bool,
        retry_after_ms: Option<Millis>,
    },
    Retry(usize),
    Cancel(usize),
    CancelAll {
        by_author: bool,
        who: u8,
        in_work: bool,
        most: usize,
    },
    Delete(usize),
    Hide(usize),
    Unhide(usize),
    Update(usize, Edit),
    Join {
        session: u8,
        room: usize,
        entities: Vec<u8>,
    },
    Wait {
        entities: Vec<u8>,
        ms: Millis,
    },
    Part(usize),
    Block {
        author: u8,
        ms: Millis,
    },
    Unblock(u8),
    Pause(u8),
    Resume(u8),
}

/// A question to a bot.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::domain::tests) struct Ask {
    pub(in crate::domain::tests) human: u8,
    pub(in crate::domain::tests) god_mode: bool,
    pub(in crate::domain::tests) entity: u8,
    pub(in crate::domain::tests) priority: u32,
    pub(in crate::domain::tests) author: Option<u8>,
    /// How much later than now, which may be earlier.
    pub(in crate::domain::tests) not_before: Option<Millis>,
    pub(in crate::domain::tests) expires_at: Option<Millis>,
}

/// How a worker names its claim.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::domain::tests) enum Hold {
    /// By the token of a claim that was made.
    Token(usize),
    /// By the message and the worker's name.
    Worker(usize, u8),
    /// By a token that nobody was given.
    Guess(usize),
}

/// An edit.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::domain::tests) struct Edit {
    pub(in crate::domain::tests) text: Option<String>,
    pub(in crate::domain::tests) priority: Option<u32>,
    pub(in crate::domain::tests) status: Option<Status>,
    pub(in crate::domain::tests) by_author: bool,
}

/// The place of the `n`th newest in a list of this length, counted in circles; none in an empty one.
pub(in crate::domain::tests) fn newest(n: usize, len: usize) -> Option<usize> {
    (len > 0).then(|| len - 1 - n % len)
}
