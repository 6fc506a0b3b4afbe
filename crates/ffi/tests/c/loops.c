/*
 * Many backups one after the other, calls from many threads, and a server that goes away under a backup.
 *
 *   loops SERVER prepare-end COUNT      nothing may stay behind: memory, descriptors, threads
 *   loops SERVER threads COUNT          each of eight threads so often
 *   loops SERVER lost                   stops the CA in the middle of a backup
 *   loops SERVER killed                 waits for a line on standard input, while somebody kills the CA
 */
#include "calls.h"

#if defined(_WIN32)
typedef HANDLE thread;
#define THREAD_RESULT DWORD WINAPI
#define THREAD_END 0
typedef LPTHREAD_START_ROUTINE thread_body;
static int start_thread(thread *started, thread_body body, void *argument)
{
    *started = CreateThread(NULL, 0, body, argument, 0, NULL);
    return *started != NULL;
}
static void join_thread(thread started)
{
    WaitForSingleObject(started, INFINITE);
    CloseHandle(started);
}
#else
#include <pthread.h>
#include <signal.h>
typedef pthread_t thread;
#define THREAD_RESULT void *
#define THREAD_END NULL
typedef void *(*thread_body)(void *);
static int start_thread(thread *started, thread_body body, void *argument)
{
    return pthread_create(started, NULL, body, argument) == 0;
}
static void join_thread(thread started) { pthread_join(started, NULL); }
#endif

static WCHAR *server;

/* ---- one after the other ---- */

#if defined(_WIN32)
static long resident_pages(void) { return 0; }
static long descriptors(void) { return 0; }
#else
static long resident_pages(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file) {
        if (fscanf(file, "%*d %ld", &pages) != 1)
            pages = 0;
        fclose(file);
    }
    return pages;
}
static long descriptors(void)
{
    long count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}
#endif

static void prepare_end(unsigned long times)
{
    unsigned long good_turns = 0, warm = times / 10 + 1;
    long first_peak = 0, last_peak = 0, open_files = 0, grown;
    HCSBC before = NULL, backup;
    for (unsigned long turn = 0; turn < times; turn++) {
        /* The allocator gives a large buffer back or keeps it, so that one look may differ from the next by as much. The
           most of the first tenth and the most of the last one both have it. */
        if (turn < warm || turn >= times - warm) {
            long *peak = turn < warm ? &first_peak : &last_peak;
            long pages = resident_pages();
            if (pages > *peak)
                *peak = pages;
        }
        if (turn == warm)
            open_files = descriptors();
        if (p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &backup) == 0 && backup != before &&
            (uint32_t)p_CertSrvBackupEnd(backup) == 0xC8000320u &&
            (uint32_t)p_CertSrvBackupClose(backup) == E_HANDLE_)
            good_turns++;
        before = backup;
    }
    holds("every turn went well", good_turns == times);
    grown = last_peak - first_peak;
    fprintf(stderr, "%lu turns, %ld pages more, %ld descriptors\n", times, grown, descriptors() - open_files);
    /* An allocator may keep some; 100 bytes a turn are seen from 5,000 turns on. */
    holds("no memory stays behind", times < 1000 || (unsigned long)(grown < 0 ? 0 : grown) * 4096 < 200000 + times * 50);
    holds("no descriptor stays behind", times < 100 || descriptors() <= open_files);
}

/* ---- from many threads ---- */

#define THREADS 8

struct shared {
    HCSBC backup;
    unsigned long times;
};

struct own {
    struct shared *shared;
    unsigned long right;
};

/* The calls of one context queue; calls without a context do not. Whoever ends a context ends it once. */
static THREAD_RESULT hammer(void *argument)
{
    struct own *own = (struct own *)argument;
    for (unsigned long turn = 0; turn < own->shared->times; turn++) {
        WCHAR *list;
        DWORD size;
        WINBOOL online;
        HCSBC restore;
        int right = p_CertSrvBackupGetDatabaseNamesW(own->shared->backup, &list, &size) == 0;
        if (right) {
            right = size > 4 && list[0] == CSBFT_CERTSERVER_DATABASE && list[size / 2 - 1] == 0;
            p_CertSrvBackupFree(list);
        }
        right = p_CertSrvRestorePrepareW(server, CSRESTORE_TYPE_FULL, &restore) == 0 && right;
        right = (uint32_t)p_CertSrvBackupClose(restore) == E_HANDLE_ && right;
        right = p_CertSrvRestoreEnd(restore) == 0 && right;
        right = (uint32_t)p_CertSrvRestoreEnd(restore) == E_HANDLE_ && right;
        if (turn % 8 == 0)
            right = p_CertSrvIsServerOnlineW(server, &online) == 0 && online && right;
        own->right += right;
    }
    return THREAD_END;
}

