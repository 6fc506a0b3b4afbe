//! Which realm an account is of, and where a realm has its KDCs (kerberos.md 2.4): what client.toml says, then krb5.conf, then
//! DNS. The name of a host is the one that the user gave; it is never made another one by DNS.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use certadm_auth::AccountName;
use certadm_kerberos::Principal;

use super::dns::{self, KdcPlace, MAX_KDCS};
use super::error::KerberosError;
use super::kdc_address::KdcAddress;
use super::krb5_conf::Krb5Conf;

/// Most of them that are shown.
const SHOWN: usize = 8;

/// What client.toml says of Kerberos for a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KerberosTarget {
    /// The realm of the account.
    pub realm: Option<String>,
    /// The KDCs of that realm.
    pub kdc: Vec<KdcAddress>,
    /// The krb5.conf to read, in the place of `KRB5_CONFIG` and /etc/krb5.conf.
    pub krb5_conf: Option<PathBuf>,
}

impl KerberosTarget {
    /// Whether it names realm or KDC: then Kerberos is meant, whatever the server is called.
    pub(crate) const fn is_explicit(&self) -> bool {
        self.realm.is_some() || !self.kdc.is_empty()
    }

    /// That the krb5.conf which is named here can be read: passed over, it would let another realm or KDC be found than the one
    /// that is meant. Where both are given beside it, a missing one is told in an event. Of the usual files each may be missing.
    ///
    /// # Errors
    /// [`KerberosError::Conf`].
    pub(crate) fn check(&self) -> Result<(), KerberosError> {
        let Some(path) = &self.krb5_conf else { return Ok(()) };
        match Krb5Conf::can_read(path) {
            Ok(()) => Ok(()),
            Err(error) if error.is_not_found() && self.realm.is_some() && !self.kdc.is_empty() => {
                let remedy = "correct `krb5_conf` in client.toml, or leave it out";
                tracing::warn!(
                    remedy,
                    "{} is not there; realm and KDC are those of client.toml",
                    path.display()
                );
                Ok(())
            }
            Err(error) => Err(KerberosError::Conf { path: path.clone(), detail: error.to_string() }),
        }
    }

    /// What krb5.conf says.
    pub(crate) fn conf(&self) -> Krb5Conf {
        match &self.krb5_conf {
            Some(path) => Krb5Conf::read([path.clone()]),
            None => Krb5Conf::read(standard_files()),
        }
    }
}

/// The files that `KRB5_CONFIG` lists, else the usual one.
fn standard_files() -> Vec<PathBuf> {
    match std::env::var_os("KRB5_CONFIG") {
        Some(list) => std::env::split_paths(&list).filter(|path| path != Path::new("")).collect(),
        None if cfg!(windows) => {
            let data = std::env::var_os("ProgramData").unwrap_or_else(|| OsString::from(r"C:\ProgramData"));
            vec![PathBuf::from(data).join(r"MIT\Kerberos5\krb5.ini")]
        }
        None => vec!["/etc/krb5.conf".into()],
    }
}

/// The KDCs of a realm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kdcs {
    /// Where they are, the best first.
    pub(crate) places: Vec<KdcPlace>,
    /// What named them.
    pub(crate) named_by: String,
}

impl fmt::Display for Kdcs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.places.iter().take(SHOWN).map(|(host, port)| format!("{host}:{port}"));
        f.write_str(&shown.collect::<Vec<_>>().join(", "))?;
        match self.places.len().saturating_sub(SHOWN) {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        write!(f, ", by {}", self.named_by)
    }
}

/// Finds realms and KDCs for one server, and remembers what it found.
#[derive(Debug)]
pub(crate) struct Finder {
    target: KerberosTarget,
    host: String,
    pub(crate) conf: Krb5Conf,
    servers: Vec<SocketAddr>,
    /// By realms in small letters.
    known: HashMap<String, Kdcs>,
}

impl Finder {
    /// For the server that the user calls `host`.
    pub(crate) fn new(target: &KerberosTarget, host: &str) -> Self {
        Self::with(target.clone(), host, target.conf(), dns::servers_of_this_machine())
    }

    fn with(target: KerberosTarget, host: &str, conf: Krb5Conf, servers: Vec<SocketAddr>) -> Self {
        Self { target, host: host.to_owned(), conf, servers, known: HashMap::new() }
    }

