//! The service's own doctor: whether the keytab of a service of this machine is the one that its domain gives tickets for. A
//! ticket for the service is got with the service's own keys, and accepted with them: no other check shows a key that is
//! stale (kerberos.md 6).

use std::path::PathBuf;
use std::time::Duration;

use certadm_auth::AccountName;
use certadm_kerberos::client::ClientError;
use certadm_kerberos::crypto::Etype;
use certadm_kerberos::message::ErrorCode;
use certadm_kerberos::{AcceptError, Acceptor, Demand, Initiator, Keytab, Principal};
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::Finding;
use certadm_rules::words::shell_word;
use certadm_rules::{Diagnosis, Hresult};

use crate::doctor::{Gate, Verdict, Visit, clock_visit};
use crate::kerberos::{Book, KerberosError, KerberosTarget, LoggedOn, Proof, System, keytab_of};

/// A service that accepts tickets.
#[derive(Debug, Clone)]
pub struct OwnService {
    /// The file with its keys.
    pub keytab: PathBuf,
    /// The CA's folder; its owner is the account of the service.
    pub folder: PathBuf,
    /// The name of this machine in the domain.
    pub host: String,
    /// The realms whose accounts may come in; empty for those of the keytab.
    pub realms: Vec<String>,
    /// How many seconds clocks may be apart.
    pub skew_seconds: u32,
}

/// Walks from the keytab to a ticket that is accepted. Only accounts of the realm in `kerberos` log on, where one is named. `report` gets each gate as it is reached. No answer of a KDC is waited
/// for longer than `patience`.
pub fn examine_service(
    service: &OwnService,
    kerberos: &KerberosTarget,
    patience: Duration,
    report: &mut dyn FnMut(&Visit),
) -> Vec<Visit> {
    let mut walk = Walk { visits: Vec::new(), report };
    let ended = walk.walk(service, kerberos, patience);
    if let Err(visit) = ended {
        walk.add(*visit);
    }
    for gate in Gate::OWN {
        if !walk.visits.iter().any(|visit| visit.gate == gate) {
            walk.add(note(gate, Verdict::Skipped, "not reached"));
        }
    }
    walk.visits
}

struct Walk<'a> {
    visits: Vec<Visit>,
    report: &'a mut dyn FnMut(&Visit),
}

/// The gate at which it ended.
type Ended = Box<Visit>;

