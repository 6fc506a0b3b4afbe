//! A question to a KDC, over TCP: to one after the other, until one answers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use certadm_kerberos::client::{Question, Worth, answer_size, worth};

use super::dns::KdcPlace;
use super::error::KerberosError;
use super::locate::Kdcs;
use super::timed::Timed;

/// How long a connection to one KDC may take where there are others.
const PATIENCE: Duration = Duration::from_secs(5);
/// Addresses of one KDC that are tried.
const MAX_ADDRESSES: usize = 4;
/// When so much time has passed with a question, no other KDC is asked.
const LONGEST: Duration = Duration::from_secs(40);

/// The answer of the first KDC that has one. `failed` gets those that had none, so that others are asked before them the next
/// time.
///
/// # Errors
/// [`KerberosError::Unreachable`].
pub(super) fn ask(
    kdcs: &Kdcs,
    question: &Question,
    patience: Duration,
    failed: &mut Vec<KdcPlace>,
) -> Result<Vec<u8>, KerberosError> {
    let began = Instant::now();
    let mut tried = Vec::new();
    // The best answer that is no good one: that a KDC cannot answer now says more than what is no message.
    let (mut busy, mut unreadable) = (None, None);
    for (number, place) in kdcs.places.iter().enumerate() {
        if LONGEST <= began.elapsed() {
            tried.push(format!("{} more were not asked for want of time", kdcs.places.len() - number));
            break;
        }
        let (host, port) = place;
        match ask_one(host, *port, question, patience) {
            Ok(answer) => match worth(&answer) {
                Worth::Final => return Ok(answer),
                Worth::Unavailable => busy = Some(answer),
                Worth::Unreadable => unreadable = Some(answer),
            },
            Err(error) => tried.push(format!("{host}:{port}: {error}")),
        }
        failed.push(place.clone());
    }
    busy.or(unreadable).ok_or_else(|| KerberosError::Unreachable {
        realm: question.realm.clone(),
        tried: format!("named by {}; {}", kdcs.named_by, tried.join("; ")),
    })
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
    use std::thread::spawn;

    use certadm_kerberos::Moment;
    use certadm_kerberos::message::{ErrorCode, KrbError};
    use certadm_rules::FileTime;

    use super::*;

    /// A KDC that gives this answer to one question.
    fn kdc(answer: Vec<u8>) -> KdcPlace {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = ("127.0.0.1".to_owned(), listener.local_addr().unwrap().port());
        // Where it is not asked, it waits until the tests end.
        spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.read_exact(&mut [0; 4 + 8]).unwrap();
            stream.write_all(&u32::try_from(answer.len()).unwrap().to_be_bytes()).unwrap();
            stream.write_all(&answer).unwrap();
        });
        place
    }

    fn refusal(code: ErrorCode) -> Vec<u8> {
        let error = KrbError {
            code,
            server_time: Moment::from(FileTime(0)),
            client_realm: None,
            service: None,
            text: None,
            data: None,
        };
        error.encode()
    }

    /// Asks KDCs that answer so, one after the other. The last answer that comes back, and how many had none.
    fn asked(answers: Vec<Vec<u8>>) -> (Vec<u8>, usize) {
        let places: Vec<_> = answers.into_iter().map(kdc).collect();
        let kdcs = Kdcs { places: places.clone(), named_by: "a test".to_owned() };
        let question = Question { realm: "TOY.TEST".to_owned(), message: vec![0; 8] };
        let mut failed = Vec::new();
        let answer = ask(&kdcs, &question, Duration::from_secs(60), &mut failed).unwrap();
        assert_eq!(failed, places[..failed.len()]);
        (answer, failed.len())
    }

    #[test]
    fn a_kdc_that_cannot_answer_now_sends_to_the_next_whether_it_names_a_service_or_not() {
        let good = refusal(ErrorCode::PREAUTH_REQUIRED);
        for code in [ErrorCode::SERVICE_UNAVAILABLE, ErrorCode::GENERIC] {
            assert_eq!(asked(vec![refusal(code), good.clone()]), (good.clone(), 1), "{code}");
        }
        for malformed in [Vec::new(), b"HTTP/1.1 400 Bad Request".to_vec(), good[..good.len() - 1].to_vec()] {
            assert_eq!(asked(vec![malformed, good.clone()]), (good.clone(), 1));
        }
        // Where none has a better one.
        let generic = refusal(ErrorCode::GENERIC);
        assert_eq!(asked(vec![generic.clone(), b"x".to_vec()]), (generic, 2));
        assert_eq!(asked(vec![b"x".to_vec()]), (b"x".to_vec(), 1));
    }
}
