//! The CRLs that a lost CA needs: which, with what in them, ready to be signed (recovery.md 4.2).

use std::collections::{BTreeMap, BTreeSet};

use certadm_ca::{Reason, Serial, named};
use certadm_rules::FileTime;
use certadm_rules::finding::{self, Finding, Kind};
use certadm_rules::words::counted;
use der::asn1::{AnyRef, BitStringRef};
use der::{Encode, Tag};

use crate::assign::Assigner;
use crate::content::{Content, CrlKind, Template};
use crate::entries::{Entries, Entry, Situation, gather};
use crate::error::{Error, Result};
use crate::issuer::{Issuer, Issuers};
use crate::order::{Revocation, merged};
use crate::origin::Origin;
use crate::published::{Compared, PublishedCrl, View, check_bases, check_scopes};
use crate::records::{CrlRow, Maker, Records, Revoked, SAMPLES, Signer};
use crate::schedule::{self, Dates, Habits, NumberBasis};
use crate::signature::{Algorithm, PrivateKey};
use crate::x509::{CrlRef, oid, urls_in};

/// Which delta CRLs are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deltas {
    /// Where the CA made delta CRLs: a base CRL that does not point to one, and an empty delta CRL that makes those who
    /// hold an old base CRL fetch the new one. Windows does the same when delta CRLs are turned off.
    #[default]
    Shadow,
    /// A base CRL that points to a delta CRL, and that, as long-lived as the base CRL.
    Normal,
    /// None.
    None,
}

/// How CRLs are to be made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The present.
    pub now: FileTime,
    /// For how many days they are valid; 14, or the CA's own period if that is longer, where nothing is said.
    pub valid_days: Option<u32>,
    /// The number; one is chosen where nothing is said.
    pub number: Option<i64>,
    /// Which delta CRLs.
    pub deltas: Deltas,
    /// Sign with SHA-1 where the CA does.
    pub allow_sha1: bool,
    /// Revocations that the CA does not know of.
    pub revocations: Vec<Revocation>,
}

impl Options {
    /// What is done where nothing is said.
    #[must_use]
    pub fn new(now: FileTime) -> Self {
        Self {
            now,
            valid_days: None,
            number: None,
            deltas: Deltas::default(),
            allow_sha1: false,
            revocations: Vec::new(),
        }
    }
}

/// A CRL to be signed.
#[derive(Clone, Debug)]
pub struct PlannedCrl {
    /// The place of its key in [`Plan::issuers`].
    pub issuer: usize,
    /// Base or delta.
    pub kind: CrlKind,
    /// Its name without an ending, as Windows makes it: `NAME`, `NAME(1)` for the next key, `NAME+` for a delta CRL.
    pub file_name: String,
    /// What is to be signed.
    pub to_be_signed: Vec<u8>,
    /// How.
    pub algorithm: Algorithm,
    /// Its dates.
    pub dates: Dates,
    /// What it lists.
    pub entries: Vec<Entry>,
    /// The newest list of the CA itself that is taken into account.
    pub compared: Option<Compared>,
}

impl PlannedCrl {
    /// Signs it: the CRL in DER.
    ///
    /// # Errors
    /// [`Error::Signing`].
    pub fn sign(&self, plan: &Plan, key: &PrivateKey) -> Result<Vec<u8>> {
        let index = plan.issuers.0[self.issuer].index;
        let signature = key
            .sign(&self.algorithm, &self.to_be_signed)
            .map_err(|reason| Error::Signing { index, reason })?;
        Ok(signed(&self.to_be_signed, &self.algorithm, &signature)?)
    }
}

/// A CRL in DER, from what was signed and its signature.
pub(crate) fn signed(content: &[u8], algorithm: &Algorithm, signature: &[u8]) -> der::Result<Vec<u8>> {
    let signature = BitStringRef::from_bytes(signature)?.to_der()?;
    let body = [content, algorithm.to_der(), &signature].concat();
    AnyRef::new(Tag::Sequence, &body)?.to_der()
}

