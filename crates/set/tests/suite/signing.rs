//! Signatures of sets: what counts, and what is refused before anything is touched. `ssh-keygen` is the judge.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis, FileTime, Hresult};
use certadm_session::LocalSource;
use certadm_set::manifest::Manifest;
use certadm_set::restore::{Options, plan};
use certadm_set::signing::{AllowedSigners, KeyFile, ManifestSignature, Misfit, Signer, Standing};
use certadm_set::verify::{verify, verify_signed};
use certadm_set::{Error, Set, Silent, TakeOptions, take};
use certadm_store::Folder;
use certadm_tests::signers::{
    ECDSA, ECDSA_PUBLIC, KEY, LOCKED, LOCKED_PUBLIC, OTHER, OTHER_PUBLIC, PUBLIC, write_key,
};

use crate::common::{Ca, copy_dir, edit, image, log, scratch, serials, start};

const SIGNATURE: &str = "manifest.json.sig";

fn signer(key: &str) -> Signer {
    match KeyFile::parse(key.as_bytes()).unwrap() {
        KeyFile::Open(signer) => signer,
        KeyFile::Locked(_) => panic!("it has a passphrase"),
    }
}

fn allowed(line: &str) -> AllowedSigners {
    AllowedSigners::parse(line.as_bytes()).unwrap()
}

/// A complete full set and a complete log set after it, each signed by one of the keys or by nobody.
fn sets(dir: &Path, keys: [Option<&str>; 2]) -> [PathBuf; 2] {
    let mut ca = Ca::create(&dir.join("ca"));
    let sets = ["full", "logs"].map(|name| dir.join(name));
    for ((set, kind), key) in sets.iter().zip([BackupType::Full, BackupType::LogsOnly]).zip(keys) {
        ca.insert();
        let names = certadm_rules::unc::UncRoot::new("host".to_owned()).unwrap();
        let mut source = LocalSource::new(Arc::clone(&ca.store), names);
        let options = TakeOptions {
            truncate: true,
            signer: key.map(|key| Arc::new(signer(key))),
            ..TakeOptions::new(kind)
        };
        let taken = take(&mut source, set, &options, &mut Silent).unwrap();
        assert_eq!(taken.signed_with, key.map(|key| signer(key).key()));
    }
    sets
}

