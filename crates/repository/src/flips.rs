//! Every flipped bit of a repository is named, and none of them gives other bytes than were stored.
//!
//! The repository has 2 MiB: a full set and three log sets, in packs that are small and many, so that one round turns one bit of
//! each. `CERTADM_FLIPS` says of how many bits; `cargo xtask soak` takes every one. What is proven of each:
//!
//! | A bit of | is proven |
//! |---|---|
//! | a pack | `check` of every pack names this pack, and none but those of which a bit is turned |
//! | a file of a set, in its pack | reading that file, as `fetch` reads it, is refused as damaged, and the file is named |
//! | a folder of a set, in its pack | reading the set's list of files is refused as damaged |
//! | a pack's own list of what is in it | all sets are read, every byte as it was stored: the list is for `repair` alone |
//! | a folder that no set needs any more | nothing more than what `check` says |
//! | an index, a snapshot, a key | the one function that reads such an object refuses it as damaged and names it; of some bits, so does a reader that is opened anew; `check` names an index and a snapshot, and reads the other sets |
//! | the configuration | the repository is not opened: it is damaged, and not the key wrong |
//!
//! `damage.rs` and the command's own tests take the whole way from the command to its exit code, for each of these kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use bytesize::ByteSize;
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::Class;
use certadm_rules::hex;
use certadm_set::Silent;
use certadm_set::hashes::Hashing;
use certadm_set::manifest::{self, CaIdentity, FileEntry, Generations, Manifest, Role, SetKind};
use certadm_set::sink::{NewFile, SetSink};
use rustic_core::repofile::IndexFile;
use rustic_core::{ConfigOptions, FileType, Id, ReadBackend};
use sha2::{Digest, Sha256};

use crate::beside::{Beside, is_beside};
use crate::bridge::{Bridge, id_of, name_of};
use crate::check::Part;
use crate::engine::{self, Unexplained, call};
use crate::error::Result;
use crate::objects::{ObjectError, Objects};
use crate::point::Point;
use crate::reader::Reader;
use crate::secret::Secret;
use crate::sink::SinkOptions;
use crate::tree::Files;
use crate::vault::CaRepository;

/// So many bits are flipped when nothing else is said.
const FLIPS: u64 = 5_000;
/// The repository has at least so many bytes.
const LEN: u64 = 2 << 20;
/// Logs of each set.
const LOGS: u32 = 72;
/// Of so many bits of an index or a snapshot one takes the whole way.
const WHOLE_WAY: usize = 199;

/// Objects in memory, of some of which one bit is turned when they are read. Clones share them.
#[derive(Clone, Debug, Default)]
struct Flipped {
    stored: Arc<Mutex<BTreeMap<String, Bytes>>>,
    turned: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Flipped {
    /// Turns these bits, and no others.
    fn turn(&self, bits: impl IntoIterator<Item = (String, u64)>) {
        *self.turned.lock().unwrap() = bits.into_iter().collect();
    }

    fn lens(&self, beginning: &str) -> Vec<(String, u64)> {
        let stored = self.stored.lock().unwrap();
        let named = stored.iter().filter(|(name, _)| name.starts_with(beginning));
        named.map(|(name, content)| (name.clone(), content.len() as u64)).collect()
    }
}

impl Objects for Flipped {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        self.stored.lock().unwrap().insert(name.to_owned(), parts.concat().into());
        Ok(())
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.put(name, &[Bytes::copy_from_slice(content)])
    }

