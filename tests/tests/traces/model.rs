//! An endpoint whose model writes [`REPLY`], and stops after its first word until it may go on.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::task::AbortOnDropHandle;

use crate::REPLY;

/// The model.
pub(crate) struct Model {
    addr: SocketAddr,
    may_finish: Arc<Semaphore>,
    _serving: AbortOnDropHandle<()>,
}

impl Model {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, may_finish) = (listener.local_addr().unwrap(), Arc::new(Semaphore::new(0)));
        let finish = Arc::clone(&may_finish);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&finish)));
            }
        });
        Self { addr, may_finish, _serving: AbortOnDropHandle::new(serving) }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }

    /// Lets one answer come to its end.
    pub(crate) fn finish_one(&self) {
        self.may_finish.add_permits(1);
    }
}

async fn answer(mut stream: TcpStream, may_finish: Arc<Semaphore>) {
    let mut request = Vec::new();
    // Bodies end with the document.
    while !request.ends_with(b"}") && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let (first, rest) = REPLY.split_at(6);
    let first = format!(r#"{head}data: {{"choices":[{{"delta":{{"content":"{first}"}}}}]}}"#) + "\n\n";
    let usage = r#""usage":{"prompt_tokens":21,"completion_tokens":4,"total_tokens":25}"#;
    let rest =
        format!(r#"data: {{"choices":[{{"delta":{{"content":"{rest}"}},"finish_reason":"stop"}}],{usage}}}"#);
    // Whoever hangs up wants no more.
    let _ = stream.write_all(first.as_bytes()).await;
    may_finish.acquire().await.unwrap().forget();
    let _ = stream.write_all(format!("{rest}\n\ndata: [DONE]\n\n").as_bytes()).await;
}
