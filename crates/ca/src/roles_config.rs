//! `[roles]` of `ca.toml`: who may do what, of those who have no account of the service.

use serde::Deserialize;

use crate::kerberos_config::{is_principal, is_sid};

/// `[roles]`: the CA roles of callers of the Unix socket, by the user or group id that the kernel reports
/// (spec/certbcli.md D27): `uid:1000`, `gid:27` (of the calling process; its supplementary groups do not count), or `uid:self` for the
/// user the service runs as; and of callers with a ticket: `sid:S-1-5-21-...` for an account or group of a Windows domain, `krb:alice@CORP.EXAMPLE` for an account of any
/// realm. Accounts of the service have their roles in `users.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolesConfig {
    /// CA administrators.
    pub administrator: Vec<String>,
    /// Officers.
    pub officer: Vec<String>,
    /// Auditors.
    pub auditor: Vec<String>,
    /// Operators: they take backups.
    pub operator: Vec<String>,
    /// Readers.
    pub read: Vec<String>,
    /// Those who may ask for certificates.
    pub enroll: Vec<String>,
}

impl Default for RolesConfig {
    /// Root and the user of the service administer and operate, nobody else does anything.
    fn default() -> Self {
        let trusted = || vec!["uid:0".to_owned(), "uid:self".to_owned()];
        Self {
            administrator: trusted(),
            officer: Vec::new(),
            auditor: Vec::new(),
            operator: trusted(),
            read: Vec::new(),
            enroll: Vec::new(),
        }
    }
}

impl RolesConfig {
    /// Nobody does anything.
    #[must_use]
    pub const fn nobody() -> Self {
        Self {
            administrator: Vec::new(),
            officer: Vec::new(),
            auditor: Vec::new(),
            operator: Vec::new(),
            read: Vec::new(),
            enroll: Vec::new(),
        }
    }

    /// The lists with the names of their keys.
    pub fn lists(&self) -> [(&'static str, &[String]); 6] {
        [
            ("administrator", &self.administrator),
            ("officer", &self.officer),
            ("auditor", &self.auditor),
            ("operator", &self.operator),
            ("read", &self.read),
            ("enroll", &self.enroll),
        ]
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        for (key, callers) in self.lists() {
            for caller in callers {
                let is_good = match caller.split_once(':') {
                    Some(("uid", "self")) => true,
                    Some(("uid" | "gid", id)) => id.parse::<u32>().is_ok(),
                    Some(("sid", sid)) => is_sid(sid),
                    Some(("krb", name)) => is_principal(name),
                    _ => false,
                };
                if !is_good {
                    return Err(format!(
                        "roles.{key}: {caller:?} is not uid:NUMBER, gid:NUMBER, uid:self, sid:S-1-5-... or krb:NAME@REALM"
                    ));
                }
            }
        }
        Ok(())
    }
}
