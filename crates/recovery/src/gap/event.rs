//! Events of the security log that tell of certificates (recovery.md 7.2).

use certadm_ca::{Reason, Serial};
use certadm_rules::FileTime;

/// The longest text of an event that is kept; a longer one is cut.
const LONGEST: usize = 1024;

/// The fields of an event as a log has them, whatever the form of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    /// `EventID`
    pub(super) id: u32,
    /// `TimeCreated`, the moment of the event itself.
    pub(super) when: Option<FileTime>,
    /// `Provider`
    pub(super) provider: String,
    /// `Computer`
    pub(super) computer: String,
    /// The fields of `EventData` with their names.
    pub(super) data: Vec<(String, String)>,
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// 4887: a certificate was issued.
    Issued(Issued),
    /// 4888, 4868: a request was denied.
    Denied {
        /// The request.
        request_id: i64,
    },
    /// 4889: a request waits for a decision.
    Pending {
        /// The request.
        request_id: i64,
    },
    /// 4886, 4869: a request came in, or came in again.
    Received {
        /// The request.
        request_id: i64,
    },
    /// 4870: a certificate was revoked.
    Revoked {
        /// The certificate.
        serial: Serial,
        /// Why; `removeFromCRL` ends a hold.
        reason: Reason,
    },
    /// 4872: a CRL was published.
    CrlPublished {
        /// Its number.
        number: i64,
    },
    /// 4876: a backup began.
    BackupStarted {
        /// Whether it is a full one.
        full: bool,
        /// Who took it.
        account: String,
    },
    /// 4877: a backup ended.
    BackupCompleted,
    /// 4768 on a domain controller: a certificate was used to log on.
    Used {
        /// The common name of the certificate's issuer.
        issuer: String,
        /// The certificate.
        serial: Serial,
    },
}

/// A certificate that was issued, as the event has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Issued {
    pub(super) request_id: i64,
    /// Version 1 of the event alone has it.
    pub(super) serial: Option<Serial>,
    pub(super) requester: String,
    pub(super) subject: String,
    pub(super) template: String,
    /// Lower-case hexadecimal digits.
    pub(super) key_identifier: String,
}

impl Fields {
    /// What the event says; nothing where it says nothing of certificates, or not what it should.
    #[must_use]
    pub(super) fn said(&self) -> Option<Said> {
        let security = "Microsoft-Windows-Security-Auditing";
        if !self.provider.is_empty() && !self.provider.eq_ignore_ascii_case(security) {
            return None;
        }
        match self.id {
            4887 => Some(Said::Issued(Issued {
                request_id: self.request_id()?,
                serial: self.serial(&["SerialNumber", "CertificateSerialNumber"]),
                requester: self.text(&["Requester"]),
                subject: self.text(&["Subject"]),
                template: self.text(&["CertificateTemplate"]),
                key_identifier: digits(&self.text(&["SubjectKeyIdentifier"])),
            })),
            4868 | 4888 => Some(Said::Denied { request_id: self.request_id()? }),
            4889 => Some(Said::Pending { request_id: self.request_id()? }),
            4869 | 4886 => Some(Said::Received { request_id: self.request_id()? }),
            4870 => Some(Said::Revoked {
                serial: self.serial(&["CertificateSerialNumber", "SerialNumber"])?,
                reason: reason(&self.text(&["RevocationReason", "Reason"])),
            }),
            4872 => {
                let number = self.text(&["CRLNumber", "CrlNumber"]);
                Some(Said::CrlPublished { number: number.parse().ok().filter(|number| 0 <= *number)? })
            }
            4876 => Some(Said::BackupStarted {
                full: matches!(self.text(&["BackupType"]).as_str(), "1" | "0x1"),
                account: [self.text(&["SubjectDomainName"]), self.text(&["SubjectUserName"])].join("\\"),
            }),
            4877 => Some(Said::BackupCompleted),
            4768 => Some(Said::Used {
                issuer: self.text(&["CertIssuerName"]),
                serial: self.serial(&["CertSerialNumber"])?,
            }),
            _ => None,
        }
    }

