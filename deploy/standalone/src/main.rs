//! Placeholder replaced in this series.
fn main() {}
