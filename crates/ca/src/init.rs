//! A new CA: its folder, key, certificate or request, database and first CRL.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use certadm_rules::pem;
use certadm_rules::unc::check_path;
use certadm_rules::{Diagnosis, FileTime, Hresult};
use certadm_store::{Folder, Store, Writer, locks, record};
use der::Encode;
use x509_cert::builder::Builder;
use x509_cert::name::Name;
use x509_cert::request::RequestBuilder;

use crate::authority::{Authority, request_path};
use crate::certificate::{MAX_CERTIFICATE_FILE, OwnCertificate, ca_extensions, chain_text, renewed_text};
use crate::config::Config;
use crate::crl_file::crl_path;
use crate::dates;
use crate::error::{Error, Result};
use crate::keys::{CaKey, RawSignature};
use crate::modes;
use crate::passphrase::Passphrase;
use crate::recognised::Recognised;
use certadm_files::{Access, IoContext, absolute, durable, read};

/// Who signs the certificate of a new CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The CA itself.
    Root,
    /// Another CA: the new one writes a request and waits for the answer.
    Subordinate,
}

/// A new CA.
pub enum Initialized {
    /// It can issue at once.
    Root(Box<Authority>),
    /// Its parent has to sign this request; then [`Authority::import_certificate`].
    Subordinate {
        /// The request in PEM.
        request: PathBuf,
    },
}

impl Authority {
    /// Makes a new CA in `folder`: key, certificate (or request), database with the row of the CA
    /// certificate, first CRL. `ca.toml` is written last, so that a folder without it is not a CA.
    ///
    /// # Errors
    /// [`Error::WouldOverwrite`] when the folder holds anything of a CA already; nothing is
    /// changed then. [`Error::Config`] for settings that do not fit, [`Error::Random`],
    /// [`Error::Key`], [`Error::Io`], [`Error::Store`]; what was made until then is removed, so that another try begins
    /// with nothing. What a process that was killed has made stays, and has to be removed before another try.
    pub fn init(
        folder: &Folder,
        config: &Config,
        role: Role,
        passphrase: &Passphrase,
        now: FileTime,
    ) -> Result<Initialized> {
        // First what was given on the command line: there is no ca.toml yet that could be corrected.
        let name = config.name.distinguished_name(config.subject_suffix.as_deref())?;
        config.check().map_err(|reason| Error::Config { path: folder.config_path(), reason })?;
        refuse_path(folder)?;
        refuse_existing(folder, config)?;
        make_private(folder)?;
        let key = CaKey::generate(config.key)?;
        // That took a while, in which somebody else may have put a CA there.
        refuse_existing(folder, config)?;
        let before = files_of(folder)?;
        // Of two who make a CA there at a time the other one fails here.
        key.save(&folder.key_path(), passphrase)?;
        let made = make(folder, config, role, key, &name, now);
        if let Err(error) = &made {
            remove_all_but(&before, folder, error);
        }
        made
    }

    /// Makes the CA in `folder` that waits for its parent complete: takes the parent's answer
    /// (PEM or DER, alone or with its chain), checks that it belongs to the key and is a CA's,
    /// records it, writes `ca.crt` and publishes the first CRL. An interrupted import can be
    /// repeated.
    ///
    /// A CA that has a certificate takes one that was renewed with its key: it is recorded, and put into `ca.crt` before what is there.
    ///
    /// # Errors
    /// [`Error::AlreadyCertified`] where `ca.crt` has the certificate or a newer one, [`Error::KeyMismatch`],
    /// [`Error::NotACaCertificate`], [`Error::OtherName`], [`Error::WrongKind`], [`Error::CertificateDamaged`], [`Error::CaNotValid`], and
    /// those of [`Authority::open`].
    pub fn import_certificate(
        folder: &Folder,
        input: &[u8],
        passphrase: &Passphrase,
        now: FileTime,
    ) -> Result<Self> {
        const WHAT: &str = "the answer";
        let config = Config::load(&folder.config_path())?;
        let path = folder.certificate_path();
        if let Some(error) = Error::of_wrong_kind(WHAT, input, Recognised::Certificate) {
            return Err(error);
        }
        let key = CaKey::open(&folder.key_path(), passphrase)?;
        let own = OwnCertificate::parse(input, &key, WHAT)?;
        if own.not_after <= now {
            return Err(Error::CaNotValid { not_before: own.not_before, not_after: own.not_after, now });
        }
        if path.exists() {
            return import_renewed(folder, config, key, own, (input, WHAT), now);
        }
        let text = chain_text(&own, input, WHAT)?;
        let request = read_request(folder)?;
        let authority = Self::assemble(folder, config, key, own.clone())?;
        let mut writer = Writer::open(folder)?;
        writer.commit(|transaction| {
            own.record(transaction, request.as_deref(), now)?;
            authority.publish_crl_in(transaction, now)
        })?;
        durable::create(&path, text.as_bytes(), Access::Everyone)?;
        Ok(authority)
    }
}

