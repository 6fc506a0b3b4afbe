//! Files of real Windows CAs and other databases of their engine: from the repository, or from the folder beside it where
//! they may not be copied.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part of this")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_set::manifest::{CaIdentity, FileEntry, Generations, Manifest, Role, SetKind};

/// The bytes of a fixture; `None`, and one line that says so, where it is not present.
pub fn fixture(name: &str) -> Option<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = match std::env::var_os("CERTADM_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => here.join("../../../shared"),
    };
    let own = here.join("../ese/tests/data").join(Path::new(name).file_name()?);
    let folder = shared.join("data/ese");
    for path in [own, folder.join(name)] {
        if let Ok(bytes) = fs::read(with_suffix(&path, ".gz")) {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).unwrap();
            return Some(plain);
        }
    }
    if let Ok(bytes) = fs::read(with_suffix(&folder.join(name), ".zst")) {
        let mut plain = Vec::new();
        ruzstd::decoding::StreamingDecoder::new(bytes.as_slice()).unwrap().read_to_end(&mut plain).unwrap();
        return Some(plain);
    }
    println!("fixture {name}: not present, its part of this test is left out");
    None
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A real CA's database, clean.
pub fn ca_database() -> Vec<u8> {
    fixture("certlog/CertLog.edb").expect("it stands in the repository")
}

/// A folder as `certutil -backupDB` leaves it: a streaming backup in `full/DataBase`, the log after it in
/// `logs/DataBase`. The database is a mail store, which the engine backs up in the same way.
pub fn backup(dir: &Path) -> Option<(PathBuf, PathBuf)> {
    let of = |name: &str| fixture(&format!("winmail-v7-sec4096/{name}"));
    let (full, logs) = (dir.join("full"), dir.join("logs"));
    for (set, name, bytes) in [
        (&full, "Store.edb", of("Backup_new_WindowsMail.MSMessageStore")?),
        (&full, "edb00001.log", of("Backup_new_edb00001.log")?),
        (&full, "certbkxp.dat", restore_map("Store.edb")),
        (&logs, "edb00002.log", of("edb.log")?),
    ] {
        let folder = set.join("DataBase");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }
    Some((full, logs))
}

/// A restore map as a Windows CA gives it (certbcli.md 5, 10.2).
pub fn restore_map(database: &str) -> Vec<u8> {
    let folder = r"\\ca1.example\admin$\system32\CertLog";
    let text = format!("D{folder}\\{database}\0\u{82}{folder}\0\u{83}{folder}\0\0");
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// An empty log of this generation, made after the one before it: its header says that it was begun at second `generation` of
/// 1 December 2025, in UTC.
pub fn made_log(generation: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4 * 4096];
    let second = u8::try_from(generation).unwrap();
    let fields: [(usize, &[u8]); 10] = [
        (4, &generation.to_le_bytes()),
        (8, &4096_u16.to_le_bytes()),
        (10, &1_u16.to_le_bytes()),
        (12, &4_u16.to_le_bytes()),
        (14, &4096_u16.to_le_bytes()),
        (16, &[second, 0, 0, 1, 12, 125, 1, 0]),
        (24, &[second - 1, 0, 0, 1, 12, 125, 1, 0]),
        (32, &8_u32.to_le_bytes()),
        (44, &[7; 28]),
        (667, &3_u32.to_le_bytes()),
    ];
    fields.iter().for_each(|(at, field)| bytes[*at..at + field.len()].copy_from_slice(field));
    let sum = certadm_ese::checksum::xor_checksum(&bytes[..4096]);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// A log set of [`made_log`], as certutil leaves it, without a manifest.
pub fn log_set(dir: &Path, name: &str, generation: u32) -> PathBuf {
    let (set, name_of_log) = (dir.join(name), format!("DataBase/edb{generation:05x}.log"));
    fs::create_dir_all(set.join("DataBase")).unwrap();
    fs::write(set.join("DataBase/certbkxp.dat"), restore_map("CA.edb")).unwrap();
    fs::write(set.join(name_of_log), made_log(generation)).unwrap();
    set
}

/// A full set of the CA `CA` that the log sets of [`made_log`] from generation 7 on follow, in the folder `full`: with a manifest that
/// says when its backup ended, and files without content.
pub fn sealed_full_set(dir: &Path, finished: &str) -> PathBuf {
    let ca = CaIdentity {
        name: "CA".to_owned(),
        host: "ca1".to_owned(),
        database_signature: String::new(),
        stream_signature: "07".repeat(28),
    };
    let full = dir.join("full");
    fs::create_dir_all(full.join("DataBase")).unwrap();
    let mut manifest = Manifest::new(ca, SetKind::Full, finished.to_owned());
    manifest.finished = manifest.started.clone();
    manifest.generations = Generations { low: 5, high: 6 };
    for (name, role) in [("CA.edb", Role::Database), ("edb00006.log", Role::Log)] {
        fs::write(full.join("DataBase").join(name), b"").unwrap();
        manifest.files.push(FileEntry {
            path: format!("DataBase/{name}"),
            role,
            source: name.to_owned(),
            size: 0,
            blake3: blake3::hash(b"").to_hex().to_string(),
            sha256: None,
        });
    }
    fs::write(full.join("manifest.json"), manifest.complete().unwrap()).unwrap();
    full
}
