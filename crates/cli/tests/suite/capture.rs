//! A relay that writes down what passes, and captures made of that: files as tcpdump writes them.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Where the relay listens: on the ports of the service, since a client goes on to the port it is told, at the address it
/// dialled.
pub(crate) const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// The most bytes of one segment in a capture: what fits into an Ethernet frame.
const SEGMENT: usize = 1448;

/// One read from one end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Passed {
    at: Duration,
    connection: u16,
    /// The service's port.
    pub(crate) port: u16,
    pub(crate) from_client: bool,
    pub(crate) bytes: Vec<u8>,
}

/// A relay between clients and a service on loopback. It listens until the test's process ends.
pub(crate) struct Relay {
    record: Arc<Mutex<Vec<Passed>>>,
}

impl Relay {
    /// Relays these ports of 127.0.0.1.
    pub(crate) fn start(ports: &[u16]) -> Self {
        Self::between(RELAY, IpAddr::V4(Ipv4Addr::LOCALHOST), ports)
    }

    /// Relays these ports of `far` at `near`.
    pub(crate) fn between(near: IpAddr, far: IpAddr, ports: &[u16]) -> Self {
        let record = Arc::new(Mutex::new(Vec::new()));
        let begun = Instant::now();
        let number = Arc::new(Mutex::new(0));
        for &port in ports {
            let listener = TcpListener::bind((near, port)).unwrap();
            let (record, number) = (Arc::clone(&record), Arc::clone(&number));
            thread::spawn(move || {
                for client in listener.incoming() {
                    let client = client.unwrap();
                    let service = TcpStream::connect(SocketAddr::from((far, port))).unwrap();
                    let connection = {
                        let mut number = number.lock().unwrap();
                        *number += 1;
                        *number
                    };
                    for from_client in [true, false] {
                        let ends = [client.try_clone().unwrap(), service.try_clone().unwrap()];
                        let record = Arc::clone(&record);
                        let passed =
                            Passed { at: Duration::ZERO, connection, port, from_client, bytes: Vec::new() };
                        thread::spawn(move || pump(ends, &record, begun, &passed));
                    }
                }
            });
        }
        Self { record }
    }

    /// Everything that has passed, in the order in which it did.
    pub(crate) fn record(&self) -> Vec<Passed> {
        self.record.lock().unwrap().clone()
    }
}

/// Carries one direction to its end. What is written down before it goes on is before its answer in the record.
fn pump([client, service]: [TcpStream; 2], record: &Mutex<Vec<Passed>>, begun: Instant, passed: &Passed) {
    let (mut from, mut to) = if passed.from_client { (client, service) } else { (service, client) };
    let mut buffer = vec![0; 65536];
    loop {
        let count = from.read(&mut buffer).unwrap_or(0);
        let bytes = buffer[..count].to_vec();
        record.lock().unwrap().push(Passed { at: begun.elapsed(), bytes, ..passed.clone() });
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            to.shutdown(Shutdown::Write).ok();
            return;
        }
    }
}

/// A capture: packets of IPv4 and TCP such as would have carried what passed.
pub(crate) fn pcap(record: &[Passed]) -> Vec<u8> {
    const RAW_IP: u32 = 101;
    let mut file = Vec::new();
    for field in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, RAW_IP] {
        file.extend(field.to_le_bytes());
    }
    let mut flows: Vec<Flow> = Vec::new();
    for passed in record {
        let place = flows.iter().position(|flow| flow.connection == passed.connection);
        let place = place.unwrap_or_else(|| {
            let mut flow = Flow { connection: passed.connection, port: passed.port, sent: [1000, 5000] };
            flow.open(&mut file, passed.at);
            flows.push(flow);
            flows.len() - 1
        });
        flows[place].carry(&mut file, passed);
    }
    file
}

struct Flow {
    connection: u16,
    port: u16,
    /// The next sequence number of the client, and of the service.
    sent: [u32; 2],
}

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;

impl Flow {
    fn open(&mut self, file: &mut Vec<u8>, at: Duration) {
        self.packet(file, at, true, SYN, &[]);
        self.packet(file, at, false, SYN | ACK, &[]);
        self.packet(file, at, true, ACK, &[]);
    }

    fn carry(&mut self, file: &mut Vec<u8>, passed: &Passed) {
        if passed.bytes.is_empty() {
            self.packet(file, passed.at, passed.from_client, FIN | ACK, &[]);
        }
        for segment in passed.bytes.chunks(SEGMENT) {
            self.packet(file, passed.at, passed.from_client, PSH | ACK, segment);
        }
    }

    fn packet(&mut self, file: &mut Vec<u8>, at: Duration, from_client: bool, flags: u8, data: &[u8]) {
        let length = u16::try_from(40 + data.len()).unwrap();
        let micros = at.subsec_micros();
        // Any day will do.
        for field in
            [1_700_000_000 + u32::try_from(at.as_secs()).unwrap(), micros, length.into(), length.into()]
        {
            file.extend(field.to_le_bytes());
        }
        let client = (Ipv4Addr::LOCALHOST, 40000 + self.connection);
        let service = (Ipv4Addr::new(127, 0, 0, 2), self.port);
        let (source, target) = if from_client { (client, service) } else { (service, client) };
        let own = usize::from(!from_client);
        let acknowledged = if flags & ACK == 0 { 0 } else { self.sent[1 - own] };

        let mut header = vec![0x45, 0];
        header.extend(length.to_be_bytes());
        header.extend([0, 0, 0x40, 0, 64, 6, 0, 0]); // no fragments, TCP; checksum below
        header.extend(source.0.octets());
        header.extend(target.0.octets());
        let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let folded = (sum & 0xffff) + (sum >> 16);
        header[10..12].copy_from_slice(&(!u16::try_from(folded).unwrap()).to_be_bytes());
        file.extend(header);

        file.extend(source.1.to_be_bytes());
        file.extend(target.1.to_be_bytes());
        file.extend(self.sent[own].to_be_bytes());
        file.extend(acknowledged.to_be_bytes());
        file.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]); // window, no checksum, as where the card makes it
        file.extend(data);
        let flagged = u32::from(flags & (SYN | FIN) != 0);
        self.sent[own] = self.sent[own].wrapping_add(u32::try_from(data.len()).unwrap() + flagged);
    }
}
