//! In the CRL of which key a revocation goes that was ordered (recovery.md 4.4).

use std::collections::BTreeMap;

use certadm_ca::{Serial, named};
use certadm_rules::finding::{Finding, Kind};

use crate::issuer::Issuers;
use crate::order::Revocation;
use crate::published::View;
use crate::records::{Maker, Records, Signer};
use crate::request_number::certificate_index_in;

/// What says which key signed a certificate.
pub(crate) struct Assigner<'a> {
    pub(crate) issuers: &'a Issuers,
    pub(crate) records: &'a Records,
    pub(crate) has_database: bool,
    /// What is published of each key.
    pub(crate) views: &'a [View],
    /// Which keys get a CRL.
    pub(crate) needed: &'a [bool],
}

impl<'a> Assigner<'a> {
    /// The orders for each key.
    pub(crate) fn assign<'o>(
        &self,
        orders: &'o [Revocation],
        findings: &mut Vec<Finding>,
    ) -> Vec<Vec<&'o Revocation>> {
        let revoked: BTreeMap<&Serial, &'a Signer> =
            self.records.revoked.iter().map(|row| (&row.serial, &row.signer)).collect();
        let gets = |place: usize| {
            let issuer = self.issuers.0.get(place);
            self.needed.get(place).is_some_and(|needed| *needed)
                && issuer.is_some_and(|issuer| issuer.key.is_supported())
        };
        let newest = (0..self.needed.len()).rev().find(|place| gets(*place)).unwrap_or(0);
        let mut assigned: Vec<Vec<&Revocation>> = vec![Vec::new(); self.issuers.0.len()];
        let mut assumed: BTreeMap<usize, Vec<Serial>> = BTreeMap::new();
        let mut nowhere: BTreeMap<usize, Vec<Serial>> = BTreeMap::new();
        for order in orders {
            let known = self.records.issued.get(&order.serial).map(|issued| &issued.signer);
            let signer = known.or_else(|| revoked.get(&order.serial).copied());
            let place = signer.and_then(|signer| self.issuers.place_of(signer, self.records));
            let place = place.unwrap_or_else(|| {
                let place = self.place_without_row(&order.serial).unwrap_or(newest);
                if gets(place) && self.has_database && !self.is_after_last(&order.serial) {
                    assumed.entry(place).or_default().push(order.serial.clone());
                }
                place
            });
            if !gets(place) {
                nowhere.entry(place).or_default().push(order.serial.clone());
            }
            assigned[place].push(order);
        }
        let index = |place: usize| self.issuers.0[place].index;
        for (place, serials) in assumed {
            let detail = format!(
                "revoked as ordered, in the CRL of key {}, although the database does not know it and its serial number is not that of a later request: {}",
                index(place),
                named(&serials)
            );
            findings.push(Finding::warning(Kind::CrlUnknownCertificate, detail));
        }
        for (place, serials) in nowhere {
            let detail = format!(
                "ordered, and in no CRL, because no CRL is made for key {}: {}",
                index(place),
                named(&serials)
            );
            findings.push(Finding::warning(Kind::CrlOrder, detail));
        }
        assigned
    }

    /// The key of a certificate that the database cannot show: that whose CRL lists it or did so, else the one that its serial
    /// number names. Nobody would look for it in the CRL of another key.
    fn place_without_row(&self, serial: &Serial) -> Option<usize> {
        let lists = |view: &View| view.entries.contains_key(serial) || view.removed.contains(serial);
        self.views.iter().rposition(lists).or_else(|| {
            let index = (self.records.maker == Maker::Windows).then(|| certificate_index_in(serial))??;
            self.issuers.place_of_certificate(index)
        })
    }

    /// Whether a serial number is one that the CA may have given after its last backup: on Windows, its low four octets are
    /// the number of the request (recovery.md 7.3).
    fn is_after_last(&self, serial: &Serial) -> bool {
        if self.records.maker == Maker::Certadm {
            return true;
        }
        let digits = serial.as_str();
        let low = digits.get(digits.len().saturating_sub(8)..).unwrap_or_default();
        i64::from_str_radix(low, 16).is_ok_and(|request| self.records.last_request < request)
    }
}
