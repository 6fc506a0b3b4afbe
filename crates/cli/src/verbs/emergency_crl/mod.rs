//! `certadm emergency-crl`: the CRL of a CA that is lost, from its database and its key.

mod args;
mod sources;
mod tell;

use std::path::PathBuf;

use certadm_files::cancel;
use certadm_recovery::bundle::{Bundle, Finished, finish};
use certadm_recovery::{Damage, Deltas, Issuers, Maker, Options, Plan, PrivateKey, Records, Report};
use certadm_rules::finding::{Finding, Kind, Severity};
use certadm_rules::{FileTime, finding};
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::places::Places;
use crate::verbs::{keys, until};
use crate::{findings, interrupt};
pub(crate) use args::EmergencyCrlArgs;
use args::{FinishArgs, Step};
use sources::{Found, Sources};

pub(crate) fn run(args: &EmergencyCrlArgs, output: Output) -> Result<Done, Failure> {
    interrupt::watch();
    match &args.step {
        Some(Step::Finish(args)) => finished(args, output),
        None => make(args, output),
    }
}

fn finished(args: &FinishArgs, output: Output) -> Result<Done, Failure> {
    let Finished { crls, waiting } = finish(&args.dir, &args.signature)?;
    for crl in &crls {
        output.line(format!("{} is signed.", args.dir.join(crl).display()));
    }
    output.line(format!("{} says where they go.", args.dir.join("publish.txt").display()));
    if !waiting.is_empty() {
        output.result(format!(
            "Not signed yet: {}. Run this again with the signatures; to-sign.txt names them.",
            waiting.join(", ")
        ));
    }
    let exit = if waiting.is_empty() { Exit::Good } else { Exit::Finding };
    Ok(Done { exit, result: json!({ "dir": path_text(&args.dir), "crls": crls, "waiting": waiting }) })
}

fn make(args: &EmergencyCrlArgs, output: Output) -> Result<Done, Failure> {
    let Some(to) = &args.to else { return Err(Failure::internal("--to is required and missing")) };
    refuse_wrong_place(to)?;
    check_command_line(args)?;
    if to.symlink_metadata().is_ok() {
        return Err(certadm_files::Error::Exists { path: to.clone() }.into());
    }
    let now = args.now.unwrap_or_else(certadm_store::now);
    let mut sources = Sources::read(args, now)?;
    let mut keys = keys::open_all(&args.key, &args.passphrase, &mut sources.findings)?;
    let (plan, maker) = plan(args, &mut sources, &mut keys, now, output)?;
    cancel::check()?;
    let cut = sources.cut;
    let mut found = sources.findings;
    found.extend(plan.findings.iter().cloned());
    nothing_needed(&plan)?;
    if !args.tbs_only {
        missing_keys(&plan, &keys, &mut found)?;
    }
    finding::sort(&mut found);
    let report = ReportFile {
        format: 1,
        made_when: now.to_rfc3339(),
        report: plan.report(true),
        until: until::to_json(cut.as_ref()),
        sources: &sources.list,
        findings: findings::list(&found),
    };
    let report = serde_json::to_vec(&report).map_err(|error| Failure::internal(error.to_string()))?;
    let bundle = if args.tbs_only {
        Bundle::unsigned(&plan, maker, report)?
    } else {
        Bundle::signed(&plan, &keys, maker, report)?
    };
    bundle.write(to)?;
    findings::print(&found, output);
    tell::person(&plan, &bundle, to, now, output);
    let mut result = json!(plan.report(false));
    result["dir"] = json!(path_text(to));
    result["files"] = bundle.names().collect();
    result["signed"] = json!(bundle.crls);
    result["until"] = until::to_json(cut.as_ref());
    result["findings"] = findings::list(&found);
    let exit = match finding::worst(&found) {
        None | Some(Severity::Note) => Exit::Good,
        Some(Severity::Warning | Severity::Error) => Exit::Finding,
    };
    Ok(Done { exit, result })
}

/// `report.json`
#[derive(Serialize)]
struct ReportFile<'a> {
    format: u32,
    made_when: String,
    #[serde(flatten)]
    report: Report<'a>,
    until: Value,
    sources: &'a [Value],
    findings: Value,
}

fn check_command_line(args: &EmergencyCrlArgs) -> Result<(), Failure> {
    if args.sets.is_empty() && args.from_crl.is_none() {
        let remedy = "name a set or a database; or the last base CRL by --from-crl FILE";
        return Err(Failure::usage("there is nothing to make a CRL from", remedy));
    }
    if args.key.is_empty() && !args.tbs_only {
        let remedy = "give --key FILE, or --tbs-only for a key that stays where it is";
        return Err(Failure::usage("there is no key to sign with", remedy));
    }
    if args.from_crl.is_some() && args.tbs_only {
        let text = "--from-crl needs the key: nothing else says whose the CRL is";
        return Err(Failure::usage(text, "give --key FILE"));
    }
    if args.from_crl.is_none() && args.published.is_empty() && !args.no_published {
        return Err(Failure::usage(
            "without the CRL that the CA published last, revocations made after the backup would be undone",
            "fetch it from where certificates say (certadm list SET crls shows which ones the database knows) and give --published FILE; or say --no-published",
        ));
    }
    Ok(())
}

