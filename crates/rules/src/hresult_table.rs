//! The one table of result codes: constant, value, published name, a sentence of ours (certbcli.md 14.2 to 14.5, and
//! wire.md 4 for those of the object layer).

use crate::hresult::Hresult;

/// Makes the constants, [`Hresult::KNOWN`], `name` and `text` out of rows `CONSTANT = value, "name", "text";`.
/// A value given twice is an unreachable pattern, which the compiler reports.
macro_rules! hresult_table {
    ($( $constant:ident = $value:expr, $name:literal, $text:literal; )+) => {
        impl Hresult {
            $(
                #[doc = concat!("`", $name, "`: ", $text, ".")]
                pub const $constant: Hresult = $value;
            )+

            /// Every code that has a constant, in the order of certbcli.md 14.
            pub const KNOWN: &'static [Hresult] = &[$(Hresult::$constant),+];

            /// The published name, or nothing for a code outside certbcli.md 14.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Hresult::$constant => Some($name), )+
                    _ => None,
                }
            }

            /// One line for a user: what happened and, where the code alone can tell, what to do next. A code outside
            /// certbcli.md 14 gets a line that says so.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $( Hresult::$constant => $text, )+
                    _ if self.is_success() => "the operation succeeded with a code this program does not know",
                    _ => "the operation failed with a code this program does not know",
                }
            }
        }
    };
}

const fn bits(value: u32) -> Hresult {
    Hresult::from_bits(value)
}

const fn win32(error: u32) -> Hresult {
    Hresult::from_win32(error)
}

const fn jet(magnitude: u16) -> Hresult {
    Hresult::from_jet(magnitude)
}

