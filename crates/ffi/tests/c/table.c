/*
 * Every constant, size and offset of certbcli.h, as this header has them: -DTABLE=name makes a table; -DCOMPARE makes
 * the program that compares `ours` with `theirs`.
 */
struct value {
    const char *name;
    unsigned long long number;
    const void *bytes; /* of a string, then `number` is their count */
};

#if defined(COMPARE)

#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif
extern const struct value ours[];
extern const struct value theirs[];
#ifdef __cplusplus
}
#endif

int main(void)
{
    int count = 0, differ = 0;
    for (; ours[count].name && theirs[count].name; count++) {
        const struct value *our = &ours[count], *their = &theirs[count];
        int same = !strcmp(our->name, their->name) && our->number == their->number &&
                   (!our->bytes || !memcmp(our->bytes, their->bytes, our->number));
        if (!same)
            printf("%s: %llu here, %llu there\n", our->name, our->number, their->number);
        differ += !same;
    }
    differ += ours[count].name || theirs[count].name;
    printf("%d compared, %d differ\n", count, differ);
    return differ || count < 40;
}

#else

#if defined(MINGW)
#include <windows.h>
#endif
#include <certbcli.h>
#include <stddef.h>

#define NUMBER(name) {#name, (unsigned long long)(name), 0}
#define SIZE(type) {"sizeof " #type, sizeof(type), 0}
#define OFFSET(type, field) {#type "." #field, offsetof(type, field), 0}
#define BYTES(name) {#name, sizeof(name), name}

#ifdef __cplusplus
extern "C" {
#endif
extern const struct value TABLE[];
#ifdef __cplusplus
}
#endif

const struct value TABLE[] = {
    NUMBER(CSBACKUP_TYPE_FULL), NUMBER(CSBACKUP_TYPE_LOGS_ONLY), NUMBER(CSBACKUP_TYPE_MASK),
    NUMBER(CSRESTORE_TYPE_FULL), NUMBER(CSRESTORE_TYPE_ONLINE), NUMBER(CSRESTORE_TYPE_CATCHUP),
    NUMBER(CSRESTORE_TYPE_MASK), NUMBER(CSBACKUP_DISABLE_INCREMENTAL), NUMBER(CSBFT_DIRECTORY),
    NUMBER(CSBFT_DATABASE_DIRECTORY), NUMBER(CSBFT_LOG_DIRECTORY), NUMBER(CSBFT_LOG), NUMBER(CSBFT_LOG_DIR),
    NUMBER(CSBFT_CHECKPOINT_DIR), NUMBER(CSBFT_CERTSERVER_DATABASE), NUMBER(CSBFT_PATCH_FILE), NUMBER(CSBFT_UNKNOWN),
    NUMBER(CSCONTROL_SHUTDOWN), NUMBER(CSCONTROL_SUSPEND), NUMBER(CSCONTROL_RESTART), BYTES(szBACKUPANNOTATION),
    BYTES(wszBACKUPANNOTATION), BYTES(szRESTOREANNOTATION), BYTES(wszRESTOREANNOTATION), SIZE(WCHAR), SIZE(HRESULT),
    SIZE(BOOL), SIZE(WINBOOL), SIZE(LONG), SIZE(ULONG), SIZE(DWORD), SIZE(BYTE), SIZE(LARGE_INTEGER), SIZE(CSBFT),
    SIZE(HCSBC), SIZE(CSEDB_RSTMAPW), SIZE(CSEDB_RSTMAP), SIZE(struct tagCSEDB_RSTMAPW),
    OFFSET(CSEDB_RSTMAPW, pwszDatabaseName), OFFSET(CSEDB_RSTMAPW, pwszNewDatabaseName),
    OFFSET(LARGE_INTEGER, LowPart), OFFSET(LARGE_INTEGER, HighPart), OFFSET(LARGE_INTEGER, u.LowPart),
    OFFSET(LARGE_INTEGER, u.HighPart), OFFSET(LARGE_INTEGER, QuadPart), {0, 0, 0}};

/* The published types fit the functions, by both of their names. */
static inline FNCERTSRVISSERVERONLINEW *TABLE_online(void) { return CertSrvIsServerOnline; }
static inline FNCERTSRVBACKUPPREPAREW *TABLE_prepare(void) { return CertSrvBackupPrepare; }
static inline FNCERTSRVBACKUPGETDATABASENAMESW *TABLE_names(void) { return CertSrvBackupGetDatabaseNames; }
static inline FNCERTSRVBACKUPOPENFILEW *TABLE_open(void) { return CertSrvBackupOpenFile; }
static inline FNCERTSRVBACKUPREAD *TABLE_read(void) { return CertSrvBackupRead; }
static inline FNCERTSRVBACKUPCLOSE *TABLE_close(void) { return CertSrvBackupClose; }
static inline FNCERTSRVBACKUPGETBACKUPLOGSW *TABLE_logs(void) { return CertSrvBackupGetBackupLogs; }
static inline FNCERTSRVBACKUPTRUNCATELOGS *TABLE_truncate(void) { return CertSrvBackupTruncateLogs; }
static inline FNCERTSRVBACKUPEND *TABLE_end(void) { return CertSrvBackupEnd; }
static inline FNCERTSRVBACKUPFREE *TABLE_free(void) { return CertSrvBackupFree; }
static inline FNCERTSRVBACKUPGETDYNAMICFILELISTW *TABLE_files(void) { return CertSrvBackupGetDynamicFileList; }
static inline FNCERTSRVSERVERCONTROLW *TABLE_control(void) { return CertSrvServerControl; }
static inline FNCERTSRVRESTOREPREPAREW *TABLE_prepare_restore(void) { return CertSrvRestorePrepare; }
static inline FNCERTSRVRESTOREREGISTERW *TABLE_register(void) { return CertSrvRestoreRegister; }
static inline FNCERTSRVRESTOREREGISTERW *TABLE_through_file(void) { return CertSrvRestoreRegisterThroughFile; }
static inline FNCERTSRVRESTOREREGISTERCOMPLETE *TABLE_complete(void) { return CertSrvRestoreRegisterComplete; }
static inline FNCERTSRVRESTOREGETDATABASELOCATIONSW *TABLE_locations(void) { return CertSrvRestoreGetDatabaseLocations; }
static inline FNCERTSRVRESTOREEND *TABLE_end_restore(void) { return CertSrvRestoreEnd; }

#endif
