//! A vault knows a CA by its own name, so that two CAs of one name would have their sets mixed there. Where the configuration does not
//! give the name, the folder of the CA tells it. The run for a CA looks into that folder alone, and remembers in `names.json` among the
//! records what it was told, for the runs of other CAs: a folder that hangs concerns its own CA only.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use certadm_files::{durable, lock};
use certadm_rules::Hresult;
use certadm_rules::diagnosis::Class;
use serde::{Deserialize, Serialize};

use crate::config::{Ca, Config, Job, ONE_OF_THEM, alike_text};
use crate::json_file::{read_json, write_json};
use crate::place::{Unseen, trouble};
use crate::record::Trouble;

/// No list of names is longer than this, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// The list, and the file whose lock is taken.
const FILE: &str = "names.json";
const LOCK: &str = "names.lock";

/// For how long the lock is waited for, which is held for the time that it takes to read and write the list.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a folder has told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// The folder.
    place: PathBuf,
    /// The name.
    name: String,
}

/// Refuses a CA that has a vault together with another one of its name. The one that was there first goes on.
///
/// # Errors
/// When there is another one.
pub(crate) fn refuse_alike(config: &Config, job: &Job, ca: &Ca) -> Result<(), Unseen> {
    let others = config.in_one_vault(job, ca);
    if others.is_empty() {
        return Ok(());
    }
    // Before the lock is taken: a folder that hangs would keep the lock from all other CAs.
    let name = ca.own_name();
    // Without records nothing is remembered, which is told elsewhere; what the file says counts all the same.
    let _lock = lock(config);
    let read = read_told(config);
    let is_unread = read.is_err();
    let mut told = read.unwrap_or_default();
    for (vault, other) in others {
        let known = told.get(other.name.as_str()).filter(|told| told.place == other.place.key());
        if other.given_name().or_else(|| Some(known?.name.as_str())) == Some(name) {
            let text = alike_text(vault, other, ca, name);
            let trouble = trouble(Hresult::E_INVALIDARG, text, ONE_OF_THEM);
            return Err(Unseen { trouble: Box::new(trouble), class: Class::Usage });
        }
    }
    let told_now = Told { place: ca.place.key(), name: name.to_owned() };
    // What could not be read is not written over, because it has the names of others.
    if ca.given_name().is_none() && !is_unread && told.get(ca.name.as_str()) != Some(&told_now) {
        told.insert(ca.name.to_string(), told_now);
        write_json(&config.state.join(FILE), &told).ok();
    }
    Ok(())
}

/// That it could not be read what other folders have told, where a CA has a vault together with others.
pub(crate) fn unread(config: &Config, job: &Job, ca: &Ca) -> Option<Trouble> {
    if config.in_one_vault(job, ca).is_empty() {
        return None;
    }
    let error = read_told(config).err()?;
    let what = "whether another CA has the same name in the vault is not known, because what folders told cannot be read";
    let path = config.state.join(FILE);
    let remedy = format!(
        "find out what is wrong with {}; if nobody can read it, move it away: the next run for each CA tells its name anew",
        path.display()
    );
    Some(Trouble::of_unread("records/names", what, &error, remedy))
}

fn read_told(config: &Config) -> certadm_files::Result<BTreeMap<String, Told>> {
    Ok(read_json(&config.state.join(FILE), MAX_FILE)?.unwrap_or_default())
}

/// One process at a time looks who is there, so that of two new ones one is the first. One that was stopped meanwhile keeps nobody
/// from going on.
fn lock(config: &Config) -> Option<File> {
    durable::create_dir(&config.state).ok()?;
    lock::within(PATIENCE, || lock::try_lock(&config.state.join(LOCK))).ok()?
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A folder that names its CA, as the store makes it.
    fn ca_folder(dir: &Path, name: &str) {
        let database = dir.join("database");
        fs::remove_dir_all(&database).ok();
        fs::create_dir_all(&database).unwrap();
        fs::write(database.join(format!("{name}.db")), "").unwrap();
    }

    #[test]
    fn of_two_cas_whose_folders_tell_one_name_the_first_goes_on() {
        let dir = certadm_files::scratch::for_test();
        let text = "state = 'state'\n[ca]\na = { dir = 'a' }\nb = { dir = 'b' }\nc = { dir = 'c' }\n\
            [job.j]\nca = ['a', 'b']\nto = 'vault:'\nfull = 'hourly'\n[job.k]\nca = 'c'\nto = ['sets', 'vault:']\nfull = 'hourly'\n\
            [job.l]\nca = 'b'\nto = 'sets'\nfull = 'hourly'";
        for name in ["a", "b", "c"] {
            ca_folder(&dir.path().join(name), "Corp-CA");
        }
        // Each run reads the configuration anew.
        let refused = |job: &str, ca: &str| {
            let config = Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
            refuse_alike(&config, config.job(job).unwrap(), config.ca(ca).unwrap()).err()
        };
        assert!(refused("j", "a").is_none() && refused("j", "a").is_none());
        let unseen = refused("j", "b").unwrap();
        assert!(unseen.trouble.message.contains("ca.a and ca.b both have the name Corp-CA"), "{unseen:?}");
        assert_eq!(unseen.class, Class::Usage);
        assert!(refused("l", "b").is_none(), "in a folder each has one of the name of its section");
        assert!(refused("k", "c").is_some(), "it is looked for at every place of the job");
        // Of names that cannot be read nobody knows whether there is another one: that is told, and they stay as they are.
        let names = dir.path().join("state").join(FILE);
        let known = fs::read(&names).unwrap();
        let unread = || {
            let config = Config::parse(text, &dir.path().join("certadm.toml")).unwrap();
            let of = |job: &str, ca: &str| unread(&config, config.job(job).unwrap(), config.ca(ca).unwrap());
            (of("j", "b").map(|trouble| trouble.id), of("l", "b").map(|trouble| trouble.id))
        };
        assert_eq!(unread(), (None, None));
        fs::write(&names, "{").unwrap();
        assert!(refused("j", "b").is_none());
        assert_eq!(
            (unread(), fs::read(&names).unwrap()),
            ((Some("records/names".to_owned()), None), b"{".to_vec())
        );
        fs::write(&names, known).unwrap();
        // What a folder tells now counts, and without records each goes on.
        ca_folder(&dir.path().join("b"), "Other-CA");
        assert!(refused("j", "b").is_none());
        ca_folder(&dir.path().join("a"), "Other-CA");
        assert!(refused("j", "a").is_some());
        fs::remove_dir_all(dir.path().join("state")).unwrap();
        fs::write(dir.path().join("state"), "").unwrap();
        assert!(refused("j", "a").is_none());
    }
}
