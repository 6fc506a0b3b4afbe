//! Where a restore is registered on this machine: the folder of a CA of ours, or the registry of Windows.

#[cfg(unix)]
#[path = "registrar/folder.rs"]
mod place;
#[cfg(not(unix))]
#[path = "registrar/missing.rs"]
mod place;

pub(crate) use place::Registrar;

/// The two ways to register (certbcli.md 6.14, 6.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// RestoreRegister: the record itself.
    Record,
    /// RestoreRegisterThroughFile: a request that the service takes over at its start.
    File,
}
