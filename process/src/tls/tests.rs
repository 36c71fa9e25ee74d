//! Connections over TLS by both ends.

use std::{fs, io::ErrorKind, sync::Arc, time::Duration};

use rcgen::generate_simple_self_signed;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore},
};

use super::{TlsSettings, provider};
use crate::{AnswerLimits, Begin, ByteLimit, Connection, Door, Patience};

/// A connection from both ends. What the client sends first is `hello`.
async fn connected(
    name: &'static str,
    idle: Duration,
    hello: &[u8],
) -> (Begin, Connection, TlsStream<TcpStream>) {
    let (folder, made) =
        (TempDir::new().unwrap(), generate_simple_self_signed(["localhost".to_owned()]).unwrap());
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let settings = TlsSettings { tls_cert: Some(cert), tls_key: Some(key), tls_client_ca: None };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let patience = Patience { idle, head: Duration::from_secs(20), least_rate: 100 };
    let total = ByteLimit::new("test_tls_answers", 1 << 20);
    let answers = AnswerLimits { total, per_connection: 1 << 10, per_connection_name: "test_tls_answer" };
    let mut door = Door::new(listener, name, 1, patience, answers).with_tls(settings.load().unwrap());

    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let connecting = async {
        let stream = TcpStream::connect(addr).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        stream.write_all(hello).await.unwrap();
        stream
    };
    let accepting = async { door.accept().await.0.begins().await.unwrap() };
    let (client, (begin, server)) = tokio::join!(connecting, accepting);
    (begin, server, client)
}

#[tokio::test]
async fn the_first_bytes_tell_the_protocol_and_stay_to_be_read() {
    let preface = crate::connection::PREFACE;
    for (hello, begin) in [(preface, Begin::Http2), (b"GET / HTTP/1.1\r\n", Begin::Http1)] {
        let (begun, mut server, _client) = connected("test_tls", Duration::from_secs(30), hello).await;
        assert_eq!(begun, begin);
        let mut read = vec![0; hello.len()];
        server.read_exact(&mut read).await.unwrap();
        assert_eq!(read, hello);
    }
}

#[tokio::test]
async fn a_connection_that_is_not_read_ends() {
    let (_, mut server, _client) =
        connected("test_tls_stalled", Duration::from_millis(100), b"GET / HTTP/1.1\r\n").await;
    let error = loop {
        if let Err(error) = server.write_all(&[0; 65_536]).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}
