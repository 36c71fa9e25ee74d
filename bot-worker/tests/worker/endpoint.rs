//! An endpoint of the tests' own, on a real socket: it answers as it is told, part by part, and may leave a connection
//! open or cut it off, which no mock of whole responses can.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

use crate::fake::PATIENCE;

/// What the endpoint answers to one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// True: the connection stays open behind the body, whose end nothing tells.
    stays_open: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, headers: String::new(), body: Vec::new(), stays_open: false }
    }

    /// A body whose end is the end of the connection.
    pub(crate) fn body(kind: &str, body: impl AsRef<[u8]>) -> Self {
        Self { body: body.as_ref().into(), ..Self::status(200) }.header("content-type", kind)
    }

    /// A stream of these events.
    pub(crate) fn stream(body: impl AsRef<[u8]>) -> Self {
        Self::body("text/event-stream", body)
    }

    /// A stream that says this, in one word, and ends as it should.
    pub(crate) fn words(text: &str) -> Self {
        let chunk = serde_json::json!({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]});
        Self::stream(format!("data: {chunk}\n\ndata: [DONE]\n\n"))
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    pub(crate) fn stays_open(mut self) -> Self {
        self.stays_open = true;
        self
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The first line and the headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Asked {
    /// True if it is a probe, not a question.
    pub(crate) fn is_probe(&self) -> bool {
        let last = self.body["messages"].as_array().and_then(|messages| messages.last());
        last.is_some_and(|message| message["content"] == "Say OK.")
    }
}

type Rule = Box<dyn FnMut(&Asked) -> Answer + Send>;

/// The running endpoint.
pub(crate) struct Endpoint {
    addr: SocketAddr,
    asked: mpsc::Receiver<Asked>,
    rule: Arc<Mutex<Rule>>,
    _serving: AbortOnDropHandle<()>,
}

impl Endpoint {
    /// One that answers by this rule.
    pub(crate) async fn start(rule: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, asked) = mpsc::channel(1_000);
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(rule)));
        let shared = Arc::clone(&rule);
        let serving = async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, sender.clone(), Arc::clone(&shared)));
            }
        };
        Self { addr, asked, rule, _serving: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Answers by this rule from now on.
    pub(crate) fn answer_by(&self, rule: impl FnMut(&Asked) -> Answer + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> Asked {
        timeout(PATIENCE, self.asked.recv()).await.expect("the endpoint is asked in time").unwrap()
    }

    /// A request that nobody looked at.
    pub(crate) fn unseen(&mut self) -> Option<Asked> {
        self.asked.try_recv().ok()
    }
}

async fn answer(mut stream: TcpStream, seen: mpsc::Sender<Asked>, rule: Arc<Mutex<Rule>>) {
    let Some(asked) = request(&mut stream).await else { return };
    let answer = (rule.lock().unwrap())(&asked);
    seen.send(asked).await.unwrap();
    let head = format!("HTTP/1.1 {} Told\r\n{}connection: close\r\n\r\n", answer.status, answer.headers);
    // A client that has seen enough hangs up.
    let _ = stream.write_all(&[head.as_bytes(), &answer.body].concat()).await;
    if answer.stays_open {
        let _ = stream.read(&mut [0; 16]).await;
    }
}

async fn request(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
            if bytes.len() >= end + 4 + length {
                return Some(Asked { head, body: serde_json::from_slice(&bytes[end + 4..]).unwrap() });
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
