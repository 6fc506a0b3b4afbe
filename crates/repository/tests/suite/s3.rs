//! Vaults in a bucket, against a small service of S3 in this process, which fails in the ways that services fail.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use certadm_repository::{CaRepository, Error, ExpiryOptions, Keep, Label, Profiles, Vault};
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::common::{Ca, assert_expires, assert_whole};
use crate::foreign::{Foreign, free_address};
use crate::http::{Request, reply, serve};
use crate::objects::now;

/// The header that says until when a version is locked.
const UNTIL: &str = "x-amz-object-lock-retain-until-date";

/// What begins so can be read by nobody: it is sealed by a key that its writer alone has.
const SEALED: &[u8] = b"sealed";

/// What goes wrong at the service.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    /// Every so many requests are answered by 503.
    busy: u64,
    /// The connection of every so many requests is cut: before the request is carried out, and after it in turn.
    cut: u64,
}

#[derive(Default)]
struct Service {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    faults: Mutex<Faults>,
    requests: AtomicU64,
    /// There is no such bucket.
    gone: AtomicBool,
    /// Requests are dated too far from the service's clock.
    skewed: AtomicBool,
    /// What requests lacked that the service wants.
    lacking: Mutex<Vec<String>>,
    /// The bucket has versions and locks.
    versioned: AtomicBool,
    history: Mutex<Vec<Kept>>,
    /// This account may not list versions.
    lists_no_versions: AtomicBool,
    /// So many seconds ago the versions are made that come next.
    ago: AtomicI64,
}

/// A version of an object, or the marker of its deletion.
#[derive(Clone)]
struct Kept {
    key: String,
    id: u64,
    since: OffsetDateTime,
    content: Option<Vec<u8>>,
    until: Option<OffsetDateTime>,
}

impl Service {
    fn start() -> (Arc<Self>, String) {
        let service = Arc::new(Self::default());
        let address = serve(&service, Self::answer);
        (service, address)
    }

    /// Answers one request; `None` when the connection ends.
    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let Request { first, headers, body } = Request::read(stream)?;
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let faults = *self.faults.lock().unwrap();
        let hits = |every: u64| every != 0 && number.is_multiple_of(every);
        if hits(faults.busy) {
            return reply(stream, "503 Slow Down", &[], b"<Error><Code>SlowDown</Code></Error>", false);
        }
        if hits(faults.cut) && number.is_multiple_of(2) {
            return None;
        }
        let mut words = first.split_whitespace();
        let (method, target) = (words.next()?, words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(key) = unescaped(path).strip_prefix("/bucket").map(str::to_owned) else {
            return reply(stream, "400 Bad Request", &[], b"<Error/>", method == "HEAD");
        };
        let key = key.trim_start_matches('/').to_owned();
        if !headers.contains_key("authorization") {
            self.lacking.lock().unwrap().push(format!("{method} {key}: no signature"));
        }
        let answered = if self.skewed.load(Ordering::SeqCst) {
            let body = b"<Error><Code>RequestTimeTooSkewed</Code></Error>";
            reply(stream, "403 Forbidden", &[], body, method == "HEAD")
        } else if self.gone.load(Ordering::SeqCst) {
            reply(stream, "404 Not Found", &[], b"<Error><Code>NoSuchBucket</Code></Error>", method == "HEAD")
        } else {
            self.carry_out(stream, (method, &key, query), &headers, body)
        };
        if hits(faults.cut) { None } else { answered }
    }

    fn keep(&self, key: &str, content: Option<Vec<u8>>, until: Option<&String>) {
        let mut history = self.history.lock().unwrap();
        let id = history.len() as u64 + 1;
        let since = OffsetDateTime::now_utc() - time::Duration::seconds(self.ago.load(Ordering::SeqCst));
        let until = until.map(|until| OffsetDateTime::parse(until, &Rfc3339).unwrap());
        history.push(Kept { key: key.to_owned(), id, since, content, until });
    }

