//! The options that say from when on an age is a problem: of `show` and of `doctor`.

use certadm_ca::health::Thresholds;
use clap::Args;

/// From when on an age is a problem.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Thresholds")]
pub(crate) struct ThresholdArgs {
    /// Hours since the last backup
    #[arg(long, value_name = "HOURS", default_value_t = Thresholds::default().backup_hours)]
    max_backup_age: u32,
    /// How much of the last CRL's life may have passed, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = Thresholds::default().crl_percent)]
    max_crl_age: u32,
    /// Days before the end of the CA's own certificate
    #[arg(long, value_name = "DAYS", default_value_t = Thresholds::default().certificate_days)]
    min_certificate_days: u32,
}

impl ThresholdArgs {
    pub(crate) const fn get(self) -> Thresholds {
        Thresholds {
            backup_hours: self.max_backup_age,
            crl_percent: self.max_crl_age,
            certificate_days: self.min_certificate_days,
        }
    }
}
