//! Which HRESULT stands for an error of the operating system, and what to do about it: one table.
//!
//! The codes are those that Windows has for the same error, so that both systems answer alike. Only what says that
//! bytes are wrong (a failing medium, a file that ends too early, data that is not what it should be) has a code of
//! class `Damaged`; everything else is refused, unreachable or interrupted (`certadm_rules::diagnosis::Class`).

use std::io::{self, ErrorKind};

use certadm_rules::Hresult;

/// The HRESULT for an error of the operating system.
///
/// ```
/// use std::io::{Error, ErrorKind};
///
/// use certadm_files::io_hresult;
/// use certadm_rules::Hresult;
///
/// assert_eq!(io_hresult(&Error::from(ErrorKind::AddrInUse)), Hresult::WSAEADDRINUSE);
/// ```
pub fn io_hresult(error: &io::Error) -> Hresult {
    row(error).0
}

/// What to do about an error of the operating system, in one sentence.
pub fn io_remedy(error: &io::Error) -> &'static str {
    row(error).1
}

fn row(error: &io::Error) -> (Hresult, &'static str) {
    let known = error.raw_os_error().and_then(row_by_number).or_else(|| row_by_kind(error.kind()));
    known.unwrap_or_else(|| (unknown(error), "look at what the system says, and try again"))
}

/// Errors to which the standard library gives no kind.
#[cfg(unix)]
fn row_by_number(number: i32) -> Option<(Hresult, &'static str)> {
    use rustix::io::Errno;
    Some(match Errno::from_raw_os_error(number) {
        Errno::IO => (Hresult::DISK_IO, CHECK_DISK),
        // Checksums and structures of the file system itself.
        #[cfg(target_os = "linux")]
        Errno::BADMSG | Errno::UCLEAN => (Hresult::DISK_IO, CHECK_DISK),
        Errno::MFILE | Errno::NFILE => (
            Hresult::ERROR_TOO_MANY_OPEN_FILES,
            "raise the limit of open files (`ulimit -n`, LimitNOFILE= of the unit)",
        ),
        Errno::LOOP => {
            (Hresult::ERROR_CANT_RESOLVE_FILENAME, "name the file itself, and not a symbolic link to it")
        }
        _ => return None,
    })
}

/// Errors of Windows to which the standard library gives no kind.
#[cfg(not(unix))]
fn row_by_number(number: i32) -> Option<(Hresult, &'static str)> {
    Some(match number {
        // ERROR_CRC, _SECTOR_NOT_FOUND, _READ_FAULT, _IO_DEVICE, _FILE_CORRUPT, _DISK_CORRUPT
        23 | 27 | 30 | 1117 | 1392 | 1393 => (Hresult::DISK_IO, CHECK_DISK),
        // ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION
        32 | 33 => (Hresult::ERROR_SHARING_VIOLATION, "close the file in the other program"),
        _ => return None,
    })
}

const CHECK_DISK: &str = "check the disk and the system's log, then try again";

