//! Every page of a database file, judged, and every tree of it walked (ese.md 13, points 1 to 3).

use std::collections::{BTreeMap, HashSet};

use certadm_files::AlignedBuffer;
use certadm_rules::finding::{self, Finding, Kind, Severity, Spot};

use crate::backup::{CUT_SHORT, without_patch_page};
use crate::bytes::index;
use crate::catalog::Catalog;
use crate::checksum::{PageCheck, check_page};
use crate::code::Code;
use crate::database::Database;
use crate::error::Error;
use crate::header::{Copies, DatabaseHeader, State};
use crate::page::Page;
use crate::page_findings::PageFindings;
use crate::pager::Pager;
use crate::space::{PageSet, SpaceMap};
use crate::walk::{self, Facts, Sight, Summary};

/// Bytes read at a time.
const STRIDE: usize = 1 << 20;

/// How the pages of a file were judged. Every page slot is counted once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PageCounts {
    /// In use, checksum right.
    pub valid: u32,
    /// All zero: never written.
    pub zero: u32,
    /// Not in use by any tree, checksum right.
    pub free: u32,
    /// Not in use by any tree, content arbitrary: no damage.
    pub free_garbage: u32,
    /// Behind the last page the database owns, the patch page included: no damage.
    pub beyond: u32,
    /// In use, one flipped bit in a block, whole after correction.
    pub correctable: u32,
    /// In use and damaged or misplaced.
    pub damaged: u32,
}

impl PageCounts {
    /// All page slots looked at.
    pub fn total(&self) -> u32 {
        self.valid + self.zero + self.free + self.free_garbage + self.beyond + self.correctable + self.damaged
    }
}

/// The result of a verification.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// What was found, in the order it was found.
    pub findings: Vec<Finding>,
    /// How the pages were judged.
    pub pages: PageCounts,
    /// Last page that the database owns.
    pub last_owned: u32,
    /// What the trees of the database came to; `None` where they do not fit together before logs are replayed.
    pub trees: Option<Summary>,
}

impl Report {
    /// The worst finding; `None` when there is none.
    pub fn severity(&self) -> Option<Severity> {
        finding::worst(&self.findings)
    }

    /// True when nothing is lost or missing.
    pub fn is_sound(&self) -> bool {
        self.severity() < Some(Severity::Error)
    }
}

/// How far a verification has come, for a progress bar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Pages judged.
    pub done: u32,
    /// Pages to judge.
    pub total: u32,
}

impl<P: Pager> Database<P> {
    /// Judges what the header says of the file: its two copies, its state, and what the engine noted in it.
    pub fn judge_header(&self) -> Vec<Finding> {
        let copies = match self.header_copies() {
            Copies::Equal => None,
            Copies::Differ => Some("the two copies of the header differ; the first one was used"),
            Copies::ShadowDamaged => Some("the second copy of the header is damaged"),
            Copies::PrimaryDamaged => {
                Some("the first copy of the header is damaged; the second one was used")
            }
        };
        let copies = copies.map(|text| {
            Finding::warning(Kind::HeaderCopies, text)
                .code(Code::PAGE_CHECKSUM)
                .remedy("recover to a new file, which writes both copies again")
        });
        let header = self.header();
        let judged = [copies, judge_state(header), judge_history(header)];
        judged.into_iter().flatten().collect()
    }

