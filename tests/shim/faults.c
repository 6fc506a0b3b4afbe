/* A library to preload: it counts the file operations of a process on paths below one folder and makes the k-th fail.
 *
 *   CERTADM_FAULT_DIR     the folder, absolute, without symbolic links
 *   CERTADM_FAULT_KIND    what happens (table KINDS below); each kind counts only the operations it can happen to
 *   CERTADM_FAULT_AT      k, from 1; 0 or absent: nothing happens, operations are only logged
 *   CERTADM_FAULT_REPORT  file that gets one line, "<operation> <path>", when the fault happens
 *   CERTADM_FAULT_LOG     file that gets a line for every operation seen; optional
 *
 * Every operation goes to the kernel by its raw system call, so nothing here depends on the C library's own wrappers.
 * Programs that make raw system calls themselves are not seen. Writes through a memory map (SQLite's -shm) neither. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    OPEN = 1 << 0, /* for writing */
    CREATE = 1 << 1,
    WRITE = 1 << 2,
    SYNC = 1 << 3,
    TRUNCATE = 1 << 4,
    RENAME = 1 << 5,
    UNLINK = 1 << 6,
    MKDIR = 1 << 7,
    LINK = 1 << 8,
    READ = 1 << 9,
    OPEN_READ = 1 << 10,
    CHANGES = OPEN | CREATE | WRITE | SYNC | TRUNCATE | RENAME | UNLINK | MKDIR | LINK,
    TAKES_SPACE = CREATE | WRITE | TRUNCATE | RENAME | MKDIR | LINK,
};

enum action { PASS, FAIL, HALF, DIE, DO_AND_DIE, HALF_AND_DIE };

static const struct kind {
    const char *name;
    int operations;
    enum action action;
    int error;
    int lasts; /* every operation after the k-th fails as well */
} KINDS[] = {
    {"eio", CHANGES, FAIL, EIO, 0},
    {"enospc", TAKES_SPACE | SYNC, FAIL, ENOSPC, 0},
    {"short", WRITE, HALF, 0, 0},
    {"read", READ | OPEN_READ, FAIL, EIO, 0},
    {"kill", CHANGES, DIE, 0, 0},
    {"killafter", CHANGES, DO_AND_DIE, 0, 0},
    {"torn", WRITE, HALF_AND_DIE, 0, 0},
    {"full", TAKES_SPACE, FAIL, ENOSPC, 1},
    {"dead", CHANGES, FAIL, EIO, 1},
};

static char folder[PATH_MAX];
static size_t folder_len;
static const struct kind *kind;
static long at;
static long count;
static const char *report;
static const char *log_path;

__attribute__((constructor)) static void prepare(void)
{
    const char *dir = getenv("CERTADM_FAULT_DIR");
    const char *name = getenv("CERTADM_FAULT_KIND");
    const char *k = getenv("CERTADM_FAULT_AT");
    report = getenv("CERTADM_FAULT_REPORT");
    log_path = getenv("CERTADM_FAULT_LOG");
    at = k ? atol(k) : 0;
    for (size_t i = 0; name && i < sizeof KINDS / sizeof *KINDS; i++)
        if (!strcmp(KINDS[i].name, name))
            kind = &KINDS[i];
    if (dir && strlen(dir) < sizeof folder)
        strcpy(folder, dir);
    folder_len = strlen(folder);
}

static void append_line(const char *file, const char *operation, const char *path)
{
    char line[PATH_MAX + 64];
    int len = snprintf(line, sizeof line, "%s %s\n", operation, path);
    int fd = syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0) {
        syscall(SYS_write, fd, line, len);
        syscall(SYS_close, fd);
    }
}

static void die(void)
{
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;)
        pause();
}

static int is_below(const char *path)
{
    return folder_len && !strncmp(path, folder, folder_len) && (path[folder_len] == '/' || !path[folder_len]);
}

/* What becomes of one operation. Dies here when it is to die before the operation. */
static enum action judge(int operation, const char *name, const char *path)
{
    if (!is_below(path))
        return PASS;
    if (log_path)
        append_line(log_path, name, path);
    if (!kind || at <= 0 || !(kind->operations & operation))
        return PASS;
    long now = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (now < at || (now > at && !kind->lasts))
        return PASS;
    if (now == at && report)
        append_line(report, name, path);
    if (kind->action == DIE)
        die();
    if (kind->action == FAIL)
        errno = kind->error;
    return kind->action;
}

