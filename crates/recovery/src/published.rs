//! CRLs that the lost CA has published, as their users hand them in: whose they are, what they list.

use std::collections::{BTreeMap, BTreeSet};

use certadm_ca::{Recognised, Serial, dates};
use certadm_rules::{FileTime, pem};
use const_oid::ObjectIdentifier;
use der::asn1::Ia5String;
use der::{Decode, Encode};
use x509_cert::ext::pkix::IssuingDistributionPoint;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};

use crate::crl_entry::{EntryFault, PublishedEntry, read_entries};
use crate::error::{Error, Result};
use crate::issuer::{Issuer, Issuers};
use crate::signature::{Algorithm, PublicKey};
use crate::x509::{CrlRef, number_in, oid};

/// The newest list of the CA itself with which an emergency CRL was compared: what neither of the two lists was not revoked then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The number of that CRL.
    pub number: i64,
    /// From when on it was valid.
    pub this_update: FileTime,
}

/// A CRL that was published: read, and not yet believed.
#[derive(Clone, Debug)]
pub struct PublishedCrl {
    /// Where it came from, for messages.
    pub name: String,
    /// The CRL.
    pub der: Vec<u8>,
    /// The greatest that there is room for where it is longer.
    pub(crate) number: i64,
    /// It has more than 63 bits (RFC 5280 5.2.3 allows 20 octets).
    pub(crate) is_number_long: bool,
    /// The base that a delta CRL builds on; nothing for a base CRL.
    pub(crate) base: Option<i64>,
    pub(crate) this_update: FileTime,
    pub(crate) next_update: Option<FileTime>,
    pub(crate) next_publish: Option<FileTime>,
    /// Of an emergency CRL: with what it was compared, where that is known.
    pub(crate) emergency: Option<Option<Compared>>,
}

impl PublishedCrl {
    /// Reads a CRL in DER or PEM.
    ///
    /// # Errors
    /// [`certadm_ca::Error::WrongKind`] for something else, such as a certificate; [`Error::Published`];
    /// [`Error::NotUnderstood`] for an indirect CRL.
    pub fn parse(name: &str, content: &[u8]) -> Result<Self> {
        if let Some(error) = certadm_ca::Error::of_wrong_kind(name, content, Recognised::Crl) {
            return Err(error.into());
        }
        let unusable = |reason: String| Error::Published { name: name.to_owned(), reason };
        let malformed = |error: der::Error| unusable(format!("it is no CRL in DER or PEM ({error})"));
        let der = if pem::looks_like_pem(content) {
            let blocks = pem::blocks(content).map_err(unusable)?;
            let mut crls = blocks.into_iter().filter(|block| block.label == "X509 CRL");
            match (crls.next(), crls.next()) {
                (Some(one), None) => one.der,
                (None, _) => return Err(unusable("it has no block X509 CRL".into())),
                (Some(_), Some(_)) => return Err(unusable("it holds several CRLs".into())),
            }
        } else {
            content.to_vec()
        };
        let crl = CrlRef::parse(&der).map_err(malformed)?;
        let number = |oid| -> Result<Option<i64>> {
            let Some(value) = crl.content.value(oid) else { return Ok(None) };
            Ok(Some(number_in(value).map_err(malformed)?.unwrap_or(i64::MAX)))
        };
        // A CRL of version 1 has no number; any other is greater.
        let (count, base) = (number(oid::CRL_NUMBER)?.unwrap_or(0), number(oid::DELTA_BASE)?);
        if crl.content.is_indirect().map_err(malformed)? {
            let reason = "it is an indirect CRL, which lists certificates of other CAs, too".to_owned();
            return Err(Error::NotUnderstood { name: name.to_owned(), reason });
        }
        let next_publish = crl
            .content
            .value(oid::NEXT_PUBLISH)
            .and_then(|value| x509_cert::time::Time::from_der(value).ok().map(dates::from_x509));
        let (this_update, next_update) =
            (dates::from_x509(crl.content.this_update), crl.content.next_update.map(dates::from_x509));
        Ok(Self {
            name: name.to_owned(),
            number: count,
            is_number_long: count == i64::MAX,
            base,
            this_update,
            next_update,
            next_publish,
            emergency: None,
            der,
        })
    }

    /// The same as an emergency CRL, which this crate has made and not the CA. Its number lies above all that the CA has used, whatever
    /// its maker knew: what it lists is revoked, and what it lacks is no more than `compared` shows.
    #[must_use]
    pub fn of_emergency(self, compared: Option<Compared>) -> Self {
        Self { emergency: Some(compared), ..self }
    }

