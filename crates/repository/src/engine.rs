//! The one way into the engine: its panics become errors, and what the storage said stands before what the engine says.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use bytesize::ByteSize;
use rustic_core::repofile::Chunker;
use rustic_core::{
    ConfigOptions, Credentials, FileType, KeyOptions, OpenStatus, Repository, RepositoryBackends,
    RepositoryOptions, RusticResult,
};

use crate::bridge::{Bridge, Changed, id_of_kind, is_changed};
use crate::error::{Error, Result};
use crate::objects::{ObjectError, Objects};
use crate::probe;
use crate::secret::Secret;

/// Length of a chunk: both databases have pages of 4 or 8 KiB, so chunks begin at pages (repository.md 2).
const CHUNK: ByteSize = ByteSize::kib(128);
/// Length of a pack. A few of them are in memory while they are written.
pub(crate) const PACK: ByteSize = ByteSize::mib(8);
/// The level of zstd.
const COMPRESSION: i32 = 3;

/// What an error of the engine means where no trouble of the storage explains it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unexplained {
    /// What was read is damaged.
    Damage,
    /// The engine has a mistake.
    Mistake,
}

/// Calls the engine. `action` is a verb.
///
/// # Errors
/// [`Error::Storage`] when the storage failed, [`Error::Damaged`] when something is missing or cut short, and what
/// `unexplained` says.
pub(crate) fn call<T>(
    bridge: &Bridge,
    action: &'static str,
    unexplained: Unexplained,
    work: impl FnOnce() -> RusticResult<T>,
) -> Result<T> {
    bridge.take_trouble();
    let place = bridge.objects().place();
    let detail = match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => in_short(&error.display_log()),
        Err(panic) => format!("it panicked: {}", panic_text(panic.as_ref())),
    };
    // An upload that failed is the cause of what followed.
    bridge.barrier()?;
    if let Some(trouble) = bridge.take_trouble() {
        return Err(of_storage(place, trouble));
    }
    Err(match unexplained {
        Unexplained::Damage => Error::Damaged { place, detail },
        Unexplained::Mistake => Error::Engine { place, action, detail },
    })
}

/// Reads a second time what seems to be damaged: where sets expire or a prune goes on beside it, what was listed may be gone
/// when it is read, and something else is there instead.
///
/// # Errors
/// What `read` says the second time.
pub(crate) fn twice<T>(mut read: impl FnMut() -> Result<T>) -> Result<T> {
    match read() {
        Err(Error::Damaged { .. }) => read(),
        other => other,
    }
}

/// What is missing, cut short or changed is damage. All else keeps the storage from answering.
pub(crate) fn of_storage(place: String, source: ObjectError) -> Error {
    let damage = [std::io::ErrorKind::NotFound, std::io::ErrorKind::UnexpectedEof];
    match is_changed(&source) || damage.contains(&source.source.kind()) {
        true if is_changed(&source) && id_of_kind(FileType::Key, &source.name).is_some() => {
            Error::DeadKey { place, detail: source.to_string() }
        }
        true => Error::Damaged { place, detail: source.to_string() },
        false => Error::Storage { place, source },
    }
}

