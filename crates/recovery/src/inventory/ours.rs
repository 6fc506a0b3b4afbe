//! The requests of our own CA.

use certadm_ca::Reason;
use certadm_ca::rows::Disposition;
use certadm_rules::FileTime;
use rusqlite::{Connection, Row};

use super::item::{Inventory, Item, PUBLISH_TO_DIRECTORY};
use crate::error::Result;
use crate::ours::small;
use crate::records::Maker;

impl Inventory for Connection {
    fn maker(&self) -> Maker {
        Maker::Certadm
    }

    fn each(&self, visit: &mut dyn FnMut(Item) -> Result<()>) -> Result<u64> {
        let mut statement = self.prepare(
            "SELECT r.RequestID, r.Disposition, coalesce(r.ResolvedWhen, r.SubmittedWhen), \
             r.RevokedEffectiveWhen, r.RevokedReason, c.SerialNumber, c.NotAfter, c.CommonName, c.EnrollmentFlags, \
             CASE WHEN r.Disposition = 15 THEN c.RawCertificate END \
             FROM Requests r LEFT JOIN Certificates c ON c.RequestID = r.RequestID ORDER BY r.RequestID",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            visit(item(row)?)?;
        }
        Ok(0)
    }

    fn last_published(&self) -> Result<Option<FileTime>> {
        let newest = |row: &Row<'_>| row.get::<_, Option<i64>>(0);
        Ok(self.query_row("SELECT max(ThisPublish) FROM CRLs", [], newest)?.map(FileTime))
    }
}

fn item(row: &Row<'_>) -> rusqlite::Result<Item> {
    let date = |column| row.get::<_, Option<i64>>(column).map(|ticks| ticks.map(FileTime));
    let disposition = Disposition(small(row, 1)?.unwrap_or_default());
    let reason = Reason::from_code(small(row, 4)?.unwrap_or_default());
    let effective = date(3)?;
    Ok(Item {
        request_id: row.get(0)?,
        disposition,
        when: date(2)?,
        serial: row.get(5)?,
        not_after: date(6)?,
        common_name: row.get(7)?,
        revoked: (disposition == Disposition::REVOKED).then_some((effective, reason)),
        is_published: row.get::<_, Option<i64>>(8)?.is_some_and(|flags| flags & PUBLISH_TO_DIRECTORY != 0),
        certificate: row.get(9)?,
    })
}
