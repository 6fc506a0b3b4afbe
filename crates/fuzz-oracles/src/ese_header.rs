//! The blocks at the beginning and the end of the files of a Windows instance, their checksums right: the header of a
//! database, the patch page of a backup, the checkpoint, the flush map (ese.md 2, 3.2, 11).

use certadm_ese::Database;
use certadm_ese::backup::PatchPage;
use certadm_ese::checkpoint::{Checkpoint, check_flush_map};
use certadm_ese::checksum::xor_checksum;
use certadm_ese::header::{Copies, DatabaseHeader};
use certadm_ese::pager::Pager;
use certadm_ese::recovery::Plan;

use crate::ese_base::{DATABASE, apply_patches, checksum_legacy};

const BLOCK: usize = 4096;
const FLUSH_MAP: usize = 8192;

/// The first byte chooses the kind of block. Of a header, what follows is patches, see [`apply_patches`]; of the others it
/// is the block itself.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, content)) = data.split_first() else {
        return;
    };
    match kind % 4 {
        0 => header(content),
        1 => patch_page(content),
        2 => checkpoint(content),
        _ => flush_map(content),
    }
}

fn header(patches: &[u8]) {
    let mut bytes = DATABASE.clone();
    let Ok((good, _)) = DatabaseHeader::read(&bytes) else {
        panic!("the database to start from must have a header");
    };
    let page = good.page_size().bytes();
    apply_patches(&mut bytes[..page], patches);
    checksum_legacy(&mut bytes[..page]);
    // What the first copy says is believed only as far as it makes sense; else the second one counts.
    let Ok(database) = Database::open(bytes.as_slice()) else {
        panic!("the second copy of the header is whole");
    };
    let header = database.header();
    let _ = format!("{header:?} {:?} {}", header.format_version(), header.state());
    if database.header_copies() == Copies::PrimaryDamaged {
        assert_eq!(header, &good);
    }
    let report = database.verify(&mut |_| {});
    assert!(report.is_ok(), "memory has no input errors, and what is damaged is a finding: {report:?}");
    let Ok(plan) = Plan::new(Some(&bytes as &dyn Pager), &[]) else {
        panic!("a database that opens can be planned for");
    };
    if let Some(required) = plan.required() {
        assert!(required.low <= required.high);
    }
}

fn patch_page(content: &[u8]) {
    let mut page = content.to_vec();
    page.resize(BLOCK, 0);
    checksum_legacy(&mut page);
    if let Some(patch) = PatchPage::parse(&page)
        && let Ok((header, _)) = DatabaseHeader::read(&*DATABASE)
    {
        let _ = patch.check_against(&header);
    }
}

fn checkpoint(content: &[u8]) {
    let mut bytes = content.to_vec();
    bytes.resize(2 * BLOCK, 0);
    let (first, second) = bytes.split_at_mut(BLOCK);
    checksum_legacy(first);
    checksum_legacy(second);
    if Checkpoint::read(&bytes).is_err() {
        return;
    }
    bytes[content.len() % BLOCK] ^= 1;
    if let Ok(other) = Checkpoint::read(&bytes) {
        assert!(other.from_second_copy, "a flipped bit went unnoticed");
    }
}

fn flush_map(content: &[u8]) {
    let mut bytes = content.to_vec();
    bytes.resize(bytes.len().max(FLUSH_MAP), 0);
    checksum_legacy(&mut bytes[..FLUSH_MAP]);
    let Ok(check) = check_flush_map(&bytes) else {
        panic!("memory has no input errors");
    };
    let pages = check.valid_pages + check.zero_pages + check.damaged_pages;
    assert_eq!(usize::try_from(pages).ok(), Some(bytes.len() / FLUSH_MAP - 1));
    assert!(!check.header_valid || xor_checksum(&bytes[..FLUSH_MAP]).to_le_bytes() == bytes[..4]);
}
