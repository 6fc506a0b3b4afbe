//! Files and folders are created, flushed and renamed in `crates/files` alone: one place decides the order that survives a
//! crash, and whom new files belong to. Files of sets are opened there alone, too: one place knows what a stranger may have
//! put in their stead.

use crate::failure::{Context, Failure, Result};
use crate::workspace::{self, Workspace};

/// Calls of the system that product code leaves to `crates/files`.
struct Rule {
    /// The calls.
    calls: &'static [&'static str],
    /// Where they are looked for.
    within: &'static [&'static str],
    /// Product code that may make them, and why.
    exceptions: &'static [(&'static str, &'static str)],
    /// What to do instead.
    instead: &'static str,
}

const RULES: [Rule; 2] = [
    Rule {
        calls: &[
            "File::create(",
            "File::create_new(",
            ".create_new(",
            ".create(true)",
            "fs::write(",
            "fs::create_dir(",
            "fs::create_dir_all(",
            "fs::rename(",
            ".sync_all(",
            ".sync_data(",
        ],
        within: &["crates/"],
        exceptions: &[
            ("crates/files/", "it is the place"),
            ("crates/fuzz-oracles/", "it makes what a stranger made, in memory"),
            ("crates/ese/src/pager.rs", "its trait has a flush of its own, over files and memory alike"),
        ],
        instead: "these calls belong to crates/files",
    },
    Rule {
        calls: &["File::open(", "fs::read(", "fs::read_to_string(", "fs::copy(", "OpenOptions::new("],
        within: &["crates/set/", "crates/ese/", "crates/cli/", "crates/recovery/", "crates/rehearsal/"],
        exceptions: &[
            ("crates/cli/src/secrets.rs", "a passphrase may come from a pipe"),
            ("crates/cli/src/verbs/account.rs", "the system's own list of accounts"),
            (
                "crates/rehearsal/src/place.rs",
                "the lock of a scratch folder that nobody but its account can write",
            ),
            ("crates/cli/src/verbs/drill/", "the drill reads what it has written itself"),
        ],
        instead: "files of sets are opened by certadm_files::Found, which follows no link and opens no device",
    },
];

/// Looks for such calls in the product code of every crate: what stands before a file's `#[cfg(test)]`.
///
/// # Errors
/// When there are any; each is named with file and line.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let mut found = Vec::new();
    for file in workspace::files_below(&workspace.path("crates"), &["rs"])? {
        if !file.components().any(|part| part.as_os_str() == "src") {
            continue;
        }
        let name = file.strip_prefix(workspace.path("")).unwrap_or(&file).display().to_string();
        let text = std::fs::read_to_string(&file).context(format_args!("cannot read {name}"))?;
        for rule in RULES.iter().filter(|rule| rule.applies_to(&name)) {
            let calls = calls(&text, rule.calls).into_iter();
            found.extend(calls.map(|(line, call)| format!("{name}:{line}: {call} ({})", rule.instead)));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("product code opens or writes files by itself:\n{}", found.join("\n"))))
}

impl Rule {
    fn applies_to(&self, name: &str) -> bool {
        self.within.iter().any(|place| name.contains(place))
            && !self.exceptions.iter().any(|(place, _)| name.contains(place))
    }
}

/// The calls in the product code of one file, with their line numbers; comments do not count, nor does a type of our own
/// whose name ends alike (`LogFile::open(`).
fn calls(text: &str, wanted: &[&'static str]) -> Vec<(usize, &'static str)> {
    let product = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test"));
    let is_there = |line: &str, call: &str| {
        line.match_indices(call).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            call.starts_with('.') || !before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
        })
    };
    product
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter_map(|(index, line)| {
            wanted.iter().find(|call| is_there(line, call)).map(|call| (index + 1, *call))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_code_is_searched_and_tests_are_not() {
        let text = "fn a() {\n    fs::rename(x, y);\n    // fs::rename(\n}\n#[cfg(test)]\nmod t { File::create(x) }\n";
        let [writing, opening] = &RULES;
        assert_eq!(calls(text, writing.calls), [(2, "fs::rename(")]);
        assert!(calls("durable::rename(x, y);", writing.calls).is_empty());
        assert_eq!(calls("std::fs::write(&path, text)?;", writing.calls), [(1, "fs::write(")]);
        assert_eq!(calls("let a = std::fs::File::open(x);", opening.calls), [(1, "File::open(")]);
        assert!(calls("let a = LogFile::open(x);", opening.calls).is_empty());
        assert!(
            opening.applies_to("crates/set/src/reader.rs")
                && !opening.applies_to("crates/cli/src/secrets.rs")
        );
        assert!(!opening.applies_to("crates/store/src/wal.rs"));
    }
}
