//! The list of an identity part: its files with their hashes, and what is known of the CA's keys (recovery.md 2).
//!
//! The file is JSON in one canonical form and ends with a checksum of itself, as a set's manifest does: it shows damage, and is
//! no signature.

use std::collections::HashSet;

use certadm_rules::names::{folded, is_safe_component};
use certadm_rules::{CLOCK_TOLERANCE, FileTime};
use serde::{Deserialize, Serialize};

/// The name of the list.
pub const FILE_NAME: &str = "identity.json";
const FORMAT: &str = "certadm-identity";
const VERSION: u32 = 1;
/// No list is longer, 16 MiB.
pub(crate) const MAX_LEN: u64 = 16 << 20;
/// No file is longer, 1 GiB, as a dynamic file of a set.
pub const MAX_FILE: u64 = 1 << 30;
/// No CRL is longer.
pub(crate) const MAX_CRL: u64 = certadm_ca::MAX_CRL;
/// No other file is longer that is taken apart, 16 MiB.
const MAX_PARSED: u64 = 16 << 20;
/// All files that are taken apart have together no more, 1 GiB: one command may hold them at once.
const MAX_PARSED_TOTAL: u64 = 1 << 30;
/// All files have together no more, 64 GiB: a check reads each of them.
const MAX_TOTAL: u64 = 64 << 30;

/// What an identity part says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always `certadm-identity`.
    pub format: String,
    /// Version of the format: 1.
    pub version: u32,
    /// What wrote it, such as `certadm 0.1.0`.
    pub tool: String,
    /// The CA's common name as it says it; empty when it was not asked.
    pub ca_name: String,
    /// The CA's machine, likewise.
    pub host: String,
    /// The signature of the database that it stands beside, hexadecimal; empty when it is not known.
    pub database_signature: String,
    /// When the CA was asked, RFC 3339 UTC; nothing when it was not.
    pub taken: Option<String>,
    /// Every file.
    pub files: Vec<FileEntry>,
    /// What the CA was asked for and did not give.
    pub refused: Vec<Refused>,
    /// The private keys that were shown, and checked.
    pub keys: Vec<SeenKey>,
    /// Keys that are kept elsewhere, as the operator says.
    pub external_keys: Vec<Note>,
    /// What the operator wants those to know who need this.
    pub notes: Vec<Note>,
    /// BLAKE3 of the list with this field empty, in hexadecimal.
    pub checksum: String,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A certificate of the CA, DER.
    CaCertificate,
    /// The chain of one, PKCS#7.
    Chain,
    /// A base CRL.
    BaseCrl,
    /// A delta CRL.
    DeltaCrl,
    /// A cross certificate.
    CrossCertificate,
    /// The certificate of a key recovery agent.
    KraCertificate,
    /// The configuration, as JSON.
    Configuration,
    /// The configuration, as a registry file.
    Registry,
    /// The templates that the CA offers.
    Templates,
    /// What the CA says of itself beside all that.
    Properties,
    /// `ca.toml` of our own CA.
    CaToml,
    /// `ca.crt` of our own CA.
    CaCrt,
    /// `users.toml` of our own CA.
    Users,
    /// A private key, encrypted.
    Key,
    /// CAPolicy.inf.
    CaPolicy,
    /// Objects of a directory, LDIF.
    Ldif,
    /// An event log.
    Events,
    /// A certificate or CRL that was handed in.
    Certificate,
    /// A CRL that was handed in.
    Crl,
    /// Anything else.
    Other,
}

impl Role {
    /// The longest file of this role, in bytes.
    pub(crate) const fn most(self) -> u64 {
        match self {
            Self::BaseCrl | Self::DeltaCrl | Self::Crl => MAX_CRL,
            _ if self.is_parsed() => MAX_PARSED,
            _ => MAX_FILE,
        }
    }

    /// Whether a command takes the file apart. The others are kept, and handed out as they are.
    const fn is_parsed(self) -> bool {
        !matches!(self, Self::CaPolicy | Self::Ldif | Self::Events | Self::Other)
    }
}

