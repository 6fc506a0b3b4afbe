//! Two states of one CA, compared by their certificates: what was issued, revoked, or ended between them.

use certadm_ca::{Reason, Serial};
use certadm_rules::FileTime;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::inventory::{Entry, Inventory, Item, Known, is_certificate};
use crate::moments;

/// How a certificate differs between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// The second state alone has it.
    Issued,
    /// The first state alone has it.
    Missing,
    /// The second state has it revoked.
    Revoked,
    /// The first state has it revoked, the second one has not.
    Unrevoked,
    /// Both have it revoked, for different reasons.
    Reason,
    /// It ended after the first state and before the second.
    Expired,
}

/// A certificate that differs.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// How.
    pub change: Change,
    /// The request.
    pub request_id: i64,
    /// The certificate.
    pub serial_number: Serial,
    /// Its common name.
    pub common_name: Option<String>,
    /// When it was issued, or is revoked.
    #[serde(serialize_with = "moments::optional")]
    pub when: Option<FileTime>,
    /// When it ends.
    #[serde(serialize_with = "moments::optional")]
    pub not_after: Option<FileTime>,
    /// Why it is revoked, where it is.
    pub reason: Option<Reason>,
    /// Why the first state has it revoked, where both have.
    #[serde(skip)]
    pub was: Option<Reason>,
}

impl Difference {
    /// Whether the first state has it revoked for good, and the second on hold, which can be taken back.
    #[must_use]
    pub fn falls_back_to_hold(&self) -> bool {
        self.change == Change::Reason
            && self.reason == Some(Reason::CERTIFICATE_HOLD)
            && self.was != Some(Reason::CERTIFICATE_HOLD)
    }
}

/// How many there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // as in `Change`
pub struct Counts {
    pub issued: u64,
    pub missing: u64,
    pub revoked: u64,
    pub unrevoked: u64,
    pub reason: u64,
    pub expired: u64,
    /// Certificates that are the same in both.
    pub same: u64,
}

/// Compares two states of one CA, and hands each difference to `visit`: first in the order of the second state's requests,
/// then what is missing in it. `until` is the moment of the second state; the newest one of its rows where it is not given.
/// A certificate may differ in two ways.
///
/// # Errors
/// As [`Diff::begin`], [`Diff::later`] and [`Diff::missing`].
pub fn diff(
    before: &dyn Inventory,
    after: &dyn Inventory,
    until: Option<FileTime>,
    visit: &mut dyn FnMut(Difference) -> Result<()>,
) -> Result<Counts> {
    let mut diff = Diff::begin(before)?;
    diff.later(after, until, visit)?;
    diff.missing(before, visit)
}

/// The same in steps, for two states that cannot be open at once.
#[derive(Debug)]
pub struct Diff {
    first: Known,
    counts: Counts,
}

impl Diff {
    /// Looks at the first state.
    ///
    /// # Errors
    /// As [`Known::of`].
    pub fn begin(before: &dyn Inventory) -> Result<Self> {
        Ok(Self { first: Known::of(before)?, counts: Counts::default() })
    }

    /// Hands out what is new or different in the second state.
    ///
    /// # Errors
    /// As [`Known::of`]; [`Error::AnotherCa`] when the two have no key in common; what `visit` returns.
    pub fn later(
        &mut self,
        after: &dyn Inventory,
        until: Option<FileTime>,
        visit: &mut dyn FnMut(Difference) -> Result<()>,
    ) -> Result<()> {
        let Self { first, counts } = self;
        let second = Known::without_rows(after)?;
        let has_key = |key| first.issuers.iter().any(|issuer| issuer.public_key() == key);
        if !second.issuers.iter().any(|issuer| has_key(issuer.public_key())) {
            let name = |known: &Known| known.ca().unwrap_or_else(|| "a CA without a common name".to_owned());
            return Err(Error::AnotherCa { first: name(first), second: name(&second) });
        }
        let (since, until) = (first.newest, until.or(second.newest));
        after.each(&mut |item| {
            let Some(serial) = item.serial.clone().filter(|_| item.is_certificate()) else { return Ok(()) };
            let entry = first.index.of_serial_mut(&serial);
            let Some(entry) = entry.filter(|entry| is_certificate(entry.disposition)) else {
                counts.issued += 1;
                let revoked = item.is_revoked();
                counts.revoked += u64::from(revoked);
                visit(difference(Change::Issued, &item, serial.clone()))?;
                return if revoked { visit(difference(Change::Revoked, &item, serial)) } else { Ok(()) };
            };
            entry.is_seen = true;
            let (change, was) = (change(entry, &item), entry.reason.map(Reason::from_code));
            let expired = item.not_after.is_some_and(|end| {
                since.is_none_or(|since| since < end) && until.is_some_and(|until| end <= until)
            });
            if let Some(change) = change {
                *counts.of(change) += 1;
                let was = was.filter(|_| change == Change::Reason);
                visit(Difference { was, ..difference(change, &item, serial.clone()) })?;
            }
            if expired {
                counts.expired += 1;
                visit(difference(Change::Expired, &item, serial))?;
            } else if change.is_none() {
                counts.same += 1;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Hands out what the second state lacks; `before` is the first one once more.
    ///
    /// # Errors
    /// As [`Inventory::each`]; what `visit` returns.
    pub fn missing(
        mut self,
        before: &dyn Inventory,
        visit: &mut dyn FnMut(Difference) -> Result<()>,
    ) -> Result<Counts> {
        before.each(&mut |item| {
            let Some(serial) = item.serial.clone().filter(|_| item.is_certificate()) else { return Ok(()) };
            if self.first.index.of_serial(&serial).is_some_and(|entry| entry.is_seen) {
                return Ok(());
            }
            self.counts.missing += 1;
            visit(difference(Change::Missing, &item, serial))
        })?;
        Ok(self.counts)
    }
}

impl Counts {
    fn of(&mut self, change: Change) -> &mut u64 {
        match change {
            Change::Issued => &mut self.issued,
            Change::Missing => &mut self.missing,
            Change::Revoked => &mut self.revoked,
            Change::Unrevoked => &mut self.unrevoked,
            Change::Reason => &mut self.reason,
            Change::Expired => &mut self.expired,
        }
    }

    /// Whether both states have the same certificates.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        Self { same: 0, ..*self } == Self::default()
    }
}

fn change(before: &Entry, after: &Item) -> Option<Change> {
    match (before.is_revoked(), after.is_revoked()) {
        (false, true) => Some(Change::Revoked),
        (true, false) => Some(Change::Unrevoked),
        (true, true) if before.reason != after.revoked.map(|(_, reason)| reason.code()) => {
            Some(Change::Reason)
        }
        _ => None,
    }
}

fn difference(change: Change, item: &Item, serial_number: Serial) -> Difference {
    let when = match change {
        Change::Revoked | Change::Reason => item.revoked.and_then(|(when, _)| when),
        Change::Expired => item.not_after,
        _ => item.when,
    };
    Difference {
        change,
        request_id: item.request_id,
        serial_number,
        common_name: item.common_name.clone(),
        when,
        not_after: item.not_after,
        reason: item.revoked.map(|(_, reason)| reason),
        was: None,
    }
}
