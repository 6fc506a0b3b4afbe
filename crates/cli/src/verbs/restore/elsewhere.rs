//! A restore on another machine: nothing of it but the locations travels (wire.md 6), so this says what to do there.

use std::path::PathBuf;

use certadm_rules::{Tag, TaggedList};
use certadm_session::Source;
use certadm_set::Opened;
use serde_json::{Value, json};

use super::args::RestoreArgs;
use crate::failure::{Exit, Failure};
use crate::output::{Done, Output};
use crate::verbs::places::Places;
use crate::verbs::remote::Dial;
use crate::verbs::{signing, until};

/// Asks the CA where its files belong and compares with where the set's came from.
pub(super) fn run(args: &RestoreArgs, dial: Dial, output: Output) -> Result<Done, Failure> {
    let allowed = args.allowed.read()?;
    let chosen = args.chosen(allowed.as_ref(), output)?;
    let places = Places::find(&chosen.sets, &args.scratch, output)?;
    let opened = certadm_set::open(places.paths())?;
    if let Some(allowed) = allowed {
        let signed = allowed.check(&opened)?;
        signing::lines(places.paths(), &signed).for_each(|line| output.line(line));
    }
    let (opened, _) = until::cut(chosen.until, opened, |text| output.line(text))?;
    let saved = match opened {
        Opened::Ours(sets) => match sets.first().filter(|first| first.image.is_some()) {
            Some(full) => full.locations()?,
            None => return Err(no_full_set()),
        },
        Opened::Windows(sets) => match sets.first().filter(|first| first.database.is_some()) {
            Some(full) => full.read_locations()?,
            None => return Err(no_full_set()),
        },
        Opened::Folder(_) => return Err(no_full_set()),
    };
    let saved = saved.unwrap_or_default();
    let server = dial.name.clone();
    let there = dial
        .connect()?
        .database_locations()
        .map_err(|error| Failure::from(certadm_set::Error::from(error)))?;
    let places: Vec<Place> =
        [("database", Tag::Database), ("logs", Tag::LogDirectory), ("checkpoint", Tag::CheckpointDirectory)]
            .into_iter()
            .map(|(what, tag)| Place { what, saved: first(&saved, tag), there: first(&there, tag) })
            .collect();
    output.line(format!("Nothing is done. On {server} the files belong here:"));
    for place in &places {
        let moved = if place.is_same() { "" } else { " (elsewhere than when it was backed up)" };
        output.line(format!("  {:10} {}{moved}", place.what, place.there.as_deref().unwrap_or("not told")));
    }
    let steps = steps(&chosen.sets);
    for (number, step) in steps.iter().enumerate() {
        output.line(format!("{:3}. {step}", number + 1));
    }
    let result = json!({
        "dry_run": true,
        "server": server,
        "locations": places.iter().map(Place::to_json).collect::<Vec<_>>(),
        "steps": steps,
        "warnings": chosen.warnings,
    });
    Ok(Done { exit: Exit::of_warnings(&chosen.warnings), result })
}

fn no_full_set() -> Failure {
    Failure::usage("the first set is no full one", "name the full set first: --from FULL --from LOGS")
}

/// Where one kind of file was, and where it belongs.
struct Place {
    what: &'static str,
    saved: Option<String>,
    there: Option<String>,
}

impl Place {
    fn is_same(&self) -> bool {
        match (&self.saved, &self.there) {
            (Some(saved), Some(there)) => saved.eq_ignore_ascii_case(there),
            _ => false,
        }
    }

    fn to_json(&self) -> Value {
        json!({ "what": self.what, "saved": self.saved, "there": self.there, "same": self.is_same() })
    }
}

fn first(list: &TaggedList, tag: Tag) -> Option<String> {
    list.paths(tag).next().map(str::to_owned)
}

/// A restore is registered by a program on the CA's own machine (certbcli.md 9.1, 10.3).
fn steps(sets: &[PathBuf]) -> Vec<String> {
    let mut steps = vec!["copy the sets to the CA's machine".to_owned()];
    for from in sets {
        steps.push(format!(
            "there, run for {}: `certutil -restoreDB DIR` on a Windows CA; on ours stop the service and run `certadm \
             restore` with every --from at once",
            from.display()
        ));
    }
    steps.push("start the CA's service again: it recovers before it serves".to_owned());
    steps.push("copy the dynamic files back, and take a new full backup".to_owned());
    steps
}
