/*
 * Restores a full backup that backup.c or certutil -backupDB made, in the published order of calls:
 *
 *   load the library, look the functions up, stop the server, prepare, register, copy the files, complete, end
 *
 *   restore SERVER FOLDER [through-file]
 *
 * It runs on the CA's own machine. The files go where the backup's restore map says; they must not be there already:
 * what is left of the lost database has to be moved away first, logs included, or it would be replayed on top.
 * Registering comes before copying: it fails while the service still closes its database, and keeps it down afterwards.
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
    char *host_end = text && !strncmp(text, "\\\\", 2) ? strchr(text + 2, '\\') : NULL;
#if defined(_WIN32)
    /* \\host\C$\ca stands for C:\ca */
    if (host_end && host_end[1] && host_end[2] == '$') {
        text[0] = host_end[1];
        text[1] = ':';
        memmove(text + 2, host_end + 3, strlen(host_end + 3) + 1);
    }
#else
    /* \\host\root$\srv\ca stands for /srv/ca */
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

/* The files of a set, and where they go. */
struct files {
    char *folder, *database, *logs;
    char *image; /* the name of the database in the set */
    ULONG low, high;
};

static int exists(const char *path)
{
    FILE *file = open_file(path, "rb");
    if (file)
        fclose(file);
    return file != NULL;
}

/* Calls `each` for every name in a folder until it gives 0. */
static int for_each_name(const char *folder, struct files *files, int (*each)(struct files *, const char *))
{
    DIR *names = opendir(folder);
    struct dirent *name;
    int done = names != NULL;
    if (!names)
        perror(folder);
    while (done && (name = readdir(names)) != NULL)
        done = each(files, name->d_name);
    if (names)
        closedir(names);
    return done;
}

static int look_at(struct files *files, const char *name)
{
    unsigned long number = generation(name);
    if (number) {
        files->low = files->low && files->low < number ? files->low : (ULONG)number;
        files->high = files->high > number ? files->high : (ULONG)number;
    } else if (ends_with(name, ".db") || ends_with(name, ".edb")) {
        if (files->image) {
            fprintf(stderr, "%s holds more than one database\n", files->folder);
            return 0;
        }
        files->image = joined(files->folder, name);
    }
    return 1;
}

static int must_not_be_a_log(struct files *files, const char *name)
{
    if (!generation(name))
        return 1;
    fprintf(stderr, "%s/%s is in the way; move what is left of the lost database away\n", files->logs, name);
    return 0;
}

/* Finds the files of a set, and makes sure that nothing lies where they go. */
static int find_files(struct files *files)
{
    if (!files->database || !files->logs || !for_each_name(files->folder, files, look_at))
        return 0;
    if (!files->image || !files->low) {
        fprintf(stderr, "%s does not hold a database and its logs\n", files->folder);
        return 0;
    }
    if (exists(files->database)) {
        fprintf(stderr, "%s is in the way; move what is left of the lost database away\n", files->database);
        return 0;
    }
    return for_each_name(files->logs, files, must_not_be_a_log);
}

static int copy_log(struct files *files, const char *name)
{
    char *from, *to;
    int copied;
    if (!generation(name))
        return 1;
    from = joined(files->folder, name);
    to = joined(files->logs, name);
    copied = from && to && copy_file(from, to);
    free(from);
    free(to);
    return copied;
}

/* What is completed has to be on disk: the files, and the names that they have in their folders. */
static int copy_files(struct files *files)
{
    char *folder = folder_of(files->database);
    int copied = folder && copy_file(files->image, files->database) && for_each_name(files->folder, files, copy_log);
    if (copied && !(finish_folder(folder) && finish_folder(files->logs))) {
        perror(files->logs);
        copied = 0;
    }
    free(folder);
    return copied;
}

/* Registers; waits up to 30 s for a service that is still closing its database. */
static int register_files(HCSBC context, const struct map *map, const struct files *files)
{
    CSEDB_RSTMAPW entry;
    HRESULT result = 0;
    entry.pwszDatabaseName = entry.pwszNewDatabaseName = map->database;
    for (int turn = 0; turn < 150; turn++) {
        result = register_restore(context, map->checkpoint, map->logs, &entry, 1, map->logs, files->low, files->high);
        if ((uint32_t)result != 0x80070420u)
            break;
        pause_a_little();
    }
    return good(result, "CertSrvRestoreRegister");
}

static int restore(const WCHAR *server, const struct map *map, struct files *files)
{
    HCSBC context;
    int restored = 0;
    if (!find_files(files) || !stop_server(server) ||
        !good(prepare(server, CSRESTORE_TYPE_FULL, &context), "CertSrvRestorePrepare"))
        return 0;
    if (register_files(context, map, files)) {
        restored = copy_files(files);
        /* After a failure the service does not start until a restore succeeds. */
        restored = good(complete(context, restored ? S_OK : (HRESULT)0x80004005u), "CertSrvRestoreRegisterComplete") &&
                   restored;
    }
    /* What is completed stays completed: the end frees the context. */
    (void)good(end_restore(context), "CertSrvRestoreEnd");
    return restored;
}

int main(int count, char **arguments)
{
    int through_file = count == 4 && !strcmp(arguments[3], "through-file"), done = 0;
    struct map map = {NULL, NULL, NULL, NULL};
    struct files files = {NULL, NULL, NULL, NULL, 0, 0};
    void *library;
    WCHAR *server;
    if (count != 3 + through_file) {
        fprintf(stderr, "usage: restore SERVER FOLDER [through-file]\n");
        return 2;
    }
    library = load_library();
    server = wide_of(arguments[1]);
    files.folder = joined(arguments[2], "DataBase");
    if (library && server && files.folder && find_functions(library, through_file) && read_map(files.folder, &map)) {
        files.database = local_path(map.database);
        files.logs = local_path(map.logs);
        done = restore(server, &map, &files);
    }
    free(map.list);
    free(files.folder);
    free(files.database);
    free(files.logs);
    free(files.image);
    free(server);
    puts(done ? "The restore is registered. Start the service; take a full backup afterwards."
              : "Nothing was restored.");
    return done ? 0 : 1;
}