fn row_by_kind(kind: ErrorKind) -> Option<(Hresult, &'static str)> {
    const NETWORK: &str = "check the network between the hosts, then try again";
    Some(match kind {
        ErrorKind::NotFound => (Hresult::ERROR_FILE_NOT_FOUND, "check the path"),
        ErrorKind::PermissionDenied => {
            (Hresult::E_ACCESSDENIED, "use an account that has the right to it, or another path")
        }
        ErrorKind::ReadOnlyFilesystem => {
            (Hresult::ERROR_WRITE_PROTECT, "name a place on a file system that can be written")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (Hresult::ERROR_DISK_FULL, "free some space there, and try again")
        }
        ErrorKind::AlreadyExists => {
            (Hresult::ERROR_ALREADY_EXISTS, "name another place; nothing is ever overwritten")
        }
        ErrorKind::IsADirectory => (Hresult::ERROR_DIRECTORY_NOT_SUPPORTED, "name a file; this is a folder"),
        ErrorKind::NotADirectory => {
            (Hresult::ERROR_DIRECTORY, "check the path; a part of it that must be a folder is a file")
        }
        ErrorKind::DirectoryNotEmpty => (Hresult::ERROR_DIR_NOT_EMPTY, "name an empty folder"),
        ErrorKind::InvalidFilename => {
            (Hresult::ERROR_FILENAME_EXCED_RANGE, "choose a shorter name, without special characters")
        }
        ErrorKind::FileTooLarge => {
            (Hresult::ERROR_FILE_TOO_LARGE, "use a file system that has room for files of this size")
        }
        ErrorKind::TooManyLinks => (Hresult::ERROR_TOO_MANY_LINKS, "use another file system"),
        ErrorKind::CrossesDevices => {
            (Hresult::ERROR_NOT_SAME_DEVICE, "name a place on the file system that holds the file")
        }
        ErrorKind::NotSeekable => (Hresult::ERROR_SEEK, "name a file on a disk, not a pipe or a device"),
        ErrorKind::ExecutableFileBusy => {
            (Hresult::ERROR_SHARING_VIOLATION, "end the program that runs from this file")
        }
        ErrorKind::ResourceBusy => (Hresult::ERROR_BUSY, "wait until the system has finished with it"),
        ErrorKind::Deadlock => {
            (Hresult::ERROR_POSSIBLE_DEADLOCK, "try again when the other programs on this CA have ended")
        }
        ErrorKind::StaleNetworkFileHandle => {
            (Hresult::ERROR_NETNAME_DELETED, "mount the network file system again")
        }
        ErrorKind::InvalidInput | ErrorKind::ArgumentListTooLong => {
            (Hresult::ERROR_BAD_ARGUMENTS, "name a shorter path, or another kind of file")
        }
        ErrorKind::Unsupported => {
            (Hresult::ERROR_NOT_SUPPORTED, "use a file system or a system that has this feature")
        }
        ErrorKind::OutOfMemory => (Hresult::E_OUTOFMEMORY, "free some memory and try again"),
        ErrorKind::WouldBlock => (Hresult::WSAEWOULDBLOCK, "try again"),
        ErrorKind::WriteZero => (Hresult::ERROR_WRITE_FAULT, "check the place that is written to"),
        ErrorKind::BrokenPipe => {
            (Hresult::ERROR_BROKEN_PIPE, "keep the program running that reads the output")
        }
        ErrorKind::Interrupted => (Hresult::ERROR_OPERATION_ABORTED, "start again"),
        ErrorKind::InvalidData => (Hresult::ERROR_INVALID_DATA, "take the file from a copy"),
        ErrorKind::UnexpectedEof => {
            (Hresult::ERROR_HANDLE_EOF, "take the file from a copy; it ends too early")
        }
        ErrorKind::AddrInUse => {
            (Hresult::WSAEADDRINUSE, "name another port, or end the program that uses this one")
        }
        ErrorKind::AddrNotAvailable => {
            (Hresult::WSAEADDRNOTAVAIL, "name an address of this machine, or wait until it has it")
        }
        ErrorKind::NetworkDown => (Hresult::WSAENETDOWN, NETWORK),
        ErrorKind::NetworkUnreachable => (Hresult::WSAENETUNREACH, NETWORK),
        ErrorKind::HostUnreachable => (Hresult::WSAEHOSTUNREACH, NETWORK),
        ErrorKind::ConnectionRefused => {
            (Hresult::WSAECONNREFUSED, "start the service that should listen there")
        }
        ErrorKind::ConnectionReset => (Hresult::WSAECONNRESET, NETWORK),
        ErrorKind::ConnectionAborted => (Hresult::WSAECONNABORTED, NETWORK),
        ErrorKind::NotConnected => (Hresult::WSAENOTCONN, NETWORK),
        ErrorKind::TimedOut => (Hresult::WSAETIMEDOUT, NETWORK),
        _ => return None,
    })
}

