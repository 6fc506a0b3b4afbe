//! `certadm rehearse history`: what a folder of evidence shows.

use certadm_files::durable;
use certadm_rehearsal::Proof;
use certadm_rehearsal::evidence::{Folder, History, Kept, history_page, metrics};
use certadm_rules::span::rounded;
use serde_json::{Value, json};

use super::args::HistoryArgs;
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output};
use crate::terminal::Tone;
use crate::verbs::files::write_new;

pub(super) fn run(args: &HistoryArgs, output: Output) -> Result<Done, Failure> {
    if let Some(page) = args.html.as_deref().filter(|page| page.symlink_metadata().is_ok()) {
        return Err(certadm_files::Error::Exists { path: page.to_owned() }.into());
    }
    let now = certadm_store::now();
    let history = History::of(&Folder::at(&args.dir), args.every, now)?;
    if let Some(path) = &args.html {
        write_new(path, history_page(&history, now).as_bytes())?;
    }
    if let Some(path) = &args.prometheus {
        durable::replace(path, metrics(&history, now).as_bytes())?;
    }
    tell(&history, output);
    let last = history.newest().map(|evidence| evidence.verdict.proof);
    let exit = match (history.breaks.is_empty(), last, history.gaps.is_empty()) {
        (false, ..) | (_, None | Some(Proof::NotProven), _) => Exit::Damaged,
        (_, Some(Proof::ProvenExcept), _) | (_, _, false) => Exit::Finding,
        _ => Exit::Good,
    };
    let result = json!({
        "dir": crate::output::path_text(&args.dir),
        "runs": history.runs.iter().map(to_json).collect::<Vec<_>>(),
        "breaks": history.breaks,
        "gaps": history.gaps,
        "longest_seconds_without_proof": history.longest_seconds,
        "last_proof": history.last_proof().map(|evidence| &evidence.ended),
    });
    Ok(Done { exit, result })
}

fn to_json(kept: &Kept) -> Value {
    let evidence = &kept.evidence;
    json!({
        "file": kept.file,
        "sha256": kept.sha256,
        "run": evidence.run,
        "started": evidence.started,
        "ended": evidence.ended,
        "ca": evidence.ca.name,
        "host": evidence.host,
        "account": evidence.account,
        "verdict": evidence.verdict,
        "certificates_proven": evidence.certificates_proven,
        "rpo_seconds": evidence.rpo.seconds,
        "rto_seconds": evidence.rto.seconds,
        "findings_open": evidence.findings.len(),
    })
}

fn tell(history: &History, output: Output) {
    output.line(format!(
        "{:>4}  {:20}  {:14}  {:>12}  {:>10}  {:>12}  {:>4}",
        "run", "began", "verdict", "RPO", "RTO", "certificates", "open"
    ));
    for kept in &history.runs {
        let evidence = &kept.evidence;
        let rpo = evidence.rpo.seconds.map_or_else(|| "not known".to_owned(), rounded);
        output.result(format!(
            "{:>4}  {:20}  {:14}  {rpo:>12}  {:>8.1} s  {:>12}  {:>4}",
            evidence.run,
            evidence.started,
            evidence.verdict.proof.key(),
            evidence.rto.seconds,
            evidence.certificates_proven,
            evidence.findings.len()
        ));
    }
    for gap in &history.gaps {
        let from = gap.from.as_deref().unwrap_or("the beginning");
        let until = gap.until.as_deref().unwrap_or("now");
        output.toned(
            "",
            "gap",
            Some(Tone::Warn),
            &format!(": {} without proof, from {from} to {until}", rounded(gap.seconds)),
        );
    }
    for one in &history.breaks {
        output.toned("", "BREAK", Some(Tone::Bad), &format!(": {}: {}", one.file, one.detail));
    }
    let longest = history.longest_seconds.map_or_else(|| "not known".to_owned(), rounded);
    output.result(format!("Longest time without proof: {longest}."));
    match history.last_proof() {
        Some(last) => output.result(format!("Last proof: {}, {}.", last.ended, last.verdict.sentence())),
        None => output.result("Last proof: none."),
    }
}
