//! The methods beside backup that a client asks before it, and "not implemented" for all others (wire.md 5.2).

use certadm_proto::csra::Hresult;
use certadm_proto::csra::methods::Method;
use certadm_proto::ndr::Reader;
use certadm_proto::rpc::Call;

use crate::access::Caller;
use crate::dispatch::{Answer, Circumstances};

pub(crate) fn answer(
    _circumstances: &Circumstances<'_>,
    _caller: &Caller,
    _call: &Call<'_>,
    method: Method,
    _reader: &mut Reader<'_>,
) -> Result<Answer, Answer> {
    Ok(failure(method, Hresult::E_NOTIMPL))
}

/// The complete answer to `method` that says nothing but `code`.
pub(crate) fn failure(method: Method, code: Hresult) -> Answer {
    let answer = Answer::orpc(|writer| method.write_not_implemented(writer));
    match answer {
        Answer::Stub(mut stub) => {
            let end = stub.len().saturating_sub(4);
            stub.truncate(end); // the code E_NOTIMPL
            stub.extend_from_slice(&code.to_bits().to_le_bytes());
            Answer::Stub(stub)
        }
        other => other,
    }
}
