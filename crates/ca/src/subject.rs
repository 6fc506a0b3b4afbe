//! Whether a profile grants the subject of a request.

use const_oid::ObjectIdentifier;
use x509_cert::name::Name;

use crate::alternative_names::AlternativeNames;
use crate::attribute::SubjectAttribute;
use crate::denial::DenialReason;
use crate::host_name::{HostName, MailAddress};
use crate::profile::{CommonName, Profile};

/// Whether the profile grants this subject beside these names.
///
/// # Errors
/// The reason to deny the request.
pub(crate) fn judge(subject: &Name, profile: &Profile, names: &AlternativeNames) -> Result<(), DenialReason> {
    let mut seen: Vec<ObjectIdentifier> = Vec::new();
    for part in subject.iter_rdn() {
        if part.len() != 1 {
            return Err(DenialReason::MultiValued { count: part.len() });
        }
        for attribute in part.iter() {
            let kind = SubjectAttribute(attribute.oid);
            let bad = |reason: String| DenialReason::BadAttribute { attribute: kind.to_string(), reason };
            if !profile.subject_attributes.contains(&kind) {
                return Err(DenialReason::AttributeKind { attribute: kind.to_string() });
            }
            seen.push(attribute.oid);
            if kind.most() < seen.iter().filter(|oid| **oid == attribute.oid).count() {
                return Err(bad(match kind.most() {
                    1 => "it stands in it twice".into(),
                    most => format!("it stands in it more than {most} times"),
                }));
            }
            let text = kind.text(&attribute.value).map_err(bad)?;
            judge_meaning(kind, &text, profile, names)?;
        }
    }
    Ok(())
}

/// Common name and mail address say something that others rely on: it has to stand among the names that they check.
fn judge_meaning(
    kind: SubjectAttribute,
    text: &str,
    profile: &Profile,
    names: &AlternativeNames,
) -> Result<(), DenialReason> {
    let bad =
        |reason: &str| DenialReason::BadAttribute { attribute: kind.to_string(), reason: reason.into() };
    if kind == SubjectAttribute::COMMON_NAME && profile.common_name == CommonName::Host {
        let host =
            HostName::parse(text).map_err(|reason| DenialReason::NotAHost { name: text.into(), reason })?;
        if !names.hosts.contains(&host) {
            return Err(bad(
                "it does not stand among the subject alternative names, as a common name of this profile must",
            ));
        }
    }
    if kind == SubjectAttribute::EMAIL_ADDRESS {
        let address = MailAddress::parse(text).map_err(bad)?;
        if !names.mail.contains(&address) {
            return Err(bad(
                "it does not stand among the subject alternative names (email), as RFC 5280 4.1.2.6 wants",
            ));
        }
    }
    Ok(())
}
