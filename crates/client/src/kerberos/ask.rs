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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::{JoinHandle, spawn};

    use certadm_kerberos::Moment;
    use certadm_rules::FileTime;

    use super::*;

    /// A KDC that gives this answer to one question.
    fn kdc(answer: Vec<u8>) -> ((String, u16), JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = ("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        let thread = spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.read_exact(&mut [0; 4 + 8]).unwrap();
            stream.write_all(&u32::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        });
        (place, thread)
    }

    #[test]
    fn a_kdc_that_cannot_answer_now_sends_to_the_next_whether_it_names_a_service_or_not() {
        let busy = KrbError {
            code: ErrorCode::SERVICE_UNAVAILABLE,
            server_time: Moment::from(FileTime(0)),
            client_realm: None,
            service: None,
            text: None,
            data: None,
        };
        let (first, first_thread) = kdc(busy.encode());
        let (second, second_thread) = kdc(b"answer".to_vec());
        let kdcs = Kdcs { places: vec![first, second], named_by: "a test".to_owned() };
        let question = Question { realm: "TOY.TEST".to_owned(), message: vec![0; 8] };
        assert_eq!(ask(&kdcs, &question, Duration::from_secs(60)).unwrap(), b"answer");
        first_thread.join().unwrap();
        second_thread.join().unwrap();
    }
}
