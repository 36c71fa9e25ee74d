//! A way to a service that dies without a word: packets vanish, and no connection ends.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

/// What becomes of what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is carried on.
    Carried,
    /// It waits here.
    Held,
    /// What connections carry that are open by now is lost; others are fine.
    OldLost,
    /// All of it is lost, whichever connection carries it.
    AllLost,
}

/// A proxy in front of a service.
#[derive(Debug)]
pub struct Way {
    addr: SocketAddr,
    fate: Arc<watch::Sender<(Fate, u64)>>,
    _carrier: AbortOnDropHandle<()>,
}

impl Way {
    /// A way to the service at `to`, on a free port of the loopback interface.
    ///
    /// # Panics
    /// Where no port can be had.
    pub async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("it is bound");
        let fate = Arc::new(watch::Sender::new((Fate::Carried, 0)));
        let _carrier = AbortOnDropHandle::new(tokio::spawn(carry_all(listener, to, Arc::clone(&fate))));
        Self { addr, fate, _carrier }
    }

    /// The address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// From now on what is sent waits on the way.
    pub fn hold(&self) {
        self.fate.send_modify(|fate| fate.0 = Fate::Held);
    }

    /// What connections carry that are open now is lost from now on, and they do not end. New ones are fine.
    pub fn lose_open(&self) {
        self.fate.send_modify(|(fate, epoch)| (*fate, *epoch) = (Fate::OldLost, *epoch + 1));
    }

    /// Everything is lost from now on, and nothing ends.
    pub fn lose_all(&self) {
        self.fate.send_modify(|(fate, epoch)| (*fate, *epoch) = (Fate::AllLost, *epoch + 1));
    }

    /// What is sent arrives again: what waited, and what new connections carry. What was lost stays lost, and its connections
    /// with it.
    pub fn mend(&self) {
        self.fate.send_modify(|(fate, _)| {
            *fate = if *fate == Fate::Held { Fate::Carried } else { Fate::OldLost };
        });
    }
}

async fn carry_all(listener: TcpListener, to: SocketAddr, fate: Arc<watch::Sender<(Fate, u64)>>) {
    let mut carried = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let born = fate.borrow().1;
        let fates = [fate.subscribe(), fate.subscribe()];
        carried.spawn(async move {
            let Ok(server) = TcpStream::connect(to).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            let [there, back] = fates;
            tokio::select! {
                () = carry(from_client, to_server, there, born) => {}
                () = carry(from_server, to_client, back, born) => {}
            }
        });
    }
}

async fn carry(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut fate: watch::Receiver<(Fate, u64)>,
    born: u64,
) {
    let mut bytes = [0; 16_384];
    loop {
        let Ok(count) = from.read(&mut bytes).await else { return };
        let Ok(now) = fate.wait_for(|now| now.0 != Fate::Held).await.map(|now| *now) else { return };
        let is_lost = match now {
            (Fate::AllLost, _) => true,
            (_, epoch) => born < epoch,
        };
        if is_lost {
            // Not even the end of it is seen.
            std::future::pending::<()>().await;
        }
        if count == 0 || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
