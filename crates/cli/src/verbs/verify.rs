//! `certadm verify`: findings and a verdict.

use certadm_set::verify::{Finding, Severity, verify};
use serde_json::{Value, json};

use crate::args::VerifyArgs;
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes};

pub(crate) fn run(args: &VerifyArgs, output: Output) -> Result<Done, Failure> {
    let report = {
        let mut progress = output.progress();
        verify(&args.sets, &mut progress)
    };
    for finding in &report.findings {
        output.result(text(finding));
    }
    output.line(format!("{} read and compared.", human_bytes(report.bytes)));
    output.result(report.verdict());
    let exit = match report.severity() {
        Severity::Note => Exit::Good,
        Severity::Warning => Exit::Finding,
        Severity::Error => Exit::Damaged,
    };
    let content = report.content.as_ref().map(|content| {
        json!({
            "requests": content.requests,
            "certificates": content.certificates,
            "revoked": content.revoked,
            "crls": content.crls,
        })
    });
    let result = json!({
        "verdict": report.verdict(),
        "restorable": report.is_good() && report.range.is_some(),
        "bytes": report.bytes,
        "generations": report.range.map(|range| json!({ "low": range.low().number(), "high": range.high().number() })),
        "content": content,
        "findings": report.findings.iter().map(to_json).collect::<Vec<_>>(),
    });
    Ok(Done { exit, result })
}

fn text(finding: &Finding) -> String {
    let word = severity_word(finding.severity);
    let code = if finding.code.is_failure() { format!(" [{}]", finding.code) } else { String::new() };
    format!("{word}: {}: {}{code}\n  what to do: {}", finding.path.display(), finding.detail, finding.remedy)
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "ERROR",
    }
}

fn to_json(finding: &Finding) -> Value {
    json!({
        "severity": severity_word(finding.severity).to_lowercase(),
        "code": format!("0x{:08x}", finding.code.to_bits()),
        "name": finding.code.name(),
        "path": finding.path,
        "detail": finding.detail,
        "remedy": finding.remedy,
    })
}
