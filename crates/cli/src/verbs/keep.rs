//! `--keep-...`: which states are kept when old sets are deleted.

use certadm_rules::span::any_span;
use certadm_set::retain::Keep;
use clap::Args;

/// The rules. Where a place has rules of its own, one of these replaces all of them.
#[derive(Debug, Args)]
pub(crate) struct KeepArgs {
    /// Keep the newest N states
    #[arg(long = "keep-last", value_name = "N")]
    last: Option<u32>,
    /// Keep all of this span before now, such as 30min, 48h, 14d or 1w2d
    #[arg(long = "keep-within", value_name = "SPAN", value_parser = any_span)]
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
