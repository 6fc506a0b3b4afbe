//! What a person puts beside a set.

use std::fs;
use std::path::Path;

use certadm_identity::{
    Added, Attachments, DIR, Error, Origin, Part, Role, SeenKey, found_at, newest_kept, newest_key,
};
use certadm_rules::FileTime;

const NOW: FileTime = FileTime(133_000_000_000_000_000);

fn with(files: &[(&str, &[u8])]) -> Attachments {
    let mut attachments = Attachments::default();
    for (name, content) in files {
        attachments.keep(Role::Other, Path::new(name), content.to_vec());
    }
    attachments
}

fn paths(part: &Part) -> Vec<&str> {
    part.manifest.files.iter().map(|entry| entry.path.as_str()).collect()
}

fn key(seen: &str) -> SeenKey {
    SeenKey {
        key_identifier: "aa".to_owned(),
        public_key_sha256: "bb".to_owned(),
        seen: seen.to_owned(),
        source: "ca.p12".to_owned(),
        place: None,
        kept: None,
        is_protected: true,
    }
}

/// Attaches a file with the key and this content, as `certadm attach --key --keep` does.
fn keep_key(set: &Path, name: &str, content: &[u8]) -> Added {
    let mut attachments = Attachments::default();
    let kept = attachments.keep(Role::Key, Path::new(name), content.to_vec());
    attachments.keys.push(SeenKey { kept: Some(kept), ..key("2026") });
    attachments.attach(set, "", NOW).unwrap()
}

#[test]
fn files_of_one_name_get_numbers_and_the_same_file_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let part =
        with(&[("a/note.txt", b"one"), ("b/note.txt", b"two"), ("c/note.txt", b"one"), ("..", b"three")]);
    let part = part.write(dir.path(), "00ff", NOW).unwrap();
    assert_eq!(part.dir(), dir.path().join(DIR));
    assert_eq!(paths(&part), ["Attachments/note.txt", "Attachments/note-2.txt", "Attachments/attachment"]);
    assert_eq!(part.manifest.database_signature, "00ff");
    let more = with(&[("note.txt", b"two"), ("NOTE.txt", b"four"), ("plain", b"five")]);
    let part = more.write(dir.path(), "", NOW).unwrap();
    let expected = ["Attachments/NOTE-2-2.txt", "Attachments/plain"];
    assert_eq!(paths(&part)[3..], expected);
    assert!(part.manifest.files.iter().all(|entry| entry.origin == Origin::Attached));
    assert_eq!(part.check(), []);
    assert_eq!(found_at(dir.path()), [part.dir()]);
    assert!(Attachments::default().is_empty());
}

#[test]
fn of_several_that_add_at_a_time_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path();
    with(&[("0", b"0")]).write(set, "", NOW).unwrap();
    std::thread::scope(|scope| {
        for number in 1..=8 {
            let name = number.to_string();
            scope.spawn(move || with(&[(&name, name.as_bytes())]).write(set, "", NOW).unwrap());
        }
    });
    let part = Part::open(&dir.path().join(DIR)).unwrap();
    let mut found = paths(&part);
    found.sort_unstable();
    assert_eq!(found, (0..=8).map(|number| format!("Attachments/{number}")).collect::<Vec<_>>());
    assert_eq!(part.check(), []);
}

#[test]
fn what_a_killed_command_left_is_taken_over_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    with(&[("a", b"a")]).write(dir.path(), "", NOW).unwrap();
    let left = dir.path().join(DIR).join("Attachments");
    fs::write(left.join("same"), b"content").unwrap();
    fs::write(left.join("other"), b"of somebody").unwrap();
    let part = with(&[("same", b"content"), ("other", b"mine")]).write(dir.path(), "", NOW).unwrap();
    assert_eq!(paths(&part)[1..], ["Attachments/same", "Attachments/other-2"]);
    assert_eq!(fs::read(left.join("other")).unwrap(), b"of somebody");
    let kinds: Vec<&str> = part.check().iter().map(|finding| finding.kind.key()).collect();
    assert_eq!(kinds, ["unknown-file"]);
}

/// Whoever goes back to earlier settings attaches bytes that are there already, perhaps within one second.
#[test]
fn what_is_attached_again_counts_as_attached_last_and_is_there_once() {
    let dir = tempfile::tempdir().unwrap();
    let put = |content: &[u8], seconds: i64| {
        let mut attachments = Attachments::default();
        attachments.keep(Role::CaToml, Path::new("ca.toml"), content.to_vec());
        attachments.attach(dir.path(), "", FileTime(NOW.0 + seconds * 10_000_000)).unwrap()
    };
    put(b"first", 0);
    assert_eq!(put(b"second", 0).new, ["Attachments/ca-2.toml"]);
    for seconds in [0, 5] {
        let again = put(b"first", seconds);
        assert_eq!((again.new.len(), again.renewed), (0, vec!["Attachments/ca.toml".to_owned()]));
        assert_eq!(again.part.manifest.files.len(), 2);
        let now = FileTime(NOW.0 + seconds * 10_000_000);
        let newest = newest_kept(&[again.part], now, |_, entry| entry.role == Role::CaToml, &mut |_| ());
        assert_eq!(newest.unwrap().1, b"first");
        put(b"second", seconds);
    }
}

