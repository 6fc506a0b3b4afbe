//! Findings of one kind summed up, for a person to read: a disk that loses a thousand pages gives one line.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Finding, Severity, Spot};

/// Ranges, positions or files that a line names; further ones are counted.
const MOST_NAMED: usize = 8;

/// One finding, or several of one kind that are told together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Summary<'a> {
    findings: Vec<&'a Finding>,
}

/// Sums findings up: those of one severity, kind, code and remedy become one [`Summary`]. The summaries stand in the
/// order of their first findings.
#[must_use]
pub fn sum_up(findings: &[Finding]) -> Vec<Summary<'_>> {
    let mut all: Vec<Summary<'_>> = Vec::new();
    let mut known = HashMap::new();
    for finding in findings {
        let alike = (finding.severity, finding.kind, finding.code, &finding.remedy);
        let place = *known.entry(alike).or_insert(all.len());
        match all.get_mut(place) {
            Some(summary) => summary.findings.push(finding),
            None => all.push(Summary { findings: vec![finding] }),
        }
    }
    all
}

impl<'a> Summary<'a> {
    /// How many places it stands for: a finding about ten pages counts as ten.
    #[must_use]
    pub fn count(&self) -> usize {
        self.findings.iter().map(|finding| finding.place.spot.map_or(1, Spot::count)).sum()
    }

    /// How grave they are.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.first().severity
    }

    /// What to do about them.
    #[must_use]
    pub fn remedy(&self) -> Option<&'a str> {
        self.first().remedy.as_deref()
    }

    /// The first of them. There is always one: a summary is made for a finding.
    fn first(&self) -> &'a Finding {
        self.findings[0]
    }

    /// Whether all say the same words.
    fn agree(&self) -> bool {
        self.findings.iter().all(|finding| finding.detail == self.first().detail)
    }
}

impl fmt::Display for Summary<'_> {
    /// Places, detail and code in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.first();
        let [_, rest @ ..] = self.findings.as_slice() else { return Ok(()) };
        if rest.is_empty() {
            return first.fmt(f);
        }
        if self.agree() {
            write!(f, "{}{}", Places(&self.findings), first.detail)?;
        } else {
            let colon = if first.place.is_none() { "" } else { ": " };
            let more = self.count() - first.place.spot.map_or(1, Spot::count);
            write!(f, "{}{colon}{}; {more} more of this kind", first.place, first.detail)?;
            let elsewhere = Places(rest).to_string();
            if !elsewhere.is_empty() {
                write!(f, ": {}", elsewhere.trim_end_matches(": "))?;
            }
        }
        if first.code.is_failure() { write!(f, " [{}]", first.code) } else { Ok(()) }
    }
}

/// Where several findings are, with a colon behind it; nothing where none has a place.
struct Places<'a>(&'a [&'a Finding]);

impl fmt::Display for Places<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: BTreeSet<&Path> =
            self.0.iter().filter_map(|finding| finding.place.file.as_deref()).collect();
        let spots: Vec<Spot> = self.0.iter().filter_map(|finding| finding.place.spot).collect();
        let are_logs = spots.len() == self.0.len()
            && spots.iter().all(|spot| matches!(spot, Spot::Log(_) | Spot::Logs(..)));
        let (file, spots) = match (files.first(), files.len()) {
            (None, _) => (None, told(&spots)),
            (Some(file), 1) => (Some(file.display().to_string()), told(&spots)),
            // Logs are told by their generations, in the folder that has them.
            (Some(_), _) if are_logs && let Some(folder) = common_folder(&files) => {
                (Some(folder.display().to_string()), told(&spots))
            }
            _ => (Some(joined(files.iter().map(|file| file.display().to_string()), "files")), String::new()),
        };
        let parts = file.into_iter().chain((!spots.is_empty()).then_some(spots));
        parts.into_iter().try_for_each(|part| write!(f, "{part}: "))
    }
}

fn common_folder(files: &BTreeSet<&Path>) -> Option<PathBuf> {
    let folder = files.first()?.parent()?;
    let is_common = files.iter().all(|file| file.parent() == Some(folder));
    (is_common && !folder.as_os_str().is_empty()).then(|| folder.to_owned())
}

/// Spots in words: `pages 5 to 9 and 12`, `log generations 0x2 to 0x5`.
fn told(spots: &[Spot]) -> String {
    let (mut pages, mut logs, mut positions) = (Vec::new(), Vec::new(), BTreeSet::new());
    for spot in spots {
        match *spot {
            Spot::Page(page) => pages.push((page, page)),
            Spot::Pages(first, last) => pages.push((first, last)),
            Spot::Log(generation) => logs.push((generation, generation)),
            Spot::Logs(first, last) => logs.push((first, last)),
            Spot::Position { .. } => {
                positions.insert(*spot);
            }
        }
    }
    let mut parts = Vec::new();
    let word = |ranges: &[(u32, u32)], one, several| match ranges {
        [(first, last), rest @ ..] if first == last && rest.iter().all(|range| range == &ranges[0]) => one,
        _ => several,
    };
    if !pages.is_empty() {
        let word = word(&pages, "page", "pages");
        parts.push(format!("{word} {}", ranges(pages, |page| page.to_string(), "pages")));
    }
    if !logs.is_empty() {
        let word = word(&logs, "log generation", "log generations");
        parts.push(format!("{word} {}", ranges(logs, |number| format!("{number:#x}"), "logs")));
    }
    if !positions.is_empty() {
        parts.push(joined(positions.iter().map(Spot::to_string), "positions"));
    }
    parts.join(" and ")
}

