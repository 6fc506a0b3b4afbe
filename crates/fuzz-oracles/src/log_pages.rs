//! The packed pages of a store's log: a frame that a stranger made, in a log whose header fits it (docs/store-format.md).

use std::path::PathBuf;

use certadm_rules::Generation;
use certadm_store::Error;
use certadm_store::log_file::{HEADER_LEN, LogFile};
use tempfile::TempDir;

use crate::checksummed::with_checksum;

const PAGE_SIZE: u32 = 512;

thread_local! {
    static FOLDER: TempDir = certadm_files::scratch::for_test();
}

/// One octet for the number of pages, then the frame.
pub(crate) fn run(data: &[u8]) {
    let Some((&count, frame)) = data.split_first() else { return };
    let numbers: Vec<u8> = (1..=u32::from(count)).flat_map(u32::to_le_bytes).collect();
    let Some(seen) = pages(&numbers, frame, [0; 32]) else { return };
    // The header promises another content. With that which was seen, the frame alone decides.
    let content = [&numbers[..], &seen.pages].concat();
    assert!(!seen.is_sound || content.is_empty(), "another content was taken");
    if seen.pages.len() == usize::from(count) * 512 {
        let again = pages(&numbers, frame, *blake3::hash(&content).as_bytes()).expect("it was opened before");
        assert_eq!(again.pages, seen.pages);
    }
}

struct Seen {
    pages: Vec<u8>,
    is_sound: bool,
}

/// What a reader sees of a log with these page numbers and this frame; `None` where it refuses the header.
fn pages(numbers: &[u8], frame: &[u8], content: [u8; 32]) -> Option<Seen> {
    let count = u32::try_from(numbers.len() / 4).ok()?;
    let mut header = vec![0; 204];
    header[8..12].copy_from_slice(&2_u32.to_le_bytes());
    header[12..16].copy_from_slice(&Generation::FIRST.number().to_le_bytes());
    header[48..52].copy_from_slice(&PAGE_SIZE.to_le_bytes());
    header[52..56].copy_from_slice(&count.to_le_bytes());
    header[56..60].copy_from_slice(&count.to_le_bytes());
    header[72..104].copy_from_slice(&content);
    header[164..172].copy_from_slice(&(frame.len() as u64).to_le_bytes());
    header[172..204].copy_from_slice(blake3::hash(frame).as_bytes());
    let header = with_checksum(&header, *b"CADMLOG\x01", HEADER_LEN);
    let path: PathBuf = FOLDER.with(|folder| folder.path().join("edb00001.log"));
    std::fs::write(&path, [&header, numbers, frame].concat()).expect("a file in memory");
    let log = match LogFile::open(&path) {
        Ok(log) => log,
        Err(Error::LogDamaged { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    let (mut pages, mut expected) = (Vec::new(), 1);
    let read = log.pages(|number, page| {
        assert_eq!(number, expected);
        expected += 1;
        pages.extend_from_slice(page);
        Ok(())
    });
    assert!(pages.len() <= numbers.len() / 4 * 512, "more pages than the header promises");
    match read {
        Ok(()) | Err(Error::LogDamaged { .. }) => Some(Seen { pages, is_sound: read.is_ok() }),
        Err(error) => panic!("{error}"),
    }
}
