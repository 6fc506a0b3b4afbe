//! Secrets show nowhere: not in Debug output, errors, or what the libraries underneath log at their most talkative.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};

use certadm_auth::{AuthType, Flavour, Level, NtHash, Protection, SealError, Segments, initiator};
use tracing_subscriber::fmt::MakeWriter;

use crate::world::{PRIVACY, acceptor, credentials, shake};

const PASSWORD: &str = "Pa55-wörd";

/// Everything logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn no_secret_is_printed_or_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(log.clone())
        .finish();
    let mut shown = String::new();
    tracing::subscriber::with_default(subscriber, || {
        for flavour in [Flavour::Ntlm, Flavour::NtlmAsNegotiate, Flavour::Spnego] {
            for password in [PASSWORD, "wrong-marker"] {
                let credentials = credentials("CORP", "alice", password);
                let mut client = initiator(flavour, &credentials, "HOST/ca1", Level::Privacy).unwrap();
                let mut server = acceptor(client.auth_type());
                let ends = shake(client.as_mut(), server.as_mut());
                write!(shown, "{credentials:?} {client:?} {server:?} {ends:?}").unwrap();
                if let Err(error) = ends {
                    write!(shown, "{error} {error:?}").unwrap();
                }
            }
        }
    });
    assert!(acceptor(AuthType::SPNEGO).step(&[]).is_err());
    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains("sspi"), "the library logs something");
    for text in [&shown, &logged] {
        for password in [PASSWORD, "wrong-marker"] {
            let hash = NtHash::from_password(password);
            assert!(!text.contains(password));
            assert!(!text.contains(&hex(hash.expose())));
            assert!(!text.contains(&format!("{:?}", hash.expose())));
            let utf16: Vec<u8> = password.encode_utf16().flat_map(u16::to_le_bytes).collect();
            assert!(!text.contains(&hex(&utf16)));
            let list = format!("{utf16:?}");
            assert!(!text.contains(list.trim_matches(['[', ']'])));
            let units = format!("{:?}", password.encode_utf16().collect::<Vec<_>>());
            assert!(!text.contains(units.trim_matches(['[', ']'])));
        }
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
