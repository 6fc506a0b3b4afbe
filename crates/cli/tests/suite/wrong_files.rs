//! What is not there, what nobody put there, and one file in the place of another: told as what it is, before any work.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Work, openssl, text};

/// The error of a command that must fail, with its exit code.
fn failed(work: &Work, line: &str) -> (i32, Value) {
    let run = work.run(&format!("--json {line}"));
    let json = run.json();
    assert_eq!(json["ok"], false, "{line}: {json}");
    (run.code, json["error"].clone())
}

/// A CA with a full set and a log set that continues it.
fn with_sets() -> Work {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {full}");
    work.issue("ca", "two");
    work.result("backup --dir {ca} --to {logs} --type logs");
    work
}

fn files_of(work: &Work, set: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(work.path(set).join("DataBase")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == ending));
    files.sort();
    files
}

/// Kinds and codes of the grave findings of `verify`.
fn errors(work: &Work, sets: &str) -> Vec<(String, String)> {
    let run = work.run(&format!("--json verify {sets}"));
    let json = run.json();
    assert_eq!(run.code, 5, "{sets}: {json}");
    let findings = json["result"]["findings"].as_array().unwrap().iter();
    let grave = findings.filter(|finding| finding["severity"] == "error");
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    grave.map(|finding| (word(&finding["kind"]), word(&finding["code"]))).collect()
}

/// A complete set without its database is damaged: every verb says so, and says it once.
#[test]
fn a_complete_set_that_lacks_its_database_is_damaged() {
    let work = with_sets();
    fs::remove_file(&files_of(&work, "full", "db")[0]).unwrap();
    let missing = "0xc80004c0";
    for line in [
        "restore --from {full} --dir {new}",
        "restore --from {full} --dir {new} --dry-run",
        "restore --from {full} --from {logs} --dir {new}",
        "list {full}",
        "list {full} {logs} revoked",
        "gap {full} --crl {ca/crl/Test-CA.crl} --to {gap}",
        "diff {full} {full}",
        "emergency-crl {full} --no-published --to {crl} --passphrase-file {pass} --key {ca/ca.key}",
    ] {
        let (code, error) = failed(&work, line);
        assert_eq!((code, error["code"].as_str()), (5, Some(missing)), "{line}: {error}");
    }
    assert_eq!(errors(&work, "{full}"), [("file-missing".to_owned(), missing.to_owned())]);
    let show = work.run("--json show {full}");
    assert_eq!(show.code, 1);
    let told = show.json()["result"]["health"]["findings"].clone();
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!((&told[0]["kind"], &told[0]["code"]), (&"file-missing".into(), &missing.into()), "{told}");
    for made in ["new", "gap", "crl"] {
        assert!(!work.path(made).exists(), "{made}");
    }
}

/// The last log of a log set leaves no gap: without it the CA would come back as it was before, and nobody would know.
#[test]
fn a_last_log_that_is_missing_is_no_shorter_chain() {
    let work = with_sets();
    let last = files_of(&work, "logs", "log").pop().unwrap();
    work.copy("logs", "again");
    fs::remove_file(&last).unwrap();
    for line in ["restore --from {full} --from {logs} --dir {new} --dry-run", "list {full} {logs}"] {
        let (code, error) = failed(&work, line);
        assert_eq!((code, error["code"].as_str()), (5, Some("0xc800022d")), "{line}: {error}");
        assert!(
            error["message"].as_str().unwrap().contains(text(last.file_name().unwrap().as_ref())),
            "{error}"
        );
    }
    assert_eq!(errors(&work, "{full} {logs}"), [("file-missing".to_owned(), "0xc800022d".to_owned())]);
    // Another set that has the log is as good.
    assert_eq!(work.result("list {full} {logs} {again}")["count"], 3);
}

/// A Windows set with a manifest, whose database is gone: its logs alone are no database.
#[test]
fn a_windows_set_that_lacks_its_database_is_damaged() {
    let work = Work::new();
    let Some((full, _)) = crate::windows_files::backup(&work.path("windows")) else { return };
    fs::rename(&full, work.path("set")).unwrap();
    crate::signing::complete(&work.path("set"), certadm_set::manifest::SetKind::Full);
    fs::remove_file(work.path("set/DataBase/Store.edb")).unwrap();
    for line in ["list {set}", "list {set} --salvage", "recover {set} --to {out}"] {
        let (code, error) = failed(&work, line);
        assert_eq!((code, error["code"].as_str()), (5, Some("0xc80004c0")), "{line}: {error}");
    }
    assert!(!work.path("out").exists(), "refused before anything was made");
    assert!(errors(&work, "{set}").contains(&("file-missing".to_owned(), "0xc80004c0".to_owned())));
    let show = work.run("--json show {set}");
    assert!(show.code == 1 && show.stdout.contains("it is missing"), "{show:?}");
}

