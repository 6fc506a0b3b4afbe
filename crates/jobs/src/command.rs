//! The command of a step. Every step is a verb of `certadm` that a person could type; no secret is in it.

use std::ffi::OsString;
use std::path::PathBuf;

use certadm_repository::Keep;
use certadm_set::manifest::SetKind;

use crate::config::{Ca, Job, Place, Target};
use crate::evidence;
use crate::held::{Held, NoBase};
use crate::place;
use crate::step::Step;

/// The words behind `certadm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(pub Vec<OsString>);

impl Words {
    fn new(verb: &str) -> Self {
        Self(verb.split(' ').map(OsString::from).collect())
    }

    fn add(&mut self, word: impl Into<OsString>) -> &mut Self {
        self.0.push(word.into());
        self
    }

    fn option(&mut self, name: &str, value: Option<impl Into<OsString>>) -> &mut Self {
        if let Some(value) = value {
            self.add(name).add(value);
        }
        self
    }
}

impl std::fmt::Display for Words {
    /// As a shell takes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("certadm")?;
        for word in &self.0 {
            write!(f, " {}", certadm_rules::words::shell_word(word.to_string_lossy()))?;
        }
        Ok(())
    }
}

/// The command of a step at a place of the job; `None` where there is nothing to work on.
#[must_use]
pub fn of(job: &Job, ca: &Ca, (step, at): (Step, usize), held: &Held, now: i64) -> Option<Words> {
    let first = job.to.first()?;
    let target = job.to.get(at)?;
    let state = place::newest_state(first, ca, held);
    let (is_stored, is_empty) = (!held.stored_state().is_empty(), held.newest_state().is_empty());
    // Behind a damaged set, or one that nobody has signed, no restore can use them: no log is deleted for their sake. Nor are those that
    // another job backs up, whose sets lead on from each other.
    let has_own_logs = !job.logs_elsewhere.contains(&ca.name);
    let truncates = !held.has_doubtful_base() && has_own_logs;
    match step {
        Step::Look => None,
        Step::Ask => {
            let mut words = Words::new("doctor");
            reach(&mut words, ca);
            words.add("--no-prepare");
            Some(words)
        }
        // The key of this one may be as wrong as that of the set which does not count: the log set after it lets the CA delete its logs.
        Step::Full => {
            let is_signed = !matches!(held.base(), Err(NoBase::Unsigned { .. }));
            Some(backup(job, ca, first, (SetKind::Full, has_own_logs && is_signed), now))
        }
        Step::Logs => Some(backup(job, ca, first, (SetKind::Logs, truncates), now)),
        Step::Verify if is_stored => {
            let mut words = Words::new("verify");
            words.0.extend(place::stored_state(first, ca, held).into_iter().map(OsString::from));
            words.option("--allowed-signers", job.allowed_signers.as_ref());
            words.option("--scratch", job.scratch.as_ref());
            Some(words)
        }
        Step::Verify => None,
        _ if is_empty => None,
        Step::Copy => Some(copy(ca, first, target, held)),
        Step::Prune => prune(job, ca, target),
        Step::Complete => {
            let mut words = Words::new("complete");
            words.0.extend(state.into_iter().map(OsString::from));
            keys(&mut words, ca);
            if ca.keys.is_external {
                words.add("--external-key");
            }
            // It may be a plain folder with ca.toml and ca.crt, for rehearsals.
            let identity = ca.identity.as_ref().filter(|dir| !certadm_identity::found_at(dir).is_empty());
            words.option("--identity", identity);
            words.option("--allowed-signers", job.allowed_signers.as_ref());
            words.option("--scratch", job.scratch.as_ref());
            Some(words)
        }
        Step::Rehearse => Some(rehearse(job, ca, state)),
    }
}

