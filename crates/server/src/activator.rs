//! `IRemoteSCMActivator` and the older `IActivation`: making the administration object (wire.md 4.6, 4.13).

use std::sync::Arc;
use std::time::Instant;

use certadm_rules::Hresult;
use certadm_rules::flags::Roles;
use certadm_wire::dcom::activation::{
    ActivationReply, ActivatorRequest, ActivatorResponse, Exporter, InterfaceResult, RemoteActivation,
    RemoteActivationReply,
};
use certadm_wire::dcom::{Clsid, ComVersion, DcomError, Iid, ObjRef, OrpcThat, StdObjRef};
use certadm_wire::rpc::{AuthLevel, Call, FaultStatus};

use crate::access::Caller;
use crate::call::{Answer, Circumstances, check_trailer, enter, reader};
use crate::object::AdminObject;
use crate::objects::{Handed, Thing};
use crate::resolver::{exporter_bindings, resolver_bindings};

/// The most interfaces of one activation or query; the object has three.
pub(crate) const MOST_INTERFACES: usize = 64;

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
    Ok(Answer::after(OrpcThat::ACTIVATION, |writer| response.write(writer)))
}

/// RemoteActivation, the only method of `IActivation` (wire.md 4.13).
pub(crate) fn answer_older(circumstances: &Circumstances<'_>, call: &Call<'_>) -> Result<Answer, Answer> {
    let mut reader = reader(call);
    let caller = enter(circumstances, Iid::ACTIVATION, &mut reader)?;
    if call.opnum != RemoteActivation::OPNUM {
        return Err(FaultStatus::OPNUM_OUT_OF_RANGE.into());
    }
    let request = RemoteActivation::read(&mut reader)?;
    check_trailer(circumstances, call, &reader)?;
    let is_factory = request.mode == RemoteActivation::CLASS_FACTORY;
    let wanted = Wanted { class: request.class, interfaces: &request.interfaces, is_factory };
    let reply = match create(circumstances, caller, &wanted) {
        Ok(ActivationReply { exporter, interfaces }) => {
            RemoteActivationReply { exporter: Some(exporter), interfaces, code: Hresult::S_OK, status: 0 }
        }
        Err(code) => RemoteActivationReply::failure(&request, code),
    };
    Ok(Answer::after(OrpcThat::ACTIVATION, |writer| reply.write(writer)))
}

/// What an activation asks for, whichever way.
struct Wanted<'a> {
    class: Clsid,
    interfaces: &'a [Iid],
    /// The factory of the class, and not an object.
    is_factory: bool,
}

fn respond(
    circumstances: &Circumstances<'_>,
    caller: &Caller,
    request: &ActivatorRequest,
) -> ActivatorResponse {
    let (properties, is_factory) = match request {
        ActivatorRequest::CreateInstance(properties) => (properties, false),
        ActivatorRequest::GetClassObject(properties) => (properties, true),
        _ => return ActivatorResponse::failure(Hresult::E_NOTIMPL),
    };
    let wanted = Wanted { class: properties.class, interfaces: &properties.interfaces, is_factory };
    match create(circumstances, caller, &wanted) {
        Ok(reply) => ActivatorResponse { reply: Some(reply), code: Hresult::S_OK },
        Err(code) => ActivatorResponse::failure(code),
    }
}

fn create(
    circumstances: &Circumstances<'_>,
    caller: &Caller,
    wanted: &Wanted<'_>,
) -> Result<ActivationReply, Hresult> {
    let shared = circumstances.shared;
    // A service that stops has withdrawn its class (wire.md 5.7, ServerControl).
    if wanted.class != Clsid::CERT_ADMIN || shared.is_stopping() {
        return Err(Hresult::REGDB_E_CLASSNOTREG);
    }
    if MOST_INTERFACES < wanted.interfaces.len() {
        return Err(Hresult::E_INVALIDARG);
    }
    let thing = if wanted.is_factory { Thing::Factory } else { new_object(circumstances) };
    Ok(ActivationReply {
        interfaces: hand_out(circumstances, caller, thing, wanted.interfaces)?,
        exporter: Exporter {
            oxid: shared.objects.oxid(),
            bindings: exporter_bindings(circumstances),
            rem_unknown: shared.objects.remote_unknown(),
            authentication_hint: AuthLevel::Privacy.to_wire().into(),
            version: ComVersion::OURS,
        },
    })
}

/// A new administration object.
pub(crate) fn new_object(circumstances: &Circumstances<'_>) -> Thing {
    Thing::Object(Arc::new(AdminObject::new(circumstances.shared.source())))
}

/// Enters something and hands out references to those of `interfaces` that it has.
///
/// # Errors
/// `E_NOINTERFACE` when it has none of them; `E_OUTOFMEMORY` when there is no room.
pub(crate) fn hand_out(
    circumstances: &Circumstances<'_>,
    caller: &Caller,
    thing: Thing,
    interfaces: &[Iid],
) -> Result<Vec<InterfaceResult>, Hresult> {
    if !interfaces.iter().any(|iid| thing.has_interface(*iid)) {
        return Err(Hresult::E_NOINTERFACE);
    }
    let objects = &circumstances.shared.objects;
    let (owner, has_role) = (caller.identity.clone(), caller.roles != Roles::NONE);
    let entered = objects.enter(thing, owner, has_role, interfaces, Instant::now());
    let handed = entered.map_err(|error| {
        tracing::warn!(caller = %caller.identity, %error, "activation refused");
        Hresult::E_OUTOFMEMORY
    })?;
    Ok(interfaces.iter().zip(handed).map(|(&iid, handed)| result(circumstances, iid, handed)).collect())
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
