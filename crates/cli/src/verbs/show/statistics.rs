//! Counts over a CA's database, whichever kind it is: certificates by month, requests by disposition and template.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

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

/// How many certificates became valid, or expire, in one month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Month {
    pub(super) all: u64,
    /// How many of them are revoked.
    pub(super) revoked: u64,
}

/// A certificate that ends soon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    /// The day on which it ends, as `2026-11-27`.
    pub(super) day: String,
    pub(super) name: String,
    pub(super) serial: String,
    pub(super) template: String,
}

/// Certificates that end soon are listed for so many days, and no more than so many of them.
pub(super) const DUE_DAYS: i64 = 90;
const MOST_DUE: usize = 100;

/// What the page counts. The certificates of the CA itself are in none of it: nobody requested them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Statistics {
    /// Today, as `2026-11-27`, and the last day of what ends soon.
    pub(super) today: String,
    pub(super) until: String,
    /// Certificates issued, by the month (`2026-11`) in which they become valid.
    pub(super) issued: BTreeMap<String, Month>,
    /// Those of them that are not revoked, by the month in which they expire.
    pub(super) expiring: BTreeMap<String, Month>,
    /// The next ones of those that are not revoked, the first to end first, and how many there are in all.
    pub(super) due: BTreeSet<Due>,
    pub(super) due_in_all: u64,
    /// All requests.
    pub(super) dispositions: Counts,
    /// All requests of a Windows CA, certificates of our own.
    pub(super) templates: Counts,
}

/// A certificate, as far as it counts.
struct Counted<'a> {
    disposition: Disposition,
    from: Option<String>,
    until: Option<String>,
    name: Option<&'a str>,
    serial: Option<&'a str>,
    template: Option<&'a str>,
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

    /// Nothing counted yet, at this moment.
    fn begin() -> Self {
        let now = certadm_store::now();
        let until = FileTime(now.0.saturating_add(DUE_DAYS * 24 * 3600 * 10_000_000));
        Self { today: day_of(now), until: day_of(until), ..Self::default() }
    }

    fn of_connection(connection: &Connection) -> Result<Self, Failure> {
        let mut all = Self::begin();
        certadm_ca::requests(connection, |row| {
            if !is_own(row.disposition) {
                all.dispositions.add(&row.disposition.to_string());
            }
            Ok::<_, Failure>(())
        })?;
        certadm_ca::certificates(connection, |row| {
            if !is_own(row.disposition) {
                all.template(row.certificate_template.as_deref());
            }
            all.certificate(&Counted {
                disposition: row.disposition,
                from: row.not_before.map(day_of),
                until: row.not_after.map(day_of),
                name: row.distinguished_name.as_deref().or(row.common_name.as_deref()),
                serial: row.serial_number.as_deref(),
                template: row.certificate_template.as_deref(),
            });
            Ok::<_, Failure>(())
        })?;
        Ok(all)
    }

    fn of_windows<P: Pager>(
        database: &Database<P>,
        progress: &mut dyn Progress,
    ) -> Result<Self, certadm_ese::Error> {
        const ROWS_TOLD: u64 = 1024;
        let mut all = Self::begin();
        let mut rows = 0u64;
        let mut counted = || {
            rows += 1;
            if rows.is_multiple_of(ROWS_TOLD) {
                progress.at(Stage::Rows, rows, 0);
            }
        };
        let of = |cell: Option<&Cell>| match cell {
            Some(Cell::Word(number, _)) => i32::try_from(*number).unwrap_or_default(),
            _ => 0,
        };
        // Requests that are none, whose rows the table of certificates has too.
        let mut own = BTreeSet::new();
        let requests = database.table("Requests")?;
        let (disposition, id) = (requests.column("Disposition")?, requests.column("RequestID")?);
        for row in requests.rows() {
            let row = row?;
            let number = row.value(disposition)?.integer().and_then(|number| i32::try_from(number).ok());
            if number.is_some_and(|number| is_own(Disposition(number))) {
                own.extend(row.value(id)?.integer());
            }
        }
        let mut requests = View::open(database, ViewName::Requests)?;
        requests.retain(|field| field.column_name() == "Disposition");
        for row in requests.rows() {
            counted();
            if let [disposition] = row?.as_slice()
                && !is_own(Disposition(of(Some(disposition))))
            {
                all.dispositions.add(&disposition.to_string());
            }
        }
        let mut certificates = View::open(database, ViewName::Certificates)?;
        let wanted = [
            "NotBefore",
            "NotAfter",
            "Disposition",
            "DistinguishedName",
            "CommonName",
            "SerialNumber",
            "CertificateTemplate",
        ];
        certificates.retain(|field| wanted.contains(&field.column_name()));
        let place = |name| certificates.fields().iter().position(|field| field.column_name() == name);
        let places = wanted.map(place);
        for row in certificates.rows() {
            counted();
            let row = row?;
            let cell = |which: usize| places[which].and_then(|place| row.get(place));
            let day = |which| match cell(which) {
                Some(Cell::Date(date)) => Some(format!("{:04}-{:02}-{:02}", date.year, date.month, date.day)),
                _ => None,
            };
            let text = |which| match cell(which) {
                Some(Cell::Text(text)) if !text.is_empty() => Some(text.as_str()),
                _ => None,
            };
            all.certificate(&Counted {
                disposition: Disposition(of(cell(2))),
                from: day(0),
                until: day(1),
                name: text(3).or_else(|| text(4)),
                serial: text(5),
                template: text(6),
            });
        }
        // A request that was denied has a row there too, and its template in it.
        let requests = database.table("Certificates")?;
        let (template, id) = (requests.column("CertificateTemplate")?, requests.column("RequestID")?);
        for row in requests.rows() {
            counted();
            let row = row?;
            if row.value(id)?.integer().is_some_and(|id| own.contains(&id)) {
                continue;
            }
            let template = row.value(template).ok();
            all.template(template.as_ref().and_then(|value| value.text()));
        }
        Ok(all)
    }

    fn template(&mut self, name: Option<&str>) {
        self.templates.add(name.filter(|name| !name.is_empty()).unwrap_or("(none)"));
    }

    fn certificate(&mut self, certificate: &Counted<'_>) {
        let disposition = certificate.disposition;
        if !matches!(disposition, Disposition::ISSUED | Disposition::REVOKED) {
            return;
        }
        let month = |day: &Option<String>| day.as_deref().and_then(|day| day.get(..7)).map(str::to_owned);
        if let Some(month) = month(&certificate.from) {
            let month = self.issued.entry(month).or_default();
            month.all += 1;
            month.revoked += u64::from(disposition == Disposition::REVOKED);
        }
        let Some(until) = certificate.until.as_ref().filter(|_| disposition == Disposition::ISSUED) else {
            return;
        };
        if let Some(month) = month(&certificate.until) {
            self.expiring.entry(month).or_default().all += 1;
        }
        if *until < self.today || self.until < *until {
            return;
        }
        self.due_in_all += 1;
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        self.due.insert(Due {
            day: until.clone(),
            name: text(certificate.name),
            serial: text(certificate.serial),
            template: text(certificate.template),
        });
        if MOST_DUE < self.due.len() {
            self.due.pop_last();
        }
    }
}

