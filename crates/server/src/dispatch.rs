//! Which interface a call is for.

use certadm_wire::dcom::{Iid, RemUnknownInterface};
use certadm_wire::rpc::{Call, FaultStatus, SyntaxId};

use crate::call::{Answer, Circumstances};
use crate::{activator, admin, factory, resolver, unknown};

/// The interfaces of the resolver's port.
pub(crate) fn resolver_serves(syntax: &SyntaxId) -> bool {
    let served = [Iid::OBJECT_EXPORTER, Iid::REMOTE_SCM_ACTIVATOR, Iid::ACTIVATION];
    served.iter().any(|iid| iid.syntax() == *syntax)
}

/// The interfaces of the exporter's port.
pub(crate) fn exporter_serves(syntax: &SyntaxId) -> bool {
    let served =
        [Iid::REM_UNKNOWN, Iid::REM_UNKNOWN_2, Iid::CLASS_FACTORY, Iid::CERT_ADMIN, Iid::CERT_ADMIN_2];
    served.iter().any(|iid| iid.syntax() == *syntax)
}

/// The interfaces of the Unix socket: all of them (wire.md 5.11).
pub(crate) fn socket_serves(syntax: &SyntaxId) -> bool {
    resolver_serves(syntax) || exporter_serves(syntax)
}

/// Answers a call.
pub(crate) fn answer(circumstances: &Circumstances<'_>, call: &Call<'_>) -> Answer {
    #[cfg(feature = "fuzzing")]
    crate::reached::looked_at(circumstances, call);
    let interface = Iid(call.interface.uuid);
    let answered = match interface {
        Iid::OBJECT_EXPORTER => resolver::answer(circumstances, call),
        Iid::REMOTE_SCM_ACTIVATOR => activator::answer(circumstances, call),
        Iid::ACTIVATION => activator::answer_older(circumstances, call),
        Iid::REM_UNKNOWN => unknown::answer(circumstances, call, RemUnknownInterface::RemUnknown),
        Iid::REM_UNKNOWN_2 => unknown::answer(circumstances, call, RemUnknownInterface::RemUnknown2),
        Iid::CLASS_FACTORY => factory::answer(circumstances, call),
        Iid::CERT_ADMIN | Iid::CERT_ADMIN_2 => admin::answer(circumstances, call, interface),
        _ => Err(FaultStatus::UNKNOWN_INTERFACE.into()),
    };
    answered.unwrap_or_else(|refused| refused)
}
