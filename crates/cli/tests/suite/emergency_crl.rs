//! The CRL of a lost CA from the command line, with `openssl` as the one who relies on it.

use std::fs;

use serde_json::Value;

use crate::support::{Work, openssl, text};
use crate::windows_files::ca_database;

/// A CA with a set, two certificates, one of them revoked after the set was taken; then it is lost.
struct Lost {
    work: Work,
    revoked_later: String,
}

fn lost() -> Lost {
    let work = Work::with_ca();
    let (early, later) = (work.issue("ca", "early"), work.issue("ca", "later"));
    work.issue("ca", "good");
    work.result(&format!("ca revoke --dir {{ca}} --serial {early} --reason superseded"));
    work.result("ca crl --dir {ca} --passphrase-file {pass}");
    work.result("backup --dir {ca} --to {set}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {later} --reason keyCompromise"));
    let published = work.result("ca crl --dir {ca} --passphrase-file {pass}");
    fs::copy(published["file"].as_str().unwrap(), work.path("last.crl")).unwrap();
    fs::copy(work.path("ca/ca.key"), work.path("ca.key")).unwrap();
    fs::copy(work.path("ca/ca.crt"), work.path("ca.crt")).unwrap();
    fs::remove_dir_all(work.path("ca")).unwrap();
    Lost { work, revoked_later: later }
}

impl Lost {
    /// Whether openssl accepts a certificate with this CRL.
    fn is_valid(&self, crl: &str, certificate: &str) -> bool {
        let output = std::process::Command::new("openssl")
            .args(["verify", "-crl_check", "-CAfile", text(&self.work.path("ca.crt"))])
            .args(["-CRLfile", text(&self.work.path(crl))])
            .arg(self.work.path(certificate))
            .output()
            .expect("openssl");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() || said.contains("error 23"), "{said}");
        output.status.success()
    }

    fn certificates(&self) -> Vec<String> {
        let mut found: Vec<String> = fs::read_dir(self.work.path("issued"))
            .unwrap()
            .map(|entry| format!("issued/{}", entry.unwrap().file_name().to_str().unwrap()))
            .collect();
        found.sort();
        found
    }
}

const SIGN: &str = "--key {ca.key} --passphrase-file {pass}";

#[test]
fn a_crl_from_set_and_published_crl_knows_both_revocations() {
    let lost = lost();
    let made =
        lost.work.result(&format!("emergency-crl {{set}} {SIGN} --published {{last.crl}} --to {{crl}}"));
    assert_eq!(made["crls"][0]["entries"], 2, "{made}");
    assert!(made["highest_known"].as_i64() < made["number"].as_i64());
    assert_eq!(made["signed"].as_array().unwrap().len(), 1);
    let valid: Vec<_> =
        lost.certificates().iter().filter(|name| lost.is_valid("crl/Test-CA.pem", name)).cloned().collect();
    assert_eq!(valid.len(), 1, "{valid:?}");
    let report: Value =
        serde_json::from_slice(&fs::read(lost.work.path("crl/report.json")).unwrap()).unwrap();
    let origins: Vec<_> =
        report["crls"][0]["listed"].as_array().unwrap().iter().map(|entry| &entry["origin"]).collect();
    assert_eq!(origins, ["published", "published"]);
    // Without it the second one is valid again: that has to be said in so many words.
    let refused = lost.work.run(&format!("emergency-crl {{set}} {SIGN} --to {{crl2}}"));
    assert_eq!(refused.code, 2, "{refused:?}");
    let alone = lost.work.run(&format!("--json emergency-crl {{set}} {SIGN} --no-published --to {{crl2}}"));
    assert_eq!(alone.code, 1);
    assert_eq!(alone.json()["result"]["findings"][0]["kind"], "crl-not-compared");
    assert_eq!(alone.json()["result"]["crls"][0]["entries"], 1);
    // Nothing is overwritten.
    let again = lost.work.run(&format!("emergency-crl {{set}} {SIGN} --published {{last.crl}} --to {{crl}}"));
    assert_eq!(again.code, 3, "{again:?}");
}

