//! Names of accounts, by the system's list of users; and what the account of a service can read.

use std::path::Path;

use crate::Found;

/// The list.
const LIST: &str = "/etc/passwd";
/// A list of users is not longer than this, in bytes.
const MAX_LIST: u64 = 16 << 20;

/// The name of the account with this number, by `/etc/passwd`. `None` where the list does not have it, as for accounts of a
/// directory, or cannot be read, as on Windows.
#[must_use]
pub fn name_of(id: u32) -> Option<String> {
    let list = Found::named(Path::new(LIST)).read(MAX_LIST).ok()?;
    name_in(&String::from_utf8_lossy(&list), id)
}

fn name_in(list: &str, id: u32) -> Option<String> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

/// Why an account that owns `folder`, as a service does whose folder it is, cannot read `file`, which nobody but its owner can read:
/// the account, and what stands in its way as a sentence fragment. Nothing where it can, where the account is root, and on Windows.
#[must_use]
pub fn kept_from_owner_of(folder: &Path, file: &Path) -> Option<(String, String)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let (folder, file) = (std::fs::metadata(folder).ok()?, std::fs::metadata(file).ok()?);
        let can_read = folder.uid() == 0 || (folder.uid() == file.uid() && file.mode() & 0o400 != 0);
        let name = |uid| name_of(uid).unwrap_or_else(|| uid.to_string());
        let mode = file.mode() & 0o777;
        (!can_read).then(|| {
            (name(folder.uid()), format!("it belongs to {} and has mode {mode:04o}", name(file.uid())))
        })
    }
    #[cfg(not(unix))]
    {
        let _ = (folder, file);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_have_the_name_of_their_line() {
        let list = "# local\n+::::::\n\nroot:x:0:0:root:/root:/bin/sh\nca:x:998\nbroken:x\ntwin:x:0:0::/:\nbackup:x:34:998::/:/bin/sh\n";
        let names = [0, 998, 34, 33].map(|id| name_in(list, id));
        assert_eq!(names.each_ref().map(Option::as_deref), [Some("root"), Some("ca"), Some("backup"), None]);
    }

    #[cfg(unix)]
    #[test]
    fn the_first_account_has_a_name() {
        assert_eq!(name_of(0).as_deref(), Some("root"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_another_account_is_kept_from_the_owner_of_the_folder() {
        use std::fs;
        use std::os::unix::fs::{PermissionsExt, chown};
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keytab");
        fs::write(&file, "x").unwrap();
        let told = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            kept_from_owner_of(dir.path(), &file)
        };
        assert_eq!(told(0o600), None);
        // Accounts other than root may give nothing away.
        if chown(dir.path(), Some(4711), None).is_ok() {
            let why = "it belongs to root and has mode 0600".to_owned();
            assert_eq!(told(0o600), Some(("4711".to_owned(), why)));
            chown(&file, Some(4711), None).unwrap();
            assert_eq!(told(0o600), None);
        }
        assert!(told(0o200).is_some());
        assert_eq!(kept_from_owner_of(dir.path(), &dir.path().join("absent")), None);
    }
}
