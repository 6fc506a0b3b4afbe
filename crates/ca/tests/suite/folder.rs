//! The folder of a CA: made once, opened with the right passphrase, never overwritten.

use certadm_ca::{Authority, Config, Error, KeyType, Passphrase, Role};
use certadm_rules::Diagnosis;
use certadm_store::Folder;

use crate::support::{PASSPHRASE, TestCa, openssl, passphrase, text};

#[test]
fn what_was_made_opens_again() {
    let ca = TestCa::new();
    let again = Authority::open(&ca.folder, &passphrase()).unwrap();
    assert_eq!(again.certificate_der(), ca.authority.certificate_der());
    assert_eq!(again.distinguished_name(), "CN=Test CA");
    assert_eq!(again.config().interface_flags, 0x641);
    let wrong = Passphrase::new(b"wrong".to_vec()).unwrap();
    let error = Authority::open(&ca.folder, &wrong).err().unwrap();
    assert!(matches!(error, Error::WrongPassphrase { .. }), "{error}");
    assert_eq!(error.hresult().to_bits(), 0x8007_0056);
    assert!(!error.remedy().is_empty());
}

#[test]
fn a_ca_is_never_made_over_another() {
    let ca = TestCa::new();
    let before = contents(&ca.folder);
    let config = Config::new("Other CA".parse().unwrap(), KeyType::P256);
    for role in [Role::Root, Role::Subordinate] {
        let error =
            Authority::init(&ca.folder, &config, role, &passphrase(), certadm_store::now()).err().unwrap();
        assert!(matches!(error, Error::WouldOverwrite { .. }), "{error}");
    }
    assert_eq!(contents(&ca.folder), before);

    // A database alone is refused too, and no key is left beside it.
    for path in [ca.folder.config_path(), ca.folder.certificate_path(), ca.folder.key_path()] {
        std::fs::remove_file(path).unwrap();
    }
    let made = Authority::init(&ca.folder, &config, Role::Root, &passphrase(), certadm_store::now());
    assert!(matches!(made.err().unwrap(), Error::WouldOverwrite { .. }));
    assert!(!ca.folder.key_path().exists());
}

/// What a lost CA has left: the database is gone, and what its last CRL lists is nowhere else.
#[test]
fn a_ca_is_not_made_over_the_last_crl_of_another() {
    let lost = TestCa::new();
    let scratch = tempfile::tempdir().unwrap();
    let folder = Folder::new(scratch.path().join("ca"));
    folder.create_parts().unwrap();
    let crl = folder.crl_dir().join("Test CA.crl");
    let init = |name: &str| {
        let config = Config::new(name.parse().unwrap(), KeyType::P256);
        Authority::init(&folder, &config, Role::Root, &passphrase(), certadm_store::now()).err()
    };
    std::fs::copy(lost.authority.crl_path(), &crl).unwrap();
    let error = init("Test CA").unwrap();
    assert!(matches!(&error, Error::WouldOverwrite { path } if *path == crl), "{error}");
    assert_eq!(std::fs::read(&crl).unwrap(), std::fs::read(lost.authority.crl_path()).unwrap());
    assert!(!folder.key_path().exists());
    assert!(init("Other CA").is_none(), "it publishes under another name");
}

/// Such as on a full disk: here a folder lies where the first CRL goes.
#[test]
fn what_could_not_be_made_whole_stands_in_the_way_of_no_other_try() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = Folder::new(scratch.path().join("ca"));
    let config = Config::new("Test CA".parse().unwrap(), KeyType::P256);
    let crl = folder.crl_dir().join("Test CA.crl");
    let left = |folder: &Folder| -> Vec<_> {
        let files = folder.parts().into_iter().flat_map(|(part, _)| std::fs::read_dir(part).unwrap());
        let files = files.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        files.filter(|path| path.extension().is_none_or(|extension| extension != "lock")).collect()
    };
    folder.create_parts().unwrap();
    std::fs::create_dir(&crl).unwrap();
    std::fs::write(crl.join("in the way"), "x").unwrap();
    std::fs::write(folder.path().join("notes"), "x").unwrap();
    let init = |role| Authority::init(&folder, &config, role, &passphrase(), certadm_store::now());
    let error = init(Role::Root).err().unwrap();
    assert!(!matches!(error, Error::WouldOverwrite { .. }), "{error}");
    let kept = [folder.path().join("notes"), folder.owner_lock_path()];
    assert_eq!(
        left(&folder).into_iter().filter(|path| !kept.contains(path)).count(),
        0,
        "{:?}",
        left(&folder)
    );
    assert!(kept[0].is_file());
    std::fs::remove_dir_all(&crl).unwrap();
    init(Role::Root).unwrap();
    Authority::open(&folder, &passphrase()).unwrap();
}

