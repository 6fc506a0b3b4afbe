//! Findings on pages, of which a bad disk makes millions: those that differ in nothing but neighbouring pages are one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use certadm_rules::Hresult;
use certadm_rules::finding::{Finding, Kind, Severity, Spot};

/// Ranges of pages kept; pages beyond them are only counted.
const MOST_RANGES: usize = 100_000;

/// What findings have in common that become one.
type Likeness = (Severity, Kind, Hresult, String, Option<Cow<'static, str>>);

/// Findings on pages as they are made, in any order of the pages.
#[derive(Default)]
pub(crate) struct PageFindings {
    places: HashMap<Likeness, usize>,
    /// A finding, and its pages: the last page of each range by its first one.
    alike: Vec<(Finding, BTreeMap<u32, u32>)>,
    ranges: usize,
    left_out: usize,
}

impl PageFindings {
    /// Adds what was found on a page; anything without a page is given back.
    pub(crate) fn add(&mut self, finding: Finding) -> Option<Finding> {
        let Some(Spot::Page(page)) = finding.place.spot else { return Some(finding) };
        let likeness =
            (finding.severity, finding.kind, finding.code, finding.detail.clone(), finding.remedy.clone());
        let place = match self.places.get(&likeness) {
            Some(place) => *place,
            None if MOST_RANGES <= self.ranges => {
                self.left_out += 1;
                return None;
            }
            None => {
                self.alike.push((finding, BTreeMap::new()));
                self.places.insert(likeness, self.alike.len() - 1);
                self.alike.len() - 1
            }
        };
        let ranges = &mut self.alike[place].1;
        let before = ranges.range(..=page).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| page <= last) {
            return None;
        }
        let first = before.filter(|(_, last)| last.saturating_add(1) == page).map(|(first, _)| first);
        let after = page.checked_add(1).and_then(|next| ranges.remove(&next));
        self.ranges -= usize::from(after.is_some());
        if first.is_none() && MOST_RANGES <= self.ranges {
            self.left_out += 1;
            return None;
        }
        self.ranges += usize::from(first.is_none());
        ranges.insert(first.unwrap_or(page), after.unwrap_or(page));
        None
    }

    /// All of them, in the order in which the first of each kind was found, then how many were left out.
    pub(crate) fn into_findings(self) -> Vec<Finding> {
        let mut findings = Vec::with_capacity(self.ranges + 1);
        for (finding, ranges) in self.alike {
            findings
                .extend(ranges.into_iter().map(|(first, last)| finding.clone().at(Spot::pages(first, last))));
        }
        if self.left_out != 0 {
            findings.push(Finding::note(Kind::More, format!("{} further findings on pages", self.left_out)));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damaged(page: u32, text: &str) -> Finding {
        Finding::error(Kind::PageChecksum, Hresult::READ_VERIFY_FAILURE, text).at(Spot::Page(page))
    }

    fn spots(findings: &[Finding]) -> Vec<Spot> {
        findings.iter().filter_map(|finding| finding.place.spot).collect()
    }

    #[test]
    fn neighbours_become_ranges_in_whatever_order_they_come() {
        let mut findings = PageFindings::default();
        for page in [7, 3, 5, 4, 9, 3, 8, u32::MAX, u32::MAX - 1] {
            assert_eq!(findings.add(damaged(page, "bad")), None);
        }
        findings.add(damaged(6, "other words"));
        let bare = Finding::note(Kind::Tree, "no page");
        assert_eq!(findings.add(bare.clone()), Some(bare));
        let all = findings.into_findings();
        let last = Spot::Pages(u32::MAX - 1, u32::MAX);
        assert_eq!(spots(&all), [Spot::Pages(3, 5), Spot::Pages(7, 9), last, Spot::Page(6)]);
    }

    #[test]
    fn a_million_pages_are_one_finding_and_scattered_ones_are_bounded() {
        let mut findings = PageFindings::default();
        for page in (1..=1_000_000).rev() {
            findings.add(damaged(page, "bad"));
        }
        assert_eq!(spots(&findings.into_findings()), [Spot::Pages(1, 1_000_000)]);
        let mut findings = PageFindings::default();
        let many = u32::try_from(MOST_RANGES).unwrap() + 5;
        for page in 1..=many {
            findings.add(damaged(page * 2, "bad"));
        }
        findings.add(damaged(1, "of another kind"));
        // Between two ranges, which become one.
        findings.add(damaged(3, "bad"));
        let all = findings.into_findings();
        assert_eq!(all.len(), MOST_RANGES);
        assert_eq!(all.last().unwrap().detail, "6 further findings on pages");
    }
}
