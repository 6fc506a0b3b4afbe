//! A CA that is open for signing.

use std::path::PathBuf;
use std::sync::Arc;

use certadm_rules::FileTime;
use certadm_rules::pem;
use certadm_store::{Folder, GroupCommit, Writer};
use der::asn1::{Ia5String, OctetString};
use rusqlite::Connection;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{
    AccessDescription, AuthorityInfoAccessSyntax, AuthorityKeyIdentifier, CrlDistributionPoints,
    crl::dp::DistributionPoint,
};
use x509_cert::ext::{Extension, ToExtension};

use crate::certificate::{MAX_CERTIFICATE_FILE, OwnCertificate};
use crate::config::{Config, PublishConfig};
use crate::crl::{self, CrlOptions, Publication, Signer};
use crate::crl_file;
use crate::dates;
use crate::denial::Denial;
use crate::error::{Error, Result};
use crate::identity::{DatabaseGuard, Identity};
use crate::issue::{
    DeniedRequest, Issued, PendingCertificate, Terms, record, record_denial, sign_certificate,
};
use crate::keys::CaKey;
use crate::passphrase::Passphrase;
use crate::policy::{self, Issuer};
use crate::profile::{DEFAULT, Profile};
use crate::public_key::PublicKey;
use crate::request::Request;
use crate::serial::Serial;
use certadm_files::read;

/// A CA that is open for signing: settings, certificate and decrypted key. It holds nothing of the
/// database, so any number of threads may prepare certificates at the same time.
pub struct Authority {
    folder: Folder,
    config: Config,
    key: CaKey,
    own: OwnCertificate,
    issuer: Issuer,
    guard: Arc<DatabaseGuard>,
}

/// Two equal serial numbers with 88 random bits mean that the random source is broken; a few tries
/// tell an accident from that.
const SERIAL_ATTEMPTS: usize = 3;

impl Authority {
    /// Opens the CA in `folder`: reads `ca.toml` and `ca.crt`, decrypts `ca.key`, and checks that
    /// key and certificate belong together.
    ///
    /// # Errors
    /// [`Error::NotACa`], [`Error::Config`], [`Error::NotYetCertified`], [`Error::WrongPassphrase`]
    /// and the others of [`CaKey::open`], [`Error::CertificateDamaged`], [`Error::KeyMismatch`],
    /// [`Error::NotACaCertificate`], [`Error::Io`].
    pub fn open(folder: &Folder, passphrase: &Passphrase) -> Result<Self> {
        let config = Config::load(&folder.config_path())?;
        let path = folder.certificate_path();
        let request = request_path(folder);
        if !path.exists() && request.exists() {
            return Err(Error::NotYetCertified { request });
        }
        let text = read::bounded(&path, MAX_CERTIFICATE_FILE)?;
        let key = CaKey::open(&folder.key_path(), passphrase)?;
        let own = OwnCertificate::parse(&text, &key, &path.display().to_string())?;
        Self::assemble(folder, config, key, own)
    }

    /// The CA in `folder` with a key that lies nowhere in it: for a rehearsal, whose scratch folder must not hold a key.
    /// `certificates` are those of the CA in PEM or DER.
    ///
    /// # Errors
    /// [`Error::CertificateDamaged`], [`Error::KeyMismatch`], [`Error::NotACaCertificate`], [`Error::Encoding`].
    pub fn of_parts(folder: &Folder, config: Config, key: CaKey, certificates: &[u8]) -> Result<Self> {
        let own = OwnCertificate::parse(certificates, &key, "the CA certificate")?;
        Self::assemble(folder, config, key, own)
    }

    pub(crate) fn assemble(folder: &Folder, config: Config, key: CaKey, own: OwnCertificate) -> Result<Self> {
        let identity = Identity::of_certificate(&own.der, "the CA certificate")?;
        identity.check_name(folder, &config)?;
        let issuer = Issuer {
            name: own.name.clone(),
            key: PublicKey::from_info(key.public_key_info()).ok(),
            path_length: own.path_length,
            name_constraints: own.name_constraints.clone(),
            common_extensions: common_extensions(&own, &config.publish)
                .map_err(Error::encoding("certificate"))?,
        };
        let guard = Arc::new(DatabaseGuard::new(identity, own.clone()));
        Ok(Self { folder: folder.clone(), config, key, own, issuer, guard })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The CA's own certificate in DER.
    pub fn certificate_der(&self) -> &[u8] {
        &self.own.der
    }

    /// The CA's own certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        pem::encode("CERTIFICATE", &self.own.der)
    }

    /// The serial number of the CA's own certificate.
    pub fn serial(&self) -> &Serial {
        &self.own.serial
    }

    /// From when until when the CA's own certificate is valid.
    pub fn validity(&self) -> (FileTime, FileTime) {
        (self.own.not_before, self.own.not_after)
    }