    /// Judges the header and every page of the file, and walks the trees of a clean database ([`walk`]). `progress` is
    /// called about once a MiB. Where it is not clean, a catalog and space trees that do not fit are notes:
    /// [`Database::verify_trees`] judges them after the replay.
    ///
    /// Whether the state fits the logs is not judged here; a dirty database is a finding (-550, HRESULT 0xC8000226)
    /// unless it is a backup copy, which always is. A damaged page in use is an error, also where logs that are still to be replayed may
    /// make it anew or give it up: [`Database::verify_trees`] knows afterwards.
    ///
    /// # Errors
    /// [`Error::Io`] only: what the file contains becomes findings.
    pub fn verify(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report, Error> {
        let mut verifier = Verifier::new(self);
        let (catalog, space) = verifier.begin()?;
        let trees = catalog.filter(|_| self.header().state() == State::CleanShutdown);
        let reached = match trees {
            Some(catalog) => Some(verifier.trees(&catalog, space.as_ref(), progress)?),
            None => None,
        };
        verifier.pages(space.as_ref(), reached.as_ref(), progress)?;
        Ok(verifier.report)
    }

    /// The same without its trees: each page by itself.
    ///
    /// # Errors
    /// As [`Database::verify`].
    pub fn verify_pages(&self, progress: &mut dyn FnMut(Progress)) -> Result<Report, Error> {
        let mut verifier = Verifier::new(self);
        let (_, space) = verifier.begin()?;
        verifier.pages(space.as_ref(), None, progress)?;
        Ok(verifier.report)
    }

    /// Walks the trees as [`Database::verify`] does, for a database whose logs were replayed, and judges every page in use: those
    /// that the trees refer to, and those that are neither of a tree nor free. It finds damage where [`Database::verify`] does, and
    /// does not repeat what loses nothing.
    ///
    /// # Errors
    /// [`Error::Io`] only.
    pub fn verify_trees(&self) -> Result<Vec<Finding>, Error> {
        let mut verifier = Verifier { is_settled: true, ..Verifier::new(self) };
        let (catalog, space) = verifier.space()?;
        let (mut findings, mut pages, mut reached) = (Vec::new(), PageFindings::default(), None);
        if let Some(catalog) = catalog {
            let mut judge = |_: u32, sight: &Sight| walk::unusable(sight);
            match walk::walk(self, &catalog, space.as_ref(), &mut judge) {
                Ok((outcome, of_trees)) => {
                    findings.extend(outcome.findings().into_iter().filter_map(|finding| pages.add(finding)));
                    findings.extend(pages.into_findings());
                    reached = Some(of_trees);
                }
                Err(error @ Error::Io(_)) => return Err(error),
                Err(error) => findings.push(unlisted(&error)),
            }
        }
        verifier.pages(space.as_ref(), reached.as_ref(), &mut |_| {})?;
        let of_others = verifier.report.findings.into_iter();
        findings.extend(of_others.filter(|finding| finding.severity == Severity::Error));
        Ok(findings)
    }
}

/// Judges what the state says of the file; nothing where it is clean.
pub(crate) fn judge_state(header: &DatabaseHeader) -> Option<Finding> {
    let is_copy = header.current_full_backup().is_set();
    let finding = match header.state() {
        State::CleanShutdown => return None,
        State::DirtyShutdown | State::DirtyAndPatched if !is_copy && header.required_low() == 0 => {
            needs_unnamed_logs()
        }
        State::DirtyShutdown | State::DirtyAndPatched => {
            let (low, high) = (header.required_low(), header.required_high().max(header.committed_high()));
            let needs = format!("needs log generations {low:#x} to {high:#x}");
            if is_copy {
                Finding::note(Kind::DirtyShutdown, format!("a backup copy: as every one does, it {needs}"))
            } else {
                Finding::error(
                    Kind::DirtyShutdown,
                    Code::DIRTY_SHUTDOWN,
                    format!("not closed cleanly: it {needs}"),
                )
                .remedy("recover it together with these logs")
            }
        }
        state => Finding::error(
            Kind::UnusualState,
            Code::DIRTY_SHUTDOWN,
            format!("the header's state is: {state}"),
        )
        .remedy("let the engine on Windows finish what it was doing, or take a backup"),
    };
    Some(finding)
}

/// A database that was not closed, and of which nothing says which logs it needs.
pub(crate) fn needs_unnamed_logs() -> Finding {
    let text = "not closed cleanly, and its header does not say which logs it needs";
    Finding::error(Kind::DirtyShutdown, Code::DIRTY_SHUTDOWN, text)
        .remedy("take a backup, or let the engine on Windows close it")
}

fn judge_history(header: &DatabaseHeader) -> Option<Finding> {
    let [fixed, unfixable, bad] = header.checksum_counters();
    let repairs = header.repair_count();
    (fixed | unfixable | bad | repairs != 0).then(|| {
        let text = format!(
            "the engine noted {fixed} corrected bits, {unfixable} failed corrections, {bad} bad checksums and \
             {repairs} repairs"
        );
        Finding::warning(Kind::EngineHistory, text)
            .remedy("check the disk of the CA; after a repair, prefer an older backup")
    })
}

struct Verifier<'d, P> {
    database: &'d Database<P>,
    /// Object identifiers that the catalog knows; `None` when it cannot be read.
    objects: Option<HashSet<u32>>,
    /// The slot of the patch page, which is no page of the database whatever its space trees say.
    patch: Option<u32>,
    /// No logs are still to be replayed: what does not fit together now never will.
    is_settled: bool,
    /// Which pages are free is known only after a replay.
    is_space_open: bool,
    page_findings: PageFindings,
    /// Pages that hold nodes although no tree refers to them, by object: the first, and how many.
    unreached: BTreeMap<u32, (u32, u32)>,
    report: Report,
}

