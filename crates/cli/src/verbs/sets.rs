//! `certadm sets`: which sets lie in a folder or a repository, which of them belong together, and to which moments a CA can
//! be restored from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind, Severity};
use certadm_rules::names::unsanitize;
use certadm_rules::words::counted;
use certadm_set::folder::{self, Listed};
use certadm_set::manifest::SetKind;
use certadm_set::nearby;
use certadm_set::standing::{Standing, missing, standings};
use certadm_set::stored::{Stored, newest_first};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output, human_bytes, path_text};

/// `certadm sets`
#[derive(Debug, Args)]
#[command(after_help = "Example: certadm sets /backup\n\
    Example: certadm sets 'vault:Example CA'\n\
    It reads what the sets say of themselves, and no more: `certadm verify` reads all of it.")]
pub(crate) struct SetsArgs {
    /// The folder in which the sets lie, or the repository of a CA: vault:CA
    #[arg(value_name = "DIR")]
    place: PathBuf,
}

pub(crate) fn run(args: &SetsArgs, output: Output) -> Result<Done, Failure> {
    #[cfg(feature = "repository")]
    if let Some(address) = super::places::address(&args.place)? {
        let repository = super::places::open(&address)?;
        let (points, proven) = (repository.points()?, repository.proven()?);
        let proven =
            points.iter().filter(|point| point.is_noted(&proven)).map(|point| point.id.clone()).collect();
        let place = repository.address();
        return Ok(show(&place, &points, &proven, &Listed::default(), output));
    }
    let listed = folder::list(&args.place)?;
    let proven = folder::proven(&args.place, &listed.sets, certadm_store::now().unix_seconds());
    Ok(show(&path_text(&args.place), &listed.sets, &proven, &listed, output))
}

fn show<S: Stored>(
    place: &str,
    sets: &[S],
    proven: &BTreeSet<String>,
    listed: &Listed,
    output: Output,
) -> Done {
    let mut cas: BTreeMap<(&str, &str), Vec<&S>> = BTreeMap::new();
    for set in sets {
        cas.entry((set.ca(), set.database())).or_default().push(set);
    }
    if cas.is_empty() {
        let below = nearby::with_sets_in(Path::new(place));
        let below = below.map(|below| format!(" Sets lie in {}.", below.display())).unwrap_or_default();
        output.result(format!("{place}: no complete set lies there.{below}"));
    }
    let mut found = Vec::new();
    let shown: Vec<Value> = cas
        .into_iter()
        .map(|((ca, database), own)| show_ca(place, (ca, database), &own, proven, &mut found, output))
        .collect();
    found.extend(left_out(&listed.unsealed, &listed.unreadable, "it was left out"));
    for path in &listed.unfinished {
        output.line(format!("Unfinished: {}", path.display()));
    }
    findings::print(&found, output);
    let exit = if found.iter().any(|finding| finding.severity != Severity::Note) {
        Exit::Finding
    } else {
        Exit::Good
    };
    let paths = |paths: &[PathBuf]| paths.iter().map(|path| path_text(path)).collect::<Vec<_>>();
    let result = json!({
        "place": place,
        "cas": shown,
        "unsealed": paths(&listed.unsealed),
        "unfinished": paths(&listed.unfinished),
        "findings": findings::list(&found),
    });
    Done { exit, result }
}

