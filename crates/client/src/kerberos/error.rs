//! Why there is no ticket, whose fault it is, and what to do (kerberos.md 6).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use certadm_kerberos::Lack;
use certadm_kerberos::client::ClientError;
use certadm_kerberos::message::ErrorCode;
use certadm_rules::diagnosis::Class;
use certadm_rules::words::shell_word;
use certadm_rules::{Diagnosis, Hresult};

/// Why there is no ticket for a service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KerberosError {
    /// The server was named by an address, for which no KDC has a ticket.
    #[error("Kerberos needs the server's name, and {host} is an address")]
    Address {
        /// The address.
        host: String,
    },
    /// Nothing says of which realm the account is.
    #[error("no realm is known for {account}")]
    NoRealm {
        /// The account.
        account: String,
    },
    /// Nothing says where a realm has its KDCs.
    #[error("no KDC is found for {realm} ({tried})")]
    NoKdc {
        /// The realm.
        realm: String,
        /// Where it was looked for.
        tried: String,
    },
    /// None of the KDCs answers.
    #[error("no KDC of {realm} answers ({tried})")]
    Unreachable {
        /// The realm.
        realm: String,
        /// Which were tried, and what became of each.
        tried: String,
    },
    /// A KDC gave no ticket.
    #[error(transparent)]
    Kdc(ClientError),
    /// A keytab cannot be used.
    #[error("the keytab {path} cannot be used: {detail}")]
    Keytab {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// A ticket cache cannot be used.
    #[error("the ticket cache {path} cannot be used: {detail}")]
    Cache {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The tickets are kept where this program does not look.
    #[error("tickets are kept in {place}, which is no file")]
    OtherCache {
        /// The place, as `KRB5CCNAME` or krb5.conf names it.
        place: String,
        /// A file to put them into.
        file: PathBuf,
    },
    /// The cache has no ticket that is good now.
    #[error("the ticket cache {path} has no ticket that is good now{}{}", reason(.lack), foreign(.left_out))]
    NoTicket {
        /// The file.
        path: PathBuf,
        /// Why it has none to get others with.
        lack: Lack,
        /// The etypes of the session keys for which tickets were left out.
        left_out: Vec<i32>,
    },
    /// The krb5.conf that client.toml names cannot be read.
    #[error("{path}, which `krb5_conf` in client.toml names, cannot be read: {detail}")]
    Conf {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The mechanism that was asked for cannot do it with what there is.
    #[error("{mechanism} logs on with a password, and there is {given} instead")]
    NeedsPassword {
        /// The mechanism.
        mechanism: &'static str,
        /// What there is.
        given: &'static str,
    },
}

fn reason(lack: &Lack) -> String {
    /// No more tickets are named than this.
    const SHOWN: usize = 4;
    match lack {
        Lack::Empty => String::new(),
        Lack::Ended(time) => format!("; the last one ended at {time}"),
        Lack::NotYet(time) => format!("; the next one begins at {time}, or has to be validated first"),
        Lack::NoGranting { realm, others } => {
            let names: Vec<String> = others.iter().take(SHOWN).map(ToString::to_string).collect();
            let more = if SHOWN < others.len() { " and others" } else { "" };
            format!(": it has none to get others with (krbtgt/{realm}), but for {}{more}", names.join(", "))
        }
    }
}

fn foreign(etypes: &[i32]) -> String {
    let numbers: BTreeSet<String> = etypes.iter().map(i32::to_string).collect();
    match etypes.len() {
        0 => String::new(),
        count => {
            let numbers: Vec<String> = numbers.into_iter().collect();
            format!(
                "; {count} with a session key of etype {} cannot be used: only AES is spoken here",
                numbers.join(", ")
            )
        }
    }
}

impl From<ClientError> for KerberosError {
    fn from(error: ClientError) -> Self {
        Self::Kdc(error)
    }
}

impl KerberosError {
    /// Whether there is a KDC, though it answers nothing or refuses.
    pub(crate) const fn is_of_a_kdc(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Kdc(_))
    }

    /// Whether NTLM may work where this does not: there is no KDC for this account and server, or none that knows both.
    /// A wrong password is none of it: it would count twice.
    pub(crate) fn leaves_ntlm(&self) -> bool {
        match self {
            Self::Address { .. } | Self::NoRealm { .. } | Self::NoKdc { .. } | Self::Unreachable { .. } => {
                true
            }
            Self::Kdc(ClientError::Refused { error, .. }) => matches!(
                error.code,
                ErrorCode::CLIENT_UNKNOWN
                    | ErrorCode::SERVICE_UNKNOWN
                    | ErrorCode::WRONG_REALM
                    | ErrorCode::ETYPE_UNSUPPORTED
            ),
            Self::Kdc(ClientError::NoCommonEtype { .. }) => true,
            _ => false,
        }
    }
}

impl Diagnosis for KerberosError {
    fn hresult(&self) -> Hresult {
        match self {
            Self::Address { .. } | Self::NoRealm { .. } | Self::Conf { .. } | Self::NeedsPassword { .. } => {
                Hresult::E_INVALIDARG
            }
            Self::NoKdc { .. } => Hresult::ERROR_BAD_NETPATH,
            Self::Unreachable { .. } => Hresult::RPC_S_SERVER_UNAVAILABLE,
            Self::Kdc(error) => error.hresult(),
            Self::Keytab { .. } | Self::Cache { .. } | Self::OtherCache { .. } | Self::NoTicket { .. } => {
                Hresult::E_ACCESSDENIED
            }
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Kdc(error) => error.class(),
            Self::Address { .. } | Self::NoRealm { .. } | Self::Conf { .. } | Self::NeedsPassword { .. } => {
                Class::Usage
            }
            _ => self.hresult().class(),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Address { .. } => {
                "give --server the name that the domain has for the machine; or log on by NTLM: --mechanism ntlm"
            }
            Self::NoRealm { .. } => {
                "write the account as user@REALM, or give --realm, `realm` in client.toml or `default_realm` in krb5.conf"
            }
            Self::NoKdc { .. } if cfg!(windows) => {
                "give --kdc HOST, `kdc` in client.toml, or `kdc` below [realms] in krb5.ini; DNS is not asked on Windows"
            }
            Self::NoKdc { .. } => {
                "give --kdc HOST, `kdc` in client.toml, or `kdc` below [realms] in krb5.conf; DNS has it as SRV record \
                 _kerberos._tcp.REALM"
            }
            Self::Unreachable { .. } => {
                "open TCP port 88 to the domain controllers, or name another by --kdc"
            }
            Self::Kdc(error) => return error.remedy(),
            Self::Keytab { .. } => {
                "make it with AES keys of the account, owned by this user and with mode 0600: `ktutil`, \
                 `samba-tool domain exportkeytab` or `ktpass`"
            }
            Self::Cache { .. } => {
                "log on anew: `kinit -c FILE:PATH user@REALM`, and name PATH by --ticket-cache"
            }
            Self::OtherCache { file, .. } => {
                return Cow::Owned(format!(
                    "put tickets into a file: `kinit -c {} user@REALM`, and give --ticket-cache {}",
                    cache_word(file),
                    shell_word(file.display())
                ));
            }
            // Another logon would leave the same in the cache: what was left out is missing.
            Self::NoTicket { lack: Lack::Empty | Lack::NoGranting { .. }, left_out, .. }
                if !left_out.is_empty() =>
            {
                "let the KDC give AES session keys: msDS-SupportedEncryptionTypes of the account, and the enctypes in krb5.conf"
            }
            Self::NoTicket { path, lack: Lack::NotYet(_), .. } => {
                return Cow::Owned(format!(
                    "wait until then, and compare the clock of this machine; or log on again: `kinit -c {} user@REALM`",
                    cache_word(path)
                ));
            }
            Self::NoTicket { path, .. } => {
                return Cow::Owned(format!("log on again: `kinit -c {} user@REALM`", cache_word(path)));
            }
            Self::Conf { .. } => "correct `krb5_conf` in client.toml, or leave it out",
            Self::NeedsPassword { .. } => {
                "leave the mechanism out or give --mechanism kerberos; or give a password instead"
            }
        })
    }
}

