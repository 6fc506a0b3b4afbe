//! Asking a CA for everything that it says of itself (recovery.md 1.2, 1.3, 2).
//!
//! The CA is a stranger: how much it may deliver is bounded, what it delivers is looked at before it gets a name that says what
//! it is, and no name that it gives becomes a path. What it refuses is noted, and the rest is asked for all the same.

use std::collections::BTreeMap;

use certadm_files::cancel;
use certadm_rules::Hresult;
use certadm_rules::finding::{Finding, Kind};
use certadm_wire::csra::{CaInfo, PropertyValue, Variant, decode_numbers};
use der::Decode;
use der::asn1::AnyRef;
use serde_json::{Value as Json, json};

use crate::answers::{Answers, ConfigKey, Refusal};
use crate::configuration::{Configuration, Value};
use crate::manifest::{Refused, Role};
use crate::property::{self, Property};
use crate::registry::{self, CERTSVC};

/// More certificates of one kind are not asked for: a CA has a few.
const MAX_CERTIFICATES: u32 = 256;
/// More values of one key are not asked for, and no more keys.
const MAX_VALUES: usize = 4096;
const MAX_MODULES: usize = 32;
/// More bytes in all are not taken, 512 MiB.
const MAX_TOTAL: u64 = 512 << 20;
/// More of the configuration is not taken, 4 MiB: a CA has a few hundred values. While files are made of it, each octet becomes up
/// to twelve.
const MAX_CONFIGURATION: u64 = 4 << 20;
/// What a text takes in memory beside its bytes.
const PER_TEXT: u64 = 32;

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewFile {
    pub(crate) path: String,
    pub(crate) role: Role,
    pub(crate) source: String,
    pub(crate) content: Vec<u8>,
}

/// What a CA says of itself.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// Its common name; empty where it was not told.
    pub ca_name: String,
    /// Its machine, likewise.
    pub host: String,
    /// Its configuration.
    pub configuration: Configuration,
    /// What it refused.
    pub refused: Vec<Refused>,
    /// What is amiss: refusals, and answers that are not what they should be.
    pub findings: Vec<Finding>,
    pub(crate) files: Vec<NewFile>,
}

impl Fetched {
    /// How many files of a role there are.
    #[must_use]
    pub fn count(&self, role: Role) -> usize {
        self.files.iter().filter(|file| file.role == role).count()
    }

    /// Whether the CA answered anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds a file of our own CA's folder, which nobody has to be asked for.
    pub fn add(&mut self, role: Role, path: &str, source: &str, content: Vec<u8>) {
        let (path, source) = (path.to_owned(), source.to_owned());
        self.files.push(NewFile { path, role, source, content });
    }
}

/// Asks for everything. What is refused, and an end of the connection, becomes a finding.
pub fn fetch(ca: &mut dyn Answers) -> Fetched {
    let mut asking = Asking {
        ca,
        fetched: Fetched::default(),
        told: Vec::new(),
        total: 0,
        configured: 0,
        is_told: false,
        unexpected: BTreeMap::new(),
        is_over: false,
    };
    asking.everything();
    asking.finish()
}

struct Asking<'a> {
    ca: &'a mut dyn Answers,
    fetched: Fetched,
    /// The properties that are no files, for `Properties.json`.
    told: Vec<Json>,
    total: u64,
    /// Bytes of the configuration, and of what is said of it: a name from the CA may be long, and stands in many refusals.
    configured: u64,
    /// Whether it was said that this is too much.
    is_told: bool,
    /// The questions that were refused unexpectedly, by code, and what was said of the first.
    unexpected: BTreeMap<u32, (String, Vec<String>)>,
    is_over: bool,
}

