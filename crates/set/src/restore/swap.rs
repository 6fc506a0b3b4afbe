//! The exchange of the CA's files, and how it is taken back.
//!
//! A journal, `restore-swap.json` in the CA's folder, says how far an exchange is. Example: `{"aside":"replaced-134402",
//! "phase":"placing"}`. Every step leaves a state from which [`take_back`] knows the way:
//!
//! | Journal | What lies in `database` and `log` | What lies aside |
//! |---|---|---|
//! | none | what was there | nothing |
//! | `moving-aside` | some of what was there | the rest of it |
//! | `placing` | files of the restore alone | all of what was there |
//!
//! The registration of the restore stands before the journal and goes before it, so the CA does not start in between. The
//! start that carries the registration out removes the journal.

use std::fs;
use std::path::{Path, PathBuf};

use certadm_files::{IoContext, durable, unfinished};
use certadm_rules::Hresult;
use certadm_session::restore::RestoreContext;
use certadm_store::{Folder, UsedNumbers, locks, record, recovery};

use super::journal::{ASIDE, Journal, Phase, has_moved_aside, is_restored_image};
use super::plan::{Plan, in_the_way};
use super::replaced::Replaced;
use super::stage::{self, Staging};
use crate::error::{Error, Result};

/// Registers the restore, moves aside what is in the way, gives the staged files their names, and completes the
/// registration. Returns where what was in the way is now.
///
/// Where an earlier restore waited, it is gone after a failure, and the CA does not start before a restore is made or given up: what
/// was there before both was to be replaced.
///
/// # Errors
/// [`Error::Store`] with 0x80070420 or `E_ACCESSDENIED` when the database is open somewhere; [`Error::File`], after which
/// everything is where it was; [`Error::NotPutBack`] when it is not.
pub(super) fn exchange(
    plan: &Plan,
    context: &mut RestoreContext,
    staging: &Staging,
) -> Result<Option<PathBuf>> {
    let folder = &plan.folder;
    let _alone = locks::replace_database(folder)?;
    let ending = match record::read(folder)? {
        Some(earlier) if !earlier.database_recovered => Ending::Refuse,
        _ => Ending::Start,
    };
    take_back_earlier(folder)?;
    // A database that cannot be read any more tells no numbers: the gap that every recovery leaves must do.
    let used = Replaced::of(folder).and_then(|replaced| replaced.used);
    context.abandon_pending()?;
    context.register(plan.registration(plan.full_range(), true))?.complete_later();
    exchange_registered(plan, context, staging, used).map_err(|cause| give_up(folder, ending, cause))
}

fn exchange_registered(
    plan: &Plan,
    context: &mut RestoreContext,
    staging: &Staging,
    used: Option<UsedNumbers>,
) -> Result<Option<PathBuf>> {
    let folder = &plan.folder;
    if let Some(used) = used {
        used.keep(folder)?;
    }
    let in_the_way = in_the_way(folder)?;
    let aside = (!in_the_way.is_empty()).then(|| format!("{ASIDE}{}", certadm_store::now().0));
    let mut journal = Journal { aside, phase: Phase::MovingAside };
    journal.write(folder)?;
    let moved_aside = journal.aside_dir(folder);
    if let Some(aside) = &moved_aside {
        move_aside(folder, aside, in_the_way)?;
    }
    journal.phase = Phase::Placing;
    journal.write(folder)?;
    for (from, to) in staging.places(plan) {
        durable::rename(from, &to)?;
    }
    for dir in [folder.database_dir(), folder.log_dir()] {
        durable::sync_dir(&dir)?;
    }
    context.complete(Hresult::S_OK)?;
    for set in &plan.sets[1..] {
        if let Some(range) = set.range() {
            context.register(plan.registration(range, false))?.complete(Hresult::S_OK)?;
        }
    }
    Ok(moved_aside)
}

/// Moves files of `database` and `log` into folders of these names in `aside`; nothing is deleted.
fn move_aside(folder: &Folder, aside: &Path, files: Vec<PathBuf>) -> Result<()> {
    durable::create_private_dir(aside)?;
    for (_, name) in parts(folder) {
        durable::create_new_dir(&aside.join(name))?;
    }
    durable::sync_dir(aside)?;
    durable::sync_dir(folder.path())?;
    for file in files {
        let part = file.parent().and_then(Path::file_name).unwrap_or_default();
        durable::rename(&file, &aside.join(part).join(file.file_name().unwrap_or_default()))?;
    }
    for (dir, name) in parts(folder) {
        durable::sync_dir(&aside.join(name))?;
        durable::sync_dir(&dir)?;
    }
    Ok(())
}

