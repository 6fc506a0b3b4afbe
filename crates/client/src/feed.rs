//! The receiving half of a connection: bytes off the socket, cut into whole PDUs.
//!
//! The socket is emptied while the caller is still busy with what came before: every [`LOOK`] bytes it takes, whatever
//! has arrived meanwhile is moved into the buffer without waiting. So the peer is not held up, and the last fragment of an
//! answer is noticed long before its turn to be unsealed, which lets the next request go ([`Feed::arrived`]). A thread of its
//! own for this would be woken, and interrupt the unsealing, for every few fragments; on two cores, one for each end, that
//! costs more than it brings.
//!
//! Memory is constant: when the buffer is full the socket is left alone and the peer has to wait.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use certadm_wire::rpc::{Flags, Header, MAX_FRAGMENT, PduError, PduKind};

use crate::stream::Stream;

/// Bytes of the buffer: what is left of one answer of the usual size, and the whole of the next.
const BUFFER: usize = 1024 * 1024;
/// Bytes that are taken between two looks at the socket: a tenth of a millisecond's unsealing.
const LOOK: usize = 32 * 1024;

/// Why the stream ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The peer closed it.
    Closed,
    /// The peer sent what is no PDU.
    Pdu(PduError),
    /// Reading failed.
    Io(io::Error),
}

/// What has been received and not been taken.
#[derive(Debug)]
pub(crate) struct Feed {
    stream: Stream,
    bytes: Vec<u8>,
    /// Where the next PDU begins.
    taken: usize,
    /// Where the last whole PDU ends.
    whole: usize,
    /// Where the last byte received ends.
    filled: usize,
    /// Bytes taken since the last look at the socket.
    unlooked: usize,
    /// The last call whose answer has arrived to its last fragment; none has the number 0.
    arrived: u32,
    /// Why nothing comes after what is here.
    ended: Option<Ended>,
}

impl Feed {
    /// Reads from `stream`, a handle of its own.
    pub(crate) const fn new(stream: Stream) -> Self {
        Self {
            stream,
            bytes: Vec::new(),
            taken: 0,
            whole: 0,
            filled: 0,
            unlooked: 0,
            arrived: 0,
            ended: None,
        }
    }

    /// The last call whose answer has arrived to its last fragment, sealed still.
    pub(crate) const fn arrived(&self) -> u32 {
        self.arrived
    }

    /// Sees to it that there is a whole PDU.
    ///
    /// # Errors
    /// `None` after `timeout` without any; else why there will be no more.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<(), Option<Ended>> {
        if self.taken < self.whole {
            if LOOK <= self.unlooked {
                self.look();
            }
            return Ok(());
        }
        let deadline = Instant::now() + timeout;
        while self.taken == self.whole {
            if let Some(ended) = self.ended.take() {
                // Whoever asks again is told as much as is still true.
                self.ended = Some(Ended::Closed);
                return Err(Some(ended));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(None);
            }
            self.stream.set_read_timeout(left).map_err(|error| Some(Ended::Io(error)))?;
            self.receive();
        }
        self.unlooked = 0;
        Ok(())
    }

    /// Takes the next PDU, to be unsealed in place; after [`Feed::wait`] there is one.
    ///
    /// # Errors
    /// [`PduError`] without any.
    pub(crate) fn take(&mut self) -> Result<(Header, &mut [u8]), PduError> {
        let rest = self.bytes.get_mut(self.taken..self.whole).unwrap_or_default();
        let header = Header::decode(rest)?;
        let size = usize::from(header.fragment_length).min(rest.len());
        self.taken += size;
        self.unlooked += size;
        Ok((header, rest.get_mut(..size).unwrap_or_default()))
    }

    /// Moves what has arrived into the buffer, without waiting.
    fn look(&mut self) {
        self.unlooked = 0;
        if self.bytes.len() - self.filled < LOOK && self.taken >= BUFFER / 2 {
            self.move_to_front();
        }
        if self.ended.is_some() || self.bytes.len() == self.filled {
            return;
        }
        match self.stream.set_nonblocking(true) {
            // Each read may let the peer's system send more, which is then here at once.
            Ok(()) => while self.receive() && self.filled < self.bytes.len() {},
            Err(error) => self.ended = Some(Ended::Io(error)),
        }
        if let Err(error) = self.stream.set_nonblocking(false) {
            self.ended = Some(Ended::Io(error));
        }
    }

    /// Reads once and finds the ends of the PDUs in what came; answers whether anything did.
    fn receive(&mut self) -> bool {
        self.make_room();
        let before = self.filled;
        match (&self.stream).read(self.bytes.get_mut(self.filled..).unwrap_or_default()) {
            Ok(0) => self.ended = Some(Ended::Closed),
            Ok(count) => self.filled += count,
            Err(error) if is_nothing(&error) => {}
            Err(error) => self.ended = Some(Ended::Io(error)),
        }
        if let Err(error) = self.cut() {
            self.ended = Some(Ended::Pdu(error));
        }
        before < self.filled && self.ended.is_none()
    }

    /// Once every PDU is taken, the beginning of the next moves to the front: then there is room for the rest of it.
    fn make_room(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = vec![0; BUFFER];
        }
        if self.taken == self.whole {
            self.move_to_front();
        }
    }

    fn move_to_front(&mut self) {
        self.bytes.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.whole -= self.taken;
        self.taken = 0;
    }

    fn cut(&mut self) -> Result<(), PduError> {
        loop {
            let rest = self.bytes.get(self.whole..self.filled).unwrap_or_default();
            let Some(header) = Header::peek(rest, MAX_FRAGMENT)? else { return Ok(()) };
            let size = usize::from(header.fragment_length);
            if rest.len() < size {
                return Ok(());
            }
            if header.kind == PduKind::Response && header.flags.has(Flags::LAST) {
                self.arrived = header.call_id;
            }
            self.whole += size;
        }
    }
}

