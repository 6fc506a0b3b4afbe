//! The walk of `doctor` along servers that refuse: what is told at which gate, and that it goes on where it can.

use std::sync::Arc;

use certadm_client::doctor::{Gate, Verdict, examine};
use certadm_client::{Error, RemoteCa, Target};
use certadm_rules::{Diagnosis, FileTime, Hresult};
use certadm_session::Source;
use certadm_wire::csra::{Request, Response};
use certadm_wire::rpc::FaultStatus;

use crate::fake::{CA_NAME, Calls, FakeCa, Files, Hook, LAST_FULL, encode};
use crate::server::{Manners, Reply, Server, credentials};

fn server(manners: Manners, hook: Hook) -> Server {
    let files = Files::new(10);
    Server::start(manners, move || FakeCa::hooked(files.clone(), Calls::default(), Arc::clone(&hook)))
}

fn silent() -> Hook {
    Arc::new(|_| None)
}

/// What the CA of the tests keeps shut for everybody: its flags are the default ones.
const FLAGS: [Gate; 1] = [Gate::InterfaceFlags];

/// The gates that are shut, with what is told and advised at the first of them.
fn shut(target: &Target) -> (Vec<Gate>, String, String) {
    let walk = examine(target, Some(credentials()), true, &mut |_| {});
    let shut: Vec<_> = walk.visits.iter().filter(|visit| visit.verdict == Verdict::Shut).collect();
    for visit in &walk.visits {
        let remedy = visit.finding.remedy.as_deref().unwrap_or_default();
        assert!(!remedy.contains("doctor"), "it advises itself: {remedy}");
    }
    let first = shut.first().map(|visit| &visit.finding);
    let (detail, remedy) = first
        .map(|finding| (finding.detail.clone(), finding.remedy.as_deref().unwrap_or_default().to_owned()))
        .unwrap_or_default();
    (shut.iter().map(|visit| visit.gate).collect(), detail, remedy)
}

#[test]
fn a_server_that_answers_nobody_without_an_account_is_examined_to_the_end() {
    for status in
        [FaultStatus::ACCESS_DENIED, FaultStatus::SECURITY_PACKAGE, FaultStatus::OBJECT_ACCESS_DENIED]
    {
        let server = server(Manners { anonymous: Some(status), ..Manners::default() }, silent());
        let walk = examine(&server.target(), Some(credentials()), true, &mut |_| {});
        let verdict =
            |gate| walk.visits.iter().find(|visit| visit.gate == gate).map(|visit| visit.verdict).unwrap();
        assert_eq!(verdict(Gate::Resolver), Verdict::Unknown);
        assert_eq!(verdict(Gate::Authentication), Verdict::Open);
        assert_eq!(verdict(Gate::State), Verdict::Open);
        assert_eq!(shut(&server.target()).0, FLAGS, "as without that");
    }
}

#[test]
fn a_server_of_a_lower_version_that_answers_nobody_without_an_account_is_reached() {
    let version = certadm_wire::dcom::ComVersion { major: 5, minor: 4 };
    let manners = Manners { version, anonymous: Some(FaultStatus::ACCESS_DENIED), ..Manners::default() };
    let server = server(manners, silent());
    assert!(RemoteCa::connect(server.target(), Some(credentials())).unwrap().is_online().unwrap());
}

/// What Windows says of accounts and of DCOM, as the status of a fault at the logon and at the activation, and as the
/// HRESULT of an activation: with the same words, in `doctor` and in a backup.
#[test]
fn every_code_is_explained_at_every_step() {
    for (number, word) in [
        (0x721, "NTLM"),
        (0x52E, "password"),
        (0x532, "change the password"),
        (0x533, "enable the account"),
        (0x773, "change the password"),
        (0x775, "unlock the account"),
        (0x569, "Access this computer from the network"),
        (0x6D3, "NTLM"),
        (0x8000_4027, "dcomcnfg"),
        (0x8001_011B, "Certificate Service DCOM Access"),
    ] {
        let status = FaultStatus(number);
        let at_logon = server(Manners { logon: Some(status), ..Manners::default() }, silent());
        let (gates, detail, remedy) = shut(&at_logon.target());
        assert_eq!(gates, [Gate::Authentication], "{number:#x}");
        assert!(remedy.contains(word), "{number:#x}: {remedy}");
        let at_activation =
            server(Manners { activation_fault: Some(status), ..Manners::default() }, silent());
        let (gates, at, again) = shut(&at_activation.target());
        assert_eq!((gates.as_slice(), &again), (&[Gate::Activation][..], &remedy), "{number:#x}");
        let code = Hresult::from_win32(number);
        assert!(detail.contains(code.text()) && at.contains(code.text()), "{detail}; {at}");
        let backup = RemoteCa::connect(at_activation.target(), Some(credentials())).unwrap_err();
        assert_eq!((backup.hresult(), backup.remedy().as_ref()), (code, remedy.as_str()));
        let as_result = server(Manners { activation: Some(code), ..Manners::default() }, silent());
        assert_eq!(shut(&as_result.target()).2, remedy);
    }
}

