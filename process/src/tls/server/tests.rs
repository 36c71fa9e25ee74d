use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, KeyPair, generate_simple_self_signed};
use tempfile::TempDir;

use super::{TlsSettings, expiry};
use crate::tls::current::Change;

/// A certificate and its key in a folder of their own.
struct Pair {
    folder: TempDir,
}

impl Pair {
    fn new() -> Self {
        let pair = Self { folder: TempDir::new().unwrap() };
        pair.renew();
        pair
    }

    fn renew(&self) {
        let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(self.path("cert"), made.cert.pem()).unwrap();
        fs::write(self.path("key"), made.signing_key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> TlsSettings {
        TlsSettings {
            tls_cert: Some(self.path("cert")),
            tls_key: Some(self.path("key")),
            tls_client_ca: None,
        }
    }
}

#[test]
fn certificate_and_key_come_together_or_not_at_all() {
    let pair = Pair::new();
    assert!(TlsSettings::default().load().unwrap().is_none());
    assert!(pair.settings().load().unwrap().is_some());
    for (settings, named) in [
        (TlsSettings { tls_key: None, ..pair.settings() }, "--tls-key"),
        (TlsSettings { tls_cert: None, ..pair.settings() }, "--tls-cert"),
        (TlsSettings { tls_client_ca: Some(pair.path("cert")), ..TlsSettings::default() }, "--tls-client-ca"),
    ] {
        let problem = settings.check().unwrap_err();
        assert!(problem.contains(named), "{problem}");
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named_and_nothing_of_a_key_is_told() {
    let (pair, other) = (Pair::new(), Pair::new());
    let key = fs::read_to_string(pair.path("key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    fs::write(pair.path("broken-key"), key.replace("-----END", "----END")).unwrap();
    fs::write(pair.path("locked-key"), key.replace("PRIVATE", "ENCRYPTED PRIVATE")).unwrap();
    fs::write(pair.path("no-key"), key.replace(secret, "AAAA")).unwrap();
    fs::write(pair.path("big"), vec![b'x'; 3 << 20]).unwrap();
    let cert = |path: PathBuf| TlsSettings { tls_cert: Some(path), ..pair.settings() };
    let key = |path: PathBuf| TlsSettings { tls_key: Some(path), ..pair.settings() };
    let ca = |path: PathBuf| TlsSettings { tls_client_ca: Some(path), ..pair.settings() };
    for (settings, file, why) in [
        (cert(pair.path("none")), "none", "cannot be read"),
        (cert(pair.path("key")), "key", "no certificate"),
        (cert(pair.path("big")), "big", "at most"),
        (key(pair.path("cert")), "cert", "no private key"),
        (key(other.path("key")), "key", "is not the key of the certificate in"),
        (key(pair.path("broken-key")), "broken-key", "PEM"),
        (key(pair.path("locked-key")), "locked-key", "encrypted"),
        (key(pair.path("no-key")), "no-key", "no key that can be used"),
        (ca(pair.path("key")), "key", "no certificate"),
    ] {
        let problem = settings.check().unwrap_err();
        assert!(problem.starts_with("--tls-"), "{problem}");
        assert!(problem.contains(&format!("/{file}: ")) && problem.contains(why), "{problem}");
        assert!(!problem.contains(&secret[..16]), "{problem}");
    }
}

#[test]
fn the_end_of_a_certificate_is_read() {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2031, 2, 3);
    let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let end = humantime::parse_rfc3339("2031-02-03T00:00:00Z").unwrap();
    assert_eq!(expiry(made.der()), Some(end));
    assert_eq!(expiry(&b"nothing".to_vec().into()), None);
}

#[tokio::test(start_paused = true)]
async fn what_replaces_the_files_holds_for_new_connections_and_what_is_broken_changes_nothing() {
    let pair = Pair::new();
    let tls = pair.settings().load().unwrap().unwrap();
    let (first, (sender, mut told)) = (tls.config(), tokio::sync::mpsc::channel(16));
    let following = tls.0.clone().follow(move |change| {
        let line = match change {
            Change::Replaced => "replaced".to_owned(),
            Change::Failed(problem) => problem.to_string(),
        };
        sender.try_send(line).unwrap();
    });
    let following = tokio::spawn(async move { match following.await {} });
    fs::write(pair.path("cert"), "gone").unwrap();
    assert!(told.recv().await.unwrap().contains("no certificate"));
    assert!(std::sync::Arc::ptr_eq(&tls.config(), &first));
    pair.renew();
    assert_eq!(told.recv().await.unwrap(), "replaced");
    assert!(!std::sync::Arc::ptr_eq(&tls.config(), &first));
    // As Kubernetes does it: the folder that a link leads to is another one.
    let next = Pair::new();
    fs::remove_file(pair.path("cert")).unwrap();
    fs::remove_file(pair.path("key")).unwrap();
    std::os::unix::fs::symlink(next.path("key"), pair.path("key")).unwrap();
    std::os::unix::fs::symlink(next.path("cert"), pair.path("cert")).unwrap();
    while told.recv().await.unwrap() != "replaced" {}
    following.abort();
    assert!(SystemTime::now() + Duration::from_secs(86_400) < tls.0.get(|loaded| loaded.expires).unwrap());
}
