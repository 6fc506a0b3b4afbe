//! What it means that a server denies access, which depends on what was tried: every step can be answered by the same
//! code 5. Codes that mean one thing are explained where they stand (`Hresult::text` and `Hresult::remedy`), whether they
//! come as the status of a fault or as an HRESULT.

use certadm_rules::Hresult;

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
}

/// Whether a code says no more than that access is denied.
pub(crate) fn is_denial(code: Hresult) -> bool {
    code == Hresult::E_ACCESSDENIED
}
