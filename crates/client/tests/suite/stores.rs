//! Keytabs and ticket caches as other programs write them.

use std::path::Path;

use certadm_kerberos::{Credential, Keytab, Principal};

/// Writes a file that nobody else can read.
pub(crate) fn private(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// A text with its length before it.
fn counted(text: &[u8]) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&length, text].concat()
}

/// A keytab that nobody else can read.
pub(crate) fn write_keytab(path: &Path, keytab: &Keytab) {
    private(path, &certadm_toy_kdc::keytab_file(keytab));
}

/// A ticket cache by the layout of kerberos.md 2.4.
pub(crate) fn write_cache(path: &Path, client: &Principal, credentials: &[Credential]) {
    let principal = |name: &Principal| {
        let count = u32::try_from(name.components().len()).unwrap();
        let mut bytes = [name.name_type().0.to_be_bytes(), count.to_be_bytes()].concat();
        bytes.extend(counted(name.realm().as_bytes()));
        for component in name.components() {
            bytes.extend(counted(component.as_bytes()));
        }
        bytes
    };
    let mut file = vec![5, 4, 0, 0];
    file.extend(principal(client));
    for credential in credentials {
        file.extend(principal(&credential.client));
        file.extend(principal(&credential.service));
        let key = &credential.session_key;
        file.extend(u16::try_from(key.etype().to_wire()).unwrap().to_be_bytes());
        file.extend(counted(key.expose()));
        let start = u32::try_from(credential.start_time.unix_seconds()).unwrap();
        let end = u32::try_from(credential.end_time.unix_seconds()).unwrap();
        file.extend([start, start, end, 0].map(u32::to_be_bytes).concat());
        file.push(0);
        file.extend([credential.flags.0, 0, 0].map(u32::to_be_bytes).concat());
        file.extend(counted(&credential.ticket));
        file.extend([0; 4]);
    }
    private(path, &file);
}
