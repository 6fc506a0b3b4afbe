//! `IClassFactory`: making the administration object the way .NET and PowerShell do it (wire.md 4.6).

use std::time::Instant;

use certadm_rules::Hresult;
use certadm_wire::dcom::activation::{FactoryRequest, FactoryResponse};
use certadm_wire::dcom::{Iid, Ipid};
use certadm_wire::rpc::{Call, FaultStatus};

use crate::access::Caller;
use crate::activator::{hand_out, new_object};
use crate::call::{Answer, Circumstances, check_trailer, enter, reader};
use crate::objects::Thing;

pub(crate) fn answer(circumstances: &Circumstances<'_>, call: &Call<'_>) -> Result<Answer, Answer> {
    let mut reader = reader(call);
    let caller = enter(circumstances, Iid::CLASS_FACTORY, &mut reader)?;
    let objects = &circumstances.shared.objects;
    match call.object.and_then(|ipid| objects.find(Ipid(ipid), Instant::now())) {
        Some((Thing::Factory, Iid::CLASS_FACTORY)) => {}
        _ => return Err(FaultStatus::DISCONNECTED.into()),
    }
    let request = FactoryRequest::read(call.opnum, &mut reader)?;
    check_trailer(circumstances, call, &reader)?;
    let response = respond(circumstances, caller, &request);
    Ok(Answer::orpc(|writer| response.write(writer)))
}

fn respond(circumstances: &Circumstances<'_>, caller: &Caller, request: &FactoryRequest) -> FactoryResponse {
    let iid = match request {
        FactoryRequest::CreateInstance { iid } => *iid,
        // The service runs on without objects.
        _ => return FactoryResponse::failure(request, Hresult::S_OK),
    };
    if circumstances.shared.is_stopping() {
        return FactoryResponse::failure(request, Hresult::REGDB_E_CLASSNOTREG);
    }
    match hand_out(circumstances, caller, new_object(circumstances), &[iid]) {
        Ok(mut results) => {
            let reference = results.pop().and_then(|result| result.reference);
            FactoryResponse::Created { reference, code: Hresult::S_OK }
        }
        Err(code) => FactoryResponse::failure(request, code),
    }
}
