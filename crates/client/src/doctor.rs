//! Walking the gates between here and a backup, one by one, and naming the one that is shut.

use std::borrow::Cow;
use std::sync::Arc;

use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::Finding;
use certadm_rules::flags::{Origin, Roles};
use certadm_rules::{BackupType, Diagnosis, Hresult};
use certadm_wire::csra::Request;
use certadm_wire::dcom::{ResolverRequest, SetId};
use certadm_wire::rpc::NakReason;

use crate::activation::Wanted;
use crate::ca::RemoteCa;
use crate::connection::Interface;
use crate::credentials::Credentials;
use crate::denial::{Attempt, LOGON, is_denial};
use crate::dial::{Activated, Login, resolver_call, server_alive};
use crate::error::Error;
use crate::kerberos::{Book, KerberosError, LoggedOn, SERVICES};
use crate::logon::{Logon, Taken};
use crate::refusal::{Cause, RoleNames};
use crate::target::{Endpoint, Target};

pub use crate::gate::{Gate, Verdict, Visit};
pub use crate::seen::Seen;

/// What a walk has found.
#[derive(Debug, Clone, Default)]
pub struct Examination {
    /// All gates, in their order.
    pub visits: Vec<Visit>,
    /// What the CA says of itself; nothing of a CA that was not reached, or that says nothing.
    pub seen: Seen,
    /// What was found beside the gates: that the clock of the CA's machine is another one.
    pub findings: Vec<Finding>,
}

/// Walks from `target`'s name to a backup that could begin. `report` gets each gate as it is reached.
///
/// With `prepare`, a logs-only backup is begun and ended at once: only that shows for certain that the gates are open.
/// It reads nothing, marks nothing and deletes nothing, but the CA records it, and refuses another backup meanwhile.
pub fn examine(
    target: &Target,
    credentials: Option<Credentials>,
    prepare: bool,
    report: &mut dyn FnMut(&Visit),
) -> Examination {
    let mut walk = Walk { visits: Vec::new(), seen: Seen::default(), logon: None, report };
    walk.walk(target, credentials, prepare);
    for gate in Gate::ALL {
        if !walk.visits.iter().any(|visit| visit.gate == gate) {
            walk.skip(gate, "not reached");
        }
    }
    // That NTLM was taken is told at the gates.
    let clock = walk.logon.as_ref().and_then(|logon| logon.clock_finding());
    Examination { visits: walk.visits, seen: walk.seen, findings: clock.into_iter().collect() }
}

struct Walk<'a> {
    visits: Vec<Visit>,
    seen: Seen,
    /// None before the account is known, and over a socket.
    logon: Option<Arc<Logon>>,
    report: &'a mut dyn FnMut(&Visit),
}

