//! What was found, sorted into what can be done about it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use certadm_ca::{Reason, Serial, named};
use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::counted;
use serde::Serialize;

use super::collector::{Collector, Outcome, SourceReport};
use super::found::{Contradiction, Ids, LastBackup, OfUnknownKey, RequestOnly, RevokedElsewhere, Unknown};
use crate::moments;
use crate::records::Maker;

/// What the database of a CA lacks.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    /// The common name of the CA.
    pub ca: Option<String>,
    /// Whose database it is.
    #[serde(serialize_with = "maker_word")]
    pub maker: Maker,
    /// Certificates that the database knows.
    pub certificates: u64,
    /// Those of them whose template has them published in the directory: so much of the gap an LDIF file can tell.
    pub published: u64,
    /// What was read.
    pub sources: Vec<SourceReport>,
    /// How often a source told what the database knows.
    pub seen: u64,
    /// Certificates of other CAs in the sources.
    pub foreign: u64,
    /// Certificates that name the CA as their issuer, and that no key has signed which the database shows.
    pub of_unknown_key: Vec<OfUnknownKey>,
    /// How far the backup falls short.
    pub rpo: Rpo,
    /// Certificates that are at hand: they can be imported, and revoked.
    pub importable: Vec<Unknown>,
    /// Certificates of which the serial number is known: they can be revoked.
    pub serial_only: Vec<Unknown>,
    /// Requests on which a certificate was issued; nothing tells its serial number.
    pub request_only: Vec<RequestOnly>,
    /// Requests of which nothing is known.
    pub unaccounted: Vec<Ids>,
    /// Certificates that the database knows, and of whose revocation it does not know.
    pub revoked_elsewhere: Vec<RevokedElsewhere>,
    /// What cannot both be.
    pub contradictions: Vec<Contradiction>,
    /// How many of these there are; the first 1000 are listed.
    pub contradictions_counted: u64,
    /// The machines on which events of the CA were written.
    pub computers: BTreeSet<String>,
    /// The highest number of a CRL that a source tells.
    pub crl_number: Option<i64>,
    /// The last backup that an event tells of.
    pub last_backup: Option<LastBackup>,
}

/// How far the backup falls short: the requests after its last one.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Rpo {
    /// The last request that the database knows.
    pub last_request: i64,
    /// When it was resolved.
    #[serde(serialize_with = "moments::optional")]
    pub last_when: Option<FileTime>,
    /// The highest request that a source tells of.
    pub highest_request: i64,
    /// When the last certificate of the gap was issued.
    #[serde(serialize_with = "moments::optional")]
    pub newest: Option<FileTime>,
    /// Requests after the last one that the database knows: as many as their numbers tell, and no fewer than were found.
    pub requests: u64,
    /// Those of them that became certificates.
    pub certificates: u64,
    /// Those of the certificates whose request number nothing tells, as of a CA whose serial numbers carry none.
    pub unnumbered: u64,
    /// Those that were denied.
    pub denied: u64,
    /// Those that wait for a decision.
    pub pending: u64,
    /// Those of which nothing is known.
    pub unknown: u64,
}

impl Collector<'_> {
    /// Sorts what was found.
    #[must_use]
    pub fn finish(mut self) -> Gap {
        let revoked_elsewhere = self.revocations();
        let known = self.known;
        let mut requests = self.requests;
        let mut request_only = self.request_only;
        // A certificate that turned up is told by its key, or by its number.
        let keys: BTreeMap<&str, &Serial> = self
            .unknown
            .values()
            .filter(|found| !found.key_identifier.is_empty() && found.is_held)
            .map(|found| (found.key_identifier.as_str(), &found.serial_number))
            .collect();
        let mut matched: BTreeMap<Serial, i64> = BTreeMap::new();
        request_only.retain(|request_id, only| match keys.get(only.key_identifier.as_str()) {
            // A key may be certified twice: a serial number that carries another request decides.
            Some(serial) => match self.unknown[*serial].request_id {
                Some(carried) if carried != *request_id => true,
                _ => {
                    matched.insert((*serial).clone(), *request_id);
                    false
                }
            },
            None => true,
        });
        let mut unknown = self.unknown;
        for (serial, request_id) in matched {
            if let Some(found) = unknown.get_mut(&serial) {
                found.request_id = Some(request_id);
            }
        }
        for request_id in unknown.values().filter_map(|found| found.request_id) {
            requests.insert(request_id, Outcome::Issued);
            request_only.remove(&request_id);
        }
        let newest = unknown.values().filter_map(|found| found.when).max();
        let newest = newest.max(request_only.values().filter_map(|only| only.when).max());
        let unnumbered = unknown.values().filter(|found| found.request_id.is_none()).count();
        let (rpo, unaccounted) = account(known.last_request, &requests, unnumbered as u64);
        let (importable, serial_only) = unknown.into_values().partition(|found| found.is_held);
        let by_request = |mut list: Vec<Unknown>| {
            list.sort_by(|one, other| {
                (one.request_id, &one.serial_number).cmp(&(other.request_id, &other.serial_number))
            });
            list
        };
        Gap {
            ca: known.ca(),
            maker: known.maker,
            certificates: known.certificates,
            published: known.published,
            sources: self.sources,
            seen: self.seen,
            foreign: self.foreign,
            of_unknown_key: self.of_unknown_key.into_values().collect(),
            rpo: Rpo { last_when: known.last_when, newest, ..rpo },
            importable: by_request(importable),
            serial_only: by_request(serial_only),
            request_only: request_only.into_values().collect(),
            unaccounted,
            revoked_elsewhere,
            contradictions: self.contradictions,
            contradictions_counted: self.contradictions_counted,
            computers: self.computers,
            crl_number: self.crl_number,
            last_backup: self.backup,
        }
    }
}

