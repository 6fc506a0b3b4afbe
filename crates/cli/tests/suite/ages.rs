//! Ages and the clock: what `show` and `doctor` say of them, and what `ca crl` does about a clock that was wrong.

use certadm_store::{Folder, Writer};
use serde_json::{Value, json};

use crate::remote::{Serving, configured, world};
use crate::support::Work;

/// One day in the units of the database.
const DAY: i64 = 24 * 3600 * 10_000_000;

/// Moves the dates of the last CRL, as if the clock had been wrong when it was made.
fn move_last_crl(work: &Work, days: i64) {
    let mut writer = Writer::open(&Folder::new(work.path("ca"))).unwrap();
    writer
        .commit(|transaction| {
            let sql = "UPDATE CRLs SET ThisPublish = ThisPublish + ?1, ThisUpdate = ThisUpdate + ?1,
                       NextUpdate = NextUpdate + ?1
                       WHERE RowId = (SELECT max(RowId) FROM CRLs)";
            transaction.execute(sql, [days * DAY])?;
            Ok::<_, certadm_store::Error>(())
        })
        .unwrap();
}

fn kinds(findings: &Value) -> Vec<&str> {
    findings.as_array().unwrap().iter().map(|finding| finding["kind"].as_str().unwrap()).collect()
}

#[test]
fn a_crl_from_the_future_is_told_and_followed_only_on_request() {
    let work = Work::with_ca();
    work.issue("ca", "web");
    let crl = "ca crl --dir {ca} --passphrase-file {pass}";
    let first = work.result(crl)["number"].as_i64().unwrap();
    move_last_crl(&work, 30);
    let show = work.run("--json show --dir {ca}");
    assert_eq!(show.code, 1);
    assert!(kinds(&show.json()["result"]["health"]["findings"]).contains(&"clock"), "{show:?}");
    let refused = work.run(&format!("--json {crl}"));
    assert_eq!(refused.code, 3, "{refused:?}");
    let remedy = refused.json()["error"]["remedy"].as_str().unwrap().to_owned();
    assert!(remedy.contains("--after-wrong-clock"), "{remedy}");
    let after = work.result(&format!("{crl} --after-wrong-clock"));
    assert_eq!(after["number"], first + 1);
    // The CRL that was made with the wrong clock is the last one no more.
    assert_eq!(work.result(crl)["number"], first + 2);
    let show = work.run("--json show --dir {ca}").json();
    assert!(!kinds(&show["result"]["health"]["findings"]).contains(&"clock"), "{show}");
}

#[test]
fn doctor_tells_the_ages_that_the_protocol_lets_it_ask() {
    let work = world();
    let serving = Serving::start(&work, "--allow-remote-backup");
    let walk = |options: &str| {
        let login = format!("--server {} --user backup --password-file {{pw}}", serving.address);
        let run = configured(&work, &format!("--json doctor {login} {options}"));
        (run.code, run.json()["result"].clone())
    };
    let (code, before) = walk("");
    assert_eq!((code, &before["findings"]), (0, &json!([])), "{before}");
    assert_eq!(before["ca"]["name"], "Test-CA");
    assert_eq!(before["ca"]["last_full_backup"], Value::Null);
    for date in ["certificate_not_after", "crl_next_update"] {
        assert!(before["ca"][date].as_str().unwrap().starts_with("20"), "{before}");
    }
    let login = format!("--server {} --user backup --password-file {{pw}}", serving.address);
    for line in [format!("backup {login} --to {{full}}"), format!("backup {login} --to {{logs}} --type logs")]
    {
        assert_eq!(configured(&work, &line).code, 0);
    }
    let (code, after) = walk("");
    assert_eq!(code, 0, "{after}");
    for date in ["last_full_backup", "last_log_backup"] {
        assert!(after["ca"][date].as_str().unwrap().starts_with("20"), "{after}");
    }
    // Every threshold, and the exit code of findings.
    for (option, kind) in [
        ("--max-backup-age 0", "backup-old"),
        ("--max-crl-age 0", "crl-due"),
        ("--min-certificate-days 99999", "certificate-ending"),
    ] {
        let (code, found) = walk(option);
        assert_eq!((code, kinds(&found["findings"])), (1, vec![kind]), "{option}");
        assert_eq!(found["ready"], true);
    }
    move_last_crl(&work, -30);
    // The CRL that is published is another matter than the table.
    assert_eq!(walk("").0, 0);
}

#[test]
fn a_wrong_name_of_the_ca_is_told_the_right_one() {
    let work = world();
    let serving = Serving::start(&work, "--allow-remote-backup");
    let login = |ca: &str| format!("--server {}\\{ca} --user backup --password-file {{pw}}", serving.address);
    let walk = configured(&work, &format!("--json doctor {}", login("Other-CA")));
    assert_eq!(walk.code, 2, "{walk:?}");
    let result = walk.json()["result"].clone();
    assert_eq!(result["shut"], json!(["state"]), "{result}");
    let backup = configured(&work, &format!("--json backup {} --to {{x}}", login("Other-CA")));
    assert_eq!(backup.code, 2);
    let message = backup.json()["error"]["message"].as_str().unwrap().to_owned();
    let state = result["gates"].as_array().unwrap().iter().find(|gate| gate["gate"] == "state").unwrap();
    for text in [&message, state["detail"].as_str().unwrap()] {
        assert!(text.contains("\"Other-CA\"") && text.contains("\"Test-CA\""), "{text}");
    }
    assert_eq!(backup.json()["error"]["remedy"], state["remedy"]);
    assert_eq!(configured(&work, &format!("doctor {}", login("Test-CA"))).code, 0);
    // A wrong password is named among the reasons of a refused backup, too.
    let wrong = format!("--server {} --user backup --password-file {{wrong}}", serving.address);
    let refused = configured(&work, &format!("--json backup {wrong} --to {{x}}"));
    let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("password"), "{message}");
}

/// Nobody finds out by himself that a certificate ends before the days that were asked for: the command says so.
#[test]
fn a_certificate_that_is_cut_to_the_end_of_the_ca_is_told() {
    let work = Work::new();
    work.run("ca init --dir {ca} --name Short --passphrase-file {pass} --days 100").good();
    work.request("web");
    let issue = "ca issue --dir {ca} --passphrase-file {pass} --out {out} {web.csr}";
    let end = "when the certificate of the CA itself ends";
    assert!(work.run(issue).good().contains(end));
    let short = work.run(&format!("{issue} --days 10"));
    assert!(!short.good().contains(end));
    assert_eq!(work.result(issue)["results"][0]["ends_with_ca"], true);
}
