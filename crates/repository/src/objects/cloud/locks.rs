//! Object Lock and versions of a bucket: requests that `object_store` does not make, signed by it.

use std::io;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use object_store::HeaderValue;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequest, HttpResponse};
use object_store::path::Path as Key;
use quick_xml::Reader;
use quick_xml::events::Event;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::CloudObjects;
use crate::objects::http::{body_of, insist, wait};
use crate::objects::{Locks, ObjectError, Version};
use crate::place::{Lock, LockMode};

/// The namespace of what is sent to the service.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";
/// Seconds of a day.
const DAY: i64 = 86_400;

/// Makes signed requests to one bucket.
pub(super) struct Signed {
    client: HttpClient,
    credentials: AwsCredentialProvider,
    region: String,
    /// The bucket's URL.
    base: String,
}

/// What one request asks.
struct Asked<'a> {
    method: &'a str,
    /// Escaped, from the bucket on.
    path: String,
    /// Without the question mark.
    query: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Signed {
    pub(super) fn new(
        client: HttpClient,
        credentials: AwsCredentialProvider,
        region: &str,
        base: String,
    ) -> Self {
        Self { client, credentials, region: region.to_owned(), base }
    }

    fn ask(&self, asked: &Asked<'_>) -> io::Result<HttpResponse> {
        let credential = wait(self.credentials.get_credential()).map_err(super::io_of)?;
        let response = insist(&self.client, &|| {
            let mut request = HttpRequest::new(asked.body.clone().into());
            *request.method_mut() = asked.method.parse().map_err(io::Error::other)?;
            let mark = if asked.query.is_empty() { "" } else { "?" };
            let url = format!("{}/{}{mark}{}", self.base, asked.path, asked.query);
            *request.uri_mut() = url.parse().map_err(io::Error::other)?;
            for (name, value) in &asked.headers {
                let value: HeaderValue = value.parse().map_err(io::Error::other)?;
                request.headers_mut().insert(*name, value);
            }
            let signed =
                AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None);
            signed.map_err(super::io_of)?;
            Ok(request)
        })?;
        match response.status().as_u16() {
            200..=299 => Ok(response),
            status => {
                let told = body_of(response).unwrap_or_default();
                let told = String::from_utf8_lossy(&told);
                let part = |tag: &str| {
                    let behind = told.split_once(&format!("<{tag}>"))?.1;
                    Some(behind.split_once('<')?.0.chars().take(200).collect::<String>())
                };
                let text =
                    [part("Code"), part("Message")].into_iter().flatten().collect::<Vec<_>>().join(": ");
                let kind = match status {
                    403 | 401 => io::ErrorKind::PermissionDenied,
                    404 => io::ErrorKind::NotFound,
                    409 | 412 => io::ErrorKind::AlreadyExists,
                    501 | 405 => io::ErrorKind::Unsupported,
                    _ => io::ErrorKind::Other,
                };
                Err(io::Error::new(kind, format!("the service answers {status} {text}")))
            }
        }
    }
}

/// The headers that tell the service what it has to receive. A bucket with locks wants the name of the sum beside it.
fn sums(body: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
        ("x-amz-checksum-sha256", Base64::encode_string(&Sha256::digest(body))),
    ]
}

fn path_of(key: &Key) -> String {
    escaped(key.as_ref(), b"-._~/")
}

/// With all other bytes as `%` and two digits, as signatures want it.
fn escaped(text: &str, plain: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn time_of(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(&Rfc3339).unwrap_or_default()
}

fn seconds_of(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(OffsetDateTime::unix_timestamp)
}

const fn mode_of(lock: &Lock) -> &'static str {
    match lock.mode {
        LockMode::Compliance => "COMPLIANCE",
        LockMode::Governance => "GOVERNANCE",
    }
}

impl CloudObjects {
    fn ask(&self, asked: &Asked<'_>) -> io::Result<HttpResponse> {
        let not_s3 = || io::Error::new(io::ErrorKind::Unsupported, "only buckets of S3 have locks here");
        self.signed.as_ref().ok_or_else(not_s3)?.ask(asked)
    }

    /// Stores an object with a lock where there is none of that name.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], and what the service says.
    pub(super) fn put_locked(&self, name: &str, parts: &[Bytes], lock: &Lock) -> io::Result<()> {
        self.put_version(name, parts.concat().into(), Some(lock), true)
    }

