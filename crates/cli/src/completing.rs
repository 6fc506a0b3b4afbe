//! What a shell offers behind the cursor: verbs and options, and the names that the configuration of this machine has: jobs, CAs,
//! vaults, and the points that a run has seen last. Nobody is asked for them: no CA, no vault, no other machine.

use std::ffi::OsStr;
use std::io::{self, Write};

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Elvish, EnvCompleter, Fish, Powershell, Zsh};

use crate::args;

/// The variable by which the scripts ask this command.
const VARIABLE: &str = "CERTADM_COMPLETE";
/// For bash, which splits words at colons: they are joined again, and what stands before the last colon is taken off the answers.
const BASH: &str = include_str!("completing.bash");

/// Answers a shell, and ends, where one asks.
pub(crate) fn answer() {
    CompleteEnv::with_factory(command).var(VARIABLE).bin("certadm").completer("certadm").complete();
}

/// Writes the script for a shell.
pub(crate) fn write_script(shell: Shell, to: &mut dyn Write) -> io::Result<()> {
    let script: &dyn EnvCompleter = match shell {
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::PowerShell => &Powershell,
        Shell::Zsh => &Zsh,
        _ => return to.write_all(BASH.as_bytes()),
    };
    script.write_registration(VARIABLE, "certadm", "certadm", "certadm", to)
}

/// The command line, which knows what each value can be.
fn command() -> Command {
    with_values(args::command())
}

fn with_values(command: Command) -> Command {
    let name = command.get_name().to_owned();
    command.mut_args(|arg| with_value(&name, arg)).mut_subcommands(with_values)
}

fn with_value(verb: &str, arg: Arg) -> Arg {
    let kind =
        arg.get_value_names().and_then(|names| names.first()).map_or(String::new(), ToString::to_string);
    let completer = match (kind.as_str(), verb, arg.get_id().as_str()) {
        ("JOB", ..) => ArgValueCompleter::new(words(names::jobs)),
        ("NAME", "run" | "check", "ca") => ArgValueCompleter::new(words(names::cas)),
        ("NAME", "init", "ca") => ArgValueCompleter::new(words(names::own_names)),
        ("NAME", _, "server") => ArgValueCompleter::new(words(names::servers)),
        ("ADDRESS", _, "listen") => return arg,
        ("VAULT:", ..) => ArgValueCompleter::new(words(names::vaults)),
        ("ADDRESS" | "FROM" | "TO", ..) => ArgValueCompleter::new(addresses),
        ("SET" | "SET|TABLE" | "PLACE" | "A" | "B", ..) | ("DIR", "sets", _) => {
            ArgValueCompleter::new(|current: &OsStr| {
                let mut all = addresses(current);
                all.extend(PathCompleter::any().complete(current));
                all
            })
        }
        _ => return arg,
    };
    arg.add(completer)
}

/// Those of these words that begin as what is typed.
fn words(all: fn() -> Vec<String>) -> impl Fn(&OsStr) -> Vec<CompletionCandidate> + Send + Sync {
    move |current| {
        let current = current.to_string_lossy();
        let fitting = all().into_iter().filter(|word| word.starts_with(current.as_ref()));
        fitting.map(CompletionCandidate::new).collect()
    }
}

/// `vault:`; behind its colon the CAs and points that are known there.
fn addresses(current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let all = match current.split_once(':') {
        None => names::vaults().into_iter().map(|vault| (vault, None)).collect(),
        Some((vault, _)) => names::points(vault),
    };
    let fitting = all.into_iter().filter(|(word, _)| word.starts_with(current.as_ref()));
    fitting.map(|(word, help)| CompletionCandidate::new(word).help(help.map(Into::into))).collect()
}

#[cfg(feature = "repository")]
mod names {
    use std::collections::{BTreeMap, BTreeSet};
    use std::time::Duration;

    use certadm_jobs::config::Place;
    use certadm_jobs::{Ca, Config, Target, place, points};
    use certadm_repository::Profiles;

    use crate::verbs::bounded::Looks;

    /// So long a folder has to tell the name of its CA.
    const PATIENCE: Duration = Duration::from_millis(500);
    /// So many points of a CA are offered.
    const POINTS: usize = 20;
    /// The digits of an id that are shown everywhere.
    const ID: usize = 8;

    /// What cannot be read offers nothing: a shell is no place for errors.
    fn config() -> Option<Config> {
        Config::load().ok()
    }

    pub(super) fn jobs() -> Vec<String> {
        config().into_iter().flat_map(|config| config.jobs.into_keys()).map(|name| name.to_string()).collect()
    }

    pub(super) fn cas() -> Vec<String> {
        config().into_iter().flat_map(|config| config.cas.into_keys()).map(|name| name.to_string()).collect()
    }

    pub(super) fn own_names() -> Vec<String> {
        let mut looks = Looks::new(PATIENCE);
        let cas = config().into_iter().flat_map(|config| config.cas.into_values());
        cas.filter_map(|ca| own_name(&mut looks, &ca)).collect()
    }

    /// The name of a CA, as its folder tells it at once: somebody waits for his shell.
    fn own_name(looks: &mut Looks, ca: &Ca) -> Option<String> {
        let ca = ca.clone();
        looks.at(move || ca.own_name().to_owned())
    }

    pub(super) fn servers() -> Vec<String> {
        let cas = config().into_iter().flat_map(|config| config.cas.into_values());
        let servers = cas.filter_map(|ca| match ca.place {
            Place::Server(server, _) => Some(server),
            Place::Folder(..) | Place::Socket(_) => None,
        });
        servers.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub(super) fn vaults() -> Vec<String> {
        let name = |profile: &certadm_repository::Profile| format!("{}:", profile.name);
        let listed = Profiles::load().map(|all| all.all().map(name).collect::<Vec<_>>()).unwrap_or_default();
        let here = config().map(|config| config.repositories.all().map(name).collect::<Vec<_>>());
        listed.into_iter().chain(here.unwrap_or_default()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The addresses in a vault, with what stands for them.
    pub(super) fn points(vault: &str) -> Vec<(String, Option<String>)> {
        let Some(config) = config() else { return Vec::new() };
        let first = |job: &certadm_jobs::Job| job.to.first() == Some(&Target::Vault(vault.to_owned()));
        let (mut known, mut looks) = (BTreeMap::new(), Looks::new(PATIENCE));
        for job in config.jobs.values().filter(|job| first(job)) {
            for ca in job.cas.iter().filter_map(|name| config.cas.get(name)) {
                let Some(own) = own_name(&mut looks, ca) else { continue };
                known.insert(own, points::seen(&config, job, ca));
            }
        }
        let mut all = vec![(format!("{vault}:latest"), None)];
        for (own, points) in known {
            all.push((format!("{vault}:{own}"), None));
            for point in points.into_iter().take(POINTS) {
                let id = point.id.get(..ID).unwrap_or(&point.id);
                let help = format!("{} {}", point.kind, place::moment(point.time));
                all.push((format!("{vault}:{own}/{id}"), Some(help)));
            }
        }
        all
    }
}

/// There are no jobs on this system.
#[cfg(not(feature = "repository"))]
mod names {
    pub(super) fn jobs() -> Vec<String> {
        Vec::new()
    }

    pub(super) use jobs as cas;
    pub(super) use jobs as own_names;
    pub(super) use jobs as servers;
    pub(super) use jobs as vaults;

    pub(super) fn points(_vault: &str) -> Vec<(String, Option<String>)> {
        Vec::new()
    }
}
