//! An open database file: header, pages by number, trees.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::backup::PatchPage;
use crate::bytes::{count32, index};
use crate::checksum::{PageCheck, check_page, flip, xor_checksum};
use crate::error::Error;
use crate::header::{Copies, DatabaseHeader};
use crate::leaves::{Leaf, Leaves};
use crate::page::Page;
use crate::pager::Pager;
use crate::pagesize::PageSize;

const CACHED_PAGES: usize = 64;

/// A database file opened for reading.
///
/// Pages are checked when they are read. Single flipped bits are corrected in memory only, and counted.
/// Memory stays bounded: a cache of 64 pages.
pub struct Database<P> {
    file: P,
    header: DatabaseHeader,
    copies: Copies,
    cache: RefCell<Vec<Option<Rc<Page>>>>,
    corrected: Cell<u64>,
    /// The leaves of its trees, where the database is read around its damage.
    leaves: Option<Leaves>,
}

impl<P: Pager> Database<P> {
    /// Reads the header. Clean or dirty makes no difference here; see [`DatabaseHeader::state`].
    ///
    /// # Errors
    /// [`Error::NotADatabase`] (HRESULT 0xC80004B6), [`Error::Io`].
    pub fn open(file: P) -> Result<Self, Error> {
        let (header, copies) = DatabaseHeader::read(&file)?;
        Ok(Self {
            file,
            header,
            copies,
            cache: RefCell::new(vec![None; CACHED_PAGES]),
            corrected: Cell::new(0),
            leaves: None,
        })
    }

    /// The header in use.
    pub fn header(&self) -> &DatabaseHeader {
        &self.header
    }

    /// How the two copies of the header looked.
    pub fn header_copies(&self) -> Copies {
        self.copies
    }

    /// The file.
    pub fn file(&self) -> &P {
        &self.file
    }

    /// Its page size.
    pub fn page_size(&self) -> PageSize {
        self.header.page_size()
    }

    /// Whole pages that the file has room for behind its two header pages, a patch page included.
    pub fn page_slots(&self) -> u32 {
        u32::try_from((self.file.size() / self.page_size().bytes64()).saturating_sub(2)).unwrap_or(u32::MAX)
    }

    /// Flipped bits corrected in memory so far.
    pub fn corrected_bits(&self) -> u64 {
        self.corrected.get()
    }

    /// Pages in use that cannot be read and are left out, where the database is read around its damage
    /// ([`Database::salvaging`]).
    pub fn skipped_pages(&self) -> u32 {
        self.leaves.as_ref().map_or(0, |leaves| leaves.skipped)
    }

    pub(crate) fn set_leaves(&mut self, leaves: Leaves) {
        self.leaves = Some(leaves);
    }

    /// True where the database is read around its damage ([`Database::salvaging`]).
    pub fn is_salvaging(&self) -> bool {
        self.leaves.is_some()
    }

    /// The leaves of a tree that is read around its damage.
    pub(crate) fn leaves_of(&self, root: u32) -> Option<&[Leaf]> {
        self.leaves.as_ref()?.of_tree(root)
    }

    /// The bytes of a page slot, unchecked.
    ///
    /// # Errors
    /// [`Error::MalformedPage`] for a page outside the file, [`Error::Io`].
    pub fn raw_page(&self, number: u32) -> Result<Vec<u8>, Error> {
        if number == 0 || self.page_slots() < number {
            return Err(Error::MalformedPage {
                page: number,
                what: "a page reference",
                problem: "the page lies outside the file",
            });
        }
        let mut bytes = vec![0; self.page_size().bytes()];
        self.file.read_at(self.page_size().offset_of(number), &mut bytes)?;
        Ok(bytes)
    }

    /// A page, checked and if need be corrected.
    ///
    /// # Errors
    /// [`Error::PageDamaged`] (HRESULT 0xC80003FA), [`Error::MalformedPage`] (0xC80004B6), [`Error::Io`].
    pub fn page(&self, number: u32) -> Result<Rc<Page>, Error> {
        let slot = index(number) % CACHED_PAGES;
        if let Some(page) = &self.cache.borrow()[slot]
            && page.number() == number
        {
            return Ok(Rc::clone(page));
        }
        let (bytes, corrected) = checked_page(number, self.raw_page(number)?)?;
        self.corrected.set(self.corrected.get() + corrected);
        let page = Rc::new(Page::parse(number, bytes)?);
        self.cache.borrow_mut()[slot] = Some(Rc::clone(&page));
        Ok(page)
    }

    /// The patch page of a backup copy: the last page slot of the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn patch_page(&self) -> Result<Option<PatchPage>, Error> {
        match self.page_slots() {
            0 => Ok(None),
            last => Ok(PatchPage::parse(&self.raw_page(last)?)),
        }
    }

    /// Whether the last page slot is that of a patch page and holds none because its bytes changed: it lies right behind the last page
    /// that the database owns, and no checksum of it is right. A copy that was cut short has no such slot.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn has_damaged_patch_page(&self, last_owned: u32) -> Result<bool, Error> {
        let last = self.page_slots();
        let is_whole = self.file.size().is_multiple_of(self.page_size().bytes64());
        if !is_whole || last_owned == 0 || last_owned.checked_add(1) != Some(last) {
            return Ok(false);
        }
        let page = self.raw_page(last)?;
        let is_right = page.first_chunk().map(|sum| u32::from_le_bytes(*sum)) == Some(xor_checksum(&page))
            || matches!(check_page(&page, last), PageCheck::Valid | PageCheck::Correctable(_));
        Ok(!is_right)
    }
}

/// Judges a page's checksum and corrects single flipped bits; also returns how many.
pub(crate) fn checked_page(number: u32, mut bytes: Vec<u8>) -> Result<(Vec<u8>, u64), Error> {
    let damaged = |problem| Err(Error::PageDamaged { page: number, problem });
    match check_page(&bytes, number) {
        PageCheck::Valid => Ok((bytes, 0)),
        PageCheck::Correctable(bits) => {
            for bit in &bits {
                flip(&mut bytes, *bit);
            }
            let corrected = u64::from(count32(bits.len()));
            Ok((bytes, corrected))
        }
        PageCheck::Zero => damaged("it was never written although something refers to it"),
        PageCheck::Misplaced { .. } => damaged("it belongs to another place"),
        PageCheck::Damaged => damaged("the checksum is wrong"),
    }
}
