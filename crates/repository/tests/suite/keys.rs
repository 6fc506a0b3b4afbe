//! Passwords beside the key file: each opens the repository, and the last one stays.

use std::path::Path;
use std::sync::Arc;

use certadm_repository::{Error, Label, Part, Secret};
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::Class;
use certadm_set::Silent;

use crate::common::{over, repository};
use crate::objects::{Fault, Faulty, Memory};

const LABEL: Label<'static> = Label { host: "host", user: "operator" };

fn password(text: &str) -> Secret {
    Secret::from_password(text, Path::new("a test"))
}

#[test]
fn each_password_opens_the_repository_until_it_is_removed() {
    let (memory, _, repository) = repository();
    let one = repository.add_key(&password("one"), LABEL).unwrap();
    assert!(matches!(repository.remove_key(&one), Err(Error::KeyNeeded { .. })), "the last one stays");
    let two = repository.add_key(&password("two"), LABEL).unwrap();
    let opens = |text: &str| over(Arc::new(memory.clone()), &password(text)).points().is_ok();
    assert!(opens("one") && opens("two") && !opens("three"));
    let keys = repository.keys().unwrap();
    assert_eq!(keys.len(), 2);
    assert!(keys.iter().all(|key| key.host == "host" && key.user == "operator" && !key.created.is_empty()));
    // The key that opens the repository just now is not removed by itself.
    let by_two = over(Arc::new(memory.clone()), &password("two"));
    assert!(matches!(by_two.remove_key(&two), Err(Error::KeyInUse { .. })));
    assert_eq!(by_two.remove_key(&one[..10]).unwrap().id, one);
    assert!(!opens("one") && opens("two"));
    assert!(matches!(repository.remove_key(&one), Err(Error::NoKey { .. })));
    assert!(matches!(
        repository.add_key(&Secret::generate(Path::new("x")), LABEL),
        Err(Error::Secret { .. })
    ));
}

#[test]
fn a_key_is_rotated_after_the_new_one_has_opened_the_repository() {
    let (memory, key_file, repository) = repository();
    let old = repository.add_key(&password("old"), LABEL).unwrap();
    // The only key.
    let by_old = over(Arc::new(memory.clone()), &password("old"));
    assert!(by_old.points().is_ok());
    let (gone, new) = repository.rotate_key(None, &password("new"), LABEL).unwrap();
    assert_eq!((gone.id, repository.keys().unwrap()[0].id.clone()), (old, new.clone()));
    assert!(by_old.points().is_err());
    let other = repository.add_key(&password("other"), LABEL).unwrap();
    let which = repository.rotate_key(None, &password("x"), LABEL);
    assert!(matches!(which, Err(Error::NoKey { .. })), "which one?");
    repository.remove_key(&other).unwrap();
    // Whatever call fails, somebody can open it.
    for call in 0.. {
        let memory = memory.copy();
        let faulty = Faulty::new(memory.clone(), Fault::Fails(call));
        // The key file opens it at once, where a password takes its time.
        let done = over(faulty.clone(), &key_file).rotate_key(Some(&new), &password("newer"), LABEL);
        let keys = memory.names("keys/");
        let old_stays = keys.iter().any(|name| name.ends_with(&new));
        // Opening takes a while, so it is tried only where the old one is gone.
        let opens = || over(Arc::new(memory.clone()), &password("newer")).points().is_ok();
        assert!(old_stays || opens(), "{call}: {keys:?}");
        if faulty.calls() <= call {
            done.unwrap();
            assert!(!old_stays);
            break;
        }
    }
}

