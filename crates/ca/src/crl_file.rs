//! The file of a CA's CRL.

use std::path::PathBuf;

use certadm_store::Folder;

use crate::config::Config;

/// No CRL is longer: the size of the column `RawCRL` (spec/ese.md section 12), 512 MiB. A backup takes no longer file for one.
pub const MAX_CRL: u64 = 536_870_912;

/// Where a CA publishes its CRL: `crl/<sanitized CA name>.crl`.
pub(crate) fn crl_path(folder: &Folder, config: &Config) -> PathBuf {
    folder.crl_dir().join(format!("{}.crl", config.name.sanitized()))
}
