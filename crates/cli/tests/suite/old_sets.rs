//! Folders of sets: what lies there, which of it goes, and restores of what is chosen from it.

use std::fs;

use certadm_tests::signers;
use serde_json::Value;

use crate::jobs::next_second;
use crate::support::Work;
use crate::windows_files::backup as backup_of_windows;

/// A CA with a full set, a log set that follows it, and a second full set, in `sets`; a certificate before each.
fn with_sets() -> Work {
    let work = Work::with_ca();
    for (name, kind) in [("one", ""), ("two", " --type logs"), ("three", "")] {
        work.issue("ca", name);
        work.result(&format!("backup --dir {{ca}} --to {{sets/{name}}}{kind}"));
        next_second();
    }
    work
}

fn moment_of(sets: &Value, name: &str) -> String {
    let all = sets["cas"][0]["sets"].as_array().unwrap();
    let set = all.iter().find(|set| set["id"] == name).unwrap_or_else(|| panic!("no {name}: {sets:#}"));
    set["finished"].as_str().unwrap().to_owned()
}

#[test]
fn a_folder_of_sets_is_listed_pruned_and_restored_from() {
    let work = with_sets();
    let sets = work.result("sets {sets}");
    let ca = &sets["cas"][0];
    let bases: Vec<_> =
        ca["sets"].as_array().unwrap().iter().map(|set| (set["id"].clone(), set["base"].clone())).collect();
    assert_eq!(
        bases,
        [("one", "one"), ("two", "one"), ("three", "three")].map(|(a, b)| (a.into(), b.into()))
    );
    assert_eq!(ca["newest"], moment_of(&sets, "three").as_str());
    let text = work.run("sets {sets}").good();
    assert!(text.contains("Test-CA: 3 sets in 2 chains") && text.contains("    two  20"), "{text}");

    // A restore of what is chosen.
    let certificates = |line: &str| work.result(&format!("restore {line} --dry-run"))["certificates"].clone();
    assert_eq!(certificates("--latest-in {sets} --dir {new}"), 3);
    let at = |name: &str| format!("--latest-in {{sets}} --dir {{new}} --at {}", moment_of(&sets, name));
    assert_eq!((certificates(&at("one")), certificates(&at("two"))), (1.into(), 2.into()));
    let early = work.run("restore --latest-in {sets} --dir {new} --at 2020-01-01T00:00:00Z");
    assert_eq!(early.code, 3, "{early:?}");
    assert!(early.stderr.contains("certadm sets"), "{early:?}");
    assert_eq!(work.run("restore --dir {new} --at 2020-01-01T00:00:00Z").code, 2, "--at alone");
    let beside_names = work.run("restore --from {sets/one} --dir {new} --at 2020-01-01T00:00:00Z");
    assert_eq!(beside_names.code, 2, "{beside_names:?}");
    // An earlier state of what is chosen: one that its logs give, or none.
    assert_ne!(work.run("restore --latest-in {sets} --dir {new} --dry-run --until-generation 0x99").code, 0);
    fs::rename(work.path("sets/three"), work.path("three")).unwrap();
    let until = format!("--latest-in {{sets}} --dir {{new}} --until-time {}", moment_of(&sets, "one"));
    assert_eq!((certificates(&until), certificates("--latest-in {sets} --dir {new}")), (1.into(), 2.into()));
    fs::rename(work.path("three"), work.path("sets/three")).unwrap();
    let restored = work.result(&format!("restore {}", at("two")));
    assert_eq!(restored["certificates"], 2, "{restored:#}");

    // Rules, and a dry run that changes nothing.
    assert_eq!(work.run("prune {sets}").code, 2, "no rule");
    assert_eq!(work.run("prune {sets} --keep-last 1 --evidence {nothing}").code, 2);
    let dry = work.run("prune {sets} --keep-last 1 --dry-run").good();
    assert!(dry.contains("2 of 3 sets would be deleted") && dry.contains("the newest state"), "{dry}");
    fs::write(work.path("sets/one/mine"), "x").unwrap();
    let held = work.run("prune {sets} --keep-last 1");
    assert_eq!(held.code, 1, "{held:?}");
    assert!(held.stdout.contains("the set stays") && work.path("sets/one").is_dir(), "{held:?}");
    fs::remove_file(work.path("sets/one/mine")).unwrap();
    assert!(!work.path("sets/two").exists(), "the log set goes, its full set stays");
    let pruned = work.result("prune {sets} --keep-last 1");
    assert_eq!((&pruned["sets"][0]["deleted"], &pruned["sets"][1]["deleted"]), (&true.into(), &false.into()));
    assert_eq!(work.result("sets {sets}")["cas"][0]["sets"].as_array().unwrap().len(), 1);
    assert_eq!(work.run("prune {ca} --keep-last 1").code, 3, "a CA's folder");
    assert_eq!(work.run("sets {sets/three}").code, 3, "a set");
}

