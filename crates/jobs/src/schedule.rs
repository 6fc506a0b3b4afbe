//! When something is to be done: slots in local time. A slot is a moment of the schedule; what was done after the newest
//! slot is not due again before the next one. So a missed slot is caught up once, however many were missed.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Deserializer};

/// The shortest and the longest time between slots of `every`, in seconds.
const EVERY: std::ops::RangeInclusive<i64> = 60..=31 * 86_400;
/// How a schedule is written, for messages.
const HELP: &str = "write `every 15m`, `hourly`, `daily 02:00`, `weekly sun 03:00` or `monthly 1 04:00`";

/// A schedule, such as `daily 02:00`.
///
/// ```
/// use certadm_jobs::Schedule;
/// use jiff::tz::TimeZone;
///
/// let nightly: Schedule = "daily 02:00".parse()?;
/// let zone = TimeZone::UTC;
/// let noon = 1_764_331_200; // 2025-11-28T12:00:00Z
/// assert_eq!(nightly.last_slot(noon, &zone), Some(noon - 10 * 3600));
/// assert!(nightly.is_due(Some(noon - 86_400), noon, &zone));
/// assert!(!nightly.is_due(Some(noon - 3600), noon, &zone));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Each time that the seconds since 1970 are a multiple of this.
    Every(i64),
    /// Each day at a time.
    Daily(Clock),
    /// Each week at a day and a time.
    Weekly(Day, Clock),
    /// Each month at a day and a time; a month that is too short has its last day instead.
    Monthly(i8, Clock),
}

/// Hours and minutes of a local clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    hour: i8,
    minute: i8,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(Weekday);

impl Schedule {
    /// The newest slot at `now` or before, in seconds since 1970. A time that the local clock passes over counts from the
    /// jump on (02:30 is then 03:30); one that it shows twice counts the first time. `None` at the end of the calendar.
    #[must_use]
    pub fn last_slot(&self, now: i64, zone: &TimeZone) -> Option<i64> {
        if let Self::Every(seconds) = self {
            return Some(now.div_euclid(*seconds) * seconds);
        }
        let mut date = date_of(now, zone)?;
        loop {
            date = self.day_at_or_before(date)?;
            match self.slot_on(date, zone)? {
                slot if slot <= now => return Some(slot),
                _ => date = date.yesterday().ok()?,
            }
        }
    }

    /// The first slot after `now`, in seconds since 1970.
    #[must_use]
    pub fn next_slot(&self, now: i64, zone: &TimeZone) -> Option<i64> {
        if let Self::Every(seconds) = self {
            return Some((now.div_euclid(*seconds) + 1) * seconds);
        }
        // Where the clock jumps at the end of a day, the slot of yesterday may be today.
        let mut date = date_of(now, zone)?.yesterday().ok()?;
        loop {
            if self.day_at_or_before(date)? == date
                && let Some(slot) = self.slot_on(date, zone).filter(|slot| now < *slot)
            {
                return Some(slot);
            }
            date = date.tomorrow().ok()?;
        }
    }

    /// Whether what was done `last` is to be done again `now`: it was never done, or before the newest slot.
    #[must_use]
    pub fn is_due(&self, last: Option<i64>, now: i64, zone: &TimeZone) -> bool {
        match (last, self.last_slot(now, zone)) {
            (None, _) => true,
            (Some(last), Some(slot)) => last < slot,
            (Some(_), None) => false,
        }
    }

    /// About how long it is from slot to slot, in seconds.
    #[must_use]
    pub const fn period(&self) -> i64 {
        match self {
            Self::Every(seconds) => *seconds,
            Self::Daily(_) => 86_400,
            Self::Weekly(..) => 7 * 86_400,
            Self::Monthly(..) => 31 * 86_400,
        }
    }

    /// The newest day with a slot, `date` or one before.
    fn day_at_or_before(&self, date: Date) -> Option<Date> {
        match self {
            Self::Every(_) | Self::Daily(_) => Some(date),
            Self::Weekly(Day(day), _) => {
                let back = day.until(date.weekday());
                date.checked_sub(Span::new().days(back)).ok()
            }
            Self::Monthly(day, _) => {
                let of_month = |month: Date| {
                    let day = (*day).min(month.days_in_month());
                    Date::new(month.year(), month.month(), day).ok()
                };
                let here = of_month(date)?;
                if here <= date { Some(here) } else { of_month(date.first_of_month().yesterday().ok()?) }
            }
        }
    }

