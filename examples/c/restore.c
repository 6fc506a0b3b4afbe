/*
 * Restores a full backup that backup.c or certutil -backupDB made, in the published order of calls:
 *
 *   load the library, look the functions up, stop the server, prepare, copy the files, register, complete, end
 *
 *   restore SERVER FOLDER [through-file]
 *
 * It runs on the CA's own machine. The files go where the backup's restore map says; they must not be there already:
 * what is left of the lost database has to be moved away first, logs included, or it would be replayed on top.
 * `through-file` registers the way that needs no administrator. Start the service afterwards: it recovers first.
 *
 *   cc -o restore restore.c $(pkg-config --cflags certadm) -ldl
 */
#include "portable.h"

static FNCERTSRVISSERVERONLINEW *is_online;
static FNCERTSRVSERVERCONTROLW *control;
static FNCERTSRVRESTOREPREPAREW *prepare;
static FNCERTSRVRESTOREREGISTERW *register_restore;
static FNCERTSRVRESTOREREGISTERCOMPLETE *complete;
static FNCERTSRVRESTOREEND *end_restore;

static int find_functions(void *library, int through_file)
{
    const char *form = through_file ? "CertSrvRestoreRegisterThroughFile" : "CertSrvRestoreRegisterW";
    return find_function(library, "CertSrvIsServerOnlineW", &is_online) &&
           find_function(library, "CertSrvServerControlW", &control) &&
           find_function(library, "CertSrvRestorePrepareW", &prepare) &&
           find_function(library, form, &register_restore) &&
           find_function(library, "CertSrvRestoreRegisterComplete", &complete) &&
           find_function(library, "CertSrvRestoreEnd", &end_restore);
}

static void pause_a_little(void)
{
#if defined(_WIN32)
    Sleep(200);
#else
    usleep(200 * 1000);
#endif
}

/* Stops the CA if it runs, and waits until it does not answer any more, 30 s at most. */
static int stop_server(const WCHAR *server)
{
    WINBOOL online;
    if (FAILED(is_online(server, &online)))
        return 1;
    puts("stopping the server");
    if (!good(control(server, CSCONTROL_SHUTDOWN, NULL, NULL), "CertSrvServerControl"))
        return 0;
    for (int turn = 0; turn < 150; turn++) {
        if (FAILED(is_online(server, &online)))
            return 1;
        pause_a_little();
    }
    fprintf(stderr, "the server does not stop\n");
    return 0;
}

/* What the backup's restore map says, as it was saved. */
struct map {
    WCHAR *list;
    WCHAR *database;   /* the entries without their tags, inside the list */
    WCHAR *logs;
    WCHAR *checkpoint;
};

static int read_map(const char *folder, struct map *map)
{
    char *path = joined(folder, "certbkxp.dat");
    FILE *file = path ? open_file(path, "rb") : NULL;
    size_t limit = 1 << 20, size;
    memset(map, 0, sizeof *map);
    map->list = (WCHAR *)calloc(limit + 2, sizeof(WCHAR));
    if (!file || !map->list) {
        fprintf(stderr, "cannot read %s\n", path ? path : folder);
    } else {
        size = fread(map->list, sizeof(WCHAR), limit, file);
        for (WCHAR *entry = map->list; entry < map->list + size && *entry;) {
            if (*entry == CSBFT_CERTSERVER_DATABASE)
                map->database = entry + 1;
            else if (*entry == CSBFT_LOG_DIR)
                map->logs = entry + 1;
            else if (*entry == CSBFT_CHECKPOINT_DIR)
                map->checkpoint = entry + 1;
            while (*entry++) {
            }
        }
        if (!map->database || !map->logs || !map->checkpoint)
            fprintf(stderr, "certbkxp.dat is not complete\n");
    }
    if (file)
        fclose(file);
    free(path);
    return map->database && map->logs && map->checkpoint;
}

/* The path of this machine that a UNC path of the map means. To be given to free(). */
static char *local_path(const WCHAR *unc)
{
    char *text = narrow_of(unc);
#if !defined(_WIN32)
    /* \\host\root$\srv\ca stands for /srv/ca */
    char *host_end = text && !strncmp(text, "\\\\", 2) ? strchr(text + 2, '\\') : NULL;
    char *path = host_end ? strchr(host_end + 1, '\\') : NULL;
    if (path) {
        memmove(text, path, strlen(path) + 1);
        for (char *character = text; *character; character++)
            if (*character == '\\')
                *character = '/';
    }
#endif
    return text;
}

