//! Vaults at servers of restic's REST protocol: a small one in this process, and `rclone serve restic`.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use certadm_repository::{
    CaRepository, Error, ExpiryOptions, Keep, Label, Part, Profiles, RepairOptions, Vault, examine,
};
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};
use certadm_set::Silent;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::common::{Ca, assert_whole};
use crate::foreign::{Foreign, free_address};
use crate::http::{self, Request, serve};

/// A server in this process.
#[derive(Default)]
struct Service {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    append_only: AtomicBool,
    requests: AtomicU64,
    /// Every so many requests are answered by 503, or cut before or after they are carried out.
    busy: AtomicU64,
    cut: AtomicU64,
    /// The header that requests must have.
    wants: Mutex<Option<String>>,
}

impl Service {
    fn start() -> (Arc<Self>, String) {
        let service = Arc::new(Self::default());
        let address = serve(&service, Self::answer);
        (service, address)
    }

    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let Request { first, headers, body } = Request::read(stream)?;
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        let hits = |every: &AtomicU64| match every.load(Ordering::SeqCst) {
            0 => false,
            every => number.is_multiple_of(every),
        };
        if hits(&self.busy) {
            return reply(stream, "503 Slow Down", &[], b"", false);
        }
        let is_cut = hits(&self.cut);
        if is_cut && number.is_multiple_of(2) {
            return None;
        }
        let mut words = first.split_whitespace();
        let (method, target) = (words.next()?, words.next()?);
        let wants = self.wants.lock().unwrap().clone();
        let answered = match wants.is_some() && headers.get("authorization") != wants.as_ref() {
            true => reply(stream, "401 Unauthorized", &[], b"", method == "HEAD"),
            false => self.carry_out(stream, method, target, &headers, body),
        };
        if is_cut { None } else { answered }
    }

    fn carry_out(
        &self,
        stream: &TcpStream,
        method: &str,
        target: &str,
        headers: &BTreeMap<String, String>,
        body: Vec<u8>,
    ) -> Option<()> {
        let append_only = self.append_only.load(Ordering::SeqCst);
        let mut objects = self.objects.lock().unwrap();
        let there = objects.get(target).cloned();
        let is_head = method == "HEAD";
        match (method, there) {
            ("POST", _) if target.ends_with("/?create=true") => reply(stream, "200 OK", &[], b"", false),
            ("POST", Some(_)) => reply(stream, "403 Forbidden", &[], b"", false),
            ("POST", None) => {
                objects.insert(target.to_owned(), body);
                reply(stream, "200 OK", &[], b"", false)
            }
            ("DELETE", _) if append_only => reply(stream, "403 Forbidden", &[], b"", false),
            ("DELETE", _) => {
                objects.remove(target);
                reply(stream, "200 OK", &[], b"", false)
            }
            ("GET", _) if target.ends_with('/') => {
                assert_eq!(headers.get("accept").unwrap(), "application/vnd.x.restic.rest.v2");
                let lines: Vec<String> = objects
                    .range(target.to_owned()..)
                    .filter_map(|(name, content)| Some((name.strip_prefix(target)?, content.len())))
                    .map(|(name, size)| format!("{{\"name\":\"{name}\",\"size\":{size}}}"))
                    .collect();
                let kind = "Content-Type: application/vnd.x.restic.rest.v2";
                reply(stream, "200 OK", &[kind], format!("[{}]", lines.join(",")).as_bytes(), false)
            }
            ("GET" | "HEAD", None) => reply(stream, "404 Not Found", &[], b"", is_head),
            ("GET" | "HEAD", Some(content)) => {
                let range = headers.get("range").and_then(|range| range.strip_prefix("bytes="));
                let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
                    return reply(stream, "200 OK", &[], &content, is_head);
                };
                let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
                reply(stream, "206 Partial Content", &[], &content[from..=to], false)
            }
            _ => reply(stream, "400 Bad Request", &[], b"", false),
        }
    }
}

/// Every answer has the time of the server.
fn reply(stream: &TcpStream, status: &str, headers: &[&str], body: &[u8], head: bool) -> Option<()> {
    let date = OffsetDateTime::now_utc().format(&Rfc2822).unwrap().replace("+0000", "GMT");
    let date = format!("Date: {date}");
    http::reply(stream, status, &[&[date.as_str()], headers].concat(), body, head)
}

