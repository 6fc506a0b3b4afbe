//! The 18 functions of `certbcli.h` (certbcli.md 3.3, 6).
//!
//! In each: results are set to nothing first, then a missing place for one is refused, then the handle, then the other
//! arguments, then the CA or the rules of a registration have their say (certbcli.md D5). Every function gives `S_OK`
//! or a failure; `E_FAIL` besides the codes named stands for a defect of this library.
//!
//! Strings are UTF-16, ended by a NUL (D32). Sizes are bytes. A context may be used from any thread, by one call at a
//! time; others wait (D24).

use std::ffi::c_void;
use std::ptr::NonNull;

use certadm_rules::Hresult;
use certadm_rules::registration::Registration;
use certadm_session::Source;

use crate::backup::{self, Backup};
use crate::guard::{guard, guard_void};
pub use crate::handles::HCSBC;
use crate::handles::{self, Context};
use crate::memory::{self, CallersList};
pub use crate::pointers::CSEDB_RSTMAPW;
use crate::pointers::{self, Out, Wide};
use crate::registrar::Form;
use crate::restore::{self, Restore};

/// Whether a CA serves requests and the caller may read it (certbcli.md 6.1, D7): 1 or 0. A CA that does not run is a
/// failure.
///
/// Errors: `E_INVALIDARG` for the name (D6) or a NULL place; 0x800706BA and the others of 14.3; `E_ACCESSDENIED`.
///
/// # Safety
/// `server_name` is NULL or a string; `online` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvIsServerOnlineW(server_name: *const u16, online: *mut i32) -> i32 {
    guard("CertSrvIsServerOnlineW", || {
        // SAFETY: the caller's promise.
        let online = unsafe { Out::new(online, 0) }.required()?;
        // SAFETY: the caller's promise.
        let name = unsafe { Wide::read(server_name) }.required()?;
        online.set(backup::is_online(&name)?.into());
        Ok(())
    })
}

/// Begins a backup (certbcli.md 6.2, D1, D6, D8). One `CertSrvBackupEnd` is owed for each success.
///
/// Errors: `E_INVALIDARG` for the name, the flags or a NULL place; 0xC8000384 for unknown bits of `grbit_jet`; 0xC80001F9
/// while another backup runs; 0xC8000230 and 0xC800020E for logs alone; `E_ACCESSDENIED`; those of 14.3.
///
/// # Safety
/// `server_name` is NULL or a string; `context` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupPrepareW(
    server_name: *const u16,
    grbit_jet: u32,
    backup_flags: u32,
    context: *mut HCSBC,
) -> i32 {
    guard("CertSrvBackupPrepareW", || {
        // SAFETY: the caller's promise.
        let context = unsafe { Out::new(context, std::ptr::null_mut()) }.required()?;
        // SAFETY: the caller's promise.
        let name = unsafe { Wide::read(server_name) }.required()?;
        let backup = Backup::prepare(&name, grbit_jet, backup_flags)?;
        context.set(handles::open(Context::Backup(backup.into()))?);
        Ok(())
    })
}

/// The databases of a full backup, each behind its tag (certbcli.md 6.3). Give the list back by `CertSrvBackupFree`.
///
/// Errors: `E_INVALIDARG` for a NULL place, `E_HANDLE`, 0xC8000209 in a backup of logs alone, 0xC8000321, those of 14.3.
///
/// # Safety
/// `list` and `size` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupGetDatabaseNamesW(
    context: HCSBC,
    list: *mut *mut u16,
    size: *mut u32,
) -> i32 {
    let call = || {
        let names = handles::find::<Backup>(context)?.call(Source::database_names)?;
        backup::tagged(&names)
    };
    // SAFETY: the caller's promise.
    unsafe { list_call("CertSrvBackupGetDatabaseNamesW", list, size, call) }
}

