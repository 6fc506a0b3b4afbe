//! From when on an age is worth a warning.

/// From when on the age of something is worth a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Hours since the last backup.
    pub backup_hours: u32,
    /// How much of the last CRL's life may have passed, in percent. Example: 50 warns on the fourth day of a CRL that is
    /// valid for a week.
    pub crl_percent: u32,
    /// Days before the CA's own certificate ends.
    pub certificate_days: u32,
}

impl Default for Thresholds {
    /// A backup a day with two hours to spare, a CRL in its first half, a certificate with 90 days left.
    fn default() -> Self {
        Self { backup_hours: 26, crl_percent: 50, certificate_days: 90 }
    }
}