fn backup(job: &Job, ca: &Ca, target: &Target, (kind, truncates): (SetKind, bool), now: i64) -> Words {
    let mut words = Words::new("backup");
    reach(&mut words, ca);
    let to = match target {
        Target::Vault(vault) => OsString::from(place::address(vault, ca, "")),
        Target::Folder(folder) => {
            certadm_set::folder::new_set(&place::folder_of(folder, ca), kind, now).into()
        }
    };
    words.add("--to").add(to);
    if kind == SetKind::Logs {
        words.add("--type").add("logs");
        // Otherwise each log set holds all logs since the full set, and the sets grow with the square of their number.
        if truncates {
            words.add("--truncate");
        }
    } else if !truncates {
        words.add("--keep-logs");
    }
    words.option("--bandwidth", job.bandwidth.map(|speed| speed.to_string()));
    if job.sha256 {
        words.add("--sha256");
    }
    words.option("--sign-key", job.sign_key.as_ref());
    words.option("--sign-passphrase-file", job.sign_passphrase_file.as_ref());
    words.option("--scratch", job.scratch.as_ref());
    words
}

/// How the CA is reached, and as whom.
fn reach(words: &mut Words, ca: &Ca) {
    match &ca.place {
        Place::Folder(dir, socket) => {
            words.add("--dir").add(dir).option("--socket", socket.as_ref());
        }
        Place::Socket(socket) => {
            words.add("--socket").add(socket);
        }
        Place::Server(server, account) => {
            words.add("--server").add(server);
            words.option("--user", account.user.as_ref());
            words.option("--password-file", account.password_file.as_ref());
            words.option("--keytab", account.keytab.as_ref());
            words.option("--ticket-cache", account.ticket_cache.as_ref());
            words.option("--mechanism", account.mechanism.as_ref());
            words.option("--realm", account.realm.as_ref());
            for kdc in &account.kdc {
                words.add("--kdc").add(kdc);
            }
        }
    }
}

fn copy(ca: &Ca, from: &Target, to: &Target, held: &Held) -> Words {
    let state = || place::newest_state(from, ca, held).into_iter().map(OsString::from);
    match (from, to) {
        (Target::Vault(from), Target::Vault(to)) => {
            let mut words = Words::new("repository copy");
            words.add(place::address(from, ca, "")).add(format!("{to}:"));
            words
        }
        (Target::Folder(_), Target::Vault(to)) => {
            let mut words = Words::new("repository import");
            words.add("--to").add(place::address(to, ca, ""));
            words.0.extend(state());
            words
        }
        (_, Target::Folder(folder)) => {
            let mut words = Words::new("copy");
            words.0.extend(state());
            words.add("--to").add(place::folder_of(folder, ca));
            words
        }
    }
}

fn prune(job: &Job, ca: &Ca, target: &Target) -> Option<Words> {
    let keep = job.keep?;
    let mut words = match target {
        Target::Vault(vault) => {
            let mut words = Words::new("repository expire");
            words.add(place::address(vault, ca, ""));
            words
        }
        Target::Folder(folder) => {
            let mut words = Words::new("prune");
            words.add(place::folder_of(folder, ca));
            // Before the first rehearsal there is none.
            for dir in evidence::folders_of(job, ca).iter().filter(|dir| dir.is_dir()) {
                words.add("--evidence").add(dir);
            }
            words
        }
    };
    let Keep { last, within, daily, weekly, monthly, yearly } = keep;
    let number = |number: u32| Some(number).filter(|number| 0 < *number).map(|number| number.to_string());
    words.option("--keep-last", number(last));
    // What is rounded off would be deleted.
    let span = |within: i64| match within % 3_600 {
        0 => format!("{}h", within / 3_600),
        _ => format!("{within}s"),
    };
    words.option("--keep-within", Some(within).filter(|within| 0 < *within).map(span));
    words.option("--keep-daily", number(daily));
    words.option("--keep-weekly", number(weekly));
    words.option("--keep-monthly", number(monthly));
    words.option("--keep-yearly", number(yearly));
    Some(words)
}

fn rehearse(job: &Job, ca: &Ca, state: Vec<PathBuf>) -> Words {
    let mut words = Words::new("rehearse");
    words.0.extend(state.into_iter().map(OsString::from));
    match ca.keys.is_external {
        true => {
            words.add("--external-key");
        }
        false => keys(&mut words, ca),
    }
    // One that is gone would be refused, and what the sets hold may do: `config check` tells of it.
    words.option("--identity", ca.identity.as_ref().filter(|dir| dir.is_dir()));
    words.option("--allowed-signers", job.allowed_signers.as_ref());
    words.add("--rpo").add(format!("{}s", job.limits.rpo));
    words.option("--rto", job.limits.rto.map(|rto| format!("{rto}s")));
    words.add("--evidence").add(evidence::folder_of(job, ca));
    words.option("--within", job.scratch.as_ref());
    words
}

