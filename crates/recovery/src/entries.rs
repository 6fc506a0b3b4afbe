//! Which certificates the CRL of a key lists: the database and what was published, put together (recovery.md 4.2, rules 3
//! and 4).

use std::collections::{BTreeMap, BTreeSet};

use certadm_ca::{Reason, Serial, dates, named};
use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind};

use crate::crl_entry::is_reason_of_entry;
use crate::order::Revocation;
use crate::origin::Origin;
use crate::published::View;
use crate::records::{Records, Revoked};

/// An entry of the CRL to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The certificate.
    pub serial: Serial,
    /// Its request, where the database has it.
    pub request_id: Option<i64>,
    /// From when on it is revoked.
    pub when: FileTime,
    /// Why, by the number of RFC 5280 5.3.1; 0 where nothing is said.
    pub reason: i32,
    /// Where it comes from.
    pub origin: Origin,
    /// The digits are those of a negative number, and are written as they are.
    pub is_negative: bool,
    /// Whether the database has it revoked, too: for good, or on hold where the entry is no more than that.
    pub is_known: bool,
}

impl Entry {
    /// Whether the CA published it itself, and its database does not have it.
    pub(crate) fn is_lacking(&self) -> bool {
        self.origin == Origin::Published && !self.is_known
    }

    /// What the CA has to be told when it is back, beside the orders: it may come back from an older set than this one.
    pub(crate) fn to_tell(&self, now: FileTime) -> Option<Revocation> {
        (self.origin != Origin::Order).then(|| Revocation {
            serial: self.serial.clone(),
            // One that no entry may give says nothing; that of a release would take a hold back.
            reason: Some(Reason::from_code(self.reason))
                .filter(|reason| is_reason_of_entry(reason.code()))
                .unwrap_or(Reason::UNSPECIFIED),
            when: self.when.min(now),
            origin: self.origin,
        })
    }
}

const ON_HOLD: i32 = 6;
const REMOVE_FROM_CRL: i32 = 8;

/// What is known when the entries of a key are put together.
pub(crate) struct Situation<'a> {
    pub(crate) records: &'a Records,
    pub(crate) now: FileTime,
    /// When the last base CRL of the key was published: what had expired before is not listed any more.
    pub(crate) last_publish: Option<FileTime>,
    /// The highest number in the table CRLs.
    pub(crate) table_number: i64,
    /// How far CRLs are dated back.
    pub(crate) skew: i64,
}

/// What a row of the database says by itself.
enum Standing {
    Listed,
    Released,
    Future,
    Expired,
    Undated,
}

impl Situation<'_> {
    fn standing(&self, row: &Revoked) -> Standing {
        match row.effective {
            _ if row.reason == Reason::RELEASED.code() => Standing::Released,
            None => Standing::Undated,
            // A revocation counts from the moment on that it was entered, even if this clock has not reached that yet.
            Some(effective) if row.when.map_or(self.now, |when| when.max(self.now)) < effective => {
                Standing::Future
            }
            Some(_) if self.has_expired(row) => Standing::Expired,
            Some(_) => Standing::Listed,
        }
    }

    fn has_expired(&self, row: &Revoked) -> bool {
        let Some(last) = self.last_publish else { return false };
        !row.publish_expired && row.not_after.is_some_and(|end| end < last)
    }
}

/// The entries of one key, and what is to be said of them.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    pub(crate) list: Vec<Entry>,
    pub(crate) findings: Vec<Finding>,
    /// Certificates that the database does not know.
    pub(crate) unknown: Vec<Serial>,
    /// Left out, because the newer source shows that the hold was taken back.
    pub(crate) released: Vec<Serial>,
}

/// Counts of one kind, told as one finding each.
#[derive(Default)]
struct Tally {
    released: Vec<Serial>,
    only_in_database: Vec<Serial>,
    in_force_in_database: Vec<Serial>,
    removed: Vec<Serial>,
    future: Vec<Serial>,
    ahead: Vec<Serial>,
    undated: Vec<Serial>,
    odd_reasons: Vec<Serial>,
}

