//! A question to a KDC, over TCP: to one after the other, until one answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use certadm_kerberos::client::{Question, answer_size};
use certadm_kerberos::message::{ErrorCode, KrbError};

use super::error::KerberosError;
use super::locate::Kdcs;
use super::timed::Timed;

/// How long a connection to one KDC may take where there are others.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses of one KDC that are tried.
const MAX_ADDRESSES: usize = 4;

/// The answer of the first KDC that has one.
///
/// # Errors
/// [`KerberosError::Unreachable`].
pub(super) fn ask(kdcs: &Kdcs, question: &Question, patience: Duration) -> Result<Vec<u8>, KerberosError> {
    let mut tried = Vec::new();
    let mut busy = None;
    for (host, port) in &kdcs.places {
        match ask_one(host, *port, question, patience) {
            // Another one may be better.
            Ok(answer) if is_busy(&answer) => busy = Some(answer),
            Ok(answer) => return Ok(answer),
            Err(error) => tried.push(format!("{host}:{port}: {error}")),
        }
    }
    busy.ok_or_else(|| KerberosError::Unreachable {
        realm: question.realm.clone(),
        tried: format!("named by {}; {}", kdcs.named_by, tried.join("; ")),
    })
}

/// Whether a KDC says that it cannot answer now.
fn is_busy(answer: &[u8]) -> bool {
    KrbError::is_one(answer)
        && KrbError::decode(answer).is_ok_and(|error| error.code == ErrorCode::SERVICE_UNAVAILABLE)
}

fn ask_one(host: &str, port: u16, question: &Question, patience: Duration) -> io::Result<Vec<u8>> {
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.take(MAX_ADDRESSES).collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience.min(PATIENCE)) {
            Ok(stream) => return talk(stream, question, patience),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn talk(mut stream: TcpStream, question: &Question, patience: Duration) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(&question.framed())?;
    let mut answers = Timed::new(&stream, patience);
    let mut length = [0; 4];
    answers.read_exact(&mut length)?;
    let size = answer_size(length).map_err(io::Error::other)?;
    // What comes is held, not what was announced.
    let mut answer = Vec::new();
    answers.take(size as u64).read_to_end(&mut answer)?;
    if answer.len() < size { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(answer) }
}
