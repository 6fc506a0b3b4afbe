//! What the service itself tells the log: refusals, its control, its start and its end (certbcli.md 15; wire.md 5.9; wire.md
//! 7, item 10). What becomes of a backup is told by [`certadm_session::LocalSource`].

use std::net::IpAddr;
use std::time::Instant;

use certadm_auth::TicketHolder;
use certadm_ca::{Reason, Serial};
use certadm_rules::flags::{AUDIT_REVOKE, AUDIT_SERVICE, Control};
use certadm_wire::csra::Method;

use crate::access::{Caller, Refusal};
use crate::identity::Identity;
use crate::shared::Shared;

/// Where a caller is, for the log.
fn place(caller: &Caller) -> String {
    caller.address.map_or_else(|| "local".to_owned(), |address| address.to_string())
}

/// A call that was refused, and why. A caller who is refused again and again is told of now and then.
pub(crate) fn refused(shared: &Shared, caller: &Caller, method: Method, refusal: Refusal) {
    let (identity, address) = (&caller.identity, place(caller));
    if let Some(left_out) = shared.lines.about_caller(identity, Instant::now()) {
        let opnum = method.opnum();
        tracing::warn!(caller = %identity, %address, opnum, %refusal, left_out, "access denied");
    }
}

/// Somebody with a good ticket has no role. His SIDs are told, so that they can be copied into `[roles]` of ca.toml.
pub(crate) fn without_role(
    shared: &Shared,
    caller: &Identity,
    holder: &TicketHolder,
    address: Option<IpAddr>,
) {
    if let Some(left_out) = shared.lines.about_caller(caller, Instant::now()) {
        let groups: Vec<String> = holder.groups.iter().map(ToString::to_string).collect();
        let groups = groups.join(" ");
        let message = if holder.has_pac {
            "a caller with a ticket has no role in ca.toml"
        } else {
            "a caller has no role in ca.toml: his ticket has no PAC, so that no krb: entry holds for it unless \
             `danger_names_without_pac` in [kerberos] allows it"
        };
        tracing::info!(%caller, ?address, groups, left_out, "{message}");
    }
}

/// ServerControl.
pub(crate) fn control(shared: &Shared, caller: &Caller, control: Control) {
    if shared.settings.audit_filter & AUDIT_SERVICE != 0 {
        let (identity, address) = (&caller.identity, place(caller));
        tracing::info!(caller = %identity, %address, ?control, "service control");
    }
}

/// Event 4870: a certificate was revoked, or its hold ended.
pub(crate) fn revoked(shared: &Shared, caller: &Caller, serial: &Serial, reason: Reason) {
    if shared.settings.audit_filter & AUDIT_REVOKE != 0 {
        let (identity, address) = (&caller.identity, place(caller));
        let serial = serial.as_str();
        tracing::info!(audit = 4870, caller = %identity, %address, serial, %reason, "certificate revoked");
    }
}

/// Service event 26.
pub(crate) fn started(name: &str) {
    tracing::info!(event = 26, ca = name, "certificate service started");
}

/// Service event 38.
pub(crate) fn stopped(name: &str) {
    tracing::info!(event = 38, ca = name, "certificate service stopped");
}
