/*
 * What the examples need beside the C library, on Linux and on Windows: loading the library at run time, text as UTF-8
 * outside and UTF-16 inside, files that are on disk when a call says so.
 */
#ifndef CERTADM_EXAMPLES_PORTABLE_H
#define CERTADM_EXAMPLES_PORTABLE_H

#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#include <windows.h>
#include <dirent.h>
#include <direct.h>
#include <io.h>
#else
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <certbcli.h>

#if defined(__GNUC__)
#define UNUSED __attribute__((unused))
#else
#define UNUSED
#endif

/* ---- the library and its functions ---- */

/* CERTADM_LIBRARY names another library than the installed one. */
UNUSED static void *load_library(void)
{
    const char *chosen = getenv("CERTADM_LIBRARY");
#if defined(_WIN32)
    HMODULE library = LoadLibraryA(chosen ? chosen : "certadm.dll");
    if (!library)
        fprintf(stderr, "the library does not load: error %lu\n", (unsigned long)GetLastError());
    return (void *)library;
#else
    void *library = dlopen(chosen ? chosen : "libcertadm.so.1", RTLD_NOW);
    if (!library)
        fprintf(stderr, "the library does not load: %s\n", dlerror());
    return library;
#endif
}

/* Puts the address of a function into the pointer at `place`. 0 when the library does not have it. */
UNUSED static int find_function(void *library, const char *name, void *place)
{
#if defined(_WIN32)
    FARPROC found = GetProcAddress((HMODULE)library, name);
#else
    void *found = dlsym(library, name);
#endif
    if (!found) {
        fprintf(stderr, "the library has no %s\n", name);
        return 0;
    }
    memcpy(place, &found, sizeof found);
    return 1;
}

/* ---- text ---- */

/* UTF-16 of a UTF-8 text, to be given to free(). NULL when it is no UTF-8, or memory is short. */
UNUSED static WCHAR *wide_of(const char *text)
{
    size_t length = strlen(text), used = 0;
    WCHAR *wide = (WCHAR *)malloc((length + 1) * sizeof *wide);
    const unsigned char *next = (const unsigned char *)text;
    while (wide && *next) {
        uint32_t first = *next++;
        int more = first < 0x80 ? 0 : first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC2 ? 1 : -1;
        uint32_t code = more <= 0 ? first : first & (0x3Fu >> more);
        int left = more;
        while (left > 0 && (*next & 0xC0) == 0x80) {
            code = code << 6 | (*next++ & 0x3F);
            left--;
        }
        if (more < 0 || left != 0 || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
            free(wide);
            return NULL;
        }
        if (code >= 0x10000) {
            wide[used++] = (WCHAR)(0xD800 + ((code - 0x10000) >> 10));
            code = 0xDC00 + ((code - 0x10000) & 0x3FF);
        }
        wide[used++] = (WCHAR)code;
    }
    if (wide)
        wide[used] = 0;
    return wide;
}

/* UTF-8 of a UTF-16 text, to be given to free(). NULL when memory is short. */
UNUSED static char *narrow_of(const WCHAR *wide)
{
    size_t length = 0, used = 0;
    char *text;
    while (wide[length])
        length++;
    text = (char *)malloc(3 * length + 1);
    for (size_t place = 0; text && place < length; place++) {
        uint32_t code = wide[place];
        if ((code & 0xFC00) == 0xD800 && (wide[place + 1] & 0xFC00) == 0xDC00)
            code = 0x10000 + ((code & 0x3FF) << 10 | (wide[++place] & 0x3FF));
        if (code < 0x80) {
            text[used++] = (char)code;
        } else if (code < 0x800) {
            text[used++] = (char)(0xC0 | code >> 6);
            text[used++] = (char)(0x80 | (code & 0x3F));
        } else if (code < 0x10000) {
            text[used++] = (char)(0xE0 | code >> 12);
            text[used++] = (char)(0x80 | (code >> 6 & 0x3F));
            text[used++] = (char)(0x80 | (code & 0x3F));
        } else {
            text[used++] = (char)(0xF0 | code >> 18);
            text[used++] = (char)(0x80 | (code >> 12 & 0x3F));
            text[used++] = (char)(0x80 | (code >> 6 & 0x3F));
            text[used++] = (char)(0x80 | (code & 0x3F));
        }
    }
    if (text)
        text[used] = 0;
    return text;
}

