//! A whole Windows database with damaged pages whose checksums are right: catalog, tables, verification.

use certadm_ese::Database;

use crate::ese_base::{DATABASE, patched};

/// No table of 1 MiB has more rows than this; more means that a walk goes round in circles.
const MAX_ROWS: usize = 1 << 20;

/// The input is a sequence of patches, see [`patched`].
pub(crate) fn run(data: &[u8]) {
    let Ok(good) = Database::open(DATABASE.as_slice()) else {
        panic!("the database to start from must open");
    };
    let bytes = patched(good.page_size(), data);
    let Ok(database) = Database::open(bytes) else {
        return;
    };
    let report = database.verify(&mut |_| {});
    assert!(report.is_ok(), "memory has no input errors, and what is damaged is a finding: {report:?}");
    let Ok(catalog) = database.catalog() else {
        return;
    };
    for definition in catalog.tables() {
        let Ok(table) = database.table(&definition.name) else {
            continue;
        };
        let mut rows = 0;
        for row in table.rows() {
            rows += 1;
            assert!(rows < MAX_ROWS, "a walk without end in {}", definition.name);
            let Ok(row) = row else {
                break;
            };
            for column in &definition.columns {
                let _ = row.value(column);
            }
        }
    }
}
