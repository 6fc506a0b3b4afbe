/*
 * The 18 functions for the test programs, linked or looked up, and lines that say what each case gave: the name of the
 * case and its HRESULT. The lines are the same on every system; a line that begins with "WRONG" fails the test.
 */
#ifndef CERTADM_TESTS_CALLS_H
#define CERTADM_TESTS_CALLS_H

#include "portable.h"

#define FUNCTIONS(X)                                                                                                  \
    X(CertSrvIsServerOnlineW, FNCERTSRVISSERVERONLINEW)                                                               \
    X(CertSrvBackupPrepareW, FNCERTSRVBACKUPPREPAREW)                                                                 \
    X(CertSrvBackupGetDatabaseNamesW, FNCERTSRVBACKUPGETDATABASENAMESW)                                               \
    X(CertSrvBackupOpenFileW, FNCERTSRVBACKUPOPENFILEW)                                                               \
    X(CertSrvBackupRead, FNCERTSRVBACKUPREAD)                                                                         \
    X(CertSrvBackupClose, FNCERTSRVBACKUPCLOSE)                                                                       \
    X(CertSrvBackupGetBackupLogsW, FNCERTSRVBACKUPGETBACKUPLOGSW)                                                     \
    X(CertSrvBackupTruncateLogs, FNCERTSRVBACKUPTRUNCATELOGS)                                                         \
    X(CertSrvBackupEnd, FNCERTSRVBACKUPEND)                                                                           \
    X(CertSrvBackupFree, FNCERTSRVBACKUPFREE)                                                                         \
    X(CertSrvBackupGetDynamicFileListW, FNCERTSRVBACKUPGETDYNAMICFILELISTW)                                           \
    X(CertSrvServerControlW, FNCERTSRVSERVERCONTROLW)                                                                 \
    X(CertSrvRestorePrepareW, FNCERTSRVRESTOREPREPAREW)                                                               \
    X(CertSrvRestoreRegisterW, FNCERTSRVRESTOREREGISTERW)                                                             \
    X(CertSrvRestoreRegisterThroughFile, FNCERTSRVRESTOREREGISTERW)                                                   \
    X(CertSrvRestoreRegisterComplete, FNCERTSRVRESTOREREGISTERCOMPLETE)                                               \
    X(CertSrvRestoreGetDatabaseLocationsW, FNCERTSRVRESTOREGETDATABASELOCATIONSW)                                     \
    X(CertSrvRestoreEnd, FNCERTSRVRESTOREEND)

/* Each function through a pointer of its published type: to what was linked, or to what the library gave by name. */
#if defined(LINKED)
#define DECLARE(name, type) UNUSED static type *p_##name = name;
FUNCTIONS(DECLARE)
UNUSED static int find_all(void) { return 1; }
#else
#define DECLARE(name, type) UNUSED static type *p_##name;
FUNCTIONS(DECLARE)
#define FIND(name, type) found = found && find_function(library, #name, &p_##name);
UNUSED static int find_all(void)
{
    void *library = load_library();
    int found = library != NULL;
    FUNCTIONS(FIND)
    return found;
}
#endif

#define E_UNEXPECTED_ 0x8000FFFFu
#define E_ACCESSDENIED_ 0x80070005u
#define E_HANDLE_ 0x80070006u
#define E_INVALIDARG_ 0x80070057u

static unsigned long cases, wrong;

/* One case: what was done, what it gave, what it should give. */
UNUSED static int expect(const char *what, HRESULT gave, uint32_t wanted)
{
    int right = (uint32_t)gave == wanted;
    cases++;
    if (right)
        printf("%s: 0x%08lx\n", what, (unsigned long)(uint32_t)gave);
    else
        printf("WRONG %s: 0x%08lx, not 0x%08lx\n", what, (unsigned long)(uint32_t)gave, (unsigned long)wanted);
    wrong += !right;
    return right;
}

/* One case that is true or not. */
UNUSED static int holds(const char *what, int is_so)
{
    cases++;
    printf("%s%s: %s\n", is_so ? "" : "WRONG ", what, is_so ? "yes" : "no");
    wrong += !is_so;
    return is_so;
}

UNUSED static int summary(void)
{
    printf("%lu cases, %lu wrong\n", cases, wrong);
    return wrong ? 1 : 0;
}

#endif
