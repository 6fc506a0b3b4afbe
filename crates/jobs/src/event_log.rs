//! The Application log of Windows, under the source `certadm`: alarms, and what the agent says as a service, which has no other
//! place for it. Each kind of entry has its number (docs/windows.md), so that a task can be tied to it.

use crate::alarm::{About, News, Turn};
use crate::journal::sentence;

/// The source that entries are under, and under which it is registered.
pub const SOURCE: &str = "certadm";
/// A longer text is cut, in letters. The system takes eight times as many.
const MAX_TEXT: usize = 4096;

/// What the agent says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matter {
    /// It works.
    Works,
    /// It was asked to stop, and did.
    Stopped,
    /// It cannot start, or go on: a configuration that is refused, another agent, a system that does not let it.
    Failed,
    /// Something is not as it should be, and it goes on.
    Warning,
}

/// How an entry is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Information.
    Information,
    /// Warning.
    Warning,
    /// Error.
    Error,
}

/// The number and the level of an entry. The system's messages for these numbers, from 1 to 1000, are the text alone.
type Kind = (u16, Level);

const fn kind_of_matter(matter: Matter) -> Kind {
    match matter {
        Matter::Works => (1, Level::Information),
        Matter::Stopped => (2, Level::Information),
        Matter::Failed => (3, Level::Error),
        Matter::Warning => (4, Level::Warning),
    }
}

/// Alarms begin with a number above 100, and end with one above 200.
const fn kind_of_alarm(about: About, event: Turn) -> Kind {
    let about_number = match about {
        About::Late => 1,
        About::Failed => 2,
        About::Unverified => 3,
        About::NotProven => 4,
        About::Incomplete => 5,
        About::Crl => 6,
        About::Certificate => 7,
        About::Disk => 8,
        About::Finding => 9,
        About::Unprotected => 10,
        About::Page => 11,
    };
    match event {
        Turn::Begins if about.is_grave() => (100 + about_number, Level::Error),
        Turn::Begins => (100 + about_number, Level::Warning),
        Turn::Ends => (200 + about_number, Level::Information),
    }
}

/// Writes what the agent says of itself.
///
/// # Errors
/// A sentence.
pub fn report(matter: Matter, text: &str) -> Result<(), String> {
    write(kind_of_matter(matter), text)
}

/// Writes an alarm.
///
/// # Errors
/// A sentence.
pub(crate) fn tell(news: &News) -> Result<(), String> {
    let text = match news.event {
        Turn::Begins => format!("{}\nWhat to do: {}", sentence(news), news.alarm.remedy),
        Turn::Ends => sentence(news),
    };
    write(kind_of_alarm(news.alarm.about, news.event), &text)
}

#[cfg(windows)]
fn write((number, level): Kind, text: &str) -> Result<(), String> {
    use winsafe::{HEVENTLOG, co};
    let level = match level {
        Level::Information => co::EVENTLOG::INFORMATION_TYPE,
        Level::Warning => co::EVENTLOG::WARNING_TYPE,
        Level::Error => co::EVENTLOG::ERROR_TYPE,
    };
    let failed = |error: co::ERROR| format!("the event log cannot be told: {error}");
    let log = HEVENTLOG::RegisterEventSource(None, SOURCE).map_err(failed)?;
    log.ReportEvent(level, 0, u32::from(number), None, &[shown(text)], &[]).map_err(failed)
}

/// The configuration refuses it here.
#[cfg(not(windows))]
fn write((number, level): Kind, text: &str) -> Result<(), String> {
    Err(format!("there is no event log here for entry {number} ({level:?}): {}", shown(text)))
}

/// A text as it stands in the log: lines, and no `%1`, which whoever shows it would take for a place to fill.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut letters = text.chars().take(MAX_TEXT).peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\n' => shown.push_str("\r\n"),
            letter if letter.is_control() => shown.push(' '),
            letter => shown.push(letter),
        }
        if letter == '%' && letters.peek().is_some_and(char::is_ascii_digit) {
            shown.push(' ');
        }
    }
    shown
}

/// Where Windows looks sources of the Application log up, below HKEY_LOCAL_MACHINE.
#[cfg(windows)]
const APPLICATION: &str = r"SYSTEM\CurrentControlSet\Services\EventLog\Application";

/// Registers the source, so that its entries are shown without a remark that their message is missing. The messages are those of a
/// program that every Windows has: the text of the entry, for each number up to 1000.
///
/// # Errors
/// Those of the system: it takes an administrator.
#[cfg(windows)]
pub fn register() -> std::io::Result<()> {
    use winsafe::{HKEY, RegistryValue, co};
    let name = format!(r"{APPLICATION}\{SOURCE}");
    let key =
        HKEY::LOCAL_MACHINE.RegCreateKeyEx(&name, None, co::REG_OPTION::NON_VOLATILE, co::KEY::WRITE, None);
    let (key, _) = key.map_err(io_of)?;
    let messages = RegistryValue::ExpandSz(r"%SystemRoot%\System32\EventCreate.exe".to_owned());
    key.RegSetValueEx(Some("EventMessageFile"), messages).map_err(io_of)?;
    // Error, warning and information.
    key.RegSetValueEx(Some("TypesSupported"), RegistryValue::Dword(7)).map_err(io_of)
}

/// Removes what [`register`] has made, if it is there. Entries stay.
///
/// # Errors
/// Those of the system.
#[cfg(windows)]
pub fn unregister() -> std::io::Result<()> {
    use winsafe::{HKEY, co};
    match HKEY::LOCAL_MACHINE.RegDeleteTree(Some(&format!(r"{APPLICATION}\{SOURCE}"))) {
        Ok(()) | Err(co::ERROR::FILE_NOT_FOUND) => Ok(()),
        Err(error) => Err(io_of(error)),
    }
}

#[cfg(windows)]
fn io_of(error: winsafe::co::ERROR) -> std::io::Error {
    std::io::Error::from_raw_os_error(error.raw().cast_signed())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each kind has a number of its own that the system has a message for, and the document tells it.
    #[test]
    fn every_kind_has_its_number_and_stands_in_the_document() {
        let document = include_str!("../../../docs/windows.md");
        let matters = [Matter::Works, Matter::Stopped, Matter::Failed, Matter::Warning];
        let mut kinds: Vec<Kind> = matters.map(kind_of_matter).to_vec();
        for about in About::ALL {
            let begins @ (number, _) = kind_of_alarm(about, Turn::Begins);
            let ends = kind_of_alarm(about, Turn::Ends);
            assert_eq!(ends, (number + 100, Level::Information));
            let row = format!("| {number}, {} | `{about}` | {:?} |", ends.0, begins.1);
            assert!(document.contains(&row), "{row}");
            kinds.extend([begins, ends]);
        }
        for (number, level) in &kinds[..matters.len()] {
            assert!(document.contains(&format!("| {number} | ")), "{number}");
            assert!(document.contains(&format!(" | {level:?} |")), "{level:?}");
        }
        let numbers: BTreeSet<u16> = kinds.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers.len(), kinds.len());
        assert!(numbers.iter().all(|number| (1..=1000).contains(number)), "{numbers:?}");
    }

    #[test]
    fn a_text_has_no_place_to_fill() {
        assert_eq!(shown("a\nb\t100 %1 50% %x"), "a\r\nb 100 % 1 50% %x");
        assert_eq!(shown(&"ü".repeat(10_000)).chars().count(), MAX_TEXT);
    }

    #[cfg(not(windows))]
    #[test]
    fn there_is_none_here() {
        let error = report(Matter::Warning, "x").unwrap_err();
        assert!(error.contains("no event log"), "{error}");
    }
}
