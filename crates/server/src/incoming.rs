//! Cutting PDUs from a connection's bytes, each before its deadline.

use std::io;
use std::time::Instant;

use certadm_wire::rpc::{Header, MAX_FRAGMENT, PduError};

use crate::limits::Limits;
use crate::transport::Stream;

/// The bytes that have come and are not used yet: never more than one fragment.
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
        Self { buffer: vec![0; MAX_FRAGMENT.into()], filled: 0 }
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
                    pdu.extend_from_slice(whole);
                    self.buffer.copy_within(length..self.filled, 0);
                    self.filled -= length;
                    return Ok(header);
                }
            }
            if deadline <= Instant::now() {
                return Err(IncomingError::TimedOut);
            }
            // There is room: a PDU that fills the buffer would have been whole.
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
}
