//! Comments and documents cite the specifications in `docs/spec` by section and by decision; what they cite must be there.
//!
//! Three things are looked up: the sections behind a specification's name, in lists and ranges too; a decision, with its
//! file's name or alone; and a heading in quotation marks behind the name of any document. A document that a comment names
//! and that does not exist is dead as well.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::{Context, Failure, Result};
use crate::workspace::{self, Workspace};

/// Where the specifications are.
const SPECIFICATIONS: &str = "docs/spec";

/// The specification that holds the decisions, D1 and so on.
const DECISIONS: &str = "certbcli.md";

/// The endings of the files that are searched.
const ENDINGS: &[&str] = &["rs", "md", "h", "c"];

/// Files that are not searched, and why.
const EXCEPTIONS: &[(&str, &str)] = &[("xtask/src/citations.rs", "its tests cite what is not there")];

/// Looks up every citation of the repository.
///
/// # Errors
/// When one leads nowhere; each is named with file and line.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    let root = workspace.path("");
    let mut texts = Vec::new();
    for file in workspace::files_below(&root, ENDINGS)? {
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string().replace('\\', "/");
        if EXCEPTIONS.iter().any(|(exception, _)| name == *exception) {
            continue;
        }
        let text = std::fs::read_to_string(&file).context(format_args!("cannot read {name}"))?;
        texts.push((name, text));
    }
    let library = Library::of(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
    let (mut looked_up, mut dead) = (0, Vec::new());
    for (name, text) in &texts {
        for citation in citations(text, Language::of(name)) {
            looked_up += 1;
            if let Some(why) = library.objection(&citation) {
                dead.push(format!("{name}:{}: {why}", citation.line));
            }
        }
    }
    println!("citations: {looked_up} looked up, {} dead", dead.len());
    if dead.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("these citations lead nowhere:\n{}", dead.join("\n"))))
}

/// One thing that a text refers to.
#[derive(Debug, PartialEq, Eq)]
struct Citation {
    line: usize,
    document: String,
    target: Target,
}

/// What of the document is meant.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// The whole of it.
    Document,
    /// A numbered section, such as 3.7.
    Section(Vec<u32>),
    /// A numbered decision, such as D5.
    Decision(u32),
    /// A heading in quotation marks.
    Heading(String),
}

/// What can be cited: each document under its file name, with what it holds.
#[derive(Default)]
struct Library(BTreeMap<String, Contents>);

/// The headings of all documents with one file name.
#[derive(Default)]
struct Contents {
    is_specification: bool,
    sections: BTreeSet<Vec<u32>>,
    decisions: BTreeSet<u32>,
    headings: BTreeSet<String>,
}

impl Library {
    /// The documents among these files, which come with their paths and texts.
    fn of<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut library = Self::default();
        for (path, text) in files.filter(|(path, _)| path.ends_with(".md")) {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let contents = library.0.entry(name.to_owned()).or_default();
            contents.is_specification |= folder == SPECIFICATIONS && name != "README.md";
            contents.add(text);
        }
        library
    }

    /// Why a citation leads nowhere, or nothing when it is good.
    fn objection(&self, citation: &Citation) -> Option<String> {
        let document = &citation.document;
        let Some(contents) = self.0.get(document) else {
            return Some(format!("there is no {document}"));
        };
        match &citation.target {
            Target::Document => None,
            // "README.md 2" is no section: only specifications number theirs.
            Target::Section(_) if !contents.is_specification => None,
            Target::Section(number) if contents.sections.contains(number) => None,
            Target::Section(number) => Some(format!("{document} has no section {}", dotted(number))),
            Target::Decision(number) if contents.decisions.contains(number) => None,
            Target::Decision(number) => Some(format!("{document} has no decision D{number}")),
            Target::Heading(heading) if contents.headings.contains(heading) => None,
            Target::Heading(heading) => Some(format!("{document} has no heading \"{heading}\"")),
        }
    }
}

impl Contents {
    /// Adds the headings of a text, and its decisions: list items that begin with `**D5`.
    fn add(&mut self, text: &str) {
        let mut in_code = false;
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            } else if let Some(decision) = line.strip_prefix("* **D")
                && let Some((number, _)) = number(decision)
            {
                self.decisions.insert(number);
            } else if line.starts_with('#') && !in_code {
                let heading = line.trim_start_matches('#').trim();
                self.headings.insert(heading.to_owned());
                if let Some((number, _)) = section(heading) {
                    self.sections.insert(number);
                }
            }
        }
    }
}

/// How a file marks its comments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Markdown,
    Code,
}

impl Language {
    fn of(name: &str) -> Self {
        if name.ends_with(".md") { Self::Markdown } else { Self::Code }
    }
}