/// Where a file came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// From the CA itself.
    Fetched,
    /// From the operator.
    Attached,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the folder, with `/`.
    pub path: String,
    /// What it is.
    pub role: Role,
    /// Where it came from.
    pub origin: Origin,
    /// What it was asked for by, or the name under which the operator had it.
    pub source: String,
    /// When, RFC 3339 UTC.
    pub taken: String,
    /// Length in bytes.
    pub size: u64,
    /// BLAKE3, hexadecimal.
    pub blake3: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// Sorts what was `taken` (RFC 3339, UTC) at different times, the newest last. What a wrong clock has dated later than `now` stands
/// before all others, so that it does not hide what was taken after it.
///
/// ```
/// use certadm_identity::newest_last;
/// use certadm_rules::FileTime;
///
/// let now = FileTime::from_unix_seconds(1_800_000_000);
/// let mut taken = ["2026-11-30T08:00:00Z", "2099-01-01T00:00:00Z", "2026-11-29T08:00:00Z"];
/// taken.sort_by_key(|taken| newest_last(taken, now));
/// assert_eq!(taken, ["2099-01-01T00:00:00Z", "2026-11-29T08:00:00Z", "2026-11-30T08:00:00Z"]);
/// ```
#[must_use]
pub fn newest_last(taken: &str, now: FileTime) -> (bool, &str) {
    let latest = FileTime::from_unix_seconds(now.unix_seconds().saturating_add(CLOCK_TOLERANCE));
    (taken <= latest.to_rfc3339().as_str(), taken)
}

/// A question that was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The question.
    pub what: String,
    /// The HRESULT, as `0x80070005`.
    pub code: String,
    /// Many CAs refuse it, and nothing is amiss.
    pub expected: bool,
}

/// A private key that was shown to `certadm attach`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenKey {
    /// SHA-1 over the public key, hexadecimal: the key identifier that most certificates have.
    pub key_identifier: String,
    /// SHA-256 over the public key (SubjectPublicKeyInfo), hexadecimal.
    pub public_key_sha256: String,
    /// When it was checked, RFC 3339 UTC.
    pub seen: String,
    /// The name of the file that it was in.
    pub source: String,
    /// Where the operator says that it lies.
    pub place: Option<String>,
    /// Its file in the folder, if it was to be kept.
    pub kept: Option<String>,
    /// Whether something in its file showed that it was whole.
    pub is_protected: bool,
}

/// A note of the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// When, RFC 3339 UTC.
    pub when: String,
    /// What.
    pub text: String,
}