/// The code for an error without a row: on Windows the number is a code already.
fn unknown(error: &io::Error) -> Hresult {
    let number = error.raw_os_error().filter(|_| cfg!(windows)).and_then(|number| u32::try_from(number).ok());
    number.map_or(Hresult::E_FAIL, Hresult::from_win32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use certadm_rules::diagnosis::Class;

    use super::*;

    /// Every kind that the standard library has, with the class it must have. `Other` has no code of its own.
    const KINDS: [(ErrorKind, Class); 39] = [
        (ErrorKind::NotFound, Class::Refused),
        (ErrorKind::PermissionDenied, Class::Refused),
        (ErrorKind::ConnectionRefused, Class::Unreachable),
        (ErrorKind::ConnectionReset, Class::Unreachable),
        (ErrorKind::HostUnreachable, Class::Unreachable),
        (ErrorKind::NetworkUnreachable, Class::Unreachable),
        (ErrorKind::ConnectionAborted, Class::Unreachable),
        (ErrorKind::NotConnected, Class::Unreachable),
        (ErrorKind::AddrInUse, Class::Refused),
        (ErrorKind::AddrNotAvailable, Class::Refused),
        (ErrorKind::NetworkDown, Class::Unreachable),
        (ErrorKind::BrokenPipe, Class::Refused),
        (ErrorKind::AlreadyExists, Class::Refused),
        (ErrorKind::WouldBlock, Class::Refused),
        (ErrorKind::NotADirectory, Class::Refused),
        (ErrorKind::IsADirectory, Class::Refused),
        (ErrorKind::DirectoryNotEmpty, Class::Refused),
        (ErrorKind::ReadOnlyFilesystem, Class::Refused),
        (ErrorKind::StaleNetworkFileHandle, Class::Refused),
        (ErrorKind::InvalidInput, Class::Refused),
        (ErrorKind::InvalidData, Class::Damaged),
        (ErrorKind::TimedOut, Class::Unreachable),
        (ErrorKind::WriteZero, Class::Refused),
        (ErrorKind::StorageFull, Class::Refused),
        (ErrorKind::NotSeekable, Class::Refused),
        (ErrorKind::QuotaExceeded, Class::Refused),
        (ErrorKind::FileTooLarge, Class::Refused),
        (ErrorKind::ResourceBusy, Class::Refused),
        (ErrorKind::ExecutableFileBusy, Class::Refused),
        (ErrorKind::Deadlock, Class::Refused),
        (ErrorKind::CrossesDevices, Class::Refused),
        (ErrorKind::TooManyLinks, Class::Refused),
        (ErrorKind::InvalidFilename, Class::Refused),
        (ErrorKind::ArgumentListTooLong, Class::Refused),
        (ErrorKind::Interrupted, Class::Interrupted),
        (ErrorKind::Unsupported, Class::Refused),
        (ErrorKind::UnexpectedEof, Class::Damaged),
        (ErrorKind::OutOfMemory, Class::Refused),
        (ErrorKind::Other, Class::Refused),
    ];

    #[test]
    fn every_kind_has_a_code_of_its_own_and_the_class_that_is_meant() {
        for (kind, class) in KINDS {
            let error = io::Error::from(kind);
            let code = io_hresult(&error);
            assert_eq!(code == Hresult::E_FAIL, kind == ErrorKind::Other, "{kind:?}: {code}");
            assert!(code.name().is_some(), "{kind:?}: {code} is not in the table");
            assert_eq!(code.class(), class, "{kind:?}: {code}");
            let remedy = io_remedy(&error);
            assert!(!remedy.is_empty() && !remedy.ends_with('.'), "{kind:?}: {remedy}");
        }
    }

    /// All numbers of the system: a kind that the list above does not have, or damage where none is, shows here.
    #[cfg(target_os = "linux")]
    #[test]
    fn every_number_of_the_system_has_a_code() {
        use rustix::io::Errno;
        let damage = [Errno::IO, Errno::BADMSG, Errno::UCLEAN].map(Errno::raw_os_error);
        let without_kind = ["Uncategorized", "InProgress", "FilesystemLoop"];
        let mut kinds = BTreeSet::new();
        for number in 1..=133 {
            let error = io::Error::from_raw_os_error(number);
            let kind = format!("{:?}", error.kind());
            let listed = KINDS.iter().any(|(listed, _)| *listed == error.kind());
            assert!(listed || without_kind.contains(&kind.as_str()), "{error}: no test has the kind {kind}");
            kinds.insert(kind);
            let code = io_hresult(&error);
            assert!(code.name().is_some(), "{error}: {code} is not in the table");
            assert_eq!(code.class() == Class::Damaged, damage.contains(&number), "{error}: {code}");
        }
        assert!(30 < kinds.len(), "these are not the system's numbers: {kinds:?}");
        for (errno, code) in [
            (Errno::MFILE, Hresult::ERROR_TOO_MANY_OPEN_FILES),
            (Errno::NFILE, Hresult::ERROR_TOO_MANY_OPEN_FILES),
            (Errno::LOOP, Hresult::ERROR_CANT_RESOLVE_FILENAME),
            (Errno::NAMETOOLONG, Hresult::ERROR_FILENAME_EXCED_RANGE),
            (Errno::NXIO, Hresult::E_FAIL),
        ] {
            assert_eq!(io_hresult(&errno.into()), code, "{errno}");
        }
    }
}
