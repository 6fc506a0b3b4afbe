//! `certadm complete`: whether everything is there that a lost CA needs to come back.

use std::path::PathBuf;

use certadm_files::{IoContext, cancel, scratch};
use certadm_identity::{Attachments, Part};
use certadm_recovery::complete::{Component, Conclusion, State, Verdict};
use certadm_rules::FileTime;
use certadm_rules::finding::Finding;
use certadm_rules::printable::printable;
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::secrets::PassphrasesArgs;
use crate::terminal::Tone;
use crate::verbs::keys;
use crate::verbs::lost::{Lost, parts_at};
use crate::verbs::places::{Places, ScratchArgs};
use crate::verbs::signing::AllowedArgs;
use crate::verbs::until::moment;
use crate::{findings, interrupt};

/// `certadm complete`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm complete /backup/monday /backup/monday-noon --key ca.p12 --passphrase-file p12.pass\n\
    Example: certadm complete CertLog.edb --identity /backup/ca1-identity\n\
    Exit codes: 0 complete, 1 incomplete, 5 something is of another CA. `certadm verify` checks the set itself."
)]
pub(crate) struct CompleteArgs {
    /// A full set and the log sets that continue it, a database of a Windows CA, or the address of sets in a repository
    #[arg(value_name = "SET", required = true)]
    sets: Vec<PathBuf>,
    /// An identity part that lies elsewhere
    #[arg(long, value_name = "DIR", num_args = 1..)]
    identity: Vec<PathBuf>,
    /// Private key of the CA: PKCS#12 (.pfx, .p12) or PKCS#8 in PEM; it is not kept
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    #[command(flatten)]
    passphrase: PassphrasesArgs,
    /// Keys that are not given and that no identity part shows cannot leave their place, such as an HSM: they count as kept there
    #[arg(long)]
    external_key: bool,
    /// Judge as if it were this moment, such as 2026-11-27T10:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    now: Option<FileTime>,
    #[command(flatten)]
    allowed: AllowedArgs,
    #[command(flatten)]
    scratch: ScratchArgs,
}

pub(crate) fn run(args: &CompleteArgs, output: Output) -> Result<Done, Failure> {
    interrupt::watch();
    let now = args.now.unwrap_or_else(certadm_store::now);
    let places = Places::find(&args.sets, &args.scratch, output)?;
    let opened = certadm_set::open(places.paths())?;
    if let Some(allowed) = args.allowed.read()? {
        allowed.check_files(&opened, &mut output.progress_on_stderr())?;
    }
    let mut parts = parts_at(places.paths())?;
    if args.allowed.is_asked() {
        for part in &parts {
            let dir = part.dir().display();
            output.line(format!("No signature speaks for {dir}: look at what is in it."));
        }
    }
    for dir in &args.identity {
        let more = parts_at([dir])?;
        if more.is_empty() {
            return Err(certadm_identity::Error::NotThere { path: dir.clone() }.into());
        }
        parts.extend(more);
    }
    let mut found: Vec<Finding> = parts.iter().flat_map(certadm_identity::Part::check).collect();
    let keys = keys::open_all(&args.key, &args.passphrase, &mut found)?;
    let lost = Lost::read(&opened, now, output)?;
    cancel::check()?;
    // What stands in an identity part says more, and wins.
    let said = args.external_key.then(|| external(args, now)).transpose()?;
    let told: Vec<Part> = said.into_iter().chain(parts.iter().cloned()).collect();
    let verdict = lost.judge(&args.sets[0], &told, &keys, now);
    findings::print(&found, output);
    tell(&verdict, output);
    let mut result = to_json(&verdict);
    result["identity"] = parts.iter().map(|part| path_text(part.dir())).collect();
    result["findings"] = findings::list(&found);
    let exit = match (verdict.contradicts, verdict.verdict) {
        (true, _) => Exit::Damaged,
        (false, Conclusion::Complete) if found.is_empty() => Exit::Good,
        _ => Exit::Finding,
    };
    Ok(Done { exit, result })
}

/// `--external-key` as `attach` would note it, for this verdict alone: the note is not kept.
fn external(args: &CompleteArgs, now: FileTime) -> Result<Part, Failure> {
    let parent = args.scratch.folder();
    let dir = scratch::folder_in(&parent).during("make a folder in", &parent)?;
    let mut said = Attachments::default();
    said.external_keys.push("--external-key".to_owned());
    Ok(said.write(dir.path(), "", now)?)
}

/// The verdict as the JSON contract has it.
pub(crate) fn to_json(verdict: &Verdict) -> Value {
    json!({
        "verdict": verdict.verdict,
        "contradicts": verdict.contradicts,
        "missing": verdict.missing,
        "components": verdict.components,
    })
}

fn tell(verdict: &Verdict, output: Output) {
    for component in &verdict.components {
        line(component, output);
        for check in component.checks.iter().filter(|check| check.ok != Some(true)) {
            let (word, tone) = match check.ok {
                Some(_) => ("NOT good", Tone::Bad),
                None => ("look", Tone::Warn),
            };
            let behind = format!(": {}: {}", check.name, printable(&check.detail));
            output.toned("                  ", word, Some(tone), &behind);
            if let Some(remedy) = &check.remedy {
                output.result(format!("                  what to do: {}", printable(remedy)));
            }
        }
    }
    let (text, tone) = match (verdict.contradicts, verdict.verdict) {
        (true, _) => ("CONTRADICTION: something is of another CA".to_owned(), Tone::Bad),
        (_, Conclusion::Complete) => {
            ("complete: everything that the CA needs is there".to_owned(), Tone::Good)
        }
        (_, Conclusion::CannotTell) => ("cannot tell: see above what nothing says".to_owned(), Tone::Warn),
        (_, Conclusion::Incomplete) if verdict.missing.is_empty() => {
            ("INCOMPLETE: something that is there is not good".to_owned(), Tone::Bad)
        }
        (_, Conclusion::Incomplete) => {
            (format!("INCOMPLETE: {} missing", verdict.missing.join(", ")), Tone::Bad)
        }
    };
    output.verdict(&text, tone);
}

fn line(component: &Component, output: Output) {
    let tone = match (component.state, component.needed) {
        (State::Present | State::External, _) => Some(Tone::Good),
        (State::Absent, true) => Some(Tone::Bad),
        (State::CannotTell, true) => Some(Tone::Warn),
        _ => None,
    };
    let from = component.source.as_deref().map(|source| format!(" ({}", printable(source)));
    let taken = component.taken.as_deref().map(|taken| format!(", {taken}")).unwrap_or_default();
    let from = from.map(|from| format!("{from}{taken})")).unwrap_or_default();
    let word = component.state.to_string();
    let gap = " ".repeat(16usize.saturating_sub(word.len()));
    output.toned("", &word, tone, &format!("{gap}  {}{from}", component.name));
}