    /// The name of an account in its realm: `user@suffix` as it is, for the KDC to look up; `DOMAIN\user` in the realm that the
    /// KDC knows as DOMAIN; `user` in the first realm that has a KDC.
    ///
    /// # Errors
    /// [`KerberosError::NoRealm`], [`KerberosError::NoKdc`].
    pub(crate) fn principal(&mut self, account: &AccountName) -> Result<Principal, KerberosError> {
        let (domain, user) = (account.domain(), account.user());
        if !domain.is_empty() {
            // The KDC knows its realm by the short name of the domain, too, and answers with the long one.
            let own = if domain.contains('.') { domain.to_ascii_uppercase() } else { domain.to_owned() };
            let found = self.realm(Some(&own), account)?;
            let named = self.target.realm.clone().unwrap_or(own);
            self.is_known_as(&found, &named);
            return Ok(Principal::account(user, &named));
        }
        Ok(match user.rsplit_once('@') {
            Some((_, suffix)) => {
                Principal::enterprise(user, &self.realm(Some(&suffix.to_ascii_uppercase()), account)?)
            }
            None => Principal::account(user, &self.realm(None, account)?),
        })
    }

    /// The first realm that may be meant and has a KDC.
    fn realm(&mut self, own: Option<&str>, account: &AccountName) -> Result<String, KerberosError> {
        let candidates: Vec<String> = match &self.target.realm {
            Some(realm) => vec![realm.clone()],
            None => {
                let parent = self.host.split_once('.').map(|(_, parent)| parent.to_ascii_uppercase());
                let configured = [
                    own,
                    self.conf.realm_of(&self.host),
                    self.conf.default_realm.as_deref(),
                    parent.as_deref(),
                ];
                configured.into_iter().flatten().map(str::to_owned).collect()
            }
        };
        let mut first = None;
        for candidate in candidates {
            match self.kdcs(&candidate) {
                Ok(_) => return Ok(candidate),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| KerberosError::NoRealm { account: account.to_string() }))
    }

    /// The KDCs of a realm.
    ///
    /// # Errors
    /// [`KerberosError::NoKdc`].
    pub(crate) fn kdcs(&mut self, realm: &str) -> Result<Kdcs, KerberosError> {
        let key = realm.to_ascii_lowercase();
        if let Some(kdcs) = self.known.get(&key) {
            return Ok(kdcs.clone());
        }
        let kdcs = self.find(realm)?;
        self.known.insert(key, kdcs.clone());
        Ok(kdcs)
    }

    fn find(&self, realm: &str) -> Result<Kdcs, KerberosError> {
        // Those of client.toml are for the account's realm, which is asked first.
        let is_own =
            self.target.realm.as_ref().map_or(self.known.is_empty(), |own| own.eq_ignore_ascii_case(realm));
        if is_own && !self.target.kdc.is_empty() {
            let places = self.target.kdc.iter().map(KdcAddress::place).take(MAX_KDCS).collect();
            return Ok(Kdcs { places, named_by: "the configuration of the server".to_owned() });
        }
        let places = self.configured(realm);
        if !places.is_empty() {
            return Ok(Kdcs { places, named_by: "krb5.conf".to_owned() });
        }
        let none = |tried: String| Err(KerberosError::NoKdc { realm: realm.to_owned(), tried });
        // A short name of a domain is no name of DNS.
        if !realm.contains('.') {
            return none("client.toml and krb5.conf do not name one".to_owned());
        }
        let name = format!("_kerberos._tcp.{}", realm.to_ascii_lowercase());
        let found = dns::services(&name, &self.servers);
        match found {
            Ok(places) if !places.is_empty() => Ok(Kdcs { places, named_by: format!("DNS, SRV {name}") }),
            Ok(_) => none(format!("client.toml and krb5.conf do not name one, and DNS has no SRV {name}")),
            Err(error) => none(format!("client.toml and krb5.conf do not name one, and SRV {name}: {error}")),
        }
    }

    /// What krb5.conf names for a realm. Programs that ask over HTTPS or UDP have places there that this one cannot ask.
    fn configured(&self, realm: &str) -> Vec<KdcPlace> {
        let texts = self.conf.kdcs(realm).iter();
        let known = texts.filter_map(|text| match text.parse::<KdcAddress>() {
            Ok(address) => Some(address.place()),
            Err(error) => {
                tracing::warn!(realm, "passed over in krb5.conf: {error}");
                None
            }
        });
        known.take(MAX_KDCS).collect()
    }

    /// From now on these are asked after all others: they had no answer.
    pub(super) fn put_last(&mut self, failed: &[KdcPlace]) {
        for kdcs in self.known.values_mut() {
            // Those that are alike keep their order.
            kdcs.places.sort_by_key(|place| failed.contains(place));
        }
    }

