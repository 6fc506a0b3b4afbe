//! Event logs as Windows stores them. No log with events of a CA was found whose licence lets it stand here, so the test
//! writes one, as MS-EVEN6 describes the format (2.2.12 on).

use std::fs;
use std::process::Command;

use certadm_files::Found;
use certadm_recovery::gap::{Collector, Gap, Limits};
use certadm_recovery::{Damage, Known, WindowsInventory};

use crate::support::certlog;

const CHUNK: usize = 64 << 10;
/// Where the first chunk begins.
const HEADER: usize = 4 << 10;
/// Where the records of a chunk begin.
const RECORDS: usize = 512;

/// A chunk of a log that is being written.
struct Chunk {
    bytes: Vec<u8>,
    records: u64,
}

impl Chunk {
    fn new() -> Self {
        Self { bytes: vec![0; RECORDS], records: 0 }
    }

    fn record(&mut self, id: u32, data: &[(&str, &str)]) {
        let start = self.bytes.len();
        self.records += 1;
        self.put(&0x2a2a_u32.to_le_bytes());
        self.put(&[0; 4]);
        self.put(&self.records.to_le_bytes());
        self.put(&133_000_000_000_000_000_u64.to_le_bytes());
        // A template that stands where it is used, with all of the event in it and no values to fill in.
        self.put(&[0x0f, 1, 1, 0, 0x0c, 1]);
        self.put(&[0x11; 4]);
        let definition = u32::try_from(self.bytes.len() + 4).unwrap();
        self.put(&definition.to_le_bytes());
        self.put(&[0; 4]);
        self.put(&[0x11; 16]);
        self.sized(|chunk| chunk.event(id, data));
        self.put(&[0; 4]);
        self.put(&[0]);
        let size = u32::try_from(self.bytes.len() + 4 - start).unwrap().to_le_bytes();
        self.put(&size);
        self.bytes[start + 4..start + 8].copy_from_slice(&size);
    }

