/*
 * Backs a certification authority up into a folder, in the published order of calls, but for the dynamic files:
 *
 *   load the library, look the functions up, is the server online, prepare, locations,
 *   databases: list, open, read, close;  logs: list, open, read, close;  dynamic files, truncate, end, free
 *
 *   backup SERVER FOLDER [logs] [keep-logs]
 *
 * `logs` backs the logs alone up; `keep-logs` does not truncate them. The folder gets a subfolder DataBase with the files
 * and the restore map, as certutil -backupDB leaves it; `certadm verify FOLDER` checks it, restore.c brings it back.
 *
 *   cc -o backup backup.c $(pkg-config --cflags certadm) -ldl
 */
#include "portable.h"

static FNCERTSRVISSERVERONLINEW *is_online;
static FNCERTSRVBACKUPPREPAREW *prepare;
static FNCERTSRVRESTOREGETDATABASELOCATIONSW *locations;
static FNCERTSRVBACKUPGETDATABASENAMESW *database_names;
static FNCERTSRVBACKUPGETBACKUPLOGSW *backup_logs;
static FNCERTSRVBACKUPOPENFILEW *open_listed;
static FNCERTSRVBACKUPREAD *read_on;
static FNCERTSRVBACKUPCLOSE *close_listed;
static FNCERTSRVBACKUPTRUNCATELOGS *truncate_logs;
static FNCERTSRVBACKUPGETDYNAMICFILELISTW *dynamic_files;
static FNCERTSRVBACKUPEND *end_backup;
static FNCERTSRVBACKUPFREE *free_list;

static int find_functions(void *library)
{
    return find_function(library, "CertSrvIsServerOnlineW", &is_online) &&
           find_function(library, "CertSrvBackupPrepareW", &prepare) &&
           find_function(library, "CertSrvRestoreGetDatabaseLocationsW", &locations) &&
           find_function(library, "CertSrvBackupGetDatabaseNamesW", &database_names) &&
           find_function(library, "CertSrvBackupGetBackupLogsW", &backup_logs) &&
           find_function(library, "CertSrvBackupOpenFileW", &open_listed) &&
           find_function(library, "CertSrvBackupRead", &read_on) &&
           find_function(library, "CertSrvBackupClose", &close_listed) &&
           find_function(library, "CertSrvBackupTruncateLogs", &truncate_logs) &&
           find_function(library, "CertSrvBackupGetDynamicFileListW", &dynamic_files) &&
           find_function(library, "CertSrvBackupEnd", &end_backup) &&
           find_function(library, "CertSrvBackupFree", &free_list);
}

/* The last component of a listed path when it is fit to be a file name, else NULL. The server chose it: it must not
 * lead out of the folder. To be given to free(). */
static char *file_name(const WCHAR *path)
{
    const WCHAR *last = path;
    char *name;
    for (; *path; path++)
        if (*path == '\\' || *path == '/')
            last = path + 1;
    name = narrow_of(last);
    if (name && (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strpbrk(name, ":*?\"<>|"))) {
        free(name);
        name = NULL;
    }
    for (char *character = name; character && *character; character++)
        if ((unsigned char)*character < 0x20) {
            free(name);
            return NULL;
        }
    return name;
}

/* Reads the open file to its end into `file`. */
static int copy_open_file(HCSBC backup, FILE *file, int64_t size)
{
    static char buffer[512 * 1024];
    int64_t done = 0;
    while (done < size) {
        DWORD count;
        if (!good(read_on(backup, buffer, sizeof buffer, &count), "CertSrvBackupRead"))
            return 0;
        if (count == 0)
            break;
        if (fwrite(buffer, 1, count, file) != count) {
            perror("write");
            return 0;
        }
        done += count;
    }
    if (done != size)
        fprintf(stderr, "the file ended after %lld of %lld bytes\n", (long long)done, (long long)size);
    return done == size;
}

/* Copies one listed file, named without its tag. */
static int copy_listed(HCSBC backup, const WCHAR *path, const char *folder)
{
    LARGE_INTEGER size;
    char *name = file_name(path), *target = name ? joined(folder, name) : NULL;
    FILE *file = target ? create_file(target) : NULL;
    int copied = 0;
    if (!file) {
        fprintf(stderr, "cannot create %s\n", target ? target : "a file of the name that the server lists");
    } else if (good(open_listed(backup, path, 0, &size), "CertSrvBackupOpenFile")) {
        copied = copy_open_file(backup, file, size.QuadPart);
        copied = good(close_listed(backup), "CertSrvBackupClose") && copied;
        if (copied)
            printf("%12lld  %s\n", (long long)size.QuadPart, name);
    }
    if (file && !finish_file(file)) {
        perror(target);
        copied = 0;
    }
    free(target);
    free(name);
    return copied;
}

/* Copies every file of a tagged list, and frees the list. */
static int copy_list(HCSBC backup, WCHAR *list, const char *folder)
{
    int copied = 1;
    for (const WCHAR *entry = list; copied && *entry;) {
        copied = copy_listed(backup, entry + 1, folder); /* the first unit is the tag */
        while (*entry++) {
        }
    }
    free_list(list);
    return copied;
}

