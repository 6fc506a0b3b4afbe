//! Where keys and tickets are kept: keytabs, and the files that `kinit` writes.

use std::path::{Path, PathBuf};

use certadm_auth::AccountName;
use certadm_files::Found;
use certadm_kerberos::{CredentialCache, Keytab, Principal};
use certadm_rules::diagnosis::chain_of;
use zeroize::Zeroizing;

use super::error::KerberosError;
use super::krb5_conf::Krb5Conf;

/// Reads a keytab. One that others can read is told in an event and used all the same, as a file with a password is.
///
/// # Errors
/// [`KerberosError::Keytab`].
pub(crate) fn keytab(path: &Path) -> Result<Keytab, KerberosError> {
    let wrong = |detail: String| KerberosError::Keytab { path: path.to_owned(), detail };
    if certadm_files::is_exposed(path) {
        let remedy = "give it mode 0600 (chmod 600)";
        tracing::warn!(remedy, "others can read the keytab {}", path.display());
    }
    let bytes = Found::named(path).read(Keytab::MAX_SIZE as u64).map_err(|error| wrong(chain_of(&error)))?;
    Keytab::parse(&Zeroizing::new(bytes)).map_err(|error| wrong(error.to_string()))
}

/// The principal in a keytab that is meant: by the account that was given, else the only one.
///
/// # Errors
/// [`KerberosError::Keytab`].
pub(super) fn principal_in(
    keytab: &Keytab,
    path: &Path,
    account: Option<&AccountName>,
    realm: Option<&str>,
) -> Result<Principal, KerberosError> {
    let mut principals: Vec<&Principal> = Vec::new();
    for entry in keytab.entries() {
        if !principals.contains(&&entry.principal) {
            principals.push(&entry.principal);
        }
    }
    let is_meant = |principal: &&&Principal| {
        let of_realm = |realm: &str| principal.realm().eq_ignore_ascii_case(realm);
        realm.is_none_or(of_realm)
            && match account {
                None => true,
                Some(account) => match account.user().rsplit_once('@') {
                    Some((user, suffix)) => {
                        principal.name().eq_ignore_ascii_case(user) && of_realm(suffix)
                            // A name for mail, or one with its realm in it.
                            || principal.name() == account.user()
                    }
                    None => principal.name().eq_ignore_ascii_case(account.user()),
                },
            }
    };
    let mut meant = principals.iter().filter(is_meant);
    match (meant.next(), meant.next()) {
        (Some(only), None) => Ok((*only).clone()),
        (found, _) => {
            let names: Vec<String> = principals.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            let detail = match (found, account) {
                (Some(_), _) => {
                    format!("it has keys of several accounts, and --user does not say which: {names}")
                }
                (None, Some(account)) => format!("it has no key of {account}, but of: {names}"),
                (None, None) => "it has no key of that realm".to_owned(),
            };
            Err(KerberosError::Keytab { path: path.to_owned(), detail })
        }
    }
}

/// Where the tickets of this user are: where `KRB5CCNAME` says, else krb5.conf, else the usual file.
///
/// # Errors
/// [`KerberosError::OtherCache`].
pub(super) fn default_cache(conf: &Krb5Conf) -> Result<PathBuf, KerberosError> {
    let named = std::env::var("KRB5CCNAME").ok().filter(|name| !name.is_empty());
    match named.or_else(|| conf.default_cache.as_deref().map(|name| expanded(name, own_name))) {
        Some(name) => file_of(&name),
        None => Ok(usual_file()),
    }
}

fn usual_file() -> PathBuf {
    // Where MIT has it, whatever TMPDIR says.
    let folder = if cfg!(unix) { PathBuf::from("/tmp") } else { std::env::temp_dir() };
    folder.join(format!("krb5cc_{}", own_uid()))
}

/// What MIT puts in the place of names in krb5.conf. A name of a user that is not known stays as it is, for the error to show.
fn expanded(name: &str, user: impl FnOnce() -> Option<String>) -> String {
    let uid = own_uid().to_string();
    let mut text = name.replace("%{null}", "");
    for same in ["%{uid}", "%{euid}", "%{USERID}"] {
        text = text.replace(same, &uid);
    }
    if text.contains("%{TEMP}") {
        text = text.replace("%{TEMP}", &std::env::temp_dir().display().to_string());
    }
    // The list of users is read only for a name that asks for it.
    match text.contains(USER_NAME).then(user).flatten() {
        Some(user) => text.replace(USER_NAME, &user),
        None => text,
    }
}

/// What stands for the name of this user.
const USER_NAME: &str = "%{username}";

/// The name of this process's user: by the system's list of users, else as the session has it, which may come from a directory.
fn own_name() -> Option<String> {
    let of_session = || ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let known = if cfg!(unix) { certadm_files::users::name_of(own_uid()) } else { None };
    known.or_else(of_session).filter(|name| !name.is_empty() && !name.contains(['/', '\\']))
}

/// The file that the name of a cache means.
pub(super) fn file_of(name: &str) -> Result<PathBuf, KerberosError> {
    match name.split_once(':') {
        Some(("FILE" | "WRFILE", path)) => Ok(path.into()),
        // A letter alone is a drive.
        Some((kind, _)) if 1 < kind.len() && kind.chars().all(|letter| letter.is_ascii_uppercase()) => {
            Err(KerberosError::OtherCache { place: name.to_owned(), file: usual_file() })
        }
        _ => Ok(name.into()),
    }
}

