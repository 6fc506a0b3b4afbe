//! The ticket book of one logon: what was granted, for as long as it is good, so that a backup asks the KDC once for each
//! service and not for each connection.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use certadm_auth::{AccountName, Password};
use certadm_kerberos::client::{ClientError, Logon, Question, Secret, Step, TicketRequest};
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{Credential, Environment, KerberosTime, Lack, Moment, Principal};
use zeroize::Zeroizing;

use super::ask::ask;
use super::error::KerberosError;
use super::locate::{Finder, Kdcs, KerberosTarget};
use super::stores;
use super::system::System;

/// The classes of the two services of DCOM, which a backup asks for.
pub(crate) const SERVICES: [&str; 2] = ["RPCSS", "HOST"];
/// A ticket that ends sooner is not used any more, in seconds.
const RESERVE: i64 = 300;

/// What proves who logs on.
#[derive(Debug)]
pub(crate) enum Proof {
    /// The password of an account.
    Password(AccountName, Password),
    /// A file with the keys of an account.
    Keytab(Option<AccountName>, std::path::PathBuf),
    /// Tickets that are there: in this file, else where this user's are.
    Cache(Option<std::path::PathBuf>),
}

/// A ticket for a service.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) credential: Credential,
    /// By how many seconds the clock is ahead of this machine's that the service looks at.
    pub(crate) clock_offset: i64,
}

/// What a logon came to.
#[derive(Debug, Clone)]
pub(crate) struct LoggedOn {
    /// Who, and in which realm.
    pub(crate) client: Principal,
    pub(crate) etype: Etype,
    pub(crate) until: KerberosTime,
}

/// The KDCs that will be asked.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) realm: String,
    pub(crate) kdcs: Kdcs,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has {}", self.realm, self.kdcs)
    }
}

/// The tickets of one account for one server.
pub(crate) struct Book {
    host: String,
    target: KerberosTarget,
    proof: Proof,
    patience: Duration,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    finder: Option<Finder>,
    granting: Option<Credential>,
    /// By the classes of the services.
    services: HashMap<String, Credential>,
    /// By how many seconds the KDC's clock is counted as ahead.
    clock_offset: i64,
    /// The same as a KDC has shown it.
    kdc_ahead: Option<i64>,
    /// The same of the service's clock, where that has shown that it is another one.
    service_offset: Option<i64>,
}

impl Book {
    /// For the server that the user calls `host`. No answer of a KDC is waited for longer than `patience`.
    ///
    /// # Errors
    /// [`KerberosError::Address`], [`KerberosError::Conf`].
    pub(crate) fn new(
        host: &str,
        target: KerberosTarget,
        proof: Proof,
        patience: Duration,
    ) -> Result<Self, KerberosError> {
        // With the dot at its end the KDC would give a ticket for another name.
        let host = host.strip_suffix('.').unwrap_or(host).to_owned();
        if host.parse::<std::net::IpAddr>().is_ok() {
            return Err(KerberosError::Address { host });
        }
        target.check()?;
        Ok(Self { host, target, proof, patience, pages: Mutex::default() })
    }

    /// A ticket for a service of this class on the server.
    ///
    /// # Errors
    /// [`KerberosError`].
    pub(crate) fn ticket(&self, class: &str) -> Result<Ticket, KerberosError> {
        let mut pages = self.pages();
        if let Some(credential) = pages.services.get(class).filter(|known| pages.is_good(known)) {
            return Ok(Ticket { credential: credential.clone(), clock_offset: pages.for_service() });
        }
        // Its realm does not matter: the KDC of the account's realm knows the way.
        let service = Principal::service(class, &self.host, "");
        let credential = match self.cached(&mut pages, Some(&service))? {
            Some(credential) => credential,
            None => {
                let granting = self.granting(&mut pages)?;
                let mut request = TicketRequest::new(granting, &service, pages.clock_offset)?;
                let first = request.start(&System)?;
                let granted = self.drive(&mut pages, first, |answer| request.answer(answer, &System));
                pages.kdc_ahead = request.kdc_ahead().or(pages.kdc_ahead);
                let granted = granted?;
                pages.clock_offset = granted.clock_offset;
                granted.credential
            }
        };
        let (etype, until) = (credential.session_key.etype(), credential.end_time);
        tracing::debug!(service = %credential.service, %etype, %until, "ticket");
        pages.services.insert(class.to_owned(), credential.clone());
        Ok(Ticket { credential, clock_offset: pages.for_service() })
    }

