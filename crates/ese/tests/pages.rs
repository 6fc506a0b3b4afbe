//! Every page of every fixture, and what single flips, cuts and swaps do to the findings.

mod common;

use certadm_ese::checkpoint::{Checkpoint, check_flush_map};
use certadm_ese::finding::{Kind, Severity};
use certadm_ese::header::State;
use certadm_ese::verify::{PageCounts, Report};
use certadm_ese::{Code, Database};

fn verify(bytes: Vec<u8>) -> Report {
    Database::open(bytes).unwrap().verify(&mut |_| {}).unwrap()
}

fn kinds(report: &Report) -> Vec<(Kind, Severity)> {
    report.findings.iter().map(|finding| (finding.kind, finding.severity)).collect()
}

#[test]
fn every_page_of_every_fixture_is_sound() {
    for name in common::TABLE_FIXTURES.into_iter().chain([
        "winmail-v7-sec4096/WindowsMail.MSMessageStore",
        "winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore",
        "indexeddb-v8-scrubbed/IndexedDB.edb",
    ]) {
        let Some(bytes) = common::fixture(name) else {
            continue;
        };
        let report = verify(bytes.clone());
        println!("{name}: {:?} {:?}", report.pages, report.findings);
        assert_eq!(report.pages.damaged + report.pages.correctable, 0, "{name}");
        let slots = Database::open(bytes).unwrap().page_slots();
        assert_eq!(report.pages.total(), slots, "{name}");
    }
}
