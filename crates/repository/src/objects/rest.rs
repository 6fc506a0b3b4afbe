//! Objects at a server of restic's REST protocol, such as rest-server or `rclone serve restic`. What is special about them
//! is that they can be told to append only: whoever has this machine's credentials then deletes and changes nothing.
//!
//! The protocol knows the files of a repository alone, so nobody's turn to delete can be noted there, and no proof of a
//! state. It lists no repositories, either. Sets expire where the server has its files.

use std::fmt;
use std::io;
use std::path::Path;

use base64ct::{Base64, Encoding};
use bytes::Bytes;
use certadm_files::read;
use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody, HttpResponse};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use zeroize::Zeroizing;

use super::http::{Connector, body_of, insist};
use super::{MAX_OBJECT, ObjectError, Objects};
use crate::place::Server;

/// The second version of lists, which has lengths.
const LISTS: &str = "application/vnd.x.restic.rest.v2";
/// What the protocol has: everything else has no name there.
const FOLDERS: [&str; 5] = ["data", "index", "keys", "locks", "snapshots"];
/// No file with credentials is longer, in bytes.
const MAX_FILE: u64 = 4096;
/// The repository of a CA at a server.
pub struct RestObjects {
    client: HttpClient,
    base: String,
    authorization: Option<Zeroizing<String>>,
    place: String,
}

/// Without the credentials.
impl fmt::Debug for RestObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestObjects").field("place", &self.place).finish_non_exhaustive()
    }
}

/// One line of a list.
#[derive(Deserialize)]
struct Listed {
    name: String,
    size: u64,
}

impl RestObjects {
    /// The repository of a CA at a server; the vault itself where there is none. Nothing is asked yet.
    ///
    /// # Errors
    /// When the file with the credentials cannot be used.
    pub(crate) fn new(server: &Server, ca: Option<&str>) -> Result<Self, ObjectError> {
        let place = server.place(ca);
        let failed = |source| ObjectError::new("open", &place, source);
        let client =
            Connector.connect(&ClientOptions::new()).map_err(|error| failed(io::Error::other(error)))?;
        let authorization = match &server.credentials {
            Some(file) => Some(authorization(file).map_err(failed)?),
            None => None,
        };
        let mut base = server.url.trim_end_matches('/').to_owned();
        if let Some(ca) = ca {
            base = format!("{base}/{}", escaped(ca));
        }
        Ok(Self { client, base, authorization, place })
    }

    /// Asks until there is an answer that is one. Each request of the protocol may be made again: names tell contents.
    fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, String)],
        parts: &[Bytes],
    ) -> io::Result<HttpResponse> {
        insist(&self.client, &|| self.request(method, path, headers, parts))
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, String)],
        parts: &[Bytes],
    ) -> io::Result<HttpRequest> {
        let body = match parts {
            [] => HttpRequestBody::empty(),
            [one] => one.clone().into(),
            several => several.concat().into(),
        };
        let mut request = HttpRequest::new(body);
        *request.method_mut() = method.parse().map_err(io::Error::other)?;
        *request.uri_mut() = format!("{}/{path}", self.base).parse().map_err(io::Error::other)?;
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().map_err(io::Error::other)?);
        }
        if let Some(authorization) = &self.authorization {
            let mut value: object_store::HeaderValue = authorization.parse().map_err(io::Error::other)?;
            value.set_sensitive(true);
            request.headers_mut().insert("authorization", value);
        }
        Ok(request)
    }

    fn head(&self, name: &str) -> io::Result<Option<HttpResponse>> {
        let response = self.ask("HEAD", &path_of(name)?, &[], &[])?;
        match response.status().as_u16() {
            200 => Ok(Some(response)),
            404 => Ok(None),
            _ => Err(refused(&response)),
        }
    }

    fn length(&self, name: &str) -> io::Result<Option<u64>> {
        let Some(response) = self.head(name)? else { return Ok(None) };
        let told = response.headers().get("content-length").and_then(|len| len.to_str().ok()?.parse().ok());
        told.map(Some).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the server tells no length"))
    }

    fn store(&self, name: &str, parts: &[Bytes]) -> io::Result<()> {
        let path = path_of(name)?;
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if is_there(self.length(name)?, len, name)? {
            return Ok(());
        }
        if name.starts_with("keys/") {
            // Some servers make the folders of a repository when they are told to, and some by themselves.
            self.ask("POST", "?create=true", &[], &[])?;
        }
        let response =
            self.ask("POST", &path, &[("content-type", "application/octet-stream".to_owned())], parts)?;
        match response.status().as_u16() {
            200 | 201 => match self.length(name)? {
                Some(there) if there == len => Ok(()),
                there => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("of {len} bytes, the server has {}", there.unwrap_or_default()),
                )),
            },
            // Also an answer that was lost ends here: the server has it by now, and replaces nothing.
            _ if is_there(self.length(name)?, len, name)? => Ok(()),
            _ => Err(refused(&response)),
        }
    }

    fn read(&self, name: &str) -> io::Result<Bytes> {
        let response = self.ask("GET", &path_of(name)?, &[], &[])?;
        match response.status().as_u16() {
            200 => body_of(response),
            _ => Err(refused(&response)),
        }
    }

    fn read_range(&self, name: &str, offset: u64, len: u64) -> io::Result<Bytes> {
        // Not every server knows what to say of a part that begins behind the end.
        let there = self.length(name)?.ok_or(io::ErrorKind::NotFound)?;
        let len = len.min(there.saturating_sub(offset)).min(MAX_OBJECT);
        if len == 0 {
            return Ok(Bytes::new());
        }
        let range = format!("bytes={offset}-{}", offset + len - 1);
        let response = self.ask("GET", &path_of(name)?, &[("range", range)], &[])?;
        let status = response.status().as_u16();
        let body = match status {
            200 | 206 => body_of(response)?,
            _ => return Err(refused(&response)),
        };
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let body = match status {
            200 => body.slice(whole(offset).min(body.len())..whole(offset + len).min(body.len())),
            _ => body,
        };
        match body.len() == whole(len) {
            true => Ok(body),
            false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server sent less than it has")),
        }
    }

    fn listed(&self, folder: &str) -> io::Result<Vec<(String, u64)>> {
        if !FOLDERS.contains(&folder) {
            return Ok(Vec::new());
        }
        let response = self.ask("GET", &format!("{folder}/"), &[("accept", LISTS.to_owned())], &[])?;
        match response.status().as_u16() {
            200 => {}
            404 => return Ok(Vec::new()),
            _ => return Err(refused(&response)),
        }
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if kind != Some(LISTS) {
            let text = "the server's lists have no lengths: it speaks an old version of the protocol, or another one";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let body = body_of(response)?;
        let listed: Vec<Listed> = serde_json::from_slice(&body)?;
        let name_of = |name: &str| match folder {
            "data" => format!("data/{}/{name}", name.get(..2).unwrap_or_default()),
            _ => format!("{folder}/{name}"),
        };
        Ok(listed.iter().map(|listed| (name_of(&listed.name), listed.size)).collect())
    }

    fn time(&self) -> io::Result<i64> {
        let response = self.ask("HEAD", "config", &[], &[])?;
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let told = date.and_then(|date| OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).ok());
        let untold = || io::Error::new(io::ErrorKind::Unsupported, "the server does not say what time it is");
        told.map(OffsetDateTime::unix_timestamp).ok_or_else(untold)
    }
}

