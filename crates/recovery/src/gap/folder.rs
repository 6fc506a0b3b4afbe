//! The folder with what can be done about a gap (recovery.md 7.1).

use std::path::{Path, PathBuf};

use certadm_ca::{Reason, Serial};
use certadm_files::{IoContext, Unfinished, durable};
use certadm_rules::FileTime;

use super::found::Unknown;
use super::report::Gap;
use crate::error::Result;
use crate::order::revoke_command;
use crate::records::Maker;

/// The folder that is being built: it is there with everything in it, or not at all.
#[derive(Debug)]
pub struct Folder {
    building: Unfinished,
    import: PathBuf,
    /// The names of its files, without the certificates.
    pub files: Vec<String>,
}

/// What `return.sh` tells our own CA.
const RETURN_LIST: &str = "return.csv";
/// The folder for certificates in it.
const IMPORT: &str = "import";

impl Folder {
    /// Begins a folder that is to be at `to`.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File); in particular when something of that name is there.
    pub fn begin(to: &Path) -> Result<Self> {
        if to.symlink_metadata().is_ok() {
            return Err(certadm_files::Error::Exists { path: to.to_owned() }.into());
        }
        if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
        {
            durable::create_dir(parent)?;
        }
        let building = Unfinished::folder(to)?;
        let import = building.path().join(IMPORT);
        durable::create_new_dir(&import)?;
        Ok(Self { building, import, files: Vec::new() })
    }

    /// Where certificates are put while the folder is built.
    #[must_use]
    pub fn import(&self) -> &Path {
        &self.import
    }

    /// Keeps a certificate. The name is the digits of its serial number alone.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File).
    pub fn keep(import: &Path, serial: &Serial, der: &[u8]) -> Result<()> {
        Ok(durable::write_new(&import.join(format!("{serial}.cer")), der)?)
    }

    /// Writes what can be done. A revocation that is dated later than `now` is entered without a date.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File).
    pub fn write(&mut self, gap: &Gap, html: &str, now: FileTime) -> Result<()> {
        let report = serde_json::to_vec(gap).map_err(std::io::Error::from);
        let report = report.during("write", &self.building.path().join("report.json"))?;
        self.add("report.json", &report)?;
        self.add("report.html", html.as_bytes())?;
        self.add("gap.csv", gap_csv(gap).as_bytes())?;
        self.add("revoke-only.csv", revoke_csv(gap, now).as_bytes())?;
        match gap.maker {
            Maker::Windows => self.add("return.cmd", return_cmd(gap).as_bytes()),
            Maker::Certadm => {
                self.add(RETURN_LIST, return_csv(gap, now).as_bytes())?;
                self.add("return.sh", return_sh().as_bytes())
            }
        }
    }

    fn add(&mut self, name: &str, content: &[u8]) -> Result<()> {
        durable::write_new(&self.building.path().join(name), content)?;
        self.files.push(name.to_owned());
        Ok(())
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File).
    pub fn place(self) -> Result<()> {
        durable::sync_dir(&self.import)?;
        durable::sync_dir(self.building.path())?;
        Ok(self.building.place()?)
    }
}

/// What `certadm emergency-crl --revoke-file` takes: revocations that the database does not know of, and certificates of
/// which nothing but the serial number is known. These are put on hold, because a hold can be taken back when the
/// certificate turns up.
fn revoke_csv(gap: &Gap, now: FileTime) -> String {
    let mut text = String::from("serial,reason,when\r\n");
    let mut line = |serial: &Serial, reason: Reason, when: Option<FileTime>| {
        text.push_str(&format!("{serial},{reason},{}\r\n", date_cell(when, now)));
    };
    for (serial, reason, when) in gap.revocations().chain(gap.revoked_by_serial()) {
        line(serial, reason, when);
    }
    for found in gap.serial_only.iter().filter(|found| !found.is_revoked()) {
        line(&found.serial_number, Reason::CERTIFICATE_HOLD, None);
    }
    text
}

/// The commands for a Windows CA that is back. Nothing from a source stands in it but digits of serial numbers and
/// numbers of reasons, so that nothing in it can be a command.
fn return_cmd(gap: &Gap) -> String {
    let mut text = String::from(
        "@echo off\r\n\
         rem Run this on the CA when it is back, before it issues again.\r\n\
         rem It imports certificates that its database does not know, and enters revocations. It publishes no CRL.\r\n\
         setlocal\r\n\
         set missing=0\r\n\
         pushd \"%~dp0\"\r\n",
    );
    for found in &gap.importable {
        text.push_str(&format!("certutil -importcert \"{IMPORT}\\{}.cer\"\r\n", found.serial_number));
    }
    for (serial, reason, _) in gap.revocations().chain(gap.revoked_by_serial()) {
        text.push_str(&revoke_command(serial, reason));
    }
    text.push_str("popd\r\n");
    text.push_str(
        "if not %missing%==0 echo %missing% revocations could not be entered.\r\n\
         echo No CRL is published yet. Run return.cmd in the folder of the emergency CRL now: it enters what that CRL lists, and publishes.\r\n\
         echo Where there is no emergency CRL, and all are entered, publish one: certutil -crl\r\n\
         if not %missing%==0 exit /b 1\r\nexit /b 0\r\n",
    );
    text
}