    fn put_version(&self, name: &str, body: Bytes, lock: Option<&Lock>, only_new: bool) -> io::Result<()> {
        let mut headers = sums(&body);
        if let Some(lock) = lock {
            let until = OffsetDateTime::now_utc().unix_timestamp() + i64::from(lock.days) * DAY;
            headers.push(("x-amz-object-lock-mode", mode_of(lock).to_owned()));
            headers.push(("x-amz-object-lock-retain-until-date", time_of(until)));
        }
        if only_new {
            headers.push(("if-none-match", "*".to_owned()));
        }
        let path = path_of(&self.key(name));
        self.ask(&Asked { method: "PUT", path, query: String::new(), headers, body }).map(drop)
    }

    fn page(&self, after: Option<&(String, String)>) -> io::Result<Page> {
        let prefix = match self.root.as_ref() {
            "" => String::new(),
            root => format!("{root}/"),
        };
        // A signature wants the parts of a query in their order.
        let mut query = vec![format!("prefix={}", escaped(&prefix, b"-._~")), "versions=".to_owned()];
        if let Some((key, version)) = after {
            query.push(format!("key-marker={}", escaped(key, b"-._~")));
            query.push(format!("version-id-marker={}", escaped(version, b"-._~")));
        }
        query.sort();
        let (path, query, headers) = (String::new(), query.join("&"), Vec::new());
        let response = self.ask(&Asked { method: "GET", path, query, headers, body: Bytes::new() })?;
        let body = body_of(response)?;
        let text = std::str::from_utf8(&body).map_err(io::Error::other)?;
        Page::read(text)
    }

    fn own_name(&self, key: &str) -> Option<String> {
        let key = Key::parse(key).ok()?;
        let parts: Vec<String> = key.prefix_match(&self.root)?.map(|part| part.as_ref().to_owned()).collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    }
}

impl Locks for CloudObjects {
    fn lock(&self) -> Option<Lock> {
        self.lock
    }

    fn is_possible(&self) -> Result<bool, ObjectError> {
        let asked = Asked {
            method: "GET",
            path: String::new(),
            query: "object-lock=".to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        match self.ask(&asked).and_then(body_of) {
            Ok(told) => Ok(String::from_utf8_lossy(&told).contains("<ObjectLockEnabled>Enabled<")),
            // ObjectLockConfigurationNotFoundError
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(ObjectError::new("ask for the lock of", &self.place, error)),
        }
    }

    fn locked_until(&self, name: &str) -> Result<Option<i64>, ObjectError> {
        let path = path_of(&self.key(name));
        let (query, headers) = (String::new(), Vec::new());
        let told = self.ask(&Asked { method: "HEAD", path, query, headers, body: Bytes::new() });
        let told = told.map_err(|error| ObjectError::new("look at", name, error))?;
        let until = told.headers().get("x-amz-object-lock-retain-until-date");
        Ok(until.and_then(|until| seconds_of(until.to_str().ok()?)))
    }

    fn lock_until(&self, name: &str, lock: &Lock, until: i64) -> Result<(), ObjectError> {
        let body: Bytes = format!(
            "<Retention xmlns=\"{NAMESPACE}\"><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            mode_of(lock),
            time_of(until)
        )
        .into();
        let asked = Asked {
            method: "PUT",
            path: path_of(&self.key(name)),
            query: "retention=".to_owned(),
            headers: sums(&body),
            body,
        };
        self.ask(&asked).map(drop).map_err(|error| ObjectError::new("lock", name, error))
    }

    fn versions(&self) -> Result<Vec<Version>, ObjectError> {
        let failed = |error| ObjectError::new("list the versions in", &self.place, error);
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.page(after.as_ref()).map_err(failed)?;
            for mut version in page.versions {
                if let Some(name) = self.own_name(&version.name) {
                    version.name = name;
                    found.push(version);
                }
            }
            match page.next {
                // A service that names the same place again would be asked for ever.
                Some(next) if after.as_ref() != Some(&next) => after = Some(next),
                Some(_) => return Err(failed(io::Error::other("the service's list does not go on"))),
                None => return Ok(found),
            }
        }
    }

