//! Every tree of real databases, and what pages that were never written, older pages and broken links do to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, RwLock};

use certadm_ese::checksum::checksum_page;
use certadm_ese::header::DatabaseHeader;
use certadm_ese::log::LogFile;
use certadm_ese::page::{Page, flag};
use certadm_ese::pager::{Pager, PagerMut};
use certadm_ese::redo::Replayer;
use certadm_ese::space::SpaceMap;
use certadm_ese::walk::{Fault, Problem, TreeKind};
use certadm_ese::{Code, Database};
use certadm_rules::finding::Severity;

const PAGE: usize = 4096;

fn ca_database() -> Vec<u8> {
    crate::common::fixture("certlog/CertLog.edb").unwrap()
}

fn faults(bytes: &[u8]) -> Vec<Fault> {
    Database::open(bytes).unwrap().walk().unwrap().faults
}

fn offset(page: u32, size: usize) -> usize {
    (page as usize + 1) * size
}

/// Pages that trees refer to: those that verification counts as in use.
fn pages_in_use(bytes: &[u8]) -> Vec<u32> {
    let database = Database::open(bytes).unwrap();
    let walked = database.walk().unwrap();
    let all: Vec<u32> = (1..=database.page_slots()).filter(|page| database.page(*page).is_ok()).collect();
    let used: Vec<u32> = all
        .into_iter()
        .filter(|page| {
            let mut bytes = bytes.to_vec();
            let size = database.page_size().bytes();
            bytes[offset(*page, size)..offset(page + 1, size)].fill(0);
            match Database::open(bytes).unwrap().walk() {
                Ok(walked) => !walked.faults.is_empty(),
                Err(_) => true,
            }
        })
        .collect();
    assert_eq!(used.len(), walked.summary.pages as usize);
    used
}

#[test]
fn the_trees_of_every_fixture_are_sound() {
    for name in crate::common::TABLE_FIXTURES
        .into_iter()
        .chain(["winmail-v7-sec4096/WindowsMail.MSMessageStore", "indexeddb-v8-scrubbed/IndexedDB.edb"])
    {
        let Some(bytes) = crate::common::fixture(name) else {
            continue;
        };
        let outcome = Database::open(bytes).unwrap().walk().unwrap();
        println!("{name}: {:?}", outcome.summary);
        // Keys and rows of this file were overwritten, so they are in no order and no rows.
        let scrubbed = |fault: &Fault| {
            name.contains("scrubbed")
                && matches!(
                    fault.problem,
                    Problem::KeyOrder { .. } | Problem::Row { .. } | Problem::OutsideParent { .. }
                )
        };
        let faults: Vec<_> = outcome.faults.into_iter().filter(|fault| !scrubbed(fault)).collect();
        assert_eq!(faults, [], "{name}");
        assert!(5 < outcome.summary.trees && outcome.summary.pages <= 1000, "{name}");
    }
}

#[test]
fn a_catalog_that_says_something_else_than_its_copy_is_told() {
    use certadm_ese::catalog::{CATALOG_ROOT, SHADOW_ROOT};
    let original = ca_database();
    let requests =
        Database::open(original.as_slice()).unwrap().table("Requests").unwrap().definition().clone();
    let disposition = requests.column("Disposition").unwrap().id;
    let table = (requests.object_id, 1, requests.object_id);
    let column = (requests.object_id, 2, disposition);
    // The root of a table in the copy, the type of a column in the copy, and in the catalog.
    let kind =
        |bytes: &[u8]| -> Vec<Problem> { faults(bytes).into_iter().map(|fault| fault.problem).collect() };
    for (root, row, number) in
        [(SHADOW_ROOT, table, 49), (SHADOW_ROOT, column, 14), (CATALOG_ROOT, column, 14)]
    {
        let bytes = crate::common::with_catalog_row(&original, root, row, number);
        let problems = kind(&bytes);
        assert!(problems.contains(&Problem::ShadowCatalogRows), "{root} {row:?}: {problems:?}");
        let report = Database::open(bytes).unwrap().verify(&mut |_| {}).unwrap();
        let told = report.findings.iter().find(|finding| finding.detail.contains("MSysObjectsShadow"));
        assert_eq!(told.unwrap().severity, Severity::Warning);
    }
}

