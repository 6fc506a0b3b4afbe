//! The trees of a Windows database with damaged pages whose checksums are right: walked, and read around their damage.

use std::collections::BTreeMap;

use certadm_ese::Database;
use certadm_ese::finding::Severity;

use crate::ese_base::{DATABASE, patched};

/// Faults that a walk keeps.
const MOST_FAULTS: usize = 1000;

/// Rows of each table by their place in it.
type Rows = BTreeMap<String, Vec<(u32, usize)>>;

/// The input is a sequence of patches, see [`patched`].
pub(crate) fn run(data: &[u8]) {
    let Ok(good) = Database::open(DATABASE.as_slice()) else {
        panic!("the database to start from must open");
    };
    let bytes = patched(good.page_size(), data);
    let Ok(database) = Database::open(bytes.as_slice()) else {
        return;
    };
    let Ok(report) = database.verify(&mut |_| {}) else {
        panic!("memory has no input errors, and what is damaged is a finding");
    };
    assert_eq!(report.pages.total(), database.page_slots(), "each page is judged once");
    let is_sound = report.findings.iter().all(|finding| finding.severity < Severity::Warning);
    if let Ok(walked) = database.walk() {
        assert!(walked.faults.len() <= MOST_FAULTS, "faults are bounded");
        assert!(walked.summary.pages <= database.page_slots(), "no page is reached twice");
        if let (true, Some(trees)) = (is_sound, report.trees) {
            assert!(walked.faults.is_empty(), "what verification calls sound is walked without a fault");
            assert_eq!(trees, walked.summary, "both look at the same trees");
            let rows = rows(&database).unwrap_or_else(|error| panic!("sound, but not readable: {error}"));
            let count: usize = rows.values().map(Vec::len).sum();
            assert_eq!(count as u64, walked.summary.rows, "a scan and a walk see the same rows");
        }
    }
    let Ok(before) = Database::open(bytes.as_slice()) else { return };
    let Ok(salvaged) = before.salvaging(&mut |_| {}) else {
        panic!("reading around damage meets no damage that stops it");
    };
    let Ok(around) = rows(&salvaged) else {
        panic!("a scan around damage ends without an error");
    };
    if is_sound && report.trees.is_some() {
        assert_eq!(rows(&database).ok(), Some(around), "around no damage there is what there is");
    }
}

/// Reads every row of every table.
fn rows<P: certadm_ese::pager::Pager>(database: &Database<P>) -> Result<Rows, certadm_ese::Error> {
    let mut rows = Rows::new();
    for definition in database.catalog()?.tables() {
        let table = database.table(&definition.name)?;
        let mut places = Vec::new();
        for row in table.rows() {
            places.push(row?.position());
        }
        rows.insert(format!("{} {}", definition.object_id, definition.name), places);
    }
    Ok(rows)
}