/// Opens a listed file, its tag left out, and says how many bytes reads will deliver (certbcli.md 6.4, D9). One
/// `CertSrvBackupClose` is owed for each success. `read_hint` counts at the first file of a context: the size in bytes of
/// the reads to come, 0 for no idea.
///
/// Errors: `E_INVALIDARG` for a NULL place and for a name that is empty, malformed or not listed; `E_HANDLE`;
/// `E_UNEXPECTED` while a file is open; 0xC8000209 out of phase; 0xC8000239 when the file is gone; 0xC8000321; those of
/// 14.3.
///
/// # Safety
/// `name` is NULL or a string; `file_size` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupOpenFileW(
    context: HCSBC,
    name: *const u16,
    read_hint: u32,
    file_size: *mut i64,
) -> i32 {
    guard("CertSrvBackupOpenFileW", || {
        // SAFETY: the caller's promise.
        let file_size = unsafe { Out::new(file_size, 0) }.required()?;
        let backup = handles::find::<Backup>(context)?;
        // SAFETY: the caller's promise.
        let name = unsafe { Wide::read(name) }.required()?;
        let size = backup.call(|ca| ca.open_file(&name, read_hint))?;
        // More than 8 EiB are no file.
        file_size.set(i64::try_from(size).map_err(|_| Hresult::ERROR_INVALID_DATA)?);
        Ok(())
    })
}

/// Reads on in the open file (certbcli.md 6.5, D10, D11). The buffer is filled except at the end of the file; after it
/// the call succeeds with 0 bytes.
///
/// Errors: `E_INVALIDARG` for a NULL buffer or place and for a buffer of 0 bytes; `E_HANDLE`; `E_UNEXPECTED` when no file
/// is open; 0xC80003FA, 0xC8000264, 0xC8000321; those of 14.3.
///
/// # Safety
/// `buffer` is NULL, or `size` bytes there can be written to; `read` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupRead(
    context: HCSBC,
    buffer: *mut c_void,
    size: u32,
    read: *mut u32,
) -> i32 {
    guard("CertSrvBackupRead", || {
        // SAFETY: the caller's promise.
        let read = unsafe { Out::new(read, 0) }.required()?;
        let buffer = NonNull::new(buffer.cast::<u8>()).ok_or(Hresult::E_INVALIDARG)?;
        let backup = handles::find::<Backup>(context)?;
        // SAFETY: the caller's promise, and the pointer is not NULL.
        let buffer = unsafe { pointers::buffer(buffer, size) }?;
        let count = backup.call(|ca| ca.read(buffer))?;
        // No more than `size`, which has 32 bits.
        read.set(u32::try_from(count).map_err(|_| Hresult::E_UNEXPECTED)?);
        Ok(())
    })
}

/// Closes the open file, not the context (certbcli.md 6.6). Owed once for each opened file; needed before the next one,
/// before the list of logs and before truncation. A file closed early does not count as backed up.
///
/// Errors: `E_HANDLE`; `E_UNEXPECTED` when no file is open; those of 14.3.
///
/// # Safety
/// None beyond that of any foreign call.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupClose(context: HCSBC) -> i32 {
    guard("CertSrvBackupClose", || handles::find::<Backup>(context)?.call(Source::close_file))
}

/// The logs of this backup, each behind its tag (certbcli.md 6.7). The first call ends the database phase. Give the list
/// back by `CertSrvBackupFree`.
///
/// Errors: `E_INVALIDARG` for a NULL place, `E_HANDLE`, 0xC8000209 while a file is open, 0xC8000239 when a log is
/// missing, 0xC8000321, those of 14.3.
///
/// # Safety
/// `list` and `size` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupGetBackupLogsW(
    context: HCSBC,
    list: *mut *mut u16,
    size: *mut u32,
) -> i32 {
    let call = || {
        let logs = handles::find::<Backup>(context)?.call(Source::backup_logs)?;
        backup::tagged(&logs)
    };
    // SAFETY: the caller's promise.
    unsafe { list_call("CertSrvBackupGetBackupLogsW", list, size, call) }
}

/// Deletes the logs that this backup makes redundant (certbcli.md 6.8). Everything listed must be read completely, and
/// the caller must have stored it safely.
///
/// Errors: `E_HANDLE`; 0xC8000209 out of phase or while a file is open; 0xC8000268 when anything listed is unread;
/// 0xC8000321; those of 14.3.
///
/// # Safety
/// None beyond that of any foreign call.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupTruncateLogs(context: HCSBC) -> i32 {
    guard("CertSrvBackupTruncateLogs", || handles::find::<Backup>(context)?.call(Source::truncate_logs))
}

/// Ends the backup and its context, whatever the result (certbcli.md 6.9, D12). Success is the CA's word that the backup
/// is complete.
///
/// Errors: `E_HANDLE`; 0xC8000320 when a full backup ends early; 0xC8000321; those of 14.3.
///
/// # Safety
/// None beyond that of any foreign call.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupEnd(context: HCSBC) -> i32 {
    guard("CertSrvBackupEnd", || handles::close::<Backup>(context)?.end())
}

