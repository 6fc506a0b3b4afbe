//! All methods of both interfaces and the shape of what they answer (wire.md 5.2).

/// Which interface a call arrives on (wire.md 1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Interface {
    /// `ICertAdminD`: opnums 3 to 30.
    CertAdmin,
    /// `ICertAdminD2`, which derives from it: opnums 3 to 48.
    CertAdmin2,
}

/// A method, by its opnum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Method(u16);

impl Method {
    /// The method of an opnum; none when `interface` ends before it or for the three methods of IUnknown, which
    /// never travel: fault [`FaultStatus::OPNUM_OUT_OF_RANGE`](crate::rpc::FaultStatus::OPNUM_OUT_OF_RANGE)
    /// (wire.md 4.14).
    #[must_use]
    pub const fn from_opnum(interface: Interface, opnum: u16) -> Option<Self> {
        match (interface, opnum) {
            (_, 3..=30) | (Interface::CertAdmin2, 31..=48) => Some(Self(opnum)),
            _ => None,
        }
    }

    /// Its opnum.
    #[must_use]
    pub const fn opnum(self) -> u16 {
        self.0
    }

    /// Whether [`Request`](super::Request) decodes it: the bold rows of wire.md 5.2.
    #[must_use]
    pub const fn serves_backup(self) -> bool {
        matches!(self.0, 17..=27 | 29 | 30 | 38)
    }

    /// What its answer holds between ORPCTHAT and the HRESULT.
    #[must_use]
    pub const fn out_parameters(self) -> OutParameters {
        match self.0 {
            5 | 19 | 28 | 40 | 47 | 48 => OutParameters::Number,
            7 => OutParameters::TwoNumbers,
            9 | 17 | 32 | 36 | 39 => OutParameters::Blob,
            11..=15 | 34 | 35 | 42 => OutParameters::NumberAndBlob,
            22 | 23 | 29 | 30 => OutParameters::List,
            24 => OutParameters::Length,
            25 => OutParameters::Buffer,
            44 => OutParameters::Variant,
            _ => OutParameters::None,
        }
    }
}

/// What an answer holds between ORPCTHAT and the HRESULT (wire.md 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutParameters {
    /// Nothing.
    None,
    /// A 32-bit number.
    Number,
    /// Two 32-bit numbers.
    TwoNumbers,
    /// A CERTTRANSBLOB.
    Blob,
    /// A 32-bit number, then a CERTTRANSBLOB.
    NumberAndBlob,
    /// A list of WCHARs and its count.
    List,
    /// A 64-bit number.
    Length,
    /// The read buffer and the count of bytes read.
    Buffer,
    /// A VARIANT.
    Variant,
}
