//! What the results of commands say of a logon that succeeded: by what it was, and what is to be done about it.

use std::net::TcpListener;

use serde_json::Value;

use crate::remote::{Serving, configured, world};
use crate::support::Work;

/// The findings of these kinds, as kind and severity.
fn found(json: &Value, kinds: &[&str]) -> Vec<(String, String)> {
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = json["result"]["findings"].as_array().unwrap();
    let all = findings.iter().map(|finding| (text(finding, "kind"), text(finding, "severity")));
    all.filter(|(kind, _)| kinds.contains(&kind.as_str())).collect()
}

fn mode(work: &Work, name: &str, mode: u32) {
    std::fs::set_permissions(work.path(name), std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn a_backup_names_its_mechanism_and_says_why_it_is_ntlm() {
    let work = world();
    let serving = Serving::start(&work, "--allow-remote-backup");
    let port = serving.address.rsplit_once(':').unwrap().1;
    // A KDC that was named, and is not there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let named = format!("--server localhost:{port} --realm TOY.TEST --kdc {closed}");
    let login = "--user backup --password-file {pw} --keep-logs";
    let backup =
        |place: &str, to: &str| configured(&work, &format!("--json backup {place} {login} --to {to}"));
    let run = backup(&named, "{one}");
    let json = run.json();
    assert_eq!((run.code, &json["result"]["mechanism"]), (1, &"NTLM".into()), "{json}");
    assert_eq!(found(&json, &["ntlm-taken"]), [("ntlm-taken".into(), "warning".into())], "{json}");
    let run = configured(&work, &format!("backup {named} {login} --to {{two}}"));
    assert_eq!(run.code, 1, "{run:?}");
    for text in ["Logged on by NTLM.", "warning: the logon was by NTLM", "no KDC of TOY.TEST answers"] {
        assert!(run.stdout.contains(text), "{text}: {run:?}");
    }
    // Where it is asked for, and where nothing says that there is Kerberos.
    let by_address = format!("--server {}", serving.address);
    for (place, to) in [(format!("{named} --mechanism ntlm"), "{three}"), (by_address, "{four}")] {
        let run = backup(&place, to);
        let json = run.json();
        assert_eq!((run.code, &json["result"]["mechanism"]), (0, &"NTLM".into()), "{json}");
        assert_eq!(found(&json, &["ntlm-taken"]), [], "{json}");
    }
    let run = configured(&work, "--json backup --socket {socket} --keep-logs --to {five}");
    assert_eq!((run.code, &run.json()["result"]["mechanism"]), (0, &Value::Null), "{run:?}");
}

#[test]
fn a_file_with_a_secret_that_others_can_read_is_told() {
    let (work, kdc) = crate::kerberos::realm();
    let serving = Serving::start(&work, "--allow-remote-backup");
    let port = serving.address.rsplit_once(':').unwrap().1;
    let place = format!("--server localhost:{port} --realm TOY.TEST --kdc {}", kdc.address());
    std::fs::write(work.path("alice.pw"), "Al1ce-Pa55").unwrap();
    let options = ["--keytab {alice.keytab}", "--user alice --password-file {alice.pw}"];
    let files = ["alice.keytab", "alice.pw"];
    for (number, (option, file)) in options.iter().zip(files).enumerate() {
        for (is_exposed, bits) in [(true, 0o644), (false, 0o600)] {
            mode(&work, file, bits);
            let to = format!("{{set{number}{is_exposed}}}");
            for line in [format!("backup --keep-logs --to {to}"), "doctor --no-prepare".to_owned()] {
                let run = configured(&work, &format!("--json {line} {place} {option}"));
                let json = run.json();
                assert_eq!(run.code, 0, "{line} {option}: {json}");
                let note = ("secret-exposed".to_owned(), "note".to_owned());
                let expected = if is_exposed { vec![note] } else { Vec::new() };
                assert_eq!(found(&json, &["secret-exposed"]), expected, "{line} {option}: {json}");
                assert_eq!(run.stderr.contains("others can read"), is_exposed, "{run:?}");
                // Whatever the command, and although there is no finding of it.
                assert!(json["result"]["mechanism"].as_str().is_none_or(|mechanism| mechanism == "Kerberos"));
            }
        }
    }
}
