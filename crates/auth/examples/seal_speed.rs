//! How fast one core seals and unseals, in MB/s (10^6 bytes of body a second), for response PDUs of 5840 bytes.
//!
//! ```text
//! cargo run --release -p certadm-auth --example seal_speed
//! ```
//!
//! The first two lines are the ceiling of everything that travels over NTLM with packet privacy. The others are the separate
//! RustCrypto crates doing the same work, as the yardstick. Each figure is the best of several rounds, taken in turn, because
//! a busy machine only ever makes a round slower.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use certadm_auth::{
    AccountName, AccountStore, AuthError, AuthType, Credentials, Environment, Established, FileTime, Flavour,
    Level, NtHash, Password, Protection, Segments, ServerNames, Service, initiator,
};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rc4::{Rc4, StreamCipher};

/// Room for the body in a fragment of 5840 bytes (wire.md 2.8).
const BODY: usize = 5792;
const HEADER: usize = 24;
const TRAILER: usize = 8;
const TOKEN: usize = 16;
const PDUS: u32 = 20_000;
const ROUNDS: u32 = 5;
const PRIVACY: Protection = Protection { level: Level::Privacy, header_signing: true };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (mut client, mut server) = connect()?;
    let mut pdus = vec![vec![0x30_u8; HEADER + BODY + TRAILER + TOKEN]; PDUS as usize];
    let mut best = [f64::MAX; 6];
    for _ in 0..ROUNDS {
        time(&mut best[0], || {
            for pdu in &mut pdus {
                let (segments, token) = Segments::split(pdu, HEADER, TOKEN)?;
                server.sealer.seal(PRIVACY, segments, token)?;
            }
            Ok(())
        })?;
        time(&mut best[1], || {
            for pdu in &mut pdus {
                let (segments, token) = Segments::split(pdu, HEADER, TOKEN)?;
                client.unsealer.unseal(PRIVACY, segments, token)?;
            }
            Ok(())
        })?;
        let mut rc4 = Rc4::new_from_slice(&[7; 16])?;
        time(&mut best[2], || {
            for pdu in &mut pdus {
                black_box(separate_mac(pdu)?);
                rc4.apply_keystream(&mut pdu[HEADER..HEADER + BODY]);
            }
            Ok(())
        })?;
        time(&mut best[3], || {
            for pdu in &pdus {
                black_box(separate_mac(pdu)?);
            }
            Ok(())
        })?;
        time(&mut best[4], || {
            for pdu in &mut pdus {
                rc4.apply_keystream(&mut pdu[HEADER..HEADER + BODY]);
            }
            Ok(())
        })?;
        let mut copies = pdus[0].clone();
        time(&mut best[5], || {
            for pdu in &pdus {
                copies.copy_from_slice(black_box(pdu));
                black_box(&copies);
            }
            Ok(())
        })?;
    }
    let bytes = f64::from(PDUS) * BODY as f64;
    for (what, seconds) in [
        "seal",
        "unseal",
        "separate crates, HMAC-MD5 then RC4",
        "separate crates, HMAC-MD5 alone",
        "separate crates, RC4 alone",
        "copy",
    ]
    .iter()
    .zip(best)
    {
        println!("{what:36} {:7.0} MB/s", bytes / 1e6 / seconds);
    }
    Ok(())
}

fn time(
    best: &mut f64,
    work: impl FnOnce() -> Result<(), Box<dyn std::error::Error>>,
) -> Result<(), Box<dyn std::error::Error>> {
    let start = Instant::now();
    work()?;
    *best = best.min(start.elapsed().as_secs_f64());
    Ok(())
}

fn separate_mac(pdu: &[u8]) -> Result<[u8; 16], Box<dyn std::error::Error>> {
    let mut mac = Hmac::<Md5>::new_from_slice(&[9; 16])?;
    mac.update(&[0; 4]);
    mac.update(&pdu[..HEADER + BODY + TRAILER]);
    Ok(mac.finalize().into_bytes().into())
}

/// A finished context at both ends.
fn connect() -> Result<(Established, Established), AuthError> {
    let service = Service::new(ServerNames::new("CA1", "CA1", None)?, Arc::new(Alice), Arc::new(Constant));
    let credentials =
        Credentials { account: AccountName::new("", "alice"), password: Password::new("measure".to_owned()) };
    let mut client = initiator(Flavour::Ntlm, &credentials, "HOST/ca1", Level::Privacy)?;
    let mut server = service.acceptor(AuthType::Ntlm, Level::Privacy)?;
    let mut token = Vec::new();
    let mut ends = (None, None);
    while ends.1.is_none() {
        let step = client.step(&token)?;
        ends.0 = ends.0.or(step.done);
        let step = server.step(&step.token_out)?;
        ends.1 = step.done;
        token = step.token_out;
    }
    match ends {
        (Some(client), Some(server)) => Ok((client, server)),
        _ => Err(AuthError::Finished),
    }
}

struct Alice;

impl AccountStore for Alice {
    fn nt_hash(&self, _domain: &str, user: &str) -> Option<NtHash> {
        (user == "alice").then(|| NtHash::from_password("measure"))
    }
}

/// Fit for a measurement only: a challenge must be random.
struct Constant;

impl Environment for Constant {
    fn now(&self) -> FileTime {
        FileTime(0)
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), AuthError> {
        bytes.fill(1);
        Ok(())
    }
}
