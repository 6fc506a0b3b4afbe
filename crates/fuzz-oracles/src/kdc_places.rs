//! Where KDCs are said to be: krb5.conf, and what DNS answers (kerberos.md 2.4).

use certadm_client::fuzzing::{dns_answer, krb5_conf};

const NAME: &str = "_kerberos._tcp.toy.test";

pub(crate) fn run(data: &[u8]) {
    if let Some((records, is_cut)) = dns_answer(NAME, data) {
        // A record takes 18 octets at least.
        assert!(records.len() <= data.len() / 18 && (!is_cut || records.is_empty()));
        for (host, _) in records {
            let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
            assert!(!host.is_empty() && host.len() <= 253 && host.chars().all(plain), "{host:?} is no name");
        }
    }
    let text = String::from_utf8_lossy(data);
    for host in ["ca1.toy.test", "ca1", ""] {
        let (realm, kdcs) = krb5_conf(&text, host);
        assert!(kdcs.len() <= 16 && (realm.is_some() || kdcs.is_empty()));
        for value in realm.iter().chain(&kdcs) {
            assert!(text.contains(value.as_str()), "{value:?} stands nowhere");
        }
    }
}