#[test]
fn a_page_in_use_that_was_never_written_is_damage() {
    let original = ca_database();
    let used = pages_in_use(&original);
    for page in &used {
        let mut bytes = original.clone();
        bytes[offset(*page, PAGE)..offset(page + 1, PAGE)].fill(0);
        let database = Database::open(bytes).unwrap();
        let report = database.verify(&mut |_| {}).unwrap();
        assert!(!report.is_sound(), "page {page}");
        // Without the catalog nothing says which trees there are.
        if let Ok(walked) = database.walk() {
            let told = walked.faults.iter().any(|fault| {
                (fault.page, &fault.problem) == (*page, &Problem::NeverWritten)
                    && fault.problem.code() == Code::PAGE_NOT_INITIALIZED
            });
            assert!(told, "page {page}: {:?}", walked.faults);
        }
    }
    // All pages of the CA's own tables at once.
    let mut bytes = original.clone();
    bytes[offset(31, PAGE)..offset(119, PAGE)].fill(0);
    let report = Database::open(bytes).unwrap().verify(&mut |_| {}).unwrap();
    assert!(!report.is_sound());
}

/// The page with some of its bytes changed, its checksum right.
fn changed(original: &[u8], page: u32, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let place = offset(page, PAGE)..offset(page + 1, PAGE);
    change(&mut bytes[place.clone()]);
    checksum_page(&mut bytes[place], page);
    bytes
}

/// The place of the bytes of a tag in a page of 4 KiB, and their length.
fn tag(page: &[u8], tag: usize) -> (usize, usize) {
    let at = PAGE - 4 * (tag + 1);
    let word = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]) & 0x1FFF);
    (40 + word(at + 2), word(at))
}

#[test]
fn what_does_not_fit_its_place_is_told() {
    let original = ca_database();
    let database = Database::open(original.as_slice()).unwrap();
    let certificates = database.table("Certificates").unwrap().definition().clone();
    let leaves: Vec<u32> = database.tree(certificates.root).pages().unwrap()[1..].to_vec();
    let [first, second, third] = leaves[..] else { panic!("{leaves:?}") };
    let problems =
        |bytes: &[u8]| -> Vec<Problem> { faults(bytes).into_iter().map(|fault| fault.problem).collect() };

    // Links between neighbours.
    for (page, at, value) in [(first, 20, third), (second, 16, third), (third, 20, 60)] {
        let bytes = changed(&original, page, |page| page[at..at + 4].copy_from_slice(&value.to_le_bytes()));
        assert!(matches!(problems(&bytes)[..], [Problem::Sibling { .. }]), "page {page}");
    }
    // Object, kind and level.
    let bytes = changed(&original, second, |page| page[24] = 16);
    assert_eq!(problems(&bytes), [Problem::WrongObject { found: 16, expected: 8 }]);
    for flags in [flag::ROOT, flag::LEAF, flag::INDEX, flag::LONG_VALUE, flag::NON_UNIQUE, flag::EMPTY] {
        let bytes = changed(&original, second, |page| {
            let now = u32::from_le_bytes(page[36..40].try_into().unwrap()) ^ flags;
            page[36..40].copy_from_slice(&now.to_le_bytes());
        });
        let found = problems(&bytes);
        // What stands before the nodes of a root page is no part of their keys.
        let expected = |problem: &Problem| matches!(problem, Problem::WrongKind(_) | Problem::Unreadable(_));
        assert!(found.iter().all(expected) && found.len() == 1, "{flags:#x}: {found:?}");
    }
    // The order of keys: two tags change places.
    let bytes = changed(&original, second, |page| {
        let (left, right) = (PAGE - 8, PAGE - 12);
        for byte in 0..4 {
            page.swap(left + byte, right + byte);
        }
    });
    assert!(matches!(problems(&bytes)[..], [Problem::KeyOrder { .. } | Problem::OutsideParent { .. }, ..]));
    // A separator of the page above.
    let bytes = changed(&original, certificates.root, |page| {
        let (at, _) = tag(page, 1);
        page[at + 2 + 4] = 0xFF;
    });
    assert!(problems(&bytes).iter().any(|problem| matches!(problem, Problem::OutsideParent { .. })));
    // A reference to a page twice, to a page that is not there, and back to the root.
    for (child, expected) in [(first, 0), (100_000, 1), (certificates.root, 0)] {
        let bytes = changed(&original, certificates.root, |page| {
            let (at, length) = tag(page, 2);
            page[at + length - 4..at + length].copy_from_slice(&child.to_le_bytes());
        });
        let found = problems(&bytes);
        let told = found.iter().any(|problem| match expected {
            0 => *problem == Problem::ReachedTwice,
            _ => *problem == Problem::NoSuchPage { child },
        });
        assert!(told, "{child}: {found:?}");
    }
    // The parent in the space header of an index.
    let index = certificates.indexes.iter().find(|index| !index.is_primary()).unwrap();
    let bytes = changed(&original, index.root, |page| {
        let (at, _) = tag(page, 0);
        page[at + 4] = 48;
    });
    assert_eq!(problems(&bytes), [Problem::WrongParent { found: 48, expected: certificates.root }]);
    // An extent that the table owns becomes shorter.
    let owned = {
        let root = database.page(certificates.root).unwrap();
        u32::from_le_bytes(root.external_header()[12..16].try_into().unwrap())
    };
    let owned_page = database.page(owned).unwrap();
    let extents = owned_page.node_count();
    for extent in (0..extents).filter(|extent| owned_page.node(*extent).unwrap().data != 1u32.to_le_bytes()) {
        let bytes = changed(&original, owned, |page| {
            let (at, length) = tag(page, extent + 1);
            page[at + length - 4..at + length].copy_from_slice(&1u32.to_le_bytes());
        });
        let found = problems(&bytes);
        let told = found.iter().any(|problem| matches!(problem, Problem::NotOwned | Problem::Extents));
        assert!(told, "extent {extent} of {extents}: {found:?}");
    }
}

