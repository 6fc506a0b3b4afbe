//! What is issued, as `openssl` sees it.

use certadm_ca::{CertificateChoice, Config, Error, KeyType, Request, Terms, export_certificate};
use certadm_rules::FileTime;

use crate::support::{
    P256, P384, RSA2048, TestCa, der_of, openssl, request, request_from_config, run_openssl, server_request,
    text,
};

const TERMS: Terms<'static> = Terms { profile: None, days: None, requester: "tests", allow_ca: false };

fn profile(name: &'static str) -> Terms<'static> {
    Terms { profile: Some(name), ..TERMS }
}

#[test]
fn requests_of_every_kind_of_key_under_every_kind_of_ca() {
    for kind in [KeyType::P256, KeyType::P384, KeyType::Rsa3072] {
        let mut ca = TestCa::with(Config::new("Test CA".parse().unwrap(), kind));
        for key in [P256, P384, RSA2048] {
            for digest in ["-sha256", "-sha384", "-sha512"] {
                let pem = request(
                    key,
                    "/CN=www.example.com/O=Example",
                    &["-addext", "subjectAltName=DNS:www.example.com", digest],
                );
                let issued = ca.issue(&pem, &TERMS).unwrap();
                ca.verify(&issued, &["-purpose", "sslserver", "-verify_hostname", "www.example.com"]);
            }
        }
    }
}

#[test]
fn the_root_is_a_root() {
    let mut config = Config::new("Käse, \"CA\"".parse().unwrap(), KeyType::P256);
    config.subject_suffix = Some("O=Example,C=DE".into());
    let ca = TestCa::with(config);
    let path = ca.folder.certificate_path();
    let shown = openssl(&["x509", "-noout", "-text", "-nameopt", "utf8,sep_comma_plus", "-in", text(&path)]);
    for part in [
        "Version: 3",
        "CA:TRUE",
        "X509v3 Basic Constraints: critical",
        "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
        "X509v3 Subject Key Identifier",
        "Subject: C=DE,O=Example,CN=K",
        "ecdsa-with-SHA256",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    openssl(&["verify", "-x509_strict", "-CAfile", text(&path), text(&path)]);
}

#[test]
fn der_pem_and_files_with_text_around_are_read() {
    let mut ca = TestCa::new();
    let pem = server_request("a.example");
    let der = der_of(&pem);
    let with_text = openssl_text(&pem);
    let old_label = String::from_utf8(pem.clone())
        .unwrap()
        .replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
        .replace('\n', "\r\n");
    for form in [&pem[..], &der, with_text.as_bytes(), old_label.as_bytes()] {
        let request = Request::parse(form).unwrap();
        assert_eq!(request.der(), der);
        assert_eq!(request.subject(), "CN=a.example");
        ca.issue(form, &TERMS).unwrap();
    }
    let twice = [&pem[..], &pem].concat();
    assert!(matches!(ca.issue(&twice, &TERMS), Err(Error::BadRequest { .. })));
    for garbage in [&b""[..], b"hello", b"\x30\x80", &der[..der.len() - 1], &vec![0x30; 300_000]] {
        assert!(matches!(ca.issue(garbage, &TERMS), Err(Error::BadRequest { .. })));
    }
}

fn openssl_text(pem: &[u8]) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("req.pem");
    std::fs::write(&path, pem).unwrap();
    openssl(&["req", "-text", "-in", text(&path)])
}

#[test]
fn each_profile_has_its_extensions() {
    let mut config = Config::new("Test CA".parse().unwrap(), KeyType::P256);
    config.publish.crl_urls = vec!["http://pki.example/ca.crl".into()];
    config.publish.issuer_urls = vec!["http://pki.example/ca.crt".into()];
    config.publish.ocsp_urls = vec!["http://ocsp.example".into()];
    let mut ca = TestCa::with(config);
    let own = ca.folder.certificate_path();
    let own = openssl(&["x509", "-noout", "-ext", "subjectKeyIdentifier", "-in", text(&own)]);
    let own_identifier = own.lines().last().unwrap().trim().to_string();

    // profile, key, extension asked for, what the text shows, purposes it is good for
    type Case = (
        &'static str,
        &'static [&'static str],
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );
    let cases: [Case; 6] = [
        (
            "server",
            RSA2048,
            "subjectAltName=DNS:www.example.com,IP:192.0.2.1,IP:2001:db8::1",
            &[
                "Digital Signature, Key Encipherment\n",
                "TLS Web Server Authentication\n",
                "DNS:www.example.com, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1\n",
            ],
            &["sslserver"],
        ),
        (
            "server",
            P256,
            "subjectAltName=DNS:*.example.com",
            &["X509v3 Key Usage: critical\n                Digital Signature\n", "DNS:*.example.com"],
            &["sslserver"],
        ),
        (
            "client",
            P256,
            "subjectAltName=email:me@example.com,otherName:1.3.6.1.4.1.311.20.2.3;UTF8:me@corp.example",
            &["TLS Web Client Authentication\n", "email:me@example.com", "othername: UPN"],
            &["sslclient"],
        ),
        (
            "email",
            RSA2048,
            "subjectAltName=email:me@example.com",
            &["Digital Signature, Key Encipherment\n", "E-mail Protection\n"],
            &["smimesign", "smimeencrypt"],
        ),
        (
            "email",
            P384,
            "subjectAltName=email:me@example.com",
            &["Digital Signature, Key Agreement\n", "E-mail Protection\n"],
            &["smimesign"],
        ),
        (
            "code-signing",
            P256,
            "keyUsage=keyEncipherment",
            &["X509v3 Key Usage: critical\n                Digital Signature\n", "Code Signing\n"],
            &[],
        ),
    ];
    for (name, key, extension, parts, purposes) in cases {
        let subject = if name == "server" { "/O=Example" } else { "/CN=someone" };
        let pem = request(key, subject, &["-addext", extension]);
        let issued = ca.issue(&pem, &profile(name)).unwrap();
        let shown = ca.text(&issued);
        for part in parts.iter().chain(&[
            "X509v3 Subject Key Identifier",
            "X509v3 Authority Key Identifier",
            own_identifier.as_str(),
            "URI:http://pki.example/ca.crl",
            "CA Issuers - URI:http://pki.example/ca.crt",
            "OCSP - URI:http://ocsp.example",
            "Issuer: CN = Test CA",
        ]) {
            assert!(shown.contains(part), "{name}: no {part:?} in {shown}");
        }
        assert!(!shown.contains("CA:TRUE"), "{shown}");
        for purpose in purposes {
            ca.verify(&issued, &["-purpose", purpose]);
        }
    }
}