/// Gives back what this library allocated: a list, or the output of `CertSrvServerControlW` (certbcli.md 6.10, D13).
/// NULL does nothing.
///
/// # Safety
/// `pointer` is NULL, or came from this library and was not given back before.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupFree(pointer: *mut c_void) {
    // SAFETY: the caller's promise.
    guard_void("CertSrvBackupFree", || unsafe { memory::give_back(pointer) });
}

/// Files outside the database to copy by other means, without tags (certbcli.md 6.11). Give the list back by
/// `CertSrvBackupFree`.
///
/// Errors: `E_INVALIDARG` for a NULL place, `E_HANDLE`, `E_ACCESSDENIED`, those of 14.3.
///
/// # Safety
/// `list` and `size` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvBackupGetDynamicFileListW(
    context: HCSBC,
    list: *mut *mut u16,
    size: *mut u32,
) -> i32 {
    let call = || {
        let files = handles::find::<Backup>(context)?.call(Source::dynamic_files)?;
        backup::plain(&files)
    };
    // SAFETY: the caller's promise.
    unsafe { list_call("CertSrvBackupGetDynamicFileListW", list, size, call) }
}

/// Controls the service: 1 stops the CA; 2 and 3 succeed without effect (certbcli.md 6.12, D14). There is no output; both
/// places may be NULL.
///
/// Errors: `E_INVALIDARG` for the name and for another value; `E_ACCESSDENIED`; those of 14.3.
///
/// # Safety
/// `server_name` is NULL or a string; `output_size` and `output` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvServerControlW(
    server_name: *const u16,
    control_flags: u32,
    output_size: *mut u32,
    output: *mut *mut u8,
) -> i32 {
    guard("CertSrvServerControlW", || {
        // SAFETY: the caller's promise.
        unsafe { Out::new(output_size, 0) };
        // SAFETY: the caller's promise.
        unsafe { Out::new(output, std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let name = unsafe { Wide::read(server_name) }.required()?;
        backup::control(&name, control_flags)
    })
}

/// Opens a restore context (certbcli.md 6.13, D15). No connection is made. One `CertSrvRestoreEnd` is owed for each
/// success.
///
/// Errors: `E_INVALIDARG` for the name, the flags or a NULL place.
///
/// # Safety
/// `server_name` is NULL or a string; `context` is NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvRestorePrepareW(
    server_name: *const u16,
    restore_flags: u32,
    context: *mut HCSBC,
) -> i32 {
    guard("CertSrvRestorePrepareW", || {
        // SAFETY: the caller's promise.
        let context = unsafe { Out::new(context, std::ptr::null_mut()) }.required()?;
        // SAFETY: the caller's promise.
        let name = unsafe { Wide::read(server_name) }.required()?;
        let restore = Restore::prepare(&name, restore_flags)?;
        context.set(handles::open(Context::Restore(restore.into()))?);
        Ok(())
    })
}

/// Registers a restore to be carried out at the next start of the service (certbcli.md 6.14, D16, D21). A NULL context
/// means the CA on this machine.
///
/// Errors, in this order: `E_HANDLE`; 0x80070032 for another machine; 0x80070424 when no CA is known here;
/// `E_ACCESSDENIED`; 0x80070420 while the CA runs; 0xC7FF0004 while a registration is pending; `E_INVALIDARG`;
/// 0xC7FF0008, 0xC7FF000C.
///
/// # Safety
/// The strings are NULL or strings; `map` is NULL or holds `map_count` entries of such strings.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvRestoreRegisterW(
    context: HCSBC,
    check_point_file_path: *const u16,
    log_path: *const u16,
    map: *mut CSEDB_RSTMAPW,
    map_count: i32,
    backup_log_path: *const u16,
    low: u32,
    high: u32,
) -> i32 {
    guard("CertSrvRestoreRegisterW", || {
        let here = context.is_null();
        let restore = if here { None } else { Some(handles::find::<Restore>(context)?) };
        // SAFETY: the caller's promise.
        let arguments = unsafe {
            registration(check_point_file_path, log_path, map, map_count, backup_log_path, low, high)
        };
        match restore {
            Some(restore) => restore.register(Form::Record, arguments),
            None => restore::register_here(Form::Record, arguments),
        }
    })
}