impl Asking<'_> {
    fn everything(&mut self) {
        let info = self.info();
        self.texts(&info);
        self.certificates(&info);
        self.recovery_agents(&info);
        // A CA that is in no directory offers no templates.
        if matches!(info.ca_type, 0 | 1) {
            self.templates();
        }
        self.all_keys();
        // CRLs come last: they alone may be large, and one that is too large costs the connection.
        self.crls(&info);
    }

    fn finish(mut self) -> Fetched {
        if !self.told.is_empty() {
            let json = json!({ "format": 1, "properties": self.told });
            self.file("Properties.json".to_owned(), Role::Properties, "GetCAProperty", pretty(&json));
        }
        if !self.fetched.configuration.is_empty() {
            let json = self.fetched.configuration.to_json();
            self.file("Config/config.json".to_owned(), Role::Configuration, "GetConfigEntry", pretty(&json));
            let written = registry::to_text(&self.fetched.configuration, &registry::root(CERTSVC));
            for name in written.left_out {
                let text = format!("{name:?} has a name that no registry file can have; config.json has it");
                self.fetched.findings.push(Finding::warning(Kind::IdentityPart, text));
            }
            let bytes = registry::to_bytes(&written.text);
            self.file("Config/config.reg".to_owned(), Role::Registry, "GetConfigEntry", bytes);
        }
        for (code, (text, what)) in std::mem::take(&mut self.unexpected) {
            self.fetched.findings.push(refusal(Hresult::from_bits(code), &text, &what));
        }
        self.fetched
    }

    /// CAINFO says how many certificates there are. A CA that does not tell it is asked for what every CA has.
    fn info(&mut self) -> CaInfo {
        let unknown = CaInfo { ca_type: 5, certificates: 1, highest_property: u32::MAX, ..CaInfo::default() };
        let Some(blob) = self.property(&property::CA_TYPE, 0, false) else { return unknown };
        let Ok(info) = CaInfo::decode(&blob) else {
            self.amiss("GetCAProperty 10 is no CAINFO: how many certificates the CA has is not known");
            return unknown;
        };
        self.told.push(json!({
            "id": property::CA_TYPE.id, "name": "CA Info", "index": 0,
            "value": {
                "ca_type": info.ca_type, "certificates": info.certificates,
                "exchange_certificates": info.exchange_certificates, "exit_modules": info.exit_modules,
                "highest_property": info.highest_property, "role_separation": info.role_separation,
                "recovery_agents_used": info.recovery_agents_used, "recovery_agents": info.recovery_agents,
                "advanced": info.advanced,
            },
        }));
        info
    }

    fn texts(&mut self, info: &CaInfo) {
        use property::*;
        for (property, expected) in [
            (FILE_VERSION, true),
            (PRODUCT_VERSION, true),
            (POLICY_DESCRIPTION, true),
            (CA_NAME, false),
            (SANITIZED_NAME, false),
            (DNS_NAME, false),
            (SHORT_NAME, true),
            (LOCALE, true),
            (SUBJECT_TEMPLATE, true),
            (CDP_URLS, true),
            (AIA_URLS, true),
            (OCSP_URLS, true),
        ] {
            if info.highest_property < property.id.cast_unsigned() {
                continue;
            }
            let index = if property.is_indexed { NEWEST } else { 0 };
            let Some(text) = self.text(&property, index, expected) else { continue };
            match property.id {
                6 => self.fetched.ca_name.clone_from(&text),
                22 => self.fetched.host.clone_from(&text),
                _ => {}
            }
            self.told
                .push(json!({ "id": property.id, "name": property.name, "index": index, "value": text }));
        }
        for index in 0..self.bounded(info.exit_modules, "exit modules") {
            let property = &EXIT_DESCRIPTION;
            let Some(text) = self.text(property, index, true) else { break };
            self.told
                .push(json!({ "id": property.id, "name": property.name, "index": index, "value": text }));
        }
    }

    fn certificates(&mut self, info: &CaInfo) {
        use property::*;
        let count = self.bounded(info.certificates, "certificates");
        for property in [&CERTIFICATE_STATES, &CRL_STATES] {
            if let Some(states) = self.property(property, 0, true) {
                self.tell_numbers(property, states.iter().map(|state| u32::from(*state)).collect());
            }
        }
        if let Some(versions) =
            self.property(&CERTIFICATE_VERSIONS, 0, true).and_then(|blob| decode_numbers(&blob).ok())
        {
            self.tell_numbers(&CERTIFICATE_VERSIONS, versions);
        }
        for index in 0..count {
            self.der(&CERTIFICATE, index, Role::CaCertificate, format!("Certificates/ca-{index}.crt"), false);
            self.der(&CHAIN, index, Role::Chain, format!("Chains/ca-{index}.p7b"), true);
            if 1 < count {
                let of = |word: &str| format!("Cross/{word}-{index}.crt");
                self.der(&FORWARD_CROSS, index, Role::CrossCertificate, of("forward"), true);
                self.der(&BACKWARD_CROSS, index, Role::CrossCertificate, of("backward"), true);
            }
        }
    }

    /// The newest first: it is the one that is in use.
    fn crls(&mut self, info: &CaInfo) {
        use property::*;
        let count = info.certificates.min(MAX_CERTIFICATES).cast_signed();
        for index in (0..count).rev() {
            // A key has one CRL: the certificates of it but the newest have none of their own.
            self.der(&BASE_CRL, index, Role::BaseCrl, format!("Crls/base-{index}.crl"), index + 1 != count);
            self.der(&DELTA_CRL, index, Role::DeltaCrl, format!("Crls/delta-{index}.crl"), true);
        }
    }

    fn recovery_agents(&mut self, info: &CaInfo) {
        for index in 0..self.bounded(info.recovery_agents, "key recovery agents") {
            let path = format!("Kra/kra-{index}.crt");
            self.der(&property::KRA_CERTIFICATE, index, Role::KraCertificate, path, false);
        }
    }

    /// `name\nOID\nname\nOID\n...`
    fn templates(&mut self) {
        let property = &property::TEMPLATES;
        let Some(text) = self.text(property, 0, false) else { return };
        let lines: Vec<&str> = text.trim_end_matches('\n').split('\n').collect();
        let pairs = lines.chunks(2).filter(|pair| !pair[0].is_empty());
        let list: Vec<Json> =
            pairs.map(|pair| json!({ "name": pair[0], "oid": pair.get(1).unwrap_or(&"") })).collect();
        let json = json!({ "format": 1, "templates": list });
        self.file("Templates.json".to_owned(), Role::Templates, &question(property, 0), pretty(&json));
    }

    fn all_keys(&mut self) {
        self.key(ConfigKey::Top, "", &TOP_VALUES, false);
        let active = self.fetched.configuration.text("", "Active").map(str::to_owned);
        let name =
            if self.fetched.ca_name.is_empty() { active.clone() } else { Some(self.fetched.ca_name.clone()) };
        let Some(name) = name else { return };
        let own = active.unwrap_or_else(|| certadm_rules::names::sanitize(&name));
        self.key(ConfigKey::Ca { name: &name, node: "" }, &own, &CA_VALUES, false);
        for node in ["CSP", "EncryptionCSP", "PolicyModules", "ExitModules"] {
            self.node(&name, &own, node);
        }
        let modules = |asking: &Self, node: &str| {
            let value = asking.fetched.configuration.get(&format!("{own}\\{node}"), "Active").cloned();
            let mut modules = match value {
                Some(Value::Text(module)) => vec![module],
                Some(Value::List(modules)) => modules,
                _ => Vec::new(),
            };
            modules.retain(|module| !module.is_empty());
            modules.truncate(MAX_MODULES);
            modules
        };
        for module in modules(self, "PolicyModules") {
            self.node(&name, &own, &format!("PolicyModules\\{module}"));
        }
        for module in modules(self, "ExitModules") {
            let exit = format!("ExitModules\\{module}");
            self.node(&name, &own, &exit);
            // Only a module that sends mail has keys for it.
            if self.node(&name, &own, &format!("{exit}\\SMTP")) {
                for event in ["Denied", "Issued", "Pending", "Revoked", "CRLIssued", "Shutdown", "Startup"] {
                    self.node(&name, &own, &format!("{exit}\\SMTP\\{event}"));
                }
            }
        }
    }

    fn node(&mut self, name: &str, own: &str, node: &str) -> bool {
        self.key(ConfigKey::Ca { name, node }, &format!("{own}\\{node}"), &[], true)
    }

    /// The values of a key. Those of a CA that does not tell their names are asked for by the names that are known.
    fn key(&mut self, key: ConfigKey<'_>, path: &str, known: &[&str], may_be_absent: bool) -> bool {
        let place = if path.is_empty() { "Configuration" } else { path };
        let is_missing = |refusal: &Refusal| may_be_absent && refusal.code != Hresult::E_ACCESSDENIED;
        let listed = match self.config(key, "") {
            None => return false,
            Some(Ok(Variant::Texts(names))) => Some(names),
            Some(Ok(Variant::Empty)) => Some(Vec::new()),
            Some(Ok(_)) => {
                self.amiss(&format!("the CA's answer for the names of the values of {place} is no list"));
                None
            }
            Some(Err(refusal)) => {
                let expected = is_missing(&refusal);
                self.refuse(format!("GetConfigEntry: the names of the values of {place}"), refusal, expected);
                None
            }
        };
        let is_listed = listed.is_some();
        let mut names = listed.unwrap_or_else(|| known.iter().map(|name| (*name).to_owned()).collect());
        if MAX_VALUES < names.len() {
            self.amiss(&format!("{place} has {} values; only the first {MAX_VALUES} are kept", names.len()));
            names.truncate(MAX_VALUES);
        }
        if is_listed {
            self.fetched.configuration.key_mut(path);
        }
        for name in names.iter().filter(|name| !name.is_empty()) {
            match self.config(key, name) {
                None => break,
                Some(Ok(answer)) => match Value::of_variant(answer) {
                    Some(value) => self.fetched.configuration.set(path, name, value),
                    None => self.amiss(&format!("{name:?} of {place} is of a kind that is not known")),
                },
                Some(Err(refusal)) => {
                    let what = format!("GetConfigEntry: {name:?} of {place}");
                    // A guessed name need not be there.
                    let expected = !is_listed && refusal.code == Hresult::ERROR_FILE_NOT_FOUND;
                    self.refuse(what, refusal, expected);
                }
            }
        }
        is_listed
    }

    fn tell_numbers(&mut self, property: &Property, numbers: Vec<u32>) {
        self.told.push(json!({ "id": property.id, "name": property.name, "index": 0, "value": numbers }));
    }

    fn text(&mut self, property: &Property, index: i32, expected: bool) -> Option<String> {
        let blob = self.property(property, index, expected)?;
        match PropertyValue::decode(property::TEXT, &blob) {
            Ok(PropertyValue::Text(text)) => Some(text),
            _ => {
                self.amiss(&format!("{} is no text", question(property, index)));
                None
            }
        }
    }

    /// A certificate, CRL or chain.
    fn der(&mut self, property: &Property, index: i32, role: Role, path: String, expected: bool) {
        let Some(blob) = self.property(property, index, expected) else { return };
        if AnyRef::from_der(&blob).is_err() {
            let text = format!("{} is no DER; it is kept as it came", question(property, index));
            self.fetched.findings.push(Finding::warning(Kind::IdentityPart, text));
        }
        self.file(path, role, &question(property, index), blob);
    }

    fn file(&mut self, path: String, role: Role, source: &str, content: Vec<u8>) {
        if role.most() < content.len() as u64 {
            self.amiss(&format!(
                "{source} has {} bytes, which no such file has: it is not kept",
                content.len()
            ));
            return;
        }
        self.fetched.files.push(NewFile { path, role, source: source.to_owned(), content });
    }

    fn property(&mut self, property: &Property, index: i32, expected: bool) -> Option<Vec<u8>> {
        if self.is_over() {
            return None;
        }
        let left = usize::try_from(MAX_TOTAL.saturating_sub(self.total)).unwrap_or(usize::MAX);
        match self.ca.property(property.id, index, property.kind, left) {
            Ok(blob) => {
                self.total = self.total.saturating_add(blob.len() as u64);
                Some(blob)
            }
            Err(refusal) => {
                self.refuse(question(property, index), refusal, expected);
                None
            }
        }
    }

    fn config(&mut self, key: ConfigKey<'_>, entry: &str) -> Option<Result<Variant, Refusal>> {
        if self.is_over() || self.is_configured() {
            return None;
        }
        let answer = self.ca.config(key, entry);
        self.takes(text_size(entry).saturating_add(answer.as_ref().map_or(0, variant_size)));
        if self.is_configured() { None } else { Some(answer) }
    }

    /// Whether nothing more of the configuration is asked, because too much of it has come.
    fn is_configured(&mut self) -> bool {
        let is_over = MAX_CONFIGURATION < self.configured;
        if is_over && !self.is_told {
            self.is_told = true;
            self.amiss("the configuration of the CA has more than 4 MiB; the rest was not asked for");
        }
        is_over
    }

    fn takes(&mut self, bytes: u64) {
        self.total = self.total.saturating_add(bytes);
        self.configured = self.configured.saturating_add(bytes);
    }

    /// Whether nothing more is asked: the connection is gone, the command was interrupted, or too much has come.
    fn is_over(&mut self) -> bool {
        if !self.is_over && MAX_TOTAL < self.total {
            self.amiss("the CA has sent more than 512 MiB about itself; the rest was not asked for");
            self.is_over = true;
        }
        if !self.is_over && cancel::requested().is_some() {
            self.amiss("the command was interrupted; the rest was not asked for");
            self.is_over = true;
        }
        self.is_over
    }

    fn refuse(&mut self, what: String, refusal: Refusal, expected: bool) {
        self.is_over |= refusal.is_final;
        self.takes(text_size(&what));
        let expected = expected && !refusal.is_final && refusal.code != Hresult::E_ACCESSDENIED;
        if !expected {
            let (_, all) =
                self.unexpected.entry(refusal.code.to_bits()).or_insert_with(|| (refusal.text, Vec::new()));
            all.push(what.clone());
        }
        let code = refusal.code.hex();
        self.fetched.refused.push(Refused { what, code, expected });
    }

    fn amiss(&mut self, text: &str) {
        self.takes(text_size(text));
        self.fetched.findings.push(Finding::warning(Kind::IdentityPart, text).remedy(ATTACH));
    }

    /// A number of things that the CA says it has.
    fn bounded(&mut self, count: u32, what: &str) -> i32 {
        if MAX_CERTIFICATES < count {
            self.amiss(&format!(
                "the CA says that it has {count} {what}; the first {MAX_CERTIFICATES} are asked for"
            ));
        }
        i32::try_from(count.min(MAX_CERTIFICATES)).unwrap_or_default()
    }
}

