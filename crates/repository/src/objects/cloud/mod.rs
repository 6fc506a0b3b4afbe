//! Objects in a bucket: of S3, or of a service that speaks its language, of Google, or in a container of Azure.

mod locks;
mod signed;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certadm_files::read;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::client::HttpConnector;
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::path::{Path as Key, PathPart};
use object_store::{
    ClientOptions, Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutPayload, RetryConfig,
};
use zeroize::Zeroizing;

use self::signed::Signed;
use super::http::{Connector, io_of, io_of_list, wait};
use super::{Locks, ObjectError, Objects};
use crate::generation;
use crate::place::{Bucket, Lock, Service};

/// No file with credentials is longer, in bytes.
const MAX_FILE: u64 = 4096;
/// A request that fails is made again so often.
const RETRIES: usize = 8;
/// But not for longer than this.
const PATIENCE: Duration = Duration::from_secs(120);

/// A part of a bucket.
pub struct CloudObjects {
    store: Arc<dyn ObjectStore>,
    /// For what is asked of S3 beside objects.
    signed: Option<Signed>,
    lock: Option<Lock>,
    root: Key,
    place: String,
}

/// Without the store, which has the credentials.
impl fmt::Debug for CloudObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudObjects").field("place", &self.place).finish_non_exhaustive()
    }
}

impl CloudObjects {
    /// The repository of a CA in a bucket; the vault itself where there is none. Nothing is asked yet.
    ///
    /// # Errors
    /// When the file with the credentials cannot be used, or the bucket's name or address is none.
    pub(crate) fn new(bucket: &Bucket, ca: Option<&str>) -> Result<Self, ObjectError> {
        let place = bucket.place(ca);
        let failed = |source| ObjectError::new("open", &place, source);
        let (store, signed): (Arc<dyn ObjectStore>, _) = match &bucket.service {
            Service::S3 { .. } => {
                let (store, signed) = s3(bucket).map_err(failed)?;
                (Arc::new(store), Some(signed))
            }
            Service::Azure { account } => (Arc::new(azure(bucket, account).map_err(failed)?), None),
            Service::Google => (Arc::new(google(bucket).map_err(failed)?), None),
        };
        let prefix = bucket.prefix.split('/').filter(|part| !part.is_empty()).map(PathPart::from);
        let root = Key::from_iter(prefix.chain(ca.map(PathPart::from)));
        Ok(Self { store, signed, lock: bucket.lock, root, place })
    }

