//! Every flipped bit of a set is found, and none of them leads to a wrong restore.
//!
//! What protects a file is asked directly, bit by bit: manifest, trailer page and the table of every log completely,
//! pages with one bit of every fourth byte. `CERTADM_EVERY_BIT=1` takes every bit of the pages too. Whole verifications and
//! whole restores are sampled.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::common::{Ca, INCOMPLETE, copy_dir, scratch, serials, start};
use certadm_rules::{BackupType, Diagnosis, Hresult};
use certadm_session::LocalSource;
use certadm_set::finding::Severity;
use certadm_set::manifest::Role;
use certadm_set::restore::{Options, plan};
use certadm_set::verify::verify;
use certadm_set::{Manifest, Set, Silent, TakeOptions, take};
use certadm_store::chain::{check_image, read_trailer};
use certadm_store::log_file::{HEADER_LEN, LogFile};
use certadm_store::{Folder, PAGE_SIZE};
use certadm_tests::proven::proven;

/// Whole verifications, and whole restores, over bits chosen at random.
const SAMPLES: u64 = 150;

/// A complete full set and a complete log set after it.
fn complete_sets(dir: &Path) -> [PathBuf; 2] {
    let mut ca = Ca::create(&dir.join("ca"));
    fs::write(ca.folder.crl_dir().join("ca.crl"), "a CRL").unwrap();
    let sets = ["full", "logs"].map(|name| dir.join(name));
    for (set, kind) in sets.iter().zip([BackupType::Full, BackupType::LogsOnly]) {
        ca.insert();
        let names = certadm_rules::unc::UncRoot::new("host".to_owned()).unwrap();
        let mut source = LocalSource::new(std::sync::Arc::clone(&ca.store), names);
        let options =
            TakeOptions { truncate: true, ca_folder: Some(ca.folder.clone()), ..TakeOptions::new(kind) };
        take(&mut source, set, &options, &mut Silent).unwrap();
    }
    sets
}

/// Turns bits of a file over, one at a time.
struct Flipper {
    file: File,
    len: u64,
}

impl Flipper {
    fn open(path: &Path) -> Self {
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let len = file.metadata().unwrap().len();
        Self { file, len }
    }

    fn flip(&self, bit: u64) {
        let mut byte = [0];
        self.file.read_exact_at(&mut byte, bit / 8).unwrap();
        byte[0] ^= 1 << (bit % 8);
        self.file.write_all_at(&byte, bit / 8).unwrap();
    }

    /// Runs `found` with each of `bits` turned over; returns how many there were. Each must be found.
    fn all(&self, bits: impl Iterator<Item = u64>, found: impl Fn() -> bool) -> u64 {
        assert!(!found(), "undamaged, nothing is found");
        let mut count = 0;
        for bit in bits {
            self.flip(bit);
            assert!(found(), "bit {bit} is not found");
            self.flip(bit);
            count += 1;
        }
        assert!(!found(), "every bit is back");
        count
    }
}

/// One bit of every fourth byte of a range, or every bit when asked for.
fn bits_of(bytes: std::ops::Range<u64>) -> Box<dyn Iterator<Item = u64>> {
    if std::env::var_os("CERTADM_EVERY_BIT").is_some() {
        return Box::new(8 * bytes.start..8 * bytes.end);
    }
    // Neighbours get different bits, so that every place in a byte has its turn.
    Box::new(bytes.step_by(4).map(|byte| 8 * byte + (byte >> 2 ^ byte >> 5) % 8))
}

#[test]
fn every_bit_of_every_file_is_protected() {
    let dir = scratch();
    let sets = complete_sets(dir.path());
    let mut count = 0;
    for path in &sets {
        let manifest = Flipper::open(&path.join("manifest.json"));
        count += manifest.all(0..8 * manifest.len, || Set::open(path).is_err());
        let set = Set::open(path).unwrap();
        for (_, log) in &set.logs {
            let flipper = Flipper::open(log);
            let damaged = || LogFile::open(log).and_then(|log| log.check()).is_err();
            let header = *LogFile::open(log).unwrap().header();
            let table_end = HEADER_LEN as u64 + 4 * u64::from(header.page_count);
            count += flipper.all(0..8 * table_end, damaged);
            count += flipper.all(bits_of(table_end..flipper.len), damaged);
        }
        let Some(image) = &set.image else { continue };
        let flipper = Flipper::open(image);
        let trailer = flipper.len - u64::from(PAGE_SIZE);
        count += flipper.all(8 * trailer..8 * flipper.len, || read_trailer(image).is_err());
        count += flipper.all(bits_of(0..trailer), || {
            read_trailer(image).and_then(|trailer| check_image(image, &trailer, |_| ())).is_err()
        });
    }
    println!("{count} flipped bits, all found");
    assert!(count > 100_000, "{count}");
    proven("flipped bits", count);
}

