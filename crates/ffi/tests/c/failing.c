/*
 * Stands before the library, which it is linked against: calls that fail. dlsym() finds these first.
 */
int CertSrvBackupGetDynamicFileListW(void *backup, void *list, void *size);
int CertSrvBackupTruncateLogs(void *backup);
int CertSrvRestoreEnd(void *context);

int CertSrvBackupGetDynamicFileListW(void *backup, void *list, void *size)
{
    (void)backup, (void)list, (void)size;
    return (int)0x80004005u;
}

#if defined(TRUNCATION)
int CertSrvBackupTruncateLogs(void *backup)
{
    (void)backup;
    return (int)0x800706BEu;
}
#endif

int CertSrvRestoreEnd(void *context)
{
    (void)context;
    return (int)0x800706BEu;
}