impl Walk<'_> {
    fn add(&mut self, visit: Visit) {
        (self.report)(&visit);
        self.visits.push(visit);
    }

    fn walk(
        &mut self,
        service: &OwnService,
        kerberos: &KerberosTarget,
        patience: Duration,
    ) -> Result<(), Ended> {
        let keytab = self.keytab(service, kerberos.realm.as_deref())?;
        let (book, done) = self.log_on(service, &keytab, kerberos, patience)?;
        let LoggedOn { client, etype, until } = &done;
        let detail = format!("{client} has a ticket of etype {etype} until {until}, by the keytab");
        self.add(note(Gate::Ticket, Verdict::Open, detail));
        let ticket = book.ticket("HOST").map_err(|error| shut(Gate::ServiceTickets, &error))?;
        let detail =
            format!("{} (etype {})", ticket.credential.service, ticket.credential.session_key.etype());
        self.add(note(Gate::ServiceTickets, Verdict::Open, detail));

        // By the KDC's clock at both ends: what differs from this machine's was told before.
        let clock = Shifted(ticket.clock_offset);
        let (initiator, first) = Initiator::start(ticket.credential, 0, &clock)
            .map_err(|error| shut(Gate::Acceptance, &AcceptError::from(error)))?;
        // Whoever's realm it is: first comes whether the key is right.
        let realms = [client.realm().to_owned()];
        let acceptor = Acceptor::new(keytab.into(), std::sync::Arc::default())
            .with_realms(realms)
            .with_skew(service.skew_seconds.into());
        let accepted = acceptor.accept(&first, Demand::Privacy, &clock).and_then(|(pending, second)| {
            match initiator.finish(&second, &clock) {
                Ok(initiated) => pending.finish(&initiated.third),
                Err(_) => Err(AcceptError::Unsupported { what: "does not take the answer" }),
            }
        });
        let accepted = accepted.map_err(|error| shut(Gate::Acceptance, &error))?;
        if !service.realms.is_empty() && !service.realms.iter().any(|realm| realm == client.realm()) {
            return Err(left_out(client.realm()));
        }
        let rights = if accepted.pac.and_then(|pac| pac.logon).is_some() { "with" } else { "without" };
        let detail = format!("accepted by the key of version {}, {rights} SIDs", accepted.key_version);
        self.add(note(Gate::Acceptance, Verdict::Open, detail));
        Ok(())
    }

    /// Whether the keytab can be used, and whose keys it has.
    fn keytab(&mut self, service: &OwnService, realm: Option<&str>) -> Result<Keytab, Ended> {
        let path = &service.keytab;
        let wrong = |detail: &str| {
            shut(Gate::Keytab, &KerberosError::Keytab { path: path.clone(), detail: detail.to_owned() })
        };
        if certadm_files::is_exposed(path) {
            return Err(wrong("others can read it, and be this machine to its clients"));
        }
        // Root reads everything, and its word says nothing of the service.
        if let Some((account, why)) = certadm_files::users::kept_from_owner_of(&service.folder, path) {
            let detail = format!(
                "{why}, but the CA's folder belongs to {account}: a service of that account cannot read it"
            );
            let mut ended = wrong(&detail);
            let keytab = shell_word(path.display());
            let remedy = format!("`chown {account} {keytab}` and `chmod 600 {keytab}`");
            ended.finding = ended.finding.remedy(remedy);
            return Err(ended);
        }
        let keytab = keytab_of(path).map_err(|error| shut(Gate::Keytab, &error))?;
        if !keytab.etypes().iter().any(|etype| Etype::from_wire(*etype).is_some()) {
            return Err(wrong("it has no keys of AES (etypes 17 to 20)"));
        }
        let names = names(&keytab);
        if let Some(realm) = realm
            && !keytab.entries().iter().any(|entry| entry.principal.realm().eq_ignore_ascii_case(realm))
        {
            let mut ended =
                wrong(&format!("it has no key of the realm {realm}, but of: {}", names.join(", ")));
            ended.finding = ended.finding.remedy("name a realm of the keytab by --realm, or leave it out");
            return Err(ended);
        }
        let is_named = keytab.entries().iter().any(|entry| {
            entry.principal.components().get(1).is_some_and(|host| host.eq_ignore_ascii_case(&service.host))
        });
        let etypes: Vec<_> = keytab.etypes().iter().map(i32::to_string).collect();
        let detail =
            format!("{} has keys of {}, etypes {}", path.display(), names.join(", "), etypes.join(", "));
        let mut visit = note(Gate::Keytab, Verdict::Open, detail);
        if !is_named {
            let remedy = format!("make one for host/{}, or name in `host` what clients dial", service.host);
            visit.finding = visit.finding.remedy(remedy);
        }
        self.add(visit);
        Ok(keytab)
    }

    /// Logs on as the first of the keytab's names that the KDC takes for an account's: most domain controllers take no
    /// service's name for one.
    fn log_on(
        &mut self,
        service: &OwnService,
        keytab: &Keytab,
        kerberos: &KerberosTarget,
        patience: Duration,
    ) -> Result<(Book, LoggedOn), Ended> {
        let mut last = None;
        let is_meant = |principal: &&Principal| {
            kerberos.realm.as_ref().is_none_or(|realm| principal.realm().eq_ignore_ascii_case(realm))
        };
        let principals = keytab.entries().iter().map(|entry| &entry.principal);
        let mut accounts = principals.filter(is_meant).collect::<Vec<_>>();
        accounts.sort_by_key(|principal| principal.components().len());
        accounts.dedup();
        for account in accounts {
            let target = KerberosTarget { realm: Some(account.realm().to_owned()), ..kerberos.clone() };
            let proof = Proof::Keytab(Some(AccountName::new("", account.name())), service.keytab.clone());
            let book =
                Book::new(&service.host, target, proof, patience).map_err(|error| shut(Gate::Kdc, &error))?;
            if !self.visits.iter().any(|visit| visit.gate == Gate::Kdc) {
                let found = book.kdcs().map_err(|error| shut(Gate::Kdc, &error))?;
                let detail = found.map(|found| found.to_string()).unwrap_or_default();
                self.add(note(Gate::Kdc, Verdict::Open, detail));
            }
            let done = book.log_on();
            // A KDC that refuses has shown its clock as well.
            if book.kdc_ahead().is_some() && !self.visits.iter().any(|visit| visit.gate == Gate::Clock) {
                self.add(clock_visit(book.kdc_ahead()));
            }
            match done {
                Ok(done) => return Ok((book, done)),
                Err(error) if is_unknown(&error) => last = Some(error),
                Err(error) => return Err(refused(&error, &service.host)),
            }
        }
        let detail =
            "the KDC takes none of the keytab's names for an account; whether the key is right stays unknown";
        let mut visit = note(Gate::Ticket, Verdict::Unknown, detail);
        if last.is_some() {
            let remedy = "add the keys of the machine's account, such as CA1$, to the keytab for this test";
            visit.finding = visit.finding.remedy(remedy);
        }
        Err(Box::new(visit))
    }
}

