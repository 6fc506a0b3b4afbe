//! What it means that a server denies access, which depends on what was tried: every step can be answered by the same
//! code 5. Codes that mean one thing are explained where they stand ([`answered`]), whether they come as the status of a
//! fault or as an HRESULT.

use std::borrow::Cow;

use certadm_rules::Hresult;

use crate::answered;

/// The steps before the first call, as messages name them.
pub(crate) const LOGON: &str = "the logon";
pub(crate) const ACTIVATION: &str = "activation";
pub(crate) const BINDING: &str = "the bind to the CA's object";

/// What a caller tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// To prove who it is, and nothing else.
    Logon,
    /// To get the CA's object, after the account was accepted.
    Activation,
    /// Both at once: the server looks at the account when the first request comes.
    LogonAndActivation,
    /// To use the object.
    Call,
}

impl Attempt {
    /// What was tried by the step or call that was refused.
    pub(crate) fn of(call: &str) -> Self {
        match call {
            LOGON => Self::Logon,
            ACTIVATION => Self::LogonAndActivation,
            _ => Self::Call,
        }
    }

    /// What a denial of it means.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Logon => "the logon is refused",
            Self::Activation => "the account may not activate the CA's administration object",
            Self::LogonAndActivation => {
                "the account or its password is wrong, or the account may not activate the CA's administration object"
            }
            Self::Call => Hresult::E_ACCESSDENIED.text(),
        }
    }

    /// What changes it; nothing where only a look at roles and flags tells ([`crate::refusal::Cause`]).
    pub(crate) const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Logon => Some(
                "check account, domain and password, and that the account is neither locked nor denied logon over the \
                 network",
            ),
            Self::Activation => Some(
                "add the account to the group Certificate Service DCOM Access of the CA's machine (of its domain, where \
                 that machine is a domain controller); if it is a member, look at the limits below My Computer, COM \
                 Security in `dcomcnfg`",
            ),
            Self::LogonAndActivation => Some(
                "check account, domain and password first: a wrong password looks like this; then add the account to the \
                 group Certificate Service DCOM Access of the CA's machine; `certadm doctor` tells which of the two it is",
            ),
            Self::Call => None,
        }
    }

    /// What to do about a code that it came back with.
    pub(crate) fn code_remedy(self, code: Hresult) -> Cow<'static, str> {
        let own = self.remedy().filter(|_| is_denial(code));
        own.map_or_else(|| answered::remedy(code), Cow::Borrowed)
    }
}

/// Whether a code says no more than that access is denied.
pub(crate) fn is_denial(code: Hresult) -> bool {
    code == Hresult::E_ACCESSDENIED
}

/// What to do about a code that a step or call came back with. The call tells what the code cannot: which role is needed, and
/// which argument is wrong.
pub(crate) fn call_remedy(call: &str, code: Hresult) -> Cow<'static, str> {
    Cow::Borrowed(match (code, call) {
        (Hresult::E_ACCESSDENIED, "RevokeCertificate") => {
            "the call needs the role of an officer: on a Windows CA give the account the permission Issue and Manage Certificates, \
             on ours run `certadm user add --dir DIR NAME --role officer --password-file FILE`; if it has the role, `certadm \
             doctor` names the gate that is shut"
        }
        (Hresult::E_ACCESSDENIED, "PublishCRLs") => {
            "the call needs the role of an administrator: on a Windows CA give the account the permission Manage CA, on ours run \
             `certadm user add --dir DIR NAME --role administrator --password-file FILE`; if it has the role, `certadm doctor` \
             names the gate that is shut"
        }
        (Hresult::E_NOTIMPL, "PublishCRLs") => {
            "run `certadm ca crl` on the CA's machine, if the CA is one of certadm: its service has no key to sign with"
        }
        // The calls that carry the CA's name (wire.md 5.1).
        (
            Hresult::E_INVALIDARG,
            "GetServerState" | "Ping" | "BackupPrepare" | "ServerControl" | "RevokeCertificate"
            | "PublishCRLs",
        ) => "name the CA as well: --server 'host\\CA name'",
        (Hresult::E_INVALIDARG, "BackupOpenFile") => {
            "open the names of the list without their first character, which is a tag"
        }
        _ => return Attempt::of(call).code_remedy(code),
    })
}