fn contents(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = [folder.config_path(), folder.certificate_path(), folder.key_path()]
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn other_folders_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let nothing = Folder::new(scratch.path().join("nothing"));
    let error = Authority::open(&nothing, &passphrase()).err().unwrap();
    assert!(matches!(error, Error::NotACa { .. }), "{error}");
    assert_eq!(error.hresult().to_bits(), 0x8007_0424);

    let ca = TestCa::new();
    let good = std::fs::read_to_string(ca.folder.config_path()).unwrap();
    std::fs::write(ca.folder.config_path(), format!("nonsense = 1\n{good}")).unwrap();
    let error = Authority::open(&ca.folder, &passphrase()).err().unwrap();
    assert!(matches!(error, Error::Config { .. }), "{error}");
    assert!(error.to_string().contains("nonsense"), "{error}");

    std::fs::write(ca.folder.config_path(), good).unwrap();
    std::fs::write(ca.folder.certificate_path(), "nonsense").unwrap();
    let error = Authority::open(&ca.folder, &passphrase()).err().unwrap();
    assert!(matches!(error, Error::CertificateDamaged { .. }), "{error}");
}

#[test]
fn settings_that_do_not_fit_make_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = Folder::new(scratch.path().join("ca"));
    let mut config = Config::new("Test CA".parse().unwrap(), KeyType::P256);
    config.database.log_size = 1;
    let made = Authority::init(&folder, &config, Role::Root, &passphrase(), certadm_store::now());
    assert!(matches!(made.err().unwrap(), Error::Config { .. }));
    assert!(!folder.path().exists());
}

#[test]
fn a_passphrase_stays_out_of_every_file() {
    let ca = TestCa::new();
    let mut pending = vec![ca.scratch.path().to_path_buf()];
    let mut seen = 0;
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        let found = content.windows(PASSPHRASE.len()).any(|window| window == PASSPHRASE.as_bytes());
        assert!(!found, "{}", path.display());
        seen += 1;
    }
    assert!(5 < seen);
    let shown = format!("{:?}", ca.authority.config());
    assert!(!shown.contains(PASSPHRASE));
}

/// A certificate that was renewed with its key stands beside the one before it, in either order.
#[test]
fn of_several_certificates_of_its_key_the_newest_is_used() {
    let ca = TestCa::new();
    let (key, newer) = (ca.folder.key_path(), ca.scratch.path().join("newer.pem"));
    let pass = ca.scratch.path().join("pass");
    std::fs::write(&pass, PASSPHRASE).unwrap();
    let passin = format!("file:{}", text(&pass));
    openssl(&[
        "req",
        "-x509",
        "-key",
        text(&key),
        "-passin",
        &passin,
        "-subj",
        "/CN=Test CA",
        "-days",
        "100",
        "-set_serial",
        "0x4711",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
        "-out",
        text(&newer),
    ]);
    let newer = std::fs::read_to_string(newer).unwrap();
    let older = ca.authority.certificate_pem();
    for both in [format!("{older}{newer}"), format!("{newer}{older}")] {
        std::fs::write(ca.folder.certificate_path(), both).unwrap();
        let opened = Authority::open(&ca.folder, &passphrase()).unwrap();
        assert_eq!(opened.serial().as_str(), "4711");
    }
}
