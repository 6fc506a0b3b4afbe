//! Takes what sources tell, one thing after the other, and keeps what the database does not know (recovery.md 7.3).

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use certadm_ca::{Reason, Serial, dates};
use certadm_files::{Found, IoContext};
use certadm_rules::{FileTime, hex};
use der::Decode;
use x509_cert::name::Name;

use super::event::{Fields, Issued, Said, cut};
use super::found::{
    Contradiction, Disagreement, LastBackup, OfUnknownKey, RequestOnly, Revoked, RevokedElsewhere, Source,
    Unknown,
};
use super::text::Utf8Text;
use super::told::{Told, is_ahead, is_open};
use super::{certificates, event_xml, ldif};
use crate::error::{Error, Result};
use crate::inventory::{Known, is_certificate};
use crate::published::PublishedCrl;
use crate::records::{Maker, Records, Signer};
use crate::request_number::Shapes;
use crate::x509::CertificateRef;

/// How an event log of Windows begins.
pub(super) const EVTX: &[u8] = b"ElfFile\0";
/// Contradictions that are kept; more are counted.
const MOST_CONTRADICTIONS: usize = 1000;
/// Certificates and requests that are kept: what a source of the largest size can tell. More are refused.
const MOST_FOUND: usize = 8_000_000;

/// Is handed each certificate of the CA that the database does not know, once.
pub type Keep<'k> = dyn FnMut(&Serial, &[u8]) -> Result<()> + 'k;

/// What is known of a request by events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Received,
    Pending,
    Denied,
    Issued,
}

/// What came of one source.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct SourceReport {
    /// `events`, `certificates`, `ldif` or `crl`.
    pub kind: &'static str,
    /// The file.
    pub path: String,
    /// Events, certificates or entries that were read.
    pub read: u64,
    /// Those that are of this CA.
    pub of_this_ca: u64,
    /// Parts that could not be read.
    pub unreadable: u64,
    /// Why the file could not be read to its end, or not at all.
    pub problem: Option<String>,
    /// Whether it is an event log by its form, also where no event is in it.
    #[serde(skip)]
    pub is_event_log: bool,
}

impl SourceReport {
    /// Whether it can be read and has nothing in it. A CRL without entries says that nothing was revoked.
    pub(crate) fn is_silent(&self) -> bool {
        self.kind != "crl" && self.read == 0 && self.unreadable == 0 && self.problem.is_none()
    }

    /// What to do about one that is silent: text of another kind often looks like an empty log. Of a log that is one, as a filtered
    /// export of a quiet day, nothing can be asked for.
    pub(crate) fn remedy(&self) -> Option<&'static str> {
        match self.kind {
            _ if self.is_event_log => None,
            "events" => Some(
                "give the log as .evtx, or as XML: wevtutil qe Security \
                 /q:\"*[System[(EventID>=4868 and EventID<=4900)]]\" /f:xml /e:Events",
            ),
            "ldif" => Some("give LDIF with userCertificate: ldifde -f users.ldif -l userCertificate"),
            _ => Some("name files with certificates"),
        }
    }

    /// Whether it is a CRL of this CA, which says what is revoked also where nothing is.
    pub(crate) fn is_crl_of_this_ca(&self) -> bool {
        self.kind == "crl" && self.problem.is_none()
    }
}

/// Takes what sources tell.
pub struct Collector<'k> {
    pub(crate) known: &'k Known,
    limits: Limits,
    keep: Box<Keep<'k>>,
    pub(crate) sources: Vec<SourceReport>,
    pub(crate) unknown: BTreeMap<Serial, Unknown>,
    pub(crate) requests: BTreeMap<i64, Outcome>,
    pub(crate) request_only: BTreeMap<i64, RequestOnly>,
    /// Of certificates that the database knows, and that it has not revoked for good: what counts of what was told so far.
    told: BTreeMap<Serial, Told>,
    /// The same of those that it does not know.
    told_unknown: BTreeMap<Serial, Told>,
    pub(crate) contradictions: Vec<Contradiction>,
    pub(crate) contradictions_counted: u64,
    pub(crate) computers: BTreeSet<String>,
    pub(crate) foreign: u64,
    pub(crate) of_unknown_key: BTreeMap<Serial, OfUnknownKey>,
    pub(crate) seen: u64,
    pub(crate) crl_number: Option<i64>,
    pub(crate) backup: Option<LastBackup>,
    own_names: Vec<String>,
    records: Records,
}