    fn text(&self, names: &[&str]) -> String {
        let named = |name: &&str| self.data.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let found = names.iter().find_map(named).map_or("", |(_, value)| value.trim());
        cut(found).to_owned()
    }

    /// A request number is 32 bits, and none is 0.
    fn request_id(&self) -> Option<i64> {
        let number: u32 = self.text(&["RequestId"]).parse().ok()?;
        (number != 0).then(|| i64::from(number))
    }

    fn serial(&self, names: &[&str]) -> Option<Serial> {
        self.text(names).parse().ok()
    }
}

/// Text as far as it is kept.
pub(crate) fn cut(text: &str) -> &str {
    let end = text.char_indices().map(|(place, letter)| place + letter.len_utf8());
    let end = end.take_while(|end| *end <= LONGEST).last().unwrap_or_default();
    &text[..end]
}

fn digits(text: &str) -> String {
    let digits = text.chars().filter(char::is_ascii_hexdigit);
    digits.map(|digit| digit.to_ascii_lowercase()).collect()
}

/// A reason by its number, in decimal or hexadecimal. What is no reason of RFC 5280 is none: -1 ends a hold.
fn reason(text: &str) -> Reason {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok().map(u32::cast_signed),
        None => text.parse().ok().or_else(|| text.parse().ok().map(u32::cast_signed)),
    };
    match number {
        Some(-1) => Reason::REMOVE_FROM_CRL,
        Some(code @ (0..=6 | 8..=10)) => Reason::from_code(code),
        _ => text.parse().unwrap_or(Reason::UNSPECIFIED),
    }
}

/// The moment in `SystemTime`: RFC 3339, with a blank or a zone in words as some programs write it.
pub(crate) fn moment(text: &str) -> Option<FileTime> {
    let text = text.trim();
    let text = match text.strip_suffix(" UTC") {
        Some(plain) => format!("{plain}Z"),
        None => text.to_owned(),
    };
    FileTime::from_rfc3339(&text.replacen(' ', "T", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(id: u32, data: &[(&str, &str)]) -> Fields {
        let data = data.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Fields { id, data, ..Fields::default() }
    }

    #[test]
    fn both_versions_of_the_event_are_read() {
        let new = fields(4887, &[("RequestId", "11"), ("SerialNumber", "65 00"), ("Requester", "A\\b")]);
        let Some(Said::Issued(issued)) = new.said() else { panic!("{new:?}") };
        assert_eq!((issued.request_id, issued.requester.as_str()), (11, "A\\b"));
        assert_eq!(issued.serial.unwrap().as_str(), "6500");
        let old = fields(4887, &[("RequestId", "10"), ("SubjectKeyIdentifier", "1A 91 ")]);
        let Some(Said::Issued(issued)) = old.said() else { panic!("{old:?}") };
        assert_eq!((issued.serial, issued.key_identifier.as_str()), (None, "1a91"));
    }

    #[test]
    fn numbers_that_are_none_say_nothing() {
        for number in ["", "0", "-3", "4294967296", "7x"] {
            assert_eq!(fields(4888, &[("RequestId", number)]).said(), None, "{number}");
        }
        let mut other = fields(4888, &[("RequestId", "7")]);
        assert!(other.said().is_some());
        other.provider = "Other".to_owned();
        assert_eq!(other.said(), None);
        assert_eq!(fields(4624, &[]).said(), None);
    }

    #[test]
    fn reasons_and_moments_have_several_forms() {
        for (text, code) in
            [("1", 1), ("0x1", 1), ("4294967295", 8), ("-1", 8), ("7", 0), ("", 0), ("keyCompromise", 1)]
        {
            assert_eq!(reason(text).code(), code, "{text}");
        }
        for text in ["2025-09-30T11:07:22.1Z", "2025-09-30 11:07:22.123456 UTC", "2025-09-30T13:07:22+02:00"]
        {
            assert_eq!(moment(text).unwrap().to_rfc3339(), "2025-09-30T11:07:22Z", "{text}");
        }
        assert_eq!(moment("yesterday"), None);
        assert_eq!(cut(&"ä".repeat(1000)).len(), LONGEST);
    }
}
