//! Pages of the Windows database: checksums and nodes (ese.md 2, 3.3, 4).

use certadm_ese::checksum::{PageCheck, check_page, checksum_page};
use certadm_ese::page::Page;
use certadm_ese::pagesize::PageSize;

/// The first byte chooses the page size, the second the page's number; the rest is the page.
pub(crate) fn run(data: &[u8]) {
    let Some((&[size, number], content)) = data.split_first_chunk::<2>() else {
        return;
    };
    let size = PageSize::ALL[usize::from(size) % PageSize::ALL.len()];
    let number = u32::from(number) + 1;
    let mut bytes = content.to_vec();
    bytes.resize(size.bytes(), 0);
    let _ = check_page(&bytes, number);

    checksum_page(&mut bytes, number);
    if bytes.iter().any(|&byte| byte != 0) {
        assert_eq!(check_page(&bytes, number), PageCheck::Valid);
        let at = content.len() % bytes.len();
        bytes[at] ^= 1;
        assert_ne!(check_page(&bytes, number), PageCheck::Valid, "a flipped bit went unnoticed");
        bytes[at] ^= 1;
    }
    if let Ok(page) = Page::parse(number, bytes) {
        check(&page);
    }
}

fn check(page: &Page) {
    let mut nodes = 0;
    for node in page.nodes() {
        assert!(node.key().len() + node.data.len() <= 2 * page.bytes().len());
        nodes += 1;
    }
    assert_eq!(nodes, page.node_count());
    assert!(page.external_header().len() < page.bytes().len());
    assert!(page.prefix().len() < page.bytes().len());
}