    /// Answers what is about versions and locks; `None` for all else.
    fn of_versions(
        &self,
        stream: &TcpStream,
        (method, key, query): (&str, &str, &str),
        headers: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Option<Option<()>> {
        let of = |name: &str| {
            let found = query.split('&').filter_map(|part| part.split_once('='));
            found.filter(|(key, _)| *key == name).map(|(_, value)| unescaped(value)).next()
        };
        let ok = |body: &str| Some(reply(stream, "200 OK", &[], body.as_bytes(), false));
        let denied =
            || Some(reply(stream, "403 Forbidden", &[], b"<Error><Code>AccessDenied</Code></Error>", false));
        if of("object-lock").is_some() {
            return ok(
                "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>",
            );
        }
        if of("versions").is_some() && self.lists_no_versions.load(Ordering::SeqCst) {
            return denied();
        }
        if of("versions").is_some() {
            return ok(&self.versions(&of("prefix").unwrap_or_default(), of("version-id-marker")));
        }
        let mut history = self.history.lock().unwrap();
        let id = of("versionId");
        let meant =
            |kept: &&mut Kept| kept.key == key && id.as_ref().is_none_or(|id| kept.id.to_string() == *id);
        if matches!(method, "GET" | "HEAD")
            && let Some(kept) = history.iter_mut().rev().find(meant)
            && kept.content.as_ref().is_some_and(|content| content.starts_with(SEALED))
        {
            let body = b"<Error><Code>InvalidRequest</Code></Error>";
            return Some(reply(stream, "400 Bad Request", &[], body, method == "HEAD"));
        }
        if of("retention").is_some() {
            if !headers.contains_key("x-amz-checksum-sha256") {
                self.lacking.lock().unwrap().push(format!("PUT {key}: no checksum"));
            }
            let text = String::from_utf8_lossy(body).into_owned();
            let until = text.split("<RetainUntilDate>").nth(1).unwrap().split('<').next().unwrap();
            let until = OffsetDateTime::parse(until, &Rfc3339).unwrap();
            let kept = history.iter_mut().rev().find(meant).unwrap();
            if kept.until.is_some_and(|before| until < before) {
                return denied();
            }
            kept.until = Some(until);
            return ok("");
        }
        if let Some(id) = id {
            let place = history.iter().position(|kept| kept.id.to_string() == id).unwrap();
            if method != "DELETE" {
                let Kept { content, until, .. } = history[place].clone();
                let until = until.map(|until| format!("{UNTIL}: {}", until.format(&Rfc3339).unwrap()));
                let headers: Vec<&str> = until.iter().map(String::as_str).collect();
                return Some(reply(stream, "200 OK", &headers, &content.unwrap(), method == "HEAD"));
            }
            if history[place].until.is_some_and(|until| OffsetDateTime::now_utc() < until) {
                return denied();
            }
            history.remove(place);
            let newest =
                history.iter().rev().find(|kept| kept.key == key).and_then(|kept| kept.content.clone());
            let mut objects = self.objects.lock().unwrap();
            match newest {
                Some(content) => drop(objects.insert(key.to_owned(), content)),
                None => drop(objects.remove(key)),
            }
            return Some(reply(stream, "204 No Content", &[], b"", false));
        }
        if method == "HEAD"
            && let Some(Kept { content: Some(content), until: Some(until), .. }) =
                history.iter().rev().find(|kept| kept.key == key)
        {
            let until = format!("{UNTIL}: {}", until.format(&Rfc3339).unwrap());
            let date = format!("Last-Modified: {}", OffsetDateTime::now_utc().format(&Rfc2822).unwrap());
            return Some(reply(stream, "200 OK", &["ETag: \"x\"", &until, &date], content, true));
        }
        None
    }

    /// A page of versions, the newest of each key first. The marker is the id behind which it goes on.
    fn versions(&self, prefix: &str, after: Option<String>) -> String {
        let history = self.history.lock().unwrap();
        let mut sorted: Vec<&Kept> = history.iter().filter(|kept| kept.key.starts_with(prefix)).collect();
        sorted.sort_by(|one, other| (&one.key, other.id).cmp(&(&other.key, one.id)));
        let from =
            after.map_or(0, |id| sorted.iter().position(|kept| kept.id.to_string() == id).unwrap() + 1);
        let page = &sorted[from..sorted.len().min(from + 7)];
        let mut text = String::new();
        for (place, kept) in (from..).zip(page) {
            let is_latest = place == 0 || sorted[place - 1].key != kept.key;
            let tag = if kept.content.is_some() { "Version" } else { "DeleteMarker" };
            let since = kept.since.format(&Rfc3339).unwrap();
            text += &format!(
                "<{tag}><Key>{}</Key><VersionId>{}</VersionId><IsLatest>{is_latest}</IsLatest><LastModified>{since}</LastModified><ETag>&quot;x&quot;</ETag></{tag}>",
                kept.key, kept.id
            );
        }
        let more = from + page.len() < sorted.len();
        if let Some(last) = page.last().filter(|_| more) {
            text += &format!(
                "<NextKeyMarker>{}</NextKeyMarker><NextVersionIdMarker>{}</NextVersionIdMarker>",
                last.key, last.id
            );
        }
        format!("<ListVersionsResult><IsTruncated>{more}</IsTruncated>{text}</ListVersionsResult>")
    }

    fn carry_out(
        &self,
        stream: &TcpStream,
        (method, key, query): (&str, &str, &str),
        headers: &BTreeMap<String, String>,
        body: Vec<u8>,
    ) -> Option<()> {
        if self.versioned.load(Ordering::SeqCst)
            && let Some(answered) = self.of_versions(stream, (method, key, query), headers, &body)
        {
            return answered;
        }
        let mut objects = self.objects.lock().unwrap();
        let date = OffsetDateTime::now_utc().format(&Rfc2822).unwrap();
        match (method, objects.get(key)) {
            ("PUT", there) => {
                let is_s3 = !headers.contains_key("x-ms-version")
                    && !headers.contains_key("x-goog-if-generation-match");
                if is_s3 && !headers.contains_key("x-amz-checksum-sha256") {
                    self.lacking.lock().unwrap().push(format!("PUT {key}: no checksum"));
                }
                let only_new = headers.get("if-none-match").is_some_and(|value| value == "*")
                    || headers.get("x-goog-if-generation-match").is_some_and(|value| value == "0");
                if !only_new {
                    self.lacking.lock().unwrap().push(format!("PUT {key}: may replace something"));
                }
                if there.is_some() && only_new && headers.contains_key("x-ms-version") {
                    return reply(
                        stream,
                        "409 Conflict",
                        &[],
                        b"<Error><Code>BlobAlreadyExists</Code></Error>",
                        false,
                    );
                }
                if there.is_some() && only_new {
                    return reply(stream, "412 Precondition Failed", &[], b"<Error/>", false);
                }
                self.keep(key, Some(body.clone()), headers.get("x-amz-object-lock-retain-until-date"));
                if headers.contains_key("x-amz-object-lock-mode")
                    && headers.get("x-amz-sdk-checksum-algorithm").is_none_or(|sum| sum != "SHA256")
                {
                    self.lacking.lock().unwrap().push(format!("PUT {key}: no name of the checksum"));
                }
                objects.insert(key.to_owned(), body);
                reply(stream, "200 OK", &["ETag: \"x\""], b"", false)
            }
            ("DELETE", _) => {
                self.keep(key, None, None);
                objects.remove(key);
                reply(stream, "204 No Content", &[], b"", false)
            }
            ("GET", _) if key.is_empty() && query.contains("restype=container") => {
                reply(stream, "200 OK", &[], listed_blobs(&objects, query).as_bytes(), false)
            }
            ("GET", _) if key.is_empty() => {
                reply(stream, "200 OK", &[], listed(&objects, query).as_bytes(), false)
            }
            ("GET" | "HEAD", None) => reply(
                stream,
                "404 Not Found",
                &[],
                b"<Error><Code>NoSuchKey</Code></Error>",
                method == "HEAD",
            ),
            ("GET" | "HEAD", Some(content)) => {
                let date = format!("Last-Modified: {date}");
                let range = headers.get("range").and_then(|range| range.strip_prefix("bytes="));
                let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
                    return reply(stream, "200 OK", &["ETag: \"x\"", &date], content, method == "HEAD");
                };
                let from: usize = from.parse().unwrap();
                if content.len() <= from {
                    return reply(stream, "416 Range Not Satisfiable", &[], b"<Error/>", false);
                }
                let to = to.parse::<usize>().unwrap().min(content.len() - 1);
                let part = format!("Content-Range: bytes {from}-{to}/{}", content.len());
                reply(
                    stream,
                    "206 Partial Content",
                    &["ETag: \"x\"", &date, &part],
                    &content[from..=to],
                    false,
                )
            }
            _ => reply(stream, "400 Bad Request", &[], b"<Error/>", false),
        }
    }
}

