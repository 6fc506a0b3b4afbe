//! Which certificates are checked, and whether somebody could rely on them.
//!
//! A sample has the certificates with the smallest BLAKE3 hashes of seed and serial number, so many of those issued and so
//! many of those revoked. Whoever has the seed, which stands in the evidence, finds the same ones.

use std::collections::BinaryHeap;

use certadm_ca::rows::Disposition;
use certadm_ca::{Reason, Serial};
use certadm_recovery::{Anchors, Flaw, Judged, Origin, Row};
use certadm_rules::{FileTime, hex};
use serde::{Deserialize, Serialize};

use crate::crl::Listed;
use crate::error::Result;

/// How the certificates of a sample are chosen, for the evidence.
const METHOD: &str = "smallest BLAKE3(seed, serial number), of the issued and of the revoked ones each";
const EVERY_ONE: &str = "every certificate";
/// So many certificates that fail are named.
const NAMED: usize = 5;

/// What was checked, as the evidence has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleFacts {
    /// How the certificates were chosen.
    pub method: String,
    /// The seed, hexadecimal; empty where every certificate was checked.
    pub seed: String,
    /// How many of the issued and of the revoked ones each were asked for; 0 for all.
    pub wanted: u64,
    /// Certificates checked.
    pub checked: u64,
    /// Those in force among them.
    pub in_force: u64,
    /// Those revoked among them.
    pub revoked: u64,
    /// Those on which nobody could rely as the database says.
    pub failed: u64,
}

/// One certificate of the sample.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Chosen {
    hash: [u8; 32],
    request_id: i64,
    serial: Option<Serial>,
    revoked: bool,
    must_be_listed: bool,
    der: Option<Vec<u8>>,
}

/// Chooses certificates while the rows of a database go by.
#[derive(Debug)]
pub(crate) struct Choice {
    seed: [u8; 16],
    wanted: usize,
    now: FileTime,
    /// Issued and revoked ones; that with the greatest hash is on top.
    heaps: [BinaryHeap<Chosen>; 2],
}

impl Choice {
    pub(crate) fn new(wanted: usize, now: FileTime) -> Result<Self> {
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(certadm_ca::Error::Random)?;
        Ok(Self::with_seed(seed, wanted, now))
    }

    fn with_seed(seed: [u8; 16], wanted: usize, now: FileTime) -> Self {
        Self { seed, wanted, now, heaps: Default::default() }
    }

    pub(crate) fn see(&mut self, row: &Row) {
        let Some(revoked) = kind_of(row) else { return };
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed);
        match &row.serial {
            Some(serial) => hasher.update(serial.as_str().as_bytes()),
            None => hasher.update(&row.request_id.to_le_bytes()),
        };
        let hash = *hasher.finalize().as_bytes();
        let heap = &mut self.heaps[usize::from(revoked)];
        let is_full = self.wanted <= heap.len();
        if is_full && heap.peek().is_none_or(|greatest| greatest.hash <= hash) {
            return;
        }
        heap.push(chosen(row, hash, revoked, self.now));
        if is_full {
            heap.pop();
        }
    }

    /// Checks what was chosen.
    pub(crate) fn check(self, judge: &mut Judge<'_>) -> SampleFacts {
        for chosen in self.heaps.iter().flatten() {
            judge.judge(chosen);
        }
        SampleFacts {
            method: METHOD.to_owned(),
            seed: hex::encode(&self.seed),
            wanted: self.wanted as u64,
            ..judge.facts.clone()
        }
    }
}

/// Whether it is a certificate that the CA issued, and then whether it is revoked.
fn kind_of(row: &Row) -> Option<bool> {
    match row.disposition {
        Disposition::ISSUED => Some(false),
        Disposition::REVOKED => Some(true),
        _ => None,
    }
}

fn chosen(row: &Row, hash: [u8; 32], revoked: bool, now: FileTime) -> Chosen {
    let effective = row.revoked_effective_when.is_some_and(|when| when <= now);
    Chosen {
        hash,
        request_id: row.request_id,
        serial: row.serial.clone(),
        revoked,
        must_be_listed: revoked && effective && row.revoked_reason != Some(Reason::RELEASED.code()),
        der: row.certificate.clone(),
    }
}

