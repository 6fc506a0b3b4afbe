//! What stands beside a database: registry files that somebody exported, and the list of an identity part.

use certadm_identity::{Configuration, Manifest, registry};

/// The first octet says what the rest is: 0 a registry file, 1 the list of an identity part, 2 a configuration.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind {
        0 => file(rest),
        1 => list(rest),
        _ => configuration(rest),
    }
}

/// What is read is written so that it is read again, but for names that no file can have.
fn file(data: &[u8]) {
    let Ok(found) = registry::parse(data) else { return };
    let found = registry::of_certsvc(&found);
    let written = registry::to_text(&found, &registry::root(registry::CERTSVC));
    let again = registry::parse(&registry::to_bytes(&written.text)).expect("what was written is read");
    if written.left_out.is_empty() {
        assert!(registry::of_certsvc(&again).len() <= found.len());
    }
}

/// A list that is accepted is written as it was.
fn list(data: &[u8]) {
    if let Ok(mut manifest) = Manifest::parse(data) {
        assert_eq!(manifest.complete().as_deref(), Ok(data));
    }
}

/// A configuration comes back from its JSON.
fn configuration(data: &[u8]) {
    let Ok(json) = serde_json::from_slice(data) else { return };
    if let Some(configuration) = Configuration::of_json(&json) {
        assert_eq!(Configuration::of_json(&configuration.to_json()), Some(configuration));
    }
}
