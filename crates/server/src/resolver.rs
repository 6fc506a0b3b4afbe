//! `IObjectExporter`: whether we are alive, where the exporter is, pings (wire.md 4.5, 4.16).

use certadm_wire::dcom::{
    ComVersion, DualStringArray, Resolution, ResolverRequest, ResolverResponse, ResolverStatus,
};
use certadm_wire::ndr::Writer;
use certadm_wire::rpc::{AuthLevel, Call, FaultStatus};
use std::time::Instant;

use crate::call::{Answer, Circumstances, check_trailer, proven, reader};
use crate::objects::Ping;

pub(crate) fn answer(circumstances: &Circumstances<'_>, call: &Call<'_>) -> Result<Answer, Answer> {
    let mut reader = reader(call);
    if !ResolverRequest::is_open_to_all(call.opnum) && proven(circumstances).is_none() && call.opnum < 6 {
        return Err(FaultStatus::ACCESS_DENIED.into());
    }
    let request = ResolverRequest::read(call.opnum, &mut reader)?;
    check_trailer(circumstances, call, &reader)?;
    let response = respond(circumstances, &request);
    let mut writer = Writer::new();
    response.write(&mut writer);
    Ok(Answer::Stub(writer.into_bytes()))
}

fn respond(circumstances: &Circumstances<'_>, request: &ResolverRequest) -> ResolverResponse {
    let failure = |status| ResolverResponse::failure(request, status);
    match request {
        ResolverRequest::ServerAlive => ResolverResponse::Status(ResolverStatus::OK),
        ResolverRequest::ServerAlive2 => ResolverResponse::Alive {
            version: ComVersion::OURS,
            bindings: Some(resolver_bindings(circumstances)),
            status: ResolverStatus::OK,
        },
        ResolverRequest::ResolveOxid { oxid, .. } | ResolverRequest::ResolveOxid2 { oxid, .. } => {
            if *oxid != circumstances.shared.objects.oxid() {
                return failure(ResolverStatus::INVALID_OXID);
            }
            let version = matches!(request, ResolverRequest::ResolveOxid2 { .. }).then_some(ComVersion::OURS);
            let resolution = Resolution {
                bindings: exporter_bindings(circumstances),
                rem_unknown: circumstances.shared.objects.remote_unknown(),
                authentication_hint: AuthLevel::Privacy.to_wire().into(),
            };
            ResolverResponse::Resolved { resolution: Some(resolution), version, status: ResolverStatus::OK }
        }
        ResolverRequest::SimplePing { set } => {
            let ping = Ping { set: *set, sequence: None, add: &[], remove: &[] };
            match pinged(circumstances, &ping) {
                Some(_) => ResolverResponse::Status(ResolverStatus::OK),
                None => failure(ResolverStatus::INVALID_SET),
            }
        }
        ResolverRequest::ComplexPing { set, sequence, add, delete } => {
            let ping = Ping { set: *set, sequence: Some(*sequence), add, remove: delete };
            match pinged(circumstances, &ping) {
                Some(set) => ResolverResponse::Pinged { set, backoff: 0, status: ResolverStatus::OK },
                None => failure(ResolverStatus::INVALID_SET),
            }
        }
        _ => failure(ResolverStatus::ACCESS_DENIED),
    }
}

/// A set of 0 in a simple ping asks for nothing that exists.
fn pinged(circumstances: &Circumstances<'_>, ping: &Ping<'_>) -> Option<certadm_wire::dcom::SetId> {
    let caller = proven(circumstances)?;
    if ping.sequence.is_none() && ping.set == certadm_wire::dcom::SetId(0) {
        return None;
    }
    circumstances.shared.objects.ping(ping, &caller.identity, Instant::now())
}

/// How the resolver is named (wire.md 4.4): addresses without ports.
pub(crate) fn resolver_bindings(circumstances: &Circumstances<'_>) -> DualStringArray {
    circumstances.shared.bindings(circumstances.local_address, None)
}

/// How the exporter is named: addresses with its port.
pub(crate) fn exporter_bindings(circumstances: &Circumstances<'_>) -> DualStringArray {
    let port = circumstances.shared.addresses.exporter.port();
    circumstances.shared.bindings(circumstances.local_address, Some(port))
}
