//! Working on a CA's database whether or not a service owns it.

use certadm_ca::{Config, identity, modes};
use certadm_rules::finding::{Finding, Severity};
use certadm_rules::flags::AUDIT_BACKUP;
use certadm_session::restore;
use certadm_store::folder::wal_len;
use certadm_store::recovery::Recovered;
use certadm_store::{Error, Folder, Options, Store, Writer};
use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use crate::findings;
use crate::output::{Done, Output};

/// A committing connection, and what was recovered to get it: a completed restore that still waits for the CA's start
/// is carried out first.
///
/// # Errors
/// As [`Writer::open`] and [`Store::open`]; a registration that is not complete is not touched. A database of another CA
/// than the folder's is refused.
pub(crate) fn open_writer(folder: &Folder, output: Output) -> Result<(Writer, Value), Failure> {
    for exposure in modes::exposures(folder) {
        let (path, text) = (exposure.path.display(), exposure.text());
        output.remark(&format!("{path} is not safe: {text}; run `{}`", exposure.remedy));
    }
    let (writer, recovered) = match Writer::open(folder) {
        Err(Error::RestorePending { state, .. }) if state.is_success() => {
            let recovered = recover(folder, output)?;
            (Writer::open(folder)?, recovered)
        }
        other => (other?, Value::Null),
    };
    identity::check(writer.connection(), folder)?;
    Ok((writer, recovered))
}

/// Opens the database as its owner, with the settings of its CA.
///
/// # Errors
/// As [`Store::open`]; a database of another CA than the folder's is refused.
pub(crate) fn open_store(folder: &Folder) -> Result<Store, Failure> {
    let store = start(folder)?;
    identity::check(store.writer()?.connection(), folder)?;
    Ok(store)
}

/// Opens the database as its owner, with the settings of its CA, whoever's database it is.
///
/// # Errors
/// As [`Store::open`].
pub(crate) fn start(folder: &Folder) -> Result<Store, Failure> {
    Ok(restore::start(folder, store_options(folder)?, audits(folder)?)?)
}

/// Reads what [`start`] needs of the CA's settings, before something is done that only a start completes.
///
/// # Errors
/// Settings that cannot be used.
pub(crate) fn check_settings(folder: &Folder) -> Result<(), Failure> {
    store_options(folder)?;
    audits(folder).map(drop)
}

/// Lets the CA start once, which carries the registered restore out, and says what that did.
pub(crate) fn recover(folder: &Folder, output: Output) -> Result<Value, Failure> {
    let store = open_store(folder)?;
    let recovered = store.opened().recovered.clone();
    store.close()?;
    Ok(recovered.map_or(Value::Null, |recovered| tell_recovered(&recovered, output)))
}

/// Says what a recovery did, and gives it as JSON.
pub(crate) fn tell_recovered(recovered: &Recovered, output: Output) -> Value {
    output.line(format!(
        "Recovered: generations {} to {} applied, {} pages.",
        recovered.low, recovered.high, recovered.pages_applied
    ));
    if let Some(stopped) = &recovered.stopped_at {
        output.line(format!("The replay ended early: {stopped}."));
    }
    json!({
        "low": recovered.low.number(),
        "high": recovered.high.number(),
        "rolled_forward": recovered.rolled_forward,
        "pages": recovered.pages_applied,
        "stopped_at": recovered.stopped_at,
    })
}

/// Archives the log when it is full and no service is there to do it, so that it does not grow without end. Returns
/// what kept that from being done; the commits before it stand all the same.
pub(crate) fn roll_if_unowned(folder: &Folder) -> Option<String> {
    let rolled = store_options(folder).and_then(|options| {
        if wal_len(&folder.database_path()?) <= options.log_size {
            return Ok(());
        }
        match restore::start(folder, options, audits(folder)?) {
            // Opening rolls what is due.
            Ok(_) | Err(Error::Owned { .. }) => Ok(()),
            Err(error) => Err(Failure::from(error)),
        }
    });
    rolled.err().map(|failure| format!("the log could not be archived: {failure}; {}", failure.remedy))
}

/// The end of a command that has committed: what it achieved, and a warning when the log could not be archived.
pub(crate) fn finish(folder: &Folder, mut done: Done, output: Output) -> Done {
    let warning = roll_if_unowned(folder);
    if let Some(warning) = &warning {
        output.result(format!("Warning: {warning}."));
        if done.exit == Exit::Good {
            done.exit = Exit::Finding;
        }
    }
    done.result["warning"] = warning.into();
    done
}

/// Tells what was found beside what a command has done, such as keys that get no CRL ([`certadm_ca::health::keys_without_crl`]). A note
/// leaves the exit code as it is.
pub(crate) fn tell_found(found: &[Finding], mut done: Done, output: Output) -> Done {
    findings::print(found, output);
    let is_something = found.iter().any(|finding| finding.severity != Severity::Note);
    if is_something && done.exit == Exit::Good {
        done.exit = Exit::Finding;
    }
    done.result["findings"] = findings::list(found);
    done
}

/// How the CA in `folder` wants its database run: as its `ca.toml` says, or the defaults where there is none yet.
pub(crate) fn store_options(folder: &Folder) -> Result<Options, Failure> {
    Ok(config(folder)?.map_or_else(Options::default, |config| config.database.store_options()))
}

/// Whether the CA in `folder` wants audit records of backups and restores; a folder without `ca.toml` does.
pub(crate) fn audits(folder: &Folder) -> Result<bool, Failure> {
    Ok(config(folder)?.is_none_or(|config| config.audit_filter & AUDIT_BACKUP != 0))
}

fn config(folder: &Folder) -> Result<Option<Config>, Failure> {
    let path = folder.config_path();
    Ok(if path.exists() { Some(Config::load(&path)?) } else { None })
}
