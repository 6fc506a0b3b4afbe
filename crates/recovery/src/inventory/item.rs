//! A row, and who hands rows out.

use certadm_ca::rows::Disposition;
use certadm_ca::{Reason, Serial};
use certadm_rules::FileTime;

use crate::error::Result;
use crate::records::Maker;

/// A request and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The number of the request.
    pub request_id: i64,
    /// What became of it.
    pub disposition: Disposition,
    /// When it was resolved, or submitted where nobody has resolved it.
    pub when: Option<FileTime>,
    /// The serial number of its certificate.
    pub serial: Option<Serial>,
    /// When its certificate ends.
    pub not_after: Option<FileTime>,
    /// The common name in its certificate.
    pub common_name: Option<String>,
    /// Since when it is revoked, and why. [`Reason::RELEASED`] where a hold was taken back and the row still says "revoked".
    pub revoked: Option<(Option<FileTime>, Reason)>,
    /// Whether the template has its certificates published in the directory (`EnrollmentFlags`, bit 8).
    pub is_published: bool,
    /// The certificate itself, for those of the CA alone.
    pub(crate) certificate: Option<Vec<u8>>,
}

impl Item {
    /// Whether a certificate was issued on the request.
    #[must_use]
    pub fn is_certificate(&self) -> bool {
        is_certificate(self.disposition)
    }

    /// Whether its certificate is revoked, and no hold that was taken back.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.revoked.is_some_and(|(_, reason)| reason.is_in_effect())
    }
}

/// Whether a certificate was issued.
pub(crate) fn is_certificate(disposition: Disposition) -> bool {
    matches!(disposition, Disposition::ISSUED | Disposition::REVOKED)
}

/// The bit of `EnrollmentFlags` that has certificates published in the directory.
pub(super) const PUBLISH_TO_DIRECTORY: i64 = 8;

/// A database whose requests can be read.
pub trait Inventory {
    /// Whose database it is.
    fn maker(&self) -> Maker;

    /// Hands out each request in the order of their numbers. Returns how many rows could not be read, of a database whose
    /// damage is accepted.
    ///
    /// # Errors
    /// [`Error::Windows`](crate::Error::Windows), [`Error::Database`](crate::Error::Database),
    /// [`Error::DamagedRow`](crate::Error::DamagedRow), and what `visit` returns.
    fn each(&self, visit: &mut dyn FnMut(Item) -> Result<()>) -> Result<u64>;

    /// When the newest CRL in its table was published. A hold that was taken back leaves no moment in its row: this tells of a
    /// later one.
    ///
    /// # Errors
    /// [`Error::Windows`](crate::Error::Windows), [`Error::Database`](crate::Error::Database).
    fn last_published(&self) -> Result<Option<FileTime>> {
        Ok(None)
    }
}
