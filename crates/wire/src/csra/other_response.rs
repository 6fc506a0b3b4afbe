//! What the server answers beyond the backup methods (wire.md 5.2).

use super::response::{MAX_BLOB, MAX_CRL_BLOB, read_blob, read_code, write_blob};
use super::{Method, OutParameters, Response, Variant};
use crate::ndr::{NdrError, Reader, Writer};
use certadm_rules::Hresult;

/// The answer to an [`OtherRequest`](super::OtherRequest), without ORPCTHAT. A failure is an answer too: all parameters
/// are there, zeroed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherResponse<'a> {
    /// The out parameters.
    pub out: OtherOut<'a>,
    /// The method's own code.
    pub code: Hresult,
}

/// The out parameters of a method before its code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtherOut<'a> {
    /// Nothing.
    None,
    /// A 32-bit number: a disposition, a request, a filter, roles, a count.
    Number(u32),
    /// Two of them: revocation reason and disposition.
    TwoNumbers(u32, u32),
    /// A CERTTRANSBLOB.
    Blob(&'a [u8]),
    /// A number, mostly a count, then a CERTTRANSBLOB.
    NumberAndBlob(u32, &'a [u8]),
    /// A configuration value.
    Variant(Variant),
}

impl Method {
    /// GetCRL (9) and GetCAProperty (32) answer CRLs.
    const fn largest_blob(self) -> usize {
        if matches!(self.opnum(), 9 | 32) { MAX_CRL_BLOB } else { MAX_BLOB }
    }

    /// Writes the complete answer after ORPCTHAT that says nothing but `code`: every out parameter zeroed, then the
    /// code (wire.md 5.2). Whoever has the request of a backup method answers by [`Response::failure`]: the answer to
    /// BackupReadFile has as many bytes as were asked for, here none.
    pub fn write_failure(self, code: Hresult, writer: &mut Writer) {
        if let Some(response) = OtherResponse::failure(self, code) {
            return response.write(writer);
        }
        let response = match self.out_parameters() {
            OutParameters::Length => Response::Length { length: 0, code },
            OutParameters::Buffer => Response::Data { size: 0, data: &[], code },
            _ => Response::List { units: Vec::new(), code },
        };
        response.write(writer);
    }
}

impl<'a> OtherResponse<'a> {
    /// The complete answer to `method` that says nothing but `code`; none for a method whose answer has what only those
    /// of a backup have: a list, a length, a buffer.
    #[must_use]
    pub const fn failure(method: Method, code: Hresult) -> Option<Self> {
        let out = match method.out_parameters() {
            OutParameters::None => OtherOut::None,
            OutParameters::Number => OtherOut::Number(0),
            OutParameters::TwoNumbers => OtherOut::TwoNumbers(0, 0),
            OutParameters::Blob => OtherOut::Blob(&[]),
            OutParameters::NumberAndBlob => OtherOut::NumberAndBlob(0, &[]),
            OutParameters::Variant => OtherOut::Variant(Variant::Empty),
            OutParameters::List | OutParameters::Length | OutParameters::Buffer => return None,
        };
        Some(Self { out, code })
    }

    /// Reads the answer to `method` after ORPCTHAT. Blobs are borrowed. What follows is ignored. None for a backup
    /// method, whose answers [`Response`](super::Response) reads.
    ///
    /// # Errors
    ///
    /// [`NdrError`], the server's fault, except [`NdrError::VariantKind`].
    pub fn read(method: Method, reader: &mut Reader<'a>) -> Result<Option<Self>, NdrError> {
        let out = match method.out_parameters() {
            OutParameters::None => OtherOut::None,
            OutParameters::Number => OtherOut::Number(reader.u32()?),
            OutParameters::TwoNumbers => OtherOut::TwoNumbers(reader.u32()?, reader.u32()?),
            OutParameters::Blob => OtherOut::Blob(read_blob(reader, method.largest_blob())?),
            OutParameters::NumberAndBlob => {
                OtherOut::NumberAndBlob(reader.u32()?, read_blob(reader, method.largest_blob())?)
            }
            OutParameters::Variant => match Variant::read(reader)? {
                // The code behind it cannot be found.
                Variant::Other { kind } => {
                    return Err(NdrError::VariantKind { offset: reader.position(), kind });
                }
                variant => OtherOut::Variant(variant),
            },
            OutParameters::List | OutParameters::Length | OutParameters::Buffer => return Ok(None),
        };
        Ok(Some(Self { out, code: read_code(reader)? }))
    }

    /// Writes the answer after ORPCTHAT.
    pub fn write(&self, writer: &mut Writer) {
        match &self.out {
            OtherOut::None => {}
            OtherOut::Number(number) => {
                writer.u32(*number);
            }
            OtherOut::TwoNumbers(first, second) => {
                writer.u32(*first).u32(*second);
            }
            OtherOut::Blob(blob) => write_blob(writer, blob),
            OtherOut::NumberAndBlob(number, blob) => write_blob(writer.u32(*number), blob),
            OtherOut::Variant(variant) => variant.write(writer),
        }
        writer.u32(self.code.to_bits());
    }
}
