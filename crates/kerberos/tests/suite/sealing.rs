//! Sealed and signed messages, both ways, every etype.

use certadm_kerberos::crypto::{Etype, Key, KeyUsage, UsageKeys};
use certadm_kerberos::{Message, Seal, SealError, Sender, Unseal, Unsent};
use proptest::prelude::*;

use certadm_toy_kdc::World;

fn key(etype: Etype) -> Key {
    Key::new(etype, &[0x42; 32][..etype.key_size()]).unwrap()
}

fn halves(etype: Etype, sender: Sender) -> (Seal, Unseal) {
    let key = key(etype);
    (Seal::new(&key, sender, true, 7, &World::noon()).unwrap(), Unseal::new(&key, sender, true, 7))
}

fn sealed(seal: &mut Seal, header: &[u8], body: &[u8], trailer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut body, mut token) = (body.to_vec(), vec![0; seal.sealed_token_size()]);
    seal.seal(Message { header, body: &mut body, trailer }, &mut token).unwrap();
    (body, token)
}

#[test]
fn tokens_have_the_sizes_of_the_table() {
    for (etype, sealed, signed) in [
        (Etype::Aes128Sha1, 76, 28),
        (Etype::Aes256Sha1, 76, 28),
        (Etype::Aes128Sha256, 80, 32),
        (Etype::Aes256Sha384, 88, 40),
    ] {
        let (seal, _) = halves(etype, Sender::Initiator);
        assert_eq!((seal.sealed_token_size(), seal.signed_token_size()), (sealed, signed));
    }
}

#[test]
fn what_is_sealed_opens_and_nothing_else() {
    for etype in Etype::ALL {
        for sender in [Sender::Initiator, Sender::Acceptor] {
            let (mut seal, mut unseal) = halves(etype, sender);
            for length in [0, 16, 4080, 4096, 4112, 5712] {
                let plain: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
                let (mut body, token) = sealed(&mut seal, b"head", &plain, b"trailer!");
                assert!(length == 0 || body != plain);
                unseal
                    .unseal(Message { header: b"head", body: &mut body, trailer: b"trailer!" }, &token)
                    .unwrap();
                assert_eq!(body, plain);
            }
        }
    }
}

/// Together or one by one: the same bytes, whatever the sizes and the number.
#[test]
fn messages_that_are_sealed_together_are_those_that_are_sealed_alone() {
    for etype in Etype::ALL {
        for sizes in [
            &[][..],
            &[16],
            &[5712; 7],
            &[5712; 8],
            &[5712; 9],
            &[5712, 5712, 5712, 48],
            &[16, 32, 32, 16, 0, 0, 4096],
            &[160; 23],
        ] {
            let (mut one, mut unseal) = halves(etype, Sender::Acceptor);
            let (mut all, _) = halves(etype, Sender::Acceptor);
            let plain: Vec<Vec<u8>> = sizes
                .iter()
                .enumerate()
                .map(|(number, size)| {
                    (0..*size).map(|at| u8::try_from((at + number) % 251).unwrap()).collect()
                })
                .collect();
            let headers: Vec<[u8; 24]> = (0..sizes.len()).map(|at| [u8::try_from(at).unwrap(); 24]).collect();
            let alone: Vec<_> = plain
                .iter()
                .zip(&headers)
                .map(|(body, header)| sealed(&mut one, header, body, b"trailer!"))
                .collect();
            let mut together: Vec<_> =
                plain.iter().map(|body| (body.clone(), vec![0; all.sealed_token_size()])).collect();
            let mut unsent: Vec<_> = together
                .iter_mut()
                .zip(&headers)
                .map(|((body, token), header)| Unsent {
                    message: Message { header, body, trailer: b"trailer!" },
                    token,
                })
                .collect();
            all.seal_all(&mut unsent).unwrap();
            assert!(together == alone, "{etype} {sizes:?}");
            for (((body, token), header), plain) in together.iter_mut().zip(&headers).zip(&plain) {
                unseal.unseal(Message { header, body, trailer: b"trailer!" }, token).unwrap();
                assert_eq!(body, plain);
            }
            // And both go on alike.
            assert_eq!(sealed(&mut all, b"", &[1; 16], b""), sealed(&mut one, b"", &[1; 16], b""));
        }
    }
}