    /// The distinguished name as RFC 4514 text.
    pub fn distinguished_name(&self) -> String {
        self.own.name.to_string()
    }

    /// Where the CRL is published: `crl/<sanitized CA name>.crl`.
    pub fn crl_path(&self) -> PathBuf {
        crl_file::crl_path(&self.folder, &self.config)
    }

    /// Decides on a request and signs the certificate, without the database. The validity starts
    /// a little before `now` (`validity.clock_skew_minutes`) and ends with the CA's own at the
    /// latest.
    ///
    /// # Errors
    /// [`Error::Denied`], which leaves no row; [`Error::UnknownProfile`],
    /// [`Error::CaProfileNotAllowed`], [`Error::ValidityTooLong`], [`Error::CaNotValid`],
    /// [`Error::Random`], [`Error::Encoding`].
    pub fn prepare_issue(
        &self,
        request: &Request,
        terms: &Terms<'_>,
        now: FileTime,
    ) -> Result<PendingCertificate> {
        match self.decide(request, terms, now, new_serial()?)? {
            Decision::Grant(pending) => Ok(*pending),
            Decision::Deny(denied) => {
                Err(Error::Denied(Box::new(Denial { reason: denied.reason, request_id: None })))
            }
        }
    }

    fn decide(
        &self,
        request: &Request,
        terms: &Terms<'_>,
        now: FileTime,
        serial: Serial,
    ) -> Result<Decision> {
        let (profile_name, profile) = self.profile(terms)?;
        let (not_before, not_after) = self.validity_for(profile_name, profile, terms, now)?;
        let grant = match policy::decide(request, profile, &self.issuer)? {
            Ok(grant) => grant,
            Err(reason) => {
                return Ok(Decision::Deny(Box::new(DeniedRequest {
                    reason,
                    request: request.clone(),
                    requester: terms.requester.into(),
                    profile: profile_name.into(),
                    when: now,
                })));
            }
        };
        let extensions = grant.extensions.iter();
        let der = sign_certificate(
            &self.key,
            &self.issuer.name,
            &request.subject,
            request.public_key_info.clone(),
            &serial,
            (not_before, not_after),
            extensions.map(|(_, extension)| extension.clone()).collect(),
        )?;
        Ok(Decision::Grant(Box::new(PendingCertificate {
            request: request.clone(),
            requester: terms.requester.into(),
            profile: profile_name.into(),
            submitted: now,
            serial,
            not_before,
            not_after,
            keep_expired: profile.keep_expired_in_crl,
            grant,
            der,
        })))
    }

