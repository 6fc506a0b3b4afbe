//! A client of our own making, independent of the crate's code, whose every field can be wrong.

use hmac::{Hmac, KeyInit, Mac};
use md4::Md4;
use md5::{Digest, Md5};
use rc4::{Rc4, StreamCipher};

/// Flags of a client that wants everything required here.
pub(crate) const FLAGS: u32 = 0xe208_8237;

pub(crate) const SEAL: u32 = 0x0000_0020;

/// What the client sends in AUTHENTICATE.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) user: &'static str,
    pub(crate) domain: &'static str,
    pub(crate) password: &'static str,
    /// A hash to use instead of the password's.
    pub(crate) hash: Option<[u8; 16]>,
    pub(crate) negotiate_flags: u32,
    pub(crate) authenticate_flags: u32,
    pub(crate) mic: Mic,
    pub(crate) response: Response,
    /// Attributes of the challenge that the client drops.
    pub(crate) dropped: Vec<u16>,
    pub(crate) extra_attributes: Vec<(u16, Vec<u8>)>,
    /// Bytes of the encrypted session key.
    pub(crate) key_size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mic {
    /// Announced and right.
    Right,
    /// Announced and wrong.
    Wrong,
    /// Announced, but the message has no room for it.
    NoRoom,
    /// Neither announced nor there, as impacket does.
    Absent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Response {
    V2,
    /// NTLMv1: 24 bytes of NT response.
    V1,
    /// LM response only.
    LmOnly,
    /// No responses at all.
    None,
}

impl Client {
    pub(crate) fn alice() -> Self {
        Self {
            user: "alice",
            domain: "CORP",
            password: "Pa55-wörd",
            hash: None,
            negotiate_flags: FLAGS,
            authenticate_flags: FLAGS,
            mic: Mic::Right,
            response: Response::V2,
            dropped: Vec::new(),
            extra_attributes: Vec::new(),
            key_size: 16,
        }
    }

    pub(crate) fn negotiate(&self) -> Vec<u8> {
        [b"NTLMSSP\0\x01\0\0\0", &self.negotiate_flags.to_le_bytes()[..]].concat()
    }

    /// AUTHENTICATE for a challenge, and the exported session key.
    pub(crate) fn authenticate(&self, challenge: &[u8]) -> (Vec<u8>, [u8; 16]) {
        let server_challenge = &challenge[24..32];
        let mut attributes = Vec::new();
        for (id, value) in attributes_of(challenge) {
            if !self.dropped.contains(&id) {
                attributes.push((id, value));
            }
        }
        if self.mic != Mic::Absent {
            attributes.push((6, vec![2, 0, 0, 0]));
        }
        attributes.extend(self.extra_attributes.clone());

        let mut temp = vec![1, 1, 0, 0, 0, 0, 0, 0];
        temp.extend([0x11; 8]);
        temp.extend([0xaa; 8]);
        temp.extend([0; 4]);
        for (id, value) in attributes {
            temp.extend(id.to_le_bytes());
            temp.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
            temp.extend(value);
        }
        temp.extend([0; 8]);

        let hash = self.hash.unwrap_or_else(|| Md4::digest(utf16(self.password)).into());
        let name = [utf16(&self.user.to_uppercase()), utf16(self.domain)].concat();
        let key = hmac_md5(&hash, &[&name]);
        let proof = hmac_md5(&key, &[server_challenge, &temp]);
        let base = hmac_md5(&key, &[&proof]);
        let exported = [0x77; 16];
        let mut encrypted = exported;
        Rc4::new_from_slice(&base).unwrap().apply_keystream(&mut encrypted);

        let (lm, nt) = match self.response {
            Response::V2 => (vec![0; 24], [&proof[..], &temp].concat()),
            Response::V1 => (vec![1; 24], vec![2; 24]),
            Response::LmOnly => (vec![1; 24], Vec::new()),
            Response::None => (Vec::new(), Vec::new()),
        };
        let header = match self.mic {
            Mic::Right | Mic::Wrong => 88,
            Mic::NoRoom | Mic::Absent => 64,
        };
        let mut message = b"NTLMSSP\0\x03\0\0\0".to_vec();
        let mut payload = Vec::new();
        let encrypted = [&encrypted[..]; 4].concat()[..self.key_size].to_vec();
        for field in [lm, nt, utf16(self.domain), utf16(self.user), utf16("WS"), encrypted] {
            let size = u16::try_from(field.len()).unwrap().to_le_bytes();
            message.extend(size);
            message.extend(size);
            message.extend(u32::try_from(header + payload.len()).unwrap().to_le_bytes());
            payload.extend(field);
        }
        message.extend(self.authenticate_flags.to_le_bytes());
        message.resize(header, 0);
        message.extend(payload);
        if matches!(self.mic, Mic::Right | Mic::Wrong) {
            let mut mic = hmac_md5(&exported, &[&self.negotiate(), challenge, &message]);
            if self.mic == Mic::Wrong {
                mic[15] ^= 0x80;
            }
            message[72..88].copy_from_slice(&mic);
        }
        (message, exported)
    }
}

/// The attribute list of a CHALLENGE, without its end.
pub(crate) fn attributes_of(challenge: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let u16_at = |at: usize| u16::from_le_bytes([challenge[at], challenge[at + 1]]);
    let size = usize::from(u16_at(40));
    let mut at = usize::from(u16_at(44));
    let end = at + size;
    let mut attributes = Vec::new();
    while at < end {
        let (id, length) = (u16_at(at), usize::from(u16_at(at + 2)));
        if id != 0 {
            attributes.push((id, challenge[at + 4..at + 4 + length].to_vec()));
        }
        at += 4 + length;
    }
    attributes
}

/// DER of a value shorter than 64 KiB.
pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let mut value = vec![tag];
    match length {
        0..=0x7f => value.extend(&length.to_be_bytes()[1..]),
        0x80..=0xff => value.extend([0x81, length.to_be_bytes()[1]]),
        _ => value.extend([&[0x82][..], &length.to_be_bytes()].concat()),
    }
    value.extend(content);
    value
}

