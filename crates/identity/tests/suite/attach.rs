//! What a person puts beside a set.

use std::fs;
use std::path::Path;

use certadm_identity::{Attachments, DIR, Origin, Part, Role, SeenKey, found_at};
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
    with(&[("0", b"0")]).write(dir.path(), "", NOW).unwrap();
    std::thread::scope(|scope| {
        for name in ["1", "2", "3", "4", "5", "6", "7", "8"] {
            let set = dir.path();
            scope.spawn(move || with(&[(name, name.as_bytes())]).write(set, "", NOW).unwrap());
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

#[test]
fn a_key_that_is_shown_again_keeps_what_was_known_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let key = |seen: &str| SeenKey {
        key_identifier: "aa".to_owned(),
        public_key_sha256: "bb".to_owned(),
        seen: seen.to_owned(),
        source: "ca.p12".to_owned(),
        place: None,
        kept: None,
        is_protected: true,
    };
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