#[test]
fn one_message_that_cannot_be_sealed_leaves_all_as_they_were() {
    let (mut seal, _) = halves(Etype::Aes256Sha1, Sender::Acceptor);
    let (mut good, mut odd) = ([7; 32], [7; 20]);
    let (mut one, mut two) = ([0; 76], [0; 76]);
    let mut unsent = [
        Unsent { message: Message { header: b"", body: &mut good, trailer: b"" }, token: &mut one },
        Unsent { message: Message { header: b"", body: &mut odd, trailer: b"" }, token: &mut two },
    ];
    assert_eq!(seal.seal_all(&mut unsent), Err(SealError::Alignment));
    assert_eq!((good, odd, one), ([7; 32], [7; 20], [0; 76]));
}

/// RFC 4121 4.2.4 describes one ciphertext over everything; the token only cuts it up. Built the slow way it is the same.
#[test]
fn the_pieces_are_one_ciphertext_cut_up() {
    for etype in Etype::ALL.into_iter().filter(|etype| !etype.is_sha2()) {
        let (mut seal, _) = halves(etype, Sender::Acceptor);
        let plain = vec![5; 48];
        let (body, token) = sealed(&mut seal, b"", &plain, b"");
        let mac = etype.mac_size();
        let (tail, rest) = token[16..].split_at(32);
        let whole = [&rest[mac..], &body, tail, &rest[..mac]].concat();
        let keys = UsageKeys::new(&key(etype), KeyUsage::ACCEPTOR_SEAL);
        let opened = keys.decrypt(&whole).unwrap();
        let mut header = token[..16].to_vec();
        header[6..8].fill(0);
        assert_eq!(*opened, [&plain[..], &[0; 16], &header].concat(), "{etype}");
        assert_eq!(header, [5, 4, 7, 0xff, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    }
}

/// Peers that fill up with EC bytes of their own choice, as MIT's library and impacket do.
#[test]
fn other_fillings_and_lengths_open_too() {
    for etype in Etype::ALL {
        let keys = UsageKeys::new(&key(etype), KeyUsage::INITIATOR_SEAL);
        let mac = etype.mac_size();
        for (filling, length) in [(0, 4), (0, 16), (4, 12), (16, 5), (0, 0), (16, 100), (12, 4)] {
            let mut header = [5, 4, 6, 0xff, 0, filling, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
            let plain = vec![3; length];
            let whole = keys.encrypt(&[&plain[..], &vec![0xee; filling.into()], &header].concat(), [8; 16]);
            let (confounder, rest) = whole.split_at(16);
            let (body, rest) = rest.split_at(length);
            let (tail, sum) = rest.split_at(rest.len() - mac);
            header[7] = u8::try_from(16 + mac).unwrap();
            let token = [&header[..], tail, sum, confounder].concat();
            let mut body = body.to_vec();
            let (_, mut unseal) = halves(etype, Sender::Initiator);
            unseal.unseal(Message { header: b"", body: &mut body, trailer: b"" }, &token).unwrap();
            assert_eq!(body, plain, "{etype} {filling} {length}");
        }
    }
}

#[test]
fn a_failure_wipes_the_body_and_breaks_the_context() {
    for etype in Etype::ALL {
        let (mut seal, mut unseal) = halves(etype, Sender::Initiator);
        let (mut body, token) = sealed(&mut seal, b"head", &[1; 32], b"trailer!");
        let good = body.clone();
        let failed =
            unseal.unseal(Message { header: b"heaD", body: &mut body, trailer: b"trailer!" }, &token);
        assert_eq!((failed, &body[..]), (Err(SealError::BadSignature), &[0; 32][..]));
        body.copy_from_slice(&good);
        let again = unseal.unseal(Message { header: b"head", body: &mut body, trailer: b"trailer!" }, &token);
        assert_eq!((again, body), (Err(SealError::Broken), good));
    }
}

#[test]
fn order_direction_and_key_belong_to_the_message() {
    let (mut seal, _) = halves(Etype::Aes256Sha1, Sender::Initiator);
    let (body, token) = sealed(&mut seal, b"", &[1; 16], b"");
    let (second, second_token) = sealed(&mut seal, b"", &[1; 16], b"");
    assert_ne!(body, second, "each message has a confounder of its own");
    let key = key(Etype::Aes256Sha1);
    for (mut unseal, body, token) in [
        (Unseal::new(&key, Sender::Initiator, true, 7), &second, &second_token),
        (Unseal::new(&key, Sender::Initiator, true, 8), &body, &token),
        (Unseal::new(&key, Sender::Acceptor, true, 7), &body, &token),
        (Unseal::new(&key, Sender::Initiator, false, 7), &body, &token),
    ] {
        let mut body = body.clone();
        let opened = unseal.unseal(Message { header: b"", body: &mut body, trailer: b"" }, token);
        assert_eq!(opened, Err(SealError::BadSignature));
    }
}

#[test]
fn every_altered_byte_and_every_cut_is_noticed() {
    for etype in Etype::ALL {
        let (mut seal, _) = halves(etype, Sender::Acceptor);
        let (body, token) = sealed(&mut seal, b"h", &[1; 32], b"t");
        let open = |body: &[u8], token: &[u8]| {
            let (_, mut unseal) = halves(etype, Sender::Acceptor);
            unseal.unseal(Message { header: b"h", body: &mut body.to_vec(), trailer: b"t" }, token)
        };
        assert_eq!(open(&body, &token), Ok(()));
        for at in 0..body.len() + token.len() {
            let mut whole = [&body[..], &token].concat();
            whole[at] ^= 0x10;
            assert!(open(&whole[..32], &whole[32..]).is_err(), "{etype} {at}");
        }
        for end in 0..token.len() {
            assert!(open(&body, &token[..end]).is_err());
        }
    }
}

#[test]
fn what_cannot_be_sealed_changes_nothing() {
    let (mut seal, _) = halves(Etype::Aes256Sha1, Sender::Initiator);
    let (mut body, mut token) = ([1; 20], [0; 76]);
    assert_eq!(
        seal.seal(Message { header: b"", body: &mut body, trailer: b"" }, &mut token),
        Err(SealError::Alignment)
    );
    let size = SealError::TokenSize { expected: 76, actual: 70 };
    let message = Message { header: b"", body: &mut body[..16], trailer: b"" };
    assert_eq!(seal.seal(message, &mut token[..70]), Err(size));
    assert_eq!((body, token), ([1; 20], [0; 76]));
}

#[test]
fn signatures_verify_in_order() {
    for etype in Etype::ALL {
        let (mut seal, mut unseal) = halves(etype, Sender::Acceptor);
        let mut token = vec![0; seal.signed_token_size()];
        for _ in 0..3 {
            seal.sign(&[b"one ", b"message"], &mut token).unwrap();
            unseal.verify(&[b"one message"], &token).unwrap();
        }
        assert_eq!(token[..16], [4, 4, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!(unseal.verify(&[b"one message"], &token), Err(SealError::BadSignature), "repeated");
        assert_eq!(unseal.verify(&[b"one message"], &token), Err(SealError::Broken));
        let (_, mut fresh) = halves(etype, Sender::Acceptor);
        assert!(matches!(fresh.verify(&[], &token[1..]), Err(SealError::TokenSize { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_message_survives(
        blocks in 0_usize..40,
        header: Vec<u8>,
        trailer: Vec<u8>,
        fill: u8,
        etype in prop::sample::select(&Etype::ALL[..]),
    ) {
        let (mut seal, mut unseal) = halves(etype, Sender::Initiator);
        let plain = vec![fill; 16 * blocks];
        let (mut body, token) = sealed(&mut seal, &header, &plain, &trailer);
        prop_assert_eq!(unseal.unseal(Message { header: &header, body: &mut body, trailer: &trailer }, &token), Ok(()));
        prop_assert_eq!(body, plain);
    }
}
