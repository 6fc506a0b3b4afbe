/*
 * The table of certbcli.md 7.1 through the C API: every call in every state, each cell on a backup of its own. Its first
 * cells truncate, so that logs-only backups have the full one they need.
 *
 *   sequence SERVER
 */
#include "calls.h"

enum state { DATABASES, DATABASE_OPEN, LOGS, LOG_OPEN, TRUNCATED, ENDED };
static const char *const state_names[] = {"DB phase", "DB open", "log phase", "log open", "truncated", "ended"};

enum call { NAMES, OPEN_DATABASE, OPEN_LOG, READ, CLOSE, GET_LOGS, TRUNCATE, DYNAMIC, LOCATIONS, END, CALLS };
static const char *const call_names[] = {"GetDatabaseNames", "OpenFile(database)", "OpenFile(log)", "Read", "Close",
                                         "GetBackupLogs", "TruncateLogs", "GetDynamicFileList",
                                         "RestoreGetDatabaseLocations", "BackupEnd"};

#define SEQUENCE 0xC8000209u
/* Our store's checkpoint is the generation after the roll, so that truncation leaves none of the listed logs. */
#define LOG_IS_GONE 0xC8000239u

static const uint32_t full_table[CALLS][ENDED + 1] = {
    /*                  DB phase       DB open        log phase      log open       truncated      ended */
    [NAMES] =         {0,             0,             0,             0,             0,             E_HANDLE_},
    [OPEN_DATABASE] = {0,             E_UNEXPECTED_, SEQUENCE,      E_UNEXPECTED_, SEQUENCE,      E_HANDLE_},
    [OPEN_LOG] =      {SEQUENCE,      E_UNEXPECTED_, 0,             E_UNEXPECTED_, LOG_IS_GONE,   E_HANDLE_},
    [READ] =          {E_UNEXPECTED_, 0,             E_UNEXPECTED_, 0,             E_UNEXPECTED_, E_HANDLE_},
    [CLOSE] =         {E_UNEXPECTED_, 0,             E_UNEXPECTED_, 0,             E_UNEXPECTED_, E_HANDLE_},
    [GET_LOGS] =      {0,             SEQUENCE,      0,             SEQUENCE,      0,             E_HANDLE_},
    [TRUNCATE] =      {SEQUENCE,      SEQUENCE,      0xC8000268u,   SEQUENCE,      0,             E_HANDLE_},
    [DYNAMIC] =       {0,             0,             0,             0,             0,             E_HANDLE_},
    [LOCATIONS] =     {0,             0,             0,             0,             0,             E_HANDLE_},
    [END] =           {0xC8000320u,   0xC8000320u,   0,             0,             0,             E_HANDLE_},
};

/* The rows in which a backup of logs alone differs, and a list that was not fetched yet instead of a DB phase. */
static const uint32_t logs_table[CALLS][ENDED + 1] = {
    /*                  unfetched      -  log phase      log open       truncated      ended */
    [NAMES] =         {SEQUENCE,      0, SEQUENCE,      SEQUENCE,      SEQUENCE,      E_HANDLE_},
    [OPEN_DATABASE] = {SEQUENCE,      0, SEQUENCE,      E_UNEXPECTED_, SEQUENCE,      E_HANDLE_},
    [OPEN_LOG] =      {SEQUENCE,      0, 0,             E_UNEXPECTED_, LOG_IS_GONE,   E_HANDLE_},
    [READ] =          {E_UNEXPECTED_, 0, E_UNEXPECTED_, 0,             E_UNEXPECTED_, E_HANDLE_},
    [CLOSE] =         {E_UNEXPECTED_, 0, E_UNEXPECTED_, 0,             E_UNEXPECTED_, E_HANDLE_},
    [GET_LOGS] =      {0,             0, 0,             SEQUENCE,      0,             E_HANDLE_},
    [TRUNCATE] =      {SEQUENCE,      0, 0xC8000268u,   SEQUENCE,      0,             E_HANDLE_},
    [DYNAMIC] =       {0,             0, 0,             0,             0,             E_HANDLE_},
    [LOCATIONS] =     {0,             0, 0,             0,             0,             E_HANDLE_},
    [END] =           {0,             0, 0,             0,             0,             E_HANDLE_},
};

static WCHAR *server, *database;

static int read_to_end(HCSBC backup)
{
    static char buffer[256 * 1024];
    DWORD count;
    do {
        if (FAILED(p_CertSrvBackupRead(backup, buffer, sizeof buffer, &count)))
            return 0;
    } while (count);
    return SUCCEEDED(p_CertSrvBackupClose(backup));
}

