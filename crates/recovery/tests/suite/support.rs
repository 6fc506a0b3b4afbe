//! The database of a real Windows CA.

use std::io::Read;

use certadm_ese::Database;
use certadm_recovery::{Damage, Records};
use certadm_rules::FileTime;

/// The bytes of CertLog.edb.
pub(crate) fn certlog() -> Vec<u8> {
    let packed = include_bytes!("../../../ese/tests/data/CertLog.edb.gz");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).unwrap();
    bytes
}

/// A few days after its last CRL was published.
pub(crate) fn now() -> FileTime {
    FileTime::from_unix_seconds(1_759_500_000)
}

/// What a database holds.
pub(crate) fn records(database: Vec<u8>) -> Records {
    let database = Database::open(database).unwrap();
    Records::of_windows(&database, now(), [].into(), Damage::Refused).unwrap()
}
