//! Who logs on to a server and how: NTLM with a password, or Kerberos with whatever gives a ticket. The mechanism is chosen
//! once, before anything is sent to the server, and every connection to it then uses the same.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certadm_auth::{
    AuthError, Flavour, Framing, Initiator, Level, Workstation, initiator, kerberos_initiator,
};
use certadm_kerberos::message::ErrorCode;
use certadm_kerberos::{Clocks, InitiateError};
use certadm_rules::Diagnosis;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::{Finding, Kind};
use certadm_wire::rpc::NakReason;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::kerberos::{Book, KerberosError, Proof, SERVICES, System};
use crate::mechanism::Mechanism;
use crate::name::own_host_name;
use crate::target::{Endpoint, Target};
use crate::told::Told;

/// What a connection is authenticated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Kerberos,
    Ntlm,
}

impl Taken {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kerberos => "Kerberos",
            Self::Ntlm => "NTLM",
        }
    }
}

/// A logon to one server.
#[derive(Debug)]
pub(crate) struct Logon {
    mechanism: Mechanism,
    peer: String,
    host: String,
    /// For NTLM.
    password: Option<certadm_auth::Credentials>,
    /// Whether realm or KDC are named for the server, so that Kerberos is meant.
    is_explicit: bool,
    /// For Kerberos; why there is none, where it was not asked for in so many words.
    book: Result<Book, KerberosError>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: Option<Taken>,
    /// Why it is NTLM although Kerberos goes first.
    without_kerberos: Option<KerberosError>,
    /// What the clocks showed when that of the service was adopted.
    clocks: Option<Clocks>,
}

impl Logon {
    /// # Errors
    /// [`Error::Kerberos`] where mechanism, server and credentials do not fit each other.
    pub(crate) fn new(target: &Target, credentials: Credentials) -> Result<Self, Error> {
        let Endpoint::Tcp { host, .. } = &target.endpoint else { return Err(target.no_account()) };
        let needs_password = |given| {
            if matches!(target.mechanism, Mechanism::Spnego | Mechanism::Ntlm) {
                let mechanism = target.mechanism.name();
                return Err(Error::Kerberos(KerberosError::NeedsPassword { mechanism, given }));
            }
            Ok(())
        };
        let (password, proof) = match credentials {
            Credentials::Password(password) => {
                let proof = Proof::Password(password.account.clone(), password.password.clone());
                (Some(password), proof)
            }
            Credentials::Keytab { account, path } => {
                needs_password("a keytab")?;
                (None, Proof::Keytab(account, path))
            }
            Credentials::Cache { path } => {
                needs_password("a ticket cache")?;
                (None, Proof::Cache(path))
            }
        };
        let is_free = target.mechanism == Mechanism::Negotiate && password.is_some();
        // Nobody's domain knows this machine as localhost.
        let book = if is_free && is_loopback(host) && !target.kerberos.is_explicit() {
            Err(KerberosError::Address { host: host.clone() })
        } else {
            Book::new(host, target.kerberos.clone(), proof, target.timeouts.connect)
        };
        let book = match book {
            Err(error) if password.is_none() || target.mechanism == Mechanism::Kerberos => {
                return Err(Error::Kerberos(error));
            }
            book => book,
        };
        Ok(Self {
            mechanism: target.mechanism,
            peer: target.endpoint.to_string(),
            host: host.clone(),
            password,
            is_explicit: target.kerberos.is_explicit(),
            book,
            state: Mutex::default(),
        })
    }

    /// The client's half of a handshake, always at packet privacy. The service name is made of the host the user named, never
    /// of the principal in the server's bindings: a hostile server could name another's to relay the logon there.
    ///
    /// # Errors
    /// [`Error::Kerberos`], [`Error::Authentication`].
    pub(crate) fn initiator(&self, class: &str) -> Result<Box<dyn Initiator>, Error> {
        let taken = self.choose()?;
        match (taken, &self.book) {
            (Taken::Kerberos, Ok(book)) => {
                let ticket = book.ticket(class).map_err(Error::Kerberos)?;
                Ok(kerberos_initiator(
                    ticket.credential,
                    ticket.clock_offset,
                    self.framing(),
                    Arc::new(System),
                ))
            }
            (Taken::Kerberos, Err(error)) => Err(Error::Kerberos(error.clone())),
            (Taken::Ntlm, _) => self.ntlm(class),
        }
    }

    /// What it is authenticated by, once that was chosen.
    pub(crate) fn taken(&self) -> Option<Taken> {
        self.state().taken
    }

    /// The ticket book, where Kerberos may be taken; none where NTLM was asked for.
    ///
    /// # Errors
    /// Why Kerberos cannot be taken, where NTLM is as good.
    pub(crate) fn book(&self) -> Result<Option<&Book>, &KerberosError> {
        let is_possible = matches!(self.mechanism, Mechanism::Kerberos | Mechanism::Negotiate);
        if is_possible { self.book.as_ref().map(Some) } else { Ok(None) }
    }

    /// Whether NTLM is taken where Kerberos ends so.
    pub(crate) fn may_take_ntlm_after(&self, error: &KerberosError) -> bool {
        self.may_take_ntlm() && error.leaves_ntlm()
    }

