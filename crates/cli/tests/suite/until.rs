//! Earlier states: what is known at the end of each log, and that what lies behind comes back nowhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use certadm_set::manifest::SetKind;
use certadm_store::log_file::LogFile;
use serde_json::Value;

use crate::signing::complete;
use crate::support::Work;
use crate::windows_files::backup as backup_of_windows;

/// A CA that issued a certificate before each of three backups: a full one, and two of logs. With each certificate's serial
/// number, and the last generation of each set.
struct Chain {
    work: Work,
    serials: Vec<String>,
    generations: Vec<u64>,
}

const SETS: &str = "{full} {noon} {evening}";
const FROM: &str = "--from {full} --from {noon} --from {evening}";

impl Chain {
    fn new() -> Self {
        let work = Work::with_ca();
        let (mut serials, mut generations) = (Vec::new(), Vec::new());
        for (name, kind) in [("full", "full"), ("noon", "logs"), ("evening", "logs")] {
            serials.push(work.issue("ca", name));
            let taken = work.result(&format!("backup --dir {{ca}} --to {{{name}}} --type {kind} --truncate"));
            generations.push(taken["generations"]["high"].as_u64().expect("a generation"));
        }
        assert!(generations.is_sorted_by(|one, other| one < other), "{generations:?}");
        Self { work, serials, generations }
    }

    fn issued(&self, source: &str) -> BTreeSet<String> {
        let listed = self.work.result(&format!("list {source} certificates"));
        serials_in(&listed)
    }

    /// What is known at the end of the sets up to this one.
    fn known(&self, sets: usize) -> BTreeSet<String> {
        self.serials[..=sets].iter().cloned().collect()
    }
}