impl Manifest {
    /// A list without files.
    #[must_use]
    pub fn new() -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            tool: concat!("certadm ", env!("CARGO_PKG_VERSION")).to_owned(),
            ca_name: String::new(),
            host: String::new(),
            database_signature: String::new(),
            taken: None,
            files: Vec::new(),
            refused: Vec::new(),
            keys: Vec::new(),
            external_keys: Vec::new(),
            notes: Vec::new(),
            checksum: String::new(),
        }
    }

    /// Puts the checksum into the list and gives its bytes.
    ///
    /// # Errors
    /// A sentence, should the list not be expressible as JSON, or be too long; or should its files.
    pub fn complete(&mut self) -> Result<Vec<u8>, String> {
        self.check_sizes()?;
        self.checksum = String::new();
        self.checksum = blake3::hash(&self.to_bytes()?).to_hex().to_string();
        let bytes = self.to_bytes()?;
        match bytes.len() as u64 <= MAX_LEN {
            true => Ok(bytes),
            false => Err(format!("it would be longer than {MAX_LEN} bytes")),
        }
    }

    /// Parses and checks a list.
    ///
    /// # Errors
    /// A sentence that says what is wrong: too long, no such JSON, another version, a checksum that does not fit, a path
    /// that leaves the folder or is there twice, a size that no such file has.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if MAX_LEN < bytes.len() as u64 {
            return Err(format!("it is longer than {MAX_LEN} bytes"));
        }
        let read: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if read.format != FORMAT || read.version != VERSION {
            return Err(format!("its format is {} {}", read.format, read.version));
        }
        let mut again = read.clone();
        if again.complete()? != bytes {
            return Err("its checksum does not fit".to_owned());
        }
        let mut paths = HashSet::new();
        for entry in &read.files {
            if !entry.path.split('/').all(is_safe_component) {
                return Err(format!("it names {:?}, which is outside the folder", entry.path));
            }
            if !paths.insert(folded(&entry.path)) {
                return Err(format!("it names {:?} twice", entry.path));
            }
        }
        Ok(read)
    }

    fn check_sizes(&self) -> Result<(), String> {
        let (mut parsed, mut all) = (0_u64, 0_u64);
        for entry in &self.files {
            if entry.role.most() < entry.size {
                return Err(format!("it says that {:?} has {} bytes", entry.path, entry.size));
            }
            all = all.saturating_add(entry.size);
            parsed = parsed.saturating_add(if entry.role.is_parsed() { entry.size } else { 0 });
        }
        if MAX_TOTAL < all || MAX_PARSED_TOTAL < parsed {
            return Err(format!(
                "its files have {all} bytes, {parsed} of them in CRLs, certificates and settings"
            ));
        }
        Ok(())
    }

    /// The files of a role.
    pub fn of_role(&self, role: Role) -> impl Iterator<Item = &FileEntry> {
        self.files.iter().filter(move |entry| entry.role == role)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, size: u64) -> FileEntry {
        FileEntry {
            path: path.to_owned(),
            role: Role::Other,
            origin: Origin::Attached,
            source: String::new(),
            taken: String::new(),
            size,
            blake3: String::new(),
            sha256: String::new(),
        }
    }

    #[test]
    fn every_flipped_bit_shows() {
        let mut manifest = Manifest::new();
        manifest.files.push(entry("Attachments/a.txt", 1));
        let bytes = manifest.complete().unwrap();
        assert_eq!(Manifest::parse(&bytes), Ok(manifest));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::parse(&flipped).is_err(), "bit {bit}");
        }
    }

    /// A list decides how much is read: it may be a stranger's, and files with holes cost him nothing.
    #[test]
    fn files_of_a_role_are_as_long_as_such_files_are() {
        let of = |role: Role, size: u64, count: usize| {
            let mut manifest = Manifest::new();
            let numbered = (0..count).map(|number| FileEntry { role, ..entry(&format!("a{number}"), size) });
            manifest.files = numbered.collect();
            manifest.check_sizes()
        };
        for (role, most) in [
            (Role::Configuration, 16 << 20),
            (Role::CaToml, 16 << 20),
            (Role::Key, 16 << 20),
            (Role::Chain, 16 << 20),
            (Role::BaseCrl, 512 << 20),
            (Role::Crl, 512 << 20),
            (Role::Events, 1 << 30),
        ] {
            of(role, most, 1).unwrap();
            of(role, most + 1, 1).unwrap_err();
            of(role, u64::MAX, 2).unwrap_err();
        }
        of(Role::Crl, 512 << 20, 2).unwrap();
        of(Role::Crl, 512 << 20, 3).unwrap_err();
        of(Role::Certificate, 16 << 20, 65).unwrap_err();
        of(Role::Events, 1 << 30, 64).unwrap();
        of(Role::Events, 1 << 30, 65).unwrap_err();
    }

    #[test]
    fn entries_that_cannot_be_are_refused() {
        for files in [
            vec![entry("../x", 1)],
            vec![entry("/etc/passwd", 1)],
            vec![entry("a//b", 1)],
            vec![entry("", 1)],
            vec![entry("a\\b", 1)],
            vec![entry("a", 1), entry("A", 1)],
            vec![entry("a", MAX_FILE + 1)],
        ] {
            let mut manifest = Manifest::new();
            manifest.files = files;
            let refused = manifest.complete().and_then(|bytes| Manifest::parse(&bytes));
            assert!(refused.is_err(), "{:?}", manifest.files);
        }
        let mut other = Manifest::new();
        other.version = 2;
        let bytes = other.complete().unwrap();
        assert!(Manifest::parse(&bytes).unwrap_err().contains("format"));
    }
}