static enum action judge_fd(int operation, const char *name, int fd)
{
    char link[64], path[PATH_MAX];
    int saved = errno;
    if (!folder_len)
        return PASS;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = saved;
    if (len <= 0)
        return PASS;
    path[len] = 0;
    return judge(operation, name, path);
}

/* The path of a name relative to an open folder. */
static const char *path_at(int dir, const char *name, char *buffer)
{
    char link[64];
    int saved = errno;
    if (name[0] == '/')
        return name;
    snprintf(link, sizeof link, dir == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dir);
    ssize_t len = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX - 1);
    errno = saved;
    if (len <= 0 || (size_t)len + strlen(name) + 2 > PATH_MAX)
        return "";
    buffer[len] = '/';
    strcpy(buffer + len + 1, name);
    return buffer;
}

#define FINISH(judged, call)                 \
    do {                                     \
        enum action verdict = (judged);      \
        if (verdict == FAIL)                 \
            return -1;                       \
        long result = (call);                \
        if (verdict == DO_AND_DIE)           \
            die();                           \
        return result;                       \
    } while (0)

/* Transfers: the length can be halved. A single byte has no half and is written whole. */
#define TRANSFER(judged, len, call)                                          \
    do {                                                                     \
        enum action verdict = (judged);                                      \
        if (verdict == FAIL)                                                 \
            return -1;                                                       \
        if ((verdict == HALF || verdict == HALF_AND_DIE) && (len) > 1)       \
            (len) /= 2;                                                      \
        long result = (call);                                                \
        if (verdict == DO_AND_DIE || verdict == HALF_AND_DIE)                \
            die();                                                           \
        return result;                                                       \
    } while (0)

static int open_at(int dir, const char *file, int flags, mode_t mode)
{
    char buffer[PATH_MAX];
    const char *path = path_at(dir, file, buffer);
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    int creates = 0;
    if (flags & O_CREAT) {
        struct stat found;
        int saved = errno;
        creates = syscall(SYS_newfstatat, AT_FDCWD, path, &found, 0) != 0;
        errno = saved;
    }
    int operation = creates ? CREATE : writes ? OPEN : OPEN_READ;
    FINISH(judge(operation, creates ? "create" : writes ? "open" : "open-read", path),
           syscall(SYS_openat, dir, file, flags, mode));
}

static mode_t mode_argument(int flags, va_list arguments)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define DEFINE_OPEN(symbol)                                                 \
    int symbol(const char *file, int flags, ...)                            \
    {                                                                       \
        va_list arguments;                                                  \
        va_start(arguments, flags);                                         \
        mode_t mode = mode_argument(flags, arguments);                      \
        va_end(arguments);                                                  \
        return open_at(AT_FDCWD, file, flags, mode);               \
    }
