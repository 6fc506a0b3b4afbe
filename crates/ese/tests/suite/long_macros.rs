//! A macro of a log that changes many pages: all of it is applied at its end, and few of the pages are in memory at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use certadm_ese::lgpos::Lgpos;
use certadm_ese::log::LogFile;
use certadm_ese::pager::{Pager, PagerMut};
use certadm_ese::pagesize::PageSize;
use certadm_ese::redo::Replayer;

use crate::writer::{At, begin, create_database, create_tree, insert, macro_begin, macro_commit};

/// A file in memory, and how many pages were written to it.
struct Written(Vec<u8>, Arc<AtomicUsize>);

impl Pager for Written {
    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, buffer)
    }
}

impl PagerMut for Written {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.fetch_add(bytes.len() / 4096, Ordering::Relaxed);
        self.0.write_at(offset, bytes)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.0.set_size(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn a_macro_that_changes_many_pages_writes_them_before_it_ends() {
    const PAGES: u32 = 5_000;
    let written = Arc::new(AtomicUsize::new(0));
    let bytes = crate::writer::log_v8(1, 3, &[]);
    let log = LogFile::open(&bytes).unwrap();
    let target = Written(Vec::new(), Arc::clone(&written));
    let mut replayer = Replayer::new(target, None, PageSize::new(4096).unwrap());
    replayer.begin_log(log.header());
    let mut position = Lgpos { generation: 1, segment: 1, offset: 40 };
    let mut apply = |record: &[u8]| {
        position.offset += 1;
        replayer.apply(position, record).unwrap();
    };
    let at = |page: u32, before, after| At {
        session: 1,
        page,
        before,
        after,
        line: 0,
        flags: 5,
        version: page,
        root: page,
    };
    apply(&create_database());
    for page in 10..10 + PAGES {
        apply(&create_tree(at(page, 0, 10)));
    }
    apply(&begin(1, 0));
    apply(&macro_begin(1, 20));
    for page in 10..10 + PAGES {
        apply(&insert(at(page, 10, 20), b"key", b"data"));
    }
    let before = written.load(Ordering::Relaxed);
    apply(&macro_commit(1, 20));
    let during = written.load(Ordering::Relaxed) - before;
    assert!((PAGES as usize) / 2 < during, "{during} pages of {PAGES} were written during the macro");
}
