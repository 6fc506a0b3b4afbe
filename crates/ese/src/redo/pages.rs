//! Pages under replay: loaded once, changed in memory, written back with fresh checksums.

use std::collections::HashMap;

use crate::checksum::is_zero;
use crate::database::checked_page;
use crate::error::Error;
use crate::image::PageImage;
use crate::page::Page;
use crate::pager::PagerMut;
use crate::pagesize::PageSize;

/// Memory for pages taken apart; beyond it everything is written back and forgotten.
const CACHE_BYTES: usize = 4 << 20;

/// What lies in a page slot.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Present(PageImage),
    /// Never written, or behind the end of the file.
    Blank,
    /// Wrong checksum or structure: no matter for a record that makes the page anew.
    Unreadable,
}

impl Slot {
    /// What these bytes are, read where the page lies.
    pub(super) fn of(number: u32, bytes: Vec<u8>) -> Result<Self, Error> {
        if is_zero(&bytes) {
            return Ok(Self::Blank);
        }
        let page = checked_page(number, bytes).and_then(|(bytes, _)| Page::parse(number, bytes));
        match page {
            Ok(page) => Ok(Self::Present(PageImage::from_page(page))),
            Err(error @ Error::Io(_)) => Err(error),
            Err(_) => Ok(Self::Unreadable),
        }
    }

    /// The page to change, which must be readable.
    pub(super) fn readable(&mut self, page: u32) -> Result<&mut PageImage, Error> {
        match self {
            Self::Present(image) => Ok(image),
            Self::Blank | Self::Unreadable => {
                Err(Error::PageDamaged { page, problem: "a log record needs it, but it is not readable" })
            }
        }
    }

    /// Bytes of memory it takes, about: a node has a structure, and two allocations of its own once it was changed.
    fn weight(&self, size: PageSize) -> usize {
        const EMPTY: usize = 128;
        const NODE: usize = 144;
        match self {
            Self::Present(image) => EMPTY + size.bytes() + NODE * image.nodes.len(),
            Self::Blank | Self::Unreadable => EMPTY,
        }
    }
}

#[derive(Clone, Debug)]
struct Cached {
    slot: Slot,
    changed: bool,
}

/// The pages of the database that is being recovered.
#[derive(Clone, Debug)]
pub(super) struct Pages<T> {
    pub(super) target: T,
    pub(super) size: PageSize,
    cached: HashMap<u32, Cached>,
    /// What the cached slots weighed when they were cached.
    weight: usize,
}

impl<T: PagerMut> Pages<T> {
    pub(super) fn new(target: T, size: PageSize) -> Self {
        Self { target, size, cached: HashMap::new(), weight: 0 }
    }

    /// What lies in a slot now.
    pub(super) fn slot(&mut self, number: u32) -> Result<&Slot, Error> {
        Ok(&self.loaded(number)?.slot)
    }

    fn loaded(&mut self, number: u32) -> Result<&mut Cached, Error> {
        if !self.cached.contains_key(&number) {
            let slot = self.load(number)?;
            self.weight += slot.weight(self.size);
            self.cached.insert(number, Cached { slot, changed: false });
        }
        // It is there now.
        Ok(self.cached.entry(number).or_insert(Cached { slot: Slot::Blank, changed: false }))
    }

    /// True for a page that is in memory.
    pub(super) fn holds(&self, number: u32) -> bool {
        self.cached.contains_key(&number)
    }

    fn load(&self, number: u32) -> Result<Slot, Error> {
        let offset = self.size.offset_of(number);
        if self.target.size() < offset + self.size.bytes64() {
            return Ok(Slot::Blank);
        }
        let mut bytes = vec![0; self.size.bytes()];
        self.target.read_at(offset, &mut bytes)?;
        Slot::of(number, bytes)
    }

    /// A slot to change in any way; what was `changed` is written back.
    pub(super) fn with_slot<R>(
        &mut self,
        number: u32,
        change: impl FnOnce(&mut Slot) -> (R, bool),
    ) -> Result<R, Error> {
        let cached = self.loaded(number)?;
        let (result, changed) = change(&mut cached.slot);
        cached.changed |= changed;
        Ok(result)
    }

    /// A page to change, which must be readable.
    pub(super) fn change(&mut self, number: u32) -> Result<&mut PageImage, Error> {
        let Cached { slot, changed } = self.loaded(number)?;
        let image = slot.readable(number)?;
        *changed = true;
        Ok(image)
    }

    /// Puts a whole page in place of what was there.
    pub(super) fn put(&mut self, image: PageImage) {
        let number = image.number;
        let slot = Slot::Present(image);
        self.weight += slot.weight(self.size);
        self.cached.insert(number, Cached { slot, changed: true });
    }

    /// Writes changed pages back, in file order.
    pub(super) fn flush(&mut self) -> Result<(), Error> {
        let mut numbers: Vec<u32> =
            self.cached.iter().filter(|(_, cached)| cached.changed).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(Cached { slot: Slot::Present(image), changed }) = self.cached.get_mut(&number) {
                self.target.write_at(self.size.offset_of(number), &image.to_bytes()?)?;
                *changed = false;
            }
        }
        Ok(())
    }

    /// Keeps memory bounded; called between records.
    pub(super) fn trim(&mut self) -> Result<(), Error> {
        if CACHE_BYTES < self.weight { self.forget() } else { Ok(()) }
    }

    /// Writes changed pages back and holds none any more.
    pub(super) fn forget(&mut self) -> Result<(), Error> {
        self.flush()?;
        self.cached.clear();
        self.weight = 0;
        Ok(())
    }

    /// Forgets pages behind a new, smaller end.
    pub(super) fn cut(&mut self, last_page: u32) {
        self.cached.retain(|number, _| *number <= last_page);
    }
}