    fn profile<'a>(&'a self, terms: &Terms<'a>) -> Result<(&'a str, &'a Profile)> {
        let name = terms.profile.unwrap_or(DEFAULT);
        let profiles = &self.config.profiles;
        let profile = profiles.get(name).ok_or_else(|| Error::UnknownProfile {
            name: name.into(),
            known: profiles.keys().cloned().collect::<Vec<_>>().join(", "),
        })?;
        if profile.ca && !terms.allow_ca {
            return Err(Error::CaProfileNotAllowed { name: name.into() });
        }
        Ok((name, profile))
    }

    fn validity_for(
        &self,
        profile_name: &str,
        profile: &Profile,
        terms: &Terms<'_>,
        now: FileTime,
    ) -> Result<(FileTime, FileTime)> {
        let days = terms.days.unwrap_or(profile.days);
        if days == 0 || profile.max_days < days {
            return Err(Error::ValidityTooLong { days, max: profile.max_days, profile: profile_name.into() });
        }
        let now = dates::whole_seconds(now);
        self.check_clock(now)?;
        let skew = i64::from(self.config.validity.clock_skew_minutes);
        let not_before = dates::plus_minutes(now, -skew).max(self.own.not_before);
        let not_after = dates::plus_days(now, days).min(self.own.not_after);
        Ok((not_before, not_after))
    }

    /// Refuses a time at which the CA's own certificate is not valid.
    fn check_clock(&self, now: FileTime) -> Result<()> {
        let (not_before, not_after) = self.validity();
        if now < not_before || not_after <= now {
            return Err(Error::CaNotValid { not_before, not_after, now });
        }
        Ok(())
    }

    /// Issues a certificate; it is durable when this returns. A denied request leaves a row with
    /// disposition 31, whose number the error has.
    ///
    /// # Errors
    /// As [`Authority::prepare_issue`], and [`Error::Store`].
    pub fn issue(
        &self,
        writer: &mut Writer,
        request: &Request,
        terms: &Terms<'_>,
        now: FileTime,
    ) -> Result<Issued> {
        self.issue_through(request, terms, now, new_serial, |decision| {
            // Most of the comparison takes place before others have to wait for the commit.
            let decision = decision.compare_key(writer.connection())?;
            writer.commit(|transaction| decision.record(&self.guard, transaction))
        })
    }

    /// Issues a certificate as [`Authority::issue`], its commit shared with those of other
    /// threads.
    ///
    /// # Errors
    /// As [`Authority::issue`].
    pub fn issue_grouped(
        &self,
        group: &GroupCommit,
        request: &Request,
        terms: &Terms<'_>,
        now: FileTime,
    ) -> Result<Issued> {
        self.issue_through(request, terms, now, new_serial, |decision| {
            let guard = Arc::clone(&self.guard);
            group.commit(move |transaction| decision.record(&guard, transaction))
        })
    }

    fn issue_through(
        &self,
        request: &Request,
        terms: &Terms<'_>,
        now: FileTime,
        mut serial: impl FnMut() -> Result<Serial>,
        mut commit: impl FnMut(Decision) -> Result<Recorded>,
    ) -> Result<Issued> {
        let mut attempts = 1;
        loop {
            match commit(self.decide(request, terms, now, serial()?)?) {
                Ok(Recorded::Issued(issued)) => return Ok(issued),
                Ok(Recorded::Denied(denial)) => return Err(Error::Denied(Box::new(denial))),
                Err(Error::SerialTaken { .. }) if attempts < SERIAL_ATTEMPTS => attempts += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Publishes a new base CRL: file and row in one commit. It lists what the one before it listed, too, unless that was taken back or
    /// has expired: [`Publication::findings`] says what the database lacked of it.
    ///
    /// # Errors
    /// [`Error::CaNotValid`], [`Error::ClockBehindCrl`] when the clock is wrong, [`Error::AnotherCa`],
    /// [`Error::Encoding`], [`Error::DamagedRow`], [`Error::CrlNumbersExhausted`],
    /// [`Error::Store`], [`Error::File`].
    pub fn publish_crl(&self, writer: &mut Writer, now: FileTime) -> Result<Publication> {
        self.publish_crl_with(writer, now, CrlOptions::default())
    }

    /// As [`Authority::publish_crl`], with what is unusual about it.
    ///
    /// # Errors
    /// As [`Authority::publish_crl`].
    pub fn publish_crl_with(
        &self,
        writer: &mut Writer,
        now: FileTime,
        options: CrlOptions,
    ) -> Result<Publication> {
        self.check_clock(dates::whole_seconds(now))?;
        let skew = i64::from(self.config.validity.clock_skew_minutes);
        writer.commit(|transaction| {
            if !options.after_wrong_clock {
                crl::refuse_clock_behind_last(transaction, now, skew)?;
            }
            self.publish(transaction, now, options)
        })
    }

    /// As [`Authority::publish_crl`], inside of a transaction of the caller, and without a look at the clock.
    ///
    /// # Errors
    /// As [`Authority::publish_crl`].
    pub fn publish_crl_in(&self, connection: &Connection, now: FileTime) -> Result<Publication> {
        self.publish(connection, now, CrlOptions::default())
    }

    /// Records the CA's own certificate where the database lacks it, inside of a transaction of the caller.
    pub(crate) fn record_own(&self, connection: &Connection, now: FileTime) -> Result<()> {
        self.guard.check_and_record(connection, now)
    }

    fn publish(&self, connection: &Connection, now: FileTime, options: CrlOptions) -> Result<Publication> {
        self.guard.check_and_record(connection, now)?;
        let signer = Signer {
            key: &self.key,
            name: &self.own.name,
            key_identifier: &self.own.key_identifier,
            config: &self.config,
        };
        signer.publish(connection, &self.crl_path(), now, options.drop_published)
    }
}

/// What is to be recorded of a request.
enum Decision {
    Grant(Box<PendingCertificate>),
    Deny(Box<DeniedRequest>),
}

/// What has been recorded.
enum Recorded {
    Issued(Issued),
    Denied(Denial),
}

impl Decision {
    /// Denies what would be granted for an RSA key that shares a prime with one in the database.
    fn compare_key(self, connection: &Connection) -> Result<Self> {
        let Self::Grant(mut pending) = self else { return Ok(self) };
        Ok(match pending.compare_key(connection)? {
            Ok(()) => Self::Grant(pending),
            Err(reason) => Self::Deny(Box::new(pending.denied(reason))),
        })
    }

    fn when(&self) -> FileTime {
        match self {
            Self::Grant(pending) => pending.submitted,
            Self::Deny(denied) => denied.when,
        }
    }

    fn record(self, guard: &DatabaseGuard, connection: &Connection) -> Result<Recorded> {
        guard.check_and_record(connection, self.when())?;
        Ok(match self.compare_key(connection)? {
            Self::Grant(pending) => Recorded::Issued(record(connection, &pending)?),
            Self::Deny(denied) => {
                let request_id = Some(record_denial(connection, &denied)?);
                Recorded::Denied(Denial { reason: denied.reason, request_id })
            }
        })
    }
}

fn new_serial() -> Result<Serial> {
    Serial::new(certadm_store::now()).map_err(Error::Random)
}

/// `ca.csr`: the request of a subordinate CA.
pub(crate) fn request_path(folder: &Folder) -> PathBuf {
    folder.path().join("ca.csr")
}

fn common_extensions(own: &OwnCertificate, publish: &PublishConfig) -> der::Result<Vec<Extension>> {
    let authority = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new(own.key_identifier.as_slice())?),
        ..Default::default()
    };
    let mut extensions = vec![authority.to_extension(&own.name, &[])?];
    if !publish.crl_urls.is_empty() {
        // One point with several names: the same CRL in several places.
        let names = publish.crl_urls.iter().map(|url| uri(url));
        let point = DistributionPoint {
            distribution_point: Some(DistributionPointName::FullName(names.collect::<der::Result<_>>()?)),
            reasons: None,
            crl_issuer: None,
        };
        extensions.push(CrlDistributionPoints(vec![point]).to_extension(&own.name, &[])?);
    }
    let issuers = publish.issuer_urls.iter();
    let responders = publish.ocsp_urls.iter();
    let access = issuers
        .map(|url| (const_oid::db::rfc5280::ID_AD_CA_ISSUERS, url))
        .chain(responders.map(|url| (const_oid::db::rfc5280::ID_AD_OCSP, url)))
        .map(|(access_method, url)| Ok(AccessDescription { access_method, access_location: uri(url)? }))
        .collect::<der::Result<Vec<_>>>()?;
    if !access.is_empty() {
        extensions.push(AuthorityInfoAccessSyntax(access).to_extension(&own.name, &[])?);
    }
    Ok(extensions)
}

