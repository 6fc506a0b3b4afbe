//! The fuzz entry points, run for a moment on random bytes and on damaged tokens of a real exchange.

use certadm_auth::{AuthType, fuzzing};
use proptest::prelude::*;

use crate::client::{Client, NTLM_OID, init, resp};
use crate::world::acceptor;

/// One token of each kind.
fn tokens() -> Vec<Vec<u8>> {
    let client = Client::alice();
    let mut server = acceptor(AuthType::NTLM);
    let challenge = server.step(&client.negotiate()).unwrap().token_out;
    let (authenticate, _) = client.authenticate(&challenge);
    vec![
        init(&[&NTLM_OID], Some(&client.negotiate())),
        resp(Some(1), Some(&challenge), None),
        resp(None, Some(&authenticate), Some(&[7; 16])),
        client.negotiate(),
        challenge,
        authenticate,
    ]
}

fn run_all(data: &[u8]) {
    fuzzing::ntlm_message(data);
    fuzzing::spnego_token(data);
    fuzzing::acceptor(data);
    fuzzing::unseal(data);
}

/// The tokens, each behind its length, as `fuzzing::acceptor` reads them.
fn sequence(tokens: &[Vec<u8>]) -> Vec<u8> {
    tokens
        .iter()
        .flat_map(|token| {
            let length = u16::try_from(token.len()).unwrap().to_le_bytes();
            [&length[..], token].concat()
        })
        .collect()
}

#[test]
fn real_tokens_and_every_truncation() {
    let tokens = tokens();
    for token in &tokens {
        for length in 0..=token.len() {
            run_all(&token[..length]);
        }
    }
    for first in &tokens {
        for second in &tokens {
            fuzzing::acceptor(&sequence(&[first.clone(), second.clone()]));
        }
    }
}

proptest! {
    #[test]
    fn random_bytes(data in prop::collection::vec(any::<u8>(), 0..600)) {
        run_all(&data);
    }

    #[test]
    fn damaged_tokens(
        which in 0_usize..6,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        leading in any::<bool>(),
    ) {
        let tokens = tokens();
        let mut token = tokens[which].clone();
        for (place, value) in damage {
            let place = place.index(token.len());
            token[place] = value;
        }
        run_all(&token);
        let first = if leading { tokens[0].clone() } else { tokens[3].clone() };
        fuzzing::acceptor(&sequence(&[first, token]));
    }
}
