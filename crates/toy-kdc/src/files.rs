//! Keytabs and ticket caches as other programs write them.

use certadm_kerberos::{Credential, Keytab, Principal};

/// A keytab by the layout of kerberos.md 2.4. Entries of etypes that are not spoken here have no key, and are left out.
///
/// # Panics
/// When an entry does not fit the format: the test is wrong.
#[must_use]
pub fn keytab_file(keytab: &Keytab) -> Vec<u8> {
    let mut file = vec![5, 2];
    for entry in keytab.entries() {
        let Some(key) = &entry.key else { continue };
        let name = &entry.principal;
        let mut bytes = Vec::new();
        bytes.extend(u16::try_from(name.components().len()).expect("a short name").to_be_bytes());
        bytes.extend(counted(name.realm().as_bytes()));
        for component in name.components() {
            bytes.extend(counted(component.as_bytes()));
        }
        bytes.extend([name.name_type().0.to_be_bytes(), [0; 4]].concat());
        bytes.push(u8::try_from(entry.key_version).expect("a low version"));
        bytes.extend(u16::try_from(entry.etype).expect("an etype of a keytab").to_be_bytes());
        bytes.extend(counted(key.expose()));
        file.extend(u32::try_from(bytes.len()).expect("a short entry").to_be_bytes());
        file.extend(bytes);
    }
    file
}

/// Bytes with their length before them.
fn counted(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a short text").to_be_bytes();
    [&length, bytes].concat()
}

/// A ticket cache by the layout of kerberos.md 2.4.
///
/// # Panics
/// When a credential does not fit the format: the test is wrong.
#[must_use]
pub fn cache_file(client: &Principal, credentials: &[Credential]) -> Vec<u8> {
    let principal = |name: &Principal| {
        let count = u32::try_from(name.components().len()).expect("it fits the format");
        let mut bytes = [name.name_type().0.to_be_bytes(), count.to_be_bytes()].concat();
        bytes.extend(counted_long(name.realm().as_bytes()));
        for component in name.components() {
            bytes.extend(counted_long(component.as_bytes()));
        }
        bytes
    };
    let mut file = vec![5, 4, 0, 0];
    file.extend(principal(client));
    for credential in credentials {
        file.extend(principal(&credential.client));
        file.extend(principal(&credential.service));
        let key = &credential.session_key;
        file.extend(u16::try_from(key.etype().to_wire()).expect("it fits the format").to_be_bytes());
        file.extend(counted_long(key.expose()));
        let start = u32::try_from(credential.start_time.unix_seconds()).expect("it fits the format");
        let end = u32::try_from(credential.end_time.unix_seconds()).expect("it fits the format");
        file.extend([start, start, end, 0].map(u32::to_be_bytes).concat());
        file.push(0);
        file.extend([credential.flags.0, 0, 0].map(u32::to_be_bytes).concat());
        file.extend(counted_long(&credential.ticket));
        file.extend([0; 4]);
    }
    file
}

/// Bytes with their length in 32 bits before them.
fn counted_long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short text").to_be_bytes();
    [&length, bytes].concat()
}
