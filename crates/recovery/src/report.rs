//! What was made, and out of what: `report.json` and the result of the command. A CRL may list very many certificates, so
//! the report borrows them and is written as it is walked.

use std::io::Read;

use certadm_rules::FileTime;
use serde::{Deserialize, Serialize, Serializer};

use crate::bundle::name_of;
use crate::content::CrlKind;
use crate::entries::Entry;
use crate::issuer::Issuer;
use crate::plan::{Plan, PlannedCrl};
use crate::published::{Compared, PublishedCrl};

/// A plan, for programs.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    ca: Option<String>,
    number: i64,
    highest_known: i64,
    unseen: i64,
    deadline: Option<String>,
    crls: Vec<CrlReport<'a>>,
    destinations: Vec<PlaceReport<'a>>,
    unknown_certificates: usize,
    revocations: usize,
}

#[derive(Debug, Serialize)]
struct CrlReport<'a> {
    crl: String,
    file: String,
    delta_of: Option<i64>,
    key_index: Option<u32>,
    key_identifier: Option<String>,
    algorithm: String,
    this_update: String,
    next_update: String,
    next_publish: String,
    entries: usize,
    compared: Option<ComparedReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listed: Option<Listed<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ComparedReport {
    number: i64,
    this_update: String,
}

#[derive(Debug, Serialize)]
struct PlaceReport<'a> {
    url: &'a str,
    delta: bool,
    key_index: Option<u32>,
    certificates: u64,
}

/// The entries of a CRL with where they come from.
#[derive(Debug)]
struct Listed<'a>(&'a [Entry]);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            serial_number: &'a str,
            request_id: Option<i64>,
            when: String,
            reason: i32,
            origin: &'static str,
        }
        serializer.collect_seq(self.0.iter().map(|entry| Row {
            serial_number: entry.serial.as_str(),
            request_id: entry.request_id,
            when: entry.when.to_rfc3339(),
            reason: entry.reason,
            origin: entry.origin.key(),
        }))
    }
}

impl Plan {
    /// The plan without its findings. With `entries`, what each CRL lists and where it comes from.
    #[must_use]
    pub fn report(&self, entries: bool) -> Report<'_> {
        let places = self.destinations.iter().map(|place| PlaceReport {
            url: &place.url,
            delta: place.delta,
            key_index: self.issuers.iter().nth(place.issuer).map(Issuer::index),
            certificates: place.certificates,
        });
        Report {
            ca: self.issuers.iter().next().and_then(Issuer::common_name),
            number: self.number.number,
            highest_known: self.number.highest_known,
            unseen: self.number.unseen,
            deadline: self.deadline().map(FileTime::to_rfc3339),
            crls: self.crls.iter().map(|crl| self.report_of(crl, entries)).collect(),
            destinations: places.collect(),
            unknown_certificates: self.unknown.len(),
            revocations: self.lacking,
        }
    }

    fn report_of<'a>(&self, crl: &'a PlannedCrl, entries: bool) -> CrlReport<'a> {
        let issuer = self.issuers.iter().nth(crl.issuer);
        CrlReport {
            crl: name_of(self, crl),
            file: format!("{}.crl", crl.file_name),
            delta_of: match crl.kind {
                CrlKind::Base => None,
                CrlKind::Delta(base) => Some(base),
            },
            key_index: issuer.map(Issuer::index),
            key_identifier: issuer.map(Issuer::key_identifier),
            algorithm: crl.algorithm.to_string(),
            this_update: crl.dates.this_update.to_rfc3339(),
            next_update: crl.dates.next_update.to_rfc3339(),
            next_publish: crl.dates.next_publish.to_rfc3339(),
            entries: crl.entries.len(),
            compared: crl.compared.map(|compared| ComparedReport {
                number: compared.number,
                this_update: compared.this_update.to_rfc3339(),
            }),
            listed: entries.then_some(Listed(&crl.entries)),
        }
    }
}

/// The number of the emergency CRL of which `report.json` tells; nothing where it tells of something else.
#[must_use]
pub fn number_of_report(report: impl Read) -> Option<i64> {
    #[derive(Deserialize)]
    struct Made {
        number: i64,
        highest_known: i64,
    }
    let made: Made = serde_json::from_reader(report).ok()?;
    // Above the last one no CRL could be published any more.
    (made.highest_known < made.number && made.number < i64::MAX).then_some(made.number)
}

/// Reads `report.json` beside a CRL: if it tells of the making of this one, it is an emergency CRL. `file` is the name of the CRL.
#[must_use]
pub fn recognised(crl: PublishedCrl, file: &str, report: impl Read) -> PublishedCrl {
    #[derive(Deserialize)]
    struct Made {
        number: i64,
        crls: Vec<MadeCrl>,
    }
    #[derive(Deserialize)]
    struct MadeCrl {
        file: String,
        compared: Option<ComparedReport>,
    }
    // A file of this name with something else in it says nothing.
    let Ok(made) = serde_json::from_reader::<_, Made>(report) else { return crl };
    let found = made.crls.iter().find(|made| made.file == file).filter(|_| made.number == crl.number());
    let Some(found) = found else { return crl };
    let compared = found.compared.as_ref().and_then(|compared| {
        let this_update = FileTime::from_rfc3339(&compared.this_update)?;
        Some(Compared { number: compared.number, this_update })
    });
    crl.of_emergency(compared)
}