/// A page without one of its nodes, as it was before the node was inserted.
fn without_node(page: &Page, line: usize) -> Vec<u8> {
    let mut bytes = page.bytes().to_vec();
    let tags = page.tag_count();
    let first = tags - page.node_count();
    for tag in first + line..tags - 1 {
        let (to, from) = (PAGE - 4 * (tag + 1), PAGE - 4 * (tag + 2));
        bytes.copy_within(from..from + 4, to);
    }
    let count = u16::from_le_bytes([bytes[34], bytes[35]]) - 1;
    bytes[34..36].copy_from_slice(&count.to_le_bytes());
    checksum_page(&mut bytes, page.number());
    bytes
}

#[test]
fn a_row_that_is_missing_from_any_tree_of_a_ca_is_told() {
    let original = ca_database();
    let database = Database::open(original.as_slice()).unwrap();
    let catalog = database.catalog().unwrap();
    let (mut tried, mut by_kind) = (0, BTreeMap::new());
    for table in catalog.tables() {
        // Nothing else says which objects and locales there are.
        if ["MSysObjids", "MSysLocales"].contains(&table.name.as_str()) {
            continue;
        }
        let long_values = table.long_values;
        let indexes = table.indexes.iter().map(|index| index.root);
        for root in indexes.chain([table.root]).chain(long_values).collect::<BTreeSet<_>>() {
            for number in database.tree(root).pages().unwrap() {
                let page = database.page(number).unwrap();
                if !page.has(flag::LEAF) {
                    continue;
                }
                for line in 0..page.node_count() {
                    if page.node(line).unwrap().is_deleted() {
                        continue;
                    }
                    let mut bytes = original.clone();
                    bytes[offset(number, PAGE)..offset(number + 1, PAGE)]
                        .copy_from_slice(&without_node(&page, line));
                    let found = match Database::open(bytes).unwrap().walk() {
                        Ok(walked) => walked.faults,
                        Err(_) => continue,
                    };
                    assert!(found.iter().any(|fault| fault.problem.is_damage()), "page {number} node {line}");
                    tried += 1;
                    for fault in found {
                        *by_kind.entry(format!("{:?}", fault.tree.kind)).or_insert(0) += 1;
                    }
                }
            }
        }
    }
    println!("{tried} rows and entries left out, each told: {by_kind:?}");
    assert!(600 < tried);
}

/// Bytes that a replay and a test look at together.
#[derive(Clone, Default)]
struct Shared(Arc<RwLock<Vec<u8>>>);

impl Pager for Shared {
    fn size(&self) -> u64 {
        self.0.read().unwrap().size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.0.read().unwrap().read_at(offset, buffer)
    }
}

impl PagerMut for Shared {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write().unwrap().write_at(offset, bytes)
    }

    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.0.write().unwrap().set_size(size)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a stale page lacks or has, compared with the page as it should be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Change {
    /// Nothing that a reader sees.
    Nothing,
    /// Other rows or entries.
    Rows,
    /// The same keys with other data.
    Values,
    /// Which pages are used, and no row.
    Space,
    /// Rows of a table that nothing else says anything of.
    Alone,
}

fn change(old: &Page, new: &Page) -> Change {
    let visible = |page: &Page| -> Vec<(Vec<u8>, Vec<u8>)> {
        let nodes = page.nodes().filter(|node| !node.is_deleted());
        nodes.map(|node| (node.key(), node.data.to_vec())).collect()
    };
    let (old_nodes, new_nodes) = (visible(old), visible(new));
    let keys = |nodes: &[(Vec<u8>, Vec<u8>)]| nodes.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let same_place = (old.previous(), old.next(), old.flags() & !flag::FLUSH_COUNTER)
        == (new.previous(), new.next(), new.flags() & !flag::FLUSH_COUNTER);
    if new.has(flag::SPACE_TREE) {
        Change::Space
    } else if old_nodes == new_nodes && same_place && old.external_header() == new.external_header() {
        Change::Nothing
    } else if keys(&old_nodes) == keys(&new_nodes) {
        Change::Values
    } else {
        Change::Rows
    }
}

