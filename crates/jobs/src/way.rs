//! The ways by which somebody is told: a command that gets an alarm as JSON, a webhook, mail to an address, a log of this machine. Each
//! hears of everything by itself, so that one that fails keeps nothing from those behind it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use certadm_files::read;
use certadm_rules::diagnosis::chain_of;

use crate::alarm::News;
use crate::children;
use crate::config::{Mail, Name, Notify, Secret};
use crate::unheard::Unheard;

/// A command that has not ended by then is killed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has ended.
const GLANCE: Duration = Duration::from_millis(20);
/// No file with an address is longer than this, in bytes.
const MAX_ADDRESS: u64 = 8192;

/// One way by which somebody is told.
pub(crate) struct Way<'a> {
    /// By what it is known who has heard of an alarm.
    pub(crate) who: String,
    /// Its door, by which it is known who does not answer: all addresses of mail have one server.
    pub(crate) door: String,
    how: How<'a>,
}

enum How<'a> {
    Command(&'a [String]),
    Webhook(&'a Secret),
    Mail(&'a Mail, &'a str),
    Journal(&'a Path),
    Syslog(&'a Path),
    EventLog,
}

impl<'a> Way<'a> {
    /// All of them.
    pub(crate) fn all(name: &Name, notify: &'a Notify) -> Vec<Self> {
        let way = |word: &str, how| {
            let door = format!("{name} {word}");
            Self { who: door.clone(), door, how }
        };
        let command = Some(notify.command.as_slice()).filter(|words| !words.is_empty());
        let command = command.map(|words| way("command", How::Command(words)));
        let webhook = notify.webhook.as_ref().map(|address| way("webhook", How::Webhook(address)));
        let mails = notify.mail.iter().flat_map(|mail| mail.to.iter().map(move |to| (mail, to)));
        let mails = mails.map(|(mail, to)| {
            let way = way("mail", How::Mail(mail, to));
            Self { who: format!("{} {to}", way.door), ..way }
        });
        let journal = notify.journal.as_deref().map(|socket| way("journal", How::Journal(socket)));
        let syslog = notify.syslog.as_deref().map(|socket| way("syslog", How::Syslog(socket)));
        let event_log = notify.event_log.then(|| way("event-log", How::EventLog));
        let ways = command.into_iter().chain(webhook).chain(mails);
        ways.chain(journal).chain(syslog).chain(event_log).collect()
    }

    /// Tells something; `text` is the same as JSON.
    pub(crate) fn send(&self, news: &News, text: &str) -> Result<(), Unheard> {
        match self.how {
            How::Command(words) => run(words, text)?,
            How::Webhook(address) => crate::http::request(&read_address(address)?, Some(text.to_owned()))?,
            How::Mail(mail, to) => crate::mail::send(mail, to, news)?,
            How::Journal(socket) => crate::journal::to_journal(socket, news)?,
            How::Syslog(socket) => crate::journal::to_syslog(socket, news)?,
            How::EventLog => crate::event_log::tell(news)?,
        }
        Ok(())
    }
}

/// An address, which may be in a file.
pub(crate) fn read_address(address: &Secret) -> Result<String, String> {
    match address {
        Secret::Plain(address) => Ok(address.clone()),
        Secret::File(file) => {
            let bytes = read::bounded(file, MAX_ADDRESS).map_err(|error| chain_of(&error))?;
            let text = read::without_byte_order_mark(&bytes).and_then(|text| std::str::from_utf8(text).ok());
            let text = text.ok_or_else(|| format!("{} is no text in UTF-8", file.display()))?;
            Ok(text.trim().to_owned())
        }
    }
}

/// Runs a command that gets the text on standard input.
fn run(words: &[String], text: &str) -> Result<(), Unheard> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let failed = |error: std::io::Error| format!("cannot run {program}: {error}");
    let mut command = Command::new(program);
    command.args(arguments);
    children::set_apart(&mut command);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(failed)?;
    // A few hundred bytes go into a pipe that nobody reads, too.
    let written = child.stdin.take().map(|mut input| input.write_all(text.as_bytes()));
    let end = Instant::now() + PATIENCE;
    loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(Unheard::Refused(format!("{program} ended with {status}"))),
            None if Instant::now() < end => thread::sleep(GLANCE),
            None => {
                child.kill().map_err(failed)?;
                child.wait().map_err(failed)?;
                let _ = written;
                return Err(format!("{program} has not ended within a minute").into());
            }
        }
    }
}
