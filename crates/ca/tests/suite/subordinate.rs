//! A CA below another one.

use certadm_ca::{
    Authority, CaKey, Config, DenialReason, Error, Initialized, Issued, KeyType, Request, Role, Terms,
    certificate_in, identity,
};
use certadm_rules::FileTime;
use certadm_rules::finding::Kind;
use certadm_store::{Folder, Writer};

use crate::support::{TestCa, openssl, passphrase, run_openssl, server_request, text};

const SUBCA: Terms<'static> =
    Terms { profile: Some("subca"), days: None, requester: "tests", allow_ca: true };

/// A folder with a CA that waits for its parent, and its request.
fn waiting(root: &TestCa, name: &str, kind: KeyType) -> (Folder, Vec<u8>) {
    let folder = Folder::new(root.scratch.path().join(name));
    let config = Config::new(name.parse().unwrap(), kind);
    let made = Authority::init(&folder, &config, Role::Subordinate, &passphrase(), certadm_store::now());
    let Initialized::Subordinate { request } = made.unwrap() else {
        panic!("a subordinate CA has to wait");
    };
    openssl(&["req", "-verify", "-noout", "-in", text(&request)]);
    let pem = std::fs::read(request).unwrap();
    (folder, pem)
}

#[test]
fn a_chain_of_two_verifies() {
    for kind in [KeyType::P256, KeyType::Rsa3072] {
        let mut root = TestCa::new();
        let (folder, pem) = waiting(&root, "Issuing CA", kind);
        let early = Authority::open(&folder, &passphrase()).err().unwrap();
        assert!(matches!(early, Error::NotYetCertified { .. }), "{early}");

        let answer = root.issue(&pem, &SUBCA).unwrap();
        let shown = root.text(&answer);
        for part in [
            "X509v3 Basic Constraints: critical\n                CA:TRUE, pathlen:0",
            "X509v3 Key Usage: critical\n                Certificate Sign, CRL Sign",
        ] {
            assert!(shown.contains(part), "no {part:?} in {shown}");
        }
        // PEM with the chain behind it, as a parent would hand it out
        let chain = format!("{}{}", answer.to_pem(), root.authority.certificate_pem());
        let now = certadm_store::now();
        Authority::import_certificate(&folder, chain.as_bytes(), &passphrase(), now).unwrap();
        let again = Authority::import_certificate(&folder, chain.as_bytes(), &passphrase(), now);
        assert!(matches!(again.err().unwrap(), Error::AlreadyCertified { .. }));
        let written = std::fs::read_to_string(folder.certificate_path()).unwrap();
        assert_eq!(written, chain);

        let authority = Authority::open(&folder, &passphrase()).unwrap();
        let mut writer = Writer::open(&folder).unwrap();
        let request = Request::parse(&server_request("www.example.com")).unwrap();
        let issued =
            authority.issue(&mut writer, &request, &Terms::new("tests"), certadm_store::now()).unwrap();
        let path = root.save(&issued);
        let own = root.folder.certificate_path();
        let sub = folder.certificate_path();
        openssl(&[
            "verify",
            "-x509_strict",
            "-CAfile",
            text(&own),
            "-untrusted",
            text(&sub),
            "-purpose",
            "sslserver",
            text(&path),
        ]);
        let crl = authority.crl_path();
        let checked =
            run_openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-CAfile", text(&sub), "-noout"]);
        assert!(String::from_utf8_lossy(&checked.stderr).contains("verify OK"));
        // The CRL names the key of the CA that signed it, not that of its parent.
        let identifier = |arguments: &[&str]| {
            let shown = openssl(arguments);
            shown.lines().last().unwrap().trim().replace("keyid:", "")
        };
        let of_ca = identifier(&["x509", "-noout", "-ext", "subjectKeyIdentifier", "-in", text(&sub)]);
        let crl_text = openssl(&["crl", "-inform", "DER", "-in", text(&crl), "-noout", "-text"]);
        assert!(crl_text.contains(&of_ca), "{of_ca} in {crl_text}");

        let rows: Vec<(i64, i64)> = writer
            .connection()
            .prepare("SELECT Disposition, RawRequest IS NOT NULL FROM Requests ORDER BY RequestID")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows, [(15, 1), (20, 1)]);

        // Path length 0: no third level.
        let (_, third) = waiting(&root, "Third CA", KeyType::P256);
        let third = Request::parse(&third).unwrap();
        let refused = authority.issue(&mut writer, &third, &SUBCA, certadm_store::now());
        let Err(Error::Denied(denial)) = refused else {
            panic!("a CA of path length 0 made another CA");
        };
        assert_eq!(denial.reason, DenialReason::PathLength);
    }
}

