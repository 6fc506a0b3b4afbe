//! A proxy that keeps everything back for half a round trip in each direction, as a long line does. It has no limit of bandwidth,
//! and room for all that is under way.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::error::Result;

/// How much is taken at once.
const CHUNK: usize = 256 << 10;
/// How many such pieces may be under way: 128 MiB.
const PIECES: usize = 512;

/// A piece of a stream, and when it arrives.
type Piece = (Instant, Vec<u8>);

/// The line: one delay for all ports that lead over it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    /// Of a round trip, in microseconds.
    round_trip: Arc<AtomicU64>,
}

impl Line {
    /// From now on a round trip takes so many milliseconds.
    pub(crate) fn set(&self, milliseconds: u64) {
        self.round_trip.store(milliseconds * 1000, Ordering::SeqCst);
    }

    /// Lets connections to `from` go to `to` over the line, as long as the program runs.
    ///
    /// # Errors
    /// Nothing can listen there.
    pub(crate) fn lead(&self, from: SocketAddr, to: SocketAddr) -> Result<()> {
        let listener = TcpListener::bind(from)?;
        let line = self.clone();
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // A service that is gone closes the connection, as a refusal would do it a moment later.
                if let Ok(far) = TcpStream::connect(to) {
                    line.carry(&near, &far).ok();
                }
            }
        });
        Ok(())
    }

    fn carry(&self, near: &TcpStream, far: &TcpStream) -> Result<()> {
        for stream in [near, far] {
            stream.set_nodelay(true)?;
        }
        for (from, to) in [(near, far), (far, near)] {
            let (from, to) = (from.try_clone()?, to.try_clone()?);
            let (sender, receiver) = sync_channel(PIECES);
            let line = self.clone();
            std::thread::spawn(move || line.take(from, &sender));
            std::thread::spawn(move || deliver(to, &receiver));
        }
        Ok(())
    }

    /// Takes what comes, and notes when it is to arrive.
    fn take(&self, mut from: TcpStream, to: &SyncSender<Piece>) {
        let mut buffer = vec![0; CHUNK];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            let way = Duration::from_micros(self.round_trip.load(Ordering::SeqCst) / 2);
            if to.send((Instant::now() + way, buffer[..len].to_vec())).is_err() {
                break;
            }
        }
    }
}

/// Delivers what has been under way long enough; the end of the stream, too.
fn deliver(mut to: TcpStream, from: &Receiver<Piece>) {
    for (due, bytes) in from {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    // Whoever waits for more has to learn that nothing comes.
    to.shutdown(Shutdown::Write).ok();
}