/// A logon that was refused. Where it would take another proof than keys, nothing is said against the keytab: the service does not log on.
fn refused(error: &KerberosError, host: &str) -> Ended {
    let prove = format!(
        "prove the service by a client that has a ticket: `certadm doctor --server {host} --ticket-cache PATH`"
    );
    match error {
        KerberosError::Kdc(ClientError::OtherProof { .. }) => {
            let detail = format!("{}; whether the key is right stays unknown", chain_of(error));
            let mut visit = note(Gate::Ticket, Verdict::Unknown, detail);
            visit.finding = visit.finding.remedy(prove);
            Box::new(visit)
        }
        KerberosError::Kdc(ClientError::Refused { error: said, .. }) if said.code == ErrorCode::POLICY => {
            let mut ended = shut(Gate::Ticket, error);
            let remedy = format!(
                "check the authentication policies of the account; where the domain demands FAST, {prove}"
            );
            ended.finding = ended.finding.remedy(remedy);
            ended
        }
        error => shut(Gate::Ticket, error),
    }
}

/// The key is right, and the service takes no account of its own realm all the same.
fn left_out(realm: &str) -> Ended {
    let detail = format!("the key is right, but `realms` in [kerberos] of ca.toml leave out {realm}");
    let remedy = format!("add \"{realm}\" to `realms`, unless no account of that realm is to come in");
    let finding = Finding::error(Gate::Acceptance.kind(), Hresult::E_ACCESSDENIED, detail).remedy(remedy);
    let class = Hresult::E_ACCESSDENIED.class();
    Box::new(Visit { class, ..Visit::new(Gate::Acceptance, Verdict::Shut, finding) })
}

fn is_unknown(error: &KerberosError) -> bool {
    matches!(error, KerberosError::Kdc(ClientError::Refused { error, .. })
        if error.code == ErrorCode::CLIENT_UNKNOWN)
}

fn names(keytab: &Keytab) -> Vec<String> {
    let mut names: Vec<String> = keytab.entries().iter().map(|entry| entry.principal.to_string()).collect();
    names.sort();
    names.dedup();
    names
}

fn note(gate: Gate, verdict: Verdict, detail: impl Into<String>) -> Visit {
    Visit::new(gate, verdict, Finding::note(gate.kind(), detail.into()))
}

fn shut<E: Diagnosis + std::error::Error>(gate: Gate, error: &E) -> Ended {
    let code = match error.hresult() {
        code if code.is_failure() => code,
        _ => Hresult::E_FAIL,
    };
    let finding = Finding::error(gate.kind(), code, chain_of(error)).remedy(error.remedy());
    Box::new(Visit { class: error.class(), ..Visit::new(gate, Verdict::Shut, finding) })
}

/// This machine's clock, so many seconds later.
struct Shifted(i64);

impl certadm_kerberos::Environment for Shifted {
    fn now(&self) -> certadm_rules::FileTime {
        const UNITS: i64 = 10_000_000;
        let now = System.now();
        certadm_rules::FileTime(now.0.saturating_add(self.0.saturating_mul(UNITS)))
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), certadm_kerberos::NoRandomness> {
        System.fill_random(bytes)
    }
}
