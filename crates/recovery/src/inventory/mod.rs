//! The requests of a CA's database, row by row, as far as two states of a CA are compared by them.
//!
//! Rows are handed out as they are read. What has to be kept of all of them is an [`Index`]: a few bytes a row.

mod index;
mod ours;
mod windows;

use certadm_ca::rows::Disposition;
use certadm_ca::{Reason, Serial};
use certadm_rules::FileTime;

use crate::error::Result;
use crate::issuer::Issuers;
use crate::records::{Maker, Reading, Row};
use crate::request_number::Shapes;

pub(crate) use index::{Entry, Index};

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
    /// Since when it is revoked, and why.
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
}

/// Whether a certificate was issued.
pub(crate) fn is_certificate(disposition: Disposition) -> bool {
    matches!(disposition, Disposition::ISSUED | Disposition::REVOKED)
}

/// The bit of `EnrollmentFlags` that has certificates published in the directory.
const PUBLISH_TO_DIRECTORY: i64 = 8;

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
}

pub use windows::WindowsInventory;

/// What a CA knows, kept in little room: its keys, its requests, its serial numbers.
#[derive(Debug)]
pub struct Known {
    pub(crate) maker: Maker,
    pub(crate) issuers: Issuers,
    pub(crate) index: Index,
    /// How it makes its serial numbers.
    pub(crate) shapes: Shapes,
    pub(crate) last_request: i64,
    pub(crate) last_when: Option<FileTime>,
    /// The newest moment of any row.
    pub(crate) newest: Option<FileTime>,
    pub(crate) certificates: u64,
    pub(crate) published: u64,
    pub(crate) unreadable: u64,
}

impl Known {
    /// Reads a database.
    ///
    /// # Errors
    /// As [`Inventory::each`]; [`Error::NoCaCertificate`](crate::Error::NoCaCertificate),
    /// [`Error::CaCertificate`](crate::Error::CaCertificate).
    pub fn of(inventory: &dyn Inventory) -> Result<Self> {
        Self::read(inventory, true)
    }

    /// The same without an index of the rows.
    pub(crate) fn without_rows(inventory: &dyn Inventory) -> Result<Self> {
        Self::read(inventory, false)
    }

    fn read(inventory: &dyn Inventory, has_index: bool) -> Result<Self> {
        let maker = inventory.maker();
        let mut own = Reading::new(maker, FileTime(0), [].into());
        let mut index = Index::default();
        let mut shapes = Shapes::default();
        let (mut certificates, mut published) = (0, 0);
        let (mut last_request, mut last_when, mut newest) = (0, None, None);
        let unreadable = inventory.each(&mut |item| {
            if has_index {
                index.push(&item);
            }
            if let Some(serial) = item.serial.as_ref().filter(|_| item.is_certificate()) {
                shapes.learn(serial, item.request_id);
            }
            certificates += u64::from(item.is_certificate());
            published += u64::from(item.is_certificate() && item.is_published);
            newest = newest.max(item.when).max(item.revoked.and_then(|(when, _)| when));
            if last_request <= item.request_id {
                (last_request, last_when) = (item.request_id, item.when);
            }
            if let Some(certificate) = item.certificate {
                own.row(ca_row(item.request_id, certificate))?;
            }
            Ok(())
        })?;
        index.sort();
        let issuers = Issuers::of(&own.finish())?;
        Ok(Self {
            maker,
            issuers,
            index,
            shapes,
            last_request,
            last_when,
            newest,
            certificates,
            published,
            unreadable,
        })
    }

    /// Whose database it is.
    #[must_use]
    pub fn maker(&self) -> Maker {
        self.maker
    }

    /// The common name of the CA.
    #[must_use]
    pub fn ca(&self) -> Option<String> {
        self.issuers.iter().last().and_then(crate::issuer::Issuer::common_name)
    }

    /// The newest moment that any of its rows tells.
    #[must_use]
    pub fn newest(&self) -> Option<FileTime> {
        self.newest
    }

    /// Rows that could not be read, of a database whose damage is accepted.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

fn ca_row(request_id: i64, certificate: Vec<u8>) -> Row {
    Row {
        request_id,
        disposition: Disposition::CA_CERTIFICATE,
        revoked_effective_when: None,
        revoked_reason: None,
        serial: None,
        not_after: None,
        publish_expired: false,
        issuer_name_id: None,
        certificate: Some(certificate),
    }
}
