//! `certadm verify`: findings and a verdict.

mod windows;

use certadm_files::cancel;
use std::path::PathBuf;

use certadm_files::IoContext;
use certadm_identity::Part;
use certadm_rules::finding::{self, Finding, Kind, Severity};
use certadm_rules::{Diagnosis, Hresult};
use certadm_set::verify::{Report, verify};
use clap::Args;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes};
use crate::terminal::Tone;
use crate::{findings, interrupt};

/// `certadm verify`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm verify /backup/monday /backup/monday-noon\n\
    Example: certadm verify CertLog.edb")]
pub(crate) struct VerifyArgs {
    /// A full set and the log sets that continue it, or log sets alone; also a Windows database or its logs
    #[arg(value_name = "SET", required = true)]
    sets: Vec<PathBuf>,
}

pub(crate) fn run(args: &VerifyArgs, output: Output) -> Result<Done, Failure> {
    for path in &args.sets {
        // What is not there, or may not be looked at, is no finding on a set.
        std::fs::metadata(path).during("look at", path)?;
    }
    interrupt::watch();
    let mut report = {
        let mut progress = output.progress();
        verify(&args.sets, &mut progress)
    };
    cancel::check()?;
    for dir in args.sets.iter().flat_map(|set| certadm_identity::found_at(set)) {
        match Part::open(&dir) {
            Ok(part) => report.findings.extend(part.check()),
            // The database is as good as it was.
            Err(error) => report.findings.push(
                Finding::warning(Kind::IdentityPart, error.to_string())
                    .code(error.hresult())
                    .remedy(error.remedy()),
            ),
        }
    }
    finding::sort(&mut report.findings);
    findings::print(&report.findings, output);
    output.line(format!("{} read and compared.", human_bytes(report.bytes)));
    let identity = report.content.as_ref().and_then(|content| content.identity.as_ref());
    if let Some(identity) = identity {
        output.line(format!("It is of {identity}."));
    }
    let tone = match report.severity() {
        Severity::Note => Tone::Good,
        Severity::Warning => Tone::Warn,
        Severity::Error => Tone::Bad,
    };
    output.verdict(&report.verdict(), tone);
    let exit = match report.severity() {
        Severity::Note => Exit::Good,
        Severity::Warning => Exit::Finding,
        Severity::Error if is_refused(&report) => Exit::Refused,
        Severity::Error => Exit::Damaged,
    };
    let content = report.content.as_ref().map(|content| {
        json!({
            "requests": content.requests,
            "certificates": content.certificates,
            "revoked": content.revoked,
            "crls": content.crls,
            "own": content.own,
        })
    });
    let result = json!({
        "verdict": report.verdict(),
        "restorable": report.is_restorable(),
        "bytes": report.bytes,
        "generations": report.range.map(|range| json!({ "low": range.low().number(), "high": range.high().number() })),
        "content": content,
        "ca": identity.map(|identity| json!({
            "name": identity.name,
            "key_identifier": identity.key_identifier,
        })),
        "windows": report.windows.as_ref().map(windows::to_json),
        "findings": findings::list(&report.findings),
    });
    Ok(Done { exit, result })
}

/// Whether nothing is known to be wrong, and the system kept the command from finding out.
fn is_refused(report: &Report) -> bool {
    const BY_SYSTEM: [Hresult; 6] = [
        Hresult::E_ACCESSDENIED,
        Hresult::FILE_ACCESS_DENIED,
        Hresult::ERROR_TOO_MANY_OPEN_FILES,
        Hresult::ERROR_DISK_FULL,
        Hresult::DISK_FULL,
        Hresult::E_OUTOFMEMORY,
    ];
    let mut errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.all(|finding| BY_SYSTEM.contains(&finding.code))
}
