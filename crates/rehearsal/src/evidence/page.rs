//! The page of one rehearsal.

use std::fmt::Write;

use certadm_rules::markup::{escaped, head, with_code};

use super::record::{Evidence, OpenFinding};
use crate::step::Outcome;
use crate::verdict::{Proof, Verdict};
use certadm_rules::span::rounded;

/// The page of one rehearsal.
#[must_use]
pub fn page(evidence: &Evidence) -> String {
    let name = if evidence.ca.name.is_empty() { "a CA" } else { evidence.ca.name.as_str() };
    let mut page = head(&format!("Rehearsal of {name}"), &evidence.ended, env!("CARGO_PKG_VERSION"));
    // Writing to a string cannot fail.
    let sentence = escaped(&evidence.verdict.sentence());
    writeln!(page, "<section><h2>Verdict</h2><p{}>{sentence}</p></section>", tone(&evidence.verdict)).ok();
    facts(&mut page, evidence);
    steps(&mut page, evidence);
    for (heading, list) in [
        ("Open findings", &evidence.findings),
        ("Closed since the last rehearsal", &evidence.closed),
        ("Open at the last rehearsal, and not looked at", &evidence.unchecked),
    ] {
        findings(&mut page, heading, list);
    }
    page.push_str("</main></body></html>\n");
    page
}

pub(super) fn tone(verdict: &Verdict) -> &'static str {
    match verdict.proof {
        Proof::Proven => " class=\"good\"",
        Proof::ProvenExcept => "",
        Proof::NotProven => " class=\"bad\"",
    }
}

fn facts(page: &mut String, evidence: &Evidence) {
    page.push_str("<section><h2>What was rehearsed</h2><table class=\"facts\">");
    let mut row = |name: &str, value: &str| {
        if !value.is_empty() {
            write!(page, "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>", escaped(value)).ok();
        }
    };
    let met = |met: Option<bool>, limit: Option<u64>| match (met, limit) {
        (Some(true), Some(limit)) => format!(" (limit {}: kept)", rounded(signed(limit))),
        (Some(false), Some(limit)) => format!(" (limit {}: NOT kept)", rounded(signed(limit))),
        _ => String::new(),
    };
    row("Number", &evidence.run.to_string());
    row("Began", &evidence.started);
    row("Ended", &evidence.ended);
    row("Host", &evidence.host);
    row("Account", &evidence.account);
    row("Made by", &evidence.tool.name);
    row("SHA-256 of the program", &evidence.tool.sha256);
    row("CA", &evidence.ca.name);
    row("Key of the CA", &evidence.ca.key_identifier);
    row("CA certificate valid until", evidence.ca.not_after.as_deref().unwrap_or_default());
    for set in &evidence.set.paths {
        row("Set", &set.path);
        row("SHA-256 of its manifest", set.manifest_sha256.as_deref().unwrap_or("it has none"));
    }
    row("Taken", evidence.set.taken.as_deref().unwrap_or_default());
    row("Database signature", &evidence.set.database_signature);
    if let Some(range) = evidence.set.generations {
        row("Log generations", &format!("{:#x} to {:#x}", range.low, range.high));
    }
    let rpo = evidence.rpo.seconds.map_or_else(|| "not known".to_owned(), rounded);
    row("RPO", &format!("{rpo}{}", met(evidence.rpo.met, evidence.rpo.limit_seconds)));
    let by_hand = rounded(signed(evidence.rto.by_hand_seconds));
    row(
        "RTO",
        &format!(
            "{:.1} s, of which the machine needs {:.1} s and people {by_hand}{}",
            evidence.rto.seconds,
            evidence.rto.machine_seconds,
            met(evidence.rto.met, evidence.rto.limit_seconds)
        ),
    );
    row("Certificates proven", &evidence.certificates_proven.to_string());
    if let Some(sample) = &evidence.sample {
        let seed = if sample.seed.is_empty() { String::new() } else { format!(", seed {}", sample.seed) };
        row("Certificates checked", &format!("{} ({}{seed})", sample.checked, sample.method));
    }
    row("CRL valid until", evidence.crl.next_update.as_deref().unwrap_or("not known"));
    if let Some(link) = &evidence.previous {
        row("Evidence before this", &format!("{}, SHA-256 {}", link.file, link.sha256));
    }
    page.push_str("</table></section>\n");
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

fn steps(page: &mut String, evidence: &Evidence) {
    page.push_str(
        "<section><h2>Steps</h2><table class=\"list\"><tr><th scope=\"col\">Step</th><th scope=\"col\">Outcome</th>\
         <th scope=\"col\">Seconds</th><th scope=\"col\">What it showed</th></tr>",
    );
    for record in &evidence.steps {
        let class = match record.outcome {
            Outcome::Pass => " class=\"good\"",
            Outcome::Fail => " class=\"bad\"",
            Outcome::Skipped | Outcome::External | Outcome::NotApplicable => "",
        };
        let remedy = record.remedy.as_deref().map(|remedy| format!(" What to do: {}.", with_code(remedy)));
        write!(
            page,
            "<tr><th scope=\"row\">{}. {}</th><td{class}>{}</td><td>{:.2}</td><td>{}.{}</td></tr>",
            record.number,
            escaped(&record.title),
            record.outcome.key(),
            record.seconds,
            with_code(&record.detail),
            remedy.unwrap_or_default()
        )
        .ok();
    }
    page.push_str("</table></section>\n");
}

fn findings(page: &mut String, heading: &str, list: &[OpenFinding]) {
    if list.is_empty() {
        return;
    }
    write!(
        page,
        "<section><h2>{heading}</h2><table class=\"list\"><tr><th scope=\"col\">Open since</th>\
         <th scope=\"col\">Severity</th><th scope=\"col\">Finding</th><th scope=\"col\">What to do</th></tr>"
    )
    .ok();
    for finding in list {
        let place = finding.path.as_deref().map(|path| format!("{}: ", escaped(path))).unwrap_or_default();
        write!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{place}{} <code>{}</code></td><td>{}</td></tr>",
            escaped(&finding.open_since),
            escaped(&finding.severity),
            with_code(&finding.detail),
            escaped(&finding.id),
            with_code(finding.remedy.as_deref().unwrap_or_default())
        )
        .ok();
    }
    page.push_str("</table></section>\n");
}
