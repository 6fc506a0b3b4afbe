//! Counts over a CA's database, whichever kind it is: certificates by month, requests by disposition and template.

use std::path::Path;

use std::collections::BTreeMap;

use certadm_ca::rows::Disposition;
use certadm_ese::Database;
use certadm_ese::ca::{Cell, View, ViewName};
use certadm_ese::pager::Pager;
use certadm_rules::FileTime;
use certadm_set::Opened;
use certadm_set::progress::{Progress, Stage};
use certadm_set::scratch::Recovered;
use certadm_set::windows::open_database;
use certadm_store::Writer;
use rusqlite::Connection;

use crate::failure::Failure;
use crate::output::Output;

/// Counts under more names than this go together: a database from elsewhere may have one for every row.
const MOST_NAMES: usize = 10_000;

/// The name they go under.
const OTHERS: &str = "(others)";

/// How many there are of each name; names in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(pub(super) BTreeMap<String, u64>);

impl Counts {
    fn add(&mut self, name: &str) {
        if let Some(count) = self.0.get_mut(name) {
            *count += 1;
            return;
        }
        let name = if self.0.len() < MOST_NAMES { name } else { OTHERS };
        *self.0.entry(name.to_owned()).or_default() += 1;
    }
}

/// What the page counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    /// Certificates issued to others, by the month (`2026-11`) in which they become valid.
    pub(super) issued: Counts,
    /// Those of them that are not revoked, by the month in which they expire.
    pub(super) expiring: Counts,
    /// All requests.
    pub(super) dispositions: Counts,
    /// All requests of a Windows CA; certificates of our own, the CA's among them.
    pub(super) templates: Counts,
}

impl Statistics {
    /// Counts what a CA's folder holds, or what a restore of a set would give, replayed in memory where it is of a
    /// Windows CA.
    pub(super) fn of(opened: &Opened, output: Output) -> Result<Self, Failure> {
        match opened {
            Opened::Ours(sets) => Self::of_connection(Recovered::of(sets)?.connection()),
            Opened::Folder(folder) => Self::of_connection(Writer::open(folder)?.connection()),
            Opened::Windows(sets) => {
                let path = sets
                    .iter()
                    .find_map(|set| set.database.as_deref())
                    .map(Path::to_owned)
                    .unwrap_or_default();
                let mut progress = output.progress_on_stderr();
                let replayed = open_database(sets, &mut progress)?;
                Self::of_windows(&replayed.database, &mut progress)
                    .map_err(|source| certadm_set::Error::Windows { path, source }.into())
            }
        }
    }

    fn of_connection(connection: &Connection) -> Result<Self, Failure> {
        let mut all = Self::default();
        certadm_ca::requests(connection, |row| {
            all.dispositions.add(&row.disposition.to_string());
            Ok::<_, Failure>(())
        })?;
        certadm_ca::certificates(connection, |row| {
            let month =
                |date: Option<FileTime>| date.and_then(|date| date.to_rfc3339().get(..7).map(str::to_owned));
            all.certificate(
                row.disposition,
                month(row.not_before).as_deref(),
                month(row.not_after).as_deref(),
            );
            all.template(row.certificate_template.as_deref());
            Ok::<_, Failure>(())
        })?;
        Ok(all)
    }

    fn of_windows<P: Pager>(
        database: &Database<P>,
        progress: &mut dyn Progress,
    ) -> Result<Self, certadm_ese::Error> {
        const ROWS_TOLD: u64 = 1024;
        let mut all = Self::default();
        let mut rows = 0u64;
        let mut counted = || {
            rows += 1;
            if rows.is_multiple_of(ROWS_TOLD) {
                progress.at(Stage::Rows, rows, 0);
            }
        };
        let mut requests = View::open(database, ViewName::Requests)?;
        requests.retain(|field| field.column_name() == "Disposition");
        for row in requests.rows() {
            counted();
            if let [disposition] = row?.as_slice() {
                all.dispositions.add(&disposition.to_string());
            }
        }
        let mut certificates = View::open(database, ViewName::Certificates)?;
        let wanted = ["NotBefore", "NotAfter", "Disposition"];
        certificates.retain(|field| wanted.contains(&field.column_name()));
        let place = |name| certificates.fields().iter().position(|field| field.column_name() == name);
        let [before, after, disposition] = wanted.map(place);
        for row in certificates.rows() {
            counted();
            let row = row?;
            let cell = |place: Option<usize>| place.and_then(|place| row.get(place));
            let month = |place| match cell(place) {
                Some(Cell::Date(date)) => Some(format!("{:04}-{:02}", date.year, date.month)),
                _ => None,
            };
            let disposition = match cell(disposition) {
                Some(Cell::Word(number, _)) => i32::try_from(*number).unwrap_or_default(),
                _ => 0,
            };
            all.certificate(Disposition(disposition), month(before).as_deref(), month(after).as_deref());
        }
        // A request that was denied has a row there too, and its template in it.
        let requests = database.table("Certificates")?;
        let template = requests.column("CertificateTemplate")?;
        for row in requests.rows() {
            counted();
            let template = row?.value(template).ok();
            all.template(template.as_ref().and_then(|value| value.text()));
        }
        Ok(all)
    }

    fn template(&mut self, name: Option<&str>) {
        self.templates.add(name.filter(|name| !name.is_empty()).unwrap_or("(none)"));
    }

    fn certificate(&mut self, disposition: Disposition, valid_from: Option<&str>, valid_until: Option<&str>) {
        if !matches!(disposition, Disposition::ISSUED | Disposition::REVOKED) {
            return;
        }
        if let Some(month) = valid_from {
            self.issued.add(month);
        }
        if let (Some(month), Disposition::ISSUED) = (valid_until, disposition) {
            self.expiring.add(month);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_end_go_together() {
        let mut counts = Counts::default();
        for number in 0..MOST_NAMES + 5 {
            counts.add(&number.to_string());
        }
        assert_eq!(counts.0[OTHERS], 5);
        assert_eq!(counts.0.len(), MOST_NAMES + 1);
    }

    #[test]
    fn what_is_revoked_does_not_expire_and_the_cas_own_is_not_issued() {
        let mut all = Statistics::default();
        let months = (Some("2026-01"), Some("2027-01"));
        all.certificate(Disposition::ISSUED, months.0, months.1);
        all.certificate(Disposition::REVOKED, months.0, months.1);
        all.certificate(Disposition::CA_CERTIFICATE, months.0, months.1);
        assert_eq!(all.issued.0["2026-01"], 2);
        assert_eq!(all.expiring.0["2027-01"], 1);
    }
}
