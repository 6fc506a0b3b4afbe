//! Number and dates of a CRL (recovery.md 4.2, rules 5 and 6).

use certadm_ca::dates;
use certadm_rules::FileTime;
use certadm_rules::finding::{Finding, Kind};

use crate::error::{Error, Result};
use crate::published::PublishedCrl;
use crate::records::{CrlRow, Records};

const MINUTE: i64 = 60 * 10_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long a CRL is valid where nothing is said.
const DEFAULT_DAYS: i64 = 14;
/// A CRL that is valid for longer hides later revocations for longer.
const LONG_DAYS: i64 = 30;
/// How far CRLs are dated back where no row says so.
pub(crate) const DEFAULT_SKEW: i64 = 10 * MINUTE;
/// How often a CRL is published where no row says so, and at most.
const DEFAULT_PERIOD: i64 = DAY;
const SHORTEST_PERIOD: i64 = 30 * MINUTE;
/// How far a number keeps away from those that the lost CA may have used.
const SPARE_NUMBERS: i64 = 16;

/// Why the number is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberBasis {
    /// The highest number that is known.
    pub highest_known: i64,
    /// How many CRLs the lost CA may have published since the last one that is known.
    pub unseen: i64,
    /// The number of the new CRL.
    pub number: i64,
}

/// What the last CRLs say of how the CA makes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// How far a CRL is dated back, in ticks.
    pub(crate) skew: i64,
    /// From one publication of a base CRL to the next.
    pub(crate) period: Option<i64>,
    /// From the next publication to the end of the CRL.
    lag: Option<i64>,
}

impl Habits {
    /// Of the newest base CRL in the table, else of the newest published one.
    pub(crate) fn of(records: Option<&Records>, published: &[PublishedCrl]) -> Self {
        let rows = records.map(Records::crls).unwrap_or_default();
        let last = rows.iter().filter(|row| row.min_base == 0).max_by_key(|row| (row.number, row.row_id));
        let sane = |ticks: i64| (0..=366 * DAY).contains(&ticks).then_some(ticks);
        let between = |from: Option<FileTime>, to: Option<FileTime>| {
            from.zip(to).and_then(|(from, to)| sane(to.0.saturating_sub(from.0)))
        };
        if let Some(row) = last {
            return Self {
                skew: between(row.this_update, row.this_publish)
                    .filter(|skew| *skew <= DAY)
                    .unwrap_or(DEFAULT_SKEW),
                period: between(row.this_publish, row.next_publish).filter(|period| 0 < *period),
                lag: between(row.next_publish, row.next_update),
            };
        }
        let last = published.iter().filter(|crl| crl.base.is_none()).max_by_key(|crl| crl.number);
        let begins = last.map(|crl| FileTime(crl.this_update.0.saturating_add(DEFAULT_SKEW)));
        Self {
            skew: DEFAULT_SKEW,
            period: between(begins, last.and_then(|crl| crl.next_publish.or(crl.next_update)))
                .filter(|period| 0 < *period),
            lag: last.and_then(|crl| between(crl.next_publish, crl.next_update)),
        }
    }

    /// Minutes by which CRLs are dated back.
    pub(crate) fn skew_minutes(&self) -> i64 {
        self.skew / MINUTE
    }
}

