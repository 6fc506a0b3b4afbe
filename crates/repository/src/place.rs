//! Where a vault is: the `url` of its table in `repositories.toml`.

use std::fmt;
use std::path::{Path, PathBuf};

/// Where a vault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder of this machine, or one that is mounted.
    Folder(PathBuf),
    /// A bucket of S3, or of a service that speaks its language.
    Bucket(Bucket),
}

/// A bucket, or the part of one whose names begin with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What the names of all its objects begin with; may be empty.
    pub prefix: String,
    /// The service's address, such as `https://minio.corp.example`; `None` for Amazon's own.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// The file with the credentials; `None` for those of the machine that it runs on.
    pub credentials: Option<PathBuf>,
}

/// What a table says of a bucket beside its url.
#[derive(Clone, Debug, Default)]
pub(crate) struct BucketKeys {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) credentials: Option<PathBuf>,
}

impl BucketKeys {
    fn is_empty(&self) -> bool {
        self.endpoint.is_none() && self.region.is_none() && self.credentials.is_none()
    }
}

impl Place {
    /// Reads a url.
    ///
    /// # Errors
    /// A sentence.
    pub(crate) fn parse(url: &str, keys: BucketKeys) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("file://") {
            let path = PathBuf::from(path);
            if !path.is_absolute() {
                return Err("the folder is written in full: file:///srv/vault".to_owned());
            }
            return match keys.is_empty() {
                true => Ok(Self::Folder(path)),
                false => Err("endpoint, region and credentials-file are for s3:// alone".to_owned()),
            };
        }
        let Some(rest) = url.strip_prefix("s3://") else {
            let scheme = printed(url.split(':').next().unwrap_or_default());
            return Err(format!(
                "{scheme:?} is no storage of this version: write file:///FOLDER or s3://BUCKET/PREFIX"
            ));
        };
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = (3..=63).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte));
        if !is_name {
            return Err(format!("{:?} is no bucket's name", printed(name)));
        }
        let prefix = prefix.trim_end_matches('/');
        let is_part = |part: &str| {
            !part.is_empty()
                && !matches!(part, "." | "..")
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return Err(format!("{:?} is no prefix: write letters, digits, . _ - and /", printed(prefix)));
        }
        if let Some(endpoint) = &keys.endpoint {
            let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
            let is_host = |host: &str| {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
            };
            if !host.is_some_and(is_host) {
                return Err("the endpoint is a host, such as https://minio.corp.example".to_owned());
            }
        }
        Ok(Self::Bucket(Bucket {
            name: name.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: keys.endpoint,
            region: keys.region.unwrap_or_else(|| "us-east-1".to_owned()),
            credentials: keys.credentials,
        }))
    }

    /// The folder, where it is one.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Bucket(_) => None,
        }
    }
}

/// A word of a file in a message: no more than so many letters.
fn printed(word: &str) -> String {
    word.chars().take(64).collect()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Bucket(bucket) => f.write_str(&bucket.place(None)),
        }
    }
}

impl Bucket {
    /// The bucket and what is meant in it, for messages.
    #[must_use]
    pub fn place(&self, ca: Option<&str>) -> String {
        let parts = [self.prefix.as_str(), ca.unwrap_or_default()];
        let inside: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let at = self.endpoint.as_deref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        format!("s3://{}/{}{at}", self.name, inside.join("/"))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn keys(endpoint: &str) -> BucketKeys {
        BucketKeys { endpoint: Some(endpoint.to_owned()), ..BucketKeys::default() }
    }

    #[test]
    fn a_url_names_a_folder_or_a_bucket() {
        let folder = Place::parse("file:///srv/vault", BucketKeys::default()).unwrap();
        assert_eq!(folder.folder(), Some(Path::new("/srv/vault")));
        let Place::Bucket(bucket) =
            Place::parse("s3://pki-backups/certadm/", keys("https://minio:9000")).unwrap()
        else {
            panic!("a bucket")
        };
        assert_eq!((bucket.name.as_str(), bucket.prefix.as_str()), ("pki-backups", "certadm"));
        assert_eq!(bucket.place(Some("CA")), "s3://pki-backups/certadm/CA at https://minio:9000");
        for (wrong, keys) in [
            ("s3://", BucketKeys::default()),
            ("s3://UPPER", BucketKeys::default()),
            ("s3://bucket/../x", BucketKeys::default()),
            ("s3://bucket//x", BucketKeys::default()),
            ("s3://bucket", keys("minio")),
            ("s3://bucket", keys("https://user:secret@host")),
            ("s3://bucket", keys("https://host/path")),
            ("file:///x", keys("https://minio")),
            ("ftp://x", BucketKeys::default()),
        ] {
            assert!(Place::parse(wrong, keys).is_err(), "{wrong}");
        }
    }
}