    /// Whether it is known to be an emergency CRL, and with what it was compared.
    #[must_use]
    pub fn emergency(&self) -> Option<Option<Compared>> {
        self.emergency
    }

    /// Up to where it is a complete list of what was revoked; nothing for a delta CRL.
    fn reach(&self) -> Option<Compared> {
        let itself = Compared { number: self.number, this_update: self.this_update };
        self.emergency.unwrap_or(Some(itself)).filter(|_| self.base.is_none())
    }

    /// Its number; the greatest one of 63 bits where it is longer.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Whether it is a delta CRL.
    #[must_use]
    pub fn is_delta(&self) -> bool {
        self.base.is_some()
    }

    /// When it ends, where it says so.
    #[must_use]
    pub fn next_update(&self) -> Option<FileTime> {
        self.next_update
    }

    /// Every serial number that it lists.
    ///
    /// # Errors
    /// [`Error::Published`] when an entry is malformed, [`Error::NotUnderstood`].
    pub fn serials(&self) -> Result<BTreeSet<Serial>> {
        let mut serials = BTreeSet::new();
        self.entries(|entry| {
            serials.insert(entry.serial);
        })?;
        Ok(serials)
    }

    pub(crate) fn parsed(&self) -> Result<CrlRef<'_>> {
        CrlRef::parse(&self.der).map_err(|error| self.malformed(&error))
    }

    fn malformed(&self, error: &der::Error) -> Error {
        Error::Published { name: self.name.clone(), reason: format!("it is malformed ({error})") }
    }

    pub(crate) fn entries(&self, visit: impl FnMut(PublishedEntry)) -> Result<()> {
        let Some(list) = self.parsed()?.content.revoked else { return Ok(()) };
        read_entries(list, visit).map_err(|fault| match fault {
            EntryFault::Malformed(error) => self.malformed(&error),
            EntryFault::Critical { serial, oid } => Error::NotUnderstood {
                name: self.name.clone(),
                reason: format!(
                    "its entry of {serial} has the extension {oid}, which must not be passed over"
                ),
            },
        })
    }

    /// Whether one of these keys signed it.
    ///
    /// # Errors
    /// [`Error::PublishedElsewhere`], [`Error::Published`].
    pub fn check_issuer(&self, issuers: &Issuers) -> Result<()> {
        self.place_among(issuers).map(|_| ())
    }

    /// The place of the key that signed it. A CRL of another issuer, or by none of its keys, is refused: its entries would
    /// be those of another CA.
    ///
    /// # Errors
    /// [`Error::PublishedElsewhere`], [`Error::Published`].
    pub fn place_among(&self, issuers: &Issuers) -> Result<usize> {
        let crl = self.parsed()?;
        let elsewhere = |reason: String| Error::PublishedElsewhere { name: self.name.clone(), reason };
        let issuer = crl.content.issuer.to_der()?;
        if issuers.iter().all(|known| known.subject != issuer) {
            let name = certadm_ca::common_name_of(&issuer).ok().flatten();
            let name = name.unwrap_or_else(|| "a CA without a common name".to_owned());
            return Err(elsewhere(format!(
                "its issuer is {name}, the database is of {}",
                issuers.describe()
            )));
        }
        let algorithm = self.algorithm(&crl)?;
        issuers
            .0
            .iter()
            .position(|known| known.key.verifies(&algorithm, crl.signed, crl.signature))
            .ok_or_else(|| {
                elsewhere(format!("its signature is of none of the keys of {}", issuers.describe()))
            })
    }

    /// Whether it names a key of the CA that is of a kind that is not supported, so that nothing is known of its signature.
    pub(crate) fn is_of_unsupported_key(&self, issuers: &Issuers) -> bool {
        let Ok(crl) = self.parsed() else { return false };
        let mut unsupported = issuers.iter().filter(|known| !known.key.is_supported());
        unsupported.any(|known| {
            let is_subject = crl.content.issuer.to_der().is_ok_and(|issuer| issuer == known.subject);
            is_subject && issuers.is_of(&crl, &known.identifiers)
        })
    }

    fn algorithm(&self, crl: &CrlRef<'_>) -> Result<Algorithm> {
        let unusable = |reason: String| Error::Published { name: self.name.clone(), reason };
        Algorithm::from_der(&crl.content.algorithm.to_der()?).map_err(unusable)
    }

    /// The issuer that signed it with `key`, where there is no database.
    ///
    /// # Errors
    /// [`Error::PublishedElsewhere`] when the key did not sign it, [`Error::Published`].
    pub fn issuer(&self, key: &PublicKey) -> Result<Issuers> {
        let crl = self.parsed()?;
        if !key.verifies(&self.algorithm(&crl)?, crl.signed, crl.signature) {
            let reason = "its signature is not of the key that was given".to_owned();
            return Err(Error::PublishedElsewhere { name: self.name.clone(), reason });
        }
        Ok(Issuers(vec![Issuer::of_crl(&crl, key, &self.name)?]))
    }
}

