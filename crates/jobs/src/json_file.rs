//! Records that are files of JSON. The old file stays where the new one cannot be written as a whole, also where a value has no
//! form in JSON. One that is not there and one that cannot be read are two things: the first has nothing, and of the second nobody knows.

use std::io;
use std::path::Path;

use certadm_files::{Error, IoContext, Result, durable, read};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the file at `path` has, of at most `most` bytes; `None` where it is not there.
///
/// # Errors
/// Those of the system, a file that is longer, and what is no JSON of this kind.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path, most: u64) -> Result<Option<T>> {
    let bytes = match read::bounded(path, most) {
        Err(error) if is_absent(&error) => return Ok(None),
        bytes => bytes?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from).during("read", path)
}

/// Below a file that stands in the place of a folder nothing lies, either.
fn is_absent(error: &Error) -> bool {
    let is_below_a_file =
        matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory);
    is_below_a_file || error.is_not_found()
}

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
    fn a_file_that_is_not_there_has_nothing_and_any_other_that_cannot_be_read_is_an_error() {
        let dir = certadm_files::scratch::for_test();
        let [there, broken, folder] = ["there", "broken", "folder"].map(|name| dir.path().join(name));
        fs::write(&there, "[1]").unwrap();
        fs::write(&broken, "[1").unwrap();
        fs::create_dir(&folder).unwrap();
        let read = |path: &Path, most| read_json::<Vec<u8>>(path, most);
        assert_eq!(read(&there, 3).unwrap(), Some(vec![1]));
        for absent in [dir.path().join("none"), there.join("below")] {
            assert_eq!(read(&absent, 3).unwrap(), None);
        }
        assert!(read(&there, 2).is_err() && read(&broken, 9).is_err() && read(&folder, 9).is_err());
    }

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
