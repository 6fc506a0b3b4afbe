//! The database of a Windows CA with many requests, made of the one of a small CA: a row of Requests, a row of Certificates
//! and the entries of all their indexes for each request.
//!
//! The requests of the small CA stay as they are. A new one is a copy of one of five issued requests, with a number and a
//! serial number of its own; every tenth is revoked. The copies share the certificates of the five, because nobody looks
//! into the certificate of a request that is known.

use std::path::Path;

use certadm_ese::Database;
use certadm_ese::catalog::{Index, TableDefinition};

use crate::error::Result;
use crate::ese_data::{Tree, Trees, key_of, small_database};

/// Every so many is revoked.
pub(crate) const TENTH: u32 = 10;
/// Requests of the small CA.
const OWN: u32 = 11;
/// Those that are copied: issued, with a certificate.
const MODELS: [u32; 5] = [4, 6, 9, 10, 11];
/// Those whose certificate lies outside the row.
const WITH_CERTIFICATE: [u32; 7] = [2, 3, 4, 6, 9, 10, 11];
const NUMBER_IN_RECORD: usize = 4;
const ISSUED: [u8; 5] = [0x7F, 0x80, 0, 0, 20];
const REVOKED: [u8; 5] = [0x7F, 0x80, 0, 0, 21];
/// A FILETIME in 2025.
const REVOKED_WHEN: u64 = 0x01dc_4000_0000_0000;
/// Superseded.
const REASON: u32 = 4;
/// What an index of text holds for each hexadecimal digit (ese.md 5.1).
const WEIGHTS: [u16; 16] = [
    0x0d03, 0x0d1a, 0x0d1c, 0x0d1e, 0x0d20, 0x0d22, 0x0d24, 0x0d26, 0x0d28, 0x0d2a, 0x0e02, 0x0e09, 0x0e0a,
    0x0e1a, 0x0e21, 0x0e23,
];
/// Digits of a serial number that hold the number of the request, after the two of the CA's own; the last eight hold it again.
const DIGITS: std::ops::Range<usize> = 2..10;
const SERIAL_DIGITS: usize = 38;

/// Writes the database of a CA with so many requests.
pub(crate) fn create(path: &Path, requests: u32) -> Result<()> {
    let base = small_database()?;
    let database = Database::open(base.as_slice())?;
    let mut trees = Trees::begin(&database, &base, path)?;
    let mut owned = Vec::new();
    for name in ["Requests", "Certificates"] {
        let table = Model::read(&database, name)?;
        let first = trees.next;
        trees.write(
            Tree::rows(&table.definition),
            &|number| (key_of(number), table.record(number)),
            &|rows, _| u64::from(requests) <= rows,
        )?;
        for index in table.definition.indexes.iter().filter(|index| !index.is_primary()) {
            let entries = table.entries(&database, index, requests)?;
            if entries.is_empty() {
                continue;
            }
            let begin = trees.next;
            let count = entries.len() as u64;
            let node = |place: u32| {
                let (key, number) = &entries[(place as usize - 1).min(entries.len() - 1)];
                (key.clone(), key_of(*number))
            };
            trees.write(Tree::index(index), &node, &|written, _| count <= written)?;
            owned.push((index.root, begin, trees.next - 1));
        }
        owned.push((table.definition.root, first, trees.next - 1));
    }
    count_references(&database, &mut trees, requests)?;
    trees.end(owned.into_iter())
}

/// The certificates of the models say how many rows refer to them.
fn count_references(database: &Database<&[u8]>, trees: &mut Trees<'_, '_>, requests: u32) -> Result<()> {
    /// A long value is found by its number alone, and its parts by more.
    const KEY_OF_VALUE: usize = 4;
    let table = database.table("Certificates")?;
    let object = table.definition().long_values_object.ok_or("no certificates outside the rows")?;
    // Their numbers were given as they were issued.
    let mut owners = WITH_CERTIFICATE.into_iter();
    for number in 1..=database.page_slots() {
        let Ok(page) = database.page(number) else { continue };
        if page.object_id() != object {
            continue;
        }
        let mut bytes = page.bytes().to_vec();
        for node in page.nodes().filter(|node| node.key().len() == KEY_OF_VALUE && node.data.len() == 8) {
            let owner = owners.next().ok_or("more certificates than requests")?;
            let copies = (OWN + 1..=requests).filter(|number| model_of(*number) == owner).count();
            let count = 1 + u32::try_from(copies)?;
            let found = [node.suffix, node.data].concat();
            let at = bytes
                .windows(found.len())
                .position(|window| window == found)
                .ok_or("a node is not in its page")?;
            let at = at + node.suffix.len();
            bytes[at..at + 4].copy_from_slice(&count.to_le_bytes());
        }
        trees.replace(number, bytes);
    }
    match owners.next() {
        None => Ok(()),
        Some(owner) => Err(format!("request {owner} has no certificate outside its row").into()),
    }
}

/// The request that a new one is a copy of.
const fn model_of(number: u32) -> u32 {
    if number <= OWN { number } else { MODELS[number as usize % MODELS.len()] }
}

pub(crate) const fn is_revoked(number: u32) -> bool {
    OWN < number && number.is_multiple_of(TENTH)
}

/// A table of the small CA.
struct Model {
    definition: TableDefinition,
    /// The records, by the number of the request less one.
    records: Vec<Vec<u8>>,
    /// The serial numbers of the requests that have one, as digits; of the table Certificates alone.
    serials: Vec<Option<String>>,
}

