//! Records that are files of JSON. The old file stays where the new one cannot be written as a whole, also where a value has no
//! form in JSON.

use std::io;
use std::path::Path;

use certadm_files::{IoContext, Result, durable};
use serde::Serialize;

/// Puts a value in the place of the file at `path`.
///
/// # Errors
/// Those of the system, and what has no form in JSON.
pub(crate) fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    durable::replace(path, &bytes_of(path, value)?)
}

/// As [`write_json`], for what nobody but the owner may read.
///
/// # Errors
/// As [`write_json`].
pub(crate) fn write_private_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    durable::replace_private(path, &bytes_of(path, value)?)
}

fn bytes_of<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::from).during("write", path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    #[test]
    fn what_has_no_form_in_json_leaves_the_records_as_they_are() {
        let dir = certadm_files::scratch::for_test();
        let path = dir.path().join("a.json");
        write_json(&path, &["known"]).unwrap();
        // The name of a member is a text.
        let formless = BTreeMap::from([((1, 2), 3)]);
        for refused in [write_json(&path, &formless), write_private_json(&path, &formless)] {
            assert!(refused.is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), r#"["known"]"#);
        }
        write_private_json(&path, &["new"]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), r#"["new"]"#);
    }
}