/// The file of the vault's own password stays as it is, so every backup would fail from then on.
#[test]
fn the_password_that_the_vault_itself_opens_with_is_not_rotated_away() {
    let (memory, _, repository) = repository();
    let old = repository.add_key(&password("old"), LABEL).unwrap();
    let by = |text: &str| over(Arc::new(memory.clone()), &password(text));
    let before = memory.all();
    for beginning in [None, Some(&old[..8])] {
        let error = by("old").rotate_key(beginning, &password("new"), LABEL).unwrap_err();
        assert!(matches!(&error, Error::KeyInUse { .. }) && error.to_string().contains("a test"), "{error}");
        assert_eq!(error.class(), Class::Refused);
        assert!(error.remedy().contains("key add") && error.remedy().contains("a test"), "{error}");
        assert_eq!(memory.all(), before, "nothing is added");
    }
    let error = by("old").remove_key(&old).unwrap_err();
    assert!(matches!(error, Error::KeyInUse { .. }), "{error}");
    // What the remedy says.
    by("old").add_key(&password("new"), LABEL).unwrap();
    assert_eq!(by("new").remove_key(&old).unwrap().id, old);
    assert!(by("new").points().is_ok() && by("old").points().is_err());
}

/// An object named after its bytes that comes before all keys.
fn plant(memory: &Memory, content: impl Fn(u32) -> Vec<u8>) -> String {
    let named = |content: Vec<u8>| {
        let id = certadm_rules::hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(&content));
        (id, content)
    };
    let (id, content) =
        (0..).map(|number| named(content(number))).find(|(id, _)| id.starts_with("00")).unwrap();
    memory.overwrite(&format!("keys/{id}"), content);
    id
}