/// The sentences of an engine's error. One that wraps another holds the other's whole report, its call stack included.
fn in_short(log: &str) -> String {
    let log = log.strip_prefix("Error: ").unwrap_or(log);
    let (first, rest) = log.split_once(" (kind: ").unwrap_or((log, ""));
    let reported = rest.split_once("Message:").map(|(_, message)| message.trim_start());
    let plain = || rest.split_once("caused by: ").map(|(_, cause)| cause);
    let cause = reported.or_else(plain).and_then(|cause| cause.lines().next()).unwrap_or_default();
    let first = first.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    match cause {
        "" => first,
        cause => format!("{}: {cause}", first.trim_end_matches('.')),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}

fn repository(bridge: &Bridge) -> RusticResult<Repository<()>> {
    // Its cache of indexes would lie in the home folder of whoever runs the command.
    let options = RepositoryOptions::default().no_cache(true);
    Repository::new(&options, &RepositoryBackends::new(Arc::new(bridge.clone()), None))
}

/// Whether a password opens the repository that is there, if one is.
///
/// # Errors
/// When that cannot be told: as [`open`].
pub(crate) fn is_opened_by(bridge: &Bridge, password: &Secret) -> Result<bool> {
    match open(bridge, password) {
        Ok(_) => Ok(true),
        Err(
            Error::NoKeyFits { .. }
            | Error::NoPassword { .. }
            | Error::NoRepository { .. }
            | Error::NoVaultFolder { .. },
        ) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Refuses what is no repository. `voucher` is a file of a key that says that it was made: then it is not mounted, or gone, and whoever is
/// told to make it would back up into a folder below the disk.
///
/// # Errors
/// [`Error::NoRepository`], [`Error::Gone`], [`Error::NoVaultFolder`], [`Error::Storage`].
pub(crate) fn refuse_absent(objects: &dyn Objects, voucher: Option<&Path>) -> Result<()> {
    let place = objects.place();
    let failed = |source| Error::Storage { place: objects.place(), source };
    if objects.len("config").map_err(failed)?.is_some() {
        return Ok(());
    }
    Err(match voucher {
        Some(key_file) => Error::Gone { place, key_file: key_file.to_owned() },
        None if objects.vault_is_there().map_err(failed)? => Error::NoRepository { place },
        None => Error::NoVaultFolder { place },
    })
}

/// Opens the repository.
///
/// # Errors
/// As [`refuse_absent`]; [`Error::NoKeyFits`]; [`Error::Damaged`] when the configuration is damaged, and
/// [`Error::DeadKey`] when a key is that a password may be for; [`Error::NoPassword`] where passwords have no keys at all;
/// [`Error::Overwritten`] where nothing is as it was stored that would tell a wrong key from a right one.
pub(crate) fn open(bridge: &Bridge, secret: &Secret) -> Result<Repository<OpenStatus>> {
    let place = bridge.objects().place();
    refuse_absent(bridge.objects().as_ref(), secret.voucher())?;
    let credentials = secret.credentials();
    bridge.take_configured();
    bridge.take_no_keys();
    let opened = call(bridge, "open", Unexplained::Mistake, || repository(bridge)?.open(&credentials));
    // A password has opened a key before the configuration is read.
    let password_fits = secret.password().is_some() && bridge.take_configured();
    let no_keys = bridge.take_no_keys();
    // What kept another key from being tried is no trouble where one has opened it.
    if opened.is_ok() {
        bridge.take_trouble();
    }
    let config = |place| Error::Damaged { place, detail: format!("config: {Changed}") };
    opened.map_err(|error| match error {
        Error::Engine { .. } | Error::DeadKey { .. } if password_fits => config(place),
        // Nobody's password is wrong where there is none.
        Error::Engine { .. } if secret.password().is_some() && has_no_keys(bridge, &no_keys) => {
            Error::NoPassword { place }
        }
        Error::DeadKey { .. } => match probe::all_changed(bridge.objects().as_ref()) {
            // A key alone may have changed by itself.
            Ok(Some(name)) if !name.starts_with("keys/") => Error::Overwritten { place, name },
            _ => error,
        },
        Error::Engine { .. } => {
            // A key file is tried at something else.
            let tried =
                || call(bridge, "try the key", Unexplained::Mistake, || probe::fits(bridge, &credentials));
            if secret.password().is_none() && tried().unwrap_or(false) {
                return config(place);
            }
            match probe::all_changed(bridge.objects().as_ref()) {
                Ok(Some(name)) => Error::Overwritten { place, name },
                Ok(None) => {
                    let passed_over = no_keys.into_iter().collect();
                    Error::NoKeyFits { place, secret: secret.told(), passed_over }
                }
                Err(source) => Error::Storage { place, source },
            }
        }
        other => other,
    })
}

/// Whether passwords have no keys at all, beside what is none.
fn has_no_keys(bridge: &Bridge, no_keys: &BTreeSet<String>) -> bool {
    let is_key = |name: &String| id_of_kind(FileType::Key, name).is_some() && !no_keys.contains(name);
    let listed = bridge.objects().list(FileType::Key.dirname());
    listed.is_ok_and(|listed| !listed.iter().any(|(name, _)| is_key(name)))
}

/// Makes the repository: keys are there before, and everything that cannot be changed later is set.
///
/// # Errors
/// [`Error::Storage`].
pub(crate) fn init(bridge: &Bridge, secret: &Secret) -> Result<Repository<OpenStatus>> {
    let config = ConfigOptions::default()
        .set_version(2_u32)
        .set_chunker(Chunker::FixedSize)
        .set_chunk_size(CHUNK)
        .set_datapack_size(PACK)
        .set_datapack_growfactor(0_u32)
        .set_compression(COMPRESSION)
        // Everything that is written is read back through a decrypting reader before it counts (proof.rs).
        .set_extra_verify(false);
    let credentials: Credentials = secret.credentials();
    call(bridge, "make a repository", Unexplained::Mistake, || {
        repository(bridge)?.init(&credentials, &KeyOptions::default(), &config)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_a_sentence() {
        for (log, told) in [
            ("Error: no key fits.", "no key fits."),
            ("Error: one\n\ntwo (kind: related to x, code: C1)", "one two"),
            ("Error: one. (kind: related to x): caused by: two\n : (source: three)", "one: two"),
            (
                "Error: one (kind: related to x): caused by: `rustic_core` experienced an error related to `x`.\n\n\
                 Message:\nMAC check failed.\n\nBacktrace:\n  0: main\n",
                "one: MAC check failed.",
            ),
        ] {
            assert_eq!(in_short(log), told);
        }
    }
}
