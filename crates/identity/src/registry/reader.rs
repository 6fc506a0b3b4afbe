//! Reading a registry file.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;

use certadm_rules::names::folded;

use super::{HEADER, MAX_VALUES};
use crate::configuration::{Configuration, Key, Value};

/// A longer file is not read, 16 MiB: the keys of a CA take some 100 KiB.
pub const MAX_FILE: u64 = 16 << 20;

/// Reads a file. Keys have their full names; what the file deletes is left out.
///
/// # Errors
/// What is wrong, with the line where it is.
pub fn parse(bytes: &[u8]) -> Result<Configuration, String> {
    let text = decode(bytes)?;
    let mut reading = Reading { rest: text.chars().peekable(), line: 1 };
    let first = reading.take_line();
    if first.trim() != HEADER {
        return Err(match first.trim() {
            "REGEDIT4" => "it is in the old format REGEDIT4; export it again with `reg export`".to_owned(),
            _ => format!("its first line is not {HEADER:?}"),
        });
    }
    let mut found = Found::default();
    while reading.statement(&mut found).map_err(|text| format!("line {}: {text}", reading.line))? {}
    Ok(found.configuration)
}

/// UTF-16 with its mark, as Windows writes it, or UTF-8.
fn decode(bytes: &[u8]) -> Result<String, String> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("it is longer than {MAX_FILE} bytes"));
    }
    if let Some(rest) = bytes.strip_prefix(&[0xFF, 0xFE]) {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        let text = String::from_utf16(&units).ok().filter(|_| odd.is_empty());
        return text.ok_or_else(|| "it is no text in UTF-16".to_owned());
    }
    let rest = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    String::from_utf8(rest.to_vec()).map_err(|_| "it is no text in UTF-16 or UTF-8".to_owned())
}

/// What was found so far, with the places of keys and values by their names.
#[derive(Default)]
struct Found {
    configuration: Configuration,
    keys: HashMap<String, usize>,
    values: HashMap<(usize, String), usize>,
    /// The key whose values follow; nothing under one that the file deletes.
    key: Option<usize>,
}

impl Found {
    fn begin(&mut self, path: &str) -> Result<(), String> {
        self.room()?;
        let keys = &mut self.configuration.keys;
        self.key = Some(*self.keys.entry(folded(path)).or_insert_with(|| {
            keys.push(Key { path: path.to_owned(), values: Vec::new() });
            keys.len() - 1
        }));
        Ok(())
    }

    fn value(&mut self, name: String, value: Value) -> Result<(), String> {
        let Some(key) = self.key else { return Ok(()) };
        self.room()?;
        let values = &mut self.configuration.keys[key].values;
        let next = values.len();
        match *self.values.entry((key, folded(&name))).or_insert(next) {
            place if place == next => values.push((name, value)),
            place => values[place].1 = value,
        }
        Ok(())
    }

    fn room(&self) -> Result<(), String> {
        match self.keys.len() + self.values.len() < MAX_VALUES {
            true => Ok(()),
            false => {
                Err(format!("it has more than {MAX_VALUES} keys and values; export the key CertSvc alone"))
            }
        }
    }
}

struct Reading<'t> {
    rest: Peekable<Chars<'t>>,
    line: usize,
}

