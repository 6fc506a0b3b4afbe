//! Several jobs of one CA: what they may not do, and what they have in common.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{Config, Name, Place};

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
}

/// What is the same for two sections of one CA. Nothing is looked at: a folder that hangs must not keep the file from being read.
fn where_it_is(place: &Place) -> PathBuf {
    match place {
        Place::Folder(path, _) | Place::Socket(path) => path.components().collect(),
        Place::Server(server, _) => server.to_lowercase().into(),
    }
}
