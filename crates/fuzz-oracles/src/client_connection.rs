//! A client, from the first PDU to the end of a backup, with a CA that answers what it likes: in whatever order, sealed or
//! not, under other calls, with any content.
//!
//! The client's work is bounded by what it was sent. A CA that does not know the password is never believed, and nothing
//! that was changed on its way is a success. No name of the CA's becomes a path outside the set, and no file becomes longer
//! than what was sent.

use std::path::{Component, Path};
use std::sync::Mutex;
use std::time::Duration;

use certadm_auth::{AccountName, Password};
use certadm_client::fuzzing::with_dialler;
use certadm_client::{
    Credentials, Endpoint, KerberosTarget, Mechanism, OtherEntries, RemoteCa, Target, Timeouts, doctor,
};
use certadm_files::scratch;
use certadm_rules::BackupType;
use certadm_rules::names::is_safe_component;
use certadm_session::Source;
use certadm_set::{Check, ReadBack, Silent, TakeOptions, take};
use tempfile::TempDir;

use crate::folder_contents;
use crate::hostile_ca::{ACCOUNT, Connection, Hostile, Shared, lock};

/// Where sets are taken: one folder for all inputs, empty between them.
static PLACE: Mutex<Option<TempDir>> = Mutex::new(None);

/// The first octet says how the CA is reached (bit 0: over a socket of this machine, without a logon), whether it knows the
/// password (bit 1: it does not), and what is done there (the rest). Its answers follow.
pub(crate) fn run(data: &[u8]) {
    play(data);
}

/// Plays a script; answers whether what was done there succeeded as a whole.
fn play(data: &[u8]) -> bool {
    let Some((&first, answers)) = data.split_first() else { return false };
    let (is_local, knows_password) = (first & 1 != 0, first & 2 == 0);
    let shared = Hostile::new(answers, knows_password);
    let peers = shared.clone();
    let dial = move || -> Box<dyn certadm_client::fuzzing::Peer> { Box::new(Connection::new(&peers)) };
    let has_succeeded = with_dialler(Box::new(dial), || match first >> 2 {
        0 | 1 => backup(is_local, first >> 2 == 0, &shared),
        2 => walk(is_local, &shared),
        _ => calls(is_local, &shared),
    });
    let hostile = lock(&shared);
    assert!(hostile.dials <= 16, "{} connections", hostile.dials);
    let due = 8 * hostile.dials + 2 * hostile.steps;
    assert!(hostile.taken <= due, "{} PDUs for {} answers", hostile.taken, hostile.steps);
    has_succeeded
}

fn target(is_local: bool) -> (Target, Option<Credentials>) {
    let endpoint = if is_local {
        Endpoint::Socket("/run/certadm/fuzzed.sock".into())
    } else {
        Endpoint::Tcp { host: "127.0.0.1".to_owned(), port: 135 }
    };
    let account = AccountName::new("", ACCOUNT.0);
    let password = Password::new(ACCOUNT.1.to_owned());
    let credentials = certadm_auth::Credentials { account: account.clone(), password };
    let target = Target {
        endpoint,
        authority: None,
        account: Some(account),
        password_file: None,
        keytab: None,
        ticket_cache: None,
        mechanism: Mechanism::Negotiate,
        kerberos: KerberosTarget::default(),
        timeouts: Timeouts { ping: Duration::from_secs(3600), ..Timeouts::default() },
        other_entries: OtherEntries::default(),
    };
    (target, (!is_local).then_some(credentials.into()))
}

/// The logons of a CA that has proved itself: to the resolver, and to the service of the object.
const BOTH: usize = 2;

/// What was answered by a CA whose answers may be believed: so many logons have succeeded.
fn believed(what: &str, is_local: bool, logons: usize, shared: &Shared) {
    let hostile = lock(shared);
    let is_failed = hostile.broke_protocol || hostile.failed_read && what != "close";
    assert!(!is_failed, "{what}: an answer that no CA gives is taken for a success");
    assert!(is_local || logons <= hostile.logons, "{what}: a CA that proved nothing is believed");
}

fn connect(is_local: bool, shared: &Shared) -> Option<RemoteCa> {
    let (target, credentials) = target(is_local);
    let ca = RemoteCa::connect(target, credentials).ok()?;
    // Whoever activated the object has proved itself. The object's own service is believed with its first answer: a logon
    // by NTLM ends with a message of the client, which a service may pass over.
    believed("connect", is_local, 1, shared);
    Some(ca)
}

