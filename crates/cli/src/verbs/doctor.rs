//! `certadm doctor`: walk the gates between here and a CA's backup, and name the one that is shut.

use certadm_client::doctor::{Finding, Verdict, examine};
use certadm_rules::Hresult;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure, exit_for};
use crate::output::{Done, Output};
use crate::verbs::remote::LoginArgs;

/// `certadm doctor`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm doctor --server ca1.corp.example --user 'CORP\\backup'")]
pub(crate) struct DoctorArgs {
    /// The CA: host, host:port, host\CA name, or a name of client.toml; localhost is this machine's socket
    #[arg(long, value_name = "NAME")]
    server: String,
    #[command(flatten)]
    login: LoginArgs,
    /// Begin no backup: the last gate, and whether a full backup is on record, stay unknown
    #[arg(long)]
    no_prepare: bool,
}

pub(crate) fn run(args: &DoctorArgs, output: Output) -> Result<Done, Failure> {
    let (target, credentials) = args.login.target(&args.server)?;
    let mut show = |finding: &Finding| {
        let sign = match finding.verdict {
            Verdict::Open => "ok  ",
            Verdict::Shut => "SHUT",
            Verdict::Unknown => "?   ",
            Verdict::Skipped => "-   ",
        };
        output.result(format!("{sign} {:16} {}", finding.checkpoint.key(), finding.detail));
    };
    let findings = examine(&target, credentials, !args.no_prepare, &mut show);
    for finding in findings.iter().filter(|finding| finding.verdict != Verdict::Skipped) {
        if let Some(remedy) = &finding.remedy {
            let code = finding.code.map(|code| format!(" [{code}]")).unwrap_or_default();
            output.result(format!("What to do about {}: {remedy}.{code}", finding.checkpoint.key()));
        }
    }
    let shut: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict == Verdict::Shut).collect();
    if shut.is_empty() {
        output.line(format!("All gates to {} are open, as far as they can be seen.", target.endpoint));
    }
    // The first gate that is shut says whose turn it is.
    let exit = shut.first().map_or(Exit::Good, |finding| exit_for(finding.code.unwrap_or(Hresult::E_FAIL)));
    let result = json!({
        "server": args.server,
        "endpoint": target.endpoint.to_string(),
        "ready": shut.is_empty(),
        "shut": shut.iter().map(|finding| finding.checkpoint.key()).collect::<Vec<_>>(),
        "gates": findings.iter().map(to_json).collect::<Vec<_>>(),
    });
    Ok(Done { exit, result })
}

fn to_json(finding: &Finding) -> Value {
    json!({
        "gate": finding.checkpoint.key(),
        "verdict": finding.verdict.to_string(),
        "detail": finding.detail,
        "code": finding.code.map(|code| format!("0x{:08x}", code.to_bits())),
        "name": finding.code.and_then(Hresult::name),
        "remedy": finding.remedy,
    })
}