/// Puts the entries of a key together.
pub(crate) fn gather<'r>(
    situation: &Situation<'_>,
    rows: impl Iterator<Item = &'r Revoked>,
    mut view: View,
    orders: &[&Revocation],
) -> Entries {
    let mut tally = Tally::default();
    let mut list = Vec::new();
    // The newer source decides.
    let is_newer = |number: i64| situation.table_number < number;
    let absence_decides = view.number.is_some_and(is_newer);
    let until = view.until.map(|until| dates::plus_minutes(until, situation.skew));
    for row in rows {
        let standing = situation.standing(row);
        if row.when.is_some_and(|when| when.is_ahead_of(situation.now)) {
            tally.ahead.push(row.serial.clone());
        }
        let listed = view.entries.remove(&row.serial);
        let published_decides = listed.is_some_and(|listed| is_newer(listed.number));
        let is_revoked = matches!(standing, Standing::Listed | Standing::Expired);
        let of_row = |when, reason, origin| Entry {
            serial: row.serial.clone(),
            request_id: Some(row.request_id),
            // What a clock that was ahead has written is no date for a CRL.
            when: FileTime::min(when, situation.now),
            reason,
            origin,
            is_negative: row.is_negative,
            is_known: is_revoked && (row.reason != ON_HOLD || reason == ON_HOLD),
        };
        match (standing, listed, row.effective) {
            (Standing::Listed, None, Some(effective)) => {
                // The published CRL may have been made before the revocation.
                let could_list = until.is_some_and(|until| effective <= until);
                let removed = view.removed.contains(&row.serial);
                if absence_decides && could_list && (view.is_whole || removed) {
                    if row.reason == ON_HOLD {
                        tally.released.push(row.serial.clone());
                        continue;
                    }
                    if removed { &mut tally.removed } else { &mut tally.only_in_database }
                        .push(row.serial.clone());
                }
                list.push(of_row(effective, row.reason, Origin::Database));
            }
            (Standing::Listed, Some(_), Some(effective)) if !published_decides => {
                list.push(of_row(effective, row.reason, Origin::Database));
            }
            (Standing::Released | Standing::Expired, Some(_), _) if !published_decides => {}
            (_, Some(published), _) => {
                list.push(of_row(published.when, published.reason, Origin::Published));
            }
            (Standing::Future, None, _) => tally.future.push(row.serial.clone()),
            (Standing::Undated, None, _) | (Standing::Listed, None, None) => {
                tally.undated.push(row.serial.clone());
            }
            (Standing::Released | Standing::Expired, None, _) => {}
        }
        if list.last().is_some_and(|entry| entry.serial == row.serial && is_odd(entry.reason)) {
            tally.odd_reasons.push(row.serial.clone());
        }
    }
    let mut found = Entries::default();
    let mut published = only_published(situation, view, &mut tally, &mut found.unknown);
    published.append(&mut list);
    found.findings = tally.findings();
    found.released = tally.released;
    found.list = apply(published, orders, situation, &mut found.findings);
    // Newest request first, as Windows lists them; before them what has no request here.
    found.list.sort_by_key(|entry| entry.request_id.map_or((0, 0), |id| (1, id.saturating_neg())));
    found
}

/// A reason that a base CRL cannot give; the entry then has none.
fn is_odd(reason: i32) -> bool {
    reason != 0 && !is_reason_of_entry(reason)
}

/// Entries that are published and are not revoked in the database, in the order of the published CRL.
fn only_published(
    situation: &Situation<'_>,
    view: View,
    tally: &mut Tally,
    unknown: &mut Vec<Serial>,
) -> Vec<Entry> {
    let mut rest: Vec<_> = view.entries.into_iter().collect();
    rest.sort_by_key(|(_, listed)| listed.place);
    let mut list = Vec::new();
    for (serial, listed) in rest {
        let issued = situation.records.issued.get(&serial);
        match issued {
            Some(_) if situation.table_number < listed.number => {}
            Some(_) if listed.reason == ON_HOLD => {
                tally.released.push(serial);
                continue;
            }
            Some(_) => tally.in_force_in_database.push(serial.clone()),
            None => unknown.push(serial.clone()),
        }
        list.push(Entry {
            serial,
            request_id: issued.map(|issued| issued.request_id),
            when: listed.when.min(situation.now),
            reason: listed.reason,
            origin: Origin::Published,
            is_negative: listed.is_negative,
            is_known: false,
        });
    }
    list
}