/// Where a CRL has to be put.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Destination {
    /// The place of the key in [`Plan::issuers`].
    pub issuer: usize,
    /// Whether the delta CRL belongs there.
    pub delta: bool,
    /// The URL.
    pub url: String,
    /// How many certificates in force say so; 0 for a place that only a CRL names.
    pub certificates: u64,
}

/// Everything that is to be signed and published.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The keys of the CA.
    pub issuers: Issuers,
    /// The CRLs, base before delta, by key.
    pub crls: Vec<PlannedCrl>,
    /// Why the number is what it is.
    pub number: NumberBasis,
    /// Where they have to be put.
    pub destinations: Vec<Destination>,
    /// When the last CRL ends that relying parties can have, for each key: the deadline.
    pub deadlines: Vec<Option<FileTime>>,
    /// What the database and the published CRLs say that needs a look.
    pub findings: Vec<Finding>,
    /// Certificates that a CRL lists and the database does not know.
    pub unknown: Vec<Serial>,
    /// Certificates that no CRL lists although one of the sources has them on hold: the newer one shows that the hold was taken
    /// back.
    pub released: Vec<Serial>,
    /// What the CA is told when it is back: all that the CRLs list, holds that were taken back, and the orders.
    pub revocations: Vec<Revocation>,
    /// So many of them are not in the database: they were ordered, or published after the backup.
    pub lacking: usize,
    /// The indexes of keys that need a CRL and get none, because keys of their kind are not supported.
    pub unsupported: Vec<u32>,
    /// Whether a database says what the CA knows.
    pub has_database: bool,
}

impl Plan {
    /// When the first of the last CRLs ends that relying parties can have.
    #[must_use]
    pub fn deadline(&self) -> Option<FileTime> {
        self.deadlines.iter().flatten().min().copied()
    }

    /// Plans from a database, or from published CRLs alone. With a database, `issuers` are [`Issuers::of`] it.
    ///
    /// # Errors
    /// [`Error::PublishedElsewhere`] for the CRL of another CA, [`Error::Published`], [`Error::NoBase`], [`Error::TwoScopes`],
    /// [`Error::NotUnderstood`], [`Error::Partitions`], [`Error::Signing`], [`Error::Number`], [`Error::LongNumber`], [`Error::Ended`], [`Error::Sha1`], [`Error::Encoding`].
    pub fn new(
        issuers: Issuers,
        records: Option<&Records>,
        published: &[PublishedCrl],
        options: &Options,
    ) -> Result<Self> {
        if let Some((index, table)) = records.and_then(|records| records.partition) {
            return Err(Error::Partitions { index, table });
        }
        let places: Vec<(usize, &PublishedCrl)> =
            published.iter().map(|crl| Ok((crl.place_among(&issuers)?, crl))).collect::<Result<_>>()?;
        check_scopes(&places)?;
        if records.is_none() {
            check_bases(&places)?;
        }
        let number = schedule::number(records, published, options.now, options.number)?;
        let empty = nothing(options.now);
        let planner = Planner {
            issuers: &issuers,
            records: records.unwrap_or(&empty),
            has_database: records.is_some(),
            published: &places,
            habits: Habits::of(records, published),
            number: number.number,
            options,
        };
        let mut findings = Vec::new();
        let mut made = Made::default();
        planner.all(&mut made, &mut findings)?;
        findings.extend(schedule::long_numbers(published));
        findings.extend(schedule::dated_ahead(records, published, options.now));
        finding::sort(&mut findings);
        let (revocations, lacking) = to_tell(&made, options);
        Ok(Self {
            destinations: made.destinations,
            deadlines: made.deadlines,
            crls: made.crls,
            unknown: made.unknown,
            released: made.released,
            unsupported: made.unsupported,
            revocations,
            lacking,
            has_database: records.is_some(),
            number,
            findings,
            issuers,
        })
    }
}

