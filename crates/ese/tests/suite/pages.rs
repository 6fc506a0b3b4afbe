//! Every page of every fixture, and what flips, cuts and swaps do to the findings.

use certadm_ese::checkpoint::{Checkpoint, check_flush_map};
use certadm_ese::checksum::{PageCheck, check_page, checksum_page, flip};
use certadm_ese::finding::{Kind, Severity, Spot};
use certadm_ese::header::{Copies, State};
use certadm_ese::recovery::Plan;
use certadm_ese::space::SpaceMap;
use certadm_ese::verify::Report;
use certadm_ese::{Code, Database};

const PAGE: usize = 4096;

fn verify(bytes: Vec<u8>) -> Report {
    Database::open(bytes).unwrap().verify(&mut |_| {}).unwrap()
}

fn ca_database() -> Vec<u8> {
    crate::common::fixture("certlog/CertLog.edb").unwrap()
}

/// The one finding of a report.
fn only(report: &Report) -> (Kind, Severity, Option<Code>, Option<Spot>) {
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    let finding = &report.findings[0];
    (finding.kind, finding.severity, Code::from_hresult(finding.code), finding.place.spot)
}

#[test]
fn every_page_of_every_fixture_is_judged_right() {
    // In use, zero, free, free with garbage, beyond the last owned page.
    let expected = [
        ("certlog/CertLog.edb", [91, 31, 1, 131, 0]),
        ("generic/basic.edb", [23, 231, 0, 0, 0]),
        ("generic/binary.edb", [25, 229, 0, 0, 0]),
        ("generic/default.edb", [23, 231, 0, 0, 0]),
        ("generic/text.edb", [32, 222, 0, 0, 0]),
        ("generic/SRUDB.dat", [79, 63, 0, 0, 16]),
        ("generic/large.edb", [381, 129, 0, 0, 256]),
        ("winmail-v7-sec4096/WindowsMail.MSMessageStore", [28, 228, 0, 0, 0]),
        ("winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore", [19, 237, 0, 0, 1]),
        ("indexeddb-v8-scrubbed/IndexedDB.edb", [47, 31, 0, 0, 16]),
    ];
    for (name, counts) in expected {
        let Some(bytes) = crate::common::fixture(name) else {
            continue;
        };
        let database = Database::open(bytes).unwrap();
        let report = database.verify_pages(&mut |_| {}).unwrap();
        let pages = report.pages;
        let found = [pages.valid, pages.zero, pages.free, pages.free_garbage, pages.beyond];
        assert_eq!(found, counts, "{name}");
        assert_eq!(pages.total(), database.page_slots(), "{name}");
        assert!(report.is_sound(), "{name}: {:?}", report.findings);
        assert_eq!(database.header_copies(), Copies::Equal, "{name}");
        // The keys of one file were overwritten: its pages are whole, its trees are not (walk.rs).
        if !name.contains("scrubbed") {
            let with_trees = database.verify(&mut |_| {}).unwrap();
            assert_eq!((with_trees.pages, with_trees.findings), (pages, report.findings), "{name}");
        }
    }
}

#[test]
fn the_header_of_a_real_ca_says_who_wrote_it() {
    let database = Database::open(ca_database()).unwrap();
    let header = database.header();
    assert_eq!(header.state(), State::CleanShutdown);
    assert_eq!(header.windows_version(), [10, 0, 17_763, 0]);
    assert_eq!(header.format_version(), [0x620, 20, 0]);
    assert_eq!(header.page_size().bytes(), PAGE);
}

#[test]
fn random_flips_in_pages_in_use_are_each_named() {
    let original = ca_database();
    let mut random = crate::common::Random::new(7);
    let database = Database::open(original.clone()).unwrap();
    let roots = database.catalog().unwrap().roots();
    let space = SpaceMap::read(&database, roots.into_iter().map(|(root, _)| root)).unwrap();
    let in_use: Vec<u32> = (1..=space.last_owned)
        .filter(|page| !space.free.contains(*page) && database.page(*page).is_ok())
        .collect();
    assert_eq!(in_use.len(), 91);
    for _ in 0..30 {
        let page = in_use[usize::try_from(random.below(in_use.len() as u64)).unwrap()];
        let bit = u32::try_from(64 + random.below(PAGE as u64 * 8 - 64)).unwrap();
        if bit == 9 * 32 + 13 {
            continue;
        }
        let mut bytes = original.clone();
        let start = (page as usize + 1) * PAGE;
        flip(&mut bytes[start..start + PAGE], bit);
        let report = verify(bytes);
        // The catalog and the space trees are read with the flip corrected.
        let (kind, severity, code, place) = only(&report);
        assert_eq!(kind, Kind::FlippedBit, "page {page} bit {bit}");
        assert_eq!(severity, Severity::Warning);
        assert_eq!(code, Some(Code::PAGE_CHECKSUM));
        assert_eq!(place, Some(Spot::Page(page)));
        let expected = format!("bit {} of byte {} is flipped", bit % 8, bit / 8);
        assert_eq!(report.findings[0].detail, expected);
        assert!(report.is_sound());
    }
}

