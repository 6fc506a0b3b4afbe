//! Whether the CRLs are there, and how long they last.

use certadm_identity::Role;

use crate::issuer::Issuer;
use crate::published::PublishedCrl;

use super::keys::is_in_force;
use super::question::Question;
use super::verdict::{Check, Component, State};

const HOUR: i64 = 60 * 60 * 10_000_000;

/// The component `crl`.
pub(super) fn judge(question: &Question<'_>) -> Component {
    let crls = question.crls();
    let mut checks = Vec::new();
    let mut placed: Vec<(usize, &PublishedCrl)> = Vec::new();
    for crl in &crls {
        match crl.place_among(question.issuers) {
            Ok(place) => placed.push((place, crl)),
            Err(_) if crl.is_of_unsupported_key(question.issuers) => {
                let text = format!(
                    "the CRL from {} cannot be checked: keys of that kind are not supported",
                    crl.name
                );
                checks.push(Check::unknown("same CA", text, "check it with another program"));
            }
            Err(error) => {
                checks.push(Check::contradiction("same CA", error.to_string(), "take the CRL of this CA"));
            }
        }
    }
    let (mut needed, mut there) = (0, 0);
    for (place, issuer) in
        question.issuers.iter().enumerate().filter(|(_, issuer)| is_in_force(question, issuer))
    {
        needed += 1;
        let of_key = || placed.iter().filter(|(key, _)| *key == place).map(|(_, crl)| *crl);
        let newest = |is_base: bool| {
            of_key()
                .filter(|crl| crl.base.is_none() == is_base)
                .max_by_key(|crl| (crl.number, crl.this_update))
        };
        let Some(base) = newest(true) else {
            let text = format!("there is no CRL of key {}", issuer.index());
            checks.push(Check::bad(
                "newest",
                text,
                "fetch it from the CA: certadm identity, or certadm attach SET --crl FILE",
            ));
            continue;
        };
        there += 1;
        checks.push(life(question, base, issuer, "CRL"));
        if let Some(delta) = newest(false).filter(|delta| base.number <= delta.number) {
            checks.push(life(question, delta, issuer, "delta CRL"));
        }
        let highest = question.issuers.known_number(place, false, question.records);
        if let Some(highest) = highest.filter(|highest| base.number < *highest) {
            let text = format!(
                "the newest CRL of key {} at hand has number {}; the database knows number {highest}",
                issuer.index(),
                base.number
            );
            checks.push(Check::unknown("number", text, "fetch the newest CRL: certadm identity"));
        }
    }
    let state = match (there, needed) {
        (_, 0) => State::NotApplicable,
        (there, needed) if there < needed => State::Absent,
        _ => State::Present,
    };
    let found = question.newest(Role::BaseCrl).or_else(|| question.newest(Role::Crl));
    Component::new("crl", "CRLs", true, state).at(question.source.clone()).of(found.as_ref()).with(checks)
}

/// How long a CRL lasts. One that ends within a day, or that is past half of its life, is worth a word; it is no reason to call
/// the backup incomplete, because the next one can be made from it.
fn life(question: &Question<'_>, crl: &PublishedCrl, issuer: &Issuer, word: &str) -> Check {
    const NAME: &str = "time left";
    let what = format!("the {word} {} of key {} (from {})", crl.number, issuer.index(), crl.name);
    let Some(end) = crl.next_update else {
        return Check::unknown(NAME, format!("{what} does not say when it ends"), "fetch the newest CRL");
    };
    if crl.this_update.is_ahead_of(question.now) {
        let text = format!(
            "{what} is dated {}, in the future, and nobody takes it yet",
            crl.this_update.to_rfc3339()
        );
        let remedy =
            "set the clock; if it was wrong when the CRL was made: certadm ca crl --after-wrong-clock";
        return Check::unknown(NAME, text, remedy);
    }
    let left = end.0 - question.now.0;
    let hours = left / HOUR;
    let remedy = "if the CA is lost, make the next one now: certadm emergency-crl; else fetch the newest: certadm identity";
    if left < 0 {
        return Check::unknown(NAME, format!("{what} has ended at {}", end.to_rfc3339()), remedy);
    }
    let ends = format!("{what} ends in {hours} hours, at {}", end.to_rfc3339());
    if hours < 24 || left < (end.0 - crl.this_update.0) / 2 {
        return Check::unknown(NAME, ends, remedy);
    }
    Check::good(NAME, ends)
}
