//! The checker can fail: each broken promise, in a small history made by hand, is told in a sentence.

mod answers;
mod changes;
mod reading;
mod story;
mod work;