#[test]
fn revocations_made_while_the_ca_is_down_are_kept_and_handed_on() {
    let lost = lost();
    let good = lost.work.result(&format!(
        "emergency-crl {{set}} {SIGN} --published {{last.crl}} --to {{one}} --revoke 4f3a00:keyCompromise"
    ));
    assert_eq!((&good["crls"][0]["entries"], &good["revocations"]), (&3.into(), &2.into()));
    let script = fs::read_to_string(lost.work.path("one/return.sh")).unwrap();
    assert!(script.contains("apply-revocations \"$(dirname -- \"$0\")\" --dir"), "{script}");
    let next = lost.work.result(&format!("emergency-crl {{set}} {SIGN} --published {{one}} --to {{two}}"));
    assert_eq!((&next["crls"][0]["entries"], &next["revocations"]), (&3.into(), &2.into()));
    assert!(good["number"].as_i64() < next["number"].as_i64());
    assert!(lost.work.path("two/revocations.json").exists());
    // And from the last CRL alone.
    let alone = lost.work.result(&format!("emergency-crl --from-crl {{last.crl}} {SIGN} --to {{three}}"));
    assert_eq!(alone["crls"][0]["entries"], 2);
    // What only says something of sets is not passed over.
    fs::write(lost.work.path("allowed"), "").unwrap();
    for option in ["--allowed-signers {allowed}", "--force-damaged", "--scratch {here}"] {
        let line = format!("emergency-crl --from-crl {{last.crl}} {SIGN} --to {{four}} {option}");
        assert_eq!(lost.work.run(&line).code, 2, "{option}");
    }
    assert!(!lost.revoked_later.is_empty());
    openssl(&[
        "crl",
        "-noout",
        "-CAfile",
        text(&lost.work.path("ca.crt")),
        "-in",
        text(&lost.work.path("three/Test-CA.pem")),
    ]);
}

/// The log with the hold turns up after the first emergency CRL was made: its higher number shows nothing.
#[test]
fn a_hold_stays_that_an_earlier_emergency_crl_did_not_know() {
    let work = Work::with_ca();
    let held = work.issue("ca", "held");
    let last = work.result("ca crl --dir {ca} --passphrase-file {pass}");
    fs::copy(last["file"].as_str().unwrap(), work.path("last.crl")).unwrap();
    work.result("backup --dir {ca} --to {set}");
    work.result(&format!("ca revoke --dir {{ca}} --serial {held} --reason certificateHold"));
    work.result("backup --dir {ca} --to {logs} --type logs");
    fs::copy(work.path("ca/ca.key"), work.path("ca.key")).unwrap();
    let first = work.result(&format!("emergency-crl {{set}} {SIGN} --published {{last.crl}} --to {{one}}"));
    assert_eq!(first["crls"][0]["entries"], 0, "{first}");
    assert_eq!(first["crls"][0]["compared"]["number"], last["number"]);
    fs::copy(work.path("one/Test-CA.crl"), work.path("fetched.crl")).unwrap();
    for (published, to) in [("{one}", "two"), ("{one/Test-CA.crl}", "three"), ("{fetched.crl} {one}", "four")]
    {
        let line = format!("emergency-crl {{set}} {{logs}} {SIGN} --published {published} --to {{{to}}}");
        let next = work.result(&line);
        assert_eq!(next["crls"][0]["entries"], 1, "{published}: {next}");
    }
}

