//! What our own CA answers when it is asked: by its service to others, and to a backup of its folder.

use std::path::Path;

use certadm_ca::{Config, PublicCertificate, certificate_in, dates};
use certadm_files::absolute;
use certadm_rules::unc::UncRoot;
use certadm_rules::{BackupMarks, Diagnosis, FileTime, Hresult, hex, names};
use certadm_store::Folder;
use certadm_store::Mark;
use certadm_wire::csra::{CaInfo, PropertyValue, Variant, encode_numbers};
use der::asn1::AnyRef;
use der::{Decode, EncodingRules, SliceReader, Tag};
use sha1::{Digest, Sha1};
use x509_cert::time::Time;

use crate::answers::{Answers, ConfigKey, Refusal};
use crate::configuration::{Configuration, Value};
use crate::manifest::MAX_CRL;
use crate::pkcs7;
use crate::property::{self, LONG, NEWEST, Property};

/// Our version where a Windows CA has its own (wire.md 5.2): major and minor, 16 bits each.
const VERSION: u32 = 0x0000_0001;
/// The type of a CA whose certificate it issued itself, and of one with a parent; neither is in a directory (WCCE
/// 3.2.1.4.3.2, `CR_PROP_CATYPE`).
const STANDALONE_ROOT: u32 = 3;
const STANDALONE_SUBORDINATE: u32 = 4;
/// The type of a CA whose certificate cannot be read.
const UNKNOWN: u32 = 5;
/// What a certificate and a CRL that are there are: valid (WCCE 3.2.1.4.3.2, `CR_PROP_CACERTSTATE`).
const VALID: u8 = 3;
/// The value that stands in the CRL itself.
const CRL_NEXT_PUBLISH: &str = "CRLNextPublish";

/// Whether what stands in a CRL is read.
#[derive(Clone, Copy)]
enum Dates {
    PassedOver,
    Read,
}

/// The properties that our CA answers.
pub(crate) const SERVED: [Property; 26] = {
    use property::*;
    [
        FILE_VERSION,
        PRODUCT_VERSION,
        EXIT_COUNT,
        POLICY_DESCRIPTION,
        CA_NAME,
        SANITIZED_NAME,
        CA_TYPE,
        CERTIFICATE_COUNT,
        CERTIFICATE,
        CHAIN,
        EXCHANGE_COUNT,
        BASE_CRL,
        CERTIFICATE_STATES,
        CRL_STATES,
        HIGHEST,
        DNS_NAME,
        ROLE_SEPARATION,
        KRA_USED,
        KRA_COUNT,
        KRA_STATES,
        ADVANCED,
        CHAIN_AND_CRLS,
        CERTIFICATE_VERSIONS,
        CDP_URLS,
        AIA_URLS,
        OCSP_URLS,
    ]
};

/// Our own CA, as its folder shows it. It is read anew for each question, so the answers are those of the moment.
#[derive(Clone, Debug)]
pub struct OwnCa<'a> {
    /// Where it lies.
    pub folder: &'a Folder,
    /// Its common name.
    pub name: &'a str,
    /// This machine.
    pub host: &'a str,
    /// The interface flags that are in force.
    pub interface_flags: u32,
    /// The audit filter that is in force.
    pub audit_filter: u32,
    /// Its backups on record.
    pub marks: BackupMarks<Mark>,
}

