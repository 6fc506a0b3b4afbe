//! Rows as a CA writes them, with content that follows from the serial, so that every byte can be checked later.

use std::time::{SystemTime, UNIX_EPOCH};

use certadm_store::{Error, Writer};
use rusqlite::{Transaction, params};

use crate::ledger::Ledger;

/// Serials that no other issuer of a suite gives: a process's own stem and a counter, mixed so that they spread.
#[derive(Debug)]
pub struct Serials {
    next: u64,
}

impl Serials {
    /// A sequence of its own for this process and moment.
    pub fn new() -> Self {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        let stem = nanos.rotate_left(8) ^ std::process::id().wrapping_mul(0x9e37_79b9);
        Self { next: u64::from(stem) << 32 }
    }
}

impl Default for Serials {
    fn default() -> Self {
        Self::new()
    }
}

impl Iterator for Serials {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.next = self.next.wrapping_add(1);
        Some(self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15)) // odd, so no two are mixed into one
    }
}

/// The bytes that stand for the certificate of `serial`.
pub fn content(serial: u64) -> Vec<u8> {
    noise(400 + (serial % 1200) as usize, serial)
}

/// Bytes that no compression makes shorter; the same for an even seed and the odd one above it.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Writes the rows of one issued certificate and returns the request number.
///
/// # Errors
/// The store's.
pub fn insert(transaction: &Transaction<'_>, serial: u64) -> Result<i64, Error> {
    transaction.execute("INSERT INTO Requests (Disposition, RequesterName) VALUES (20, 'suite')", [])?;
    let request = transaction.last_insert_rowid();
    transaction.execute(
        "INSERT INTO Certificates (RequestID, SerialNumber, RawCertificate) VALUES (?1, ?2, ?3)",
        params![request, format!("{serial:016x}"), content(serial)],
    )?;
    Ok(request)
}

/// Issues one certificate and keeps the ledger.
///
/// # Errors
/// The store's; the ledger then has the attempt and no acknowledgement.
pub fn issue(writer: &mut Writer, serial: u64, ledger: &mut Ledger) -> Result<i64, Error> {
    ledger.tried(serial);
    let request = writer.commit(|transaction| insert(transaction, serial))?;
    ledger.acknowledged(serial, request);
    Ok(request)
}
