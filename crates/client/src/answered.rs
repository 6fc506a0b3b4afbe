//! What a code means that the CA sent: as the result of a method or of an activation, or as the status of a fault. The table
//! of codes (certbcli.md 14) also has words for what arises on this machine. Of the CA's side some of them are untrue: nobody
//! here stopped the command, mistyped an argument or restores a file, and no mistake of this program is proven.

use std::borrow::Cow;

use certadm_rules::diagnosis::Class;
use certadm_rules::{Diagnosis, Hresult};

/// Whose fault a failure with this code is, where the CA sent it. What would be a mistake of the command line, a mistake of
/// this program or an interruption is a refusal of the CA.
pub(crate) const fn class(code: Hresult) -> Class {
    match code.class() {
        Class::Usage | Class::Internal | Class::Interrupted => Class::Refused,
        class => class,
    }
}

/// What happened at the CA, in one line.
pub(crate) const fn text(code: Hresult) -> &'static str {
    match own_text(code) {
        Some(text) => text,
        None => code.text(),
    }
}

/// What to do next.
pub(crate) fn remedy(code: Hresult) -> Cow<'static, str> {
    const LOOK: &str = "try again; if it fails again, look at the CA's own log";
    Cow::Borrowed(match code {
        Hresult::ERROR_DISK_FULL | Hresult::DISK_FULL | Hresult::LOG_DISK_FULL => {
            "free some space on the disks of the CA's machine, then try again"
        }
        _ => match code.class() {
            Class::Usage | Class::Internal | Class::Interrupted => LOOK,
            Class::Refused | Class::Unreachable | Class::Damaged => return code.remedy(),
        },
    })
}

/// The words for codes whose own would speak of this machine, or of a restore.
const fn own_text(code: Hresult) -> Option<&'static str> {
    Some(match code {
        Hresult::E_ABORT | Hresult::ERROR_OPERATION_ABORTED | Hresult::RPC_S_CALL_CANCELLED => {
            "the CA's machine broke the call off; nobody stopped it here"
        }
        Hresult::E_INVALIDARG
        | Hresult::RPC_S_INVALID_NET_ADDR
        | Hresult::HR_INVALID_PARAM
        | Hresult::HR_INVALID_RECIPS
        | Hresult::INVALID_GRBIT => "the CA does not accept an argument of the call",
        Hresult::E_HANDLE | Hresult::HR_INVALID_HANDLE => "the CA says that a handle is not valid",
        Hresult::E_POINTER => "the CA says that a pointer is not valid",
        Hresult::CO_E_NOTINITIALIZED | Hresult::RPC_E_INVALID_OBJREF | Hresult::ERROR_INTERNAL_ERROR => {
            "the CA's machine met an internal error"
        }
        Hresult::ERROR_FILE_NOT_FOUND => "the CA does not find a file",
        Hresult::ERROR_PATH_NOT_FOUND => "the CA does not find a folder",
        Hresult::ERROR_SHARING_VIOLATION => {
            "the CA cannot open a file that another program of its machine uses"
        }
        Hresult::ERROR_INVALID_DATA => "the CA says that data are malformed",
        Hresult::ERROR_HANDLE_EOF => "the CA met the end of a file too early",
        Hresult::ERROR_DISK_FULL => "a disk of the CA's machine is full",
        Hresult::E_OUTOFMEMORY => "the CA's machine ran out of memory",
        Hresult::ERROR_BAD_NETPATH => "the CA does not reach another machine that it needs",
        Hresult::ERROR_DIR_NOT_EMPTY => "a folder of the CA is not empty",
        Hresult::ERROR_DIRECTORY => "a folder of the CA has a name that is not valid",
        Hresult::ERROR_SERVICE_ALREADY_RUNNING => "the CA says that a service runs already",
        Hresult::ERROR_BROKEN_PIPE => "the CA's machine met a pipe whose other end is closed",
        _ if code.name().is_none() && code.is_success() => {
            "the CA answered with a code that says success and that the protocol does not have; it counts as a failure"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use certadm_wire::rpc::FaultStatus;

    use super::*;
    use crate::denial::ACTIVATION;
    use crate::error::Error;
    use crate::told::Told;

    /// Every way by which a code comes from the CA.
    fn answers(code: Hresult) -> [Error; 3] {
        const CALL: &str = "BackupReadFile";
        let status = FaultStatus(code.to_bits());
        [
            Error::Method { call: CALL, code },
            Error::Activation { code },
            Error::Fault { call: CALL, status, did_not_execute: false, told: Told::default() },
        ]
    }

    /// No code from the network is an interruption here, a mistake of the command line, or one of this program.
    #[test]
    fn no_code_of_the_ca_blames_this_side() {
        let unknown = [0x7FFF_FFFF, 2, 0xC7FF_0999, 0x8123_4567].map(Hresult::from_bits);
        for code in Hresult::KNOWN.iter().copied().chain(unknown).filter(|code| *code != Hresult::S_OK) {
            for error in answers(code) {
                let class = error.class();
                assert!(!matches!(class, Class::Usage | Class::Internal | Class::Interrupted), "{error}");
                let text = format!("{error}: {}", error.remedy());
                for untrue in ["local user", "to restore", "report this", "report it", "check its spelling"] {
                    assert!(!text.contains(untrue), "{code}: {text}");
                }
                // What the engine says of a restore has no other meaning.
                assert!(code.jet_error().is_some() || !text.contains("before restoring"), "{code}: {text}");
            }
        }
    }

    #[test]
    fn a_fault_that_cancels_is_a_refusal_of_the_ca() {
        for status in [FaultStatus::CANCELLED, FaultStatus(0x71A), FaultStatus(0x4C7)] {
            let call = ACTIVATION;
            let error = Error::Fault { call, status, did_not_execute: false, told: Told::default() };
            assert_eq!(error.class(), Class::Refused, "{error}");
        }
        let error = Error::Fault {
            call: "BackupEnd",
            status: FaultStatus::CANCELLED,
            did_not_execute: false,
            told: Told::default(),
        };
        assert!(error.to_string().contains("the CA's machine broke the call off"), "{error}");
    }

    #[test]
    fn what_is_damaged_or_gone_stays_so() {
        for (code, class) in [
            (Hresult::READ_VERIFY_FAILURE, Class::Damaged),
            (Hresult::RPC_S_SERVER_TOO_BUSY, Class::Unreachable),
            (Hresult::BACKUP_IN_PROGRESS, Class::Refused),
        ] {
            for error in answers(code) {
                assert_eq!((error.class(), error.hresult()), (class, code), "{error}");
                assert!(error.to_string().contains(code.text()), "{error}");
                assert_eq!(error.remedy(), code.remedy());
            }
        }
    }
}