#[test]
fn flips_in_every_page_of_every_file_are_named() {
    /// Flips of each page, at random places.
    const FLIPS: usize = 60;
    /// "New checksum": a page without it has no correction to check.
    const FLAG_BIT: u32 = 9 * 32 + 13;
    let mut random = crate::common::Random::new(23);
    let mut flips = 0;
    for name in crate::common::TABLE_FIXTURES.into_iter().chain([
        "winmail-v7-sec4096/WindowsMail.MSMessageStore",
        "winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore",
        "indexeddb-v8-scrubbed/IndexedDB.edb",
    ]) {
        let Some(bytes) = crate::common::fixture(name) else {
            continue;
        };
        let database = Database::open(bytes).unwrap();
        for number in 1..=database.page_slots() {
            let mut page = database.raw_page(number).unwrap();
            let has_correction = page[FLAG_BIT as usize / 8] & 1 << (FLAG_BIT % 8) != 0;
            if check_page(&page, number) != PageCheck::Valid || !has_correction {
                continue;
            }
            for _ in 0..FLIPS {
                let bit = u32::try_from(random.below(page.len() as u64 * 8)).unwrap();
                if bit == FLAG_BIT {
                    continue;
                }
                flip(&mut page, bit);
                match check_page(&page, number) {
                    PageCheck::Correctable(bits) => assert_eq!(bits, [bit], "{name} page {number}"),
                    // A flip of the stored XOR part reads as the number of another page.
                    PageCheck::Misplaced { belongs_to } if bit < 32 => {
                        assert_eq!(belongs_to, number ^ 1 << bit, "{name} page {number}");
                    }
                    other => panic!("{name} page {number} bit {bit}: {other:?}"),
                }
                flip(&mut page, bit);
                flips += 1;
            }
        }
    }
    println!("{flips} flips named");
    assert!(100 * FLIPS < flips);
}

#[test]
fn damage_to_pages_is_told_apart() {
    let original = ca_database();
    let start = |page: usize| (page + 1) * PAGE;

    let mut bytes = original.clone();
    bytes[start(60) + 1000..start(60) + 1100].fill(0xEE);
    let found = only(&verify(bytes));
    assert_eq!(found, (Kind::PageChecksum, Severity::Error, Some(Code::PAGE_CHECKSUM), Some(Spot::Page(60))));

    let mut bytes = original.clone();
    let copy = bytes[start(60)..start(61)].to_vec();
    bytes[start(62)..start(63)].copy_from_slice(&copy);
    let report = verify(bytes);
    assert_eq!(only(&report).0, Kind::MisplacedPage);
    assert!(report.findings[0].detail.contains("page 60"));

    // A page whose checksum is right but whose tags point outside.
    let mut bytes = original.clone();
    bytes[start(60) + PAGE - 4..start(60) + PAGE].copy_from_slice(&[0xFF, 0x1F, 0xFF, 0x1F]);
    checksum_page(&mut bytes[start(60)..start(61)], 60);
    assert_eq!(verify(bytes).findings.last().unwrap().kind, Kind::PageStructure);

    // Garbage on a free page is no damage.
    let mut bytes = original.clone();
    bytes[start(200)..start(201)].fill(0x77);
    assert!(verify(bytes).findings.is_empty());
}

#[test]
fn damage_to_the_file_as_a_whole_is_told_apart() {
    let original = ca_database();

    let mut bytes = original.clone();
    bytes[100] ^= 1;
    let database = Database::open(bytes).unwrap();
    assert_eq!(database.header_copies(), Copies::PrimaryDamaged);
    assert_eq!(only(&database.verify(&mut |_| {}).unwrap()).0, Kind::HeaderCopies);

    let mut bytes = original.clone();
    bytes[PAGE + 100] ^= 1;
    let database = Database::open(bytes).unwrap();
    assert_eq!(database.header_copies(), Copies::ShadowDamaged);

    let mut bytes = original.clone();
    bytes[100] ^= 1;
    bytes[PAGE + 100] ^= 1;
    let error = Database::open(bytes).err().unwrap();
    assert_eq!(error.code(), Code::DATABASE_CORRUPTED);

    let mut bytes = original.clone();
    bytes.truncate(bytes.len() - 10);
    let report = verify(bytes);
    assert!(report.findings.iter().all(|finding| finding.kind == Kind::FileSize), "{:?}", report.findings);
    assert!(!report.is_sound());

    let mut bytes = original.clone();
    bytes.truncate(40 * PAGE);
    assert!(!verify(bytes).is_sound());

    for length in [0, 1, 667, 4095] {
        assert!(Database::open(original[..length].to_vec()).is_err(), "{length}");
    }
}

