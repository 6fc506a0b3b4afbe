//! What a Windows server tells of a fault beside its status: which components gave which codes (MS-EERR 2.2; RPCE 2.2.2.8).
//!
//! It comes outside of any signature, so it is good for messages to people and for nothing else.

use certadm_rules::FileTime;

use crate::ndr::{ByteOrder, NdrError, Reader};

/// The most records of one fault; Windows chains a handful.
const MAX_RECORDS: usize = 16;
/// The most parameters of one record.
const MAX_PARAMETERS: usize = 64;
/// The longest text or block in a parameter, in elements.
const MAX_LENGTH: usize = 4096;
/// The first bytes of type serialisation version 1, little-endian (RPCE 2.2.6).
const SERIALISATION: [u8; 4] = [1, 0x10, 8, 0];

/// Why extended error data cannot be read. The fault itself stands, and whoever shows it leaves them out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtendedError {
    /// They are not in type serialisation version 1.
    #[error("extended error data begin with something else than type serialisation version 1")]
    Serialisation,
    /// A field does not decode.
    #[error("extended error data do not decode")]
    Field(#[from] NdrError),
}

/// One record: a component that noticed the failure, or passed it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorRecord {
    /// The name of the machine; none when the record does not say.
    pub computer: Option<String>,
    /// The process there.
    pub process: u32,
    /// When it was.
    pub time: FileTime,
    /// Which component made the record (MS-EERR 2.2.1.8), see [`ErrorRecord::component_name`].
    pub component: u32,
    /// Its code: a Win32 error, an HRESULT or an nca code.
    pub status: u32,
    /// Where in the component's code it was noticed.
    pub location: u16,
    /// Further values, whose meaning the location decides.
    pub parameters: Vec<ErrorParameter>,
}

/// A value in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorParameter {
    /// Text, of either kind; bytes beyond ASCII are shown by a replacement.
    Text(String),
    /// An integer of 32 bits, often an error code.
    Long(u32),
    /// An integer of 16 bits.
    Short(u16),
    /// A pointer.
    Pointer(u64),
    /// There is none.
    None,
    /// A block of bytes.
    Block(Vec<u8>),
}

impl ErrorRecord {
    /// Reads the records behind the fields of a fault, the one that the server made last first.
    ///
    /// # Errors
    ///
    /// [`ExtendedError`].
    pub fn read_all(data: &[u8]) -> Result<Vec<Self>, ExtendedError> {
        if !data.starts_with(&SERIALISATION) {
            return Err(ExtendedError::Serialisation);
        }
        let mut reader = Reader::new(data.get(16..).unwrap_or_default(), ByteOrder::Little);
        let mut records = Vec::new();
        if reader.referent()? {
            read_record(&mut reader, &mut records)?;
        }
        Ok(records)
    }

    /// What the component is called (MS-EERR 2.2.1.8); none for one that the document does not know.
    #[must_use]
    pub const fn component_name(&self) -> Option<&'static str> {
        Some(match self.component {
            1 => "the application",
            2 => "the RPC runtime",
            3 => "the security provider",
            4 => "the named pipe",
            5 => "the redirector",
            6 => "the file system",
            7 => "the kernel's transport",
            8 => "TCP",
            10 => "the transport",
            15 => "the browser",
            16 => "winsock",
            _ => return None,
        })
    }

    /// The codes of the record: its status, then those of its parameters that are failures by their form.
    pub fn codes(&self) -> impl Iterator<Item = u32> {
        let parameters = self.parameters.iter().filter_map(|parameter| match parameter {
            ErrorParameter::Long(code) if *code >> 31 == 1 => Some(*code),
            _ => None,
        });
        [self.status].into_iter().filter(|&status| status != 0).chain(parameters)
    }
}

/// A record, its successor, then what its own pointers lead to.
fn read_record(reader: &mut Reader<'_>, records: &mut Vec<ErrorRecord>) -> Result<(), NdrError> {
    let count = reader.conformance(MAX_PARAMETERS)?;
    reader.align(8)?;
    let has_next = reader.referent()?;
    let has_computer = read_computer(reader)?;
    let process = reader.u32()?;
    reader.align(8)?;
    let time = reader.file_time()?;
    let (component, status) = (reader.u32()?, reader.u32()?);
    let location = reader.u16()?;
    reader.u16()?; // flags
    let expected = reader.u16()?;
    reader.expect_count(count as u64, expected.into())?;
    let heads = (0..count).map(|_| read_head(reader)).collect::<Result<Vec<_>, _>>()?;
    let place = records.len();
    if MAX_RECORDS <= place {
        return Ok(());
    }
    records.push(ErrorRecord {
        computer: None,
        process,
        time,
        component,
        status,
        location,
        parameters: Vec::new(),
    });
    if has_next {
        read_record(reader, records)?;
        if MAX_RECORDS <= records.len() {
            // What stands behind a chain that was cut cannot be found.
            return Ok(());
        }
    }
    let computer = if has_computer { Some(units(reader)?) } else { None };
    let parameters = heads.into_iter().map(|head| head.read(reader)).collect::<Result<Vec<_>, _>>()?;
    if let Some(record) = records.get_mut(place) {
        (record.computer, record.parameters) = (computer, parameters);
    }
    Ok(())
}

