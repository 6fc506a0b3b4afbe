//! Our own CA, asked as any other.

use certadm_ca::{Authority, CaName, Config, KeyType, Passphrase};
use certadm_identity::{Answers, ConfigKey, OwnCa, Part, Role, Value, fetch, found_at, property};
use certadm_rules::{BackupMarks, FileTime, Hresult};
use certadm_store::Folder;
use certadm_wire::csra::{CaInfo, Variant};

struct World {
    dir: tempfile::TempDir,
    folder: Folder,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().join("ca"));
        let name: CaName = "Example CA".parse().unwrap();
        let mut config = Config::new(name, KeyType::P256);
        config.publish.crl_urls = vec!["http://crl.example/a.crl".into(), "http://crl.example/b.crl".into()];
        let passphrase = Passphrase::new(b"correct horse battery".to_vec()).unwrap();
        Authority::init(&folder, &config, certadm_ca::Role::Root, &passphrase, certadm_store::now()).unwrap();
        Self { dir, folder }
    }

    fn ca(&self) -> OwnCa<'_> {
        OwnCa {
            folder: &self.folder,
            name: "Example CA",
            host: "ca01.example",
            interface_flags: 0x641,
            audit_filter: 0x7f,
            marks: BackupMarks::NONE,
        }
    }
}

#[test]
fn what_our_ca_answers_is_fetched_written_and_read_again() {
    let world = World::new();
    let mut fetched = fetch(&mut world.ca());
    assert_eq!(fetched.findings, []);
    assert_eq!((fetched.count(Role::CaCertificate), fetched.count(Role::BaseCrl)), (1, 1));
    fetched.add(Role::Users, "Attachments/users.toml", "users.toml", b"secret".to_vec());
    let set = world.dir.path().join("set");
    std::fs::create_dir(&set).unwrap();
    assert_eq!(found_at(&set), Vec::<std::path::PathBuf>::new());
    let part =
        fetched.write(&certadm_identity::beside(&set), "00ff", FileTime::from_unix_seconds(0)).unwrap();
    assert_eq!(found_at(&set), [part.dir()]);
    assert_eq!(part.check(), []);
    assert_eq!((part.manifest.ca_name.as_str(), part.manifest.host.as_str()), ("Example CA", "ca01.example"));
    let configuration = part.configuration().unwrap().unwrap();
    assert_eq!(configuration, world.ca().configuration());
    assert_eq!(configuration.get("Example CA", "CAType"), Some(&Value::Number(3)));
    assert_eq!(configuration.ca_key(), Some("Example CA"));
    let registry = part.manifest.of_role(Role::Registry).next().unwrap();
    let registry = certadm_identity::registry::parse(&part.read(registry).unwrap()).unwrap();
    assert_eq!(certadm_identity::registry::of_certsvc(&registry), configuration);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let users = part.dir().join("Attachments/users.toml");
        assert_eq!(std::fs::metadata(users).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // Never over what is there.
    assert!(fetched.write(part.dir(), "", FileTime::from_unix_seconds(0)).is_err());
    assert_eq!(Part::open(part.dir()).unwrap().check(), []);
}

#[test]
fn damage_and_strangers_are_found() {
    let world = World::new();
    let dir = world.dir.path().join("identity");
    let part = fetch(&mut world.ca()).write(&dir, "", FileTime::from_unix_seconds(0)).unwrap();
    std::fs::write(dir.join("Config/config.json"), b"{}").unwrap();
    std::fs::write(dir.join("Crls/other.crl"), b"x").unwrap();
    std::fs::remove_file(dir.join("Certificates/ca-0.crt")).unwrap();
    let kinds: Vec<&str> = part.check().iter().map(|finding| finding.kind.key()).collect();
    assert_eq!(kinds, ["file-missing", "file-changed", "unknown-file"]);
    assert!(part.configuration().is_err());
    let mut list = std::fs::read(dir.join("identity.json")).unwrap();
    list[20] ^= 1;
    std::fs::write(dir.join("identity.json"), list).unwrap();
    assert!(matches!(Part::open(&dir), Err(certadm_identity::Error::Manifest { .. })));
    assert!(matches!(Part::open(world.dir.path()), Err(certadm_identity::Error::NotThere { .. })));
}

#[test]
fn questions_are_answered_as_the_document_says() {
    let world = World::new();
    let mut ca = world.ca();
    let info = |ca: &OwnCa<'_>| CaInfo::decode(&ca.property(10, 7, property::LONG).unwrap()).unwrap();
    assert_eq!((info(&ca).ca_type, info(&ca).highest_property), (3, 43));
    let chain = ca.property(13, 0, property::BINARY).unwrap();
    let der = certadm_ca::certificate_in(&world.folder).unwrap().der;
    assert!(chain.windows(der.len()).any(|part| part == der));
    assert_eq!(ca.property(12, 1, property::BINARY), Err(Hresult::E_INVALIDARG));
    assert_eq!(ca.property(99, 0, property::LONG), Err(Hresult::E_INVALIDARG));
    assert_eq!(ca.property(6, 0, property::LONG), Err(Hresult::E_INVALIDARG));
    let own = |node| ConfigKey::Ca { name: "Example CA", node };
    let Ok(Variant::Texts(names)) = Answers::config(&mut ca, ConfigKey::Top, "") else { panic!() };
    assert_eq!(names, ["Active", "Version", "DBDirectory", "DBLogDirectory"]);
    let Ok(Variant::Texts(names)) = ca.config(own("CSP"), "") else { panic!() };
    assert_eq!(names, ["Provider", "ProviderType", "CNGPublicKeyAlgorithm"]);
    assert_eq!(ca.config(own("ExitModules"), "active"), Ok(Variant::Texts(Vec::new())));
    assert_eq!(ca.config(own("absent"), ""), Err(Hresult::ERROR_FILE_NOT_FOUND));
    assert_eq!(ca.config(own("CSP"), "CommonName"), Err(Hresult::ERROR_FILE_NOT_FOUND));
    assert_eq!(ca.config(ConfigKey::Top, "interfaceflags"), Ok(Variant::Long(0x641)));
    assert_eq!(
        ca.config(own(""), "CRLPublicationURLs")
            .map(|value| matches!(value, Variant::Texts(urls) if urls.len() == 3)),
        Ok(true)
    );
}
