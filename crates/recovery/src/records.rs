//! What a CRL needs from the database of a CA, row by row, whichever kind of database it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use certadm_ca::Serial;
use certadm_ca::rows::Disposition;
use certadm_rules::FileTime;

use crate::crl_entry::is_negative;
use crate::error::{Error, Result};
use crate::x509::{CertificateRef, oid};

/// Whose database it is; what its CRLs carry when no CRL is there to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Certificate Services of Windows.
    Windows,
    /// The CA of `certadm`.
    Certadm,
}

/// A request and what came of it: the columns of Requests and Certificates that a CRL needs (ese.md 12).
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns
pub struct Row {
    pub request_id: i64,
    pub disposition: Disposition,
    pub revoked_when: Option<FileTime>,
    pub revoked_effective_when: Option<FileTime>,
    pub revoked_reason: Option<i32>,
    pub serial: Option<Serial>,
    pub not_after: Option<FileTime>,
    pub publish_expired: bool,
    pub issuer_name_id: Option<i64>,
    pub certificate: Option<Vec<u8>>,
}

impl Row {
    /// A row of which nothing else is known.
    #[must_use]
    pub const fn new(request_id: i64, disposition: Disposition) -> Self {
        Self {
            request_id,
            disposition,
            revoked_when: None,
            revoked_effective_when: None,
            revoked_reason: None,
            serial: None,
            not_after: None,
            publish_expired: false,
            issuer_name_id: None,
            certificate: None,
        }
    }
}

/// A row of CRLs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns
pub struct CrlRow {
    pub row_id: i64,
    pub number: i64,
    /// 0 for a base CRL.
    pub min_base: i64,
    pub name_id: i64,
    pub this_update: Option<FileTime>,
    pub next_update: Option<FileTime>,
    pub this_publish: Option<FileTime>,
    pub next_publish: Option<FileTime>,
    /// Kept of the newest row of each name and kind.
    pub raw: Option<Vec<u8>>,
}

/// A certificate that the database says is revoked, or was.
#[derive(Clone, Debug)]
pub(crate) struct Revoked {
    pub(crate) request_id: i64,
    pub(crate) serial: Serial,
    /// The digits are those of a negative number.
    pub(crate) is_negative: bool,
    /// When it was entered.
    pub(crate) when: Option<FileTime>,
    pub(crate) effective: Option<FileTime>,
    pub(crate) reason: i32,
    pub(crate) not_after: Option<FileTime>,
    pub(crate) publish_expired: bool,
    pub(crate) issuer_name_id: Option<i64>,
    pub(crate) signer: Signer,
}

/// A certificate that was asked for and is in force.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) request_id: i64,
    pub(crate) is_negative: bool,
    pub(crate) signer: Signer,
}

/// No CA has had as many keys. The rows of a stranger may name any number.
pub(crate) const SAMPLES: usize = 64;

/// Which key signed a certificate.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    /// That with this identifier: its place in [`Records::key_identifiers`].
    Named(usize),
    /// The certificate does not say; here it is.
    Unnamed(Vec<u8>),
}

/// A certificate of the CA itself.
#[derive(Clone, Debug)]
pub(crate) struct CaCertificate {
    pub(crate) request_id: i64,
    pub(crate) der: Vec<u8>,
}

/// Where certificates say that their CRL lies: the value of the extension, and how many certificates in force have it.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) signer: usize,
    pub(crate) points: Vec<u8>,
    pub(crate) certificates: u64,
}

