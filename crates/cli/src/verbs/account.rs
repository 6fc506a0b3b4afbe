//! Who runs this command: the name that records of an issue or a revocation carry.

#[cfg(unix)]
use std::fs;

/// The name of the account that runs this command, as far as `/etc/passwd`, on Windows the session, knows it.
pub(crate) fn account() -> String {
    #[cfg(unix)]
    {
        let id = rustix::process::getuid().as_raw();
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let name = accounts.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == id.to_string()).then(|| name.to_owned())
        });
        name.unwrap_or_else(|| format!("uid {id}"))
    }
    #[cfg(not(unix))]
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown".to_owned())
}