impl OwnCa<'_> {
    /// The properties that it answers.
    #[must_use]
    pub const fn properties() -> &'static [Property] {
        &SERVED
    }

    /// The value of a property, as it travels. Without an index, the index is ignored (CSRA 3.1.4.2.2).
    ///
    /// # Errors
    /// `E_INVALIDARG` for what is not served, and for another index or kind; the code of a file that cannot be read.
    pub fn property(&self, id: i32, index: i32, kind: i32) -> Result<Vec<u8>, Hresult> {
        let known = SERVED.iter().find(|known| known.id == id);
        known.filter(|known| has(known, index) && kind == known.kind).ok_or(Hresult::E_INVALIDARG)?;
        let text = |text: &str| PropertyValue::Text(text.to_owned()).encode();
        let published = |urls: fn(&Config) -> &[String]| {
            let settings = self.settings();
            text(&settings.as_ref().map(|settings| urls(settings).join("\n")).unwrap_or_default())
        };
        Ok(match id {
            1 | 2 => text(env!("CARGO_PKG_VERSION")),
            5 => text("certadm"),
            6 => text(self.name),
            7 => text(&names::sanitize(self.name)),
            22 => text(self.host),
            3 | 10 | 11 | 14 | 21 | 23 | 24 | 25 | 28 => self.info().encode(),
            12 => self.certificate()?,
            13 => pkcs7::certificates(&[&self.certificate()?], &[]),
            17 => self.crl()?,
            19 => self.certificate().map(|_| vec![VALID])?,
            20 => self.crl().map(|_| vec![VALID])?,
            // There is no key recovery agent.
            27 => Vec::new(),
            32 => pkcs7::certificates(&[&self.certificate()?], &[&self.crl()?]),
            // Key 0 and certificate 0.
            39 => self.certificate().map(|_| encode_numbers(&[0]))?,
            41 => published(|config| &config.publish.crl_urls),
            42 => published(|config| &config.publish.issuer_urls),
            43 => published(|config| &config.publish.ocsp_urls),
            _ => return Err(Hresult::E_INVALIDARG),
        })
    }

    /// A value of the configuration; for an empty `entry` the names of all values of the key (wire.md 5.12). There is one CA,
    /// so a caller who names none and asks for a value of the CA's own key gets that, too.
    ///
    /// # Errors
    /// `ERROR_FILE_NOT_FOUND` for a key or value that is not there, `E_INVALIDARG` for a node without its CA.
    pub fn config(&self, key: ConfigKey<'_>, entry: &str) -> Result<Variant, Hresult> {
        // A CRL may be large, and is looked into only for what is in it, and for the list of what can be read.
        let dates = match entry.is_empty() || names::same_ignoring_case(entry, CRL_NEXT_PUBLISH) {
            true => Dates::Read,
            false => Dates::PassedOver,
        };
        let configuration = self.configuration_with(dates);
        let own = names::sanitize(self.name);
        let path = match key {
            ConfigKey::Top => String::new(),
            ConfigKey::Ca { node: "", .. } => own.clone(),
            ConfigKey::Ca { node, .. } => format!("{own}\\{node}"),
        };
        let found = configuration.keys.iter().find(|key| names::same_ignoring_case(&key.path, &path));
        let found = found.ok_or(Hresult::ERROR_FILE_NOT_FOUND)?;
        if entry.is_empty() {
            return Ok(Variant::Texts(found.values.iter().map(|(name, _)| name.clone()).collect()));
        }
        let value = configuration.get(&path, entry);
        let value = match key {
            ConfigKey::Top => value.or_else(|| configuration.get(&own, entry)),
            // A Windows CA has these values above the key of the CA; here any key does.
            ConfigKey::Ca { node: "", .. } => value.or_else(|| configuration.get("", entry)),
            ConfigKey::Ca { .. } => value,
        };
        value.map(Value::to_variant).ok_or(Hresult::ERROR_FILE_NOT_FOUND)
    }

    /// What a Windows CA has in its registry, as far as it is true of ours.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        self.configuration_with(Dates::Read)
    }

    fn configuration_with(&self, dates: Dates) -> Configuration {
        let mut all = Configuration::default();
        let own = names::sanitize(self.name);
        let text = |text: &str| Value::Text(text.to_owned());
        all.set("", "Active", text(&own));
        all.set("", "Version", Value::Number(VERSION));
        for (name, dir) in
            [("DBDirectory", self.folder.database_dir()), ("DBLogDirectory", self.folder.log_dir())]
        {
            all.set("", name, text(&self.path_for_all(&dir)));
        }
        for (name, marks) in [
            ("DBLastFullBackup", [&self.marks.full, &self.marks.copy]),
            ("DBLastIncrementalBackup", [&self.marks.incremental, &self.marks.differential]),
        ] {
            if let Some(taken) = marks.into_iter().flatten().map(|mark| mark.taken).max() {
                all.set("", name, moment(taken));
            }
        }
        let mut set = |name: &str, value: Value| all.set(&own, name, value);
        set("CommonName", text(self.name));
        set("SanitizedCAName", text(&own));
        set("CAServerName", text(self.host));
        set("InterfaceFlags", Value::Number(self.interface_flags));
        set("AuditFilter", Value::Number(self.audit_filter));
        set("Version", Value::Number(VERSION));
        let certificate = certificate_in(self.folder).ok();
        set("CAType", Value::Number(ca_type(certificate.as_ref())));
        set("UseDS", Value::Number(0));
        let hashes = certificate.iter().map(|certificate| spaced(&Sha1::digest(&certificate.der)));
        set("CACertHash", Value::List(hashes.collect()));
        if let Dates::Read = dates
            && let Ok(Ok(end)) = self.crl().map(|der| next_update(&der))
        {
            set(CRL_NEXT_PUBLISH, moment(end));
        }
        if let Some(config) = self.settings() {
            self.add_settings(&mut all, &own, &config);
        }
        all
    }

    /// What `ca.toml` says.
    fn add_settings(&self, all: &mut Configuration, own: &str, config: &Config) {
        let text = |text: &str| Value::Text(text.to_owned());
        let with =
            |bits: u32, urls: &[String]| urls.iter().map(|url| format!("{bits}:{url}")).collect::<Vec<_>>();
        let mut set = |name: &str, value: Value| all.set(own, name, value);
        set("CRLPeriod", text("Days"));
        set("CRLPeriodUnits", Value::Number(config.crl.days));
        set("CRLOverlapPeriod", text("Hours"));
        set("CRLOverlapUnits", Value::Number(config.crl.overlap_hours));
        set("CRLDeltaPeriod", text("Days"));
        set("CRLDeltaPeriodUnits", Value::Number(0));
        set("ClockSkewMinutes", Value::Number(config.validity.clock_skew_minutes));
        // Bits of such lists (recovery.md 1.3): published there, named in certificates; an OCSP responder.
        let mut crls = with(1, &[self.path_for_all(&self.crl_path())]);
        crls.extend(with(2, &config.publish.crl_urls));
        set("CRLPublicationURLs", Value::List(crls));
        let mut certificates = with(2, &config.publish.issuer_urls);
        certificates.extend(with(0x20, &config.publish.ocsp_urls));
        set("CACertPublicationURLs", Value::List(certificates));
        let csp = format!("{own}\\CSP");
        all.set(&csp, "Provider", text("certadm"));
        all.set(&csp, "ProviderType", Value::Number(0));
        all.set(&csp, "CNGPublicKeyAlgorithm", text(config.key.as_str()));
        all.set(&format!("{own}\\PolicyModules"), "Active", text("certadm"));
        all.set(&format!("{own}\\ExitModules"), "Active", Value::List(Vec::new()));
    }

    /// CAINFO, which every property that is a number is answered with.
    fn info(&self) -> CaInfo {
        let ca_type = ca_type(certificate_in(self.folder).ok().as_ref());
        let highest = SERVED.last().map_or(0, |property| property.id);
        CaInfo { ca_type, certificates: 1, highest_property: highest.cast_unsigned(), ..CaInfo::default() }
    }

    fn certificate(&self) -> Result<Vec<u8>, Hresult> {
        certificate_in(self.folder).map(|certificate| certificate.der).map_err(|error| error.hresult())
    }

    fn crl(&self) -> Result<Vec<u8>, Hresult> {
        self.folder.own(&self.crl_path()).read(MAX_CRL).map_err(|error| error.hresult())
    }

    fn crl_path(&self) -> std::path::PathBuf {
        self.folder.crl_dir().join(format!("{}.crl", names::sanitize(self.name)))
    }

    fn settings(&self) -> Option<Config> {
        Config::load(&self.folder.config_path()).ok()
    }

    /// A path as other machines name it.
    fn path_for_all(&self, path: &Path) -> String {
        let path = absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
        let unc = UncRoot::of_this_system(self.host).ok().and_then(|root| root.to_unc(&path).ok());
        unc.unwrap_or(path)
    }
}