impl<'d, P: Pager> Verifier<'d, P> {
    fn new(database: &'d Database<P>) -> Self {
        Self {
            database,
            objects: None,
            patch: None,
            is_settled: database.header().state() == State::CleanShutdown,
            is_space_open: false,
            page_findings: PageFindings::default(),
            unreached: BTreeMap::new(),
            report: Report {
                findings: Vec::new(),
                pages: PageCounts::default(),
                last_owned: database.page_slots(),
                trees: None,
            },
        }
    }

    /// What is judged before the pages.
    fn begin(&mut self) -> Result<(Option<Catalog>, Option<SpaceMap>), Error> {
        self.report.findings = self.database.judge_header();
        let found = self.space()?;
        self.file_size();
        self.patch_page()?;
        Ok(found)
    }

    fn add(&mut self, finding: Finding) {
        self.report.findings.push(finding);
    }

    fn space(&mut self) -> Result<(Option<Catalog>, Option<SpaceMap>), Error> {
        let catalog = match self.database.catalog() {
            Ok(catalog) => {
                self.objects = Some(known_objects(&catalog));
                Some(catalog)
            }
            Err(error @ Error::Io(_)) => return Err(error),
            Err(error) => {
                self.add_unsettled(unlisted(&error));
                None
            }
        };
        let roots = catalog.as_ref().map(Catalog::roots).unwrap_or_default();
        let roots = roots.into_iter().map(|(root, _)| root);
        match SpaceMap::read(self.database, roots) {
            Ok(mut space) => {
                self.report.last_owned = space.last_owned;
                for (root, error) in core::mem::take(&mut space.unreadable) {
                    // The page itself is reported when its turn comes.
                    if error.code() == Code::PAGE_CHECKSUM {
                        continue;
                    }
                    let finding = error.to_finding(Kind::Space, Some(Spot::Page(root)));
                    self.add_unsettled(finding.remedy("free pages of this tree count as in use"));
                }
                Ok((catalog, Some(space)))
            }
            Err(error @ Error::Io(_)) => Err(error),
            Err(error) => {
                let finding = error.to_finding(Kind::Space, None);
                self.add_unsettled(
                    finding.remedy("which pages are free is not known: every page counts as in use"),
                );
                Ok((catalog, None))
            }
        }
    }

    fn file_size(&mut self) {
        let size = self.database.file().size();
        let page = self.database.page_size().bytes64();
        if !size.is_multiple_of(page) {
            let text = format!("the size of {size} bytes is no multiple of the page size of {page}");
            self.add(Finding::error(Kind::FileSize, Code::BAD_BACKUP_SIZE, text).remedy(CUT_SHORT));
        }
    }

    fn patch_page(&mut self) -> Result<(), Error> {
        let header = self.database.header();
        let current = header.current_full_backup();
        let patch = self.database.patch_page()?;
        let slots = self.database.page_slots();
        self.patch = patch.is_some().then_some(slots);
        let last = Spot::Page(slots);
        let finding = match patch {
            Some(patch) => match patch.check_against(header) {
                Ok(()) => {
                    let text = format!(
                        "a complete backup copy: needs log generations {:#x} to {:#x}",
                        patch.backup.low, patch.backup.high
                    );
                    Finding::note(Kind::PatchPage, text).at(last)
                }
                Err(error) => error
                    .to_finding(Kind::PatchPage, Some(last))
                    .remedy("take the database and its logs from one backup"),
            },
            None if current.is_set() && current.high == 0 => {
                let text = "the header is that of a backup copy, but the patch page at the end is missing";
                let is_damaged = self.database.has_damaged_patch_page(self.report.last_owned)?;
                without_patch_page(is_damaged, text)
            }
            None => return Ok(()),
        };
        self.add(finding);
        Ok(())
    }

