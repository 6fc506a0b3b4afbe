//! The keys by which the service accepts tickets: as their file has them at each moment.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certadm_ca::KerberosConfig;
use certadm_files::Found;
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{Acceptor, Keytab, ReplayCache};
use certadm_rules::FileTime;
use certadm_rules::diagnosis::chain_of;

use crate::error::StartError;
use crate::watched::{Stamp, Watched, failure};

/// How the service accepts tickets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KerberosSettings {
    /// The file with the keys.
    pub keytab: PathBuf,
    /// The name of this machine in the domain.
    pub host: String,
    /// The realms whose accounts may come in; empty for those of the keytab.
    pub realms: Vec<String>,
    /// How many seconds clocks may be apart.
    pub skew_seconds: u32,
    /// Whether clients are let in that do not have the headers of their PDUs signed.
    pub danger_unsigned_headers: bool,
    /// Whether `krb:` entries of `[roles]` hold for tickets without a PAC.
    pub danger_names_without_pac: bool,
}

impl KerberosSettings {
    /// What `[kerberos]` of `ca.toml` in `folder` says, on the host of this name; none without a keytab.
    #[must_use]
    pub fn from_config(config: &KerberosConfig, folder: &Path, host: &str) -> Option<Self> {
        Some(Self {
            keytab: folder.join(config.keytab.as_ref()?),
            host: config.host.clone().unwrap_or_else(|| host.to_owned()),
            realms: config.realms.clone(),
            skew_seconds: config.skew_seconds,
            danger_unsigned_headers: config.danger_unsigned_headers,
            danger_names_without_pac: config.danger_names_without_pac,
        })
    }
}

/// The keys as the file has them now: it is read again whenever it has changed, because the keys of a machine change every
/// month.
#[derive(Debug)]
pub(crate) struct Tickets {
    settings: KerberosSettings,
    replays: Arc<ReplayCache>,
    known: Mutex<Watched<Arc<Keytab>>>,
}

impl Tickets {
    /// # Errors
    /// [`StartError::Keytab`].
    pub(crate) fn new(settings: KerberosSettings) -> Result<Self, StartError> {
        let stamp = Stamp::of(&settings.keytab);
        let keytab = usable(&settings.keytab)?;
        let known = Mutex::new(Watched::with(stamp, Arc::new(keytab)));
        Ok(Self { settings, replays: Arc::default(), known })
    }

    pub(crate) const fn settings(&self) -> &KerberosSettings {
        &self.settings
    }

    fn keytab(&self) -> Option<Arc<Keytab>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || usable(&self.settings.keytab).map(Arc::new).map_err(failure);
        known.look(&self.settings.keytab, read, "no ticket can be accepted").cloned()
    }
}

impl certadm_auth::Tickets for Tickets {
    fn acceptor(&self) -> Option<Acceptor> {
        let acceptor = Acceptor::new(self.keytab()?, Arc::clone(&self.replays));
        let acceptor = acceptor.with_skew(self.settings.skew_seconds.into());
        Some(match self.settings.realms.as_slice() {
            [] => acceptor,
            realms => acceptor.with_realms(realms.iter().cloned()),
        })
    }
}

/// How long a ticket that ends then is taken by a service whose clock may be so many seconds wrong.
pub(crate) fn left_of(end: FileTime, skew_seconds: u32) -> Duration {
    let now = FileTime::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    // In steps of 100 ns. A year is as good as for ever, and no moment is too far away for the clock.
    let left =
        Duration::from_nanos(u64::try_from(end.0.saturating_sub(now.0)).unwrap_or(0).saturating_mul(100));
    left.min(Duration::from_secs(365 * 24 * 3600)) + Duration::from_secs(skew_seconds.into())
}

/// The keytab in a file, where it can be used.
///
/// # Errors
/// [`StartError::Keytab`].
fn usable(path: &Path) -> Result<Keytab, StartError> {
    read(path).map_err(|detail| StartError::Keytab { path: path.to_owned(), detail })
}

