//! The receiving half of a connection: a thread that takes bytes off the socket and cuts them into whole PDUs, and
//! that sends the next request as soon as the answer before it is complete.
//!
//! Memory is constant: the thread fills a fixed number of buffers, which the caller gives back; when all are in use
//! the socket is left alone and the peer has to wait.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use certadm_proto::rpc::{Flags, Header, MAX_FRAGMENT, PduError, PduKind};

use crate::outlet::Outlet;
use crate::stream::Stream;

/// Bytes of one buffer.
const BUFFER: usize = 128 * 1024;
/// Buffers between socket and caller: room for more than two answers of the usual size.
const BUFFERS: usize = 12;

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

/// A buffer with whole PDUs, and how many bytes of it they take.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    len: usize,
}

/// What the caller holds of the thread.
#[derive(Debug)]
pub(crate) struct Feed {
    pieces: Receiver<Result<Piece, Ended>>,
    pool: SyncSender<Vec<u8>>,
    current: Piece,
    position: usize,
    thread: Option<std::thread::JoinHandle<()>>,
    stream: Stream,
}

impl Feed {
    /// Starts the thread on another handle of `stream`.
    pub(crate) fn start(stream: &Stream, outlet: Arc<Mutex<Outlet>>) -> io::Result<Self> {
        let (to_caller, pieces) = sync_channel(BUFFERS);
        let (pool, from_pool) = sync_channel(BUFFERS);
        for _ in 0..BUFFERS {
            // There is room for all of them, and the other end is held here.
            pool.send(Vec::new()).ok();
        }
        let (input, stream) = (stream.try_clone()?, stream.try_clone()?);
        let thread = std::thread::Builder::new()
            .name("certadm-read".to_owned())
            .spawn(move || read(&input, &from_pool, &to_caller, &outlet))?;
        Ok(Self {
            pieces,
            pool,
            current: Piece { bytes: Vec::new(), len: 0 },
            position: 0,
            thread: Some(thread),
            stream,
        })
    }

    /// The next PDU with its header, to be unsealed in place.
    ///
    /// # Errors
    /// `None` after `timeout` without any; else why there will be no more.
    pub(crate) fn next(&mut self, timeout: Duration) -> Result<(Header, &mut [u8]), Option<Ended>> {
        if self.current.len <= self.position {
            let next = match self.pieces.recv_timeout(timeout) {
                Ok(piece) => piece.map_err(Some)?,
                Err(RecvTimeoutError::Timeout) => return Err(None),
                // The thread has told the reason before.
                Err(RecvTimeoutError::Disconnected) => return Err(Some(Ended::Closed)),
            };
            let used = std::mem::replace(&mut self.current, next);
            self.position = 0;
            if used.len > 0 {
                // A thread that has ended needs no more buffers.
                self.pool.send(used.bytes).ok();
            }
        }
        let rest = self.current.bytes.get_mut(self.position..self.current.len).unwrap_or_default();
        let header = Header::decode(rest).map_err(|error| Some(Ended::Pdu(error)))?;
        let size = usize::from(header.fragment_length).min(rest.len());
        self.position += size;
        Ok((header, rest.get_mut(..size).unwrap_or_default()))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stream.shut();
        // A thread that waits for a buffer, or for room in the channel, is let go by these.
        let (_, nothing) = sync_channel(0);
        self.pieces = nothing;
        let (no_pool, _) = sync_channel(0);
        self.pool = no_pool;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The thread: reads until the stream ends or the caller is gone.
fn read(
    mut stream: &Stream,
    pool: &Receiver<Vec<u8>>,
    to_caller: &SyncSender<Result<Piece, Ended>>,
    outlet: &Mutex<Outlet>,
) {
    let mut rest: Vec<u8> = Vec::new();
    while let Ok(mut bytes) = pool.recv() {
        if bytes.len() < BUFFER {
            // The system's zeros cost nothing until they are touched.
            bytes = vec![0; BUFFER];
        }
        let mut filled = rest.len();
        bytes[..filled].copy_from_slice(&rest);
        let mut ended = None;
        // One whole PDU at least; more if they are there.
        let whole = loop {
            match stream.read(&mut bytes[filled..]) {
                Ok(0) => ended = Some(Ended::Closed),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => ended = Some(Ended::Io(error)),
            }
            match cut(&bytes[..filled], outlet) {
                Ok(0) if ended.is_none() => {}
                Ok(whole) => break whole,
                Err((whole, error)) => {
                    ended = Some(Ended::Pdu(error));
                    break whole;
                }
            }
        };
        rest.clear();
        rest.extend_from_slice(&bytes[whole..filled]);
        if whole > 0 && to_caller.send(Ok(Piece { bytes, len: whole })).is_err() {
            return;
        }
        if let Some(ended) = ended {
            to_caller.send(Err(ended)).ok(); // a caller that is gone does not ask
            return;
        }
    }
}

/// How many bytes at the front are whole PDUs. An answer that ends there lets the armed request go.
fn cut(bytes: &[u8], outlet: &Mutex<Outlet>) -> Result<usize, (usize, PduError)> {
    let mut whole = 0;
    loop {
        let rest = &bytes[whole..];
        let Some(header) = Header::peek(rest, MAX_FRAGMENT).map_err(|error| (whole, error))? else {
            return Ok(whole);
        };
        let size = usize::from(header.fragment_length);
        if rest.len() < size {
            return Ok(whole);
        }
        if header.kind == PduKind::Response && header.flags.has(Flags::LAST) {
            outlet.lock().unwrap_or_else(PoisonError::into_inner).answer_arrived(header.call_id);
        }
        whole += size;
    }
}