/// What was read of a database.
#[derive(Debug)]
pub struct Records {
    pub(crate) maker: Maker,
    pub(crate) ca_certificates: Vec<CaCertificate>,
    pub(crate) crls: Vec<CrlRow>,
    pub(crate) revoked: Vec<Revoked>,
    /// Certificates in force whose serial numbers were asked for.
    pub(crate) issued: BTreeMap<Serial, Issued>,
    pub(crate) key_identifiers: Vec<Vec<u8>>,
    /// For each of the first of these identifiers a certificate that names it, in DER.
    pub(crate) samples: Vec<Vec<u8>>,
    pub(crate) destinations: Vec<Destination>,
    /// The identifiers that certificates in force name: their places in [`Records::key_identifiers`].
    pub(crate) named_in_force: BTreeSet<usize>,
    /// Certificates in force that name no identifier, in DER. Where there are more than [`SAMPLES`], one more is kept.
    pub(crate) unnamed_in_force: Vec<Vec<u8>>,
    /// CRL numbers up to here may have been used.
    pub(crate) number_floor: i64,
    /// The highest request.
    pub(crate) last_request: i64,
    /// Requests that were read.
    pub(crate) rows: u64,
    /// Rows that could not be read.
    pub(crate) unreadable: u64,
    /// An index of a partition other than 0, and the table in which it occurs: each partition has a CRL of its own.
    pub(crate) partition: Option<(i64, &'static str)>,
}

/// Takes the rows of a database one by one; the order is that of the request identifiers.
///
/// ```
/// use certadm_recovery::{Maker, Reading};
/// use certadm_rules::FileTime;
///
/// let records = Reading::new(Maker::Windows, FileTime::from_unix_seconds(0), [].into()).finish();
/// assert_eq!(records.rows(), 0);
/// ```
#[derive(Debug)]
pub struct Reading {
    now: FileTime,
    asked: BTreeSet<Serial>,
    records: Records,
    places: HashMap<Vec<u8>, usize>,
    points: HashMap<(usize, Vec<u8>), u64>,
}

impl Reading {
    /// Begins. `asked` are serial numbers whose certificates are wanted even while they are in force: those of published
    /// CRLs, and those that are to be revoked.
    #[must_use]
    pub fn new(maker: Maker, now: FileTime, asked: BTreeSet<Serial>) -> Self {
        let records = Records {
            maker,
            ca_certificates: Vec::new(),
            crls: Vec::new(),
            revoked: Vec::new(),
            issued: BTreeMap::new(),
            key_identifiers: Vec::new(),
            samples: Vec::new(),
            destinations: Vec::new(),
            named_in_force: BTreeSet::new(),
            unnamed_in_force: Vec::new(),
            number_floor: 0,
            last_request: 0,
            rows: 0,
            unreadable: 0,
            partition: None,
        };
        Self { now, asked, records, places: HashMap::new(), points: HashMap::new() }
    }

    /// Takes a request.
    ///
    /// # Errors
    /// [`Error::DamagedRow`] when a revoked certificate cannot be put into a CRL.
    pub fn row(&mut self, row: Row) -> Result<()> {
        self.records.rows += 1;
        self.records.last_request = self.records.last_request.max(row.request_id);
        match row.disposition {
            Disposition::CA_CERTIFICATE => {
                let (request_id, certificate) = (row.request_id, row.certificate);
                let found = certificate.map(|der| CaCertificate { request_id, der });
                self.records.ca_certificates.extend(found);
                Ok(())
            }
            Disposition::ISSUED | Disposition::REVOKED => self.certificate(row),
            _ => Ok(()),
        }
    }

