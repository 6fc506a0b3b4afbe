//! `certadm verify`: findings and a verdict.

mod windows;

use certadm_files::cancel;
use certadm_rules::diagnosis::chain_of;
use std::path::PathBuf;

use certadm_files::IoContext;
use certadm_identity::Part;
use certadm_rules::finding::{self, Finding, Kind, Severity};
use certadm_rules::{Diagnosis, Hresult};
use certadm_set::signing::Standing;
use certadm_set::verify::{Report, verify, verify_signed};
use clap::Args;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, human_bytes};
use crate::terminal::Tone;
use crate::verbs::places::{Places, ScratchArgs, withdraw_proven_of};
use crate::verbs::signing::{self, AllowedArgs};
use crate::{findings, interrupt};

/// `certadm verify`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm verify /backup/monday /backup/monday-noon\n\
    Example: certadm verify CertLog.edb\n\
    Example: certadm verify vault:latest")]
pub(crate) struct VerifyArgs {
    /// A full set and the log sets that continue it, or log sets alone; also a Windows database or its logs, or the address
    /// of sets in a repository, such as vault:latest
    #[arg(value_name = "SET", required = true)]
    sets: Vec<PathBuf>,
    #[command(flatten)]
    allowed: AllowedArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

pub(crate) fn run(args: &VerifyArgs, output: Output) -> Result<Done, Failure> {
    let places = Places::find(&args.sets, &args.scratch, output).inspect_err(|failure| {
        findings::print(withdraw_proven_of(&args.sets, failure).as_slice(), output);
    })?;
    for path in places.paths() {
        // What is not there, or may not be looked at, is no finding on a set.
        std::fs::metadata(path).during("look at", path)?;
    }
    let allowed = args.allowed.read()?;
    interrupt::watch();
    let mut report = {
        let mut progress = output.progress();
        match &allowed {
            Some(allowed) => verify_signed(places.paths(), allowed, &mut progress),
            None => verify(places.paths(), &mut progress),
        }
    };
    cancel::check()?;
    for dir in places.paths().iter().flat_map(|set| certadm_identity::found_at(set)) {
        match Part::open(&dir) {
            Ok(part) => report.findings.extend(part.check()),
            // The database is as good as it was.
            Err(error) => report.findings.push(
                Finding::warning(Kind::IdentityPart, chain_of(&error))
                    .code(error.hresult())
                    .remedy(error.remedy()),
            ),
        }
    }
    if report.is_restorable() {
        report.findings.extend(places.note_proven());
    } else if !report.is_foreign() && !is_refused(&report) {
        report.findings.extend(places.withdraw_proven(&report.findings));
    }
    report.findings.extend(places.passed_over());
    finding::sort(&mut report.findings);
    findings::print(&report.findings, output);
    output.line(format!("{} read and compared.", human_bytes(report.bytes)));
    let identity = report.content.as_ref().and_then(|content| content.identity.as_ref());
    if let Some(identity) = identity {
        output.line(format!("It is of {identity}."));
    }
    for signature in &report.signatures {
        match &signature.standing {
            Some(Standing::By(by)) => output.line(signing::line(&signature.set, by)),
            Some(Standing::NotChecked { key }) => output.line(format!(
                "{} is signed by the key {key}; whose that is was not checked (--allowed-signers).",
                signature.set.display()
            )),
            Some(Standing::NotSigned) | None => {}
        }
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
        Severity::Error if report.is_foreign() || is_refused(&report) => Exit::Refused,
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
        "signatures": report
            .signatures
            .iter()
            .map(|signature| signing::to_json(&signature.set, signature.standing.as_ref()))
            .collect::<Vec<_>>(),
        "findings": findings::list_of_sets(&report.findings, places.paths()),
    });
    Ok(Done { exit, result })
}

/// Whether nothing is known to be wrong: the system kept the command from finding out, or the sets are not signed by one whose
/// signature counts, and were not looked at.
fn is_refused(report: &Report) -> bool {
    const REFUSED: [Hresult; 8] = [
        Hresult::E_ACCESSDENIED,
        Hresult::FILE_ACCESS_DENIED,
        Hresult::ERROR_TOO_MANY_OPEN_FILES,
        Hresult::ERROR_DISK_FULL,
        Hresult::DISK_FULL,
        Hresult::E_OUTOFMEMORY,
        Hresult::TRUST_E_NOSIGNATURE,
        Hresult::TRUST_E_SUBJECT_NOT_TRUSTED,
    ];
    let mut errors = report.findings.iter().filter(|finding| finding.severity == Severity::Error);
    errors.all(|finding| REFUSED.contains(&finding.code))
}
