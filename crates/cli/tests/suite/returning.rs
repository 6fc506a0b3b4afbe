//! A CA that comes back learns what was revoked while it was down, and goes past the number of the emergency CRL.

use std::fs;

use serde_json::Value;

use crate::remote::{Serving, world};
use crate::support::{Work, openssl, text};

const PASS: &str = "--passphrase-file {pass}";

/// A list of revocations in the form of an emergency CRL, in `list.json`.
fn write_list(work: &Work, entries: &[(&str, &str, &str)]) {
    let entries: Vec<Value> = entries
        .iter()
        .map(|(serial, reason, when)| {
            serde_json::json!({ "serial_number": serial, "reason": reason, "when": when })
        })
        .collect();
    let list = serde_json::json!({ "format": 1, "revocations": entries });
    fs::write(work.path("list.json"), list.to_string()).unwrap();
}

fn revoked(work: &Work) -> Vec<Value> {
    work.result("list --dir {ca} revoked")["rows"].as_array().unwrap().clone()
}

#[test]
fn what_an_emergency_crl_revoked_enters_the_ca_with_its_date() {
    let work = Work::with_ca();
    let (one, two) = (work.issue("ca", "one"), work.issue("ca", "two"));
    work.issue("ca", "three");
    work.result(&format!("ca revoke --dir {{ca}} --serial {two} --reason certificateHold"));
    work.result("backup --dir {ca} --to {set}");
    work.copy_key_and_configuration("ca", "kept");
    fs::remove_dir_all(work.path("ca")).unwrap();
    let now = certadm_store::now().to_rfc3339();
    let order =
        format!("--revoke {one}:keyCompromise:{now} --revoke {two}:removeFromCRL --revoke 4f3a00:superseded");
    work.run(&format!(
        "emergency-crl {{set}} --key {{kept/ca.key}} {PASS} --no-published --to {{crl}} {order}"
    ));
    fs::rename(work.path("kept"), work.path("ca")).unwrap();
    work.result("restore --from {set} --dir {ca}");

    let run = work.run("--json apply-revocations {crl} --dir {ca}");
    let result = run.json()["result"].clone();
    // A certificate that the database does not know cannot be revoked in it; the others are all the same.
    assert_eq!((run.code, &result["applied"], &result["refused"]), (1, &2.into(), &1.into()), "{result}");
    let refused = result["revocations"].as_array().unwrap().iter().find(|one| one["outcome"] == "refused");
    assert_eq!(refused.unwrap()["serial_number"], "4f3a00");
    let rows = revoked(&work);
    assert_eq!(rows.len(), 1, "the hold has ended: {rows:?}");
    assert_eq!(
        (&rows[0]["serial_number"], &rows[0]["revoked_reason"]),
        (&one.as_str().into(), &"keyCompromise".into())
    );
    assert_eq!(rows[0]["revoked_effective_when"], now);
    // It can be run again: the end of a hold that the CA does not have lacks nothing.
    let again =
        work.run("--json apply-revocations {crl/revocations.json} --dir {ca}").json()["result"].clone();
    assert_eq!((&again["applied"], &again["known"]), (&0.into(), &2.into()), "{again}");
    assert_eq!(revoked(&work), rows);
    // The script does the same, and publishes no CRL that would lack what the emergency CRL has.
    #[cfg(unix)]
    {
        let run_script = |list: Option<&str>| {
            if let Some(list) = list {
                fs::write(work.path("crl/revocations.json"), list).unwrap();
            }
            let program = std::path::Path::new(env!("CARGO_BIN_EXE_certadm")).parent().unwrap();
            let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
            let mut script = std::process::Command::new("sh");
            script.args([work.path("crl/return.sh"), work.path("ca"), work.path("pass")]).env("PATH", path);
            script.output().unwrap()
        };
        let published = || fs::read(work.path("ca/crl/Test-CA.crl")).unwrap();
        let before = published();
        let refused = run_script(None);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        assert!(String::from_utf8_lossy(&refused.stdout).contains("No CRL is published"), "{refused:?}");
        assert_eq!(published(), before);
        let known = format!(
            r#"{{"format":1,"revocations":[{{"serial_number":"{one}","reason":"keyCompromise","when":"{now}"}}]}}"#
        );
        let done = run_script(Some(&known));
        assert!(done.status.success(), "{done:?}");
        assert_ne!(published(), before);
    }
    // The number is above that of the emergency CRL by itself.
    let report: Value = serde_json::from_slice(&fs::read(work.path("crl/report.json")).unwrap()).unwrap();
    let published = work.result(&format!("ca crl --dir {{ca}} {PASS}"));
    assert!(report["number"].as_i64() < published["number"].as_i64(), "{report} {published}");
    let listed =
        openssl(&["crl", "-noout", "-text", "-inform", "DER", "-in", published["file"].as_str().unwrap()]);
    assert!(listed.to_lowercase().contains(&one), "{listed}");
}