    fn certificate(&mut self, row: Row) -> Result<()> {
        let is_revoked = row.disposition == Disposition::REVOKED;
        let damaged = |reason: String| Error::DamagedRow { request_id: row.request_id, reason };
        let in_force = row.not_after.is_none_or(|end| self.now <= end);
        let asked = row.serial.as_ref().is_some_and(|serial| self.asked.contains(serial));
        if !is_revoked && !in_force && !asked {
            return Ok(());
        }
        let der = match row.certificate {
            Some(der) => der,
            None if is_revoked => {
                return Err(damaged("it is revoked, and its certificate is not there".into()));
            }
            None => return Ok(()),
        };
        let parsed = CertificateRef::parse(&der).and_then(|certificate| {
            let signer = certificate.authority_key()?.map(<[u8]>::to_vec);
            let points = certificate.extension(oid::DISTRIBUTION_POINTS)?.map(<[u8]>::to_vec);
            Ok((signer, points, is_negative(certificate.serial)))
        });
        let (named, points, is_negative) = match parsed {
            Ok(found) => found,
            // What is not revoked takes no part in the CRL.
            Err(_) if !is_revoked => return Ok(()),
            Err(error) => return Err(damaged(format!("its certificate cannot be read: {error}"))),
        };
        let signer = named.map(|identifier| self.place_of(identifier, &der));
        match signer {
            Some(signer) if in_force => {
                self.records.named_in_force.insert(signer);
                if let Some(points) = points {
                    *self.points.entry((signer, points)).or_default() += 1;
                }
            }
            None if in_force && self.records.unnamed_in_force.len() <= SAMPLES => {
                self.records.unnamed_in_force.push(der.clone());
            }
            _ => {}
        }
        let signer = signer.map_or(Signer::Unnamed(der), Signer::Named);
        let (request_id, not_after) = (row.request_id, row.not_after);
        match (row.serial, is_revoked) {
            (None, true) => return Err(damaged("it is revoked, and has no serial number".into())),
            (Some(serial), true) => self.records.revoked.push(Revoked {
                request_id,
                serial,
                is_negative,
                when: row.revoked_when,
                effective: row.revoked_effective_when,
                reason: row.revoked_reason.unwrap_or_default(),
                not_after,
                publish_expired: row.publish_expired,
                issuer_name_id: row.issuer_name_id,
                signer,
            }),
            (Some(serial), false) if asked => {
                self.records.issued.insert(serial, Issued { request_id, is_negative, signer });
            }
            (_, false) => {}
        }
        Ok(())
    }

    fn place_of(&mut self, identifier: Vec<u8>, certificate: &[u8]) -> usize {
        if let Some(place) = self.places.get(&identifier) {
            return *place;
        }
        let place = self.records.key_identifiers.len();
        self.records.key_identifiers.push(identifier.clone());
        if place < SAMPLES {
            self.records.samples.push(certificate.to_vec());
        }
        self.places.insert(identifier, place);
        place
    }

    /// Takes a row of CRLs. Only the newest CRL of each name and kind is kept itself.
    pub fn crl(&mut self, mut row: CrlRow) {
        let kind = |row: &CrlRow| (row.name_id, row.min_base != 0);
        let rank = |row: &CrlRow| (row.number, row.row_id);
        if row.raw.is_some() {
            let before =
                self.records.crls.iter_mut().find(|other| other.raw.is_some() && kind(other) == kind(&row));
            match before {
                Some(before) if rank(before) < rank(&row) => before.raw = None,
                Some(_) => row.raw = None,
                None => {}
            }
        }
        self.records.crls.push(row);
    }

    /// Numbers up to here may have been used, although no row says so.
    pub fn number_floor(&mut self, floor: i64) {
        self.records.number_floor = self.records.number_floor.max(floor);
    }

    /// Notes the index of a partition, where it is other than 0.
    pub fn partition(&mut self, index: i64, table: &'static str) {
        if index != 0 {
            self.records.partition.get_or_insert((index, table));
        }
    }

    /// Counts a row that could not be read, of a database whose damage is accepted.
    pub fn unreadable(&mut self) {
        self.records.unreadable += 1;
    }

    /// Ends.
    #[must_use]
    pub fn finish(mut self) -> Records {
        let mut destinations: Vec<_> = self
            .points
            .into_iter()
            .map(|((signer, points), certificates)| Destination { signer, points, certificates })
            .collect();
        destinations.sort_by(|one, other| (one.signer, &one.points).cmp(&(other.signer, &other.points)));
        self.records.destinations = destinations;
        self.records
    }
}

impl Records {
    /// How many requests were read.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whose database it is.
    #[must_use]
    pub fn maker(&self) -> Maker {
        self.maker
    }

    /// The rows of CRLs, in the order in which they were read.
    #[must_use]
    pub fn crls(&self) -> &[CrlRow] {
        &self.crls
    }
}