impl Reading<'_> {
    /// One key, one value, or an empty line; false at the end.
    fn statement(&mut self, found: &mut Found) -> Result<bool, String> {
        self.skip_blanks();
        match self.rest.peek() {
            None => return Ok(false),
            Some('\r' | '\n' | ';') => {
                self.take_line();
            }
            Some('[') => self.key(found)?,
            Some('"') => {
                self.next();
                let name = self.quoted()?;
                self.named(name, found)?;
            }
            Some('@') => {
                self.next();
                self.named(String::new(), found)?;
            }
            Some(other) => return Err(format!("it begins with {other:?}, and not with a key or a name")),
        }
        Ok(true)
    }

    fn key(&mut self, found: &mut Found) -> Result<(), String> {
        let line = self.take_line();
        let path = line.trim_end().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let path = path.ok_or("a key does not end in ]")?;
        if path.starts_with('-') {
            found.key = None;
            return Ok(());
        }
        found.begin(path)
    }

    fn named(&mut self, name: String, found: &mut Found) -> Result<(), String> {
        self.skip_blanks();
        if self.next() != Some('=') {
            return Err("a name without = and a value".to_owned());
        }
        self.skip_blanks();
        if self.rest.peek() == Some(&'"') {
            self.next();
            let text = self.quoted()?;
            self.end_of_line()?;
            return found.value(name, Value::Text(text));
        }
        let text = self.joined_line();
        let text = text.trim();
        if text == "-" {
            return Ok(());
        }
        let (kind, digits) = text.split_once(':').ok_or("a value without its kind")?;
        found.value(name, typed(kind, digits)?)
    }

    /// A string up to its closing quote, which may go over several lines.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = String::new();
        loop {
            match self.next().ok_or("a string does not end")? {
                '"' => return Ok(text),
                '\\' => text.push(self.next().ok_or("a string does not end")?),
                other => text.push(other),
            }
        }
    }

    /// The rest of the line, and of those that it goes on in after a backslash.
    fn joined_line(&mut self) -> String {
        let mut text = String::new();
        loop {
            let line = self.take_line();
            match line.trim_end().strip_suffix('\\') {
                Some(begun) if self.rest.peek().is_some() => text.push_str(begun.trim()),
                _ => {
                    text.push_str(line.trim());
                    return text;
                }
            }
        }
    }

    fn end_of_line(&mut self) -> Result<(), String> {
        match self.take_line().trim() {
            "" => Ok(()),
            more => Err(format!("{:?} follows a string", more.chars().take(20).collect::<String>())),
        }
    }

    fn take_line(&mut self) -> String {
        let mut text = String::new();
        while let Some(letter) = self.next() {
            if letter == '\n' {
                break;
            }
            text.push(letter);
        }
        text
    }

    fn skip_blanks(&mut self) {
        while self.rest.next_if(|letter| matches!(letter, ' ' | '\t')).is_some() {}
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.rest.next();
        self.line += usize::from(letter == Some('\n'));
        letter
    }
}

fn typed(kind: &str, digits: &str) -> Result<Value, String> {
    if kind == "dword" {
        let number = u32::from_str_radix(digits.trim(), 16);
        return number.map(Value::Number).map_err(|_| "a dword is no hexadecimal number".to_owned());
    }
    let number = match kind.strip_prefix("hex") {
        Some("") => 3,
        Some(rest) => {
            let inner = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
            inner.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or("a kind that is not known")?
        }
        None => return Err("a kind that is not known".to_owned()),
    };
    let bytes = hexadecimal(digits).ok_or("bytes that are not hexadecimal")?;
    Ok(match number {
        1 | 2 => Value::Text(text_of(&bytes)?.trim_end_matches('\0').to_owned()),
        4 => {
            let four = bytes.first_chunk().filter(|_| bytes.len() == 4);
            Value::Number(u32::from_le_bytes(*four.ok_or("a number of another length than four bytes")?))
        }
        7 => Value::List(list_of(&text_of(&bytes)?)),
        _ => Value::Bytes(bytes),
    })
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.trim();
    if digits.is_empty() {
        return Some(Vec::new());
    }
    let byte = |text: &str| {
        Some(text.trim()).filter(|text| text.len() <= 2).map(|text| u8::from_str_radix(text, 16))
    };
    digits.split(',').map(|text| byte(text)?.ok()).collect()
}

fn text_of(bytes: &[u8]) -> Result<String, String> {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
    let text = String::from_utf16(&units).ok().filter(|_| odd.is_empty());
    text.ok_or_else(|| "bytes that are no text".to_owned())
}

