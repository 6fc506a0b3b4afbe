//! The identifiers of DCOM, each a type of its own (wire.md 1, 4.1; DCOM 1.9, 2.2.1 to 2.2.7).

use std::fmt;

use crate::ndr::{Guid, NdrError, Reader, Writer};
use crate::rpc::SyntaxId;

/// A 64-bit identifier that only its issuer can interpret.
macro_rules! number {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// Reads it, 8-aligned.
            ///
            /// # Errors
            ///
            /// [`NdrError::Truncated`].
            pub fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
                reader.u64().map(Self)
            }

            /// Writes it, 8-aligned.
            pub fn write(self, writer: &mut Writer) {
                writer.u64(self.0);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:016x}", self.0)
            }
        }
    };
}

/// A GUID with a meaning.
macro_rules! identifier {
    ($(#[$documentation:meta])* $name:ident) => {
        $(#[$documentation])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub Guid);

        impl $name {
            /// Reads it, 4-aligned.
            ///
            /// # Errors
            ///
            /// [`NdrError::Truncated`].
            pub fn read(reader: &mut Reader<'_>) -> Result<Self, NdrError> {
                reader.guid().map(Self)
            }

            /// Writes it, 4-aligned.
            pub fn write(self, writer: &mut Writer) {
                writer.guid(self.0);
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

number! {
    /// OXID: an object exporter, that is a process with objects, its port and its Remote Unknown (DCOM 2.2.3).
    Oxid
}
number! {
    /// OID: an object (DCOM 2.2.4).
    Oid
}
number! {
    /// SETID: a set of objects that a client pings together; 0 asks for a new one (DCOM 2.2.5).
    SetId
}
identifier! {
    /// IPID: one interface of one object, the object UUID of its calls (DCOM 2.2.6).
    Ipid
}
identifier! {
    /// IID: which interface (DCOM 2.2.2).
    Iid
}
identifier! {
    /// CLSID: which class of objects (DCOM 2.2.1).
    Clsid
}

/// A GUID of the form `xxxxxxxx-0000-0000-c000-000000000046` (wire.md 1.4).
const fn com(data1: u32) -> Guid {
    Guid::new(data1, 0, 0, [0xC0, 0, 0, 0, 0, 0, 0, 0x46])
}

/// A GUID of the first Certificate Services interfaces (wire.md 1.1).
const fn certificate(data1: u32) -> Guid {
    Guid::new(data1, 0xFC88, 0x11D0, [0xB4, 0x98, 0x00, 0xA0, 0xC9, 0x03, 0x12, 0xF3])
}

impl Iid {
    /// `IUnknown`, the base of all.
    pub const UNKNOWN: Self = Self(com(0));
    /// `IClassFactory`, which makes objects of a class (wire.md 4.6).
    pub const CLASS_FACTORY: Self = Self(com(1));
    /// `ICertAdminD` (wire.md 1.1).
    pub const CERT_ADMIN: Self = Self(certificate(0xD99E_6E71));
    /// `ICertAdminD2`, which derives from it (wire.md 1.1).
    pub const CERT_ADMIN_2: Self =
        Self(Guid::new(0x7FE0_D935, 0xDDA6, 0x443F, [0x85, 0xD0, 0x1C, 0xFB, 0x58, 0xFE, 0x41, 0xDD]));
    /// `IRemUnknown` (wire.md 4.15).
    pub const REM_UNKNOWN: Self = Self(com(0x131));
    /// `IRemUnknown2`, which derives from it (wire.md 4.15).
    pub const REM_UNKNOWN_2: Self = Self(com(0x143));
    /// `IRemoteSCMActivator` (wire.md 4.6).
    pub const REMOTE_SCM_ACTIVATOR: Self = Self(com(0x1A0));
    /// `IActivation` (wire.md 4.13).
    pub const ACTIVATION: Self =
        Self(Guid::new(0x4D9F_4AB8, 0x7D1C, 0x11CF, [0x86, 0x1E, 0x00, 0x20, 0xAF, 0x6E, 0x7C, 0x57]));
    /// `IObjectExporter`, the resolver (wire.md 4.5).
    pub const OBJECT_EXPORTER: Self =
        Self(Guid::new(0x99FC_FEC4, 0x5260, 0x101B, [0xBB, 0xCB, 0x00, 0xAA, 0x00, 0x21, 0x34, 0x7A]));
    /// `IActivationPropertiesIn`: a request's properties (wire.md 4.6).
    pub const ACTIVATION_PROPERTIES_IN: Self = Self(com(0x1A2));
    /// `IActivationPropertiesOut`: a reply's properties (wire.md 4.6).
    pub const ACTIVATION_PROPERTIES_OUT: Self = Self(com(0x1A3));
    /// `IContext`: the client's context (wire.md 4.9).
    pub const CONTEXT: Self = Self(com(0x1C0));

    /// What is bound to call it: version 0.0, as for every interface of DCOM (wire.md 1.1).
    #[must_use]
    pub const fn syntax(self) -> SyntaxId {
        SyntaxId::new(self.0, 0, 0)
    }
}

impl Clsid {
    /// The CA's administration object, the one to activate (wire.md 1.1).
    pub const CERT_ADMIN: Self = Self(certificate(0xD99E_6E73));
    /// The CA's request object (wire.md 1.1).
    pub const CERT_REQUEST: Self = Self(certificate(0xD99E_6E74));
    /// ActivationPropertiesIn.
    pub const ACTIVATION_PROPERTIES_IN: Self = Self(com(0x338));
    /// ActivationPropertiesOut, and PropsOutInfo, which has the same value.
    pub const ACTIVATION_PROPERTIES_OUT: Self = Self(com(0x339));
    /// ContextMarshaler.
    pub const CONTEXT_MARSHALER: Self = Self(com(0x33B));
    /// ServerLocationInfo.
    pub const SERVER_LOCATION_INFO: Self = Self(com(0x1A4));
    /// ActivationContextInfo.
    pub const ACTIVATION_CONTEXT_INFO: Self = Self(com(0x1A5));
    /// SecurityInfo.
    pub const SECURITY_INFO: Self = Self(com(0x1A6));
    /// ScmRequestInfo.
    pub const SCM_REQUEST_INFO: Self = Self(com(0x1AA));
    /// InstantiationInfo.
    pub const INSTANTIATION_INFO: Self = Self(com(0x1AB));
    /// InstanceInfo.
    pub const INSTANCE_INFO: Self = Self(com(0x1AD));
    /// ScmReplyInfo.
    pub const SCM_REPLY_INFO: Self = Self(com(0x1B6));
    /// SpecialSystemProperties.
    pub const SPECIAL_SYSTEM_PROPERTIES: Self = Self(com(0x1B9));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_documents() {
        assert_eq!(Iid::CERT_ADMIN.to_string(), "d99e6e71-fc88-11d0-b498-00a0c90312f3");
        assert_eq!(Iid::CERT_ADMIN_2.to_string(), "7fe0d935-dda6-443f-85d0-1cfb58fe41dd");
        assert_eq!(Iid::REM_UNKNOWN_2.to_string(), "00000143-0000-0000-c000-000000000046");
        assert_eq!(Iid::ACTIVATION.to_string(), "4d9f4ab8-7d1c-11cf-861e-0020af6e7c57");
        assert_eq!(Iid::OBJECT_EXPORTER.to_string(), "99fcfec4-5260-101b-bbcb-00aa0021347a");
        assert_eq!(Clsid::CERT_ADMIN.to_string(), "d99e6e73-fc88-11d0-b498-00a0c90312f3");
        assert_eq!(Oxid(0x1122_3344_5566_7788).to_string(), "1122334455667788");
    }
}
