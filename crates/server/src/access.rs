//! Who may call what: the rules of wire.md 5.1, 5.3 and 5.4 for one call on the CA's object.

use std::net::IpAddr;

use certadm_ca::{ServiceConfig, Shutdown};
use certadm_rules::Hresult;
use certadm_rules::flags::{InterfaceFlags, Origin, Roles};
use certadm_wire::csra::Method;
use certadm_wire::rpc::AuthLevel;

use crate::identity::Identity;

/// The circumstances of one call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who calls.
    pub identity: Identity,
    /// Over which way.
    pub origin: Origin,
    /// The level of the security context; packet privacy over the Unix socket, where there is none (wire.md 5.11).
    pub level: AuthLevel,
    /// The roles at this moment, with those they imply.
    pub roles: Roles,
    /// From where, for the log.
    pub address: Option<IpAddr>,
}

/// What a method needs (wire.md 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Nothing but an identity.
    Nothing,
    /// One of these roles.
    AnyOf(Roles),
    /// All of these roles.
    AllOf(Roles, Roles),
}

/// What `method` needs (wire.md 5.3). Methods that the table leaves out need the administrator.
#[must_use]
pub const fn right_of(method: Method) -> Right {
    const OFFICER: Right = Right::AnyOf(Roles::OFFICER);
    const ADMINISTRATOR: Right = Right::AnyOf(Roles::ADMINISTRATOR);
    match method.opnum() {
        19 => Right::Nothing,
        20..=27 | 29 | 30 => Right::AnyOf(Roles::OPERATOR),
        17 => Right::AnyOf(Roles::ADMINISTRATOR.union(Roles::OPERATOR)),
        7 | 9 | 11..=16 | 32 | 34..=36 | 40 | 42 | 44 | 47 => {
            Right::AnyOf(Roles::ADMINISTRATOR.union(Roles::OFFICER).union(Roles::READ))
        }
        3..=6 | 10 | 28 | 39 | 46 => OFFICER,
        41 => Right::AnyOf(Roles::ADMINISTRATOR.union(Roles::AUDITOR)),
        48 => Right::AllOf(Roles::ADMINISTRATOR, Roles::OFFICER),
        _ => ADMINISTRATOR,
    }
}

/// Whether `method` is one of those that the backup flags gate (certbcli.md 12.2; wire.md 5.4).
#[must_use]
pub const fn is_backup(method: Method) -> bool {
    matches!(method.opnum(), 20..=27 | 29 | 30)
}

/// Why a call is refused; every one is `E_ACCESSDENIED` to the caller, and told apart in the service's own log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Below packet privacy.
    #[error("the call is not encrypted; the certificate interfaces need packet privacy")]
    Level,
    /// The interface flags refuse this kind of caller altogether.
    #[error(
        "InterfaceFlags refuse administration to this kind of caller; clear 0x10 (remote) or 0x20 (local) in ca.toml"
    )]
    Interface,
    /// The interface flags refuse backups to remote callers.
    #[error(
        "remote backup is switched off (InterfaceFlags bit 0x40); start with `certadm serve --allow-remote-backup` or \
         clear the bit in ca.toml. On a Windows CA: certutil -setreg CA\\InterfaceFlags -IF_NOREMOTEICERTADMINBACKUP, \
         then restart the service"
    )]
    RemoteBackup,
    /// The interface flags refuse backups to local callers.
    #[error("local backup is switched off; clear bit 0x80 of interface_flags in ca.toml")]
    LocalBackup,
    /// The caller lacks the role.
    #[error("the caller has no role that allows it; grant one with `certadm user` or in [roles] of ca.toml")]
    Role,
    /// The call is switched off for everybody, or for this kind of caller.
    #[error("the call is switched off for this caller; see [service] of ca.toml")]
    SwitchedOff,
    /// The backup belongs to another caller.
    #[error("the backup on this object belongs to another caller")]
    OtherCaller,
}

impl Refusal {
    /// What the caller is told: 0x80070005.
    pub const fn hresult(self) -> Hresult {
        Hresult::E_ACCESSDENIED
    }
}

/// What a service allows, whoever calls.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Who may use which interface (wire.md 5.4).
    pub flags: InterfaceFlags,
    /// Calls that cannot be taken back (wire.md 7, item 11).
    pub allowed: ServiceConfig,
}

/// Judges a call in the order of wire.md 5.1; the authority comes after it.
///
/// # Errors
/// [`Refusal`]; nothing of the call's arguments may be looked at before.
pub fn check(caller: &Caller, rules: Rules, method: Method) -> Result<(), Refusal> {
    let Rules { flags, allowed } = rules;
    if caller.level < AuthLevel::Privacy {
        return Err(Refusal::Level);
    }
    flags.check_admin(caller.origin).map_err(|_| Refusal::Interface)?;
    if is_backup(method) && flags.check_backup(caller.origin).is_err() {
        return Err(match caller.origin {
            Origin::Remote => Refusal::RemoteBackup,
            Origin::Local => Refusal::LocalBackup,
        });
    }
    let has_role = match right_of(method) {
        Right::Nothing => true,
        Right::AnyOf(roles) => caller.roles.has_any(roles),
        Right::AllOf(first, second) => caller.roles.has_any(first) && caller.roles.has_any(second),
    };
    match method.opnum() {
        _ if !has_role => Err(Refusal::Role),
        17 if !may_stop(allowed.shutdown, caller.origin) => Err(Refusal::SwitchedOff),
        27 if !allowed.truncation => Err(Refusal::SwitchedOff),
        _ => Ok(()),
    }
}

fn may_stop(allowed: Shutdown, origin: Origin) -> bool {
    match allowed {
        Shutdown::Nobody => false,
        Shutdown::Local => origin == Origin::Local,
        Shutdown::Everybody => true,
    }
}