hresult_table! {
    // 14.2 General and Win32 codes
    S_OK = bits(0x0000_0000), "S_OK", "the operation succeeded";
    ERROR_ARITHMETIC_OVERFLOW = bits(0x0000_0001), "ERROR_ARITHMETIC_OVERFLOW",
        "the server reported 1, which means nothing for a backup; treat it as a failure";
    E_NOTIMPL = bits(0x8000_4001), "E_NOTIMPL", "this feature is not built in";
    E_POINTER = bits(0x8000_4003), "E_POINTER", "a pointer is not valid";
    E_ABORT = bits(0x8000_4004), "E_ABORT", "the operation was stopped by the local user";
    E_FAIL = bits(0x8000_4005), "E_FAIL", "the operation failed and gave no better reason";
    E_PENDING = bits(0x8000_000A), "E_PENDING",
        "a restore is registered but not completed; complete the registration, with a failure code to give it up";
    E_UNEXPECTED = bits(0x8000_FFFF), "E_UNEXPECTED", "the call is not allowed at this point of the backup";
    ERROR_FILE_NOT_FOUND = win32(2), "ERROR_FILE_NOT_FOUND", "a file to restore is missing from the backup";
    ERROR_PATH_NOT_FOUND = win32(3), "ERROR_PATH_NOT_FOUND", "a folder on the path does not exist";
    E_ACCESSDENIED = win32(5), "E_ACCESSDENIED",
        "access is denied: the caller lacks a privilege or a CA role, or the CA's interface flags refuse this kind of caller";
    E_HANDLE = win32(6), "E_HANDLE", "the backup context is not valid: it is NULL, ended, or of the other kind";
    ERROR_INVALID_DATA = win32(13), "ERROR_INVALID_DATA", "a restore map or a list is malformed";
    E_OUTOFMEMORY = win32(14), "E_OUTOFMEMORY", "memory ran out";
    ERROR_SHARING_VIOLATION = win32(32), "ERROR_SHARING_VIOLATION",
        "the files are in use; stop the certificate service before restoring";
    ERROR_HANDLE_EOF = win32(38), "ERROR_HANDLE_EOF", "the end of the file was reached";
    ERROR_NOT_SUPPORTED = win32(50), "ERROR_NOT_SUPPORTED",
        "this is not supported here; register a restore on the CA's own machine";
    ERROR_BAD_NETPATH = win32(53), "ERROR_BAD_NETPATH", "the server name does not resolve; check its spelling";
    E_INVALIDARG = win32(87), "E_INVALIDARG", "an argument is not valid";
    ERROR_DISK_FULL = win32(112), "ERROR_DISK_FULL", "the target disk is full";
    ERROR_DIR_NOT_EMPTY = win32(145), "ERROR_DIR_NOT_EMPTY",
        "the target folder is not empty; choose an empty one or force the operation";
    ERROR_ALREADY_EXISTS = win32(183), "ERROR_ALREADY_EXISTS", "the object exists already";
    ERROR_DIRECTORY = win32(267), "ERROR_DIRECTORY",
        "the backup folder has the wrong structure, or a logs-only set comes before its full set";
    ERROR_SERVICE_ALREADY_RUNNING = win32(1056), "ERROR_SERVICE_ALREADY_RUNNING",
        "the certificate service is running; stop it before restoring";
    ERROR_SERVICE_DOES_NOT_EXIST = win32(1060), "ERROR_SERVICE_DOES_NOT_EXIST", "no certificate service is installed there";
    ERROR_SERVICE_NOT_ACTIVE = win32(1062), "ERROR_SERVICE_NOT_ACTIVE", "the certificate service is not running; start it";
    ERROR_PRIVILEGE_NOT_HELD = win32(1314), "ERROR_PRIVILEGE_NOT_HELD",
        "the caller does not hold the backup or restore privilege, or has not enabled it";
    ERROR_OBJECT_ALREADY_EXISTS = win32(5010), "ERROR_OBJECT_ALREADY_EXISTS", "the server says the object exists already";
    ERROR_INVALID_STATE = win32(5023), "ERROR_INVALID_STATE", "the object is in the wrong state for this call";
    CERTSRV_E_SERVER_SUSPENDED = bits(0x8009_4006), "CERTSRV_E_SERVER_SUSPENDED",
        "the CA is suspended; resume it before taking a backup";

    // 14.3 RPC and COM
    RPC_S_INVALID_BINDING = win32(1702), "RPC_S_INVALID_BINDING", "the server is not a certificate service of this kind";
    RPC_S_INVALID_NET_ADDR = win32(1707), "RPC_S_INVALID_NET_ADDR", "the server name is not a valid network address";
    RPC_S_SERVER_UNAVAILABLE = win32(1722), "RPC_S_SERVER_UNAVAILABLE",
        "the host cannot be reached or its certificate service is not running";
    RPC_S_SERVER_TOO_BUSY = win32(1723), "RPC_S_SERVER_TOO_BUSY", "the server is too busy; try again later";
    RPC_S_CALL_FAILED = win32(1726), "RPC_S_CALL_FAILED",
        "the connection died during the call; the backup is lost and has to be started again";
    RPC_S_CALL_FAILED_DNE = win32(1727), "RPC_S_CALL_FAILED_DNE", "the call did not reach the server; it is safe to try again";
    RPC_X_BAD_STUB_DATA = win32(1783), "RPC_X_BAD_STUB_DATA", "the peer sent data that the protocol does not allow";
    RPC_S_CALL_CANCELLED = win32(1818), "RPC_S_CALL_CANCELLED", "the call was cancelled";
    RPC_E_DISCONNECTED = bits(0x8001_0108), "RPC_E_DISCONNECTED",
        "the server object is gone; the certificate service was stopped or restarted";
    REGDB_E_CLASSNOTREG = bits(0x8004_0154), "REGDB_E_CLASSNOTREG", "that machine has no CA administration service";
    CO_E_NOTINITIALIZED = bits(0x8004_01F0), "CO_E_NOTINITIALIZED", "COM is not initialised in this thread";
    CO_E_SERVER_EXEC_FAILURE = bits(0x8008_0005), "CO_E_SERVER_EXEC_FAILURE", "the certificate service could not be started";

    // wire.md 4.6, 4.15: codes of activation and of the Remote Unknown
    E_NOINTERFACE = bits(0x8000_4002), "E_NOINTERFACE", "the object does not have this interface";
    RPC_E_INVALID_OBJECT = bits(0x8001_0114), "RPC_E_INVALID_OBJECT", "the server knows no such object";
    RPC_E_INVALID_OBJREF = bits(0x8001_011D), "RPC_E_INVALID_OBJREF",
        "an object reference or the properties of an activation are malformed";
    CO_E_OBJNOTREG = bits(0x8004_01FB), "CO_E_OBJNOTREG", "the server knows no such interface of an object";
    CO_E_RUNAS_LOGON_FAILURE = bits(0x8000_401A), "CO_E_RUNAS_LOGON_FAILURE",
        "the server cannot be started in the session that was asked for";

    // 14.4 Backup-library codes of the sister API
    HR_NYI = bits(0xC000_0001), "hrNyi", "the backup library does not implement this";
    HR_INVALID_PARAM = bits(0xC7FF_0001), "hrInvalidParam", "a parameter is not valid";
    HR_ERROR = bits(0xC7FF_0002), "hrError", "the backup library met an internal error";
    HR_INVALID_HANDLE = bits(0xC7FF_0003), "hrInvalidHandle", "the handle is not valid, or no file is open";
    HR_RESTORE_IN_PROGRESS = bits(0xC7FF_0004), "hrRestoreInProgress",
        "a restore is registered and not yet completed; complete it first";
    HR_ALREADY_OPEN = bits(0xC7FF_0005), "hrAlreadyOpen", "the file is open already";
    HR_INVALID_RECIPS = bits(0xC7FF_0006), "hrInvalidRecips", "the recipients are not valid";
    HR_COULD_NOT_CONNECT = bits(0xC7FF_0007), "hrCouldNotConnect", "no connection could be made, or the service is not running";
    HR_RESTORE_MAP_EXISTS = bits(0xC7FF_0008), "hrRestoreMapExists",
        "a restore map is registered already; only the full restore brings one";
    HR_INCREMENTAL_BACKUP_DISABLED = bits(0xC7FF_0009), "hrIncrementalBackupDisabled",
        "the database has changed so that a full backup is needed first";
    HR_LOG_FILE_NOT_FOUND = bits(0xC7FF_000A), "hrLogFileNotFound",
        "a log that the logs-only backup needs is missing; take a full backup";
    HR_CIRCULAR_LOGGING = bits(0xC7FF_000B), "hrCircularLogging",
        "circular logging is on, so only full backups are possible";
    HR_NO_FULL_RESTORE = bits(0xC7FF_000C), "hrNoFullRestore",
        "a logs-only set cannot be registered before its full set; register the full set first";
    HR_COMMUNICATION_ERROR = bits(0xC7FF_000D), "hrCommunicationError", "communication failed during a local backup";
    HR_FULL_BACKUP_NOT_TAKEN = bits(0xC7FF_000E), "hrFullBackupNotTaken", "no full backup was taken yet; take one first";
    HR_MISSING_EXPIRY_TOKEN = bits(0xC7FF_000F), "hrMissingExpiryToken", "the expiry token is missing";
    HR_UNKNOWN_EXPIRY_TOKEN_FORMAT = bits(0xC7FF_0010), "hrUnknownExpiryTokenFormat", "the format of the expiry token is unknown";
    HR_CONTENTS_EXPIRED = bits(0xC7FF_0011), "hrContentsExpired", "the contents of the backup have expired";

    // 14.5 Engine codes
    LOG_FILE_CORRUPT = jet(501), "JET_errLogFileCorrupt", "a log file is damaged";
    BACKUP_IN_PROGRESS = jet(505), "JET_errBackupInProgress",
        "another backup of this CA is running; wait until it ends";
    RESTORE_IN_PROGRESS = jet(506), "JET_errRestoreInProgress", "the database is being restored";
    MISSING_PREVIOUS_LOG_FILE = jet(509), "JET_errMissingPreviousLogFile", "the log in which the checkpoint lies is missing";
    LOG_WRITE_FAIL = jet(510), "JET_errLogWriteFail", "the log cannot be written; check the log folder and its disk";
    LOG_GENERATION_MISMATCH = jet(513), "JET_errLogGenerationMismatch",
        "a log's file name and the generation in its header disagree";
    BAD_LOG_VERSION = jet(514), "JET_errBadLogVersion", "a log was written by another version of the engine";
    INVALID_LOG_SEQUENCE = jet(515), "JET_errInvalidLogSequence", "a log does not follow the one before it";
    LOGGING_DISABLED = jet(516), "JET_errLoggingDisabled", "logging is off, so no online backup is possible";
    LOG_SEQUENCE_END = jet(519), "JET_errLogSequenceEnd", "the log generations are used up";
    NO_BACKUP = jet(520), "JET_errNoBackup", "no backup is running";
    INVALID_BACKUP_SEQUENCE = jet(521), "JET_errInvalidBackupSequence",
        "the backup call is out of order, or does not fit this kind of backup";
    BACKUP_NOT_ALLOWED_YET = jet(523), "JET_errBackupNotAllowedYet", "the database is recovering or stopping; try again later";
    INVALID_BACKUP = jet(526), "JET_errInvalidBackup",
        "a logs-only backup is impossible with circular logging; take a full backup";
    RECOVERED_WITH_ERRORS = jet(527), "JET_errRecoveredWithErrors", "the recovery finished, but met errors";
    MISSING_LOG_FILE = jet(528), "JET_errMissingLogFile", "the current log is missing";
    LOG_DISK_FULL = jet(529), "JET_errLogDiskFull", "the disk of the logs is full";
    BAD_LOG_SIGNATURE = jet(530), "JET_errBadLogSignature",
        "a log belongs to another log sequence; remove foreign logs from the log folder";
    BAD_DB_SIGNATURE = jet(531), "JET_errBadDbSignature", "the database belongs to another log sequence";
    BAD_CHECKPOINT_SIGNATURE = jet(532), "JET_errBadCheckpointSignature", "the checkpoint belongs to another log sequence";
    CHECKPOINT_CORRUPT = jet(533), "JET_errCheckpointCorrupt", "the checkpoint file is damaged";
    PATCH_FILE_MISSING = jet(538), "JET_errPatchFileMissing", "the patch file is missing from the backup";
    DATABASE_LOG_SET_MISMATCH = jet(539), "JET_errDatabaseLogSetMismatch", "the database and the logs do not belong together";
    LOG_FILE_SIZE_MISMATCH = jet(541), "JET_errLogFileSizeMismatch", "a log has another size than the engine is set to";
    CHECKPOINT_FILE_NOT_FOUND = jet(542), "JET_errCheckpointFileNotFound", "the checkpoint file is missing";
    REQUIRED_LOG_FILES_MISSING = jet(543), "JET_errRequiredLogFilesMissing", "logs that the recovery needs are missing";
    SOFT_RECOVERY_ON_BACKUP_DATABASE = jet(544), "JET_errSoftRecoveryOnBackupDatabase",
        "a database from a backup was started without a registered restore; register the restore first";
    STREAMING_DATA_NOT_LOGGED = jet(549), "JET_errStreamingDataNotLogged",
        "the logs cannot be replayed over data that was never logged";
    DATABASE_DIRTY_SHUTDOWN = jet(550), "JET_errDatabaseDirtyShutdown", "the database was not closed cleanly and needs its logs";
    CONSISTENT_TIME_MISMATCH = jet(551), "JET_errConsistentTimeMismatch",
        "the database and the logs disagree about when it was last consistent";
    DATABASE_PATCH_FILE_MISMATCH = jet(552), "JET_errDatabasePatchFileMismatch",
        "the backup trailer of the database does not fit the database";
    ENDING_RESTORE_LOG_TOO_LOW = jet(553), "JET_errEndingRestoreLogTooLow",
        "the range of logs ends too early for this database";
    STARTING_RESTORE_LOG_TOO_HIGH = jet(554), "JET_errStartingRestoreLogTooHigh",
        "the range of logs starts too late for this database";
    GIVEN_LOG_FILE_HAS_BAD_SIGNATURE = jet(555), "JET_errGivenLogFileHasBadSignature",
        "one of the restored logs belongs to another log sequence";
    GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS = jet(556), "JET_errGivenLogFileIsNotContiguous",
        "one of the restored logs does not follow the one before it";
    MISSING_RESTORE_LOG_FILES = jet(557), "JET_errMissingRestoreLogFiles",
        "a generation in the range of logs is missing from the backup";
    MISSING_FULL_BACKUP = jet(560), "JET_errMissingFullBackup",
        "there is no full backup to build on; take a full backup that truncates its logs";
    BAD_BACKUP_DATABASE_SIZE = jet(561), "JET_errBadBackupDatabaseSize",
        "the size of the backed-up database is not a whole number of pages";
    MISSING_CURRENT_LOG_FILES = jet(565), "JET_errMissingCurrentLogFiles", "a log after the restored range is missing";
    DB_TIME_TOO_OLD = jet(566), "JET_errDbTimeTooOld", "a page is older than its log expects; an earlier log is missing";
    DB_TIME_TOO_NEW = jet(567), "JET_errDbTimeTooNew",
        "a page is newer than its log allows; the database is the wrong one or lost a write";
    MISSING_FILE_TO_BACKUP = jet(569), "JET_errMissingFileToBackup", "a log that has to be backed up is gone";
    LOG_TORN_WRITE_DURING_HARD_RESTORE = jet(570), "JET_errLogTornWriteDuringHardRestore", "a restored log is torn";
    LOG_TORN_WRITE_DURING_HARD_RECOVERY = jet(571), "JET_errLogTornWriteDuringHardRecovery",
        "a log met during the recovery is torn";
    LOG_CORRUPT_DURING_HARD_RESTORE = jet(573), "JET_errLogCorruptDuringHardRestore", "a restored log is damaged";
    LOG_CORRUPT_DURING_HARD_RECOVERY = jet(574), "JET_errLogCorruptDuringHardRecovery",
        "a log met during the recovery is damaged";
    BAD_RESTORE_TARGET_INSTANCE = jet(577), "JET_errBadRestoreTargetInstance", "the restore aims at the wrong instance";
    EXISTING_LOG_FILE_HAS_BAD_SIGNATURE = jet(610), "JET_errExistingLogFileHasBadSignature",
        "an old log in the log folder belongs to another log sequence; empty the log folder before restoring";
    EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS = jet(611), "JET_errExistingLogFileIsNotContiguous",
        "an old log in the log folder does not continue the restored ones; empty the log folder before restoring";
    LOG_READ_VERIFY_FAILURE = jet(612), "JET_errLogReadVerifyFailure", "a log failed its checksum while it was backed up";
    RESTORE_OF_NON_BACKUP_DATABASE = jet(615), "JET_errRestoreOfNonBackupDatabase",
        "the database file was not made by an online backup";
    LOG_FILE_NOT_COPIED = jet(616), "JET_errLogFileNotCopied",
        "the logs cannot be truncated before every listed file was read to its end";
    SURROGATE_BACKUP_IN_PROGRESS = jet(617), "JET_errSurrogateBackupInProgress", "a backup by a surrogate is running";
    BACKUP_ABORT_BY_CALLER = jet(800), "errBackupAbortByCaller",
        "the backup was ended before it was complete; this set is not a backup";
    BACKUP_ABORT_BY_SERVER = jet(801), "JET_errBackupAbortByServer",
        "the server cancelled the backup; start it again when the service runs";
    INVALID_GRBIT = jet(900), "JET_errInvalidGrbit", "an unknown engine flag was given";
    TERM_IN_PROGRESS = jet(1000), "JET_errTermInProgress", "the database engine is shutting down";
    INVALID_PARAMETER = jet(1003), "JET_errInvalidParameter", "the database engine refused an argument";
    OUT_OF_MEMORY = jet(1011), "JET_errOutOfMemory", "the database engine ran out of memory";
    READ_VERIFY_FAILURE = jet(1018), "JET_errReadVerifyFailure", "a database page failed its checksum";
    DISK_IO = jet(1022), "JET_errDiskIO", "the disk failed to read or write";
    INVALID_PATH = jet(1023), "JET_errInvalidPath", "the database engine found no such path";
    NOT_INITIALIZED = jet(1029), "JET_errNotInitialized", "the database engine is not running";
    FILE_ACCESS_DENIED = jet(1032), "JET_errFileAccessDenied", "a file is locked, or the service may not open it";
    VERSION_STORE_OUT_OF_MEMORY = jet(1069), "JET_errVersionStoreOutOfMemory", "the server ran out of memory";
    INSTANCE_UNAVAILABLE = jet(1090), "JET_errInstanceUnavailable",
        "the database engine gave up after an error; restart the service";
    DATABASE_NOT_FOUND = jet(1203), "JET_errDatabaseNotFound", "the database does not exist";
    DATABASE_CORRUPTED = jet(1206), "JET_errDatabaseCorrupted", "the file is not a database, or is damaged";
    ATTACHED_DATABASE_MISMATCH = jet(1216), "JET_errAttachedDatabaseMismatch",
        "the database is missing, or is not the one that the logs speak of";
    CLIENT_REQUEST_TO_STOP_JET_SERVICE = jet(1329), "JET_errClientRequestToStopJetService",
        "the database engine was asked to stop";
    DISK_FULL = jet(1808), "JET_errDiskFull", "the disk of the database is full";
    PERMISSION_DENIED = jet(1809), "JET_errPermissionDenied", "the service lacks a permission on a file";
    FILE_NOT_FOUND = jet(1811), "JET_errFileNotFound", "the database or one of its logs is missing";
    LOG_CORRUPTED = jet(1852), "JET_errLogCorrupted", "the logs are damaged";
    ACCESS_DENIED = jet(1907), "JET_errAccessDenied", "the database engine was denied access to a file";
}
