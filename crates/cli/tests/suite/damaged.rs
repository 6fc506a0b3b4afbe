//! Damage that a job's verification has found: what counts as restorable then, what is due, and what people hear.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::alarms::with_alarms;
use crate::jobs::{next_second, result, run, steps};
use crate::support::Work;

/// The messages that were told, each as its turn, its kind and its text.
fn told(work: &Work) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(work.path("told")).unwrap_or_default();
    let text_of = |alarm: &Value, key: &str| alarm[key].as_str().unwrap().to_owned();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|alarm| (text_of(&alarm, "event"), text_of(&alarm, "about"), text_of(&alarm, "message")))
        .collect()
}

/// The files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { BTreeSet::from([path]) }).collect()
}

/// Turns a byte in the middle of a file, and gives what it was.
fn turn(path: &Path) -> Vec<u8> {
    let whole = fs::read(path).unwrap();
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    whole
}

/// A full set and three log sets, the names of which are given.
fn with_sets(work: &Work) -> Vec<String> {
    let mut expected = vec!["full good", "verify good"];
    let mut names = Vec::new();
    for line in ["run nightly", "run nightly --now logs", "run nightly --now logs", "run nightly --now logs"]
    {
        work.issue("ca", &format!("host{}", names.len()));
        let ran = result(work, line);
        assert_eq!(steps(&ran), expected, "{ran:#}");
        expected = vec!["logs good"];
        let set = ran["runs"][0]["steps"][0]["result"]["set"].as_str().unwrap().to_owned();
        names.push(set.rsplit('/').next().unwrap().to_owned());
        next_second();
    }
    names
}

/// The last verification was five weeks ago, and no failure of it waits.
fn weeks_go_by(work: &Work) {
    let file = work.path("state/attempts/nightly/web.json");
    let mut attempts: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    attempts["steps"]["verify"]["tried"] = 1_000.into();
    if let Some(proven) = attempts["proven"]["when"].as_i64() {
        attempts["proven"]["when"] = (proven - 35 * 86_400).into();
    }
    fs::write(&file, serde_json::to_vec(&attempts).unwrap()).unwrap();
    fs::remove_dir_all(work.path("backups/web/.proven")).ok();
}

const JOB: &str = "full = 'monthly 1 00:00'\nlogs = 'every 31d'\nverify = 'monthly 1 00:00'\nrpo = '4w'";

#[test]
fn a_damaged_set_ends_what_can_be_restored_and_a_full_backup_follows() {
    let work = with_alarms(&format!("to = 'backups'\n{JOB}"));
    let sets = with_sets(&work);
    let status = || run(&work, "--json status --html {page.html}").json()["result"]["cas"][0].clone();
    let newest = status()["newest_state"].clone();
    let log = files(&work.path(&format!("backups/web/{}", sets[2])))
        .into_iter()
        .find(|path| path.extension().is_some_and(|ending| ending == "log"))
        .unwrap();
    let whole = turn(&log);
    let before = told(&work).len();
    let verified = run(&work, "run nightly --now verify");
    assert_eq!(verified.code, 5, "{verified:?}");
    // Everybody is told which file it is.
    let named = log.display().to_string();
    let news = told(&work).split_off(before);
    let [(event, about, message)] = news.as_slice() else { panic!("{news:?}") };
    assert_eq!((event.as_str(), about.as_str()), ("begins", "failed"));
    assert!(message.contains(&named), "{message}");
    for line in ["status", "check"] {
        assert!(run(&work, line).stdout.contains(&named), "{line}");
    }
    assert!(verified.stdout.contains(&named), "{verified:?}");
    // What lies behind it counts no more.
    let cut = status();
    assert_eq!(cut["damaged"], serde_json::json!([sets[2]]), "{cut:#}");
    assert!(cut["newest_state"].as_str() < newest.as_str() && cut["newest_state"].is_string(), "{cut:#}");
    let page = fs::read_to_string(work.path("page.html")).unwrap();
    let restorable = |moment: &Value| format!("Can be restored to</th><td>{}<", moment.as_str().unwrap());
    assert!(page.contains(&restorable(&cut["newest_state"])), "{page}");
    assert!(!page.contains(&restorable(&newest)), "{page}");
    assert!(page.contains(&format!("the set {} of", sets[2])), "{page}");
    assert!(page.contains(&named), "{page}");
    // Somebody puts the file back, and a verification finds it sound.
    fs::write(&log, &whole).unwrap();
    assert_eq!(steps(&result(&work, "run nightly --now verify")), ["verify good"]);
    let sound = status();
    assert_eq!((&sound["damaged"], &sound["newest_state"]), (&serde_json::json!([]), &newest), "{sound:#}");
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0);
    assert_eq!(told(&work).last().unwrap().0, "ends");
    // It is damaged again, and nobody puts it back.
    turn(&log);
    weeks_go_by(&work);
    let mended = run(&work, "--json run --all").json()["result"].clone();
    assert_eq!(steps(&mended), ["verify failed", "full good"], "{mended:#}");
    let why = mended["runs"][0]["steps"][1]["why"].as_str().unwrap();
    assert!(why.contains(&format!("the set {} was found to be damaged", sets[2])), "{why}");
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0, "the verification waits");
    let renewed = status();
    assert!(newest.as_str() < renewed["newest_state"].as_str(), "{renewed:#}");
    weeks_go_by(&work);
    next_second();
    assert_eq!(steps(&result(&work, "run nightly")), ["verify good"]);
    assert_eq!(run(&work, "check").code, 0);
    let turns: Vec<String> = told(&work).split_off(before).into_iter().map(|(event, ..)| event).collect();
    assert_eq!(turns, ["begins", "ends", "begins", "ends"]);
}