    /// Walks every tree and judges the pages that they refer to.
    fn trees(
        &mut self,
        catalog: &Catalog,
        space: Option<&SpaceMap>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PageSet, Error> {
        let database = self.database;
        let total = database.page_slots();
        let often = pages_of_stride(database);
        let mut judge = |number: u32, sight: &Sight| {
            self.judge(number, sight);
            let done = self.report.pages.total();
            if done.is_multiple_of(often) {
                progress(Progress { done, total });
            }
            // What is wrong has become a finding.
            None
        };
        let (outcome, reached) = walk::walk(database, catalog, space, &mut judge)?;
        for finding in outcome.findings() {
            self.add_page(finding);
        }
        self.report.trees = Some(outcome.summary);
        Ok(reached)
    }

    /// Judges all pages, or those that no tree refers to.
    fn pages(
        &mut self,
        space: Option<&SpaceMap>,
        reached: Option<&PageSet>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        let size = self.database.page_size();
        let total = self.database.page_slots();
        let mut buffer = AlignedBuffer::new(STRIDE);
        let mut number = 1u32;
        let is_reached = |page| reached.is_some_and(|reached| reached.contains(page));
        let (mut lost, mut memory) = (0, Vec::new());
        while number <= total {
            if is_reached(number) {
                number = number.saturating_add(1);
                continue;
            }
            let longest = pages_of_stride(self.database).min(total - number + 1);
            let take = (1..longest).find(|more| is_reached(number + more)).unwrap_or(longest);
            let bytes = &mut buffer[..index(take) * size.bytes()];
            self.database.file().read_at(size.offset_of(number), bytes)?;
            for page in bytes.chunks_exact(size.bytes()) {
                let free = space.is_some_and(|space| space.free.contains(number));
                if self.report.last_owned < number || self.patch == Some(number) {
                    self.report.pages.beyond += 1;
                } else if free {
                    self.free_page(number, page);
                } else {
                    let (sight, page) = Sight::of(number, page, &mut memory);
                    memory = page.map(Page::into_bytes).unwrap_or_default();
                    self.judge(number, &sight);
                    if reached.is_some() {
                        lost += 1;
                        self.not_reached(number, &sight);
                    }
                }
                number = number.saturating_add(1);
            }
            progress(Progress { done: self.report.pages.total(), total });
        }
        self.lost_space(lost);
        if total < self.report.last_owned {
            let owned = self.report.last_owned;
            let text = format!("the database owns {owned} pages but the file ends after {total}");
            // A database that grew while it was copied has the new pages in its logs. A copy that was cut short lacks its patch page.
            self.add(match self.database.header().state() {
                State::CleanShutdown => {
                    Finding::error(Kind::FileSize, Code::BAD_BACKUP_SIZE, text).remedy(CUT_SHORT)
                }
                _ => Finding::warning(Kind::FileSize, text)
                    .remedy("its logs have the rest, if it grew while it was copied; else take it again"),
            });
        }
        let findings = core::mem::take(&mut self.page_findings).into_findings();
        self.report.findings.extend(findings);
        Ok(())
    }

    /// Adds what is wrong with the catalog or with space trees. Where logs are still to be replayed, their pages are of
    /// different ages, and [`Database::verify_trees`] judges them afterwards.
    fn add_unsettled(&mut self, finding: Finding) {
        if self.is_settled {
            self.add_page(finding);
        } else {
            self.is_space_open = true;
            let note = Finding::note(finding.kind, format!("before the replay: {}", finding.detail));
            self.add_page(finding.place.spot.into_iter().fold(note, Finding::at));
        }
    }

    /// Adds a damaged page. Where nobody knows whether it is in use, it is no more than a warning: the walk after the replay
    /// reads every page in use.
    fn add_damaged(&mut self, mut finding: Finding) {
        if self.is_space_open {
            finding.severity = Severity::Warning;
            finding.detail += "; whether it is in use is known after the replay";
        }
        self.add_page(finding);
    }

    fn add_page(&mut self, finding: Finding) {
        if let Some(elsewhere) = self.page_findings.add(finding) {
            self.add(elsewhere);
        }
    }

    /// A page in use, to which nothing refers.
    fn not_reached(&mut self, number: u32, sight: &Sight) {
        let Some(page) = sight.usable() else { return };
        let known = self.objects.as_ref().is_some_and(|objects| objects.contains(&page.object));
        if known && page.holds_nodes {
            self.unreached.entry(page.object).or_insert((number, 0)).1 += 1;
        }
    }

    /// Tells of pages that are neither in use nor free.
    fn lost_space(&mut self, pages: u32) {
        if pages != 0 {
            let text = format!("{pages} pages are neither used by a tree nor free");
            self.add_page(Finding::note(Kind::Tree, text));
        }
        for (object, (first, pages)) in core::mem::take(&mut self.unreached) {
            let text =
                format!("the first of {pages} pages of object {object} with nodes that no tree refers to");
            self.add_page(
                Finding::warning(Kind::Tree, text)
                    .at(Spot::Page(first))
                    .remedy("usually this is only lost space; if rows are missing as well, a write was lost"),
            );
        }
    }

    fn free_page(&mut self, number: u32, bytes: &[u8]) {
        let pages = &mut self.report.pages;
        match check_page(bytes, number) {
            PageCheck::Zero => pages.zero += 1,
            PageCheck::Valid => pages.free += 1,
            _ => pages.free_garbage += 1,
        }
    }

    /// Counts a page in use, and makes findings of what is wrong with it.
    fn judge(&mut self, number: u32, sight: &Sight) {
        let pages = &mut self.report.pages;
        match &sight.check {
            PageCheck::Zero => pages.zero += 1,
            PageCheck::Valid => pages.valid += 1,
            PageCheck::Correctable(bits) => {
                pages.correctable += 1;
                self.flipped(number, bits);
            }
            PageCheck::Misplaced { belongs_to } if *belongs_to <= self.database.page_slots() => {
                pages.damaged += 1;
                let text = format!("holds what belongs to page {belongs_to}");
                self.add_damaged(
                    Finding::error(Kind::MisplacedPage, Code::PAGE_CHECKSUM, text)
                        .at(Spot::Page(number))
                        .remedy("a write went to the wrong place: check the disk, take another backup"),
                );
            }
            PageCheck::Misplaced { .. } | PageCheck::Damaged => {
                pages.damaged += 1;
                self.add_damaged(
                    Finding::error(Kind::PageChecksum, Code::PAGE_CHECKSUM, "the checksum is wrong")
                        .at(Spot::Page(number))
                        .remedy("check the disk, take another backup"),
                );
            }
        }
        if let Some(page) = &sight.facts {
            self.structure(number, page);
        }
    }

    fn flipped(&mut self, number: u32, bits: &[u32]) {
        for bit in bits {
            let text = format!("bit {} of byte {} is flipped", bit % 8, bit / 8);
            self.add_page(
                Finding::warning(Kind::FlippedBit, text)
                    .code(Code::PAGE_CHECKSUM)
                    .at(Spot::Page(number))
                    .remedy("reading corrects it; check the disk, recover to a new file"),
            );
        }
    }

    /// A page whose checksum is right must also make sense.
    fn structure(&mut self, number: u32, page: &Result<Facts, Error>) {
        match page {
            Err(error) => {
                let finding = error.to_finding(Kind::PageStructure, Some(Spot::Page(number)));
                self.add_page(
                    finding
                        .remedy("the engine itself wrote it so: list what can be read, take another backup"),
                );
            }
            Ok(page) => {
                let known = self.objects.as_ref().is_none_or(|objects| objects.contains(&page.object));
                if !known {
                    let text = format!("belongs to object {}, which the catalog does not know", page.object);
                    self.add_page(
                        Finding::warning(Kind::UnknownObject, text)
                            .at(Spot::Page(number))
                            .remedy("left over from a deleted table as a rule; harmless"),
                    );
                }
            }
        }
    }
}

/// Pages read at a time.
fn pages_of_stride<P: Pager>(database: &Database<P>) -> u32 {
    u32::try_from(STRIDE / database.page_size().bytes()).unwrap_or(1)
}

fn unlisted(error: &Error) -> Finding {
    let mut finding = error.to_finding(Kind::Catalog, None);
    finding.detail = format!("the catalog cannot be read: {}", finding.detail);
    finding.remedy("tables cannot be listed: take another backup")
}

/// Objects 1 to 5 are fixed (ese.md 3.4). Long-value trees carry an object identifier that only their page knows.
fn known_objects(catalog: &Catalog) -> HashSet<u32> {
    let mut objects: HashSet<u32> = (1..=5).collect();
    for table in catalog.tables() {
        objects.insert(table.object_id);
        objects.extend(table.indexes.iter().map(|index| index.object_id));
        objects.extend(table.long_values_object);
    }
    objects
}
