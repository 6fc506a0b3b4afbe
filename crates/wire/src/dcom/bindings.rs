//! Where an exporter or resolver is reached, and how to authenticate there: DUALSTRINGARRAY (wire.md 4.4;
//! DCOM 2.2.19).

use super::{BindingsError, ObjRefError};
use crate::ndr::{Reader, Writer};
use crate::rpc::AuthType;

/// The tower id of `ncacn_ip_tcp`, the only protocol spoken here (wire.md 1.5).
pub const TOWER_TCP: u16 = 7;
/// What stands for "no authorisation service" in a security binding.
const NO_AUTHORISATION: u16 = 0xFFFF;

/// STRINGBINDING: one address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StringBinding {
    /// Which protocol; not 0. Ignore those other than [`TOWER_TCP`].
    pub tower: u16,
    /// A NetBIOS name, a domain name, an IPv4 or IPv6 address; of an exporter with `[port]` behind it.
    pub address: String,
}

impl StringBinding {
    /// TCP at `host`, without a port: how a resolver is named.
    #[must_use]
    pub fn resolver(host: &str) -> Self {
        Self { tower: TOWER_TCP, address: host.to_owned() }
    }

    /// TCP at `host` and `port`: how an exporter is named.
    #[must_use]
    pub fn exporter(host: &str, port: u16) -> Self {
        Self { tower: TOWER_TCP, address: format!("{host}[{port}]") }
    }

    /// Host and port. The bracket part is taken from the right; without a good one all of the text is the host.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, Option<u16>) {
        let parts = self.address.strip_suffix(']').and_then(|text| text.rsplit_once('['));
        match parts.map(|(host, port)| (host, port.parse().ok())) {
            Some((host, Some(port))) => (host, Some(port)),
            _ => (&self.address, None),
        }
    }
}

/// SECURITYBINDING: one way to authenticate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecurityBinding {
    /// The mechanism; not 0. 16 bits on the wire, of which mechanisms use 8.
    pub service: u16,
    /// The name to authenticate the server by; may be empty.
    pub principal: String,
}

impl SecurityBinding {
    /// A mechanism without a principal's name.
    #[must_use]
    pub fn of(service: AuthType) -> Self {
        Self { service: service.0.into(), principal: String::new() }
    }
}

/// DUALSTRINGARRAY: addresses and ways to authenticate, in this order, always short enough to travel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct DualStringArray {
    strings: Vec<StringBinding>,
    security: Vec<SecurityBinding>,
}

impl DualStringArray {
    /// Bindings of these.
    ///
    /// # Errors
    ///
    /// [`BindingsError::ZeroId`]; [`BindingsError::Nul`]; [`BindingsError::TooLong`]. The caller's fault.
    pub fn new(strings: Vec<StringBinding>, security: Vec<SecurityBinding>) -> Result<Self, BindingsError> {
        if strings.iter().any(|binding| binding.tower == 0)
            || security.iter().any(|binding| binding.service == 0)
        {
            return Err(BindingsError::ZeroId);
        }
        let addresses = strings.iter().map(|binding| &binding.address);
        if addresses.chain(security.iter().map(|binding| &binding.principal)).any(|text| text.contains('\0'))
        {
            return Err(BindingsError::Nul);
        }
        let array = Self { strings, security };
        let units = array.string_units().len() + array.security_units().len();
        if u16::try_from(units).is_err() {
            return Err(BindingsError::TooLong { units });
        }
        Ok(array)
    }

    /// The addresses.
    #[must_use]
    pub fn strings(&self) -> &[StringBinding] {
        &self.strings
    }

    /// The ways to authenticate.
    #[must_use]
    pub fn security(&self) -> &[SecurityBinding] {
        &self.security
    }

    /// The addresses of TCP.
    pub fn tcp(&self) -> impl Iterator<Item = &StringBinding> {
        self.strings.iter().filter(|binding| binding.tower == TOWER_TCP)
    }

    /// Reads it as it stands in an OBJREF: two u16 and the array.
    ///
    /// # Errors
    ///
    /// [`ObjRefError::Field`] when it is cut short; [`ObjRefError::Bindings`].
    pub fn read_packed(reader: &mut Reader<'_>) -> Result<Self, ObjRefError> {
        let (entries, security) = (reader.u16()?, reader.u16()?);
        let units = reader.units(entries.into())?;
        Ok(Self::from_units(&units, security.into())?)
    }

    /// Writes it as it stands in an OBJREF.
    pub fn write_packed(&self, writer: &mut Writer) {
        let (strings, security) = (self.string_units(), self.security_units());
        // Construction made sure that both together fit.
        let count = |units: usize| u16::try_from(units).unwrap_or(u16::MAX);
        writer.u16(count(strings.len() + security.len())).u16(count(strings.len()));
        writer.units(&strings).units(&security);
    }

