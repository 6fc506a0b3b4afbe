/*
 * Every export: NULL for each argument, handles that are NULL, stale, foreign, ended twice and of the other kind,
 * names and flags that mean nothing. The CA of SERVER runs.
 *
 *   arguments SERVER
 */
#include "calls.h"

static WCHAR *server;

/* Every call that takes a backup handle, with one that is none. */
static void no_backup(const char *kind, HCSBC handle)
{
    static const WCHAR name[] = {'x', 0};
    char text[80], buffer[8];
    WCHAR *list = (WCHAR *)buffer;
    DWORD size = 7;
    LARGE_INTEGER length;
    length.QuadPart = 7;
#define NO_BACKUP(call_name, call)                                                                                    \
    snprintf(text, sizeof text, "%s, %s", call_name, kind);                                                           \
    expect(text, call, E_HANDLE_)
    NO_BACKUP("GetDatabaseNames", p_CertSrvBackupGetDatabaseNamesW(handle, &list, &size));
    holds("  results are nothing", list == NULL && size == 0);
    NO_BACKUP("GetBackupLogs", p_CertSrvBackupGetBackupLogsW(handle, &list, &size));
    NO_BACKUP("GetDynamicFileList", p_CertSrvBackupGetDynamicFileListW(handle, &list, &size));
    NO_BACKUP("OpenFile", p_CertSrvBackupOpenFileW(handle, name, 0, &length));
    holds("  the length is 0", length.QuadPart == 0);
    NO_BACKUP("OpenFile without a name", p_CertSrvBackupOpenFileW(handle, NULL, 0, &length));
    size = 7;
    NO_BACKUP("Read", p_CertSrvBackupRead(handle, buffer, sizeof buffer, &size));
    holds("  nothing was read", size == 0);
    NO_BACKUP("Read of 0 bytes", p_CertSrvBackupRead(handle, buffer, 0, &size));
    NO_BACKUP("Close", p_CertSrvBackupClose(handle));
    NO_BACKUP("TruncateLogs", p_CertSrvBackupTruncateLogs(handle));
    NO_BACKUP("BackupEnd", p_CertSrvBackupEnd(handle));
#undef NO_BACKUP
}

/* Every call that takes a restore handle, with one that is none. NULL means the local CA to two of them. */
static void no_restore(const char *kind, HCSBC handle)
{
    char text[80];
    if (handle) {
        snprintf(text, sizeof text, "RestoreRegister, %s", kind);
        expect(text, p_CertSrvRestoreRegisterW(handle, NULL, NULL, NULL, 0, NULL, 1, 1), E_HANDLE_);
        snprintf(text, sizeof text, "RestoreRegisterComplete, %s", kind);
        expect(text, p_CertSrvRestoreRegisterComplete(handle, 0), E_HANDLE_);
    }
    snprintf(text, sizeof text, "RestoreRegisterThroughFile, %s", kind);
    expect(text, p_CertSrvRestoreRegisterThroughFile(handle, NULL, NULL, NULL, 0, NULL, 1, 1), E_HANDLE_);
    snprintf(text, sizeof text, "RestoreEnd, %s", kind);
    expect(text, p_CertSrvRestoreEnd(handle), E_HANDLE_);
}

/* The one call that takes both kinds. */
static void no_context(const char *kind, HCSBC handle)
{
    char text[80];
    WCHAR *list;
    DWORD size;
    snprintf(text, sizeof text, "RestoreGetDatabaseLocations, %s", kind);
    expect(text, p_CertSrvRestoreGetDatabaseLocationsW(handle, &list, &size), E_HANDLE_);
}

static void no_handle(const char *kind, HCSBC handle)
{
    no_backup(kind, handle);
    no_restore(kind, handle);
    no_context(kind, handle);
}

