//! What Windows machines signed, by the session keys that were published with the capture `dcom-registerxll` (OTRF/Security-Datasets,
//! MIT). The captures lie beside the repository and not in it.

use certadm_wire::rpc::{AuthLevel, Body, Flags, Header, Layout, Pdu};

use super::{NtlmSeal, NtlmUnseal, TOKEN_SIZE};
use crate::ntlm::crypto::{Key, Sender, message_integrity_code};
use crate::ntlm::messages::{Authenticate, is_ntlm};
use crate::protection::{Level, Segments};
use crate::spnego::token::{NegTokenInit, NegTokenResp};
use crate::testing::hex16;

#[path = "../../../wire/tests/suite/capture.rs"]
mod capture;

use capture::Sent;

/// The exported session keys of the raw NTLM logon, at level 2, and of the one in SPNEGO, at level 5.
const RAW: &str = "b233437c62d1e78449fe362046ae226f";
const SPNEGO: &str = "ae022761dc7e244da28b0a5e41bcb03d";

/// What one end sent.
type Pdus = Vec<Vec<u8>>;

/// The connections that log on, as client and server sent them.
fn logons() -> Vec<(Pdus, Pdus)> {
    let Some(folder) = capture::folder() else { return Vec::new() };
    let all = capture::read(&folder.join("dcom-registerxll.cap.zst"));
    let is_client = |sent: &&Sent| {
        let first = Pdu::decode(&sent.pdus[0]).unwrap();
        matches!(first.body, Body::Bind(_)) && first.verifier.is_some()
    };
    let pairs = all.iter().filter(is_client);
    pairs.map(|sent| (sent.pdus.clone(), sent.answers(&all).unwrap().pdus.clone())).collect()
}

/// The tokens of binds and their answers.
fn tokens(pdus: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_leg = |body: &Body<'_>| !matches!(body, Body::Request(_) | Body::Response(_) | Body::Fault(_));
    let decoded = pdus.iter().map(|bytes| Pdu::decode(bytes).unwrap()).filter(|pdu| is_leg(&pdu.body));
    decoded.filter_map(|pdu| pdu.verifier.map(|verifier| verifier.token.to_vec())).collect()
}

/// The NTLM message that a token of either kind carries.
fn ntlm_in(token: &[u8]) -> Option<Vec<u8>> {
    if is_ntlm(token) {
        return Some(token.to_vec());
    }
    let response = NegTokenResp::parse(token).ok()?.response?.to_vec();
    is_ntlm(&response).then_some(response)
}

/// The MIC of AUTHENTICATE covers all three messages under the key.
#[test]
fn the_messages_of_a_logon_of_windows_have_the_mic_that_we_would_give_them() {
    let mut keys = Vec::new();
    for (client, server) in logons() {
        let [negotiate, authenticate] =
            &tokens(&client).iter().filter_map(|token| ntlm_in(token)).collect::<Vec<_>>()[..]
        else {
            panic!("a logon has two messages of the client")
        };
        let challenge = tokens(&server).iter().find_map(|token| ntlm_in(token)).unwrap();
        let around = Authenticate::parse(authenticate).unwrap().split_at_mic().unwrap();
        let messages: [&[u8]; 5] = [negotiate, &challenge, around.before, &[0; 16], around.after];
        let fits = |key: &&str| message_integrity_code(&Key(hex16(key)), &messages).0 == around.mic;
        keys.push([RAW, SPNEGO].into_iter().find(|key| fits(key)).expect("one of both keys"));
    }
    keys.sort_unstable();
    assert!(keys.is_empty() || keys == [SPNEGO, RAW], "{keys:?}");
}

/// Both directions, from mechListMIC on: it takes the first number of each, and no key stream.
#[test]
fn what_windows_signed_verifies_and_is_signed_as_it_was() {
    let mut verified = 0;
    for (client, server) in logons() {
        let Some(list) = tokens(&client)
            .first()
            .and_then(|token| NegTokenInit::parse(token).ok().map(|init| init.mechanism_list.to_vec()))
        else {
            continue;
        };
        for (pdus, sender) in [(&client, Sender::Client), (&server, Sender::Server)] {
            let key = || Key(hex16(SPNEGO));
            let mut unseal = NtlmUnseal::new(&key(), sender, Level::Integrity);
            let mut seal = NtlmSeal::new(&key(), sender, Level::Integrity);
            let mics = tokens(pdus);
            let mic = mics.iter().find_map(|token| NegTokenResp::parse(token).ok()?.mic).unwrap();
            unseal.check_mic(&list, mic).unwrap();
            assert_eq!(seal.mic(&list).unwrap()[..], *mic);
            for bytes in pdus {
                let header = Header::decode(bytes).unwrap();
                let layout = Layout::of(&header, bytes).unwrap();
                let pdu = Pdu::decode(bytes).unwrap();
                let Some(verifier) = &pdu.verifier else { continue };
                if !matches!(pdu.body, Body::Request(_) | Body::Response(_)) {
                    continue;
                }
                assert_eq!((verifier.level, verifier.token.len()), (AuthLevel::Integrity, TOKEN_SIZE));
                let mut opened = bytes.clone();
                let (segments, token) = Segments::split(&mut opened, layout.header.end, TOKEN_SIZE).unwrap();
                unseal.unseal(Level::Integrity, segments, token).unwrap();
                let (segments, token) = Segments::split(&mut opened, layout.header.end, TOKEN_SIZE).unwrap();
                token.fill(0);
                seal.seal(Level::Integrity, segments, token).unwrap();
                assert_eq!(opened, *bytes);
                verified += 1;
            }
            // Header signing is announced on every leg.
            let announced =
                pdus.iter().map(|bytes| Pdu::decode(bytes).unwrap()).filter(|pdu| pdu.verifier.is_some());
            let legs = announced.filter(|pdu| matches!(pdu.body, Body::Bind(_) | Body::AlterContext(_)));
            assert!(legs.into_iter().all(|leg| leg.flags.has(Flags::HEADER_SIGNING)));
        }
    }
    println!("{verified} PDUs verified");
    assert!(capture::folder().is_none() || verified == 19, "{verified}");
}
