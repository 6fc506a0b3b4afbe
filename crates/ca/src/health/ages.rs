//! Ages of what a CA has, and the thresholds from which on they are worth a warning: whoever asks, a look at the folder or
//! one over the network.

use certadm_rules::FileTime;
use certadm_rules::Hresult;
use certadm_rules::finding::{Finding, Kind};
use certadm_rules::words::counted;

use super::thresholds::Thresholds;

/// One hour and one day in units of [`FileTime`].
pub(super) const HOUR: i64 = 3600 * 10_000_000;
pub(super) const DAY: i64 = 24 * HOUR;

pub(super) fn judge_certificate(
    valid_until: Option<FileTime>,
    now: FileTime,
    thresholds: &Thresholds,
    findings: &mut Vec<Finding>,
) {
    if valid_until.is_some_and(|until| until <= now) {
        let text = "the CA's own certificate has expired";
        findings.push(
            Finding::error(Kind::CertificateExpired, Hresult::S_OK, text)
                .remedy("create a CA that takes over; what this one issued is no longer accepted"),
        );
    }
    let left = valid_until.map(|until| until.0.saturating_sub(now.0));
    let Some(left) = left.filter(|left| *left > 0) else { return };
    if left < i64::from(thresholds.certificate_days).saturating_mul(DAY) {
        let text =
            format!("the CA's own certificate ends in {}", counted((left / DAY).unsigned_abs(), "day"));
        findings.push(
            Finding::warning(Kind::CertificateEnding, text)
                .remedy("renew it; what this CA issues ends with it at the latest"),
        );
    }
}

/// A CRL of which the first and the last moment are known.
pub(super) fn judge_crl(
    (this_update, next_update): (FileTime, FileTime),
    now: FileTime,
    thresholds: &Thresholds,
    findings: &mut Vec<Finding>,
) {
    const REMEDY: &str = "publish one with `certadm ca crl`; on a Windows CA with `certutil -CRL`";
    let (life, passed) = (next_update.0.saturating_sub(this_update.0), now.0.saturating_sub(this_update.0));
    if this_update.is_ahead_of(now) {
        findings.push(in_the_future("the last CRL", this_update));
    }
    if passed.saturating_mul(100) > life.saturating_mul(i64::from(thresholds.crl_percent)) && passed < life {
        let text = format!("the last CRL ends on {}: a new one is due", next_update.to_rfc3339());
        findings.push(Finding::warning(Kind::CrlDue, text).remedy(REMEDY));
    }
    if next_update <= now {
        findings.push(Finding::warning(Kind::CrlExpired, "the last CRL has expired").remedy(REMEDY));
    }
}

/// The backups that are known, by their times. One from the future is told, and does not make the others younger.
pub(super) fn judge_backups(
    taken: impl Iterator<Item = FileTime>,
    now: FileTime,
    thresholds: &Thresholds,
    findings: &mut Vec<Finding>,
) {
    let (future, past): (Vec<_>, Vec<_>) = taken.partition(|taken| taken.is_ahead_of(now));
    if let Some(last) = future.into_iter().max() {
        findings.push(in_the_future("the last backup", last));
    }
    let Some(last) = past.into_iter().max() else { return };
    let age = now.0.saturating_sub(last.0);
    if age > i64::from(thresholds.backup_hours).saturating_mul(HOUR) {
        let text = format!("the last backup was taken {} ago", counted((age / HOUR).unsigned_abs(), "hour"));
        findings.push(
            Finding::warning(Kind::BackupOld, text)
                .remedy("take one with `certadm backup`, and find out why none was taken"),
        );
    }
}

fn in_the_future(what: &str, date: FileTime) -> Finding {
    let text =
        format!("{what} is dated {}, which is in the future: the clock is wrong, or was", date.to_rfc3339());
    Finding::warning(Kind::Clock, text)
        .remedy("set the clock; if it was wrong then, take a new backup and CRL")
}
