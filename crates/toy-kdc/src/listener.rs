//! KDCs behind a port of loopback, for tests of programs that open a socket.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use certadm_kerberos::Environment;
use certadm_kerberos::client::answer_size;

use crate::kdc::Network;

/// KDCs that answer over TCP until it is dropped. All realms are asked at one address.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    asked: AtomicUsize,
}

impl Listener {
    /// Answers on a port that the system picks.
    ///
    /// # Errors
    /// When there is no port.
    pub fn start(network: Network, environment: Arc<dyn Environment>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let (address, shared) = (listener.local_addr()?, Arc::new(Shared::default()));
        let told = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if told.stopping.load(Ordering::SeqCst) {
                    return;
                }
                told.asked.fetch_add(1, Ordering::SeqCst);
                // Whoever leaves in the middle of a question gets no answer.
                answer(stream, &network, &*environment).ok();
            }
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where it is asked.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many questions have come.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // One more connection lets the thread see it.
        TcpStream::connect(self.address).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn answer(mut stream: TcpStream, network: &Network, environment: &dyn Environment) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; answer_size(length).map_err(io::Error::other)?];
    stream.read_exact(&mut message)?;
    let answer = network.answer(&message, environment);
    let length = u32::try_from(answer.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())
}