/* Server names that are none, for each function that takes one. */
static void no_name(const char *kind, const WCHAR *name, uint32_t code)
{
    char text[80];
    WINBOOL online = 7;
    int place;
    HCSBC context = &place;
    DWORD size = 7;
    BYTE *output = (BYTE *)&place;
    snprintf(text, sizeof text, "IsServerOnline, %s", kind);
    expect(text, p_CertSrvIsServerOnlineW(name, &online), code);
    holds("  not online", online == 0);
    snprintf(text, sizeof text, "BackupPrepare, %s", kind);
    expect(text, p_CertSrvBackupPrepareW(name, 0, CSBACKUP_TYPE_FULL, &context), code);
    holds("  no context", context == NULL);
    snprintf(text, sizeof text, "ServerControl, %s", kind);
    expect(text, p_CertSrvServerControlW(name, CSCONTROL_SUSPEND, &size, &output), code);
    holds("  no output", size == 0 && output == NULL);
    if (code == E_INVALIDARG_) {
        context = &place;
        snprintf(text, sizeof text, "RestorePrepare, %s", kind);
        expect(text, p_CertSrvRestorePrepareW(name, CSRESTORE_TYPE_FULL, &context), code);
        holds("  no context", context == NULL);
    }
}

static void names(void)
{
    static WCHAR long_name[40000];
    static const WCHAR empty[] = {0}, backslashes[] = {'\\', '\\', 0}, port[] = {'a', ':', 'x', 0};
    static const WCHAR three[] = {'a', '\\', 'b', '\\', 'c', 0}, control[] = {'a', 7, 0}, half[] = {'a', 0xD800, 0};
    WCHAR *unknown = wide_of("127.0.0.1:1");
    for (size_t place = 0; place + 1 < sizeof long_name / sizeof *long_name; place++)
        long_name[place] = 'a';
    no_name("NULL", NULL, E_INVALIDARG_);
    no_name("empty name", empty, E_INVALIDARG_);
    no_name("backslashes alone", backslashes, E_INVALIDARG_);
    no_name("no port", port, E_INVALIDARG_);
    no_name("three parts", three, E_INVALIDARG_);
    no_name("control character", control, E_INVALIDARG_);
    no_name("half a surrogate", half, E_INVALIDARG_);
    no_name("40000 units", long_name, E_INVALIDARG_);
    no_name("no account over TCP", unknown, E_ACCESSDENIED_);
    free(unknown);
}

static void flags(void)
{
    static const struct {
        ULONG grbit, type;
        uint32_t code;
    } backups[] = {{0, 0, E_INVALIDARG_}, {0, 3, E_INVALIDARG_}, {0, 4, E_INVALIDARG_}, {0, 0x80000001, E_INVALIDARG_},
                   {1, 1, E_INVALIDARG_}, {2, 1, 0xC8000384u},   {3, 2, 0xC8000384u},   {2, 3, E_INVALIDARG_}};
    static const ULONG restores[] = {2, 3, 8, 0xFFFFFFFF};
    char text[80];
    HCSBC context;
    for (size_t place = 0; place < sizeof backups / sizeof *backups; place++) {
        snprintf(text, sizeof text, "BackupPrepare, grbit %lx type %lx", (unsigned long)backups[place].grbit,
                 (unsigned long)backups[place].type);
        expect(text, p_CertSrvBackupPrepareW(server, backups[place].grbit, backups[place].type, &context),
               backups[place].code);
    }
    for (size_t place = 0; place < sizeof restores / sizeof *restores; place++) {
        snprintf(text, sizeof text, "RestorePrepare, flags %lx", (unsigned long)restores[place]);
        expect(text, p_CertSrvRestorePrepareW(server, restores[place], &context), E_INVALIDARG_);
    }
    for (ULONG value = 0; value < 6; value++) {
        if (value == CSCONTROL_SHUTDOWN)
            continue;
        snprintf(text, sizeof text, "ServerControl, %lu", (unsigned long)value);
        expect(text, p_CertSrvServerControlW(server, value, NULL, NULL),
               value == CSCONTROL_SUSPEND || value == CSCONTROL_RESTART ? 0 : E_INVALIDARG_);
    }
    expect("BackupPrepare, no place", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, NULL), E_INVALIDARG_);
    expect("RestorePrepare, no place", p_CertSrvRestorePrepareW(server, 1, NULL), E_INVALIDARG_);
    expect("IsServerOnline, no place", p_CertSrvIsServerOnlineW(server, NULL), E_INVALIDARG_);
}