#define DEFINE_OPENAT(symbol)                                               \
    int symbol(int dir, const char *file, int flags, ...)                   \
    {                                                                       \
        va_list arguments;                                                  \
        va_start(arguments, flags);                                         \
        mode_t mode = mode_argument(flags, arguments);                      \
        va_end(arguments);                                                  \
        return open_at(dir, file, flags, mode);                    \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

int creat(const char *file, mode_t mode)
{
    return open_at(AT_FDCWD, file, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

int creat64(const char *file, mode_t mode)
{
    return creat(file, mode);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    TRANSFER(judge_fd(WRITE, "write", fd), len, syscall(SYS_write, fd, bytes, len));
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
    TRANSFER(judge_fd(WRITE, "pwrite64", fd), len, syscall(SYS_pwrite64, fd, bytes, len, offset));
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    TRANSFER(judge_fd(WRITE, "pwrite", fd), len, syscall(SYS_pwrite64, fd, bytes, len, offset));
}

/* A halved vector is cut to its first half; one of a single part loses half of that part. */
static ssize_t write_vector(int fd, const struct iovec *parts, int parts_len)
{
    struct iovec half;
    enum action verdict = judge_fd(WRITE, "writev", fd);
    if (verdict == FAIL)
        return -1;
    if (verdict == HALF || verdict == HALF_AND_DIE) {
        if (parts_len > 1) {
            parts_len /= 2;
        } else if (parts_len == 1 && parts[0].iov_len > 1) {
            half = parts[0];
            half.iov_len /= 2;
            parts = &half;
        }
    }
    ssize_t result = syscall(SYS_writev, fd, parts, parts_len);
    if (verdict == DO_AND_DIE || verdict == HALF_AND_DIE)
        die();
    return result;
}

ssize_t writev(int fd, const struct iovec *parts, int parts_len)
{
    return write_vector(fd, parts, parts_len);
}

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t len, unsigned flags)
{
    TRANSFER(judge_fd(WRITE, "copy_file_range", to), len,
             syscall(SYS_copy_file_range, from, from_offset, to, to_offset, len, flags));
}

ssize_t sendfile64(int to, int from, off64_t *offset, size_t len)
{
    TRANSFER(judge_fd(WRITE, "sendfile", to), len, syscall(SYS_sendfile, to, from, offset, len));
}

ssize_t sendfile(int to, int from, off_t *offset, size_t len)
{
    return sendfile64(to, from, offset, len);
}

ssize_t read(int fd, void *bytes, size_t len)
{
    FINISH(judge_fd(READ, "read", fd), syscall(SYS_read, fd, bytes, len));
}

ssize_t pread64(int fd, void *bytes, size_t len, off64_t offset)
{
    FINISH(judge_fd(READ, "pread64", fd), syscall(SYS_pread64, fd, bytes, len, offset));
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    FINISH(judge_fd(READ, "pread", fd), syscall(SYS_pread64, fd, bytes, len, offset));
}

ssize_t readv(int fd, const struct iovec *parts, int parts_len)
{
    FINISH(judge_fd(READ, "readv", fd), syscall(SYS_readv, fd, parts, parts_len));
}

int fsync(int fd)
{
    FINISH(judge_fd(SYNC, "fsync", fd), syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    FINISH(judge_fd(SYNC, "fdatasync", fd), syscall(SYS_fdatasync, fd));
}

int sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
    FINISH(judge_fd(SYNC, "sync_file_range", fd), syscall(SYS_sync_file_range, fd, offset, len, flags));
}

int ftruncate64(int fd, off64_t len)
{
    FINISH(judge_fd(TRUNCATE, "ftruncate", fd), syscall(SYS_ftruncate, fd, len));
}

int ftruncate(int fd, off_t len)
{
    return ftruncate64(fd, len);
}

int truncate64(const char *file, off64_t len)
{
    char buffer[PATH_MAX];
    FINISH(judge(TRUNCATE, "truncate", path_at(AT_FDCWD, file, buffer)), syscall(SYS_truncate, file, len));
}

int truncate(const char *file, off_t len)
{
    return truncate64(file, len);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    FINISH(judge_fd(WRITE, "fallocate", fd), syscall(SYS_fallocate, fd, mode, offset, len));
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fallocate64(fd, mode, offset, len);
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return fallocate64(fd, 0, offset, len) == 0 ? 0 : errno;
}

int posix_fallocate(int fd, off_t offset, off_t len)
{
    return posix_fallocate64(fd, offset, len);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    char buffer[PATH_MAX];
    FINISH(judge(RENAME, "rename", path_at(to_dir, to, buffer)),
           syscall(SYS_renameat2, from_dir, from, to_dir, to, flags));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dir, const char *file, int flags)
{
    char buffer[PATH_MAX];
    FINISH(judge(UNLINK, "unlink", path_at(dir, file, buffer)), syscall(SYS_unlinkat, dir, file, flags));
}

int unlink(const char *file)
{
    return unlinkat(AT_FDCWD, file, 0);
}

int rmdir(const char *file)
{
    return unlinkat(AT_FDCWD, file, AT_REMOVEDIR);
}

int mkdirat(int dir, const char *file, mode_t mode)
{
    char buffer[PATH_MAX];
    FINISH(judge(MKDIR, "mkdir", path_at(dir, file, buffer)), syscall(SYS_mkdirat, dir, file, mode));
}

int mkdir(const char *file, mode_t mode)
{
    return mkdirat(AT_FDCWD, file, mode);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    char buffer[PATH_MAX];
    FINISH(judge(LINK, "link", path_at(to_dir, to, buffer)),
           syscall(SYS_linkat, from_dir, from, to_dir, to, flags));
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}