fn ca_type(certificate: Option<&PublicCertificate>) -> u32 {
    certificate.map_or(UNKNOWN, |certificate| match certificate.self_issued {
        true => STANDALONE_ROOT,
        false => STANDALONE_SUBORDINATE,
    })
}

/// The CA has one certificate and one CRL, number 0, which is the newest too.
fn has(property: &Property, index: i32) -> bool {
    !property.is_indexed || index == 0 || property.kind != LONG && index == NEWEST
}

/// The eight bytes of a FILETIME.
fn moment(moment: FileTime) -> Value {
    Value::Bytes(moment.0.to_le_bytes().to_vec())
}

/// When a CRL ends. Its entries, of which there may be very many, are not looked at.
fn next_update(der: &[u8]) -> der::Result<FileTime> {
    let reader = |bytes| SliceReader::new_with_encoding_rules(bytes, EncodingRules::Der);
    let mut outer = reader(AnyRef::from_der(der)?.value())?;
    let mut content = reader(AnyRef::decode(&mut outer)?.value())?;
    if Tag::peek(&content)? == Tag::Integer {
        AnyRef::decode(&mut content)?; // version
    }
    for _ in 0..2 {
        AnyRef::decode(&mut content)?; // algorithm, issuer
    }
    Time::decode(&mut content)?; // this update
    Time::decode(&mut content).map(dates::from_x509)
}

/// `aa bb cc`, as Windows writes hashes.
fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| hex::encode(&[*byte])).collect::<Vec<_>>().join(" ")
}

impl Answers for OwnCa<'_> {
    fn property(&mut self, id: i32, index: i32, kind: i32, _most: usize) -> Result<Vec<u8>, Refusal> {
        OwnCa::property(self, id, index, kind).map_err(Refusal::of_code)
    }

    fn config(&mut self, key: ConfigKey<'_>, entry: &str) -> Result<Variant, Refusal> {
        OwnCa::config(self, key, entry).map_err(Refusal::of_code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_stands_in_the_order_of_its_numbers() {
        assert!(SERVED.is_sorted_by(|one, other| one.id < other.id));
        assert!(SERVED.iter().all(|served| property::ALL.contains(served)));
        assert!(has(&property::CDP_URLS, NEWEST) && !has(&property::CERTIFICATE_STATES, NEWEST));
    }
}