    /// The names below it that hold a repository, of those that `fits` is true for. A bucket may hold other things beside them.
    ///
    /// # Errors
    /// When the bucket cannot be listed.
    pub(crate) fn repositories(&self, fits: &dyn Fn(&str) -> bool) -> Result<Vec<String>, ObjectError> {
        let failed = |error| ObjectError::new("list", &self.place, error);
        let listed = wait(self.store.list_with_delimiter(Some(&self.root)));
        let listed = listed.map_err(io_of_list).map_err(failed)?;
        let mut names = Vec::new();
        for name in listed.common_prefixes.iter().filter_map(|key| decoded(key.filename()?)) {
            if !fits(&name) {
                continue;
            }
            let config = match self.head(&format!("{name}/config")) {
                Err(StoreError::NotFound { .. }) => Ok(false),
                found => found.map(|_| true).map_err(io_of),
            };
            if generation::counts(&name, config).map_err(failed)? {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Whether the service takes the credentials. A bucket that is not there is not their fault.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn credentials(&self) -> Result<String, ObjectError> {
        match self.bucket() {
            Err(error) if !error.is_no_bucket() => Err(ObjectError { action: "sign in to", ..error }),
            _ => Ok("the service takes them".to_owned()),
        }
    }

    /// Whether the bucket is there.
    ///
    /// # Errors
    /// When it is not, or cannot be listed.
    pub(crate) fn bucket(&self) -> Result<String, ObjectError> {
        let listed = wait(self.store.list_with_delimiter(Some(&self.root)));
        let listed = listed.map_err(|error| ObjectError::new("list", &self.place, io_of_list(error)));
        listed.map(|_| "it is there".to_owned())
    }

    fn signed_by(&self) -> io::Result<&Signed> {
        let not_s3 = || io::Error::new(io::ErrorKind::Unsupported, "only buckets of S3 have locks here");
        self.signed.as_ref().ok_or_else(not_s3)
    }

    fn key(&self, name: &str) -> Key {
        Key::from_iter(self.root.parts().chain(name.split('/').map(PathPart::from)))
    }

    fn store(&self, name: &str, payload: PutPayload) -> Result<(), StoreError> {
        // One request: the service itself refuses what is there already.
        wait(self.store.put_opts(&self.key(name), payload, PutMode::Create.into())).map(drop)
    }

    fn head(&self, name: &str) -> Result<ObjectMeta, StoreError> {
        wait(self.store.head(&self.key(name)))
    }

    fn listed(&self, folder: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let found: Vec<ObjectMeta> = wait(self.store.list(Some(&self.key(folder))).try_collect())?;
        let own = |meta: ObjectMeta| {
            let parts: Vec<String> =
                meta.location.prefix_match(&self.root)?.map(|part| part.as_ref().to_owned()).collect();
            Some((parts.join("/"), meta.size))
        };
        Ok(found.into_iter().filter_map(own).collect())
    }

    fn read_range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let range = GetRange::Bounded(offset..offset.saturating_add(len));
        let options = GetOptions { range: Some(range), ..GetOptions::default() };
        wait(async { self.store.get_opts(&self.key(name), options).await?.bytes().await })
    }
}

impl Objects for CloudObjects {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        let failed = |error| ObjectError::new("write", name, error);
        let put = match self.lock {
            // Notes come and go.
            Some(lock) if !name.starts_with("certadm/") => self
                .signed_by()
                .and_then(|signed| signed.put(&self.key(name), parts.concat().into(), Some(&lock), true)),
            _ => self.store(name, PutPayload::from_iter(parts.iter().cloned())).map_err(io_of),
        };
        match put {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let there = self.head(name).map_err(|error| failed(io_of(error)))?.size;
                let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
                // Objects are named after their content. Also an answer that was lost ends here.
                match there == len && name != "config" {
                    true => Ok(()),
                    false => Err(failed(io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        format!("one of {there} bytes is there already"),
                    ))),
                }
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        let stored = self.store(name, Bytes::copy_from_slice(content).into());
        stored.map_err(|error| ObjectError::new("write", name, io_of(error)))
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        let found = self.head(name).map_err(|error| ObjectError::new("look at", name, io_of(error)))?;
        Ok(found.last_modified.timestamp())
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        let got = wait(async { self.store.get(&self.key(name)).await?.bytes().await });
        got.map_err(|error| ObjectError::new("read", name, io_of(error)))
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        let error = match self.read_range(name, offset, len) {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        // Behind the end there is nothing, which is no error.
        match self.len(name)? {
            Some(there) if there <= offset => Ok(Bytes::new()),
            _ => Err(ObjectError::new("read", name, io_of(error))),
        }
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        match self.head(name) {
            Ok(found) => Ok(Some(found.size)),
            Err(StoreError::NotFound { .. }) => {
                // A bucket that is gone answers the same; asked for a list it says so.
                if name == "config" {
                    self.list("keys")?;
                }
                Ok(None)
            }
            Err(error) => {
                let error = io_of(error);
                // The answer has no body. A list is refused with one, which may name the clock.
                if name == "config" && error.kind() == io::ErrorKind::PermissionDenied {
                    self.list("keys")?;
                }
                Err(ObjectError::new("look at", name, error))
            }
        }
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        self.listed(folder).map_err(|error| ObjectError::new("list", folder, io_of_list(error)))
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        match wait(self.store.delete(&self.key(name))) {
            Ok(()) | Err(StoreError::NotFound { .. }) => Ok(()),
            Err(error) => Err(ObjectError::new("delete", name, io_of(error))),
        }
    }

    fn locks(&self) -> Option<&dyn Locks> {
        self.signed.is_some().then_some(self)
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

fn retry() -> RetryConfig {
    RetryConfig { max_retries: RETRIES, retry_timeout: PATIENCE, ..RetryConfig::default() }
}

/// A bucket of S3. Nothing is taken from the environment, where secrets do not belong.
fn s3(bucket: &Bucket) -> io::Result<(AmazonS3, Signed)> {
    let region = bucket.region();
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_region(region)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_retry(retry())
        .with_disable_bulk_delete(true)
        .with_http_connector(Connector);
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(file) = &bucket.credentials {
        let credentials = Credentials::read(file)?;
        builder = builder
            .with_access_key_id(credentials.id.as_str())
            .with_secret_access_key(credentials.secret.as_str());
        if let Some(token) = &credentials.token {
            builder = builder.with_token(token.as_str());
        }
    }
    let store = builder.build().map_err(io_of)?;
    let client = Connector.connect(&ClientOptions::new()).map_err(io_of)?;
    let base = format!("{}/{}", bucket.address(), bucket.name);
    let signed = Signed::new(client, Arc::clone(store.credentials()), region, base);
    Ok((store, signed))
}

/// A container of Azure: with an access key of the account, or with the identity that Azure gave this machine.
fn azure(bucket: &Bucket, account: &str) -> io::Result<MicrosoftAzure> {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(&bucket.name)
        .with_retry(retry())
        .with_http_connector(Connector);
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_endpoint(endpoint.clone()).with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(file) = &bucket.credentials {
        let bytes = Zeroizing::new(read::bounded(file, MAX_FILE).map_err(io::Error::other)?);
        let key = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        if key.is_empty() || key.lines().count() != 1 {
            let text = format!("{} has no access key: write it on one line", file.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        builder = builder.with_access_key(key);
    }
    builder.build().map_err(io_of)
}

/// A bucket of Google: with the file of a service account, or with the account that Google gave this machine.
fn google(bucket: &Bucket) -> io::Result<GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&bucket.name)
        .with_retry(retry())
        .with_http_connector(Connector);
    if let Some(endpoint) = &bucket.endpoint {
        builder = builder.with_base_url(endpoint);
    }
    if let Some(file) = &bucket.credentials {
        let bytes = Zeroizing::new(read::bounded(file, MAX_FILE).map_err(io::Error::other)?);
        builder = builder.with_service_account_key(std::str::from_utf8(&bytes).unwrap_or_default());
    }
    builder.build().map_err(|error| match bucket.credentials {
        // What a file holds is in no message.
        Some(_) => {
            io::Error::new(io::ErrorKind::InvalidData, "the credentials-file is no key of a service account")
        }
        None => io_of(error),
    })
}

/// What a file with credentials of S3 holds: the id of the key, the secret key and perhaps a token, each on a line of its own; or the
/// file of other tools, with `aws_access_key_id = ...`.
struct Credentials {
    id: Zeroizing<String>,
    secret: Zeroizing<String>,
    token: Option<Zeroizing<String>>,
}

impl Credentials {
    fn read(file: &Path) -> io::Result<Self> {
        let bytes = Zeroizing::new(read::bounded(file, MAX_FILE).map_err(io::Error::other)?);
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        Self::parse(text).ok_or_else(|| {
            let text = format!(
                "{} has no credentials: write the key's id on the first line, and the secret key on the second",
                file.display()
            );
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with(['#', '[']))
            .collect();
        let named = |key: &str| {
            lines.iter().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                (name.trim() == key).then(|| value.trim().to_owned())
            })
        };
        let plain = |place: usize| lines.get(place).map(|line| (*line).to_owned());
        let has_names = named("aws_access_key_id").is_some();
        let take = |key, place| if has_names { named(key) } else { plain(place) };
        Some(Self {
            id: take("aws_access_key_id", 0)?.into(),
            secret: take("aws_secret_access_key", 1)?.into(),
            token: take("aws_session_token", 2).map(Zeroizing::new),
        })
    }
}

/// The name in a part of a key, where some letters stand as `%` and two digits.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().filter(|name| certadm_rules::names::is_safe_component(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stand_on_lines_or_under_names() {
        let read = |text| {
            Credentials::parse(text)
                .map(|read| (read.id.to_string(), read.secret.to_string(), read.token.is_some()))
        };
        let pair = |token| Some(("ID".to_owned(), "a/b+c=".to_owned(), token));
        assert_eq!(read("ID\na/b+c=\n"), pair(false));
        assert_eq!(read("# mine\n\nID\r\na/b+c=\r\ntoken\n"), pair(true));
        let named = "[default]\naws_access_key_id = ID\naws_secret_access_key=a/b+c=\n";
        assert_eq!(read(named), pair(false));
        for wrong in ["", "ID", "aws_access_key_id = ID", "[default]\n"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_comes_back_from_its_key() {
        for name in ["Example CA", "CA !00281!0029", "ä", "100%"] {
            assert_eq!(decoded(PathPart::from(name).as_ref()).as_deref(), Some(name));
        }
        for wrong in ["%", "%4", "%zz", "%ff", "%2e%2e"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
