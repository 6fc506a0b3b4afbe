//! What the user calls what a command has copied aside: `vault:Test-CA/4f2a91c0`, and not the scratch folder of the copy.
//!
//! Findings, errors and results of every crate name the files that they looked at. The names are exchanged in one place, where
//! the command speaks, so that no verb can forget one.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use certadm_rules::finding::Finding;
use serde_json::Value;

/// A folder, as it stands in texts, and what the user calls it. Whoever lies in another stands before it.
static NAMES: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// From now on `folder`, and what lies in it, is told by this name.
#[cfg(any(test, feature = "repository"))]
pub(crate) fn remember(folder: &Path, name: String) {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.push((folder.display().to_string(), name));
    names.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
}

/// A text as the user knows it.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.iter().fold(Cow::Borrowed(text), |text, (folder, name)| match text.contains(folder.as_str()) {
        true => Cow::Owned(text.replace(folder.as_str(), name)),
        false => text,
    })
}

/// A path as the user knows it.
pub(crate) fn path(path: &Path) -> PathBuf {
    match text(&path.to_string_lossy()) {
        Cow::Owned(known) => known.into(),
        Cow::Borrowed(_) => path.to_owned(),
    }
}

/// A finding as the user knows it, for what is kept longer than the scratch copy.
pub(crate) fn finding(finding: &mut Finding) {
    finding.detail = text(&finding.detail).into_owned();
    finding.remedy = finding.remedy.take().map(|remedy| text(&remedy).into_owned().into());
    finding.place.file = finding.place.file.take().map(|file| path(&file));
}

/// A result as the user knows it: every string in it.
pub(crate) fn value(value: &Value) -> Cow<'_, Value> {
    if NAMES.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
        return Cow::Borrowed(value);
    }
    let mut value = value.clone();
    rename(&mut value);
    Cow::Owned(value)
}

fn rename(value: &mut Value) {
    match value {
        Value::String(string) => *string = text(string).into_owned(),
        Value::Array(values) => values.iter_mut().for_each(rename),
        Value::Object(members) => members.values_mut().for_each(rename),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_copy_is_told_by_its_address() {
        remember(Path::new("/scratch of a test/1"), "vault:CA/aa".to_owned());
        remember(Path::new("/scratch of a test/10"), "vault:CA/bb".to_owned());
        assert_eq!(
            text("cannot open /scratch of a test/10/Database/ca.db"),
            "cannot open vault:CA/bb/Database/ca.db"
        );
        assert!(matches!(text("/elsewhere"), Cow::Borrowed("/elsewhere")));
        let told = json!({ "sets": ["/scratch of a test/1"], "count": 1, "none": null });
        assert_eq!(*value(&told), json!({ "sets": ["vault:CA/aa"], "count": 1, "none": null }));
    }
}