static int read_file(HCSBC backup, const WCHAR *name)
{
    LARGE_INTEGER length;
    return SUCCEEDED(p_CertSrvBackupOpenFileW(backup, name, 0, &length)) && read_to_end(backup);
}

/* The log list of a backup; its last log is the one that truncation leaves. */
static WCHAR *log_list(HCSBC backup, int read_all)
{
    WCHAR *list;
    DWORD size;
    if (FAILED(p_CertSrvBackupGetBackupLogsW(backup, &list, &size)))
        return NULL;
    for (const WCHAR *entry = list; read_all && *entry;) {
        if (!read_file(backup, entry + 1)) {
            p_CertSrvBackupFree(list);
            return NULL;
        }
        while (*entry++) {
        }
    }
    return list;
}

static WCHAR *last_entry(WCHAR *list)
{
    WCHAR *last = list;
    for (WCHAR *entry = list; *entry;) {
        last = entry;
        while (*entry++) {
        }
    }
    return last;
}

/* A backup in a state, and the name of one of its logs, which is unread unless all of them are. */
static int reach(ULONG type, enum state state, HCSBC *backup, WCHAR **logs)
{
    LARGE_INTEGER length;
    *logs = NULL;
    if (FAILED(p_CertSrvBackupPrepareW(server, 0, type, backup)))
        return 0;
    if (type == CSBACKUP_TYPE_FULL && state >= LOGS && !read_file(*backup, database))
        return 0;
    switch (state) {
    case DATABASES:
        return 1;
    case DATABASE_OPEN:
        return SUCCEEDED(p_CertSrvBackupOpenFileW(*backup, database, 0, &length));
    case ENDED:
        p_CertSrvBackupEnd(*backup);
        return 1;
    default:
        break;
    }
    *logs = log_list(*backup, state == TRUNCATED);
    if (!*logs)
        return 0;
    if (state == LOG_OPEN)
        return SUCCEEDED(p_CertSrvBackupOpenFileW(*backup, last_entry(*logs) + 1, 0, &length));
    return state == LOGS || SUCCEEDED(p_CertSrvBackupTruncateLogs(*backup));
}

static HRESULT make_list_call(HRESULT result, WCHAR *list)
{
    if (SUCCEEDED(result))
        p_CertSrvBackupFree(list);
    return result;
}

static HRESULT make(enum call call, HCSBC backup, WCHAR *logs)
{
    static const WCHAR some_log[] = {'\\', '\\', 'h', '\\', 's', '\\', 'e', 'd', 'b', '0', '0', '0',
                                     '0',  '1',  '.', 'l',  'o', 'g',  0};
    char buffer[16];
    WCHAR *list = NULL;
    DWORD size;
    LARGE_INTEGER length;
    HRESULT result;
    switch (call) {
    case NAMES:
        result = p_CertSrvBackupGetDatabaseNamesW(backup, &list, &size);
        return make_list_call(result, list);
    case OPEN_DATABASE:
        return p_CertSrvBackupOpenFileW(backup, database, 0, &length);
    case OPEN_LOG:
        return p_CertSrvBackupOpenFileW(backup, logs ? last_entry(logs) + 1 : some_log, 0, &length);
    case READ:
        return p_CertSrvBackupRead(backup, buffer, sizeof buffer, &size);
    case CLOSE:
        return p_CertSrvBackupClose(backup);
    case GET_LOGS:
        result = p_CertSrvBackupGetBackupLogsW(backup, &list, &size);
        return make_list_call(result, list);
    case TRUNCATE:
        return p_CertSrvBackupTruncateLogs(backup);
    case DYNAMIC:
        result = p_CertSrvBackupGetDynamicFileListW(backup, &list, &size);
        return make_list_call(result, list);
    case LOCATIONS:
        result = p_CertSrvRestoreGetDatabaseLocationsW(backup, &list, &size);
        return make_list_call(result, list);
    default:
        return p_CertSrvBackupEnd(backup);
    }
}

static void cell(ULONG type, enum call call, enum state state, uint32_t wanted)
{
    const char *kind = type == CSBACKUP_TYPE_FULL ? "full" : "logs only";
    char text[100];
    HCSBC backup;
    WCHAR *logs;
    int reached = reach(type, state, &backup, &logs);
    snprintf(text, sizeof text, "%s, %s, %s", kind,
             type == CSBACKUP_TYPE_LOGS_ONLY && state == DATABASES ? "list not fetched" : state_names[state],
             call_names[call]);
    if (reached)
        expect(text, make(call, backup, logs), wanted);
    else
        holds(text, 0);
    p_CertSrvBackupFree(logs);
    if (backup && state != ENDED && call != END)
        p_CertSrvBackupEnd(backup);
}

