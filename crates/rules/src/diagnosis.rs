//! What every error of certadm can say about itself: which HRESULT stands for it, whose fault it is, what to do next.
//!
//! The error types of all crates implement [`Diagnosis`]. The command, the C library and the service need no more than
//! the trait to report any of them.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::hresult::Hresult;

/// Whose fault a failure is. The command's exit code follows from it (docs/json.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// What was typed, or written into a configuration file, cannot be understood.
    Usage,
    /// It was understood, and a rule, a state, a missing right or the system forbids it.
    Refused,
    /// The CA cannot be reached, or the connection to it broke.
    Unreachable,
    /// Bytes are wrong, missing, or do not fit together.
    Damaged,
    /// A mistake in a program, which its user cannot mend.
    Internal,
    /// It was stopped before its end by a signal or a cancellation.
    Interrupted,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 6] =
        [Self::Usage, Self::Refused, Self::Unreachable, Self::Damaged, Self::Internal, Self::Interrupted];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Usage => "usage",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Damaged => "damaged",
            Self::Internal => "internal",
            Self::Interrupted => "interrupted",
        })
    }
}

/// An error that says which code stands for it, whose fault it is, and what to do next. Its text says what failed.
///
/// ```
/// use certadm_rules::diagnosis::Class;
/// use certadm_rules::{Diagnosis, Hresult};
///
/// let running: Box<dyn Diagnosis> = Box::new(Hresult::BACKUP_IN_PROGRESS);
/// assert_eq!(running.hresult().to_bits(), 0xC800_01F9);
/// assert_eq!(running.class(), Class::Refused);
/// assert_eq!(running.remedy(), "wait until the running backup has ended");
/// ```
pub trait Diagnosis: Error + Send + Sync {
    /// The HRESULT that stands for this error (certbcli.md 14).
    fn hresult(&self) -> Hresult;

    /// Whose fault it is: what the code says, unless the error knows better.
    fn class(&self) -> Class {
        self.hresult().class()
    }

    /// What to do next, in one sentence without a full stop.
    fn remedy(&self) -> Cow<'static, str>;
}

/// A code by itself: all that is known of a call that another program refused.
impl Diagnosis for Hresult {
    fn hresult(&self) -> Hresult {
        *self
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match *self {
            Self::MISSING_FULL_BACKUP => "take a full backup first, without --keep-logs",
            Self::MISSING_FILE_TO_BACKUP => {
                "take a full backup, without --keep-logs: backups of logs cannot go on behind a log that is gone"
            }
            Self::BACKUP_IN_PROGRESS => "wait until the running backup has ended",
            Self::INVALID_BACKUP => {
                "take full backups, or turn circular logging off and take one full backup"
            }
            Self::E_ACCESSDENIED => {
                "run `certadm doctor` with the same server and account: it names the gate that is shut"
            }
            Self::ERROR_LOGON_FAILURE
            | Self::ERROR_NO_SUCH_USER
            | Self::SEC_E_LOGON_DENIED
            | Self::ERROR_INVALID_PASSWORD => {
                "check account, domain and password; write the account as DOMAIN\\user or user@domain"
            }
            Self::ERROR_PASSWORD_EXPIRED | Self::ERROR_PASSWORD_MUST_CHANGE => {
                "change the password of the account, then put the new one where the old one was"
            }
            Self::ERROR_ACCOUNT_DISABLED => "enable the account, or use another one",
            Self::ERROR_ACCOUNT_EXPIRED => "extend the life of the account, or use another one",
            Self::ERROR_ACCOUNT_LOCKED_OUT => {
                "unlock the account, and find out which program tries a wrong password"
            }
            Self::ERROR_ACCOUNT_RESTRICTION
            | Self::ERROR_INVALID_LOGON_HOURS
            | Self::ERROR_INVALID_WORKSTATION => "change this rule of the account, or use another account",
            Self::ERROR_LOGON_TYPE_NOT_GRANTED | Self::ERROR_LOGON_NOT_GRANTED => {
                "on the CA's machine give the account the right `Access this computer from the network`, and take it out \
                 of `Deny access to this computer from the network`"
            }
            Self::ERROR_TIME_SKEW => "set the clocks of both machines",
            Self::ERROR_NO_LOGON_SERVERS
            | Self::ERROR_TRUSTED_DOMAIN_FAILURE
            | Self::ERROR_TRUSTED_RELATIONSHIP_FAILURE => {
                "find out whether the CA's machine reaches a domain controller and is still a member of its domain"
            }
            Self::RPC_S_SEC_PKG_ERROR => {
                "check account and password first; then whether the CA's machine and its domain allow NTLM (policy \
                 `Network security: Restrict NTLM`), and the clocks of both machines"
            }
            Self::RPC_S_UNKNOWN_AUTHN_SERVICE => {
                "log on by Kerberos (`--mechanism kerberos`), or allow NTLM for this account on the CA's machine and in its \
                 domain (policy `Network security: Restrict NTLM`)"
            }
            Self::CO_E_CLASS_DISABLED | Self::RPC_E_REMOTE_DISABLED => {
                "switch DCOM on at the CA's machine: `dcomcnfg`, My Computer, Default Properties; then restart that machine"
            }
            Self::RPC_E_ACCESS_DENIED => {
                "add the account to the group Certificate Service DCOM Access of the CA's machine; if it is a member, look \
                 at the limits below My Computer, COM Security in `dcomcnfg`"
            }
            Self::REGDB_E_CLASSNOTREG => "name a machine on which Certificate Services are installed",
            Self::CO_E_SERVER_EXEC_FAILURE | Self::CO_E_RUNAS_LOGON_FAILURE => {
                "start the certificate service on that machine"
            }
            Self::CERTSRV_E_SERVER_SUSPENDED => "resume the CA",
            Self::RPC_E_DISCONNECTED | Self::RPC_S_SERVER_UNAVAILABLE => {
                "start the certificate service, then try again"
            }
            Self::RPC_S_SERVER_TOO_BUSY | Self::RPC_S_CALL_FAILED_DNE => "try again later",
            _ => match self.class() {
                Class::Internal => "report this, with the command that led to it",
                Class::Usage | Class::Refused | Class::Unreachable | Class::Damaged | Class::Interrupted => {
                    "try again; if it fails again, look at the CA's own log"
                }
            },
        })
    }
}

