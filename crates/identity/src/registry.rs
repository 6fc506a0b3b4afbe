//! Registry files of Windows (`.reg`, "Windows Registry Editor Version 5.00"): a CA's configuration written as one, and read
//! from one that `reg export` or regedit wrote (recovery.md 1.5).

mod reader;
mod writer;

pub use reader::{MAX_FILE, parse};
pub use writer::{Written, to_bytes, to_text};

use crate::configuration::{Configuration, Key};

/// Where the configuration of Certificate Services is, below the control set.
pub const CERTSVC: &str = "Services\\CertSvc\\Configuration";
/// The first line of a file.
const HEADER: &str = "Windows Registry Editor Version 5.00";
/// More is in no configuration, and reading stays quick.
const MAX_VALUES: usize = 20_000;

/// The key at `path` in the control set that runs, in full.
#[must_use]
pub fn root(path: &str) -> String {
    format!("HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\{path}")
}

/// The keys of Certificate Services in a file, by their way below `Configuration`; of whatever control set.
#[must_use]
pub fn of_certsvc(file: &Configuration) -> Configuration {
    let marker = format!("\\{CERTSVC}").to_ascii_lowercase();
    let mut found = Configuration::default();
    for key in &file.keys {
        // Lowering ASCII alone keeps every place where it is.
        let Some(place) = key.path.to_ascii_lowercase().find(&marker) else { continue };
        let rest = &key.path[place + marker.len()..];
        let path = match rest.strip_prefix('\\') {
            Some(path) => path,
            None if rest.is_empty() => "",
            None => continue,
        };
        found.keys.push(Key { path: path.to_owned(), values: key.values.clone() });
    }
    found
}