/// What a collector takes, and what it leaves out.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The present: a CRL or a database that is dated later was written by a wrong clock. If not given, every date is believed.
    pub now: Option<FileTime>,
    /// Nothing that happened later: the CA has been restored by then, and uses the numbers of requests once more.
    pub until: Option<FileTime>,
    /// Events of certificates from this machine alone.
    pub computer: Option<String>,
}

impl<'k> Collector<'k> {
    /// Begins. `keep` is handed each certificate of the CA that the database does not know.
    #[must_use]
    pub fn new(known: &'k Known, limits: Limits, keep: Box<Keep<'k>>) -> Self {
        let own_names = known.issuers.iter().filter_map(crate::issuer::Issuer::common_name).collect();
        // Signers are looked up by what is in a certificate, not by rows.
        let records = crate::records::Reading::new(known.maker, FileTime(0), [].into()).finish();
        Self {
            known,
            limits,
            keep,
            sources: Vec::new(),
            unknown: BTreeMap::new(),
            requests: BTreeMap::new(),
            request_only: BTreeMap::new(),
            told: BTreeMap::new(),
            told_unknown: BTreeMap::new(),
            contradictions: Vec::new(),
            contradictions_counted: 0,
            computers: BTreeSet::new(),
            foreign: 0,
            of_unknown_key: BTreeMap::new(),
            seen: 0,
            crl_number: None,
            backup: None,
            own_names,
            records,
        }
    }

    /// Reads an event log, XML or EVTX. What is wrong with it stands in the report of the source.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be opened, [`Error::TooMany`], and what keeping a certificate returns.
    pub fn events(&mut self, file: &Found) -> Result<()> {
        let source = self.source("events", file);
        let opened = file.open()?;
        let mut start = std::io::BufReader::new(opened);
        let is_evtx = start.fill_buf().during("read", file)?.starts_with(EVTX);
        let name = file.path().display().to_string();
        self.sources[source as usize].is_event_log = is_evtx;
        let read = if is_evtx {
            #[cfg(feature = "evtx")]
            {
                super::evtx::read(&name, file.open()?, &mut |fields| self.event(source, &fields))
            }
            #[cfg(not(feature = "evtx"))]
            {
                let reason = "this certadm was built without the feature evtx; on Windows, \
                    `wevtutil qe FILE /lf:true /f:xml /e:Events` makes XML of it";
                Err(Error::Source { name, reason: reason.to_owned() })
            }
        } else {
            let text = Utf8Text::new(start);
            let read = event_xml::read(&name, text, &mut |fields| self.event(source, &fields));
            read.map(|is_log| {
                self.sources[source as usize].is_event_log = is_log;
                0
            })
        };
        self.ended(source, read)
    }

    /// Reads an LDIF file.
    ///
    /// # Errors
    /// As [`Collector::events`].
    pub fn ldif(&mut self, file: &Found) -> Result<()> {
        let source = self.source("ldif", file);
        let text = Utf8Text::new(file.open()?);
        let name = file.path().display().to_string();
        let read = ldif::read(&name, text, &mut |der| self.certificate(source, der));
        self.ended(source, read)
    }

    /// Reads a file with certificates: DER, PEM or PKCS#7.
    ///
    /// # Errors
    /// As [`Collector::events`].
    pub fn certificates(&mut self, file: &Found) -> Result<()> {
        let source = self.source("certificates", file);
        let content = match file.read(certificates::MAX_CERTIFICATES) {
            Err(error @ certadm_files::Error::TooLong { .. }) => {
                return self
                    .ended(source, Err(Error::Source { name: String::new(), reason: error.to_string() }));
            }
            other => other?,
        };
        let read = certificates::in_file(&content)
            .map_err(|reason| Error::Source { name: String::new(), reason })
            .and_then(|found| found.iter().try_for_each(|der| self.certificate(source, der)));
        self.ended(source, read.map(|()| 0))
    }