/// A full set that cannot be taken: what the CA has stays there, and nothing is tried faster for that.
#[test]
fn while_no_full_backup_can_be_taken_no_log_leaves_the_ca_for_a_set_behind_a_damaged_one() {
    let work = with_alarms(&format!("to = 'backups'\n{JOB}"));
    let sets = with_sets(&work);
    let log = files(&work.path(&format!("backups/web/{}", sets[3])));
    turn(log.iter().find(|path| path.extension().is_some_and(|ending| ending == "log")).unwrap());
    assert_eq!(run(&work, "run nightly --now verify").code, 5);
    fs::rename(work.path("ca"), work.path("away")).unwrap();
    let failed = run(&work, "--json run nightly").json()["result"].clone();
    assert_eq!(steps(&failed), ["full failed"], "{failed:#}");
    // Both failures are told: each is of another step.
    let failures: Vec<String> = told(&work)
        .into_iter()
        .filter(|(event, about, _)| event == "begins" && about == "failed")
        .map(|(.., message)| message.split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(&failures[..1], ["verify"]);
    assert!(failures.contains(&"full".to_owned()), "{failures:?}");
    fs::rename(work.path("away"), work.path("ca")).unwrap();
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0, "it waits");
    // By hand the logs are stored, and stay at the CA.
    work.issue("ca", "more");
    let by_hand = result(&work, "run nightly --now logs");
    assert_eq!(steps(&by_hand), ["logs good"], "the full backup waits: {by_hand:#}");
    let command = by_hand["runs"][0]["steps"][0]["command"].as_str().unwrap();
    assert!(!command.contains("--truncate"), "{command}");
    // Records that are lost: manifests alone count.
    fs::remove_dir_all(work.path("state/attempts")).unwrap();
    let status = run(&work, "--json status").json();
    assert_eq!(status["result"]["cas"][0]["damaged"], serde_json::json!([]), "{status:#}");
}

/// The CA's own database is unsound, and so is each set of it: each verification had taken a further full backup.
#[test]
fn damage_that_no_full_backup_cures_has_one_and_no_more() {
    let work = with_alarms(&format!("to = 'backups'\n{JOB}"));
    work.issue("ca", "one");
    crate::unsound::spoil(&work);
    assert_eq!(run(&work, "run nightly --now full").code, 1);
    next_second();
    let ran = run(&work, "--json run nightly").json()["result"].clone();
    assert_eq!(steps(&ran), ["verify failed", "full finding"], "{ran:#}");
    let verified = |work: &Work| {
        weeks_go_by(work);
        next_second();
        steps(&run(work, "--json run nightly").json()["result"])
    };
    for _ in 0..2 {
        assert_eq!(verified(&work), ["verify failed"], "it is left to its time");
    }
    let status = run(&work, "--json status").json()["result"]["cas"][0].clone();
    assert_eq!(status["damaged"].as_array().unwrap().len(), 2, "{status:#}");
    assert!(
        status["alarms"].as_array().unwrap().iter().any(|alarm| alarm["about"] == "failed"),
        "{status:#}"
    );
}

#[test]
fn a_vault_that_is_damaged_is_treated_alike_and_what_lies_before_is_named() {
    let work = with_alarms(&format!("to = 'vault:'\n{JOB}\ncomplete = 'monthly 1 00:00'"));
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    result(&work, "run nightly");
    let data = work.path("vault/Test-CA/data");
    next_second();
    result(&work, "run nightly --now logs");
    let known = files(&data);
    next_second();
    work.issue("ca", "one");
    result(&work, "run nightly --now logs");
    let ids = || -> Vec<String> {
        let info = result(&work, "repository info vault:Test-CA");
        let points = info["repositories"][0]["points"].as_array().unwrap().clone();
        points.iter().map(|point| point["id"].as_str().unwrap().to_owned()).collect()
    };
    let before = ids();
    let size = |path: &&PathBuf| fs::metadata(path).unwrap().len();
    turn(files(&data).difference(&known).max_by_key(size).unwrap());
    let verified = run(&work, "--json run nightly --now verify").json();
    assert_eq!(verified["exit_code"], 5, "{verified:#}");
    let status = run(&work, "--json status").json()["result"]["cas"][0].clone();
    let damaged: Vec<&str> = status["damaged"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(damaged.len(), 1, "{status:#}");
    assert!(before.iter().any(|id| damaged[0].starts_with(id.as_str()) || id.as_str() == damaged[0]));
    let failed =
        status["alarms"].as_array().unwrap().iter().find(|alarm| alarm["about"] == "failed").unwrap();
    assert!(failed["message"].as_str().unwrap().contains(&damaged[0][..8]), "{failed:#}");
    assert!(!failed["remedy"].as_str().unwrap().contains("logs"), "{failed:#}");
    // What can be restored is looked at meanwhile, and not what the vault calls the latest.
    let completed = run(&work, "--json run nightly --now complete").json()["result"].clone();
    let command = completed["runs"][0]["steps"][0]["command"].as_str().unwrap().to_owned();
    assert!(!command.contains("latest") && !command.contains(damaged[0]), "{command}");
    assert_ne!(completed["runs"][0]["steps"][0]["outcome"], "failed", "{completed:#}");
    let mended = result(&work, "run nightly");
    assert_eq!(steps(&mended), ["full good"], "{mended:#}");
}
