//! A set of our own CA, restored for real: the CA starts, serves and issues, in a scratch folder and on loopback.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use certadm_ca::rows::Disposition;
use certadm_ca::{
    Authority, CaKey, CaName, CertificateChoice, Config, KeyType, Reason, RevocationOrder, Terms,
    export_certificate, identity, revoke,
};
use certadm_client::own_host_name;
use certadm_files::{Access, durable};
use certadm_recovery::{Anchors, Issuers, PrivateKey, PublishedCrl};
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::{FileTime, Hresult, pem};
use certadm_set::progress::Progress;
use certadm_set::restore::{Options, plan};
use certadm_store::{Folder, Store};
use rusqlite::OptionalExtension;

use crate::error::{Error, Result};
use crate::kept::{Kept, KeptFile};
use crate::request;
use crate::service::Loopback;
use crate::step::{Notes, Trouble};
use crate::wishes::Wishes;

/// Who asks for the certificate, and who revokes it, in the scratch database.
const REQUESTER: &str = "certadm rehearsal";

/// A CA that was restored and runs.
pub(crate) struct Ours {
    folder: Folder,
    pub(crate) store: Arc<Store>,
    config: Config,
    /// `ca.crt`.
    certificates: Vec<u8>,
    /// Whether `ca.toml` was handed in; else the CA runs with the built-in settings.
    pub(crate) is_configured: bool,
    /// Files of the identity part that a restore would leave out, and why.
    pub(crate) left_out: Vec<String>,
}

impl Ours {
    /// Restores the sets into `dir`, which is not there yet, starts the CA as its service does, and asks it over the network
    /// whose it is.
    pub(crate) fn restore(
        paths: &[PathBuf],
        dir: &Path,
        wishes: &Wishes,
        progress: &mut dyn Progress,
        notes: &mut Notes,
    ) -> Result<Self, Trouble> {
        let folder = Folder::new(dir);
        durable::create_dir_as(dir, PRIVATE)?;
        // As the runbook has it: first what no set holds, then the restore, which compares both.
        let Kept { configuration, certificates, left_out } = Kept::find(paths, wishes)?;
        let certificates = certificates.map(|file| file.content);
        let config = configuration.as_ref().map(parsed).transpose()?;
        if let Some(file) = &configuration {
            durable::create(&folder.config_path(), &file.content, Access::Owner)?;
        }
        if let Some(text) = &certificates {
            durable::create(&folder.certificate_path(), text, Access::Everyone)?;
        }
        let options = Options {
            allowed_signers: wishes.allowed_signers.clone(),
            own_copies: wishes.own_copies,
            ..Options::default()
        };
        let plan = plan(paths, dir, options).map_err(Error::from)?;
        let restored = plan.execute(&own_host_name(), progress).map_err(Error::from)?;
        for warning in restored.warnings {
            notes.findings.push(Finding::warning(Kind::Unreadable, warning));
        }
        let name = plan.sets.first().and_then(|set| set.manifest.as_ref());
        let name = name.map_or("", |manifest| manifest.ca.name.as_str());
        let is_configured = config.is_some();
        let config = config.unwrap_or_else(|| built_in(name));
        // The scratch CA says nothing in the system's log: nobody restored a CA.
        let store = certadm_session::restore::start(&folder, config.database.store_options(), false)?;
        let certificates = match certificates {
            Some(text) => text,
            None => {
                let text = certificate_of(&store)?;
                durable::create(&folder.certificate_path(), &text, Access::Everyone)?;
                text
            }
        };
        identity::check(store.writer()?.connection(), &folder)?;
        let store = Arc::new(store);
        let ours = Self { folder, store, config, certificates, is_configured, left_out };
        ours.serve()?;
        let settings = if is_configured { "its own settings" } else { "the built-in settings" };
        notes.detail = format!(
            "restored to generation {}, started with {settings}, and answered on loopback",
            plan.last
        );
        Ok(ours)
    }

    fn serve(&self) -> Result<(), Trouble> {
        let service = Loopback::start(&self.store, &self.config)?;
        let answer = service.connect().and_then(|mut ca| {
            let serves = ca.server_state()?;
            Ok((serves, ca.certificate()?))
        });
        service.stop()?;
        let (serves, certificate) = answer?;
        let own = certadm_ca::certificate_in(&self.folder)?.der;
        if serves && certificate == own {
            return Ok(());
        }
        let text = if serves {
            "the restored CA answers with the certificate of another CA"
        } else {
            "the restored CA answers that it does not serve requests"
        };
        Err(Trouble::fail(
            Hresult::ERROR_SERVICE_NOT_ACTIVE,
            text,
            "take this set from another copy, or use an older one",
        ))
    }