/// The number of the new CRL: above every number that is known, and above those of publications that nobody here has seen.
///
/// # Errors
/// [`Error::Number`] when `wanted` is not greater than all that are known, or there is no greater one; [`Error::LongNumber`] when
/// nothing is wanted, and a published CRL has a number of more than 63 bits.
pub(crate) fn number(
    records: Option<&Records>,
    published: &[PublishedCrl],
    now: FileTime,
    wanted: Option<i64>,
) -> Result<NumberBasis> {
    let rows = records.map(Records::crls).unwrap_or_default();
    let floor = records.map_or(0, |records| records.number_floor);
    let long = published.iter().find(|crl| crl.is_number_long);
    if let (Some(crl), None) = (long, wanted) {
        return Err(Error::LongNumber { name: crl.name.clone() });
    }
    let of_published = published.iter().filter(|crl| !crl.is_number_long).map(|crl| crl.number);
    let numbers = rows.iter().map(|row| row.number).chain(of_published);
    let highest_known = numbers.chain([floor]).max().unwrap_or(0).max(0);
    let refuse = |number: String, reason: &str| Error::Number { number, reason: reason.to_owned() };
    let newest = rows
        .iter()
        .filter_map(|row| row.this_publish.or(row.this_update))
        .chain(published.iter().map(|crl| crl.this_update))
        // A clock that was ahead says nothing of what was published since.
        .filter(|published| *published <= now)
        .max();
    let unseen = newest.map_or(0, |newest| unseen(newest, now, shortest_period(rows, published)));
    let number = match wanted {
        Some(number) if number <= highest_known => {
            return Err(refuse(number.to_string(), &format!("number {highest_known} was published already")));
        }
        Some(number) => number,
        None => highest_known
            .checked_add(unseen)
            .and_then(|number| number.checked_add(SPARE_NUMBERS))
            .ok_or_else(|| refuse(highest_known.to_string(), "there is no room above it"))?,
    };
    Ok(NumberBasis { highest_known, unseen, number })
}

/// A number that was chosen beside one of more than 63 bits is lower.
pub(crate) fn long_numbers(published: &[PublishedCrl]) -> impl Iterator<Item = Finding> {
    published.iter().filter(|crl| crl.is_number_long).map(|crl| {
        let text = format!(
            "the number of {} has more than 63 bits, and that of the new CRL is lower: whoever keeps that one may go on with it until it ends",
            crl.name
        );
        Finding::warning(Kind::CrlExtension, text)
    })
}

/// CRLs that are dated later than now.
pub(crate) fn dated_ahead(
    records: Option<&Records>,
    published: &[PublishedCrl],
    now: FileTime,
) -> Option<Finding> {
    let rows = records.map(Records::crls).unwrap_or_default();
    let of_row = |row: &CrlRow| {
        let at = row.this_publish.or(row.this_update)?;
        at.is_ahead_of(now).then(|| format!("number {} in the database", row.number))
    };
    let of_crl = |crl: &PublishedCrl| crl.this_update.is_ahead_of(now).then(|| crl.name.clone());
    let mut ahead = rows.iter().filter_map(of_row).chain(published.iter().filter_map(of_crl));
    let first = ahead.next()?;
    let more = match ahead.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let text = format!(
        "dated later than now ({}), so the clock of this machine is behind, or that of the CA was ahead: the CRL {first}{more}",
        now.to_rfc3339()
    );
    Some(Finding::warning(Kind::Clock, text).remedy("if this clock is wrong, set it and make the CRL again"))
}

/// The shortest time from one publication to the next, of base and delta CRLs.
fn shortest_period(rows: &[CrlRow], published: &[PublishedCrl]) -> i64 {
    let of_row = |row: &CrlRow| row.this_publish.zip(row.next_publish);
    let of_crl = |crl: &PublishedCrl| crl.next_publish.map(|next| (crl.this_update, next));
    let periods = rows.iter().filter_map(of_row).chain(published.iter().filter_map(of_crl));
    let shortest = periods.map(|(from, to)| to.0.saturating_sub(from.0)).filter(|period| 0 < *period).min();
    shortest.unwrap_or(DEFAULT_PERIOD).max(SHORTEST_PERIOD)
}

fn unseen(newest: FileTime, now: FileTime, period: i64) -> i64 {
    let passed = now.0.saturating_sub(newest.0).max(0);
    // Rounded up: a publication that was due at this moment may have taken place.
    passed / period + i64::from(passed % period != 0)
}

/// When a CRL begins and ends, and when the CA would publish the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// From when on it is valid.
    pub this_update: FileTime,
    /// Until when.
    pub next_update: FileTime,
    /// When the next one is due.
    pub next_publish: FileTime,
}

