//! Messages of SFTP version 3, as every OpenSSH speaks it (draft-ietf-secsh-filexfer-02): what is asked, and what is answered.

use std::io;

/// The version that both sides speak.
pub(super) const VERSION: u32 = 3;
/// No answer is longer: OpenSSH refuses to send more.
pub(super) const MAX_ANSWER: usize = 256 * 1024;

/// What an answer is about, where it is one of those that the client sends.
const TYPE_INIT: u8 = 1;
const TYPE_VERSION: u8 = 2;
const TYPE_STATUS: u8 = 101;
const TYPE_HANDLE: u8 = 102;
const TYPE_DATA: u8 = 103;
const TYPE_NAME: u8 = 104;
const TYPE_ATTRS: u8 = 105;
const TYPE_EXTENDED_REPLY: u8 = 201;

/// A file is opened to be read.
pub(super) const READ: u32 = 0x01;
/// A file is made, and it is an error when it is there: write, create, exclusive.
pub(super) const WRITE_NEW: u32 = 0x02 | 0x08 | 0x20;

const ATTR_SIZE: u32 = 0x01;
const ATTR_OWNER: u32 = 0x02;
const ATTR_PERMISSIONS: u32 = 0x04;
const ATTR_TIMES: u32 = 0x08;
const ATTR_EXTENDED: u32 = 0x8000_0000;