/// A file as running text: its lines, joined by blanks, without what begins each line of a comment.
#[derive(Default)]
struct Prose {
    text: String,
    lines: Vec<Line>,
}

/// Where one line of the file lies in the running text.
struct Line {
    start: usize,
    /// Where its comment begins: its end when it has none.
    comment: usize,
}

impl Prose {
    fn of(file: &str, language: Language) -> Self {
        let (mut prose, mut in_code) = (Self::default(), false);
        for line in file.lines() {
            let start = prose.text.len();
            let trimmed = line.trim_start();
            let (text, comment) = match language {
                Language::Markdown => {
                    let fence = trimmed.starts_with("```");
                    in_code ^= fence;
                    (trimmed, if in_code || fence { trimmed.len() } else { 0 })
                }
                Language::Code => match leader(trimmed) {
                    0 => (trimmed, trailing(trimmed)),
                    length => (trimmed[length..].trim_start(), 0),
                },
            };
            prose.text.push_str(text);
            prose.text.push(' ');
            prose.lines.push(Line { start, comment: start + comment });
        }
        prose
    }

    /// The number of the line at this place of the text, from 1.
    fn line(&self, place: usize) -> usize {
        self.lines.partition_point(|line| line.start <= place)
    }

    fn is_comment(&self, place: usize) -> bool {
        self.lines.get(self.line(place).wrapping_sub(1)).is_some_and(|line| line.comment <= place)
    }
}

/// The length of the mark that makes a line a comment: `//`, `///`, `//!`, `/*`, `*`.
fn leader(line: &str) -> usize {
    ["///", "//!", "//", "/**", "/*", "* ", "*/"]
        .iter()
        .find(|mark| line.starts_with(**mark))
        .map_or(usize::from(line == "*"), |mark| mark.len())
}

/// Where a comment begins behind the code of a line; the line's length when there is none.
fn trailing(line: &str) -> usize {
    [" //", " /*"].iter().filter_map(|mark| line.find(mark)).min().unwrap_or(line.len())
}

/// Everything that a file cites.
fn citations(file: &str, language: Language) -> Vec<Citation> {
    let prose = Prose::of(file, language);
    let mut found = Vec::new();
    for (end, _) in prose.text.match_indices(".md") {
        let end = end + ".md".len();
        let start = prose.text[..end - 3].rfind(|c| !is_name(c)).map_or(0, |place| place + 1);
        if start + 3 == end || prose.text[end..].starts_with(is_name) {
            continue;
        }
        let document = &prose.text[start..end];
        let targets = targets(&prose.text[end..]);
        // A program may name a file that exists when it runs, and a document may name the files of others.
        if targets.is_empty() && language == Language::Code && prose.is_comment(start) {
            found.push((start, document, Target::Document));
        }
        found.extend(targets.into_iter().map(|(place, target)| (end + place, document, target)));
    }
    // Decisions stand alone as well. Those behind the file's name were found above.
    for (place, _) in prose.text.match_indices('D') {
        let is_start = !prose.text[..place].ends_with(|c: char| is_name(c) || c == '\\' || c == '+');
        let is_new = !found.iter().any(|(other, _, _)| *other == place);
        if is_start
            && is_new
            && prose.is_comment(place)
            && let Some((number, _)) = decision(&prose.text[place..])
        {
            found.push((place, DECISIONS, Target::Decision(number)));
        }
    }
    found.sort_by_key(|(place, _, _)| *place);
    let citation = |(place, document, target): (usize, &str, Target)| {
        let (line, document) = (prose.line(place), document.to_owned());
        Citation { line, document, target }
    };
    found.into_iter().map(citation).collect()
}

/// What is cited of a document by the text behind its name: "3.7", "section 12", "3.2 to 3.8, 5.2", "D5", "a heading";
/// each with its place in that text.
fn targets(behind: &str) -> Vec<(usize, Target)> {
    let mut rest = behind.strip_prefix('`').unwrap_or(behind);
    if let Some((_, after)) = rest.strip_prefix("](").and_then(|link| link.split_once(')')) {
        rest = after;
    }
    if let Some(quoted) = [" \"", ", \""].iter().find_map(|mark| rest.strip_prefix(mark)) {
        let heading = quoted.split_once('"').map(|(heading, _)| Target::Heading(heading.to_owned()));
        return heading.into_iter().map(|heading| (behind.len() - quoted.len(), heading)).collect();
    }
    let mut found: Vec<(usize, Target)> = Vec::new();
    let mut is_range = false;
    while let Some((start, target, after)) = target(rest, found.is_empty()) {
        let place = behind.len() - start.len();
        if is_range && let Some((_, first)) = found.last() {
            found.extend(between(first, &target).into_iter().map(|target| (place, target)));
        }
        found.push((place, target));
        let Some((joint, next)) = JOINTS.iter().find_map(|joint| Some((*joint, after.strip_prefix(joint)?)))
        else {
            break;
        };
        (rest, is_range) = (next, RANGES.contains(&joint));
    }
    found
}

