//! Faults and their status values (wire.md 2.6, 2.16; RPCE 2.2.2.8, 3.1.1.5.5).

use std::fmt;

/// The body of a fault (wire.md 2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultBody<'a> {
    /// `alloc_hint`: 32 in what we send, ignored in what we receive.
    pub alloc_hint: u32,
    /// The presentation context of the call.
    pub context_id: u16,
    /// How many cancels arrived for the call.
    pub cancel_count: u8,
    /// Why the call failed.
    pub status: FaultStatus,
    /// Extended error data, for [`ErrorRecord::read_all`](super::ErrorRecord::read_all); empty when there is none.
    pub extended: &'a [u8],
}

impl FaultBody<'_> {
    /// A fault of a call in this presentation context that says its status and no more.
    #[must_use]
    pub const fn plain(context_id: u16, status: FaultStatus) -> Self {
        Self { alloc_hint: 32, context_id, cancel_count: 0, status, extended: &[] }
    }
}

/// Why a call failed: an nca code, a Win32 error or an HRESULT (wire.md 2.16).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FaultStatus(pub u32);

impl FaultStatus {
    /// nca_s_op_rng_error: the interface has no such method.
    pub const OPNUM_OUT_OF_RANGE: Self = Self(0x1C01_0002);
    /// nca_s_unk_if: no such interface.
    pub const UNKNOWN_INTERFACE: Self = Self(0x1C01_0003);
    /// nca_s_proto_error: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(0x1C01_000B);
    /// nca_s_server_too_busy.
    pub const SERVER_TOO_BUSY: Self = Self(0x1C01_0014);
    /// nca_s_fault_cancel: the call was cancelled.
    pub const CANCELLED: Self = Self(0x1C00_000D);
    /// nca_s_fault_context_mismatch.
    pub const CONTEXT_MISMATCH: Self = Self(0x1C00_001A);
    /// nca_s_invalid_pres_context_id: the presentation context was never accepted.
    pub const INVALID_PRESENTATION_CONTEXT: Self = Self(0x1C00_001C);
    /// nca_s_unsupported_authn_level.
    pub const UNSUPPORTED_AUTH_LEVEL: Self = Self(0x1C00_001D);
    /// ERROR_ACCESS_DENIED: level too low, bad signature, failed authentication, request too large.
    pub const ACCESS_DENIED: Self = Self(0x0000_0005);
    /// E_ACCESSDENIED, what the Remote Unknown says instead of [`FaultStatus::ACCESS_DENIED`] (wire.md 4.14).
    pub const OBJECT_ACCESS_DENIED: Self = Self(0x8007_0005);
    /// RPC_X_BAD_STUB_DATA: the stub does not decode.
    pub const BAD_STUB_DATA: Self = Self(0x0000_06F7);
    /// RPC_S_SEC_PKG_ERROR: the security package failed.
    pub const SECURITY_PACKAGE: Self = Self(0x0000_0721);
    /// RPC_E_DISCONNECTED: no object has this IPID.
    pub const DISCONNECTED: Self = Self(0x8001_0108);
    /// RPC_E_VERSION_MISMATCH: the COMVERSION is refused.
    pub const VERSION_MISMATCH: Self = Self(0x8001_0110);
    /// RPC_E_INVALID_HEADER: the flags of ORPCTHIS are not zero.
    pub const INVALID_HEADER: Self = Self(0x8001_0111);

    /// The code that a client hands to its caller (wire.md 2.16; RPCE 3.1.1.5.5): nca codes become Win32 errors, any
    /// other value stays. Zero, which no server may send, becomes RPC_S_CALL_FAILED: a fault is never a success.
    #[must_use]
    pub const fn client_code(self) -> u32 {
        match self.0 {
            0x1C01_0002 => 0x6D1,
            0x1C01_0003 => 0x6B5,
            0x1C01_000B | 0x1C00_001C => 0x6C0,
            0x1C01_0013 | 0x1C00_001B => 0x46A,
            0x1C01_0014 => 0x6BB,
            0x1C01_0017 => 0x6C4,
            0x1C00_0006 => 0x6C5,
            0x1C00_0007 => 0x6C6,
            0x1C00_000C | 0x1C00_001F => 0x6BF,
            0x1C00_000D => 0x71A,
            0x1C00_0012 | 0 => 0x6BE,
            0x1C00_001A => 6,
            0x1C00_001D => 0x71D,
            other => other,
        }
    }
}

impl fmt::Debug for FaultStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "FaultStatus({:#010x})", self.0)
    }
}

impl fmt::Display for FaultStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#010x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::FaultStatus;

    #[test]
    fn nca_codes_become_win32_errors_and_others_stay() {
        // wire.md 2.16, row by row
        let table = [
            (0x1C01_0002, 0x6D1),
            (0x1C01_0003, 0x6B5),
            (0x1C01_000B, 0x6C0),
            (0x1C01_0013, 0x46A),
            (0x1C01_0014, 0x6BB),
            (0x1C01_0017, 0x6C4),
            (0x1C00_0006, 0x6C5),
            (0x1C00_0007, 0x6C6),
            (0x1C00_000C, 0x6BF),
            (0x1C00_000D, 0x71A),
            (0x1C00_0012, 0x6BE),
            (0x1C00_001A, 6),
            (0x1C00_001B, 0x46A),
            (0x1C00_001C, 0x6C0),
            (0x1C00_001D, 0x71D),
            (0x1C00_001F, 0x6BF),
            (5, 5),
            (0x6F7, 0x6F7),
            (0x8001_0108, 0x8001_0108),
            (0, 0x6BE),
        ];
        for (status, code) in table {
            assert_eq!(FaultStatus(status).client_code(), code, "{status:#x}");
        }
    }
}
