//! `IRemUnknown` and `IRemUnknown2`: further interfaces, references (wire.md 4.15).

use std::time::Instant;

use certadm_rules::Hresult;
use certadm_wire::dcom::{
    Iid, Ipid, ObjRef, QueryResult, RemUnknownInterface, RemUnknownRequest, RemUnknownResponse, StdObjRef,
    query_code,
};
use certadm_wire::rpc::{Call, FaultStatus};

use crate::access::Caller;
use crate::activator::{MOST_INTERFACES, standard};
use crate::call::{Answer, Circumstances, check_trailer, enter, reader};
use crate::objects::{ACTIVATION_REFERENCES, Handed};
use crate::resolver::resolver_bindings;

pub(crate) fn answer(
    circumstances: &Circumstances<'_>,
    call: &Call<'_>,
    interface: RemUnknownInterface,
) -> Result<Answer, Answer> {
    let mut reader = reader(call);
    let caller = enter(circumstances, Iid(call.interface.uuid), &mut reader)?;
    if call.object.map(Ipid) != Some(circumstances.shared.objects.remote_unknown()) {
        return Err(FaultStatus::DISCONNECTED.into());
    }
    let request = RemUnknownRequest::read(interface, call.opnum, &mut reader)?;
    check_trailer(circumstances, call, &reader)?;
    let response = respond(circumstances, caller, &request);
    Ok(Answer::orpc(|writer| response.write(writer)))
}

fn respond(
    circumstances: &Circumstances<'_>,
    caller: &Caller,
    request: &RemUnknownRequest,
) -> RemUnknownResponse {
    let objects = &circumstances.shared.objects;
    let query = |ipid, interfaces: &[Iid], references| {
        // Each is answered with bindings of a few hundred octets: 65,535 of them would be megabytes for a request of one.
        if MOST_INTERFACES < interfaces.len() {
            return Err(Hresult::E_INVALIDARG);
        }
        match objects.query(ipid, &caller.identity, interfaces, references, Instant::now()) {
            Ok(Some(handed)) => Ok(handed),
            Ok(None) => Err(Hresult::RPC_E_INVALID_OBJECT),
            Err(_) => Err(Hresult::E_OUTOFMEMORY),
        }
    };
    match request {
        RemUnknownRequest::QueryInterface { ipid, references, interfaces } => {
            match query(*ipid, interfaces, *references) {
                Ok(handed) => RemUnknownResponse::Interfaces {
                    code: code_of(&handed),
                    results: handed.into_iter().map(|handed| result(circumstances, handed)).collect(),
                },
                Err(code) => RemUnknownResponse::failure(request, code),
            }
        }
        RemUnknownRequest::QueryInterface2 { ipid, interfaces } => {
            match query(*ipid, interfaces, ACTIVATION_REFERENCES) {
                Ok(handed) => RemUnknownResponse::References {
                    code: code_of(&handed),
                    results: interfaces
                        .iter()
                        .zip(handed)
                        .map(|(&iid, handed)| reference(circumstances, iid, handed))
                        .collect(),
                },
                Err(code) => RemUnknownResponse::failure(request, code),
            }
        }
        RemUnknownRequest::AddRef(references) => {
            let results: Vec<Hresult> = references
                .iter()
                .map(|one| {
                    let count = one.public.saturating_add(one.private);
                    match objects.add_references(one.ipid, &caller.identity, count) {
                        true => Hresult::S_OK,
                        false => Hresult::CO_E_OBJNOTREG,
                    }
                })
                .collect();
            RemUnknownResponse::Added { results, code: Hresult::S_OK }
        }
        RemUnknownRequest::Release(references) => {
            for one in references {
                objects.release(one.ipid, &caller.identity, one.public.saturating_add(one.private));
            }
            RemUnknownResponse::Released(Hresult::S_OK)
        }
        _ => RemUnknownResponse::failure(request, Hresult::E_NOTIMPL),
    }
}

fn code_of(handed: &[Option<Handed>]) -> Hresult {
    query_code(handed.iter().flatten().count(), handed.len())
}

fn result(circumstances: &Circumstances<'_>, handed: Option<Handed>) -> QueryResult {
    match handed {
        Some(handed) => QueryResult { code: Hresult::S_OK, reference: standard(circumstances, &handed) },
        None => QueryResult { code: Hresult::E_NOINTERFACE, reference: StdObjRef::default() },
    }
}

fn reference(
    circumstances: &Circumstances<'_>,
    iid: Iid,
    handed: Option<Handed>,
) -> (Hresult, Option<ObjRef>) {
    match handed {
        Some(handed) => {
            let (reference, resolver) = (standard(circumstances, &handed), resolver_bindings(circumstances));
            (Hresult::S_OK, Some(ObjRef { iid, reference, resolver }))
        }
        None => (Hresult::E_NOINTERFACE, None),
    }
}