    fn slot_on(&self, date: Date, zone: &TimeZone) -> Option<i64> {
        let (Self::Daily(clock) | Self::Weekly(_, clock) | Self::Monthly(_, clock)) = self else {
            return None;
        };
        let slot = date.at(clock.hour, clock.minute, 0, 0).to_zoned_datetime(zone.clone()).ok()?;
        Some(slot.timestamp().as_second())
    }
}

fn date_of(now: i64, zone: &TimeZone) -> Option<Date> {
    Some(Timestamp::from_second(now).ok()?.to_zoned_datetime(zone.clone()).date())
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let wrong = || format!("this is no schedule: {HELP}");
        Ok(match words.as_slice() {
            ["hourly"] => Self::Every(3_600),
            ["every", time] => match crate::span(time) {
                Ok(seconds) if EVERY.contains(&seconds) => Self::Every(seconds),
                Ok(_) => return Err("`every` takes a minute or more, and 31 days at most".to_owned()),
                Err(_) => return Err(wrong()),
            },
            ["daily", clock] => Self::Daily(clock.parse().map_err(|()| wrong())?),
            ["weekly", day, clock] => {
                Self::Weekly(day.parse().map_err(|()| wrong())?, clock.parse().map_err(|()| wrong())?)
            }
            ["monthly", day, clock] => match day.parse() {
                Ok(day @ 1..=31) => Self::Monthly(day, clock.parse().map_err(|()| wrong())?),
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(seconds) => write!(f, "every {}", crate::span_text(*seconds)),
            Self::Daily(clock) => write!(f, "daily {clock}"),
            Self::Weekly(Day(day), clock) => {
                let name = format!("{day:?}").to_ascii_lowercase();
                write!(f, "weekly {} {clock}", name.get(..3).unwrap_or(&name))
            }
            Self::Monthly(day, clock) => write!(f, "monthly {day} {clock}"),
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl FromStr for Clock {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (hour, minute) = text.split_once(':').ok_or(())?;
        let number = |text: &str, below: i8| {
            let is_plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i8>().ok().filter(|number| is_plain && *number < below).ok_or(())
        };
        Ok(Self { hour: number(hour, 24)?, minute: number(minute, 60)? })
    }
}

impl FromStr for Day {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        const DAYS: [(&str, Weekday); 7] = [
            ("monday", Weekday::Monday),
            ("tuesday", Weekday::Tuesday),
            ("wednesday", Weekday::Wednesday),
            ("thursday", Weekday::Thursday),
            ("friday", Weekday::Friday),
            ("saturday", Weekday::Saturday),
            ("sunday", Weekday::Sunday),
        ];
        let text = text.to_ascii_lowercase();
        let found = DAYS.into_iter().find(|(name, _)| *name == text || name[..3] == text);
        found.map(|(_, day)| Self(day)).ok_or(())
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::civil::DateTime;

    use super::*;

    const ZONES: [&str; 7] = [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe", // half an hour of summer time
        "Africa/Cairo",        // its clock jumps at midnight
        "Asia/Kolkata",
        "America/Santiago",
    ];
    const SCHEDULES: [&str; 9] = [
        "daily 02:00",
        "daily 02:30",
        "daily 00:00",
        "daily 00:30",
        "weekly sun 02:15",
        "weekly Friday 00:05",
        "monthly 1 04:00",
        "monthly 31 02:30",
        "daily 23:59",
    ];

    /// What a wall clock shows in each minute.
    fn minutes(zone: &TimeZone, from: i64, until: i64) -> Vec<(i64, DateTime)> {
        let wall = |now| Timestamp::from_second(now).unwrap().to_zoned_datetime(zone.clone()).datetime();
        (from..until).step_by(60).map(|now| (now, wall(now))).collect()
    }

    /// The slots of a time, found by looking at the clock in each minute.
    fn model(schedule: Schedule, minutes: &[(i64, DateTime)]) -> BTreeSet<i64> {
        let (Schedule::Daily(clock) | Schedule::Weekly(_, clock) | Schedule::Monthly(_, clock)) = schedule
        else {
            panic!("it knows no clock")
        };
        let mut slots = BTreeSet::new();
        // The first day may have begun before, and is left out.
        let days = minutes.chunk_by(|one, other| one.1.date() == other.1.date()).skip(1);
        for day in days {
            let date = day[0].1.date();
            let is_day = match schedule {
                Schedule::Weekly(Day(weekday), _) => date.weekday() == weekday,
                Schedule::Monthly(day, _) => {
                    date.day() == day || (date.tomorrow().unwrap().day() == 1 && date.day() < day)
                }
                Schedule::Every(_) | Schedule::Daily(_) => true,
            };
            if is_day {
                let shows = |wall: &DateTime| (wall.hour(), wall.minute()) == (clock.hour, clock.minute);
                let shown = day.iter().find(|(_, wall)| shows(wall)).map(|(now, _)| *now);
                // On a day whose clock never shows it: the minute that would be it, were there no jump.
                let count = i64::from(clock.hour) * 60 + i64::from(clock.minute);
                slots.insert(shown.unwrap_or(day[0].0 + count * 60));
            }
        }
        slots
    }

    #[test]
    fn a_year_of_slots_is_that_of_a_wall_clock() {
        // From some days before 2027-12 to 2029-01: a leap year, with each zone's changes of the clock.
        let (from, until) = (1_827_000_000, 1_862_000_000);
        for zone in ZONES {
            let zone = TimeZone::get(zone).unwrap();
            let minutes = minutes(&zone, from, until);
            for text in SCHEDULES {
                let schedule: Schedule = text.parse().unwrap();
                let mut slots = model(schedule, &minutes);
                // The last day ends too early.
                slots.pop_last();
                assert!(10 < slots.len(), "{text}");
                let mut expected = slots.iter().peekable();
                let mut at = slots.first().unwrap() - 1;
                while let Some(slot) = expected.next() {
                    assert_eq!(schedule.next_slot(at, &zone), Some(*slot), "{text} after {at} in {zone:?}");
                    assert_eq!(schedule.last_slot(*slot, &zone), Some(*slot), "{text}");
                    if let Some(next) = expected.peek() {
                        assert_eq!(schedule.last_slot(**next - 1, &zone), Some(*slot), "{text} in {zone:?}");
                    }
                    at = *slot;
                }
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_into_the_next_day_takes_the_slot_with_it() {
        let zone = TimeZone::get("America/Nuuk").unwrap();
        let schedule: Schedule = "daily 23:30".parse().unwrap();
        // On 2027-03-27 at 23:00 it is 00:00 of the next day: 01:00 in UTC.
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let slot = at("2027-03-28T01:30:00Z");
        for now in ["2027-03-28T00:59:00Z", "2027-03-28T01:00:00Z", "2027-03-28T01:29:59Z"] {
            assert_eq!(schedule.next_slot(at(now), &zone), Some(slot), "{now}");
        }
        assert_eq!(schedule.next_slot(slot, &zone), Some(at("2027-03-29T00:30:00Z")));
        assert_eq!(schedule.last_slot(slot, &zone), Some(slot));
    }

    #[test]
    fn every_counts_from_1970_and_does_not_know_clocks() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let schedule: Schedule = "every 15m".parse().unwrap();
        assert_eq!(schedule.last_slot(1_000_000_000, &zone), Some(999_999_900));
        assert_eq!(schedule.next_slot(999_999_900, &zone), Some(1_000_000_800));
        assert_eq!(schedule.last_slot(-1, &zone), Some(-900));
        assert_eq!("hourly".parse::<Schedule>().unwrap().period(), 3_600);
    }

    #[test]
    fn what_was_missed_is_done_once() {
        let zone = TimeZone::UTC;
        let nightly: Schedule = "daily 02:00".parse().unwrap();
        let day = 86_400;
        let now = 100 * day + 12 * 3_600;
        assert!(nightly.is_due(None, now, &zone));
        assert!(nightly.is_due(Some(now - 20 * day), now, &zone), "three weeks were missed");
        assert!(!nightly.is_due(Some(now), now, &zone), "and once is enough");
        assert!(!nightly.is_due(Some(now), now + 14 * 3_600 - 1, &zone));
        assert!(nightly.is_due(Some(now), now + 14 * 3_600, &zone));
        // A clock that was set back: what lies ahead is not due again.
        assert!(!nightly.is_due(Some(now), now - 5 * day, &zone));
    }

    #[test]
    fn schedules_are_written_as_they_are_read() {
        for text in
            ["every 15m", "every 1h", "daily 02:00", "weekly sun 03:05", "monthly 31 04:00", "every 90m"]
        {
            assert_eq!(text.parse::<Schedule>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "daily",
            "daily 24:00",
            "daily 2",
            "daily 02:60",
            "daily -1:00",
            "weekly 02:00",
            "weekly day 02:00",
            "monthly 0 02:00",
            "monthly 32 02:00",
            "every",
            "every 30s",
            "every 1y",
            "every 32d",
            "hourly 1",
            "every 99999999999999999999h",
            "daily +2:00",
            "daily 02:00 x",
        ] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }
}