    fn event(&mut self, id: u32, data: &[(&str, &str)]) {
        self.put(&[0x0f, 1, 1, 0]);
        self.element("Event", &[], |chunk| {
            chunk.element("System", &[], |chunk| {
                chunk.element("Provider", &[("Name", "Microsoft-Windows-Security-Auditing")], |_| {});
                chunk.element("EventID", &[], |chunk| chunk.value(&id.to_string()));
                chunk.element("TimeCreated", &[("SystemTime", "2025-10-01T12:00:00.1234567Z")], |_| {});
                chunk.element("Computer", &[], |chunk| chunk.value("ca1.corp.example"));
            });
            chunk.element("EventData", &[], |chunk| {
                for (name, value) in data {
                    chunk.element("Data", &[("Name", name)], |chunk| chunk.value(value));
                }
            });
        });
        self.put(&[0]);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The length of what `inside` writes, in the four bytes before it.
    fn sized(&mut self, inside: impl FnOnce(&mut Self)) {
        let place = self.bytes.len();
        self.put(&[0; 4]);
        inside(self);
        let size = u32::try_from(self.bytes.len() - place - 4).unwrap();
        self.bytes[place..place + 4].copy_from_slice(&size.to_le_bytes());
    }

    fn element(&mut self, name: &str, attributes: &[(&str, &str)], inside: impl FnOnce(&mut Self)) {
        self.put(&[if attributes.is_empty() { 0x01 } else { 0x41 }, 0xff, 0xff]);
        self.sized(|chunk| {
            chunk.name(name);
            if !attributes.is_empty() {
                chunk.sized(|chunk| {
                    for (name, value) in attributes {
                        chunk.put(&[0x06]);
                        chunk.name(name);
                        chunk.value(value);
                    }
                });
            }
            chunk.put(&[0x02]);
            inside(chunk);
            chunk.put(&[0x04]);
        });
    }

    /// A name stands where it is used.
    fn name(&mut self, name: &str) {
        let place = u32::try_from(self.bytes.len() + 4).unwrap();
        self.put(&place.to_le_bytes());
        self.put(&[0; 6]);
        self.text(name);
        self.put(&[0; 2]);
    }

    fn value(&mut self, text: &str) {
        self.put(&[0x05, 0x01]);
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        let units: Vec<u16> = text.encode_utf16().collect();
        self.put(&u16::try_from(units.len()).unwrap().to_le_bytes());
        self.put(&units.iter().flat_map(|unit| unit.to_le_bytes()).collect::<Vec<_>>());
    }

    fn finish(mut self) -> Vec<u8> {
        let end = u32::try_from(self.bytes.len()).unwrap();
        self.bytes[..8].copy_from_slice(b"ElfChnk\0");
        for (place, number) in [(8, 1), (16, self.records), (24, 1), (32, self.records)] {
            self.bytes[place..place + 8].copy_from_slice(&number.to_le_bytes());
        }
        for (place, number) in [(40, 128), (44, end), (48, end)] {
            self.bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
        }
        self.bytes.resize(CHUNK, 0);
        self.bytes
    }
}

/// A log of these chunks.
fn log(chunks: Vec<Vec<u8>>) -> Vec<u8> {
    let mut header = vec![0; 4096];
    header[..8].copy_from_slice(b"ElfFile\0");
    header[32..36].copy_from_slice(&128_u32.to_le_bytes());
    for (place, number) in [(36, 1_u16), (38, 3), (40, 4096), (42, u16::try_from(chunks.len()).unwrap())] {
        header[place..place + 2].copy_from_slice(&number.to_le_bytes());
    }
    [header, chunks.concat()].concat()
}

fn example() -> Vec<u8> {
    let mut first = Chunk::new();
    first.record(4887, &[("RequestId", "12"), ("SerialNumber", "6500"), ("Subject", "CN=<a> & \"b\"")]);
    first.record(4888, &[("RequestId", "13")]);
    first.record(4624, &[("TargetUserName", "someone")]);
    let mut second = Chunk::new();
    second.record(4888, &[("RequestId", "14")]);
    log(vec![first.finish(), second.finish()])
}

/// What the database of a real CA knows.
fn known() -> Known {
    let database = certadm_ese::Database::open(certlog()).unwrap();
    Known::of(&WindowsInventory { database: &database, damage: Damage::Refused }).unwrap()
}

/// What an event log of these bytes tells beside that.
fn gap_of(known: &Known, bytes: &[u8]) -> Gap {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Security.evtx");
    fs::write(&path, bytes).unwrap();
    let mut collector = Collector::new(known, Limits::default(), Box::new(|_, _| Ok(())));
    collector.events(&Found::named(path)).unwrap();
    collector.finish()
}

#[test]
fn an_event_log_is_read_and_damage_in_it_is_passed_over() {
    let known = known();
    let gap = |bytes: &[u8]| gap_of(&known, bytes);
    let good = example();
    let whole = gap(&good);
    assert_eq!((whole.sources[0].read, whole.sources[0].unreadable), (4, 0), "{whole:?}");
    assert_eq!(whole.serial_only[0].subject, "CN=<a> & \"b\"");
    assert_eq!(whole.serial_only[0].when.unwrap().to_rfc3339(), "2025-10-01T12:00:00Z");
    assert_eq!((whole.rpo.certificates, whole.rpo.denied, whole.rpo.unknown), (1, 2, 0));
    // The second chunk is another's.
    let mut damaged = good.clone();
    damaged[4096 + CHUNK] ^= 1;
    let rest = gap(&damaged);
    assert_eq!((rest.rpo.denied, rest.sources[0].unreadable), (1, 1));
    assert!(rest.findings()[0].detail.contains("1 part"), "{:?}", rest.findings());
    // Whatever is damaged, something comes of it or a finding says why not.
    for place in (4096..4096 + 1400).chain(4096 + CHUNK..4096 + CHUNK + 900).step_by(7) {
        let mut damaged = good.clone();
        damaged[place] ^= 0xff;
        let _ = gap(&damaged);
    }
    let short = gap(&good[..5000]);
    assert!(short.is_empty() && short.sources[0].read == 0);
    assert_eq!(short.sources[0].unreadable, 2, "the header counts two chunks");
    let none = gap(b"ElfFile\0");
    assert!(none.sources[0].problem.is_some());
}

/// A log that was cut off, or half of which is zeros, lacks events: what is missing is counted, as its headers tell.
#[test]
fn what_a_log_lacks_is_counted() {
    let known = known();
    let read = |bytes: &[u8]| {
        let gap = gap_of(&known, bytes);
        let told = gap.findings().iter().any(|finding| finding.detail.contains("cannot be read"));
        assert_eq!(told, gap.sources[0].unreadable != 0);
        (gap.sources[0].read, gap.sources[0].unreadable)
    };
    let good = example();
    let second = HEADER + CHUNK;
    assert_eq!(read(&good), (4, 0));
    // A log of Windows has room behind its chunks.
    assert_eq!(read(&[good.clone(), vec![0; 2 * CHUNK]].concat()), (4, 0));
    for cut in [second, second + 1, good.len() - 1] {
        assert_eq!(read(&good[..cut]), (3, 1), "{cut}");
    }
    // The header of a log that was not closed counts the chunks that it had before.
    let mut open = good[..good.len() - 1].to_vec();
    open[42..44].copy_from_slice(&1_u16.to_le_bytes());
    assert_eq!(read(&open), (3, 1));
    let zeros = |from: usize, to: usize| {
        let mut log = good.clone();
        log[from..to].fill(0);
        log
    };
    assert_eq!(read(&zeros(second, good.len())), (3, 1), "a chunk of zeros");
    let begin = HEADER + RECORDS;
    let record = |place: usize| {
        let at = (0..place).fold(begin, |at, _| at + size(&good[at..]));
        (at, at + size(&good[at..]))
    };
    assert_eq!(read(&zeros(record(1).0, second)), (2, 2), "from the second record on");
    let (start, end) = record(1);
    assert_eq!(read(&zeros(start, end)), (3, 1), "one record");
    assert_eq!(read(&zeros(start + 24, end - 4)), (3, 1), "what a record holds");
}

/// The length of a record.
fn size(record: &[u8]) -> usize {
    u32::from_le_bytes(record[4..8].try_into().unwrap()) as usize
}

/// Another reader finds the same events in the log that this test writes, so that the test does not judge itself.
#[test]
#[ignore = "needs the Python package python-evtx; `cargo xtask test` installs it"]
fn another_reader_finds_the_same_events() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("Security.evtx");
    fs::write(&path, example()).unwrap();
    let python = std::env::var("CERTADM_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = "import sys, re\nfrom Evtx.Evtx import Evtx\n\
        with Evtx(sys.argv[1]) as log:\n  for r in log.records(): print(re.search('<EventID[^>]*>(\\\\d+)', r.xml())[1])";
    let output = Command::new(python).args(["-c", script]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["4887", "4888", "4624", "4888"]);
}
