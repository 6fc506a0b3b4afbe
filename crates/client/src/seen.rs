//! What a CA says of itself beside a backup: its name, its certificate, its CRL, and when it was backed up (wire.md 5.12,
//! certbcli.md 12). Every answer may be missing: an old CA, or one that this caller may not read, says less.

use certadm_rules::FileTime;
use certadm_wire::csra::{OtherCall, OtherOut, PropertyValue, Variant};

use crate::ca::RemoteCa;
use crate::error::Error;
use crate::properties::{CA_NAME, TEXT};

/// What a CA has said of itself, as far as it did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its common name.
    pub name: Option<String>,
    /// Its newest certificate, in DER.
    pub certificate: Option<Vec<u8>>,
    /// Its newest base CRL, in DER.
    pub crl: Option<Vec<u8>>,
    /// When its last full backup ended.
    pub last_full: Option<FileTime>,
    /// When its last logs-only backup ended.
    pub last_logs: Option<FileTime>,
}

impl RemoteCa {
    /// Asks for all of it.
    pub fn seen(&mut self) -> Seen {
        Seen {
            name: self.name().ok(),
            certificate: self.certificate().ok(),
            crl: self.base_crl().ok(),
            last_full: self.moment("DBLastFullBackup").ok().flatten(),
            last_logs: self.moment("DBLastIncrementalBackup").ok().flatten(),
        }
    }

    /// The common name of the CA that the server has, whatever name this object was opened with.
    pub(crate) fn name_of_server(&mut self) -> Option<String> {
        let call = OtherCall::GetCaProperty { property: CA_NAME, index: 0, kind: TEXT };
        let name = self.ask_of(None, call, "GetCAProperty", |out| match out {
            OtherOut::Blob(blob) => match PropertyValue::decode(TEXT, blob) {
                Ok(PropertyValue::Text(name)) => Some(name),
                _ => None,
            },
            _ => None,
        });
        name.ok().filter(|name| !name.is_empty())
    }

    /// A moment of the configuration above the CA's own key: eight bytes, a FILETIME. Nothing where it was never set.
    fn moment(&mut self, entry: &str) -> Result<Option<FileTime>, Error> {
        let call = OtherCall::GetConfigEntry { node: Some(String::new()), entry: entry.to_owned() };
        // The empty name stands for the key above all CAs.
        self.ask_of(Some(String::new()), call, "GetConfigEntry", |out| match out {
            OtherOut::Variant(Variant::Bytes(bytes)) => {
                let time = bytes.try_into().ok().map(i64::from_le_bytes);
                Some(time.filter(|time| *time != 0).map(FileTime))
            }
            _ => None,
        })
    }
}