/// Whoever puts `ca.crt` together by hand may begin with the root, and add a renewed certificate at the end.
#[test]
fn the_own_certificate_is_found_wherever_it_stands_in_the_chain() {
    let mut root = TestCa::new();
    let (folder, pem) = waiting(&root, "Issuing CA", KeyType::P256);
    let now = certadm_store::now();
    let request = Request::parse(&pem).unwrap();
    let certify =
        |root: &mut TestCa, now| root.authority.issue(&mut root.writer, &request, &SUBCA, now).unwrap();
    let first = certify(&mut root, now);
    Authority::import_certificate(&folder, &first.der, &passphrase(), now).unwrap();
    let renewed = certify(&mut root, FileTime::from_unix_seconds(now.unix_seconds() + 3600));
    let of_root = root.authority.certificate_pem();
    let writer = Writer::open(&folder).unwrap();
    let (first, renewed) = ((first.to_pem(), first.der), (renewed.to_pem(), renewed.der));
    for (chain, own) in [
        (format!("{}{of_root}", first.0), &first.1),
        (format!("{of_root}{}", first.0), &first.1),
        (format!("{}{of_root}{}", first.0, renewed.0), &renewed.1),
        (format!("{of_root}{}{}", renewed.0, first.0), &renewed.1),
    ] {
        std::fs::write(folder.certificate_path(), chain).unwrap();
        let found = certificate_in(&folder).unwrap();
        assert!(found.der == *own && !found.self_issued);
        identity::check(writer.connection(), &folder).unwrap();
        Authority::open(&folder, &passphrase()).unwrap();
    }
    // The root's key alone does not make a database of the root's fit here.
    let refused = identity::check(root.writer.connection(), &folder).unwrap_err();
    assert!(matches!(refused, Error::AnotherCa { .. }), "{refused}");
}

