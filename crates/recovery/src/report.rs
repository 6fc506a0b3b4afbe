//! What was made, and out of what: `report.json` and the result of the command.

use certadm_rules::FileTime;
use serde_json::{Value, json};

use crate::bundle::name_of;
use crate::content::CrlKind;
use crate::issuer::Issuer;
use crate::plan::{Plan, PlannedCrl};

impl Plan {
    /// The plan as JSON, without its findings. With `entries`, what each CRL lists and where it comes from.
    #[must_use]
    pub fn to_json(&self, entries: bool) -> Value {
        let deadline = self.deadlines.iter().flatten().min().map(|end| end.to_rfc3339());
        let places = self.destinations.iter().map(|place| {
            json!({
                "url": place.url,
                "delta": place.delta,
                "key_index": self.issuers.iter().nth(place.issuer).map(Issuer::index),
                "certificates": place.certificates,
            })
        });
        json!({
            "ca": self.issuers.iter().next().and_then(Issuer::common_name),
            "number": self.number.number,
            "highest_known": self.number.highest_known,
            "unseen": self.number.unseen,
            "deadline": deadline,
            "crls": self.crls.iter().map(|crl| self.crl_to_json(crl, entries)).collect::<Vec<_>>(),
            "destinations": places.collect::<Vec<_>>(),
            "unknown_certificates": self.unknown.len(),
            "revocations": self.revocations.len(),
        })
    }

    fn crl_to_json(&self, crl: &PlannedCrl, entries: bool) -> Value {
        let issuer = self.issuers.iter().nth(crl.issuer);
        let mut value = json!({
            "crl": name_of(self, crl),
            "file": format!("{}.crl", crl.file_name),
            "delta_of": match crl.kind {
                CrlKind::Base => None,
                CrlKind::Delta(base) => Some(base),
            },
            "key_index": issuer.map(Issuer::index),
            "key_identifier": issuer.map(Issuer::key_identifier),
            "algorithm": crl.algorithm.to_string(),
            "this_update": crl.dates.this_update.to_rfc3339(),
            "next_update": crl.dates.next_update.to_rfc3339(),
            "next_publish": crl.dates.next_publish.to_rfc3339(),
            "entries": crl.entries.len(),
        });
        if entries {
            let listed = crl.entries.iter().map(|entry| {
                json!({
                    "serial_number": entry.serial.as_str(),
                    "request_id": entry.request_id,
                    "when": FileTime::to_rfc3339(entry.when),
                    "reason": entry.reason,
                    "origin": entry.origin.key(),
                })
            });
            value["listed"] = listed.collect();
        }
        value
    }
}
