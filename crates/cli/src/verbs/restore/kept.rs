//! The files of our own CA that stand beside its sets: a restore writes those that its target lacks.

use std::path::PathBuf;

use certadm_ca::identity::{DatabaseIdentity, Identity};
use certadm_ca::{Config, own_certificate_in};
use certadm_files::{Access, durable};
use certadm_identity::{Error, FileEntry, Part, Role, found_at, newest_kept, newest_key};
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::chain_of;
use certadm_set::restore::Plan;

/// What a restore finds beside the sets. Nothing of it stands between a lost CA and its coming back: what cannot be used is
/// told, and left out.
#[derive(Default)]
pub(super) struct Beside {
    pub(super) files: Vec<Kept>,
    pub(super) warnings: Vec<String>,
}

/// A file to be written, if it is not there.
pub(super) struct Kept {
    pub(super) to: PathBuf,
    pub(super) from: PathBuf,
    content: Vec<u8>,
    access: Access,
}

/// Finds what is kept beside the sets and is not in the folder. Files of another CA than the database's are left alone.
pub(super) fn find(sets: &[PathBuf], plan: &Plan, database: &DatabaseIdentity) -> Beside {
    let folder = &plan.folder;
    let mut beside = Beside::default();
    let parts = beside.parts(sets);
    let certificate = beside.newest(&parts, Role::CaCrt);
    let own = certificate.as_ref().and_then(identity_of);
    match &own {
        Some(own) if !database.certificates.iter().any(|known| known.has_key_of(own)) => return beside,
        Some(_) => {}
        // A CA that waits for its parent has no certificate yet.
        None if certificate.is_none() && database.newest().is_none() => {}
        None => return beside,
    }
    let has_key = folder.key_path().symlink_metadata().is_ok();
    let key = own.as_ref().and_then(|own| beside.key(&parts, own, has_key));
    let (settings, users) = (beside.newest(&parts, Role::CaToml), beside.newest(&parts, Role::Users));
    let settings = beside.usable(settings);
    // Only the name says whose settings these are where no certificate does: that of the database is made of it.
    let is_of = |(_, config): &(Kept, Config)| {
        plan.database.file_stem().is_some_and(|stem| *stem == *config.name.sanitized())
    };
    if own.is_none() && !settings.as_ref().is_some_and(is_of) {
        return beside;
    }
    let all = [
        (settings.map(|(kept, _)| kept), folder.config_path(), Access::Public),
        (certificate, folder.certificate_path(), Access::Everyone),
        (key, folder.key_path(), Access::Owner),
        (users, folder.path().join("users.toml"), Access::Owner),
    ];
    let all = all.into_iter().filter(|(_, to, _)| to.symlink_metadata().is_err());
    beside.files =
        all.filter_map(|(kept, to, access)| kept.map(|kept| Kept { to, access, ..kept })).collect();
    beside
}

impl Beside {
    fn parts(&mut self, sets: &[PathBuf]) -> Vec<Part> {
        let mut parts = Vec::new();
        for dir in sets.iter().flat_map(|set| found_at(set)) {
            match Part::open(&dir) {
                Ok(part) => parts.push(part),
                Err(error) => self.warn(&chain_of(&error)),
            }
        }
        parts
    }

    /// The newest file that can be read.
    fn newest(&mut self, parts: &[Part], role: Role) -> Option<Kept> {
        let is_wanted = |_: &Part, entry: &FileEntry| entry.role == role;
        let left_out = &mut |error: &Error| self.warn(&chain_of(error));
        newest_kept(parts, certadm_store::now(), is_wanted, left_out).map(Kept::from)
    }

    /// The newest key of a form that our CA reads. Where the key is kept in another form alone, the CA would lack it without a word.
    fn key(&mut self, parts: &[Part], own: &Identity, has_key: bool) -> Option<Kept> {
        let left_out = &mut |error: &Error| match error {
            Error::KeyForm { .. } if has_key => {}
            Error::KeyForm { .. } => self.warn(&format!("{error}; {}", error.remedy())),
            _ => self.warn(&chain_of(error)),
        };
        newest_key(parts, certadm_store::now(), &own.key_identifier, left_out).map(Kept::from)
    }

    /// Settings that the CA can start with: it does so at once.
    fn usable(&mut self, settings: Option<Kept>) -> Option<(Kept, Config)> {
        let settings = settings?;
        let text = std::str::from_utf8(&settings.content).map_err(|error| error.to_string());
        match text.and_then(Config::parse) {
            Ok(config) => Some((settings, config)),
            Err(reason) => {
                self.warn(&format!("{} cannot be used: {reason}", settings.from.display()));
                None
            }
        }
    }

    fn warn(&mut self, what: &str) {
        self.warnings.push(format!("{what}; it is left out of the restore"));
    }
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

impl From<(PathBuf, Vec<u8>)> for Kept {
    fn from((from, content): (PathBuf, Vec<u8>)) -> Self {
        Self { to: PathBuf::new(), from, content, access: Access::Owner }
    }
}

impl Kept {
    pub(super) fn name(&self) -> String {
        self.to.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn identity_of(certificate: &Kept) -> Option<Identity> {
    let own = own_certificate_in(&certificate.content, "ca.crt").ok()?;
    Identity::of_certificate(&own.der, "ca.crt").ok()
}