/* "folder/name", to be given to free(). NULL when memory is short. */
UNUSED static char *joined(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = (char *)malloc(size);
    if (path)
        snprintf(path, size, "%s/%s", folder, name);
    return path;
}

/* The folder that a path's last name is in, to be given to free(). NULL when memory is short. */
UNUSED static char *folder_of(const char *path)
{
#if defined(_WIN32)
    const char *separators = "/\\";
#else
    const char *separators = "/";
#endif
    size_t size = strlen(path), rooted = size > 0 && strchr(separators, path[0]) != NULL;
    char *folder;
    while (size > rooted && strchr(separators, path[size - 1]))
        size--;
    while (size > 0 && !strchr(separators, path[size - 1]))
        size--;
    while (size > rooted && strchr(separators, path[size - 1]))
        size--;
    folder = (char *)malloc(size + 2);
    if (folder)
        snprintf(folder, size + 2, "%.*s", size ? (int)size : 1, size ? path : ".");
    return folder;
}

/* ---- files ---- */

/* As fopen(), for a path in UTF-8. */
UNUSED static FILE *open_file(const char *path, const char *mode)
{
#if defined(_WIN32)
    WCHAR *wide_path = wide_of(path), *wide_mode = wide_of(mode);
    FILE *file = wide_path && wide_mode ? _wfopen(wide_path, wide_mode) : NULL;
    free(wide_path);
    free(wide_mode);
    return file;
#else
    return fopen(path, mode);
#endif
}

/* Opens a file that must not exist yet. */
UNUSED static FILE *create_file(const char *path)
{
    FILE *there = open_file(path, "rb");
    if (there) {
        fclose(there);
        return NULL;
    }
#if defined(_WIN32)
    return open_file(path, "wb");
#else
    return open_file(path, "wbx");
#endif
}

/* Closes a file that was written; 1 when all of it is on disk. */
UNUSED static int finish_file(FILE *file)
{
    int good = fflush(file) == 0;
#if defined(_WIN32)
    good = _commit(_fileno(file)) == 0 && good;
#else
    good = fsync(fileno(file)) == 0 && good;
#endif
    return fclose(file) == 0 && good;
}

/* Makes a folder that is not there yet; 1 when it is made. */
UNUSED static int make_new_folder(const char *path)
{
#if defined(_WIN32)
    WCHAR *wide = wide_of(path);
    int made = wide && CreateDirectoryW(wide, NULL);
    free(wide);
    return made;
#else
    return mkdir(path, 0700) == 0;
#endif
}

/* Removes a folder that has nothing in it; 1 when it is gone. */
UNUSED static int remove_empty_folder(const char *path)
{
#if defined(_WIN32)
    WCHAR *wide = wide_of(path);
    int removed = wide && RemoveDirectoryW(wide);
    free(wide);
    return removed;
#else
    return rmdir(path) == 0;
#endif
}

/* Makes a folder; 1 when it is there afterwards. */
UNUSED static int make_folder(const char *path)
{
#if defined(_WIN32)
    WCHAR *wide = wide_of(path);
    int made = wide && (CreateDirectoryW(wide, NULL) || GetLastError() == ERROR_ALREADY_EXISTS);
    free(wide);
    return made;
#else
    return mkdir(path, 0700) == 0 || errno == EEXIST;
#endif
}

/* Puts the names in a folder on disk. Windows does so by itself. */
UNUSED static int finish_folder(const char *path)
{
#if defined(_WIN32)
    (void)path;
    return 1;
#else
    DIR *folder = opendir(path);
    int good = folder && fsync(dirfd(folder)) == 0;
    if (folder)
        closedir(folder);
    return good;
#endif
}

/* ---- what went wrong ---- */

/* 1 when the call went well; else says what failed, with its HRESULT. */
UNUSED static int good(HRESULT result, const char *call)
{
    if (SUCCEEDED(result))
        return 1;
    fprintf(stderr, "%s failed: 0x%08lx\n", call, (unsigned long)(uint32_t)result);
    return 0;
}

#endif