/// The file of a ticket cache as `kinit -c` takes it.
fn cache_word(file: &Path) -> String {
    shell_word(format_args!("FILE:{}", file.display()))
}

#[cfg(test)]
mod tests {
    use certadm_kerberos::Principal;

    use super::*;

    #[test]
    fn a_cache_says_which_of_its_tickets_cannot_be_used() {
        let ended = |left_out| KerberosError::NoTicket { path: "cc".into(), lack: Lack::Empty, left_out };
        assert!(!ended(vec![]).to_string().contains("etype"));
        assert!(ended(vec![]).remedy().contains("kinit"));
        let foreign = ended(vec![23, 23, 17]);
        assert!(foreign.to_string().contains("; 3 with a session key of etype 17, 23"), "{foreign}");
        assert!(foreign.remedy().contains("AES"), "{}", foreign.remedy());
        // The one to get others with was left out, and one of a service was not.
        let others = || vec![Principal::account("host", "TOY.TEST")];
        let lack = || Lack::NoGranting { realm: "TOY.TEST".into(), others: others() };
        let no_granting = |left_out| KerberosError::NoTicket { path: "cc".into(), lack: lack(), left_out };
        assert!(no_granting(vec![23]).remedy().contains("AES"), "{}", no_granting(vec![23]).remedy());
        assert!(no_granting(vec![]).remedy().contains("kinit"));
    }
}
