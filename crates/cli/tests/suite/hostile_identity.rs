//! Identity parts that are damaged, or that a stranger wrote: a restore leaves out what it cannot use, and says so.

use std::fs;
use std::path::Path;

use certadm_identity::{Manifest, Role};
use sha2::{Digest, Sha256};

use crate::support::Work;

/// Puts other bytes into the place of the file of a role, and makes the list agree.
fn replace(set: &Path, role: Role, content: &[u8]) {
    change(set, |manifest| {
        let entry = manifest.files.iter_mut().find(|entry| entry.role == role).unwrap();
        entry.size = content.len() as u64;
        entry.blake3 = blake3::hash(content).to_hex().to_string();
        entry.sha256 = certadm_rules::hex::encode(&Sha256::digest(content));
        fs::write(set.join("Identity").join(&entry.path), content).unwrap();
    });
}

fn change(set: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = set.join("Identity/identity.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, manifest.complete().unwrap()).unwrap();
}

type Harm = (&'static str, fn(&Path), &'static str);

/// What was done to it, and what the restore says; nothing where it takes everything.
const HARMS: [Harm; 7] = [
    ("nothing", |_| (), ""),
    (
        "a changed list",
        |set| {
            let path = set.join("Identity/identity.json");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(path, text.replacen("certadm-identity", "certadm-identitx", 1)).unwrap();
        },
        "identity.json cannot be used",
    ),
    (
        "a changed ca.toml",
        |set| fs::write(set.join("Identity/Config/ca.toml"), "changed").unwrap(),
        "ca.toml",
    ),
    ("settings that are none", |set| replace(set, Role::CaToml, b"name = ["), "ca.toml cannot be used"),
    ("settings of no text", |set| replace(set, Role::CaToml, b"\xff\xfe"), "ca.toml cannot be used"),
    ("a certificate that is none", |set| replace(set, Role::CaCrt, b"x"), ""),
    (
        "a list of very long files",
        |set| {
            let path = set.join("Identity/identity.json");
            let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
            manifest.files[0].size = u64::MAX;
            // As a stranger's program writes it, which asks for no size.
            manifest.checksum = String::new();
            let bytes =
                |manifest: &Manifest| [serde_json::to_vec_pretty(manifest).unwrap(), b"\n".to_vec()].concat();
            manifest.checksum = blake3::hash(&bytes(&manifest)).to_hex().to_string();
            fs::write(path, bytes(&manifest)).unwrap();
        },
        "18446744073709551615 bytes",
    ),
];

#[test]
fn a_damaged_identity_part_does_not_stop_a_restore() {
    let work = Work::with_ca();
    work.issue("ca", "one");
    work.result("backup --dir {ca} --to {good}");
    for (what, harm, says) in HARMS {
        work.copy("good", "set");
        harm(&work.path("set"));
        for line in ["restore --from {set} --dir {new} --dry-run", "restore --from {set} --dir {new}"] {
            let run = work.run(&format!("--json {line}"));
            let json = run.json();
            assert_eq!(run.code, i32::from(!says.is_empty()), "{what}: {line}: {json}");
            let warnings = json["result"]["warnings"].to_string();
            assert!(warnings.contains(says), "{what}: {line}: {warnings}");
        }
        assert_eq!(work.result("ca list --dir {new}")["rows"].as_array().map(Vec::len), Some(2), "{what}");
        fs::remove_dir_all(work.path("set")).unwrap();
        fs::remove_dir_all(work.path("new")).unwrap();
    }
}