impl Model {
    fn read(database: &Database<&[u8]>, name: &str) -> Result<Self> {
        let table = database.table(name)?;
        let definition = table.definition().clone();
        let mut records = Vec::new();
        for node in database.tree(definition.root).scan() {
            records.push(node?.node()?.data.to_vec());
        }
        let mut serials = vec![None; records.len()];
        if let Ok(column) = table.column("SerialNumber") {
            for (row, serial) in table.rows().zip(&mut serials) {
                *serial = row?.value(column)?.text().map(ToOwned::to_owned);
            }
        }
        Ok(Self { definition, records, serials })
    }

    fn record(&self, number: u32) -> Vec<u8> {
        let model = model_of(number);
        let mut record = self.records[model as usize - 1].clone();
        if number <= OWN {
            return record;
        }
        record[NUMBER_IN_RECORD..NUMBER_IN_RECORD + 4].copy_from_slice(&number.to_le_bytes());
        if self.definition.name == "Requests" {
            return if is_revoked(number) { revoke(&record) } else { record };
        }
        if let Some(serial) = &self.serials[model as usize - 1] {
            let (old, new) = (utf16(serial), utf16(&serial_of(serial, number)));
            if let Some(at) = record.windows(old.len()).position(|window| window == old) {
                record[at..at + new.len()].copy_from_slice(&new);
            }
        }
        record
    }

    /// What an index of the table holds, in its order.
    fn entries(
        &self,
        database: &Database<&[u8]>,
        index: &Index,
        requests: u32,
    ) -> Result<Vec<(Vec<u8>, u32)>> {
        let mut keys = vec![Vec::new(); self.records.len()];
        for node in database.tree(index.root).scan() {
            let node = node?;
            let node = node.node()?;
            let number =
                (1..=OWN).find(|number| key_of(*number) == node.data).ok_or("an entry without a row")?;
            keys[number as usize - 1].push(node.key());
        }
        let of_revocation = index.name == "RequestRevokedEffectiveWhenIndex";
        let mut entries = Vec::new();
        for number in 1..=requests {
            let model = model_of(number) as usize - 1;
            for key in &keys[model] {
                let mut key = key.clone();
                if let Some(serial) = self.serials[model].as_ref().filter(|_| number != model_of(number)) {
                    let (old, new) = (weights(serial), weights(&serial_of(serial, number)));
                    if let Some(at) = key.windows(old.len()).position(|window| window == old) {
                        key[at..at + new.len()].copy_from_slice(&new);
                    }
                }
                if index.name == "RequestDispositionIndex" && is_revoked(number) && key == ISSUED {
                    key = REVOKED.to_vec();
                }
                entries.push((key, number));
            }
            if of_revocation && is_revoked(number) {
                entries.push(([&[0x7F][..], &(REVOKED_WHEN ^ 1 << 63).to_be_bytes()].concat(), number));
            }
        }
        entries.sort_unstable();
        Ok(entries)
    }
}

/// The record of Requests, revoked: three more fixed columns, and one more octet of bits that say which are empty.
fn revoke(record: &[u8]) -> Vec<u8> {
    const FIXED: usize = 4;
    let end = usize::from(u16::from_le_bytes([record[2], record[3]]));
    let mut fixed = record[FIXED..end - 1].to_vec();
    fixed[16..20].copy_from_slice(&21u32.to_le_bytes());
    fixed.extend(REVOKED_WHEN.to_le_bytes());
    fixed.extend(REVOKED_WHEN.to_le_bytes());
    fixed.extend(REASON.to_le_bytes());
    let mut grown = vec![10, record[1]];
    grown.extend(u16::try_from(FIXED + fixed.len() + 2).unwrap_or(u16::MAX).to_le_bytes());
    grown.extend(&fixed);
    grown.extend([record[end - 1] & 0x7f, 0]);
    grown.extend(&record[end..]);
    grown
}

fn serial_of(model: &str, number: u32) -> String {
    let own = format!("{number:08x}");
    format!("{}{own}{}{own}", &model[..DIGITS.start], &model[DIGITS.end..SERIAL_DIGITS - DIGITS.len()])
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn weights(digits: &str) -> Vec<u8> {
    let weight = |digit: char| WEIGHTS[digit.to_digit(16).unwrap_or_default() as usize].to_be_bytes();
    digits.chars().flat_map(weight).collect()
}

#[cfg(test)]
mod tests {
    use certadm_ese::finding::Severity;
    use certadm_ese::pager::FilePager;

    use super::*;

    #[test]
    fn the_database_is_sound_and_every_tenth_is_revoked() {
        const REQUESTS: u32 = 2000;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("CertLog.edb");
        create(&path, REQUESTS).unwrap();
        let database = Database::open(FilePager::new(std::fs::File::open(path).unwrap()).unwrap()).unwrap();
        let report = database.verify(&mut |_| {}).unwrap();
        let wrong: Vec<_> =
            report.findings.iter().filter(|finding| Severity::Warning <= finding.severity).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
        let requests = database.table("Requests").unwrap();
        let disposition = requests.column("Disposition").unwrap();
        let revoked = requests
            .rows()
            .filter(|row| row.as_ref().unwrap().value(disposition).unwrap().integer() == Some(21));
        assert_eq!(requests.rows().count(), REQUESTS as usize);
        assert_eq!(revoked.count(), (1..=REQUESTS).filter(|number| is_revoked(*number)).count());
        let certificates = database.table("Certificates").unwrap();
        let serial = certificates.column("SerialNumber").unwrap();
        let serials = certificates
            .rows()
            .filter_map(|row| row.unwrap().value(serial).unwrap().text().map(ToOwned::to_owned));
        let serials: std::collections::BTreeSet<_> = serials.collect();
        assert!(serials.len() >= REQUESTS as usize - 4, "{}", serials.len());
    }
}
