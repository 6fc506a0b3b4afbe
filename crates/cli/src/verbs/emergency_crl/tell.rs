//! What was made, for a person: the CRLs, the deadline, what comes next.

use std::path::Path;

use certadm_recovery::bundle::Bundle;
use certadm_recovery::{CrlKind, Plan};
use certadm_rules::FileTime;
use certadm_rules::words::counted;

use crate::output::Output;

pub(super) fn person(plan: &Plan, bundle: &Bundle, to: &Path, now: FileTime, output: Output) {
    let basis = plan.number;
    output.line(format!(
        "Number {}: the highest known is {}, the lost CA may have used {} more.",
        basis.number, basis.highest_known, basis.unseen
    ));
    for crl in &plan.crls {
        let what = match crl.kind {
            CrlKind::Base => counted(crl.entries.len() as u64, "entry"),
            CrlKind::Delta(_) => "delta CRL without entries".to_owned(),
        };
        let file = format!("{}.crl", crl.file_name);
        if bundle.crls.contains(&file) {
            let end = crl.dates.next_update.to_rfc3339();
            output.line(format!(
                "{}: {what}, {}, valid until {end}.",
                to.join(file).display(),
                crl.algorithm
            ));
        } else if bundle.crls.is_empty() {
            let file = to.join(format!("{}.tbs", crl.file_name));
            output.line(format!("{}: {what}, to be signed with {}.", file.display(), crl.algorithm));
        }
    }
    if let Some(end) = plan.deadline() {
        let word = if end < now { "ended" } else { "ends" };
        output.result(format!("The CRL that is published now {word} at {}.", end.to_rfc3339()));
    }
    let (file, what) = if bundle.crls.is_empty() {
        ("to-sign.txt", "says how to sign and what comes then")
    } else {
        ("publish.txt", "says where the CRLs go")
    };
    output.line(format!("{} {what}.", to.join(file).display()));
    let come_back = "(certadm apply-revocations, or the file return.* there)";
    if plan.lacking != 0 {
        output.line(format!(
            "{}: tell it when it is back {come_back}, and give the folder to the next emergency CRL by --published.",
            unknown_to_the_ca(plan)
        ));
    } else if !plan.revocations.is_empty() {
        output.line(format!(
            "A CA that comes back from an older set lacks some of {}: tell it when it is back {come_back}.",
            counted(plan.revocations.len() as u64, "revocation")
        ));
    }
}

/// Without a database nothing says what the CA has when it is back.
fn unknown_to_the_ca(plan: &Plan) -> String {
    let count = counted(plan.lacking as u64, "revocation");
    if plan.has_database {
        format!("The database of the CA does not have {count}")
    } else {
        format!("No database says which of {count} the CA will have")
    }
}