/// Single calls, each judged by itself.
fn calls(is_local: bool, shared: &Shared) -> bool {
    let Some(mut ca) = connect(is_local, shared) else { return false };
    let judge = |what: &str, is_success: bool| {
        if is_success {
            believed(what, is_local, BOTH, shared);
        }
        // What one call did not notice is not held against the next.
        let mut hostile = lock(shared);
        (hostile.broke_protocol, hostile.failed_read) = (false, false);
    };
    judge("is_online", ca.is_online().is_ok());
    judge("ping", ca.ping().is_ok());
    judge("prepare", ca.prepare(BackupType::Full).is_ok());
    judge("locations", ca.database_locations().is_ok());
    let names = ca.database_names();
    judge("names", names.is_ok());
    for name in names.iter().flat_map(|names| names.entries()).take(4) {
        let opened = ca.open_file(name.path(), 4096);
        judge("open", opened.is_ok());
        let mut buffer = [0; 4096];
        for _ in 0..4 {
            let read = ca.read(&mut buffer);
            judge("read", read.is_ok());
            if read.is_err() {
                break;
            }
        }
        judge("close", ca.close_file().is_ok());
    }
    judge("logs", ca.backup_logs().is_ok());
    judge("dynamic files", ca.dynamic_files().is_ok());
    judge("truncate", ca.truncate_logs().is_ok());
    // The end of a backup that is not worth a mark gives the object up, and asks nobody.
    let _ = ca.end();
    let _ = ca.seen();
    names.is_ok()
}

/// The walk of `doctor`: its gates say what is wrong, whatever that is.
fn walk(is_local: bool, shared: &Shared) -> bool {
    let (target, credentials) = target(is_local);
    let examination = doctor::examine(&target, credentials, true, &mut |_| {});
    assert!(!examination.visits.is_empty());
    let is_reached = examination.seen != doctor::Seen::default();
    assert!(!is_reached || is_local || BOTH <= lock(shared).logons, "a CA that proved nothing is believed");
    // So many gates lie before the CA itself.
    7 <= examination.visits.iter().filter(|visit| visit.verdict == doctor::Verdict::Open).count()
}

/// A whole backup.
fn backup(is_local: bool, is_full: bool, shared: &Shared) -> bool {
    let mut place = PLACE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = place.get_or_insert_with(scratch::for_test).path();
    let Some(mut ca) = connect(is_local, shared) else { return false };
    let kind = if is_full { BackupType::Full } else { BackupType::LogsOnly };
    let options = TakeOptions {
        truncate: false,
        read_back: ReadBack::Skip,
        check: Check::Later,
        ..TakeOptions::new(kind)
    };
    let set = place.join("sets").join("set");
    std::fs::create_dir_all(place.join("sets")).expect("a folder in memory");
    let taken = take(&mut ca, &set, &options, &mut Silent);
    if taken.as_ref().is_ok_and(|taken| taken.end_error.is_none()) {
        believed("backup", is_local, BOTH, shared);
    }
    drop(ca);
    let files = folder_contents::contents(place);
    let bytes: usize = files
        .iter()
        .filter(|(path, _)| path.starts_with("sets/set/DataBase") && !path.ends_with("certbkxp.dat"))
        .map(|(_, content)| content.len())
        .sum();
    std::fs::remove_dir_all(place.join("sets")).expect("a folder in memory");
    assert_eq!(folder_contents::contents(place), [], "a file outside the set");
    match &taken {
        Ok(_) => {
            assert!(bytes as u64 <= lock(shared).delivered, "{bytes} bytes of files");
            for (path, _) in files {
                is_of_a_set(&path);
            }
        }
        Err(_) => assert_eq!(files, [], "a backup that failed leaves something"),
    }
    taken.is_ok()
}

/// The path of a file in a set, below the place.
fn is_of_a_set(path: &Path) {
    let mut components = path.components().map(|component| match component {
        Component::Normal(name) => name.to_str().filter(|name| is_safe_component(name)),
        _ => None,
    });
    let names: Option<Vec<&str>> = components.by_ref().collect();
    let is_good =
        matches!(names.as_deref(), Some(["sets", "set", "DataBase", _] | ["sets", "set", "manifest.json"]));
    assert!(is_good, "{} is no file of a set", path.display());
}

#[cfg(test)]
mod tests {
    use super::play;

    /// A seed that gets nowhere would let a fuzzer get nowhere.
    #[test]
    fn seeds_reach_what_they_are_named_for() {
        macro_rules! succeeds {
            ($name:literal) => {
                play(include_bytes!(concat!("../../../fuzz/seeds/client_connection/", $name)))
            };
        }
        assert!(succeeds!("full-over-tcp") && succeeds!("full-over-socket") && succeeds!("logs-over-tcp"));
        assert!(succeeds!("version-mismatch") && succeeds!("pings-wanted") && succeeds!("fragments"));
        assert!(succeeds!("doctor-over-tcp") && succeeds!("calls-over-tcp") && succeeds!("calls-over-socket"));
        assert!(!succeeds!("does-not-know-the-password") && !succeeds!("names-that-climb"));
        assert!(!succeeds!("changed-octet") && !succeeds!("without-seal") && !succeeds!("other-call"));
        assert!(!succeeds!("more-than-announced") && !succeeds!("endless-file") && !succeeds!("shutdown"));
    }
}
