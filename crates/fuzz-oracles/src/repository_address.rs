//! Addresses of sets in repositories, the list of vaults, spans of time, and parts of a check.

use certadm_repository::{Address, Part, Place, Profiles};
use certadm_rules::names::is_safe_component;
use certadm_rules::span::{any_span, exact, kept_span, span};

/// The first octet says what the rest is: 0 an address, 1 the list of vaults, 2 a span, 3 a part.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    match kind % 4 {
        0 => address(text),
        1 => vaults(text),
        2 => span_of_time(text),
        _ => drop(text.parse::<Part>()),
    }
}

fn span_of_time(text: &str) {
    let any = any_span(text);
    assert!(span(text).is_err() || span(text) == any, "{text:?}");
    assert!(kept_span(text).is_err() || kept_span(text) == any, "{text:?}");
    if let Ok(seconds) = any {
        assert!(0 <= seconds, "{text:?}");
        assert_eq!(any_span(&exact(seconds)), any, "{text:?}");
    }
}

fn address(text: &str) {
    let Some(Ok(read)) = Address::parse(text) else { return };
    // A CA's name is a folder of a vault, and nothing else.
    let ca = read.ca.as_deref();
    assert!(ca.is_none_or(|ca| is_safe_component(ca) && !ca.starts_with('.')), "{text:?}");
    let again = Address::parse(&read.to_string());
    let again = again.and_then(Result::ok);
    // A point is always written.
    let read = Address { names_point: true, ..read };
    assert_eq!(again.as_ref(), Some(&read), "{text:?} is written as {read}");
}

fn vaults(text: &str) {
    let Ok(profiles) = Profiles::parse(text) else { return };
    for profile in profiles.all() {
        assert!(profiles.vault(&profile.name).is_ok());
        if let Place::Bucket(bucket) = &profile.place {
            assert!(!bucket.prefix.split('/').any(|part| part == ".."), "{text:?}");
            // What may hold a password is no part of an address.
            assert!(!bucket.place(None).contains('@'), "{text:?}");
        }
    }
}
