//! The listening socket of a server.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket};

/// What the system may hold of the answers of one connection that its peer does not take. Of itself it holds up to 4 MiB,
/// which no budget of answers counts. It is told a half of what it may use: it counts its own bookkeeping as well (socket(7)).
const SEND_BUFFER: u32 = 256 * 1024;
/// Connections that are made and not accepted yet.
const BACKLOG: u32 = 1_024;

/// Listens at `addr`; its connections have small send buffers.
///
/// # Errors
/// What the system says, such as that the address is taken.
pub fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart finds connections of its predecessor that are not forgotten yet.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncWriteExt as _,
        net::TcpSocket,
        time::{Duration, timeout},
    };

    use super::{SEND_BUFFER, listen};

    #[tokio::test]
    async fn the_system_holds_little_of_what_a_peer_does_not_take() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = TcpSocket::new_v4().unwrap();
        client.set_recv_buffer_size(4_096).unwrap();
        let address = listener.local_addr().unwrap();
        let (peer, accepted) = tokio::join!(client.connect(address), listener.accept());
        let (_peer, (mut connection, _)) = (peer.unwrap(), accepted.unwrap());
        let mut held = 0;
        // Once nothing more is taken it stays so: nobody reads.
        while let Ok(written) = timeout(Duration::from_secs(1), connection.write(&[0; 16 * 1024])).await {
            held += written.unwrap();
            assert!(held <= 2 * SEND_BUFFER as usize + 64 * 1024, "{held} bytes");
        }
    }
}
