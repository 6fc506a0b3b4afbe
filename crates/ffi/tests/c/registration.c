/*
 * Registering restores while the CA is down: the rules of certbcli.md D16 to D21, in both forms. Leaves a completed
 * registration of DATABASE and the generations 1 to 9 behind.
 *
 *   registration SERVER DATABASE        the database's path of this machine
 */
#include "calls.h"

static WCHAR *server, *database;

static HCSBC context(ULONG flags)
{
    HCSBC made;
    if (FAILED(p_CertSrvRestorePrepareW(server, flags, &made)))
        holds("RestorePrepare", 0);
    return made;
}

typedef FNCERTSRVRESTOREREGISTERW register_function;

static HRESULT full(register_function *function, HCSBC handle, ULONG low, ULONG high)
{
    CSEDB_RSTMAPW map;
    map.pwszDatabaseName = map.pwszNewDatabaseName = database;
    return function(handle, NULL, NULL, &map, 1, NULL, low, high);
}

static HRESULT logs(register_function *function, HCSBC handle, ULONG low, ULONG high)
{
    return function(handle, NULL, NULL, NULL, 0, NULL, low, high);
}

static void bad_arguments(register_function *function)
{
    static WCHAR empty[] = {0}, half[] = {0xD800, 0}, elsewhere[] = {'/', 'n', 'o', '/', 'x', '.', 'd', 'b', 0};
    HCSBC handle = context(CSRESTORE_TYPE_FULL);
    CSEDB_RSTMAPW map[2];
    map[0].pwszDatabaseName = map[0].pwszNewDatabaseName = database;
    map[1] = map[0];
#define BAD(what, call) expect(what, call, E_INVALIDARG_)
    BAD("map without a count", function(handle, NULL, NULL, map, 0, NULL, 1, 9));
    BAD("count without a map", function(handle, NULL, NULL, NULL, 1, NULL, 1, 9));
    BAD("negative count", function(handle, NULL, NULL, map, -1, NULL, 1, 9));
    BAD("a count beyond belief", function(handle, NULL, NULL, map, 0x7FFFFFFF, NULL, 1, 9));
    BAD("low 0", full(function, handle, 0, 9));
    BAD("low above high", full(function, handle, 9, 8));
    BAD("empty log path", function(handle, NULL, empty, map, 1, NULL, 1, 9));
    BAD("empty checkpoint path", function(handle, empty, NULL, map, 1, NULL, 1, 9));
    BAD("half a surrogate", function(handle, NULL, NULL, map, 1, half, 1, 9));
    map[1].pwszNewDatabaseName = NULL;
    BAD("NULL in the map", function(handle, NULL, NULL, map, 2, NULL, 1, 9));
    map[1].pwszNewDatabaseName = empty;
    BAD("empty text in the map", function(handle, NULL, NULL, map, 2, NULL, 1, 9));
    map[0].pwszNewDatabaseName = elsewhere;
    BAD("a database elsewhere", function(handle, NULL, NULL, map, 1, NULL, 1, 9));
#undef BAD
    expect("RestoreEnd", p_CertSrvRestoreEnd(handle), 0);
    handle = context(CSRESTORE_TYPE_CATCHUP);
    expect("a map in an incremental context", full(function, handle, 1, 9), E_INVALIDARG_);
    expect("logs before a full restore", logs(function, handle, 1, 9), 0xC7FF000Cu);
    expect("RestoreEnd", p_CertSrvRestoreEnd(handle), 0);
}

static WCHAR *with_ca(const WCHAR *machine, const char *ca)
{
    size_t length = 0, place = 0;
    WCHAR *name;
    while (machine[length])
        length++;
    while (ca[place])
        place++;
    if (!(name = malloc((length + place + 1) * sizeof *name)))
        exit(2);
    memcpy(name, machine, length * sizeof *name);
    for (place = 0; ca[place]; place++)
        name[length + place] = (WCHAR)(unsigned char)ca[place];
    name[length + place] = 0;
    return name;
}

