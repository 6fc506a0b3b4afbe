//! Events as lines of text, whatever is in them: text from peers and files must not steer the terminal of who reads them,
//! and must not look like an event of its own.

use std::io::{self, Write};

use certadm_rules::printable::{is_hidden, printable};

/// Writes events, one a call, to something that takes text.
///
/// ```
/// use std::io::Write;
///
/// use certadm_files::event_text::EventText;
///
/// let mut out = Vec::new();
/// EventText::new(&mut out, false).write_all(b"logon of a\nb\x1b[2J refused\n")?;
/// assert_eq!(out, b"logon of a; b\\u{1b}[2J refused\n");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct EventText<W> {
    out: W,
    /// Whether sequences that set a colour are let through.
    in_colour: bool,
}

impl<W: Write> EventText<W> {
    /// Writes to `out`.
    pub fn new(out: W, in_colour: bool) -> Self {
        Self { out, in_colour }
    }
}

impl<W: Write> Write for EventText<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        if line.chars().any(is_hidden) {
            let shown = if self.in_colour { with_colours(line) } else { printable(line).into_owned() };
            let end = if line.len() < text.len() { "\n" } else { "" };
            self.out.write_all(format!("{shown}{end}").as_bytes())?;
        } else {
            self.out.write_all(text.as_bytes())?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// What sets a colour (ESC `[` digits and `;` `m`) stays, all else is as `printable` has it.
fn with_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut shown = printable(parts.next().unwrap_or_default()).into_owned();
    for part in parts {
        let end = part.find(|letter: char| !letter.is_ascii_digit() && letter != ';');
        match end.filter(|end| part[*end..].starts_with('m')) {
            Some(end) => {
                shown.push_str("\u{1b}[");
                shown.push_str(&part[..=end]);
                shown.push_str(&printable(&part[end + 1..]));
            }
            None => {
                shown.push_str("\\u{1b}[");
                shown.push_str(&printable(part));
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_where_they_are_wanted_and_nothing_else_does() {
        assert_eq!(
            with_colours("\u{1b}[2mtime\u{1b}[0m \u{1b}[2Jx\u{202e}"),
            "\u{1b}[2mtime\u{1b}[0m \\u{1b}[2Jx\\u{202e}"
        );
        let mut out = Vec::new();
        EventText::new(&mut out, true).write_all(b"plain\n").unwrap();
        EventText::new(&mut out, true).write_all(b"a\r\nb").unwrap();
        assert_eq!(out, b"plain\na\\r; b");
    }
}