/// Whether a read gave control back without result: nothing there, its time over, or a signal. Only Windows reports the end of
/// its time as a timeout; elsewhere that is the connection's.
fn is_nothing(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => true,
        ErrorKind::TimedOut => cfg!(windows),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use certadm_wire::rpc::{Body, Pdu, ResponseBody};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn connected() -> (Feed, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = Stream::to_address(listener.local_addr().unwrap(), LONG).unwrap();
        (Feed::new(stream), listener.accept().unwrap().0)
    }

    fn response(call_id: u32, flags: Flags, stub: &[u8]) -> Vec<u8> {
        let body = Body::Response(ResponseBody { alloc_hint: 0, context_id: 0, cancel_count: 0, stub });
        let mut bytes = Vec::new();
        Pdu { flags, call_id, body, verifier: None }.encode(&mut bytes).unwrap();
        bytes
    }

    fn next(feed: &mut Feed) -> Vec<u8> {
        feed.wait(LONG).unwrap();
        feed.take().unwrap().1.to_vec()
    }

    #[test]
    fn pdus_come_whole_however_they_are_cut() {
        let (mut feed, mut peer) = connected();
        let pdus = [response(1, Flags::FIRST, &[7; 100]), response(1, Flags::LAST, &[8; 33])];
        let bytes = pdus.concat();
        for cut in 0..bytes.len() {
            peer.write_all(&bytes[..cut]).unwrap();
            if cut < pdus[0].len() {
                assert!(feed.wait(Duration::from_millis(1)).unwrap_err().is_none(), "{cut}");
            }
            peer.write_all(&bytes[cut..]).unwrap();
            assert_eq!(next(&mut feed), pdus[0], "{cut}");
            assert_eq!(next(&mut feed), pdus[1], "{cut}");
        }
        drop(peer);
        assert!(matches!(feed.wait(LONG), Err(Some(Ended::Closed))));
    }

    #[test]
    fn an_end_is_noticed_while_what_came_before_is_still_being_taken() {
        let (mut feed, mut peer) = connected();
        let middle = response(5, Flags::default(), &[1; 5000]);
        peer.write_all(&middle).unwrap();
        assert_eq!(next(&mut feed), middle);
        let taken = LOOK / middle.len() + 2;
        let mut rest = middle.repeat(taken * 2);
        rest.extend(response(5, Flags::LAST, &[2; 10]));
        peer.write_all(&rest).unwrap();
        for _ in 0..taken {
            assert_eq!(next(&mut feed), middle);
        }
        // More than is looked at once has been taken, so the socket was looked at; half of it is still to be taken.
        let begun = Instant::now();
        while feed.arrived() != 5 && begun.elapsed() < LONG {
            feed.look();
        }
        assert_eq!(feed.arrived(), 5);
        for _ in 0..taken {
            assert_eq!(next(&mut feed), middle);
        }
        assert_eq!(next(&mut feed).len(), 34);
    }

    /// More than the buffer holds waits in the socket, and comes in its order.
    #[test]
    fn memory_is_bounded_and_nothing_is_lost() {
        let (mut feed, mut peer) = connected();
        let count = 3 * BUFFER / 5000;
        let writer = std::thread::spawn(move || {
            for number in 0..count {
                let stub = [u8::try_from(number % 251).unwrap(); 5000];
                peer.write_all(&response(1, Flags::default(), &stub)).unwrap();
            }
        });
        for number in 0..count {
            feed.wait(LONG).unwrap();
            if number % 3 == 0 {
                feed.look();
            }
            let (_, pdu) = feed.take().unwrap();
            assert_eq!(usize::from(pdu[5000]), number % 251);
            assert_eq!(feed.bytes.len(), BUFFER);
        }
        writer.join().unwrap();
        assert!(matches!(feed.wait(LONG), Err(Some(Ended::Closed))));
    }

    #[test]
    fn what_is_no_pdu_shows_after_the_pdus_before_it() {
        let (mut feed, mut peer) = connected();
        let first = response(1, Flags::ONLY, &[1; 10]);
        peer.write_all(&[first.clone(), vec![0xff; 40]].concat()).unwrap();
        assert_eq!(next(&mut feed), first);
        assert!(matches!(feed.wait(LONG), Err(Some(Ended::Pdu(_)))));
        assert!(matches!(feed.wait(LONG), Err(Some(Ended::Closed))));
    }
}