/// The database of the backup knows neither: the lost CA revoked the one, the other was ordered while it was down.
#[test]
fn the_way_back_enters_what_the_lost_ca_had_published() {
    let work = Work::with_ca();
    let (published, ordered) = (work.issue("ca", "published"), work.issue("ca", "ordered"));
    work.result("backup --dir {ca} --to {set}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {published} --reason keyCompromise"));
    let last = work.result(&format!("ca crl --dir {{ca}} {PASS}"));
    fs::copy(last["file"].as_str().unwrap(), work.path("last.crl")).unwrap();
    work.copy_key_and_configuration("ca", "kept");
    let later = work.issue("ca", "later");
    work.result(&format!("ca revoke --dir {{ca}} --serial {later} --reason superseded"));
    let newer = work.result(&format!("ca crl --dir {{ca}} {PASS}"));
    fs::copy(newer["file"].as_str().unwrap(), work.path("newer.crl")).unwrap();
    fs::remove_dir_all(work.path("ca")).unwrap();
    let line = format!("emergency-crl {{set}} --key {{kept/ca.key}} {PASS}");
    let made =
        work.result(&format!("{line} --published {{last.crl}} --revoke {ordered}:superseded --to {{crl}}"));
    assert_eq!((&made["crls"][0]["entries"], &made["revocations"]), (&2.into(), &2.into()), "{made}");
    // Nothing has to be ordered for that. What the CA cannot know stays in the list, so that it is missed.
    let run = work.run(&format!("--json {line} --published {{newer.crl}} --to {{unknown}}"));
    assert_eq!(run.json()["result"]["revocations"], 2, "{run:?}");
    assert!(work.path("unknown/return.sh").is_file());
    // The next emergency CRL has them from the CRL in the folder: they were not ordered.
    let next =
        work.result(&format!("{line} --published {{crl}} --revoke {published}:superseded --to {{next}}"));
    assert_eq!((&next["crls"][0]["entries"], &next["revocations"]), (&2.into(), &2.into()), "{next}");
    // Without a database, nothing says what the CA will know.
    let alone = work.result(&format!(
        "emergency-crl --from-crl {{last.crl}} --key {{kept/ca.key}} {PASS} --to {{alone}}"
    ));
    assert_eq!(alone["revocations"], 1, "{alone}");
    let list = fs::read_to_string(work.path("alone/revocations.json")).unwrap();
    assert!(list.contains(&published), "{list}");

    fs::rename(work.path("kept"), work.path("ca")).unwrap();
    work.result("restore --from {set} --dir {ca}");
    let refused = work.run("--json apply-revocations {unknown} --dir {ca}");
    assert_eq!((refused.code, &refused.json()["result"]["refused"]), (1, &1.into()), "{refused:?}");
    let applied = work.result("apply-revocations {crl} --dir {ca}");
    assert_eq!((&applied["applied"], &applied["known"]), (&1.into(), &1.into()), "{applied}");
    let rows = revoked(&work);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().any(|row| row["serial_number"] == published.as_str()
        && row["revoked_reason"] == "keyCompromise"));
    #[cfg(unix)]
    {
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_certadm")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        for (folder, code) in [("unknown", 1), ("crl", 0)] {
            let mut script = std::process::Command::new("sh");
            script.args([work.path(folder).join("return.sh"), work.path("ca"), work.path("pass")]);
            let run = script.env("PATH", &path).output().unwrap();
            assert_eq!(run.status.code(), Some(code), "{run:?}");
        }
    }
}

