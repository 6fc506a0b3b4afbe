//! The files of our own CA that no set holds, chosen as a restore chooses them: the newest of its kind in all identity parts, whose
//! bytes are those of its list.

use std::path::PathBuf;

use certadm_ca::identity::Identity;
use certadm_files::Found;
use certadm_identity::{FileEntry, Part, Role, found_at, newest_last};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::pem;

use crate::error::Result;
use crate::wishes::Wishes;

/// Longer ones are no configuration and no certificate.
const MAX_FILE: u64 = 1 << 20;

/// What was found of them.
#[derive(Default)]
pub(crate) struct Kept {
    /// `ca.toml`.
    pub(crate) configuration: Option<KeptFile>,
    /// `ca.crt`.
    pub(crate) certificates: Option<KeptFile>,
    /// What a restore would leave out, and why.
    pub(crate) left_out: Vec<String>,
}

/// One of them.
pub(crate) struct KeptFile {
    pub(crate) path: PathBuf,
    pub(crate) content: Vec<u8>,
}

impl Kept {
    /// Looks in the folder that was named, else in and beside every set, unless signatures are asked for: they speak for no such
    /// file. A folder without a list of its files has what a person put there.
    pub(crate) fn find(sets: &[PathBuf], wishes: &Wishes) -> Result<Self> {
        let mut kept = Self::default();
        let dirs: Vec<PathBuf> = match &wishes.identity {
            Some(dir) => found_at(dir),
            None if wishes.allowed_signers.is_some() => Vec::new(),
            None => sets.iter().flat_map(|set| found_at(set)).collect(),
        };
        if dirs.is_empty() {
            let loose = |name| -> Result<Option<KeptFile>> {
                let file = wishes.identity_file(sets.first().map(PathBuf::as_path), name);
                file.map(|file| KeptFile::read(&file)).transpose()
            };
            kept.configuration = loose("ca.toml")?;
            kept.certificates = loose("ca.crt")?;
            return Ok(kept);
        }
        let mut parts = Vec::new();
        for dir in dirs {
            match Part::open(&dir) {
                Ok(part) => parts.push(part),
                Err(error) => kept.left_out.push(chain_of(&error)),
            }
        }
        kept.certificates = kept.newest(&parts, Role::CaCrt, wishes);
        // A restore takes nothing of a part that does not say whose it is.
        if kept.certificates.is_some() {
            kept.configuration = kept.newest(&parts, Role::CaToml, wishes);
            kept.newest(&parts, Role::Users, wishes);
            kept.key(&parts, wishes);
        }
        Ok(kept)
    }

    fn newest(&mut self, parts: &[Part], role: Role, wishes: &Wishes) -> Option<KeptFile> {
        self.newest_of(parts, wishes, |_, entry| entry.role == role, |_| true)
    }

    /// The key that a restore takes. Where there is none although one is kept, that is told.
    fn key(&mut self, parts: &[Part], wishes: &Wishes) {
        let Some(key) = self.certificates.as_ref().and_then(|file| key_identifier(&file.content)) else {
            return;
        };
        let is_key = |part: &Part, entry: &FileEntry| {
            let seen = part.manifest.keys.iter().any(|seen| {
                seen.kept.as_deref() == Some(entry.path.as_str())
                    && seen.key_identifier.eq_ignore_ascii_case(&key)
            });
            entry.role == Role::Key && seen
        };
        let files =
            || parts.iter().flat_map(|part| part.manifest.files.iter().map(move |entry| (part, entry)));
        let has_one = files().any(|(part, entry)| is_key(part, entry));
        let before = self.left_out.len();
        let taken = self.newest_of(parts, wishes, is_key, pem::looks_like_pem);
        if has_one && taken.is_none() && self.left_out.len() == before {
            self.left_out.push("the key is kept, but not as PKCS#8 in PEM, which our CA needs".to_owned());
        }
    }

    fn newest_of(
        &mut self,
        parts: &[Part],
        wishes: &Wishes,
        is_wanted: impl Fn(&Part, &FileEntry) -> bool,
        is_usable: impl Fn(&[u8]) -> bool,
    ) -> Option<KeptFile> {
        let files = parts.iter().flat_map(|part| part.manifest.files.iter().map(move |entry| (part, entry)));
        let mut wanted: Vec<(&Part, &FileEntry)> =
            files.filter(|(part, entry)| is_wanted(part, entry)).collect();
        wanted.sort_by(|(_, one), (_, other)| {
            newest_last(&one.taken, wishes.now).cmp(&newest_last(&other.taken, wishes.now))
        });
        for (part, entry) in wanted.into_iter().rev() {
            match part.read(entry) {
                Ok(content) if !is_usable(&content) => {}
                Ok(content) => return Some(KeptFile { path: part.dir().join(&entry.path), content }),
                Err(error) => self.left_out.push(chain_of(&error)),
            }
        }
        None
    }
}

/// The key identifier of the CA, digits alone.
fn key_identifier(certificates: &[u8]) -> Option<String> {
    let first = pem::blocks(certificates).ok()?.into_iter().find(|block| block.label == "CERTIFICATE")?;
    let own = Identity::of_certificate(&first.der, "ca.crt").ok()?;
    Some(own.key_identifier.replace([' ', ':'], ""))
}

impl KeptFile {
    fn read(file: &Found) -> Result<Self> {
        Ok(Self { path: file.path().to_owned(), content: file.read(MAX_FILE)? })
    }
}
