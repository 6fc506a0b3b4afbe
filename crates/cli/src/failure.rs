//! What a command ends with: an exit code, and on failure one clear message with cause, code and remedy.

use std::error::Error as StdError;
use std::fmt;

use certadm_rules::Hresult;
use certadm_set::error::chain_of;
use serde_json::{Value, json};

/// Exit codes; docs/json.md and the manual page list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything went well.
    Good = 0,
    /// Done, with something to look into.
    Finding = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Refused: by a rule, a state, a missing right or the system.
    Refused = 3,
    /// The CA cannot be reached.
    Unreachable = 4,
    /// Something is damaged or does not fit together.
    Damaged = 5,
}

/// A failed command.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) code: Hresult,
    pub(crate) remedy: String,
    pub(crate) exit: Exit,
}

impl Failure {
    /// A command line that cannot be obeyed.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: Hresult::E_INVALIDARG,
            remedy: "see --help".to_owned(),
            exit: Exit::Usage,
        }
    }

    /// The failure as the JSON contract has it (docs/json.md, "An error").
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "code": format!("0x{:08x}", self.code.to_bits()),
            "name": self.code.name(),
            "message": self.message,
            "remedy": self.remedy,
        })
    }

    fn from_client(error: &certadm_client::Error) -> Self {
        use certadm_client::Error;
        let failure = Self::of(error, error.hresult(), error.remedy());
        match error {
            Error::Name(_)
            | Error::Config { .. }
            | Error::Account { .. }
            | Error::NoAccount { .. }
            | Error::PasswordUnusable { .. } => Self { exit: Exit::Usage, ..failure },
            _ => failure,
        }
    }

    fn of(error: &dyn StdError, code: Hresult, remedy: impl Into<String>) -> Self {
        Self { message: chain_of(error), code, remedy: remedy.into(), exit: exit_for(code) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.code)
    }
}

impl From<certadm_store::Error> for Failure {
    fn from(error: certadm_store::Error) -> Self {
        Self::of(&error, error.hresult(), error.remedy())
    }
}

impl From<certadm_set::Error> for Failure {
    fn from(error: certadm_set::Error) -> Self {
        // What the client knows of a failed call says more than the call's code.
        if let certadm_set::Error::Call(call) = &error
            && let Some(cause) = call.source.as_deref().and_then(|source| source.downcast_ref())
        {
            return Self::from_client(cause);
        }
        Self::of(&error, error.hresult(), error.remedy())
    }
}

impl From<certadm_client::Error> for Failure {
    fn from(error: certadm_client::Error) -> Self {
        Self::from_client(&error)
    }
}

impl From<certadm_files::Error> for Failure {
    fn from(error: certadm_files::Error) -> Self {
        Self::of(&error, error.hresult(), error.remedy())
    }
}

impl From<certadm_ca::Error> for Failure {
    fn from(error: certadm_ca::Error) -> Self {
        Self::of(&error, error.hresult(), error.remedy())
    }
}

impl From<certadm_server::StartError> for Failure {
    fn from(error: certadm_server::StartError) -> Self {
        Self::of(&error, error.hresult(), error.remedy())
    }
}

impl From<certadm_server::UsersError> for Failure {
    fn from(error: certadm_server::UsersError) -> Self {
        Self::of(&error, error.hresult(), error.remedy())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::of(&error, certadm_files::error::io_hresult(&error), "check the path and its permissions")
    }
}

/// Whose fault a code is, as an exit code.
pub(crate) fn exit_for(code: Hresult) -> Exit {
    const UNREACHABLE: [Hresult; 9] = [
        Hresult::RPC_S_SERVER_UNAVAILABLE,
        Hresult::RPC_S_SERVER_TOO_BUSY,
        Hresult::RPC_S_CALL_FAILED,
        Hresult::RPC_S_CALL_FAILED_DNE,
        Hresult::RPC_E_DISCONNECTED,
        Hresult::ERROR_BAD_NETPATH,
        Hresult::RPC_S_INVALID_BINDING,
        Hresult::REGDB_E_CLASSNOTREG,
        Hresult::CO_E_SERVER_EXEC_FAILURE,
    ];
    const DAMAGED: [Hresult; 36] = [
        Hresult::ERROR_INVALID_DATA,
        Hresult::RPC_X_BAD_STUB_DATA,
        Hresult::LOG_FILE_CORRUPT,
        Hresult::LOG_GENERATION_MISMATCH,
        Hresult::BAD_LOG_VERSION,
        Hresult::INVALID_LOG_SEQUENCE,
        Hresult::MISSING_LOG_FILE,
        Hresult::BAD_LOG_SIGNATURE,
        Hresult::BAD_DB_SIGNATURE,
        Hresult::DATABASE_LOG_SET_MISMATCH,
        Hresult::REQUIRED_LOG_FILES_MISSING,
        Hresult::SOFT_RECOVERY_ON_BACKUP_DATABASE,
        Hresult::DATABASE_PATCH_FILE_MISMATCH,
        Hresult::ENDING_RESTORE_LOG_TOO_LOW,
        Hresult::STARTING_RESTORE_LOG_TOO_HIGH,
        Hresult::GIVEN_LOG_FILE_HAS_BAD_SIGNATURE,
        Hresult::GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS,
        Hresult::MISSING_RESTORE_LOG_FILES,
        Hresult::BAD_BACKUP_DATABASE_SIZE,
        Hresult::MISSING_CURRENT_LOG_FILES,
        Hresult::LOG_TORN_WRITE_DURING_HARD_RESTORE,
        Hresult::LOG_CORRUPT_DURING_HARD_RESTORE,
        Hresult::EXISTING_LOG_FILE_HAS_BAD_SIGNATURE,
        Hresult::EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS,
        Hresult::LOG_READ_VERIFY_FAILURE,
        Hresult::RESTORE_OF_NON_BACKUP_DATABASE,
        Hresult::READ_VERIFY_FAILURE,
        Hresult::DATABASE_CORRUPTED,
        Hresult::ATTACHED_DATABASE_MISMATCH,
        Hresult::CHECKPOINT_CORRUPT,
        Hresult::DATABASE_DIRTY_SHUTDOWN,
        Hresult::DB_TIME_TOO_NEW,
        Hresult::DB_TIME_TOO_OLD,
        Hresult::LOG_FILE_SIZE_MISMATCH,
        Hresult::FILE_NOT_FOUND,
        Hresult::DISK_IO,
    ];
    if UNREACHABLE.contains(&code) {
        Exit::Unreachable
    } else if DAMAGED.contains(&code) {
        Exit::Damaged
    } else {
        Exit::Refused
    }
}
