//! How fast one core seals and unseals, in MB/s (10^6 bytes of body a second), for response PDUs of 5840 bytes.
//!
//! Sealing and unsealing are the ceiling of everything that travels with packet privacy, by NTLM or Kerberos. The separate
//! RustCrypto crates doing the same work are the yardstick for the fused kernel of NTLM in `auth`.

use std::hint::black_box;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Barrier};
use std::time::Instant;

use certadm_auth::{
    AccountName, AccountStore, AuthError, AuthType, Credentials, Environment, Established, FileTime, Flavour,
    Level, NtHash, Password, Protection, Sealer, Segments, ServerNames, Service, Unsealer, Workstation,
    initiator,
};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use rc4::{Rc4, StreamCipher};

use crate::error::Result;
use crate::handshake::shake_hands;
use crate::table::median;

/// Bytes of a fragment (wire.md 2.8).
const FRAGMENT: usize = 5840;
const HEADER: usize = 24;
const TRAILER: usize = 8;
/// Fragments of one measurement: a quarter of a second's work.
const PDUS: u32 = 20_000;
/// Fragments handed over at once, about 128 KiB, and how many such batches there are.
const BATCH: u32 = 20;
const BATCHES: usize = 8;
const PRIVACY: Protection = Protection { level: Level::Privacy, header_signing: true };

/// Makes a finished context at both ends: the client's, the server's.
type Connect = fn() -> Result<(Established, Established)>;

/// What was measured, in MB/s; one value a round.
#[derive(Debug)]
pub(crate) struct SealSpeed {
    connect: Connect,
    seal: Vec<f64>,
    unseal: Vec<f64>,
    /// The slower of the two while one core seals and another unseals, each its own.
    both: Vec<f64>,
    /// What one core seals and another unseals, handed over in memory.
    handed: Vec<f64>,
    /// Of NTLM alone.
    separate: Vec<f64>,
}

impl SealSpeed {
    /// That of NTLM.
    pub(crate) fn ntlm() -> Self {
        Self::by(|| Ok(connect()?))
    }

    /// That of Kerberos with AES-256.
    pub(crate) fn kerberos() -> Self {
        Self::by(crate::domain::context)
    }

    fn by(connect: Connect) -> Self {
        let (seal, unseal, both, handed, separate) = Default::default();
        Self { connect, seal, unseal, both, handed, separate }
    }

    /// The slower of sealing and unsealing, each with the machine to itself.
    pub(crate) fn ceiling_alone(&self) -> f64 {
        median(&self.seal).min(median(&self.unseal))
    }

    pub(crate) fn print(&self) {
        let line = |what: &str, values: &[f64]| println!("{what:48} {:5.0} MB/s", median(values));
        line("in-process seal, one core", &self.seal);
        line("in-process unseal, one core", &self.unseal);
        line("both at once, one core each: the slower", &self.both);
        line("sealed on one core, unsealed on another", &self.handed);
        if !self.separate.is_empty() {
            line("seal by the separate crates rc4, hmac and md-5", &self.separate);
        }
    }

    /// The slower of sealing and unsealing, of unrelated PDUs, while each has a core.
    pub(crate) fn ceiling_unrelated(&self) -> f64 {
        median(&self.both)
    }

    /// What the separate crates seal on one core.
    pub(crate) fn ceiling_separate(&self) -> f64 {
        median(&self.separate)
    }

    /// Measures everything once more. Returns the ceiling of a sealed connection on two cores: what one seals and another unseals
    /// when nothing is between them but memory.
    pub(crate) fn measure(&mut self) -> Result<f64> {
        let (client, server) = (self.connect)()?;
        let (mut sealer, mut unsealer) = (server.sealer, client.unsealer);
        let body = body_of(&sealer);
        let mut first = vec![unsealed(&sealer); PDUS as usize];
        let mut second = first.clone();
        let token = sealer.token_size(Level::Privacy);
        self.seal.push(rate(body, || seal(&mut sealer, &mut first))?);
        self.unseal.push(rate(body, || unseal(&mut unsealer, token, &mut first))?);

        seal(&mut sealer, &mut first)?;
        let start = Barrier::new(2);
        let (sealed, unsealed) = std::thread::scope(|scope| {
            let sealing = scope.spawn(|| {
                start.wait();
                rate(body, || seal(&mut sealer, &mut second)).map_err(|error| error.to_string())
            });
            start.wait();
            (sealing.join(), rate(body, || unseal(&mut unsealer, token, &mut first)))
        });
        let sealed = sealed.map_err(|_| "the sealing thread died")??;
        self.both.push(sealed.min(unsealed?));
        let (client, server) = (self.connect)()?;
        let (mut sealer, mut unsealer) = (server.sealer, client.unsealer);
        let handed = rate(body, || hand_over(&mut sealer, &mut unsealer))?;
        self.handed.push(handed);
        if sealer.at_once(Level::Privacy) == 1 {
            self.separate.push(separate(&mut first, body)?);
        }
        Ok(handed)
    }
}

