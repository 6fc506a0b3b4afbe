//! What is kept of every row: some 48 bytes, and 4 more to find it by its serial number.

use certadm_ca::rows::Disposition;
use certadm_ca::{Reason, Serial};
use certadm_rules::hex;

use super::item::Item;

/// The octets of the longest serial number.
const OCTETS: usize = 21;

/// A serial number in a fixed length: numbers that are equal have equal octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key([u8; OCTETS]);

impl Key {
    fn of(serial: &Serial) -> Self {
        let mut key = [0; OCTETS];
        let octets = hex::decode(serial.as_str()).unwrap_or_default(); // pairs of digits by construction
        let start = OCTETS.saturating_sub(octets.len());
        for (place, octet) in key[start..].iter_mut().zip(&octets) {
            *place = *octet;
        }
        Self(key)
    }
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) request_id: i64,
    pub(crate) disposition: Disposition,
    /// Why it is revoked, where it is.
    pub(crate) reason: Option<i32>,
    /// Set by whoever compares.
    pub(crate) is_seen: bool,
    serial: Option<Key>,
}

impl Entry {
    /// Whether it is revoked, and no hold that was taken back.
    pub(crate) fn is_revoked(&self) -> bool {
        self.reason.map(Reason::from_code).is_some_and(Reason::is_in_effect)
    }
}

/// All rows of a database.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// In the order of their requests.
    rows: Vec<Entry>,
    /// Places of those that have a serial number, in the order of these.
    by_serial: Vec<u32>,
}

impl Index {
    pub(crate) fn push(&mut self, item: &Item) {
        self.rows.push(Entry {
            request_id: item.request_id,
            disposition: item.disposition,
            reason: item.revoked.map(|(_, reason)| reason.code()),
            is_seen: false,
            serial: item.serial.as_ref().map(Key::of),
        });
    }

    /// To be called when all rows are in.
    pub(crate) fn sort(&mut self) {
        self.rows.sort_by_key(|entry| entry.request_id);
        let rows = &self.rows;
        let with_serial = (0..rows.len()).filter(|place| rows[*place].serial.is_some());
        self.by_serial = with_serial.filter_map(|place| u32::try_from(place).ok()).collect();
        self.by_serial.sort_unstable_by_key(|place| rows[*place as usize].serial);
    }

    pub(crate) fn of_request(&self, request_id: i64) -> Option<&Entry> {
        let place = self.rows.binary_search_by_key(&request_id, |entry| entry.request_id).ok()?;
        self.rows.get(place)
    }

    pub(crate) fn of_serial(&self, serial: &Serial) -> Option<&Entry> {
        self.rows.get(self.place_of(serial)?)
    }

    pub(crate) fn of_serial_mut(&mut self, serial: &Serial) -> Option<&mut Entry> {
        let place = self.place_of(serial)?;
        self.rows.get_mut(place)
    }

    fn place_of(&self, serial: &Serial) -> Option<usize> {
        let key = Some(Key::of(serial));
        let found =
            self.by_serial.binary_search_by_key(&key, |place| self.rows[*place as usize].serial).ok()?;
        self.by_serial.get(found).map(|place| *place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(request_id: i64, serial: Option<&str>) -> Item {
        Item {
            request_id,
            disposition: Disposition::ISSUED,
            when: None,
            serial: serial.map(|text| text.parse().unwrap()),
            not_after: None,
            common_name: None,
            revoked: None,
            is_published: false,
            certificate: None,
        }
    }

    #[test]
    fn rows_are_found_by_number_and_by_serial_number() {
        let mut index = Index::default();
        for (id, serial) in [(7, Some("0a")), (3, None), (9, Some("ffff")), (4, Some("0100"))] {
            index.push(&item(id, serial));
        }
        index.sort();
        let of = |text: &str| index.of_serial(&text.parse().unwrap()).map(|entry| entry.request_id);
        assert_eq!((of("0A"), of("ff:ff"), of("100"), of("00")), (Some(7), Some(9), Some(4), None));
        assert_eq!(index.of_request(3).map(|entry| entry.serial.is_some()), Some(false));
        assert!(index.of_request(5).is_none());
        assert!(size_of::<Entry>() <= 48, "{}", size_of::<Entry>());
    }
}