/// What the CRLs list, holds that the lost CA took back, and the orders; and how many of them are not in the database. A CA that is
/// restored from an older set lacks what this database has, too. An order to hold a certificate, or to take a hold back, does not count
/// for an entry that stays.
fn to_tell(made: &Made, options: &Options) -> (Vec<Revocation>, usize) {
    let entries = || made.crls.iter().flat_map(|crl| &crl.entries);
    let listed = entries().filter_map(|entry| entry.to_tell(options.now));
    let released = made.released.iter().map(|serial| Revocation {
        serial: serial.clone(),
        reason: Reason::REMOVE_FROM_CRL,
        when: options.now,
        origin: Origin::Published,
    });
    let stays: BTreeSet<&Serial> =
        entries().filter(|entry| entry.origin != Origin::Order).map(|entry| &entry.serial).collect();
    let has_effect = |order: &&Revocation| order.is_final() || !stays.contains(&order.serial);
    let orders = options.revocations.iter().filter(has_effect);
    let revocations = merged(listed.chain(released).chain(orders.clone().cloned()));
    let mut lacking: BTreeSet<&Serial> =
        entries().filter(|entry| entry.is_lacking()).map(|entry| &entry.serial).collect();
    lacking.extend(made.released.iter().chain(orders.map(|order| &order.serial)));
    (revocations, lacking.len())
}

fn nothing(now: FileTime) -> Records {
    crate::records::Reading::new(Maker::Windows, now, [].into()).finish()
}

#[derive(Default)]
struct Made {
    crls: Vec<PlannedCrl>,
    destinations: Vec<Destination>,
    deadlines: Vec<Option<FileTime>>,
    unknown: Vec<Serial>,
    released: Vec<Serial>,
    unsupported: Vec<u32>,
}

struct Planner<'a> {
    issuers: &'a Issuers,
    records: &'a Records,
    has_database: bool,
    published: &'a [(usize, &'a PublishedCrl)],
    habits: Habits,
    number: i64,
    options: &'a Options,
}