/// The certificates of the CA that its database has, in DER, in the order of their rows.
fn recorded(writer: &Writer) -> Vec<Vec<u8>> {
    let sql = "SELECT RawCertificate FROM Requests JOIN Certificates USING (RequestID) \
               WHERE Disposition = 15 ORDER BY RequestID";
    let mut statement = writer.connection().prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// An emergency CRL is made of the database alone: once the first certificate has ended, the CA would count as dead.
#[test]
fn a_certificate_that_was_renewed_with_its_key_enters_the_database() {
    let mut root = TestCa::new();
    let (folder, pem) = waiting(&root, "Issuing CA", KeyType::P256);
    let now = certadm_store::now();
    let at = |hours: i64| FileTime::from_unix_seconds(now.unix_seconds() + hours * 3600);
    let request = Request::parse(&pem).unwrap();
    let mut certify = |hours| root.authority.issue(&mut root.writer, &request, &SUBCA, at(hours)).unwrap();
    let (first, second, third, fourth) = (certify(0), certify(24), certify(48), certify(72));
    let pems = |list: &[&Issued]| list.iter().map(|issued| issued.to_pem()).collect::<String>();
    let written = || std::fs::read_to_string(folder.certificate_path()).unwrap();
    let import = |issued: &Issued, hours| {
        Authority::import_certificate(&folder, issued.to_pem().as_bytes(), &passphrase(), at(hours))
    };
    import(&first, 0).unwrap();
    let mut writer = Writer::open(&folder).unwrap();

    // The command takes it, and puts it beside the one before it.
    let early = import(&second, 0).err().unwrap();
    assert!(matches!(early, Error::CaNotValid { .. }), "nothing could be signed until it begins: {early}");
    assert_eq!(written(), pems(&[&first]));
    import(&second, 24).unwrap();
    assert_eq!(written(), pems(&[&second, &first]));
    assert_eq!(recorded(&writer), [first.der.clone(), second.der.clone()]);
    for known in [&first, &second] {
        assert!(matches!(import(known, 24).err().unwrap(), Error::AlreadyCertified { .. }));
    }

    // Whoever adds it by hand has it recorded by what is signed next, and is told until then.
    let told = || {
        let health = certadm_ca::health::examine(folder.path(), &Default::default()).unwrap();
        let end = health.database.unwrap().content.valid_until;
        (end, health.findings.iter().filter(|finding| finding.kind == Kind::CertificateEnding).count())
    };
    std::fs::write(folder.certificate_path(), pems(&[&second, &first, &third])).unwrap();
    assert_eq!(told(), (Some(third.not_after), 1));
    let authority = Authority::open(&folder, &passphrase()).unwrap();
    let leaf = Request::parse(&server_request("www.example.com")).unwrap();
    authority.issue(&mut writer, &leaf, &Terms::new("tests"), at(48)).unwrap();
    assert_eq!(recorded(&writer).last(), Some(&third.der));
    assert_eq!(told(), (Some(third.not_after), 0));
    std::fs::write(folder.certificate_path(), pems(&[&fourth, &third])).unwrap();
    let authority = Authority::open(&folder, &passphrase()).unwrap();
    for _ in 0..2 {
        authority.publish_crl(&mut writer, at(72)).unwrap();
    }
    let all = [&first, &second, &third, &fourth].map(|issued| issued.der.clone());
    assert_eq!(recorded(&writer), all);
}

/// As `openssl x509 -signkey` does, which keeps the serial number.
#[test]
fn a_root_may_be_renewed_with_key_name_and_number() {
    let root = TestCa::new();
    let pass = root.scratch.path().join("pass");
    std::fs::write(&pass, crate::support::PASSPHRASE).unwrap();
    let (key, passin) = (root.folder.key_path(), format!("file:{}", text(&pass)));
    let serial = format!("0x{}", root.authority.serial());
    let renew = |subject: &str| {
        let line = ["req", "-x509", "-key", text(&key), "-passin", &passin, "-set_serial", &serial];
        let rest = ["-subj", subject, "-days", "9000", "-addext", "keyUsage=critical,keyCertSign,cRLSign"];
        openssl(&[&line[..], &rest].concat()).into_bytes()
    };
    let import = |answer: &[u8]| {
        Authority::import_certificate(&root.folder, answer, &passphrase(), certadm_store::now())
    };
    let refused = import(&renew("/CN=Other CA")).err().unwrap();
    assert!(matches!(refused, Error::OtherName { .. }), "{refused}");
    let renewed = import(&renew("/CN=Test CA")).unwrap();
    assert_eq!(recorded(&root.writer), [renewed.certificate_der()]);
    let end = root.writer.connection().query_row("SELECT NotAfter FROM Certificates", [], |row| row.get(0));
    assert_eq!(FileTime(end.unwrap()), renewed.validity().1);
    let extensions: i64 = root
        .writer
        .connection()
        .query_row("SELECT count(*) FROM CertificateExtensions", [], |row| row.get(0))
        .unwrap();
    assert_eq!(extensions, 4, "those of the certificate before it are gone");
}

#[test]
fn only_the_right_answer_is_imported() {
    let mut root = TestCa::new();
    let (folder, pem) = waiting(&root, "Issuing CA", KeyType::P256);
    let (_, other_pem) = waiting(&root, "Other CA", KeyType::P256);
    let now = certadm_store::now();
    let import =
        |input: &[u8]| Authority::import_certificate(&folder, input, &passphrase(), now).err().unwrap();
    let foreign = root.issue(&other_pem, &SUBCA).unwrap();
    assert!(matches!(import(&foreign.der), Error::KeyMismatch { .. }));
    let own = root.authority.certificate_pem();
    assert!(matches!(import(own.as_bytes()), Error::KeyMismatch { .. }));
    assert!(matches!(import(&pem), Error::WrongKind { .. }), "it is the request");
    for damaged in [&b""[..], b"nonsense", b"-----BEGIN CERTIFICATE-----\n"] {
        let error = import(damaged);
        assert!(matches!(error, Error::CertificateDamaged { .. }), "{error}");
    }

    // The same key, certified by somebody who did not make it a CA.
    let request = root.scratch.path().join("request.pem");
    let leaf = root.scratch.path().join("leaf.pem");
    let signer = root.scratch.path().join("signer");
    let certificate = root.scratch.path().join("signer.crt");
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=signer",
        "-keyout",
        text(&signer),
        "-out",
        text(&certificate),
    ]);
    std::fs::write(&request, &pem).unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        text(&request),
        "-CA",
        text(&certificate),
        "-CAkey",
        text(&signer),
        "-CAcreateserial",
        "-out",
        text(&leaf),
    ]);
    let error = import(&std::fs::read(&leaf).unwrap());
    assert!(matches!(error, Error::NotACaCertificate { .. }), "{error}");
    assert!(!folder.certificate_path().exists());

    // A CA of another make as the parent: openssl itself.
    let extensions = root.scratch.path().join("extensions");
    std::fs::write(
        &extensions,
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )
    .unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        text(&request),
        "-CA",
        text(&certificate),
        "-CAkey",
        text(&signer),
        "-set_serial",
        "1",
        "-extfile",
        text(&extensions),
        "-out",
        text(&leaf),
    ]);
    let answer = std::fs::read(&leaf).unwrap();
    let authority = Authority::import_certificate(&folder, &answer, &passphrase(), now).unwrap();
    assert_eq!(authority.serial().as_str(), "01");
    let reopened = Authority::open(&folder, &passphrase()).unwrap();
    assert_eq!(reopened.certificate_der(), authority.certificate_der());
}