impl Objects for RestObjects {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        self.store(name, parts).map_err(|error| ObjectError::new("write", name, error))
    }

    fn create(&self, name: &str, _content: &[u8]) -> Result<(), ObjectError> {
        Err(ObjectError::new("write", name, not_of_the_protocol()))
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        Err(ObjectError::new("look at", name, not_of_the_protocol()))
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.read(name).map_err(|error| ObjectError::new("read", name, error))
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.read_range(name, offset, len).map_err(|error| ObjectError::new("read", name, error))
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        self.length(name).map_err(|error| ObjectError::new("look at", name, error))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        self.listed(folder).map_err(|error| ObjectError::new("list", folder, error))
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        let deleted = path_of(name).and_then(|path| self.ask("DELETE", &path, &[], &[]));
        let deleted = deleted.and_then(|response| match response.status().as_u16() {
            200 | 204 | 404 => Ok(()),
            _ => Err(refused(&response)),
        });
        deleted.map_err(|error| ObjectError::new("delete", name, error))
    }

    fn clock(&self, _random: &str) -> Result<i64, ObjectError> {
        self.time().map_err(|error| ObjectError::new("look at", "config", error))
    }

    fn has_notes(&self) -> bool {
        false
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

/// Whether an object is there already. Objects are named after their content.
fn is_there(found: Option<u64>, len: u64, name: &str) -> io::Result<bool> {
    match found {
        None => Ok(false),
        Some(there) if there == len && name != "config" => Ok(true),
        Some(there) => {
            let text = format!("one of {there} bytes is there already");
            Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
        }
    }
}

/// Where the protocol has an object.
///
/// # Errors
/// When it has none of that kind.
fn path_of(name: &str) -> io::Result<String> {
    match name.split_once('/') {
        None if name == "config" => Ok(name.to_owned()),
        Some(("data", rest)) => Ok(format!("data/{}", rest.rsplit('/').next().unwrap_or(rest))),
        Some((folder, own)) if FOLDERS.contains(&folder) => Ok(format!("{folder}/{own}")),
        _ => Err(not_of_the_protocol()),
    }
}

fn not_of_the_protocol() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "restic's protocol has no such object")
}

fn refused(response: &HttpResponse) -> io::Error {
    let status = response.status();
    let (kind, text) = match status.as_u16() {
        401 => (io::ErrorKind::PermissionDenied, "the server knows no such account"),
        403 => (
            io::ErrorKind::PermissionDenied,
            "the server does not allow it; one that only appends lets nothing be deleted or replaced",
        ),
        404 => (io::ErrorKind::NotFound, "there is none"),
        507 => (io::ErrorKind::StorageFull, "the server has no room"),
        _ => (io::ErrorKind::Other, "the server refuses it"),
    };
    io::Error::new(kind, format!("{text} ({status})"))
}

/// What a file with an account and its password makes of a request.
fn authorization(file: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = Zeroizing::new(read::bounded(file, MAX_FILE).map_err(io::Error::other)?);
    let text = read::without_byte_order_mark(&bytes).unwrap_or_default();
    let text = std::str::from_utf8(text).unwrap_or_default();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (Some(user), Some(password), None) if !user.contains(':') => {
            let pair = Zeroizing::new(format!("{user}:{password}"));
            let encoded = Zeroizing::new(Base64::encode_string(pair.as_bytes()));
            Ok(Zeroizing::new(format!("Basic {}", *encoded)))
        }
        _ => {
            let text = format!(
                "{} has no credentials: write the account on the first line, and its password on the second",
                file.display()
            );
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        }
    }
}

/// A name as a part of a URL.
fn escaped(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_has_the_files_of_a_repository_alone() {
        assert_eq!(path_of("config").unwrap(), "config");
        assert_eq!(path_of("data/ab/abcd").unwrap(), "data/abcd");
        assert_eq!(path_of("keys/1").unwrap(), "keys/1");
        assert!(path_of("certadm/turn/0").is_err() && path_of("other").is_err());
        assert_eq!(escaped("Drill CA !0028ä"), "Drill%20CA%20%210028%C3%A4");
    }
}
