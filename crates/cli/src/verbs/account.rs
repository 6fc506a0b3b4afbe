//! Who runs this command: the name that records of an issue or a revocation carry.

/// The name of the account that runs this command, as far as `/etc/passwd`, on Windows the session, knows it.
pub(crate) fn account() -> String {
    #[cfg(unix)]
    {
        let id = rustix::process::getuid().as_raw();
        certadm_files::users::name_of(id).unwrap_or_else(|| format!("uid {id}"))
    }
    #[cfg(not(unix))]
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
}
