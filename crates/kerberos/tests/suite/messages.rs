//! Every message comes back as it was sent, and a cut one does not.

use certadm_kerberos::crypto::{Etype, Key, KeyUsage};
use certadm_kerberos::message::{
    ApOptions, ApReply, ApRequest, Authenticator, AuthorizationData, Checksum, EncApReplyPart,
    EncKdcReplyPart, EncTicketPart, EncryptedData, ErrorCode, EtypeInfo2, KdcKind, KdcOptions, KdcReply,
    KdcRequest, KrbError, PaData, PaType, RequestBody, Ticket, TicketFlags, Timestamp,
};
use certadm_kerberos::{KerberosTime, Moment, Principal};

use certadm_toy_kdc::{NOON, World};

fn noon() -> KerberosTime {
    KerberosTime::from_unix_seconds(NOON)
}

fn moment() -> Moment {
    Moment { time: noon(), micros: 999_999 }
}

fn key() -> Key {
    Key::new(Etype::Aes256Sha384, &[6; 32]).unwrap()
}

fn encrypted(key_version: Option<u32>) -> EncryptedData {
    EncryptedData { etype: 18, key_version, cipher: vec![1; 300] }
}

/// Decodes the whole, and no beginning of it.
fn whole<T, E: std::fmt::Debug>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, E>) -> T {
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
    assert!(decode(&[bytes, &[0]].concat()).is_err(), "a byte behind the end");
    decode(bytes).unwrap()
}

#[test]
fn requests_to_a_kdc() {
    let body = RequestBody {
        options: KdcOptions::CANONICALIZE.and(KdcOptions::RENEWABLE_OK),
        client: Some(Principal::enterprise("alice@corp.test", "TOY.TEST")),
        service: Principal::ticket_granting("TOY.TEST", "TOY.TEST"),
        till: noon(),
        nonce: 0x7fff_fffe,
        etypes: vec![18, 17, -135],
    };
    assert_eq!(whole(&body.encode(), RequestBody::decode), body);
    for kind in [KdcKind::As, KdcKind::Tgs] {
        for padata in [vec![], vec![PaData::pac_request(), PaData { kind: PaType(-5), value: vec![] }]] {
            let request = KdcRequest { kind, padata, body: body.encode() };
            assert_eq!(whole(&request.encode(), KdcRequest::decode), request);
        }
    }
    assert_eq!(PaData::pac_request().value, [0x30, 5, 0xa0, 3, 1, 1, 0xff], "kerberos.md 2.1");
}

#[test]
fn answers_of_a_kdc() {
    for kind in [KdcKind::As, KdcKind::Tgs] {
        let reply = KdcReply {
            kind,
            padata: vec![PaData { kind: PaType::ETYPE_INFO2, value: vec![1] }],
            client: Principal::account("alice", "TOY.TEST"),
            ticket: Ticket { service: Principal::ticket_granting("A", "B"), enc_part: encrypted(Some(2)) }
                .encode(),
            enc_part: encrypted(None),
        };
        assert_eq!(whole(&reply.encode(), |bytes| KdcReply::decode(bytes, kind)), reply);
        let other = if kind == KdcKind::As { KdcKind::Tgs } else { KdcKind::As };
        assert!(KdcReply::decode(&reply.encode(), other).is_err());

        let part = EncKdcReplyPart {
            session_key: key(),
            nonce: u32::MAX,
            flags: TicketFlags(TicketFlags::PRE_AUTHENTICATED),
            auth_time: noon(),
            start_time: Some(noon().plus(1)),
            end_time: noon().plus(2),
            service: Principal::ticket_granting("TOY.TEST", "TOY.TEST"),
        };
        let back = whole(&part.encode(kind), EncKdcReplyPart::decode);
        assert_eq!(back.session_key.expose(), key().expose());
        assert_eq!((back.nonce, back.flags, back.service), (part.nonce, part.flags, part.service));
        assert_eq!(
            (back.auth_time, back.start_time, back.end_time),
            (noon(), Some(noon().plus(1)), noon().plus(2))
        );
    }
}

#[test]
fn tickets() {
    let ticket = Ticket {
        service: Principal::service("HOST", "ca1.toy.test", "TOY.TEST"),
        enc_part: encrypted(Some(0x104)),
    };
    assert_eq!(whole(&ticket.encode(), Ticket::decode), ticket);
    for authorization in
        [vec![], vec![AuthorizationData { kind: AuthorizationData::IF_RELEVANT, data: vec![3; 200] }]]
    {
        let part = EncTicketPart {
            flags: TicketFlags(TicketFlags::INVALID),
            session_key: key(),
            client: Principal::account("alice", "TOY.TEST"),
            transited: b"MIDDLE.TEST".to_vec(),
            auth_time: noon(),
            start_time: None,
            end_time: noon().plus(600),
            authorization: authorization.clone(),
        };
        let back = whole(&part.encode(), EncTicketPart::decode);
        assert!(back.flags.has(TicketFlags::INVALID) && !back.flags.has(TicketFlags::PRE_AUTHENTICATED));
        assert_eq!(
            (back.client, back.transited, back.authorization),
            (part.client, part.transited, authorization)
        );
        assert_eq!((back.auth_time, back.start_time, back.end_time), (noon(), None, noon().plus(600)));
    }
}

