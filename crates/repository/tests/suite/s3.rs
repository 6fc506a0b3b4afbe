//! Vaults in a bucket, against a small service of S3 in this process, which fails in the ways that services fail.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use certadm_repository::{CaRepository, Error, ExpiryOptions, Keep, Label, Part, Profiles, Vault};
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};
use certadm_set::Silent;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

use crate::common::{Ca, assert_whole};

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
    /// What requests lacked that the service wants.
    lacking: Mutex<Vec<String>>,
}

impl Service {
    fn start() -> (Arc<Self>, String) {
        let service = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let own = Arc::clone(&service);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let own = Arc::clone(&own);
                std::thread::spawn(move || while own.answer(&stream).is_some() {});
            }
        });
        (service, address)
    }

    /// Answers one request; `None` when the connection ends.
    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|len| *len != 0)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
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
        let key = unescaped(path).strip_prefix("/bucket")?.trim_start_matches('/').to_owned();
        if !headers.contains_key("authorization") {
            self.lacking.lock().unwrap().push(format!("{method} {key}: no signature"));
        }
        let answered = if self.gone.load(Ordering::SeqCst) {
            reply(stream, "404 Not Found", &[], b"<Error><Code>NoSuchBucket</Code></Error>", method == "HEAD")
        } else {
            self.carry_out(stream, (method, &key, query), &headers, body)
        };
        if hits(faults.cut) { None } else { answered }
    }

    fn carry_out(
        &self,
        stream: &TcpStream,
        (method, key, query): (&str, &str, &str),
        headers: &BTreeMap<String, String>,
        body: Vec<u8>,
    ) -> Option<()> {
        let mut objects = self.objects.lock().unwrap();
        let date = OffsetDateTime::now_utc().format(&Rfc2822).unwrap();
        match (method, objects.get(key)) {
            ("PUT", there) => {
                if !headers.contains_key("x-amz-checksum-sha256") {
                    self.lacking.lock().unwrap().push(format!("PUT {key}: no checksum"));
                }
                if there.is_some() && headers.get("if-none-match").is_some_and(|value| value == "*") {
                    return reply(stream, "412 Precondition Failed", &[], b"<Error/>", false);
                }
                objects.insert(key.to_owned(), body);
                reply(stream, "200 OK", &["ETag: \"x\""], b"", false)
            }
            ("DELETE", _) => {
                objects.remove(key);
                reply(stream, "204 No Content", &[], b"", false)
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

fn reply(stream: &TcpStream, status: &str, headers: &[&str], body: &[u8], head: bool) -> Option<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|header| text += &format!("{header}\r\n"));
    text += "\r\n";
    let mut all = text.into_bytes();
    if !head {
        all.extend_from_slice(body);
    }
    let mut stream = stream;
    stream.write_all(&all).ok()
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
    let work = ca.beside().display();
    std::fs::write(ca.beside().join("credentials"), "ID\nhunter-key\n").unwrap();
    let text = format!(
        "[vault]\nurl = 's3://bucket/some/prefix'\nendpoint = '{endpoint}'\ncredentials-file = '{work}/credentials'\n\
         key-file = '{work}/{{ca}}.key'\n"
    );
    Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone())
}

fn made(vault: &Vault, name: &str) -> CaRepository {
    vault.create(name, "a code", Label { host: "tests", user: "code" }).unwrap()
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
    let keep = Keep { last: 1, ..Keep::default() };
    for _ in 0..2 {
        let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
        repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
    }
    assert_eq!(assert_whole(&repository, ca.beside()), 1);
    assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
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
    let error = ca.back_up(&repository, BackupType::Full).unwrap_err();
    assert_eq!(error.class(), Class::Unreachable, "{error}");
    assert!(logs.iter().all(|log| ca.logs().contains(log)), "a log is gone");
    service.gone.store(false, Ordering::SeqCst);
    std::fs::write(ca.beside().join("credentials"), "nothing").unwrap();
    let error = vault.repository(None).unwrap_err();
    assert!(error.to_string().contains("first line"), "{error}");
}