/// Puts each older version of each page, as a replay made it, into the recovered database, and walks that.
fn stale_pages(database: Option<Vec<u8>>, logs: &[Vec<u8>]) -> BTreeMap<(Change, bool), u32> {
    let page_size = LogFile::open(&logs[0]).unwrap().header().page_size;
    let size = page_size.bytes();
    let header = database.as_ref().map(|bytes| DatabaseHeader::read(bytes).unwrap().0);
    let shared = Shared(Arc::new(RwLock::new(database.unwrap_or_default())));
    let mut replayer = Replayer::new(shared.clone(), header, page_size);
    let mut versions: BTreeMap<u32, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let mut before = shared.0.read().unwrap().clone();
    for bytes in logs {
        let log = LogFile::open(bytes).unwrap();
        replayer.begin_log(log.header());
        for (count, record) in log.records().enumerate() {
            let record = record.unwrap();
            replayer.apply(record.position, &record.bytes).unwrap();
            // A replay of each record would be many times as long, and many versions as good as the same.
            if count % 8 != 0 {
                continue;
            }
            replayer.flush().unwrap();
            let now = shared.0.read().unwrap();
            for (slot, page) in now.chunks_exact(size).enumerate().skip(2) {
                let old = before.get(slot * size..(slot + 1) * size);
                if let Some(old) = old.filter(|old| *old != page && old.iter().any(|byte| *byte != 0)) {
                    versions.entry(u32::try_from(slot - 1).unwrap()).or_default().insert(old.to_vec());
                }
            }
            before.clone_from(&now);
        }
    }
    let (_, _, _) = replayer.finish().unwrap();
    let recovered = shared.0.read().unwrap().clone();
    let sound = Database::open(recovered.as_slice()).unwrap();
    assert_eq!(sound.walk().unwrap().faults, []);
    let mut found = BTreeMap::new();
    let catalog = sound.catalog().unwrap();
    let alone: Vec<u32> = catalog
        .tables()
        .iter()
        .filter(|table| table.indexes.iter().all(|index| index.is_primary()) && table.name != "MSysObjids")
        .map(|table| table.object_id)
        .collect();
    let roots = sound.catalog().unwrap().roots().into_iter().map(|(root, _)| root);
    let space = SpaceMap::read(&sound, roots).unwrap();
    // What lies on a free page says nothing.
    versions.retain(|page, _| !space.free.contains(*page));
    for (number, versions) in versions {
        let Ok(new) = sound.page(number) else { continue };
        for version in versions {
            let Ok(old) = Page::parse(number, version.clone()) else { continue };
            let mut bytes = recovered.clone();
            bytes[offset(number, size)..offset(number + 1, size)].copy_from_slice(&version);
            let stale = Database::open(bytes).unwrap();
            let told = Some(Severity::Note) <= stale.verify(&mut |_| {}).unwrap().severity();
            let mut change = change(&old, &new);
            if alone.contains(&new.object_id()) && matches!(change, Change::Rows | Change::Values) {
                change = Change::Alone;
            }
            if !told && change != Change::Nothing {
                let (before, now) = (old.node_count(), new.node_count());
                println!(
                    "page {number} of object {}: {change:?} not told, {before} nodes instead of {now}",
                    new.object_id()
                );
            }
            *found.entry((change, told)).or_insert(0) += 1;
        }
    }
    found
}

#[test]
fn an_older_page_in_a_recovered_database_is_told() {
    let mut all = BTreeMap::new();
    for (database, logs) in [
        (None, &["secedit-v8/edb.log"][..]),
        (
            Some("winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore"),
            &["winmail-v7-sec4096/Backup_new_edb00001.log", "winmail-v7-sec4096/edb.log"],
        ),
    ] {
        let logs: Option<Vec<_>> = logs.iter().map(|name| crate::common::fixture(name)).collect();
        let database = database.map(crate::common::fixture);
        let (Some(logs), Some(database)) = (logs, database.map_or(Some(None), |read| read.map(Some))) else {
            continue;
        };
        let found = stale_pages(database, &logs);
        println!("{found:?}");
        for (key, count) in found {
            *all.entry(key).or_insert(0) += count;
        }
    }
    println!("{all:?}");
    assert_eq!(all.get(&(Change::Rows, false)), None, "{all:?}");
}

#[test]
fn trees_are_named() {
    let bytes = changed(&ca_database(), 32, |page| page[24] = 99);
    let [fault] = &faults(&bytes)[..] else { panic!() };
    assert_eq!(fault.tree.kind, TreeKind::Index);
    assert_eq!(
        fault.to_string(),
        "index $CertificateHashIndex of table Certificates refers to it, but it belongs to object 99 instead of 9"
    );
}
