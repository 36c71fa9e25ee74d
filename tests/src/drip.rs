//! A client that is never done with what it sends.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::interval,
};

use crate::within_deadline;

/// Between two drops: far shorter than any patience that a test sets.
const PACE: Duration = Duration::from_millis(20);

/// Sends `drop` again and again until the other side ends the connection, whatever it says before.
///
/// # Panics
/// If it does not end within the deadline.
pub async fn drip_until_ended(connection: &mut TcpStream, drop: &[u8]) {
    let (mut from, mut to) = connection.split();
    let mut pace = interval(PACE);
    let dripping = async {
        while to.write_all(drop).await.is_ok() {
            pace.tick().await;
        }
    };
    let mut said = Vec::new();
    let ending = async {
        tokio::select! { () = dripping => {}, _ = from.read_to_end(&mut said) => {} }
    };
    within_deadline("the end of a connection that drips", ending).await;
}
