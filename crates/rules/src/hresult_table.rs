//! The one table of result codes: constant, value, class, published name, a sentence of ours (certbcli.md 14.2 to 14.5,
//! wire.md 4 for those of the object layer, and winerror.h for those of the operating system and of certificates).

use crate::diagnosis::Class;
use crate::hresult::Hresult;

/// Makes the constants, [`Hresult::KNOWN`], `name`, `class` and `text` out of rows
/// `CONSTANT = value, Class, "name", "text";`. A value given twice is an unreachable pattern, which the compiler
/// reports.
macro_rules! hresult_table {
    ($( $constant:ident = $value:expr, $class:ident, $name:literal, $text:literal; )+) => {
        impl Hresult {
            $(
                #[doc = concat!("`", $name, "`: ", $text, ".")]
                pub const $constant: Hresult = $value;
            )+

            /// Every code that has a constant, in the order of the table.
            pub const KNOWN: &'static [Hresult] = &[$(Hresult::$constant),+];

            /// The published name, or nothing for a code outside the table.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Hresult::$constant => Some($name), )+
                    _ => None,
                }
            }

            /// Whose fault a failure with this code is, as far as the code alone can tell.
            ///
            /// A code outside the table is [`Class::Unreachable`] when it comes from the RPC runtime or from the
            /// sockets (Win32 errors 1700 to 1999 and 10000 to 11999), else [`Class::Refused`], because nothing says
            /// that bytes are wrong. A failure whose code says success is [`Class::Internal`].
            #[must_use]
            pub const fn class(self) -> Class {
                match self {
                    $( Hresult::$constant => Class::$class, )+
                    _ if self.is_success() => Class::Internal,
                    _ => match self.win32_error() {
                        Some(1700..=1999 | 10_000..=11_999) => Class::Unreachable,
                        _ => Class::Refused,
                    },
                }
            }

            /// One line for a user: what happened and, where the code alone can tell, what to do next. A code outside
            /// the table gets a line that says so.
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
    S_OK = bits(0x0000_0000), Internal, "S_OK", "the operation succeeded";
    ERROR_ARITHMETIC_OVERFLOW = bits(0x0000_0001), Refused, "ERROR_ARITHMETIC_OVERFLOW",
        "the server reported 1, which means nothing for a backup; treat it as a failure";
    E_NOTIMPL = bits(0x8000_4001), Refused, "E_NOTIMPL", "this feature is not built in";
    E_POINTER = bits(0x8000_4003), Internal, "E_POINTER", "a pointer is not valid";
    E_ABORT = bits(0x8000_4004), Interrupted, "E_ABORT", "the operation was stopped by the local user";
    E_FAIL = bits(0x8000_4005), Refused, "E_FAIL", "the operation failed and gave no better reason";
    E_PENDING = bits(0x8000_000A), Refused, "E_PENDING",
        "a restore is registered but not completed; complete the registration, with a failure code to give it up";
    E_UNEXPECTED = bits(0x8000_FFFF), Refused, "E_UNEXPECTED", "the call is not allowed at this point of the backup";
    ERROR_FILE_NOT_FOUND = win32(2), Refused, "ERROR_FILE_NOT_FOUND", "a file to restore is missing from the backup";
    ERROR_PATH_NOT_FOUND = win32(3), Refused, "ERROR_PATH_NOT_FOUND", "a folder on the path does not exist";
    E_ACCESSDENIED = win32(5), Refused, "E_ACCESSDENIED",
        "access is denied: the caller lacks a privilege or a CA role, or the CA's interface flags refuse this kind of caller";
    E_HANDLE = win32(6), Internal, "E_HANDLE",
        "the backup context is not valid: it is NULL, ended, or of the other kind";
    ERROR_INVALID_DATA = win32(13), Damaged, "ERROR_INVALID_DATA", "a restore map or a list is malformed";
    E_OUTOFMEMORY = win32(14), Refused, "E_OUTOFMEMORY", "memory ran out";
    ERROR_SHARING_VIOLATION = win32(32), Refused, "ERROR_SHARING_VIOLATION",
        "the files are in use; stop the certificate service before restoring";
    ERROR_HANDLE_EOF = win32(38), Damaged, "ERROR_HANDLE_EOF", "the end of the file was reached";
    ERROR_NOT_SUPPORTED = win32(50), Refused, "ERROR_NOT_SUPPORTED",
        "this is not supported here; register a restore on the CA's own machine";
    ERROR_BAD_NETPATH = win32(53), Unreachable, "ERROR_BAD_NETPATH",
        "the server name does not resolve; check its spelling";
    E_INVALIDARG = win32(87), Usage, "E_INVALIDARG", "an argument is not valid";
    ERROR_DISK_FULL = win32(112), Refused, "ERROR_DISK_FULL", "the disk is full";
    ERROR_DIR_NOT_EMPTY = win32(145), Refused, "ERROR_DIR_NOT_EMPTY",
        "the target folder is not empty; choose an empty one or force the operation";
    ERROR_ALREADY_EXISTS = win32(183), Refused, "ERROR_ALREADY_EXISTS", "the object exists already";
    ERROR_DIRECTORY = win32(267), Refused, "ERROR_DIRECTORY",
        "the backup folder has the wrong structure, or a logs-only set comes before its full set";
    ERROR_SERVICE_ALREADY_RUNNING = win32(1056), Refused, "ERROR_SERVICE_ALREADY_RUNNING",
        "the certificate service is running; stop it before restoring";
    ERROR_SERVICE_DOES_NOT_EXIST = win32(1060), Refused, "ERROR_SERVICE_DOES_NOT_EXIST",
        "no certificate service is installed there";
    ERROR_SERVICE_NOT_ACTIVE = win32(1062), Refused, "ERROR_SERVICE_NOT_ACTIVE",
        "the certificate service is not running; start it";
    ERROR_PRIVILEGE_NOT_HELD = win32(1314), Refused, "ERROR_PRIVILEGE_NOT_HELD",
        "the caller does not hold the backup or restore privilege, or has not enabled it";
    ERROR_OBJECT_ALREADY_EXISTS = win32(5010), Refused, "ERROR_OBJECT_ALREADY_EXISTS",
        "the server says the object exists already";
    ERROR_INVALID_STATE = win32(5023), Refused, "ERROR_INVALID_STATE", "the object is in the wrong state for this call";
    CERTSRV_E_SERVER_SUSPENDED = bits(0x8009_4006), Refused, "CERTSRV_E_SERVER_SUSPENDED",
        "the CA is suspended; resume it before taking a backup";

    // 14.3 RPC and COM
    RPC_S_INVALID_BINDING = win32(1702), Unreachable, "RPC_S_INVALID_BINDING",
        "the server is not a certificate service of this kind";
    RPC_S_INVALID_NET_ADDR = win32(1707), Usage, "RPC_S_INVALID_NET_ADDR",
        "the server name is not a valid network address";
    RPC_S_SERVER_UNAVAILABLE = win32(1722), Unreachable, "RPC_S_SERVER_UNAVAILABLE",
        "the host cannot be reached or its certificate service is not running";
    RPC_S_SERVER_TOO_BUSY = win32(1723), Unreachable, "RPC_S_SERVER_TOO_BUSY",
        "the server is too busy; try again later";
    RPC_S_CALL_FAILED = win32(1726), Unreachable, "RPC_S_CALL_FAILED",
        "the connection died during the call; the backup is lost and has to be started again";
    RPC_S_CALL_FAILED_DNE = win32(1727), Unreachable, "RPC_S_CALL_FAILED_DNE",
        "the call did not reach the server; it is safe to try again";
    RPC_X_BAD_STUB_DATA = win32(1783), Damaged, "RPC_X_BAD_STUB_DATA",
        "the peer sent data that the protocol does not allow";
    RPC_S_CALL_CANCELLED = win32(1818), Interrupted, "RPC_S_CALL_CANCELLED", "the call was cancelled";
    RPC_E_DISCONNECTED = bits(0x8001_0108), Unreachable, "RPC_E_DISCONNECTED",
        "the server object is gone; the certificate service was stopped or restarted";
    REGDB_E_CLASSNOTREG = bits(0x8004_0154), Unreachable, "REGDB_E_CLASSNOTREG",
        "that machine has no CA administration service";
    CO_E_NOTINITIALIZED = bits(0x8004_01F0), Internal, "CO_E_NOTINITIALIZED", "COM is not initialised in this thread";
    CO_E_SERVER_EXEC_FAILURE = bits(0x8008_0005), Unreachable, "CO_E_SERVER_EXEC_FAILURE",
        "the certificate service could not be started";

    // wire.md 4.6, 4.15: codes of activation and of the Remote Unknown
    E_NOINTERFACE = bits(0x8000_4002), Refused, "E_NOINTERFACE", "the object does not have this interface";
    RPC_E_INVALID_OBJECT = bits(0x8001_0114), Refused, "RPC_E_INVALID_OBJECT", "the server knows no such object";
    RPC_E_INVALID_OBJREF = bits(0x8001_011D), Internal, "RPC_E_INVALID_OBJREF",
        "an object reference or the properties of an activation are malformed";
    CO_E_OBJNOTREG = bits(0x8004_01FB), Refused, "CO_E_OBJNOTREG", "the server knows no such interface of an object";
    CO_E_RUNAS_LOGON_FAILURE = bits(0x8000_401A), Unreachable, "CO_E_RUNAS_LOGON_FAILURE",
        "the server cannot be started in the session that was asked for";

    // winerror.h: what a server answers of a caller's account, and of DCOM on its machine; as the status of a fault, as
    // the code of a bind or as an HRESULT
    ERROR_NO_LOGON_SERVERS = win32(1311), Refused, "ERROR_NO_LOGON_SERVERS",
        "no domain controller could check the account";
    ERROR_NO_SUCH_USER = win32(1317), Refused, "ERROR_NO_SUCH_USER", "the account does not exist";
    ERROR_LOGON_FAILURE = win32(1326), Refused, "ERROR_LOGON_FAILURE", "the account or the password is wrong";
    ERROR_ACCOUNT_RESTRICTION = win32(1327), Refused, "ERROR_ACCOUNT_RESTRICTION",
        "a rule of the account forbids the logon, such as the one against empty passwords";
    ERROR_INVALID_LOGON_HOURS = win32(1328), Refused, "ERROR_INVALID_LOGON_HOURS",
        "the account may not log on at this time of day";
    ERROR_INVALID_WORKSTATION = win32(1329), Refused, "ERROR_INVALID_WORKSTATION",
        "the account may not log on from this machine";
    ERROR_PASSWORD_EXPIRED = win32(1330), Refused, "ERROR_PASSWORD_EXPIRED", "the password of the account has expired";
    ERROR_ACCOUNT_DISABLED = win32(1331), Refused, "ERROR_ACCOUNT_DISABLED", "the account is disabled";
    ERROR_LOGON_NOT_GRANTED = win32(1380), Refused, "ERROR_LOGON_NOT_GRANTED",
        "the account may not log on to that machine over the network";
    ERROR_LOGON_TYPE_NOT_GRANTED = win32(1385), Refused, "ERROR_LOGON_TYPE_NOT_GRANTED",
        "the account may not log on to that machine in this way";
    ERROR_TIME_SKEW = win32(1398), Refused, "ERROR_TIME_SKEW", "the clocks of the two machines differ too much";
    RPC_S_UNKNOWN_AUTHN_SERVICE = win32(1747), Refused, "RPC_S_UNKNOWN_AUTHN_SERVICE",
        "the server does not know this kind of authentication";
    ERROR_TRUSTED_DOMAIN_FAILURE = win32(1788), Refused, "ERROR_TRUSTED_DOMAIN_FAILURE",
        "the trust between the two domains failed";
    ERROR_TRUSTED_RELATIONSHIP_FAILURE = win32(1789), Refused, "ERROR_TRUSTED_RELATIONSHIP_FAILURE",
        "the trust between the server and its domain failed";
    ERROR_ACCOUNT_EXPIRED = win32(1793), Refused, "ERROR_ACCOUNT_EXPIRED", "the account has expired";
    RPC_S_UNSUPPORTED_AUTHN_LEVEL = win32(1821), Refused, "RPC_S_UNSUPPORTED_AUTHN_LEVEL",
        "the server does not take this level of protection";
    ERROR_PASSWORD_MUST_CHANGE = win32(1907), Refused, "ERROR_PASSWORD_MUST_CHANGE",
        "the password has to be changed before the account logs on for the first time";
    ERROR_ACCOUNT_LOCKED_OUT = win32(1909), Refused, "ERROR_ACCOUNT_LOCKED_OUT",
        "the account is locked after too many wrong passwords";
    SEC_E_LOGON_DENIED = bits(0x8009_030C), Refused, "SEC_E_LOGON_DENIED", "the account or the password is wrong";
    CO_E_CLASS_DISABLED = bits(0x8000_4027), Refused, "CO_E_CLASS_DISABLED",
        "DCOM, or the CA's object in it, is disabled on that machine";
    RPC_E_VERSION_MISMATCH = bits(0x8001_0110), Refused, "RPC_E_VERSION_MISMATCH",
        "the server does not speak this version of DCOM";
    RPC_E_ACCESS_DENIED = bits(0x8001_011B), Refused, "RPC_E_ACCESS_DENIED",
        "the DCOM settings of that machine deny access to the account";
    RPC_E_REMOTE_DISABLED = bits(0x8001_011C), Refused, "RPC_E_REMOTE_DISABLED",
        "the DCOM settings of that machine refuse every call from another one";

    // winerror.h: what an operating system answers to a program; `certadm_files::io_hresult` says when
    ERROR_TOO_MANY_OPEN_FILES = win32(4), Refused, "ERROR_TOO_MANY_OPEN_FILES", "too many files are open";
    ERROR_NOT_SAME_DEVICE = win32(17), Refused, "ERROR_NOT_SAME_DEVICE",
        "a file cannot be moved to another file system";
    ERROR_WRITE_PROTECT = win32(19), Refused, "ERROR_WRITE_PROTECT", "the file system can only be read";
    ERROR_SEEK = win32(25), Refused, "ERROR_SEEK",
        "the file has no positions to read or write at; it is a pipe or a terminal";
    ERROR_WRITE_FAULT = win32(29), Refused, "ERROR_WRITE_FAULT", "the system took none of the bytes to write";
    ERROR_NETNAME_DELETED = win32(64), Refused, "ERROR_NETNAME_DELETED",
        "the network file system that holds the file is gone";
    ERROR_BROKEN_PIPE = win32(109), Refused, "ERROR_BROKEN_PIPE", "the program that read the output has ended";
    ERROR_BAD_ARGUMENTS = win32(160), Refused, "ERROR_BAD_ARGUMENTS", "the system does not accept this for such a file";
    ERROR_BUSY = win32(170), Refused, "ERROR_BUSY", "the file or folder is in use by the system";
    ERROR_FILENAME_EXCED_RANGE = win32(206), Refused, "ERROR_FILENAME_EXCED_RANGE",
        "a file name is too long or not allowed";
    ERROR_FILE_TOO_LARGE = win32(223), Refused, "ERROR_FILE_TOO_LARGE", "the file is larger than is allowed here";
    ERROR_DIRECTORY_NOT_SUPPORTED = win32(336), Refused, "ERROR_DIRECTORY_NOT_SUPPORTED",
        "this is a folder, and a file is needed";
    ERROR_OPERATION_ABORTED = win32(995), Interrupted, "ERROR_OPERATION_ABORTED",
        "the operation was interrupted by a signal";
    ERROR_POSSIBLE_DEADLOCK = win32(1131), Refused, "ERROR_POSSIBLE_DEADLOCK",
        "waiting for the lock of another program would never end";
    ERROR_TOO_MANY_LINKS = win32(1142), Refused, "ERROR_TOO_MANY_LINKS", "the file has too many names";
    ERROR_INTERNAL_ERROR = win32(1359), Internal, "ERROR_INTERNAL_ERROR",
        "the program met an error of its own; report it";
    RPC_S_SEC_PKG_ERROR = win32(1825), Refused, "RPC_S_SEC_PKG_ERROR",
        "the server's security package refused the logon";
    ERROR_CANT_RESOLVE_FILENAME = win32(1921), Refused, "ERROR_CANT_RESOLVE_FILENAME",
        "symbolic links on the path lead in a circle";
    WSAEWOULDBLOCK = win32(10035), Refused, "WSAEWOULDBLOCK", "the operation would have to wait, and may not";
    WSAEADDRINUSE = win32(10048), Refused, "WSAEADDRINUSE", "another program uses the address and port";
    WSAEADDRNOTAVAIL = win32(10049), Refused, "WSAEADDRNOTAVAIL", "the address is not one of this machine, or not yet";
    WSAENETDOWN = win32(10050), Unreachable, "WSAENETDOWN", "the network is down";
    WSAENETUNREACH = win32(10051), Unreachable, "WSAENETUNREACH", "no route leads to the network of the host";
    WSAECONNABORTED = win32(10053), Unreachable, "WSAECONNABORTED", "the connection was aborted";
    WSAECONNRESET = win32(10054), Unreachable, "WSAECONNRESET", "the peer reset the connection";
    WSAENOTCONN = win32(10057), Unreachable, "WSAENOTCONN", "the connection does not exist any more";
    WSAETIMEDOUT = win32(10060), Unreachable, "WSAETIMEDOUT", "no answer came in time";
    WSAECONNREFUSED = win32(10061), Unreachable, "WSAECONNREFUSED", "nothing listens at the address and port";
    WSAEHOSTUNREACH = win32(10065), Unreachable, "WSAEHOSTUNREACH", "no route leads to the host";

    // winerror.h: keys, certificates and requests
    ERROR_INVALID_PASSWORD = win32(86), Refused, "ERROR_INVALID_PASSWORD",
        "the passphrase or password is not the right one";
    NTE_BAD_KEY = bits(0x8009_0003), Refused, "NTE_BAD_KEY", "the key cannot be used";
    NTE_BAD_SIGNATURE = bits(0x8009_0006), Refused, "NTE_BAD_SIGNATURE", "the signature of the request does not verify";
    NTE_BAD_ALGID = bits(0x8009_0008), Refused, "NTE_BAD_ALGID", "the algorithm is not one that the CA accepts";
    NTE_BAD_PUBLIC_KEY = bits(0x8009_0015), Refused, "NTE_BAD_PUBLIC_KEY",
        "the public key cannot be used, or belongs to another key";
    CRYPT_E_NOT_FOUND = bits(0x8009_2004), Refused, "CRYPT_E_NOT_FOUND", "the CA has no such certificate";
    CRYPT_E_REVOKED = bits(0x8009_2010), Refused, "CRYPT_E_REVOKED", "the certificate is revoked already";
    CERTSRV_E_BAD_REQUESTSUBJECT = bits(0x8009_4001), Refused, "CERTSRV_E_BAD_REQUESTSUBJECT",
        "the subject of the request is not one that the CA accepts";
    CERTSRV_E_UNSUPPORTED_CERT_TYPE = bits(0x8009_4800), Refused, "CERTSRV_E_UNSUPPORTED_CERT_TYPE",
        "the CA has no such profile";
    CERTSRV_E_KEY_LENGTH = bits(0x8009_4811), Refused, "CERTSRV_E_KEY_LENGTH", "the key of the request is too short";
    TRUST_E_BAD_DIGEST = bits(0x8009_6010), Damaged, "TRUST_E_BAD_DIGEST",
        "the signature of the set does not fit what it signs";
    TRUST_E_BASIC_CONSTRAINTS = bits(0x8009_6019), Refused, "TRUST_E_BASIC_CONSTRAINTS",
        "the certificate may not, or must, be that of a CA";
    TRUST_E_SUBJECT_NOT_TRUSTED = bits(0x800B_0004), Refused, "TRUST_E_SUBJECT_NOT_TRUSTED",
        "the signature is not by one whose signatures count";
    TRUST_E_NOSIGNATURE = bits(0x800B_0100), Refused, "TRUST_E_NOSIGNATURE", "there is no signature";
    CERT_E_EXPIRED = bits(0x800B_0101), Refused, "CERT_E_EXPIRED", "the certificate is not valid at this time";
    CERT_E_WRONG_USAGE = bits(0x800B_0110), Refused, "CERT_E_WRONG_USAGE", "the certificate may not be used for this";

    // 14.4 Backup-library codes of the sister API
    HR_NYI = bits(0xC000_0001), Refused, "hrNyi", "the backup library does not implement this";
    HR_INVALID_PARAM = bits(0xC7FF_0001), Usage, "hrInvalidParam", "a parameter is not valid";
    HR_ERROR = bits(0xC7FF_0002), Refused, "hrError", "the backup library met an internal error";
    HR_INVALID_HANDLE = bits(0xC7FF_0003), Internal, "hrInvalidHandle", "the handle is not valid, or no file is open";
    HR_RESTORE_IN_PROGRESS = bits(0xC7FF_0004), Refused, "hrRestoreInProgress",
        "a restore is registered and not yet completed; complete it first";
    HR_ALREADY_OPEN = bits(0xC7FF_0005), Refused, "hrAlreadyOpen", "the file is open already";
    HR_INVALID_RECIPS = bits(0xC7FF_0006), Usage, "hrInvalidRecips", "the recipients are not valid";
    HR_COULD_NOT_CONNECT = bits(0xC7FF_0007), Unreachable, "hrCouldNotConnect",
        "no connection could be made, or the service is not running";
    HR_RESTORE_MAP_EXISTS = bits(0xC7FF_0008), Refused, "hrRestoreMapExists",
        "a restore map is registered already; only the full restore brings one";
    HR_INCREMENTAL_BACKUP_DISABLED = bits(0xC7FF_0009), Refused, "hrIncrementalBackupDisabled",
        "the database has changed so that a full backup is needed first";
    HR_LOG_FILE_NOT_FOUND = bits(0xC7FF_000A), Damaged, "hrLogFileNotFound",
        "a log that the logs-only backup needs is missing; take a full backup";
    HR_CIRCULAR_LOGGING = bits(0xC7FF_000B), Refused, "hrCircularLogging",
        "circular logging is on, so only full backups are possible";
    HR_NO_FULL_RESTORE = bits(0xC7FF_000C), Refused, "hrNoFullRestore",
        "a logs-only set cannot be registered before its full set; register the full set first";
    HR_COMMUNICATION_ERROR = bits(0xC7FF_000D), Unreachable, "hrCommunicationError",
        "communication failed during a local backup";
    HR_FULL_BACKUP_NOT_TAKEN = bits(0xC7FF_000E), Refused, "hrFullBackupNotTaken",
        "no full backup was taken yet; take one first";
    HR_MISSING_EXPIRY_TOKEN = bits(0xC7FF_000F), Refused, "hrMissingExpiryToken", "the expiry token is missing";
    HR_UNKNOWN_EXPIRY_TOKEN_FORMAT = bits(0xC7FF_0010), Refused, "hrUnknownExpiryTokenFormat",
        "the format of the expiry token is unknown";
    HR_CONTENTS_EXPIRED = bits(0xC7FF_0011), Refused, "hrContentsExpired", "the contents of the backup have expired";

    // 14.5 Engine codes
    BAD_PAGE_LINK = jet(327), Damaged, "JET_errBadPageLink", "a page does not name its neighbours";
    BAD_PARENT_PAGE_LINK = jet(338), Damaged, "JET_errBadParentPageLink", "a page does not fit the page above it";
    LOG_FILE_CORRUPT = jet(501), Damaged, "JET_errLogFileCorrupt", "a log file is damaged";
    BACKUP_IN_PROGRESS = jet(505), Refused, "JET_errBackupInProgress",
        "another backup of this CA is running; wait until it ends";
    RESTORE_IN_PROGRESS = jet(506), Refused, "JET_errRestoreInProgress", "the database is being restored";
    MISSING_PREVIOUS_LOG_FILE = jet(509), Damaged, "JET_errMissingPreviousLogFile",
        "the log in which the checkpoint lies is missing";
    LOG_WRITE_FAIL = jet(510), Refused, "JET_errLogWriteFail",
        "the log cannot be written; check the log folder and its disk";
    LOG_GENERATION_MISMATCH = jet(513), Damaged, "JET_errLogGenerationMismatch",
        "a log's file name and the generation in its header disagree";
    BAD_LOG_VERSION = jet(514), Damaged, "JET_errBadLogVersion", "a log was written by another version of the engine";
    INVALID_LOG_SEQUENCE = jet(515), Damaged, "JET_errInvalidLogSequence", "a log does not follow the one before it";
    LOGGING_DISABLED = jet(516), Refused, "JET_errLoggingDisabled", "logging is off, so no online backup is possible";
    LOG_SEQUENCE_END = jet(519), Refused, "JET_errLogSequenceEnd", "the log generations are used up";
    NO_BACKUP = jet(520), Refused, "JET_errNoBackup", "no backup is running";
    INVALID_BACKUP_SEQUENCE = jet(521), Refused, "JET_errInvalidBackupSequence",
        "the backup call is out of order, or does not fit this kind of backup";
    BACKUP_NOT_ALLOWED_YET = jet(523), Refused, "JET_errBackupNotAllowedYet",
        "the database is recovering or stopping; try again later";
    INVALID_BACKUP = jet(526), Refused, "JET_errInvalidBackup",
        "a logs-only backup is impossible with circular logging; take a full backup";
    RECOVERED_WITH_ERRORS = jet(527), Damaged, "JET_errRecoveredWithErrors", "the recovery finished, but met errors";
    MISSING_LOG_FILE = jet(528), Damaged, "JET_errMissingLogFile", "the current log is missing";
    LOG_DISK_FULL = jet(529), Refused, "JET_errLogDiskFull", "the disk of the logs is full";
    BAD_LOG_SIGNATURE = jet(530), Damaged, "JET_errBadLogSignature",
        "a log belongs to another log sequence; remove foreign logs from the log folder";
    BAD_DB_SIGNATURE = jet(531), Damaged, "JET_errBadDbSignature", "the database belongs to another log sequence";
    BAD_CHECKPOINT_SIGNATURE = jet(532), Damaged, "JET_errBadCheckpointSignature",
        "the checkpoint belongs to another log sequence";
    CHECKPOINT_CORRUPT = jet(533), Damaged, "JET_errCheckpointCorrupt", "the checkpoint file is damaged";
    PATCH_FILE_MISSING = jet(538), Damaged, "JET_errPatchFileMissing", "the patch file is missing from the backup";
    DATABASE_LOG_SET_MISMATCH = jet(539), Damaged, "JET_errDatabaseLogSetMismatch",
        "the database and the logs do not belong together";
    LOG_FILE_SIZE_MISMATCH = jet(541), Damaged, "JET_errLogFileSizeMismatch",
        "a log has another size than the engine is set to";
    CHECKPOINT_FILE_NOT_FOUND = jet(542), Damaged, "JET_errCheckpointFileNotFound", "the checkpoint file is missing";
    REQUIRED_LOG_FILES_MISSING = jet(543), Damaged, "JET_errRequiredLogFilesMissing",
        "logs that the recovery needs are missing";
    SOFT_RECOVERY_ON_BACKUP_DATABASE = jet(544), Damaged, "JET_errSoftRecoveryOnBackupDatabase",
        "a database from a backup was started without a registered restore; register the restore first";
    STREAMING_DATA_NOT_LOGGED = jet(549), Damaged, "JET_errStreamingDataNotLogged",
        "the logs cannot be replayed over data that was never logged";
    DATABASE_DIRTY_SHUTDOWN = jet(550), Damaged, "JET_errDatabaseDirtyShutdown",
        "the database was not closed cleanly and needs its logs";
    CONSISTENT_TIME_MISMATCH = jet(551), Damaged, "JET_errConsistentTimeMismatch",
        "the database and the logs disagree about when it was last consistent";
    DATABASE_PATCH_FILE_MISMATCH = jet(552), Damaged, "JET_errDatabasePatchFileMismatch",
        "the backup trailer of the database does not fit the database";
    ENDING_RESTORE_LOG_TOO_LOW = jet(553), Damaged, "JET_errEndingRestoreLogTooLow",
        "the range of logs ends too early for this database";
    STARTING_RESTORE_LOG_TOO_HIGH = jet(554), Damaged, "JET_errStartingRestoreLogTooHigh",
        "the range of logs starts too late for this database";
    GIVEN_LOG_FILE_HAS_BAD_SIGNATURE = jet(555), Damaged, "JET_errGivenLogFileHasBadSignature",
        "one of the restored logs belongs to another log sequence";
    GIVEN_LOG_FILE_IS_NOT_CONTIGUOUS = jet(556), Damaged, "JET_errGivenLogFileIsNotContiguous",
        "one of the restored logs does not follow the one before it";
    MISSING_RESTORE_LOG_FILES = jet(557), Damaged, "JET_errMissingRestoreLogFiles",
        "a generation in the range of logs is missing from the backup";
    MISSING_FULL_BACKUP = jet(560), Refused, "JET_errMissingFullBackup",
        "there is no full backup to build on; take a full backup that truncates its logs";
    BAD_BACKUP_DATABASE_SIZE = jet(561), Damaged, "JET_errBadBackupDatabaseSize",
        "the size of the backed-up database is not a whole number of pages";
    MISSING_CURRENT_LOG_FILES = jet(565), Damaged, "JET_errMissingCurrentLogFiles",
        "a log after the restored range is missing";
    DB_TIME_TOO_OLD = jet(566), Damaged, "JET_errDbTimeTooOld",
        "a page is older than its log expects; an earlier log is missing";
    DB_TIME_TOO_NEW = jet(567), Damaged, "JET_errDbTimeTooNew",
        "a page is newer than its log allows; the database is the wrong one or lost a write";
    MISSING_FILE_TO_BACKUP = jet(569), Damaged, "JET_errMissingFileToBackup", "a log that has to be backed up is gone";
    LOG_TORN_WRITE_DURING_HARD_RESTORE = jet(570), Damaged, "JET_errLogTornWriteDuringHardRestore",
        "a restored log is torn";
    LOG_TORN_WRITE_DURING_HARD_RECOVERY = jet(571), Damaged, "JET_errLogTornWriteDuringHardRecovery",
        "a log met during the recovery is torn";
    LOG_CORRUPT_DURING_HARD_RESTORE = jet(573), Damaged, "JET_errLogCorruptDuringHardRestore",
        "a restored log is damaged";
    LOG_CORRUPT_DURING_HARD_RECOVERY = jet(574), Damaged, "JET_errLogCorruptDuringHardRecovery",
        "a log met during the recovery is damaged";
    BAD_RESTORE_TARGET_INSTANCE = jet(577), Refused, "JET_errBadRestoreTargetInstance",
        "the restore aims at the wrong instance";
    EXISTING_LOG_FILE_HAS_BAD_SIGNATURE = jet(610), Damaged, "JET_errExistingLogFileHasBadSignature",
        "an old log in the log folder belongs to another log sequence; empty the log folder before restoring";
    EXISTING_LOG_FILE_IS_NOT_CONTIGUOUS = jet(611), Damaged, "JET_errExistingLogFileIsNotContiguous",
        "an old log in the log folder does not continue the restored ones; empty the log folder before restoring";
    LOG_READ_VERIFY_FAILURE = jet(612), Damaged, "JET_errLogReadVerifyFailure",
        "a log failed its checksum while it was backed up";
    RESTORE_OF_NON_BACKUP_DATABASE = jet(615), Damaged, "JET_errRestoreOfNonBackupDatabase",
        "the database file was not made by an online backup";
    LOG_FILE_NOT_COPIED = jet(616), Refused, "JET_errLogFileNotCopied",
        "the logs cannot be truncated before every listed file was read to its end";
    SURROGATE_BACKUP_IN_PROGRESS = jet(617), Refused, "JET_errSurrogateBackupInProgress",
        "a backup by a surrogate is running";
    BACKUP_ABORT_BY_CALLER = jet(800), Refused, "errBackupAbortByCaller",
        "the backup was ended before it was complete; this set is not a backup";
    BACKUP_ABORT_BY_SERVER = jet(801), Refused, "JET_errBackupAbortByServer",
        "the server cancelled the backup; start it again when the service runs";
    INVALID_GRBIT = jet(900), Internal, "JET_errInvalidGrbit", "an unknown engine flag was given";
    TERM_IN_PROGRESS = jet(1000), Refused, "JET_errTermInProgress", "the database engine is shutting down";
    INVALID_PARAMETER = jet(1003), Usage, "JET_errInvalidParameter", "the database engine refused an argument";
    OUT_OF_MEMORY = jet(1011), Refused, "JET_errOutOfMemory", "the database engine ran out of memory";
    READ_VERIFY_FAILURE = jet(1018), Damaged, "JET_errReadVerifyFailure", "a database page failed its checksum";
    PAGE_NOT_INITIALIZED = jet(1019), Damaged, "JET_errPageNotInitialized", "a database page in use was never written";
    DISK_IO = jet(1022), Damaged, "JET_errDiskIO", "the disk failed to read or write";
    INVALID_PATH = jet(1023), Refused, "JET_errInvalidPath", "the database engine found no such path";
    NOT_INITIALIZED = jet(1029), Refused, "JET_errNotInitialized", "the database engine is not running";
    FILE_ACCESS_DENIED = jet(1032), Refused, "JET_errFileAccessDenied",
        "a file is locked, or the service may not open it";
    VERSION_STORE_OUT_OF_MEMORY = jet(1069), Refused, "JET_errVersionStoreOutOfMemory", "the server ran out of memory";
    INSTANCE_UNAVAILABLE = jet(1090), Refused, "JET_errInstanceUnavailable",
        "the database engine gave up after an error; restart the service";
    READ_LOST_FLUSH_VERIFY_FAILURE = jet(1119), Damaged, "JET_errReadLostFlushVerifyFailure",
        "the last write of a database page did not arrive";
    DATABASE_NOT_FOUND = jet(1203), Damaged, "JET_errDatabaseNotFound", "the database does not exist";
    DATABASE_CORRUPTED = jet(1206), Damaged, "JET_errDatabaseCorrupted", "the file is not a database, or is damaged";
    ATTACHED_DATABASE_MISMATCH = jet(1216), Damaged, "JET_errAttachedDatabaseMismatch",
        "the database is missing, or is not the one that the logs speak of";
    CLIENT_REQUEST_TO_STOP_JET_SERVICE = jet(1329), Refused, "JET_errClientRequestToStopJetService",
        "the database engine was asked to stop";
    SECONDARY_INDEX_CORRUPTED = jet(1414), Damaged, "JET_errSecondaryIndexCorrupted",
        "an index does not fit its table";
    LV_CORRUPTED = jet(1526), Damaged, "JET_errLVCorrupted", "a long value lacks a part, or is not there";
    DISK_FULL = jet(1808), Refused, "JET_errDiskFull", "the disk of the database is full";
    PERMISSION_DENIED = jet(1809), Refused, "JET_errPermissionDenied", "the service lacks a permission on a file";
    FILE_NOT_FOUND = jet(1811), Damaged, "JET_errFileNotFound", "the database or one of its logs is missing";
    LOG_CORRUPTED = jet(1852), Damaged, "JET_errLogCorrupted", "the logs are damaged";
    ACCESS_DENIED = jet(1907), Refused, "JET_errAccessDenied", "the database engine was denied access to a file";
}
