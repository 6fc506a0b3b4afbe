//! The CRL that a lost CA would need, made from what was restored, signed, checked as others check it, and thrown away.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use certadm_ca::Serial;
use certadm_files::{Found, durable};
use certadm_recovery::{Issuers, Options, Origin, Plan, PrivateKey, PublishedCrl, Records};
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::counted;
use certadm_rules::{Diagnosis, FileTime, Hresult};

use crate::error::Result;
use crate::step::{Notes, Outcome, Trouble};
use crate::wishes::Keys;

/// No published CRL is longer (recovery.md 4.2).
const MAX_CRL: u64 = certadm_recovery::bundle::MAX_CRL;

/// Reads the CRLs that the CA has published last.
pub(crate) fn published(paths: &[PathBuf]) -> Result<Vec<PublishedCrl>> {
    let read = |path: &PathBuf| {
        let content = Found::named(path).read(MAX_CRL)?;
        Ok(PublishedCrl::parse(&path.display().to_string(), &content)?)
    };
    paths.iter().map(read).collect()
}

/// The certificates that the database is asked for although they may be in force: those that published CRLs list. Whether such a
/// one was taken back from hold, or issued after the backup, nothing else tells.
pub(crate) fn asked_of(published: &[PublishedCrl]) -> Result<BTreeSet<Serial>> {
    let mut asked = BTreeSet::new();
    for crl in published {
        asked.append(&mut crl.serials()?);
    }
    Ok(asked)
}

/// The CRLs to be signed.
pub(crate) struct Planned {
    plan: Plan,
    pub(crate) listed: Listed,
}

/// What the CRLs say of certificates.
pub(crate) struct Listed {
    /// Everything that they list, and where each entry comes from.
    pub(crate) entries: BTreeMap<Serial, Origin>,
    /// On hold in the database, and left out because a newer published CRL does not list them any more.
    pub(crate) released: BTreeSet<Serial>,
}

impl Planned {
    /// Plans them. A published CRL must be of this CA, and not older than the ones that the database knows. `records` has the
    /// certificates in force that [`asked_of`] names.
    pub(crate) fn of(
        records: &Records,
        published: Vec<PublishedCrl>,
        now: FileTime,
        notes: &mut Notes,
    ) -> Result<Self, Trouble> {
        let issuers = Issuers::of(records)?;
        for crl in &published {
            let name = &crl.name;
            let place = crl.place_among(&issuers)?;
            let known = issuers.known_number(place, crl.is_delta(), records);
            if let Some(known) = known.filter(|known| crl.number() < *known) {
                return Err(Trouble::fail(
                    Hresult::CRYPT_E_NOT_FOUND,
                    format!(
                        "{name} has the number {}, and the backup knows number {known} of its kind: what is published is older than the backup",
                        crl.number()
                    ),
                    "publish the newest CRL of the CA where certificates look for it",
                ));
            }
        }
        // What is thrown away may be signed as the CA signs.
        let options = Options { allow_sha1: true, ..Options::new(now) };
        let plan = Plan::new(issuers, Some(records), &published, &options).map_err(|error| match error {
            // The database is no worse for that.
            certadm_recovery::Error::Partitions { .. } => {
                Trouble::skipped(error.to_string(), error.remedy().into_owned())
            }
            other => other.into(),
        })?;
        // The past of the database needs no look in a rehearsal, but for what would be missing in a real CRL.
        let missing = [Kind::CrlLeftOut, Kind::CrlNotCompared];
        let told = plan.findings.iter().filter(|finding| missing.contains(&finding.kind));
        notes.findings.extend(told.cloned());
        let entries = plan.crls.iter().flat_map(|crl| &crl.entries);
        let listed = Listed {
            entries: entries.map(|entry| (entry.serial.clone(), entry.origin)).collect(),
            released: plan.released.iter().cloned().collect(),
        };
        Ok(Self { plan, listed })
    }

    /// When the last CRL ends that others can have.
    pub(crate) fn deadline(&self) -> Option<FileTime> {
        self.plan.deadline()
    }

    /// The keys of the CA.
    pub(crate) fn issuers(&self) -> &Issuers {
        &self.plan.issuers
    }

