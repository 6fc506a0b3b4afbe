//! The resolver's calls and answers (wire.md 4.5).

use certadm_wire::dcom::{ResolverRequest, ResolverResponse};

use crate::stub::{read, written};

/// The input is a stub of whichever method.
pub(crate) fn run(data: &[u8]) {
    for opnum in 0..7 {
        if let Ok(request) = ResolverRequest::read(opnum, &mut read(data)) {
            let stub = written(|writer| request.write(writer));
            assert_eq!(ResolverRequest::read(opnum, &mut read(&stub)), Ok(request));
        }
        if let Ok(response) = ResolverResponse::read(opnum, &mut read(data)) {
            let stub = written(|writer| response.write(writer));
            assert_eq!(ResolverResponse::read(opnum, &mut read(&stub)), Ok(response));
        }
    }
}
