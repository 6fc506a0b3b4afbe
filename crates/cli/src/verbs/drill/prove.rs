//! The proof: the restored database against the ledger.

use certadm_store::Store;

use crate::failure::Failure;
use crate::verbs::drill::load::Record;

/// What the comparison found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Proof {
    /// Certificates acknowledged before the last backup.
    pub(crate) expected: usize,
    /// Of these, there byte for byte.
    pub(crate) equal: usize,
    /// Of these, there with other bytes.
    pub(crate) different: usize,
    /// Of these, not there.
    pub(crate) missing: usize,
    /// Certificates there that nobody acknowledged, the CA's own among them.
    pub(crate) unacknowledged: usize,
    /// Certificates that were issued after the last backup and are there all the same.
    pub(crate) lost_but_there: usize,
}

/// Compares every certificate of the ledger, but those in `lost`, with the row of its serial.
pub(crate) fn compare(store: &Store, record: &Record, lost: &[String]) -> Result<Proof, Failure> {
    let writer = store.writer()?;
    let ledger = record.ledger();
    let mut proof = Proof { expected: ledger.certificates.len() - lost.len(), ..Proof::default() };
    let mut statement = writer
        .connection()
        .prepare("SELECT SerialNumber, RawCertificate FROM Certificates WHERE SerialNumber IS NOT NULL")
        .map_err(certadm_store::Error::from)?;
    let mut rows = statement.query([]).map_err(certadm_store::Error::from)?;
    while let Some(row) = rows.next().map_err(certadm_store::Error::from)? {
        let serial: String = row.get(0).map_err(certadm_store::Error::from)?;
        let der: Vec<u8> = row.get(1).map_err(certadm_store::Error::from)?;
        match ledger.certificates.get(&serial) {
            None => proof.unacknowledged += 1,
            Some(_) if lost.contains(&serial) => proof.lost_but_there += 1,
            Some(hash) if *hash == blake3::hash(&der) => proof.equal += 1,
            Some(_) => proof.different += 1,
        }
    }
    proof.missing = proof.expected - proof.equal - proof.different;
    Ok(proof)
}
