//! Tests of the rules: a state machine against a plain model, and sentences where a table says more than randomness.

mod attempts;
mod completion;
mod leases;
mod lifecycle;
mod machine;
mod model;
mod order;
mod posts;
mod streams;
mod world;