    fn remove_marker(&self, version: &Version) -> Result<(), ObjectError> {
        let asked = Asked {
            method: "DELETE",
            path: path_of(&self.key(&version.name)),
            query: format!("versionId={}", escaped(&version.id, b"-._~")),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let removed = self.ask(&asked).map(drop);
        removed.map_err(|error| ObjectError::new("remove the marker of", &version.name, error))
    }

    fn bytes_of(&self, version: &Version) -> Result<Bytes, ObjectError> {
        let asked = Asked {
            method: "GET",
            path: path_of(&self.key(&version.name)),
            query: format!("versionId={}", escaped(&version.id, b"-._~")),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let read = self.ask(&asked).and_then(body_of);
        read.map_err(|error| ObjectError::new("read an earlier version of", &version.name, error))
    }

    fn put_over(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let put = self.put_version(name, content, self.lock.as_ref(), false);
        put.map_err(|error| ObjectError::new("bring back", name, error))
    }
}

/// One page of a list of versions.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    versions: Vec<Version>,
    next: Option<(String, String)>,
}

impl Page {
    fn read(text: &str) -> io::Result<Self> {
        let wrong =
            |detail: &str| io::Error::new(io::ErrorKind::InvalidData, format!("the service's list {detail}"));
        let mut reader = Reader::from_str(text);
        let mut page = Self::default();
        let (mut next, mut more) = ((String::new(), String::new()), false);
        let mut tags: Vec<String> = Vec::new();
        let mut version: Option<Version> = None;
        loop {
            match reader.read_event().map_err(|error| wrong(&format!("cannot be read: {error}")))? {
                Event::Start(start) => {
                    let tag = start.local_name().as_ref().to_owned();
                    if matches!(tag.as_str(), "Version" | "DeleteMarker") {
                        let is_marker = tag == "DeleteMarker";
                        version = Some(Version { is_marker, ..Version::default() });
                    }
                    tags.push(tag);
                }
                Event::End(_) => {
                    if matches!(tags.pop().as_deref(), Some("Version" | "DeleteMarker")) {
                        page.versions.extend(version.take());
                    }
                }
                Event::Text(part) => {
                    let part: &str = &part;
                    let tag = tags.last().map(String::as_str).unwrap_or_default();
                    match (&mut version, tag, tags.len()) {
                        (Some(version), "Key", 3) => version.name.push_str(part),
                        (Some(version), "VersionId", 3) => version.id.push_str(part),
                        (Some(version), "LastModified", 3) => {
                            let since = seconds_of(part);
                            version.since = since.ok_or_else(|| wrong("has a time that is none"))?;
                        }
                        (None, "IsTruncated", 2) => more = part == "true",
                        (None, "NextKeyMarker", 2) => next.0.push_str(part),
                        (None, "NextVersionIdMarker", 2) => next.1.push_str(part),
                        _ => {}
                    }
                }
                Event::Eof => break,
                _ => {}
            }
        }
        page.next = more.then_some(next);
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_versions_is_read_in_its_order() {
        let text = "<?xml version=\"1.0\"?><ListVersionsResult xmlns=\"x\"><IsTruncated>true</IsTruncated>\
             <NextKeyMarker>a/config</NextKeyMarker><NextVersionIdMarker>v1</NextVersionIdMarker>\
             <DeleteMarker><Key>a/config</Key><VersionId>v2</VersionId><IsLatest>true</IsLatest>\
             <LastModified>2026-11-28T01:00:00.000Z</LastModified><Owner><ID>Key</ID></Owner></DeleteMarker>\
             <Version><Key>a/config</Key><VersionId>v1</VersionId><LastModified>2026-11-28T00:00:00Z</LastModified>\
             <ETag>&quot;x&quot;</ETag></Version></ListVersionsResult>";
        let page = Page::read(text).unwrap();
        let told: Vec<_> =
            page.versions.iter().map(|version| (version.id.as_str(), version.is_marker)).collect();
        assert_eq!(told, [("v2", true), ("v1", false)]);
        assert_eq!(page.versions[0].since - page.versions[1].since, 3600);
        assert_eq!(page.next, Some(("a/config".to_owned(), "v1".to_owned())));
        assert!(Page::read("<a><b></a>").is_err());
    }

    #[test]
    fn a_key_is_escaped_as_signatures_want_it() {
        assert_eq!(path_of(&Key::from_iter(["Drill CA", "data"])), "Drill%20CA/data");
        assert_eq!(escaped("a+b=/", b"-._~"), "a%2Bb%3D%2F");
    }
}
