//! From a target to an object on it: resolver, activation, exporter (wire.md 4.5, 4.6, 4.14, 4.17).

use std::net::IpAddr;
use std::sync::Arc;

use certadm_rules::Hresult;
use certadm_wire::dcom::activation::Exporter;
use certadm_wire::dcom::{
    ComVersion, DualStringArray, Iid, OrpcThat, RemUnknownRequest, RemUnknownResponse, ResolverRequest,
    ResolverResponse, ResolverStatus, StdObjRef,
};
use certadm_wire::ndr::{ByteOrder, Reader, Writer};
use certadm_wire::rpc::FaultStatus;

use crate::activation::{Wanted, activate, make_by_factory};
use crate::connection::{Connection, Interface};
use crate::credentials::Credentials;
use crate::denial::{ACTIVATION, BINDING};
use crate::error::Error;
use crate::logon::Logon;
use crate::orpc::{release, remote_unknown};
use crate::outlet::Ready;
use crate::stream::Stream;
use crate::target::{Endpoint, Target};

/// A target, and what is needed to log on there.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) target: Target,
    /// None for a socket, whose peer the system vouches for.
    pub(crate) logon: Option<Arc<Logon>>,
}

/// An object that was activated, or the factory of its class, and the way to it.
#[derive(Debug)]
pub(crate) struct Activated {
    pub(crate) what: Wanted,
    pub(crate) object: StdObjRef,
    pub(crate) exporter: Exporter,
    /// The connection that activated it.
    pub(crate) resolver: Connection,
}

/// An object that can be called.
#[derive(Debug)]
pub(crate) struct Exported {
    pub(crate) connection: Connection,
    pub(crate) interface: Interface,
    pub(crate) object: StdObjRef,
}

impl Login {
    /// # Errors
    /// [`Error::NoAccount`] when the target is reached over the network and there are no credentials; [`Error::Kerberos`] when
    /// they do not fit it.
    pub(crate) fn new(target: Target, credentials: Option<Credentials>) -> Result<Self, Error> {
        let logon = match &target.endpoint {
            Endpoint::Socket(_) => None,
            Endpoint::Tcp { .. } => {
                let credentials = credentials.ok_or_else(|| target.no_account())?;
                Some(Arc::new(Logon::new(&target, credentials)?))
            }
        };
        Ok(Self { target, logon })
    }

    /// A connection to the object resolver, not bound to anything.
    pub(crate) fn reach(target: &Target) -> Result<Connection, Error> {
        let stream = match &target.endpoint {
            Endpoint::Tcp { host, port } => Stream::tcp(host, *port, target.timeouts.connect)
                .map_err(|error| target.with_entries(error))?,
            Endpoint::Socket(path) => Stream::socket(path, target.timeouts.connect)?,
        };
        Connection::over(stream, target.endpoint.to_string(), target.timeouts)
    }

    /// A connection to the object resolver, bound to `interface` and authenticated.
    pub(crate) fn resolver(&self, interface: Interface, during: &'static str) -> Result<Connection, Error> {
        // wire.md 1.5: RPCSS for activation, resolution and pings.
        self.logged_on("RPCSS", interface, during, &|| Self::reach(&self.target))
    }

    /// A connection that is bound to `interface` and authenticated; a second one where the first one's end says how it may
    /// end better.
    fn logged_on(
        &self,
        class: &str,
        interface: Interface,
        during: &'static str,
        connect: &dyn Fn() -> Result<Connection, Error>,
    ) -> Result<Connection, Error> {
        let attempt = || {
            let mut connection = connect()?;
            let initiator = self.logon.as_ref().map(|logon| logon.initiator(class)).transpose()?;
            connection.bind(interface, initiator, during)?;
            Ok(connection)
        };
        let Some(logon) = &self.logon else { return attempt() };
        let outcome = match attempt() {
            Err(error) if logon.may_try_again(&error) => attempt(),
            outcome => outcome,
        };
        outcome.map_err(|error| logon.explained(error, class))
    }

    /// Activates the CA's administration object: with the newer interface, else with the older one; by its factory where the
    /// server makes no objects otherwise. A server that refuses our version is asked for its own, and served with that
    /// (wire.md 4.2).
    ///
    /// # Errors
    /// [`Error::Activation`], and those of a connection.
    pub(crate) fn activate(&self) -> Result<Activated, Error> {
        let refused = match self.activate_by(ComVersion::OURS) {
            Err(error @ Error::Fault { status: FaultStatus::VERSION_MISMATCH, .. }) => error,
            other => return other,
        };
        // Asked with the account, because some servers answer nobody without one. An answer that cannot be had leaves the
        // refusal as it is.
        let offered = self.resolver(Interface::RESOLVER, ALIVE).and_then(|mut resolver| alive(&mut resolver));
        let Ok(offered) = offered else { return Err(refused) };
        let common = offered.common();
        if offered.major != common.major || common == ComVersion::OURS {
            return Err(refused);
        }
        self.activate_by(common)
    }

