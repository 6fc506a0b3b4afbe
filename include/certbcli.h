/*
 * certbcli.h - Certificate Services backup and restore, for libcertadm (Linux) and certadm.dll (Windows).
 *
 * The names, values and layouts are those of the Windows API, so that one source serves both. A string is UTF-16 and
 * ends with a NUL; a WCHAR has 16 bits everywhere. Write literals as CERTBCLI_W("text"), never as L"text": off Windows
 * that would be 32 bits wide. The header is C90; CERTBCLI_W is C11 off Windows (-std=c11, gnu99 or later, C++11).
 *
 * Every function but CertSrvBackupFree returns S_OK, which is 0, or a negative HRESULT. docs/c-api.md has the order of
 * calls, the configuration, and what differs from Windows.
 */
#ifndef CERTADM_CERTBCLI_H
#define CERTADM_CERTBCLI_H

#if defined(_WIN32)

#include <windows.h>

#define CERTBCLI_CALL WINAPI
#define CERTBCLI_W_(text) L##text

#else

#include <stdint.h>
#if !defined(__cplusplus)
#include <uchar.h>
#endif

#define CERTBCLI_CALL
#if defined(__cplusplus) || (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L) ||                             \
    (defined(__STDC_VERSION__) && !defined(__STRICT_ANSI__))
#define CERTBCLI_W_(text) u##text
#else
#define CERTBCLI_W_(text) CERTBCLI_W_needs_C11_or_gnu99
#endif

typedef char16_t WCHAR;
typedef int32_t HRESULT;
typedef int32_t BOOL;
typedef int32_t WINBOOL;
typedef int32_t LONG;
typedef uint32_t ULONG;
typedef uint32_t DWORD;
typedef uint8_t BYTE;
typedef void VOID;

/* A 64-bit number, or its two halves, the low one first. */
typedef union CERTBCLI_LARGE_INTEGER {
    __extension__ struct {
        DWORD LowPart;
        LONG HighPart;
    };
    struct {
        DWORD LowPart;
        LONG HighPart;
    } u;
    int64_t QuadPart;
} LARGE_INTEGER;

#ifndef TRUE
#define TRUE 1
#endif
#ifndef FALSE
#define FALSE 0
#endif

#define SUCCEEDED(hr) ((HRESULT)(hr) >= 0)
#define FAILED(hr) ((HRESULT)(hr) < 0)
#define S_OK ((HRESULT)0)

#endif

/* A string literal, and a character, of 16-bit units. */
#define CERTBCLI_W(text) CERTBCLI_W_(text)

#if defined(CERTBCLI_STATIC) || !defined(_WIN32)
#define CERTBCLI_API CERTBCLI_CALL
#else
#define CERTBCLI_API __declspec(dllimport) CERTBCLI_CALL
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a backup is of: dwBackupFlags, exactly one ---- */

#define CSBACKUP_TYPE_FULL 0x00000001
#define CSBACKUP_TYPE_LOGS_ONLY 0x00000002
#define CSBACKUP_TYPE_MASK 0x00000003

/* ---- what a restore is of: dwRestoreFlags ---- */

#define CSRESTORE_TYPE_FULL 0x00000001
#define CSRESTORE_TYPE_ONLINE 0x00000002 /* not supported */
#define CSRESTORE_TYPE_CATCHUP 0x00000004 /* accepted, without effect */
#define CSRESTORE_TYPE_MASK 0x00000005

#define CSBACKUP_DISABLE_INCREMENTAL 0xffffffff /* no function takes it */

/* ---- what dwControlFlags of CertSrvServerControlW may be ---- */

#define CSCONTROL_SHUTDOWN 1
#define CSCONTROL_SUSPEND 2 /* succeeds, without effect */
#define CSCONTROL_RESTART 3 /* succeeds, without effect */

/* ---- the first unit of each entry of a list, which is no part of the path ---- */

typedef WCHAR CSBFT;

#define CSBFT_DIRECTORY 0x80
#define CSBFT_DATABASE_DIRECTORY 0x40
#define CSBFT_LOG_DIRECTORY 0x20

#define CSBFT_LOG ((CSBFT)(0x01 | CSBFT_LOG_DIRECTORY)) /* '!' */
#define CSBFT_LOG_DIR ((CSBFT)(0x02 | CSBFT_DIRECTORY))
#define CSBFT_CHECKPOINT_DIR ((CSBFT)(0x03 | CSBFT_DIRECTORY))
#define CSBFT_CERTSERVER_DATABASE ((CSBFT)(0x04 | CSBFT_DATABASE_DIRECTORY)) /* 'D' */
#define CSBFT_PATCH_FILE ((CSBFT)(0x05 | CSBFT_LOG_DIRECTORY)) /* '%', of old servers */
#define CSBFT_UNKNOWN ((CSBFT)0x0f)