/// The same as Azure has it, in one page.
fn listed_blobs(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> String {
    let of = |name: &str| {
        let found = query.split('&').filter_map(|part| part.split_once('='));
        found.filter(|(key, _)| *key == name).map(|(_, value)| unescaped(&value.replace('+', "%20"))).next()
    };
    let prefix = of("prefix").unwrap_or_default();
    let date = OffsetDateTime::now_utc().format(&Rfc2822).unwrap().replace("+0000", "GMT");
    let (mut blobs, mut folders) = (String::new(), std::collections::BTreeSet::new());
    for (key, content) in objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
        match key[prefix.len()..].split_once('/').filter(|_| of("delimiter").is_some()) {
            Some((folder, _)) => drop(folders.insert(format!("{prefix}{folder}/"))),
            None => {
                blobs += &format!(
                    "<Blob><Name>{key}</Name><Properties><Last-Modified>{date}</Last-Modified><Etag>x</Etag>\
                     <Content-Length>{}</Content-Length><Content-Type>x</Content-Type></Properties></Blob>",
                    content.len()
                );
            }
        }
    }
    for folder in folders {
        blobs += &format!("<BlobPrefix><Name>{folder}</Name></BlobPrefix>");
    }
    format!("<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>")
}

/// A page of a list, of few entries, so that lists have several.
fn listed(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> String {
    let of = |name: &str| {
        query
            .split('&')
            .filter_map(|part| part.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| unescaped(&value.replace('+', "%20")))
    };
    let (prefix, after) = (of("prefix").unwrap_or_default(), of("continuation-token").unwrap_or_default());
    let date = OffsetDateTime::now_utc().format(&Rfc3339).unwrap();
    let mut folders = std::collections::BTreeSet::new();
    let (mut entries, mut last, mut count) = (String::new(), String::new(), 0);
    let mut more = false;
    for (key, content) in
        objects.range(after.clone()..).filter(|(key, _)| key.starts_with(&prefix) && **key != after)
    {
        if count == 5 {
            more = true;
            break;
        }
        count += 1;
        last.clone_from(key);
        match key[prefix.len()..].split_once('/').filter(|_| of("delimiter").is_some()) {
            Some((folder, _)) => drop(folders.insert(format!("{prefix}{folder}/"))),
            None => {
                entries += &format!(
                    "<Contents><Key>{key}</Key><LastModified>{date}</LastModified><ETag>x</ETag><Size>{}</Size></Contents>",
                    content.len()
                );
            }
        }
    }
    for folder in folders {
        entries += &format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
    }
    if more {
        entries += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
    }
    format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{entries}</ListBucketResult>")
}

fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).unwrap()
}

/// A vault in the bucket, with the repository of a CA.
fn vault(ca: &Ca, endpoint: &str) -> Vault {
    vault_with(ca, endpoint, "")
}

fn vault_with(ca: &Ca, endpoint: &str, more: &str) -> Vault {
    let work = ca.beside().display();
    std::fs::write(ca.beside().join("credentials"), "ID\nhunter-key\n").unwrap();
    let text = format!(
        "[vault]\nurl = 's3://bucket/some/prefix'\nendpoint = '{endpoint}'\ncredentials-file = '{work}/credentials'\n\
         key-file = '{work}/{{ca}}.key'\n{more}"
    );
    Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone())
}

fn made(vault: &Vault, name: &str) -> CaRepository {
    vault.create(name, "a code", Label { host: "tests", user: "code" }).unwrap()
}

/// The service refuses such requests as it refuses an account without the right, and the answer to HEAD does not say why.
#[test]
fn a_wrong_clock_is_told_as_that() {
    let (service, endpoint) = Service::start();
    let ca = Ca::named("ca");
    let vault = vault_with(&ca, &endpoint, "lock-days = 10\n");
    service.versioned.store(true, Ordering::SeqCst);
    let repository = made(&vault, "ca");
    service.skewed.store(true, Ordering::SeqCst);
    let errors = [
        repository.points().map(drop).unwrap_err(),
        vault.repository(None).map(drop).unwrap_err(),
        vault.repository(Some("ca")).map(drop).unwrap_err(),
        repository.init().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.class(), Class::Unreachable, "{error}");
        assert!(error.to_string().contains("the clock of this machine"), "{error}");
        assert!(!error.remedy().contains("account"), "{}", error.remedy());
    }
}

