//! The database of a real Windows CA, rehearsed without its key.

use std::fs;
use std::io::Read;

use certadm_rehearsal::{Keys, Outcome, Proof, Sample, Step, Wishes};
use certadm_rules::FileTime;

use crate::support::{Work, failed, run, step};

fn certlog() -> Vec<u8> {
    let packed = include_bytes!("../../../ese/tests/data/CertLog.edb.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A few days after its last CRL was published.
fn then() -> FileTime {
    FileTime::from_unix_seconds(1_759_500_000)
}

fn wishes(dir: &std::path::Path) -> Wishes {
    fs::write(dir.join("CertLog.edb"), certlog()).unwrap();
    fs::create_dir(dir.join("scratch")).unwrap();
    let within = dir.join("scratch");
    Wishes { within, keys: Keys::External, ..Wishes::new(vec![dir.join("CertLog.edb")], then()) }
}

#[test]
fn a_windows_database_is_recovered_counted_and_its_certificates_checked() {
    let dir = tempfile::tempdir().unwrap();
    for sample in [Sample::All, Sample::Of(3)] {
        let work = dir.path().join(format!("{}", sample == Sample::All));
        fs::create_dir(&work).unwrap();
        let shown = run(&Wishes { sample, ..wishes(&work) });
        assert_eq!(
            (failed(&shown), shown.verdict.proof),
            (vec![], Proof::ProvenExcept),
            "{:#?}",
            shown.steps
        );
        assert_eq!(shown.verdict.except, [Step::Complete, Step::Key, Step::Crl]);
        assert_eq!((shown.ca.name.as_str(), shown.of_windows), ("SEVENKINGDOMS-CA", Some(true)));
        let counts = shown.counts.as_ref().unwrap();
        assert_eq!((counts.certificates, counts.crls, counts.last_request), (7, 2, 11));
        let checked = shown.sample.as_ref().unwrap();
        assert_eq!((checked.checked, checked.failed), (if sample == Sample::All { 7 } else { 3 }, 0));
        assert_eq!(step(&shown, Step::Issue).0, Outcome::NotApplicable);
        assert!(shown.crl_end.is_some());
        assert_eq!(fs::read_dir(work.join("scratch")).unwrap().count(), 0);
    }
}

/// Step 5 judges what stands beside the set, as `certadm complete` does.
#[test]
fn what_stands_beside_a_windows_set_is_judged() {
    use certadm_identity::{Attachments, Configuration, Role, Value, registry};
    let dir = tempfile::tempdir().unwrap();
    let wishes = wishes(dir.path());
    let complete = || {
        let shown = run(&wishes);
        let (outcome, text) = step(&shown, Step::Complete);
        assert!(!step(&shown, Step::Gap).1.contains("were given"), "{:#?}", shown.steps);
        (outcome, text.to_owned())
    };
    let (outcome, text) = complete();
    assert!(outcome == Outcome::Skipped && text.contains("no identity part"), "{text}");
    let attach = |name: &str| {
        let mut configuration = Configuration::default();
        configuration.set("", "Active", Value::Text(name.into()));
        configuration.set(name, "CommonName", Value::Text(name.into()));
        configuration.set(name, "CAType", Value::Number(3));
        let written = registry::to_text(&configuration, &registry::root(registry::CERTSVC));
        let mut attachments = Attachments::default();
        let file = std::path::Path::new("certsvc.reg");
        attachments.keep(Role::Registry, file, registry::to_bytes(&written.text));
        attachments.write(&dir.path().join("CertLog.edb"), "", then()).unwrap();
    };
    attach("SEVENKINGDOMS-CA");
    let (outcome, text) = complete();
    assert_eq!(outcome, Outcome::Pass, "{text}");
    assert!(text.contains("Configuration") && text.contains("CA certificates"), "{text}");
    // A configuration of another CA.
    fs::remove_dir_all(dir.path().join("CertLog.edb.identity")).unwrap();
    attach("Other");
    let (outcome, text) = complete();
    assert!(outcome == Outcome::Fail && text.contains("Other"), "{text}");
}

#[test]
fn a_damaged_database_and_the_key_of_another_ca_fail() {
    let dir = tempfile::tempdir().unwrap();
    let good = wishes(dir.path());
    let other = Work::new();
    let shown = run(&Wishes { keys: other.keys(), ..good });
    assert!(failed(&shown).contains(&Step::Key), "{:#?}", shown.steps);
    let mut bytes = certlog();
    let quarter = bytes.len() / 4;
    for byte in &mut bytes[quarter..3 * quarter] {
        *byte ^= 0x55;
    }
    fs::write(dir.path().join("CertLog.edb"), bytes).unwrap();
    let shown = run(&Wishes {
        within: dir.path().join("scratch"),
        ..Wishes::new(vec![dir.path().join("CertLog.edb")], then())
    });
    assert_eq!(failed(&shown), [Step::Verify]);
}