    fn activate_by(&self, version: ComVersion) -> Result<Activated, Error> {
        let mut resolver = self.resolver(Interface::ACTIVATOR, ACTIVATION)?;
        let server = match &self.target.endpoint {
            Endpoint::Tcp { host, .. } => Some(host.as_str()),
            Endpoint::Socket(_) => None,
        };
        let ways = [Interface::CERT_ADMIN_2, Interface::CERT_ADMIN].map(Wanted::Object);
        for what in ways.into_iter().chain([Wanted::Factory]) {
            match activate(&mut resolver, what, version, server)? {
                Ok((object, exporter)) => return Ok(Activated { what, object, exporter, resolver }),
                Err(Hresult::E_NOINTERFACE) if what != Wanted::Object(Interface::CERT_ADMIN) => {}
                // It makes objects by their factory alone, whatever the interface.
                Err(Hresult::E_NOTIMPL) if what != Wanted::Factory => {}
                Err(code) => return Err(Error::Activation { code }),
            }
        }
        Err(Error::Activation { code: Hresult::E_NOINTERFACE })
    }

    /// A connection to the object's exporter, bound to its interface: over the network a new one, on a socket the one
    /// that activated it, so that one stream is one client (wire.md 5.11).
    ///
    /// # Errors
    /// [`Error::BadAnswer`] when the server names no port, and those of a connection.
    pub(crate) fn exporter(&self, activated: Activated) -> Result<Exported, Error> {
        let Activated { what, object, exporter, mut resolver } = activated;
        let interface = what.interface();
        let Endpoint::Tcp { host, .. } = &self.target.endpoint else {
            resolver.add_interface(interface, BINDING)?;
            return Exported { connection: resolver, interface, object }.made(&exporter);
        };
        let mut address = resolver
            .peer_address()
            .ok_or_else(|| Error::NotSent { peer: resolver.peer().to_owned(), during: BINDING })?;
        let port = exporter_port(&exporter.bindings, host, address.ip()).ok_or_else(|| Error::BadAnswer {
            call: ACTIVATION,
            detail: "it names no TCP port for the object".to_owned(),
        })?;
        drop(resolver);
        // Always the address that was dialled, whatever host the bindings name: they come from the server, and
        // credentials are not carried elsewhere on its word (wire.md 7, item 3).
        address.set_port(port);
        let connect = || {
            let stream = Stream::to_address(address, self.target.timeouts.connect)?;
            let peer = Endpoint::Tcp { host: host.clone(), port }.to_string();
            Connection::over(stream, peer, self.target.timeouts)
        };
        let bound = |interface| self.logged_on("HOST", interface, BINDING, &connect);
        match bound(interface) {
            // An exporter that does not bind the newer interface it gave out: its object has the older one, too.
            Err(Error::NoInterface { .. }) if interface == Interface::CERT_ADMIN_2 => {
                let mut connection = bound(Interface::REM_UNKNOWN)?;
                let object = query_older(&mut connection, &object, &exporter)?;
                connection.add_interface(Interface::CERT_ADMIN, BINDING)?;
                Ok(Exported { connection, interface: Interface::CERT_ADMIN, object })
            }
            bound => Exported { connection: bound?, interface, object }.made(&exporter),
        }
    }
}

impl Exported {
    /// The CA's object, made by the factory where this is one.
    fn made(mut self, exporter: &Exporter) -> Result<Self, Error> {
        if self.interface == Interface::CLASS_FACTORY {
            (self.interface, self.object) = make_by_factory(&mut self.connection, &self.object, exporter)?;
        }
        Ok(self)
    }
}

/// Asks the resolver for its version, without authentication (wire.md 4.5). Nothing but that may be believed.
///
/// # Errors
/// Those of a connection.
pub(crate) fn server_alive(target: &Target) -> Result<ComVersion, Error> {
    let mut connection = Login::reach(target)?;
    connection.bind(Interface::RESOLVER, None, ALIVE)?;
    alive(&mut connection)
}

const ALIVE: &str = "ServerAlive2";

fn alive(resolver: &mut Connection) -> Result<ComVersion, Error> {
    match resolver_call(resolver, &ResolverRequest::ServerAlive2, ALIVE)? {
        ResolverResponse::Alive { version, .. } => Ok(version),
        _ => Err(Error::BadAnswer { call: ALIVE, detail: "it is the answer to another call".to_owned() }),
    }
}