impl Walk<'_> {
    fn add(&mut self, gate: Gate, verdict: Verdict, finding: Finding) {
        self.visit(Visit::new(gate, verdict, finding));
    }

    fn visit(&mut self, visit: Visit) {
        (self.report)(&visit);
        self.visits.push(visit);
    }

    fn open(&mut self, gate: Gate, detail: impl Into<String>) {
        self.add(gate, Verdict::Open, Finding::note(gate.kind(), detail));
    }

    fn skip(&mut self, gate: Gate, detail: &str) {
        self.add(gate, Verdict::Skipped, Finding::note(gate.kind(), detail));
    }

    fn unknown(&mut self, gate: Gate, detail: &str) {
        self.add(gate, Verdict::Unknown, Finding::note(gate.kind(), detail));
    }

    fn shut(&mut self, gate: Gate, error: &Error) {
        let (detail, remedy) = match denial(gate, error) {
            Some((detail, remedy)) => (format!("{detail} ({})", refusal_of(error)), Cow::Owned(remedy)),
            None => (chain_of(error), error.remedy()),
        };
        let finding = Finding::error(gate.kind(), error.hresult(), detail).remedy(remedy);
        self.visit(Visit { class: error.class(), ..Visit::new(gate, Verdict::Shut, finding) });
    }

    /// The account or the CA's settings keep the gate shut.
    fn denied(&mut self, gate: Gate, cause: Cause) {
        let finding = Finding::error(gate.kind(), Hresult::E_ACCESSDENIED, cause.finding());
        self.add(gate, Verdict::Shut, finding.remedy(cause.remedy()));
    }

    /// The value, or the gate is shut and the walk is over.
    fn pass<T>(&mut self, gate: Gate, result: Result<T, Error>) -> Option<T> {
        result.map_err(|error| self.shut(gate, &error)).ok()
    }

    fn walk(&mut self, target: &Target, credentials: Option<Credentials>, prepare: bool) -> Option<()> {
        self.name(target)?;
        let connection = Login::reach(target);
        let connection = self.pass(Gate::Port, connection)?;
        let address = connection
            .peer_address()
            .map_or_else(|| target.endpoint.to_string(), |address| address.to_string());
        drop(connection);
        self.open(Gate::Port, format!("connected to {address}"));
        match server_alive(target) {
            // A machine may answer nobody without an account (policy `Restrict Unauthenticated RPC clients`). That it
            // refuses shows that an RPC server is there, and the next gate brings the account.
            Err(error) if is_refusal(&error) => {
                self.unknown(
                    Gate::Resolver,
                    &format!("it answers nobody without an account: {}", chain_of(&error)),
                );
            }
            answer => {
                let version = self.pass(Gate::Resolver, answer)?;
                self.open(Gate::Resolver, format!("DCOM {}.{} answers", version.major, version.minor));
            }
        }
        let login = self.pass(Gate::Authentication, Login::new(target.clone(), credentials))?;
        self.logon = login.logon.clone();
        self.kerberos(&login)?;
        self.authentication(&login)?;
        let activated = self.pass(Gate::Activation, login.activate())?;
        let detail = match activated.what {
            Wanted::Object(interface) => format!("the CA's object serves {}", interface.name),
            Wanted::Factory => "the CA's object is made by the factory of its class".to_owned(),
        };
        self.open(Gate::Activation, detail);
        let mut ca = self.object(login, activated)?;
        self.rights(&mut ca, prepare);
        Some(())
    }

    fn name(&mut self, target: &Target) -> Option<()> {
        use crate::stream::addresses;
        match &target.endpoint {
            Endpoint::Socket(path) => {
                self.open(Gate::Name, format!("this machine, by the socket {}", path.display()));
            }
            Endpoint::Tcp { host, port } => {
                let addresses = self.pass(Gate::Name, addresses(host, *port))?;
                let mut texts: Vec<String> = addresses.map(|address| address.ip().to_string()).collect();
                texts.dedup();
                self.open(Gate::Name, format!("{host} is {}", texts.join(", ")));
            }
        }
        Some(())
    }

    /// Realm and KDC, its clock, the logon, the tickets for the server. Where NTLM is as good, a gate that is shut is told, and
    /// the walk goes on.
    fn kerberos(&mut self, login: &Login) -> Option<()> {
        const GATES: [Gate; 4] = [Gate::Kdc, Gate::Clock, Gate::Ticket, Gate::ServiceTickets];
        let Some(logon) = &login.logon else {
            return self.skip_all(&GATES, "a socket of this machine needs none");
        };
        let book = match logon.book() {
            Ok(Some(book)) => book,
            Ok(None) => return self.skip_all(&GATES, "NTLM was asked for"),
            Err(error) if !logon.may_take_ntlm_after(error) => {
                let error = Error::Kerberos(error.clone());
                self.shut(Gate::Kdc, &error);
                return None;
            }
            Err(error) => return self.skip_all(&GATES, &format!("NTLM is used: {}", chain_of(&error))),
        };
        let mut steps = || -> Result<(), (Gate, KerberosError)> {
            match book.kdcs().map_err(|error| (Gate::Kdc, error))? {
                Some(found) => self.open(Gate::Kdc, found.to_string()),
                None => self.skip(Gate::Kdc, "the account has a ticket"),
            }
            let done = book.log_on();
            // A KDC that refuses has shown its clock as well.
            let is_told = book.kdc_ahead().is_some();
            if is_told {
                self.clock(book);
            }
            let LoggedOn { client, etype, until } = done.map_err(|error| (Gate::Ticket, error))?;
            let services = service_tickets(book);
            // With tickets that were there, this is the first question to a KDC, if it is one.
            if !is_told {
                self.clock(book);
            }
            self.open(Gate::Ticket, format!("{client} has a ticket of etype {etype} until {until}"));
            self.open(Gate::ServiceTickets, services.map_err(|error| (Gate::ServiceTickets, error))?);
            Ok(())
        };
        let Err((gate, error)) = steps() else { return Some(()) };
        if !logon.may_take_ntlm_after(&error) {
            self.shut(gate, &Error::Kerberos(error));
            return None;
        }
        let finding = Finding::note(gate.kind(), format!("NTLM is used: {}", chain_of(&error)));
        self.add(gate, Verdict::Unknown, finding.remedy(error.remedy()));
        let left = GATES.into_iter().filter(|gate| !self.visits.iter().any(|visit| visit.gate == *gate));
        let left: Vec<Gate> = left.collect();
        self.skip_all(&left, "not reached")
    }

    fn clock(&mut self, book: &Book) {
        self.visit(clock_visit(book.kdc_ahead()));
    }

    fn skip_all(&mut self, gates: &[Gate], detail: &str) -> Option<()> {
        for gate in gates {
            self.skip(*gate, detail);
        }
        Some(())
    }

    /// A ping of a set that does not exist: whoever is logged on gets an answer, whatever it says, and nobody else. So a
    /// wrong password shows before the right to activate is asked for.
    fn authentication(&mut self, login: &Login) -> Option<()> {
        if let Endpoint::Socket(_) = login.target.endpoint {
            self.open(Gate::Authentication, "the system vouches for this user on a socket");
            return Some(());
        }
        let answer = login.resolver(Interface::RESOLVER, LOGON).and_then(|mut connection| {
            let request = ResolverRequest::SimplePing { set: SetId(u64::MAX) };
            match resolver_call(&mut connection, &request, LOGON) {
                Ok(_) | Err(Error::Method { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        });
        match answer {
            Ok(()) => {
                let detail = match login.logon.as_ref().and_then(|logon| logon.taken()) {
                    Some(Taken::Kerberos) => {
                        "the ticket is taken, and the server has proved its identity (Kerberos)"
                    }
                    _ => "the account and its password are taken (NTLM)",
                };
                self.open(Gate::Authentication, detail);
                Some(())
            }
            Err(error) => {
                self.shut(Gate::Authentication, &error);
                None
            }
        }
    }

    fn object(&mut self, login: Login, activated: Activated) -> Option<RemoteCa> {
        let ca = RemoteCa::open(login, activated);
        let mut ca = self.pass(Gate::Exporter, ca)?;
        let peer = ca.connection.peer().to_owned();
        self.open(Gate::Exporter, format!("connected to {peer}"));
        let state = ca.server_state();
        let state = match state {
            Err(error) if error.ends_connection() => {
                self.shut(Gate::Privacy, &error);
                return None;
            }
            state => state,
        };
        let privacy = match ca.connection.is_sealed() {
            true => "calls are signed and encrypted (packet privacy)",
            false => "a socket of this machine needs none",
        };
        self.open(Gate::Privacy, privacy);
        match state {
            Ok(true) => self.open(Gate::State, "the CA serves requests and may be read"),
            Ok(false) => {
                let detail = "the CA is suspended, or this account may not read it";
                let finding = Finding::note(Gate::State.kind(), detail)
                    .remedy("resume the CA, or give the account Read permission on it");
                self.add(Gate::State, Verdict::Unknown, finding);
            }
            // Without its right name nothing else can be asked either.
            Err(error) if error.hresult() == Hresult::E_INVALIDARG => {
                let error = ca.explain("GetServerState", error);
                self.shut(Gate::State, &error);
                return None;
            }
            Err(error) => self.shut(Gate::State, &error),
        }
        self.seen = ca.seen();
        Some(ca)
    }

    /// Role, flags and the proof; all of them, so that two shut gates are found in one walk.
    fn rights(&mut self, ca: &mut RemoteCa, prepare: bool) {
        let origin = ca.origin();
        let evidence = ca.evidence();
        let mut is_shut = false;
        match evidence.roles {
            Some(roles) if roles.has_any(Roles::OPERATOR) => {
                self.open(Gate::Role, format!("the account has: {}", RoleNames(roles)));
            }
            Some(roles) => {
                is_shut = true;
                self.denied(Gate::Role, Cause::Role { roles, origin });
            }
            None => self.unknown(Gate::Role, "the CA does not tell the account's roles"),
        }
        match evidence.flags {
            Some(flags) if flags.check_admin(origin).is_err() => {
                is_shut = true;
                self.denied(Gate::InterfaceFlags, Cause::AdminFlag { origin });
            }
            Some(flags) if flags.check_backup(origin).is_err() => {
                is_shut = true;
                self.denied(Gate::InterfaceFlags, Cause::BackupFlag { origin, seen: true });
            }
            Some(flags) => {
                self.open(Gate::InterfaceFlags, format!("InterfaceFlags {:#x} allow it", flags.to_bits()));
            }
            None => self.unknown(Gate::InterfaceFlags, "the CA does not tell its InterfaceFlags"),
        }
        if is_shut {
            return;
        }
        if !prepare {
            self.skip(Gate::LastFull, "not asked for");
            return;
        }
        self.last_full(ca);
    }

    fn last_full(&mut self, ca: &mut RemoteCa) {
        const GATE: Gate = Gate::LastFull;
        let error = match ca.backup_prepare(BackupType::LogsOnly) {
            Ok(()) => {
                let ended = ca.invoke_plain(&Request::BackupEnd, "BackupEnd");
                ca.in_backup = false;
                match ended {
                    Err(error) if error.ends_connection() => self.shut(GATE, &error),
                    _ => self.open(GATE, "a full backup is on record: full and logs-only backups can begin"),
                }
                return;
            }
            Err(error) => ca.explain("BackupPrepare", error),
        };
        let detail = match error.hresult() {
            Hresult::MISSING_FULL_BACKUP => "no full backup is on record: only a full one can begin",
            Hresult::MISSING_FILE_TO_BACKUP => {
                "a log that a logs-only backup has to begin with is gone: only a full one can begin"
            }
            Hresult::INVALID_BACKUP => "circular logging is on: only full backups can begin",
            Hresult::BACKUP_IN_PROGRESS => "another backup is running",
            _ => {
                self.shut(GATE, &error);
                return;
            }
        };
        let finding = Finding::note(GATE.kind(), detail).code(error.hresult()).remedy(error.remedy());
        self.add(GATE, Verdict::Open, finding);
    }
}

/// Gets the tickets for the server, and says what they are.
fn service_tickets(book: &Book) -> Result<String, KerberosError> {
    let mut names = Vec::new();
    for class in SERVICES {
        let ticket = book.ticket(class)?;
        let etype = ticket.credential.session_key.etype();
        names.push(format!("{} (etype {etype})", ticket.credential.service));
    }
    Ok(names.join(", "))
}

/// What the clocks' difference means. The KDC's is told before any secret is shown, and proves nothing.
pub(crate) fn clock_visit(ahead: Option<i64>) -> Visit {
    /// What services and KDCs bear, in seconds.
    const BORNE: i64 = 300;
    let gate = Gate::Clock;
    let Some(ahead) = ahead else {
        let finding = Finding::note(gate.kind(), "not asked: no KDC has answered, as the tickets were there");
        return Visit::new(gate, Verdict::Skipped, finding);
    };
    let detail = match ahead {
        0 => "the KDC's clock is that of this machine".to_owned(),
        _ => format!("the KDC's clock is {} s {}", ahead.abs(), if 0 < ahead { "ahead" } else { "behind" }),
    };
    let mut finding = Finding::note(gate.kind(), detail);
    if BORNE < ahead.abs() {
        finding = finding.remedy("set the clock of this machine: Kerberos bears 5 minutes");
    }
    Visit::new(gate, Verdict::Open, finding)
}

/// What a denial at a gate means, and what changes it. The gates before it were open, so less can be the reason than in
/// a backup; and where a look at gates is no help, this program does not advise one.
fn denial(gate: Gate, error: &Error) -> Option<(&'static str, String)> {
    let is_bare = matches!(error, Error::Fault { .. } | Error::Method { .. } | Error::Activation { .. });
    if !is_bare || !is_denial(error.hresult()) {
        return None;
    }
    let attempt = match gate {
        Gate::Name
        | Gate::Port
        | Gate::Resolver
        | Gate::Kdc
        | Gate::Clock
        | Gate::Ticket
        | Gate::ServiceTickets
        | Gate::Keytab
        | Gate::Acceptance
        | Gate::Authentication => Attempt::Logon,
        Gate::Activation => Attempt::Activation,
        _ => Attempt::Call,
    };
    let unknown = Cause::Unknown { origin: Origin::Remote };
    let remedy = attempt.remedy().map_or_else(|| unknown.remedy(), str::to_owned);
    Some((attempt.meaning(), remedy))
}

/// How a refusal came: what a search finds.
fn refusal_of(error: &Error) -> String {
    match error {
        Error::Fault { status, .. } => format!("fault {status}"),
        error => format!("{:#010x}", error.hresult().to_bits()),
    }
}

/// Whether a server refused a caller that gave no account, rather than not being one.
const fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Fault { .. } | Error::Method { .. } => true,
        Error::BindRefused { reason, .. } => {
            matches!(*reason, NakReason::AUTH_TYPE | NakReason::INVALID_CHECKSUM | NakReason::UNSPECIFIED)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::told::Told;
    use certadm_rules::diagnosis::Class;
    use certadm_wire::rpc::FaultStatus;

    /// What the walk would say of any code at any gate.
    fn advice(gate: Gate, error: &Error) -> String {
        let mut walk = Walk { visits: Vec::new(), seen: Seen::default(), logon: None, report: &mut |_| {} };
        walk.shut(gate, error);
        walk.visits[0].finding.remedy.as_deref().unwrap().to_owned()
    }

    /// The class is the error's, which knows more than its code: a code of the CA's is no mistake of the command line.
    #[test]
    fn a_shut_gate_is_of_the_class_of_its_error() {
        let mut walk = Walk { visits: Vec::new(), seen: Seen::default(), logon: None, report: &mut |_| {} };
        for (code, class) in [
            (Hresult::E_INVALIDARG, Class::Refused),
            (Hresult::E_ABORT, Class::Refused),
            (Hresult::RPC_S_SERVER_TOO_BUSY, Class::Unreachable),
        ] {
            walk.shut(Gate::State, &Error::Method { call: "GetServerState", code });
            assert_eq!(walk.visits.last().map(|visit| visit.class), Some(class), "{code}");
        }
    }

    #[test]
    fn it_never_advises_itself() {
        let codes = Hresult::KNOWN.iter().filter(|code| code.is_failure());
        for (&code, gate) in codes.flat_map(|code| Gate::ALL.map(|gate| (code, gate))) {
            let call = ["the logon", "activation", "GetServerState"][gate as usize % 3];
            let status = FaultStatus(code.to_bits());
            for error in [
                Error::Fault { call, status, did_not_execute: true, told: Told::default() },
                Error::Method { call, code },
                Error::Activation { code },
            ] {
                let advice = advice(gate, &error);
                assert!(!advice.contains("doctor") && !advice.is_empty(), "{gate:?} {error}: {advice}");
            }
        }
    }

    #[test]
    fn a_denial_at_the_gate_of_activation_is_about_the_group() {
        let status = FaultStatus::ACCESS_DENIED;
        let error = Error::Fault { call: "activation", status, did_not_execute: true, told: Told::default() };
        assert!(advice(Gate::Activation, &error).contains("Certificate Service DCOM Access"));
        assert!(!advice(Gate::Activation, &error).contains("password"), "it was accepted before");
        assert!(advice(Gate::Authentication, &error).contains("password"));
        assert!(
            advice(Gate::State, &error).contains("operator role")
                || advice(Gate::State, &error).contains("Read")
        );
    }
}
