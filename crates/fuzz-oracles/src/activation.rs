//! Activations, asked and answered, new and old (wire.md 4.6 to 4.13).

use certadm_wire::dcom::activation::{
    ActivatorRequest, ActivatorResponse, RemoteActivation, RemoteActivationReply,
};

use crate::stub::{read, written};

/// The input is a stub without ORPCTHIS or ORPCTHAT.
pub(crate) fn run(data: &[u8]) {
    for opnum in [3, 4] {
        if let Ok(request) = ActivatorRequest::read(opnum, &mut read(data)) {
            let stub = written(|writer| request.write(writer));
            assert_eq!(ActivatorRequest::read(opnum, &mut read(&stub)), Ok(request));
        }
    }
    if let Ok(response) = ActivatorResponse::read(&mut read(data)) {
        let stub = written(|writer| response.write(writer));
        assert_eq!(ActivatorResponse::read(&mut read(&stub)), Ok(response));
    }
    let mut rest = read(data);
    if let Ok(request) = RemoteActivation::read(&mut rest) {
        let stub = written(|writer| request.write(writer));
        assert_eq!(RemoteActivation::read(&mut read(&stub)).as_ref(), Ok(&request));
        if let Ok(reply) = RemoteActivationReply::read(&request, &mut read(rest.remaining())) {
            let stub = written(|writer| reply.write(writer));
            assert_eq!(RemoteActivationReply::read(&request, &mut read(&stub)), Ok(reply));
        }
    }
}
