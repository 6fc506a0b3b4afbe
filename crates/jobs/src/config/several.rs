//! Several jobs of one CA: what they may not do, and what they have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Ca, Config, Name, Place, Target};

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

    /// After a backup of logs the CA deletes them, so that two jobs with logs of one CA would have half of them each. Two sections
    /// may be of one CA, too.
    pub(super) fn refuse_two_chains(&self) -> std::result::Result<(), String> {
        let mut seen: BTreeMap<PathBuf, (&Name, &Name)> = BTreeMap::new();
        for job in self.jobs.values().filter(|job| job.logs.is_some()) {
            for name in &job.cas {
                let Some(place) = self.cas.get(name).map(|ca| where_it_is(&ca.place)) else { continue };
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

    /// A vault knows a CA by its own name, so that two of one name would have their sets mixed there. Two sections of one CA may be.
    pub(super) fn refuse_one_name(&self) -> std::result::Result<(), String> {
        let mut seen: BTreeMap<(&str, &str), &Ca> = BTreeMap::new();
        for job in self.jobs.values() {
            let vaults = job.to.iter().filter_map(|target| match target {
                Target::Vault(vault) => Some(vault.as_str()),
                Target::Folder(_) => None,
            });
            for vault in vaults {
                for ca in job.cas.iter().filter_map(|name| self.cas.get(name)) {
                    let other = *seen.entry((vault, &ca.own_name)).or_insert(ca);
                    if where_it_is(&other.place) != where_it_is(&ca.place) {
                        return Err(format!(
                            "the CAs ca.{} and ca.{} both have the name {} of their own, and their sets would be mixed in {vault}: \
                             give one of them another vault, or say in `name` of its section how it is called there",
                            other.name, ca.name, ca.own_name
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is the same for two sections of one CA. Nothing is looked at: a folder that hangs must not keep the file from being read.
fn where_it_is(place: &Place) -> PathBuf {
    match place {
        Place::Folder(path, _) | Place::Socket(path) => path.components().collect(),
        Place::Server(server, _) => server.to_lowercase().into(),
    }
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
    }
}
