//! Keytabs as other programs write them.

use certadm_kerberos::Keytab;

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