/* A restore for another CA than the one of this machine must not keep that one from starting. */
static void of_another_ca(register_function *function)
{
    WCHAR *here = server;
    HCSBC handle;
    server = with_ca(here, "\\Nope");
    handle = context(CSRESTORE_TYPE_FULL);
    expect("Register for a CA that is not here", full(function, handle, 1, 9), E_INVALIDARG_);
    expect("Register again", full(function, handle, 1, 9), E_INVALIDARG_);
    expect("Complete for a CA that is not here", p_CertSrvRestoreRegisterComplete(handle, 0), E_INVALIDARG_);
    expect("RestoreEnd", p_CertSrvRestoreEnd(handle), 0);
    free(server);
    server = with_ca(here, "\\test-ca");
    handle = context(CSRESTORE_TYPE_FULL);
    expect("Complete for this CA, nothing pending", p_CertSrvRestoreRegisterComplete(handle, 0), E_UNEXPECTED_);
    expect("RestoreEnd", p_CertSrvRestoreEnd(handle), 0);
    free(server);
    server = here;
}

static void life(const char *form, register_function *function)
{
    HCSBC one = context(CSRESTORE_TYPE_FULL), other = context(0);
    printf("%s\n", form);
    expect("Complete, nothing pending", p_CertSrvRestoreRegisterComplete(one, 0), E_UNEXPECTED_);
    expect("Register a full restore", full(function, one, 2, 5), 0);
    expect("Register, one is pending", full(function, one, 2, 5), 0xC7FF0004u);
    expect("Register from elsewhere, one is pending", logs(function, other, 1, 9), 0xC7FF0004u);
    expect("Register bad arguments, one is pending", logs(function, other, 9, 1), 0xC7FF0004u);
    expect("Complete", p_CertSrvRestoreRegisterComplete(one, 0), 0);
    expect("Complete, twice", p_CertSrvRestoreRegisterComplete(one, 0), E_UNEXPECTED_);
    expect("Register a second map", full(function, one, 1, 9), 0xC7FF0008u);
    expect("Register logs in the full context", logs(function, one, 6, 8), 0);
    expect("Complete", p_CertSrvRestoreRegisterComplete(one, 1), 0);
    expect("Register logs in another context", logs(function, other, 6, 7), 0);
    expect("Complete with a failure", p_CertSrvRestoreRegisterComplete(other, (HRESULT)0x80004005u), 0);
    expect("Register logs after the failure", logs(function, other, 6, 7), 0xC7FF000Cu);
    expect("RestoreEnd", p_CertSrvRestoreEnd(one), 0);
    one = context(CSRESTORE_TYPE_FULL);
    expect("A new full restore replaces it", full(function, one, 1, 7), 0);
    expect("RestoreEnd, pending", p_CertSrvRestoreEnd(one), 0);
    one = context(CSRESTORE_TYPE_FULL);
    expect("Register, still pending", full(function, one, 1, 7), 0xC7FF0004u);
    expect("Complete in another context", p_CertSrvRestoreRegisterComplete(one, 0), 0);
    expect("Register logs", logs(function, one, 8, 9), 0);
    expect("Complete", p_CertSrvRestoreRegisterComplete(one, 0), 0);
    expect("RestoreEnd", p_CertSrvRestoreEnd(one), 0);
    expect("RestoreEnd", p_CertSrvRestoreEnd(other), 0);
}

int main(int count, char **arguments)
{
    if (count != 3 || !find_all() || !(server = wide_of(arguments[1])) || !(database = wide_of(arguments[2])))
        return 2;
    bad_arguments(p_CertSrvRestoreRegisterW);
    bad_arguments(p_CertSrvRestoreRegisterThroughFile);
    of_another_ca(p_CertSrvRestoreRegisterW);
    of_another_ca(p_CertSrvRestoreRegisterThroughFile);
    life("RestoreRegister", p_CertSrvRestoreRegisterW);
    life("RestoreRegisterThroughFile", p_CertSrvRestoreRegisterThroughFile);
    expect("Register here", full(p_CertSrvRestoreRegisterW, NULL, 1, 9), 0);
    expect("Complete here", p_CertSrvRestoreRegisterComplete(NULL, 0), 0);
    expect("RegisterThroughFile here", full(p_CertSrvRestoreRegisterThroughFile, NULL, 1, 9), E_HANDLE_);
    free(server);
    free(database);
    return summary();
}