/* A file closed before all its bytes were delivered is not backed up, however few are missing: the library reads ahead,
 * and the server may have sent them. */
static void closed_early(const char *what, int64_t missing, int then_whole)
{
    static char buffer[64 * 1024];
    char text[100];
    HCSBC backup;
    LARGE_INTEGER length;
    WCHAR *logs;
    DWORD count;
    if (FAILED(p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &backup)) ||
        FAILED(p_CertSrvBackupOpenFileW(backup, database, 0, &length))) {
        holds(what, 0);
        return;
    }
    if (missing < 0)
        missing = length.QuadPart - 1;
    for (int64_t left = length.QuadPart - missing; left > 0; left -= count) {
        count = (DWORD)(left < (int64_t)sizeof buffer ? left : (int64_t)sizeof buffer);
        if (FAILED(p_CertSrvBackupRead(backup, buffer, count, &count)) || !count)
            break;
    }
    snprintf(text, sizeof text, "%s: Close", what);
    expect(text, p_CertSrvBackupClose(backup), 0);
    if (then_whole)
        holds("  read as a whole afterwards", read_file(backup, database));
    logs = log_list(backup, 1);
    p_CertSrvBackupFree(logs);
    snprintf(text, sizeof text, "%s: TruncateLogs", what);
    expect(text, p_CertSrvBackupTruncateLogs(backup), then_whole ? 0 : 0xC8000268u);
    snprintf(text, sizeof text, "%s: BackupEnd", what);
    expect(text, p_CertSrvBackupEnd(backup), then_whole ? 0 : 0xC8000320u);
    /* The CA is free again at once. */
    snprintf(text, sizeof text, "%s: BackupPrepare", what);
    expect(text, p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_LOGS_ONLY, &backup), 0);
    p_CertSrvBackupEnd(backup);
}

/* Reads to the end, and beyond it. */
static void whole_file(void)
{
    static char buffer[100000];
    HCSBC backup;
    LARGE_INTEGER length;
    DWORD count;
    int64_t sum = 0;
    if (!expect("whole file: Prepare", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &backup), 0))
        return;
    expect("whole file: Open", p_CertSrvBackupOpenFileW(backup, database, 70000, &length), 0);
    do {
        if (!SUCCEEDED(p_CertSrvBackupRead(backup, buffer, sizeof buffer, &count)))
            break;
        sum += count;
    } while (count == sizeof buffer);
    holds("whole file: as long as announced", sum == length.QuadPart);
    expect("whole file: Read at the end", p_CertSrvBackupRead(backup, buffer, sizeof buffer, &count), 0);
    holds("whole file: 0 bytes there", count == 0);
    expect("whole file: Close", p_CertSrvBackupClose(backup), 0);
    expect("whole file: End", p_CertSrvBackupEnd(backup), 0xC8000320u);
}

int main(int count, char **arguments)
{
    static const enum state full_states[] = {TRUNCATED, LOGS, LOG_OPEN, DATABASES, DATABASE_OPEN, ENDED};
    static const enum state log_states[] = {DATABASES, LOGS, LOG_OPEN, TRUNCATED, ENDED};
    HCSBC backup;
    WCHAR *list;
    DWORD size;
    if (count != 2 || !find_all() || !(server = wide_of(arguments[1])))
        return 2;
    if (!expect("Prepare", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &backup), 0) ||
        !expect("GetDatabaseNames", p_CertSrvBackupGetDatabaseNamesW(backup, &list, &size), 0))
        return summary();
    database = list + 1;
    expect("End at once", p_CertSrvBackupEnd(backup), 0xC8000320u);
    for (size_t place = 0; place < sizeof full_states / sizeof *full_states; place++)
        for (int call = 0; call < CALLS; call++)
            cell(CSBACKUP_TYPE_FULL, (enum call)call, full_states[place], full_table[call][full_states[place]]);
    for (size_t place = 0; place < sizeof log_states / sizeof *log_states; place++)
        for (int call = 0; call < CALLS; call++)
            cell(CSBACKUP_TYPE_LOGS_ONLY, (enum call)call, log_states[place], logs_table[call][log_states[place]]);
    closed_early("closed after 1 byte", -1, 0);
    closed_early("closed 1 byte early", 1, 0);
    closed_early("closed 5000 bytes early", 5000, 0);
    closed_early("closed early, then read", 1, 1);
    whole_file();
    p_CertSrvBackupFree(list);
    free(server);
    return summary();
}