/// Whatever lies in a set and is not in its manifest is told, in whichever of its folders.
#[test]
fn a_file_that_no_manifest_knows_is_told_wherever_it_lies() {
    let work = with_sets();
    assert_eq!(work.result("verify {full}")["findings"], serde_json::json!([]));
    let strangers = ["extra", "manifest.json.old", "DataBase/extra", "DynamicFiles/extra.crl", "folder"];
    for stranger in strangers {
        match stranger {
            "folder" => fs::create_dir(work.path("full").join(stranger)).unwrap(),
            _ => fs::write(work.path("full").join(stranger), "x").unwrap(),
        }
    }
    let run = work.run("--json verify {full}");
    let json = run.json();
    assert_eq!((run.code, &json["result"]["restorable"]), (1, &true.into()), "{json}");
    let findings = json["result"]["findings"].as_array().unwrap();
    let mut told: Vec<_> = findings
        .iter()
        .map(|finding| {
            assert_eq!(finding["kind"], "unknown-file", "{finding}");
            let file = PathBuf::from(finding["path"].as_str().unwrap());
            file.strip_prefix(work.path("full")).unwrap().display().to_string()
        })
        .collect();
    told.sort();
    let mut expected = strangers.to_vec();
    expected.sort_unstable();
    assert_eq!(told, expected);
    // What certadm itself put there is no stranger.
    for stranger in strangers {
        let path = work.path("full").join(stranger);
        if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.unwrap();
    }
    fs::write(work.path("note"), "x").unwrap();
    work.result("attach {full} --file {note}");
    assert_eq!(work.result("verify {full}")["findings"], serde_json::json!([]));
    // So is the scratch copy of a command that looks at the set just now, or was killed while it did.
    let scratch = |process| work.path("full").join(format!(".certadm-scratch-x.unfinished-{process}"));
    let (running, killed) = (scratch(std::process::id()), scratch(4_194_999));
    for dir in [&running, &killed] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("image.db"), "x").unwrap();
    }
    assert_eq!(work.result("verify {full}")["findings"], serde_json::json!([]));
    assert!(running.is_dir() && (cfg!(not(unix)) || !killed.exists()));
}

/// Links in the place of what is to be made are refused before any work, wherever they lead.
#[cfg(unix)]
#[test]
fn a_link_in_the_place_of_a_target_is_refused_before_any_work() {
    let work = with_sets();
    fs::create_dir(work.path("empty")).unwrap();
    for (link, to) in [("dangling", "nowhere"), ("linked", "empty")] {
        std::os::unix::fs::symlink(work.path(to), work.path(link)).unwrap();
    }
    work.request("late");
    let any = ["dangling", "linked"];
    // A folder that may be there already is one behind a link, too.
    let no_folder = ["dangling"];
    for (links, line) in [
        (&any[..], "backup --dir {ca} --to"),
        (&any, "backup --dir {ca} --keep-logs --to"),
        (&any, "identity --dir {ca} --to"),
        (&any, "gap {full} --crl {ca/crl/Test-CA.crl} --to"),
        (&any, "emergency-crl {full} --no-published --passphrase-file {pass} --key {ca/ca.key} --to"),
        (&any, "show {full} --html"),
        (&any, "rehearse {full} --html"),
        (&any, "ca export --dir {ca} --request 2 --out"),
        (&no_folder, "list {full} certificates --export-certs"),
        (&no_folder, "ca issue --dir {ca} --passphrase-file {pass} {late.csr} --out"),
        (&no_folder, "restore --from {full} --dir"),
        (&no_folder, "ca init --name X --passphrase-file {pass} --dir"),
        (&no_folder, "rehearse {full} --evidence"),
        (&no_folder, "man"),
    ] {
        for link in links {
            let line = format!("{line} {{{link}}}");
            let run = work.run(&line);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert_eq!(run.code, 3, "{line}: {said}");
            assert!(said.contains(link) && said.contains("What to do"), "{line}: {said}");
            for work_begun in ["Database files", "Verify every byte", "Kind  ", "Request  ", "-----BEGIN"] {
                assert!(!said.contains(work_begun), "{line}: {said}");
            }
        }
        assert!(!work.path("nowhere").exists(), "{line}: nothing is made behind a link");
        assert_eq!(fs::read_dir(work.path("empty")).unwrap().count(), 0, "{line}");
    }
    assert_eq!(work.result("list --dir {ca}")["count"], 3, "nothing was issued");
    let said = work.run("backup --dir {ca} --to {dangling}").stderr;
    assert!(said.contains("is a link"), "{said}");
}

