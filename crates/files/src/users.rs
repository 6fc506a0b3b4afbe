//! Names of accounts, by the system's list of users.

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
}