/// Random bits of all files, by a fixed sequence.
fn samples(files: &[PathBuf]) -> impl Iterator<Item = (&PathBuf, u64)> {
    let mut state: u64 = 0x9E37_79B9_7F4A_7C15;
    (0..SAMPLES).map(move |number| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let file = &files[usize::try_from(number).unwrap() % files.len()];
        let bits = 8 * fs::metadata(file).unwrap().len();
        (file, (state >> 16) % bits)
    })
}

fn files_of(sets: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for set in sets {
        for dir in [set.clone(), set.join("DataBase"), set.join("DynamicFiles")] {
            let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
            files.extend(entries.filter(|path| path.is_file()));
        }
    }
    files.sort();
    files
}

#[test]
fn whole_verifications_find_every_sampled_bit() {
    let dir = scratch();
    let sets = complete_sets(dir.path());
    let files = files_of(&sets);
    assert!(verify(&sets, &mut Silent).is_good());
    for (file, bit) in samples(&files) {
        let flipper = Flipper::open(file);
        flipper.flip(bit);
        let report = verify(&sets, &mut Silent);
        // A damaged CRL copy is a warning: a restore leaves it out, and the CA can publish a new CRL.
        let warned = file.ends_with("DynamicFiles/ca.crl")
            && report.findings.iter().any(|finding| finding.severity == Severity::Warning);
        assert!(warned || !report.is_good(), "bit {bit} of {} is not found: {report:?}", file.display());
        flipper.flip(bit);
    }
    assert!(verify(&sets, &mut Silent).is_good());
    proven("flipped bits", SAMPLES);
}

#[test]
fn no_sampled_bit_leads_to_a_wrong_restore() {
    let dir = scratch();
    let sets = complete_sets(dir.path());
    let files = files_of(&sets);
    let right = restored(&sets, &dir.path().join("right")).unwrap();
    let mut refused = 0;
    for (number, (file, bit)) in samples(&files).enumerate() {
        let flipper = Flipper::open(file);
        flipper.flip(bit);
        let target = dir.path().join(format!("new{number}"));
        let found = restored(&sets, &target);
        assert_eq!(restored_from_own_copies(&sets, dir.path()), found, "bit {bit} of {}", file.display());
        match found {
            // A damaged CRL copy is left out, with a warning: the CA can publish a new CRL.
            Ok((rows, dynamic)) if file.components().any(|part| part.as_os_str() == "DynamicFiles") => {
                let fits = dynamic.is_empty() || dynamic == right.1;
                assert!(rows == right.0 && fits, "bit {bit} of {}", file.display());
            }
            Ok(found) => assert_eq!(found, right, "bit {bit} of {}", file.display()),
            Err(_) => refused += 1,
        }
        flipper.flip(bit);
        fs::remove_dir_all(&target).ok(); // a refused plan makes none
    }
    println!("{refused} of {SAMPLES} restores were refused, the others gave what was backed up");
    assert!(refused > SAMPLES / 2, "{refused}");
    proven("flipped bits", SAMPLES);
}

/// The restore map says where the database goes: a damaged one must not send it elsewhere.
#[test]
fn no_bit_of_the_restore_map_leads_to_a_wrong_restore() {
    let dir = scratch();
    let sets = complete_sets(dir.path());
    let flipper = Flipper::open(&sets[0].join("DataBase/certbkxp.dat"));
    let mut count = 0;
    for bit in (0..8 * flipper.len).step_by(5) {
        flipper.flip(bit);
        assert!(plan(&sets, &dir.path().join("new"), INCOMPLETE).is_err(), "bit {bit}");
        flipper.flip(bit);
        count += 1;
    }
    proven("flipped bits", count);
}

