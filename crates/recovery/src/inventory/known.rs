//! What of a database is kept while something is compared with it.

use certadm_ca::rows::Disposition;
use certadm_rules::FileTime;

use super::index::Index;
use super::item::Inventory;
use crate::error::Result;
use crate::issuer::Issuers;
use crate::records::{Maker, Reading, Row};
use crate::request_number::Shapes;

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
    /// When the newest CRL of its table was published.
    pub(crate) last_published: Option<FileTime>,
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
            last_published: inventory.last_published()?,
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
    Row { certificate: Some(certificate), ..Row::new(request_id, Disposition::CA_CERTIFICATE) }
}