    /// Signs them, reads them back, and verifies each against the CA's certificates.
    pub(crate) fn sign(
        &self,
        keys: &Keys,
        spare: Option<&Path>,
        now: FileTime,
        notes: &mut Notes,
    ) -> Result<(), Trouble> {
        let keys = given(keys, "the CRL is signed where the key is")?;
        let (mut signed, mut unsigned) = (Vec::new(), Vec::new());
        for crl in &self.plan.crls {
            let issuer = self.plan.issuers.iter().nth(crl.issuer);
            let key =
                keys.iter().find(|(_, key)| issuer.is_some_and(|one| one.public_key() == key.public_key()));
            let Some((_, key)) = key else {
                unsigned.push(crl.file_name.clone());
                continue;
            };
            if crl.dates.next_update <= now {
                return Err(Trouble::fail(
                    Hresult::CERT_E_EXPIRED,
                    format!(
                        "the CRL {} would end before it begins: the CA's own certificate has expired",
                        crl.file_name
                    ),
                    "renew the CA's certificate",
                ));
            }
            let der = crl.sign(&self.plan, key)?;
            let read = PublishedCrl::parse(&crl.file_name, &der)?;
            let place = read.place_among(&self.plan.issuers)?;
            let wanted: BTreeSet<Serial> = crl.entries.iter().map(|entry| entry.serial.clone()).collect();
            if place != crl.issuer || read.serials()? != wanted {
                return Err(Trouble::fail(
                    Hresult::ERROR_INVALID_DATA,
                    format!("the CRL {} reads back otherwise than it was made", crl.file_name),
                    "report this, with the command that led to it",
                ));
            }
            signed.push((format!("{}.crl", crl.file_name), der));
        }
        if signed.is_empty() {
            let (text, remedy) = match unsigned.is_empty() {
                true => (
                    "no CRL is needed: no key of the CA is in force, and nothing that one signed",
                    "renew the CA's certificate, or take a newer set",
                ),
                false => (
                    "no key was given that a CRL is needed of",
                    "give a key of the CA that is still in force",
                ),
            };
            return Err(Trouble::fail(Hresult::CRYPT_E_NOT_FOUND, text, remedy));
        }
        let last = self.plan.crls.first().map(|crl| crl.dates.next_update.to_rfc3339()).unwrap_or_default();
        let entries = counted(self.listed.entries.len() as u64, "entry");
        notes.detail = format!(
            "{} signed and verified: number {}, {entries}, valid until {last}",
            counted(signed.len() as u64, "CRL"),
            self.plan.number.number
        );
        if let Some(dir) = spare {
            durable::create_dir_as(dir, 0o700)?;
            for (name, der) in &signed {
                durable::create(&dir.join(name), der, certadm_files::Access::Owner)?;
            }
            notes.detail.push_str(&format!("; kept in {}", dir.display()));
        } else {
            notes.detail.push_str("; thrown away");
        }
        if let Some(index) = self.plan.unsupported.first() {
            let text = format!("{}; keys of the kind of key {index} are not supported", notes.detail);
            return Err(Trouble::skipped(text, "make the CRL of that key with another program"));
        }
        if unsigned.is_empty() {
            return Ok(());
        }
        let text =
            format!("{}; not signed, because their key was not given: {}", notes.detail, unsigned.join(", "));
        Err(Trouble::skipped(text, "give the key by a further --key FILE"))
    }
}

/// The keys, where there are any; else how the step ends that needs one.
pub(crate) fn given<'k>(keys: &'k Keys, elsewhere: &str) -> Result<&'k [(PathBuf, PrivateKey)], Trouble> {
    match keys {
        Keys::Given(keys) => Ok(keys),
        Keys::External => Err(Trouble::other(Outcome::External, format!("{elsewhere}; rehearse that there"))),
        Keys::NotGiven => Err(Trouble::skipped(
            "no key was given",
            "give it by --key FILE, or say --external-key if it cannot leave its place; for a job, `key` or `external-key` in certadm.toml",
        )),
    }
}

/// Whether each key belongs to the CA and signs; and which keys in force nobody has given.
pub(crate) fn try_keys(
    issuers: &Issuers,
    records_end: FileTime,
    keys: &Keys,
    now: FileTime,
    notes: &mut Notes,
) -> Result<(), Trouble> {
    let keys = given(keys, "the key is not here")?;
    let mut kinds = Vec::new();
    for (path, key) in keys {
        if issuers.is_beside_own_key(keys, path, key.public_key()) {
            continue;
        }
        issuers.place_of_key(key.public_key(), &path.display().to_string())?;
        key.try_out()
            .map_err(|reason| certadm_recovery::Error::UnusableKey { path: path.clone(), reason })?;
        kinds.push(key.public_key().kind_name());
    }
    for issuer in issuers.iter() {
        let has = keys.iter().any(|(_, key)| key.public_key() == issuer.public_key());
        if !has && now <= issuer.end().unwrap_or(records_end) {
            let text = format!(
                "key {} (key id {}) is in force, and was not given",
                issuer.index(),
                issuer.key_identifier()
            );
            notes
                .findings
                .push(Finding::warning(Kind::CrlKey, text).remedy("give it by a further --key FILE"));
        }
    }
    notes.detail = format!("{} fits the CA's certificate and signs", kinds.join(", "));
    Ok(())
}

/// Says when the CRL ends that others have now, or that it has.
pub(crate) fn tell_deadline(deadline: Option<FileTime>, now: FileTime, notes: &mut Notes) {
    let Some(end) = deadline.filter(|end| *end < now) else { return };
    let text =
        format!("the last CRL that the backup or the published files know ended at {}", end.to_rfc3339());
    let remedy = "publish a CRL on the CA; `certadm emergency-crl` makes one if the CA is lost";
    notes.findings.push(Finding::warning(Kind::CrlExpired, text).remedy(remedy));
}