#[test]
fn a_denial_is_about_the_password_at_the_logon_and_about_the_group_at_the_activation() {
    let status = Some(FaultStatus::ACCESS_DENIED);
    let logon = server(Manners { logon: status, ..Manners::default() }, silent());
    let (gates, _, remedy) = shut(&logon.target());
    assert_eq!(gates, [Gate::Authentication]);
    assert!(remedy.contains("password"), "{remedy}");
    let fault = server(Manners { activation_fault: status, ..Manners::default() }, silent());
    let result =
        server(Manners { activation: Some(Hresult::E_ACCESSDENIED), ..Manners::default() }, silent());
    for server in [&fault, &result] {
        let (gates, detail, remedy) = shut(&server.target());
        assert_eq!(gates, [Gate::Activation]);
        assert!(remedy.contains("Certificate Service DCOM Access"), "{remedy}");
        assert!(!detail.contains("password"), "it was accepted before: {detail}");
    }
    // A backup does not try the two by themselves.
    let backup = RemoteCa::connect(fault.target(), Some(credentials())).unwrap_err();
    assert!(backup.to_string().contains("password is wrong"), "{backup}");
    assert!(backup.remedy().contains("Certificate Service DCOM Access"), "{}", backup.remedy());
    // And over the wire, with a wrong password.
    let good = server(Manners::default(), silent());
    let wrong = crate::server::with_password("not it");
    let error = RemoteCa::connect(good.target(), Some(wrong)).unwrap_err();
    assert!(error.to_string().contains("password"), "{error}");
}

/// A CA that takes calls by its own name, as a Windows CA may want it, or without any.
#[test]
fn a_wrong_name_of_the_ca_is_told_the_right_one() {
    for needs_name in [false, true] {
        let hook: Hook = Arc::new(move |request| match request {
            Request::GetServerState { authority } | Request::BackupPrepare { authority, .. } => {
                let is_right = authority.as_deref().map_or(!needs_name, |name| name == CA_NAME);
                let refusal = Response::failure(request, Hresult::E_INVALIDARG);
                (!is_right).then(|| Reply::Stub(encode(&refusal)))
            }
            _ => None,
        });
        let server = server(Manners::default(), hook);
        let named =
            |authority: Option<&str>| Target { authority: authority.map(str::to_owned), ..server.target() };
        let (gates, detail, remedy) = shut(&named(Some("Other CA")));
        assert_eq!(gates, [Gate::State], "what follows from it is not told");
        assert!(detail.contains("\"Other CA\"") && detail.contains(CA_NAME), "{detail}");
        assert!(remedy.contains(&format!("host\\{CA_NAME}")), "{remedy}");
        assert_eq!(shut(&named(Some(CA_NAME))).0, FLAGS);
        assert_eq!(shut(&named(None)).0, if needs_name { [Gate::State] } else { FLAGS });
        let mut ca = RemoteCa::connect(named(Some("Other CA")), Some(credentials())).unwrap();
        for refused in [ca.is_online().unwrap_err(), ca.prepare(certadm_rules::BackupType::Full).unwrap_err()]
        {
            assert_eq!(refused.code, Hresult::E_INVALIDARG);
            assert!(certadm_rules::diagnosis::chain_of(&refused).contains(CA_NAME), "{refused:?}");
        }
    }
}

#[test]
fn what_the_ca_says_of_itself_is_brought_along() {
    let good = server(Manners::default(), silent());
    for authority in [None, Some(CA_NAME.to_owned())] {
        let target = Target { authority, ..good.target() };
        let seen = examine(&target, Some(credentials()), false, &mut |_| {}).seen;
        assert_eq!(seen.name.as_deref(), Some(CA_NAME));
        assert_eq!(seen.certificate.as_deref(), Some(&b"certificate"[..]));
        assert_eq!(seen.crl.as_deref(), Some(&b"crl"[..]));
        assert_eq!((seen.last_full, seen.last_logs), (Some(FileTime(LAST_FULL)), None));
    }
    // An older CA says none of it.
    let older = server(Manners { second_interface: false, ..Manners::default() }, silent());
    let seen = examine(&older.target(), Some(credentials()), false, &mut |_| {}).seen;
    assert_eq!(seen, certadm_client::doctor::Seen::default());
}

#[test]
fn what_is_no_rpc_server_still_shuts_the_resolver() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let web = std::thread::spawn(move || {
        for stream in listener.incoming().take(2) {
            let mut stream = stream.unwrap();
            std::io::Read::read(&mut stream, &mut [0; 64]).ok();
            std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").ok();
        }
    });
    let other = server(Manners::default(), silent());
    let endpoint = certadm_client::Endpoint::Tcp { host: "127.0.0.1".to_owned(), port };
    let target = Target { endpoint, ..other.target() };
    assert_eq!(shut(&target).0, [Gate::Resolver]);
    assert!(matches!(RemoteCa::connect(other.target(), None), Err(Error::NoAccount { .. })));
    web.join().unwrap();
}
