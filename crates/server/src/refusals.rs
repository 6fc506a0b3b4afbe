//! What the log is told of callers who are known and yet not served.

use std::net::IpAddr;
use std::time::Instant;

use certadm_auth::PeerIdentity;

use crate::identity::Identity;
use crate::shared::Shared;

pub(crate) fn too_many(shared: &Shared, address: Option<IpAddr>, caller: &Identity) {
    if let Some(left_out) = shared.lines.about_caller(caller, Instant::now()) {
        tracing::warn!(?address, %caller, left_out, "a connection was closed; the caller has too many");
    }
}

pub(crate) fn unsigned(shared: &Shared, address: Option<IpAddr>, caller: &PeerIdentity) {
    if let Some(left_out) = shared.lines.about_peer(address, Instant::now()) {
        tracing::warn!(
            ?address,
            %caller,
            left_out,
            "logon refused: the client does not sign headers; `danger_unsigned_headers` in [kerberos] lets it in"
        );
    }
}

/// No setting lets such a client in: it has to ask for packet privacy.
pub(crate) fn below_integrity(shared: &Shared, address: Option<IpAddr>, caller: &PeerIdentity) {
    if let Some(left_out) = shared.lines.about_peer(address, Instant::now()) {
        tracing::warn!(
            ?address,
            %caller,
            left_out,
            "the client logs on below packet integrity (KB5004442); its calls are refused with fault 5"
        );
    }
}