/// An error with its causes, in one line. A cause whose text the line has already is left out.
pub fn chain_of(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let next = source.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes of the table by class, written down a second time: [`Class::Refused`] is every other one.
    const BY_CLASS: [(Class, &[Hresult]); 5] = [
        (
            Class::Usage,
            &[
                Hresult::E_INVALIDARG,
                Hresult::RPC_S_INVALID_NET_ADDR,
                Hresult::HR_INVALID_PARAM,
                Hresult::HR_INVALID_RECIPS,
                Hresult::INVALID_PARAMETER,
            ],
        ),
        (
            Class::Unreachable,
            &[
                Hresult::RPC_S_SERVER_UNAVAILABLE,
                Hresult::RPC_S_SERVER_TOO_BUSY,
                Hresult::RPC_S_CALL_FAILED,
                Hresult::RPC_S_CALL_FAILED_DNE,
                Hresult::RPC_S_INVALID_BINDING,
                Hresult::RPC_E_DISCONNECTED,
                Hresult::ERROR_BAD_NETPATH,
                Hresult::REGDB_E_CLASSNOTREG,
                Hresult::CO_E_SERVER_EXEC_FAILURE,
                Hresult::CO_E_RUNAS_LOGON_FAILURE,
                Hresult::HR_COULD_NOT_CONNECT,
                Hresult::HR_COMMUNICATION_ERROR,
                Hresult::WSAENETDOWN,
                Hresult::WSAENETUNREACH,
                Hresult::WSAECONNABORTED,
                Hresult::WSAECONNRESET,
                Hresult::WSAENOTCONN,
                Hresult::WSAETIMEDOUT,
                Hresult::WSAECONNREFUSED,
                Hresult::WSAEHOSTUNREACH,
            ],
        ),
        (
            Class::Damaged,
            &[
                Hresult::ERROR_INVALID_DATA,
                Hresult::ERROR_HANDLE_EOF,
                Hresult::RPC_X_BAD_STUB_DATA,
                Hresult::HR_LOG_FILE_NOT_FOUND,
                Hresult::LOG_FILE_CORRUPT,
                Hresult::MISSING_PREVIOUS_LOG_FILE,
                Hresult::LOG_GENERATION_MISMATCH,
                Hresult::BAD_LOG_VERSION,
                Hresult::INVALID_LOG_SEQUENCE,
                Hresult::RECOVERED_WITH_ERRORS,
                Hresult::MISSING_LOG_FILE,
                Hresult::BAD_LOG_SIGNATURE,
                Hresult::BAD_DB_SIGNATURE,
                Hresult::BAD_CHECKPOINT_SIGNATURE,
                Hresult::CHECKPOINT_CORRUPT,
                Hresult::PATCH_FILE_MISSING,
                Hresult::DATABASE_LOG_SET_MISMATCH,
                Hresult::LOG_FILE_SIZE_MISMATCH,
                Hresult::CHECKPOINT_FILE_NOT_FOUND,
                Hresult::REQUIRED_LOG_FILES_MISSING,
                Hresult::SOFT_RECOVERY_ON_BACKUP_DATABASE,
                Hresult::STREAMING_DATA_NOT_LOGGED,
                Hresult::DATABASE_DIRTY_SHUTDOWN,
                Hresult::CONSISTENT_TIME_MISMATCH,
                Hresult::DATABASE_PATCH_FILE_MISMATCH,
                Hresult::ENDING_RESTORE_LOG_TOO_LOW,
                Hresult::STARTING_RESTORE_LOG_TOO_HIGH,
                Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE,
                Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS,
                Hresult::MISSING_RESTORE_LOG_FILES,
                Hresult::BAD_BACKUP_DATABASE_SIZE,
                Hresult::MISSING_CURRENT_LOG_FILES,
                Hresult::DB_TIME_TOO_OLD,
                Hresult::DB_TIME_TOO_NEW,
                Hresult::MISSING_FILE_TO_BACKUP,
                Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE,
                Hresult::LOG_TORN_WRITE_DURING_HARD_RECOVERY,
                Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
                Hresult::LOG_CORRUPT_DURING_HARD_RECOVERY,
                Hresult::EXISTING_LOG_FILE_HAS_BAD_SIGNATURE,
                Hresult::EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS,
                Hresult::LOG_READ_VERIFY_FAILURE,
                Hresult::RESTORE_OF_NON_BACKUP_DATABASE,
                Hresult::READ_VERIFY_FAILURE,
                Hresult::PAGE_NOT_INITIALIZED,
                Hresult::BAD_PAGE_LINK,
                Hresult::BAD_PARENT_PAGE_LINK,
                Hresult::READ_LOST_FLUSH_VERIFY_FAILURE,
                Hresult::SECONDARY_INDEX_CORRUPTED,
                Hresult::LV_CORRUPTED,
                Hresult::DISK_IO,
                Hresult::DATABASE_NOT_FOUND,
                Hresult::DATABASE_CORRUPTED,
                Hresult::ATTACHED_DATABASE_MISMATCH,
                Hresult::FILE_NOT_FOUND,
                Hresult::LOG_CORRUPTED,
                Hresult::TRUST_E_BAD_DIGEST,
            ],
        ),
        (
            Class::Internal,
            &[
                Hresult::S_OK,
                Hresult::E_POINTER,
                Hresult::E_HANDLE,
                Hresult::CO_E_NOTINITIALIZED,
                Hresult::RPC_E_INVALID_OBJREF,
                Hresult::HR_INVALID_HANDLE,
                Hresult::INVALID_GRBIT,
                Hresult::ERROR_INTERNAL_ERROR,
            ],
        ),
        (
            Class::Interrupted,
            &[Hresult::E_ABORT, Hresult::RPC_S_CALL_CANCELLED, Hresult::ERROR_OPERATION_ABORTED],
        ),
    ];

    #[test]
    fn every_row_of_the_table_has_the_class_that_is_meant() {
        let mut counts = [0; Class::ALL.len()];
        for code in Hresult::KNOWN {
            let meant = BY_CLASS.iter().find(|(_, codes)| codes.contains(code));
            let meant = meant.map_or(Class::Refused, |(class, _)| *class);
            assert_eq!(code.class(), meant, "{code}");
            let place = Class::ALL.iter().position(|class| *class == meant).expect("one of all");
            counts[place] += 1;
        }
        // Refused by name: a row that nobody thought about would be among them and change their number.
        assert_eq!(
            counts,
            [5, 121, 20, 57, 8, 3],
            "usage, refused, unreachable, damaged, internal, interrupted"
        );
        assert_eq!(counts.iter().sum::<usize>(), Hresult::KNOWN.len());
    }

    #[test]
    fn a_code_outside_the_table_has_the_class_of_its_origin() {
        for (code, class) in [
            (Hresult::from_win32(1701), Class::Unreachable),
            (Hresult::from_win32(10_064), Class::Unreachable),
            (Hresult::from_win32(1699), Class::Refused),
            (Hresult::from_win32(2000), Class::Refused),
            (Hresult::from_win32(9999), Class::Refused),
            (Hresult::from_win32(12_000), Class::Refused),
            (Hresult::from_jet(1305), Class::Refused),
            (Hresult::from_bits(0x8123_4567), Class::Refused),
            (Hresult::from_bits(0x0123_4567), Class::Internal),
        ] {
            assert!(code.name().is_none(), "{code} is in the table");
            assert_eq!(code.class(), class, "{code}");
        }
    }

    #[test]
    fn every_code_has_advice_in_one_sentence() {
        for code in Hresult::KNOWN {
            let remedy = code.remedy();
            assert!(
                !remedy.is_empty() && !remedy.ends_with('.') && !remedy.contains('\n'),
                "{code}: {remedy}"
            );
        }
    }

    #[test]
    fn causes_stand_in_one_line_and_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("the backup failed")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("the disk is full")]
        struct Inner(#[source] Again);
        #[derive(Debug, thiserror::Error)]
        #[error("the disk is full")]
        struct Again;
        assert_eq!(chain_of(&Outer(Inner(Again))), "the backup failed: the disk is full");
    }
}