/// Checks certificates as those do who rely on them, with the CRL that was made.
pub(crate) struct Judge<'a> {
    anchors: &'a Anchors,
    /// What the CRLs list; nothing where there are none.
    listed: Option<&'a Listed>,
    now: FileTime,
    pub(crate) facts: SampleFacts,
    /// The first ones that failed, and why.
    pub(crate) flaws: Vec<String>,
    /// Certificates in force whose signature cannot be checked.
    pub(crate) not_checked: u64,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(anchors: &'a Anchors, listed: Option<&'a Listed>, now: FileTime) -> Self {
        let facts = SampleFacts { method: EVERY_ONE.to_owned(), ..SampleFacts::default() };
        Self { anchors, listed, now, facts, flaws: Vec::new(), not_checked: 0 }
    }

    /// Checks a row, where every certificate is checked.
    pub(crate) fn see(&mut self, row: &Row) {
        if let Some(revoked) = kind_of(row) {
            self.judge(&chosen(row, [0; 32], revoked, self.now));
        }
    }

    fn judge(&mut self, chosen: &Chosen) {
        let judged = match &chosen.der {
            None => Err("the database has its row, and not the certificate itself".to_owned()),
            Some(der) => match self.anchors.judge(der, self.now) {
                Err(Flaw::NotChecked { in_force }) => {
                    self.not_checked += u64::from(in_force);
                    return;
                }
                judged => judged.map_err(|flaw| flaw.to_string()),
            },
        };
        self.facts.checked += 1;
        self.facts.revoked += u64::from(chosen.revoked);
        if let Err(flaw) = judged.and_then(|judged| self.verdict(chosen, &judged)) {
            self.facts.failed += 1;
            if self.flaws.len() < NAMED {
                self.flaws.push(format!("the certificate of request {}: {flaw}", chosen.request_id));
            }
        }
    }

    fn verdict(&mut self, chosen: &Chosen, judged: &Judged) -> Result<(), String> {
        self.facts.in_force += u64::from(judged.in_force);
        if chosen.serial.as_ref() != Some(&judged.serial) {
            return Err(format!("its serial number is {}, its row has another one", judged.serial));
        }
        let Some(listed) = self.listed else { return Ok(()) };
        let must_be_listed =
            chosen.must_be_listed && judged.in_force && !listed.released.contains(&judged.serial);
        match (must_be_listed, listed.entries.get(&judged.serial)) {
            (true, None) => Err("it is revoked, and the CRL does not list it".to_owned()),
            // What a published CRL lists may have been revoked after the backup.
            (_, Some(Origin::Database)) if !chosen.revoked => {
                Err("it is not revoked, and the CRL lists it".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn row(request_id: i64, disposition: Disposition) -> Row {
        Row {
            request_id,
            disposition,
            revoked_when: None,
            revoked_effective_when: None,
            revoked_reason: None,
            serial: Some(format!("{request_id:08x}").parse().unwrap()),
            not_after: None,
            publish_expired: false,
            issuer_name_id: None,
            certificate: None,
        }
    }

    #[test]
    fn the_seed_decides_and_both_kinds_are_there() {
        let choose = |seed| {
            let mut choice = Choice::with_seed([seed; 16], 3, FileTime(1));
            for id in 1..=100 {
                let disposition = if id % 10 == 0 { Disposition::REVOKED } else { Disposition::ISSUED };
                choice.see(&row(id, disposition));
            }
            choice.see(&row(101, Disposition::DENIED));
            let ids =
                |heap: &BinaryHeap<Chosen>| heap.iter().map(|one| one.request_id).collect::<BTreeSet<_>>();
            (ids(&choice.heaps[0]), ids(&choice.heaps[1]))
        };
        let (issued, revoked) = choose(1);
        assert_eq!((issued.len(), revoked.len()), (3, 3));
        assert!(revoked.iter().all(|id| id % 10 == 0) && !issued.contains(&101));
        assert_eq!(choose(1), (issued.clone(), revoked));
        assert_ne!(choose(2).0, issued);
    }
}
