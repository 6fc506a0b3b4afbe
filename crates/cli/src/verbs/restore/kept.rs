//! The files of our own CA that stand beside its sets: a restore writes those that its target lacks.

use std::path::{Path, PathBuf};

use certadm_ca::identity::{DatabaseIdentity, Identity};
use certadm_files::{Access, durable};
use certadm_identity::{FileEntry, Part, Role};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::pem;
use certadm_store::Folder;

use crate::failure::Failure;
use crate::verbs::lost::parts_at;

/// A file to be written, if it is not there.
pub(super) struct Kept {
    pub(super) to: PathBuf,
    pub(super) from: PathBuf,
    content: Vec<u8>,
    access: Access,
}

/// Finds what is kept beside the sets and is not in the folder. Files of another CA than the database's are left alone.
///
/// # Errors
/// An identity part that cannot be used.
pub(super) fn find(
    sets: &[PathBuf],
    folder: &Folder,
    database: &DatabaseIdentity,
) -> Result<Vec<Kept>, Failure> {
    let parts = parts_at(sets)?;
    let Some(certificate) = newest(&parts, |_, entry| entry.role == Role::CaCrt) else {
        return Ok(Vec::new());
    };
    let Some(own) = identity_of(&certificate.content) else { return Ok(Vec::new()) };
    if !database.certificates.iter().any(|known| known.has_key_of(&own)) {
        return Ok(Vec::new());
    }
    let key = own.key_identifier.replace([' ', ':'], "");
    let is_key = |part: &Part, entry: &FileEntry| {
        let seen = |path: &str| {
            part.manifest.keys.iter().any(|seen| {
                seen.kept.as_deref() == Some(path) && seen.key_identifier.eq_ignore_ascii_case(&key)
            })
        };
        entry.role == Role::Key && seen(&entry.path)
    };
    // Our CA reads PKCS#8 in PEM alone.
    let key = newest(&parts, is_key).filter(|key| pem::looks_like_pem(&key.content));
    let of = |role: Role| newest(&parts, move |_, entry| entry.role == role);
    let users = folder.path().join("users.toml");
    let all = [
        (of(Role::CaToml), folder.config_path(), Access::Public),
        (Some(certificate), folder.certificate_path(), Access::Everyone),
        (key, folder.key_path(), Access::Owner),
        (of(Role::Users), users, Access::Owner),
    ];
    let all = all.into_iter().filter(|(_, to, _)| to.symlink_metadata().is_err());
    Ok(all.filter_map(|(kept, to, access)| kept.map(|kept| Kept { to, access, ..kept })).collect())
}

/// Writes them. What could not be written is told as a warning: the database is restored all the same.
pub(super) fn write(kept: &[Kept]) -> (Vec<String>, Vec<String>) {
    let (mut written, mut warnings) = (Vec::new(), Vec::new());
    for file in kept {
        match durable::create(&file.to, &file.content, file.access) {
            Ok(()) => written.push(file.name()),
            Err(error) => {
                warnings.push(format!("{} was not written: {}", file.to.display(), chain_of(&error)));
            }
        }
    }
    (written, warnings)
}

impl Kept {
    pub(super) fn name(&self) -> String {
        self.to.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn newest(parts: &[Part], is_wanted: impl Fn(&Part, &FileEntry) -> bool) -> Option<Kept> {
    let files = parts.iter().flat_map(|part| part.manifest.files.iter().map(move |entry| (part, entry)));
    let wanted = files.filter(|(part, entry)| is_wanted(part, entry));
    let (part, entry) = wanted.max_by(|(_, one), (_, other)| one.taken.cmp(&other.taken))?;
    let content = part.read(entry).ok()?;
    Some(Kept {
        to: PathBuf::new(),
        from: part.dir().join(Path::new(&entry.path)),
        content,
        access: Access::Owner,
    })
}

fn identity_of(certificates: &[u8]) -> Option<Identity> {
    let first = pem::blocks(certificates).ok()?.into_iter().find(|block| block.label == "CERTIFICATE")?;
    Identity::of_certificate(&first.der, "ca.crt").ok()
}
