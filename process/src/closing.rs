//! Closing a listening socket without losing those who are on their way to it.
//!
//! The system makes connections by itself, and closing the socket resets those that nobody has accepted yet: a proxy that has
//! sent a request on one of them cannot know whether it was carried out. So new handshakes are passed over first. Whoever tries
//! one then tries again after a second, as if the packet was lost, and finds the address closed before a request was sent.

use std::time::Duration;

use tokio::net::TcpListener;

/// For how long connections that were being made are still waited for: far longer than a handshake takes.
pub(crate) const HANDSHAKES: Duration = Duration::from_millis(100);

/// Lets no handshake begin any more; those that have begun go on. If the system cannot do that, nothing changes.
#[cfg(target_os = "linux")]
pub(crate) fn pass_over_newcomers(listener: &TcpListener) {
    use socket2::{SockFilter, SockRef};

    // A classic BPF program, which is given each packet from its TCP header on (the kernel's "Linux Socket Filtering"):
    // a packet with the flag SYN in byte 13 is dropped, any other is let in.
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const NO_SYN: [SockFilter; 4] = [
        SockFilter::new(LOAD_BYTE, 0, 0, 13),
        SockFilter::new(JUMP_IF_ANY_BIT, 0, 1, 0x02),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&NO_SYN) {
        tracing::debug!(%error, "a connection that is made while this address closes may be lost");
    }
}

/// Lets no handshake begin any more, which other systems cannot.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pass_over_newcomers(_: &TcpListener) {}
