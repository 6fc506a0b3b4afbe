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
