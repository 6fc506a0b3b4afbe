//! The Remote Unknown's calls and answers (wire.md 4.15).

use certadm_wire::dcom::{
    Iid, InterfaceReferences, Ipid, RemUnknownInterface, RemUnknownRequest, RemUnknownResponse,
};

use crate::stub::{read, written};

/// The input is a stub of whichever method, without ORPCTHIS or ORPCTHAT.
pub(crate) fn run(data: &[u8]) {
    for opnum in 3..8 {
        let interface = RemUnknownInterface::RemUnknown2;
        if let Ok(request) = RemUnknownRequest::read(interface, opnum, &mut read(data)) {
            let stub = written(|writer| request.write(writer));
            assert_eq!(RemUnknownRequest::read(interface, opnum, &mut read(&stub)), Ok(request));
        }
    }
    let ipid = Ipid::default();
    for count in 0..3 {
        let interfaces = vec![Iid::UNKNOWN; count];
        let references = vec![InterfaceReferences { ipid, public: 1, private: 0 }; count];
        for request in [
            RemUnknownRequest::QueryInterface { ipid, references: 1, interfaces: interfaces.clone() },
            RemUnknownRequest::AddRef(references.clone()),
            RemUnknownRequest::Release(references),
            RemUnknownRequest::QueryInterface2 { ipid, interfaces },
        ] {
            if let Ok(response) = RemUnknownResponse::read(&request, &mut read(data)) {
                let stub = written(|writer| response.write(writer));
                assert_eq!(RemUnknownResponse::read(&request, &mut read(&stub)), Ok(response));
            }
        }
    }
}