/// As [`CertSrvRestoreRegisterW`], for callers who may write requests but not the record itself (certbcli.md 6.15, D17).
/// A context is needed.
///
/// Errors: as [`CertSrvRestoreRegisterW`].
///
/// # Safety
/// As [`CertSrvRestoreRegisterW`].
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvRestoreRegisterThroughFile(
    context: HCSBC,
    check_point_file_path: *const u16,
    log_path: *const u16,
    map: *mut CSEDB_RSTMAPW,
    map_count: i32,
    backup_log_path: *const u16,
    low: u32,
    high: u32,
) -> i32 {
    guard("CertSrvRestoreRegisterThroughFile", || {
        let restore = handles::find::<Restore>(context)?;
        // SAFETY: the caller's promise.
        let arguments = unsafe {
            registration(check_point_file_path, log_path, map, map_count, backup_log_path, low, high)
        };
        restore.register(Form::File, arguments)
    })
}

/// Says how the copying went, which lets the service start or, after a failure, keeps it from starting (certbcli.md 6.16,
/// D18). A NULL context means the CA on this machine.
///
/// Errors: `E_HANDLE`; 0x80070032 for another machine; 0x80070424 when no CA is known here; `E_UNEXPECTED` when no
/// registration is pending; `E_ACCESSDENIED`.
///
/// # Safety
/// None beyond that of any foreign call.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvRestoreRegisterComplete(context: HCSBC, restore_state: i32) -> i32 {
    guard("CertSrvRestoreRegisterComplete", || {
        let outcome = Hresult::from_i32(restore_state);
        if context.is_null() {
            return restore::complete_here(outcome);
        }
        handles::find::<Restore>(context)?.complete(outcome)
    })
}

/// The places of database, logs and checkpoint, each behind its tag (certbcli.md 6.17), for a context of either kind.
/// Give the list back by `CertSrvBackupFree`.
///
/// Errors: `E_INVALIDARG` for a NULL place, `E_HANDLE`, `E_ACCESSDENIED`, 0x800706BA when the service does not run and
/// the others of 14.3.
///
/// # Safety
/// `list` and `size` are NULL or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvRestoreGetDatabaseLocationsW(
    context: HCSBC,
    list: *mut *mut u16,
    size: *mut u32,
) -> i32 {
    let call = || {
        let locations = match handles::any(context)? {
            Context::Backup(backup) => backup.call(Source::database_locations)?,
            Context::Restore(restore) => restore.database_locations()?,
        };
        backup::tagged(&locations)
    };
    // SAFETY: the caller's promise.
    unsafe { list_call("CertSrvRestoreGetDatabaseLocationsW", list, size, call) }
}

/// Ends a restore context (certbcli.md 6.18, D12). It completes nothing: a pending registration stays pending.
///
/// Errors: `E_HANDLE`.
///
/// # Safety
/// None beyond that of any foreign call.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn CertSrvRestoreEnd(context: HCSBC) -> i32 {
    guard("CertSrvRestoreEnd", || handles::close::<Restore>(context).map(drop))
}

/// A call that answers a list.
///
/// # Safety
/// `list` and `size` are NULL or can be written to.
unsafe fn list_call(
    name: &'static str,
    list: *mut *mut u16,
    size: *mut u32,
    call: impl FnOnce() -> Result<CallersList, Hresult>,
) -> i32 {
    guard(name, || {
        // SAFETY: the caller's promise.
        let list = unsafe { Out::new(list, std::ptr::null_mut()) };
        // SAFETY: the caller's promise.
        let size = unsafe { Out::new(size, 0) };
        let (list, size) = (list.required()?, size.required()?);
        let answer = call()?;
        list.set(answer.first.as_ptr());
        size.set(answer.size);
        Ok(())
    })
}

/// The arguments of a registration, unchecked.
///
/// # Safety
/// As [`CertSrvRestoreRegisterW`].
unsafe fn registration(
    check_point_file_path: *const u16,
    log_path: *const u16,
    map: *const CSEDB_RSTMAPW,
    map_count: i32,
    backup_log_path: *const u16,
    low: u32,
    high: u32,
) -> Registration {
    Registration {
        // SAFETY: the caller's promise.
        checkpoint_directory: unsafe { Wide::read(check_point_file_path) }.optional(),
        // SAFETY: the caller's promise.
        log_directory: unsafe { Wide::read(log_path) }.optional(),
        // SAFETY: the caller's promise.
        map: unsafe { pointers::restore_map(map, map_count) },
        map_count,
        // SAFETY: the caller's promise.
        backup_log_directory: unsafe { Wide::read(backup_log_path) }.optional(),
        low,
        high,
    }
}
