//! Somebody who is told of alarms: a small server on the loopback address that the webhook of the drill's configuration leads to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use certadm_files::IoContext;
use serde_json::Value;

use crate::failure::Failure;

/// No message is longer than this, in bytes.
const MAX_MESSAGE: u64 = 1 << 20;
/// Whoever says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(30);

/// Everything that was told, in its order.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Listener {
    /// Begins to listen.
    ///
    /// # Errors
    /// Those of the system.
    pub(super) fn start() -> Result<Self, Failure> {
        let place = std::path::Path::new("the loopback address");
        let socket = TcpListener::bind(("127.0.0.1", 0)).during("listen on", place)?;
        let address = socket.local_addr().during("listen on", place)?;
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let all = Arc::clone(&heard);
        // It goes with the process: when the drill ends, nobody tells anything.
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                // One that cannot be understood is missed when the alarms are compared.
                let Ok(message) = read(&stream) else { continue };
                all.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                // Whoever tells it waits for this.
                (&stream).write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").ok();
            }
        });
        Ok(Self { address, heard })
    }

    /// What was told so far.
    pub(super) fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads a request, and gives its message.
fn read(stream: &TcpStream) -> std::io::Result<Value> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.take(MAX_MESSAGE));
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().unwrap_or_default();
        }
    }
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}
