//! Entry points for fuzzing: each takes arbitrary bytes and must return. They panic only on a broken promise of ours, never
//! on bad input. Not meant for anything else.
//!
//! | entry | what it reaches |
//! |---|---|
//! | [`ntlm_message`] | the parsers of NEGOTIATE, CHALLENGE, AUTHENTICATE, NTLMv2 response and attribute list |
//! | [`spnego_token`] | the DER layer and both SPNEGO tokens; what parses must encode and parse back |
//! | [`acceptor`] | the acceptors, raw NTLM and SPNEGO, fed with a sequence of tokens; nobody may get in |
//! | [`unseal`] | opening a PDU that nobody sealed; it must not verify |

use std::sync::Arc;

use certadm_rules::{AuthType, FileTime};

use crate::accounts::{AccountStore, Environment};
use crate::error::AuthError;
use crate::ntlm::av_pairs::AvPairs;
use crate::ntlm::crypto::{Key, Sender};
use crate::ntlm::messages::{Authenticate, Challenge, Negotiate, NtlmV2Response};
use crate::ntlm::session::{NtlmUnseal, TOKEN_SIZE};
use crate::protection::{Level, Segments};
use crate::secret::NtHash;
use crate::server::ServerNames;
use crate::service::Service;
use crate::spnego::token::{NegTokenInit, NegTokenResp};

/// Parses `data` as each of the NTLM messages and structures.
pub fn ntlm_message(data: &[u8]) {
    let _ = Negotiate::parse(data);
    if let Ok(challenge) = Challenge::parse(data) {
        let again = challenge.encode();
        assert_eq!(Challenge::parse(&again).as_ref(), Ok(&challenge), "a challenge must survive encoding");
    }
    if let Ok(message) = Authenticate::parse(data) {
        let _ = NtlmV2Response::parse(message.nt_response);
        let _ = message.split_at_mic();
    }
    let _ = NtlmV2Response::parse(data);
    if let Ok(pairs) = AvPairs::parse(data) {
        let _ = (pairs.announces_mic(), pairs.target_name());
        assert!(pairs.contains_all(pairs), "a list contains itself");
    }
}

/// Parses `data` as each of the SPNEGO tokens.
pub fn spnego_token(data: &[u8]) {
    let _ = NegTokenInit::parse(data);
    if let Ok(resp) = NegTokenResp::parse(data) {
        let again = resp.encode();
        assert_eq!(again, data, "DER has one encoding only");
    }
}

/// Feeds `data` to an acceptor of each kind: two bytes of length, that many bytes of token, and so on.
pub fn acceptor(data: &[u8]) {
    let names =
        ServerNames::new("FUZZ", "FUZZ", Some("fuzz.example")).expect("invariant: these names are valid");
    let service = Service::new(names, Arc::new(Nobody), Arc::new(Fixed));
    for auth_type in [AuthType::NTLM, AuthType::SPNEGO] {
        for level in [Level::Integrity, Level::Privacy] {
            let mut acceptor = service.acceptor(auth_type, level).expect("invariant: both types are spoken");
            let mut rest = data;
            while let Some((length, after)) = rest.split_first_chunk::<2>() {
                let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
                let (token, after) = after.split_at(length);
                rest = after;
                match acceptor.step(token) {
                    Ok(step) => assert!(step.done.is_none(), "nobody has an account here"),
                    Err(_) => break,
                }
            }
        }
    }
}

/// Opens `data` as a PDU of a fresh session, at both levels.
pub fn unseal(data: &[u8]) {
    for level in [Level::Integrity, Level::Privacy] {
        let mut pdu = data.to_vec();
        let mut unseal = NtlmUnseal::new(&Key([0x5a; 16]), Sender::Client, level);
        if let Ok((segments, token)) = Segments::split(&mut pdu, 24, TOKEN_SIZE) {
            // a fuzzer would have to break HMAC-MD5 to get further than this
            assert!(unseal.unseal(level, segments, token).is_err());
        }
    }
}

/// An account store without accounts.
struct Nobody;

impl AccountStore for Nobody {
    fn nt_hash(&self, _domain: &str, _user: &str) -> Option<NtHash> {
        None
    }
}

/// A world in which nothing ever changes, so that every run can be repeated.
struct Fixed;

impl Environment for Fixed {
    fn now(&self) -> FileTime {
        FileTime(0)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
        bytes.fill(0x42);
        Ok(())
    }
}
