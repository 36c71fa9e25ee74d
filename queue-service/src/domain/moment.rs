//! Time as the rules know it: it comes in from outside, and a clock that is wrong has two of it.

/// Milliseconds: a point in time since the Unix epoch, or a span.
pub type Millis = i64;

/// A moment as the service tells it, both in Unix milliseconds. See `writer/clock.rs`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Service time: spans begin and end by it. It runs by the monotonic clock, and no step of the wall clock moves it.
    pub now: Millis,
    /// The wall clock: what clients are shown, and what stamps are taken from.
    pub wall: Millis,
}

impl Moment {
    /// A moment of a clock that is right: both times are the same.
    pub fn of(time: Millis) -> Self {
        Self { now: time, wall: time }
    }
}

/// The moment in which a command is decided, and the randomness that it may use.
pub struct At<'a> {
    /// Service time: spans begin and end by it.
    pub now: Millis,
    /// The wall clock: what clients are shown.
    pub wall: Millis,
    /// The time stamp of messages posted in this commit; greater than that of the commit before.
    pub stamp: Millis,
    /// 128 fresh random bits a call.
    pub fresh: &'a mut dyn FnMut() -> [u8; 16],
}