/// A call on `IObjectExporter`, which has no ORPCTHIS.
pub(crate) fn resolver_call(
    connection: &mut Connection,
    request: &ResolverRequest,
    call: &'static str,
) -> Result<ResolverResponse, Error> {
    let mut writer = Writer::new();
    request.write(&mut writer);
    let ready = Ready {
        interface: Interface::RESOLVER.syntax(),
        opnum: request.opnum(),
        object: None,
        stub: writer.into_bytes(),
    };
    let stub = connection.call(&ready, call)?;
    let response = ResolverResponse::read(request.opnum(), &mut Reader::new(&stub, ByteOrder::Little))
        .map_err(|source| Error::answer(call, source))?;
    match response.status() {
        ResolverStatus::OK => Ok(response),
        ResolverStatus(error) => Err(Error::Method { call, code: Hresult::from_win32(error) }),
    }
}

/// RemQueryInterface for the older interface of an object (wire.md 4.15); the references it was activated with go back.
fn query_older(
    connection: &mut Connection,
    object: &StdObjRef,
    exporter: &Exporter,
) -> Result<StdObjRef, Error> {
    const CALL: &str = "RemQueryInterface";
    let unknown = (exporter.rem_unknown, exporter.version.common());
    let interfaces = vec![Iid::CERT_ADMIN];
    let request =
        RemUnknownRequest::QueryInterface { ipid: object.ipid, references: object.references, interfaces };
    let stub = remote_unknown(connection, unknown, &request, CALL)?;
    let mut reader = Reader::new(&stub, ByteOrder::Little);
    let response = OrpcThat::read(&mut reader)
        .map_err(Into::into)
        .and_then(|_| RemUnknownResponse::read(&request, &mut reader))
        .map_err(|source| Error::answer(CALL, source))?;
    let code = response.code();
    let RemUnknownResponse::Interfaces { results, .. } = response else {
        return Err(Error::BadAnswer { call: CALL, detail: "it is the answer to another call".to_owned() });
    };
    let older = match results.as_slice() {
        [found] if found.code == Hresult::S_OK => found.reference,
        [found] => return Err(Error::Method { call: CALL, code: found.code }),
        _ => return Err(Error::Method { call: CALL, code }),
    };
    release(connection, unknown, object)?;
    Ok(older)
}

/// The port of the binding that names the host as it was named here, else of the first one with a port. An exporter
/// names all its addresses, and their order says nothing (wire.md 4.4).
fn exporter_port(bindings: &DualStringArray, host: &str, address: IpAddr) -> Option<u16> {
    let label = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_ours = |named: &str| match named.parse::<IpAddr>() {
        Ok(named) => named == address,
        Err(_) => named.eq_ignore_ascii_case(host),
    };
    // A name's first label, where no name is the same as a whole: `ca1` for `ca1.corp.example`.
    let is_alike = |named: &str| {
        named.parse::<IpAddr>().is_err() && host.parse::<IpAddr>().is_err() && label(named) == label(host)
    };
    let with_ports: Vec<(&str, u16)> = bindings
        .tcp()
        .filter_map(|binding| match binding.host_and_port() {
            (named, Some(port)) if port != 0 => Some((named, port)),
            _ => None,
        })
        .collect();
    let first = |fits: &dyn Fn(&str) -> bool| with_ports.iter().find(|(named, _)| fits(named));
    first(&is_ours).or_else(|| first(&is_alike)).or_else(|| with_ports.first()).map(|&(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use certadm_wire::dcom::StringBinding;

    #[test]
    fn the_port_is_that_of_the_host_that_was_named() {
        let bindings = |list: &[(&str, u16)]| {
            let strings = list.iter().map(|&(host, port)| StringBinding::exporter(host, port)).collect();
            DualStringArray::new(strings, Vec::new()).unwrap()
        };
        let address: IpAddr = "10.0.0.5".parse().unwrap();
        let port = |list: &[(&str, u16)], host: &str| exporter_port(&bindings(list), host, address);
        let all = [("CA01", 1), ("ca01.corp.example", 2), ("10.0.0.5", 3), ("10.0.0.6", 4)];
        assert_eq!(port(&all, "ca01"), Some(1));
        assert_eq!(port(&all, "CA01.corp.example"), Some(2));
        assert_eq!(port(&all[2..], "ca01.corp.example"), Some(3));
        assert_eq!(port(&all[..1], "ca01.corp.example"), Some(1));
        assert_eq!(port(&[("elsewhere", 9)], "ca01"), Some(9));
        assert_eq!(port(&[("ca01", 0)], "ca01"), None);
        assert_eq!(exporter_port(&DualStringArray::default(), "ca01", address), None);
        let other_tower = StringBinding { tower: 8, address: "ca01[5]".to_owned() };
        let array = DualStringArray::new(vec![other_tower], Vec::new()).unwrap();
        assert_eq!(exporter_port(&array, "ca01", address), None);
    }
}