#define szBACKUPANNOTATION "Cert Server Backup Interface"
#define wszBACKUPANNOTATION CERTBCLI_W("Cert Server Backup Interface")
#define szRESTOREANNOTATION "Cert Server Restore Interface"
#define wszRESTOREANNOTATION CERTBCLI_W("Cert Server Restore Interface")

/* A context: a number, not an address. Backup and restore contexts are not interchangeable. */
typedef void *HCSBC;

/* Where a database was when it was backed up, and where it goes. */
typedef struct tagCSEDB_RSTMAPW {
    WCHAR *pwszDatabaseName;
    WCHAR *pwszNewDatabaseName;
} CSEDB_RSTMAPW;

#define CSEDB_RSTMAP CSEDB_RSTMAPW

/* ---- the types of the functions, for dlsym and GetProcAddress ---- */

typedef HRESULT(CERTBCLI_CALL FNCERTSRVISSERVERONLINEW)(WCHAR const *pwszServerName, WINBOOL *pfServerOnline);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPPREPAREW)(WCHAR const *pwszServerName, ULONG grbitJet,
                                                       ULONG dwBackupFlags, HCSBC *phbc);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPGETDATABASENAMESW)(HCSBC hbc, WCHAR **ppwszzAttachmentInformation,
                                                                DWORD *pcbSize);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPOPENFILEW)(HCSBC hbc, WCHAR const *pwszAttachmentName,
                                                        DWORD cbReadHintSize, LARGE_INTEGER *pliFileSize);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPREAD)(HCSBC hbc, VOID *pvBuffer, DWORD cbBuffer, DWORD *pcbRead);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPCLOSE)(HCSBC hbc);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPGETBACKUPLOGSW)(HCSBC hbc, WCHAR **ppwszzBackupLogFiles,
                                                             DWORD *pcbSize);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPTRUNCATELOGS)(HCSBC hbc);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPEND)(HCSBC hbc);
typedef VOID(CERTBCLI_CALL FNCERTSRVBACKUPFREE)(VOID *pv);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVBACKUPGETDYNAMICFILELISTW)(HCSBC hbc, WCHAR **ppwszzFileList,
                                                                  DWORD *pcbSize);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVSERVERCONTROLW)(WCHAR const *pwszServerName, DWORD dwControlFlags,
                                                       DWORD *pcbOut, BYTE **ppbOut);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVRESTOREPREPAREW)(WCHAR const *pwszServerName, ULONG dwRestoreFlags,
                                                        HCSBC *phbc);
/* Also the type of CertSrvRestoreRegisterThroughFile. */
typedef HRESULT(CERTBCLI_CALL FNCERTSRVRESTOREREGISTERW)(HCSBC hbc, WCHAR const *pwszCheckPointFilePath,
                                                         WCHAR const *pwszLogPath, CSEDB_RSTMAPW rgrstmap[],
                                                         LONG crstmap, WCHAR const *pwszBackupLogPath, ULONG genLow,
                                                         ULONG genHigh);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVRESTOREREGISTERCOMPLETE)(HCSBC hbc, HRESULT hrRestoreState);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVRESTOREGETDATABASELOCATIONSW)(HCSBC hbc, WCHAR **ppwszzDatabaseLocationList,
                                                                     DWORD *pcbSize);
typedef HRESULT(CERTBCLI_CALL FNCERTSRVRESTOREEND)(HCSBC hbc);

/* ---- backup ---- */

/* TRUE: the CA serves requests and the caller may read it. A CA that does not run is an error, not FALSE. */
HRESULT CERTBCLI_API CertSrvIsServerOnlineW(WCHAR const *pwszServerName, WINBOOL *pfServerOnline);

/* Begins a backup; one CertSrvBackupEnd is owed for each success. Pass 0 for grbitJet. */
HRESULT CERTBCLI_API CertSrvBackupPrepareW(WCHAR const *pwszServerName, ULONG grbitJet, ULONG dwBackupFlags,
                                           HCSBC *phbc);

/* Lists: entries that end with a NUL, one more NUL behind the last, *pcbSize in bytes; give them back by
 * CertSrvBackupFree. Each entry but those of the dynamic files begins with a CSBFT unit. */