#[test]
fn an_empty_subject_makes_the_names_critical() {
    let mut ca = TestCa::new();
    let pem = request(P256, "/", &["-addext", "subjectAltName=DNS:www.example.com"]);
    let issued = ca.issue(&pem, &TERMS).unwrap();
    let shown = ca.text(&issued);
    assert!(shown.contains("X509v3 Subject Alternative Name: critical"), "{shown}");
    ca.verify(&issued, &[]);
}

#[test]
fn usages_that_a_request_asks_for_are_not_believed() {
    let mut ca = TestCa::new();
    let pem = request(
        P256,
        "/CN=a.example",
        &[
            "-addext",
            "subjectAltName=DNS:a.example",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-addext",
            "extendedKeyUsage=codeSigning,1.3.6.1.4.1.311.10.3.4",
            "-addext",
            "basicConstraints=CA:FALSE",
            "-addext",
            "certificatePolicies=1.2.3.4",
            "-addext",
            "nsComment=hello",
        ],
    );
    let shown = {
        let issued = ca.issue(&pem, &TERMS).unwrap();
        ca.text(&issued)
    };
    assert!(shown.contains("TLS Web Server Authentication\n"), "{shown}");
    for absent in ["Certificate Sign", "Code Signing", "311.10.3.4", "1.2.3.4", "hello"] {
        assert!(!shown.contains(absent), "{absent} in {shown}");
    }
}