    /// Whether another attempt may end better than the one that ended so: by the clock of the service, which its refusal shows.
    /// By NTLM none does: that the server does not speak Kerberos is said by whoever stands between the hosts, too, and the KDC has
    /// given tickets for it.
    pub(crate) fn may_try_again(&self, error: &Error) -> bool {
        let mut state = self.state();
        let (Some(Taken::Kerberos), Ok(book)) = (state.taken, &self.book) else { return false };
        let Error::Authentication { source, .. } = error else { return false };
        match source {
            AuthError::Kerberos { error: InitiateError::Refused { error: refusal, clocks } }
                if refusal.code == ErrorCode::SKEW && state.clocks.is_none() =>
            {
                state.clocks = Some(*clocks);
                let theirs = refusal.server_time.time;
                tracing::warn!(%theirs, "the service's clock is another one; trying again by it");
                book.adopt_clock(theirs);
                true
            }
            _ => false,
        }
    }

    /// The error with what is known of the mechanism: a server refuses a ticket it cannot read without a word.
    pub(crate) fn explained(&self, error: Error, class: &str) -> Error {
        match error {
            Error::BindRefused { reason, told, .. }
                if self.taken() == Some(Taken::Kerberos)
                    && matches!(
                        reason,
                        NakReason::AUTH_TYPE | NakReason::INVALID_CHECKSUM | NakReason::UNSPECIFIED
                    ) =>
            {
                let speaks = reason != NakReason::AUTH_TYPE;
                Error::TicketRefused { peer: self.peer.clone(), service: self.service(class), speaks, told }
            }
            Error::Authentication { source: AuthError::NoCommonMechanism { .. }, .. }
                if self.taken() == Some(Taken::Kerberos) =>
            {
                let (peer, service) = (self.peer.clone(), self.service(class));
                Error::TicketRefused { peer, service, speaks: false, told: Told::default() }
            }
            error => error,
        }
    }

    /// Chooses the mechanism, if that was not done yet, and says which it is.
    fn choose(&self) -> Result<Taken, Error> {
        let mut state = self.state();
        if let Some(taken) = state.taken {
            return Ok(taken);
        }
        let taken = match self.mechanism {
            Mechanism::Spnego | Mechanism::Ntlm => Taken::Ntlm,
            Mechanism::Kerberos => Taken::Kerberos,
            Mechanism::Negotiate => {
                // The two services of DCOM are asked for at once: what cannot be had later would come too late.
                let both = |book: &Book| SERVICES.iter().try_for_each(|class| book.ticket(class).map(drop));
                match self.book.as_ref().map_err(Clone::clone).and_then(both) {
                    Ok(()) => Taken::Kerberos,
                    Err(error) if self.may_take_ntlm_after(&error) => {
                        tracing::info!(server = %self.peer, reason = %chain_of(&error), "authentication by NTLM");
                        state.without_kerberos = Some(error);
                        Taken::Ntlm
                    }
                    Err(error) => return Err(Error::Kerberos(error)),
                }
            }
        };
        if taken == Taken::Kerberos {
            tracing::info!(server = %self.peer, "authentication by Kerberos");
        }
        state.taken = Some(taken);
        Ok(taken)
    }

    /// What is to be said of the logon beside what became of it.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        self.clock_finding().into_iter().chain(self.ntlm_finding()).collect()
    }

    /// That the service's clock had to be adopted.
    pub(crate) fn clock_finding(&self) -> Option<Finding> {
        let clocks = self.state().clocks?;
        let detail = format!(
            "the clocks of {} and of the KDC are too far apart: {clocks}. Certificates and CRLs are dated by the clock of the CA's \
             machine",
            self.host
        );
        let remedy = "set the clock that is wrong: of the CA's machine, of the KDC, or of this machine";
        Some(Finding::warning(Kind::ServerClock, detail).remedy(remedy))
    }

    /// That NTLM took the place of Kerberos: a warning where Kerberos could be expected, and a note where nothing says that there
    /// is a KDC.
    fn ntlm_finding(&self) -> Option<Finding> {
        let state = self.state();
        let error = state.without_kerberos.as_ref()?;
        let is_expected = self.is_explicit || error.is_of_a_kdc();
        if !is_expected && is_loopback(&self.host) {
            return None;
        }
        let detail = format!("the logon was by NTLM, because Kerberos could not be had: {}", chain_of(error));
        if !is_expected {
            return Some(Finding::note(Kind::NtlmTaken, detail));
        }
        let remedy = format!(
            "{}; where NTLM is meant, say so by --mechanism ntlm, or by `mechanism` in client.toml",
            error.remedy()
        );
        Some(Finding::warning(Kind::NtlmTaken, detail).remedy(remedy))
    }

    /// Whether NTLM may be taken in the place of Kerberos.
    fn may_take_ntlm(&self) -> bool {
        self.mechanism == Mechanism::Negotiate && self.password.is_some()
    }

    fn framing(&self) -> Framing {
        match self.mechanism {
            Mechanism::Negotiate => Framing::Spnego,
            _ => Framing::Raw,
        }
    }

    fn ntlm(&self, class: &str) -> Result<Box<dyn Initiator>, Error> {
        let flavour = match self.mechanism {
            Mechanism::Spnego => Flavour::Spnego,
            Mechanism::Ntlm => Flavour::Ntlm,
            Mechanism::Negotiate | Mechanism::Kerberos => Flavour::NtlmAsNegotiate,
        };
        let Some(password) = &self.password else {
            return Err(Error::Kerberos(KerberosError::NeedsPassword { mechanism: "NTLM", given: "none" }));
        };
        let workstation = Workstation::new(&own_host_name(), Arc::new(System));
        initiator(flavour, password, &self.service(class), Level::Privacy, &workstation)
            .map_err(|source| Error::Authentication { peer: self.peer.clone(), source })
    }

    fn service(&self, class: &str) -> String {
        format!("{class}/{}", self.host)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