/// A folder without the files of an emergency CRL, such as `CertEnroll`, holds what the CA published: what is not in it was released.
#[test]
fn the_crls_of_a_folder_are_the_cas_own_where_nothing_says_otherwise() {
    let work = Work::with_ca();
    let held = work.issue("ca", "held");
    work.result(&format!("ca revoke --dir {{ca}} --serial {held} --reason certificateHold"));
    work.result("ca crl --dir {ca} --passphrase-file {pass}");
    work.result("backup --dir {ca} --to {set}");
    // A CRL has a date in seconds, and one of the hold's own second shows no release.
    crate::jobs::next_second();
    work.result(&format!("ca revoke --dir {{ca}} --serial {held} --reason removeFromCRL"));
    let last = work.result("ca crl --dir {ca} --passphrase-file {pass}");
    fs::create_dir(work.path("CertEnroll")).unwrap();
    fs::copy(last["file"].as_str().unwrap(), work.path("CertEnroll/Test-CA.CRL")).unwrap();
    fs::copy(work.path("ca/ca.key"), work.path("ca.key")).unwrap();
    let made = |published: &str, to: &str| {
        work.result(&format!("emergency-crl {{set}} {SIGN} --published {published} --to {{{to}}}"))["crls"][0]
            ["entries"]
            .clone()
    };
    assert_eq!(made("{CertEnroll/Test-CA.CRL}", "file"), 0, "the hold was released");
    assert_eq!(made("{CertEnroll}", "folder"), 0, "as with the file alone");
    // The folder of an emergency CRL shows no release.
    fs::copy(work.path("file/Test-CA.crl"), work.path("CertEnroll/Test-CA.CRL")).unwrap();
    fs::write(work.path("CertEnroll/revocations.json"), "{\"format\":1,\"revocations\":[]}").unwrap();
    assert_eq!(made("{CertEnroll}", "emergency"), 1, "nothing says with what it was compared");
}

/// A PKCS#12 file often holds more than the key of the CA.
#[test]
fn of_the_keys_of_a_file_the_one_that_fits_is_taken() {
    let lost = lost();
    let work = &lost.work;
    let at = |name: &str| text(&work.path(name)).to_owned();
    let pass = format!("file:{}", at("pass"));
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &at("web.key")]);
    openssl(&["pkcs8", "-topk8", "-in", &at("web.key"), "-out", &at("web.enc"), "-passout", &pass]);
    openssl(&["genpkey", "-algorithm", "ED25519", "-out", &at("odd.key")]);
    openssl(&["pkcs8", "-topk8", "-in", &at("odd.key"), "-out", &at("odd.enc"), "-passout", &pass]);
    let read = |name: &str| fs::read_to_string(work.path(name)).unwrap();
    fs::write(work.path("two.pem"), format!("{}\n{}", read("web.enc"), read("ca.key"))).unwrap();
    fs::write(work.path("odd.pem"), format!("{}\n{}", read("odd.enc"), read("ca.key"))).unwrap();
    let sign = |line: &str, key: &str, to: &str| {
        let run = work.run(&format!(
            "--json emergency-crl {line} --key {{{key}}} --passphrase-file {{pass}} --to {{{to}}}"
        ));
        let found = run.json()["result"]["findings"].to_string();
        (run.code, found.contains("key-left-out"))
    };
    let set = "{set} --published {last.crl}";
    assert_eq!(sign("--from-crl {last.crl}", "two.pem", "one"), (0, true));
    assert_eq!(sign(set, "two.pem", "two"), (0, true));
    assert_eq!(sign("--from-crl {last.crl}", "odd.pem", "three"), (1, true));
    assert_eq!(sign(set, "odd.pem", "four"), (1, true));
    // Alone it is refused, as before.
    assert_eq!(sign("--from-crl {last.crl}", "web.enc", "five").0, 5);
    assert_eq!(sign(set, "web.enc", "five").0, 5);
    assert!(!work.path("five").exists());
    // The others take the file, too.
    let complete = work.run("--json complete {set} --key {two.pem} --passphrase-file {pass}").json();
    assert_eq!(complete["result"]["contradicts"], false, "{complete}");
    let attached = work.run("--json attach {set} --key {two.pem} --passphrase-file {pass}");
    assert_eq!(attached.code, 0, "{attached:?}");
    assert_eq!(attached.json()["result"]["keys"].as_array().unwrap().len(), 1);
    let rehearsed = work.run("--json rehearse {set} --key {two.pem} --passphrase-file {pass}").json();
    let steps = rehearsed["result"]["steps"].as_array().unwrap().clone();
    let step = steps.iter().find(|step| step["step"] == "key").unwrap();
    assert_eq!(step["outcome"], "pass", "{rehearsed}");
}

