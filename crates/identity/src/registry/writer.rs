//! Writing a configuration as a registry file.

use super::HEADER;
use crate::configuration::{Configuration, Value};

/// The column at which regedit begins a new line of hexadecimal bytes.
const WIDTH: usize = 76;

/// The text of a registry file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The text, with the line ends of Windows.
    pub text: String,
    /// Keys and values whose names no registry file can have: they are not in the text.
    pub left_out: Vec<String>,
}

/// The text that makes the keys of a configuration anew below `root`.
#[must_use]
pub fn to_text(configuration: &Configuration, root: &str) -> Written {
    let mut written = Written { text: format!("{HEADER}\r\n"), left_out: Vec::new() };
    for key in &configuration.keys {
        // A key ends at the last bracket of its line; a name may have one, and a line end may not.
        if key.path.chars().any(char::is_control) {
            written.left_out.push(key.path.clone());
            continue;
        }
        let way = if key.path.is_empty() { String::new() } else { format!("\\{}", key.path) };
        written.text.push_str(&format!("\r\n[{root}{way}]\r\n"));
        for (name, value) in &key.values {
            if name.chars().any(char::is_control) {
                written.left_out.push(format!("{}\\{name}", key.path));
                continue;
            }
            let name = if name.is_empty() { "@".to_owned() } else { quoted(name) };
            written.text.push_str(&name);
            written.text.push('=');
            push_value(&mut written.text, name.chars().count() + 1, value);
            written.text.push_str("\r\n");
        }
    }
    written.text.push_str("\r\n");
    written
}

/// The bytes of a registry file: UTF-16, little-endian, with the mark of it.
#[must_use]
pub fn to_bytes(text: &str) -> Vec<u8> {
    std::iter::once(0xFEFF).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn push_value(text: &mut String, column: usize, value: &Value) {
    match value {
        Value::Number(number) => text.push_str(&format!("dword:{number:08x}")),
        // What a line cannot hold is written as bytes.
        Value::Text(value) if value.chars().any(char::is_control) => {
            push_bytes(text, column, "hex(1):", &units(&format!("{value}\0")));
        }
        Value::Text(value) => text.push_str(&quoted(value)),
        Value::List(values) => {
            let joined: String = values.iter().map(|value| format!("{value}\0")).collect();
            push_bytes(text, column, "hex(7):", &units(&format!("{joined}\0")));
        }
        Value::Bytes(bytes) => push_bytes(text, column, "hex:", bytes),
    }
}

fn push_bytes(text: &mut String, column: usize, kind: &str, bytes: &[u8]) {
    text.push_str(kind);
    let mut column = column + kind.len();
    for (place, byte) in bytes.iter().enumerate() {
        let last = place + 1 == bytes.len();
        text.push_str(&format!("{byte:02x}{}", if last { "" } else { "," }));
        column += 3;
        if WIDTH < column && !last {
            text.push_str("\\\r\n  ");
            column = 2;
        }
    }
}

fn units(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