#[test]
fn a_damaged_copy_is_mended_by_attaching_the_file_again() {
    let dir = tempfile::tempdir().unwrap();
    let content = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    let attach = || keep_key(dir.path(), "ca.key", content);
    let damaged = attach().part.dir().join("Attachments/ca.key");
    fs::write(&damaged, b"-----BEGIN ENCRYPTED PRIVATE KEX-----").unwrap();
    let mended = attach();
    assert_eq!(
        (&*mended.new, &*mended.damaged),
        (&["Attachments/ca-2.key".to_owned()][..], &["Attachments/ca.key".to_owned()][..])
    );
    let [known] = mended.part.manifest.keys.as_slice() else { panic!("{:?}", mended.part.manifest.keys) };
    assert_eq!(known.kept.as_deref(), Some("Attachments/ca-2.key"), "no word of the damaged one");
    let found = newest_key(&[mended.part], NOW, "AA", &mut |error| panic!("{error}")).unwrap();
    assert_eq!(found.1, content);
    // Nothing is overwritten, and the second try finds what the first one has written.
    assert_ne!(fs::read(&damaged).unwrap(), content);
    let again = attach();
    assert_eq!((again.new.len(), &*again.renewed), (0, &["Attachments/ca-2.key".to_owned()][..]));
    fs::remove_file(&damaged).unwrap();
    let whole = attach();
    assert_eq!((&*whole.new, whole.part.check()), (&["Attachments/ca.key".to_owned()][..], vec![]));
}

#[test]
fn a_key_that_is_kept_in_another_form_alone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let ask = |part: Part| {
        let mut told = Vec::new();
        let found = newest_key(&[part], NOW, "aa", &mut |error| {
            told.push(matches!(error, Error::KeyForm { path } if path.ends_with("Attachments/ca.p12")));
        });
        (found.map(|(_, content)| content), told)
    };
    assert_eq!(ask(keep_key(dir.path(), "ca.p12", b"0").part), (None, vec![true]));
    let pem = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    keep_key(dir.path(), "ca.key", pem);
    // Kept in two files, the one counts that our CA reads.
    assert_eq!(ask(keep_key(dir.path(), "ca.p12", b"0").part), (Some(pem.to_vec()), vec![]));
}

#[test]
fn keys_in_files_of_one_name_are_known_by_their_own_files() {
    let dir = tempfile::tempdir().unwrap();
    with(&[("ca.key", b"another one")]).write(dir.path(), "", NOW).unwrap();
    let mut attachments = Attachments::default();
    for name in ["a/ca.key", "b/ca.key"] {
        let kept = attachments.keep(Role::Key, Path::new(name), name.into());
        let public_key_sha256 = name.to_owned();
        attachments.keys.push(SeenKey { kept: Some(kept), public_key_sha256, ..key("2026") });
    }
    let part = attachments.write(dir.path(), "", NOW).unwrap();
    let entries: Vec<&str> = part.manifest.of_role(Role::Key).map(|entry| &*entry.path).collect();
    let known: Vec<&str> = part.manifest.keys.iter().filter_map(|key| key.kept.as_deref()).collect();
    assert_eq!(known, entries);
}

#[test]
fn a_key_that_is_shown_again_keeps_what_was_known_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Attachments::default();
    let kept = first.keep(Role::Key, Path::new("ca.p12"), b"encrypted".to_vec());
    first.keys.push(SeenKey { kept: Some(kept), place: Some("safe".to_owned()), ..key("2026") });
    first.write(dir.path(), "", NOW).unwrap();
    let mut again = Attachments::default();
    again.keys.push(key("2027"));
    again.external_keys.push("HSM".to_owned());
    let part = again.write(dir.path(), "", NOW).unwrap();
    let [known] = part.manifest.keys.as_slice() else { panic!("{:?}", part.manifest.keys) };
    assert_eq!((known.seen.as_str(), known.place.as_deref()), ("2027", Some("safe")));
    assert_eq!(known.kept.as_deref(), Some("Attachments/ca.p12"));
    assert_eq!(part.manifest.external_keys[0].text, "HSM");
}

#[test]
fn a_file_that_is_a_database_gets_a_folder_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let database = dir.path().join("CertLog.edb");
    fs::write(&database, b"").unwrap();
    let part = with(&[("a", b"a")]).write(&database, "", NOW).unwrap();
    assert_eq!(part.dir(), dir.path().join("CertLog.edb.identity"));
    assert_eq!(found_at(&database), [part.dir()]);
    let part = with(&[("b", b"b")]).write(&database, "", NOW).unwrap();
    assert_eq!(paths(&part), ["Attachments/a", "Attachments/b"]);
    // The folder itself is a good name for it, too.
    let part = with(&[("c", b"c")]).write(part.dir(), "", NOW).unwrap();
    assert_eq!(paths(&part).len(), 3);
}