fn vault(work: &Path, address: &str, more: &str) -> Vault {
    let work = work.display();
    let text = format!("[vault]\nurl = 'rest:{address}/some/path'\nkey-file = '{work}/{{ca}}.key'\n{more}");
    Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone())
}

fn made(vault: &Vault, name: &str) -> CaRepository {
    vault.create(name, "a code", Label { host: "tests", user: "code" }).unwrap()
}

/// What both servers must do.
fn used(vault: &Vault, name: &str, ca: &mut Ca) -> CaRepository {
    let repository = made(vault, name);
    let again = vault.create(name, "x", Label { host: "", user: "" });
    assert!(matches!(again, Err(Error::RepositoryExists { .. })));
    ca.back_up(&repository, BackupType::Full).unwrap();
    for _ in 0..2 {
        ca.issue(2);
        let taken = ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        assert!(taken.checked && !taken.truncated.is_empty());
    }
    assert_eq!(assert_whole(&repository, ca.beside()), 3);
    assert!(repository.check(Part::ALL, &mut Silent).unwrap().problems.is_empty());
    // No state is noted as proven, and that is no failure.
    repository.note_proven(repository.points().unwrap().last().unwrap()).unwrap();
    assert!(repository.proven().unwrap().is_empty());
    let keep = Keep { last: 1, ..Keep::default() };
    let expiry = repository.expiry(&ExpiryOptions { keep, take_over: false, rest: None });
    let error = expiry.unwrap_err();
    assert!(matches!(error, Error::NoTurns { .. }) && error.remedy().contains("file:///"), "{error}");
    let repair = repository.repair(&RepairOptions::default(), &mut Silent);
    assert!(matches!(repair, Err(Error::NoTurns { .. })));
    assert!(matches!(vault.cas(), Err(Error::NoList { .. })));
    let steps = examine(vault, Some(name), &mut |_| {});
    let failed: Vec<_> = steps.iter().filter(|step| step.seen.is_err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    repository
}

/// With the credentials of the CA's machine nothing goes.
fn assert_keeps(repository: &CaRepository, ca: &Ca) {
    let points = repository.points().unwrap();
    let keys = repository.keys().unwrap();
    let password = certadm_repository::Secret::from_password("another", ca.beside());
    repository.add_key(&password, Label { host: "tests", user: "second" }).unwrap();
    let refused = repository.remove_key(&keys[0].id).unwrap_err();
    assert!(refused.to_string().contains("only appends"), "{refused}");
    assert_eq!(repository.points().unwrap(), points);
    assert_eq!(assert_whole(repository, ca.beside()), points.len());
}

#[test]
fn a_server_keeps_a_repository_and_one_that_only_appends_deletes_nothing() {
    let (service, address) = Service::start();
    service.append_only.store(true, Ordering::SeqCst);
    let name = "Drill CA (1)";
    let mut ca = Ca::named(&certadm_rules::names::sanitize(name));
    let vault = vault(ca.beside(), &address, "");
    let repository = used(&vault, name, &mut ca);
    assert_keeps(&repository, &ca);
    // Whether it only appends is asked of the server itself.
    let lock = || {
        let steps = examine(&vault, Some(name), &mut |_| {});
        steps.into_iter().find(|step| step.name == "lock").unwrap().seen.unwrap()
    };
    assert!(lock().contains("can delete and replace nothing"), "{}", lock());
    service.append_only.store(false, Ordering::SeqCst);
    assert!(lock().contains("may delete"), "{}", lock());
    let names: Vec<String> = service.objects.lock().unwrap().keys().cloned().collect();
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("/some/path/Drill%20CA%20%210028") && !name.contains("certadm")),
        "{names:?}"
    );
    let listed = self::vault(ca.beside(), &address, &format!("cas = ['{name}']\n"));
    assert_eq!(listed.repository(None).unwrap().points().unwrap().len(), 3);
}

#[test]
fn a_server_that_is_busy_or_cuts_connections_is_asked_again() {
    let (service, address) = Service::start();
    let mut ca = Ca::create();
    let vault = vault(ca.beside(), &address, "");
    let repository = made(&vault, "ca");
    for (count, (busy, cut)) in [(3, 0), (0, 5), (7, 4)].into_iter().enumerate() {
        service.busy.store(busy, Ordering::SeqCst);
        service.cut.store(cut, Ordering::SeqCst);
        ca.issue(2);
        let taken = ca.back_up(&repository, BackupType::Full).unwrap();
        assert!(taken.checked && !taken.truncated.is_empty());
        assert_eq!(assert_whole(&repository, ca.beside()), count + 1);
    }
}

