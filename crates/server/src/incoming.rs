//! Cutting PDUs from a connection's bytes, each before its deadline.

use std::io;
use std::time::Instant;

use certadm_wire::rpc::{Header, MAX_FRAGMENT, PduError};

use crate::limits::Limits;
use crate::transport::Stream;

/// The size of the buffer but for large tickets.
const USUAL: usize = MAX_FRAGMENT as usize;

/// The bytes that have come and are not used yet: never more than one PDU, which may be larger than a fragment of a call when a
/// caller shows who he is by a large ticket. Then the buffer grows with what comes, and shrinks again behind it.
#[derive(Debug)]
pub(crate) struct Incoming {
    buffer: Vec<u8>,
    filled: usize,
}

/// Why no PDU comes any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IncomingError {
    /// The peer has closed the connection between two PDUs.
    #[error("the peer has closed the connection")]
    Closed,
    /// It closed it inside a PDU.
    #[error("the connection was cut inside a message")]
    Cut,
    /// Nothing came for too long, or a message too slowly.
    #[error("the peer was silent or slow for too long")]
    TimedOut,
    /// The service stops.
    #[error("the service stops")]
    Stopping,
    /// What came is no PDU.
    #[error(transparent)]
    Pdu(#[from] PduError),
    /// The system's word.
    #[error("the connection failed")]
    Io(#[from] io::Error),
}

impl Incoming {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; USUAL], filled: 0 }
    }

    /// How many bytes it holds.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Puts the next PDU into `pdu`. Its first byte may come until `patience`, its last one for a bounded time after the
    /// first. `stopping` is asked now and then.
    ///
    /// # Errors
    /// [`IncomingError`]; the connection is of no use afterwards.
    pub(crate) fn next(
        &mut self,
        stream: &Stream,
        pdu: &mut Vec<u8>,
        patience: Instant,
        limits: &Limits,
        stopping: impl Fn() -> bool,
    ) -> Result<Header, IncomingError> {
        let mut deadline =
            if self.filled == 0 { patience } else { patience.min(Instant::now() + limits.pdu) };
        loop {
            let arrived = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(header) = Header::peek(arrived, MAX_FRAGMENT)? {
                let length = usize::from(header.fragment_length);
                if let Some(whole) = arrived.get(..length) {
                    pdu.clear();
                    pdu.shrink_to(USUAL);
                    pdu.extend_from_slice(whole);
                    self.buffer.copy_within(length..self.filled, 0);
                    self.filled -= length;
                    self.shrink();
                    return Ok(header);
                }
                if self.filled == self.buffer.len() {
                    self.buffer.resize(length.min(2 * self.filled), 0);
                }
            }
            if deadline <= Instant::now() {
                return Err(IncomingError::TimedOut);
            }
            // There is room: a PDU that fills the buffer would have been whole, or has made it larger.
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            match stream.read_some(room)? {
                Some(0) if self.filled == 0 => return Err(IncomingError::Closed),
                Some(0) => return Err(IncomingError::Cut),
                Some(count) => {
                    if self.filled == 0 {
                        deadline = patience.min(Instant::now() + limits.pdu);
                    }
                    self.filled += count;
                }
                None if stopping() => return Err(IncomingError::Stopping),
                None => {}
            }
        }
    }

    /// Back to the usual size, as far as what has come behind a large PDU lets it.
    fn shrink(&mut self) {
        if USUAL < self.buffer.len() {
            self.buffer.truncate(self.filled.max(USUAL));
            self.buffer.shrink_to_fit();
        }
    }
}