    /// Issues a certificate with the key in memory, finds it in the list, revokes it, and publishes a CRL that says so.
    pub(crate) fn issue(
        &self,
        key: &PrivateKey,
        anchors: &Anchors,
        issuers: &Issuers,
        now: FileTime,
        notes: &mut Notes,
    ) -> Result<(), Trouble> {
        let broken = |what: &str| {
            let remedy = "keep this set, and report what it shows";
            Trouble::fail(Hresult::ERROR_INVALID_DATA, format!("the restored CA {what}"), remedy)
        };
        let document = key.to_pkcs8().map_err(Error::Internal)?;
        let key = CaKey::from_pkcs8(document.as_bytes())?;
        let authority = Authority::of_parts(&self.folder, self.config.clone(), key, &self.certificates)?;
        let mut writer = self.store.writer()?;
        let request = request::for_host("rehearsal.certadm.invalid")?;
        let issued = match authority.issue(&mut writer, &request, &Terms::new(REQUESTER), now) {
            Err(certadm_ca::Error::Denied(denial)) => {
                let text = format!("the CA's own rules deny the test request: {}", denial.reason);
                return Err(Trouble::skipped(text, "nothing: what these rules allow is issued as before"));
            }
            other => other?,
        };
        let choice = CertificateChoice::Serial(issued.serial.clone());
        let found = export_certificate(writer.connection(), &choice)?;
        let judged = anchors
            .judge(&issued.der, now)
            .map_err(|flaw| broken(&format!("issued a certificate: {flaw}")))?;
        if found.der != issued.der || judged.serial != issued.serial || !judged.in_force {
            return Err(broken("does not list what it issued"));
        }
        let order = RevocationOrder {
            serial: &issued.serial,
            reason: Reason::CESSATION_OF_OPERATION,
            by: REQUESTER,
            now,
            effective: None,
        };
        writer.commit(|transaction| revoke(transaction, &order))?;
        let published = authority.publish_crl(&mut writer, now)?;
        let crl = PublishedCrl::parse("of the restored CA", &published.der)?;
        crl.place_among(issuers)?;
        if !crl.serials()?.contains(&issued.serial) {
            return Err(broken("revoked a certificate, and its CRL does not list it"));
        }
        notes.detail = format!(
            "issued request {}, listed it, revoked it, and published CRL {} that says so",
            issued.request_id, published.number
        );
        Ok(())
    }

    /// Closes the database.
    pub(crate) fn close(self) -> Result<()> {
        match Arc::into_inner(self.store) {
            Some(store) => Ok(store.close()?),
            None => Err(Error::Internal("the restored database is still in use".to_owned())),
        }
    }
}

/// The mode of a CA's folder.
const PRIVATE: u32 = 0o700;

fn parsed(file: &KeptFile) -> Result<Config, Trouble> {
    let refuse =
        |reason: String| Trouble::from(certadm_ca::Error::Config { path: file.path.clone(), reason });
    match std::str::from_utf8(&file.content) {
        Ok(text) => Config::parse(text).map_err(refuse),
        Err(_) => Err(refuse("it is not UTF-8".to_owned())),
    }
}

/// The settings of a CA whose own are not at hand.
fn built_in(name: &str) -> Config {
    let name = name.parse::<CaName>().or_else(|_| "restored CA".parse());
    // The second name is a good one.
    match name {
        Ok(name) => Config::new(name, KeyType::P256),
        Err(error) => unreachable!("a name of letters and a blank: {error}"),
    }
}

/// The newest certificate of the CA in its own database, in PEM.
fn certificate_of(store: &Store) -> Result<Vec<u8>, Trouble> {
    let sql = "SELECT RawCertificate FROM Certificates JOIN Requests USING (RequestID) \
               WHERE Disposition <> 20 AND Disposition = ?1 ORDER BY NotBefore DESC LIMIT 1";
    let writer = store.writer()?;
    let der: Option<Option<Vec<u8>>> = writer
        .connection()
        .query_row(sql, [Disposition::CA_CERTIFICATE.0], |row| row.get(0))
        .optional()
        .map_err(certadm_store::Error::from)?;
    match der.flatten() {
        Some(der) => Ok(pem::encode("CERTIFICATE", &der).into_bytes()),
        None => Err(certadm_recovery::Error::NoCaCertificate.into()),
    }
}
