//! The messages of Kerberos (RFC 4120 5): what parses is written again, and says the same.

use std::fmt::Debug;

use certadm_kerberos::message::{
    ApReply, ApRequest, Authenticator, AuthorizationData, EncApReplyPart, EncKdcReplyPart, EncTicketPart,
    EtypeInfo2, KdcKind, KdcReply, KdcRequest, KrbError, PaData, RequestBody, Ticket, Timestamp,
};

pub(crate) fn run(data: &[u8]) {
    survives(data, Ticket::decode, Ticket::encode);
    survives(data, ApRequest::decode, ApRequest::encode);
    survives(data, ApReply::decode, ApReply::encode);
    survives(data, KdcRequest::decode, KdcRequest::encode);
    survives(data, RequestBody::decode, RequestBody::encode);
    survives(data, KrbError::decode, KrbError::encode);
    survives(data, PaData::decode_list, |list| PaData::encode_list(list));
    survives(data, EtypeInfo2::decode_list, |list| EtypeInfo2::encode_list(list));
    survives(data, AuthorizationData::decode_list, |list| AuthorizationData::encode_list(list));
    survives(data, Timestamp::decode, |stamp| stamp.encode().to_vec());
    for kind in [KdcKind::As, KdcKind::Tgs] {
        survives(data, |data| KdcReply::decode(data, kind), KdcReply::encode);
    }
    if let Ok(error) = KrbError::decode(data) {
        let _ = error.nt_status();
        assert!(KrbError::is_one(data));
        let _ = PaData::decode_list(error.data.as_deref().unwrap_or_default());
    }

    // These hold keys, and so do not compare: their bytes do.
    settles(data, EncTicketPart::decode, |part| part.encode().to_vec());
    settles(data, EncKdcReplyPart::decode, |part| part.encode(KdcKind::Tgs).to_vec());
    settles(data, Authenticator::decode, |part| part.encode().to_vec());
    settles(data, EncApReplyPart::decode, |part| part.encode().to_vec());
}

/// A value that parses is the same after it was written and read.
fn survives<T: PartialEq + Debug, E: Debug>(
    data: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = decode(data) {
        assert_eq!(decode(&encode(&value)).expect("what was written parses"), value);
    }
}

/// What is written of a value that parses stays the same when it is read and written again.
fn settles<T, E: Debug>(
    data: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = decode(data) {
        let written = encode(&value);
        assert_eq!(encode(&decode(&written).expect("what was written parses")), written);
    }
}
