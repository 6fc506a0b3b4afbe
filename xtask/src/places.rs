//! Documents name files and folders of the crates, such as `crates/set/src/take.rs` or, in short, `set/src/take.rs`; what they name
//! must be there.

use std::collections::BTreeSet;

use crate::failure::{Context, Failure, Result};
use crate::workspace::{self, Workspace};

/// What stands for a name that the reader chooses.
const PLACEHOLDER: &str = "NAME";

/// Looks up every place that a document names in backticks.
///
/// # Errors
/// When one is not there; each is named with file and line.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let root = workspace.path("");
    let folder = workspace.path("crates");
    let mut crates = BTreeSet::new();
    for entry in std::fs::read_dir(&folder).context("cannot list crates")? {
        let entry = entry.context("cannot list crates")?;
        crates.insert(entry.file_name().to_string_lossy().into_owned());
    }
    let (mut looked_up, mut dead) = (0, Vec::new());
    for file in workspace::files_below(&root, &["md"])? {
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        let text = std::fs::read_to_string(&file).context(format_args!("cannot read {name}"))?;
        for (line, place) in named(&text, &crates) {
            looked_up += 1;
            if !folder.join(place).exists() {
                dead.push(format!("{name}:{line}: there is no crates/{place}"));
            }
        }
    }
    println!("places in documents: {looked_up} looked up, {} dead", dead.len());
    if dead.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("documents name files that are not there:\n{}", dead.join("\n"))))
}

/// The places below `crates` that a document names in backticks, with the numbers of their lines.
fn named<'a>(text: &'a str, crates: &BTreeSet<String>) -> Vec<(usize, &'a str)> {
    let of_line = |(index, line): (usize, &'a str)| {
        let quoted = line.split('`').skip(1).step_by(2);
        let places = quoted.filter_map(|word| place_of(word, crates));
        places.map(|place| (index + 1, place)).collect::<Vec<_>>()
    };
    text.lines().enumerate().flat_map(of_line).collect()
}

/// What a word in backticks means below `crates`, if it is the path of something there.
fn place_of<'a>(word: &'a str, crates: &BTreeSet<String>) -> Option<&'a str> {
    let is_path = !word.contains(char::is_whitespace) && !word.contains(PLACEHOLDER);
    let whole = word.strip_prefix("crates/").filter(|place| !place.is_empty());
    let is_in_short = || {
        let (name, rest) = word.split_once('/')?;
        let is_code = rest == "src" || rest.starts_with("src/") || rest.starts_with("tests/");
        (crates.contains(name) && is_code).then_some(word)
    };
    whole.or_else(is_in_short).filter(|_| is_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_whole_and_in_short() {
        let crates = BTreeSet::from(["set".to_owned(), "wire".to_owned()]);
        let named = |text: &'static str| named(text, &crates);
        assert_eq!(named("a\n`crates/set/src/take.rs`; `b`"), [(2, "set/src/take.rs")]);
        assert_eq!(
            named("| `wire/tests/suite/a.rs` | `set/src` |"),
            [(1, "wire/tests/suite/a.rs"), (1, "set/src")]
        );
        assert!(
            named("crates/set/src/a.rs, `crates/`, `crates/set/src/NAME.rs`, `cat crates/set/a`").is_empty()
        );
        assert!(named("`other/src/a.rs`, `set/manifest.json`, `/srv/set/src`").is_empty());
    }
}