/// What joins two members of a list.
const JOINTS: &[&str] = &[", and ", ", ", " and ", " or ", " to ", ".."];

/// The joints that mean everything between the two as well.
const RANGES: &[&str] = &[" to ", ".."];

/// The member of a list that a text begins with: the text from its first character on, what it is, the text behind it.
fn target(text: &str, is_first: bool) -> Option<(&str, Target, &str)> {
    let text = if is_first { text.strip_prefix(' ')?.trim_start() } else { text };
    if let Some((number, rest)) = decision(text) {
        return Some((text, Target::Decision(number), rest));
    }
    let named = text.strip_prefix("sections ").or_else(|| text.strip_prefix("section "));
    let (number, rest) = section(named.unwrap_or(text))?;
    // "wire.md 3.7, 16 bytes" cites one section, "ese.md 9.1, 10)" cites two.
    let is_whole = number.len() > 1 || named.is_some() || is_first;
    let is_last = rest.is_empty() || rest.starts_with([',', ')', ';', '.', ':', '`']);
    (is_whole || is_last).then_some((text, Target::Section(number), rest))
}

/// What lies between the ends of a range: of decisions, or of sections of one parent.
fn between(first: &Target, last: &Target) -> Vec<Target> {
    match (first, last) {
        (Target::Decision(first), Target::Decision(last)) => {
            (first + 1..*last).map(Target::Decision).collect()
        }
        (Target::Section(first), Target::Section(last)) => match (first.split_last(), last.split_last()) {
            (Some((first, parent)), Some((last, other))) if parent == other => {
                (first + 1..*last).map(|number| Target::Section([parent, &[number]].concat())).collect()
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// The section number at the beginning of a text, such as 3.7, and what is left of the text.
fn section(text: &str) -> Option<(Vec<u32>, &str)> {
    let (first, mut rest) = number(text)?;
    let mut numbers = vec![first];
    while let Some((next, after)) = rest.strip_prefix('.').and_then(number) {
        numbers.push(next);
        rest = after;
    }
    (!rest.starts_with(is_name)).then_some((numbers, rest))
}

/// The number of the decision at the beginning of a text, such as D5, and what is left of the text.
fn decision(text: &str) -> Option<(u32, &str)> {
    let (number, rest) = number(text.strip_prefix('D')?)?;
    (!rest.starts_with(is_name)).then_some((number, rest))
}

/// The decimal number at the beginning of a text, and what is left of the text.
fn number(text: &str) -> Option<(u32, &str)> {
    let length = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..length].parse().ok()?, &text[length..]))
}

/// A section number as it is written.
fn dotted(number: &[u32]) -> String {
    number.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// Whether a character may be part of a file's name or of a word.
fn is_name(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a text cites, as `file target` with the line.
    fn cited(text: &str, language: Language) -> Vec<String> {
        citations(text, language)
            .into_iter()
            .map(|Citation { line, document, target }| match target {
                Target::Document => format!("{line} {document}"),
                Target::Section(number) => format!("{line} {document} {}", dotted(&number)),
                Target::Decision(number) => format!("{line} {document} D{number}"),
                Target::Heading(heading) => format!("{line} {document} \"{heading}\""),
            })
            .collect()
    }

    fn in_code(text: &str) -> Vec<String> {
        cited(text, Language::Code)
    }

    #[test]
    fn sections_are_cited_by_number_and_by_word() {
        assert_eq!(in_code("/// Reads on (wire.md 3.7)."), ["1 wire.md 3.7"]);
        assert_eq!(in_code("//! The columns of spec/ese.md section 12, and more"), ["1 ese.md 12"]);
        assert_eq!(in_code("// As wire.md 2 says. Then 3.4."), ["1 wire.md 2"]);
        assert_eq!(in_code("x(); // certbcli.md 7.1's table"), ["1 certbcli.md 7.1"]);
        assert_eq!(in_code(" * Reads on (wire.md 3.7).\n */"), ["1 wire.md 3.7"]);
    }

    #[test]
    fn lists_and_ranges_are_cited_one_by_one() {
        let range = ["1 wire.md 3.2", "1 wire.md 3.3", "1 wire.md 3.4", "1 wire.md 5.2"];
        assert_eq!(in_code("// wire.md 3.2 to 3.4, 5.2"), range);
        assert_eq!(
            in_code("// (ese.md 9, 10, 11.5; C706 12.6)"),
            ["1 ese.md 9", "1 ese.md 10", "1 ese.md 11.5"]
        );
        assert_eq!(
            in_code("// wire.md 4.6, 4.7 and 5.1 for it"),
            ["1 wire.md 4.6", "1 wire.md 4.7", "1 wire.md 5.1"]
        );
        assert_eq!(in_code("// ese.md sections 3 and 4"), ["1 ese.md 3"]);
        assert_eq!(in_code("// (ese.md 3.1, certbcli.md 8.5)"), ["1 ese.md 3.1", "1 certbcli.md 8.5"]);
        assert_eq!(in_code("// wire.md 3.7 to read"), ["1 wire.md 3.7"]);
    }

    #[test]
    fn other_numbers_are_no_sections() {
        assert_eq!(in_code("// wire.md 3.7, 16 bytes"), ["1 wire.md 3.7"]);
        assert_eq!(in_code("// wire.md 3.7, 0x6F7"), ["1 wire.md 3.7"]);
        assert_eq!(in_code("// wire.md 7, item 5"), ["1 wire.md 7"]);
        assert_eq!(in_code("// wire.md 64x"), ["1 wire.md"]);
    }

    #[test]
    fn decisions_are_cited_with_their_file_and_alone() {
        assert_eq!(in_code("// (certbcli.md D32)"), ["1 certbcli.md D32"]);
        assert_eq!(
            in_code("// Rule 4 (D16): certbcli.md 7.2, D31"),
            ["1 certbcli.md D16", "1 certbcli.md 7.2", "1 certbcli.md D31"]
        );
        assert_eq!(in_code("// D16 to D18"), ["1 certbcli.md D16", "1 certbcli.md D18"]);
        assert_eq!(in_code("// certbcli.md D16 to D18").len(), 3);
        assert_eq!(in_code("const DATABASES: [&str; 2] = [\"D0\", \"D1\"]; // D9"), ["1 certbcli.md D9"]);
        assert!(in_code("// 0xD5, \\xD5, U+D800, ID5, D5h, d5").is_empty());
    }

    #[test]
    fn a_citation_may_be_cut_by_the_end_of_a_line() {
        assert_eq!(
            in_code("/// Too late (certbcli.md\n    /// D14, D30)."),
            ["2 certbcli.md D14", "2 certbcli.md D30"]
        );
        assert_eq!(in_code("//! (ese.md 3.1,\n//! 3.2)"), ["1 ese.md 3.1", "2 ese.md 3.2"]);
        assert_eq!(in_code("/* wire.md\n * 2.1 */"), ["2 wire.md 2.1"]);
    }

    #[test]
    fn documents_and_headings_are_cited_too() {
        assert_eq!(in_code("// store-format.md, \"The lock\"."), ["1 store-format.md \"The lock\""]);
        assert_eq!(in_code("// see design.md"), ["1 design.md"]);
        assert!(in_code("write(\"notes.md\", text);").is_empty());
        assert_eq!(cited("[wire.md](spec/wire.md) 3.7", Language::Markdown), ["1 wire.md 3.7"]);
        assert_eq!(
            cited("`wire.md` 3.7\n```\nx.md D7\n```\nD8", Language::Markdown),
            ["1 wire.md 3.7", "3 x.md D7", "5 certbcli.md D8"]
        );
    }

    #[test]
    fn what_is_not_there_is_objected_to() {
        let library = Library::of(
            [
                (
                    "docs/spec/certbcli.md",
                    "# API\n## 7. States\n### 7.1 Backup\n```\n## 8. code\n```\n* **D5 Handles.**",
                ),
                ("docs/store-format.md", "# Store\n## The lock"),
                ("crates/x/src/lib.rs", "## 9. no document"),
            ]
            .into_iter(),
        );
        let dead = |text: &str| -> Vec<String> {
            citations(text, Language::Code)
                .iter()
                .filter_map(|citation| library.objection(citation))
                .collect()
        };
        assert!(dead("// certbcli.md 7, 7.1, D5; D5; store-format.md, \"The lock\"").is_empty());
        assert_eq!(dead("// certbcli.md 8"), ["certbcli.md has no section 8"]);
        assert_eq!(dead("// certbcli.md 7.2"), ["certbcli.md has no section 7.2"]);
        assert_eq!(dead("// D6"), ["certbcli.md has no decision D6"]);
        assert_eq!(dead("// design.md"), ["there is no design.md"]);
        assert_eq!(dead("// store-format.md \"Trap\""), ["store-format.md has no heading \"Trap\""]);
        assert!(dead("// store-format.md 12 times").is_empty());
    }
}
