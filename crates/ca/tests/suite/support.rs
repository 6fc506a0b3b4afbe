//! A CA in a temporary folder, and `openssl` beside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use certadm_ca::{Authority, Config, Initialized, Issued, KeyType, Passphrase, Request, Role, Terms};
use certadm_store::{Folder, Writer};
use tempfile::TempDir;

pub(crate) const PASSPHRASE: &str = "correct horse";

pub(crate) fn passphrase() -> Passphrase {
    Passphrase::new(PASSPHRASE.into()).unwrap()
}

/// A root CA with an open writer.
pub(crate) struct TestCa {
    pub(crate) authority: Authority,
    pub(crate) writer: Writer,
    pub(crate) folder: Folder,
    pub(crate) scratch: TempDir,
}

impl TestCa {
    pub(crate) fn new() -> Self {
        Self::with(Config::new("Test CA".parse().unwrap(), KeyType::P256))
    }

    pub(crate) fn with(config: Config) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(scratch.path().join("ca"));
        let made =
            Authority::init(&folder, &config, Role::Root, &passphrase(), certadm_store::now()).unwrap();
        let Initialized::Root(authority) = made else {
            panic!("a root waits for nobody");
        };
        Self { authority: *authority, writer: Writer::open(&folder).unwrap(), folder, scratch }
    }

    pub(crate) fn issue(&mut self, request: &[u8], terms: &Terms<'_>) -> certadm_ca::Result<Issued> {
        let request = Request::parse(request)?;
        self.authority.issue(&mut self.writer, &request, terms, certadm_store::now())
    }

    /// Puts a certificate where `openssl` can read it.
    pub(crate) fn save(&self, issued: &Issued) -> PathBuf {
        let path = self.scratch.path().join(format!("{}.pem", issued.serial));
        std::fs::write(&path, issued.to_pem()).unwrap();
        path
    }

    /// The certificate as `openssl x509 -text` shows it.
    pub(crate) fn text(&self, issued: &Issued) -> String {
        let path = self.save(issued);
        openssl(&["x509", "-noout", "-text", "-in", text(&path)])
    }

    /// Verifies a certificate with this CA as the only trust anchor.
    pub(crate) fn verify(&self, issued: &Issued, options: &[&str]) -> String {
        let anchor = self.folder.certificate_path();
        let certificate = self.save(issued);
        let mut arguments = vec!["verify", "-x509_strict", "-CAfile", text(&anchor)];
        arguments.extend(options);
        arguments.push(text(&certificate));
        openssl(&arguments)
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn run_openssl(arguments: &[&str]) -> Output {
    Command::new("openssl")
        .args(arguments)
        .output()
        .expect("these tests need the `openssl` command: install it (Debian: apt-get install openssl)")
}

/// Runs `openssl`, which has to succeed, and gives its output.
pub(crate) fn openssl(arguments: &[&str]) -> String {
    let output = run_openssl(arguments);
    assert!(
        output.status.success(),
        "openssl {} failed:\n{}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Kinds of requester keys, as `openssl req -newkey` wants them.
pub(crate) const P256: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub(crate) const P384: &[&str] = &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"];
pub(crate) const RSA2048: &[&str] = &["-newkey", "rsa:2048"];

/// A PEM request of `openssl req`: `subject` as `/CN=...`, `options` such as `-addext`.
pub(crate) fn request(key: &[&str], subject: &str, options: &[&str]) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let key_path = scratch.path().join("key.pem");
    let mut arguments = vec!["req", "-new", "-nodes", "-subj", subject, "-keyout", text(&key_path)];
    arguments.extend(key);
    arguments.extend(options);
    openssl(&arguments).into_bytes()
}

/// A request of `openssl req` with a configuration file of its own.
pub(crate) fn request_from_config(key: &[&str], config: &str) -> Vec<u8> {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("req.cnf");
    std::fs::write(&path, config).unwrap();
    let key_path = scratch.path().join("key.pem");
    let mut arguments = vec!["req", "-new", "-nodes", "-config", text(&path), "-keyout", text(&key_path)];
    arguments.extend(key);
    openssl(&arguments).into_bytes()
}

/// A request for a host name.
pub(crate) fn server_request(name: &str) -> Vec<u8> {
    let san = format!("subjectAltName=DNS:{name}");
    request(P256, &format!("/CN={name}"), &["-addext", &san])
}

pub(crate) fn der_of(pem: &[u8]) -> Vec<u8> {
    use der::Document;
    let text = std::str::from_utf8(pem).unwrap();
    Document::from_pem(text).unwrap().1.into_vec()
}
