//! The request number in the serial number of a Windows certificate (WCCE 3.2.1.4.2.1.4.6; recovery.md 7.3).

use std::collections::BTreeSet;

use certadm_ca::Serial;
use certadm_rules::hex;

/// How a serial number is made: its octets, and whether the request number stands in it twice.
pub(crate) type Shape = (usize, bool);

/// The two ways that need no text to be configured.
const USUAL: [Shape; 2] = [(10, false), (19, true)];

/// The ways in which a CA makes its serial numbers: the usual ones, and what its database shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes(BTreeSet<Shape>);

impl Shapes {
    /// Learns from a certificate whose request is known.
    pub(crate) fn learn(&mut self, serial: &Serial, request_id: i64) {
        if let Some((request, shape)) = parts(serial)
            && request == request_id
        {
            self.0.insert(shape);
        }
    }

    /// The number of the request that a serial number of this CA carries.
    pub(crate) fn request_in(&self, serial: &Serial) -> Option<i64> {
        let (request, shape) = parts(serial)?;
        (USUAL.contains(&shape) || self.0.contains(&shape)).then_some(request)
    }
}

/// The number of the request that a serial number of a Windows CA carries; nothing where it was not made in one of the two
/// ways that are usual.
///
/// From the low end: 4 octets request number, 2 octets index of the CA certificate, then 4 random octets (10 in all); or
/// 8 random octets, the request number again, and one configured octet (19 in all).
///
/// ```
/// use certadm_recovery::request_in;
///
/// let serial = "650000000bf2519ad8d63aa33b00000000000b".parse()?;
/// assert_eq!(request_in(&serial), Some(11));
/// assert_eq!(request_in(&"4f3a00".parse()?), None);
/// # Ok::<(), certadm_ca::Error>(())
/// ```
#[must_use]
pub fn request_in(serial: &Serial) -> Option<i64> {
    Shapes::default().request_in(serial)
}

/// The index of the CA certificate under which a serial number of a Windows CA was given, where it was made in one of the two
/// usual ways.
pub(crate) fn certificate_index_in(serial: &Serial) -> Option<u32> {
    let (_, shape) = parts(serial)?;
    let octets = hex::decode(serial.as_str()).filter(|_| USUAL.contains(&shape))?;
    let (rest, _) = octets.split_last_chunk::<4>()?;
    let (_, index) = rest.split_last_chunk::<2>()?;
    Some(u32::from(u16::from_be_bytes(*index)))
}

fn parts(serial: &Serial) -> Option<(i64, Shape)> {
    let octets = hex::decode(serial.as_str())?;
    let (rest, low) = octets.split_last_chunk::<4>()?;
    let (above, _) = rest.split_last_chunk::<2>()?;
    let is_twice = above.len() == 13 && above[1..5] == *low;
    let request = u32::from_be_bytes(*low);
    (request != 0).then_some((i64::from(request), (octets.len(), is_twice)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_other_makers_carry_no_request() {
        for (text, expected) in [
            ("1d0000000d292fbe3c6cddafa200020000000d", Some(13)), // the example of event 4768 in Microsoft's documentation
            ("6100112233000000000a", Some(10)),
            ("1d0000000d292fbe3c6cddafa200020000000e", None),
            ("4a7f3c0011223344556677889900aabb", None),
            ("61001122330000000000", None),
            ("0a", None),
        ] {
            assert_eq!(request_in(&text.parse().unwrap()), expected, "{text}");
            let index = expected.map(|request| if request == 13 { 2 } else { 0x3300 });
            assert_eq!(certificate_index_in(&text.parse().unwrap()), index, "{text}");
        }
    }

    #[test]
    fn a_configured_text_is_learned_from_the_database() {
        let serial: Serial = "41424344454647000000000007".parse().unwrap();
        let mut shapes = Shapes::default();
        assert_eq!(shapes.request_in(&serial), None);
        shapes.learn(&"41424344454647000000000003".parse().unwrap(), 3);
        assert_eq!(shapes.request_in(&serial), Some(7));
    }
}
