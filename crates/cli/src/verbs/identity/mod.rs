//! `certadm identity`: what a CA needs beside its database, asked of the CA itself; also as a part of each backup.

mod ask;

use std::path::{Path, PathBuf};

use certadm_identity::{Fetched, Part, Role, beside};
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{self, Finding, Kind, Severity};
use certadm_rules::words::counted;
use certadm_store::Folder;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::remote::RemoteArgs;
use crate::{findings, interrupt};
pub(crate) use ask::{of_folder, of_remote};

/// `certadm identity`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm identity --server ca1.corp.example --user 'CORP\\reader' --to /backup/ca1-identity\n\
    A backup takes the same by itself, into the folder Identity of the set. The account needs the right Read.\n\
    docs/recovery.md says what is in it.",
    group = clap::ArgGroup::new("ca").args(["dir", "server", "socket"]).required(true).multiple(true)
)]
pub(crate) struct IdentityArgs {
    /// The folder of a CA on this machine
    #[arg(long, value_name = "DIR", conflicts_with_all = ["server", "socket"])]
    dir: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
    /// The new folder; it must not be there yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(crate) fn run(args: &IdentityArgs, output: Output) -> Result<Done, Failure> {
    refuse_wrong_place(&args.to)?;
    certadm_files::unfinished::refuse_occupied(&args.to)?;
    interrupt::watch();
    let fetched = match (&args.dir, args.remote.dial()?) {
        (Some(dir), _) => of_folder(&Folder::new(dir))?,
        (None, Some(dial)) => of_remote(&mut dial.connect()?),
        (None, None) => {
            let remedy = "name its folder by --dir DIR, or the CA by --server NAME";
            return Err(Failure::usage("no CA is named", remedy));
        }
    };
    let mut found = fetched.findings.clone();
    if fetched.is_empty() {
        findings::print(&found, output);
        let first = found.into_iter().next();
        let code = first.as_ref().map_or(certadm_rules::Hresult::E_FAIL, |finding| finding.code);
        return Err(Failure {
            message: "the CA told nothing of itself, so nothing is written".to_owned(),
            code,
            remedy: first.and_then(|finding| finding.remedy).unwrap_or_else(|| code.remedy()).into_owned(),
            exit: Exit::Refused,
            done: None,
            set: None,
        });
    }
    let part = fetched.write(&args.to, "", certadm_store::now())?;
    found.extend(part.check());
    finding::sort(&mut found);
    findings::print(&found, output);
    tell(&fetched, part.dir(), output);
    let mut result = to_json(&fetched, &part);
    result["findings"] = findings::list(&found);
    let exit = if finding::worst(&found) > Some(Severity::Note) { Exit::Finding } else { Exit::Good };
    Ok(Done { exit, result })
}

/// Writes what was fetched beside the database of a set. A failure is a finding: the set stands.
pub(crate) fn store(fetched: &Fetched, set: &Path, signature: &str, output: Output) -> (Value, Vec<Finding>) {
    let mut found = fetched.findings.clone();
    if fetched.is_empty() {
        return (Value::Null, found);
    }
    match fetched.write(&beside(set), signature, certadm_store::now()) {
        Ok(part) => {
            found.extend(part.check());
            tell(fetched, part.dir(), output);
            (to_json(fetched, &part), found)
        }
        Err(error) => {
            let text = format!("the identity part was not stored: {}", chain_of(&error));
            let finding = Finding::warning(Kind::IdentityPart, text).code(error.hresult());
            found.push(finding.remedy(error.remedy()));
            (Value::Null, found)
        }
    }
}

/// What is told of an identity part, and the findings on it.
pub(crate) type Kept = (Value, Vec<Finding>);

/// Tells where a repository has kept what was fetched.
pub(crate) fn in_repository(fetched: &Fetched, set: &Path, (mut value, found): Kept, output: Output) -> Kept {
    if !value.is_null() {
        let dir = set.join(certadm_identity::DIR);
        value["dir"] = json!(path_text(&dir));
        tell(fetched, &dir, output);
    }
    (value, found)
}

/// The files of what was fetched as they stand in a set of a repository, with what is told of them. A failure is a finding:
/// the set goes without.
#[cfg(feature = "repository")]
pub(crate) fn files_for(
    fetched: &Fetched,
    signature: &str,
    scratch: &Path,
) -> (Vec<(String, Vec<u8>)>, Kept) {
    let mut found = fetched.findings.clone();
    if fetched.is_empty() {
        return (Vec::new(), (Value::Null, found));
    }
    let files = || -> certadm_identity::Result<_> {
        let dir = scratch.join(certadm_identity::DIR);
        let part = fetched.write(&dir, signature, certadm_store::now())?;
        let mut files = vec![(certadm_identity::FILE_NAME.to_owned(), part.list()?)];
        for entry in &part.manifest.files {
            files.push((entry.path.clone(), part.read(entry)?));
        }
        let named =
            files.into_iter().map(|(path, content)| (format!("{}/{path}", certadm_identity::DIR), content));
        Ok((named.collect(), part))
    };
    match files() {
        Ok((files, part)) => {
            found.extend(part.check());
            let value = to_json(fetched, &part);
            (files, (value, found))
        }
        Err(error) => {
            let text = format!("the identity part was not stored: {}", chain_of(&error));
            let finding = Finding::warning(Kind::IdentityPart, text).code(error.hresult());
            found.push(finding.remedy(error.remedy()));
            (Vec::new(), (Value::Null, found))
        }
    }
}

fn tell(fetched: &Fetched, dir: &Path, output: Output) {
    let count = |role| fetched.count(role) as u64;
    output.line(format!(
        "Identity of the CA: {}, {}, {}, in {}.",
        counted(count(Role::CaCertificate), "CA certificate"),
        counted(count(Role::BaseCrl) + count(Role::DeltaCrl), "CRL"),
        counted(fetched.configuration.len() as u64, "configuration value"),
        dir.display(),
    ));
}

fn to_json(fetched: &Fetched, part: &Part) -> Value {
    json!({
        "dir": path_text(part.dir()),
        "ca": { "name": fetched.ca_name, "host": fetched.host },
        "taken": part.manifest.taken,
        "files": part.manifest.files.iter().map(|entry| json!({
            "path": entry.path, "role": entry.role, "bytes": entry.size,
        })).collect::<Vec<_>>(),
        "keys": fetched.configuration.keys.len(),
        "values": fetched.configuration.len(),
        "refused": fetched.refused.iter().map(|refused| json!({
            "what": refused.what, "code": refused.code, "expected": refused.expected,
        })).collect::<Vec<_>>(),
    })
}
