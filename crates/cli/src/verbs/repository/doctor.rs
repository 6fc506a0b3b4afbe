//! `certadm doctor VAULT:`: the steps between here and a backup into a vault, and the first that fails.

use std::path::Path;

use certadm_repository::{Step, examine};
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::Class;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{Finding, Kind};
use serde_json::{Value, json};

use super::named::address;
use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output};
use crate::terminal::Tone;
use crate::verbs::places;

pub(crate) fn walk(word: &Path, output: Output) -> Result<Done, Failure> {
    let address = address(word)?;
    let vault = places::vault(&address.vault)?;
    let mut show = |step: &Step| {
        let (sign, tone, text) = match &step.seen {
            Ok(seen) => ("ok  ", Tone::Good, seen.clone()),
            Err(error) => ("SHUT", Tone::Bad, chain_of(error)),
        };
        output.toned("", sign, Some(tone), &format!(" {:16} {text}", step.name));
    };
    let steps = examine(&vault, address.ca.as_deref(), &mut show);
    let failed = steps.last().and_then(|step| step.seen.as_ref().err());
    let found: Vec<Finding> = failed
        .iter()
        .map(|error| {
            let finding = Finding::error(Kind::Unreadable, error.hresult(), chain_of(error));
            finding.in_file(vault.place()).remedy(error.remedy())
        })
        .collect();
    findings::print(&found, output);
    let exit = failed.map_or(Exit::Good, |error| class(error.class()));
    if failed.is_none() {
        output.line(format!("A backup can go into {}:.", vault.name()));
    }
    let shown: Vec<Value> = certadm_repository::steps(&vault)
        .into_iter()
        .map(|name| match steps.iter().find(|step| step.name == name) {
            Some(Step { seen: Ok(seen), .. }) => json!({ "step": name, "verdict": "ok", "seen": seen }),
            Some(Step { seen: Err(error), .. }) => {
                json!({ "step": name, "verdict": "shut", "seen": chain_of(error) })
            }
            None => json!({ "step": name, "verdict": "skipped", "seen": Value::Null }),
        })
        .collect();
    Ok(Done {
        exit,
        result: json!({
            "vault": vault.name(),
            "place": vault.place(),
            "ready": failed.is_none(),
            "steps": shown,
            "findings": findings::list(&found),
        }),
    })
}

fn class(class: Class) -> Exit {
    class.into()
}