    /// Reads a CRL of the CA.
    ///
    /// # Errors
    /// As [`Collector::events`].
    pub fn crl(&mut self, file: &Found) -> Result<()> {
        let source = self.source("crl", file);
        let content = file.read(crate::bundle::MAX_CRL)?;
        let read = PublishedCrl::parse(&file.path().display().to_string(), &content).and_then(|crl| {
            crl.place_among(&self.known.issuers)?;
            if !crl.is_number_long {
                self.crl_number = self.crl_number.max(Some(crl.number));
            }
            let mut failed = Ok(());
            crl.entries(|entry| {
                if failed.is_ok() {
                    self.sources[source as usize].read += 1;
                    let reason = Reason::from_code(entry.reason);
                    let told = Revoked { reason, when: Some(entry.when), source };
                    failed = self.listed(&entry.serial, told, crl.this_update);
                }
            })?;
            failed
        });
        match read {
            // Another CA's CRL among several is no reason to end.
            Err(
                error @ (Error::Published { .. }
                | Error::NotUnderstood { .. }
                | Error::PublishedElsewhere { .. }),
            ) => self.ended(source, Err(Error::Source { name: String::new(), reason: error.to_string() })),
            other => self.ended(source, other.map(|()| 0)),
        }
    }

    fn source(&mut self, kind: &'static str, file: &Found) -> Source {
        let path = file.path().to_string_lossy().into_owned();
        self.sources.push(SourceReport { kind, path, ..SourceReport::default() });
        Source::try_from(self.sources.len() - 1).unwrap_or(Source::MAX)
    }