/// Whoever may add an object, without any key.
#[test]
fn what_is_no_key_keeps_no_password_from_opening_the_repository() {
    let (memory, _, repository) = repository();
    let sound = repository.add_key(&password("one"), LABEL).unwrap();
    let scrypt = |cost: u32, size: u32, passes: u32, data: &'static str| {
        move |number| {
            format!(
                r#"{{"hostname":"{number}","kdf":"scrypt","N":{cost},"r":{size},"p":{passes},"salt":"AAAA","data":"{data}"}}"#
            )
            .into_bytes()
        }
    };
    let long = "AAAA".repeat(50).leak();
    let planted = [
        plant(&memory, |number| format!(r#"{{"x":{number}}}"#).into_bytes()),
        plant(&memory, scrypt(1 << 17, 0, 1, "AAA1")),
        plant(&memory, scrypt(0, 8, 1, long)),
        plant(&memory, scrypt(1 << 31, 64, 1, long)),
        plant(&memory, scrypt(2, 8, 1, "AAA1")),
        plant(&memory, |number| {
            let mut content = scrypt(2, 8, 1, long)(number);
            content.resize(65 << 10, b' ');
            content
        }),
    ];
    // Where no key lies, and what no longer has its bytes.
    memory.overwrite(&format!("keys/x/{}", "0".repeat(64)), b"{}".to_vec());
    memory.overwrite(&format!("keys/{}", "0".repeat(64)), b"{}".to_vec());
    let by = |text: &str| over(Arc::new(memory.clone()), &password(text));
    by("one").points().unwrap();
    memory.remove(&format!("keys/{}", "0".repeat(64)));
    let error = by("other").points().unwrap_err();
    assert!(matches!(&error, Error::NoKeyFits { passed_over, .. } if passed_over.len() == 6), "{error}");
    assert!(error.to_string().ends_with(" and 3 more") && error.class() == Class::Refused, "{error}");
    assert!(!repository.is_opened_by(&password("other")).unwrap());

    let keys = repository.keys().unwrap();
    let unsound: Vec<&str> = keys.iter().filter(|key| !key.is_sound()).map(|key| key.id.as_str()).collect();
    assert_eq!((keys.len(), unsound.len()), (7, 6));
    let wrong = repository.dead_keys(&keys);
    for id in &planted {
        assert!(unsound.contains(&id.as_str()));
        let told: Vec<_> = wrong.iter().filter(|error| error.to_string().contains(id)).collect();
        assert!(matches!(told[..], [Error::NotAKey { .. }]) && told[0].class() == Class::Damaged, "{told:?}");
        assert!(told[0].to_string().contains("is no key"), "{}", told[0]);
        repository.remove_key(id).unwrap();
    }
    assert_eq!(repository.dead_keys(&repository.keys().unwrap()).len(), 0);
    // Without a key among them, nobody's password is wrong.
    plant(&memory, |number| format!(r#"{{"x":{number}}}"#).into_bytes());
    memory.remove(&format!("keys/{sound}"));
    assert!(matches!(by("one").points(), Err(Error::NoPassword { .. })));
}

/// What a key says of itself is a stranger's text.
#[test]
fn a_key_that_says_nothing_sensible_is_listed_by_its_id() {
    let (memory, _, repository) = repository();
    for (number, content) in ["", "{}", "[1]", r#"{"hostname":1}"#].iter().enumerate() {
        memory.overwrite(&format!("keys/{}", format!("{number}").repeat(64)), content.as_bytes().to_vec());
    }
    let keys = repository.keys().unwrap();
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| key.host.is_empty()));
}

/// One flipped bit in the object of a recovery code is found while the key file still opens everything, and not when it is gone.
#[test]
fn a_key_that_has_changed_is_told_and_counts_for_no_password() {
    let (memory, secret, repository) = repository();
    let dead = || {
        let checked = repository.check(Part::NONE, &mut Silent).unwrap();
        let dead = repository.dead_keys(&checked.keys);
        assert!(dead.iter().all(|error| error.class() == Class::Damaged));
        dead.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let one = repository.add_key(&password("one"), LABEL).unwrap();
    assert_eq!(dead(), [""; 0]);
    let name = format!("keys/{one}");
    let sound = memory.all()[&name].clone();
    let mut flipped = sound.to_vec();
    let place = flipped.len() - 30;
    flipped[place] ^= 1;
    // A file that somebody has written over, cut short, or left empty.
    for content in [flipped.clone(), sound[..sound.len() - 1].to_vec(), Vec::new()] {
        memory.overwrite(&name, content);
        let told = dead();
        assert!(told.len() == 2 && told[0].contains(&name), "{told:?}");
        assert!(told[1].starts_with("no password opens"), "{told:?}");
        assert!(!repository.keys().unwrap()[0].is_sound());
    }
    memory.overwrite(&name, flipped);
    let error = over(Arc::new(memory.clone()), &password("one")).points().unwrap_err();
    assert!(matches!(error, Error::DeadKey { .. }) && error.to_string().contains(&name), "{error}");
    assert!(
        error.remedy().contains("key rotate") && error.remedy().contains("undelete"),
        "{}",
        error.remedy()
    );

    // With a second password, which is sound, the first is still told; and it is the second that stays.
    let two = repository.add_key(&password("two"), LABEL).unwrap();
    assert!(dead().len() == 1 && dead()[0].contains(&name), "{:?}", dead());
    assert!(matches!(repository.remove_key(&two), Err(Error::KeyNeeded { .. })), "it alone opens anything");
    assert!(over(Arc::new(memory.clone()), &password("two")).points().is_ok());
    repository.remove_key(&one).unwrap();
    assert_eq!(dead(), [""; 0]);
    // Rotating a dead key is the way back where it is the only one.
    memory.overwrite(&format!("keys/{two}"), b"{}".to_vec());
    assert!(matches!(repository.remove_key(&two), Err(Error::KeyNeeded { .. })));
    repository.rotate_key(None, &password("three"), LABEL).unwrap();
    assert_eq!(dead(), [""; 0]);
    for key in memory.names("keys/") {
        memory.remove(&key);
    }
    assert!(dead().len() == 1 && dead()[0].starts_with("no password opens"), "{:?}", dead());
    // Junk under the name of its own bytes is no key either.
    let junk = b"{}";
    let id = certadm_rules::hex::encode(&<sha2::Sha256 as sha2::Digest>::digest(junk));
    memory.overwrite(&format!("keys/{id}"), junk.to_vec());
    assert_eq!(dead().len(), 2);
    // Where there is no repository there is no list of its keys.
    memory.remove("config");
    let none = over(Arc::new(memory), &secret).keys();
    assert!(none.is_err(), "{none:?}");
}