/// Other things may lie beside the repositories.
#[test]
fn what_has_no_repository_in_it_is_no_ca_of_a_bucket() {
    let (service, endpoint) = Service::start();
    let ca = Ca::named("ca");
    let vault = vault(&ca, &endpoint);
    made(&vault, "ca");
    vault.create_next("ca", "another", Label { host: "tests", user: "code" }).unwrap();
    let stored = service.objects.lock().unwrap().clone();
    for other in ["access-logs/2026-01-01", "ca!n3/note"] {
        service.objects.lock().unwrap().insert(format!("some/prefix/{other}"), Vec::new());
    }
    assert_eq!(vault.cas().unwrap(), ["ca"]);
    assert_eq!(vault.repositories().unwrap(), ["ca!n1", "ca!n2"]);
    assert_eq!(vault.repository(None).unwrap().name(), "ca!n2");
    // The first one is deleted when nothing of it is needed.
    let second = stored.into_iter().filter(|(key, _)| key.contains("ca!n2")).collect();
    *service.objects.lock().unwrap() = second;
    assert_eq!(
        (vault.cas().unwrap(), vault.repositories().unwrap()),
        (vec!["ca".to_owned()], vec!["ca!n2".to_owned()])
    );
    assert_eq!(vault.repository(None).unwrap().name(), "ca!n2");
}

#[test]
fn a_repository_in_a_bucket_does_all_that_one_in_a_folder_does() {
    let (service, endpoint) = Service::start();
    let name = "Drill CA (1)";
    let mut ca = Ca::named(&certadm_rules::names::sanitize(name));
    let vault = vault(&ca, &endpoint);
    assert_eq!(vault.cas().unwrap(), [""; 0]);
    let repository = made(&vault, name);
    assert!(matches!(
        vault.create(name, "x", Label { host: "", user: "" }),
        Err(Error::RepositoryExists { .. })
    ));
    assert_eq!(vault.cas().unwrap(), [certadm_rules::names::sanitize(name)]);
    ca.back_up(&repository, BackupType::Full).unwrap();
    for _ in 0..2 {
        ca.issue(2);
        let taken = ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        assert!(taken.checked && !taken.truncated.is_empty());
    }
    assert_eq!(assert_whole(&vault.repository(None).unwrap(), ca.beside()), 3);
    ca.back_up(&repository, BackupType::Full).unwrap();
    assert_expires(&repository, ca.beside());
    assert_eq!(
        *service.lacking.lock().unwrap(),
        [""; 0],
        "each request is signed, each PUT has its checksum"
    );
    let outside =
        service.objects.lock().unwrap().keys().filter(|key| !key.starts_with("some/prefix/")).count();
    assert_eq!(outside, 0);
    // The secret key is in no message.
    assert!(!format!("{repository:?}").contains("hunter-key"), "{repository:?}");
}

#[test]
fn a_service_that_is_busy_or_cuts_connections_is_asked_again() {
    let (service, endpoint) = Service::start();
    let mut ca = Ca::create();
    let vault = vault(&ca, &endpoint);
    let repository = made(&vault, "ca");
    let mut count = 0;
    for faults in [Faults { busy: 3, cut: 0 }, Faults { busy: 0, cut: 5 }, Faults { busy: 7, cut: 4 }] {
        *service.faults.lock().unwrap() = faults;
        ca.issue(2);
        let taken = ca.back_up(&repository, BackupType::Full).unwrap();
        count += 1;
        assert!(taken.checked && !taken.truncated.is_empty(), "{faults:?}");
        assert_eq!(assert_whole(&repository, ca.beside()), count, "{faults:?}");
    }
}

#[test]
fn a_bucket_that_is_gone_and_wrong_credentials_are_told() {
    let (service, endpoint) = Service::start();
    let ca = Ca::create();
    let vault = vault(&ca, &endpoint);
    let repository = made(&vault, "ca");
    ca.back_up(&repository, BackupType::Full).unwrap();
    let logs = ca.logs();
    service.gone.store(true, Ordering::SeqCst);
    let error = repository.points().unwrap_err();
    assert!(error.class() == Class::Unreachable && error.to_string().contains("bucket"), "{error}");
    // It is no fault of the credentials, and no answer in XML is shown.
    let steps = certadm_repository::examine(&vault, Some("ca"), &mut |_| {});
    let told = |name: &str| steps.iter().find(|step| step.name == name).map(|step| &step.seen);
    assert!(told("credentials").unwrap().is_ok(), "{steps:?}");
    let error = told("bucket").unwrap().as_ref().unwrap_err();
    assert!(error.to_string().contains("no such bucket") && !error.to_string().contains('<'), "{error}");
    assert!(error.remedy().contains("make the bucket"), "{}", error.remedy());
    assert!(told("storage").is_none(), "the walk ends there");
    let error = ca.back_up(&repository, BackupType::Full).unwrap_err();
    assert_eq!(error.class(), Class::Unreachable, "{error}");
    assert!(logs.iter().all(|log| ca.logs().contains(log)), "a log is gone");
    service.gone.store(false, Ordering::SeqCst);
    std::fs::write(ca.beside().join("credentials"), "nothing").unwrap();
    let error = vault.repository(None).unwrap_err();
    assert!(error.to_string().contains("first line"), "{error}");
}

