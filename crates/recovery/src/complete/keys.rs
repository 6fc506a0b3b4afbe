//! Whether every key that is still in force is there, fits and signs.

use certadm_identity::{Role, SeenKey, Value};

use crate::issuer::Issuer;
use crate::records::Maker;

use super::question::{Question, hash_of_key};
use super::verdict::{Check, Component, State};

/// The component `key`.
pub(super) fn judge(question: &Question<'_>) -> Component {
    let mut checks = Vec::new();
    for (path, key) in question.keys {
        if question.issuers.is_beside_own_key(question.keys, path, key.public_key()) {
            continue;
        }
        if let Err(error) = question.issuers.place_of_key(key.public_key(), &path.display().to_string()) {
            checks.push(Check::contradiction("key fits", error.to_string(), "give the key of this CA"));
        }
    }
    let external = question.parts.iter().flat_map(|part| &part.manifest.external_keys).next_back();
    let hsm = provider_of_hsm(question);
    let hsm = hsm.as_ref();
    let in_force: Vec<&Issuer> =
        question.issuers.iter().filter(|issuer| is_in_force(question, issuer)).collect();
    let (mut there, mut elsewhere, mut nowhere) = (0, 0, 0);
    let mut source = None;
    for issuer in &in_force {
        let what = format!(
            "key {} (key id {}, {})",
            issuer.index(),
            issuer.key_identifier(),
            issuer.public_key().kind_name()
        );
        let given = question.keys.iter().find(|(_, key)| key.public_key() == issuer.public_key());
        if let Some((path, key)) = given {
            there += 1;
            source = Some(path.display().to_string());
            checks.push(Check::good("key fits", format!("{what} is in {}", path.display())));
            checks.push(match key.try_out() {
                Ok(()) => Check::good("key signs", format!("{what} signed a sample that verifies")),
                Err(reason) => Check::bad(
                    "key signs",
                    format!("{what} does not sign: {reason}"),
                    "take another copy of the key",
                ),
            });
            continue;
        }
        let hash = hash_of_key(issuer.public_key());
        let seen = question
            .parts
            .iter()
            .flat_map(|part| &part.manifest.keys)
            .filter(|seen| seen.public_key_sha256 == hash);
        // One of which is known where it is counts for more than a later look.
        let known = |seen: &&SeenKey| (seen.kept.is_some() || seen.place.is_some(), seen.seen.clone());
        match (seen.max_by_key(known), external, hsm) {
            (Some(seen), ..) => {
                let place = seen.kept.clone().or_else(|| seen.place.clone());
                let kept = seen.kept.is_some();
                there += usize::from(kept);
                elsewhere += usize::from(!kept && place.is_some());
                nowhere += usize::from(!kept && place.is_none());
                source = source.or_else(|| place.clone());
                checks.push(match place {
                    Some(place) => Check::good(
                        "key fits",
                        format!("{what} was checked at {}; it is in {place}", seen.seen),
                    ),
                    // What was seen may be the CA's own file, which is lost with the CA.
                    None => Check::unknown(
                        "key fits",
                        format!("{what} was checked at {}; nobody said where it is", seen.seen),
                        "say where it is, or keep it: certadm attach SET --key FILE --place TEXT, or --keep",
                    ),
                });
            }
            (None, Some(note), _) => {
                elsewhere += 1;
                source = source.or_else(|| Some(note.text.clone()));
                checks.push(Check::unknown(
                    "key fits",
                    format!("{what} is kept elsewhere, as was said at {}: {}", note.when, note.text),
                    "a backup of it is proven only where it is: ask for the vendor's backup, and rehearse a signature with it",
                ));
            }
            // Such a key cannot leave its place, so it is never missing from a backup (recovery.md 1.1).
            (None, None, Some(provider)) => {
                elsewhere += 1;
                source = source.or_else(|| Some(provider.clone()));
                checks.push(Check::unknown(
                    "key fits",
                    format!("{what} is with the provider {provider:?}, as the configuration says"),
                    "ask for the identifier of its vendor's backup, and note it with certadm attach SET --external-key; rehearse a signature where the key is",
                ));
            }
            (None, None, None) => {
                checks.push(Check::bad("key fits", format!("nobody has shown {what}"), remedy(question)));
            }
        }
    }
    let state = match (there + elsewhere, in_force.len()) {
        (_, 0) => State::NotApplicable,
        (found, all) if found + nowhere < all => State::Absent,
        _ if 0 < nowhere => State::CannotTell,
        _ if there == 0 => State::External,
        _ => State::Present,
    };
    let mut component = Component::new("key", "Private key", true, state).with(checks);
    component.source = source;
    component
}

/// Whether the key is one that the CA still needs: a certificate of it is in force.
pub(super) fn is_in_force(question: &Question<'_>, issuer: &Issuer) -> bool {
    issuer.not_after.is_none_or(|end| question.now <= end)
}

fn remedy(question: &Question<'_>) -> &'static str {
    match question.records.maker() {
        Maker::Certadm => "certadm attach SET --dir DIR with the CA's folder, or --key ca.key",
        Maker::Windows => {
            "on the CA run certutil -p * -backupKey DIR, then certadm attach SET --key FILE.p12"
        }
    }
}

/// The provider of the CA's keys as the configuration names it, where it is none of Windows' own: that of an HSM.
fn provider_of_hsm(question: &Question<'_>) -> Option<String> {
    // Our own CA's is its file.
    if question.records.maker() == Maker::Certadm {
        return None;
    }
    let (configuration, _) = question.configuration()?;
    let key = format!("{}\\CSP", configuration.ca_key()?);
    match configuration.get(&key, "Provider")? {
        Value::Text(provider) => Some(provider.clone())
            .filter(|provider| !provider.is_empty() && !provider.starts_with("Microsoft")),
        _ => None,
    }
}

/// The component of the accounts of our own service.
pub(super) fn accounts(question: &Question<'_>) -> Option<Component> {
    if question.records.maker() != Maker::Certadm {
        return None;
    }
    let found = question.newest(Role::Users);
    let state = if found.is_some() { State::Present } else { State::Absent };
    Some(Component::new("accounts", "Accounts of the service", false, state).of(found.as_ref()))
}
