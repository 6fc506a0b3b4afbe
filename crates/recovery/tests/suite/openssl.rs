//! CAs, certificates and verdicts of `openssl`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use certadm_ca::Serial;
use certadm_ca::rows::Disposition;
use certadm_recovery::{PrivateKey, Row};
use certadm_rules::{FileTime, pem};

/// A folder to work in.
pub(crate) struct Openssl {
    dir: tempfile::TempDir,
}

/// A configuration that adds nothing by itself.
const CONFIGURATION: &str = "\
[req]\ndistinguished_name = dn\n[dn]\n\
[ca]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign\n\
subjectKeyIdentifier = hash\n\
[leaf]\nauthorityKeyIdentifier = keyid\ncrlDistributionPoints = URI:http://crl.example/ca.crl\n\
[pointless]\nauthorityKeyIdentifier = keyid\n[bare]\nauthorityKeyIdentifier = none\n";

impl Openssl {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("openssl.cnf"), CONFIGURATION).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs it with arguments separated by blanks; what it printed, and whether it was content.
    pub(crate) fn run(&self, line: &str) -> (bool, String) {
        let output = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(self.dir.path())
            .output()
            .expect("openssl");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    pub(crate) fn good(&self, line: &str) -> String {
        let (good, text) = self.run(line);
        assert!(good, "openssl {line}: {text}");
        text
    }

    /// A key in `NAME.key`, made with these options of `genpkey`.
    pub(crate) fn key(&self, name: &str, options: &str) -> PrivateKey {
        self.good(&format!("genpkey {options} -out {name}.key"));
        self.good(&format!("pkcs8 -topk8 -nocrypt -in {name}.key -outform DER -out {name}.p8"));
        PrivateKey::from_pkcs8(&fs::read(self.path(&format!("{name}.p8"))).unwrap()).unwrap()
    }

    /// A key in `NAME.key` of whatever kind.
    pub(crate) fn key_of_any_kind(&self, name: &str, options: &str) {
        self.good(&format!("genpkey {options} -out {name}.key"));
    }

    /// A CA certificate in `NAME.pem` for a key, with a CA version; `options` say how it is signed.
    pub(crate) fn ca(&self, name: &str, key: &str, version: Option<u32>, options: &str) {
        let version = version
            .map_or(String::new(), |version| format!("-addext 1.3.6.1.4.1.311.21.1=ASN1:INTEGER:{version}"));
        self.good(&format!(
            "req -x509 -new -config openssl.cnf -extensions ca -key {key}.key -subj /O=Example/CN=Renewed -days 3650 {version} {options} -out {name}.pem"
        ));
    }

    /// A certificate in `NAME.pem` by this CA, for the request of the whole folder.
    pub(crate) fn leaf(&self, name: &str, ca: &str, key: &str, serial: u32, options: &str) {
        if !self.path("leaf.csr").exists() {
            self.good("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out leaf.key");
            self.good("req -new -config openssl.cnf -key leaf.key -subj /CN=leaf.example -out leaf.csr");
        }
        self.good(&format!(
            "x509 -req -in leaf.csr -CA {ca}.pem -CAkey {key}.key -set_serial {serial} -days 365 -extfile openssl.cnf -extensions leaf {options} -out {name}.pem"
        ));
    }

    pub(crate) fn der(&self, name: &str) -> Vec<u8> {
        let text = fs::read(self.path(&format!("{name}.pem"))).unwrap();
        pem::blocks(&text).unwrap().remove(0).der
    }

    /// The row that a CA would have of a certificate.
    pub(crate) fn row(&self, name: &str, request_id: i64, disposition: Disposition) -> Row {
        let is_revoked = disposition == Disposition::REVOKED;
        let when = FileTime::from_unix_seconds(1_759_400_000);
        Row {
            request_id,
            disposition,
            revoked_when: None,
            revoked_effective_when: is_revoked.then_some(when),
            revoked_reason: is_revoked.then_some(1),
            serial: Some(format!("{request_id:x}").parse::<Serial>().unwrap()),
            not_after: Some(FileTime::from_unix_seconds(4_000_000_000)),
            publish_expired: false,
            issuer_name_id: None,
            certificate: Some(self.der(name)),
        }
    }

    pub(crate) fn write_crl(&self, name: &str, der: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, pem::encode("X509 CRL", der)).unwrap();
        path
    }
}

/// The present, for certificates that openssl makes now.
pub(crate) fn now() -> FileTime {
    let passed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    FileTime::from_unix(passed)
}

impl Openssl {
    /// A CRL of the CA `ca` in DER, as `openssl ca -gencrl` makes it: its number, its dates as `YYMMDDHHMMSSZ`, extensions as
    /// lines of a configuration (`sections` follow them), and lines of `index.txt`: serial number, moment and reason.
    pub(crate) fn generated_crl(
        &self,
        number: &str,
        (from, to): (&str, &str),
        extensions: &str,
        sections: &str,
        revoked: &[(&str, &str, &str)],
    ) -> Vec<u8> {
        let index: String = revoked
            .iter()
            .map(|(serial, when, reason)| {
                format!("R\t400101000000Z\t{when},{reason}\t{serial}\tunknown\t/CN=leaf.example\n")
            })
            .collect();
        fs::write(self.path("index.txt"), index).unwrap();
        fs::write(self.path("crlnumber"), format!("{number}\n")).unwrap();
        let configuration = format!(
            "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\ncrlnumber = crlnumber\ndefault_md = sha256\n\
             crl_extensions = e\n[e]\nauthorityKeyIdentifier = keyid\n{extensions}\n{sections}\n"
        );
        fs::write(self.path("gencrl.cnf"), configuration).unwrap();
        self.good(&format!(
            "ca -gencrl -config gencrl.cnf -keyfile ca.key -cert ca.pem -crl_lastupdate {from} -crl_nextupdate {to} -out generated.pem"
        ));
        self.der("generated")
    }
}