/// Whoever has the machine's credentials deletes and overwrites everything, and nothing is lost.
#[test]
fn locked_objects_outlive_whoever_has_the_credentials() {
    let (service, endpoint) = Service::start();
    service.versioned.store(true, Ordering::SeqCst);
    let mut ca = Ca::create();
    let vault = vault_with(&ca, &endpoint, "lock-days = 35\n");
    service.ago.store(3_600, Ordering::SeqCst);
    let repository = made(&vault, "ca");
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(2);
    ca.back_up(&repository, BackupType::LogsOnly).unwrap();
    assert_eq!(*service.lacking.lock().unwrap(), [""; 0]);
    let steps = certadm_repository::examine(&vault, None, &mut |_| {});
    let told: Vec<(&str, String)> = steps
        .iter()
        .map(|step| (step.name, step.seen.as_ref().map_or_else(ToString::to_string, Clone::clone)))
        .collect();
    assert!(steps.iter().all(|step| step.seen.is_ok()), "{told:?}");
    let names: Vec<&str> = told.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, certadm_repository::steps(&vault));
    assert_eq!(names[..5], ["dns", "tls", "credentials", "bucket", "storage"]);
    assert!(told.iter().any(|(name, text)| *name == "lock" && text.contains("35 days")), "{told:?}");

    // The attack: each object is deleted, one is written over, and the versions themselves are tried.
    service.ago.store(0, Ordering::SeqCst);
    let objects = service.objects.lock().unwrap().clone();
    let locked: Vec<Kept> =
        service.history.lock().unwrap().iter().filter(|kept| kept.until.is_some()).cloned().collect();
    assert_eq!(locked.len(), objects.len(), "each object is locked");
    for (place, key) in objects.keys().enumerate() {
        service.keep(key, (place == 1).then(|| b"false".to_vec()), None);
        match place {
            1 => service.objects.lock().unwrap().insert(key.clone(), b"false".to_vec()),
            _ => service.objects.lock().unwrap().remove(key),
        };
    }
    // With its key here, a bucket that is empty is no new vault.
    let walked = certadm_repository::examine(&vault, Some("ca"), &mut |_| {});
    let gone = [
        repository.points().map(drop),
        vault.repositories().map(drop),
        vault.repository(None).map(drop),
        walked.into_iter().next_back().unwrap().seen.map(drop),
    ];
    for error in gone.map(Result::unwrap_err) {
        assert!(matches!(error, Error::Gone { .. }) && error.remedy().contains("undelete"), "{error}");
    }
    let repository = vault.repository(Some("ca")).unwrap();
    let before = now() - 1_800;
    let would = repository.undelete(before, true).unwrap();
    assert_eq!((would.deleted.len(), would.overwritten.len()), (objects.len() - 1, 1));
    assert!(repository.points().is_err(), "a dry run changes nothing");
    assert_eq!(repository.undelete(before, false).unwrap(), would);
    assert_eq!(*service.objects.lock().unwrap(), objects);
    assert_eq!(assert_whole(&repository, ca.beside()), 2);
    assert_eq!(repository.undelete(before, false).unwrap().deleted, [""; 0]);
    // What was written over is written over again, and nothing else is.
    let replaced = std::mem::take(&mut *service.lacking.lock().unwrap());
    assert!(replaced.len() == 1 && replaced[0].contains(&would.overwritten[0]), "{replaced:?}");

    let ends = repository.lock_ends().unwrap().unwrap();
    assert!(ends.sets.len() == 2 && ends.neglected().next().is_none(), "{ends:?}");
    assert!(ends.sets.iter().all(|set| 5 < set.objects && set.unlocked == 0), "{ends:?}");
    // Locks that are far from their end stay as they are, and others are prolonged.
    let fresh = repository.extend_locks(false).unwrap();
    assert!(fresh.extended == 0 && 34 * 86_400 < fresh.earliest.unwrap() - now(), "{fresh:?}");
    let soon = OffsetDateTime::now_utc() + time::Duration::days(10);
    for kept in service.history.lock().unwrap().iter_mut().filter(|kept| kept.key.contains("/data/")) {
        kept.until = Some(soon);
    }
    let ends = repository.lock_ends().unwrap().unwrap();
    assert_eq!((ends.days, ends.sets.len(), ends.neglected().count()), (35, 2, 2), "{ends:?}");
    assert!(ends.sets.iter().all(|set| set.unlocked == 0 && set.earliest == Some(soon.unix_timestamp())));
    let would = repository.extend_locks(true).unwrap();
    assert!(would.earliest.unwrap() - now() < 11 * 86_400, "{would:?}");
    let extended = repository.extend_locks(false).unwrap();
    assert!(0 < extended.extended && extended.extended < extended.objects, "{extended:?}");
    assert_eq!(extended.extended, would.extended);
    assert!(34 * 86_400 < extended.earliest.unwrap() - now(), "{extended:?}");
    // Expiry goes on: it hides what it deletes.
    ca.back_up(&repository, BackupType::Full).unwrap();
    let keep = Keep { last: 1, ..Keep::default() };
    let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
    repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
    assert_eq!(assert_whole(&repository, ca.beside()), 1);
    assert_eq!(*service.lacking.lock().unwrap(), [""; 0]);
}