/* No place for a result, with a good handle and with none: the place is looked at first. */
static void no_place(const char *kind, HCSBC handle)
{
    static const WCHAR name[] = {'x', 0};
    char text[80], buffer[8];
    WCHAR *list;
    DWORD size;
#define NO_PLACE(call_name, call)                                                                                     \
    snprintf(text, sizeof text, "%s, %s", call_name, kind);                                                           \
    expect(text, call, E_INVALIDARG_)
    NO_PLACE("GetDatabaseNames, no list", p_CertSrvBackupGetDatabaseNamesW(handle, NULL, &size));
    NO_PLACE("GetDatabaseNames, no size", p_CertSrvBackupGetDatabaseNamesW(handle, &list, NULL));
    NO_PLACE("GetBackupLogs, no list", p_CertSrvBackupGetBackupLogsW(handle, NULL, &size));
    NO_PLACE("GetBackupLogs, no size", p_CertSrvBackupGetBackupLogsW(handle, &list, NULL));
    NO_PLACE("GetDynamicFileList, no list", p_CertSrvBackupGetDynamicFileListW(handle, NULL, &size));
    NO_PLACE("GetDynamicFileList, no size", p_CertSrvBackupGetDynamicFileListW(handle, &list, NULL));
    NO_PLACE("GetDatabaseLocations, no list", p_CertSrvRestoreGetDatabaseLocationsW(handle, NULL, &size));
    NO_PLACE("GetDatabaseLocations, no size", p_CertSrvRestoreGetDatabaseLocationsW(handle, &list, NULL));
    NO_PLACE("OpenFile, no length", p_CertSrvBackupOpenFileW(handle, name, 0, NULL));
    NO_PLACE("Read, no buffer", p_CertSrvBackupRead(handle, NULL, 8, &size));
    NO_PLACE("Read, no count", p_CertSrvBackupRead(handle, buffer, 8, NULL));
#undef NO_PLACE
}

static void files(HCSBC backup)
{
    static const WCHAR empty[] = {0}, unlisted[] = {'\\', '\\', 'h', '\\', 's', '\\', 'x', 0}, half[] = {0xDC00, 0};
    static WCHAR long_name[40000];
    LARGE_INTEGER length;
    DWORD size, again;
    WCHAR *list, *more;
    char byte;
    for (size_t place = 0; place + 1 < sizeof long_name / sizeof *long_name; place++)
        long_name[place] = 'a';
    expect("OpenFile, NULL name", p_CertSrvBackupOpenFileW(backup, NULL, 0, &length), E_INVALIDARG_);
    expect("OpenFile, empty name", p_CertSrvBackupOpenFileW(backup, empty, 0, &length), E_INVALIDARG_);
    expect("OpenFile, unlisted name", p_CertSrvBackupOpenFileW(backup, unlisted, 0, &length), E_INVALIDARG_);
    expect("OpenFile, half a surrogate", p_CertSrvBackupOpenFileW(backup, half, 0, &length), E_INVALIDARG_);
    expect("OpenFile, 40000 units", p_CertSrvBackupOpenFileW(backup, long_name, 0, &length), E_INVALIDARG_);
    if (!expect("GetDatabaseNames", p_CertSrvBackupGetDatabaseNamesW(backup, &list, &size), 0))
        return;
    holds("  the tag is D", *list == CSBFT_CERTSERVER_DATABASE);
    holds("  two NULs at the end", size > 4 && !list[size / 2 - 1] && !list[size / 2 - 2] && list[size / 2 - 3]);
    expect("GetDatabaseNames again", p_CertSrvBackupGetDatabaseNamesW(backup, &more, &again), 0);
    holds("  the same list", size == again && !memcmp(list, more, size));
    p_CertSrvBackupFree(more);
    expect("OpenFile, with its tag", p_CertSrvBackupOpenFileW(backup, list, 0, &length), E_INVALIDARG_);
    expect("Read, no file", p_CertSrvBackupRead(backup, &byte, 1, &size), E_UNEXPECTED_);
    expect("Close, no file", p_CertSrvBackupClose(backup), E_UNEXPECTED_);
    expect("OpenFile", p_CertSrvBackupOpenFileW(backup, list + 1, 1, &length), 0);
    expect("Read of 0 bytes", p_CertSrvBackupRead(backup, &byte, 0, &size), E_INVALIDARG_);
    expect("Read of 1 byte", p_CertSrvBackupRead(backup, &byte, 1, &size), 0);
    holds("  1 byte", size == 1);
    expect("Close, early", p_CertSrvBackupClose(backup), 0);
    expect("Close, twice", p_CertSrvBackupClose(backup), E_UNEXPECTED_);
    p_CertSrvBackupFree(list);
    expect("GetBackupLogs", p_CertSrvBackupGetBackupLogsW(backup, &list, &size), 0);
    holds("  the tag is !", *list == CSBFT_LOG);
    p_CertSrvBackupFree(list);
    expect("TruncateLogs, unread files", p_CertSrvBackupTruncateLogs(backup), 0xC8000268u);
    expect("GetDynamicFileList", p_CertSrvBackupGetDynamicFileListW(backup, &list, &size), 0);
    holds("  freeable and ended", list && (size ? list[size / 2 - 1] == 0 : list[0] == 0 && list[1] == 0));
    p_CertSrvBackupFree(list);
}

