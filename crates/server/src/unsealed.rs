//! PDUs of an answer that lie one behind the other and are not sealed yet.

use std::io;

use certadm_auth::{Protection, Sealer, Segments};

/// PDUs at the end of a buffer, until there are enough to seal them together: messages of Kerberos are encrypted several at once
/// (kerberos.md 8), those of NTLM one by one.
#[derive(Debug, Default)]
pub(crate) struct Unsealed {
    /// Where the first one begins.
    begin: usize,
    /// The length of each, and of its header.
    pdus: Vec<(usize, usize)>,
}

impl Unsealed {
    /// A PDU from `begin` to the end of the buffer was added.
    pub(crate) fn add(&mut self, buffer: &[u8], begin: usize, header: usize) {
        if self.pdus.is_empty() {
            self.begin = begin;
        }
        self.pdus.push((buffer.len() - begin, header));
    }

    /// Whether so many are there.
    pub(crate) fn has(&self, count: usize) -> bool {
        count <= self.pdus.len()
    }

    /// Seals them all, with tokens of this size.
    ///
    /// # Errors
    /// Those of the sealer; the connection is of no use then.
    pub(crate) fn seal(
        &mut self,
        buffer: &mut [u8],
        protection: Protection,
        sealer: &mut Sealer,
        token_size: usize,
    ) -> io::Result<()> {
        let mut rest = buffer.get_mut(self.begin..).unwrap_or_default();
        let mut parts = Vec::with_capacity(self.pdus.len());
        for (length, header) in self.pdus.drain(..) {
            let (pdu, behind) = rest.split_at_mut_checked(length).ok_or_else(too_short)?;
            rest = behind;
            parts.push(Segments::split(pdu, header, token_size).map_err(io::Error::other)?);
        }
        sealer.seal_all(protection, parts).map_err(io::Error::other)
    }
}

fn too_short() -> io::Error {
    io::Error::other("a PDU to seal is not in the buffer")
}