/// What is damaged is told, and keeps nothing else from being locked longer.
#[test]
fn locks_of_what_is_left_are_prolonged_when_something_is_damaged() {
    for damaged in ["/data/", "/snapshots/", "/index/"] {
        for is_gone in [false, true] {
            let (service, endpoint) = Service::start();
            service.versioned.store(true, Ordering::SeqCst);
            let mut ca = Ca::create();
            let repository = made(&vault_with(&ca, &endpoint, "lock-days = 35\n"), "ca");
            ca.back_up(&repository, BackupType::Full).unwrap();
            ca.issue(2);
            ca.back_up(&repository, BackupType::LogsOnly).unwrap();
            let soon = OffsetDateTime::now_utc() + time::Duration::days(10);
            service.history.lock().unwrap().iter_mut().for_each(|kept| kept.until = Some(soon));
            let key =
                service.objects.lock().unwrap().keys().find(|key| key.contains(damaged)).cloned().unwrap();
            if is_gone {
                service.objects.lock().unwrap().remove(&key);
                service.keep(&key, None, None);
            } else {
                service.objects.lock().unwrap().insert(key.clone(), b"false".to_vec());
            }
            for dry_run in [true, false] {
                let extended = repository.extend_locks(dry_run);
                // A snapshot that somebody has hidden is no set.
                let is_told = !(is_gone && damaged == "/snapshots/");
                assert!(!is_told || matches!(extended, Err(Error::Damaged { .. })), "{key}: {extended:?}");
            }
            let far = OffsetDateTime::now_utc() + time::Duration::days(34);
            let history = service.history.lock().unwrap();
            for kept in history.iter().filter(|kept| kept.until.is_some() && kept.key != key) {
                let is_note = kept.key.contains("/certadm/");
                let may_be_free = is_gone && damaged == "/snapshots/" && kept.key.contains("/data/");
                assert!(is_note || may_be_free || Some(far) < kept.until, "{key}: {}", kept.key);
            }
        }
    }
}