/// An editor's blank line, or a remark, is no damage of the CA's key.
#[test]
fn a_blank_line_in_the_key_keeps_no_crl_from_being_published() {
    let work = Work::with_ca();
    let key = fs::read_to_string(work.path("ca/ca.key")).unwrap();
    for text in [format!("{key}\n"), format!("# the key of the CA\n{key}"), format!("\u{feff}{key}")] {
        fs::write(work.path("ca/ca.key"), text).unwrap();
        work.result("ca crl --dir {ca} --passphrase-file {pass}");
    }
}

/// The delta CRL lists nothing of what the base CRL does: made of it alone, the next CRL would put everything back in force.
#[test]
fn the_next_crl_is_not_made_of_a_delta_crl_alone() {
    let lost = lost();
    let work = &lost.work;
    work.result(&format!("emergency-crl {{set}} {SIGN} --published {{last.crl}} --with-delta --to {{both}}"));
    let run = work.run(&format!("emergency-crl --from-crl {{both/Test-CA+.crl}} {SIGN} --to {{alone}}"));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stderr.contains("is a delta CRL") && run.stderr.contains("--published"), "{}", run.stderr);
    assert!(!work.path("alone").exists());
    let line = "emergency-crl --from-crl {both/Test-CA.crl} --published {both/Test-CA+.crl}";
    let made = work.result(&format!("{line} {SIGN} --to {{next}}"));
    assert_eq!(made["crls"][0]["entries"], 2, "{made}");
}

#[test]
fn the_key_and_the_crl_of_another_ca_are_refused_with_both_key_ids() {
    let lost = lost();
    let work = &lost.work;
    work.run("ca init --dir {other} --name Other --passphrase-file {pass}").good();
    let run = work.run(
        "emergency-crl {set} --key {other/ca.key} --passphrase-file {pass} --published {last.crl} --to {crl}",
    );
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.stderr.matches("key id").count() == 2, "{}", run.stderr);
    work.result("ca crl --dir {other} --passphrase-file {pass}");
    let run =
        work.run(&format!("emergency-crl {{set}} {SIGN} --published {{other/crl/Other.crl}} --to {{crl}}"));
    assert_eq!(run.code, 5, "{run:?}");
    fs::write(work.path("wrong"), "nonsense\n").unwrap();
    let run = work.run(
        "emergency-crl {set} --key {ca.key} --passphrase-file {wrong} --published {last.crl} --to {crl}",
    );
    assert_eq!(run.code, 3, "{run:?}");
    assert!(!work.path("crl").exists());
}

