//! Names that a peer gives: of logs (certbcli.md 8.5, D26), of CAs (wire.md 5.1), of any file (wire.md 5.5).

use std::path::{Component, Path};

use certadm_rules::names::{
    folded, is_safe_component, last_component, names_a_log, same_ignoring_case, sanitize, short_sanitized, unsanitize,
};
use certadm_rules::{Generation, wide};

pub(crate) fn run(data: &[u8]) {
    let units: Vec<u16> = data.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect();
    if let Ok(text) = wide::decode(&units) {
        assert_eq!(wide::check(&text), Ok(units.len()));
        assert!(text.encode_utf16().eq(units));
        check(&text);
    }
    check(&String::from_utf8_lossy(data));
}

fn check(name: &str) {
    if let Some(generation) = Generation::from_log_file_name(name) {
        assert_eq!(generation.log_file_name(), name.to_ascii_lowercase());
        assert!(is_safe_component(name));
    }
    let last = last_component(name);
    assert!(name.ends_with(last) && !last.contains('\\'));
    assert_eq!(names_a_log(name), Generation::from_log_file_name(last).is_some());
    if is_safe_component(name) {
        assert_eq!(last, name);
        let joined = Path::new("set").join(name);
        let parts: Vec<Component<'_>> = joined.components().collect();
        assert_eq!(parts, [Component::Normal("set".as_ref()), Component::Normal(name.as_ref())]);
    }
    assert!(same_ignoring_case(name, &folded(name)));
    assert_eq!(folded(&folded(name)), folded(name));
    let sanitized = sanitize(name);
    assert_eq!(unsanitize(&sanitized), name, "sanitizing loses nothing");
    let short = short_sanitized(name);
    assert!(short.len() <= 57 && short.bytes().all(|byte| matches!(byte, 0x20..0x7F)), "{short:?}");
}