/// A set's last log ends when its backup begins, and the rest of it takes time.
#[test]
fn a_moment_while_a_set_was_taken_is_restored() {
    use certadm_set::Manifest;
    let work = Work::with_ca();
    let take = |name: &str, kind: &str| {
        work.issue("ca", name);
        let taken =
            work.result(&format!("backup --dir {{ca}} --to {{sets/{name}}} --type {kind} --truncate"));
        taken["generations"]["high"].as_u64().unwrap()
    };
    take("one", "full");
    next_second();
    let high = take("two", "logs");
    // The logs of the next one end two seconds later at least.
    (0..3).for_each(|_| next_second());
    let line = format!("list {{sets/one}} {{sets/two}} --until-generation {high} --limit 1");
    let ended = work.result(&line)["until"]["ended"].as_str().unwrap().to_owned();
    let later = |seconds: i64| {
        let ended =
            time::OffsetDateTime::parse(&ended, &time::format_description::well_known::Rfc3339).unwrap();
        let moment = certadm_rules::FileTime::from_unix_seconds(ended.unix_timestamp() + seconds);
        moment.to_rfc3339()
    };
    let dated = |name: &str, started: i64, finished: i64| {
        let path = work.path(&format!("sets/{name}/manifest.json"));
        let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
        (manifest.started, manifest.finished) = (later(started), later(finished));
        fs::write(path, manifest.complete().unwrap()).unwrap();
    };
    let certificates = |seconds: i64| {
        let line = format!("restore --latest-in {{sets}} --dir {{new}} --at {} --dry-run", later(seconds));
        work.result(&line)["certificates"].clone()
    };
    dated("two", 0, 10);
    assert_eq!(certificates(-1), 1);
    assert_eq!((certificates(0), certificates(1)), (2.into(), 2.into()), "up to its end");
    take("three", "logs");
    dated("three", 12, 15);
    assert_eq!((certificates(0), certificates(1)), (2.into(), 2.into()), "from the set after it");
    // The set around the moment is a full one: its logs ended before the moment, or after it.
    take("four", "full");
    dated("four", 20, 10_000);
    assert_eq!((certificates(17), certificates(9_999)), (3.into(), 4.into()));
    dated("four", 1, 10_000);
    assert_eq!(certificates(1), 2);
}

#[test]
fn sets_of_two_cas_are_no_choice() {
    let work = with_sets();
    work.run("ca init --dir {other} --name Other-CA --passphrase-file {pass}").good();
    work.result("backup --dir {other} --to {sets/other}");
    assert_eq!(work.result("sets {sets}")["cas"].as_array().unwrap().len(), 2);
    let run = work.run("restore --latest-in {sets} --dir {new}");
    assert_eq!(run.code, 2, "{run:?}");
    // Each CA keeps its own newest state.
    let pruned = work.result("prune {sets} --keep-last 1");
    let gone = pruned["sets"].as_array().unwrap().iter().filter(|set| set["deleted"] == true).count();
    assert_eq!(gone, 2, "{pruned:#}");
}

#[test]
fn a_rehearsal_keeps_what_it_has_proven() {
    let work = with_sets();
    work.result("rehearse {sets/one} {sets/two} --key {ca/ca.key} --passphrase-file {pass} --evidence {evidence} --identity {ca}");
    let kept = work.result("prune {sets} --keep-last 1 --evidence {evidence} --dry-run");
    let rules: Vec<_> = kept["sets"].as_array().unwrap().iter().map(|set| set["kept_by"].clone()).collect();
    assert!(rules.iter().all(|rules| !rules.as_array().unwrap().is_empty()), "{rules:?}");
    assert!(rules[1].as_array().unwrap().contains(&"the newest proven state".into()), "{rules:?}");
}

