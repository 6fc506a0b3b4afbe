//! Pages under replay: loaded once, changed in memory, written back with fresh checksums.

use std::collections::HashMap;

use crate::checksum::is_zero;
use crate::database::checked_page;
use crate::error::Error;
use crate::image::PageImage;
use crate::page::Page;
use crate::pager::PagerMut;
use crate::pagesize::PageSize;

/// Memory for changed pages; beyond it everything is written back.
const CACHE_BYTES: usize = 32 << 20;

/// What lies in a page slot.
#[derive(Clone, Debug)]
pub(super) enum Slot {
    Present(PageImage),
    /// Never written, or behind the end of the file.
    Blank,
    /// Wrong checksum or structure: no matter for a record that makes the page anew.
    Unreadable,
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
}

impl<T: PagerMut> Pages<T> {
    pub(super) fn new(target: T, size: PageSize) -> Self {
        Self { target, size, cached: HashMap::new() }
    }

    /// What lies in a slot now.
    pub(super) fn slot(&mut self, number: u32) -> Result<&Slot, Error> {
        if !self.cached.contains_key(&number) {
            let slot = self.load(number)?;
            self.cached.insert(number, Cached { slot, changed: false });
        }
        // Inserted just now if it was not there.
        Ok(self.cached.get(&number).map_or(&Slot::Blank, |cached| &cached.slot))
    }

    fn load(&self, number: u32) -> Result<Slot, Error> {
        let offset = self.size.offset_of(number);
        if self.target.size() < offset + self.size.bytes64() {
            return Ok(Slot::Blank);
        }
        let mut bytes = vec![0; self.size.bytes()];
        self.target.read_at(offset, &mut bytes)?;
        if is_zero(&bytes) {
            return Ok(Slot::Blank);
        }
        let image = checked_page(number, bytes)
            .and_then(|(bytes, _)| Page::parse(number, bytes))
            .and_then(|page| PageImage::from_page(&page));
        match image {
            Ok(image) => Ok(Slot::Present(image)),
            Err(error @ Error::Io(_)) => Err(error),
            Err(_) => Ok(Slot::Unreadable),
        }
    }

    /// A page to change, which must be readable.
    pub(super) fn change(&mut self, number: u32) -> Result<&mut PageImage, Error> {
        self.slot(number)?;
        match self.cached.get_mut(&number) {
            Some(Cached { slot: Slot::Present(image), changed }) => {
                *changed = true;
                Ok(image)
            }
            _ => Err(Error::PageDamaged {
                page: number,
                problem: "a log record needs it, but it is not readable",
            }),
        }
    }

    /// Puts a whole page in place of what was there.
    pub(super) fn put(&mut self, image: PageImage) {
        self.cached.insert(image.number, Cached { slot: Slot::Present(image), changed: true });
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
        // A page taken apart needs about twice its size.
        if CACHE_BYTES / (2 * self.size.bytes()) < self.cached.len() {
            self.flush()?;
            self.cached.clear();
        }
        Ok(())
    }

    /// Forgets pages behind a new, smaller end.
    pub(super) fn cut(&mut self, last_page: u32) {
        self.cached.retain(|number, _| *number <= last_page);
    }
}