/// The files that a CA's operator has at hand, each in PEM and DER.
fn cabinet(work: &Work) -> Vec<(&'static str, &'static str)> {
    let (request, key) = (work.request("web"), work.path("web.key"));
    work.issue("ca", "web");
    let path = |name: &str| work.path(name).to_str().unwrap().to_owned();
    let (crt, crl) = (path("ca/ca.crt"), path("ca/crl/Test-CA.crl"));
    let (request, key) = (text(&request), text(&key));
    openssl(&["req", "-in", request, "-outform", "DER", "-out", &path("csr.der")]);
    openssl(&["x509", "-in", &crt, "-outform", "DER", "-out", &path("crt.der")]);
    openssl(&["pkey", "-in", key, "-outform", "DER", "-out", &path("key.der")]);
    openssl(&["ec", "-in", key, "-out", &path("sec1.key")]);
    openssl(&["genrsa", "-traditional", "-out", &path("rsa.key"), "2048"]);
    openssl(&["rsa", "-in", &path("rsa.key"), "-traditional", "-outform", "DER", "-out", &path("rsa.der")]);
    openssl(&["pkey", "-in", key, "-pubout", "-out", &path("pub.pem")]);
    openssl(&["crl", "-inform", "DER", "-in", &crl, "-out", &path("crl.pem")]);
    openssl(&["crl2pkcs7", "-nocrl", "-certfile", &crt, "-out", &path("p7b.pem")]);
    openssl(&["crl2pkcs7", "-nocrl", "-certfile", &crt, "-outform", "DER", "-out", &path("p7b.der")]);
    let pass = format!("pass:{}", crate::support::PASSPHRASE);
    let p12 = path("both.p12");
    openssl(&["pkcs12", "-export", "-inkey", key, "-nocerts", "-out", &p12, "-passout", &pass]);
    vec![
        ("web.csr", "a certificate request"),
        ("csr.der", "a certificate request"),
        ("ca/ca.crt", "a certificate"),
        ("crt.der", "a certificate"),
        ("crl.pem", "a CRL"),
        ("ca/crl/Test-CA.crl", "a CRL"),
        ("web.key", "a private key"),
        ("key.der", "a private key"),
        ("sec1.key", "a private key"),
        ("rsa.key", "a private key"),
        ("rsa.der", "a private key"),
        ("ca/ca.key", "an encrypted private key"),
        ("pub.pem", "a public key"),
        ("both.p12", "a PKCS#12 file"),
        ("p7b.pem", "a PKCS#7 file"),
        ("p7b.der", "a PKCS#7 file"),
    ]
}

/// Each file is given in the place of each other: it is refused as what it is, and not called damaged.
#[test]
fn one_kind_of_file_in_the_place_of_another_is_named() {
    let work = Work::with_ca();
    work.run("ca init --dir {sub} --name Sub --passphrase-file {pass} --subordinate").good();
    work.result("backup --dir {ca} --to {full}");
    let cabinet = cabinet(&work);
    let before = work.result("list --dir {ca}")["count"].clone();
    let crl = "--passphrase-file {pass} --to {crl}";
    let places = [
        ("ca issue --dir {ca} --passphrase-file {pass} --out {out}".to_owned(), "a certificate request"),
        ("ca import --dir {sub} --passphrase-file {pass}".to_owned(), "a certificate"),
        ("attach {full} --certificate".to_owned(), "a certificate"),
        ("attach {full} --crl".to_owned(), "a CRL"),
        (format!("emergency-crl {{full}} {crl} --key {{ca/ca.key}} --published"), "a CRL"),
        (format!("emergency-crl {{full}} {crl} --no-published --key"), "an encrypted private key"),
        ("attach {full} --passphrase-file {pass} --key".to_owned(), "an encrypted private key"),
    ];
    for (line, wanted) in &places {
        for (file, is) in &cabinet {
            let is_key =
                wanted.ends_with("private key") && (is.ends_with("private key") || is.contains("#12"));
            if is == wanted || is_key {
                continue;
            }
            let line = format!("{line} {{{file}}}");
            let run = work.run(&line);
            let said = format!("{}{}", run.stdout, run.stderr);
            assert_eq!(run.code, 3, "{line}: {said}");
            assert!(said.contains(&format!("is {is}, and ")), "{line}: {said}");
            assert!(said.contains("What to do: ") || said.contains("what to do: "), "{line}: {said}");
            assert!(!said.contains("ASN.1") && !said.contains("PRIVATE KEY"), "{line}: {said}");
        }
    }
    // A key that anyone can read is a key, and refused as that.
    for file in ["web.key", "sec1.key", "rsa.key", "key.der", "rsa.der"] {
        let line = format!("emergency-crl {{full}} {crl} --no-published --key {{{file}}}");
        let (code, error) = failed(&work, &line);
        assert_eq!(code, 3, "{line}: {error}");
        assert!(error["remedy"].as_str().unwrap().contains("openssl pkcs8 -topk8"), "{line}: {error}");
    }
    assert_eq!(work.result("list --dir {ca}")["count"], before, "nothing was issued, and no row left");
    assert!(!work.path("crl").exists());
    // What is of the right kind and broken is damaged.
    let whole = fs::read(work.path("csr.der")).unwrap();
    fs::write(work.path("cut.der"), &whole[..whole.len() - 1]).unwrap();
    let run = work.run("ca issue --dir {ca} --passphrase-file {pass} --out {out} {cut.der}");
    assert_eq!(run.code, 5, "{run:?}");
}