impl Planner<'_> {
    fn all(&self, made: &mut Made, findings: &mut Vec<Finding>) -> Result<()> {
        let rows = self.rows_by_key(findings);
        let needed = self.needed(&rows);
        let places = 0..self.issuers.0.len();
        let mut views: Vec<View> =
            places.map(|place| View::of(place, self.published)).collect::<Result<_>>()?;
        let assigner = Assigner {
            issuers: self.issuers,
            records: self.records,
            has_database: self.has_database,
            views: &views,
            needed: &needed,
        };
        let orders = assigner.assign(&self.options.revocations, findings);
        for (place, issuer) in self.issuers.0.iter().enumerate() {
            made.deadlines.push(self.deadline(place));
            if !needed[place] {
                let detail = format!(
                    "no CRL is made for key {}: neither it nor a certificate that it signed is in force",
                    issuer.index
                );
                findings.push(Finding::note(Kind::CrlKey, detail));
                continue;
            }
            if !issuer.key.is_supported() {
                let detail = format!(
                    "no CRL is made for key {}, although it or a certificate that it signed is in force: keys of its kind ({}) are not supported",
                    issuer.index,
                    issuer.key.kind_name()
                );
                findings.push(Finding::warning(Kind::CrlKey, detail));
                made.unsupported.push(issuer.index);
                continue;
            }
            let mut of_key = Vec::new();
            let view = std::mem::take(&mut views[place]);
            self.key(place, &rows[place], view, &orders[place], made, &mut of_key)?;
            for finding in of_key {
                // What concerns every key is told once.
                if !findings.contains(&finding) {
                    findings.push(finding);
                }
            }
        }
        if let (true, Some(index)) = (made.crls.is_empty(), made.unsupported.first()) {
            let reason = "keys of its kind are not supported".to_owned();
            return Err(Error::Signing { index: *index, reason });
        }
        self.destinations(made);
        let orders = &self.options.revocations;
        made.unknown.retain(|serial| orders.iter().all(|order| order.serial != *serial));
        if !made.unknown.is_empty() && self.has_database {
            let detail = format!(
                "revoked in a published CRL and not known to the database, so issued after it was backed up: {}",
                named(&made.unknown)
            );
            findings.push(Finding::warning(Kind::CrlUnknownCertificate, detail));
        }
        if self.records.unreadable != 0 {
            let detail = format!(
                "{} rows of the damaged database cannot be read: revocations in them are missing from the CRL",
                self.records.unreadable
            );
            let code = certadm_rules::Hresult::DATABASE_CORRUPTED;
            findings.push(Finding::error(Kind::DatabaseUnreadable, code, detail));
        }
        Ok(())
    }

    /// The revoked rows of each key.
    fn rows_by_key(&self, findings: &mut Vec<Finding>) -> Vec<Vec<&Revoked>> {
        let mut rows: Vec<Vec<&Revoked>> = vec![Vec::new(); self.issuers.0.len()];
        let by_identifier: Vec<Option<usize>> = (0..self.records.key_identifiers.len())
            .map(|place| self.issuers.place_of(&Signer::Named(place), self.records))
            .collect();
        let (mut foreign, mut differing) = (Vec::new(), Vec::new());
        for row in &self.records.revoked {
            let place = match &row.signer {
                Signer::Named(identifier) => by_identifier[*identifier],
                unnamed @ Signer::Unnamed(_) => self.issuers.place_of(unnamed, self.records),
            };
            let Some(place) = place else {
                foreign.push(row.serial.clone());
                continue;
            };
            let index = i64::from(self.issuers.0[place].index);
            if row.issuer_name_id.is_some_and(|name_id| name_id >> 16 != index) {
                differing.push(row.serial.clone());
            }
            rows[place].push(row);
        }
        if !foreign.is_empty() {
            let detail = format!("left out, because none of the CA's keys signed it: {}", named(&foreign));
            findings.push(Finding::warning(Kind::CrlLeftOut, detail));
        }
        if !differing.is_empty() {
            let detail = format!(
                "the column IssuerNameID names another key than the certificate does, and the certificate decides: {}",
                named(&differing)
            );
            findings.push(Finding::warning(Kind::CrlContradiction, detail));
        }
        rows
    }

    /// Which keys need a CRL: those in force, and those that signed something that is, whether or not it says where its CRL lies.
    fn needed(&self, rows: &[Vec<&Revoked>]) -> Vec<bool> {
        let now = self.options.now;
        let in_force = |end: Option<FileTime>| end.is_none_or(|end| now <= end);
        let (named, unnamed) = (&self.records.named_in_force, &self.records.unnamed_in_force);
        // Of more than are kept nothing tells who signed them: a CRL too many does no harm.
        let is_cut = SAMPLES < unnamed.len();
        let named = named.iter().map(|identifier| Signer::Named(*identifier));
        let signers = named.chain(unnamed.iter().map(|der| Signer::Unnamed(der.clone())));
        let used: BTreeSet<usize> =
            signers.filter_map(|signer| self.issuers.place_of(&signer, self.records)).collect();
        let issuers = self.issuers.0.iter().enumerate();
        issuers
            .map(|(place, issuer)| {
                is_cut
                    || in_force(issuer.not_after)
                    || used.contains(&place)
                    || rows[place].iter().any(|row| in_force(row.not_after))
            })
            .collect()
    }

    /// The CRLs of one key.
    fn key(
        &self,
        place: usize,
        rows: &[&Revoked],
        view: View,
        orders: &[&Revocation],
        made: &mut Made,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let issuer = &self.issuers.0[place];
        let last = Last::of(place, issuer, self)?;
        let algorithm = self.algorithm(issuer, last.algorithm.as_deref())?;
        let now = self.options.now;
        let certificate = (issuer.not_before, issuer.not_after);
        let dates = schedule::dates(&self.habits, now, certificate, self.options.valid_days, findings);
        if dates.next_update <= dates.this_update {
            return Err(Error::Ended { begins: dates.this_update, ends: dates.next_update });
        }
        let situation = Situation {
            records: self.records,
            now,
            last_publish: last.publish,
            table_number: self.records.crls.iter().map(|row| row.number).max().unwrap_or(i64::MIN),
            skew: self.habits.skew_minutes(),
        };
        // What the database knows is no gap.
        if let Some(gap) = view.gap.as_ref().filter(|gap| situation.table_number < gap.missing) {
            let detail = format!(
                "{} builds on the base CRL {}, and neither that nor a newer one was given: what was revoked between the newest list at hand and that one is missing from the CRL of key {}, and holds stay that may have been taken back",
                gap.delta, gap.missing, issuer.index
            );
            let remedy =
                format!("give the base CRL {}, or a newer one, by a further --published", gap.missing);
            findings.push(Finding::warning(Kind::CrlNotCompared, detail).remedy(remedy));
        }
        let (compared, passed_over) = (view.compared(), view.passed_over.clone());
        let Entries { list, findings: more, mut unknown, mut released } =
            gather(&situation, rows.iter().copied(), view, orders);
        findings.extend(more);
        findings.extend(passed_over.iter().map(|(oid, count)| {
            let entries = counted(*count, "entry");
            let detail =
                format!("the extension {oid} of {entries} of the published CRLs is not carried over");
            Finding::warning(Kind::CrlExtension, detail)
        }));
        made.unknown.append(&mut unknown);
        made.released.append(&mut released);
        let had_deltas = last.freshest.is_some() || last.delta.is_some();
        let mut base = match last.base {
            Some(template) => template.known(findings),
            None => Template::usual(self.records.maker, CrlKind::Base),
        };
        match (self.options.deltas, last.freshest) {
            (Deltas::Normal, Some(freshest)) if !base.has(oid::FRESHEST) => base.point_to(freshest),
            (Deltas::Normal, _) => {}
            (Deltas::Shadow | Deltas::None, _) => base = base.without(oid::FRESHEST),
        }
        base.complete(CrlKind::Base);
        let file_name = issuer.file_name();
        let make = |kind, template: &Template, entries: Vec<Entry>, file_name| -> Result<PlannedCrl> {
            let number = self.number;
            let content = Content { issuer, kind, number, dates, algorithm: &algorithm, template };
            Ok(PlannedCrl {
                issuer: place,
                kind,
                file_name,
                to_be_signed: content.to_der(&entries)?,
                algorithm: algorithm.clone(),
                dates,
                entries,
                compared,
            })
        };
        made.crls.push(make(CrlKind::Base, &base, list, file_name.clone())?);
        let wanted = match self.options.deltas {
            Deltas::Shadow => had_deltas,
            Deltas::Normal => true,
            Deltas::None => false,
        };
        if wanted {
            let kind = CrlKind::Delta(self.number);
            let mut template = match last.delta {
                Some(template) => template.known(findings),
                None => Template::usual(self.records.maker, kind),
            };
            template.complete(kind);
            template.cover_the_same_as(&base);
            made.crls.push(make(kind, &template, Vec::new(), format!("{file_name}+"))?);
        }
        Ok(())
    }

    /// That of the last CRL of the key, else that of its certificate, else the usual one.
    fn algorithm(&self, issuer: &Issuer, last: Option<&[u8]>) -> Result<Algorithm> {
        let candidates = last.into_iter().chain(issuer.algorithm.as_deref());
        let mut found = candidates
            .filter_map(|der| Algorithm::from_der(der).ok())
            .filter(|algorithm| algorithm.fits(&issuer.key));
        let signing = |reason| Error::Signing { index: issuer.index, reason };
        let algorithm = match found.next() {
            Some(algorithm) => algorithm,
            None => Algorithm::usual(&issuer.key).map_err(signing)?,
        };
        if algorithm.is_sha1() && !self.options.allow_sha1 {
            return Err(Error::Sha1);
        }
        Ok(algorithm)
    }

    /// The CRL of a row, or the newest one before it that is not dated later than now. One that is was made while the clock was
    /// wrong: it says of no certificate that it has expired, and nobody takes it yet. Those before it have a row, and no content.
    fn believed<'r>(&'r self, row: &'r CrlRow) -> Option<&'r CrlRow> {
        let is_past = |row: &&CrlRow| published_at(row).is_none_or(|at| at <= self.options.now);
        let of_same_kind = |other: &&CrlRow| (other.name_id, other.min_base) == (row.name_id, row.min_base);
        let before = || self.records.crls.iter().filter(of_same_kind).filter(is_past);
        Some(row).filter(is_past).or_else(|| before().max_by_key(|row| published_at(row)))
    }

    /// When the newest base CRL of a key ends.
    fn deadline(&self, place: usize) -> Option<FileTime> {
        let identifier = self.issuers.0[place].identifiers.as_slice();
        let rows = self.records.crls.iter().filter(|row| row.min_base == 0).filter_map(|row| {
            let crl = CrlRef::parse(row.raw.as_deref()?).ok()?;
            let is_own = self.issuers.is_of(&crl, identifier);
            self.believed(row).filter(|_| is_own).map(|believed| (row.number, believed.next_update))
        });
        let published = self.published.iter().filter(|(key, crl)| *key == place && crl.base.is_none());
        let published = published.filter(|(_, crl)| crl.this_update <= self.options.now);
        let published = published.map(|(_, crl)| (crl.number, crl.next_update));
        rows.chain(published).max_by_key(|(number, _)| *number).and_then(|(_, end)| end)
    }

    /// Where the CRLs have to be put: what certificates in force say, and what the last CRLs say of themselves.
    fn destinations(&self, made: &mut Made) {
        let mut found: BTreeMap<(usize, bool, String), u64> = BTreeMap::new();
        for destination in &self.records.destinations {
            let signer = Signer::Named(destination.signer);
            let Some(place) = self.issuers.place_of(&signer, self.records) else { continue };
            for url in urls_in(&destination.points) {
                *found.entry((place, false, url)).or_default() += destination.certificates;
            }
        }
        for crl in &made.crls {
            let is_delta = matches!(crl.kind, CrlKind::Delta(_));
            let Ok(last) = Last::of(crl.issuer, &self.issuers.0[crl.issuer], self) else { continue };
            let template = if is_delta { last.delta } else { last.base };
            let own = template.as_ref().and_then(|template| template.value(oid::PUBLISHED_LOCATIONS));
            let freshest = last.freshest.as_deref().filter(|_| is_delta);
            for value in own.into_iter().chain(freshest) {
                for url in urls_in(value) {
                    found.entry((crl.issuer, is_delta, url)).or_default();
                }
            }
        }
        made.destinations = found
            .into_iter()
            .map(|((issuer, delta, url), certificates)| Destination { issuer, delta, url, certificates })
            .collect();
    }
}