    /// Logs on, if that was not done yet, and says what came of it. Tickets for the server that are there already are enough.
    ///
    /// # Errors
    /// [`KerberosError`].
    pub(crate) fn log_on(&self) -> Result<LoggedOn, KerberosError> {
        let mut pages = self.pages();
        let credential = match self.granting(&mut pages) {
            Err(error @ KerberosError::NoTicket { .. }) => self.cached_for_server(&mut pages).ok_or(error)?,
            granting => granting?,
        };
        Ok(LoggedOn {
            client: credential.client.clone(),
            etype: credential.session_key.etype(),
            until: credential.end_time,
        })
    }

    /// A ticket for the server itself out of a cache that has none to get others with: with those of both services a backup needs
    /// no other.
    fn cached_for_server(&self, pages: &mut Pages) -> Option<Credential> {
        SERVICES.iter().find_map(|class| {
            let service = Principal::service(class, &self.host, "");
            self.cached(pages, Some(&service)).ok().flatten()
        })
    }

    /// By how many seconds the KDC's clock is ahead of this machine's, as its answers have shown it, whatever else they said; none
    /// while none has come. What a ticket cache says of it is no answer.
    pub(crate) fn kdc_ahead(&self) -> Option<i64> {
        self.pages().kdc_ahead
    }

    /// The realm of the account and the KDCs that will be asked; none where no KDC needs to be asked for the logon.
    ///
    /// # Errors
    /// [`KerberosError`].
    pub(crate) fn kdcs(&self) -> Result<Option<Found>, KerberosError> {
        let mut pages = self.pages();
        let realm = match &self.proof {
            Proof::Cache(_) => return Ok(None),
            _ => self.client(&mut pages)?.0.realm().to_owned(),
        };
        let kdcs = pages.finder(self).kdcs(&realm)?;
        Ok(Some(Found { realm, kdcs }))
    }

    /// Counts in the time that a service has shown, from now on. Nothing proves that time, and a wrong one only makes the
    /// service refuse.
    pub(crate) fn adopt_clock(&self, server: KerberosTime) {
        self.pages().service_offset = Some(server.since(Moment::from(System.now()).time));
    }

    /// A ticket out of the cache, where there is one: for the service, or to get others with.
    fn cached(
        &self,
        pages: &mut Pages,
        service: Option<&Principal>,
    ) -> Result<Option<Credential>, KerberosError> {
        let Proof::Cache(path) = &self.proof else { return Ok(None) };
        let path = match path {
            Some(path) => stores::file_of(&path.to_string_lossy())?,
            None => stores::default_cache(&pages.finder(self).conf)?,
        };
        let cache = stores::cache(&path)?;
        pages.clock_offset = cache.clock_offset.unwrap_or(0);
        let now = pages.now();
        if let Some(service) = service
            && let Some(found) = cache.ticket_for(service, now)
        {
            return Ok(Some(found.clone()));
        }
        match cache.ticket_granting(now) {
            Some(granting) => {
                pages.granting = Some(granting.clone());
                Ok(None)
            }
            None => {
                let lack = cache.lack(now);
                Err(KerberosError::NoTicket { path, lack, left_out: cache.left_out })
            }
        }
    }