/// What somebody with the machine's credentials does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attack {
    Hides(&'static str),
    /// By other bytes of the same length.
    WritesOver(&'static str),
    /// By what nobody can read.
    Seals(&'static str),
}

impl Service {
    /// Returns the keys of the objects that it has struck.
    fn strike(&self, attack: Attack) -> Vec<String> {
        let (Attack::Hides(part) | Attack::WritesOver(part) | Attack::Seals(part)) = attack;
        let objects = self.objects.lock().unwrap().clone();
        let mut struck: Vec<String> = objects.keys().filter(|key| key.contains(part)).cloned().collect();
        // All sets; of the others the longest object, which is of no tree if it is a pack.
        struck.sort_by_key(|key| std::cmp::Reverse(objects[key].len()));
        struck.truncate(if part == "/snapshots/" { usize::MAX } else { 1 });
        for key in &struck {
            let len = objects[key].len();
            let content = match attack {
                Attack::Hides(_) => None,
                Attack::WritesOver(_) => Some(vec![7; len]),
                Attack::Seals(_) => Some([SEALED, &vec![7; len - SEALED.len()]].concat()),
            };
            // He locks it, too.
            let until = (OffsetDateTime::now_utc() + time::Duration::days(35)).format(&Rfc3339).unwrap();
            self.keep(key, content.clone(), content.is_some().then_some(&until));
            match content {
                Some(content) => self.objects.lock().unwrap().insert(key.clone(), content),
                None => self.objects.lock().unwrap().remove(key),
            };
        }
        struck
    }

    /// What was stored and is locked for more than a month.
    fn locked_long(&self, stored: usize) -> std::collections::BTreeSet<String> {
        let far = OffsetDateTime::now_utc() + time::Duration::days(34);
        let history = self.history.lock().unwrap();
        let long = history[..stored].iter().filter(|kept| Some(far) < kept.until);
        long.map(|kept| kept.key.clone()).collect()
    }
}

/// The lock of what was stored is prolonged, and not that of what lies over it; and nobody is told that all is well.
#[test]
fn what_somebody_has_hidden_or_written_over_stays_locked_and_is_told() {
    use Attack::{Hides, Seals, WritesOver};

    let (service, endpoint) = Service::start();
    service.versioned.store(true, Ordering::SeqCst);
    service.ago.store(3_600, Ordering::SeqCst);
    let mut ca = Ca::create();
    let repository = made(&vault_with(&ca, &endpoint, "lock-days = 35\n"), "ca");
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(2);
    ca.back_up(&repository, BackupType::LogsOnly).unwrap();
    service.ago.store(0, Ordering::SeqCst);
    let soon = Some(OffsetDateTime::now_utc() + time::Duration::days(10));
    let end_soon = || service.history.lock().unwrap().iter_mut().for_each(|kept| kept.until = soon);
    let stored = service.history.lock().unwrap().len();
    end_soon();
    repository.extend_locks(false).unwrap();
    let needed = service.locked_long(stored);
    assert!(5 < needed.len(), "{needed:?}");
    let (objects, history) =
        (service.objects.lock().unwrap().clone(), service.history.lock().unwrap().clone());
    for attack in [
        WritesOver("/data/"),
        Seals("/data/"),
        Hides("/data/"),
        WritesOver("/index/"),
        Seals("/index/"),
        WritesOver("/snapshots/"),
        Hides("/snapshots/"),
        WritesOver("/keys/"),
        WritesOver("/config"),
        Hides("/config"),
    ] {
        end_soon();
        let struck = service.strike(attack);
        if attack == WritesOver("/data/") {
            // The others are locked for long, and so is what lies over it.
            for kept in service.history.lock().unwrap().iter_mut().filter(|kept| kept.key != struck[0]) {
                kept.until = Some(OffsetDateTime::now_utc() + time::Duration::days(35));
            }
            let ends = repository.lock_ends().unwrap().unwrap();
            let first = ends.sets.iter().filter_map(|set| set.earliest).min();
            assert_eq!(first, soon.map(OffsetDateTime::unix_timestamp), "{ends:?}");
        }
        for dry_run in [true, false] {
            let error = repository.extend_locks(dry_run).unwrap_err();
            let is_told = error.class() == Class::Damaged && error.remedy().contains("undelete");
            let is_away = matches!(error, Error::Gone { .. } | Error::Storage { .. });
            assert!(is_told || is_away && !matches!(attack, WritesOver(_)), "{attack:?}: {error}");
        }
        let locked = service.locked_long(stored);
        assert!(needed.is_subset(&locked), "{attack:?}: {needed:?}, {locked:?}");
        if let WritesOver(_) = attack {
            // What was brought back is no damage.
            repository.undelete(now() - 1_800, false).unwrap();
            repository.extend_locks(false).unwrap_or_else(|error| panic!("{attack:?}: {error}"));
        }
        service.objects.lock().unwrap().clone_from(&objects);
        service.history.lock().unwrap().clone_from(&history);
    }
    // An account that may not list versions: what is seen is prolonged, and nobody knows what lies below.
    end_soon();
    service.lists_no_versions.store(true, Ordering::SeqCst);
    let error = repository.extend_locks(false).unwrap_err();
    assert!(matches!(&error, Error::Storage { .. }) && error.to_string().contains("versions"), "{error}");
    assert!(needed.is_subset(&service.locked_long(stored)));
}

#[test]
fn a_bucket_without_locks_is_named() {
    let (_service, endpoint) = Service::start();
    let ca = Ca::create();
    let vault = vault_with(&ca, &endpoint, "lock-days = 35\nlock-mode = 'governance'\n");
    let repository = made(&vault, "ca");
    let steps = certadm_repository::examine(&vault, None, &mut |_| {});
    let last = steps.last().unwrap();
    assert_eq!(last.name, "lock");
    assert!(last.seen.as_ref().unwrap_err().to_string().contains("no Object Lock"), "{last:?}");
    let plain = self::vault(&ca, &endpoint).repository(Some("ca")).unwrap();
    assert!(matches!(plain.extend_locks(false), Err(Error::NoLocks { .. })));
    assert_eq!(plain.lock_ends().unwrap(), None);
    drop(repository);
}

/// moto, whose judgement of requests is another's. It takes any signature, and shortens locks that S3 would not.
struct Moto {
    _service: Foreign,
}

impl Moto {
    fn start() -> (Self, String) {
        let python =
            std::env::var("CERTADM_PYTHON").expect("CERTADM_PYTHON names the interpreter with the peers");
        let address = free_address();
        let (host, port) = address.rsplit_once(':').unwrap();
        let mut command = std::process::Command::new(python);
        command.args(["-m", "moto.server", "-H", host, "-p", port]);
        (Self { _service: Foreign::start(&mut command, &address) }, address)
    }

    /// Makes a request that it does not check the signature of.
    fn ask(address: &str, request: &str, headers: &str) -> String {
        Self::send(address, request, headers, "")
    }

    /// The same with a body.
    fn send(address: &str, request: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        let signed = "Authorization: AWS4-HMAC-SHA256 Credential=ID/20261128/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let text = format!(
            "{request} HTTP/1.1\r\nHost: {address}\r\n{signed}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

#[test]
#[ignore = "needs moto and restic"]
fn moto_keeps_locked_objects_and_gives_back_what_was_deleted() {
    let (_moto, address) = Moto::start();
    let made = Moto::ask(&address, "PUT /bucket", "x-amz-bucket-object-lock-enabled: true\r\n");
    assert!(made.contains(" 200 "), "{made}");
    let mut ca = Ca::named("Drill CA");
    let vault = vault_with(&ca, &format!("http://{address}"), "lock-days = 35\n");
    let repository = self::made(&vault, "Drill CA");
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(2);
    ca.back_up(&repository, BackupType::LogsOnly).unwrap();
    let steps = certadm_repository::examine(&vault, None, &mut |_| {});
    assert!(steps.iter().all(|step| step.seen.is_ok()), "{steps:?}");
    let locks = repository.extend_locks(false).unwrap();
    assert!(locks.extended == 0 && 34 * 86_400 < locks.earliest.unwrap() - now(), "{locks:?}");
    let ends = repository.lock_ends().unwrap().unwrap();
    assert!(ends.sets.len() == 2 && ends.neglected().next().is_none(), "{ends:?}");
    // Another second, so that the markers are younger than what they hide.
    let before = now();
    while now() < before + 2 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let listed = Moto::ask(&address, "GET /bucket?list-type=2", "");
    let keys: Vec<&str> = listed.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
    assert!(5 < keys.len(), "{listed}");
    for key in &keys {
        Moto::ask(&address, &format!("DELETE /bucket/{}", key.replace('%', "%25").replace(' ', "%20")), "");
    }
    assert!(repository.points().is_err());
    let undeleted = repository.undelete(before + 1, false).unwrap();
    assert_eq!((undeleted.deleted.len(), undeleted.overwritten.len()), (keys.len(), 0));
    assert_eq!(assert_whole(&repository, ca.beside()), 2);
    // Only the bucket and the code are left.
    let code = ca.beside().join("code");
    std::fs::write(&code, "a code").unwrap();
    let checked = std::process::Command::new("restic")
        .args(["--no-cache", "--no-lock", "check", "--read-data", "--password-file"])
        .arg(&code)
        .arg("--repo")
        .arg(format!("s3:http://{address}/bucket/some/prefix/Drill%20CA"))
        .env("AWS_ACCESS_KEY_ID", "ID")
        .env("AWS_SECRET_ACCESS_KEY", "hunter-key")
        .output()
        .expect("restic is installed");
    assert!(String::from_utf8_lossy(&checked.stdout).contains("no errors were found"), "{checked:?}");
}

#[test]
#[ignore = "needs moto"]
fn moto_prolongs_the_lock_of_what_was_stored() {
    let (_moto, address) = Moto::start();
    Moto::ask(&address, "PUT /bucket", "x-amz-bucket-object-lock-enabled: true\r\n");
    let ca = Ca::create();
    let endpoint = format!("http://{address}");
    let first = self::made(&vault_with(&ca, &endpoint, "lock-days = 10\n"), "ca");
    ca.back_up(&first, BackupType::Full).unwrap();
    let repository = vault_with(&ca, &endpoint, "lock-days = 35\n").repository(Some("ca")).unwrap();
    // Another second, so that what comes now is younger.
    let before = now();
    while now() < before + 2 {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let listed = Moto::ask(&address, "GET /bucket?list-type=2&prefix=some/prefix/ca/data", "");
    let of = |text: &str, tag: &str| {
        text.split(&format!("<{tag}>")).nth(1).map(|rest| rest.split('<').next().unwrap().to_owned())
    };
    let entries = listed.split("<Contents>").skip(1);
    let mut packs: Vec<(usize, String)> = entries
        .map(|entry| (of(entry, "Size").unwrap().parse().unwrap(), of(entry, "Key").unwrap()))
        .collect();
    // Those of the database and of the logs. A small one may be of a tree that no set needs.
    packs.sort();
    let struck = packs.split_off(packs.len() - 2);
    for (len, key) in &struck {
        Moto::send(&address, &format!("PUT /bucket/{key}"), "", &"x".repeat(*len));
    }
    let error = repository.extend_locks(false).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    let versions = Moto::ask(&address, "GET /bucket?versions&prefix=some/prefix/ca/data", "");
    let mut ends = BTreeMap::<String, Vec<i64>>::new();
    for version in versions.split("<Version>").skip(1) {
        let (key, id) = (of(version, "Key").unwrap(), of(version, "VersionId").unwrap());
        if !struck.iter().any(|(_, other)| *other == key) {
            continue;
        }
        let told = Moto::ask(&address, &format!("HEAD /bucket/{key}?versionId={id}"), "");
        let until = told.lines().find_map(|line| line.to_lowercase().strip_prefix(UNTIL).map(str::to_owned));
        let until = until.unwrap_or_else(|| panic!("{key} has a version without a lock: {told}"));
        let until =
            OffsetDateTime::parse(until.trim_start_matches(':').trim().to_uppercase().as_str(), &Rfc3339);
        ends.entry(key).or_default().push(until.unwrap().unix_timestamp());
    }
    for (_, key) in &struck {
        let ends = &ends[key];
        assert!(ends.len() == 2 && ends.iter().all(|end| now() + 34 * 86_400 < *end), "{key}: {ends:?}");
    }
    let undeleted = repository.undelete(before + 1, false).unwrap();
    assert_eq!((undeleted.deleted.len(), undeleted.overwritten.len()), (0, 2));
    let extended = repository.extend_locks(false).unwrap();
    assert_eq!(extended.extended, 0, "all were locked longer before: {extended:?}");
    assert_eq!(assert_whole(&repository, ca.beside()), 1);
}

/// The same small service in the languages of Azure and Google: what is sent to them, and what is made of their answers.
#[test]
fn containers_of_azure_and_buckets_of_google_keep_vaults_too() {
    for (url, more, credentials) in [
        ("azure://bucket/some/prefix", "account = 'account'\n", "c2VjcmV0LWtleQ=="),
        (
            "gs://bucket/some/prefix",
            "",
            "{\"private_key\":\"hunter\",\"private_key_id\":\"x\",\"client_email\":\"y\",\"disable_oauth\":true}",
        ),
    ] {
        let (service, endpoint) = Service::start();
        let mut ca = Ca::named("Drill CA");
        let work = ca.beside().display().to_string();
        std::fs::write(ca.beside().join("credentials"), credentials).unwrap();
        let text = format!(
            "[vault]\nurl = '{url}'\nendpoint = '{endpoint}'\ncredentials-file = '{work}/credentials'\n\
             key-file = '{work}/{{ca}}.key'\n{more}"
        );
        let vault = Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone());
        let repository = made(&vault, "Drill CA");
        ca.back_up(&repository, BackupType::Full).unwrap();
        ca.issue(2);
        let taken = ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        assert!(taken.checked && !taken.truncated.is_empty(), "{url}");
        assert_eq!(assert_whole(&vault.repository(None).unwrap(), ca.beside()), 2, "{url}");
        // Azure is asked to delete by a list of requests in one, which this service does not read.
        if url.starts_with("azure:") {
            assert_eq!(service.lacking.lock().unwrap().clone(), [""; 0]);
            continue;
        }
        ca.back_up(&repository, BackupType::Full).unwrap();
        let keep = Keep { last: 1, ..Keep::default() };
        for _ in 0..2 {
            let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
            repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
        }
        assert_eq!(assert_whole(&repository, ca.beside()), 1, "{url}");
        let steps = certadm_repository::examine(&vault, None, &mut |_| {});
        assert!(steps.iter().all(|step| step.seen.is_ok()), "{url}: {steps:?}");
        let mut lacking = service.lacking.lock().unwrap().clone();
        // The account of this test for Google is one that signs nothing.
        lacking.retain(|lacks| !url.starts_with("gs:") || !lacks.ends_with("no signature"));
        assert_eq!(lacking, [""; 0], "{url}");
        drop(lacking);
        assert!(matches!(repository.extend_locks(false), Err(Error::NoLocks { .. })));
        std::fs::write(ca.beside().join("credentials"), "hunter\nhunter").unwrap();
        let error = vault.repository(None).unwrap_err();
        assert!(!error.to_string().contains("hunter"), "{url}: {error}");
    }
}
