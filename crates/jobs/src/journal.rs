//! An alarm in the log of this machine: the journal of systemd by its own protocol, or syslog. Both are one datagram.

use std::fmt::Write;
#[cfg(unix)]
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::alarm::{News, Turn};

/// By this the journal finds all alarms: `journalctl MESSAGE_ID=...`.
const MESSAGE_ID: &str = "6f1b6ff0c2a54d3d9f0f3a3c3a0c5f11";
/// A longer text is cut, in bytes. A datagram of the journal can be much longer, one of syslog should not.
const MAX_TEXT: usize = 4096;
/// The facility of daemons.
const DAEMON: u8 = 3;

/// Tells the journal.
///
/// # Errors
/// A sentence.
pub(crate) fn to_journal(socket: &Path, news: &News) -> Result<(), String> {
    let alarm = &news.alarm;
    let mut text = String::new();
    let priority = priority(news).to_string();
    let fields = [
        ("MESSAGE", sentence(news)),
        ("MESSAGE_ID", MESSAGE_ID.to_owned()),
        ("PRIORITY", priority),
        ("SYSLOG_IDENTIFIER", "certadm".to_owned()),
        ("CERTADM_EVENT", turn(news).to_owned()),
        ("CERTADM_ABOUT", alarm.about.key().to_owned()),
        ("CERTADM_JOB", alarm.job.clone()),
        ("CERTADM_CA", alarm.ca.clone()),
        ("CERTADM_REMEDY", alarm.remedy.clone()),
    ];
    for (name, value) in fields {
        // A line end would begin another field.
        writeln!(text, "{name}={}", one_line(&value)).ok();
    }
    send(socket, text.as_bytes())
}

/// Tells syslog, in the form that its local socket takes everywhere (RFC 3164).
///
/// # Errors
/// A sentence.
pub(crate) fn to_syslog(socket: &Path, news: &News) -> Result<(), String> {
    let now = Timestamp::now().to_zoned_datetime(TimeZone::system());
    let value = DAEMON * 8 + priority(news);
    let (stamp, id) = (now.strftime("%b %e %H:%M:%S"), std::process::id());
    let text = format!("{}; what to do: {}", sentence(news), news.alarm.remedy);
    send(socket, format!("<{value}>{stamp} certadm[{id}]: {}", one_line(&text)).as_bytes())
}

#[cfg(unix)]
fn send(socket: &Path, text: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be told: {error}", socket.display());
    let datagram = UnixDatagram::unbound().map_err(failed)?;
    // Whoever does not read must not keep a run waiting.
    datagram.set_nonblocking(true).map_err(failed)?;
    datagram.send_to(text, socket).map_err(failed)?;
    Ok(())
}

/// The configuration refuses these sockets here.
#[cfg(not(unix))]
fn send(socket: &Path, _text: &[u8]) -> Result<(), String> {
    Err(format!("{} cannot be told: this system has no such sockets", socket.display()))
}

/// What is told, in one sentence.
pub(crate) fn sentence(news: &News) -> String {
    let alarm = &news.alarm;
    match news.event {
        Turn::Begins => {
            format!("alarm begins: {}: {}: {}", alarm.whose(), alarm.about, alarm.message)
        }
        // Of several of a kind, which one.
        Turn::Ends => format!("alarm ends: {}: {}; it was: {}", alarm.whose(), alarm.about, alarm.message),
    }
}

const fn turn(news: &News) -> &'static str {
    match news.event {
        Turn::Begins => "begins",
        Turn::Ends => "ends",
    }
}

/// As syslog counts: 2 critical, 4 warning, 5 notice.
const fn priority(news: &News) -> u8 {
    match news.event {
        Turn::Begins if news.alarm.about.is_grave() => 2,
        Turn::Begins => 4,
        Turn::Ends => 5,
    }
}

fn one_line(text: &str) -> String {
    let line = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut length = 0;
    line.take_while(|letter| {
        length += letter.len_utf8();
        length <= MAX_TEXT
    })
    .collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::alarm::{About, Alarm};

    fn news(event: Turn, message: &str) -> News {
        let alarm = Alarm {
            about: About::Late,
            id: "age".to_owned(),
            job: "nightly".to_owned(),
            ca: "web".to_owned(),
            message: message.to_owned(),
            remedy: "look".to_owned(),
        };
        News { event, since: 0, alarm }
    }

    #[test]
    fn each_log_gets_one_datagram_and_no_field_of_a_strangers_making() {
        let dir = certadm_files::scratch::for_test();
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        let hear = || {
            let mut buffer = vec![0; 65_536];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        to_journal(&path, &news(Turn::Begins, "a\nPRIORITY=7")).unwrap();
        let said = hear();
        assert!(said.starts_with("MESSAGE=alarm begins: web (nightly): late: a PRIORITY=7\n"), "{said}");
        assert!(said.contains("\nPRIORITY=2\n") && said.contains("\nCERTADM_CA=web\n"), "{said}");
        assert_eq!(said.lines().filter(|line| line.starts_with("PRIORITY=")).count(), 1);
        to_syslog(&path, &news(Turn::Ends, "b")).unwrap();
        let said = hear();
        assert!(said.starts_with("<29>") && said.contains(" certadm["), "{said}");
        assert!(said.ends_with("alarm ends: web (nightly): late; it was: b; what to do: look"), "{said}");
        to_journal(&path, &news(Turn::Begins, &"ü".repeat(100_000))).unwrap();
        assert!(hear().len() < 10_000);
        drop(socket);
        assert!(to_journal(&path, &news(Turn::Ends, "")).unwrap_err().contains("cannot be told"));
    }
}
