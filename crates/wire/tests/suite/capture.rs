//! Captured traffic as PDUs: pcap and pcapng, Ethernet, IPv4 and IPv6, TCP put together by sequence numbers. Just enough for the
//! captures that there are; what is none of DCE/RPC is left out.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use certadm_wire::rpc::Header;

/// One direction of a TCP connection: addresses and ports of sender and receiver.
type Direction = (Vec<u8>, u16, Vec<u8>, u16);

/// What one end sent over a connection.
pub(crate) struct Sent {
    direction: Direction,
    /// The PDUs in their order, as far as the stream is without a gap.
    pub(crate) pdus: Vec<Vec<u8>>,
}

impl Sent {
    /// The other end of the same connection.
    pub(crate) fn answers<'s>(&self, all: &'s [Sent]) -> Option<&'s Sent> {
        let (from, from_port, to, to_port) = &self.direction;
        let back = (to.clone(), *to_port, from.clone(), *from_port);
        all.iter().find(|sent| sent.direction == back)
    }
}

/// The folder of captures; `None`, and a line that says so, where it is not there.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/wire");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: there are no captures in {}", folder.display());
    None
}

/// What both ends of each connection sent that is DCE/RPC.
pub(crate) fn read(path: &Path) -> Vec<Sent> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).unwrap();
    ruzstd::decoding::StreamingDecoder::new(file).unwrap().read_to_end(&mut bytes).unwrap();
    let mut streams: BTreeMap<Direction, Vec<(u32, Vec<u8>)>> = BTreeMap::new();
    for frame in frames(&bytes) {
        if let Some((direction, sequence, payload)) = segment(frame)
            && !payload.is_empty()
        {
            streams.entry(direction).or_default().push((sequence, payload.to_vec()));
        }
    }
    let sent =
        streams.into_iter().map(|(direction, segments)| Sent { direction, pdus: pdus(&joined(segments)) });
    sent.filter(|sent| !sent.pdus.is_empty()).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The frames of a capture file.
fn frames(bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    if bytes.starts_with(&[0xd4, 0xc3, 0xb2, 0xa1]) {
        let mut at = 24;
        while at + 16 <= bytes.len() {
            let len = u32_at(bytes, at + 8);
            frames.push(&bytes[at + 16..at + 16 + len]);
            at += 16 + len;
        }
        return frames;
    }
    assert!(bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "neither pcap nor pcapng");
    let mut at = 0;
    while at + 12 <= bytes.len() {
        let (kind, len) = (u32_at(bytes, at), u32_at(bytes, at + 4));
        // An enhanced packet block.
        if kind == 6 {
            let captured = u32_at(bytes, at + 20);
            frames.push(&bytes[at + 28..at + 28 + captured]);
        }
        at += len;
    }
    frames
}

/// The TCP segment in an Ethernet frame.
fn segment(frame: &[u8]) -> Option<(Direction, u32, &[u8])> {
    let network = |at: usize| {
        usize::from(u16::from_be_bytes(frame.get(at..at + 2).unwrap_or(&[0; 2]).try_into().unwrap()))
    };
    let ip = 14;
    let (from, to, tcp, end) = match network(12) {
        0x0800 => {
            let header = usize::from(frame[ip] & 15) * 4;
            if frame[ip + 9] != 6 {
                return None;
            }
            (&frame[ip + 12..ip + 16], &frame[ip + 16..ip + 20], ip + header, ip + network(ip + 2))
        }
        0x86dd if frame[ip + 6] == 6 => {
            (&frame[ip + 8..ip + 24], &frame[ip + 24..ip + 40], ip + 40, ip + 40 + network(ip + 4))
        }
        _ => return None,
    };
    let port = |at| u16::try_from(network(at)).unwrap();
    let direction = (from.to_vec(), port(tcp), to.to_vec(), port(tcp + 2));
    let sequence = u32::from_be_bytes(frame[tcp + 4..tcp + 8].try_into().unwrap());
    let data = tcp + usize::from(frame[tcp + 12] >> 4) * 4;
    Some((direction, sequence, frame.get(data..end.min(frame.len()))?))
}

/// The octets of a direction up to the first gap; what was sent twice counts once.
fn joined(mut segments: Vec<(u32, Vec<u8>)>) -> Vec<u8> {
    let first = segments[0].0;
    segments.sort_by_key(|(sequence, _)| sequence.wrapping_sub(first));
    let mut stream: Vec<u8> = Vec::new();
    for (sequence, payload) in segments {
        let at = sequence.wrapping_sub(first) as usize;
        let Some(known) = stream.len().checked_sub(at) else { break };
        stream.extend(payload.get(known..).unwrap_or_default());
    }
    stream
}

fn pdus(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut pdus = Vec::new();
    let mut rest = stream;
    while let Ok(Some(header)) = Header::peek(rest, u16::MAX) {
        let Some((pdu, after)) = rest.split_at_checked(header.fragment_length.into()) else { break };
        pdus.push(pdu.to_vec());
        rest = after;
    }
    pdus
}

#[test]
fn what_came_out_of_order_and_twice_is_put_together() {
    let segments = vec![
        (10, b"ab".to_vec()),
        (14, b"ef".to_vec()),
        (12, b"cd".to_vec()),
        (12, b"cde".to_vec()),
        (20, b"x".to_vec()),
    ];
    assert_eq!(joined(segments), b"abcdef");
}
