//! Several jobs of one CA: what they may not do, and what they have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::{Ca, Config, Job, Name};

impl Config {
    /// Finds the CAs whose evidence several jobs have in one folder.
    pub(super) fn find_shared(&mut self) {
        // How many jobs have the CA and that folder, and how many of them rehearse.
        let mut jobs: BTreeMap<(PathBuf, Name), (usize, usize)> = BTreeMap::new();
        for job in self.jobs.values() {
            for ca in &job.cas {
                let (all, rehearsing) = jobs.entry((job.evidence.clone(), ca.clone())).or_default();
                *all += 1;
                *rehearsing += usize::from(job.rehearse.is_some());
            }
        }
        for job in self.jobs.values_mut() {
            let of = |ca: &Name| jobs.get(&(job.evidence.clone(), ca.clone())).copied().unwrap_or_default();
            let rehearses = job.rehearse.is_some();
            let shared = job.cas.iter().map(|ca| (ca, of(ca))).filter(|(_, (all, _))| 1 < *all);
            job.shared = shared.map(|(ca, (_, many))| (ca.clone(), rehearses && 1 < many)).collect();
        }
    }

    /// Finds the CAs whose logs another job backs up. Two sections may be of one CA.
    pub(super) fn find_logs(&mut self) {
        let key = |name: &Name| self.cas.get(name).map(|ca| ca.place.key());
        let with_logs = self.jobs.values().filter(|job| job.logs.is_some());
        let with_logs: BTreeSet<PathBuf> = with_logs.flat_map(|job| &job.cas).filter_map(key).collect();
        let is_elsewhere = |name: &&Name| key(name).is_some_and(|place| with_logs.contains(&place));
        let of = |job: &Job| job.cas.iter().filter(is_elsewhere).cloned().collect::<BTreeSet<Name>>();
        let without = self.jobs.iter().filter(|(_, job)| job.logs.is_none());
        let found: Vec<_> = without.map(|(name, job)| (name.clone(), of(job))).collect();
        for (name, elsewhere) in found {
            self.jobs.entry(name).and_modify(|job| job.logs_elsewhere = elsewhere);
        }
    }

    /// After a backup of logs the CA deletes them, so that two jobs with logs of one CA would have half of them each. Two sections
    /// may be of one CA, too.
    pub(super) fn refuse_two_chains(&self) -> std::result::Result<(), String> {
        let mut seen: BTreeMap<PathBuf, (&Name, &Name)> = BTreeMap::new();
        for job in self.jobs.values().filter(|job| job.logs.is_some()) {
            for name in &job.cas {
                let Some(place) = self.cas.get(name).map(|ca| ca.place.key()) else { continue };
                match seen.insert(place, (&job.name, name)) {
                    Some((other, same)) if same == name => {
                        return Err(format!(
                            "the jobs {other} and {} both back up the logs of {name}, and each would have half of them: name both \
                             places in one job, as to = [\"one:\", \"other:\"]",
                            job.name
                        ));
                    }
                    Some((_, other)) => {
                        return Err(format!(
                            "the sections ca.{other} and ca.{name} are of one CA, whose logs are backed up for both, and each would \
                             have half of them: keep one of the sections"
                        ));
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }

    /// A vault knows a CA by its own name, so that two of one name would have their sets mixed there. Two sections of one CA may be. Names
    /// that a folder tells are compared when a run needs them ([`crate::names`]).
    pub(super) fn refuse_one_name(&self) -> std::result::Result<(), String> {
        // Looked up and not compared with each other: the file is read again by every run, and may name thousands.
        let mut known: BTreeMap<(&str, &str), &Ca> = BTreeMap::new();
        for job in self.jobs.values() {
            for ca in job.cas.iter().filter_map(|name| self.cas.get(name)) {
                let Some(name) = ca.given_name() else { continue };
                for vault in job.vaults() {
                    let first = *known.entry((vault, name)).or_insert(ca);
                    if first.name != ca.name && first.place.key() != ca.place.key() {
                        return Err(format!("{}: {ONE_OF_THEM}", alike_text(vault, first, ca, name)));
                    }
                }
            }
        }
        Ok(())
    }

    /// The other CAs that some job has in a vault of this job, each with that vault.
    pub fn in_one_vault<'a>(&'a self, job: &'a Job, ca: &Ca) -> Vec<(&'a str, &'a Ca)> {
        let here: BTreeSet<&str> = job.vaults().collect();
        let mut others = BTreeMap::new();
        for job in self.jobs.values() {
            let Some(vault) = job.vaults().find(|vault| here.contains(vault)) else { continue };
            let cas = job.cas.iter().filter_map(|name| self.cas.get(name));
            for other in cas.filter(|other| other.place.key() != ca.place.key()) {
                others.entry(&other.name).or_insert((vault, other));
            }
        }
        others.into_values().collect()
    }
}

/// What to do about two CAs of one name that have a vault together.
pub const ONE_OF_THEM: &str =
    "give one of them another vault, or say in `name` of its section how it is called there";

/// What is wrong with two CAs of one name that have a vault together.
#[must_use]
pub fn alike_text(vault: &str, one: &Ca, other: &Ca, name: &str) -> String {
    format!(
        "the CAs ca.{} and ca.{} both have the name {name} of their own, and their sets would be mixed in {vault}",
        one.name, other.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cas_of_one_name_have_no_vault_together() {
        let of = |first: &str, second: &str, places: [&str; 2]| {
            let jobs = places.map(|to| format!("to = {to}\nfull = 'hourly'\n"));
            let text = format!(
                "[ca]\na = {{ server = 'a', {first} }}\nb = {{ server = 'b', {second} }}\n\
                 [job.j]\nca = 'a'\n{}[job.k]\nca = 'b'\n{}",
                jobs[0], jobs[1]
            );
            Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).map(|_| ())
        };
        let (same, other) = ("name = 'Corp CA'", "name = 'Other CA'");
        let refused = of(same, same, ["['/x', 'vault:']", "'vault:'"]).unwrap_err();
        assert!(refused.contains("ca.a and ca.b") && refused.contains("mixed in vault"), "{refused}");
        of(same, other, ["'vault:'", "'vault:'"]).unwrap();
        of(same, same, ["'vault:'", "'second:'"]).unwrap();
        // Below a folder each has one of the name of its section.
        of(same, same, ["'/x'", "'/x'"]).unwrap();
        // Two sections of one CA may be, and do not hide a third one of another CA.
        let of_three = |third: &str| {
            let text = format!(
                "[ca]\na = {{ server = 'a', {same} }}\nb = {{ server = 'A', {same} }}\nc = {{ server = '{third}', {same} }}\n\
                 [job.j]\nca = 'all'\nto = 'vault:'\nfull = 'hourly'"
            );
            Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).map(|_| ())
        };
        of_three("a").unwrap();
        let refused = of_three("c").unwrap_err();
        assert!(refused.contains("ca.a and ca.c"), "{refused}");
    }

    /// Each pair of CAs was compared, which took 22 seconds for 4,000 of them. A test that becomes slow shows it, and asserts no time.
    #[test]
    fn thousands_of_cas_in_one_vault_are_read_at_once() {
        let cas: String =
            (0..20_000).map(|number| format!("ca{number} = {{ server = 's{number}' }}\n")).collect();
        let text = format!("[ca]\n{cas}[job.j]\nca = 'all'\nto = 'vault:'\nfull = 'hourly'");
        let config = Config::parse(&text, "/etc/certadm/certadm.toml".as_ref()).unwrap();
        assert_eq!(config.job("j").unwrap().cas.len(), 20_000);
    }
}
