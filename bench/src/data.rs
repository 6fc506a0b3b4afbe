//! A CA's folder of a given size, filled with rows like those of issued certificates.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use certadm_store::{Error, Folder, Options, Store, Writer};
use rusqlite::params;

use crate::error::Result;
use crate::process::run;

/// Bytes that one certificate's rows take in the database, about.
const ROW_LEN: u64 = 4100;
/// What a server's certificate has: usage, extended usage, key identifiers, names, where to look for the CRL.
const EXTENSIONS: [(&str, usize); 6] = [
    ("2.5.29.15", 4),
    ("2.5.29.37", 12),
    ("2.5.29.14", 22),
    ("2.5.29.35", 24),
    ("2.5.29.17", 60),
    ("2.5.29.31", 80),
];
/// Rows a commit.
const BATCH: u64 = 2000;

/// How a folder is filled: nobody wants its logs.
const FILLING: Options = Options { log_size: 16 << 20, circular_logging: true, backup_rate: 0 };

/// The folder.
pub(crate) struct CaFolder {
    folder: Folder,
}

impl CaFolder {
    /// Creates a CA's database of about `size` bytes.
    pub(crate) fn create(path: &Path, size: u64) -> Result<Self> {
        let folder = Folder::new(path);
        let store = Store::create(&folder, "Bench", FILLING)?;
        Self::fill(folder, store, size)
    }

    /// A CA with certificate, key and configuration, as `ca init` makes it, whose database has about `size` bytes. A backup of a
    /// folder without them ends with a finding.
    pub(crate) fn of_a_ca(
        certadm: &Path,
        name: &str,
        path: &Path,
        passphrase_file: &Path,
        size: u64,
    ) -> Result<Self> {
        let init = ["ca", "init", "--name", name, "--key", "p256", "--dir"].map(OsStr::new);
        let rest = [path.as_os_str(), "--passphrase-file".as_ref(), passphrase_file.as_os_str()];
        run(certadm, init.into_iter().chain(rest))?;
        let folder = Folder::new(path);
        let store = Store::open(&folder, FILLING)?;
        Self::fill(folder, store, size)
    }

    fn fill(folder: Folder, store: Store, size: u64) -> Result<Self> {
        let mut writer = store.writer()?;
        let database = store.database().to_owned();
        let mut next = 0;
        while std::fs::metadata(&database)?.len() < size {
            fill(&mut writer, next, BATCH)?;
            next += BATCH;
        }
        drop(writer);
        store.close()?;
        Ok(Self { folder })
    }

    /// Makes a failed request out of every certificate that was made up here; the CA's own stays.
    pub(crate) fn fail_all(&self) -> Result<()> {
        let store = Store::open(&self.folder, FILLING)?;
        let mut writer = store.writer()?;
        writer.commit(|transaction| {
            transaction.execute("UPDATE Requests SET Disposition = 30 WHERE Disposition = 20", [])?;
            Ok::<_, Error>(())
        })?;
        drop(writer);
        Ok(store.close()?)
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn database(&self) -> Result<PathBuf> {
        Ok(self.folder.database_path()?)
    }

    /// New certificates for one percent of the database's size.
    pub(crate) fn change_one_percent(&self) -> Result<()> {
        let rows = std::fs::metadata(self.database()?)?.len() / 100 / ROW_LEN;
        let store = Store::open(&self.folder, Options::default())?;
        let mut writer = store.writer()?;
        let first: u64 = writer
            .connection()
            .query_row("SELECT count(*) FROM Certificates", [], |row| row.get::<_, i64>(0))?
            .unsigned_abs();
        let mut done = 0;
        while done < rows {
            let now = (rows - done).min(BATCH);
            fill(&mut writer, first + done, now)?;
            done += now;
        }
        drop(writer);
        drop(store);
        Ok(())
    }
}

/// Inserts `count` certificates for RSA-2048 keys with their extensions; the blobs repeat themselves as DER does and differ
/// where keys and signatures do.
fn fill(writer: &mut Writer, first: u64, count: u64) -> Result<()> {
    let mut random = vec![0; 1104];
    writer.commit(|transaction| {
        let mut request = transaction.prepare_cached(
            "INSERT INTO Requests (RequestType, Disposition, SubmittedWhen, RequesterName, CommonName, RawRequest)
             VALUES (256, 20, ?1, 'bench', ?2, ?3)",
        )?;
        let mut certificate = transaction.prepare_cached(
            "INSERT INTO Certificates (RequestID, SerialNumber, NotBefore, NotAfter, CommonName, RawCertificate)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let mut extension = transaction.prepare_cached(
            "INSERT INTO CertificateExtensions (RequestID, ExtensionFlags, ExtensionName, ExtensionRawValue)
             VALUES (?1, 131072, ?2, ?3)",
        )?;
        let mut attribute = transaction.prepare_cached(
            "INSERT INTO RequestAttributes (RequestID, AttributeName, AttributeValue)
             VALUES (?1, 'CertificateTemplate', 'server')",
        )?;
        for number in first..first + count {
            getrandom::fill(&mut random).map_err(|_| Error::Closed)?;
            let name = format!("host{number:08}.bench.example");
            let when = i64::try_from(number).unwrap_or(0) + 133_000_000_000_000_000;
            request.execute(params![when, name, blob(&random[..528], 1100)])?;
            // As our CA makes them: the time, then bits at random.
            let mut serial = format!("{:010x}", number | (1 << 38));
            serial.extend(random[528..539].iter().map(|byte| format!("{byte:02x}")));
            let id = transaction.last_insert_rowid();
            certificate.execute(params![id, serial, when, when + 1, name, blob(&random[544..], 1500)])?;
            for (oid, len) in EXTENSIONS {
                extension.execute(params![id, oid, &random[..len]])?;
            }
            attribute.execute([id])?;
        }
        Ok::<_, Error>(())
    })?;
    Ok(())
}

/// A blob of `len` bytes: the random part, then structure that every blob shares.
fn blob(random: &[u8], len: usize) -> Vec<u8> {
    let mut bytes = random.to_vec();
    bytes.extend((bytes.len()..len).map(|place| u8::try_from(place % 251).unwrap_or(0)));
    bytes
}
