//! Sets that a place holds and that cannot be read, each with what to do about it. History is worth the trouble: nothing here leads to
//! deleting it.

use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::words::shell_word;

/// A set that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its folder's name, or that of its snapshot.
    pub name: String,
    /// What is wrong.
    pub why: String,
    /// What to do about it.
    pub remedy: String,
}

impl Unreadable {
    /// A set in a folder of sets. What certutil wrote lacks a manifest, and is sound as it is.
    pub(crate) fn in_folder(name: String, error: &certadm_set::Error) -> Self {
        Self { name, why: chain_of(error), remedy: error.remedy().into_owned() }
    }

    /// A set of which it cannot be told who has signed it: its name, and why.
    pub(crate) fn untold((name, why): (String, String)) -> Self {
        let remedy =
            "run `certadm verify` on it: that says what keeps its signature from being read".to_owned();
        Self { name, why, remedy }
    }

    /// A snapshot of the repository with this address.
    pub(crate) fn in_vault(name: String, address: &str) -> Self {
        let why = "its snapshot cannot be read".to_owned();
        let remedy = format!(
            "see what is lost, and what brings it back: certadm repository repair {}",
            shell_word(address)
        );
        Self { name, why, remedy }
    }
}

#[cfg(test)]
mod tests {
    use certadm_set::Error;

    use super::*;
    use crate::config::Config;
    use crate::place;

    /// The remedy for a sound set of certutil ended with its removal.
    #[test]
    fn what_cannot_be_read_is_to_be_sealed_or_repaired_and_not_removed() {
        let dir = certadm_files::scratch::for_test();
        let old = dir.path().join("sets/web/old2019");
        std::fs::create_dir_all(old.join("DataBase")).unwrap();
        std::fs::write(old.join("DataBase/CA.db"), [1; 4096]).unwrap();
        let text = "[ca]\nweb = { dir = 'ca' }\n[job.j]\nca = 'web'\nto = 'sets'\nfull = 'hourly'";
        let config = Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
        let (job, ca) = (config.job("j").unwrap(), config.ca("web").unwrap());
        let held = place::look(&config, &job.to[0], (job, ca), 1_000).unwrap();
        let [unsealed] = held.unreadable.as_slice() else { panic!("{held:?}") };
        assert!(unsealed.name == "old2019" && unsealed.why.contains("no manifest"), "{unsealed:?}");
        let of_certutil = Error::Incomplete { path: old.clone(), is_of_certutil: true };
        let of_certutil = Unreadable::in_folder("old2019".to_owned(), &of_certutil);
        assert!(of_certutil.remedy.contains(&format!("certadm seal {}", old.display())), "{of_certutil:?}");
        let snapshot = Unreadable::in_vault("1a2b".to_owned(), "vault:Corp CA");
        assert!(snapshot.remedy.ends_with("certadm repository repair 'vault:Corp CA'"), "{snapshot:?}");
        for Unreadable { why, remedy, .. } in [unsealed, &of_certutil, &snapshot] {
            assert!(!format!("{why} {remedy}").contains("remove"), "{why}: {remedy}");
        }
    }
}