#[test]
fn an_interrupted_import_can_be_repeated() {
    let mut root = TestCa::new();
    let (folder, pem) = waiting(&root, "Issuing CA", KeyType::P256);
    let answer = root.issue(&pem, &SUBCA).unwrap();
    let now = certadm_store::now();
    Authority::import_certificate(&folder, &answer.der, &passphrase(), now).unwrap();
    std::fs::remove_file(folder.certificate_path()).unwrap(); // as if it had been killed before
    Authority::import_certificate(&folder, &answer.der, &passphrase(), now).unwrap();
    let writer = Writer::open(&folder).unwrap();
    let count: i64 =
        writer.connection().query_row("SELECT count(*) FROM Requests", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 1);
}

#[test]
fn a_key_of_another_ca_is_noticed() {
    let root = TestCa::new();
    std::fs::remove_file(root.folder.key_path()).unwrap();
    CaKey::generate(KeyType::P256).unwrap().save(&root.folder.key_path(), &passphrase()).unwrap();
    let error = Authority::open(&root.folder, &passphrase()).err().unwrap();
    assert!(matches!(error, Error::KeyMismatch { .. }), "{error}");
}

/// What a parent restricts its subordinate to is what the subordinate issues: whoever checks anything else refuses it.
#[test]
fn names_outside_of_the_constraints_of_the_ca_are_denied() {
    let root = TestCa::new();
    let (folder, pem) = waiting(&root, "Restricted CA", KeyType::P256);
    let at = |name: &str| root.scratch.path().join(name);
    let (key, own, answer, extensions) = (at("parent.key"), at("parent.crt"), at("answer.crt"), at("ext"));
    let (key, own, answer) = (text(&key), text(&own), text(&answer));
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=Parent",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
        "-keyout",
        key,
        "-out",
        own,
    ]);
    let lines = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n\
                 nameConstraints=critical,permitted;DNS:example.com,excluded;DNS:secret.example.com\n";
    std::fs::write(&extensions, lines).unwrap();
    let request = at("sub.csr");
    std::fs::write(&request, pem).unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        text(&request),
        "-CA",
        own,
        "-CAkey",
        key,
        "-days",
        "20",
        "-set_serial",
        "7",
        "-extfile",
        text(&extensions),
        "-out",
        answer,
    ]);
    let now = certadm_store::now();
    Authority::import_certificate(&folder, &std::fs::read(answer).unwrap(), &passphrase(), now).unwrap();
    let authority = Authority::open(&folder, &passphrase()).unwrap();
    let mut writer = Writer::open(&folder).unwrap();
    for (host, is_allowed) in [
        ("www.example.com", true),
        ("www.other.net", false),
        ("a.secret.example.com", false),
        ("example.com", true),
    ] {
        let request = Request::parse(&server_request(host)).unwrap();
        match authority.issue(&mut writer, &request, &Terms::new("tests"), now) {
            Ok(issued) => {
                assert!(is_allowed, "{host}");
                let path = root.save(&issued);
                let sub = folder.certificate_path();
                openssl(&["verify", "-x509_strict", "-CAfile", own, "-untrusted", text(&sub), text(&path)]);
            }
            Err(Error::Denied(denial)) => {
                let DenialReason::NameNotAllowed { name } = &denial.reason else { panic!("{denial:?}") };
                assert!(!is_allowed && name.contains(host), "{host}: {name}");
            }
            Err(error) => panic!("{host}: {error}"),
        }
    }
}
