//! Fixtures: from the repository, or from the shared folder beside it where they may not be copied.

use std::io::Read;
use std::path::{Path, PathBuf};

/// Databases whose tables every test of tables reads.
pub(crate) const TABLE_FIXTURES: [&str; 7] = [
    "certlog/CertLog.edb",
    "generic/basic.edb",
    "generic/binary.edb",
    "generic/default.edb",
    "generic/text.edb",
    "generic/SRUDB.dat",
    "generic/large.edb",
];

fn shared() -> PathBuf {
    match std::env::var_os("CERTADM_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
    }
}

/// The bytes of a fixture; `None`, and one line that says so, where it is not present.
pub(crate) fn fixture(name: &str) -> Option<Vec<u8>> {
    let file_name = Path::new(name).file_name()?.to_str()?;
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("{file_name}.gz"));
    let folder = shared().join("data/ese");
    for path in [own, folder.join(format!("{name}.gz"))] {
        if let Ok(bytes) = std::fs::read(path) {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
            return Some(plain);
        }
    }
    if let Ok(bytes) = std::fs::read(folder.join(format!("{name}.zst"))) {
        let mut plain = Vec::new();
        ruzstd::decoding::StreamingDecoder::new(bytes.as_slice()).unwrap().read_to_end(&mut plain).unwrap();
        return Some(plain);
    }
    println!("fixture {name}: not present, its part of this test is left out");
    None
}

/// A path in the test's temporary folder holding these bytes.
pub(crate) fn temporary(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A small generator with a fixed seed, so that a failure repeats.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}

/// What kind of row of a catalog is to be changed: its object, its type (1 for a table, 2 for a column) and its number.
pub(crate) type CatalogRow = (u32, u16, u32);

/// Puts another number where the row of a catalog with this root has the root of a table, or the type of a column (ese.md 5).
pub(crate) fn with_catalog_row(bytes: &[u8], root: u32, wanted: CatalogRow, number: u32) -> Vec<u8> {
    const PAGE: usize = 4096;
    let mut bytes = bytes.to_vec();
    let pages = certadm_ese::Database::open(bytes.as_slice()).unwrap().tree(root).pages().unwrap();
    let mut changed = 0;
    for page_number in pages {
        let start = (page_number as usize + 1) * PAGE;
        let page = &mut bytes[start..start + PAGE];
        let word = |page: &[u8], at: usize| u16::from_le_bytes([page[at], page[at + 1]]);
        let long = |page: &[u8], at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap());
        for tag in 1..usize::from(word(page, 34) & 0xFFF) {
            let place = word(page, PAGE - 4 * (tag + 1) + 2);
            let node = 40 + usize::from(place & 0x1FFF);
            // A compressed key has the length of what it shares before it.
            let key = if place & 0x8000 != 0 { node + 2 } else { node };
            let record = key + 2 + usize::from(word(page, key) & 0x1FFF);
            if record + 18 <= PAGE
                && (long(page, record + 4), word(page, record + 8), long(page, record + 10)) == wanted
            {
                page[record + 14..record + 18].copy_from_slice(&number.to_le_bytes());
                changed += 1;
            }
        }
        certadm_ese::checksum::checksum_page(page, page_number);
    }
    assert_eq!(changed, 1);
    bytes
}
