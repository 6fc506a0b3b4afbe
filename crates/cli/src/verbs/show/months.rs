//! Counts by month as columns: with the months between that have none, and years where the months would be too many.

use std::collections::BTreeMap;

use super::charts::Column;
use super::statistics::Month;

/// More columns than this are years instead of months.
const MOST_COLUMNS: usize = 120;

/// Every month from the first to the last, also those without any; years where the months would be too many. The month of
/// `day`, where one is given, is among them if there is room for it.
pub(super) fn columns_of(counts: &BTreeMap<String, Month>, day: Option<&str>) -> Vec<Column> {
    let column = |name: String, month: Month| Column { name, count: month.all, marked: month.revoked };
    let ends = counts.keys().next().zip(counts.keys().next_back());
    let Some((first, last)) = ends.and_then(|(first, last)| Some((number(first)?, number(last)?))) else {
        return Vec::new();
    };
    let wider = day.and_then(|day| number(day.get(..7)?)).map(|now| (first.min(now), last.max(now)));
    let (first, last) = wider.filter(|(first, last)| last - first < MOST_COLUMNS).unwrap_or((first, last));
    if last - first < MOST_COLUMNS {
        let name = |month: usize| format!("{:04}-{:02}", month / 12, month % 12 + 1);
        let named = (first..=last).map(name);
        return named
            .map(|name| (counts.get(&name).copied().unwrap_or_default(), name))
            .map(|(month, name)| column(name, month))
            .collect();
    }
    let mut years: BTreeMap<usize, Month> = BTreeMap::new();
    for (name, month) in counts {
        let year = years.entry(number(name).unwrap_or(first) / 12).or_default();
        year.all += month.all;
        year.revoked += month.revoked;
    }
    // Dates from nowhere make gaps; only years that have any are shown, and of too many the last.
    let skip = years.len().saturating_sub(MOST_COLUMNS);
    years.into_iter().skip(skip).map(|(year, month)| column(year.to_string(), month)).collect()
}

/// In which column a day (`2026-11-27`) is, and the share of it that is over.
pub(super) fn place_of(columns: &[Column], day: &str) -> Option<(usize, f64)> {
    let part = |range: std::ops::Range<usize>| day.get(range)?.parse::<f64>().ok();
    let (month, in_month) = (part(5..7)?, part(8..10)?);
    if let Some(place) = columns.iter().position(|column| Some(column.name.as_str()) == day.get(..7)) {
        return Some((place, (in_month / 31.0).min(1.0)));
    }
    let place = columns.iter().position(|column| Some(column.name.as_str()) == day.get(..4))?;
    Some((place, ((month - 1.0 + in_month / 31.0) / 12.0).min(1.0)))
}

fn number(name: &str) -> Option<usize> {
    let (year, month) = name.split_once('-')?;
    Some(year.parse::<usize>().ok()? * 12 + month.parse::<usize>().ok()?.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(names: &[&str]) -> BTreeMap<String, Month> {
        names.iter().map(|name| ((*name).to_owned(), Month { all: 2, revoked: 1 })).collect()
    }

    #[test]
    fn months_without_any_are_shown_and_too_many_become_years() {
        let named = |columns: &[Column]| {
            columns.iter().map(|column| (column.name.clone(), column.count)).collect::<Vec<_>>()
        };
        let columns = columns_of(&counts(&["2025-11", "2026-01"]), None);
        let expected = [("2025-11", 2), ("2025-12", 0), ("2026-01", 2)];
        assert_eq!(named(&columns), expected.map(|(name, count)| (name.to_owned(), count)));
        assert_eq!(place_of(&columns, "2025-12-31"), Some((1, 1.0)));
        assert_eq!(place_of(&columns, "2026-02-01"), None);
        let years = columns_of(&counts(&["1601-01", "2026-01", "2026-03", "9999-12"]), Some("2027-01-01"));
        assert_eq!(named(&years)[1], ("2026".to_owned(), 4));
        assert_eq!(place_of(&years, "2026-07-01").map(|(place, _)| place), Some(1));
        assert!(columns_of(&BTreeMap::new(), None).is_empty());
        let with_today = columns_of(&counts(&["2026-01"]), Some("2025-11-27"));
        assert_eq!(named(&with_today)[0], ("2025-11".to_owned(), 0));
        assert_eq!(columns_of(&counts(&["2026-01"]), Some("1999-01-01")).len(), 1, "there is no room");
    }
}
