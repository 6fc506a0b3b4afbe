//! Secrets show nowhere: not in Debug output, and not in errors.

use std::fmt::Write as _;

use certadm_auth::{AuthType, Flavour, Level, NtHash, Protection, SealError, Segments, initiator};

use crate::world::{PRIVACY, acceptor, credentials, shake, workstation};

const PASSWORD: &str = "Pa55-wörd";

#[test]
fn no_secret_is_printed() {
    let mut shown = String::new();
    for flavour in [Flavour::Ntlm, Flavour::NtlmAsNegotiate, Flavour::Spnego] {
        for password in [PASSWORD, "wrong-marker"] {
            let credentials = credentials("CORP", "alice", password);
            let mut client =
                initiator(flavour, &credentials, "HOST/ca1", Level::Privacy, &workstation()).unwrap();
            let mut server = acceptor(client.auth_type());
            let ends = shake(client.as_mut(), server.as_mut());
            write!(shown, "{credentials:?} {client:?} {server:?} {ends:?}").unwrap();
            if let Err(error) = ends {
                write!(shown, "{error} {error:?}").unwrap();
            }
        }
    }
    assert!(acceptor(AuthType::SPNEGO).step(&[]).is_err());
    for password in [PASSWORD, "wrong-marker"] {
        let hash = NtHash::from_password(password);
        assert!(!shown.contains(password));
        assert!(!shown.contains(&hex(hash.expose())));
        assert!(!shown.contains(&format!("{:?}", hash.expose())));
        let utf16: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(!shown.contains(&hex(&utf16)));
        let list = format!("{utf16:?}");
        assert!(!shown.contains(list.trim_matches(['[', ']'])));
        let units = format!("{:?}", password.encode_utf16().collect::<Vec<_>>());
        assert!(!shown.contains(units.trim_matches(['[', ']'])));
    }
}

/// What a PDU that does not verify leaves behind is neither ciphertext nor plaintext.
#[test]
fn a_failed_pdu_is_wiped() {
    let (mut client, _) = crate::world::connect(Flavour::Ntlm, Level::Privacy);
    let mut forged = vec![0xcc; 24 + 100 + 8 + 16];
    let (segments, token) = Segments::split(&mut forged, 24, 16).unwrap();
    let protection: Protection = PRIVACY;
    assert_eq!(client.unsealer.unseal(protection, segments, token), Err(SealError::BadSignature));
    assert_eq!(forged[24..124], [0; 100]);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