fn keys(words: &mut Words, ca: &Ca) {
    for key in &ca.keys.files {
        words.add("--key").add(key);
    }
    words.option("--passphrase-file", ca.keys.passphrase_file.as_ref().filter(|_| !ca.keys.files.is_empty()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::held::tests::set;

    /// Rounded to hours, `30min` would keep nothing.
    #[test]
    fn what_is_kept_is_said_to_the_second() {
        for (within, word) in [("30min", "1800s"), ("1h30min", "5400s"), ("48h", "48h"), ("1w2d", "216h")] {
            let text = format!(
                "[ca]\nweb = {{ dir = 'ca' }}\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'\nkeep = {{ within = '{within}' }}"
            );
            let config = Config::parse(&text, std::path::Path::new("/etc/certadm.toml")).unwrap();
            let held = Held::new(&[set(10, SetKind::Full, (1, 5))], 100);
            let (job, ca) = (config.job("j").unwrap(), config.ca("web").unwrap());
            let words = of(job, ca, (Step::Prune, 0), &held, 100).unwrap().to_string();
            assert!(words.ends_with(&format!(" --keep-within {word}")), "{words}");
        }
    }

    /// Each full backup of the one job deleted the logs that the other one was to back up next.
    #[test]
    fn a_job_leaves_the_logs_of_a_ca_to_the_job_that_backs_them_up() {
        let text = "[ca]\nweb = { dir = 'ca' }\nagain = { dir = 'ca/' }\nother = { dir = 'other' }\n\
            [job.a]\nca = 'web'\nto = 'sets'\nfull = 'hourly'\nlogs = 'every 15m'\n\
            [job.b]\nca = 'all'\nto = 'second'\nfull = 'hourly'";
        let config = Config::parse(text, std::path::Path::new("/etc/certadm.toml")).unwrap();
        let held = Held::new(&[set(10, SetKind::Full, (1, 5))], 100);
        let words = |job, ca, step| {
            let (job, ca) = (config.job(job).unwrap(), config.ca(ca).unwrap());
            of(job, ca, (step, 0), &held, 100).unwrap().to_string()
        };
        let keeps = |job, ca| words(job, ca, Step::Full).contains(" --keep-logs");
        assert!(keeps("b", "web") && keeps("b", "again"), "two sections of one CA");
        assert!(!keeps("a", "web") && !keeps("b", "other"));
        let truncates = |job| words(job, "web", Step::Logs).contains(" --truncate");
        assert!(truncates("a") && !truncates("b"), "somebody has asked for logs");
    }

    /// The key of the next full backup may be as wrong as that of the set which does not count.
    #[test]
    fn no_log_is_deleted_for_a_full_backup_that_may_not_count() {
        let text = "[ca]\nweb = { dir = 'ca' }\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'\nlogs = 'every 15m'";
        let config = Config::parse(text, std::path::Path::new("/etc/certadm.toml")).unwrap();
        let (job, ca) = (config.job("j").unwrap(), config.ca("web").unwrap());
        let full = set(10, SetKind::Full, (1, 5));
        let keeps = |held: &Held| {
            of(job, ca, (Step::Full, 0), held, 100).unwrap().to_string().contains(" --keep-logs")
        };
        let unsigned = vec![(set(20, SetKind::Logs, (6, 7)), "nobody".to_owned())];
        assert!(keeps(&Held { unsigned, ..Held::new(std::slice::from_ref(&full), 100) }));
        assert!(!keeps(&Held::new(&[full], 100)));
    }

    #[test]
    fn a_rehearsal_names_no_folder_of_identity_that_is_gone() {
        let dir = certadm_files::scratch::for_test();
        let text = "[ca]\nweb = { dir = 'ca', identity = 'identity' }\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'\nrehearse = 'hourly'";
        let config = Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
        let held = Held::new(&[set(10, SetKind::Full, (1, 5))], 100);
        let names_it = || {
            let words =
                of(config.job("j").unwrap(), config.ca("web").unwrap(), (Step::Rehearse, 0), &held, 100);
            words.unwrap().0.contains(&OsString::from("--identity"))
        };
        assert!(!names_it());
        std::fs::create_dir(dir.path().join("identity")).unwrap();
        assert!(names_it());
    }
}