#[test]
fn what_certutil_wrote_is_sealed_once_and_then_known() {
    let work = Work::new();
    if backup_of_windows(&work.path("windows")).is_none() {
        return;
    }
    let files = |work: &Work| {
        let dir = fs::read_dir(work.path("windows/full/DataBase")).unwrap();
        let read = dir.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap()));
        read.collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = files(&work);
    assert_eq!(work.result("sets {windows}")["unsealed"].as_array().unwrap().len(), 2);
    let sealed = work.run("--json seal {windows/full}");
    assert!(sealed.code <= 1, "{sealed:?}");
    // Nothing says whose logs these are: they have no restore map.
    let logs = work.run("seal {windows/logs}");
    assert!(logs.code == 3 && logs.stderr.contains("no restore map"), "{logs:?}");
    assert_eq!(files(&work), before, "no file of the set is changed");
    assert_eq!(work.run("seal {windows/full}").code, 3, "it is sealed");
    let sets = work.result("sets {windows}");
    assert_eq!(sets["unsealed"].as_array().unwrap().len(), 1, "{sets:#}");
    assert_eq!(sets["cas"][0]["sets"][0]["base"], "full", "{sets:#}");
    let verified = work.run("verify {windows/full} {windows/logs}");
    assert!(verified.code <= 1, "{verified:?}");
    let database = before.keys().find(|path| path.extension().is_some_and(|end| end == "edb")).unwrap();
    let database = database.strip_prefix(work.path("")).unwrap().to_str().unwrap().to_owned();
    work.flip(&database);
    assert_eq!(work.run("verify {windows/full}").code, 5, "a change shows");
    // What is damaged, or no set of a Windows CA, gets none.
    fs::remove_file(work.path("windows/full/manifest.json")).unwrap();
    let log = work.path("windows/full/DataBase");
    let log = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path());
    for log in log.filter(|path| path.extension().is_some_and(|end| end == "log")) {
        fs::write(log, "no log").unwrap();
    }
    assert_eq!(work.run("seal {windows/full}").code, 5);
    assert!(!work.path("windows/full/manifest.json").exists());
    work.run("ca init --dir {ca} --name Test-CA --passphrase-file {pass}").good();
    assert_eq!(work.run("seal {ca}").code, 3);
}

#[test]
fn what_is_sealed_can_be_signed_and_others_signatures_do_not_count() {
    let work = Work::new();
    if backup_of_windows(&work.path("windows")).is_none() {
        return;
    }
    signers::write_key(&work.path("key"), signers::KEY);
    fs::write(work.path("allowed"), format!("ops {}\n", signers::PUBLIC)).unwrap();
    fs::write(work.path("others"), format!("ops {}\n", signers::OTHER_PUBLIC)).unwrap();
    fs::write(work.path("no-key"), "no key").unwrap();
    let refused = work.run("seal {windows/full} --sign-key {no-key}");
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(
        !work.path("windows/full/manifest.json").exists(),
        "a seal that was asked to be signed and is not"
    );
    let sealed = work.run("--json seal {windows/full} --sign-key {key}").json();
    let key = sealed["result"]["signed_with"].as_str().unwrap().to_owned();
    assert!(key.starts_with("SHA256:"), "{sealed:#}");
    assert!(work.path("windows/full/manifest.json.sig").exists());
    let verified = work.run("--json verify {windows/full} --allowed-signers {allowed}");
    assert!(verified.code <= 1, "{verified:?}");
    assert!(verified.stdout.contains(&key), "{verified:?}");
    let strange = work.run("verify {windows/full} --allowed-signers {others}");
    assert!(2 <= strange.code, "{strange:?}");
    work.flip("windows/full/manifest.json");
    assert!(2 <= work.run("verify {windows/full} --allowed-signers {allowed}").code, "a changed manifest");
}

#[test]
fn a_newest_set_that_is_damaged_is_told_when_a_restore_passes_it_over() {
    let work = with_sets();
    let three = moment_of(&work.result("sets {sets}"), "three");
    work.cut("sets/three/manifest.json", 10);
    let restore = "restore --latest-in {sets} --dir {new} --dry-run";
    let told = work.run(&format!("--quiet {restore}"));
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.stdout.starts_with("Warning: ") && told.stdout.contains("three is left out: "), "{told:?}");
    for at in [String::new(), format!(" --at {three}")] {
        let json = work.run(&format!("--json {restore}{at}")).json();
        assert_eq!(json["exit_code"], 1, "{json:#}");
        let warnings = json["result"]["warnings"].as_array().unwrap();
        assert!(matches!(&warnings[..], [one] if one.as_str().unwrap().contains("three")), "{json:#}");
    }
    let restored = work.run("--json restore --latest-in {sets} --dir {new}").json();
    assert_eq!(restored["exit_code"], 1, "{restored:#}");
    assert_eq!((&restored["result"]["certificates"], &restored["ok"]), (&2.into(), &true.into()));
}

/// As an old program or another system may have named it.
#[test]
#[cfg(target_os = "linux")]
fn a_set_whose_name_is_no_text_is_a_set_all_the_same() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let work = with_sets();
    let sets = work.path("sets");
    fs::rename(sets.join("three"), sets.join(OsStr::from_bytes(b"M\xe4rz"))).unwrap();
    let listed = work.result("sets {sets}");
    assert_eq!(listed["findings"], serde_json::json!([]), "{listed:#}");
    let newest = moment_of(&listed, "M%E4rz");
    assert_eq!(listed["cas"][0]["newest"], newest.as_str());
    let restored = work.result("restore --latest-in {sets} --dir {new}");
    assert_eq!((&restored["certificates"], &restored["warnings"]), (&3.into(), &serde_json::json!([])));
}
