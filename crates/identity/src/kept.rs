//! Which of the files that identity parts keep a restore takes: the newest of its kind whose bytes are those of its list. A rehearsal
//! asks by the same rule.

use std::path::PathBuf;

use certadm_rules::{FileTime, pem};

use crate::error::Error;
use crate::manifest::{FileEntry, Role, newest_last};
use crate::part::Part;

impl Part {
    /// Whether a file of it is the private key with this identifier, in hexadecimal digits with or without blanks and colons.
    #[must_use]
    pub fn is_key(&self, entry: &FileEntry, identifier: &str) -> bool {
        let identifier = identifier.replace([' ', ':'], "");
        entry.role == Role::Key
            && self.manifest.keys.iter().any(|seen| {
                seen.kept.as_deref() == Some(entry.path.as_str())
                    && seen.key_identifier.eq_ignore_ascii_case(&identifier)
            })
    }
}

/// The newest file of the parts that is wanted, with its place. `left_out` hears of those that cannot be read or have other bytes than
/// their list says. A date later than `now` makes no file the newest.
pub fn newest_kept(
    parts: &[Part],
    now: FileTime,
    is_wanted: impl Fn(&Part, &FileEntry) -> bool,
    left_out: &mut dyn FnMut(&Error),
) -> Option<(PathBuf, Vec<u8>)> {
    newest_of_form(parts, now, is_wanted, |_| true, left_out)
}

/// The newest file of the parts that has the key with this identifier as our CA reads it, PKCS#8 in PEM, with its place. `left_out` hears
/// what that of [`newest_kept`] hears; and, where the key is kept in another form alone, [`Error::KeyForm`].
pub fn newest_key(
    parts: &[Part],
    now: FileTime,
    identifier: &str,
    left_out: &mut dyn FnMut(&Error),
) -> Option<(PathBuf, Vec<u8>)> {
    let is_key = |part: &Part, entry: &FileEntry| part.is_key(entry, identifier);
    let found = newest_of_form(parts, now, is_key, pem::looks_like_pem, left_out);
    if found.is_none()
        && let Some((path, _)) = newest_kept(parts, now, is_key, &mut |_| ())
    {
        left_out(&Error::KeyForm { path });
    }
    found
}

fn newest_of_form(
    parts: &[Part],
    now: FileTime,
    is_wanted: impl Fn(&Part, &FileEntry) -> bool,
    is_usable: impl Fn(&[u8]) -> bool,
    left_out: &mut dyn FnMut(&Error),
) -> Option<(PathBuf, Vec<u8>)> {
    let files = parts.iter().flat_map(|part| part.manifest.files.iter().map(move |entry| (part, entry)));
    let mut wanted: Vec<(&Part, &FileEntry)> = files.filter(|(part, entry)| is_wanted(part, entry)).collect();
    wanted.sort_by(|(_, one), (_, other)| newest_last(&one.taken, now).cmp(&newest_last(&other.taken, now)));
    for (part, entry) in wanted.into_iter().rev() {
        match part.read(entry) {
            Ok(content) if !is_usable(&content) => {}
            Ok(content) => return Some((part.dir().join(&entry.path), content)),
            Err(error) => left_out(&error),
        }
    }
    None
}
