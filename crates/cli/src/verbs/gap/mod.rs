//! `certadm gap`: what a lost CA issued and revoked after its last backup, by what other sources tell.

mod args;
mod files;
mod html;

use std::path::Path;

use certadm_files::{Found, cancel};
use certadm_recovery::gap::{Collector, Folder, Gap, Limits};
use certadm_recovery::{Damage, Known};
use certadm_rules::FileTime;
use certadm_rules::finding::{self, Finding, Kind, Severity};
use certadm_rules::words::counted;
use serde_json::{Value, json};

pub(crate) use args::GapArgs;

use super::state::State;
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output, path_text};
use crate::verbs::files::refuse_wrong_place;
use crate::verbs::places::Places;
use crate::{findings, interrupt};

pub(crate) fn run(args: &GapArgs, output: Output) -> Result<Done, Failure> {
    args.to.as_deref().map_or(Ok(()), refuse_wrong_place)?;
    interrupt::watch();
    if [&args.events, &args.certificates, &args.ldif, &args.crl].iter().all(|paths| paths.is_empty()) {
        let remedy = "name at least one: --events, --certificates, --ldif or --crl";
        return Err(Failure::usage("there is no source to compare the database with", remedy));
    }
    let mut folder = args.to.as_deref().map(Folder::begin).transpose()?;
    let damage = if args.force_damaged { Damage::Accepted } else { Damage::Refused };
    let mut found = Vec::new();
    let places = Places::find(&args.sets, &args.scratch, output)?;
    let allowed = args.allowed.read()?;
    let state = State::open(places.paths(), allowed.as_ref(), damage, &mut found, output)?;
    found.extend(state.check(places.paths(), damage, output)?);
    let known = state.with(Known::of)?;
    drop(state);
    if known.unreadable() != 0 {
        let text = format!(
            "{} cannot be read: what they hold counts as unknown",
            counted(known.unreadable(), "row")
        );
        found.push(Finding::warning(Kind::DatabaseUnreadable, text));
    }
    let gap = collect(args, &known, folder.as_ref(), &mut found)?;
    found.extend(gap.findings());
    finding::sort(&mut found);
    let mut result = Value::Null;
    if let Some(folder) = &mut folder {
        let now = certadm_store::now();
        folder.write(&gap, &html::page(&gap, &found, now), now)?;
    }
    let files = folder.as_ref().map(|folder| folder.files.clone()).unwrap_or_default();
    if let Some(folder) = folder {
        folder.place()?;
    }
    if output.json {
        result = serde_json::to_value(&gap).map_err(|error| Failure::internal(error.to_string()))?;
        result["dir"] = json!(args.to.as_deref().map(path_text));
        result["files"] = json!(files);
        result["findings"] = findings::list(&found);
    }
    tell(&gap, args.to.as_deref(), output);
    findings::print(&found, output);
    let exit = match finding::worst(&found) {
        None | Some(Severity::Note) => Exit::Good,
        Some(Severity::Warning | Severity::Error) => Exit::Finding,
    };
    Ok(Done { exit, result })
}

/// Reads the sources. CRLs come last: what they list is often known by then.
fn collect(
    args: &GapArgs,
    known: &Known,
    folder: Option<&Folder>,
    found: &mut Vec<Finding>,
) -> Result<Gap, Failure> {
    let import = folder.map(|folder| folder.import().to_owned());
    let keep = Box::new(move |serial: &_, der: &[u8]| match &import {
        Some(import) => Folder::keep(import, serial, der),
        None => Ok(()),
    });
    let now = Some(certadm_store::now());
    let limits = Limits { now, until: args.issued_until, computer: args.computer.clone() };
    let mut collector = Collector::new(known, limits, keep);
    for path in &args.events {
        collector.events(&Found::named(path))?;
    }
    for path in &args.certificates {
        for file in files::named(path, found)? {
            cancel::check()?;
            collector.certificates(&file)?;
        }
    }
    for path in &args.ldif {
        collector.ldif(&Found::named(path))?;
    }
    for path in &args.crl {
        collector.crl(&Found::named(path))?;
    }
    Ok(collector.finish())
}

/// So many lines of a kind are shown to a person; the folder and JSON have all.
const LINES: usize = 20;

fn tell(gap: &Gap, to: Option<&Path>, output: Output) {
    let rpo = &gap.rpo;
    let when = |when: Option<FileTime>| when.map_or("an unknown time".to_owned(), FileTime::to_rfc3339);
    output.result(format!(
        "The database knows {}; its last request is {} of {}.",
        counted(gap.certificates, "certificate"),
        rpo.last_request,
        when(rpo.last_when)
    ));
    output.result(format!(
        "RPO: {} after it: {}{}, {} denied, {} pending, {} unknown{}.",
        counted(rpo.requests, "request"),
        counted(rpo.certificates, "certificate"),
        match rpo.unnumbered {
            0 => String::new(),
            count => format!(" ({count} of an unknown request number)"),
        },
        rpo.denied,
        rpo.pending,
        rpo.unknown,
        rpo.newest
            .map(|newest| format!("; the newest certificate is of {}", newest.to_rfc3339()))
            .unwrap_or_default()
    ));
    if let Some(completed) = gap.last_backup.as_ref().and_then(|backup| backup.completed) {
        output.line(format!("The last backup that an event tells of ended at {}.", completed.to_rfc3339()));
    }
    let request = |id: Option<i64>| id.map_or("request unknown".to_owned(), |id| format!("request {id}"));
    let mut shown = Shown { output, left: 0 };
    for found in &gap.importable {
        shown.line(format!(
            "importable: {}, {}, {}",
            request(found.request_id),
            found.serial_number,
            found.subject
        ));
    }
    shown.rest();
    for found in &gap.serial_only {
        shown.line(format!(
            "serial only: {}, {}, {}",
            request(found.request_id),
            found.serial_number,
            found.subject
        ));
    }
    shown.rest();
    for one in &gap.of_unknown_key {
        shown.line(format!("of an unknown key: {}, {}", one.serial_number, one.subject));
    }
    shown.rest();
    for only in &gap.request_only {
        let id = request(Some(only.request_id));
        shown.line(format!("request only: {id}, {}, key {}", only.subject, only.key_identifier));
    }
    shown.rest();
    for ids in &gap.unaccounted {
        let range = if ids.first == ids.last {
            ids.first.to_string()
        } else {
            format!("{} to {}", ids.first, ids.last)
        };
        shown.line(format!("unaccounted: {range}"));
    }
    shown.rest();
    for entry in &gap.revoked_elsewhere {
        let reason = entry.revoked.reason;
        shown.line(format!(
            "revoked elsewhere: request {}, {}, {reason}",
            entry.request_id, entry.serial_number
        ));
    }
    shown.rest();
    if let Some(to) = to {
        output.result(format!(
            "{} has what can be done: certificates to import, revocations, a report.",
            to.display()
        ));
    }
}

/// The first lines of a list.
struct Shown {
    output: Output,
    left: usize,
}

impl Shown {
    fn line(&mut self, text: String) {
        self.left += 1;
        if self.left <= LINES {
            self.output.result(text);
        }
    }

    fn rest(&mut self) {
        if LINES < self.left {
            self.output.result(format!("and {} more", self.left - LINES));
        }
        self.left = 0;
    }
}
