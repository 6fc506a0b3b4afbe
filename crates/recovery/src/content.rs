//! The to-be-signed part of a CRL (recovery.md 4.2, rules 7 and 8).

use certadm_ca::dates;
use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind};
use const_oid::ObjectIdentifier;
use der::asn1::AnyRef;
use der::{Decode, Encode};

use crate::crl_entry::write_entry;
use crate::entries::Entry;
use crate::error::{Error, Result};
use crate::issuer::Issuer;
use crate::records::{CrlRow, Maker, Records};
use crate::schedule::Dates;
use crate::signature::Algorithm;
use crate::x509::{Body, CrlContent, CrlRef, ExtensionRef, authority_key_value, oid};

/// What kind of CRL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrlKind {
    /// Everything that is revoked.
    Base,
    /// What has changed since the base CRL with this number.
    Delta(i64),
}

/// One extension of a CRL: its place in the order, whether it is critical, and the value to copy where it is not made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) oid: ObjectIdentifier,
    critical: bool,
    value: Vec<u8>,
}

/// The extensions of the last CRL of a key and kind: which ones, in which order, critical or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(pub(crate) Vec<Slot>);

impl Template {
    /// The extensions of a CRL.
    pub(crate) fn of(crl: &CrlRef<'_>) -> Self {
        let slot = |extension: &ExtensionRef<'_>| Slot {
            oid: extension.oid,
            critical: extension.critical,
            value: extension.value.as_bytes().to_vec(),
        };
        let mut template = Self(Vec::new());
        for extension in crl.content.extensions.iter().flatten() {
            // No extension may be there twice (RFC 5280 4.2).
            if !template.has(extension.oid) {
                template.0.push(slot(extension));
            }
        }
        template
    }

    /// What a CA puts into its CRLs when nothing is there to follow.
    pub(crate) fn usual(maker: Maker, kind: CrlKind) -> Self {
        let windows: &[ObjectIdentifier] =
            &[oid::AUTHORITY_KEY, oid::CA_VERSION, oid::CRL_NUMBER, oid::NEXT_PUBLISH];
        let oids = match maker {
            Maker::Windows => windows,
            Maker::Certadm => &[oid::CRL_NUMBER, oid::AUTHORITY_KEY],
        };
        let slot = |oid: &ObjectIdentifier| Slot { oid: *oid, critical: false, value: Vec::new() };
        let mut template = Self(oids.iter().map(slot).collect());
        template.complete(kind);
        template
    }

    /// Adds what a CRL cannot be without: its number and the identifier of its key (RFC 5280 5.2.1 and 5.2.3), which one of version 1
    /// does not have; and of a delta CRL, its base.
    pub(crate) fn complete(&mut self, kind: CrlKind) {
        for oid in [oid::CRL_NUMBER, oid::AUTHORITY_KEY] {
            if !self.has(oid) {
                self.0.insert(0, Slot { oid, critical: false, value: Vec::new() });
            }
        }
        if matches!(kind, CrlKind::Delta(_)) && !self.has(oid::DELTA_BASE) {
            let slot = Slot { oid: oid::DELTA_BASE, critical: true, value: Vec::new() };
            let before = self.0.iter().position(|slot| slot.oid == oid::PUBLISHED_LOCATIONS);
            self.0.insert(before.unwrap_or(self.0.len()), slot);
        }
    }

    pub(crate) fn has(&self, oid: ObjectIdentifier) -> bool {
        self.value(oid).is_some()
    }

    /// The value of an extension in the last CRL.
    pub(crate) fn value(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        self.0.iter().find(|slot| slot.oid == oid).map(|slot| slot.value.as_slice())
    }

    /// Adds the pointer to delta CRLs, where Windows has it: before the published locations.
    pub(crate) fn point_to(&mut self, freshest: Vec<u8>) {
        let before = self.0.iter().position(|slot| slot.oid == oid::PUBLISHED_LOCATIONS);
        let slot = Slot { oid: oid::FRESHEST, critical: false, value: freshest };
        self.0.insert(before.unwrap_or(self.0.len()), slot);
    }

    /// Takes over the issuing distribution point of the base CRL, without which a delta CRL does not go with it (RFC 5280 5.2.4).
    pub(crate) fn cover_the_same_as(&mut self, base: &Self) {
        let of_base = base.0.iter().find(|slot| slot.oid == oid::ISSUING_POINT);
        if let Some(slot) = of_base.filter(|_| !self.has(oid::ISSUING_POINT)) {
            self.0.push(slot.clone());
        }
    }

    /// Leaves an extension out.
    pub(crate) fn without(mut self, oid: ObjectIdentifier) -> Self {
        self.0.retain(|slot| slot.oid != oid);
        self
    }

    /// Leaves out what nobody here understands, and says so: it may say something that is no longer true.
    pub(crate) fn known(mut self, findings: &mut Vec<Finding>) -> Self {
        let known = [
            oid::AUTHORITY_KEY,
            oid::CA_VERSION,
            oid::CRL_NUMBER,
            oid::NEXT_PUBLISH,
            oid::FRESHEST,
            oid::PUBLISHED_LOCATIONS,
            oid::DELTA_BASE,
            oid::ISSUING_POINT,
        ];
        self.0.retain(|slot| {
            let is_known = known.contains(&slot.oid);
            if !is_known {
                let word = if slot.critical { "critical extension" } else { "extension" };
                let detail = format!(
                    "the {word} {} of the last CRL is not carried over: its meaning is not known",
                    slot.oid
                );
                findings.push(Finding::warning(Kind::CrlExtension, detail));
            }
            is_known
        });
        self
    }
}