fn plan(
    args: &EmergencyCrlArgs,
    sources: &mut Sources,
    keys: &mut Vec<(PathBuf, PrivateKey)>,
    now: FileTime,
    output: Output,
) -> Result<(Plan, Maker), Failure> {
    let options = Options {
        valid_days: args.valid_days,
        number: args.number,
        deltas: match (args.with_delta, args.no_delta) {
            (true, _) => Deltas::Normal,
            (_, true) => Deltas::None,
            _ => Deltas::Shadow,
        },
        allow_sha1: args.allow_sha1,
        revocations: sources.revocations.clone(),
        ..Options::new(now)
    };
    if args.from_crl.is_some() {
        // The one that --from-crl names is the first.
        let from = &sources.published[0];
        let has_signed = |key: &PrivateKey| from.issuer(key.public_key()).is_ok();
        keys::keep_those_of_the_ca(keys, has_signed, &mut sources.findings);
        let Some((path, key)) = keys.first() else {
            return Err(Failure::internal("--from-crl without a key"));
        };
        let issuers = from.issuer(key.public_key())?;
        if keys.len() != 1 {
            let text = format!("{} signed the CRL; one key is enough", path.display());
            return Err(Failure::usage(text, "give the one key that signed it"));
        }
        return Ok((Plan::new(issuers, None, &sources.published, &options)?, Maker::Windows));
    }
    let damage = if args.force_damaged { Damage::Accepted } else { Damage::Refused };
    let allowed = args.allowed.read()?;
    let places = Places::find(&args.sets, &args.scratch, output)?;
    let found = &mut sources.findings;
    let (database, cut) = sources::database(args, places.paths(), damage, allowed.as_ref(), found, output)?;
    if let Some(cut) = cut.filter(|cut| cut.behind.is_some()) {
        let text =
            format!("the database is used {cut}: what was issued and revoked later is not known from it");
        sources.findings.push(Finding::warning(Kind::CrlEarlierState, text));
    }
    sources.cut = cut;
    let records: Records = match database {
        Found::Windows(opened) => {
            sources.findings.extend(opened.findings);
            Records::of_windows(&opened.database, now, sources.asked()?, damage)?
        }
        Found::Ours(recovered) => Records::of_ours(recovered.connection(), now, sources.asked()?)?,
    };
    let issuers = Issuers::of(&records)?;
    keys::keep_those_of_the_ca(keys, |key| issuers.has_key(key.public_key()), &mut sources.findings);
    for (path, key) in &*keys {
        issuers.place_of_key(key.public_key(), &path.display().to_string())?;
    }
    Ok((Plan::new(issuers, Some(&records), &sources.published, &options)?, records.maker()))
}

/// A folder without a CRL would look like one with all that is needed, and what was ordered would be in none.
fn nothing_needed(plan: &Plan) -> Result<(), Failure> {
    if !plan.crls.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(
        "no CRL is needed: by this database no key of the CA is in force, and nothing that one signed",
        "if the CA issued something since that is in force, name a newer set, or sign its last CRL again by --from-crl FILE; --now is the \
         moment that is asked for",
    ))
}

/// Says which CRLs stay unsigned; when none is signed, nothing is written.
fn missing_keys(
    plan: &Plan,
    keys: &[(PathBuf, PrivateKey)],
    found: &mut Vec<Finding>,
) -> Result<(), Failure> {
    let given = |place: usize| {
        let issuer = plan.issuers.iter().nth(place);
        issuer.is_some_and(|issuer| keys.iter().any(|(_, key)| key.public_key() == issuer.public_key()))
    };
    let mut missing: Vec<usize> =
        plan.crls.iter().map(|crl| crl.issuer).filter(|place| !given(*place)).collect();
    missing.dedup();
    if plan.crls.iter().all(|crl| !given(crl.issuer)) {
        let remedy = "give a key of the CA that is still in force";
        return Err(Failure::usage("no CRL is needed for the keys that were given", remedy));
    }
    for place in missing {
        let Some(issuer) = plan.issuers.iter().nth(place) else { continue };
        let text = format!(
            "no CRL is made for key {} (key id {}): the key was not given, and certificates that it signed are in force",
            issuer.index(),
            issuer.key_identifier()
        );
        found.push(Finding::warning(Kind::CrlKey, text).remedy("give the key by a further --key FILE"));
    }
    Ok(())
}