pub(crate) const NTLM_OID: [u8; 10] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];
pub(crate) const KERBEROS_OID: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];

/// The mechTypes SEQUENCE, which mechListMIC covers.
pub(crate) fn mechanism_list(mechanisms: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = mechanisms.iter().flat_map(|oid| der(0x06, oid)).collect();
    der(0x30, &list)
}

/// NegTokenInit.
pub(crate) fn init(mechanisms: &[&[u8]], mech_token: Option<&[u8]>) -> Vec<u8> {
    let mut fields = der(0xa0, &mechanism_list(mechanisms));
    if let Some(token) = mech_token {
        fields.extend(der(0xa2, &der(0x04, token)));
    }
    let spnego = der(0x06, &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x02]);
    der(0x60, &[spnego, der(0xa0, &der(0x30, &fields))].concat())
}

/// NegTokenResp.
pub(crate) fn resp(state: Option<u8>, token: Option<&[u8]>, mic: Option<&[u8]>) -> Vec<u8> {
    let mut fields = Vec::new();
    if let Some(state) = state {
        fields.extend(der(0xa0, &der(0x0a, &[state])));
    }
    if let Some(token) = token {
        fields.extend(der(0xa2, &der(0x04, token)));
    }
    if let Some(mic) = mic {
        fields.extend(der(0xa3, &der(0x04, mic)));
    }
    der(0xa1, &der(0x30, &fields))
}

/// The client's mechListMIC, the first message of its direction.
pub(crate) fn client_mic(exported: &[u8; 16], text: &[u8]) -> [u8; 16] {
    signature(exported, "client-to-server", text)
}

/// The server's mechListMIC.
pub(crate) fn server_mic(exported: &[u8; 16], text: &[u8]) -> [u8; 16] {
    signature(exported, "server-to-client", text)
}

fn signature(exported: &[u8; 16], direction: &str, text: &[u8]) -> [u8; 16] {
    let key = |kind: &str| -> [u8; 16] {
        let magic = format!("session key to {direction} {kind} key magic constant\0");
        Md5::digest([&exported[..], magic.as_bytes()].concat()).into()
    };
    let mut token = [0; 16];
    token[0] = 1;
    token[4..12].copy_from_slice(&hmac_md5(&key("signing"), &[&[0; 4], text])[..8]);
    Rc4::new_from_slice(&key("sealing")).unwrap().apply_keystream(&mut token[4..12]);
    token
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn hmac_md5(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = Hmac::<Md5>::new_from_slice(key).unwrap();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