/// Carries out what was asked for: revocations are added, a hold becomes a final revocation, a hold is taken back.
fn apply(
    mut list: Vec<Entry>,
    orders: &[&Revocation],
    situation: &Situation<'_>,
    findings: &mut Vec<Finding>,
) -> Vec<Entry> {
    let mut places: BTreeMap<Serial, usize> =
        list.iter().enumerate().map(|(place, entry)| (entry.serial.clone(), place)).collect();
    let issued = |serial| situation.records.issued.get(serial);
    let mut dropped = BTreeSet::new();
    let mut added = Vec::new();
    for order in orders {
        let present = places.get(&order.serial).copied();
        let entry = present.map(|place| &mut list[place]);
        match entry {
            Some(entry) if order.reason.code() == REMOVE_FROM_CRL => {
                if entry.reason == ON_HOLD {
                    dropped.insert(order.serial.clone());
                    places.remove(&order.serial);
                } else {
                    let detail = format!(
                        "{} stays revoked: only a hold can be taken back, and it is revoked for another reason",
                        order.serial
                    );
                    findings.push(Finding::warning(Kind::CrlOrder, detail));
                }
            }
            None if order.reason.code() == REMOVE_FROM_CRL => {
                let detail = format!("{} is not on hold, so nothing is taken back", order.serial);
                findings.push(Finding::note(Kind::CrlOrder, detail));
            }
            Some(entry) if entry.reason == ON_HOLD && order.reason.code() != ON_HOLD => {
                entry.reason = order.reason.code();
                entry.origin = Origin::Order;
            }
            Some(_) => {}
            None => added.push(Entry {
                serial: order.serial.clone(),
                request_id: issued(&order.serial).map(|issued| issued.request_id),
                when: order.when,
                reason: order.reason.code(),
                origin: Origin::Order,
                is_negative: issued(&order.serial).is_some_and(|issued| issued.is_negative),
                is_known: false,
            }),
        }
    }
    list.retain(|entry| !dropped.contains(&entry.serial));
    added.append(&mut list);
    added
}

impl Tally {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut tell = |serials: &[Serial], finding: fn(Kind, String) -> Finding, kind, text: &str| {
            if !serials.is_empty() {
                findings.push(finding(kind, format!("{text}: {}", named(serials))));
            }
        };
        let note: fn(Kind, String) -> Finding = Finding::note;
        let warning: fn(Kind, String) -> Finding = Finding::warning;
        tell(
            &self.released,
            note,
            Kind::CrlContradiction,
            "left out, because the newer source shows that the hold was taken back",
        );
        tell(
            &self.only_in_database,
            warning,
            Kind::CrlContradiction,
            "listed, because the database says revoked, although the newer published CRL does not list it",
        );
        tell(
            &self.in_force_in_database,
            warning,
            Kind::CrlContradiction,
            "listed, because a published CRL lists it, although the newer database says that it is in force",
        );
        tell(
            &self.removed,
            warning,
            Kind::CrlContradiction,
            "listed, because the database says revoked for good, although a delta CRL takes it off the list",
        );
        tell(
            &self.future,
            note,
            Kind::CrlLeftOut,
            "left out, because the revocation takes effect later than now",
        );
        tell(
            &self.ahead,
            warning,
            Kind::Clock,
            "revoked later than now, so the clock of this machine is behind, or that of the CA was ahead",
        );
        tell(
            &self.undated,
            warning,
            Kind::CrlLeftOut,
            "left out, because the database has no date for the revocation",
        );
        tell(
            &self.odd_reasons,
            warning,
            Kind::CrlContradiction,
            "listed without a reason, because no entry of a base CRL may give the one of the database",
        );
        findings
    }
}