/// Takes a certificate that was renewed with its key. The row comes first: should the process be killed before `ca.crt` is written, then
/// the import can be repeated.
fn import_renewed(
    folder: &Folder,
    config: Config,
    key: CaKey,
    own: OwnCertificate,
    answer: (&[u8], &str),
    now: FileTime,
) -> Result<Authority> {
    let path = folder.certificate_path();
    let what = path.display().to_string();
    let before = read::bounded(&path, MAX_CERTIFICATE_FILE)?;
    let present = OwnCertificate::parse(&before, &key, &what)?;
    // Of several the newest is used.
    if own.not_before <= present.not_before {
        return Err(Error::AlreadyCertified { path });
    }
    // It would be used at once, and nothing could be signed until it begins.
    if now < own.not_before {
        return Err(Error::CaNotValid { not_before: own.not_before, not_after: own.not_after, now });
    }
    if own.name != present.name {
        let (mut certificate, ca) = (own.name.to_string(), present.name.to_string());
        if certificate == ca {
            certificate.push_str(" in another encoding");
        }
        return Err(Error::OtherName { certificate, ca });
    }
    let text = renewed_text(&own, answer, (&before, &what))?;
    let authority = Authority::assemble(folder, config, key, own)?;
    let mut writer = Writer::open(folder)?;
    writer.commit(|transaction| authority.record_own(transaction, now))?;
    durable::replace_readable(&path, text.as_bytes())?;
    Ok(authority)
}

/// Refuses a folder whose path could not be told in a backup: a CA that cannot be backed up is not made.
fn refuse_path(folder: &Folder) -> Result<()> {
    let path = absolute(folder.path())?;
    let reason = match path.to_str().map(check_path) {
        Some(Ok(())) => return Ok(()),
        Some(Err(error)) => error.to_string(),
        None => "it is not UTF-8".to_owned(),
    };
    Err(Error::BadSetting { setting: "folder", value: path.display().to_string(), reason })
}

/// Makes the CA's folder its owner's alone, whatever the umask: what is created in it later follows. A folder that has other
/// files is not taken from their readers.
fn make_private(folder: &Folder) -> Result<()> {
    folder.create_parts()?;
    let path = folder.path();
    let is_open = modes::exposures(folder).into_iter().find(|exposure| exposure.path == path);
    let Some(exposure) = is_open else { return Ok(()) };
    let own: Vec<_> = folder.parts().into_iter().map(|(part, _)| part).collect();
    for entry in fs::read_dir(path).during("list", path)? {
        if !own.contains(&entry.during("list", path)?.path()) {
            return Err(exposure.refused());
        }
    }
    // The folders in it have taken its mode, too.
    for dir in [folder.path().to_owned(), folder.database_dir(), folder.log_dir()] {
        durable::make_private(&dir)?;
    }
    Ok(())
}

fn refuse_existing(folder: &Folder, config: &Config) -> Result<()> {
    let files = [folder.config_path(), folder.certificate_path(), folder.key_path(), request_path(folder)];
    let is_there = |path: &PathBuf| path.symlink_metadata().is_ok();
    // The last CRL of a CA that is lost: what it lists may be nowhere else.
    let crl = Some(crl_path(folder, config)).filter(|path| is_there(path) && !path.is_dir());
    match files.into_iter().find(is_there).or(crl) {
        Some(path) => Err(Error::WouldOverwrite { path }),
        // The store refuses this as well, but a key would have been made by then.
        None => match folder.database_path() {
            Ok(path) => Err(Error::WouldOverwrite { path }),
            Err(_) => Ok(()),
        },
    }
}

