//! What sources tell of the revocation of a certificate that the database knows: which of it counts, and whether it is news.

use certadm_ca::Reason;
use certadm_ca::rows::Disposition;
use certadm_rules::FileTime;

use super::found::Revoked;
use crate::inventory::Entry;
use crate::schedule::DEFAULT_SKEW;

/// What a row says of its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Never revoked, or taken back from hold.
    InForce,
    OnHold,
    /// Revoked for good: nothing changes that any more.
    Final,
}

impl Standing {
    fn of(row: &Entry) -> Self {
        match row.reason.map(Reason::from_code) {
            _ if row.disposition != Disposition::REVOKED => Self::InForce,
            Some(Reason::CERTIFICATE_HOLD) => Self::OnHold,
            Some(Reason::REMOVE_FROM_CRL | Reason::RELEASED) => Self::InForce,
            _ => Self::Final,
        }
    }
}

/// Whether a date lies ahead of the present, where that is known.
pub(super) fn is_ahead(date: FileTime, now: Option<FileTime>) -> bool {
    now.is_some_and(|now| date.is_ahead_of(now))
}

/// Whether the row can still be changed by what a source tells.
pub(super) fn is_open(row: &Entry) -> bool {
    Standing::of(row) != Standing::Final
}

/// A revocation that a source tells, or the end of a hold, and when it was true for certain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(super) revoked: Revoked,
    /// When the event was written, or the CRL was made. A hold in a CRL may be dated earlier than it was ordered.
    pub(super) at: Option<FileTime>,
}

impl Told {
    /// `dated` is the date of the CRL that has it. One that lies ahead of `now` says nothing: the clock was wrong. CAs date a CRL back,
    /// so it was made a little later.
    pub(super) fn new(revoked: Revoked, dated: Option<FileTime>, now: Option<FileTime>) -> Self {
        let dated = dated.filter(|dated| !is_ahead(*dated, now));
        let made = dated.map(|dated| FileTime(dated.0.saturating_add(DEFAULT_SKEW)));
        Self { revoked, at: revoked.when.max(made) }
    }

    fn is_final(&self) -> bool {
        !matches!(self.revoked.reason, Reason::CERTIFICATE_HOLD | Reason::REMOVE_FROM_CRL)
    }

    /// Whether it counts where `other` is told, too. Sources come in any order, a log often with the newest event first, and the
    /// outcome must not depend on it. The later one counts, also when it takes an earlier one back; but no CA takes back what is
    /// not a hold.
    pub(super) fn outweighs(&self, other: &Self) -> bool {
        (other.is_final(), other.at) < (self.is_final(), self.at)
    }

    /// Whether the row does not say it. `newest` is the newest moment of the database: of a hold, or of its end, until then the
    /// row itself says what became of it. That somebody revoked for good is news all the same where the row does not have it.
    pub(super) fn is_news(&self, row: &Entry, newest: Option<FileTime>) -> bool {
        let is_past = self.at.zip(newest).is_some_and(|(at, newest)| at <= newest);
        match (Standing::of(row), self.revoked.reason) {
            (Standing::Final, _)
            | (Standing::InForce, Reason::REMOVE_FROM_CRL)
            | (Standing::OnHold, Reason::CERTIFICATE_HOLD) => false,
            (Standing::InForce, Reason::CERTIFICATE_HOLD) | (Standing::OnHold, Reason::REMOVE_FROM_CRL) => {
                !is_past
            }
            (Standing::InForce | Standing::OnHold, _) => true,
        }
    }
}