#[test]
fn requests_to_a_service_and_answers() {
    let request = ApRequest {
        options: ApOptions(ApOptions::MUTUAL_REQUIRED),
        ticket: Ticket { service: Principal::account("s", "R"), enc_part: encrypted(None) }.encode(),
        authenticator: encrypted(None),
    };
    assert_eq!(whole(&request.encode(), ApRequest::decode), request);
    let reply = ApReply { enc_part: encrypted(None) };
    assert_eq!(whole(&reply.encode(), ApReply::decode), reply);
    for full in [false, true] {
        let authenticator = Authenticator {
            client: Principal::account("alice", "TOY.TEST"),
            checksum: full.then(|| Checksum { kind: 0x8003, value: vec![1; 24] }),
            moment: moment(),
            subkey: full.then(key),
            sequence: full.then_some(0x3fff_ffff),
        };
        let back = whole(&authenticator.encode(), Authenticator::decode);
        assert_eq!((back.client, back.checksum), (authenticator.client, authenticator.checksum));
        assert_eq!(
            (back.moment, back.subkey.is_some(), back.sequence),
            (moment(), full, authenticator.sequence)
        );
        let part = EncApReplyPart { moment: moment(), subkey: full.then(key), sequence: full.then_some(1) };
        let back = whole(&part.encode(), EncApReplyPart::decode);
        assert_eq!((back.moment, back.subkey.is_some(), back.sequence), (moment(), full, part.sequence));
    }
}

#[test]
fn refusals() {
    for full in [false, true] {
        let error = KrbError {
            code: ErrorCode::SKEW,
            server_time: moment(),
            client_realm: full.then(|| "OTHER.TEST".to_owned()),
            service: Some(Principal::ticket_granting("TOY.TEST", "TOY.TEST")),
            text: full.then(|| "clock\nskew".to_owned()),
            data: full.then(|| vec![1, 2]),
        };
        assert!(KrbError::is_one(&error.encode()));
        assert_eq!(whole(&error.encode(), KrbError::decode), error);
        assert_eq!(error.nt_status(), None);
    }
    assert_eq!(ErrorCode::SKEW.to_string(), "37 (SKEW)");
    assert_eq!(ErrorCode(99).to_string(), "99");
}

/// Heimdal and Samba name no service where they have none: such a name has no component.
#[test]
fn a_refusal_without_a_service_has_its_code_all_the_same() {
    for code in [ErrorCode::SERVICE_UNAVAILABLE, ErrorCode::SKEW] {
        let (client_realm, text, data) = (None, Some("gone".to_owned()), Some(vec![1]));
        let error = KrbError { code, server_time: moment(), client_realm, service: None, text, data };
        assert_eq!(whole(&error.encode(), KrbError::decode), error);
    }
    // The bytes of Heimdal's krb5_mk_error without client and server.
    let heimdal = b"\x7e\x4d\x30\x4b\xa0\x03\x02\x01\x05\xa1\x03\x02\x01\x1e\xa4\x11\x18\x0f20260101120000Z\
        \xa5\x03\x02\x01\x00\xa6\x03\x02\x01\x1d\xa9\x15\x1b\x13<unspecified realm>\
        \xaa\x0b\x30\x09\xa0\x03\x02\x01\x00\xa1\x02\x30\x00";
    let error = KrbError::decode(heimdal).unwrap();
    assert_eq!((error.code, error.service), (ErrorCode::SERVICE_UNAVAILABLE, None));
}

#[test]
fn a_domain_controller_says_why_an_account_is_refused() {
    let status = [0x72, 0, 0, 0xc0, 0, 0, 0, 0, 1, 0, 0, 0];
    let list = PaData::encode_list(&[PaData { kind: PaType(3), value: status.to_vec() }]);
    let alone = list[2..].to_vec(); // without the list around it
    for data in [list, alone] {
        let error = KrbError {
            code: ErrorCode::CLIENT_REVOKED,
            server_time: moment(),
            client_realm: None,
            service: None,
            text: None,
            data: Some(data),
        };
        assert_eq!(error.nt_status(), Some(0xc000_0072));
    }
}

#[test]
fn what_goes_beside_a_request() {
    let infos = [
        EtypeInfo2 { etype: 18, salt: Some(b"TOY.TESTalice".to_vec()), parameters: vec![0, 0, 16, 0] },
        EtypeInfo2 { etype: 23, salt: None, parameters: vec![] },
        EtypeInfo2 { etype: 17, salt: Some(vec![0xff, 0xfe]), parameters: vec![] },
    ];
    assert_eq!(whole(&EtypeInfo2::encode_list(&infos), EtypeInfo2::decode_list), infos);
    let stamp = Timestamp(moment());
    assert_eq!(whole(&stamp.encode(), Timestamp::decode), stamp);
    let list = [AuthorizationData { kind: -1, data: vec![] }, AuthorizationData { kind: 128, data: vec![1] }];
    assert_eq!(whole(&AuthorizationData::encode_list(&list), AuthorizationData::decode_list), list);
}

#[test]
fn encrypted_parts_open_with_their_key_and_purpose_only() {
    let world = World::noon();
    let sealed = EncryptedData::seal(&key(), KeyUsage::TICKET, Some(3), b"secret", &world).unwrap();
    assert_eq!(**sealed.open(&key(), KeyUsage::TICKET).unwrap(), *b"secret");
    assert!(sealed.open(&key(), KeyUsage::AS_REPLY).is_err());
    let other = Key::new(Etype::Aes256Sha1, &[6; 32]).unwrap();
    assert!(sealed.open(&other, KeyUsage::TICKET).is_err());
    world.run_dry();
    assert!(EncryptedData::seal(&key(), KeyUsage::TICKET, None, b"", &world).is_err());
}
