//! HTTP/2 by hand, for clients that do what no library lets them do: open no window, send no end, only answer pings.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// The connection's own window is as large as it can be: only those of streams are tested.
const WIDE: u32 = 0x7000_0000;

/// One connection.
#[derive(Debug)]
pub struct Frames(TcpStream);

/// The code of a reset by a client that needs no answer any more (RFC 9113, section 7).
const CANCEL: u32 = 8;

/// What the server sent; what only the connection needs is answered and left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// The head of an answer; its status, where it is one that has a number of its own in the table of HPACK.
    Head {
        /// The stream.
        stream: u32,
        /// The status; 0 where it is written out.
        status: u16,
        /// True where no body follows.
        ends: bool,
    },
    /// So many bytes of a body.
    Body {
        /// The stream.
        stream: u32,
        /// How many.
        bytes: usize,
        /// True where they are the last.
        ends: bool,
    },
    /// The stream was reset.
    Reset {
        /// The stream.
        stream: u32,
    },
    /// The connection is to end.
    GoAway,
}

impl Frames {
    /// Connects, with this window for each stream.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(address: SocketAddr, window: u32) -> io::Result<Self> {
        Self::connect_from("127.0.0.1", address, window).await
    }

    /// The same from another address of this machine.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect_from(from: &str, address: SocketAddr, window: u32) -> io::Result<Self> {
        let mut frames = Self(connect_from(from, address).await?);
        frames.0.set_nodelay(true)?;
        frames.0.write_all(PREFACE).await?;
        let initial_window = [&4_u16.to_be_bytes()[..], &window.to_be_bytes()].concat();
        frames.send(SETTINGS, 0, 0, &initial_window).await?;
        frames.open_window(0, WIDE).await?;
        Ok(frames)
    }

    /// Asks for `path` on `stream`, an odd number.
    ///
    /// # Errors
    /// What the system says.
    pub async fn get(&mut self, stream: u32, path: &str) -> io::Result<()> {
        let head = [&[0x82, 0x86][..], &literal(4, path), &literal(1, "localhost")].concat();
        self.send(HEADERS, END_HEADERS | END_STREAM, stream, &head).await
    }

    /// Begins the head of a request, and gives the connection to whoever is to go on with it: of its `bytes` none is sent.
    ///
    /// # Errors
    /// What the system says.
    pub async fn begin_head(mut self, stream: u32, bytes: u16) -> io::Result<TcpStream> {
        let length = u32::from(bytes).to_be_bytes();
        let head = [&length[1..], &[HEADERS, END_HEADERS | END_STREAM], &stream.to_be_bytes()].concat();
        self.0.write_all(&head).await?;
        Ok(self.0)
    }

    /// Begins to send a body of this content type to `path`, and does not end it.
    ///
    /// # Errors
    /// What the system says.
    pub async fn begin_post(
        &mut self,
        stream: u32,
        path: &str,
        content_type: &str,
        begin: &[u8],
    ) -> io::Result<()> {
        let te = [&[0x00, 2][..], b"te", &[8], b"trailers"].concat();
        let head = [
            &[0x83, 0x86][..],
            &literal(4, path),
            &literal(1, "localhost"),
            &[0x0f, 0x10],
            &text(content_type),
            &te,
        ]
        .concat();
        self.send(HEADERS, END_HEADERS, stream, &head).await?;
        self.send(DATA, 0, stream, begin).await
    }

    /// Sends the rest of a body.
    ///
    /// # Errors
    /// What the system says.
    pub async fn end_post(&mut self, stream: u32, rest: &[u8]) -> io::Result<()> {
        self.send(DATA, END_STREAM, stream, rest).await
    }

    /// Gives up what was asked for on a stream.
    ///
    /// # Errors
    /// What the system says.
    pub async fn reset(&mut self, stream: u32) -> io::Result<()> {
        self.send(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()).await
    }

    /// Takes so many bytes more on a stream.
    ///
    /// # Errors
    /// What the system says.
    pub async fn open_window(&mut self, stream: u32, bytes: u32) -> io::Result<()> {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes()).await
    }

    /// What comes next; `None` at the end of the connection. Pings and settings are answered.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.ok()?;
            let ends = flags & END_STREAM != 0;
            match kind {
                PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload).await.ok()?,
                SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await.ok()?,
                HEADERS => return Some(Frame::Head { stream, status: status(&payload), ends }),
                DATA => return Some(Frame::Body { stream, bytes: length, ends }),
                RST_STREAM => return Some(Frame::Reset { stream }),
                GOAWAY => return Some(Frame::GoAway),
                _ => {}
            }
        }
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0.write_all(&[&head, payload].concat()).await
    }
}

/// Connects from an address of this machine: for the server, each is another client.
///
/// # Errors
/// What the system says.
pub async fn connect_from(from: &str, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.parse().expect("an address"), 0))?;
    socket.connect(address).await
}

/// A header whose name has this number in the table of HPACK (RFC 7541, appendix A), with its value written out.
fn literal(name: u8, value: &str) -> Vec<u8> {
    [&[name][..], &text(value)].concat()
}

fn text(value: &str) -> Vec<u8> {
    let length = u8::try_from(value.len()).ok().filter(|length| *length < 127).expect("a short value");
    [&[length][..], value.as_bytes()].concat()
}

/// The status of a head, where it comes first and has a number of its own.
fn status(head: &[u8]) -> u16 {
    // The table's size may be set before it.
    let first = head.iter().find(|byte| **byte & 0xe0 != 0x20);
    let known = [(0x88, 200), (0x89, 204), (0x8a, 206), (0x8b, 304), (0x8c, 400), (0x8d, 404), (0x8e, 500)];
    known.iter().find(|(byte, _)| first == Some(byte)).map_or(0, |(_, status)| *status)
}
