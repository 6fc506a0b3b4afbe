//! Passwords beside the key file: each opens the repository, and the last one stays.

use std::path::Path;
use std::sync::Arc;

use certadm_repository::{Error, Label, Secret};

use crate::common::{over, repository};
use crate::objects::{Fault, Faulty};

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
    assert!(matches!(by_two.remove_key(&two), Err(Error::KeyNeeded { .. })));
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
    // The only key, and the one in use.
    let by_old = over(Arc::new(memory.clone()), &password("old"));
    let (gone, new) = by_old.rotate_key(None, &password("new"), LABEL).unwrap();
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
