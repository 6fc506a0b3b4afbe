//! Images by themselves, of any length.

use std::path::Path;

use certadm_files::Checksum;
use certadm_rules::{Diagnosis, FileTime, Generation, Hresult};
use certadm_store::PAGE_SIZE;
use certadm_store::chain::{check_image, trailer_of};
use certadm_store::log_file::Signature;
use certadm_store::trailer::Trailer;

/// What fits into one buffer is read at once, what is longer by a thread of its own.
#[test]
fn an_image_of_any_length_is_compared_with_its_trailer() {
    let dir = certadm_files::scratch::for_test();
    for pages in [1_usize, 127, 128, 129, 300] {
        let page = PAGE_SIZE as usize;
        let content: Vec<u8> = (0..pages * page).map(|at| u8::try_from(at / 7 % 251).unwrap()).collect();
        let mut sum = Checksum::new();
        sum.update(&content);
        let signature = Signature([7; 16]);
        let trailer = Trailer {
            page_size: PAGE_SIZE,
            image_pages: pages as u64,
            database: signature,
            stream: signature,
            low: Generation::FIRST,
            high: Generation::FIRST,
            finished: FileTime(1),
            image: sum.finish(),
        };
        let path = dir.path().join(format!("{pages}.db"));
        let mut image = [content.as_slice(), &trailer.encode()].concat();
        std::fs::write(&path, &image).unwrap();
        let mut done = 0;
        check_image(&path, &trailer, |read| done = read).unwrap();
        assert_eq!(done, content.len() as u64, "{pages} pages");
        for at in [0, content.len() / 2, content.len() - 1] {
            image[at] ^= 1;
            std::fs::write(&path, &image).unwrap();
            let error = check_image(&path, &trailer, |_| ()).unwrap_err();
            assert_eq!(error.hresult(), Hresult::READ_VERIFY_FAILURE, "{pages} pages, octet {at}: {error}");
            image[at] ^= 1;
        }
        std::fs::write(&path, &content[..content.len() - 1]).unwrap();
        assert!(check_image(&path, &trailer, |_| ()).is_err(), "{pages} pages, cut");
    }
}

/// SQLite opens such a database for reading alone, and its check finds nothing wrong.
#[test]
fn an_image_that_sqlite_does_not_write_to_is_damaged() {
    let first = |versions: [u8; 2]| {
        let mut first = [b"SQLite format 3\0".as_slice(), &[0x20, 0x00], &versions].concat();
        first.resize(100, 0);
        first
    };
    let found = |versions| {
        trailer_of(Path::new("ca.db"), 1, &first(versions), |_| unreachable!("the length is none"))
            .unwrap_err()
    };
    assert_eq!(found([2, 2]).hresult(), Hresult::BAD_BACKUP_DATABASE_SIZE);
    for versions in [[3, 2], [2, 3], [0, 2], [0xfd, 2]] {
        assert_eq!(found(versions).hresult(), Hresult::DATABASE_CORRUPTED, "{versions:?}");
    }
}