/// What an answer takes in memory.
fn variant_size(variant: &Variant) -> u64 {
    match variant {
        Variant::Text(text) => text.as_deref().map_or(0, text_size),
        Variant::Texts(texts) => texts.iter().map(|text| text_size(text)).sum(),
        Variant::Bytes(bytes) => bytes.len() as u64,
        _ => 0,
    }
}

fn text_size(text: &str) -> u64 {
    PER_TEXT + text.len() as u64
}

const ATTACH: &str =
    "fetch it again with `certadm identity`, or put what is missing beside the set with `certadm attach`";

/// One finding for all questions that were refused by one code.
fn refusal(code: Hresult, text: &str, what: &[String]) -> Finding {
    const SHOWN: usize = 3;
    let mut list = what.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if SHOWN < what.len() {
        list.push_str(&format!("; and {} more", what.len() - SHOWN));
    }
    let finding =
        Finding::warning(Kind::IdentityPart, format!("the CA did not answer ({text}): {list}")).code(code);
    finding.remedy(match code {
        Hresult::E_ACCESSDENIED => {
            "give the account the right Read on the CA, or take an account that has it"
        }
        _ => ATTACH,
    })
}

fn question(property: &Property, index: i32) -> String {
    match property.is_indexed {
        true => format!("GetCAProperty {} ({}) {index}", property.id, property.name),
        false => format!("GetCAProperty {} ({})", property.id, property.name),
    }
}