/// What else is worth a look keeps no CRL back: a finding, such as of the clock, is no refusal.
#[test]
fn a_crl_is_published_when_all_is_entered_whatever_else_is_told() {
    let work = Work::with_ca();
    let one = work.issue("ca", "one");
    let line = format!("apply-revocations {{list.csv}} --dir {{ca}} --publish {PASS}");
    // A last CRL that has ended is a doubt of the clock.
    let folder = certadm_store::Folder::new(work.path("ca"));
    certadm_store::Writer::open(&folder)
        .unwrap()
        .commit(|transaction| {
            let sql = "UPDATE CRLs SET ThisUpdate = 1, ThisPublish = 1, NextUpdate = 2";
            transaction.execute(sql, []).unwrap();
            Ok::<_, certadm_store::Error>(())
        })
        .unwrap();
    fs::write(work.path("list.csv"), "4f3a00,superseded\n").unwrap();
    let refused = work.run(&format!("--json {line}"));
    let result = refused.json()["result"].clone();
    assert_eq!((refused.code, &result["refused"], &result["crl"]), (1, &1.into(), &Value::Null), "{result}");
    fs::write(work.path("list.csv"), format!("{one},superseded\n")).unwrap();
    let without = work.run("--json apply-revocations {list.csv} --dir {ca} --passphrase-file {pass}");
    assert_eq!(without.code, 2, "{without:?}");
    fs::write(work.path("wrong"), "nonsense").unwrap();
    let wrong = work.run("apply-revocations {list.csv} --dir {ca} --publish --passphrase-file {wrong}");
    assert!(wrong.code == 3 && revoked(&work).is_empty(), "{wrong:?}");
    let done = work.run(&format!("--json {line}"));
    let result = done.json()["result"].clone();
    assert_eq!((done.code, &result["findings"][0]["kind"]), (1, &"clock".into()), "{result}");
    assert_eq!((&result["applied"], &result["crl"]["entries"]), (&1.into(), &1.into()), "{result}");
    let again = work.result(&line);
    assert_eq!((&again["known"], &again["findings"]), (&1.into(), &serde_json::json!([])), "{again}");
}

