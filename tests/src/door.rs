//! A door that stays where it is while the service behind it dies and comes back elsewhere.
//!
//! Clients that know one address only, such as a gateway, find the service through it across restarts, and no test has to
//! fight for a port that it had before.

use std::{io, net::SocketAddr};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// An address that leads to a service, or to nobody for a while.
#[derive(Debug)]
pub struct Door {
    addr: SocketAddr,
    behind: watch::Sender<Option<SocketAddr>>,
    _porter: AbortOnDropHandle<()>,
}

impl Door {
    /// A door on a free port of the loopback interface, closed at first.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn new() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (behind, leads_to) = watch::channel(None);
        let addr = listener.local_addr()?;
        let _porter = AbortOnDropHandle::new(tokio::spawn(let_in(listener, leads_to)));
        Ok(Self { addr, behind, _porter })
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Opens the door to the service at `addr`. Who came while it was closed has waited, and goes in now.
    pub fn open_to(&self, addr: SocketAddr) {
        self.behind.send_replace(Some(addr));
    }

    /// Closes the door: who comes from now on waits. Who is inside stays there.
    pub fn close(&self) {
        self.behind.send_replace(None);
    }
}

async fn let_in(listener: TcpListener, leads_to: watch::Receiver<Option<SocketAddr>>) {
    let mut guests = JoinSet::new();
    loop {
        tokio::select! {
            // An error concerns one connection only.
            accepted = listener.accept() => if let Ok((guest, _)) = accepted {
                guests.spawn(show_in(guest, leads_to.clone()));
            },
            Some(_) = guests.join_next() => {}
        }
    }
}

/// Carries bytes both ways until one side is cut off. Then both are.
async fn show_in(mut guest: TcpStream, mut leads_to: watch::Receiver<Option<SocketAddr>>) {
    let Ok(Some(addr)) = leads_to.wait_for(Option::is_some).await.map(|addr| *addr) else { return };
    let Ok(mut host) = TcpStream::connect(addr).await else { return };
    // Small messages in both directions: none waits for another.
    let _ = (guest.set_nodelay(true), host.set_nodelay(true));
    let _ = copy_bidirectional(&mut guest, &mut host).await;
}