/// Goes through the numbers after the last one: what is known of each, and which stay open. `unnumbered` certificates were found
/// besides; each of them may have one of the open numbers, or one after the highest.
fn account(last: i64, requests: &BTreeMap<i64, Outcome>, unnumbered: u64) -> (Rpo, Vec<Ids>) {
    let mut rpo = Rpo {
        last_request: last,
        highest_request: last,
        certificates: unnumbered,
        unnumbered,
        ..Rpo::default()
    };
    let mut open: Vec<Ids> = Vec::new();
    let mut leave = |first: i64, end: i64| match open.last_mut() {
        _ if end < first => {}
        Some(before) if before.last + 1 == first => before.last = end,
        _ => open.push(Ids { first, last: end }),
    };
    for (request_id, outcome) in requests.range((Bound::Excluded(last), Bound::Unbounded)) {
        leave(rpo.highest_request + 1, request_id - 1);
        rpo.highest_request = *request_id;
        match outcome {
            Outcome::Issued => rpo.certificates += 1,
            Outcome::Denied => rpo.denied += 1,
            Outcome::Pending => rpo.pending += 1,
            Outcome::Received => leave(*request_id, *request_id),
        }
    }
    let numbered = u64::try_from(rpo.highest_request - last).unwrap_or_default();
    rpo.requests = numbered.max(rpo.certificates + rpo.denied + rpo.pending);
    rpo.unknown = open.iter().map(|ids| ids.count()).sum();
    (rpo, open)
}