    /// A realm is known by another name, too.
    pub(crate) fn is_known_as(&mut self, realm: &str, other: &str) {
        if let Some(kdcs) = self.known.get(&realm.to_ascii_lowercase()).cloned() {
            self.known.entry(other.to_ascii_lowercase()).or_insert(kdcs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "
        [libdefaults]
        default_realm = TOY.TEST
        [realms]
        TOY.TEST = {
            kdc = dc1.toy.test
        }
        OTHER.TEST = {
            kdc = tcp/dc2.other.test:1088
            kdc = https://proxy/
        }
        [domain_realm]
        .other.test = OTHER.TEST
    ";

    fn finder(target: KerberosTarget, host: &str, conf: &str) -> Finder {
        let mut read = Krb5Conf::default();
        read.take(conf);
        Finder::with(target, host, read, Vec::new())
    }

    fn found(target: &KerberosTarget, host: &str, account: &str) -> Result<String, KerberosError> {
        let account = crate::credentials::account(account).unwrap();
        finder(target.clone(), host, CONF).principal(&account).map(|principal| principal.to_string())
    }

    #[test]
    fn the_realm_is_that_of_the_account_else_that_of_the_host() {
        let none = KerberosTarget::default();
        for (host, account, principal) in [
            ("ca1.toy.test", "alice", "alice@TOY.TEST"),
            ("ca1.other.test", "alice", "alice@OTHER.TEST"),
            ("ca1", "alice", "alice@TOY.TEST"),
            ("ca1.toy.test", "alice@other.test", "alice@other.test@OTHER.TEST"),
            // A suffix that is no realm: the KDC of the host knows it.
            ("ca1.other.test", "alice@mail.example", "alice@mail.example@OTHER.TEST"),
            ("ca1.toy.test", "TOY\\alice", "alice@TOY"),
            ("ca1.toy.test", "other.test\\alice", "alice@OTHER.TEST"),
        ] {
            assert_eq!(found(&none, host, account).unwrap(), principal, "{host} {account}");
        }
        let explicit = KerberosTarget { realm: Some("OTHER.TEST".into()), ..KerberosTarget::default() };
        assert_eq!(found(&explicit, "ca1.toy.test", "alice").unwrap(), "alice@OTHER.TEST");
        assert_eq!(found(&explicit, "ca1.toy.test", "TOY\\alice").unwrap(), "alice@OTHER.TEST");
        let nowhere = KerberosTarget { realm: Some("NONE".into()), ..KerberosTarget::default() };
        assert!(matches!(found(&nowhere, "ca1.toy.test", "alice"), Err(KerberosError::NoKdc { .. })));
        let alone = crate::credentials::account("alice").unwrap();
        let mut bare = finder(none.clone(), "ca1", "");
        assert!(matches!(bare.principal(&alone), Err(KerberosError::NoRealm { .. })));
        let mut parent = finder(none, "ca1.toy.test", "");
        let Err(KerberosError::NoKdc { realm, tried }) = parent.principal(&alone) else { panic!("no KDC") };
        assert!(realm == "TOY.TEST" && tried.contains("_kerberos._tcp.toy.test"), "{tried}");
    }

    #[test]
    fn what_the_server_has_goes_before_krb5_conf_and_not_for_other_realms() {
        let target =
            KerberosTarget { kdc: vec!["127.0.0.1:1".parse().unwrap()], ..KerberosTarget::default() };
        let mut finder = finder(target, "ca1.toy.test", CONF);
        finder.principal(&crate::credentials::account("TOY\\alice").unwrap()).unwrap();
        let places = |kdcs: Kdcs| kdcs.places;
        assert_eq!(places(finder.kdcs("TOY").unwrap()), [("127.0.0.1".to_owned(), 1)]);
        finder.is_known_as("TOY", "TOY.TEST");
        assert_eq!(places(finder.kdcs("toy.test").unwrap()), [("127.0.0.1".to_owned(), 1)]);
        assert_eq!(places(finder.kdcs("OTHER.TEST").unwrap()), [("dc2.other.test".to_owned(), 1088)]);
    }

    #[test]
    fn a_kdc_without_an_answer_is_asked_last_whatever_its_realm_is_called() {
        let kdc = ["a:1", "b:2", "c:3"].map(|text| text.parse().unwrap()).to_vec();
        let target = KerberosTarget { kdc, ..KerberosTarget::default() };
        let mut finder = finder(target, "ca1.toy.test", CONF);
        finder.kdcs("TOY").unwrap();
        finder.is_known_as("TOY", "TOY.TEST");
        finder.put_last(&[("a".to_owned(), 1)]);
        for realm in ["TOY", "TOY.TEST"] {
            let kdcs = finder.kdcs(realm).unwrap();
            assert_eq!(kdcs.to_string(), "b:2, c:3, a:1, by the configuration of the server");
        }
    }
}