/// The script for our own CA. It publishes nothing: the emergency CRL may list what was ordered while the CA was down, which stands in
/// no list of a gap.
fn return_sh() -> String {
    format!(
        "#!/bin/sh\n# Run this when the CA is back, before it issues again: it does not know these revocations yet.\n\
         # return.sh CA_FOLDER\nset -u\n\
         certadm apply-revocations \"$(dirname -- \"$0\")/{RETURN_LIST}\" --dir \"$1\"\ncode=$?\n\
         echo \"No CRL is published yet. Run return.sh in the folder of the emergency CRL now: it enters what that CRL lists, \
         and publishes.\" >&2\n\
         echo \"Where there is no emergency CRL, and all are entered, publish one: certadm ca crl\" >&2\nexit $code\n"
    )
}

/// What our own CA is told by `return.sh`: every revocation. It refuses those of certificates that it does not know.
fn return_csv(gap: &Gap, now: FileTime) -> String {
    let mut text = String::from("serial,reason,when\n");
    for (serial, reason, when) in gap.revocations().chain(gap.revoked_by_serial()) {
        text.push_str(&format!("{serial},{reason},{}\n", date_cell(when, now)));
    }
    text
}

/// What a wrong clock has dated ahead is revoked from now on: a list with such a date would be refused as a whole.
fn date_cell(when: Option<FileTime>, now: FileTime) -> String {
    when.filter(|when| *when <= now).map(FileTime::to_rfc3339).unwrap_or_default()
}

/// Everything in one table, for a spreadsheet.
fn gap_csv(gap: &Gap) -> String {
    let mut text =
        String::from("class,request_id,serial_number,when,not_after,subject,requester,template,revoked\r\n");
    let mut line = |cells: [String; 9]| {
        let cells: Vec<String> = cells.iter().map(|cell| safe_cell(cell)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    };
    let id = |id: Option<i64>| id.map(|id| id.to_string()).unwrap_or_default();
    let date = |when: Option<FileTime>| when.map(FileTime::to_rfc3339).unwrap_or_default();
    let mut certificates = |class: &str, list: &[Unknown]| {
        for found in list {
            line([
                class.to_owned(),
                id(found.request_id),
                found.serial_number.to_string(),
                date(found.when),
                date(found.not_after),
                found.subject.clone(),
                found.requester.clone(),
                found.template.clone(),
                found.revoked.map(|revoked| revoked.reason.to_string()).unwrap_or_default(),
            ]);
        }
    };
    certificates("importable", &gap.importable);
    certificates("serial-only", &gap.serial_only);
    for only in &gap.request_only {
        line([
            "request-only".to_owned(),
            only.request_id.to_string(),
            String::new(),
            date(only.when),
            String::new(),
            only.subject.clone(),
            only.requester.clone(),
            String::new(),
            String::new(),
        ]);
    }
    for ids in &gap.unaccounted {
        let range = if ids.first == ids.last {
            ids.first.to_string()
        } else {
            format!("{} to {}", ids.first, ids.last)
        };
        line([
            "unaccounted".to_owned(),
            range,
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
        ]);
    }
    for entry in &gap.revoked_elsewhere {
        line([
            "revoked-elsewhere".to_owned(),
            entry.request_id.to_string(),
            entry.serial_number.to_string(),
            date(entry.revoked.when),
            String::new(),
            String::new(),
            String::new(),
            String::new(),
            entry.revoked.reason.to_string(),
        ]);
    }
    text
}

/// A cell of a CSV file (RFC 4180) with text from elsewhere. A program for tables takes a cell that begins with one of
/// `= + - @`, a tab or a line break for a formula: it gets an apostrophe before it.
///
/// ```
/// use certadm_recovery::gap::safe_cell;
///
/// assert_eq!(safe_cell("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
/// assert_eq!(safe_cell("CN=a, O=b"), "\"CN=a, O=b\"");
/// ```
#[must_use]
pub fn safe_cell(text: &str) -> String {
    let starts_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let text = if starts_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n', ';']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}