#[test]
fn two_steps_give_what_one_step_gives() {
    let lost = lost();
    let work = &lost.work;
    let line = "emergency-crl {set} --published {last.crl} --now 2026-11-27T10:00:00Z";
    work.run(&format!("{line} --tbs-only --to {{tbs}}"));
    work.run(&format!("{line} {SIGN} --to {{crl}}"));
    let content = fs::read(work.path("tbs/Test-CA.tbs")).unwrap();
    let whole = fs::read(work.path("crl/Test-CA.crl")).unwrap();
    assert!(whole.windows(content.len()).any(|part| part == content), "the same is signed");
    let pass = format!("file:{}", work.path("pass").display());
    let (key, signature, tbs) = (work.path("ca.key"), work.path("base.sig"), work.path("tbs/Test-CA.tbs"));
    let sign =
        ["dgst", "-sha256", "-sign", text(&key), "-passin", &pass, "-out", text(&signature), text(&tbs)];
    openssl(&sign);
    fs::write(work.path("wrong.sig"), b"nonsense").unwrap();
    let finish = |file: &str| {
        work.run(&format!("--json emergency-crl finish {{tbs}} --signature 0={}", work.path(file).display()))
    };
    assert_eq!(finish("wrong.sig").code, 5);
    assert!(!work.path("tbs/Test-CA.crl").exists());
    let done = finish("base.sig");
    assert_eq!(done.code, 0, "{done:?}");
    assert_eq!(done.json()["result"]["crls"][0], "Test-CA.crl");
    for name in lost.certificates() {
        assert_eq!(lost.is_valid("tbs/Test-CA.pem", &name), lost.is_valid("crl/Test-CA.pem", &name));
    }
    // It can be run again, also after a run that was killed, and with another signature: the CRL that is there is as good.
    let crl = fs::read(work.path("tbs/Test-CA.crl")).unwrap();
    let pem = fs::read(work.path("tbs/Test-CA.pem")).unwrap();
    openssl(&sign);
    fs::remove_file(work.path("tbs/Test-CA.pem")).unwrap();
    fs::remove_file(work.path("tbs/publish.txt")).unwrap();
    assert_eq!(finish("base.sig").code, 0);
    assert_eq!(
        (fs::read(work.path("tbs/Test-CA.crl")).unwrap(), fs::read(work.path("tbs/Test-CA.pem")).unwrap()),
        (crl, pem)
    );
    assert!(work.path("tbs/publish.txt").is_file());
    fs::write(work.path("tbs/Test-CA.pem"), "of somebody").unwrap();
    assert_eq!(finish("base.sig").code, 3, "nothing is overwritten");
}

/// A folder without a CRL would look like one with all that is needed.
#[test]
fn where_no_crl_is_needed_none_is_made_and_that_is_no_success() {
    let lost = lost();
    let work = &lost.work;
    let line = "emergency-crl {set} --published {last.crl} --now 2200-01-01T00:00:00Z --to {none}";
    for options in ["--tbs-only", "--tbs-only --revoke 4f3a00:superseded", SIGN] {
        let run = work.run(&format!("{line} {options}"));
        assert!(run.code == 2 && run.stderr.contains("no CRL is needed: by this database"), "{run:?}");
        assert!(!work.path("none").exists());
    }
}

/// The signatures come one after the other, as those who hold the key are there.
#[test]
fn what_is_signed_is_finished_and_the_rest_later() {
    let lost = lost();
    let work = &lost.work;
    work.run("emergency-crl {set} --published {last.crl} --with-delta --tbs-only --to {tbs}");
    let pass = format!("file:{}", work.path("pass").display());
    for name in ["Test-CA", "Test-CA+"] {
        let (key, out) = (work.path("ca.key"), work.path(&format!("{name}.sig")));
        let tbs = work.path(&format!("tbs/{name}.tbs"));
        openssl(&["dgst", "-sha256", "-sign", text(&key), "-passin", &pass, "-out", text(&out), text(&tbs)]);
    }
    let finish = |name: &str, file: &str| {
        work.run(&format!("--json emergency-crl finish {{tbs}} --signature {name}={file}"))
    };
    let first = finish("0", "Test-CA.sig");
    assert_eq!(
        (first.code, &first.json()["result"]["waiting"]),
        (1, &serde_json::json!(["0+"])),
        "{first:?}"
    );
    assert!(work.path("tbs/Test-CA.crl").is_file() && !work.path("tbs/Test-CA+.crl").exists());
    let text = || fs::read_to_string(work.path("tbs/publish.txt")).unwrap();
    assert!(!text().contains("Test-CA+.crl"), "{}", text());
    let second = finish("0+", "Test-CA+.sig");
    assert_eq!((second.code, &second.json()["result"]["waiting"]), (0, &serde_json::json!([])), "{second:?}");
    assert!(text().contains("Test-CA.crl") && text().contains("Test-CA+.crl"), "{}", text());
}