/// The same without manifests, as from a Windows tool: trailer, headers and links are all there is.
#[test]
fn no_sampled_bit_leads_to_a_wrong_restore_of_an_incomplete_set() {
    let dir = scratch();
    let complete = complete_sets(dir.path());
    let sets = ["full2", "logs2"].map(|name| dir.path().join(name));
    for (from, to) in complete.iter().zip(&sets) {
        copy_dir(&from.join("DataBase"), &to.join("DataBase"));
    }
    let databases_and_logs: Vec<PathBuf> = sets
        .iter()
        .flat_map(|set| fs::read_dir(set.join("DataBase")).unwrap().map(|entry| entry.unwrap().path()))
        .filter(|path| path.extension().is_some_and(|extension| extension != "dat"))
        .collect();
    restored(&sets, &dir.path().join("right")).unwrap();
    for (number, (file, bit)) in samples(&databases_and_logs).enumerate() {
        let flipper = Flipper::open(file);
        flipper.flip(bit);
        let target = dir.path().join(format!("new{number}"));
        assert!(restored(&sets, &target).is_err(), "bit {bit} of {} was restored", file.display());
        flipper.flip(bit);
        fs::remove_dir_all(&target).ok(); // a refused plan makes none
    }
    proven("flipped bits", SAMPLES);
}

/// What a restored CA holds: its rows, and its dynamic files with their bytes.
type Restored = (Vec<u32>, Vec<(PathBuf, Vec<u8>)>);

/// Restores and starts; returns what the CA then holds.
fn restored(sets: &[PathBuf], target: &Path) -> Result<Restored, Hresult> {
    restored_with(sets, target, INCOMPLETE)
}

/// The same from copies of the sets whose files become those of the CA.
fn restored_from_own_copies(sets: &[PathBuf], dir: &Path) -> Result<Restored, Hresult> {
    let (copies, target) = (dir.join("copies"), dir.join("own"));
    let place = |set: &PathBuf| copies.join(set.file_name().unwrap());
    sets.iter().for_each(|set| copy_dir(set, &place(set)));
    let copied: Vec<PathBuf> = sets.iter().map(place).collect();
    let found = restored_with(&copied, &target, Options { own_copies: true, ..INCOMPLETE });
    let ca = target.join("database/ca.db");
    let is_refused = found.is_err();
    assert_eq!(ca.exists(), !is_refused, "a refused restore leaves nothing");
    if !is_refused {
        let image = copied[0].join("DataBase/ca.db");
        assert_eq!(image.metadata().unwrap().ino(), ca.metadata().unwrap().ino(), "it was copied once more");
    }
    fs::remove_dir_all(&copies).unwrap();
    fs::remove_dir_all(&target).ok(); // a refused plan makes none
    found
}

fn restored_with(sets: &[PathBuf], target: &Path, options: Options) -> Result<Restored, Hresult> {
    let plan = plan(sets, target, options).map_err(|error| error.hresult())?;
    plan.execute("host", &mut Silent).map_err(|error| error.hresult())?;
    let folder = Folder::new(target);
    start(&folder)?;
    assert_eq!(
        folder.database_path().unwrap().file_name().unwrap(),
        "ca.db",
        "the database has its own name"
    );
    let dynamic = fs::read_dir(folder.crl_dir()).unwrap().map(|entry| entry.unwrap().path());
    let dynamic = dynamic.map(|path| (path.file_name().unwrap().into(), fs::read(&path).unwrap())).collect();
    Ok((serials(&folder), dynamic))
}

/// An image that changed before its manifest was made: the manifest fits, and SQLite's check does not look at the place. The image's own
/// checksum tells, as it would at the CA's start, before a restore has exchanged anything.
#[test]
fn a_manifest_that_was_made_of_a_changed_image_does_not_make_it_sound() {
    /// Of the database's header: "reserved for expansion" (SQLite, Database File Format, 1.3).
    const UNUSED: usize = 80;
    let dir = scratch();
    let [full, logs] = complete_sets(dir.path());
    let image = Set::open(&full).unwrap().image.unwrap();
    let mut bytes = fs::read(&image).unwrap();
    bytes[UNUSED] ^= 1;
    fs::write(&image, &bytes).unwrap();
    let path = full.join("manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    let entry = manifest.files.iter_mut().find(|entry| entry.role == Role::Database).unwrap();
    entry.blake3 = blake3::hash(&bytes).to_hex().to_string();
    fs::write(&path, manifest.complete().unwrap()).unwrap();
    for sets in [vec![full.clone()], vec![full, logs]] {
        let report = verify(&sets, &mut Silent);
        let found: Vec<_> = report.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(found, [Hresult::READ_VERIFY_FAILURE], "{:?}", report.findings);
        let target = dir.path().join("restored");
        let plan = plan(&sets, &target, Options::default()).unwrap();
        for error in [plan.check(&mut Silent).map(drop), plan.execute("host", &mut Silent).map(drop)] {
            assert_eq!(error.map_err(|error| error.hresult()), Err(Hresult::READ_VERIFY_FAILURE));
        }
        assert!(!target.exists());
    }
}