/// A request, without its number.
#[derive(Clone, Debug)]
pub(super) enum Request<'a> {
    Open {
        path: &'a str,
        flags: u32,
        mode: Option<u32>,
    },
    Close(&'a [u8]),
    Read {
        handle: &'a [u8],
        offset: u64,
        len: u32,
    },
    Write {
        handle: &'a [u8],
        offset: u64,
        data: &'a [u8],
    },
    Stat(&'a str),
    OpenFolder(&'a str),
    ReadFolder(&'a [u8]),
    Remove(&'a str),
    MakeFolder {
        path: &'a str,
        mode: u32,
    },
    Rename {
        from: &'a str,
        to: &'a str,
    },
    /// `fsync@openssh.com`: the file is on its disk when the answer comes.
    Fsync(&'a [u8]),
    /// `statvfs@openssh.com`: how much room there is.
    Room(&'a str),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Status {
        code: u32,
        text: String,
    },
    Handle(Vec<u8>),
    Data(Vec<u8>),
    Names(Vec<(String, Attributes)>),
    Attributes(Attributes),
    /// Of an extension.
    Extended(Vec<u8>),
}

/// What a server says of a file. What it does not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) size: Option<u64>,
    pub(super) permissions: Option<u32>,
    /// Seconds since 1970.
    pub(super) modified: Option<u32>,
}

impl Attributes {
    pub(super) fn is_folder(&self) -> bool {
        self.permissions.is_some_and(|mode| mode & 0o170_000 == 0o040_000)
    }

    pub(super) fn is_file(&self) -> bool {
        self.permissions.is_some_and(|mode| mode & 0o170_000 == 0o100_000)
    }
}

/// The first message of a client.
pub(super) fn hello() -> Vec<u8> {
    let mut packet = Packet::new(TYPE_INIT);
    packet.number(VERSION);
    packet.finish()
}

/// The extensions that a server announces in its first message, with their versions.
///
/// # Errors
/// When it is none, or of a server that speaks another version alone.
pub(super) fn announced(message: &[u8]) -> io::Result<Vec<(String, String)>> {
    let mut reader = Reader(message);
    if reader.byte()? != TYPE_VERSION {
        return Err(broken("the server does not begin as one of SFTP does"));
    }
    let version = reader.number()?;
    if version != VERSION {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("the server speaks version {version} of SFTP, and not {VERSION}"),
        ));
    }
    let mut extensions = Vec::new();
    while !reader.0.is_empty() {
        extensions.push((reader.text()?, reader.text()?));
    }
    Ok(extensions)
}

impl Request<'_> {
    /// The message.
    pub(super) fn write(&self, number: u32) -> Vec<u8> {
        let begin = |kind| {
            let mut packet = Packet::new(kind);
            packet.number(number);
            packet
        };
        let mut packet;
        match self {
            Self::Open { path, flags, mode } => {
                packet = begin(3);
                packet.bytes(path.as_bytes());
                packet.number(*flags);
                packet.mode(*mode);
            }
            Self::Close(handle) => {
                packet = begin(4);
                packet.bytes(handle);
            }
            Self::Read { handle, offset, len } => {
                packet = begin(5);
                packet.bytes(handle);
                packet.long(*offset);
                packet.number(*len);
            }
            Self::Write { handle, offset, data } => {
                packet = begin(6);
                packet.bytes(handle);
                packet.long(*offset);
                packet.bytes(data);
            }
            Self::OpenFolder(path) => {
                packet = begin(11);
                packet.bytes(path.as_bytes());
            }
            Self::ReadFolder(handle) => {
                packet = begin(12);
                packet.bytes(handle);
            }
            Self::Remove(path) => {
                packet = begin(13);
                packet.bytes(path.as_bytes());
            }
            Self::MakeFolder { path, mode } => {
                packet = begin(14);
                packet.bytes(path.as_bytes());
                packet.mode(Some(*mode));
            }
            Self::Stat(path) => {
                packet = begin(17);
                packet.bytes(path.as_bytes());
            }
            Self::Rename { from, to } => {
                packet = begin(18);
                packet.bytes(from.as_bytes());
                packet.bytes(to.as_bytes());
            }
            Self::Fsync(handle) => {
                packet = begin(200);
                packet.bytes(FSYNC.as_bytes());
                packet.bytes(handle);
            }
            Self::Room(path) => {
                packet = begin(200);
                packet.bytes(ROOM.as_bytes());
                packet.bytes(path.as_bytes());
            }
        }
        packet.finish()
    }
}

/// Puts a file onto its disk.
pub(super) const FSYNC: &str = "fsync@openssh.com";
/// Says how much room there is.
pub(super) const ROOM: &str = "statvfs@openssh.com";

impl Answer {
    /// The number of the request, and the answer to it.
    ///
    /// # Errors
    /// When the message is none.
    pub(super) fn read(message: &[u8]) -> io::Result<(u32, Self)> {
        let mut reader = Reader(message);
        let kind = reader.byte()?;
        let number = reader.number()?;
        let answer = match kind {
            TYPE_STATUS => {
                let code = reader.number()?;
                // Early servers send no text.
                let text = if reader.0.is_empty() { String::new() } else { reader.text()? };
                Self::Status { code, text }
            }
            TYPE_HANDLE => Self::Handle(reader.bytes()?.to_vec()),
            TYPE_DATA => Self::Data(reader.bytes()?.to_vec()),
            TYPE_NAME => {
                let count = reader.number()?;
                let mut names = Vec::new();
                for _ in 0..count {
                    let name = String::from_utf8(reader.bytes()?.to_vec());
                    // The same once more, as `ls -l` has it.
                    reader.bytes()?;
                    let attributes = reader.attributes()?;
                    // What is no text is no object of ours.
                    names.extend(name.ok().map(|name| (name, attributes)));
                }
                Self::Names(names)
            }
            TYPE_ATTRS => Self::Attributes(reader.attributes()?),
            TYPE_EXTENDED_REPLY => Self::Extended(reader.0.to_vec()),
            _ => return Err(broken("the server sent what is no answer")),
        };
        Ok((number, answer))
    }
}

/// How many bytes an answer of [`Request::Room`] says are free for this account.
///
/// # Errors
/// When it is cut short.
pub(super) fn free_bytes(answer: &[u8]) -> io::Result<u64> {
    // f_bsize, f_frsize, f_blocks, f_bfree, f_bavail
    let mut reader = Reader(answer);
    reader.long()?;
    let block = reader.long()?;
    reader.long()?;
    reader.long()?;
    Ok(block.saturating_mul(reader.long()?))
}

/// A message under construction, whose length comes first.
struct Packet(Vec<u8>);

impl Packet {
    fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind])
    }

    fn number(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn long(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        // Names and parts of files are short: see `session::PART`.
        self.number(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    fn mode(&mut self, mode: Option<u32>) {
        self.number(mode.map_or(0, |_| ATTR_PERMISSIONS));
        mode.into_iter().for_each(|mode| self.number(mode));
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&len.to_be_bytes());
        self.0
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> io::Result<&'a [u8]> {
        let (taken, rest) =
            self.0.split_at_checked(len).ok_or_else(|| broken("an answer of the server is cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn number(&mut self) -> io::Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn long(&mut self) -> io::Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let len = self.number()?;
        self.take(usize::try_from(len).unwrap_or(usize::MAX))
    }

    fn text(&mut self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    fn attributes(&mut self) -> io::Result<Attributes> {
        let flags = self.number()?;
        let has = |flag| flags & flag != 0;
        let mut found = Attributes::default();
        if has(ATTR_SIZE) {
            found.size = Some(self.long()?);
        }
        if has(ATTR_OWNER) {
            self.long()?;
        }
        if has(ATTR_PERMISSIONS) {
            found.permissions = Some(self.number()?);
        }
        if has(ATTR_TIMES) {
            self.number()?;
            found.modified = Some(self.number()?);
        }
        if has(ATTR_EXTENDED) {
            for _ in 0..self.number()? {
                self.bytes()?;
                self.bytes()?;
            }
        }
        Ok(found)
    }
}

fn broken(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Reads bytes as a server's first message, and as an answer.
#[cfg(any(feature = "fuzzing", test))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = announced(bytes);
    if let Ok((_, Answer::Extended(answer))) = Answer::read(bytes) {
        let _ = free_bytes(&answer);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_its_length_its_kind_its_number_and_what_it_asks() {
        let open = Request::Open { path: "/a", flags: WRITE_NEW, mode: Some(0o600) }.write(7);
        let expected =
            [0, 0, 0, 23, 3, 0, 0, 0, 7, 0, 0, 0, 2, b'/', b'a', 0, 0, 0, 0x2a, 0, 0, 0, 4, 0, 0, 1, 0x80];
        assert_eq!(open, expected);
        assert_eq!(hello(), [0, 0, 0, 5, 1, 0, 0, 0, 3]);
    }

    #[test]
    fn answers_are_read_as_they_stand() {
        let status = [101, 0, 0, 0, 9, 0, 0, 0, 4, 0, 0, 0, 2, b'n', b'o', 0, 0, 0, 0];
        let text = "no".to_owned();
        assert_eq!(Answer::read(&status).unwrap(), (9, Answer::Status { code: 4, text }));
        let mut name = vec![104, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, b'x', 0, 0, 0, 0];
        name.extend([0, 0, 0, 0x0f, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
        name.extend([0, 0, 0x81, 0x80, 0, 0, 0, 1, 0, 0, 0, 2]);
        let attributes = Attributes { size: Some(5), permissions: Some(0o100_600), modified: Some(2) };
        assert!(attributes.is_file() && !attributes.is_folder());
        assert_eq!(Answer::read(&name).unwrap(), (1, Answer::Names(vec![("x".to_owned(), attributes)])));
        for len in 0..name.len() {
            assert!(Answer::read(&name[..len]).is_err(), "{len}");
        }
        let version = [2, 0, 0, 0, 3, 0, 0, 0, 1, b'e', 0, 0, 0, 1, b'1'];
        assert_eq!(announced(&version).unwrap(), [("e".to_owned(), "1".to_owned())]);
        assert!(announced(&[2, 0, 0, 0, 2]).is_err() && announced(b"Welcome!").is_err());
        let room = [4096_u64, 512, 100, 50, 40].map(u64::to_be_bytes).concat();
        assert_eq!(free_bytes(&room).unwrap(), 512 * 40);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz(&bytes);
        }
    }
}