/// The emergency CRL is made of the newest set, which is damaged; the CA comes back from the one before it.
#[test]
fn a_ca_from_an_older_set_gets_all_that_the_emergency_crl_lists() {
    let work = Work::with_ca();
    let (five, held) = (work.issue("ca", "five"), work.issue("ca", "held"));
    let first = work.result(&format!("ca crl --dir {{ca}} {PASS}"));
    fs::copy(first["file"].as_str().unwrap(), work.path("first.crl")).unwrap();
    work.result("backup --dir {ca} --to {nothing}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {held} --reason certificateHold"));
    let held_at = certadm_store::now().unix_seconds();
    work.result("backup --dir {ca} --to {older}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {five} --reason keyCompromise"));
    work.result("backup --dir {ca} --to {newest}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {held} --reason removeFromCRL"));
    // A CRL is dated in whole seconds: a hold of the same second may be later than it.
    while certadm_store::now().unix_seconds() <= held_at {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let last = work.result(&format!("ca crl --dir {{ca}} {PASS}"));
    fs::copy(last["file"].as_str().unwrap(), work.path("last.crl")).unwrap();
    work.copy_key_and_configuration("ca", "kept");
    fs::remove_dir_all(work.path("ca")).unwrap();
    let line = |set: &str| {
        format!("emergency-crl {{{set}}} --key {{kept/ca.key}} {PASS} --published {{last.crl}} --number 9000")
    };
    // A bit of a text in the newest set.
    let image = work.path("newest/DataBase/Test-CA.db");
    let mut bytes = fs::read(&image).unwrap();
    let at = bytes.windows(10).rposition(|part| part == b"Revoked by").unwrap();
    bytes[at] ^= 2;
    fs::write(&image, bytes).unwrap();
    assert_eq!(work.run(&format!("{} --to {{crl}}", line("newest"))).code, 5);
    let made = work.run(&format!("--json {} --force-damaged --to {{crl}}", line("newest")));
    let findings = made.json()["result"]["findings"].clone();
    assert_eq!((made.code, &findings[0]["severity"]), (1, &"error".into()), "{findings}");
    assert_eq!(made.json()["result"]["revocations"], 1, "the end of the hold: {made:?}");
    // What is compared with a damaged set may be wrong, too.
    let gap = |options: &str| work.run(&format!("--json gap {{newest}} --crl {{last.crl}} {options}"));
    assert_eq!(gap("").code, 5);
    let gap = gap("--force-damaged");
    assert_eq!((gap.code, &gap.json()["result"]["findings"][0]["severity"]), (1, &"error".into()), "{gap:?}");

    let list: Value = serde_json::from_slice(&fs::read(work.path("crl/revocations.json")).unwrap()).unwrap();
    let of = |serial: &str| {
        let all = list["revocations"].as_array().unwrap();
        let one = all.iter().find(|one| one["serial_number"] == serial).unwrap();
        (one["origin"].as_str().unwrap().to_owned(), one["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(of(&five), ("published".into(), "keyCompromise".into()));
    assert_eq!(of(&held), ("published".into(), "removeFromCRL".into()));
    fs::rename(work.path("kept"), work.path("ca")).unwrap();
    work.result("restore --from {older} --dir {ca}");
    let applied = work.result("apply-revocations {crl} --dir {ca}");
    assert_eq!((&applied["applied"], &applied["refused"]), (&2.into(), &0.into()), "{applied}");
    let rows = revoked(&work);
    assert_eq!((rows.len(), &rows[0]["serial_number"]), (1, &five.as_str().into()), "{rows:?}");
    // Its CRL goes past the number of the emergency CRL.
    let published = work.result(&format!("ca crl --dir {{ca}} {PASS}"));
    assert!(9000 < published["number"].as_i64().unwrap(), "{published}");
    let again = work.result("apply-revocations {crl} --dir {ca}");
    assert_eq!((&again["applied"], &again["known"]), (&0.into(), &2.into()), "{again}");

    // Without a published CRL the database alone says so; and one that lists nothing hands on nothing.
    work.run("emergency-crl {newest} --force-damaged --tbs-only --no-published --to {database}");
    let list = fs::read_to_string(work.path("database/revocations.json")).unwrap();
    assert_eq!(list.matches("\"origin\":\"database\"").count(), 2, "{list}");
    work.result(&format!(
        "emergency-crl {{nothing}} --key {{ca/ca.key}} {PASS} --published {{first.crl}} --to {{empty}}"
    ));
    let applied = work.result("apply-revocations {empty} --dir {ca}");
    assert_eq!(applied["revocations"], Value::Array(Vec::new()));
}

#[test]
fn nothing_is_revoked_by_a_list_that_is_wrong() {
    let work = Work::with_ca();
    let one = work.issue("ca", "one");
    fs::write(work.path("list.csv"), format!("{one},keyCompromise\n4f,nonsense\n")).unwrap();
    fs::write(work.path("broken.json"), "{}").unwrap();
    for list in ["{list.csv}", "{broken.json}", "{absent.json}", "{pass}"] {
        assert_ne!(work.run(&format!("apply-revocations {list} --dir {{ca}}")).code, 0, "{list}");
        assert_eq!(revoked(&work), Vec::<Value>::new(), "{list}");
    }
    assert_eq!(work.run("apply-revocations {list.csv}").code, 2);
    // The later of two orders counts.
    fs::write(work.path("list.csv"), format!("{one},superseded\n")).unwrap();
    fs::write(work.path("later.csv"), format!("{one},keyCompromise\n")).unwrap();
    work.result("apply-revocations {list.csv} {later.csv} --dir {ca}");
    assert_eq!(revoked(&work)[0]["revoked_reason"], "keyCompromise");
    // What is no JSON is CSV, whatever its name.
    fs::copy(work.path("later.csv"), work.path("list.txt")).unwrap();
    assert_eq!(work.result("apply-revocations {list.txt} --dir {ca}")["known"], 1);
    // A CRL that is published now takes the place of one that has the refused ones.
    fs::write(work.path("list.txt"), "4f3a00,superseded\n").unwrap();
    let refused = work.run("apply-revocations {list.txt} --dir {ca}");
    assert!(refused.code == 1 && refused.stdout.contains("lacks those that were refused"), "{refused:?}");
    let wrong = work.run("--json ca revoke --dir {ca} --list {list.csv} --reason 99");
    assert_ne!(wrong.code, 0);
    fs::write(work.path("list.txt"), "4f3a00:superseded\n").unwrap();
    let wrong = work.run("--json ca revoke --dir {ca} --list {list.txt}").json();
    assert!(wrong["error"]["remedy"].as_str().unwrap().contains("SERIAL,REASON,WHEN"), "{wrong}");
}

#[test]
fn an_officer_revokes_over_the_network_and_nobody_else() {
    let work = world();
    work.result("user add --dir {ca} officer --role officer --password-file {pw}");
    let one = work.issue("ca", "three");
    let (held, when) = (work.issue("ca", "four"), "2026-01-02T03:04:05Z");
    work.result(&format!("ca revoke --dir {{ca}} --serial {held} --reason certificateHold"));
    let serving = Serving::start(&work, "");
    let login = |user: &str| format!("--server {} --user {user} --password-file {{pw}}", serving.address);
    write_list(&work, &[(&one, "keyCompromise", when), (&held, "removeFromCRL", when)]);
    for user in ["reader", "backup", "root"] {
        let run = work.run(&format!("--json apply-revocations {{list.json}} {}", login(user)));
        assert_eq!((run.code, &run.json()["error"]["code"]), (3, &"0x80070005".into()), "{user}");
    }
    assert_eq!(revoked(&work).len(), 1);
    let done = work.result(&format!("apply-revocations {{list.json}} {}", login("officer")));
    assert_eq!((&done["applied"], &done["refused"]), (&2.into(), &0.into()), "{done}");
    let rows = revoked(&work);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        (&rows[0]["serial_number"], &rows[0]["revoked_effective_when"]),
        (&one.as_str().into(), &when.into())
    );
    // Known, unknown, and no hold to end, which lacks nothing: none stops the others.
    let last = work.issue("ca", "five");
    write_list(
        &work,
        &[
            (&one, "superseded", when),
            ("4f3a00", "superseded", when),
            (&held, "removeFromCRL", when),
            (&last, "2", when),
        ],
    );
    let run = work.run(&format!("--json apply-revocations {{list.json}} {}", login("officer")));
    let result = run.json()["result"].clone();
    let outcomes: Vec<&str> = result["revocations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["outcome"].as_str().unwrap())
        .collect();
    assert_eq!((run.code, outcomes), (1, vec!["known", "refused", "known", "applied"]), "{result}");
    assert_eq!(revoked(&work).len(), 2);
}

#[test]
fn publishing_is_asked_for_before_it_is_done() {
    let work = world();
    let number = work.result(&format!("ca crl --dir {{ca}} {PASS}"))["number"].as_i64().unwrap();
    let serving = Serving::start(&work, "");
    let line =
        format!("publish-crl --server {} --user root --password-file {{pw}} --until-number", serving.address);
    let asked = work.result(&format!("{line} {}", number + 7));
    assert_eq!(
        (&asked["number"], &asked["missing"], &asked["published"]),
        (&number.into(), &8.into(), &0.into())
    );
    // A CRL of the number of the emergency CRL would be taken for that one.
    let equal = work.result(&format!("{line} {number}"));
    assert_eq!(equal["missing"], 1);
    let reached = work.result(&format!("{line} {} --yes", number - 1));
    assert_eq!((&reached["missing"], &reached["published"]), (&0.into(), &0.into()));
    // A service of ours has no key to sign with.
    let run = work.run(&format!("--json {line} {} --yes", number + 1));
    assert_eq!((run.code, &run.json()["error"]["name"]), (3, &"E_NOTIMPL".into()), "{run:?}");
    assert_eq!(work.run(&format!("{line} {} --yes", number + 5000)).code, 2);
}

#[test]
fn each_key_has_its_own_passphrase() {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {set}");
    fs::write(work.path("pass2"), "another passphrase\n").unwrap();
    openssl(&[
        "pkcs8",
        "-topk8",
        "-in",
        text(&work.path("ca/ca.key")),
        "-passin",
        &format!("file:{}", work.path("pass").display()),
        "-out",
        text(&work.path("second.key")),
        "-passout",
        &format!("file:{}", work.path("pass2").display()),
    ]);
    let line = "emergency-crl {set} --no-published --key {ca/ca.key} --key {second.key}";
    let run = |files: &str, to: &str| work.run(&format!("{line} {files} --to {{{to}}}")).code;
    assert_eq!(
        run("--passphrase-file {pass} --passphrase-file {pass2}", "crl"),
        1,
        "no published CRL is a finding"
    );
    assert_eq!(
        run("--passphrase-file {pass2} --passphrase-file {pass}", "none"),
        3,
        "in the order of the keys"
    );
    assert_eq!(run("--passphrase-file {pass}", "none"), 3, "one is for all keys");
    assert_eq!(run("--passphrase-file {pass} --passphrase-file {pass2} --passphrase-file {pass}", "none"), 2);
    assert!(!work.path("none").exists());
    let complete = "complete {set} --key {ca/ca.key} --key {second.key}";
    assert_ne!(
        work.run(&format!("{complete} --passphrase-file {{pass}} --passphrase-file {{pass2}}")).code,
        3
    );
    assert_eq!(work.run(&format!("{complete} --passphrase-file {{pass}}")).code, 3);
}

#[test]
fn many_certificates_are_revoked_in_one_commit() {
    let work = Work::with_ca();
    let serials: Vec<_> = ["one", "two", "three"].map(|name| work.issue("ca", name)).to_vec();
    fs::write(
        work.path("list"),
        format!("serial\n{}\n{},keyCompromise,2026-01-01\n4f3a00\n", serials[0], serials[1]),
    )
    .unwrap();
    let run = work.run("--json ca revoke --dir {ca} --list {list} --reason superseded");
    let result = run.json()["result"].clone();
    assert_eq!((run.code, &result["applied"], &result["refused"]), (1, &2.into(), &1.into()), "{result}");
    let reasons: Vec<_> = revoked(&work).iter().map(|row| row["revoked_reason"].clone()).collect();
    assert_eq!(reasons, ["superseded", "keyCompromise"]);
    // A list with a mistake changes nothing.
    fs::write(work.path("list"), format!("{}\nxyz\n", serials[2])).unwrap();
    assert_eq!(work.run("ca revoke --dir {ca} --list {list}").code, 2);
    assert_eq!(revoked(&work).len(), 2);
    assert_eq!(work.run("ca revoke --dir {ca}").code, 2, "one or many has to be said");
}

/// Restored from before a revocation, with or without its database in place: the CRL that the CA published knows better.
#[test]
fn what_the_published_crl_lists_stays_revoked_after_a_restore() {
    let work = Work::with_ca();
    let (one, good) = (work.issue("ca", "one"), work.issue("ca", "good"));
    work.result("backup --dir {ca} --to {set}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {one} --reason keyCompromise"));
    let two = work.issue("ca", "two");
    work.result(&format!("ca revoke --dir {{ca}} --serial {two} --reason superseded"));
    work.result(&format!("ca crl --dir {{ca}} {PASS}"));
    // The folder without its database: crl/ is kept.
    work.copy_key_and_configuration("ca", "bare");
    certadm_tests::plain_set::copy_folder(&work.path("ca/crl"), &work.path("bare/crl"));
    let listed = |ca: &str| {
        let crl = work.path(&format!("{ca}/crl/Test-CA.crl"));
        let shown = openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-noout", "-text"]).to_lowercase();
        [&one, &two, &good].map(|serial| shown.contains(serial.as_str()))
    };
    let kinds = |result: &Value| -> Vec<String> {
        let findings = result["findings"].as_array().unwrap();
        findings.iter().map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect()
    };
    for (ca, force) in [("ca", "--force"), ("bare", "")] {
        let line = format!("--json restore --from {{set}} --dir {{{ca}}} {force}");
        for line in [format!("{line} --dry-run"), line] {
            let run = work.run(&line);
            let result = run.json()["result"].clone();
            assert_eq!(run.code, 1, "{line}: {result}");
            assert_eq!(kinds(&result), ["crl-contradiction", "crl-unknown-certificate"], "{line}: {result}");
        }
        let shown = work.run(&format!("--json show --dir {{{ca}}}")).json()["result"].clone();
        assert!(kinds(&shown["health"]).contains(&"crl-contradiction".to_owned()), "{shown}");
        let published = work.run(&format!("--json ca crl --dir {{{ca}}} {PASS}"));
        let result = published.json()["result"].clone();
        assert_eq!((published.code, &result["entries"]), (1, &2.into()), "{result}");
        assert_eq!(listed(ca), [true, true, false]);
        // The nightly CRL goes on, and nothing is left to be done by hand but to look.
        let next = work.result(&format!("ca crl --dir {{{ca}}} {PASS}"));
        assert_eq!((&next["entries"], kinds(&next)), (&2.into(), vec!["crl-unknown-certificate".to_owned()]));
        let dropped = work.result(&format!("ca crl --dir {{{ca}}} {PASS} --drop-published"));
        assert_eq!(dropped["entries"], 1, "{dropped}");
        assert_eq!(listed(ca), [true, false, false]);
    }
}
