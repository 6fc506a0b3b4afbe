//! `--until-generation` and `--until-time`: an earlier state of sets.

use certadm_rules::{FileTime, Generation};
use certadm_set::{Cut, Opened, Until};
use clap::Args;
use serde_json::{Value, json};

use crate::failure::Failure;

/// How far sets are used.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct UntilArgs {
    /// Go no further than the end of this log generation, such as 0x1a or 26; later logs are left out
    #[arg(long, value_name = "N", value_parser = generation, conflicts_with = "until_time")]
    until_generation: Option<Generation>,
    /// Go no further than this moment, such as 2026-11-27T10:00:00Z. A log is used as a whole, so the state is that at the end
    /// of the last log that had ended then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until_time: Option<FileTime>,
}

impl UntilArgs {
    /// What was asked for, if anything.
    pub(crate) fn get(self) -> Option<Until> {
        self.until_generation.map(Until::Generation).or(self.until_time.map(Until::Time))
    }

    /// As [`cut`], for what was asked for here.
    ///
    /// # Errors
    /// As [`Opened::until`].
    pub(crate) fn cut(
        self,
        opened: Opened,
        tell: impl FnOnce(&str),
    ) -> Result<(Opened, Option<Cut>), Failure> {
        cut(self.get(), opened, tell)
    }
}

/// Leaves out what lies behind the state that is asked for, and says through `tell` what that is.
///
/// # Errors
/// As [`Opened::until`].
pub(crate) fn cut(
    until: Option<Until>,
    opened: Opened,
    tell: impl FnOnce(&str),
) -> Result<(Opened, Option<Cut>), Failure> {
    let Some(until) = until else { return Ok((opened, None)) };
    let (opened, cut) = opened.until(until)?;
    tell(&sentence(&cut));
    Ok((opened, Some(cut)))
}

/// What is used and what is left out, for a person.
pub(crate) fn sentence(cut: &Cut) -> String {
    format!("Used {cut}.")
}

/// The same for a program: `until` (docs/json.md, "An earlier state").
pub(crate) fn to_json(cut: Option<&Cut>) -> Value {
    let Some(cut) = cut else { return Value::Null };
    json!({
        "generation": cut.state.generation.number(),
        "ended": cut.state.ended.map(FileTime::to_rfc3339),
        "left_out": cut.behind.map(|behind| json!({
            "low": behind.low().number(),
            "high": behind.high().number(),
            "logs": cut.logs,
            "ended": cut.last.ended.map(FileTime::to_rfc3339),
        })),
    })
}

/// A generation in decimal, or in hexadecimal as messages and file names have it.
fn generation(text: &str) -> Result<Generation, String> {
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16),
        _ => text.parse(),
    };
    let number = number.map_err(|_| "write a number such as 26 or 0x1a".to_owned())?;
    Generation::new(number).ok_or_else(|| "the first generation is 1".to_owned())
}

/// A moment on a command line.
pub(crate) fn moment(text: &str) -> Result<FileTime, String> {
    let moment = FileTime::from_rfc3339(text);
    let moment =
        moment.ok_or_else(|| "write a moment with its zone, such as 2026-11-27T10:00:00Z".to_owned())?;
    if moment.unix_seconds() < 0 {
        return Err("no CA is older than 1970".to_owned());
    }
    Ok(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_as_people_write_them() {
        for (text, number) in
            [("26", 26), ("0x1a", 26), ("0X1A", 26), ("0x00001", 1), ("4294967295", u32::MAX)]
        {
            assert_eq!(generation(text).unwrap().number(), number, "{text}");
        }
        for text in ["", "0", "0x0", "-1", "0x", "0x+1", "1a", "4294967296", "edb00001.log"] {
            assert!(generation(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_has_a_zone_and_lies_after_1970() {
        assert_eq!(moment("2026-11-27T12:00:00.5+02:00").unwrap().to_rfc3339(), "2026-11-27T10:00:00Z");
        for text in ["1969-12-31T23:59:59Z", "2026-11-27T10:00:00", "2026-11-27", ""] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
