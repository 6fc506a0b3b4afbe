//! One file per verb.

pub(crate) mod backup;
pub(crate) mod ca;
pub(crate) mod doctor;
pub(crate) mod drill;
mod files;
pub(crate) mod list;
mod list_windows;
mod listing;
mod live;
pub(crate) mod recover;
pub(crate) mod remote;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod user;
pub(crate) mod verify;

use certadm_ca::Config;
use certadm_store::{Folder, Options};

use crate::failure::Failure;

/// How the CA in `folder` wants its database run: as its `ca.toml` says, or the defaults where there is none yet.
pub(crate) fn store_options(folder: &Folder) -> Result<Options, Failure> {
    let path = folder.config_path();
    if !path.exists() {
        return Ok(Options::default());
    }
    Ok(Config::load(&path)?.database.store_options())
}