/// Of each key at most one kind of certificates may be covered: the newest base CRL stands for all that is revoked, and one that
/// is of a partition, or of the certificates of users alone, says nothing of the others. A delta CRL goes with a base of the same
/// issuing distribution point alone (RFC 5280 5.2.4).
pub(crate) fn check_scopes(published: &[(usize, &PublishedCrl)]) -> Result<()> {
    let mut scopes: BTreeMap<usize, (&PublishedCrl, Option<Vec<u8>>)> = BTreeMap::new();
    // The delta CRL of an emergency CRL is empty, and goes with every base.
    for (place, crl) in published.iter().filter(|(_, crl)| crl.base.is_none() || crl.emergency().is_none()) {
        let scope = crl.parsed()?.content.value(oid::ISSUING_POINT).map(scope_in);
        let (first, known) = scopes.entry(*place).or_insert_with(|| (*crl, scope.clone()));
        if *known != scope {
            return Err(Error::TwoScopes { one: first.name.clone(), other: crl.name.clone() });
        }
    }
    Ok(())
}

/// The value of an issuing distribution point as far as it tells one from another: Windows puts a `+` into the address of a delta CRL,
/// and another attribute into that of the directory.
fn scope_in(value: &[u8]) -> Vec<u8> {
    let Ok(mut point) = IssuingDistributionPoint::from_der(value) else { return value.to_vec() };
    if let Some(DistributionPointName::FullName(names)) = &mut point.distribution_point {
        for name in names {
            let GeneralName::UniformResourceIdentifier(url) = name else { continue };
            let text =
                url.as_str().replace('+', "").replace("deltaRevocationList", "certificateRevocationList");
            if let Ok(without) = Ia5String::new(&text) {
                *url = without;
            }
        }
    }
    point.to_der().unwrap_or_else(|_| value.to_vec())
}

/// Without a database the base CRL alone tells what was revoked before a delta CRL.
pub(crate) fn check_bases(published: &[(usize, &PublishedCrl)]) -> Result<()> {
    for (place, crl) in published {
        let Some(base) = crl.base else { continue };
        let has_base = published.iter().any(|(other, crl)| other == place && crl.base.is_none());
        if !has_base {
            return Err(Error::NoBase { name: crl.name.clone(), base });
        }
    }
    Ok(())
}

/// What is published for one key: the newest base CRL, and the delta CRLs that go with it.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) entries: BTreeMap<Serial, Listed>,
    /// Taken off the list by a delta CRL.
    pub(crate) removed: BTreeSet<Serial>,
    /// The number of the newest of them that the CA itself made.
    pub(crate) number: Option<i64>,
    /// Whether they are all that was published up to the newest of them: what they do not list was not revoked then.
    pub(crate) is_whole: bool,
    /// A delta CRL that builds on none of the others.
    pub(crate) gap: Option<Gap>,
    /// What was revoked later cannot be listed.
    pub(crate) until: Option<FileTime>,
    /// Extensions of entries that are not read, and how many entries have them.
    pub(crate) passed_over: BTreeMap<ObjectIdentifier, u64>,
}

/// An entry of the view, and its place in the CRL.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listed {
    pub(crate) when: FileTime,
    pub(crate) reason: i32,
    pub(crate) is_negative: bool,
    pub(crate) place: usize,
    /// The number of the newest CRL that says so.
    pub(crate) number: i64,
}

/// Something was published between the newest base CRL that is there, if one is, and a delta CRL, and is not there.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    /// The file of the delta CRL.
    pub(crate) delta: String,
    /// The number of the base CRL on which it builds.
    pub(crate) missing: i64,
}

/// The reason by which a delta CRL takes an entry off the list.
const REMOVE_FROM_CRL: i32 = 8;
const ON_HOLD: i32 = 6;

