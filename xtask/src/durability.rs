//! Files and folders are created, flushed and renamed in `crates/files` alone: one place decides the order that survives a
//! crash, and whom new files belong to.

use crate::failure::{Context, Failure, Result};
use crate::workspace::{self, Workspace};

/// The system's own calls that product code leaves to `crates/files`.
const CALLS: &[&str] = &[
    "File::create(",
    "File::create_new(",
    ".create_new(",
    ".create(true)",
    "fs::create_dir(",
    "fs::create_dir_all(",
    "fs::rename(",
    ".sync_all(",
    ".sync_data(",
];

/// Product code that may make them, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("crates/files/", "it is the place"),
    ("crates/ese/src/pager.rs", "its trait has a flush of its own, over files and memory alike"),
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
        if EXCEPTIONS.iter().any(|(place, _)| name.contains(place)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).context(format_args!("cannot read {name}"))?;
        found.extend(calls(&text).into_iter().map(|(line, call)| format!("{name}:{line}: {call}")));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("these calls belong to crates/files:\n{}", found.join("\n"))))
}

/// The calls in the product code of one file, with their line numbers; comments do not count.
fn calls(text: &str) -> Vec<(usize, &'static str)> {
    let product = text
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test"));
    product
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .filter_map(|(index, line)| {
            CALLS.iter().find(|call| line.contains(**call)).map(|call| (index + 1, *call))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_code_is_searched_and_tests_are_not() {
        let text = "fn a() {\n    fs::rename(x, y);\n    // fs::rename(\n}\n#[cfg(test)]\nmod t { File::create(x) }\n";
        assert_eq!(calls(text), [(2, "fs::rename(")]);
        assert!(calls("durable::rename(x, y);").is_empty());
    }
}
