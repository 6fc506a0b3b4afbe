//! The answers of `ICertAdminD2` (wire.md 5.2), and what is packed inside their blobs (wire.md 5.10).

use std::fmt::Debug;

use certadm_wire::csra::{
    CaInfo, CaProperty, DatabaseAttribute, DatabaseColumn, DatabaseExtension, Interface, Method, OtherOut, OtherResponse, PackedError, PropertyValue, Request, Response, ResultRow, decode_numbers, encode_numbers,
};

use crate::stub::{read, written};

/// The input is an opnum in one byte, then a stub without ORPCTHAT.
pub(crate) fn run(data: &[u8]) {
    let Some((&opnum, stub)) = data.split_first() else { return };
    let Some(method) = Method::from_opnum(Interface::CertAdmin2, opnum.into()) else { return };
    // A request of that method that is all zeros, but for the size of a read: as much as there is.
    let mut zeros = [0; 64];
    if let (25, Some(size)) = (opnum, stub.first_chunk::<4>()) {
        zeros[..4].copy_from_slice(size);
    }
    if method.serves_backup() {
        if let Ok(request) = Request::read(Interface::CertAdmin2, opnum.into(), &mut read(&zeros)) {
            backup(&request, method, stub);
        }
        return;
    }
    let Ok(response) = OtherResponse::read(method, &mut read(stub)) else { return };
    let Some(response) = response else { panic!("{method:?} is in neither enumeration") };
    let encoded = written(|writer| response.write(writer));
    assert_eq!(OtherResponse::read(method, &mut read(&encoded)).as_ref(), Ok(&Some(response.clone())));
    match response.out {
        OtherOut::Blob(blob) => {
            if let Ok(info) = CaInfo::decode(blob) {
                assert_eq!(CaInfo::decode(&info.encode()), Ok(info));
            }
            if let Ok(numbers) = decode_numbers(blob) {
                assert_eq!(encode_numbers(&numbers), blob);
            }
            for kind in 1..5 {
                if let Ok(value) = PropertyValue::decode(kind, blob) {
                    assert_eq!(PropertyValue::decode(kind, &value.encode()), Ok(value));
                }
            }
        }
        OtherOut::NumberAndBlob(count, blob) => {
            round_trip(count, blob, CaProperty::decode_all, CaProperty::encode_all);
            round_trip(count, blob, DatabaseColumn::decode_all, DatabaseColumn::encode_all);
            round_trip(count, blob, DatabaseAttribute::decode_all, DatabaseAttribute::encode_all);
            round_trip(count, blob, DatabaseExtension::decode_all, DatabaseExtension::encode_all);
            round_trip(count, blob, ResultRow::decode_all, ResultRow::encode_all);
        }
        _ => {}
    }
}

/// What was read and written reads the same again.
fn round_trip<T: PartialEq + Debug>(
    count: u32,
    blob: &[u8],
    decode: impl Fn(u32, &[u8]) -> Result<Vec<T>, PackedError>,
    encode: impl Fn(&[T]) -> Vec<u8>,
) {
    if let Ok(elements) = decode(count, blob) {
        assert_eq!(decode(count, &encode(&elements)), Ok(elements));
    }
}

fn backup(request: &Request, method: Method, stub: &[u8]) {
    let Ok(response) = Response::read(request, &mut read(stub)) else { return };
    assert!(response.fits(method));
    if matches!(&response, Response::List { code, .. } if code.is_failure()) {
        return; // written without its list
    }
    let encoded = written(|writer| response.write(writer));
    assert_eq!(Response::read(request, &mut read(&encoded)), Ok(response));
}