/// Reads a keytab that nobody else can read and that has a key of use.
///
/// # Errors
/// A sentence fragment.
fn read(path: &Path) -> Result<Keytab, String> {
    if certadm_files::is_exposed(path) {
        return Err("others can read it, and be this machine to its clients; give it mode 0600".to_owned());
    }
    let bytes = Found::named(path).read(Keytab::MAX_SIZE as u64).map_err(|error| chain_of(&error))?;
    let bytes = zeroize::Zeroizing::new(bytes);
    let keytab = Keytab::parse(&bytes).map_err(|error| error.to_string())?;
    let is_usable = |etype: &i32| Etype::from_wire(*etype).is_some();
    if keytab.etypes().iter().any(is_usable) {
        return Ok(keytab);
    }
    let etypes: Vec<_> = keytab.etypes().iter().map(i32::to_string).collect();
    Err(match etypes.as_slice() {
        [] => "it has no keys".to_owned(),
        etypes => format!("it has only keys of etype {}, and none of AES (17 to 20)", etypes.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A keytab of one key, by the layout of kerberos.md 2.4.
    fn keytab(etype: u8, key: &[u8]) -> Vec<u8> {
        let mut entry = vec![0, 1, 0, 4];
        entry.extend(b"TOY1\0\x03ca1");
        entry.extend([0, 0, 0, 1, 0, 0, 0, 0, 2, 0, etype, 0, u8::try_from(key.len()).unwrap()]);
        entry.extend(key);
        [&[5, 2, 0, 0, 0, u8::try_from(entry.len()).unwrap()], &entry[..]].concat()
    }

    fn private(path: &Path, bytes: &[u8]) {
        fs::write(path, bytes).unwrap();
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn tickets(path: &Path) -> Result<Tickets, StartError> {
        Tickets::new(KerberosSettings {
            keytab: path.to_owned(),
            host: "ca1".into(),
            realms: Vec::new(),
            skew_seconds: 300,
            danger_unsigned_headers: false,
            danger_names_without_pac: false,
        })
    }

    #[test]
    fn a_ticket_is_taken_until_its_end_and_the_skew() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let in_an_hour = FileTime::from_unix(now + Duration::from_secs(3600));
        let left = left_of(in_an_hour, 300).as_secs();
        assert!((3800..=3900).contains(&left), "{left}");
        assert_eq!(left_of(FileTime(0), 300), Duration::from_secs(300));
        assert!(left_of(FileTime(i64::MAX), 300) <= Duration::from_secs(366 * 24 * 3600));
    }

    #[test]
    fn a_keytab_is_read_again_when_it_changes() {
        use certadm_auth::Tickets as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keytab");
        private(&path, &keytab(17, &[7; 16]));
        let tickets = tickets(&path).unwrap();
        assert!(tickets.acceptor().is_some());
        private(&path, b"half written");
        assert!(tickets.acceptor().is_none());
        private(&path, &keytab(18, &[7; 32]));
        assert_eq!(tickets.keytab().unwrap().etypes(), [18].into());
        fs::remove_file(&path).unwrap();
        assert!(tickets.acceptor().is_none());
    }

    /// The mode alone was wrong: nothing but the time of its change tells that it was put right.
    #[cfg(unix)]
    #[test]
    fn tickets_are_taken_again_when_the_mode_of_the_keytab_is_put_right() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keytab");
        private(&path, &keytab(17, &[7; 16]));
        let tickets = tickets(&path).unwrap();
        private(&path, &keytab(18, &[7; 32]));
        let mode = |mode| {
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            tickets.keytab().is_some()
        };
        assert!(!mode(0o644));
        assert!(mode(0o600));
    }

    #[test]
    fn a_keytab_that_is_of_no_use_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keytab");
        let told = || tickets(&path).unwrap_err().to_string();
        assert!(told().contains("keytab"), "{}", told());
        for (bytes, word) in [
            (keytab(23, &[7; 16]), "etype 23"),
            (vec![5, 2], "no keys"),
            (b"[libdefaults]".to_vec(), "keytab"),
            (vec![0; Keytab::MAX_SIZE + 1], "keytab"),
        ] {
            private(&path, &bytes);
            assert!(told().contains(word), "{}", told());
        }
        #[cfg(unix)]
        {
            private(&path, &keytab(18, &[7; 32]));
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
            assert!(told().contains("0600"), "{}", told());
        }
    }
}