/// The folders whose content is exchanged, and their names.
fn parts(folder: &Folder) -> [(PathBuf, &'static str); 2] {
    [(folder.database_dir(), "database"), (folder.log_dir(), "log")]
}

/// After a failure: takes the exchange back. Returns the failure, or where the files are when that fails as well.
fn give_up(folder: &Folder, ending: Ending, cause: Error) -> Error {
    match take_back(folder, ending) {
        Ok(()) => cause,
        Err(source) => Error::NotPutBack {
            folder: folder.path().to_owned(),
            cause: Box::new(cause),
            source: Box::new(source),
        },
    }
}

/// Before an exchange: takes back what an earlier one, killed, failed or not carried out, left exchanged. Restores so do
/// not pile up what they moved aside. Where that is gone, what is there is moved aside like anything else.
fn take_back_earlier(folder: &Folder) -> Result<()> {
    match (record::read(folder)?, Journal::read(folder)?) {
        (Some(record), Some(journal)) if !record.database_recovered && !journal.has_lost(folder) => {
            take_back(folder, Ending::Refuse)
        }
        _ => Ok(()),
    }
}

/// What the CA's next start does once a restore was taken back.
#[derive(Clone, Copy)]
enum Ending {
    /// It starts as if there had been no restore.
    Start,
    /// It refuses: the registration stays, as one that failed, until another replaces it or it is given up.
    Refuse,
}

/// Makes the files of the folder what they were before the restore that its journal tells of. Killed at any point, it can be done
/// again. The caller makes sure that nobody has the database open.
fn take_back(folder: &Folder, ending: Ending) -> Result<()> {
    let end = || match ending {
        Ending::Start => record::withdraw(folder),
        Ending::Refuse => record::give_up(folder),
    };
    let Some(mut journal) = Journal::read(folder)? else {
        return Ok(end()?);
    };
    // While the registration stands, a start would carry it out: over the database that is brought back below.
    record::give_up(folder)?;
    if journal.phase == Phase::Placing {
        for (dir, _) in parts(folder) {
            empty(&dir)?;
        }
        // From here on nothing of the restore is in place: what is brought back below must not be removed again.
        journal.phase = Phase::MovingAside;
        journal.write(folder)?;
    }
    if let Some(aside) = journal.aside_dir(folder) {
        bring_back(folder, &aside)?;
    }
    end()?;
    Ok(durable::remove_if_present(&folder.restore_swap_path())?)
}

/// Removes the files of a folder.
fn empty(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).during("list", dir)? {
        let path = entry.during("list", dir)?.path();
        fs::remove_file(&path).during("remove", &path)?;
    }
    Ok(durable::sync_dir(dir)?)
}

/// Brings what was moved aside back to its place, and removes the folders that held it, as far as nothing else is in them.
fn bring_back(folder: &Folder, aside: &Path) -> Result<()> {
    for (dir, name) in parts(folder) {
        let from = aside.join(name);
        if !from.is_dir() {
            continue; // it was never made, or is gone already
        }
        for entry in fs::read_dir(&from).during("list", &from)? {
            let path = entry.during("list", &from)?.path();
            durable::rename(&path, &dir.join(path.file_name().unwrap_or_default()))?;
        }
        durable::sync_dir(&dir)?;
        fs::remove_dir(&from).during("remove", &from)?;
    }
    if aside.is_dir() {
        // The command reads the replaced database in a scratch folder here: a killed one leaves that.
        unfinished::remove_abandoned(aside).unwrap_or_default();
        // Everything that the CA needs is back. What somebody has put there stays, and is no reason not to start.
        if let Err(error) = fs::remove_dir(aside) {
            tracing::warn!(folder = %aside.display(), %error, "a folder of replaced files is not empty and stays");
        }
    }
    Ok(durable::sync_dir(folder.path())?)
}

/// What giving a restore up did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned {
    /// Whether a database that had been moved aside is in its place again.
    pub put_back: bool,
    /// Whether there is a database: one that was put back, or one that was not touched.
    pub has_database: bool,
}

