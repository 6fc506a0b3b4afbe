//! Walking the gates between here and a backup, one by one, and naming the one that is shut.

use certadm_auth::Credentials;
use certadm_rules::diagnosis::chain_of;
use certadm_rules::finding::Finding;
use certadm_rules::flags::Roles;
use certadm_rules::{BackupType, Diagnosis, Hresult};
use certadm_wire::csra::Request;
use certadm_wire::dcom::{ResolverRequest, SetId};

use crate::ca::RemoteCa;
use crate::connection::Interface;
use crate::dial::{Activated, Login, resolver_call, server_alive};
use crate::error::Error;
use crate::refusal::{Cause, RoleNames};
use crate::target::{Endpoint, Target};

pub use crate::gate::{Gate, Verdict, Visit};

/// Walks from `target`'s name to a backup that could begin. `report` gets each gate as it is reached; all gates are in
/// the result, in their order.
///
/// With `prepare`, a logs-only backup is begun and ended at once: only that shows for certain that the gates are open.
/// It reads nothing, marks nothing and deletes nothing, but the CA records it, and refuses another backup meanwhile.
pub fn examine(
    target: &Target,
    credentials: Option<Credentials>,
    prepare: bool,
    report: &mut dyn FnMut(&Visit),
) -> Vec<Visit> {
    let mut walk = Walk { visits: Vec::new(), report };
    walk.walk(target, credentials, prepare);
    for gate in Gate::ALL {
        if !walk.visits.iter().any(|visit| visit.gate == gate) {
            walk.skip(gate, "not reached");
        }
    }
    walk.visits
}

struct Walk<'a> {
    visits: Vec<Visit>,
    report: &'a mut dyn FnMut(&Visit),
}

impl Walk<'_> {
    fn add(&mut self, gate: Gate, verdict: Verdict, finding: Finding) {
        let visit = Visit { gate, verdict, finding };
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
        let finding = Finding::error(gate.kind(), error.hresult(), chain_of(error)).remedy(error.remedy());
        self.add(gate, Verdict::Shut, finding);
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
        let version = self.pass(Gate::Resolver, server_alive(target))?;
        self.open(Gate::Resolver, format!("DCOM {}.{} answers", version.major, version.minor));
        let login = self.pass(Gate::Authentication, Login::new(target.clone(), credentials))?;
        self.authentication(&login)?;
        let activated = self.pass(Gate::Activation, login.activate())?;
        self.open(Gate::Activation, format!("the CA's object serves {}", activated.interface.name));
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

    /// A ping of a set that does not exist: whoever is logged on gets an answer, whatever it says, and nobody else. So a
    /// wrong password shows before the right to activate is asked for.
    fn authentication(&mut self, login: &Login) -> Option<()> {
        const CALL: &str = "logon";
        if let Endpoint::Socket(_) = login.target.endpoint {
            self.open(Gate::Authentication, "the system vouches for this user on a socket");
            return Some(());
        }
        let answer = login.resolver(Interface::RESOLVER, CALL).and_then(|mut connection| {
            let request = ResolverRequest::SimplePing { set: SetId(u64::MAX) };
            match resolver_call(&mut connection, &request, CALL) {
                Ok(_) | Err(Error::Method { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        });
        match answer {
            Ok(()) => {
                self.open(Gate::Authentication, "the account and its password are taken");
                Some(())
            }
            Err(error @ Error::Fault { .. }) if error.hresult() == Hresult::E_ACCESSDENIED => {
                let remedy = "check account, domain and password, and that the account is neither locked nor denied \
                              network logon";
                let kind = Gate::Authentication.kind();
                let finding = Finding::error(kind, error.hresult(), "the logon is refused").remedy(remedy);
                self.add(Gate::Authentication, Verdict::Shut, finding);
                None
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
            Err(error) => self.shut(Gate::State, &error),
        }
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
