//! The mechanisms of authentication by their numbers.

/// The field `auth_type` of a verifier: which mechanism the token belongs to (wire.md 2.8). Every number is a value, known
/// here or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuthType(pub u8);

impl AuthType {
    /// 9: SPNEGO. A token that begins with `NTLMSSP` is raw NTLM under this number (wire.md 2.10).
    pub const SPNEGO: Self = Self(9);
    /// 10: NTLM.
    pub const NTLM: Self = Self(10);
    /// 16: Kerberos.
    pub const KERBEROS: Self = Self(16);
}