/// Numbers and ranges of them, neighbouring ones joined: `5 to 9, 12 and 20 to 25`. Behind the first few the remaining
/// numbers are counted.
fn ranges(mut numbers: Vec<(u32, u32)>, text: impl Fn(u32) -> String, of_what: &str) -> String {
    numbers.sort_unstable();
    let mut found: Vec<(u32, u32)> = Vec::new();
    for (first, last) in numbers {
        match found.last_mut() {
            Some((_, high)) if first <= high.saturating_add(1) => *high = last.max(*high),
            _ => found.push((first, last)),
        }
    }
    let named = found.len().min(MOST_NAMED);
    let words = found[..named].iter().flat_map(|(low, high)| match high - low {
        0 => vec![text(*low)],
        1 => vec![text(*low), text(*high)],
        _ => vec![format!("{} to {}", text(*low), text(*high))],
    });
    let left: usize = found[named..].iter().map(|(low, high)| (high - low) as usize + 1).sum();
    listed(words.collect(), left, of_what)
}

fn joined(words: impl ExactSizeIterator<Item = String>, of_what: &str) -> String {
    let left = words.len().saturating_sub(MOST_NAMED);
    listed(words.take(MOST_NAMED).collect(), left, of_what)
}

/// `a, b and c`, or `a, b, c and 12 further pages`.
fn listed(mut words: Vec<String>, left: usize, of_what: &str) -> String {
    if 0 < left {
        words.push(format!("{left} further {of_what}"));
    }
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hresult;
    use crate::finding::Kind;

    fn page(number: u32, detail: &str) -> Finding {
        Finding::error(Kind::PageChecksum, Hresult::E_FAIL, detail).in_file("ca.edb").at(Spot::Page(number))
    }

    fn told_of(findings: &[Finding]) -> Vec<String> {
        sum_up(findings).iter().map(Summary::to_string).collect()
    }

    #[test]
    fn pages_become_ranges() {
        let found: Vec<_> = [9, 5, 6, 7, 8, 12, 20, 21].map(|number| page(number, "bad")).into();
        assert_eq!(told_of(&found), ["ca.edb: pages 5 to 9, 12, 20 and 21: bad [0x80004005 (E_FAIL)]"]);
        assert_eq!(sum_up(&found)[0].count(), 8);
        let one = [page(5, "bad")];
        assert_eq!(told_of(&one), ["ca.edb: page 5: bad [0x80004005 (E_FAIL)]"]);
        let twice = [page(5, "bad"), page(5, "bad")];
        assert_eq!(told_of(&twice), ["ca.edb: page 5: bad [0x80004005 (E_FAIL)]"], "two blocks of one page");
    }

    #[test]
    fn a_thousand_scattered_pages_stay_one_line() {
        let found: Vec<_> = (1..=1000).map(|number| page(3 * number, "bad")).collect();
        assert_eq!(
            told_of(&found),
            ["ca.edb: pages 3, 6, 9, 12, 15, 18, 21, 24 and 992 further pages: bad [0x80004005 (E_FAIL)]"]
        );
    }

    #[test]
    fn ranges_count_as_what_they_stand_for() {
        let range = |first, last| page(1, "bad").at(Spot::pages(first, last));
        let found = [range(5, 4_000_000_000), range(4_000_000_001, 4_000_000_009), page(3, "bad")];
        assert_eq!(told_of(&found), ["ca.edb: pages 3 and 5 to 4000000009: bad [0x80004005 (E_FAIL)]"]);
        assert_eq!(sum_up(&found)[0].count(), 4_000_000_006);
        assert_eq!(told_of(&[range(5, 9)]), ["ca.edb: pages 5 to 9: bad [0x80004005 (E_FAIL)]"]);
        let other = [range(5, 9), page(12, "worse")];
        assert_eq!(
            told_of(&other),
            ["ca.edb: pages 5 to 9: bad; 1 more of this kind: ca.edb: page 12 [0x80004005 (E_FAIL)]"]
        );
    }

    #[test]
    fn other_words_are_told_once_and_counted() {
        let found = [page(5, "holds page 7"), page(7, "holds page 5"), page(8, "holds page 9")];
        assert_eq!(
            told_of(&found),
            [
                "ca.edb: page 5: holds page 7; 2 more of this kind: ca.edb: pages 7 and 8 [0x80004005 (E_FAIL)]"
            ]
        );
        let bare = [Finding::note(Kind::More, "first"), Finding::note(Kind::More, "second")];
        assert_eq!(told_of(&bare), ["first; 1 more of this kind"]);
    }

    #[test]
    fn logs_are_told_by_their_generations() {
        let log = |generation: u32| {
            Finding::error(Kind::FileMissing, Hresult::S_OK, "it is missing")
                .in_file(format!("/set/DataBase/edb{generation:05x}.log"))
                .at(Spot::Log(generation))
        };
        let found = [log(9), log(10), log(11), log(0x20)];
        assert_eq!(told_of(&found), ["/set/DataBase: log generations 0x9 to 0xb and 0x20: it is missing"]);
        let elsewhere = [log(9), log(10).in_file("/other/edb0000a.log")];
        assert_eq!(
            told_of(&elsewhere),
            ["/other/edb0000a.log and /set/DataBase/edb00009.log: it is missing"]
        );
    }

    #[test]
    fn other_kinds_codes_and_remedies_stay_apart() {
        let found = [
            page(1, "bad"),
            page(2, "bad").remedy("replace the disk"),
            page(3, "bad").code(Hresult::E_UNEXPECTED),
            page(4, "bad"),
            Finding { kind: Kind::FlippedBit, ..page(5, "bad") },
        ];
        let counts: Vec<_> = sum_up(&found).iter().map(Summary::count).collect();
        assert_eq!(counts, [2, 1, 1, 1]);
        assert_eq!(sum_up(&found)[1].remedy(), Some("replace the disk"));
        assert!(sum_up(&[]).is_empty());
    }
}