/// EEComputerName: whether a name is there, and stands behind.
fn read_computer(reader: &mut Reader<'_>) -> Result<bool, NdrError> {
    reader.u16()?; // the kind, once for the structure
    if reader.u16()? != 1 {
        return Ok(false);
    }
    reader.u16()?; // its length
    reader.referent()
}

/// A parameter before what its pointer leads to is read.
enum Head {
    Value(ErrorParameter),
    Octets { is_text: bool },
    Units,
}

fn read_head(reader: &mut Reader<'_>) -> Result<Head, NdrError> {
    reader.align(8)?;
    reader.u16()?; // the kind, once for the structure
    let kind = reader.u16()?;
    let value = match kind {
        1 | 2 | 7 => {
            reader.u16()?; // its length
            match (reader.referent()?, kind) {
                (false, _) => ErrorParameter::None,
                (true, 2) => return Ok(Head::Units),
                (true, kind) => return Ok(Head::Octets { is_text: kind == 1 }),
            }
        }
        3 => ErrorParameter::Long(reader.u32()?),
        4 => ErrorParameter::Short(reader.u16()?),
        5 => ErrorParameter::Pointer(reader.u64()?),
        _ => ErrorParameter::None,
    };
    Ok(Head::Value(value))
}

impl Head {
    fn read(self, reader: &mut Reader<'_>) -> Result<ErrorParameter, NdrError> {
        Ok(match self {
            Self::Value(value) => value,
            Self::Units => ErrorParameter::Text(units(reader)?),
            Self::Octets { is_text } => {
                let count = reader.conformance(MAX_LENGTH)?;
                let bytes = reader.bytes(count)?;
                if is_text {
                    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
                    ErrorParameter::Text(String::from_utf8_lossy(text).into_owned())
                } else {
                    ErrorParameter::Block(bytes.to_vec())
                }
            }
        })
    }
}

/// A conformant array of UTF-16 units up to its NUL.
fn units(reader: &mut Reader<'_>) -> Result<String, NdrError> {
    let units = reader.conformant_units(MAX_LENGTH)?;
    let text = units.split(|&unit| unit == 0).next().unwrap_or_default();
    Ok(String::from_utf16_lossy(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ndr::Writer;

    /// Two records: the first one's successor stands before its own name and parameters.
    fn chained() -> Vec<u8> {
        let mut body = Writer::new();
        body.referent();
        let record = |body: &mut Writer, next: bool, parameters: u16| {
            body.count(parameters.into()).align(8);
            if next {
                body.referent()
            } else {
                body.null()
            };
            body.u16(1).u16(1).u16(3).referent().u32(77).align(8);
            body.u64(0x01DC_5F00_1234_5678).u32(2).u32(1726).u16(9).u16(0).u16(parameters);
        };
        record(&mut body, true, 5);
        body.align(8).u16(2).u16(2).u16(2).referent();
        body.align(8).u16(3).u16(3).u32(0x8009_030C);
        body.align(8).u16(4).u16(4).u16(7);
        body.align(8).u16(5).u16(5).u64(11);
        body.align(8).u16(7).u16(7).u16(3).referent();
        record(&mut body, false, 0);
        body.conformant_units(&[0x62, 0x32, 0]);
        body.conformant_units(&[0x61, 0x31, 0]);
        body.conformant_units(&[0x78, 0]);
        body.conformant_bytes(b"abc");
        let body = body.into_bytes();
        let mut data = vec![1, 0x10, 8, 0, 0xCC, 0xCC, 0xCC, 0xCC];
        data.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
        data.extend([0; 4]);
        data.extend(body);
        data
    }

    #[test]
    fn a_chain_is_read_with_all_kinds_of_parameters() {
        let records = ErrorRecord::read_all(&chained()).unwrap();
        let [first, second] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!((first.computer.as_deref(), second.computer.as_deref()), (Some("a1"), Some("b2")));
        assert_eq!((first.process, first.status, first.location), (77, 1726, 9));
        assert_eq!(first.component_name(), Some("the RPC runtime"));
        assert_eq!(
            first.parameters,
            [
                ErrorParameter::Text("x".to_owned()),
                ErrorParameter::Long(0x8009_030C),
                ErrorParameter::Short(7),
                ErrorParameter::Pointer(11),
                ErrorParameter::Block(b"abc".to_vec()),
            ]
        );
        assert_eq!(first.codes().collect::<Vec<_>>(), [1726, 0x8009_030C]);
    }

    #[test]
    fn what_is_cut_or_altered_is_an_error_or_other_records_and_never_a_panic() {
        let data = chained();
        for length in 0..data.len() {
            assert!(ErrorRecord::read_all(&data[..length]).is_err(), "{length}");
        }
        for place in 0..data.len() {
            for bit in 0..8 {
                let mut altered = data.clone();
                altered[place] ^= 1 << bit;
                let _ = ErrorRecord::read_all(&altered);
            }
        }
    }
}