static int ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length > tail && !strcmp(name + length - tail, end);
}

/* The generation that a log's name says; 0 for anything else. */
static unsigned long generation(const char *name)
{
    char *end;
    unsigned long number;
    if (strncmp(name, "edb", 3) || !ends_with(name, ".log") || strspn(name + 3, "0123456789abcdefABCDEF") < 5)
        return 0;
    number = strtoul(name + 3, &end, 16);
    return strcmp(end, ".log") ? 0 : number;
}

static int copy_file(const char *from, const char *to)
{
    static char buffer[512 * 1024];
    FILE *source = open_file(from, "rb"), *target = source ? create_file(to) : NULL;
    size_t count;
    int copied = target != NULL;
    while (copied && (count = fread(buffer, 1, sizeof buffer, source)) > 0)
        copied = fwrite(buffer, 1, count, target) == count;
    copied = copied && !ferror(source);
    if (target && !finish_file(target))
        copied = 0;
    if (source)
        fclose(source);
    if (!copied)
        fprintf(stderr, "cannot copy %s to %s; is there such a file already?\n", from, to);
    return copied;
}

/* Copies database and logs to their places, and finds out the range of the logs. */
static int copy_files(const char *folder, const struct map *map, ULONG *low, ULONG *high)
{
    char *database = local_path(map->database), *logs = local_path(map->logs);
    DIR *files = opendir(folder);
    struct dirent *file;
    int copied = database && logs && files, databases = 0;
    *low = *high = 0;
    while (copied && (file = readdir(files)) != NULL) {
        char *from = joined(folder, file->d_name);
        unsigned long number = generation(file->d_name);
        if (number) {
            char *to = joined(logs, file->d_name);
            *low = *low && *low < number ? *low : (ULONG)number;
            *high = *high > number ? *high : (ULONG)number;
            copied = from && to && copy_file(from, to);
            free(to);
        } else if (ends_with(file->d_name, ".db") || ends_with(file->d_name, ".edb")) {
            databases++;
            copied = from && copy_file(from, database);
        }
        free(from);
    }
    if (copied && (databases != 1 || !*low)) {
        fprintf(stderr, "%s does not hold one database and its logs\n", folder);
        copied = 0;
    }
    if (files)
        closedir(files);
    free(database);
    free(logs);
    return copied;
}

static int restore(const WCHAR *server, const char *folder, const struct map *map)
{
    CSEDB_RSTMAPW entry;
    ULONG low, high;
    HCSBC context;
    int restored;
    if (!good(prepare(server, CSRESTORE_TYPE_FULL, &context), "CertSrvRestorePrepare"))
        return 0;
    entry.pwszDatabaseName = entry.pwszNewDatabaseName = map->database;
    restored = copy_files(folder, map, &low, &high) &&
               good(register_restore(context, map->checkpoint, map->logs, &entry, 1, map->logs, low, high),
                    "CertSrvRestoreRegister") &&
               good(complete(context, S_OK), "CertSrvRestoreRegisterComplete");
    return good(end_restore(context), "CertSrvRestoreEnd") && restored;
}

int main(int count, char **arguments)
{
    int through_file = count == 4 && !strcmp(arguments[3], "through-file"), done = 0;
    struct map map = {NULL, NULL, NULL, NULL};
    void *library;
    WCHAR *server;
    char *folder;
    if (count != 3 + through_file) {
        fprintf(stderr, "usage: restore SERVER FOLDER [through-file]\n");
        return 2;
    }
    library = load_library();
    server = wide_of(arguments[1]);
    folder = joined(arguments[2], "DataBase");
    if (library && server && folder && find_functions(library, through_file) && read_map(folder, &map) &&
        stop_server(server))
        done = restore(server, folder, &map);
    free(map.list);
    free(folder);
    free(server);
    puts(done ? "The restore is registered. Start the service; take a full backup afterwards."
              : "Nothing was restored.");
    return done ? 0 : 1;
}