HRESULT CERTBCLI_API CertSrvBackupGetDatabaseNamesW(HCSBC hbc, WCHAR **ppwszzAttachmentInformation, DWORD *pcbSize);
HRESULT CERTBCLI_API CertSrvBackupGetBackupLogsW(HCSBC hbc, WCHAR **ppwszzBackupLogFiles, DWORD *pcbSize);
HRESULT CERTBCLI_API CertSrvBackupGetDynamicFileListW(HCSBC hbc, WCHAR **ppwszzFileList, DWORD *pcbSize);

/* Opens a listed file, named without its CSBFT unit. One file at a time. */
HRESULT CERTBCLI_API CertSrvBackupOpenFileW(HCSBC hbc, WCHAR const *pwszAttachmentName, DWORD cbReadHintSize,
                                            LARGE_INTEGER *pliFileSize);

/* Reads on; S_OK with 0 bytes at the end of the file. */
HRESULT CERTBCLI_API CertSrvBackupRead(HCSBC hbc, VOID *pvBuffer, DWORD cbBuffer, DWORD *pcbRead);

/* Closes the file, not the context; owed once for each opened file. */
HRESULT CERTBCLI_API CertSrvBackupClose(HCSBC hbc);

/* Deletes logs that are safely backed up now: only when everything listed is stored. */
HRESULT CERTBCLI_API CertSrvBackupTruncateLogs(HCSBC hbc);

/* Ends backup and context, whatever it returns. Only its success makes the backup a complete one. */
HRESULT CERTBCLI_API CertSrvBackupEnd(HCSBC hbc);

VOID CERTBCLI_API CertSrvBackupFree(VOID *pv);

/* Stops the CA. There is no output: both places may be NULL. */
HRESULT CERTBCLI_API CertSrvServerControlW(WCHAR const *pwszServerName, DWORD dwControlFlags, DWORD *pcbOut,
                                           BYTE **ppbOut);

/* ---- restore ---- */

/* Makes no connection; one CertSrvRestoreEnd is owed for each success. */
HRESULT CERTBCLI_API CertSrvRestorePrepareW(WCHAR const *pwszServerName, ULONG dwRestoreFlags, HCSBC *phbc);

/* Registers what the caller copies, for the next start of the service. Every call wants its own
 * CertSrvRestoreRegisterComplete; until then the service does not start. */
HRESULT CERTBCLI_API CertSrvRestoreRegisterW(HCSBC hbc, WCHAR const *pwszCheckPointFilePath,
                                             WCHAR const *pwszLogPath, CSEDB_RSTMAPW rgrstmap[], LONG crstmap,
                                             WCHAR const *pwszBackupLogPath, ULONG genLow, ULONG genHigh);
HRESULT CERTBCLI_API CertSrvRestoreRegisterThroughFile(HCSBC hbc, WCHAR const *pwszCheckPointFilePath,
                                                       WCHAR const *pwszLogPath, CSEDB_RSTMAPW rgrstmap[],
                                                       LONG crstmap, WCHAR const *pwszBackupLogPath, ULONG genLow,
                                                       ULONG genHigh);
HRESULT CERTBCLI_API CertSrvRestoreRegisterComplete(HCSBC hbc, HRESULT hrRestoreState);

/* For a backup or a restore context; the service has to run. */
HRESULT CERTBCLI_API CertSrvRestoreGetDatabaseLocationsW(HCSBC hbc, WCHAR **ppwszzDatabaseLocationList,
                                                         DWORD *pcbSize);

HRESULT CERTBCLI_API CertSrvRestoreEnd(HCSBC hbc);

/* ---- the names without their W ---- */

#define CertSrvIsServerOnline CertSrvIsServerOnlineW
#define CertSrvBackupPrepare CertSrvBackupPrepareW
#define CertSrvBackupGetDatabaseNames CertSrvBackupGetDatabaseNamesW
#define CertSrvBackupOpenFile CertSrvBackupOpenFileW
#define CertSrvBackupGetBackupLogs CertSrvBackupGetBackupLogsW
#define CertSrvBackupGetDynamicFileList CertSrvBackupGetDynamicFileListW
#define CertSrvServerControl CertSrvServerControlW
#define CertSrvRestorePrepare CertSrvRestorePrepareW
#define CertSrvRestoreRegister CertSrvRestoreRegisterW
#define CertSrvRestoreGetDatabaseLocations CertSrvRestoreGetDatabaseLocationsW

#ifdef __cplusplus
}
#endif

#endif