/// Reads a cache that is this user's, and nobody else's to read.
///
/// # Errors
/// [`KerberosError::Cache`].
pub(super) fn cache(path: &Path) -> Result<CredentialCache, KerberosError> {
    let wrong = |detail: String| KerberosError::Cache { path: path.to_owned(), detail };
    if certadm_files::is_exposed(path) {
        return Err(wrong("others can read it".to_owned()));
    }
    #[cfg(unix)]
    if let Ok(metadata) = std::fs::metadata(path) {
        let owner = std::os::unix::fs::MetadataExt::uid(&metadata);
        if owner != own_uid() {
            return Err(wrong(format!("it belongs to user {owner}, and this is user {}", own_uid())));
        }
    }
    let bytes =
        Found::named(path).read(CredentialCache::MAX_SIZE as u64).map_err(|error| wrong(chain_of(&error)))?;
    CredentialCache::parse(&Zeroizing::new(bytes)).map_err(|error| wrong(error.to_string()))
}

fn own_uid() -> u32 {
    #[cfg(unix)]
    return rustix::process::geteuid().as_raw();
    #[cfg(not(unix))]
    return 0;
}

#[cfg(test)]
mod tests {
    use certadm_kerberos::KeytabEntry;
    use certadm_rules::Diagnosis;

    use super::*;
    use crate::credentials::account;

    #[test]
    fn a_cache_that_is_no_file_is_told_with_the_command_that_helps() {
        for name in
            ["KCM:", "KCM:1000", "KEYRING:persistent:1000", "API:", "DIR:/run/user/1000/krb5cc", "MEMORY:x"]
        {
            let error = file_of(name).unwrap_err();
            assert!(error.to_string().contains(name) && error.remedy().contains("kinit -c FILE:"), "{error}");
        }
        for (name, path) in [("FILE:/tmp/x", "/tmp/x"), ("/tmp/a:b", "/tmp/a:b"), (r"C:\x", r"C:\x")] {
            assert_eq!(file_of(name).unwrap(), Path::new(path));
        }
        let conf = |name: &str| {
            let mut conf = Krb5Conf::default();
            conf.take(&format!("[libdefaults]\ndefault_ccache_name = {name}\n"));
            default_cache(&conf)
        };
        if std::env::var_os("KRB5CCNAME").is_none() {
            assert!(conf("KEYRING:persistent:%{uid}").is_err());
            assert_eq!(conf("FILE:/tmp/x_%{uid}").unwrap(), Path::new(&format!("/tmp/x_{}", own_uid())));
            let same = "FILE:/tmp/y_%{USERID}%{null}_%{euid}";
            assert_eq!(conf(same).unwrap(), Path::new(&format!("/tmp/y_{0}_{0}", own_uid())));
            let user = own_name().unwrap();
            assert_eq!(conf("FILE:/tmp/%{username}.cc").unwrap(), Path::new(&format!("/tmp/{user}.cc")));
            assert_eq!(default_cache(&Krb5Conf::default()).unwrap(), usual_file());
        }
    }

    #[test]
    fn the_name_of_the_user_is_looked_up_only_where_it_is_asked_for() {
        let nobody = || -> Option<String> { panic!("it was looked up") };
        assert_eq!(expanded("FILE:/tmp/x%{null}", nobody), "FILE:/tmp/x");
        assert_eq!(expanded("FILE:/tmp/%{username}", || Some("ca".to_owned())), "FILE:/tmp/ca");
        assert_eq!(expanded("FILE:/tmp/%{username}", || None), "FILE:/tmp/%{username}");
    }

    #[cfg(unix)]
    #[test]
    fn a_cache_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache");
        assert!(matches!(cache(&path), Err(KerberosError::Cache { .. })));
        std::fs::write(&path, b"x").unwrap();
        let mode = |mode| {
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
            cache(&path).unwrap_err().to_string()
        };
        assert!(mode(0o640).contains("others can read"));
        assert!(!mode(0o600).contains("others can read"));
        assert!(cache(Path::new("/dev/zero")).is_err());
    }

    #[test]
    fn the_account_of_a_keytab_is_found() {
        let entry = |name: &str, realm: &str| KeytabEntry {
            principal: Principal::account(name, realm),
            key_version: 1,
            etype: 18,
            key: None,
        };
        let one = Keytab::new(vec![entry("svc", "TOY.TEST"), entry("svc", "TOY.TEST")]);
        let two = Keytab::new(vec![
            entry("svc", "TOY.TEST"),
            entry("CA1$", "TOY.TEST"),
            entry("svc", "OTHER.TEST"),
        ]);
        let find = |keytab: &Keytab, name: Option<&str>, realm: Option<&str>| {
            let account = name.map(|name| account(name).unwrap());
            principal_in(keytab, Path::new("k"), account.as_ref(), realm).map(|found| found.to_string())
        };
        assert_eq!(find(&one, None, None).unwrap(), "svc@TOY.TEST");
        assert_eq!(find(&one, Some("TOY\\SVC"), None).unwrap(), "svc@TOY.TEST");
        assert_eq!(find(&two, Some("ca1$"), None).unwrap(), "CA1$@TOY.TEST");
        assert_eq!(find(&two, Some("svc@other.test"), None).unwrap(), "svc@OTHER.TEST");
        assert_eq!(find(&two, Some("svc"), Some("toy.test")).unwrap(), "svc@TOY.TEST");
        for (name, word) in [(None, "several"), (Some("svc"), "several"), (Some("bob"), "no key of bob")] {
            let told = find(&two, name, None).unwrap_err().to_string();
            assert!(told.contains(word), "{told}");
        }
    }
}