#[test]
fn requests_in_the_style_of_windows_are_read() {
    let mut ca = TestCa::new();
    let config = "
oid_section = oids
[oids]
osVersion = 1.3.6.1.4.1.311.13.2.3
clientInfo = 1.3.6.1.4.1.311.21.20
[req]
prompt = no
distinguished_name = dn
attributes = attributes
req_extensions = extensions
[dn]
CN = win.example
[attributes]
osVersion = 10.0.19045.2
clientInfo = something
[extensions]
subjectAltName = DNS:win.example
1.3.6.1.4.1.311.20.2 = ASN1:BMPSTRING:WebServer
1.3.6.1.4.1.311.21.7 = ASN1:SEQUENCE:template
1.3.6.1.4.1.311.21.10 = ASN1:SEQUENCE:policies
[template]
oid = OID:1.3.6.1.4.1.311.21.8.1.2.3
major = INTEGER:100
minor = INTEGER:3
[policies]
first = SEQUENCE:policy
[policy]
oid = OID:1.3.6.1.5.5.7.3.1
";
    for key in [P256, P384, RSA2048] {
        let pem = request_from_config(key, config);
        let issued = ca.issue(&pem, &TERMS).unwrap();
        ca.verify(&issued, &["-purpose", "sslserver"]);
        let attributes: Vec<(String, String)> = ca
            .writer
            .connection()
            .prepare("SELECT AttributeName, AttributeValue FROM RequestAttributes WHERE RequestID = ?1")
            .unwrap()
            .query_map([issued.request_id], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            attributes,
            [
                ("CertificateTemplate".into(), "server".into()),
                ("RequestOSVersion".into(), "10.0.19045.2".into()),
            ]
        );
        let disabled: i64 = ca
            .writer
            .connection()
            .query_row(
                "SELECT count(*) FROM CertificateExtensions WHERE RequestID = ?1 \
                 AND ExtensionFlags = 0x10002 AND ExtensionName LIKE '1.3.6.1.4.1.311.%'",
                [issued.request_id],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(disabled, 3);
    }
}

#[test]
fn a_request_as_windows_encodes_it_is_read() {
    use der::asn1::{Any, BitString, BmpString, Ia5String, ObjectIdentifier, SetOfVec};
    use der::{Decode, Encode, Sequence};
    use x509_cert::attr::Attribute;
    use x509_cert::request::{CertReq, CertReqInfo};

    #[derive(Sequence)]
    struct Provider {
        key_spec: i32,
        name: BmpString,
        signature: BitString,
    }
    let attribute = |oid: &str, value: Any| Attribute {
        oid: ObjectIdentifier::new(oid).unwrap(),
        values: SetOfVec::try_from(vec![value]).unwrap(),
    };
    let provider = Provider {
        key_spec: 1,
        name: BmpString::from_utf8("Microsoft Software Key Storage Provider").unwrap(),
        signature: BitString::from_bytes(&[]).unwrap(),
    };
    let version = Ia5String::new("6.1.7601.2").unwrap();
    let model = CertReq::from_der(&der_of(&server_request("win.example"))).unwrap();
    let mut extensions = model.info.attributes.iter().next().unwrap().clone();
    // the attribute that older tools use for extensions
    extensions.oid = ObjectIdentifier::new("1.3.6.1.4.1.311.2.1.14").unwrap();
    let attributes = [
        extensions,
        attribute("1.3.6.1.4.1.311.13.2.2", Any::encode_from(&provider).unwrap()),
        attribute("1.3.6.1.4.1.311.13.2.3", Any::encode_from(&version).unwrap()),
    ];
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let mut info = CertReqInfo {
        public_key: spki::SubjectPublicKeyInfoOwned::from_key(key.verifying_key()).unwrap(),
        ..model.info
    };
    info.attributes = SetOfVec::try_from(attributes.to_vec()).unwrap();
    let signature: p256::ecdsa::DerSignature = signature::Signer::sign(&key, &info.to_der().unwrap());
    let request = CertReq {
        info,
        algorithm: model.algorithm,
        signature: BitString::from_bytes(signature.as_bytes()).unwrap(),
    };

    let mut ca = TestCa::new();
    let issued = ca.issue(&request.to_der().unwrap(), &TERMS).unwrap();
    assert!(ca.text(&issued).contains("DNS:win.example"));
    let values: Vec<String> = ca
        .writer
        .connection()
        .prepare("SELECT AttributeValue FROM RequestAttributes WHERE RequestID = ?1")
        .unwrap()
        .query_map([issued.request_id], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(values, ["server", "Microsoft Software Key Storage Provider", "6.1.7601.2"]);
}

#[test]
fn validity_follows_the_profile_and_the_ca() {
    let mut config = Config::new("Test CA".parse().unwrap(), KeyType::P256);
    config.validity.ca_days = 500;
    let mut ca = TestCa::with(config);
    let now = certadm_store::now();
    let day = 24 * 3600;
    let pem = server_request("a.example");
    let issued = ca.issue(&pem, &TERMS).unwrap();
    let seconds = issued.not_after.unix_seconds() - now.unix_seconds();
    assert!((397 * day - 5..=397 * day + 60).contains(&seconds), "{seconds}");
    assert!(issued.not_before <= now);

    let short = ca.issue(&pem, &Terms { days: Some(1), ..TERMS }).unwrap();
    ca.verify(&short, &[]);
    let later = (now.unix_seconds() + 2 * day).to_string();
    let path = ca.save(&short);
    let own = ca.folder.certificate_path();
    let expired = run_openssl(&["verify", "-attime", &later, "-CAfile", text(&own), text(&path)]);
    assert!(!expired.status.success());

    let clipped = ca.issue(&pem, &Terms { days: Some(800), ..TERMS }).unwrap();
    assert_eq!(clipped.not_after, ca.authority.validity().1);
    for days in [0, 826, u32::MAX] {
        let error = ca.issue(&pem, &Terms { days: Some(days), ..TERMS }).unwrap_err();
        assert!(matches!(error, Error::ValidityTooLong { .. }), "{error}");
    }

    let request = Request::parse(&pem).unwrap();
    for days in [-1, 501] {
        let then = FileTime::from_unix_seconds(now.unix_seconds() + days * day);
        let error = ca.authority.prepare_issue(&request, &TERMS, then).unwrap_err();
        assert!(matches!(error, Error::CaNotValid { .. }), "{error}");
    }
}

#[test]
fn profiles_must_exist_and_cas_must_be_wanted() {
    let mut ca = TestCa::new();
    let pem = server_request("a.example");
    let error = ca.issue(&pem, &profile("nonsense")).unwrap_err();
    assert!(error.to_string().contains("client, code-signing, email, server, subca"), "{error}");
    let error = ca.issue(&pem, &profile("subca")).unwrap_err();
    assert!(matches!(error, Error::CaProfileNotAllowed { .. }));
}

#[test]
fn certificates_can_be_taken_out_again() {
    let mut ca = TestCa::new();
    let issued = ca.issue(&server_request("a.example"), &TERMS).unwrap();
    let connection = ca.writer.connection();
    for choice in
        [CertificateChoice::Serial(issued.serial.clone()), CertificateChoice::RequestId(issued.request_id)]
    {
        let exported = export_certificate(connection, &choice).unwrap();
        assert_eq!(exported.der, issued.der);
        assert_eq!(exported.to_pem(), issued.to_pem());
    }
    let own = CertificateChoice::Serial(ca.authority.serial().clone());
    let own = export_certificate(connection, &own).unwrap();
    assert_eq!(own.der, ca.authority.certificate_der());
    let none = CertificateChoice::Serial("1234".parse().unwrap());
    assert!(matches!(export_certificate(connection, &none), Err(Error::UnknownSerial { .. })));
    let none = CertificateChoice::RequestId(77);
    assert!(matches!(export_certificate(connection, &none), Err(Error::UnknownRequest { .. })));
}