#[test]
fn a_signed_chain_is_verified_and_restored() {
    let dir = scratch();
    let sets = sets(dir.path(), [Some(KEY), Some(OTHER)]);
    let both = allowed(&format!("one@ca,uno@ca {PUBLIC}\ntwo@ca {OTHER_PUBLIC}\n"));
    let report = verify_signed(&sets, &both, &mut Silent);
    assert!(report.is_restorable(), "{:?}", report.findings);
    let by: Vec<_> = report
        .signatures
        .iter()
        .map(|signature| match &signature.standing {
            Some(Standing::By(by)) => (by.principals.as_str(), by.line),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(by, [("one@ca,uno@ca", 1), ("two@ca", 2)]);
    let plain = verify(&sets, &mut Silent);
    assert!(
        matches!(&plain.signatures[1].standing, Some(Standing::NotChecked { key }) if key.starts_with("SHA256:"))
    );

    let target = dir.path().join("new");
    let options = Options { allowed_signers: Some(both.clone()), ..Options::default() };
    let plan = plan(&sets, &target, options).unwrap();
    assert_eq!(plan.signed_by.len(), 2);
    plan.execute("host", &mut Silent).unwrap();
    start(&Folder::new(&target)).unwrap();
    assert_eq!(serials(&Folder::new(&target)), [1, 2]);
}

/// What an attacker, or a mishap, does to a chain, and the code with which it is refused.
type Case = (&'static str, fn(&Path), Hresult);

const CASES: &[Case] = &[
    (
        "nothing of the full set is signed",
        |dir| remove(&dir.join("full"), SIGNATURE),
        Hresult::TRUST_E_NOSIGNATURE,
    ),
    (
        "nothing of the log set is signed",
        |dir| remove(&dir.join("logs"), SIGNATURE),
        Hresult::TRUST_E_NOSIGNATURE,
    ),
    ("no manifest", |dir| remove(&dir.join("logs"), "manifest.json"), Hresult::TRUST_E_NOSIGNATURE),
    ("signed by another", |dir| resign(&dir.join("logs"), OTHER), Hresult::TRUST_E_SUBJECT_NOT_TRUSTED),
    ("the manifest was changed", |dir| rewrite(&dir.join("full")), Hresult::TRUST_E_BAD_DIGEST),
    ("the signature of another set", |dir| copy_signature(dir), Hresult::TRUST_E_BAD_DIGEST),
    (
        "an empty signature",
        |dir| fs::write(dir.join("full").join(SIGNATURE), "").unwrap(),
        Hresult::TRUST_E_BAD_DIGEST,
    ),
    (
        "an endless signature",
        |dir| {
            let file = fs::File::create(dir.join("full").join(SIGNATURE)).unwrap();
            file.set_len(1 << 40).unwrap();
        },
        Hresult::TRUST_E_BAD_DIGEST,
    ),
];

fn remove(set: &Path, name: &str) {
    fs::remove_file(set.join(name)).unwrap();
}

fn copy_signature(dir: &Path) {
    fs::copy(dir.join("logs").join(SIGNATURE), dir.join("full").join(SIGNATURE)).unwrap();
}

fn resign(set: &Path, key: &str) {
    let signature = signer(key).sign(&fs::read(set.join("manifest.json")).unwrap());
    fs::write(set.join(SIGNATURE), signature).unwrap();
}

/// A manifest with the right checksum that says something else.
fn rewrite(set: &Path) {
    edit(&set.join("manifest.json"), |bytes| {
        let mut manifest = Manifest::parse(bytes).unwrap();
        manifest.tool = "certadm 9.9.9".to_owned();
        *bytes = manifest.complete().unwrap();
    });
}

#[test]
fn what_is_not_signed_by_an_allowed_signer_is_refused_before_the_target_is_touched() {
    let dir = scratch();
    let original = dir.path().join("original");
    fs::create_dir(&original).unwrap();
    sets(&original, [Some(KEY), Some(KEY)]);
    let list = allowed(&format!("one@ca {PUBLIC}"));
    for (number, (name, change, code)) in CASES.iter().enumerate() {
        let case = dir.path().join(number.to_string());
        for set in ["full", "logs"] {
            copy_dir(&original.join(set), &case.join(set));
        }
        change(&case);
        let sets = ["full", "logs"].map(|set| case.join(set));
        let options = Options { allowed_signers: Some(list.clone()), incomplete: true, ..Options::default() };
        let error = plan(&sets, &case.join("new"), options).unwrap_err();
        assert_eq!(error.hresult(), *code, "{name}: {error}");
        assert!(matches!(error, Error::Signing(_)), "{name}: {error}");
        assert_eq!(error.class() == Class::Damaged, *code == Hresult::TRUST_E_BAD_DIGEST, "{name}");
        assert!(!case.join("new").exists(), "{name}");
        let report = verify_signed(&sets, &list, &mut Silent);
        assert!(!report.is_good() && report.bytes == 0, "{name}: nothing of it is read");
        assert_eq!(report.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), [*code], "{name}");
        let opened = certadm_set::open(&sets).unwrap();
        assert_eq!(list.check(&opened).unwrap_err().hresult(), *code, "{name}");
    }
}

#[test]
fn a_signature_speaks_for_every_byte_of_the_set() {
    let dir = scratch();
    let sets = sets(dir.path(), [Some(KEY), Some(KEY)]);
    let list = allowed(&format!("one@ca {PUBLIC}"));
    let check = || list.check_files(&certadm_set::open(&sets).unwrap(), &mut Silent);
    assert_eq!(check().unwrap().len(), 2);
    let generation = Set::open(&sets[1]).unwrap().logs[0].0.number();
    for file in [image(&sets[0]), log(&sets[1], generation), sets[0].join("DataBase/certbkxp.dat")] {
        let whole = fs::read(&file).unwrap();
        edit(&file, |bytes| bytes[whole.len() / 2] ^= 1);
        let error = check().unwrap_err();
        assert_eq!(error.class(), Class::Damaged, "{error}");
        let target = dir.path().join("new");
        let options = Options { allowed_signers: Some(list.clone()), ..Options::default() };
        let restored = plan(&sets, &target, options).and_then(|plan| plan.execute("host", &mut Silent));
        assert!(restored.is_err() && !target.exists(), "{}", file.display());
        fs::write(&file, whole).unwrap();
    }
    // A restore map that the manifest does not name is none.
    edit(&sets[0].join("manifest.json"), |bytes| {
        let mut manifest = Manifest::parse(bytes).unwrap();
        manifest.files.retain(|entry| !entry.path.ends_with("certbkxp.dat"));
        *bytes = manifest.complete().unwrap();
    });
    assert_eq!(Set::open(&sets[0]).unwrap().locations().unwrap(), None);
}

#[test]
fn no_flipped_bit_of_a_signature_is_overlooked() {
    let manifest = b"a manifest";
    let signature = signer(KEY).sign(manifest).into_bytes();
    let list = allowed(&format!("one@ca {PUBLIC}"));
    let now = FileTime::from_unix_seconds(1_800_000_000);
    let counts = |text: &[u8]| {
        ManifestSignature::parse(text).is_ok_and(|signature| list.judge(manifest, &signature, now).is_ok())
    };
    assert!(counts(&signature));
    for bit in 0..signature.len() * 8 {
        let mut flipped = signature.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!counts(&flipped), "bit {bit}");
    }
    let windows = String::from_utf8(signature.clone()).unwrap().replace('\n', "\r\n");
    assert!(counts(windows.as_bytes()), "a copy by way of Windows");
    assert!(!counts(&[b"said before\n".as_slice(), &signature].concat()));
    assert!(!counts(&[signature.as_slice(), b"said behind\n"].concat()));
}

#[test]
fn only_keys_that_sign_sets_are_taken() {
    let dir = scratch();
    for (key, said) in [
        (ECDSA, "another kind than ssh-ed25519"),
        (PUBLIC, "without .pub"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key of OpenSSH"),
        ("", "no private key of OpenSSH"),
    ] {
        let error = KeyFile::parse(key.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.hresult(), Hresult::NTE_BAD_KEY);
    }
    let path = write_key(&dir.path().join("locked"), LOCKED);
    let KeyFile::Locked(locked) = KeyFile::read(&path).unwrap() else { panic!("it has a passphrase") };
    let passphrase = |text: &str| certadm_ca::Passphrase::new(text.as_bytes().to_vec()).unwrap();
    let error = locked.unlock(&passphrase("not it")).unwrap_err();
    assert_eq!((error.hresult(), error.class()), (Hresult::ERROR_INVALID_PASSWORD, Class::Refused));
    let opened = locked.unlock(&passphrase("correct horse battery")).unwrap();
    assert!(LOCKED_PUBLIC.starts_with(&opened.public_key()[..LOCKED_PUBLIC.len()]));
    for secret in [format!("{opened:?}"), format!("{locked:?}")] {
        assert!(!secret.to_lowercase().contains("private") && secret.len() < 200, "{secret}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("endless")).unwrap();
        assert!(KeyFile::read(&dir.path().join("endless")).is_err());
        assert!(AllowedSigners::read(&dir.path().join("endless")).is_err());
    }
    let long = dir.path().join("long");
    fs::File::create(&long).unwrap().set_len((1 << 20) + 1).unwrap();
    assert!(AllowedSigners::read(&long).unwrap_err().to_string().contains("longer than 1048576 bytes"));
}

/// Lists of allowed signers, who is asked for, and whether they let the key sign.
const LISTS: &[(&str, &str, bool)] = &[
    ("one@ca KEY", "one@ca", true),
    ("one@ca KEY", "two@ca", false),
    ("one@ca OTHER", "one@ca", false),
    ("one@ca OTHER\none@ca KEY", "one@ca", true),
    ("# a comment\n\n   one@ca KEY some words", "one@ca", true),
    ("one@ca\tKEY", "one@ca", true),
    ("\"one@ca\" KEY", "one@ca", true),
    ("two@ca,*@ca KEY", "one@ca", true),
    ("*@c? KEY", "one@ca", true),
    ("*,!one@ca KEY", "one@ca", false),
    ("!one@ca,* KEY", "two@ca", true),
    ("ONE@ca KEY", "one@ca", false),
    ("one@ca namespaces=\"certadm-manifest\" KEY", "one@ca", true),
    ("one@ca namespaces=\"git,certadm-*\" KEY", "one@ca", true),
    ("one@ca namespaces=\"git,file\" KEY", "one@ca", false),
    ("one@ca namespaces=\"*,!certadm-manifest\" KEY", "one@ca", false),
    ("one@ca namespaces=\"git\" KEY\none@ca KEY", "one@ca", true),
    ("one@ca valid-after=\"20200101Z\" KEY", "one@ca", true),
    ("one@ca valid-after=\"22000101Z\" KEY", "one@ca", false),
    ("one@ca valid-before=\"20200101Z\" KEY", "one@ca", false),
    ("one@ca valid-before=\"220001010000Z\" KEY", "one@ca", true),
    (
        "one@ca Valid-After=\"20200101000000Z\",VALID-BEFORE=\"22000101Z\",namespaces=\"certadm-manifest\" KEY",
        "one@ca",
        true,
    ),
    ("one@ca valid-before=\"20200101Z\" KEY\n*@ca valid-after=\"20200101Z\" KEY", "one@ca", true),
    ("one@ca ECDSA\none@ca KEY", "one@ca", true),
    ("one@ca ECDSA", "one@ca", false),
    // Refused as a whole.
    ("one@ca cert-authority KEY", "one@ca", false),
    ("one@ca colour=\"red\" KEY", "one@ca", false),
    ("one@ca namespaces=certadm-manifest KEY", "one@ca", false),
    ("one@ca valid-after=\"2020\" KEY", "one@ca", false),
    ("one@ca", "one@ca", false),
];

fn list_of(line: &str) -> String {
    line.replace("KEY", PUBLIC).replace("OTHER", OTHER_PUBLIC).replace("ECDSA", ECDSA_PUBLIC) + "\n"
}

fn is_allowed(list: &str, who: &str, manifest: &[u8], signature: &[u8]) -> bool {
    let now = certadm_store::now();
    AllowedSigners::parse(list.as_bytes()).is_ok_and(|list| {
        ManifestSignature::parse(signature)
            .is_ok_and(|signature| list.only(who).judge(manifest, &signature, now).is_ok())
    })
}

#[test]
fn lists_of_allowed_signers_say_who_and_when() {
    let manifest = b"a manifest";
    let signature = signer(KEY).sign(manifest);
    for (line, who, expected) in LISTS {
        assert_eq!(is_allowed(&list_of(line), who, manifest, signature.as_bytes()), *expected, "{line}");
    }
    let parsed = ManifestSignature::parse(signature.as_bytes()).unwrap();
    let why = |line: &str| {
        let now = FileTime::from_unix_seconds(1_800_000_000);
        allowed(&list_of(line)).judge(manifest, &parsed, now).unwrap_err()
    };
    assert!(matches!(why("a OTHER"), Misfit::Stranger { .. }));
    assert!(matches!(why("a namespaces=\"git\" KEY"), Misfit::Namespace { line: 1, .. }));
    assert!(matches!(why("# 1\na valid-after=\"22000101Z\" KEY"), Misfit::NotYet { line: 2, .. }));
    assert!(matches!(why("a valid-before=\"20200101Z\" KEY"), Misfit::Over { line: 1, .. }));
    // The end of the time itself counts still.
    let list = allowed(&list_of("a valid-after=\"20260102Z\",valid-before=\"20260103Z\" KEY"));
    let begin = 1_767_312_000;
    for (second, expected) in [(-1, false), (0, true), (86_400, true), (86_401, false)] {
        let now = FileTime::from_unix_seconds(begin + second);
        assert_eq!(list.judge(manifest, &parsed, now).is_ok(), expected, "{second}");
    }
}

/// `ssh-keygen -Y verify` says.
fn judged(dir: &Path, list: &str, who: &str, manifest: &[u8], signature: &[u8]) -> bool {
    let at = |name: &str| dir.join(name);
    fs::write(at("allowed"), list).unwrap();
    fs::write(at("signature"), signature).unwrap();
    fs::write(at("manifest"), manifest).unwrap();
    let mut judge = Command::new("ssh-keygen");
    judge.args(["-Y", "verify", "-I", who, "-n", "certadm-manifest", "-f"]).arg(at("allowed"));
    judge.arg("-s").arg(at("signature")).stdin(fs::File::open(at("manifest")).unwrap());
    judge.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("ssh-keygen runs").success()
}

/// `ssh-keygen -Y sign`.
fn signed(dir: &Path, key: &str, namespace: &str, manifest: &[u8]) -> Vec<u8> {
    let (key, file) = (write_key(&dir.join("key"), key), dir.join("to-sign"));
    fs::write(&file, manifest).unwrap();
    fs::remove_file(dir.join("to-sign.sig")).ok();
    let mut signing = Command::new("ssh-keygen");
    signing.args(["-q", "-Y", "sign", "-n", namespace, "-f"]).arg(key).arg(&file);
    assert!(signing.stdin(Stdio::null()).stderr(Stdio::null()).status().expect("ssh-keygen runs").success());
    fs::read(dir.join("to-sign.sig")).unwrap()
}

#[test]
#[ignore = "needs ssh-keygen (Debian: openssh-client)"]
fn ssh_keygen_says_the_same() {
    let dir = scratch();
    let dir = dir.path();
    let manifest = b"{\n  \"format\": \"certadm-set\"\n}\n";
    let ours = signer(KEY).sign(manifest).into_bytes();
    assert_eq!(ours, signed(dir, KEY, "certadm-manifest", manifest), "Ed25519 leaves no choice");
    for (line, who, expected) in LISTS {
        let list = list_of(line);
        assert_eq!(judged(dir, &list, who, manifest, &ours), *expected, "{line}");
        assert_eq!(is_allowed(&list, who, manifest, &ours), *expected, "{line}");
    }
    let list = list_of("one@ca KEY\none@ca ECDSA");
    let others = [
        ("another purpose", signed(dir, KEY, "file", manifest)),
        ("another key", signed(dir, OTHER, "certadm-manifest", manifest)),
        ("another manifest", signed(dir, KEY, "certadm-manifest", b"{}")),
        ("nothing", Vec::new()),
    ];
    for (what, signature) in others {
        assert!(!judged(dir, &list, "one@ca", manifest, &signature), "{what}");
        assert!(!is_allowed(&list, "one@ca", manifest, &signature), "{what}");
    }
    // Of a kind that OpenSSH takes and certadm does not: it says so.
    let ecdsa = signed(dir, ECDSA, "certadm-manifest", manifest);
    assert!(judged(dir, &list, "one@ca", manifest, &ecdsa));
    assert_eq!(ManifestSignature::parse(&ecdsa).unwrap_err(), Misfit::Algorithm);
    // Every byte of the signature itself, one bit each.
    for place in 0..ours.len() {
        let mut flipped = ours.clone();
        flipped[place] ^= 1 << (place % 8);
        if is_allowed(&list, "one@ca", manifest, &flipped) {
            assert!(judged(dir, &list, "one@ca", manifest, &flipped), "byte {place}");
        }
    }
}

#[test]
#[ignore = "needs ssh-keygen (Debian: openssh-client)"]
fn a_set_that_ssh_keygen_signed_is_restored_and_the_other_way_round() {
    let dir = scratch();
    let sets = sets(dir.path(), [Some(KEY), None]);
    let list = format!("one@ca {PUBLIC}\n");
    let (manifest, signature) =
        (fs::read(sets[0].join("manifest.json")).unwrap(), fs::read(sets[0].join(SIGNATURE)).unwrap());
    assert!(judged(dir.path(), &list, "one@ca", &manifest, &signature));
    // Where `ssh-keygen -Y sign manifest.json` puts it, it is found.
    let key = write_key(&dir.path().join("key"), KEY);
    let mut signing = Command::new("ssh-keygen");
    signing
        .args(["-q", "-Y", "sign", "-n", "certadm-manifest", "-f"])
        .arg(key)
        .arg(sets[1].join("manifest.json"));
    assert!(signing.stdin(Stdio::null()).status().unwrap().success());
    let report = verify_signed(&sets, &allowed(&list), &mut Silent);
    assert!(report.is_restorable(), "{:?}", report.findings);
}
