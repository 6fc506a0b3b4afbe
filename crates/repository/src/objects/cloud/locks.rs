//! Object Lock and versions of a bucket: requests that `object_store` does not make.

use std::io;

use bytes::Bytes;
use object_store::client::HttpResponse;
use object_store::path::Path as Key;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::CloudObjects;
use super::signed::{Asked, escaped, mode_of, path_of, seconds_of, sums, time_of};
use crate::objects::http::body_of;
use crate::objects::{Locks, ObjectError, Version};
use crate::place::Lock;

/// The namespace of what is sent to the service.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

impl CloudObjects {
    fn ask(&self, asked: &Asked<'_>) -> io::Result<HttpResponse> {
        self.signed_by()?.ask(asked)
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

    /// A request about a version. `what` of it is asked for.
    fn of_version<'a>(
        &self,
        method: &'a str,
        version: &Version,
        what: Option<&str>,
        body: Bytes,
    ) -> Asked<'a> {
        let id = (!version.id.is_empty()).then(|| format!("versionId={}", escaped(&version.id, b"-._~")));
        // A signature wants the parts of a query in their order.
        let query = what.map(str::to_owned).into_iter().chain(id).collect::<Vec<_>>().join("&");
        Asked { method, path: path_of(&self.key(&version.name)), query, headers: Vec::new(), body }
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

    fn locked_until(&self, version: &Version) -> Result<Option<i64>, ObjectError> {
        let asked = self.of_version("HEAD", version, None, Bytes::new());
        let told = self.ask(&asked).map_err(|error| ObjectError::new("look at", &version.name, error))?;
        let until = told.headers().get("x-amz-object-lock-retain-until-date");
        Ok(until.and_then(|until| seconds_of(until.to_str().ok()?)))
    }

    fn lock_until(&self, version: &Version, lock: &Lock, until: i64) -> Result<(), ObjectError> {
        let body: Bytes = format!(
            "<Retention xmlns=\"{NAMESPACE}\"><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            mode_of(lock),
            time_of(until)
        )
        .into();
        let headers = sums(&body);
        let asked = Asked { headers, ..self.of_version("PUT", version, Some("retention="), body) };
        self.ask(&asked).map(drop).map_err(|error| ObjectError::new("lock", &version.name, error))
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
        let removed = self.ask(&self.of_version("DELETE", version, None, Bytes::new())).map(drop);
        removed.map_err(|error| ObjectError::new("remove the marker of", &version.name, error))
    }

    fn bytes_of(&self, version: &Version) -> Result<Bytes, ObjectError> {
        let read = self.ask(&self.of_version("GET", version, None, Bytes::new())).and_then(body_of);
        read.map_err(|error| ObjectError::new("read a version of", &version.name, error))
    }

    fn put_over(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let put = self
            .signed_by()
            .and_then(|signed| signed.put(&self.key(name), content, self.lock.as_ref(), false));
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
                        (Some(version), "IsLatest", 3) => version.is_newest = part == "true",
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
        assert!(page.versions[0].is_newest && !page.versions[1].is_newest);
        assert_eq!(page.next, Some(("a/config".to_owned(), "v1".to_owned())));
        assert!(Page::read("<a><b></a>").is_err());
    }
}
