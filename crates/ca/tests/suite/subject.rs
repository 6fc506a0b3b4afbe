//! Subjects and alternative names: what each profile grants, and hostile spellings of both.

use certadm_ca::{Config, DenialReason, Error, Issued, Terms};
use der::asn1::{
    Any, BmpString, Ia5String, ObjectIdentifier, OctetString, PrintableString, SetOfVec, TeletexString,
    Utf8StringRef,
};
use der::{Decode, Encode, Tag};
use p256::ecdsa::{DerSignature, SigningKey};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::builder::{Builder, RequestBuilder};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};

use crate::support::TestCa;

const CN: &str = "2.5.4.3";
const O: &str = "2.5.4.10";
const OU: &str = "2.5.4.11";
const C: &str = "2.5.4.6";
const DC: &str = "0.9.2342.19200300.100.1.25";
const UID: &str = "0.9.2342.19200300.100.1.1";
const SERIAL_NUMBER: &str = "2.5.4.5";
const EMAIL: &str = "1.2.840.113549.1.9.1";

type Attribute = (&'static str, Any);

fn utf8(text: &str) -> Any {
    Any::encode_from(&Utf8StringRef::new(text).unwrap()).unwrap()
}

fn printable(text: &str) -> Any {
    Any::encode_from(&PrintableString::new(text).unwrap()).unwrap()
}

fn ia5(text: &str) -> Any {
    Any::encode_from(&Ia5String::new(text).unwrap()).unwrap()
}

fn raw(tag: Tag, content: &[u8]) -> Any {
    Any::new(tag, content).unwrap()
}

fn name(parts: &[Vec<Attribute>]) -> Name {
    let part = |attributes: &Vec<Attribute>| {
        let attributes = attributes.iter().map(|(oid, value)| AttributeTypeAndValue {
            oid: ObjectIdentifier::new(oid).unwrap(),
            value: value.clone(),
        });
        RelativeDistinguishedName::from(SetOfVec::from_iter(attributes).unwrap())
    };
    let sequence = RdnSequence::from(parts.iter().map(part).collect::<Vec<_>>());
    Name::from_der(&sequence.to_der().unwrap()).unwrap()
}

/// One attribute in each part.
fn plain(attributes: &[Attribute]) -> Name {
    name(&attributes.iter().map(|attribute| vec![attribute.clone()]).collect::<Vec<_>>())
}

fn dns(text: &str) -> GeneralName {
    GeneralName::DnsName(Ia5String::new(text).unwrap())
}

fn mail(text: &str) -> GeneralName {
    GeneralName::Rfc822Name(Ia5String::new(text).unwrap())
}

fn ip(octets: &[u8]) -> GeneralName {
    GeneralName::IpAddress(OctetString::new(octets).unwrap())
}

fn request(subject: Name, names: Vec<GeneralName>) -> Vec<u8> {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let mut builder = RequestBuilder::new(subject).unwrap();
    if !names.is_empty() {
        builder.add_extension(&SubjectAltName(names)).unwrap();
    }
    builder.build::<_, DerSignature>(&key).unwrap().to_der().unwrap()
}

fn ask(
    ca: &mut TestCa,
    profile: &str,
    subject: Name,
    names: Vec<GeneralName>,
) -> Result<Issued, DenialReason> {
    let terms = Terms { profile: Some(profile), days: None, requester: "tests", allow_ca: true };
    match ca.issue(&request(subject, names), &terms) {
        Ok(issued) => Ok(issued),
        Err(Error::Denied(denial)) => {
            assert!(denial.request_id.is_some(), "the denial has a row");
            Err(denial.reason)
        }
        Err(other) => panic!("neither issued nor denied: {other}"),
    }
}

fn denial(ca: &mut TestCa, profile: &str, subject: Name, names: Vec<GeneralName>) -> String {
    let shown = subject.to_string();
    match ask(ca, profile, subject, names) {
        Ok(_) => panic!("{shown} was granted under {profile}"),
        Err(reason) => reason.to_string(),
    }
}

#[test]
fn the_common_name_of_a_server_stands_among_its_alternative_names() {
    let mut ca = TestCa::new();
    let host = "www.example.com";
    for common_name in [
        utf8(host),
        printable(host),
        utf8("WWW.Example.COM"),
        Any::encode_from(&BmpString::from_utf8(host).unwrap()).unwrap(),
    ] {
        ask(
            &mut ca,
            "server",
            plain(&[(O, utf8("Example")), (CN, common_name)]),
            vec![dns("a.example"), dns(host)],
        )
        .unwrap();
    }
    ask(&mut ca, "server", plain(&[(CN, utf8("*.example.com"))]), vec![dns("*.Example.com")]).unwrap();
    ask(&mut ca, "server", plain(&[(CN, utf8("xn--kse-qla.example"))]), vec![dns("xn--kse-qla.example")])
        .unwrap();
    // The alternative names decide: the common name may be left out, and is for an address.
    ask(&mut ca, "server", plain(&[(O, utf8("Example"))]), vec![dns(host)]).unwrap();
    ask(&mut ca, "server", plain(&[(O, utf8("Example"))]), vec![ip(&[192, 0, 2, 1])]).unwrap();
    ask(&mut ca, "server", plain(&[]), vec![dns(host)]).unwrap();

    for (common_name, reason) in [
        ("other.example.com", "does not stand among"),
        ("example.com", "does not stand among"),
        ("*.example.com", "does not stand among"),
        ("192.0.2.1", "IP address"),
        ("2001:db8::1", "character"),
        ("www.example.com.", "ends in a dot"),
        ("www..example.com", "empty label"),
        (".www.example.com", "empty label"),
        ("www_1.example.com", "underscore"),
        (" www.example.com", "character"),
        ("www.example.com ", "character"),
        ("www.example.com,evil.example", "character"),
        ("https://www.example.com", "character"),
        ("käse.example", "Punycode"),
        ("xn--a.example", "Punycode"),
        ("ww\u{200b}w.example.com", "cannot be seen"),
        ("www.example.com\u{202e}", "cannot be seen"),
        ("www.example.com\0.evil.example", "control character"),
        ("www.example.com\tevil", "control character"),
        ("John Doe", "not a host name"),
        ("", "empty"),
        (" ", "empty"),
    ] {
        let names = vec![dns(host), ip(&[192, 0, 2, 1])];
        let text = denial(&mut ca, "server", plain(&[(CN, utf8(common_name))]), names);
        assert!(text.contains(reason), "{common_name:?}: {text}");
    }
    let long = format!("{}.example", "a".repeat(60));
    let text = denial(&mut ca, "server", plain(&[(CN, utf8(&long))]), vec![dns(&long)]);
    assert!(text.contains("longer than 64"), "{text}");
    let text = denial(&mut ca, "server", plain(&[(CN, utf8(&"x".repeat(3_000)))]), vec![dns(host)]);
    assert!(text.contains("longer than 64"), "{text}");
}

#[test]
fn servers_need_an_alternative_name() {
    let mut ca = TestCa::new();
    let subject = || plain(&[(CN, utf8("www.example.com"))]);
    assert_eq!(ask(&mut ca, "server", subject(), vec![]).unwrap_err(), DenialReason::NoAlternativeName);
    let person = plain(&[(CN, utf8("John Doe"))]);
    assert_eq!(ask(&mut ca, "email", person, vec![]).unwrap_err(), DenialReason::NoAlternativeName);
    let text = DenialReason::NoAlternativeName.to_string();
    assert!(text.contains("subjectAltName") && text.contains("alternative_name_required"), "{text}");
    // The attack that this is for.
    let subject = plain(&[
        (CN, utf8("*.com")),
        (EMAIL, ia5("ceo@corp.example")),
        (UID, utf8("root")),
        (DC, ia5("corp")),
    ]);
    ask(&mut ca, "server", subject, vec![]).unwrap_err();
}

#[test]
fn alternative_names_in_hostile_spellings() {
    let mut ca = TestCa::new();
    for name in [
        "a.example.",
        "a..example",
        ".a.example",
        "_sip.example",
        "käse.example".trim_start_matches("kä"),
        "a b.example",
    ] {
        let granted = ask(&mut ca, "server", plain(&[]), vec![dns(name)]);
        assert_eq!(granted.is_ok(), name == "se.example", "{name}");
    }
    for name in [
        "a.example\0.evil.example",
        "192.0.2.1",
        "*",
        "*.com",
        "*.*.example.com",
        "a.*.example.com",
        "w*.example.com",
        "xn--a.example",
        "",
        &"a.".repeat(130),
    ] {
        let reason = ask(&mut ca, "server", plain(&[]), vec![dns("www.example.com"), dns(name)]).unwrap_err();
        assert!(matches!(reason, DenialReason::BadName { .. }), "{name:?}: {reason}");
    }
    let wildcard = ask(&mut ca, "client", plain(&[]), vec![dns("*.example.com")]).unwrap_err();
    assert!(matches!(wildcard, DenialReason::Wildcard { .. }), "{wildcard}");
    let many = |count: usize| (0..count).map(|n| dns(&format!("n{n}.example"))).collect();
    ask(&mut ca, "server", plain(&[]), many(256)).unwrap();
    let reason = ask(&mut ca, "server", plain(&[]), many(257)).unwrap_err();
    assert_eq!(reason, DenialReason::TooManyNames { count: 257, most: 256 });
    for octets in [&[][..], &[127, 0, 0], &[0; 8], &[0; 17]] {
        let reason = ask(&mut ca, "server", plain(&[]), vec![ip(octets)]).unwrap_err();
        assert!(matches!(reason, DenialReason::BadName { .. }), "{octets:?}: {reason}");
    }
    let directory = GeneralName::DirectoryName(plain(&[(CN, utf8("Test CA"))]));
    let reason = ask(&mut ca, "client", plain(&[(CN, utf8("x"))]), vec![directory]).unwrap_err();
    assert!(matches!(reason, DenialReason::NameKind { .. }), "{reason}");
}

#[test]
fn each_profile_bounds_the_attributes() {
    let mut ca = TestCa::new();
    let host = || vec![dns("www.example.com")];
    let address = || vec![mail("me@example.com")];
    let person = |more: &[Attribute]| plain(&[&[(CN, utf8("John Doe"))], more].concat());
    for (profile, names, granted, kept_out) in [
        (
            "server",
            host(),
            vec![],
            vec![
                (UID, utf8("root")),
                (DC, ia5("corp")),
                (EMAIL, ia5("me@example.com")),
                (SERIAL_NUMBER, printable("1")),
            ],
        ),
        (
            "client",
            address(),
            vec![
                (UID, utf8("root")),
                (DC, ia5("corp")),
                (EMAIL, ia5("me@example.com")),
                (SERIAL_NUMBER, printable("1")),
            ],
            vec![("2.5.4.12", utf8("Prof."))],
        ),
        ("email", address(), vec![(EMAIL, ia5("me@EXAMPLE.com"))], vec![("2.5.4.9", utf8("1 Main Street"))]),
        (
            "code-signing",
            vec![],
            vec![(O, utf8("Example"))],
            vec![(EMAIL, ia5("me@example.com")), (UID, utf8("root"))],
        ),
        (
            "subca",
            vec![],
            vec![(DC, ia5("corp")), (SERIAL_NUMBER, printable("1"))],
            vec![(EMAIL, ia5("me@example.com")), (UID, utf8("root"))],
        ),
    ] {
        let subject = |more: &[Attribute]| if profile == "server" { plain(more) } else { person(more) };
        ask(&mut ca, profile, subject(&granted), names.clone())
            .unwrap_or_else(|reason| panic!("{profile}: {reason}"));
        for attribute in kept_out.into_iter().chain([("1.3.6.1.4.1.1", utf8("x"))]) {
            let shown = attribute.0;
            let reason = ask(&mut ca, profile, subject(&[attribute]), names.clone()).unwrap_err();
            assert!(matches!(reason, DenialReason::AttributeKind { .. }), "{profile} {shown}: {reason}");
        }
    }
}

#[test]
fn mail_addresses_stand_among_the_alternative_names() {
    let mut ca = TestCa::new();
    for profile in ["client", "email"] {
        let subject = |text: &str| plain(&[(CN, utf8("John Doe")), (EMAIL, ia5(text))]);
        ask(&mut ca, profile, subject("me@example.com"), vec![mail("me@Example.com")]).unwrap();
        for text in ["ceo@example.com", "ME@example.com", "nobody", "me@example.com\0", "a@b@example.com"] {
            denial(&mut ca, profile, subject(text), vec![mail("me@example.com")]);
        }
    }
    denial(&mut ca, "server", plain(&[]), vec![dns("a.example"), mail("me@example.com")]);
    denial(&mut ca, "code-signing", plain(&[(CN, utf8("x"))]), vec![mail("me@example.com")]);
    for text in
        ["nobody", "a@*.example.com", "a@192.0.2.1", "\"a b\"@example.com", "a@example.com.", "a@b@c.example"]
    {
        let reason = ask(&mut ca, "email", plain(&[]), vec![mail(text)]).unwrap_err();
        assert!(matches!(reason, DenialReason::BadName { .. }), "{text}: {reason}");
    }
}

#[test]
fn attributes_have_bounds_of_count_length_and_string() {
    let mut ca = TestCa::new();
    let host = || vec![dns("www.example.com")];
    let common_name = || (CN, utf8("www.example.com"));
    let teletex = Any::encode_from(&TeletexString::new("Example").unwrap()).unwrap();
    let cases: Vec<(Vec<Attribute>, &str)> = vec![
        (vec![common_name(), common_name()], "twice"),
        (vec![(O, utf8("A")), (O, utf8("B"))], "twice"),
        ((0..9).map(|n| (OU, utf8(&format!("unit {n}")))).collect(), "more than 8 times"),
        (vec![(O, utf8(&"x".repeat(65)))], "longer than 64"),
        (vec![(C, printable("DEU"))], "two letters"),
        (vec![(C, printable("D1"))], "two letters"),
        (vec![(C, utf8("DE"))], "PrintableString"),
        (vec![(O, teletex)], "UTF8String"),
        (vec![(O, raw(Tag::Integer, &[1]))], "UTF8String"),
        (vec![(O, raw(Tag::Utf8String, b"\xff\xfe"))], "UTF8String"),
        (vec![(O, raw(Tag::PrintableString, b"a@b"))], "UTF8String"),
        (vec![(O, raw(Tag::BmpString, b"\xd8\x00\x00A"))], "UTF8String"),
        (vec![(O, raw(Tag::Utf8String, b"A\0B"))], "control"),
        (vec![(O, utf8("\u{2066}Example"))], "cannot be seen"),
        (vec![(O, utf8(""))], "empty"),
    ];
    for (attributes, reason) in cases {
        let subject = plain(&attributes);
        let shown = subject.to_string();
        let text = denial(&mut ca, "server", subject, host());
        assert!(text.contains(reason), "{shown}: {text}");
    }
    ask(
        &mut ca,
        "server",
        plain(&(0..8).map(|n| (OU, utf8(&format!("unit {n}")))).collect::<Vec<_>>()),
        host(),
    )
    .unwrap();
    ask(&mut ca, "server", plain(&[(O, utf8(&"ü".repeat(64))), (C, printable("DE"))]), host()).unwrap();

    let several = name(&[vec![common_name(), (O, utf8("Example"))]]);
    assert_eq!(ask(&mut ca, "server", several, host()).unwrap_err(), DenialReason::MultiValued { count: 2 });
    let two_names = name(&[vec![common_name(), (CN, utf8("evil.example"))]]);
    assert_eq!(
        ask(&mut ca, "server", two_names, host()).unwrap_err(),
        DenialReason::MultiValued { count: 2 }
    );
    let empty = Name::from_der(&[0x30, 2, 0x31, 0]);
    if let Ok(empty) = empty {
        assert_eq!(
            ask(&mut ca, "server", empty, host()).unwrap_err(),
            DenialReason::MultiValued { count: 0 }
        );
    }
}

#[test]
fn what_a_folder_of_before_has_goes_on_working() {
    let text = "name = \"Test CA\"\n\
        [profiles.server]\nalternative_name_required = false\ncommon_name = \"any\"\n\
        subject_attributes = [\"CN\", \"O\", \"UID\", \"1.3.6.1.4.1.1\"]\nwildcards = false\n\
        [profiles.device]\nkey_usage = [\"digital_signature\"]\nextended_key_usage = [\"client_auth\"]\ndays = 30\n\
        [profiles.inside]\nkey_usage = [\"digital_signature\"]\nextended_key_usage = [\"server_auth\"]\ndays = 30\n\
        subject_alternative_names = [\"dns\"]\n";
    let mut ca = TestCa::with(Config::parse(text).unwrap());
    // As before the profiles had bounds.
    ask(
        &mut ca,
        "server",
        plain(&[(CN, utf8("John Doe")), (UID, utf8("root")), ("1.3.6.1.4.1.1", utf8("x"))]),
        vec![],
    )
    .unwrap();
    let wildcard = ask(&mut ca, "server", plain(&[]), vec![dns("*.example.com")]).unwrap_err();
    assert!(matches!(wildcard, DenialReason::Wildcard { .. }), "{wildcard}");
    // A profile of one's own: attributes with names, any common name; but hosts where it is for servers.
    let device = plain(&[(CN, utf8("Device 1")), (UID, utf8("1")), ("2.5.4.12", utf8("Lamp"))]);
    ask(&mut ca, "device", device.clone(), vec![]).unwrap();
    assert_eq!(ask(&mut ca, "inside", device.clone(), vec![]).unwrap_err(), DenialReason::NoAlternativeName);
    let reason = ask(&mut ca, "inside", device, vec![dns("a.example")]).unwrap_err();
    assert!(matches!(reason, DenialReason::NotAHost { .. }), "{reason}");
    ask(&mut ca, "inside", plain(&[(CN, utf8("*.example.com"))]), vec![dns("*.example.com")]).unwrap();
    // Without kinds of names, none can be needed; without mail, no mail in the subject.
    for text in [
        "[profiles.server]\nsubject_alternative_names = []\n",
        "[profiles.client]\nsubject_alternative_names = [\"upn\"]\n",
    ] {
        Config::parse(&format!("name = \"x\"\n{text}")).unwrap();
    }
    for (text, reason) in [
        (
            "[profiles.server]\nsubject_alternative_names = []\nalternative_name_required = true\n",
            "subject_alternative_names",
        ),
        ("[profiles.server]\nsubject_attributes = [\"emailAddress\"]\n", "email in"),
        ("[profiles.server]\nsubject_attributes = [\"EMAIL\"]\n", "neither an object identifier"),
        ("[profiles.server]\ncommon_name = \"dns\"\n", "common_name"),
    ] {
        let error = Config::parse(&format!("name = \"x\"\n{text}")).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

/// RFC 3161 2.3: nobody takes a time stamp of another certificate.
#[test]
fn a_certificate_for_time_stamps_says_so_critically() {
    let text = "name = \"Test CA\"\n\
        [profiles.stamps]\nkey_usage = [\"digital_signature\"]\nextended_key_usage = [\"time_stamping\"]\ndays = 30\n\
        [profiles.more]\nkey_usage = [\"digital_signature\"]\n\
        extended_key_usage = [\"time_stamping\", \"client_auth\"]\ndays = 30\n";
    let mut ca = TestCa::with(Config::parse(text).unwrap());
    for (profile, is_critical) in [("stamps", true), ("more", false)] {
        let issued = ask(&mut ca, profile, plain(&[(CN, utf8("Stamps"))]), vec![]).unwrap();
        let shown = ca.text(&issued);
        let says = shown.contains("X509v3 Extended Key Usage: critical\n");
        assert_eq!(says, is_critical, "{profile}: {shown}");
    }
}
