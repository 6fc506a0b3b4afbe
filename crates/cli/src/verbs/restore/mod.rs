//! `certadm restore`: plan, register, copy, complete, and let the CA's start recover.

mod args;
mod elsewhere;
mod kept;
mod lacks;

use certadm_ca::health::keys_without_crl;
use certadm_ca::identity::DatabaseIdentity;
use certadm_ca::record_certificate_of;
use certadm_client::own_host_name;
use certadm_rules::finding::Finding;
use certadm_rules::words::counted;
use certadm_set::restore::{Checked, Options, Plan, abandon, check_target, plan};
use certadm_set::signing::Standing;
use certadm_store::Folder;
use serde_json::{Value, json};

pub(crate) use args::RestoreArgs;
use kept::{Beside, Kept};

use crate::failure::{Exit, Failure};
use crate::interrupt;
use crate::output::{Done, Output, human_bytes, path_text};
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::places::Places;
use crate::verbs::{live, signing, until};
use lacks::Compared;

pub(crate) fn run(args: &RestoreArgs, output: Output) -> Result<Done, Failure> {
    let Some(dir) = &args.dir else {
        return of_another_machine(args, output);
    };
    refuse_wrong_place(dir)?;
    if args.abandon {
        return give_up(&Folder::new(dir), output);
    }
    interrupt::watch();
    let allowed_signers = args.allowed.read()?;
    let chosen = args.chosen(allowed_signers.as_ref(), output)?;
    let options = Options {
        force: args.force,
        renewed_key: args.renewed_key,
        incomplete: args.incomplete,
        allowed_signers,
        until: chosen.until,
        own_copies: false,
    };
    check_target(dir, args.force)?;
    let places = Places::find(&chosen.sets, &args.scratch.or_beside(dir, args.dry_run), output)?;
    let options = Options { own_copies: places.are_copies(), ..options };
    let plan = plan(places.paths(), dir, options)?;
    live::check_settings(&plan.folder)?;
    signing::lines(places.paths(), &plan.signed_by).for_each(|line| output.line(line));
    plan.cut.iter().for_each(|cut| output.line(until::sentence(cut)));
    if args.dry_run {
        return dry_run(args, &places, &plan, chosen.warnings, output);
    }
    output.line(format!("Restoring database to {}.", plan.database.display()));
    let restored = {
        let mut progress = output.progress();
        plan.execute(&own_host_name(), &mut progress)?
    };
    output.line(format!("Restored {} of image and logs.", human_bytes(restored.bytes)));
    if let Some(aside) = &restored.moved_aside {
        output.line(format!("What was there is now in {}.", aside.display()));
    }
    warn(&restored.warnings, output);
    let beside = beside(args, &places, &plan, &restored.checked.identity, output);
    tell_whose(&plan.folder, &restored.checked.identity, output);
    let (written, not_written) = kept::write(&beside.files);
    for name in &written {
        output.line(format!("{name} was not there, and is written as the set has it."));
    }
    warn(&not_written, output);
    let mut result = plan_json(&plan, false, &restored.checked);
    result["written"] = json!(written);
    result["moved_aside"] = json!(restored.moved_aside.as_deref().map(path_text));
    let mut found = Vec::new();
    if args.no_recover {
        output.line("The restore is registered; the CA's next start carries it out.");
    } else {
        result["recovered"] = match args.renewed_key {
            true => recover_with_renewed_key(&plan.folder, &mut found, output)?,
            false => live::recover(&plan.folder, output)?,
        };
    }
    let aside = restored.moved_aside.as_deref();
    let compared = Compared::after(&plan, aside, !args.no_recover);
    let mut lacking = Vec::new();
    if let (Some(aside), Some(lacks)) = (aside, &compared.lacks) {
        lacks.tell(aside, output);
        result["lacks"] = lacks.to_json();
        lacking.extend(lacks.warning());
    }
    warn(&lacking, output);
    found.extend(compared.published);
    let warnings = [chosen.warnings, restored.warnings, beside.warnings, not_written, lacking].concat();
    let exit = Exit::of_warnings(&warnings);
    result["warnings"] = json!(warnings);
    note_missing_parts(&plan.folder, &[], output);
    output.line("Take a new full backup now: sets made before and after a restore do not go together.");
    Ok(live::tell_found(&found, Done { exit, result }, output))
}

/// A restore of a CA that was named by `--server` or `--socket`: what would have to be done there.
fn of_another_machine(args: &RestoreArgs, output: Output) -> Result<Done, Failure> {
    if !args.dry_run {
        let text = "a restore is registered on the CA's own machine alone";
        let remedy = "add --dry-run to see where the files belong, and run `certadm restore --dir DIR` there";
        return Err(Failure::usage(text, remedy));
    }
    match args.remote.dial()? {
        Some(dial) => elsewhere::run(args, dial, output),
        None => Err(Failure::usage("no CA is named", "name its folder by --dir DIR")),
    }
}

/// The files that the CA lacks and the sets have beside their database. No signature speaks for these, so none is taken where
/// signatures are asked for.
fn beside(
    args: &RestoreArgs,
    places: &Places,
    plan: &Plan,
    identity: &DatabaseIdentity,
    output: Output,
) -> Beside {
    let found = kept::find(places.paths(), plan, identity);
    if !args.allowed.is_asked() {
        warn(&found.warnings, output);
        return found;
    }
    for file in &found.files {
        let (name, from) = (file.name(), file.from.display());
        output.line(format!(
            "{name} is not taken from {from}: no signature speaks for it. Look at it, and copy it."
        ));
    }
    Beside::default()
}