static THREAD_RESULT race_to_end(void *argument)
{
    struct own *own = (struct own *)argument;
    WCHAR *list;
    DWORD size;
    uint32_t code;
    if (p_CertSrvBackupGetDatabaseNamesW(own->shared->backup, &list, &size) == 0)
        p_CertSrvBackupFree(list);
    code = (uint32_t)p_CertSrvBackupEnd(own->shared->backup);
    own->right = code == 0xC8000320u ? 1 : code == E_HANDLE_ ? 0 : 1000;
    return THREAD_END;
}

static unsigned long run_threads(thread_body body, struct shared *shared)
{
    thread threads[THREADS];
    struct own own[THREADS];
    unsigned long right = 0;
    int started = 0;
    for (; started < THREADS; started++) {
        own[started].shared = shared;
        own[started].right = 0;
        if (!start_thread(&threads[started], body, &own[started]))
            break;
    }
    for (int index = 0; index < started; index++) {
        join_thread(threads[index]);
        right += own[index].right;
    }
    return right;
}

static void many_threads(unsigned long times)
{
    struct shared shared;
    shared.times = times;
    if (!expect("BackupPrepare", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &shared.backup), 0))
        return;
    holds("every call of every thread went well", run_threads(hammer, &shared) == THREADS * times);
    holds("one thread ended the backup", run_threads(race_to_end, &shared) == 1);
    expect("BackupEnd afterwards", p_CertSrvBackupEnd(shared.backup), E_HANDLE_);
}

/* ---- a server that goes away ---- */

static int is_loss(HRESULT result)
{
    /* aborted by the server, or the connection is gone */
    return (uint32_t)result == 0xC8000321u || (uint32_t)result == 0x800706BEu;
}

static void lost(void)
{
    HCSBC backup;
    WCHAR *list;
    WINBOOL online = 1;
    DWORD size;
    int turn = 0;
    HRESULT result = 0;
    if (!expect("BackupPrepare", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &backup), 0))
        return;
    expect("ServerControl, shutdown", p_CertSrvServerControlW(server, CSCONTROL_SHUTDOWN, NULL, NULL), 0);
    for (; turn < 600 && SUCCEEDED(result); turn++) {
#if defined(_WIN32)
        Sleep(50);
#else
        usleep(50000);
#endif
        result = p_CertSrvIsServerOnlineW(server, &online);
    }
    expect("IsServerOnline, stopped", result, 0x800706BAu);
    holds("not online", online == 0);
    holds("GetDatabaseNames is lost", is_loss(p_CertSrvBackupGetDatabaseNamesW(backup, &list, &size)));
    holds("TruncateLogs is lost", is_loss(p_CertSrvBackupTruncateLogs(backup)));
    holds("BackupEnd is lost", is_loss(p_CertSrvBackupEnd(backup)));
    expect("BackupEnd, twice", p_CertSrvBackupEnd(backup), E_HANDLE_);
    expect("BackupPrepare, stopped", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &backup), 0x800706BAu);
    expect("ServerControl, stopped", p_CertSrvServerControlW(server, CSCONTROL_SHUTDOWN, NULL, NULL), 0x800706BAu);
    expect("RestorePrepare, stopped", p_CertSrvRestorePrepareW(server, CSRESTORE_TYPE_FULL, &backup), 0);
    expect("RestoreGetDatabaseLocations, stopped", p_CertSrvRestoreGetDatabaseLocationsW(backup, &list, &size),
           0x800706BAu);
    expect("RestoreEnd", p_CertSrvRestoreEnd(backup), 0);
}

/* The server dies. Writing to its socket must not end this process by a signal. */
static void killed(void)
{
    HCSBC backup;
    WCHAR *list;
    DWORD size;
#if !defined(_WIN32)
    signal(SIGPIPE, SIG_DFL); /* whoever started us may have had it ignored */
#endif
    if (!expect("BackupPrepare", p_CertSrvBackupPrepareW(server, 0, CSBACKUP_TYPE_FULL, &backup), 0))
        return;
    fflush(stdout);
    if (getchar() == EOF)
        return;
    for (int turn = 0; turn < 3; turn++)
        expect("GetDatabaseNames, connection gone", p_CertSrvBackupGetDatabaseNamesW(backup, &list, &size), 0x800706BEu);
    expect("BackupEnd, connection gone", p_CertSrvBackupEnd(backup), 0x800706BEu);
    expect("BackupEnd, twice", p_CertSrvBackupEnd(backup), E_HANDLE_);
}

int main(int count, char **arguments)
{
    unsigned long times = count > 3 ? strtoul(arguments[3], NULL, 10) : 1;
    if (count < 3 || !find_all() || !(server = wide_of(arguments[1])))
        return 2;
    if (!strcmp(arguments[2], "prepare-end"))
        prepare_end(times);
    else if (!strcmp(arguments[2], "threads"))
        many_threads(times);
    else if (!strcmp(arguments[2], "lost"))
        lost();
    else if (!strcmp(arguments[2], "killed"))
        killed();
    else
        return 2;
    free(server);
    return summary();
}
