//! The calls of `ICertAdminD2` (wire.md 5.2).

use certadm_wire::csra::{Interface, OtherCall, OtherRequest, Request, RequestError, Variant};

use crate::stub::{read, written};

/// The input is an opnum in one byte, then a stub without ORPCTHIS.
pub(crate) fn run(data: &[u8]) {
    let Some((&opnum, stub)) = data.split_first() else { return };
    let (interface, opnum) = (Interface::CertAdmin2, u16::from(opnum));
    match Request::read(interface, opnum, &mut read(stub)) {
        Ok(request) => {
            assert_eq!(request.opnum(), opnum);
            let stub = written(|writer| request.write(writer));
            assert_eq!(Request::read(interface, opnum, &mut read(&stub)), Ok(request));
        }
        Err(error @ RequestError::NotBackup { .. }) => assert_eq!(error.fault(), None),
        Err(error) => assert!(error.fault().is_some() != error.code().is_some(), "one of both answers"),
    }
    let Ok(request) = OtherRequest::read(interface, opnum, &mut read(stub)) else { return };
    assert_eq!(request.call.opnum(), opnum);
    if matches!(request.call, OtherCall::SetConfigEntry { value: Some(Variant::Other { .. }), .. }) {
        return; // cannot be written
    }
    let stub = written(|writer| request.write(writer));
    assert_eq!(OtherRequest::read(interface, opnum, &mut read(&stub)), Ok(request));
}
