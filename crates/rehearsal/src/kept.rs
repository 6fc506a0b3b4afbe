//! The files of our own CA that no set holds, chosen as a restore chooses them: the newest of its kind in all identity parts, whose
//! bytes are those of its list.

use std::path::PathBuf;

use certadm_ca::identity::Identity;
use certadm_ca::own_certificate_in;
use certadm_files::{Found, read};
use certadm_identity::{FileEntry, Part, Role, found_at, newest_kept, newest_key};
use certadm_recovery::MAX_KEY_FILE;
use certadm_rules::diagnosis::chain_of;
use zeroize::Zeroizing;

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
        let dirs = parts_of(sets, wishes);
        if dirs.is_empty() {
            let loose = |name| -> Result<Option<KeptFile>> {
                let file = wishes.loose_file(sets.first().map(PathBuf::as_path), name);
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
        let is_wanted = |_: &Part, entry: &FileEntry| entry.role == role;
        newest_kept(parts, wishes.now, is_wanted, &mut self.teller()).map(KeptFile::from)
    }

    /// Asks for the key that a restore takes. Where there is none although one is kept, that is told.
    fn key(&mut self, parts: &[Part], wishes: &Wishes) {
        if let Some(identifier) = self.certificates.as_ref().and_then(key_identifier) {
            newest_key(parts, wishes.now, &identifier, &mut self.teller());
        }
    }

    fn teller(&mut self) -> impl FnMut(&certadm_identity::Error) {
        |error| self.left_out.push(chain_of(error))
    }
}

/// The identity parts: that in the folder that was named, else those in and beside every set, unless signatures are asked for.
fn parts_of(sets: &[PathBuf], wishes: &Wishes) -> Vec<PathBuf> {
    match &wishes.identity {
        Some(dir) => found_at(dir),
        None if wishes.allowed_signers.is_some() => Vec::new(),
        None => sets.iter().flat_map(|set| found_at(set)).collect(),
    }
}

/// The file of the key that is kept beside the sets, and its bytes: of our own CA the one that a restore takes. Of a Windows CA, beside whose
/// sets no `ca.crt` lies, the newest one. In a folder without a list of its files, `ca.key`. Nothing for the newest sets of a folder,
/// unless an identity part was named: which sets these are is not known before the rehearsal.
///
/// What cannot be used is left out; the rehearsal tells it.
///
/// # Errors
/// [`Error::File`](crate::Error::File).
pub fn kept_key(wishes: &Wishes) -> Result<Option<(PathBuf, Zeroizing<Vec<u8>>)>> {
    if wishes.latest_in.is_some() && wishes.identity.is_none() {
        return Ok(None);
    }
    let dirs = parts_of(&wishes.sets, wishes);
    if dirs.is_empty() {
        let file = wishes.loose_file(wishes.sets.first().map(PathBuf::as_path), "ca.key");
        let read = |file: Found| {
            let content = read::bounded(file.path(), MAX_KEY_FILE)?;
            Ok((file.path().to_owned(), Zeroizing::new(content)))
        };
        return file.map(read).transpose();
    }
    let parts: Vec<Part> = dirs.iter().filter_map(|dir| Part::open(dir).ok()).collect();
    let newest =
        |role| newest_kept(&parts, wishes.now, |_: &Part, entry: &FileEntry| entry.role == role, &mut |_| ());
    let found = match newest(Role::CaCrt).map(KeptFile::from).as_ref().and_then(key_identifier) {
        Some(identifier) => newest_key(&parts, wishes.now, &identifier, &mut |_| ()),
        None => newest(Role::Key),
    };
    Ok(found.map(|(path, content)| (path, Zeroizing::new(content))))
}

/// The identifier of the CA's key, by its own certificate in `ca.crt`, wherever that stands in the chain.
fn key_identifier(certificates: &KeptFile) -> Option<String> {
    let own = own_certificate_in(&certificates.content, "ca.crt").ok()?;
    Some(Identity::of_certificate(&own.der, "ca.crt").ok()?.key_identifier)
}

impl KeptFile {
    fn read(file: &Found) -> Result<Self> {
        Ok(Self { path: file.path().to_owned(), content: file.read(MAX_FILE)? })
    }
}

impl From<(PathBuf, Vec<u8>)> for KeptFile {
    fn from((path, content): (PathBuf, Vec<u8>)) -> Self {
        Self { path, content }
    }
}
