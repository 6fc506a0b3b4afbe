//! The manifest of a backup set, `manifest.json` (docs/set-format.md).

use std::path::{Component, Path};

use certadm_set::Manifest;

pub(crate) fn run(data: &[u8]) {
    if let Ok(manifest) = Manifest::parse(data) {
        check(data, manifest);
    }
    // The checksum keeps a fuzzer out, so the same manifest is tried with the right one.
    if let Ok(mut manifest) = serde_json::from_slice::<Manifest>(data)
        && let Ok(bytes) = manifest.complete()
        && let Ok(parsed) = Manifest::parse(&bytes)
    {
        assert_eq!(parsed, manifest);
        check(&bytes, parsed);
    }
}

fn check(bytes: &[u8], manifest: Manifest) {
    for entry in &manifest.files {
        let path = Path::new(&entry.path);
        assert!(path.components().all(|component| matches!(component, Component::Normal(_))), "{path:?}");
        assert!(path.components().next().is_some(), "an empty path");
    }
    assert!(manifest.generations.low <= manifest.generations.high);
    assert!(manifest.logs().all(|entry| entry.size <= manifest.total_size()));
    let mut again = manifest;
    assert_eq!(again.complete().as_deref(), Ok(bytes), "a manifest has one form only");
}
