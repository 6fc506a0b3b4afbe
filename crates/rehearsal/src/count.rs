//! What a database holds, in numbers, and when the last of it was written.

use std::collections::BTreeMap;

use certadm_ca::rows::Disposition;
use certadm_ese::Database;
use certadm_ese::column::Value;
use certadm_ese::pager::Pager;
use certadm_rules::FileTime;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Rows by table, and requests by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Rows of Requests.
    pub requests: u64,
    /// Certificates issued, revoked ones among them.
    pub certificates: u64,
    /// Those revoked.
    pub revoked: u64,
    /// Rows of CRLs.
    pub crls: u64,
    /// The highest number of a request.
    pub last_request: i64,
    /// Requests by disposition; a number where it has no name.
    pub dispositions: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, disposition: Disposition, count: u64) {
        self.requests += count;
        if matches!(disposition, Disposition::ISSUED | Disposition::REVOKED) {
            self.certificates += count;
        }
        if disposition == Disposition::REVOKED {
            self.revoked += count;
        }
        *self.dispositions.entry(disposition.to_string()).or_default() += count;
    }
}

/// Counts, and the newest moment in the tables at which the CA did something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) counts: Counts,
    pub(crate) newest: Option<FileTime>,
}

impl Counted {
    fn newer(&mut self, moment: Option<FileTime>) {
        self.newest = self.newest.max(moment.filter(|moment| 0 < moment.0));
    }

    /// Of our own CA.
    pub(crate) fn of_ours(connection: &Connection) -> Result<Self> {
        let mut counted = Self::default();
        counted.read(connection).map_err(certadm_store::Error::from)?;
        Ok(counted)
    }

    fn read(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(
            "SELECT Disposition, count(*), max(RequestID), max(SubmittedWhen), max(ResolvedWhen), max(RevokedWhen) \
             FROM Requests GROUP BY Disposition",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let disposition = Disposition(row.get::<_, Option<i32>>(0)?.unwrap_or_default());
            self.counts.add(disposition, row.get::<_, i64>(1)?.unsigned_abs());
            self.counts.last_request = self.counts.last_request.max(row.get(2)?);
            for column in 3..6 {
                self.newer(row.get::<_, Option<i64>>(column)?.map(FileTime));
            }
        }
        let (crls, published): (i64, Option<i64>) =
            connection.query_row("SELECT count(*), max(ThisPublish) FROM CRLs", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        self.counts.crls = crls.unsigned_abs();
        self.newer(published.map(FileTime));
        Ok(())
    }

    /// Of a Windows CA.
    pub(crate) fn of_windows<P: Pager>(database: &Database<P>) -> Result<Self> {
        let mut counted = Self::default();
        counted.read_windows(database).map_err(Error::Windows)?;
        Ok(counted)
    }

    fn read_windows<P: Pager>(&mut self, database: &Database<P>) -> Result<(), certadm_ese::Error> {
        let requests = database.table("Requests")?;
        let (id, disposition) = (requests.column("RequestID")?, requests.column("Disposition")?);
        let dates = ["SubmittedWhen", "ResolvedWhen", "RevokedWhen"].map(|name| requests.column(name).ok());
        for row in requests.rows() {
            let row = row?;
            let number = row.value(disposition)?.integer().and_then(|number| i32::try_from(number).ok());
            self.counts.add(Disposition(number.unwrap_or_default()), 1);
            let id = row.value(id)?.integer().unwrap_or_default();
            self.counts.last_request = self.counts.last_request.max(id);
            for column in dates.into_iter().flatten() {
                self.newer(date(&row.value(column)?));
            }
        }
        let crls = database.table("CRLs")?;
        let published = crls.column("ThisPublish")?;
        for row in crls.rows() {
            self.counts.crls += 1;
            self.newer(date(&row?.value(published)?));
        }
        Ok(())
    }
}

fn date(value: &Value) -> Option<FileTime> {
    match value {
        Value::DateTime(ticks) => Some(FileTime::from_bits(*ticks)),
        _ => None,
    }
}
