//! `--keep-...`: which states are kept when old sets are deleted.

use certadm_rules::span::kept_span;
use certadm_set::retain::Keep;
use clap::Args;

/// The rules. Where a place has rules of its own, one of these replaces all of them.
#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// Keep the newest N states
    #[arg(long = "keep-last", value_name = "N")]
    last: Option<u32>,
    /// Keep all of this span before now, such as 30min, 48h, 14d or 1w2d
    #[arg(long = "keep-within", value_name = "SPAN", value_parser = kept_span)]
    within: Option<i64>,
    /// Keep the newest state of each of N days that have one
    #[arg(long = "keep-daily", value_name = "N")]
    daily: Option<u32>,
    /// Keep the newest state of each of N weeks that have one
    #[arg(long = "keep-weekly", value_name = "N")]
    weekly: Option<u32>,
    /// Keep the newest state of each of N months that have one
    #[arg(long = "keep-monthly", value_name = "N")]
    monthly: Option<u32>,
    /// Keep the newest state of each of N years that have one
    #[arg(long = "keep-yearly", value_name = "N")]
    yearly: Option<u32>,
}

impl KeepArgs {
    /// The rules that were typed, if any.
    pub(crate) fn get(&self) -> Option<Keep> {
        let numbers = [self.last, self.daily, self.weekly, self.monthly, self.yearly];
        if self.within.is_none() && numbers.iter().all(Option::is_none) {
            return None;
        }
        let [last, daily, weekly, monthly, yearly] = numbers.map(Option::unwrap_or_default);
        Some(Keep { last, within: self.within.unwrap_or_default(), daily, weekly, monthly, yearly })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Verb {
        #[command(flatten)]
        keep: KeepArgs,
    }

    /// restic keeps six months for `6m`.
    #[test]
    fn six_months_are_not_six_minutes() {
        let within = |span: &str| Verb::try_parse_from(["verb", "--keep-within", span]);
        let told = within("6m").unwrap_err().to_string();
        assert!(told.contains("write min for minutes") && told.contains("--keep-monthly"), "{told}");
        let keep = within("6min").unwrap().keep.get().unwrap();
        assert_eq!(keep, Keep { within: 360, ..Keep::default() });
    }
}