/// Makes every check of the restore and says what it would do. `warnings` are of what was chosen, and told already.
fn dry_run(
    args: &RestoreArgs,
    places: &Places,
    plan: &Plan,
    warnings: Vec<String>,
    output: Output,
) -> Result<Done, Failure> {
    let (checked, recovered) = plan.check_and_recover(&mut output.progress())?;
    output.line(format!(
        "Checked {}: {}, the database is sound.",
        human_bytes(plan.bytes),
        counted(checked.content.certificates, "certificate")
    ));
    output.line("Nothing is done. A restore would:");
    for (number, step) in plan.steps().iter().enumerate() {
        output.line(format!("{:3}. {step}", number + 1));
    }
    warn(&checked.warnings, output);
    tell_whose(&plan.folder, &checked.identity, output);
    let beside = beside(args, places, plan, &checked.identity, output);
    for file in &beside.files {
        output.line(format!(
            "It would write {}, which is not there, from {}.",
            file.to.display(),
            file.from.display()
        ));
    }
    note_missing_parts(&plan.folder, &beside.files, output);
    let mut result = plan_json(plan, true, &checked);
    result["written"] = beside.files.iter().map(Kept::name).collect();
    let mut lacking = Vec::new();
    let compared = Compared::would_be(plan, &recovered);
    if let Some(lacks) = &compared.lacks {
        lacks.tell(&plan.folder.database_dir(), output);
        result["lacks"] = lacks.to_json();
        lacking.extend(lacks.warning());
    }
    warn(&lacking, output);
    let mut found = Vec::new();
    if args.renewed_key && !args.no_recover {
        // Before the restore has recorded the new key, the database knows those before it alone.
        found.extend(keys_without_crl(recovered.connection(), &plan.folder, None)?);
    }
    found.extend(compared.published);
    let warnings = [warnings, checked.warnings, beside.warnings, lacking].concat();
    result["warnings"] = json!(warnings);
    let done = Done { exit: Exit::of_warnings(&warnings), result };
    Ok(live::tell_found(&found, done, output))
}

/// Tells what the exit code tells, too ([`Exit::of_warnings`]).
fn warn(warnings: &[String], output: Output) {
    warnings.iter().for_each(|warning| output.result(format!("Warning: {warning}.")));
}

/// `--abandon`
fn give_up(folder: &Folder, output: Output) -> Result<Done, Failure> {
    let abandoned = abandon(folder)?;
    output.line(match (abandoned.put_back, abandoned.has_database) {
        (true, _) => "The restore is given up. The database that was there before it is in its place again.",
        (false, true) => "The restore is given up. The database that was there before it is in its place.",
        (false, false) => "The restore is given up. There was no database before it.",
    });
    Ok(Done::good(
        json!({ "dir": path_text(folder.path()), "abandoned": true, "put_back": abandoned.put_back }),
    ))
}

/// Lets the restored CA start, and records the certificate of its renewed key before anything is signed with it. Tells of certificates
/// that the key before it has signed.
fn recover_with_renewed_key(
    folder: &Folder,
    found: &mut Vec<Finding>,
    output: Output,
) -> Result<Value, Failure> {
    let store = live::start(folder)?;
    let mut writer = store.writer()?;
    writer.commit(|transaction| record_certificate_of(folder, transaction, certadm_store::now()))?;
    *found = keys_without_crl(writer.connection(), folder, None)?;
    drop(writer);
    let recovered = store.opened().recovered.clone();
    store.close()?;
    Ok(recovered.map_or(Value::Null, |recovered| live::tell_recovered(&recovered, output)))
}

/// Into a folder without a certificate any CA can be restored, so this one is named.
fn tell_whose(folder: &Folder, identity: &DatabaseIdentity, output: Output) {
    if let (Some(newest), false) = (identity.newest(), folder.certificate_path().exists()) {
        output.line(format!("The set is of {newest}."));
    }
}

/// A CA without key and configuration cannot issue. `kept` are files that a restore would write.
fn note_missing_parts(folder: &Folder, kept: &[Kept], output: Output) {
    for (path, what) in [
        (folder.key_path(), "private key"),
        (folder.certificate_path(), "certificate"),
        (folder.config_path(), "configuration"),
    ] {
        if !path.exists() && kept.iter().all(|file| file.to != path) {
            output
                .line(format!("The CA's {what} is not there: copy it to {} before issuing.", path.display()));
        }
    }
}

fn plan_json(plan: &Plan, dry_run: bool, checked: &Checked) -> Value {
    let newest = checked.identity.newest();
    json!({
        "ca": newest.map(|newest| json!({
            "name": newest.name,
            "key_identifier": newest.key_identifier,
        })),
        "certificates": checked.content.certificates,
        "warnings": [],
        "findings": [],
        "written": [],
        "dry_run": dry_run,
        "dir": path_text(plan.folder.path()),
        "database": path_text(&plan.database),
        "original_database": plan.original,
        "generations": {
            "low": plan.combined.range.low().number(),
            "high": plan.combined.range.high().number(),
        },
        "recovers_to": plan.last.number(),
        "bytes": plan.bytes,
        "logs": plan.combined.logs.len(),
        "signatures": plan.sets.iter().zip(&plan.signed_by).map(|(set, by)| signing::to_json(&set.path, Some(&Standing::By(by.clone())))).collect::<Vec<_>>(),
        "steps": plan.steps(),
        "until": until::to_json(plan.cut.as_ref()),
        "moved_aside": null,
        "lacks": null,
        "recovered": null,
    })
}
