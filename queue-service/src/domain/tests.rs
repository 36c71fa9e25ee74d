//! Tests of the rules: a state machine against a plain model, and sentences where a table says more than randomness.
//! [`world`] and [`history`] serve the tests of the journal, the views and the writer too.

pub(crate) mod history;
pub(crate) mod world;

mod acts;
mod attempts;
mod blocks;
mod completion;
mod hiding;
mod leases;
mod lifecycle;
mod losses;
mod machine;
mod measured;
mod model;
mod order;
mod owners;
mod past_attempts;
mod posts;
mod shares;
mod streams;
mod throttle;
mod times;
