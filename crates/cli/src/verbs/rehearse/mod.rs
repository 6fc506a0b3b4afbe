//! `certadm rehearse`: a restore in a scratch folder, looked at from all sides, and the evidence of it.

mod args;
mod history;
pub(crate) mod tell;

use std::path::PathBuf;

use certadm_client::own_host_name;
use certadm_files::durable;
use certadm_rehearsal::evidence::{
    Circumstances, Evidence, Folder, History, Kept, metrics, page, previous_of,
};
use certadm_rehearsal::{Keys, Limits, Proof, Wishes, kept_key, rehearse};
use certadm_rules::finding::{Finding, Severity};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::known_as;
use crate::output::{Done, Output, path_text};
use crate::verbs::account::account;
use crate::verbs::files::{refuse_wrong_place, write_new};
use crate::verbs::keys;
use crate::verbs::places::{Places, ScratchArgs};
use crate::{findings, interrupt};
use args::Action;
pub(crate) use args::RehearseArgs;

pub(crate) fn run(args: &RehearseArgs, output: Output) -> Result<Done, Failure> {
    match &args.step {
        Some(Action::History(args)) => history::run(args, output),
        None => once(args, output),
    }
}

/// The sets that are named, and the folder whose newest state is meant. A repository without a set's name stands for its newest state
/// by itself.
fn meant(args: &RehearseArgs) -> Result<(Vec<PathBuf>, Option<PathBuf>), Failure> {
    #[cfg(feature = "repository")]
    if let Some(place) = &args.latest_in
        && let Some(address) = crate::verbs::places::address(place)?
    {
        if address.names_point || !args.sets.is_empty() {
            let text = "--latest-in means the newest state of a repository, and sets are named, too";
            return Err(Failure::usage(
                text,
                "name either: rehearse --latest-in vault:CA, or rehearse vault:CA/POINT",
            ));
        }
        return Ok((vec![place.clone()], None));
    }
    Ok((args.sets.clone(), args.latest_in.clone()))
}

