//! Just enough of HTTP for services that tests run in their own process.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// A request: its first line, its headers by their names in small letters, its body.
pub(crate) struct Request {
    pub(crate) first: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Reads one; `None` when the connection ends.
    pub(crate) fn read(stream: &TcpStream) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first).ok().filter(|len| *len != 0)?;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        Some(Self { first, headers, body })
    }
}

/// Answers callers on a port of loopback, each connection on a thread of its own, until `answer` gives `None` for it. Returns the
/// address.
pub(crate) fn serve<S: Send + Sync + 'static>(
    service: &Arc<S>,
    answer: fn(&S, &TcpStream) -> Option<()>,
) -> String {
    let service = Arc::clone(service);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let own = Arc::clone(&service);
            std::thread::spawn(move || while answer(&own, &stream).is_some() {});
        }
    });
    address
}

/// Writes an answer; to a HEAD (`head`) without its body.
pub(crate) fn reply(
    stream: &TcpStream,
    status: &str,
    headers: &[&str],
    body: &[u8],
    head: bool,
) -> Option<()> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    headers.iter().for_each(|header| text += &format!("{header}\r\n"));
    text += "\r\n";
    let mut all = text.into_bytes();
    if !head {
        all.extend_from_slice(body);
    }
    let mut stream = stream;
    stream.write_all(&all).ok()
}