/// Rows of the CA itself: of its certificates, of its chain, of its key recovery agents.
const fn is_own(disposition: Disposition) -> bool {
    matches!(disposition, Disposition::CA_CERTIFICATE | Disposition::CA_CHAIN | Disposition::KRA_CERTIFICATE)
}

fn day_of(date: FileTime) -> String {
    date.to_rfc3339().get(..10).unwrap_or_default().to_owned()
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
        let mut all = Statistics {
            today: "2026-11-27".to_owned(),
            until: "2027-02-25".to_owned(),
            ..Statistics::default()
        };
        let mut add = |disposition, until: &str| {
            all.certificate(&Counted {
                disposition,
                from: Some("2026-01-05".to_owned()),
                until: Some(until.to_owned()),
                name: Some(until),
                serial: None,
                template: None,
            });
        };
        add(Disposition::ISSUED, "2027-01-05");
        add(Disposition::ISSUED, "2026-11-27");
        add(Disposition::ISSUED, "2026-11-26");
        add(Disposition::ISSUED, "2027-02-26");
        add(Disposition::REVOKED, "2027-01-05");
        add(Disposition::CA_CERTIFICATE, "2027-01-05");
        assert_eq!(all.issued["2026-01"], Month { all: 5, revoked: 1 });
        assert_eq!(all.expiring["2027-01"], Month { all: 1, revoked: 0 });
        let due: Vec<_> = all.due.iter().map(|due| due.day.as_str()).collect();
        assert_eq!((due.as_slice(), all.due_in_all), (&["2026-11-27", "2027-01-05"][..], 2));
    }
}