impl Gap {
    /// Whether nothing is missing that a source tells of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.importable.is_empty()
            && self.serial_only.is_empty()
            && self.request_only.is_empty()
            && self.unaccounted.is_empty()
            && self.revoked_elsewhere.is_empty()
            && self.contradictions.is_empty()
            && self.of_unknown_key.is_empty()
    }

    /// What was found, in the words of findings.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for source in &self.sources {
            if let Some(problem) = &source.problem {
                let text = format!("{problem}; what came before is used");
                found.push(Finding::warning(Kind::SourceUnreadable, text).in_file(&source.path));
            } else if source.unreadable != 0 {
                let text = format!("{} cannot be read and are left out", counted(source.unreadable, "part"));
                found.push(Finding::warning(Kind::SourceUnreadable, text).in_file(&source.path));
            } else if source.is_silent() {
                let finding = match source.remedy() {
                    Some(remedy) => {
                        let text = "nothing was found in it, so it tells nothing of what the CA issued";
                        Finding::warning(Kind::SourceSilent, text).remedy(remedy)
                    }
                    None => {
                        let text =
                            "it is an event log without an event, so it tells of nothing that the CA issued";
                        Finding::note(Kind::SourceSilent, text)
                    }
                };
                found.push(finding.in_file(&source.path));
            }
        }
        found.extend(self.unheard());
        let certificates = self.importable.len() + self.serial_only.len() + self.request_only.len();
        if certificates != 0 {
            let text = format!(
                "the CA issued {} that the database does not know: {} at hand, {} by serial number alone, {} without",
                counted(certificates as u64, "certificate"),
                self.importable.len(),
                self.serial_only.len(),
                self.request_only.len(),
            );
            let remedy = "import those at hand when the CA is back, and revoke the others";
            found.push(Finding::warning(Kind::GapCertificates, text).remedy(remedy));
        }
        if !self.of_unknown_key.is_empty() {
            let serials: Vec<Serial> =
                self.of_unknown_key.iter().map(|one| one.serial_number.clone()).collect();
            let text = format!(
                "the sources have certificates that name this CA as their issuer, and no key of it that the database shows has signed them, \
                 as where its key was renewed after the backup: {}",
                named(&serials)
            );
            let remedy = "take a newer set, which knows that key; without one, they are revoked by another CRL of that key: certadm \
                emergency-crl --from-crl CRL --key KEY --revoke SERIAL";
            found.push(Finding::warning(Kind::GapCertificates, text).remedy(remedy));
        }
        if self.rpo.unknown != 0 {
            let text = format!(
                "nothing is known of {} after the last one of the database; the first is {}",
                counted(self.rpo.unknown, "request"),
                self.unaccounted.first().map_or(0, |ids| ids.first),
            );
            let remedy =
                "give further sources: events of the time after the backup, certificates, the directory";
            found.push(Finding::warning(Kind::GapUnaccounted, text).remedy(remedy));
        }
        if !self.revoked_elsewhere.is_empty() {
            let text = format!(
                "{} of the database changed its revocation after the backup",
                counted(self.revoked_elsewhere.len() as u64, "certificate")
            );
            let remedy =
                "enter the revocations when the CA is back; until then they belong into the emergency CRL";
            found.push(Finding::warning(Kind::GapRevoked, text).remedy(remedy));
        }
        if self.contradictions_counted != 0 {
            let text = format!(
                "{} tell of a request what contradicts the database",
                counted(self.contradictions_counted, "event")
            );
            let remedy = "look whether they are of another CA (--computer NAME), or of a time when request numbers \
                were used twice (--issued-until TIME)";
            found.push(Finding::warning(Kind::GapContradiction, text).remedy(remedy));
        }
        if 1 < self.computers.len() {
            let names: Vec<_> = self.computers.iter().take(8).map(String::as_str).collect();
            let text = format!("events of certificates come from several machines: {}", names.join(", "));
            let remedy = "say which one is the CA: --computer NAME";
            found.push(Finding::warning(Kind::GapContradiction, text).remedy(remedy));
        }
        found
    }

    /// What must be said where no source tells anything of this CA: then nothing follows from an empty gap.
    fn unheard(&self) -> Option<Finding> {
        let tells = |source: &SourceReport| source.of_this_ca != 0 || source.is_crl_of_this_ca();
        // Of one that cannot be read, and of one with nothing in it, a finding of its own is there.
        let is_told =
            |source: &SourceReport| source.read == 0 && (source.problem.is_some() || source.is_silent());
        if !self.of_unknown_key.is_empty()
            || self.sources.iter().any(tells)
            || !self.sources.is_empty() && self.sources.iter().all(is_told)
        {
            return None;
        }
        let text = match self.sources.len() {
            0 => {
                "no source was read: nothing says whether the CA issued something after the backup".to_owned()
            }
            count => format!(
                "nothing in {} is of this CA: nothing says whether it issued something after the backup",
                counted(count as u64, "source")
            ),
        };
        let remedy = "look whether the sources are of this CA, and what --computer and --issued-until leave out; give \
            further sources: events of the time after the backup, certificates, the directory, the last CRL";
        Some(Finding::warning(Kind::SourceSilent, text).remedy(remedy))
    }

    /// The revocations that the database does not know of, of certificates that it knows or that are at hand.
    pub(super) fn revocations(&self) -> impl Iterator<Item = (&Serial, Reason, Option<FileTime>)> {
        let known = self.revoked_elsewhere.iter().map(|entry| (&entry.serial_number, entry.revoked));
        let known = known.map(|(serial, revoked)| (serial, revoked.reason, revoked.when));
        known.chain(told_revoked(&self.importable))
    }

    /// Those of certificates of which nothing but the serial number is known: a CA that does not know them cannot enter them.
    pub(super) fn revoked_by_serial(&self) -> impl Iterator<Item = (&Serial, Reason, Option<FileTime>)> {
        told_revoked(&self.serial_only)
    }
}

fn told_revoked(list: &[Unknown]) -> impl Iterator<Item = (&Serial, Reason, Option<FileTime>)> {
    let revoked = list.iter().filter(|found| found.is_revoked());
    revoked.filter_map(|found| found.revoked.map(|told| (&found.serial_number, told.reason, told.when)))
}

fn maker_word<S: serde::Serializer>(maker: &Maker, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(match maker {
        Maker::Windows => "windows",
        Maker::Certadm => "certadm",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_nothing_tells_of_become_ranges() {
        let requests = [
            (3, Outcome::Issued),
            (8, Outcome::Issued),
            (9, Outcome::Received),
            (10, Outcome::Denied),
            (13, Outcome::Pending),
        ];
        let (rpo, open) = account(5, &requests.into(), 0);
        assert_eq!(open, [Ids { first: 6, last: 7 }, Ids { first: 9, last: 9 }, Ids { first: 11, last: 12 }]);
        assert_eq!((rpo.requests, rpo.certificates, rpo.denied, rpo.pending, rpo.unknown), (8, 1, 1, 1, 5));
        let (rpo, open) = account(5, &[(4_294_967_295, Outcome::Issued)].into(), 0);
        assert_eq!(open.len(), 1);
        assert_eq!(rpo.unknown, 4_294_967_289);
        // Certificates without a number are behind the last request, too: none, some and more of them than there are numbers.
        let open = [(8, Outcome::Issued), (9, Outcome::Denied)];
        for (requests, unnumbered, expected) in
            [(&[][..], 2, (2, 2, 0)), (&open, 2, (4, 3, 2)), (&open, 5, (7, 6, 2))]
        {
            let (rpo, _) = account(5, &requests.iter().copied().collect(), unnumbered);
            assert_eq!((rpo.requests, rpo.certificates, rpo.unknown), expected);
            assert_eq!(rpo.unnumbered, unnumbered);
        }
    }
}