fn uri(url: &str) -> der::Result<GeneralName> {
    Ok(GeneralName::UniformResourceIdentifier(Ia5String::new(url)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::init::{Initialized, Role};
    use crate::keys::KeyType;

    /// A request of `openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=a.example`.
    const REQUEST: &[u8] = include_bytes!("../tests/data/a.example.csr");

    #[test]
    fn a_serial_number_that_exists_is_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(scratch.path().join("ca"));
        let passphrase = Passphrase::new(b"x".to_vec()).unwrap();
        let config = Config::new("Test CA".parse().unwrap(), KeyType::P256);
        let now = certadm_store::now();
        let made = Authority::init(&folder, &config, Role::Root, &passphrase, now);
        let Ok(Initialized::Root(authority)) = made else { panic!("no root CA") };
        let mut writer = Writer::open(&folder).unwrap();
        let request = Request::parse(REQUEST).unwrap();
        let mut issue = |serials: &[&str]| {
            let mut left = serials.iter();
            let issued = authority.issue_through(
                &request,
                &Terms::new("tests"),
                now,
                || left.next().map_or_else(new_serial, |serial| serial.parse()),
                |decision| writer.commit(|transaction| decision.record(&authority.guard, transaction)),
            );
            (issued.map(|issued| issued.serial.to_string()), left.len())
        };
        assert_eq!(issue(&["51"]).0.unwrap(), "51");
        let (result, left) = issue(&["51", "52", "53"]);
        assert_eq!((result.unwrap().as_str(), left), ("52", 1));
        let (result, left) = issue(&["51", "52", "53"]);
        assert_eq!((result.unwrap().as_str(), left), ("53", 0));
        let (result, left) = issue(&["51", "52", "53", "54"]);
        assert!(matches!(result, Err(Error::SerialTaken { .. })));
        assert_eq!(left, 1);
        let own = authority.serial().to_string();
        assert_ne!(issue(&[&own]).0.unwrap(), own);

        // Nothing of an attempt that failed has stayed.
        let rows = |sql| writer.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(rows("SELECT count(*) FROM Requests"), 5);
        assert_eq!(rows("SELECT count(*) FROM Certificates"), 5);
    }

    #[test]
    fn the_index_itself_refuses_a_second_one() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = Folder::new(scratch.path().join("ca"));
        let passphrase = Passphrase::new(b"x".to_vec()).unwrap();
        let config = Config::new("Test CA".parse().unwrap(), KeyType::P256);
        Authority::init(&folder, &config, Role::Root, &passphrase, certadm_store::now()).unwrap();
        let writer = Writer::open(&folder).unwrap();
        let own = "INSERT INTO Certificates (RequestID, SerialNumber) \
                   SELECT 77, SerialNumber FROM Certificates";
        assert!(writer.connection().execute(own, []).is_err());
    }
}
