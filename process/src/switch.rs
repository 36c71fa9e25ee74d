//! On or off, for the flags of settings.

use clap::ValueEnum;
use serde::Serialize;

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}