/// The dates of the CRLs of a key whose newest certificate has these dates.
pub(crate) fn dates(
    habits: &Habits,
    now: FileTime,
    certificate: (Option<FileTime>, Option<FileTime>),
    valid_days: Option<u32>,
    findings: &mut Vec<Finding>,
) -> Dates {
    let (not_before, not_after) = certificate;
    let later = |from: FileTime, ticks: i64| FileTime(from.0.saturating_add(ticks));
    let this_update = dates::whole_seconds(later(now, -habits.skew).max(not_before.unwrap_or(FileTime(0))));
    let own = habits.period.unwrap_or(0);
    let validity = match valid_days {
        Some(days) => i64::from(days).saturating_mul(DAY),
        None => own.max(DEFAULT_DAYS * DAY),
    };
    let next_update = dates::whole_seconds(later(now, validity));
    let mut warn = |text: String| findings.push(Finding::warning(Kind::CrlValidity, text));
    if validity < own {
        let (ours, its) = (validity / DAY, own / HOUR);
        warn(format!(
            "the CRL is valid for {ours} days only, while the CA's own follow each other every {its} hours"
        ));
    }
    if LONG_DAYS * DAY < validity {
        let days = validity / DAY;
        warn(format!(
            "the CRL is valid for {days} days: whoever keeps it can hide later revocations for so long"
        ));
    }
    if let Some(begins) = not_before.filter(|begins| begins.is_ahead_of(now)) {
        warn(format!(
            "the certificate of the CA begins at {}, later than now ({}): the clock of this machine is behind",
            begins.to_rfc3339(),
            now.to_rfc3339()
        ));
    }
    if let Some(end) = not_after.filter(|end| *end < next_update) {
        warn(format!(
            "the CRL ends at {}, after the certificate of its CA ({})",
            next_update.to_rfc3339(),
            end.to_rfc3339()
        ));
    }
    // The next publication is due before the end; how long before, the last CRL says.
    let lag = habits.lag.filter(|lag| *lag < validity).unwrap_or((validity / 10).min(12 * HOUR));
    Dates { this_update, next_update, next_publish: dates::whole_seconds(later(next_update, -lag)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publications_that_nobody_saw_are_counted_up() {
        let at = |ticks| FileTime(ticks);
        assert_eq!(unseen(at(0), at(0), DAY), 0);
        assert_eq!(unseen(at(0), at(1), DAY), 1);
        assert_eq!(unseen(at(0), at(DAY), DAY), 1);
        assert_eq!(unseen(at(0), at(DAY + 1), DAY), 2);
        assert_eq!(unseen(at(DAY), at(0), DAY), 0, "a clock that was set back");
    }

    #[test]
    fn the_end_of_the_crl_follows_the_cas_own_period() {
        let habits = Habits { skew: DEFAULT_SKEW, period: Some(20 * DAY), lag: Some(12 * HOUR) };
        let now = FileTime::from_unix_seconds(1_800_000_000);
        let mut findings = Vec::new();
        let dates = dates(&habits, now, (None, None), None, &mut findings);
        assert_eq!(dates.next_update.0 - now.0, 20 * DAY);
        assert_eq!(now.0 - dates.this_update.0, DEFAULT_SKEW);
        assert_eq!(dates.next_update.0 - dates.next_publish.0, 12 * HOUR);
        assert!(findings.is_empty());
    }

    #[test]
    fn unusual_validities_are_told() {
        let habits = Habits { skew: DEFAULT_SKEW, period: Some(7 * DAY), lag: None };
        let now = FileTime::from_unix_seconds(1_800_000_000);
        let end = FileTime(now.0 + 40 * DAY);
        for (days, warnings) in [(1, 1), (7, 0), (14, 0), (30, 0), (31, 1), (60, 2)] {
            let mut findings = Vec::new();
            dates(&habits, now, (None, Some(end)), Some(days), &mut findings);
            assert_eq!(findings.len(), warnings, "{days} days: {findings:?}");
        }
        let begins = FileTime(now.0 - MINUTE);
        let dates = dates(&habits, now, (Some(begins), None), None, &mut Vec::new());
        assert_eq!(dates.this_update, begins, "not before the certificate of the CA");
    }
}
