//! Certificates for tests: an authority of the test's own, and what it issues.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Names of every server under test.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "talk.example"];

/// An authority whose certificate is a file.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    pem: String,
}

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The file of the certificate, PEM.
    pub cert: String,
    /// The file of its private key, PEM.
    pub key: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Certificate and key in one text, PEM.
    pub pem: String,
}

impl Authority {
    /// An authority whose files are in `folder`.
    ///
    /// # Panics
    /// If they cannot be written there.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no name is wrong");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key can be drawn");
        let pem = params.self_signed(&key).expect("a key can sign").pem();
        let authority = Self { issuer: Issuer::new(params, key), folder: folder.join(name), pem };
        fs::create_dir(&authority.folder).expect("a new folder can be written to");
        fs::write(authority.file("ca.pem"), &authority.pem).expect("a new folder can be written to");
        authority
    }

    /// The file of its certificate.
    pub fn ca(&self) -> String {
        self.file("ca.pem")
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Issues a certificate for servers on this machine and for clients, into files of this name; what they held before is
    /// replaced.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn issue(&self, name: &str) -> Issued {
        self.issue_for(name, &NAMES)
    }

    /// The same for servers of these names or addresses.
    ///
    /// # Panics
    /// If the files cannot be written.
    pub fn issue_for(&self, name: &str, servers: &[&str]) -> Issued {
        let servers: Vec<String> = servers.iter().map(|server| (*server).to_owned()).collect();
        let mut params = CertificateParams::new(servers).expect("these are names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key can be drawn");
        let made = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        let (cert, key_file) = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        fs::write(&cert, made.pem()).expect("our own folder can be written to");
        fs::write(&key_file, key.serialize_pem()).expect("our own folder can be written to");
        let pem = format!("{}{}", made.pem(), key.serialize_pem());
        Issued { cert, key: key_file, der: made.der().to_vec(), pem }
    }

    fn file(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }
}
