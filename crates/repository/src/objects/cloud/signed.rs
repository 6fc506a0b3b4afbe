//! Requests to a bucket of S3 that `object_store` does not make, signed by it.

use std::io;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use certadm_rules::FileTime;
use object_store::HeaderValue;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::client::{HttpClient, HttpRequest, HttpResponse};
use object_store::path::Path as Key;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use crate::objects::http::{answered, body_of, insist, io_of, wait};
use crate::place::{Lock, LockMode};

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
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    /// Escaped, from the bucket on.
    pub(super) path: String,
    /// Without the question mark.
    pub(super) query: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
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

    /// Makes one.
    ///
    /// # Errors
    /// What the service says.
    pub(super) fn ask(&self, asked: &Asked<'_>) -> io::Result<HttpResponse> {
        let credential = wait(self.credentials.get_credential()).map_err(io_of)?;
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
            signed.map_err(io_of)?;
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
                    400 => io::ErrorKind::InvalidInput,
                    403 | 401 => io::ErrorKind::PermissionDenied,
                    404 => io::ErrorKind::NotFound,
                    409 | 412 => io::ErrorKind::AlreadyExists,
                    501 | 405 => io::ErrorKind::Unsupported,
                    _ => io::ErrorKind::Other,
                };
                Err(answered(kind, format!("the service answers {status} {text}")))
            }
        }
    }
}

impl Signed {
    /// Stores an object, with a lock if there is one. `only_new` keeps what is there.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], and what the service says.
    pub(super) fn put(&self, key: &Key, body: Bytes, lock: Option<&Lock>, only_new: bool) -> io::Result<()> {
        let mut headers = sums(&body);
        if let Some(lock) = lock {
            let until = OffsetDateTime::now_utc().unix_timestamp() + i64::from(lock.days) * DAY;
            headers.push(("x-amz-object-lock-mode", mode_of(lock).to_owned()));
            headers.push(("x-amz-object-lock-retain-until-date", time_of(until)));
        }
        if only_new {
            headers.push(("if-none-match", "*".to_owned()));
        }
        let (path, query) = (path_of(key), String::new());
        self.ask(&Asked { method: "PUT", path, query, headers, body }).map(drop)
    }
}

/// The headers that tell the service what it has to receive. A bucket with locks wants the name of the sum beside it.
pub(super) fn sums(body: &[u8]) -> Vec<(&'static str, String)> {
    vec![
        ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
        ("x-amz-checksum-sha256", Base64::encode_string(&Sha256::digest(body))),
    ]
}

pub(super) fn path_of(key: &Key) -> String {
    escaped(key.as_ref(), b"-._~/")
}

/// With all other bytes as `%` and two digits, as signatures want it.
pub(super) fn escaped(text: &str, plain: &[u8]) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            true => out.push(char::from(byte)),
            false => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

pub(super) fn time_of(seconds: i64) -> String {
    FileTime::from_unix_seconds(seconds).to_rfc3339()
}

pub(super) fn seconds_of(text: &str) -> Option<i64> {
    FileTime::from_rfc3339(text).map(FileTime::unix_seconds)
}

pub(super) const fn mode_of(lock: &Lock) -> &'static str {
    match lock.mode {
        LockMode::Compliance => "COMPLIANCE",
        LockMode::Governance => "GOVERNANCE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_escaped_as_signatures_want_it() {
        assert_eq!(path_of(&Key::from_iter(["Drill CA", "data"])), "Drill%20CA/data");
        assert_eq!(escaped("a+b=/", b"-._~"), "a%2Bb%3D%2F");
    }
}
