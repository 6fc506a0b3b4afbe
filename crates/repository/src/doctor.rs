//! Walking the steps between here and a backup into a vault, one by one, up to the first that fails.

use std::io;

use certadm_rules::words::{counted, human_bytes};
use rustic_core::FileType;

use crate::engine::PACK;
use crate::error::{Error, Result};
use crate::objects::ObjectError;
use crate::storage;
use crate::turn::Turn;
use crate::vault::{CaRepository, Vault};

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Its name, for programs; it stays.
    pub name: &'static str,
    /// What was seen, or why the way ends here.
    pub seen: Result<String>,
}

/// The names of the steps to a vault, in their order. Those before `storage` depend on where it is.
#[must_use]
pub fn steps(vault: &Vault) -> Vec<&'static str> {
    let way = storage::way(&vault.profile.place).into_iter().map(|(name, _)| name);
    way.chain(["storage", "key", "repository", "packs", "lock", "clock", "space", "passwords"]).collect()
}

/// Walks the steps to the repository of a CA; of the only one that the vault keeps where none is named. `show` hears of each.
/// One object is written and removed again: it tells the time, and that writing is allowed.
pub fn examine(vault: &Vault, ca: Option<&str>, show: &mut dyn FnMut(&Step)) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut walk = |name, seen: Result<String>| {
        let step = Step { name, seen };
        show(&step);
        let goes_on = step.seen.is_ok();
        steps.push(step);
        goes_on
    };
    for (name, step) in storage::way(&vault.profile.place) {
        if !walk(name, step()) {
            return steps;
        }
    }
    let found = match vault.cas() {
        Ok(cas) => {
            Ok(format!("{} can be listed; it keeps {}", vault.place(), counted(cas.len() as u64, "CA")))
        }
        Err(Error::NoList { .. }) if ca.is_some() => Ok(format!("{} lists no CAs", vault.place())),
        Err(error) => Err(error),
    };
    if !walk("storage", found) {
        return steps;
    }
    let repository = match vault.repository(ca) {
        Ok(repository) => repository,
        Err(error) => {
            walk("key", Err(error));
            return steps;
        }
    };
    let key = format!("there is one in {}", repository.secret_file().display());
    let more: [(&str, &dyn Fn() -> Result<String>); 6] = [
        ("repository", &|| opened(&repository)),
        ("packs", &|| packs(&repository)),
        ("lock", &|| lock(&repository)),
        ("clock", &|| clock(&repository)),
        ("space", &|| room(&repository)),
        // The last one: backups go on without them, and nothing comes back when the key file is lost.
        ("passwords", &|| passwords(&repository)),
    ];
    if walk("key", Ok(key)) {
        // Stops at the first that fails.
        let _all = more.iter().all(|(name, step)| walk(name, step()));
    }
    steps
}

fn opened(repository: &CaRepository) -> Result<String> {
    let sets = repository.snapshots()?.len();
    Ok(format!("{} opens, with {sets} sets and {} keys", repository.address(), repository.keys()?.len()))
}

fn packs(repository: &CaRepository) -> Result<String> {
    match repository.lost_packs()? {
        (all, None) => Ok(format!("all {all} packs are there with their lengths")),
        (_, Some(detail)) => Err(Error::Damaged { place: repository.address(), detail }),
    }
}

fn lock(repository: &CaRepository) -> Result<String> {
    repository.lock_told().unwrap_or_else(|| Ok(who_may_delete(repository).to_owned()))
}

/// Whether what this account may write it may also delete, where no lock is asked for. A server of restic's protocol is asked to delete what
/// is not there: one that only appends refuses that, too.
fn who_may_delete(repository: &CaRepository) -> &'static str {
    if repository.objects.has_notes() {
        return "no lock is asked for: whoever may write may delete";
    }
    match repository.objects.delete(&format!("{}/{}", FileType::Snapshot.dirname(), "0".repeat(64))) {
        Ok(()) => "the server does not only append: whoever may write may delete",
        Err(error) if error.is_denied() => {
            "the server only appends: whoever may write can delete and replace nothing"
        }
        Err(_) => "the server does not tell whether it only appends",
    }
}

fn clock(repository: &CaRepository) -> Result<String> {
    match Turn::time(&repository.objects) {
        Ok(ahead) if repository.objects.has_notes() => {
            Ok(format!("the storage can be written, and its clock is {ahead} s ahead of this one"))
        }
        Ok(ahead) => Ok(format!("the clock of the storage is {ahead} s ahead of this one")),
        Err(error) => Err(error),
    }
}

fn passwords(repository: &CaRepository) -> Result<String> {
    let keys = repository.keys()?;
    // What concerns all of them says what is to be done first.
    match repository.dead_keys(&keys).pop() {
        None => Ok(match keys.len() {
            1 => "the key of the one password is as it was stored".to_owned(),
            several => format!("the keys of all {several} passwords are as they were stored"),
        }),
        Some(error) => Err(error),
    }
}

/// The smallest backup writes two packs.
const LEAST_ROOM: u64 = 2 * PACK.as_u64();

fn room(repository: &CaRepository) -> Result<String> {
    let objects = &repository.objects;
    let free = objects.free().map_err(|source| Error::Storage { place: objects.place(), source })?;
    match free {
        None => Ok("the storage does not say".to_owned()),
        Some(free) if free < LEAST_ROOM => {
            let text =
                format!("{} are free, and a backup needs {}", human_bytes(free), human_bytes(LEAST_ROOM));
            let full = io::Error::new(io::ErrorKind::StorageFull, text);
            let (place, action) = (objects.place(), "write to");
            Err(Error::Storage { source: ObjectError::new(action, &place, full), place })
        }
        Some(free) => Ok(format!("{} are free", human_bytes(free))),
    }
}