fn pretty(json: &Json) -> Vec<u8> {
    format!("{json:#}\n").into_bytes()
}

/// Values of `Configuration` and of a CA's own key, for a CA that does not list their names (CSRA 3.1.1.10).
const TOP_VALUES: [&str; 12] = [
    "Active",
    "ConfigurationDirectory",
    "DBDirectory",
    "DBFlags",
    "DBLastFullBackup",
    "DBLastIncrementalBackup",
    "DBLogDirectory",
    "DBSessionCount",
    "DBSystemDirectory",
    "LDAPFlags",
    "SetupStatus",
    "Version",
];
#[rustfmt::skip]
const CA_VALUES: [&str; 52] = [
    "AlternateSignatureAlgorithm", "AuditFilter", "CACertFileName", "CACertHash", "CACertPublicationURLs", "CAServerName",
    "CAType", "CAXchgCertHash", "CAXchgOverlapPeriod", "CAXchgOverlapPeriodUnits", "CAXchgValidityPeriod",
    "CAXchgValidityPeriodUnits", "CertEnrollCompatible", "ClockSkewMinutes", "CommonName", "CRLDeltaNextPublish",
    "CRLDeltaOverlapPeriod", "CRLDeltaOverlapUnits", "CRLDeltaPeriod", "CRLDeltaPeriodUnits", "CRLEditFlags", "CRLFlags",
    "CRLNextPublish", "CRLOverlapPeriod", "CRLOverlapUnits", "CRLPeriod", "CRLPeriodUnits", "CRLPublicationURLs",
    "DSConfigDN", "DSDomainDN", "Enabled", "EnrollmentAgentRights", "EnrollmentCompatible", "ForceTeletex", "HighSerial",
    "InterfaceFlags", "KRACertCount", "KRACertHash", "KRAFlags", "LogLevel", "MaxIncomingAllocSize",
    "MaxIncomingMessageSize", "OfficerRights", "PolicyFlags", "RoleSeparationEnabled", "Security", "SetupStatus",
    "SignedAttributes", "SubjectTemplate", "UseDS", "ValidityPeriod", "ValidityPeriodUnits",
];

#[cfg(test)]
#[path = "../tests/unit/fetch.rs"]
mod tests;