/* Keeps the restore map: the list as it is. */
static int save_map(HCSBC backup, const char *folder)
{
    WCHAR *list;
    DWORD size;
    char *path;
    FILE *file;
    int saved;
    if (!good(locations(backup, &list, &size), "CertSrvRestoreGetDatabaseLocations"))
        return 0;
    path = joined(folder, "certbkxp.dat");
    file = path ? create_file(path) : NULL;
    saved = file && fwrite(list, 1, size, file) == size;
    saved = file && finish_file(file) && saved;
    if (!saved)
        fprintf(stderr, "cannot write certbkxp.dat\n");
    free(path);
    free_list(list);
    return saved;
}

/* Names what no backup holds. A list that cannot be had makes the backup no worse. */
static void say_dynamic_files(HCSBC backup)
{
    WCHAR *list;
    DWORD size;
    if (!good(dynamic_files(backup, &list, &size), "CertSrvBackupGetDynamicFileList"))
        return;
    for (const WCHAR *entry = list; *entry;) {
        char *text = narrow_of(entry); /* no tag here */
        printf("copy this by other means: %s\n", text ? text : "?");
        free(text);
        while (*entry++) {
        }
    }
    free_list(list);
}

/* Whether the CA may have deleted logs that only this backup holds: the call can have worked although it failed. */
static int may_be_truncated;

/* Everything between prepare and end, into `folder` in the folder `set`. */
static int copy_all(HCSBC backup, const char *set, const char *folder, int logs_only, int keep_logs)
{
    WCHAR *list;
    DWORD size;
    char *around;
    int flushed;
    if (!save_map(backup, folder))
        return 0;
    if (!logs_only) {
        if (!good(database_names(backup, &list, &size), "CertSrvBackupGetDatabaseNames") ||
            !copy_list(backup, list, folder))
            return 0;
    }
    if (!good(backup_logs(backup, &list, &size), "CertSrvBackupGetBackupLogs") || !copy_list(backup, list, folder))
        return 0;
    /* Truncation deletes what this backup holds: it has to be on disk first, and so have the names of the folders that hold it. */
    around = folder_of(set);
    flushed = around && finish_folder(folder) && finish_folder(set) && finish_folder(around);
    if (!flushed)
        perror(set);
    free(around);
    if (!flushed)
        return 0;
    say_dynamic_files(backup);
    /* The last step: after it these files are needed, whatever else fails. */
    if (keep_logs || logs_only)
        return 1;
    may_be_truncated = 1;
    return good(truncate_logs(backup), "CertSrvBackupTruncateLogs");
}

static int run(const WCHAR *server, const char *set, int logs_only, int keep_logs)
{
    WINBOOL online;
    HCSBC backup;
    char *folder = joined(set, "DataBase");
    int copied = 0;
    /* Before the CA is asked for anything: what another backup left is neither overwritten nor mixed with this one. */
    int made = folder && make_folder(set) && make_new_folder(folder);
    if (!made) {
        fprintf(stderr, "cannot create %s; a backup goes into a new folder\n", folder ? folder : set);
    } else if (!good(is_online(server, &online), "CertSrvIsServerOnline")) {
    } else if (!online) {
        fprintf(stderr, "the CA does not serve requests\n");
    } else if (good(prepare(server, 0, logs_only ? CSBACKUP_TYPE_LOGS_ONLY : CSBACKUP_TYPE_FULL, &backup),
                    "CertSrvBackupPrepare")) {
        copied = copy_all(backup, set, folder, logs_only, keep_logs);
        /* Owed after failures too; only its success makes the backup a good one. */
        copied = good(end_backup(backup), "CertSrvBackupEnd") && copied;
    }
    if (!copied && may_be_truncated) {
        fprintf(stderr, "keep %s: its files are whole, and the CA may have deleted logs that are in it\n", folder);
    } else if (made && !copied && !remove_empty_folder(folder)) {
        fprintf(stderr, "remove %s: it is no part of a backup\n", folder);
    }
    free(folder);
    return copied;
}

int main(int count, char **arguments)
{
    int logs_only = 0, keep_logs = 0, done;
    void *library;
    WCHAR *server;
    for (int index = 3; index < count; index++) {
        logs_only |= !strcmp(arguments[index], "logs");
        keep_logs |= !strcmp(arguments[index], "keep-logs");
    }
    if (count < 3 || count != 3 + logs_only + keep_logs) {
        fprintf(stderr, "usage: backup SERVER FOLDER [logs] [keep-logs]\n");
        return 2;
    }
    library = load_library();
    server = wide_of(arguments[1]);
    if (!library || !server || !find_functions(library)) {
        free(server);
        return 1;
    }
    done = run(server, arguments[2], logs_only, keep_logs);
    free(server);
    puts(done               ? "The backup is complete."
         : may_be_truncated ? "The backup was not ended. Keep its files, and take another full one."
                            : "There is no backup.");
    return done ? 0 : 1;
}
