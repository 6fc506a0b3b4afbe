//! `[kerberos]` of `ca.toml`: callers who come with tickets of a domain (spec/kerberos.md 4).

use std::path::PathBuf;

use serde::Deserialize;

/// Most seconds that clocks may be apart. The usual bound is 300.
const MAX_SKEW: u32 = 3600;
/// Most characters of a host's name (RFC 1035 2.3.4).
const MAX_HOST: usize = 253;

/// `[kerberos]`: by which keys the service accepts tickets, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KerberosConfig {
    /// The file with the keys of the service; a relative path begins at the CA's folder. Without it tickets are not accepted.
    pub keytab: Option<PathBuf>,
    /// The name of this machine in the domain, such as `ca1.corp.example`; left out, the machine's own name.
    pub host: Option<String>,
    /// The realms whose accounts may come in; left empty, those of the keytab.
    pub realms: Vec<String>,
    /// How many seconds clocks may be apart.
    pub skew_seconds: u32,
    /// Whether accounts of `users.toml` may log on beside them, by NTLM.
    pub ntlm: bool,
    /// Whether clients are let in that do not have the headers of their PDUs signed. Somebody on the way can then alter which
    /// call of an interface is meant. Windows signs them, impacket does not.
    pub danger_unsigned_headers: bool,
    /// Whether `krb:` entries of `[roles]` hold for tickets without a PAC, in which nobody says whose account the name is. In an Active
    /// Directory domain any client can have the PAC left out, and others may write the names in tickets. MIT's KDC sends none
    /// before 1.20.
    pub danger_names_without_pac: bool,
}

impl Default for KerberosConfig {
    fn default() -> Self {
        Self {
            keytab: None,
            host: None,
            realms: Vec::new(),
            skew_seconds: 300,
            ntlm: true,
            danger_unsigned_headers: false,
            danger_names_without_pac: false,
        }
    }
}

impl KerberosConfig {
    /// The lines of the dangers that are switched on.
    pub(crate) fn dangers(&self) -> String {
        let dangers = [
            ("danger_unsigned_headers", self.danger_unsigned_headers),
            ("danger_names_without_pac", self.danger_names_without_pac),
        ];
        dangers.iter().filter(|(_, is_on)| *is_on).map(|(key, _)| format!("{key} = true\n")).collect()
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        if !self.ntlm && self.keytab.is_none() {
            return Err("kerberos.ntlm = false needs kerberos.keytab, or nobody can log on over TCP".into());
        }
        if !(1..=MAX_SKEW).contains(&self.skew_seconds) {
            return Err(format!("kerberos.skew_seconds goes from 1 to {MAX_SKEW}"));
        }
        if self.keytab.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            return Err("kerberos.keytab is empty".into());
        }
        if let Some(host) = self.host.as_ref().filter(|host| !is_host(host)) {
            return Err(format!("kerberos.host: {host:?} is no name such as ca1.corp.example"));
        }
        match self.realms.iter().find(|realm| !is_realm(realm)) {
            Some(realm) => Err(format!("kerberos.realms: {realm:?} is no realm such as CORP.EXAMPLE")),
            None => Ok(()),
        }
    }
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')
    };
    text.len() <= MAX_HOST && text.split('.').all(is_label)
}

/// Whether this may be a realm: something, without what separates it from names.
fn is_realm(text: &str) -> bool {
    !text.is_empty() && !text.contains(['@', '/']) && !text.chars().any(char::is_control)
}

/// Whether this is the SID of an account or group, as `sid:` entries of `[roles]` have it.
pub(crate) fn is_sid(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("S-1-") else { return false };
    let numbers: Vec<_> = rest.split('-').collect();
    let is_number =
        |digits: &&str| digits.bytes().all(|digit| digit.is_ascii_digit()) && digits.parse::<u32>().is_ok();
    (2..=16).contains(&numbers.len()) && numbers.iter().all(is_number)
}

/// Whether this is an account with its realm, as `krb:` entries of `[roles]` have it.
pub(crate) fn is_principal(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(name, realm)| {
        !name.is_empty() && !name.chars().any(char::is_control) && is_realm(realm)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sids_and_principals_are_told_from_other_words() {
        for sid in ["S-1-5-21-1-2-3-1106", "S-1-5-18", "S-1-5-32-544"] {
            assert!(is_sid(sid), "{sid}");
        }
        for other in [
            "",
            "S-1-5",
            "S-1-",
            "S-2-5-18",
            "S-1-5-x",
            "S-1-5-+1",
            "S-1-5--1",
            "S-1-5-4294967296",
            "CORP\\ops",
        ] {
            assert!(!is_sid(other), "{other}");
        }
        for name in ["alice@CORP.EXAMPLE", "HOST/web@CORP.EXAMPLE"] {
            assert!(is_principal(name), "{name}");
        }
        for other in ["", "alice", "@CORP", "alice@", "a\nb@CORP", "alice@CO/RP"] {
            assert!(!is_principal(other), "{other}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let good = KerberosConfig {
            keytab: Some("ca.keytab".into()),
            host: Some("ca1.corp.example".into()),
            realms: vec!["CORP.EXAMPLE".into()],
            ntlm: false,
            ..KerberosConfig::default()
        };
        assert_eq!(good.check(), Ok(()));
        for (bad, word) in [
            (KerberosConfig { keytab: None, ..good.clone() }, "kerberos.ntlm"),
            (KerberosConfig { keytab: Some("".into()), ..good.clone() }, "kerberos.keytab"),
            (KerberosConfig { host: Some("ca1..example".into()), ..good.clone() }, "kerberos.host"),
            (KerberosConfig { realms: vec!["a@B".into()], ..good.clone() }, "kerberos.realms"),
            (KerberosConfig { skew_seconds: 0, ..good.clone() }, "kerberos.skew_seconds"),
            (KerberosConfig { skew_seconds: 86_400, ..good }, "kerberos.skew_seconds"),
        ] {
            assert!(bad.check().unwrap_err().contains(word), "{bad:?}");
        }
    }
}