fn once(args: &RehearseArgs, output: Output) -> Result<Done, Failure> {
    for place in [&args.evidence, &args.html, &args.spare_crl].into_iter().flatten() {
        refuse_wrong_place(place)?;
    }
    if let Some(page) = args.html.as_deref().filter(|page| page.symlink_metadata().is_ok()) {
        return Err(certadm_files::Error::Exists { path: page.to_owned() }.into());
    }
    if let Some(spare) = args.spare_crl.as_deref().filter(|spare| spare.symlink_metadata().is_ok()) {
        return Err(certadm_files::Error::Exists { path: spare.to_owned() }.into());
    }
    if let Some(evidence) = args.evidence.as_deref() {
        durable::refuse_no_folder(evidence)?;
    }
    if let Some(identity) = args.identity.as_deref().filter(|identity| !identity.is_dir()) {
        let text = format!("{} is not there, or no folder", identity.display());
        return Err(Failure::usage(text, "name the folder that has ca.toml and ca.crt by --identity DIR"));
    }
    let (sets, latest_in) = meant(args)?;
    let folder = args.evidence.as_deref().map(Folder::at);
    // Before anything is done: evidence that cannot be continued is known now, and not after an hour.
    let before = folder.as_ref().map(Folder::all).transpose()?.unwrap_or_default();
    let mut found = Vec::new();
    let places = Places::find(&sets, &ScratchArgs::at(args.within.clone()), output)?;
    let mut wishes = Wishes {
        // Those of a folder that is named are no copies.
        own_copies: places.are_copies() && latest_in.is_none(),
        latest_in,
        allowed_signers: args.allowed.read()?,
        identity: args.identity.clone(),
        published: args.published.clone(),
        sample: args.sample,
        within: args.within.clone().unwrap_or_else(std::env::temp_dir),
        limits: Limits { rpo: args.rpo, rto: args.rto, by_hand: args.by_hand },
        previous: previous_of(&before),
        accept_fewer: args.accept_fewer,
        keep: args.keep,
        spare: args.spare_crl.clone(),
        ..Wishes::new(places.paths().to_vec(), certadm_store::now())
    };
    wishes.keys = keys(args, &wishes, &mut found)?;
    interrupt::watch();
    let mut watch = tell::Steps { output };
    let mut shown = rehearse(&wishes, &mut output.progress_on_stderr(), &mut watch)?;
    for step in &mut shown.steps {
        step.detail = known_as::text(&step.detail).into_owned();
        step.remedy = step.remedy.take().map(|remedy| known_as::text(&remedy).into_owned());
    }
    for (_, finding) in &mut shown.findings {
        known_as::finding(finding);
    }
    shown.findings.extend(found.into_iter().map(|finding| (certadm_rehearsal::Step::Key, finding)));
    for path in &shown.removed {
        output.line(format!("Removed {}, which a rehearsal that was killed had left.", path.display()));
    }
    let circumstances = circumstances(wishes.limits);
    // The manifests are read where the sets lie; what is kept calls the sets as the user does.
    let evidence_of = |before: &[Kept]| {
        let mut evidence = Evidence::of(&shown, &circumstances, before);
        evidence.set.paths.iter_mut().for_each(|set| set.path = known_as::text(&set.path).into_owned());
        evidence
    };
    let (evidence, file) = match &folder {
        Some(folder) => {
            let kept = folder.add(evidence_of)?;
            let path = folder.path().join(&kept.file);
            (kept.evidence, Some(path))
        }
        None => (evidence_of(&[]), None),
    };
    if let Some(path) = &args.html {
        write_new(path, page(&evidence).as_bytes())?;
    }
    if let (Some(path), Some(folder)) = (&args.prometheus, &folder) {
        let now = certadm_store::now();
        durable::replace(path, metrics(&History::of(folder, None, now)?, now).as_bytes())?;
    }
    tell::findings(&evidence, output);
    tell::verdict(&evidence, file.as_deref(), output);
    let mut exit = exit_of(&evidence);
    if exit != Exit::Damaged {
        let unnoted: Vec<Finding> = places.note_proven().into_iter().collect();
        findings::print(&unnoted, output);
        if unnoted.iter().any(|finding| finding.severity != Severity::Note) {
            exit = Exit::Finding;
        }
    }
    let mut result = to_json(&evidence)?;
    result["evidence_file"] = json!(file.as_deref().map(path_text));
    result["kept"] = json!(shown.kept.as_deref().map(path_text));
    result["removed"] = shown.removed.iter().map(|path| path_text(path)).collect();
    Ok(Done { exit, result })
}

/// What the exit status says. A warning is something to look into, also where everything was shown (invariant 12).
fn exit_of(evidence: &Evidence) -> Exit {
    let is_open = evidence.findings.iter().any(|finding| finding.severity != Severity::Note.key());
    match evidence.verdict.proof {
        Proof::Proven if !is_open => Exit::Good,
        Proof::Proven | Proof::ProvenExcept => Exit::Finding,
        Proof::NotProven => Exit::Damaged,
    }
}

/// The evidence as the JSON contract has it.
pub(crate) fn to_json(evidence: &Evidence) -> Result<Value, Failure> {
    serde_json::to_value(evidence).map_err(|error| Failure::internal(error.to_string()))
}

/// Who rehearses.
pub(crate) fn circumstances(limits: Limits) -> Circumstances {
    Circumstances {
        tool: concat!("certadm ", env!("CARGO_PKG_VERSION")).to_owned(),
        host: own_host_name(),
        account: account(),
        limits,
    }
}

/// The keys that were named; else the one that is kept beside the sets, if there is a passphrase for it.
fn keys(args: &RehearseArgs, wishes: &Wishes, found: &mut Vec<Finding>) -> Result<Keys, Failure> {
    if args.external_key {
        return Ok(Keys::External);
    }
    if !args.key.is_empty() {
        return Ok(Keys::Given(keys::open_all(&args.key, &args.passphrase, found)?));
    }
    let kept = if args.passphrase.is_given() { kept_key(wishes)? } else { None };
    let Some((path, content)) = kept else { return Ok(Keys::NotGiven) };
    let passphrases = args.passphrase.read(1)?;
    // What is opened are the bytes that were compared with their list.
    let file = keys::open_content(&path, &content, passphrases.of(0), found)?;
    Ok(Keys::Given(file.keys.into_iter().map(|key| (path.clone(), key)).collect()))
}