int main(int count, char **arguments)
{
    HCSBC backup, second, restore, remote;
    WCHAR *list, *elsewhere = wide_of("192.0.2.1");
    DWORD size;
    int place;
    if (count != 2 || !find_all() || !elsewhere || !(server = wide_of(arguments[1])))
        return 2;
    p_CertSrvBackupFree(NULL);
    names();
    flags();
    no_handle("NULL handle", NULL);
    no_handle("handle 1", (HCSBC)(uintptr_t)1);
    no_handle("address as handle", &place);
    no_handle("all bits as handle", (HCSBC)UINTPTR_MAX);
    no_place("NULL handle", NULL);

    if (!expect("BackupPrepare", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &backup), 0))
        return summary();
    expect("BackupPrepare, another one", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &second), 0xC80001F9u);
    holds("  no context", second == NULL);
    no_place("good handle", backup);
    no_restore("backup handle", backup);
    no_handle("next to a handle", (HCSBC)((uintptr_t)backup + 1));
    files(backup);
    expect("RestoreGetDatabaseLocations, backup", p_CertSrvRestoreGetDatabaseLocationsW(backup, &list, &size), 0);
    expect("BackupEnd, unread files", p_CertSrvBackupEnd(backup), 0xC8000320u);
    holds("  a list outlives its context", size > 4 && list[size / 2 - 1] == 0);
    p_CertSrvBackupFree(list);
    no_handle("ended handle", backup);

    expect("RestorePrepare", p_CertSrvRestorePrepareW(server, CSRESTORE_TYPE_FULL, &restore), 0);
    no_backup("restore handle", restore);
    expect("RestoreGetDatabaseLocations, restore", p_CertSrvRestoreGetDatabaseLocationsW(restore, &list, &size), 0);
    p_CertSrvBackupFree(list);
    expect("RestoreRegister, the CA runs", p_CertSrvRestoreRegisterW(restore, NULL, NULL, NULL, 0, NULL, 1, 1),
           0x80070420u);
    expect("RestoreRegister, the CA runs, bad range", p_CertSrvRestoreRegisterW(restore, NULL, NULL, NULL, 0, NULL, 2, 1),
           0x80070420u);
    expect("RestoreRegister here, the CA runs", p_CertSrvRestoreRegisterW(NULL, NULL, NULL, NULL, 0, NULL, 1, 1),
           0x80070420u);
    expect("RestoreRegisterComplete, none pending", p_CertSrvRestoreRegisterComplete(restore, 0), E_UNEXPECTED_);
    expect("RestoreRegisterComplete here, none pending", p_CertSrvRestoreRegisterComplete(NULL, 0), E_UNEXPECTED_);
    expect("RestoreEnd", p_CertSrvRestoreEnd(restore), 0);
    no_handle("ended restore handle", restore);

    expect("RestorePrepare, elsewhere", p_CertSrvRestorePrepareW(elsewhere, CSRESTORE_TYPE_CATCHUP, &remote), 0);
    expect("RestoreRegister, elsewhere", p_CertSrvRestoreRegisterW(remote, NULL, NULL, NULL, 0, NULL, 1, 1), 0x80070032u);
    expect("RestoreRegisterThroughFile, elsewhere",
           p_CertSrvRestoreRegisterThroughFile(remote, NULL, NULL, NULL, 0, NULL, 1, 1), 0x80070032u);
    expect("RestoreRegisterComplete, elsewhere", p_CertSrvRestoreRegisterComplete(remote, 0), 0x80070032u);
    expect("RestoreEnd, elsewhere", p_CertSrvRestoreEnd(remote), 0);
    free(server);
    free(elsewhere);
    return summary();
}