/// The sets of one database, each full set with the log sets that continue it.
fn show_ca<S: Stored>(
    place: &str,
    (ca, database): (&str, &str),
    own: &[&S],
    proven: &BTreeSet<String>,
    found: &mut Vec<Finding>,
    output: Output,
) -> Value {
    let now = certadm_store::now().unix_seconds();
    let mut standings = standings(own, now);
    // Each full set, and behind it what continues it; last what continues nothing.
    let places: BTreeMap<&str, usize> =
        own.iter().enumerate().map(|(place, set)| (set.id(), place)).collect();
    standings.sort_by_key(|standing| {
        let base = standing.base.and_then(|base| places.get(base.id()).copied());
        (base.unwrap_or(usize::MAX), places.get(standing.set.id()).copied())
    });
    let bytes = own.iter().map(|set| set.bytes()).fold(0, u64::saturating_add);
    let newest = standings.iter().filter(|standing| standing.base.is_some()).map(|standing| standing.set);
    let newest = newest_first(&newest.collect::<Vec<_>>(), now).first().map(|set| moment(set.time()));
    let chains = own.iter().filter(|set| set.kind() == SetKind::Full).count();
    output.result(format!(
        "{}: {} in {}, {}; {}",
        unsanitize(ca),
        counted(own.len() as u64, "set"),
        counted(chains as u64, "chain"),
        human_bytes(bytes),
        match &newest {
            Some(newest) => format!("can be restored up to {newest}"),
            None => "nothing can be restored: there is no full set".to_owned(),
        },
    ));
    for standing in &standings {
        let mut notes = Vec::new();
        if proven.contains(standing.set.id()) {
            notes.push("proven".to_owned());
        }
        if let Some(later) = standing.superseded_by {
            notes.push(format!("superseded by {}", later.name()));
        }
        if standing.is_of_another_past {
            notes.push("of another past than the newest state".to_owned());
        }
        if standing.base.is_none() {
            notes.push("continues no full set that is here".to_owned());
            let text = format!("the log set {} continues no full set that is here", standing.set.name());
            found.push(
                Finding::warning(Kind::Combination, text)
                    .in_file(PathBuf::from(place))
                    .remedy("bring the sets before it back, or take a full backup"),
            );
        }
        let notes = if notes.is_empty() { String::new() } else { format!("  {}", notes.join(", ")) };
        output.result(format!("{}{notes}", line(standing.set)));
    }
    if standings.iter().any(|standing| standing.is_of_another_past) {
        let text = format!(
            "the CA {} has given generations again: it was set back to an earlier state, or copied, and the newest state does not have \
             what sets of another past hold",
            unsanitize(ca)
        );
        let remedy = "look into the sets that are marked with `certadm list`: what was issued then can be revoked by `certadm \
                      emergency-crl` alone; take a full backup, and run one copy of a CA only";
        found.push(Finding::warning(Kind::Combination, text).in_file(PathBuf::from(place)).remedy(remedy));
    }
    let missing = missing(own);
    for (low, high) in &missing {
        output.result(format!("  no set holds generations {low:#x} to {high:#x}"));
    }
    json!({
        "ca": unsanitize(ca),
        "database": database,
        "bytes": bytes,
        "newest": newest,
        "sets": standings.iter().map(|standing| standing_json(standing, proven)).collect::<Vec<_>>(),
        "missing": missing.iter().map(|(low, high)| json!({ "low": low, "high": high })).collect::<Vec<_>>(),
    })
}

fn standing_json<S: Stored>(standing: &Standing<'_, S>, proven: &BTreeSet<String>) -> Value {
    let mut set = to_json(standing.set);
    set["base"] = json!(standing.base.map(Stored::id));
    set["superseded_by"] = json!(standing.superseded_by.map(Stored::id));
    set["another_past"] = json!(standing.is_of_another_past);
    set["proven"] = json!(proven.contains(standing.set.id()));
    set
}

/// A set as a line of a list.
pub(super) fn line<S: Stored>(set: &S) -> String {
    let (low, high) = set.generations();
    let indent = if set.kind() == SetKind::Full { "  " } else { "    " };
    format!(
        "{indent}{}  {}  {:4}  generations {low:#x} to {high:#x}  {}",
        set.name(),
        moment(set.time()),
        set.kind(),
        human_bytes(set.bytes())
    )
}

/// A set as JSON has it.
pub(super) fn to_json<S: Stored>(set: &S) -> Value {
    json!({
        "id": set.id(),
        "finished": moment(set.time()),
        "type": set.kind(),
        "generations": { "low": set.generations().0, "high": set.generations().1 },
        "bytes": set.bytes(),
    })
}

/// Sets of which nothing tells what they belong to.
pub(super) fn left_out(
    unsealed: &[PathBuf],
    unreadable: &[(PathBuf, certadm_set::Error)],
    what: &str,
) -> Vec<Finding> {
    let unsealed = unsealed.iter().map(|path| {
        let text = format!("it has no manifest that says what it belongs to: {what}");
        Finding::note(Kind::Manifest, text)
            .in_file(path.clone())
            .remedy("`certadm seal` gives what certutil wrote a manifest; another set was not completed")
    });
    let unreadable = unreadable.iter().map(|(path, error)| {
        let text = format!("{what}: {}", certadm_rules::diagnosis::chain_of(error));
        let finding = Finding::warning(Kind::Unreadable, text).in_file(path.clone());
        finding.remedy("run `certadm verify` on it")
    });
    unsealed.chain(unreadable).collect()
}

/// RFC 3339, UTC.
fn moment(seconds: i64) -> String {
    FileTime::from_unix_seconds(seconds).to_rfc3339()
}
