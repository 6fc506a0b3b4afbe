//! The names that a CA may certify, where its own certificate says so (RFC 5280 4.2.1.10). Whoever checks a certificate with another name
//! refuses it, so it is not issued.

use std::mem::discriminant;

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::ext::pkix::NameConstraints;
use x509_cert::ext::pkix::constraints::name::GeneralSubtrees;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::alternative_names::shown;
use crate::denial::DenialReason;
use crate::name::text_of;
use crate::same_name::begins_with;

/// emailAddress (PKCS #9).
const EMAIL_ADDRESS: &str = "1.2.840.113549.1.9.1";

/// Checks a subject and its alternative names.
///
/// # Errors
/// [`DenialReason::NameNotAllowed`] for the first name that is excluded, or of a kind of which only others are permitted.
pub(crate) fn check(
    constraints: &NameConstraints,
    subject: &Name,
    names: &[GeneralName],
) -> Result<(), DenialReason> {
    let whole = (!subject.is_empty()).then(|| GeneralName::DirectoryName(subject.clone()));
    let attributes = subject.iter_rdn().flat_map(|rdn| rdn.iter().collect::<Vec<_>>());
    let mail = attributes.filter_map(mail_in);
    for (name, says) in whole.iter().chain(names).map(|name| (name, shown(name))) {
        check_one(constraints, &Given::of(name), &says)?;
    }
    for address in mail {
        check_one(constraints, &Given::Mail(&address), &format!("email:{address}"))?;
    }
    Ok(())
}

/// The mail address that an attribute of a subject holds.
fn mail_in(attribute: &AttributeTypeAndValue) -> Option<String> {
    if attribute.oid.to_string() == EMAIL_ADDRESS { text_of(&attribute.value) } else { None }
}

fn check_one(constraints: &NameConstraints, given: &Given<'_>, says: &str) -> Result<(), DenialReason> {
    let (permitted, excluded) =
        (bases(&constraints.permitted_subtrees, given), bases(&constraints.excluded_subtrees, given));
    let is_excluded =
        excluded.iter().any(|base| given.is_within(base).unwrap_or(true) || given.is_wildcard_over(base));
    let is_permitted =
        permitted.is_empty() || permitted.iter().any(|base| given.is_within(base).unwrap_or(false));
    if is_excluded || !is_permitted {
        return Err(DenialReason::NameNotAllowed { name: says.to_owned() });
    }
    Ok(())
}

/// The bases of subtrees of the kind of a name.
fn bases<'b>(subtrees: &'b Option<GeneralSubtrees>, given: &Given<'_>) -> Vec<Given<'b>> {
    let of_kind = |base: &Given<'_>| discriminant(base) == discriminant(given);
    subtrees.iter().flatten().map(|subtree| Given::of(&subtree.base)).filter(of_kind).collect()
}

