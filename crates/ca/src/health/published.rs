//! What a CA shows to others, over the network too, and how old it is: its certificate, its CRL, its last backup.

use certadm_rules::FileTime;
use certadm_rules::finding::{self, Finding};
use der::Decode;
use x509_cert::Certificate;
use x509_cert::crl::CertificateList;

use super::ages::{judge_backups, judge_certificate, judge_crl};
use super::thresholds::Thresholds;
use crate::dates;

/// What a CA shows, as far as it does and as far as it can be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The end of the CA's certificate.
    pub valid_until: Option<FileTime>,
    /// The first and the last moment of its CRL.
    pub crl: Option<(FileTime, FileTime)>,
    /// When its last backup ended, of whatever kind.
    pub last_backup: Option<FileTime>,
}

impl Published {
    /// Reads a certificate and a CRL in DER. What does not decode counts as not shown.
    #[must_use]
    pub fn read(certificate: Option<&[u8]>, crl: Option<&[u8]>, last_backup: Option<FileTime>) -> Self {
        let certificate = certificate.and_then(|der| Certificate::from_der(der).ok());
        let crl = crl.and_then(|der| <CertificateList>::from_der(der).ok());
        Self {
            valid_until: certificate
                .map(|certificate| dates::from_x509(certificate.tbs_certificate().validity().not_after)),
            crl: crl.and_then(|crl| {
                let list = crl.tbs_cert_list;
                Some((dates::from_x509(list.this_update), dates::from_x509(list.next_update?)))
            }),
            last_backup,
        }
    }

    /// What there is to look into at this moment.
    #[must_use]
    pub fn judge(&self, now: FileTime, thresholds: &Thresholds) -> Vec<Finding> {
        let mut findings = Vec::new();
        judge_certificate(self.valid_until, now, thresholds, &mut findings);
        if let Some(crl) = self.crl {
            judge_crl(crl, now, thresholds, &mut findings);
        }
        judge_backups(self.last_backup.into_iter(), now, thresholds, &mut findings);
        finding::sort(&mut findings);
        findings
    }
}

#[cfg(test)]
mod tests {
    use certadm_rules::finding::Kind;

    use super::super::ages::{DAY, HOUR};
    use super::*;

    #[test]
    fn what_is_shown_is_judged_as_what_lies_in_a_folder() {
        let shown = Published {
            valid_until: Some(FileTime(1000 * DAY)),
            crl: Some((FileTime(900 * DAY), FileTime(920 * DAY))),
            last_backup: Some(FileTime(911 * DAY)),
        };
        let kinds = |now: i64| {
            let findings = shown.judge(FileTime(now), &Thresholds::default());
            findings.iter().map(|finding| finding.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(911 * DAY + 26 * HOUR), [Kind::CertificateEnding, Kind::CrlDue]);
        let all = [Kind::CertificateEnding, Kind::CrlExpired, Kind::BackupOld];
        assert_eq!(kinds(920 * DAY), all);
        assert_eq!(kinds(899 * DAY), [Kind::Clock, Kind::Clock]);
        assert_eq!(Published::default().judge(FileTime(0), &Thresholds::default()), []);
    }

    #[test]
    fn what_is_neither_certificate_nor_crl_is_not_shown() {
        let read = Published::read(Some(b"certificate"), Some(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(read, Published::default());
    }
}