impl View {
    /// Puts together what is published of the key at `place`. `crls` have the places of their keys with them. Emergency CRLs come
    /// last: they add to what the CA published, and take nothing from it.
    ///
    /// A delta CRL has everything that has changed since its base CRL, so it goes with any complete list from that one on (RFC
    /// 5280 5.2.4), and the list is complete up to its own number then. The entries of one that goes with none are true as well;
    /// but what it does not list may have been revoked before its base.
    ///
    /// # Errors
    /// [`Error::Published`].
    pub(crate) fn of(place: usize, crls: &[(usize, &PublishedCrl)]) -> Result<Self> {
        let of_key = || crls.iter().filter(|(key, _)| *key == place).map(|(_, crl)| *crl);
        let rank = |crl: &&PublishedCrl| (crl.number, crl.this_update);
        let bases = of_key().filter_map(|crl| crl.reach().map(|reach| (reach, crl)));
        let base =
            bases.max_by_key(|(reach, crl)| (reach.number, reach.this_update, crl.emergency.is_none()));
        let mut deltas: Vec<&PublishedCrl> = of_key()
            .filter(|crl| crl.base.is_some() && crl.emergency.is_none())
            .filter(|delta| base.is_none_or(|(base, _)| base.number <= delta.number))
            .collect();
        deltas.sort_by_key(rank);
        let mut view = Self::default();
        let mut complete = base.map(|(base, _)| base.number);
        if let Some((reach, base)) = base {
            view.add(base, reach)?;
        }
        while let Some(reached) = complete {
            let goes_with = |delta: &&PublishedCrl| delta.base.is_some_and(|base| base <= reached);
            // The newest has what those before it have.
            let Some(newest) = deltas.iter().rposition(goes_with) else { break };
            view.add_delta(deltas[newest])?;
            complete = Some(deltas[newest].number);
            deltas.drain(..=newest);
        }
        for listed in view.entries.values_mut() {
            listed.number = complete.unwrap_or(listed.number);
        }
        for delta in &deltas {
            view.add_delta(delta)?;
        }
        let newest = deltas.last().and_then(|delta| Some((delta.name.clone(), delta.base?)));
        view.gap = newest.map(|(delta, missing)| Gap { delta, missing });
        view.is_whole = complete.is_some() && view.gap.is_none();
        let mut emergency: Vec<&PublishedCrl> = of_key().filter(|crl| crl.emergency.is_some()).collect();
        emergency.sort_by_key(rank);
        for crl in emergency {
            view.add_emergency(crl)?;
        }
        Ok(view)
    }

    /// With what an emergency CRL is compared that is made of it.
    pub(crate) fn compared(&self) -> Option<Compared> {
        let (number, this_update) = self.number.zip(self.until)?;
        self.is_whole.then_some(Compared { number, this_update })
    }

    /// What an emergency CRL lists is revoked: its maker may have had a database, or orders, that are not here. A hold is no more than
    /// that beside a revocation for good.
    fn add_emergency(&mut self, crl: &PublishedCrl) -> Result<()> {
        let mut place = self.entries.len();
        crl.entries(|entry| {
            if crl.base.is_some() && entry.reason == REMOVE_FROM_CRL {
                return;
            }
            self.removed.remove(&entry.serial);
            let (when, reason, is_negative, number) =
                (entry.when, entry.reason, entry.is_negative, crl.number);
            let new = Listed { when, reason, is_negative, place, number };
            place += 1;
            let known = self.entries.entry(entry.serial).or_insert(new);
            // It may be older than a CRL that the CA made since, which decides by its own number.
            let number = known.number.max(number);
            *known = match (known.reason, entry.reason) {
                (reason, ON_HOLD) if reason != ON_HOLD => Listed { number, ..*known },
                _ => Listed { place: known.place, number, ..new },
            };
        })
    }

    fn add_delta(&mut self, crl: &PublishedCrl) -> Result<()> {
        self.add(crl, Compared { number: crl.number, this_update: crl.this_update })
    }

    fn add(&mut self, crl: &PublishedCrl, reach: Compared) -> Result<()> {
        let mut place = self.entries.len();
        crl.entries(|entry| {
            if crl.base.is_some() && entry.reason == REMOVE_FROM_CRL {
                self.entries.remove(&entry.serial);
                self.removed.insert(entry.serial);
                return;
            }
            self.removed.remove(&entry.serial);
            let (when, reason, is_negative, number) =
                (entry.when, entry.reason, entry.is_negative, reach.number);
            self.entries.insert(entry.serial, Listed { when, reason, is_negative, place, number });
            if let Some(oid) = entry.passed_over {
                *self.passed_over.entry(oid).or_default() += 1;
            }
            place += 1;
        })?;
        self.number = self.number.max(Some(reach.number));
        self.until = self.until.max(Some(reach.this_update));
        Ok(())
    }
}