/// What the crates rc4, hmac and md-5 make of the PDUs.
fn separate(pdus: &mut [Vec<u8>], body: usize) -> Result<f64> {
    let mut rc4 = Rc4::new_from_slice(&[7; 16])?;
    rate(body, || {
        for pdu in pdus {
            let mut mac = Hmac::<Md5>::new_from_slice(&[9; 16])?;
            mac.update(&[0; 4]);
            mac.update(&pdu[..HEADER + body + TRAILER]);
            black_box(mac.finalize());
            rc4.apply_keystream(&mut pdu[HEADER..HEADER + body]);
        }
        Ok(())
    })
}

/// Room for the body in a fragment: a multiple of 16 bytes.
fn body_of(sealer: &Sealer) -> usize {
    (FRAGMENT - HEADER - TRAILER - sealer.token_size(Level::Privacy)) / 16 * 16
}

/// A PDU to be sealed.
pub(crate) fn unsealed(sealer: &Sealer) -> Vec<u8> {
    vec![0x30; HEADER + body_of(sealer) + TRAILER + sealer.token_size(Level::Privacy)]
}

fn rate(body: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    #[expect(clippy::cast_precision_loss, reason = "a fragment's size")]
    Ok(f64::from(PDUS) * body as f64 / 1e6 / start.elapsed().as_secs_f64())
}

/// Seals as many PDUs as everywhere on a thread, and unseals them here: as a connection does it, without connection.
fn hand_over(sealer: &mut Sealer, unsealer: &mut Unsealer) -> Result<()> {
    let (to_unseal, sealed) = sync_channel::<Vec<Vec<u8>>>(BATCHES);
    let (to_seal, empty) = sync_channel(BATCHES);
    for _ in 0..BATCHES {
        to_seal.send(vec![unsealed(sealer); BATCH as usize])?;
    }
    let token = sealer.token_size(Level::Privacy);
    std::thread::scope(|scope| {
        let sealing = scope.spawn(move || {
            for _ in 0..PDUS / BATCH {
                let mut batch: Vec<Vec<u8>> = empty.recv().map_err(|error| error.to_string())?;
                seal(sealer, &mut batch).map_err(|error| error.to_string())?;
                to_unseal.send(batch).map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(())
        });
        for mut batch in sealed {
            unseal(unsealer, token, &mut batch)?;
            to_seal.send(batch).ok(); // the thread that has sealed all takes none back
        }
        Ok(sealing.join().map_err(|_| "the sealing thread died")??)
    })
}

pub(crate) fn seal(sealer: &mut Sealer, pdus: &mut [Vec<u8>]) -> Result<()> {
    let token = sealer.token_size(Level::Privacy);
    for together in pdus.chunks_mut(sealer.at_once(Level::Privacy)) {
        let parts = together.iter_mut().map(|pdu| Segments::split(pdu, HEADER, token));
        sealer.seal_all(PRIVACY, parts.collect::<std::result::Result<_, _>>()?)?;
    }
    Ok(())
}

pub(crate) fn unseal(unsealer: &mut Unsealer, token: usize, pdus: &mut [Vec<u8>]) -> Result<()> {
    for pdu in pdus {
        let (segments, token) = Segments::split(pdu, HEADER, token)?;
        unsealer.unseal(PRIVACY, segments, token)?;
    }
    Ok(())
}

/// A finished context at both ends.
pub(crate) fn connect() -> std::result::Result<(Established, Established), AuthError> {
    let service = Service::new(ServerNames::new("CA1", "CA1", None)?, Arc::new(Alice), Arc::new(Constant));
    let credentials =
        Credentials { account: AccountName::new("", "alice"), password: Password::new("measure".to_owned()) };
    let workstation = Workstation::new("bench", Arc::new(Constant));
    let client = initiator(Flavour::Ntlm, &credentials, "HOST/ca1", Level::Privacy, &workstation)?;
    shake_hands(client, service.acceptor(AuthType::NTLM, Level::Privacy)?)
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

    fn fill_random(&self, bytes: &mut [u8]) -> std::result::Result<(), AuthError> {
        bytes.fill(1);
        Ok(())
    }
}