    /// Reads it as an NDR structure, its maximum count hoisted in front.
    ///
    /// # Errors
    ///
    /// [`ObjRefError::Field`] when it is cut short or its counts disagree; [`ObjRefError::Bindings`].
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, ObjRefError> {
        let count = reader.u32()?;
        let entries = reader.clone().u16()?;
        reader.expect_count(count.into(), entries.into())?;
        Self::read_packed(reader)
    }

    /// Writes it as an NDR structure.
    pub fn write(&self, writer: &mut Writer) {
        writer.count(self.string_units().len() + self.security_units().len());
        self.write_packed(writer);
    }

    /// An empty list is two zeros, so that the smallest array has four units (wire.md 4.4).
    fn string_units(&self) -> Vec<u16> {
        let mut units = Vec::new();
        for binding in &self.strings {
            units.push(binding.tower);
            units.extend(binding.address.encode_utf16().chain([0]));
        }
        units.extend(if units.is_empty() { &[0, 0][..] } else { &[0] });
        units
    }

    fn security_units(&self) -> Vec<u16> {
        let mut units = Vec::new();
        for binding in &self.security {
            units.extend([binding.service, NO_AUTHORISATION]);
            units.extend(binding.principal.encode_utf16().chain([0]));
        }
        units.extend(if units.is_empty() { &[0, 0][..] } else { &[0] });
        units
    }

    fn from_units(units: &[u16], security: usize) -> Result<Self, BindingsError> {
        let (mut string_units, mut security_units) =
            units.split_at_checked(security).ok_or(BindingsError::Unterminated)?;
        let (mut strings, mut security) = (Vec::new(), Vec::new());
        loop {
            match take(&mut string_units)? {
                0 => break,
                tower => strings.push(StringBinding { tower, address: take_text(&mut string_units)? }),
            }
        }
        loop {
            match take(&mut security_units)? {
                0 => break,
                service => {
                    take(&mut security_units)?; // the authorisation service: always none
                    let principal = take_text(&mut security_units)?;
                    security.push(SecurityBinding { service, principal });
                }
            }
        }
        // Checked again: an empty list may have come in fewer units than we write for it.
        Self::new(strings, security)
    }
}

fn take(units: &mut &[u16]) -> Result<u16, BindingsError> {
    let (&first, rest) = units.split_first().ok_or(BindingsError::Unterminated)?;
    *units = rest;
    Ok(first)
}

fn take_text(units: &mut &[u16]) -> Result<String, BindingsError> {
    let end = units.iter().position(|&unit| unit == 0).ok_or(BindingsError::Unterminated)?;
    let (text, rest) = units.split_at(end);
    *units = rest.split_first().map_or(&[], |(_, rest)| rest);
    String::from_utf16(text).map_err(|_| BindingsError::BadUtf16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndr::ByteOrder;

    #[test]
    fn the_smallest_array_has_four_units() {
        let mut writer = Writer::new();
        DualStringArray::default().write_packed(&mut writer);
        assert_eq!(writer.into_bytes(), [4, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn brackets_are_stripped_from_the_right() {
        let binding = |address: &str| StringBinding::resolver(address);
        assert_eq!(binding("CA01[49670]").host_and_port(), ("CA01", Some(49670)));
        assert_eq!(binding("fe80::1").host_and_port(), ("fe80::1", None));
        assert_eq!(StringBinding::exporter("::1", 1).host_and_port(), ("::1", Some(1)));
        assert_eq!(binding("CA01[]").host_and_port(), ("CA01[]", None));
        assert_eq!(binding("CA01[99999]").host_and_port(), ("CA01[99999]", None));
    }

    #[test]
    fn what_cannot_travel_is_refused() {
        let binding = |tower, address: &str| StringBinding { tower, address: address.to_owned() };
        let made = |strings| DualStringArray::new(strings, Vec::new());
        assert_eq!(made(vec![binding(0, "x")]), Err(BindingsError::ZeroId));
        assert_eq!(made(vec![binding(7, "x\0y")]), Err(BindingsError::Nul));
        let long = "x".repeat(65_530);
        assert_eq!(made(vec![binding(7, &long)]).map(|_| ()), Ok(()));
        let longer = "x".repeat(65_531);
        assert_eq!(made(vec![binding(7, &longer)]), Err(BindingsError::TooLong { units: 65_536 }));
    }

    #[test]
    fn what_does_not_end_is_refused() {
        for (units, security) in
            [(vec![0u16], 2u16), (vec![7, 0x41], 2), (vec![7, 0, 9, 0xFFFF], 2), (vec![], 0)]
        {
            let mut writer = Writer::new();
            writer.u16(u16::try_from(units.len()).unwrap()).u16(security).units(&units);
            let bytes = writer.into_bytes();
            let read = DualStringArray::read_packed(&mut Reader::new(&bytes, ByteOrder::Little));
            assert_eq!(read, Err(BindingsError::Unterminated.into()), "{units:?}");
        }
    }
}