    /// A source that cannot be read to its end is no reason to end: the others tell more.
    fn ended(&mut self, source: Source, read: Result<u64>) -> Result<()> {
        let report = &mut self.sources[source as usize];
        match read {
            Ok(unreadable) => report.unreadable += unreadable,
            Err(Error::Source { reason, .. }) => report.problem = Some(reason),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes an event.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    fn event(&mut self, source: Source, fields: &Fields) -> Result<()> {
        self.sources[source as usize].read += 1;
        let Some(said) = fields.said() else { return Ok(()) };
        if let (Some(until), Some(when)) = (self.limits.until, fields.when)
            && until < when
        {
            return Ok(());
        }
        // A logon is told by a domain controller, everything else by the CA.
        if !matches!(said, Said::Used { .. }) {
            if let Some(computer) = &self.limits.computer
                && !is_same_machine(computer, &fields.computer)
            {
                return Ok(());
            }
            if !fields.computer.is_empty() && self.computers.len() < MOST_CONTRADICTIONS {
                self.computers.insert(cut(&fields.computer).to_ascii_lowercase());
            }
        }
        self.sources[source as usize].of_this_ca += 1;
        let (computer, when) = (fields.computer.as_str(), fields.when);
        match said {
            Said::Issued(issued) => self.issued(source, issued, computer, when)?,
            Said::Denied { request_id } => {
                if self.known.index.of_request(request_id).is_some_and(|row| is_certificate(row.disposition))
                {
                    self.contradiction(Contradiction {
                        request_id,
                        serial_number: None,
                        what: Disagreement::DeniedElsewhere,
                        computer: cut(computer).to_owned(),
                        when,
                        source,
                    });
                } else {
                    self.outcome(request_id, Outcome::Denied)?;
                }
            }
            Said::Pending { request_id } => self.outcome(request_id, Outcome::Pending)?,
            Said::Received { request_id } => self.outcome(request_id, Outcome::Received)?,
            Said::Revoked { serial, reason } => {
                self.revocation(&serial, Revoked { reason, when, source }, None)?;
            }
            Said::CrlPublished { number } => self.crl_number = self.crl_number.max(Some(number)),
            Said::BackupStarted { full, account } => {
                if self.backup.as_ref().is_none_or(|last| last.started < when) {
                    let completed = self.backup.take().and_then(|last| last.completed);
                    self.backup = Some(LastBackup { completed, started: when, full, account });
                }
            }
            Said::BackupCompleted => {
                let backup = self.backup.get_or_insert_default();
                backup.completed = backup.completed.max(when);
            }
            Said::Used { issuer, serial } => {
                let is_own = self.own_names.iter().any(|name| name.eq_ignore_ascii_case(&issuer));
                if !is_own {
                    self.sources[source as usize].of_this_ca -= 1;
                    self.foreign += 1;
                } else if self.known.index.of_serial(&serial).is_some() {
                    self.seen += 1;
                } else {
                    self.unknown(&serial, source)?;
                }
            }
        }
        Ok(())
    }

    fn issued(
        &mut self,
        source: Source,
        issued: Issued,
        computer: &str,
        when: Option<FileTime>,
    ) -> Result<()> {
        let request_id = issued.request_id;
        let row = self.known.index.of_request(request_id);
        let has_certificate = row.is_some_and(|row| is_certificate(row.disposition));
        let disagreement = match &issued.serial {
            Some(serial) => match self.known.index.of_serial(serial) {
                Some(known) if known.request_id == request_id => {
                    self.seen += 1;
                    return Ok(());
                }
                Some(_) => Some(Disagreement::OtherRequest),
                None if has_certificate => Some(Disagreement::OtherCertificate),
                None => None,
            },
            None if has_certificate => {
                self.seen += 1;
                return Ok(());
            }
            None => None,
        };
        if let Some(what) = disagreement {
            self.contradiction(Contradiction {
                request_id,
                serial_number: issued.serial,
                what,
                computer: cut(computer).to_owned(),
                when,
                source,
            });
            return Ok(());
        }
        self.outcome(request_id, Outcome::Issued)?;
        match issued.serial {
            Some(serial) => {
                let found = self.unknown(&serial, source)?;
                found.request_id = Some(request_id);
                found.when = when.or(found.when);
                if found.subject.is_empty() {
                    found.subject = issued.subject;
                }
                (found.requester, found.template) = (issued.requester, issued.template);
                if found.key_identifier.is_empty() {
                    found.key_identifier = issued.key_identifier;
                }
            }
            None => {
                self.request_only.entry(request_id).or_insert(RequestOnly {
                    request_id,
                    requester: issued.requester,
                    subject: issued.subject,
                    key_identifier: issued.key_identifier,
                    when,
                    source,
                });
            }
        }
        Ok(())
    }

    /// Takes a certificate in DER.
    fn certificate(&mut self, source: Source, der: &[u8]) -> Result<()> {
        self.sources[source as usize].read += 1;
        let Ok(certificate) = CertificateRef::parse(der) else {
            self.sources[source as usize].unreadable += 1;
            return Ok(());
        };
        let Ok(serial) = hex::encode(certificate.serial).parse::<Serial>() else {
            self.sources[source as usize].unreadable += 1;
            return Ok(());
        };
        // Whose it is: the name is looked at first, because a signature costs more.
        if self.known.issuers.iter().all(|issuer| issuer.subject != certificate.issuer) {
            self.foreign += 1;
            return Ok(());
        }
        let issuers = &self.known.issuers;
        let signer = certificate.authority_key().ok().flatten();
        let is_named =
            |key: &[u8]| issuers.iter().any(|issuer| issuer.identifiers.iter().any(|own| own == key));
        let known = self.known.index.of_serial(&serial).is_some();
        let is_own = match signer {
            Some(key) if known && is_named(key) => true,
            _ => issuers.place_of(&Signer::Unnamed(der.to_vec()), &self.records).is_some(),
        };
        if !is_own {
            return self.of_unknown_key(source, serial, &certificate);
        }
        self.sources[source as usize].of_this_ca += 1;
        if self.known.index.of_serial(&serial).is_some() {
            self.seen += 1;
            return Ok(());
        }
        // A certificate begins ten minutes before it is issued, at a Windows CA.
        let begins = dates::whole_seconds(certificate.not_before);
        if self.limits.until.is_some_and(|until| until < begins) {
            return Ok(());
        }
        let subject = Name::from_der(certificate.subject).map(|name| name.to_string()).unwrap_or_default();
        let key = certificate.subject_key().ok().flatten().map(hex::encode).unwrap_or_default();
        let not_after = certificate.not_after;
        let found = self.unknown(&serial, source)?;
        found.subject = cut(&subject).to_owned();
        found.key_identifier = key;
        found.not_after = Some(not_after);
        found.when = found.when.or(Some(begins));
        let is_held = std::mem::replace(&mut found.is_held, true);
        if is_held { Ok(()) } else { (self.keep)(&serial, der) }
    }

    /// Takes one that names the CA, and that none of its known keys has signed.
    fn of_unknown_key(
        &mut self,
        source: Source,
        serial_number: Serial,
        certificate: &CertificateRef<'_>,
    ) -> Result<()> {
        let begins = dates::whole_seconds(certificate.not_before);
        if self.limits.until.is_some_and(|until| until < begins) {
            return Ok(());
        }
        if MOST_FOUND <= self.of_unknown_key.len() && !self.of_unknown_key.contains_key(&serial_number) {
            return Err(Error::TooMany { what: "certificates", most: MOST_FOUND });
        }
        let subject = Name::from_der(certificate.subject).map(|name| name.to_string()).unwrap_or_default();
        self.of_unknown_key.entry(serial_number.clone()).or_insert_with(|| OfUnknownKey {
            serial_number,
            subject: cut(&subject).to_owned(),
            signer: certificate.authority_key().ok().flatten().map(hex::encode).unwrap_or_default(),
            self_issued: certificate.subject == certificate.issuer,
            when: Some(begins),
            not_after: Some(certificate.not_after),
            source,
        });
        Ok(())
    }

    /// Takes an entry of a CRL that is dated so.
    fn listed(&mut self, serial: &Serial, told: Revoked, dated: FileTime) -> Result<()> {
        self.sources[told.source as usize].of_this_ca += 1;
        if self.limits.until.zip(told.when).is_some_and(|(until, when)| until < when) {
            return Ok(());
        }
        self.revocation(serial, told, Some(dated))
    }

    /// Whether it is news is asked at the end, when everything is there that may have come after it.
    fn revocation(&mut self, serial: &Serial, told: Revoked, dated: Option<FileTime>) -> Result<()> {
        let told = Told::new(told, dated, self.limits.now);
        let all = match self.known.index.of_serial(serial) {
            Some(row) if !is_open(row) => {
                self.seen += 1;
                return Ok(());
            }
            Some(_) => &mut self.told,
            None => {
                self.unknown(serial, told.revoked.source)?;
                &mut self.told_unknown
            }
        };
        if all.get(serial).is_none_or(|before| told.outweighs(before)) {
            all.insert(serial.clone(), told);
        }
        Ok(())
    }

    /// Brings what was told of revocations where it belongs; what the database says as well counts as seen.
    pub(super) fn revocations(&mut self) -> Vec<RevokedElsewhere> {
        for (serial, told) in std::mem::take(&mut self.told_unknown) {
            if let Some(found) = self.unknown.get_mut(&serial) {
                found.revoked = Some(told.revoked);
            }
        }
        // A moment that is still to come says nothing of the age of the database.
        let moments = [self.known.newest, self.known.last_published].into_iter().flatten();
        let newest = moments.filter(|moment| !is_ahead(*moment, self.limits.now)).max();
        let mut changed = Vec::new();
        for (serial_number, told) in std::mem::take(&mut self.told) {
            let row = self.known.index.of_serial(&serial_number);
            match row.filter(|row| told.is_news(row, newest)) {
                Some(row) => changed.push(RevokedElsewhere {
                    request_id: row.request_id,
                    serial_number,
                    revoked: told.revoked,
                }),
                None => self.seen += 1,
            }
        }
        changed
    }

    fn unknown(&mut self, serial: &Serial, source: Source) -> Result<&mut Unknown> {
        if MOST_FOUND <= self.unknown.len() && !self.unknown.contains_key(serial) {
            return Err(Error::TooMany { what: "certificates", most: MOST_FOUND });
        }
        let is_windows = self.known.maker == Maker::Windows;
        let shapes: &Shapes = &self.known.shapes;
        let found = self.unknown.entry(serial.clone()).or_insert_with(|| Unknown {
            request_id: if is_windows { shapes.request_in(serial) } else { None },
            ..Unknown::new(serial.clone())
        });
        found.sources.insert(source);
        Ok(found)
    }

    /// The strongest of what events say of a request counts.
    fn outcome(&mut self, request_id: i64, outcome: Outcome) -> Result<()> {
        let row = self.known.index.of_request(request_id);
        // What the database knows for good needs no event.
        if row.is_some_and(|row| is_certificate(row.disposition)) {
            return Ok(());
        }
        if MOST_FOUND <= self.requests.len() && !self.requests.contains_key(&request_id) {
            return Err(Error::TooMany { what: "requests", most: MOST_FOUND });
        }
        let entry = self.requests.entry(request_id).or_insert(outcome);
        *entry = outcome.max(*entry);
        Ok(())
    }

    fn contradiction(&mut self, contradiction: Contradiction) {
        self.contradictions_counted += 1;
        if self.contradictions.len() < MOST_CONTRADICTIONS {
            self.contradictions.push(contradiction);
        }
    }
}

/// Whether two names are of one machine, where one of them may lack its domain.
fn is_same_machine(one: &str, other: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    match (one.contains('.'), other.contains('.')) {
        (true, true) => one.eq_ignore_ascii_case(other),
        _ => short(one) == short(other),
    }
}