/// Gives up a restore that was killed or failed, or that was registered and not yet carried out: the CA's folder is then
/// what it was before.
///
/// # Errors
/// [`Error::NothingToAbandon`] when no restore waits; [`Error::CannotAbandon`] when the files there were not put there by
/// [`Plan::execute`]; 0x80070420 while the CA runs; [`Error::File`].
pub fn abandon(folder: &Folder) -> Result<Abandoned> {
    fs::metadata(folder.path()).during("look at", folder.path())?;
    let _down = locks::own(folder)?;
    let _alone = locks::replace_database(folder)?;
    let waiting = record::read(folder)?.filter(|record| !record.database_recovered);
    let journal = Journal::read(folder)?;
    let put_back_files = has_moved_aside(folder)?;
    match (&waiting, &journal) {
        (None, None) if !stage::path(folder).exists() => {
            return Err(Error::NothingToAbandon { folder: folder.path().to_owned() });
        }
        // Without a journal, somebody else moved the files: only the registration can be taken back, and only if the
        // database there can start without it. A recovery that was killed has cut the image's trailer off, or written over it.
        (Some(_), None) if is_restored_image(folder) || recovery::is_under_way(folder) => {
            return Err(Error::CannotAbandon { folder: folder.path().to_owned() });
        }
        // What was moved aside was moved away since: taking the restore back would leave nothing.
        (_, Some(journal)) if journal.has_lost(folder) => {
            return Err(Error::CannotAbandon { folder: folder.path().to_owned() });
        }
        // The registration was removed by hand. A database that is no restored image may be in use since.
        (None, Some(journal)) if journal.phase == Phase::Placing && !is_restored_image(folder) => {
            return Err(Error::CannotAbandon { folder: folder.path().to_owned() });
        }
        _ => {
            stage::remove(folder)?;
            take_back(folder, Ending::Start)?;
        }
    }
    Ok(Abandoned { put_back: put_back_files, has_database: folder.database_path().is_ok() })
}

#[cfg(test)]
mod tests {
    use certadm_rules::registration::{MapEntry, RestoreRecord};
    use certadm_rules::{Generation, GenerationRange};

    use super::*;

    /// A folder in which a restore has put its image into the place of a database, and waits.
    fn exchanged(dir: &Path) -> Folder {
        let folder = Folder::new(dir);
        folder.create_parts().unwrap();
        let aside = dir.join("replaced-1");
        for part in ["database", "log"] {
            fs::create_dir_all(aside.join(part)).unwrap();
        }
        fs::write(aside.join("database/ca.db"), "before").unwrap();
        fs::write(folder.database_path_for("ca"), "restored").unwrap();
        Journal { aside: Some("replaced-1".to_owned()), phase: Phase::Placing }.write(&folder).unwrap();
        register(&folder);
        folder
    }

    fn register(folder: &Folder) {
        let database = folder.database_path_for("ca").to_string_lossy().into_owned();
        let first = Generation::new(1).unwrap();
        let registration = RestoreRecord {
            backup_log_directory: None,
            checkpoint_directory: None,
            log_directory: None,
            range: GenerationRange::new(first, first).unwrap(),
            map: vec![MapEntry { database: database.clone(), new_database: database }],
            database_recovered: false,
            status: Hresult::S_OK,
        };
        record::write(folder, &registration).unwrap();
    }

    fn assert_before_and_refused(folder: &Folder) {
        assert_eq!(fs::read(folder.database_path().unwrap()).unwrap(), b"before");
        assert!(Journal::read(folder).unwrap().is_none());
        assert_eq!(record::read(folder).unwrap().map(|record| record.status), Some(Hresult::E_ABORT));
    }

    /// As a second restore leaves it that is killed, or fails, once it has taken the first one back.
    #[test]
    fn the_ca_does_not_start_between_two_restores() {
        let dir = tempfile::tempdir().unwrap();
        let folder = exchanged(dir.path());
        take_back_earlier(&folder).unwrap();
        assert_before_and_refused(&folder);
        // The second one fails where it has moved nothing yet, and where it has.
        for journal in [None, Some(Journal { aside: None, phase: Phase::MovingAside })] {
            register(&folder);
            journal.iter().for_each(|journal| journal.write(&folder).unwrap());
            let cause = Error::NothingToAbandon { folder: dir.path().to_owned() };
            assert!(matches!(give_up(&folder, Ending::Refuse, cause), Error::NothingToAbandon { .. }));
            assert_before_and_refused(&folder);
        }
        let abandoned = abandon(&folder).unwrap();
        assert_eq!(abandoned, Abandoned { put_back: false, has_database: true });
        assert!(record::read(&folder).unwrap().is_none());
        assert_eq!(fs::read(folder.database_path().unwrap()).unwrap(), b"before");
    }
}