/// All that a CRL is made of.
pub(crate) struct Content<'a> {
    pub(crate) issuer: &'a Issuer,
    pub(crate) kind: CrlKind,
    pub(crate) number: i64,
    pub(crate) dates: Dates,
    pub(crate) algorithm: &'a Algorithm,
    pub(crate) template: &'a Template,
}

impl Content<'_> {
    /// The to-be-signed part with these entries.
    ///
    /// # Errors
    /// [`Error::Encoding`].
    pub(crate) fn to_der(&self, entries: &[Entry]) -> Result<Vec<u8>> {
        let mut revoked = Vec::with_capacity(entries.len().saturating_mul(54));
        for entry in entries {
            write_entry(&mut revoked, (&entry.serial, entry.is_negative), entry.when, entry.reason)?;
        }
        let mut values = Vec::with_capacity(self.template.0.len());
        for slot in &self.template.0 {
            values.push((slot.oid, slot.critical, self.value(slot)?));
        }
        let extension = |(oid, critical, value): &(ObjectIdentifier, bool, Option<Vec<u8>>)| {
            Some((*oid, *critical, value.clone()?))
        };
        let values: Vec<_> = values.iter().filter_map(extension).collect();
        let extensions: der::Result<Vec<_>> =
            values.iter().map(|(oid, critical, value)| ExtensionRef::new(*oid, *critical, value)).collect();
        let content = CrlContent {
            version: Some(1),
            algorithm: AnyRef::from_der(self.algorithm.to_der())?,
            issuer: AnyRef::from_der(&self.issuer.subject)?,
            this_update: dates::to_x509(self.dates.this_update)?,
            next_update: Some(dates::to_x509(self.dates.next_update)?),
            // An empty list is left out (RFC 5280 5.1.2.6).
            revoked: (!revoked.is_empty()).then_some(Body(&revoked)),
            extensions: Some(extensions?),
        };
        Ok(content.to_der()?)
    }

    /// The value of an extension; nothing leaves it out.
    fn value(&self, slot: &Slot) -> der::Result<Option<Vec<u8>>> {
        Ok(match (slot.oid, self.kind) {
            (oid::AUTHORITY_KEY, _) => {
                let identifier = self.issuer.identifiers.first().map(Vec::as_slice).unwrap_or_default();
                Some(authority_key_value(identifier)?)
            }
            // A certificate without the extension is the first one of the first key.
            (oid::CA_VERSION, _) => Some(self.issuer.version.unwrap_or_default().to_der()?),
            (oid::CRL_NUMBER, _) => Some(self.number.to_der()?),
            (oid::NEXT_PUBLISH, _) => Some(dates::to_x509(self.dates.next_publish)?.to_der()?),
            (oid::DELTA_BASE, CrlKind::Delta(base)) => Some(base.to_der()?),
            (oid::DELTA_BASE, CrlKind::Base) => None,
            _ => Some(slot.value.clone()),
        })
    }
}

/// Makes the to-be-signed part of a CRL that the CA has published anew, out of its row and the certificate of the CA, with
/// the extensions of its key's last CRL of that kind. Where a database is whole, the result is what Windows signed: the
/// proof that CRLs made here are those that the CA would have made.
///
/// `entries` is what it listed. A row says how many there were, not which.
///
/// # Errors
/// [`Error::Published`] when the row holds no CRL, or one that cannot be read; [`Error::Encoding`].
pub fn rebuild(records: &Records, row: &CrlRow, issuer: &Issuer, entries: &[Entry]) -> Result<Vec<u8>> {
    let unusable =
        |reason: &str| Error::Published { name: format!("of row {}", row.row_id), reason: reason.to_owned() };
    let newest = records
        .crls()
        .iter()
        .filter(|other| (other.name_id, other.min_base != 0) == (row.name_id, row.min_base != 0))
        .find_map(|other| other.raw.as_deref())
        .ok_or_else(|| unusable("its CRL is not in the database"))?;
    let crl = CrlRef::parse(newest).map_err(|error| unusable(&error.to_string()))?;
    let algorithm =
        Algorithm::from_der(&crl.content.algorithm.to_der()?).map_err(|error| unusable(&error))?;
    let date = |date: Option<FileTime>| date.ok_or_else(|| unusable("the row has no dates"));
    let kind = match row.min_base {
        0 => CrlKind::Base,
        base => CrlKind::Delta(base),
    };
    let content = Content {
        issuer,
        kind,
        number: row.number,
        dates: Dates {
            this_update: date(row.this_update)?,
            next_update: date(row.next_update)?,
            next_publish: date(row.next_publish)?,
        },
        algorithm: &algorithm,
        template: &Template::of(&crl),
    };
    content.to_der(entries)
}