/// Each string ends in a NUL, and one more NUL ends the list.
fn list_of(text: &str) -> Vec<String> {
    let text = text.strip_suffix('\0').unwrap_or(text);
    match text {
        "" => Vec::new(),
        text => text.strip_suffix('\0').unwrap_or(text).split('\0').map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::registry::{CERTSVC, of_certsvc, root, to_bytes, to_text};

    #[test]
    fn a_file_of_windows_is_read() {
        // As `reg export` writes it: wrapped bytes, escapes, a deletion, a comment, a default value, another control set.
        let text = "Windows Registry Editor Version 5.00\r\n\r\n; a comment\r\n\
            [HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\CertSvc]\r\n\"Start\"=dword:00000002\r\n\r\n\
            [HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\CertSvc\\Configuration]\r\n\
            \"Active\"=\"Corp \\\"CA\\\" \\\\1\"\r\n\"DBDirectory\"=hex(2):43,00,3a,00,00,00\r\n\
            [HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\CertSvc\\Configuration\\Corp]\r\n\
            \"URLs\"=hex(7):31,00,3a,00,61,00,\\\r\n  00,00,62,00,00,00,00,00\r\n\"Gone\"=-\r\n@=\"default\"\r\n\
            \"When\"=hex:01,02\r\n\"Bits\"=hex(4):40,00,00,00\r\n\"Two\"=\"lines\r\nof it\"\r\n\
            [-HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Services\\CertSvc\\Configuration\\Old]\r\n\"X\"=\"y\"\r\n";
        for bytes in [to_bytes(text), text.as_bytes().to_vec()] {
            let found = of_certsvc(&parse(&bytes).unwrap());
            assert_eq!(found.keys.len(), 2);
            assert_eq!(found.text("", "Active"), Some("Corp \"CA\" \\1"));
            assert_eq!(found.text("", "DBDirectory"), Some("C:"));
            assert_eq!(found.get("Corp", "URLs"), Some(&Value::List(vec!["1:a".into(), "b".into()])));
            assert_eq!(found.text("Corp", ""), Some("default"));
            assert_eq!(found.get("Corp", "When"), Some(&Value::Bytes(vec![1, 2])));
            assert_eq!(found.get("Corp", "Bits"), Some(&Value::Number(0x40)));
            assert_eq!(found.text("Corp", "Two"), Some("lines\r\nof it"));
            assert_eq!(found.get("Corp", "Gone"), None);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let file = |line: &str| parse(format!("{HEADER}\r\n[K]\r\n{line}\r\n").as_bytes());
        for line in [
            "\"a\"",
            "\"a\"=\"b",
            "\"a\"=dword:x",
            "\"a\"=hex:zz",
            "\"a\"=hex:123",
            "\"a\"=hex(q):00",
            "\"a\"=hex(4):00",
            "\"a\"=hex(7):00",
            "\"a\"=hex(1):00,d8",
            "\"a\"=wrong:00",
            "\"a\"=\"b\" more",
            "[open",
            "what",
        ] {
            let error = file(line).unwrap_err();
            assert!(error.starts_with("line "), "{line}: {error}");
        }
        assert!(parse(b"REGEDIT4\r\n").unwrap_err().contains("old format"));
        assert!(parse(b"").is_err() && parse(&[0xFF, 0xFE, 0]).is_err() && parse(&[0xC0]).is_err());
        let many: String = (0..MAX_VALUES).map(|number| format!("\"{number}\"=\"\"\r\n")).collect();
        assert!(file(&many).unwrap_err().contains("more than"));
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<u32>().prop_map(Value::Number),
            "[^\\x00]{0,80}".prop_map(Value::Text),
            prop::collection::vec("[^\\x00]{0,8}", 0..4).prop_map(Value::List),
            prop::collection::vec(any::<u8>(), 0..80).prop_map(Value::Bytes),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            values in prop::collection::vec(("\\PC{0,12}", value()), 0..6),
            node in "[^\\pC\\\\]{1,12}",
        ) {
            let mut configuration = Configuration::default();
            configuration.key_mut("");
            for (name, value) in values {
                configuration.set(&node, &name, value);
            }
            let written = to_text(&configuration, &root(CERTSVC));
            prop_assert_eq!(&written.left_out, &Vec::<String>::new());
            let read = of_certsvc(&parse(&to_bytes(&written.text)).unwrap());
            prop_assert_eq!(read, configuration);
        }
    }
}