#[test]
fn a_windows_database_gives_what_is_to_be_signed_and_where_it_goes() {
    let work = Work::new();
    fs::write(work.path("CertLog.edb"), ca_database()).unwrap();
    let line = "--json emergency-crl {CertLog.edb} --tbs-only --no-published --now 2025-10-03T12:00:00Z";
    let run =
        work.run(&format!("{line} --to {{crl}} --revoke 6500000004dfd5d66db7c478b5000000000004:superseded"));
    let made = run.json()["result"].clone();
    assert_eq!(run.code, 1, "{made}");
    assert_eq!(made["ca"], "SEVENKINGDOMS-CA");
    assert_eq!((&made["crls"][0]["entries"], &made["crls"][1]["crl"]), (&1.into(), &"0+".into()));
    let names: Vec<_> = made["files"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for name in ["SEVENKINGDOMS-CA.tbs", "SEVENKINGDOMS-CA+.tbs", "to-sign.txt", "return.cmd", "report.json"]
    {
        assert!(names.contains(&name), "{names:?}");
    }
    let commands = fs::read_to_string(work.path("crl/return.cmd")).unwrap();
    assert!(commands.contains("certutil -revoke 6500000004dfd5d66db7c478b5000000000004 4\r\n"), "{commands}");
    // A damaged database is refused, and used when that is wanted.
    let mut bytes = ca_database();
    let quarter = bytes.len() / 4;
    for byte in &mut bytes[quarter..3 * quarter] {
        *byte ^= 0x55;
    }
    fs::write(work.path("damaged.edb"), bytes).unwrap();
    let line = line.replace("{CertLog.edb}", "{damaged.edb}");
    let refused = work.run(&format!("{line} --to {{two}}"));
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.json()["error"]["remedy"].as_str().unwrap().contains("--force-damaged"));
}

/// A set without its manifest may lack its last logs. In an emergency it is used all the same, and nobody overlooks it.
#[test]
fn a_set_without_a_manifest_is_used_and_told() {
    let lost = lost();
    let work = &lost.work;
    let says = |findings: &Value| {
        let findings = findings.as_array().unwrap();
        let told = findings.iter().find(|finding| finding["kind"] == "incomplete");
        told.is_some_and(|told| told["severity"] == "warning")
    };
    let commands = [
        format!("emergency-crl {{set}} {SIGN} --published {{last.crl}} --to {{new}}"),
        "gap {set} --crl {last.crl} --to {gap}".to_owned(),
    ];
    let run = |line: &String| {
        for made in ["new", "gap"] {
            fs::remove_dir_all(work.path(made)).ok();
        }
        work.run(&format!("--json {line}"))
    };
    let sealed: Vec<bool> =
        commands.iter().map(|line| says(&run(line).json()["result"]["findings"])).collect();
    assert_eq!(sealed, [false, false]);
    fs::remove_file(work.path("set/manifest.json")).unwrap();
    let made = run(&commands[0]);
    assert!(made.code == 1 && says(&made.json()["result"]["findings"]), "{made:?}");
    let report: Value = serde_json::from_slice(&fs::read(work.path("new/report.json")).unwrap()).unwrap();
    assert!(says(&report["findings"]), "{report}");
    assert!(work.path("new/Test-CA.crl").is_file());
    let gap = run(&commands[1]);
    assert!(gap.code == 1 && says(&gap.json()["result"]["findings"]), "{gap:?}");
    let page = fs::read_dir(work.path("gap")).unwrap().flatten().map(|entry| entry.path());
    let mut page = page.filter(|path| path.extension().is_some_and(|ending| ending == "html"));
    assert!(fs::read_to_string(page.next().unwrap()).unwrap().contains("has no manifest"));
    let listed = work.run("list {set}");
    assert!(listed.code == 0 && listed.stderr.contains("has no manifest"), "{listed:?}");
    let listed = work.result("list {set}");
    assert_eq!(listed["unsealed"].as_array().unwrap().len(), 1, "{listed}");
}