/// Makes the CA of a key that is there.
fn make(
    folder: &Folder,
    config: &Config,
    role: Role,
    key: CaKey,
    name: &Name,
    now: FileTime,
) -> Result<Initialized> {
    let store = Store::create(folder, &config.name.sanitized(), config.database.store_options())?;
    let made = match role {
        Role::Root => {
            let mut writer = store.writer()?;
            let authority = make_root(folder, config, key, name, now, &mut writer)?;
            Initialized::Root(Box::new(authority))
        }
        Role::Subordinate => {
            let request = request_path(folder);
            let text = request_for_parent(&key, name)?;
            durable::create(&request, text.as_bytes(), Access::Everyone)?;
            Initialized::Subordinate { request }
        }
    };
    store.close()?;
    config.create(&folder.config_path())?;
    Ok(made)
}

/// The files in a CA's folder and in its parts.
fn files_of(folder: &Folder) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for (part, _) in folder.parts() {
        for entry in fs::read_dir(&part).during("list", &part)? {
            let path = entry.during("list", &part)?.path();
            if path.symlink_metadata().is_ok_and(|found| !found.is_dir()) {
                files.insert(path);
            }
        }
    }
    Ok(files)
}

/// Removes what was made of a CA that could not be made, such as on a full disk, but for the files that processes lock: another one
/// may wait for them. Where somebody else has put anything there meanwhile, only the key goes, which is ours for certain.
fn remove_all_but(before: &BTreeSet<PathBuf>, folder: &Folder, why: &Error) {
    let is_somebody_elses = matches!(
        why.hresult(),
        Hresult::ERROR_ALREADY_EXISTS | Hresult::ERROR_DIR_NOT_EMPTY | Hresult::ERROR_SERVICE_ALREADY_RUNNING
    );
    let owned = locks::own(folder);
    let is_ours = !is_somebody_elses && owned.is_ok() && matches!(record::read(folder), Ok(None));
    let locked = [folder.owner_lock_path(), folder.use_lock_path(), folder.commit_lock_path()];
    let files = if is_ours { files_of(folder).unwrap_or_default() } else { BTreeSet::new() };
    fs::remove_file(folder.key_path()).ok(); // best effort, as below: what stays is named by the next try
    for file in files.difference(before).filter(|file| !locked.contains(file)) {
        fs::remove_file(file).ok();
    }
}

fn make_root(
    folder: &Folder,
    config: &Config,
    key: CaKey,
    name: &Name,
    now: FileTime,
    writer: &mut Writer,
) -> Result<Authority> {
    let now = dates::whole_seconds(now);
    let skew = i64::from(config.validity.clock_skew_minutes);
    let not_before = dates::plus_minutes(now, -skew);
    let not_after = dates::plus_days(now, config.validity.ca_days);
    let own = OwnCertificate::self_signed(&key, name, (not_before, not_after))?;
    let authority = Authority::assemble(folder, config.clone(), key, own.clone())?;
    writer.commit(|transaction| {
        own.record(transaction, None, now)?;
        authority.publish_crl_in(transaction, now)
    })?;
    durable::create(&folder.certificate_path(), authority.certificate_pem().as_bytes(), Access::Everyone)?;
    Ok(authority)
}

fn request_for_parent(key: &CaKey, name: &Name) -> Result<String> {
    let mut builder = RequestBuilder::new(name.clone()).map_err(Error::encoding("request"))?;
    for extension in ca_extensions(name)? {
        builder.add_extension(extension).map_err(Error::encoding("request"))?;
    }
    let request = builder.build::<_, RawSignature>(key).map_err(Error::encoding("request"))?;
    let der = request.to_der().map_err(Error::encoding("request"))?;
    Ok(pem::encode("CERTIFICATE REQUEST", &der))
}

fn read_request(folder: &Folder) -> Result<Option<Vec<u8>>> {
    let path = request_path(folder);
    if !path.exists() {
        return Ok(None);
    }
    let text = read::bounded(&path, 64 * 1024)?;
    Ok(pem::blocks(&text)
        .unwrap_or_default() // only for the record; the certificate speaks for itself
        .into_iter()
        .next()
        .map(|block| block.der))
}
