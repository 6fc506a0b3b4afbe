//! The figures of a folder of evidence in the text format of Prometheus, for the textfile collector of its node exporter.

use std::fmt::Write;

use certadm_rules::FileTime;

use super::history::History;
use crate::verdict::Proof;

/// The metrics: what a dashboard and an alert need.
#[must_use]
pub fn metrics(history: &History, now: FileTime) -> String {
    let mut text = String::new();
    let Some(newest) = history.newest() else { return text };
    let labels = format!("{{ca=\"{}\"}}", label(&newest.ca.name));
    let mut gauge = |name: &str, help: &str, value: Option<f64>| {
        let Some(value) = value else { return };
        // Writing to a string cannot fail.
        write!(
            text,
            "# HELP certadm_rehearsal_{name} {help}\n# TYPE certadm_rehearsal_{name} gauge\n\
             certadm_rehearsal_{name}{labels} {value}\n"
        )
        .ok();
    };
    #[allow(clippy::cast_precision_loss)] // seconds and counts
    let number = |value: i64| value as f64;
    let at = |moment: FileTime| number(moment.unix_seconds());
    let verdict = match newest.verdict.proof {
        Proof::Proven => 0.0,
        Proof::ProvenExcept => 1.0,
        Proof::NotProven => 2.0,
    };
    gauge("last_timestamp_seconds", "End of the last rehearsal.", Some(at(newest.ended_at())));
    let proof = history.last_proof().map(|evidence| at(evidence.ended_at()));
    gauge(
        "last_success_timestamp_seconds",
        "End of the last rehearsal that proved that the CA comes back.",
        proof,
    );
    gauge(
        "verdict",
        "Verdict of the last rehearsal: 0 proven, 1 proven with exceptions, 2 not proven.",
        Some(verdict),
    );
    gauge(
        "rpo_seconds",
        "What a loss would have taken at the last rehearsal.",
        newest.rpo.seconds.map(number),
    );
    gauge("rto_seconds", "Time until the CA is back.", Some(newest.rto.seconds));
    let proven = i64::try_from(newest.certificates_proven).unwrap_or(i64::MAX);
    gauge("certificates_proven", "Certificates that are shown to come back.", Some(number(proven)));
    let open = i64::try_from(newest.findings.len()).unwrap_or(i64::MAX);
    gauge("findings_open", "Findings that are open.", Some(number(open)));
    let crl = newest.crl.next_update.as_deref().and_then(FileTime::from_rfc3339);
    let days = crl.map(|end| (at(end) - at(now)) / 86_400.0);
    gauge("crl_expiry_days", "Days until the CRL ends that the backup or the published files know.", days);
    let breaks = i64::try_from(history.breaks.len()).unwrap_or(i64::MAX);
    gauge("chain_breaks", "Places at which the chain of evidence does not hold.", Some(number(breaks)));
    text
}

/// A label's value: backslash, quote and line feed are escaped.
fn label(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out
}