fn serials_in(listed: &Value) -> BTreeSet<String> {
    let rows = listed["rows"].as_array().unwrap().iter();
    let issued = rows.filter(|row| row["disposition"] != "CA certificate");
    issued.map(|row| row["serial_number"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_state_knows_what_was_issued_up_to_its_end_and_nothing_else() {
    let chain = Chain::new();
    let work = &chain.work;
    let last = *chain.generations.last().unwrap();
    for (place, generation) in chain.generations.iter().enumerate() {
        let line = format!("{SETS} --until-generation {generation}");
        assert_eq!(chain.issued(&line), chain.known(place), "{line}");
        let until = work.result(&format!("list {line} requests --limit 1"))["until"].clone();
        assert_eq!(until["generation"], *generation, "{until}");
        assert!(until["ended"].as_str().unwrap().ends_with('Z'), "{until}");
        let behind = &until["left_out"];
        match *generation == last {
            true => assert_eq!(behind, &Value::Null, "{until}"),
            false => {
                assert_eq!((&behind["low"], &behind["high"]), (&(generation + 1).into(), &last.into()));
                assert_eq!(behind["logs"], last - generation, "{until}");
            }
        }
        // In hexadecimal, as messages have it, and into a new folder.
        let into = format!("new{place}");
        work.copy_key_and_configuration("ca", &into);
        let restored =
            work.result(&format!("restore {FROM} --dir {{{into}}} --until-generation {generation:#x}"));
        assert_eq!((&restored["until"], &restored["recovers_to"]), (&until, &(*generation).into()));
        assert_eq!(restored["certificates"], place + 1);
        assert_eq!(chain.issued(&format!("--dir {{{into}}}")), chain.known(place));
        let shown = work.result(&format!("show {line}"));
        assert_eq!(shown["until"], until);
        assert_eq!(shown["sets"][0]["generations"]["high"], (*generation).min(chain.generations[0]));
    }
    assert_eq!(work.result(&format!("list {SETS}"))["until"], Value::Null);
}

#[test]
fn a_state_that_the_sets_do_not_give_is_refused_with_those_that_they_give() {
    let chain = Chain::new();
    let work = &chain.work;
    let (first, last) = (chain.generations[0], chain.generations[2]);
    let ended =
        work.result(&format!("list {SETS} --until-generation {last} --limit 1"))["until"]["ended"].clone();
    let ended = ended.as_str().unwrap();
    for asked in [
        format!("--until-generation {}", first - 1),
        format!("--until-generation {}", last + 1),
        "--until-generation 4294967295".to_owned(),
        "--until-time 2001-01-01T00:00:00Z".to_owned(),
        "--until-time 2099-01-01T00:00:00Z".to_owned(),
    ] {
        for line in [
            format!("restore {FROM} --dir {{new}} {asked}"),
            format!("restore {FROM} --dir {{ca}} --force --dry-run {asked}"),
            format!("list {SETS} {asked}"),
            format!("show {SETS} {asked}"),
            format!("emergency-crl {SETS} --tbs-only --no-published --to {{crl}} {asked}"),
        ] {
            let run = work.run(&format!("--json {line}"));
            let error = run.json()["error"].clone();
            assert_eq!((run.code, &error["code"]), (3, &"0x8007139f".into()), "{line}: {error}");
            let text = error["message"].as_str().unwrap();
            assert!(text.contains(&format!("from generation {first:#x}, ")), "{text}");
            assert!(text.contains(&format!("to generation {last:#x}, which ended at {ended}")), "{text}");
        }
    }
    assert!(!work.path("new").exists() && !work.path("crl").exists());
    // The end of the last log is a moment that they give.
    assert_eq!(chain.issued(&format!("{SETS} --until-time {ended}")), chain.known(2));
    for wrong in [
        "list {full} --until-generation 0",
        "list {full} --until-time yesterday",
        "list {full} --until-generation 2 --until-time 2026-01-01T00:00:00Z",
        "list --dir {ca} --until-generation 2",
        "show --dir {ca} --until-generation 2",
        "restore --abandon --dir {ca} --until-generation 2",
    ] {
        assert_eq!(work.run(wrong).code, 2, "{wrong}");
    }
    assert_eq!(work.run("list {ca} --until-generation 2").code, 3, "a CA's folder is as it is now");
}

/// The generations that were left out are used again by the restored CA, for other changes. The two kinds never mix.
#[test]
fn logs_of_before_and_after_an_earlier_state_do_not_mix() {
    let chain = Chain::new();
    let work = &chain.work;
    let noon = chain.generations[1];
    let restored = work.result(&format!("restore {FROM} --dir {{ca}} --force --until-generation {noon}"));
    assert_eq!(restored["lacks"]["certificates"], 1, "{restored}");
    assert_eq!(restored["lacks"]["first"][0]["serial_number"], chain.serials[2]);
    let stream = |log: PathBuf| LogFile::open(log).unwrap().header().stream;
    let before = stream(work.path(&format!("evening/DataBase/edb{:05x}.log", chain.generations[2])));
    let log_of = |generation: u64| work.path(&format!("ca/log/edb{generation:05x}.log"));
    assert_eq!(stream(log_of(noon)), before);
    for generation in noon + 1..=chain.generations[2] {
        assert!(!log_of(generation).exists() || stream(log_of(generation)) != before, "{generation}");
    }
    // A log set needs a new full set first, and goes with that one alone.
    assert_eq!(work.run("backup --dir {ca} --to {refused} --type logs").code, 3);
    let after = work.issue("ca", "after");
    work.result("backup --dir {ca} --to {full2}");
    let last = work.issue("ca", "last");
    let logs2 = work.result("backup --dir {ca} --to {logs2} --type logs");
    assert!(logs2["generations"]["low"].as_u64().unwrap() <= chain.generations[2] + 2, "numbers come again");
    let known: BTreeSet<String> = chain.known(1).into_iter().chain([after, last]).collect();
    assert_eq!(chain.issued("{full2} {logs2}"), known);
    for mixed in [
        "{full} {noon} {logs2}",
        "{full2} {evening}",
        "{full2} {logs2} {evening}",
        "{full} {noon} {evening} {logs2}",
    ] {
        for asked in ["", &format!("--until-generation {noon}")] {
            let run = work.run(&format!("list {mixed} {asked}"));
            assert_eq!(run.code, 5, "{mixed} {asked}: {run:?}");
        }
    }
    // A number is given to no second request.
    let requests = work.result("list --dir {ca} requests")["rows"].clone();
    let ids: Vec<u64> =
        requests.as_array().unwrap().iter().map(|row| row["request_id"].as_u64().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert!(ids.iter().any(|id| 1000 < *id), "{ids:?}");
}

/// A log that is damaged or missing behind the state is in nobody's way.
#[test]
fn what_lies_behind_may_be_damaged() {
    let chain = Chain::new();
    let work = &chain.work;
    let noon = chain.generations[1];
    let log = format!("evening/DataBase/edb{:05x}.log", chain.generations[2]);
    work.flip(&log);
    assert_eq!(work.run(&format!("restore {FROM} --dir {{new}}")).code, 5);
    work.copy_key_and_configuration("ca", "new");
    work.result(&format!("restore {FROM} --dir {{new}} --until-generation {noon}"));
    assert_eq!(chain.issued("--dir {new}"), chain.known(1));
    let line = format!("emergency-crl {SETS} --tbs-only --no-published");
    assert_eq!(work.run(&format!("{line} --to {{crl}}")).code, 5);
    assert_eq!(work.run(&format!("{line} --to {{crl}} --until-generation {noon}")).code, 1);
    // Two copies of a log are not compared there.
    work.flip(&log);
    work.copy("evening", "junk");
    fs::write(work.path(&log.replace("evening", "junk")), [0xFF; 9000]).unwrap();
    assert_eq!(work.run(&format!("list {SETS} {{junk}}")).code, 5);
    assert_eq!(chain.issued(&format!("{SETS} {{junk}} --until-generation {noon}")), chain.known(1));
    // What is not behind it is looked at as always.
    work.flip(&format!("noon/DataBase/edb{noon:05x}.log"));
    assert_eq!(work.run(&format!("{line} --to {{crl2}} --until-generation {noon}")).code, 5);
}

#[test]
fn what_lies_behind_may_be_missing() {
    let chain = Chain::new();
    let work = &chain.work;
    let [full, noon, evening] = chain.generations[..] else { panic!("{:?}", chain.generations) };
    let ended = work.result(&format!("list {SETS} --until-generation {noon}"))["until"]["ended"].clone();
    let ended = ended.as_str().unwrap();
    fs::remove_file(work.path(&format!("evening/DataBase/edb{evening:05x}.log"))).unwrap();
    assert_eq!(work.run(&format!("restore {FROM} --dir {{new}}")).code, 5);
    for (number, asked) in
        [format!("--until-generation {noon}"), format!("--until-time {ended}")].into_iter().enumerate()
    {
        let new = format!("new{number}");
        work.copy_key_and_configuration("ca", &new);
        let restored = work.result(&format!("restore {FROM} --dir {{{new}}} {asked}"));
        assert_eq!(restored["until"]["generation"], noon, "{restored}");
        // What is gone is left out, and when it ended is not known.
        let left_out = serde_json::json!({
            "low": noon + 1, "high": evening, "logs": evening - noon, "ended": null
        });
        assert_eq!(restored["until"]["left_out"], left_out);
        assert_eq!(chain.issued(&format!("--dir {{{new}}}")), chain.known(1));
    }
    let line = format!("emergency-crl {SETS} --tbs-only --no-published --until-generation {noon}");
    assert_eq!(work.run(&format!("{line} --to {{crl}}")).code, 1);
    // The state that needs the log, and one that may need it.
    let refused = |asked: &str| {
        let run = work.run(&format!("--json restore {FROM} --dir {{new}} --dry-run {asked}"));
        (run.code, run.json()["error"]["code"].as_str().unwrap().to_owned())
    };
    let missing = (5, "0xc800022d".to_owned());
    for asked in [format!("--until-generation {evening}"), "--until-time 2099-01-01T00:00:00Z".to_owned()] {
        assert_eq!(refused(&asked), missing, "{asked}");
    }
    for asked in
        [format!("--until-generation {}", evening + 1), "--until-time 2001-01-01T00:00:00Z".to_owned()]
    {
        assert_eq!(refused(&asked), (3, "0x8007139f".to_owned()), "{asked}");
    }
    // One that is not behind the state.
    fs::remove_file(work.path(&format!("full/DataBase/edb{full:05x}.log"))).unwrap();
    for generation in [full, noon] {
        assert_eq!(refused(&format!("--until-generation {generation}")), missing, "{generation}");
    }
}

#[test]
fn an_emergency_crl_of_an_earlier_state_says_so() {
    let chain = Chain::new();
    let work = &chain.work;
    let first = chain.generations[0];
    let line = format!("emergency-crl {SETS} --tbs-only --no-published --until-generation {first}");
    let run = work.run(&format!("--json {line} --to {{crl}}"));
    let result = run.json()["result"].clone();
    assert_eq!((run.code, &result["until"]["generation"]), (1, &first.into()), "{result}");
    let findings = result["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["kind"] == "crl-earlier-state"), "{result}");
    let report: Value = serde_json::from_slice(&fs::read(work.path("crl/report.json")).unwrap()).unwrap();
    assert_eq!(report["until"], result["until"]);
}

#[test]
fn sets_of_a_windows_ca_are_recovered_up_to_a_log() {
    let work = Work::new();
    if backup_of_windows(&work.path("")).is_none() {
        return;
    }
    let recovered = work.result("recover {full} {logs} --to {one} --until-generation 1");
    assert_eq!(recovered["replay"]["reached"], "0x1:2:ccf");
    let until = recovered["until"].clone();
    let left_out = serde_json::json!({ "low": 2, "high": 2, "logs": 1, "ended": null });
    assert_eq!((&until["generation"], &until["left_out"]), (&1.into(), &left_out));
    assert_eq!(work.result("verify {one/Store.edb}")["restorable"], true);
    // The same as the sets without that log.
    work.result("recover {full} --to {alone}");
    assert_eq!(
        fs::read(work.path("one/Store.edb")).unwrap(),
        fs::read(work.path("alone/Store.edb")).unwrap()
    );
    let whole = work.result("recover {full} {logs} --to {two} --until-generation 0x2");
    assert_eq!(
        (&whole["replay"]["reached"], &whole["until"]["left_out"]),
        (&"0x2:9:644".into(), &Value::Null)
    );
    for asked in
        ["--until-generation 3", "--until-time 2001-01-01T00:00:00Z", "--until-time 2099-01-01T00:00:00Z"]
    {
        let run = work.run(&format!("--json recover {{full}} {{logs}} --to {{three}} {asked}"));
        assert_eq!((run.code, &run.json()["error"]["code"]), (3, &"0x8007139f".into()), "{asked}");
        assert!(!work.path("three").exists());
    }
    if let Some(ended) = until["ended"].as_str() {
        let by_time = work.result(&format!("recover {{full}} {{logs}} --to {{time}} --until-time {ended}"));
        assert_eq!(by_time["until"], until);
    }
    // Behind the state, a log may be missing that a manifest lists.
    for (set, kind) in [("full", SetKind::Full), ("logs", SetKind::Logs)] {
        work.copy(set, &format!("sealed/{set}"));
        complete(&work.path(&format!("sealed/{set}")), kind);
    }
    fs::remove_file(work.path("sealed/logs/DataBase/edb00002.log")).unwrap();
    let line = "recover {sealed/full} {sealed/logs} --to";
    let earlier = work.result(&format!("{line} {{lost}} --until-generation 1"));
    assert_eq!(earlier["until"]["left_out"], left_out);
    for asked in ["", "--until-generation 2", "--until-time 2099-01-01T00:00:00Z"] {
        let run = work.run(&format!("--json {line} {{three}} {asked}"));
        assert_eq!((run.code, &run.json()["error"]["code"]), (5, &"0xc800022d".into()), "{asked}");
        assert!(!work.path("three").exists());
    }
    // A folder that has the logs beside the database.
    fs::create_dir(work.path("loose")).unwrap();
    for set in ["full", "logs"] {
        for entry in fs::read_dir(work.path(set).join("DataBase")).unwrap() {
            let from = entry.unwrap().path();
            fs::copy(&from, work.path("loose").join(from.file_name().unwrap())).unwrap();
        }
    }
    fs::rename(work.path("loose/edb00002.log"), work.path("loose/edb.log")).unwrap();
    let loose = work.result("recover {loose} --to {four} --until-generation 1");
    assert_eq!(loose["replay"]["reached"], "0x1:2:ccf");
}
