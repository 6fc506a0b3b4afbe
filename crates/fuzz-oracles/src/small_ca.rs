//! A small CA with a few certificates, and what makes a set of it: for targets whose input is what a stranger made of one.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use certadm_ca::{
    Authority, Config, Initialized, KeyType, Passphrase, Reason, Request, RevocationOrder, Role, Serial,
    Terms, revoke,
};
use certadm_files::{Checksum, scratch};
use certadm_rules::names::last_component;
use certadm_rules::unc::UncRoot;
use certadm_rules::{FileTime, Generation};
use certadm_session::{LocalSource, Source};
use certadm_set::manifest::{CaIdentity, FileEntry, Generations, Manifest, Role as FileRole, SetKind};
use certadm_store::log_file::{HEADER_LEN, Signature};
use certadm_store::trailer::Trailer;
use certadm_store::{Folder, Options, PAGE_SIZE, Store, Writer};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::checksummed::with_checksum;

/// A request of `openssl req`; `crates/ca/tests/data/README.md` says how it was made.
const REQUEST: &[u8] = include_bytes!("../../ca/tests/data/a.example.csr");

/// The CA.
pub(crate) struct SmallCa {
    pub(crate) authority: Authority,
    pub(crate) request: Request,
    /// Its database: five rows, of which one is the CA's own certificate and one is revoked; one CRL.
    pub(crate) database: Vec<u8>,
    /// `ca.toml`, `ca.crt`, `ca.key`, by their names.
    pub(crate) own_files: Vec<(PathBuf, Vec<u8>)>,
    database_name: String,
    locations: Vec<u8>,
    signatures: (Signature, Signature),
    crl: Vec<u8>,
    /// Holds everything above, and what else its user puts there.
    pub(crate) place: TempDir,
}

/// The one CA of this process. Its key is made when it is first needed.
pub(crate) static CA: LazyLock<SmallCa> = LazyLock::new(|| {
    SmallCa::make().unwrap_or_else(|error| panic!("the CA to start from cannot be made: {error}"))
});

impl SmallCa {
    fn make() -> Result<Self, Box<dyn std::error::Error>> {
        let place = scratch::for_test();
        let folder = Folder::new(place.path().join("ca"));
        let config = Config::new("Fuzzed CA".parse()?, KeyType::P256);
        let now = certadm_store::now();
        let passphrase = Passphrase::new(b"a passphrase".to_vec())?;
        let Initialized::Root(authority) = Authority::init(&folder, &config, Role::Root, &passphrase, now)?
        else {
            return Err("a subordinate CA".into());
        };
        let request = Request::parse(REQUEST)?;
        let mut writer = Writer::open(&folder)?;
        let mut serials = Vec::new();
        for _ in 0..4 {
            serials.push(authority.issue(&mut writer, &request, &Terms::new("fuzzer"), now)?.serial);
        }
        writer.commit(|transaction| revoke(transaction, &order(&serials[0], now)).map(drop))?;
        let crl = authority.publish_crl(&mut writer, now)?.der;
        let state = "SELECT database_signature, stream_signature FROM store_state";
        let (database, stream): (Vec<u8>, Vec<u8>) =
            writer.connection().query_row(state, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let signature = |bytes: &[u8]| Signature::from_slice(bytes).ok_or("no signature");
        let signatures = (signature(&database)?, signature(&stream)?);
        let database = rusqlite::Connection::open(writer.database())?.serialize(rusqlite::MAIN_DB)?.to_vec();
        drop(writer);
        let store = Arc::new(Store::open(&folder, Options::default())?);
        let locations = LocalSource::new(store, UncRoot::new("host".to_owned())?).database_locations()?;
        let database_name = last_component(locations.database().ok_or("no database")?).to_owned();
        let mut own_files = Vec::new();
        for path in [folder.config_path(), folder.certificate_path(), folder.key_path()] {
            own_files.push((path.file_name().unwrap_or_default().into(), std::fs::read(&path)?));
        }
        Ok(Self {
            authority: *authority,
            request,
            database,
            own_files,
            database_name,
            locations: locations.to_bytes(),
            signatures,
            crl,
            place,
        })
    }

    /// The files of a full set with this database, sealed, as a stranger could make it: by their paths in the set. A manifest may
    /// name SHA-256 beside BLAKE3, and need not.
    pub(crate) fn set_with(&self, database: &[u8], names_sha256: bool) -> Vec<(String, Vec<u8>)> {
        let (signature, stream) = self.signatures;
        let page = PAGE_SIZE as usize;
        let mut sum = Checksum::new();
        sum.update(database);
        let first = Generation::FIRST;
        let trailer = Trailer {
            page_size: PAGE_SIZE,
            image_pages: (database.len() / page) as u64,
            database: signature,
            stream,
            low: first,
            high: first,
            finished: FileTime::from_unix_seconds(1_800_000_000),
            image: sum.finish(),
        };
        let image = [database, &trailer.encode()].concat();
        // A log without pages: what the image holds is all there is.
        let mut log = vec![0; 144];
        log[8..12].copy_from_slice(&1_u32.to_le_bytes());
        log[12..16].copy_from_slice(&first.number().to_le_bytes());
        log[16..32].copy_from_slice(&signature.0);
        log[32..48].copy_from_slice(&stream.0);
        log[48..52].copy_from_slice(&PAGE_SIZE.to_le_bytes());
        let pages = u32::try_from(database.len() / page).unwrap_or(u32::MAX);
        log[56..60].copy_from_slice(&pages.to_le_bytes());
        log[64] = 1;
        log[72..104].copy_from_slice(blake3::hash(&[]).as_bytes());
        let log = with_checksum(&log, *b"CADMLOG\x01", HEADER_LEN);
        let files = vec![
            (format!("DataBase/{}", self.database_name), FileRole::Database, image),
            (format!("DataBase/{}", first.log_file_name()), FileRole::Log, log),
            ("DataBase/certbkxp.dat".to_owned(), FileRole::Locations, self.locations.clone()),
            ("DynamicFiles/Fuzzed CA.crl".to_owned(), FileRole::Dynamic, self.crl.clone()),
        ];
        let identity = CaIdentity {
            name: "Fuzzed CA".to_owned(),
            host: "host".to_owned(),
            database_signature: signature.to_string(),
            stream_signature: stream.to_string(),
        };
        let mut manifest = Manifest::new(identity, SetKind::Full, "2027-01-15T08:00:00Z".to_owned());
        manifest.finished.clone_from(&manifest.started);
        manifest.generations = Generations { low: first.number(), high: first.number() };
        manifest.files = files
            .iter()
            .map(|(path, role, content)| FileEntry {
                path: path.clone(),
                role: *role,
                source: format!(r"\\host\C$\CA\{}", path.rsplit('/').next().unwrap_or_default()),
                size: content.len() as u64,
                blake3: blake3::hash(content).to_hex().to_string(),
                sha256: names_sha256.then(|| certadm_rules::hex::encode(&Sha256::digest(content))),
            })
            .collect();
        let bytes = manifest.complete().expect("a manifest of four files");
        let mut set: Vec<_> = files.into_iter().map(|(path, _, content)| (path, content)).collect();
        set.push(("manifest.json".to_owned(), bytes));
        set
    }
}

/// An order to revoke a certificate at once.
pub(crate) fn order(serial: &Serial, now: FileTime) -> RevocationOrder<'_> {
    RevocationOrder { serial, reason: Reason::KEY_COMPROMISE, by: "fuzzer", now, effective: None }
}
