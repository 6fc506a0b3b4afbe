//! The gates between here and a backup, and how one of them was found.

use std::fmt;

use certadm_rules::diagnosis::Class;
use certadm_rules::finding::{Finding, Kind};

/// A gate that a backup has to pass, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gate {
    /// The name stands for an address, or a socket.
    Name,
    /// The resolver's port can be reached, or the socket be opened.
    Port,
    /// What listens there is an object resolver.
    Resolver,
    /// A KDC of the account's realm is found. The gates of Kerberos are passed where it may be used.
    Kdc,
    /// The KDC's clock is that of this machine.
    Clock,
    /// The KDC logs the account on.
    Ticket,
    /// The KDC gives tickets for the server.
    ServiceTickets,
    /// The account and its password are taken.
    Authentication,
    /// The CA's administration object can be activated.
    Activation,
    /// The object's own port can be reached, and the object takes the account too.
    Exporter,
    /// Calls are signed and encrypted.
    Privacy,
    /// The CA serves requests, and the account may read it.
    State,
    /// The account has the CA's operator role.
    Role,
    /// The CA's interface flags let callers from here take backups.
    InterfaceFlags,
    /// A backup can begin; and whether a full one is on record.
    LastFull,
    /// The keytab of a service of this machine can be used. Only the service's own doctor comes here.
    Keytab,
    /// A ticket for that service is accepted by its keys.
    Acceptance,
}

impl Gate {
    /// Those between a service's keytab and its clients, in order.
    pub const OWN: [Self; 6] =
        [Self::Keytab, Self::Kdc, Self::Clock, Self::Ticket, Self::ServiceTickets, Self::Acceptance];

    /// All of those between here and a backup, in order.
    pub const ALL: [Self; 15] = [
        Self::Name,
        Self::Port,
        Self::Resolver,
        Self::Kdc,
        Self::Clock,
        Self::Ticket,
        Self::ServiceTickets,
        Self::Authentication,
        Self::Activation,
        Self::Exporter,
        Self::Privacy,
        Self::State,
        Self::Role,
        Self::InterfaceFlags,
        Self::LastFull,
    ];

    /// Its name in JSON.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Port => "port",
            Self::Resolver => "resolver",
            Self::Kdc => "kdc",
            Self::Clock => "clock",
            Self::Ticket => "ticket",
            Self::ServiceTickets => "service_tickets",
            Self::Authentication => "authentication",
            Self::Activation => "activation",
            Self::Exporter => "exporter",
            Self::Privacy => "privacy",
            Self::State => "state",
            Self::Role => "role",
            Self::InterfaceFlags => "interface_flags",
            Self::LastFull => "last_full",
            Self::Keytab => "keytab",
            Self::Acceptance => "acceptance",
        }
    }

    /// The kind of what is found at it.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Name => Kind::GateName,
            Self::Port => Kind::GatePort,
            Self::Resolver => Kind::GateResolver,
            Self::Kdc => Kind::GateKdc,
            Self::Clock => Kind::GateClock,
            Self::Ticket => Kind::GateTicket,
            Self::ServiceTickets => Kind::GateServiceTickets,
            Self::Authentication => Kind::GateAuthentication,
            Self::Activation => Kind::GateActivation,
            Self::Exporter => Kind::GateExporter,
            Self::Privacy => Kind::GatePrivacy,
            Self::State => Kind::GateState,
            Self::Role => Kind::GateRole,
            Self::InterfaceFlags => Kind::GateInterfaceFlags,
            Self::LastFull => Kind::GateLastFull,
            Self::Keytab => Kind::GateKeytab,
            Self::Acceptance => Kind::GateAcceptance,
        }
    }
}

/// How a gate was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It lets a backup through.
    Open,
    /// It does not.
    Shut,
    /// The CA does not say; that alone stops nothing.
    Unknown,
    /// It was not tried: one before it is shut, or it does not exist on this way.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Shut => "shut",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        })
    }
}

/// One gate, and what was found at it.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Which gate.
    pub gate: Gate,
    /// How it was found.
    pub verdict: Verdict,
    /// What was seen: an error at a gate that is shut, a note at any other. An open gate has a code and a remedy too
    /// where something is left to do.
    pub finding: Finding,
    /// Whose fault it is that the gate is shut; of any other gate what the finding's code says.
    pub class: Class,
}

impl Visit {
    /// A gate, and what was found at it, whose code says whose fault it is.
    pub(crate) fn new(gate: Gate, verdict: Verdict, finding: Finding) -> Self {
        let class = finding.code.class();
        Self { gate, verdict, finding, class }
    }
}