    fn stored_at(&self, _name: &str) -> Result<i64, ObjectError> {
        Ok(0)
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        let stored = self.stored.lock().unwrap().get(name).cloned();
        let missing = || ObjectError::new("read", name, io::ErrorKind::NotFound.into());
        let stored = stored.ok_or_else(missing)?;
        let Some(bit) = self.turned.lock().unwrap().get(name).copied() else { return Ok(stored) };
        let mut content = stored.to_vec();
        content[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
        Ok(content.into())
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        let all = self.get(name)?;
        let from = usize::try_from(offset).unwrap().min(all.len());
        let to = usize::try_from(offset + len).unwrap().min(all.len());
        Ok(all.slice(from..to))
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        Ok(self.stored.lock().unwrap().get(name).map(|content| content.len() as u64))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        Ok(self.lens(&format!("{folder}/")))
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.stored.lock().unwrap().remove(name);
        Ok(())
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

/// Bytes that no compression makes shorter, others for each seed.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    certadm_tests::issue::noise(len, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Two chunks and a half of pages that are mostly empty.
fn database() -> Vec<u8> {
    let pages = (0..80).map(|page| {
        let mut content = noise(200, page);
        content.resize(4096, 0);
        content
    });
    pages.flatten().collect()
}

/// Stores one set of `LOGS` logs; the first one has a database.
fn store(repository: &CaRepository, number: u32) {
    let beside = Beside::new(|_| vec![("Identity/identity.json".to_owned(), noise(3000, 7))]);
    let options = SinkOptions { beside: (number == 0).then_some(beside), ..SinkOptions::default() };
    let mut sink = Box::new(repository.sink(options).unwrap());
    let mut add = |entry: String, role, content: Vec<u8>| {
        let (size, hashing) = (content.len() as u64, Hashing::Both);
        let new = NewFile { entry, role, source: "x", size, hashing };
        let mut rest = content.as_slice();
        sink.add(new, &mut |buffer: &mut [u8]| Ok(io::Read::read(&mut rest, buffer).unwrap())).unwrap();
    };
    let kind = if number == 0 { SetKind::Full } else { SetKind::Logs };
    if kind == SetKind::Full {
        add("DataBase/ca.db".to_owned(), Role::Database, database());
        add("DataBase/certbkxp.dat".to_owned(), Role::Locations, noise(300, 3));
    }
    let generations = 1 + number * LOGS..=(number + 1) * LOGS;
    for generation in generations.clone() {
        let len = 1500 + (generation as usize * 997) % 11_000;
        add(format!("DataBase/edb{generation:05x}.log"), Role::Log, noise(len, generation.into()));
    }
    let ca = CaIdentity {
        name: "ca".to_owned(),
        host: "host".to_owned(),
        database_signature: "ab".repeat(16),
        stream_signature: "cd".repeat(16),
    };
    let mut manifest = Manifest::new(ca, kind, "2026-01-01T00:00:00Z".to_owned());
    manifest.generations = Generations { low: *generations.start(), high: *generations.end() };
    manifest.finished = format!("2026-01-01T00:{number:02}:00Z");
    sink.commit(manifest, &mut Silent).unwrap();
}

/// Where a bit of a pack lies.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// In a file of the set of that number.
    File(usize, String),
    /// In a folder of it.
    Folder(usize),
    /// In a folder of parts of a set, which were joined.
    Unneeded,
}

/// One set.
struct Stored {
    files: Files,
    manifest: Manifest,
    /// The manifest with one file alone, by the file's path.
    alone: BTreeMap<String, Manifest>,
}

/// The repository, its sets, and what lies where in its packs.
struct Sound {
    objects: Flipped,
    secret: Secret,
    repository: CaRepository,
    points: Vec<Point>,
    sets: Vec<Stored>,
    /// Per pack: end of each part, and what it is. Behind the last one is the pack's own list.
    packs: BTreeMap<String, Vec<(u64, Place)>>,
}

impl Sound {
    fn create() -> Self {
        let objects = Flipped::default();
        let shared: Arc<dyn Objects> = Arc::new(objects.clone());
        let secret = Secret::generate(Path::new("a test"));
        let mut opened = engine::init(&Bridge::new(Arc::clone(&shared)), &secret).unwrap();
        let small = ByteSize::kib(8);
        let options = ConfigOptions::default().set_datapack_size(small).set_treepack_size(small);
        opened.apply_config(&options.set_extra_verify(false)).unwrap();
        // What a key is matters to nobody here: it is the name that tells its content.
        let key = noise(450, 1);
        let name = name_of(FileType::Key, &id(&key));
        objects.put(&name, &[key.into()]).unwrap();
        let repository = CaRepository::over(Arc::clone(&shared), secret.clone(), "vault", "ca");
        (0..4).for_each(|number| store(&repository, number));
        let points = repository.points().unwrap();
        let reader = Reader::open(&shared, &secret).unwrap();
        let stored = |point: &Point| {
            let files = reader.files(point.tree).unwrap();
            let manifest = reader.manifest(&files).unwrap().0;
            let alone = |file: &FileEntry| Manifest { files: vec![file.clone()], ..manifest.clone() };
            let alone = manifest.files.iter().map(|file| (file.path.clone(), alone(file))).collect();
            Stored { files, manifest, alone }
        };
        let sets: Vec<Stored> = points.iter().map(stored).collect();
        let packs = Self::places(&reader, &points, &sets);
        Self { objects, secret, repository, points, sets, packs }
    }

    fn places(reader: &Reader, points: &[Point], sets: &[Stored]) -> BTreeMap<String, Vec<(u64, Place)>> {
        let mut of_blob = BTreeMap::new();
        for (number, (point, set)) in points.iter().zip(sets).enumerate() {
            for blob in reader.blobs_of(point.tree).unwrap() {
                of_blob.entry(blob).or_insert(Place::Folder(number));
            }
            for (path, node) in &set.files {
                for blob in node.content.iter().flatten() {
                    of_blob.insert(**blob, Place::File(number, path.clone()));
                }
            }
        }
        let mut packs = BTreeMap::new();
        for index in reader.repository.stream_files::<IndexFile>().unwrap() {
            for pack in index.unwrap().1.packs {
                let mut parts: Vec<(u64, Place)> = pack
                    .blobs
                    .iter()
                    .map(|blob| {
                        let end = u64::from(blob.location.offset) + u64::from(blob.location.length);
                        (end, of_blob.get(&*blob.id).cloned().unwrap_or(Place::Unneeded))
                    })
                    .collect();
                parts.sort_by_key(|(end, _)| *end);
                packs.insert(name_of(FileType::Pack, &pack.id), parts);
            }
        }
        packs
    }

    fn shared(&self) -> Arc<dyn Objects> {
        Arc::new(self.objects.clone())
    }

    /// Reads what lies at a place, as `fetch` does.
    fn read(&self, reader: &Reader, place: &Place) -> Result<()> {
        match place {
            Place::File(set, path) => {
                let Stored { files, alone, .. } = &self.sets[*set];
                if path == manifest::FILE_NAME {
                    return reader.manifest(files).map(drop);
                }
                if is_beside(path) {
                    return reader.beside(files).map(drop);
                }
                reader.read_all(files, &alone[path], None, &mut Silent)
            }
            Place::Folder(set) => reader.files(self.points[*set].tree).map(drop),
            Place::Unneeded => Ok(()),
        }
    }

    /// Reads every byte of every set.
    fn read_everything(&self) {
        let reader = Reader::open(&self.shared(), &self.secret).unwrap();
        for (point, Stored { files, manifest, .. }) in self.points.iter().zip(&self.sets) {
            assert_eq!(reader.files(point.tree).unwrap(), *files);
            assert_eq!(reader.manifest(files).unwrap().0, *manifest);
            reader.read_all(files, manifest, None, &mut Silent).unwrap();
            if files.contains_key("Identity/identity.json") {
                assert_eq!(reader.beside(files).unwrap()[0].1, noise(3000, 7));
            }
        }
    }
}

/// The id of an object.
fn id(content: &[u8]) -> Id {
    hex::encode(&Sha256::digest(content)).parse().unwrap()
}

/// The packs that a check names.
fn named(repository: &CaRepository) -> BTreeSet<String> {
    let checked = repository.check(Part::ALL, &mut Silent).unwrap();
    let texts = checked.problems.iter().map(|problem| problem.text.as_str());
    let names = texts.filter_map(|text| text.strip_suffix(" has other bytes than were stored"));
    names.map(str::to_owned).collect()
}

fn assert_damaged<T>(read: Result<T>, name: &str, told: &str) {
    match read {
        Err(error) if error.is_damage() => {
            assert_eq!(error.class(), Class::Damaged);
            assert!(error.to_string().contains(name), "{told}: {error}");
        }
        Err(error) => panic!("{told}: {error}"),
        Ok(_) => panic!("{told}: it was read"),
    }
}

/// One bit of each pack at once is turned, and `check` looks at all of them; then they are read one by one. Returns how many bits.
fn packs(sound: &Sound, step: usize) -> u64 {
    let lens = sound.objects.lens("data/");
    let rounds = lens.iter().map(|(_, len)| 8 * len).max().unwrap();
    // It never succeeds in reading anything that is turned, so that nothing comes out of a memory.
    let reader = Reader::open(&sound.shared(), &sound.secret).unwrap();
    let mut proven = 0;
    for (number, bit) in (0..rounds).step_by(step).enumerate() {
        let turned: Vec<(String, u64)> =
            lens.iter().filter(|(_, len)| bit < 8 * len).map(|(name, _)| (name.clone(), bit)).collect();
        sound.objects.turn(turned.clone());
        let expected: BTreeSet<String> = turned.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(named(&sound.repository), expected, "bit {bit}");
        for one in turned {
            let told = format!("bit {bit} of {}", one.0);
            let place = sound.packs[&one.0].iter().find(|(end, _)| bit / 8 < *end).map(|(_, place)| place);
            sound.objects.turn([one]);
            reader.bridge.forget_read();
            match place {
                Some(place @ Place::File(_, path)) => assert_damaged(sound.read(&reader, place), path, &told),
                Some(place @ Place::Folder(_)) => {
                    assert_damaged(sound.read(&reader, place), "a folder of the set", &told);
                }
                // That these are not read is proven of all packs at once, below.
                Some(Place::Unneeded) | None => {}
            }
            proven += 1;
        }
        if number % 1000 == 999 {
            println!("{proven} bits of packs, {} of {rounds} rounds", number + 1);
        }
    }
    proven
}

/// The lists at the ends of all packs, and the folders that no set needs: with a bit of each turned, all sets are read.
fn unread(sound: &Sound, step: usize) {
    let lens: BTreeMap<String, u64> = sound.objects.lens("data/").into_iter().collect();
    let spans: Vec<(&String, u64, u64)> = sound
        .packs
        .iter()
        .map(|(name, parts)| {
            let needed = parts.iter().filter(|(_, place)| *place != Place::Unneeded);
            (name, 8 * needed.map(|(end, _)| *end).max().unwrap_or_default(), 8 * lens[name])
        })
        .collect();
    let most = spans.iter().map(|(_, from, to)| to - from).max().unwrap();
    for bit in (0..most).step_by(step) {
        let inside = spans.iter().filter(|(_, from, to)| from + bit < *to);
        sound.objects.turn(inside.map(|(name, from, _)| ((*name).clone(), from + bit)));
        sound.read_everything();
    }
}

/// Indexes, snapshots and keys, one bit of one object at a time. Returns how many bits.
fn small_objects(sound: &Sound, step: usize) -> u64 {
    let bridge = Bridge::new(sound.shared());
    let mut proven = 0;
    for kind in [FileType::Index, FileType::Snapshot, FileType::Key] {
        for (name, len) in sound.objects.lens(kind.dirname()) {
            let id = id_of(&name).unwrap();
            for (number, bit) in (0..8 * len).step_by(step).enumerate() {
                let told = format!("bit {bit} of {name}");
                sound.objects.turn([(name.clone(), bit)]);
                let read = call(&bridge, "read", Unexplained::Mistake, || bridge.read_full(kind, &id));
                assert_damaged(read, &name, &told);
                if number % WHOLE_WAY == 0 {
                    match kind {
                        FileType::Index => {
                            assert_damaged(Reader::open(&sound.shared(), &sound.secret), &name, &told);
                        }
                        FileType::Snapshot => assert_damaged(sound.repository.points(), &name, &told),
                        // A key file of this machine opens the repository without it.
                        _ => assert_eq!(sound.repository.points().unwrap(), sound.points),
                    }
                    let checked = sound.repository.check(Part::NONE, &mut Silent);
                    match kind {
                        FileType::Index => {
                            let problems = checked.unwrap().problems;
                            assert!(problems.iter().any(|problem| problem.text.contains(&name)), "{told}");
                        }
                        FileType::Snapshot => {
                            let problems = checked.unwrap().problems;
                            assert!(problems.iter().any(|problem| problem.text.contains(&name)), "{told}");
                            let readable = sound.repository.readable().unwrap();
                            assert_eq!(readable.unreadable, [name.as_str()], "{told}");
                            assert_eq!(readable.points.len() + 1, sound.points.len(), "{told}");
                        }
                        _ => assert!(checked.unwrap().problems.is_empty(), "{told}"),
                    }
                }
                proven += 1;
            }
        }
    }
    proven
}

/// The configuration, bit by bit. Returns how many.
fn configuration(sound: &Sound, step: usize) -> u64 {
    let len = sound.objects.lens("config")[0].1;
    let mut proven = 0;
    for bit in (0..8 * len).step_by(step) {
        sound.objects.turn([("config".to_owned(), bit)]);
        assert_damaged(sound.repository.points(), "config", &format!("bit {bit} of config"));
        proven += 1;
    }
    proven
}

#[test]
fn every_flipped_bit_is_named_and_none_gives_other_bytes() {
    let sound = Sound::create();
    let lens = sound.objects.lens("");
    let len: u64 = lens.iter().map(|(_, len)| len).sum();
    assert!(LEN <= len, "{len} bytes");
    let places: BTreeSet<&str> = sound
        .packs
        .values()
        .flatten()
        .map(|(_, place)| match place {
            Place::File(_, path) if path == manifest::FILE_NAME => "manifest",
            Place::File(_, path) if is_beside(path) => "beside",
            Place::File(_, path) if path.ends_with(".db") => "database",
            Place::File(..) => "file",
            Place::Folder(_) => "folder",
            Place::Unneeded => "unneeded",
        })
        .collect();
    assert_eq!(places.len(), 6, "{places:?}");
    assert!(named(&sound.repository).is_empty());
    sound.read_everything();

    let flips = std::env::var("CERTADM_FLIPS").map_or(FLIPS, |text| text.parse().expect("a number"));
    // An odd step, so that each of the eight bits of a byte has its turn.
    let step = usize::try_from(8 * len / flips.max(1)).unwrap();
    let step = if step <= 1 { 1 } else { step | 1 };
    println!("{len} bytes in {} objects, {} packs; every {step}th bit", lens.len(), sound.packs.len());
    let mut proven = configuration(&sound, step) + small_objects(&sound, step);
    println!("{proven} bits of other objects");
    unread(&sound, step);
    println!("the lists of packs are not read");
    proven += packs(&sound, step);
    sound.objects.turn([]);
    sound.read_everything();
    if step == 1 {
        assert_eq!(proven, 8 * len);
    }
    println!("{proven} bits");
    certadm_tests::proven::proven("flipped bits", proven);
}