/// A name or the base of a subtree, by its kind.
#[derive(Debug)]
enum Given<'n> {
    Host(&'n str),
    Mail(&'n str),
    Uri(&'n str),
    Address(&'n [u8]),
    Directory(&'n Name),
    /// Of a kind that has no rules here: where a subtree is of such a kind, no such name is allowed.
    Other,
}

impl<'n> Given<'n> {
    fn of(name: &'n GeneralName) -> Self {
        match name {
            GeneralName::DnsName(text) => Self::Host(text.as_str()),
            GeneralName::Rfc822Name(text) => Self::Mail(text.as_str()),
            GeneralName::UniformResourceIdentifier(text) => Self::Uri(text.as_str()),
            GeneralName::IpAddress(octets) => Self::Address(octets.as_bytes()),
            GeneralName::DirectoryName(name) => Self::Directory(name),
            _ => Self::Other,
        }
    }

    /// Whether it lies within the subtree of a base of its kind; none where that cannot be told.
    fn is_within(&self, base: &Self) -> Option<bool> {
        match (self, base) {
            (Self::Host(host), Self::Host(base)) => Some(is_below(host, base)),
            (Self::Mail(address), Self::Mail(base)) => is_mail_within(address, base),
            (Self::Uri(uri), Self::Uri(base)) => Some(is_within_domain(host_of(uri)?, base)),
            (Self::Address(address), Self::Address(base)) => Some(is_address_within(address, base)),
            (Self::Directory(name), Self::Directory(base)) => Some(begins_with(name, base)),
            _ => None,
        }
    }

    /// Whether it is a wildcard that stands for the base itself, as `*.example.com` does for `host.example.com`. It is not within the
    /// base, and whoever checks a certificate with it takes that for the host's all the same (RFC 6125 6.4.3).
    fn is_wildcard_over(&self, base: &Self) -> bool {
        let (Self::Host(host), Self::Host(base)) = (self, base) else { return false };
        let below = host.strip_prefix("*.");
        let base = base.split_once('.').filter(|(label, _)| !label.is_empty());
        below.zip(base).is_some_and(|(below, (_, domain))| below.eq_ignore_ascii_case(domain))
    }
}

/// Whether a host is `base` or has labels before it. An empty base holds every host; one that begins with a dot only what is below
/// it.
fn is_below(host: &str, base: &str) -> bool {
    let (host, base) = (host.to_ascii_lowercase(), base.to_ascii_lowercase());
    let (base, itself) = base.strip_prefix('.').map_or((&*base, true), |below| (below, false));
    base.is_empty()
        || (itself && host == base)
        || host.strip_suffix(base).is_some_and(|before| before.len() > 1 && before.ends_with('.'))
}

/// Of mail addresses and URIs a base without a dot before it is one host, and an empty one is every host.
fn is_within_domain(host: &str, base: &str) -> bool {
    match base {
        "" => true,
        below if below.starts_with('.') => is_below(host, below),
        one => host.eq_ignore_ascii_case(one),
    }
}

fn is_mail_within(address: &str, base: &str) -> Option<bool> {
    let (local, host) = address.rsplit_once('@')?;
    Some(match base.rsplit_once('@') {
        // `@example.com` is read as the host, as OpenSSL does.
        Some((its, base)) => (its.is_empty() || local == its) && host.eq_ignore_ascii_case(base),
        None => is_within_domain(host, base),
    })
}

/// The host of a URI; none where it has no authority, or an address in the place of a host.
fn host_of(uri: &str) -> Option<&str> {
    let authority = uri.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split(':').next().filter(|host| !host.is_empty() && !host.starts_with('['))?;
    let is_address = host.parse::<std::net::Ipv4Addr>().is_ok();
    (!is_address).then_some(host)
}

/// A base has an address and a mask of the same length.
fn is_address_within(address: &[u8], base: &[u8]) -> bool {
    let (network, mask) = base.split_at(base.len() / 2);
    let masked =
        |octets: &[u8]| octets.iter().zip(mask).map(|(octet, mask)| octet & mask).collect::<Vec<_>>();
    base.len() == 2 * address.len() && masked(address) == masked(network)
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use der::Encode;
    use der::asn1::{Ia5String, OctetString};
    use x509_cert::ext::pkix::constraints::name::GeneralSubtree;

    use super::*;

    fn dns(text: &str) -> GeneralName {
        GeneralName::DnsName(Ia5String::new(text).unwrap())
    }

    fn mail(text: &str) -> GeneralName {
        GeneralName::Rfc822Name(Ia5String::new(text).unwrap())
    }

    fn uri(text: &str) -> GeneralName {
        GeneralName::UniformResourceIdentifier(Ia5String::new(text).unwrap())
    }

    fn ip(octets: &[u8]) -> GeneralName {
        GeneralName::IpAddress(OctetString::new(octets).unwrap())
    }

    fn directory(text: &str) -> GeneralName {
        GeneralName::DirectoryName(Name::from_str(text).unwrap())
    }

    fn constraints(permitted: &[GeneralName], excluded: &[GeneralName]) -> NameConstraints {
        let subtrees = |bases: &[GeneralName]| {
            let subtree =
                |base: &GeneralName| GeneralSubtree { base: base.clone(), minimum: 0, maximum: None };
            (!bases.is_empty()).then(|| bases.iter().map(subtree).collect())
        };
        NameConstraints { permitted_subtrees: subtrees(permitted), excluded_subtrees: subtrees(excluded) }
    }

    fn is_allowed(constraints: &NameConstraints, name: &GeneralName) -> bool {
        check(constraints, &Name::default(), std::slice::from_ref(name)).is_ok()
    }

    /// The examples of RFC 5280 4.2.1.10, and their neighbours.
    #[test]
    fn names_within_and_outside() {
        let only = |base: GeneralName, within: &[GeneralName], outside: &[GeneralName]| {
            for name in within {
                assert!(
                    is_allowed(&constraints(std::slice::from_ref(&base), &[]), name),
                    "{base:?} {name:?}"
                );
                assert!(
                    !is_allowed(&constraints(&[], std::slice::from_ref(&base)), name),
                    "{base:?} {name:?}"
                );
            }
            for name in outside {
                assert!(
                    !is_allowed(&constraints(std::slice::from_ref(&base), &[]), name),
                    "{base:?} {name:?}"
                );
                assert!(
                    is_allowed(&constraints(&[], std::slice::from_ref(&base)), name),
                    "{base:?} {name:?}"
                );
            }
        };
        only(
            dns("host.example.com"),
            &[dns("host.example.com"), dns("www.HOST.example.com"), dns("*.host.example.com")],
            &[dns("host1.example.com"), dns("ahost.example.com"), dns("example.com"), dns("*.other.com")],
        );
        only(dns(".example.com"), &[dns("www.example.com")], &[dns("example.com"), dns("wexample.com")]);
        only(
            mail("root@example.com"),
            &[mail("root@EXAMPLE.com")],
            &[mail("Root@example.com"), mail("x@example.com")],
        );
        only(mail("example.com"), &[mail("x@example.com")], &[mail("x@a.example.com"), mail("x@other.com")]);
        only(mail("@example.com"), &[mail("x@example.com")], &[mail("x@a.example.com")]);
        for (every, name) in
            [(mail(""), mail("x@y.com")), (uri(""), uri("https://y.com/")), (dns(""), dns("y.com"))]
        {
            only(every, &[name], &[]);
        }
        only(mail(".example.com"), &[mail("x@a.example.com")], &[mail("x@example.com")]);
        only(uri("a.example.com"), &[uri("https://u@A.example.com:8/p")], &[uri("https://b.a.example.com/")]);
        only(uri(".example.com"), &[uri("ldap://a.b.example.com")], &[uri("ldap://example.com")]);
        only(
            ip(&[192, 0, 2, 0, 255, 255, 255, 0]),
            &[ip(&[192, 0, 2, 9])],
            &[ip(&[192, 0, 3, 9]), ip(&[0; 16])],
        );
        let unit = directory("CN=x,O=Example,C=DE");
        only(
            directory("O=Example,C=DE"),
            &[unit.clone(), directory("O=EXAMPLE,C=DE")],
            &[directory("CN=x,O=Example")],
        );
        // Of other kinds nothing is said.
        assert!(is_allowed(&constraints(&[dns("example.com")], &[]), &mail("x@other.com")));
        assert!(is_allowed(&constraints(&[dns("example.com")], &[]), &unit));
        // What cannot be told is not allowed.
        for base in [constraints(&[uri("a.example")], &[]), constraints(&[], &[uri("a.example")])] {
            assert!(!is_allowed(&base, &uri("urn:x:y")) && !is_allowed(&base, &uri("https://192.0.2.1/")));
        }
    }

    /// A wildcard is outside of a host that it stands for, so it is not permitted by that; and it is excluded with it.
    #[test]
    fn a_wildcard_covers_what_is_one_label_below_it() {
        let wildcard = dns("*.Example.com");
        let excluded = |base: &str| !is_allowed(&constraints(&[], &[dns(base)]), &wildcard);
        assert!(excluded("host.example.com") && excluded("HOST.EXAMPLE.COM"));
        assert!(excluded("example.com") && excluded(".example.com"));
        // What it does not stand for.
        assert!(!excluded("a.host.example.com") && !excluded(".host.example.com"));
        assert!(!excluded("host.other.com") && !excluded("host"));
        assert!(!is_allowed(&constraints(&[dns("host.example.com")], &[]), &wildcard));
        assert!(is_allowed(&constraints(&[dns("example.com")], &[dns("host.other.com")]), &wildcard));
    }

    #[test]
    fn the_subject_counts_and_its_mail_address_too() {
        let subject = |text: &str| Name::from_str(text).unwrap();
        let only = constraints(&[directory("O=Example"), mail("example.com")], &[]);
        assert!(check(&only, &subject("CN=a,O=Example"), &[]).is_ok());
        assert!(check(&only, &subject("CN=a,O=Other"), &[]).is_err());
        let mailed =
            |address: &str| subject(&format!("1.2.840.113549.1.9.1=#{},O=Example", hex_ia5(address)));
        assert!(check(&only, &mailed("a@example.com"), &[]).is_ok());
        assert!(check(&only, &mailed("a@other.com"), &[]).is_err());
    }

    fn hex_ia5(text: &str) -> String {
        certadm_rules::hex::encode(&Ia5String::new(text).unwrap().to_der().unwrap())
    }
}
