//! `IRemoteSCMActivator`: making the administration object (wire.md 4.6).

use std::time::Instant;

use certadm_proto::csra::Hresult;
use certadm_proto::dcom::activation::{
    ActivationProperties, ActivationReply, ActivatorRequest, ActivatorResponse, Exporter, InterfaceResult,
};
use certadm_proto::dcom::{Clsid, ComVersion, DcomError, Iid, ObjRef, StdObjRef};
use certadm_proto::rpc::{AuthLevel, Call};

use crate::access::Caller;
use crate::dispatch::{Answer, Circumstances, check_trailer, enter, reader};
use crate::object::AdminObject;
use crate::objects::{Handed, Objects};
use crate::resolver::{exporter_bindings, resolver_bindings};

/// The most interfaces of one activation; the object has three.
const MOST_INTERFACES: usize = 64;

pub(crate) fn answer(circumstances: &Circumstances<'_>, call: &Call<'_>) -> Result<Answer, Answer> {
    let mut reader = reader(call);
    let caller = enter(circumstances, Iid::REMOTE_SCM_ACTIVATOR, &mut reader)?;
    let response = match ActivatorRequest::read(call.opnum, &mut reader) {
        Ok(request) => {
            check_trailer(circumstances, call, &reader)?;
            respond(circumstances, caller, &request)
        }
        Err(DcomError::ObjRef(error)) => ActivatorResponse::failure(error.hresult()),
        Err(error) => return Err(error.into()),
    };
    Ok(Answer::orpc(|writer| response.write(writer)))
}

fn respond(
    circumstances: &Circumstances<'_>,
    caller: &Caller,
    request: &ActivatorRequest,
) -> ActivatorResponse {
    let created = match request {
        ActivatorRequest::CreateInstance(properties) => create(circumstances, caller, properties),
        // Nobody asks for the factory (wire.md 4.6).
        _ => Err(Hresult::E_NOTIMPL),
    };
    match created {
        Ok(reply) => ActivatorResponse { reply: Some(reply), code: Hresult::S_OK },
        Err(code) => ActivatorResponse::failure(code),
    }
}

fn create(
    circumstances: &Circumstances<'_>,
    caller: &Caller,
    properties: &ActivationProperties,
) -> Result<ActivationReply, Hresult> {
    let shared = circumstances.shared;
    // A service that stops has withdrawn its class (wire.md 5.7, ServerControl).
    if properties.class != Clsid::CERT_ADMIN || shared.is_stopping() {
        return Err(Hresult::REGDB_E_CLASSNOTREG);
    }
    if MOST_INTERFACES < properties.interfaces.len() {
        return Err(Hresult::E_INVALIDARG);
    }
    if !properties.interfaces.iter().any(|iid| Objects::has_interface(*iid)) {
        return Err(Hresult::E_NOINTERFACE);
    }
    let object = AdminObject::new(shared.source());
    let handed = shared
        .objects
        .enter(object, caller.identity.clone(), &properties.interfaces, Instant::now())
        .map_err(|error| {
            tracing::warn!(caller = %caller.identity, %error, "activation refused");
            Hresult::E_OUTOFMEMORY
        })?;
    let interfaces =
        properties.interfaces.iter().zip(handed).map(|(&iid, handed)| result(circumstances, iid, handed));
    Ok(ActivationReply {
        interfaces: interfaces.collect(),
        exporter: Exporter {
            oxid: shared.objects.oxid(),
            bindings: exporter_bindings(circumstances),
            rem_unknown: shared.objects.remote_unknown(),
            authentication_hint: AuthLevel::Privacy.to_wire().into(),
            version: ComVersion::OURS,
        },
    })
}

fn result(circumstances: &Circumstances<'_>, iid: Iid, handed: Option<Handed>) -> InterfaceResult {
    let reference = handed.map(|handed| ObjRef {
        iid,
        reference: standard(circumstances, &handed),
        resolver: resolver_bindings(circumstances),
    });
    let code = if reference.is_some() { Hresult::S_OK } else { Hresult::E_NOINTERFACE };
    InterfaceResult { iid, code, reference }
}

/// The reference to an interface that was handed out: to be pinged.
pub(crate) fn standard(circumstances: &Circumstances<'_>, handed: &Handed) -> StdObjRef {
    let oxid = circumstances.shared.objects.oxid();
    StdObjRef { flags: 0, references: handed.references, oxid, oid: handed.oid, ipid: handed.ipid }
}
