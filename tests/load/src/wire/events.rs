//! A stream of events, read by as little work as can be: only the numbers in its ids are looked at.

use std::net::{Ipv4Addr, SocketAddr};

use memchr::memmem::Finder;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::dial;
use crate::error::Error;

/// How an id begins. No message holds a line end, so it stands nowhere else.
const ID: &[u8] = b"\nid: ";
const BUFFER: usize = 4_096;

/// One open stream.
pub(crate) struct Events {
    stream: TcpStream,
    finder: Finder<'static>,
    /// What may be the beginning of an id.
    rest: Vec<u8>,
}

impl Events {
    /// Opens a stream and waits until it has begun.
    ///
    /// # Errors
    /// Where it is refused.
    pub(crate) async fn open(addr: SocketAddr, path: &str) -> Result<Self, Error> {
        Self::open_from(None, addr, path).await
    }

    /// The same from this address of the machine.
    ///
    /// # Errors
    /// If it is refused.
    pub(crate) async fn open_from(
        from: Option<Ipv4Addr>,
        addr: SocketAddr,
        path: &str,
    ) -> Result<Self, Error> {
        let mut stream = dial(from, addr).await?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nAccept: text/event-stream\r\n\r\n");
        stream.write_all(head.as_bytes()).await.map_err(Error::io("asking for a stream"))?;
        let mut begun = Vec::new();
        while memchr::memmem::find(&begun, b"event: hello").is_none() {
            let count = stream.read_buf(&mut begun).await.map_err(Error::io("opening a stream"))?;
            if count == 0 || begun.len() > BUFFER {
                return Err(Error::Http(String::from_utf8_lossy(&begun).into_owned()));
            }
        }
        Ok(Self { stream, finder: Finder::new(ID), rest: Vec::new() })
    }

    /// Waits for more, and tells the number of each id in it. False at the end.
    pub(crate) async fn read(&mut self, mut told: impl FnMut(u64)) -> bool {
        // On the stack of whoever polls: thousands of idle streams need no buffer.
        if self.stream.readable().await.is_err() {
            return false;
        }
        let mut buffer = [0; BUFFER];
        match self.stream.try_read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.take_in(&buffer[..count], &mut told);
                true
            }
            Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }

    fn take_in(&mut self, bytes: &[u8], told: &mut impl FnMut(u64)) {
        let carried = std::mem::take(&mut self.rest);
        let joined;
        let bytes = if carried.is_empty() {
            bytes
        } else {
            joined = [&carried[..], bytes].concat();
            &joined[..]
        };
        let mut from = 0;
        while let Some(at) = self.finder.find(&bytes[from..]) {
            let id = from + at + ID.len();
            let Some(end) = memchr::memchr(b'\n', &bytes[id..]) else {
                self.rest = bytes[from + at..].to_vec();
                return;
            };
            let digits = bytes[id..id + end].rsplit(|byte| *byte == b'.').next().unwrap_or_default();
            if let Some(number) = str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()) {
                told(number);
            }
            from = id + end;
        }
        // Half a mark may stand at the end.
        let tail = bytes.len().saturating_sub(ID.len() - 1).max(from);
        if memchr::memchr(b'\n', &bytes[tail..]).is_some() {
            self.rest = bytes[tail..].to_vec();
        }
    }
}