#[test]
fn a_backup_copy_without_its_patch_page_is_noticed() {
    let Some(bytes) = crate::common::fixture("winmail-v7-sec4096/Backup_new_WindowsMail.MSMessageStore")
    else {
        return;
    };
    let database = Database::open(bytes.clone()).unwrap();
    let patch = database.patch_page().unwrap().unwrap();
    assert_eq!((patch.backup.low, patch.backup.high), (1, 1));
    patch.check_against(database.header()).unwrap();

    let mut cut = bytes.clone();
    cut.truncate(bytes.len() - 8192);
    let report = verify(cut);
    let codes: Vec<_> =
        report.findings.iter().filter_map(|finding| Code::from_hresult(finding.code)).collect();
    assert_eq!(codes, [Code::NOT_A_BACKUP]);

    // Every byte is there, and some of them changed.
    let mut damaged = bytes.clone();
    damaged[bytes.len() - 100] ^= 0x55;
    let report = verify(damaged.clone());
    let told = report.findings.iter().find(|finding| finding.severity == Severity::Error).unwrap();
    assert_eq!(Code::from_hresult(told.code), Some(Code::NOT_A_BACKUP));
    assert!(told.detail.contains("its checksum is wrong"), "{told}");
    assert!(told.remedy.as_deref().unwrap().contains("another copy"), "{told:?}");
    let plan = Plan::new(Some(&damaged), &[]).unwrap();
    assert!(plan.findings.iter().any(|finding| finding.detail == told.detail), "{:?}", plan.findings);

    let mut other = bytes.clone();
    let patch_start = bytes.len() - 8192;
    other[patch_start + 70] ^= 1;
    let page = &mut other[patch_start..];
    let checksum = certadm_ese::checksum::xor_checksum(page);
    page[..4].copy_from_slice(&checksum.to_le_bytes());
    let report = verify(other);
    let codes: Vec<_> =
        report.findings.iter().filter_map(|finding| Code::from_hresult(finding.code)).collect();
    assert_eq!(codes, [Code::PATCH_PAGE_MISMATCH]);
}

#[test]
fn checkpoints_and_flush_maps() {
    for name in [
        "winmail-v7-sec4096/edb.chk",
        "indexeddb-v8-scrubbed/edb.chk",
        "secedit-v8/edb.chk",
        "secedit-v8-small/edb.chk",
    ] {
        let Some(bytes) = crate::common::fixture(name) else {
            continue;
        };
        let checkpoint = Checkpoint::read(&bytes).unwrap();
        assert!(!checkpoint.from_second_copy, "{name}");
        assert!(0 < checkpoint.position.generation, "{name}");
        let mut damaged = bytes.clone();
        damaged[20] ^= 1;
        assert!(Checkpoint::read(&damaged).unwrap().from_second_copy, "{name}");
        damaged[4096 + 20] ^= 1;
        let error = Checkpoint::read(&damaged).unwrap_err();
        assert_eq!(error.code(), Code::CHECKPOINT_CORRUPT, "{name}");
    }
    if let Some(bytes) = crate::common::fixture("secedit-v8-small/secedit.jfm") {
        let check = check_flush_map(&bytes).unwrap();
        assert!(check.header_valid);
        assert_eq!((check.valid_pages + check.zero_pages, check.damaged_pages), (1, 0));
    }
}

#[test]
fn hostile_page_bytes_behind_right_checksums_end_in_findings() {
    let original = ca_database();
    let mut random = crate::common::Random::new(11);
    for _ in 0..12 {
        let mut bytes = original.clone();
        for page in [1usize, 2, 3, 4, 25, 26, 30, 31] {
            let start = (page + 1) * PAGE;
            for _ in 0..4 {
                let at = 8 + usize::try_from(random.below(PAGE as u64 - 8)).unwrap();
                bytes[start + at] = u8::try_from(random.below(256)).unwrap();
            }
            bytes[start + 37] |= 0x20;
            checksum_page(&mut bytes[start..start + PAGE], u32::try_from(page).unwrap());
        }
        let database = Database::open(bytes).unwrap();
        let _ = database.verify(&mut |_| {}).unwrap();
        let Ok(catalog) = database.catalog() else {
            continue;
        };
        for definition in catalog.tables() {
            let table = database.table(&definition.name).unwrap();
            for row in table.rows().take(300).flatten() {
                for column in &definition.columns {
                    let _ = row.value(column);
                }
            }
        }
    }
}

/// Trees of the raw file that cannot be read are judged after the replay; a clean database has none.
#[test]
fn space_that_cannot_be_read_is_damage_of_a_clean_database_alone() {
    for page in [2, 4, 26] {
        let mut bytes = ca_database();
        bytes[(page + 1) * PAGE..(page + 2) * PAGE].fill(0);
        assert!(!verify(bytes.clone()).is_sound(), "{page}");
        for copy in [0, PAGE] {
            let header = &mut bytes[copy..copy + PAGE];
            header[52..56].copy_from_slice(&2u32.to_le_bytes());
            let checksum = certadm_ese::checksum::xor_checksum(header);
            header[..4].copy_from_slice(&checksum.to_le_bytes());
        }
        let database = Database::open(bytes).unwrap();
        let findings = database.verify(&mut |_| {}).unwrap().findings;
        let grave: Vec<_> =
            findings.iter().filter(|finding| finding.severity == Severity::Error).map(|it| it.kind).collect();
        assert_eq!(grave, [Kind::DirtyShutdown], "{page}: {findings:?}");
        let after = database.verify_trees().unwrap();
        assert!(after.iter().any(|finding| finding.severity == Severity::Error), "{page}");
    }
}
