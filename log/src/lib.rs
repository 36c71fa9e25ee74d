#![doc = include_str!("../README.md")]

mod engine;
mod error;
mod files;
mod memory;
mod record;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use engine::{Appended, Begin, End, Epoch, Extent, Log, LogWriter, Verified, verify};
pub use error::{AppendError, Damage, EraseError, MarkFault, OpenError, ReadError};
pub use files::{Adopted, Durability, FileLog, FileWriter, Options};
pub use memory::{MemoryLog, MemoryWriter};
pub use record::{Body, BodyAt, Check, Draft, Kind, Place, Record};

/// Random bytes from the system.
fn draw<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the system gives no random bytes: {error}"),
        }
    }
    bytes
}