#[test]
fn an_account_is_asked_for_and_its_password_is_in_no_message() {
    let (service, address) = Service::start();
    // The account `user` with the password `hunter-two`.
    *service.wants.lock().unwrap() = Some("Basic dXNlcjpodW50ZXItdHdv".to_owned());
    let ca = Ca::create();
    let without = vault(ca.beside(), &address, "");
    let label = Label { host: "tests", user: "code" };
    let refused = without.create("ca", "a code", label).unwrap_err();
    assert!(
        refused.class() == Class::Unreachable && refused.to_string().contains("no such account"),
        "{refused}"
    );
    let file = ca.beside().join("account");
    std::fs::write(&file, "user\nhunter-two\n").unwrap();
    let with = vault(ca.beside(), &address, &format!("credentials-file = '{}'\n", file.display()));
    let repository = with.create("ca", "a code", label).unwrap();
    ca.back_up(&repository, BackupType::Full).unwrap();
    assert!(!format!("{repository:?}").contains("hunter"), "{repository:?}");
    std::fs::write(&file, "hunter-two\n").unwrap();
    let error = with.repository(Some("ca")).unwrap_err();
    assert!(error.to_string().contains("first line") && !error.to_string().contains("hunter"), "{error}");
}

/// `rclone serve restic` of a folder, and its address.
fn rclone(folder: &Path, more: &[&str]) -> (Foreign, String) {
    let address = free_address();
    std::fs::create_dir_all(folder).unwrap();
    let mut command = Command::new("rclone");
    command.args(["serve", "restic", "--config", "/dev/null", "--addr", &address]).args(more).arg(folder);
    (Foreign::start(&mut command, &address), format!("http://{address}"))
}

#[test]
#[ignore = "needs rclone and restic"]
fn rclone_that_only_appends_keeps_a_vault_that_expires_where_its_files_are() {
    let name = "Drill CA (1)";
    let mut ca = Ca::named(&certadm_rules::names::sanitize(name));
    let folder = ca.beside().join("served");
    let (rclone, address) = self::rclone(&folder, &["--append-only"]);
    let vault = vault(ca.beside(), &address, "");
    let repository = used(&vault, name, &mut ca);
    assert_keeps(&repository, &ca);
    // Stock restic with the same credentials deletes nothing either.
    let code = ca.beside().join("code");
    std::fs::write(&code, "a code").unwrap();
    let escaped = "Drill%20CA%20%2100281%210029";
    let restic = |arguments: &[&str]| {
        let mut command = Command::new("restic");
        command.args(["--no-cache", "--no-lock", "--password-file"]).arg(&code);
        command
            .arg("--repo")
            .arg(format!("rest:{address}/some/path/{escaped}"))
            .args(arguments)
            .output()
            .unwrap()
    };
    let checked = restic(&["check", "--read-data"]);
    assert!(String::from_utf8_lossy(&checked.stdout).contains("no errors were found"), "{checked:?}");
    restic(&["forget", "--keep-last", "1", "--prune"]);
    assert_eq!(assert_whole(&repository, ca.beside()), 3);
    drop(rclone);
    // On the machine that has the files, sets expire.
    let work = ca.beside().display();
    let text = format!("[vault]\nurl = 'file://{work}/served/some/path'\nkey-file = '{work}/{{ca}}.key'\n");
    let near = Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone());
    let near = near.repository(None).unwrap();
    ca.back_up(&near, BackupType::Full).unwrap();
    let keep = Keep { last: 1, ..Keep::default() };
    let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
    near.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
    assert_eq!(assert_whole(&near, ca.beside()), 1);
}

#[test]
#[ignore = "needs rclone"]
fn rclone_asks_for_an_account() {
    let mut ca = Ca::named("Drill CA");
    let more = ["--user", "backup", "--pass", "a password"];
    let (_rclone, address) = self::rclone(&ca.beside().join("served"), &more);
    let file = ca.beside().join("account");
    std::fs::write(&file, "backup\na password\n").unwrap();
    let vault = vault(ca.beside(), &address, &format!("credentials-file = '{}'\n", file.display()));
    used(&vault, "Drill CA", &mut ca);
}