    /// A ticket-granting ticket that is good for a while.
    fn granting(&self, pages: &mut Pages) -> Result<Credential, KerberosError> {
        self.cached(pages, None)?;
        if let Some(granting) = &pages.granting
            // What is in a cache is all that there is.
            && (pages.is_good(granting) || matches!(self.proof, Proof::Cache(_)))
        {
            return Ok(granting.clone());
        }
        let (client, secret) = self.client(pages)?;
        let asked = client.realm().to_owned();
        let mut logon = Logon::new(client, secret);
        let first = logon.start(&System)?;
        let done = self.drive(pages, first, |answer| logon.answer(answer, &System));
        pages.kdc_ahead = logon.kdc_ahead().or(pages.kdc_ahead);
        let done = match (done, logon.first_refusal()) {
            // That realm was a guess. What the account's own one has said is the reason.
            (Err(KerberosError::NoKdc { .. }), Some(first)) => return Err(first.clone().into()),
            (done, _) => done?,
        };
        pages.clock_offset = done.clock_offset;
        // The KDC may know the realm by another name, which counts from here on.
        if let Some(granted) = done.credential.service.granted_realm().map(str::to_owned) {
            pages.finder(self).is_known_as(&asked, &granted);
        }
        tracing::debug!(client = %done.credential.client, until = %done.credential.end_time, "logged on to the KDC");
        pages.granting = Some(done.credential.clone());
        Ok(done.credential)
    }

    /// Who logs on, and by what.
    fn client(&self, pages: &mut Pages) -> Result<(Principal, Secret), KerberosError> {
        match &self.proof {
            Proof::Password(account, password) => {
                let secret = Secret::Password(Zeroizing::new(password.expose().to_owned()));
                Ok((pages.finder(self).principal(account)?, secret))
            }
            Proof::Keytab(account, path) => {
                let keytab = stores::keytab(path)?;
                let realm = self.target.realm.as_deref();
                let client = stores::principal_in(&keytab, path, account.as_ref(), realm)?;
                let keys = keytab.keys_of(&client);
                if keys.is_empty() {
                    let etypes: Vec<_> = keytab.etypes().iter().map(i32::to_string).collect();
                    let detail =
                        format!("it has no AES key of {client}; its etypes are {}", etypes.join(", "));
                    return Err(KerberosError::Keytab { path: path.clone(), detail });
                }
                Ok((client, Secret::Keys(keys)))
            }
            Proof::Cache(path) => {
                let path = path.clone().unwrap_or_default();
                Err(KerberosError::NoTicket { path, lack: Lack::Empty, left_out: Vec::new() })
            }
        }
    }

    /// Takes questions to KDCs until there are none.
    fn drive<T>(
        &self,
        pages: &mut Pages,
        first: Question,
        mut take: impl FnMut(&[u8]) -> Result<Step<T>, ClientError>,
    ) -> Result<T, KerberosError> {
        let mut question = first;
        loop {
            let kdcs = pages.finder(self).kdcs(&question.realm)?;
            let mut failed = Vec::new();
            let answer = ask(&kdcs, &question, self.patience, &mut failed);
            if !failed.is_empty() {
                pages.finder(self).put_last(&failed);
            }
            match take(&answer?)? {
                Step::Ask(next) => question = next,
                Step::Done(done) => return Ok(done),
            }
        }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        // A thread that panicked left what was granted as good as it was.
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    /// The time as the KDC counts it.
    fn now(&self) -> KerberosTime {
        Moment::from(System.now()).plus(self.clock_offset).time
    }

    /// By how many seconds the clock is ahead that the service looks at.
    fn for_service(&self) -> i64 {
        self.service_offset.unwrap_or(self.clock_offset)
    }

    fn is_good(&self, credential: &Credential) -> bool {
        credential.is_good(self.now(), RESERVE)
    }

    fn finder(&mut self, book: &Book) -> &mut Finder {
        self.finder.get_or_insert_with(|| Finder::new(&book.target, &book.host))
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book").field("host", &self.host).field("proof", &self.proof).finish_non_exhaustive()
    }
}