/// What the last CRLs of a key say: in the table, or published later.
#[derive(Default)]
struct Last {
    base: Option<Template>,
    delta: Option<Template>,
    /// The newest pointer to delta CRLs that is known.
    freshest: Option<Vec<u8>>,
    algorithm: Option<Vec<u8>>,
    /// When the last base CRL was published that is not dated later than now.
    publish: Option<FileTime>,
}

/// When the CRL of a row was published.
fn published_at(row: &CrlRow) -> Option<FileTime> {
    row.this_publish.or(row.this_update)
}

impl Last {
    fn of(place: usize, issuer: &Issuer, planner: &Planner<'_>) -> Result<Self> {
        let mut crls: Vec<(i64, Option<FileTime>, &[u8])> = Vec::new();
        for row in &planner.records.crls {
            if let Some(raw) = &row.raw {
                crls.push((row.number, planner.believed(row).and_then(published_at), raw));
            }
        }
        for (_, crl) in planner.published.iter().filter(|(key, _)| *key == place) {
            let publish = Some(crl.this_update).filter(|at| *at <= planner.options.now);
            crls.push((crl.number, publish, &crl.der));
        }
        crls.sort_by_key(|(number, ..)| *number);
        let mut last = Self::default();
        for (_, publish, der) in crls {
            // What cannot be read cannot be followed.
            let Ok(crl) = CrlRef::parse(der) else { continue };
            if !planner.issuers.is_of(&crl, &issuer.identifiers) {
                continue;
            }
            last.algorithm = Some(crl.content.algorithm.to_der()?);
            if let Some(value) = crl.content.value(oid::FRESHEST) {
                last.freshest = Some(value.to_vec());
            }
            if crl.content.extension(oid::DELTA_BASE).is_some() {
                last.delta = Some(Template::of(&crl));
            } else {
                last.base = Some(Template::of(&crl));
                last.publish = publish.or(last.publish);
            }
        }
        Ok(last)
    }
}
