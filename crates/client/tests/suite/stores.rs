//! Keytabs and ticket caches as other programs write them.

use std::path::Path;

use certadm_kerberos::{Credential, Keytab, Principal};

/// Writes a file that nobody else can read.
pub(crate) fn private(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// A keytab that nobody else can read.
pub(crate) fn write_keytab(path: &Path, keytab: &Keytab) {
    private(path, &certadm_toy_kdc::keytab_file(keytab));
}

/// A ticket cache that nobody else can read.
pub(crate) fn write_cache(path: &Path, client: &Principal, credentials: &[Credential]) {
    private(path, &certadm_toy_kdc::cache_file(client, credentials));
}
