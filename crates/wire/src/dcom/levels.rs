//! How well calls are authenticated: what a client chooses, what a server demands (wire.md 4.14, 4.18).

use super::{Iid, ResolverRequest};
use crate::rpc::{AuthLevel, FaultStatus, LevelRule, SyntaxId};

/// The level of authentication for calls on an exporter's objects: the highest of integrity, the exporter's hint and
/// what the caller wants, which for a CA is always privacy (wire.md 4.14). A hint outside the table asks for privacy.
#[must_use]
pub fn call_level(authentication_hint: u32, wanted: AuthLevel) -> AuthLevel {
    let hint = u8::try_from(authentication_hint).ok().and_then(AuthLevel::from_wire);
    // 0 is "default", which says nothing.
    let hint =
        hint.unwrap_or(if authentication_hint == 0 { AuthLevel::Integrity } else { AuthLevel::Privacy });
    AuthLevel::Integrity.max(hint).max(wanted)
}

/// What a resolver or exporter demands of its callers: integrity, except for the two methods of the resolver that
/// everybody may call (wire.md 4.5, 4.14, 4.18). That the certificate interfaces want privacy is one of the CA's own
/// rules and answered by the method (wire.md 5.1).
#[must_use]
pub fn level_rule(interface: &SyntaxId, opnum: u16) -> LevelRule {
    let iid = Iid(interface.uuid);
    if iid == Iid::OBJECT_EXPORTER && ResolverRequest::is_open_to_all(opnum) {
        return LevelRule::OPEN;
    }
    let refusal = if matches!(iid, Iid::REM_UNKNOWN | Iid::REM_UNKNOWN_2) {
        FaultStatus::OBJECT_ACCESS_DENIED
    } else {
        FaultStatus::ACCESS_DENIED
    };
    LevelRule { minimum: AuthLevel::Integrity, refusal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_never_below_integrity() {
        let table = [(0, 5), (1, 5), (2, 5), (5, 5), (6, 6), (7, 6), (0x105, 6)];
        for (hint, level) in table {
            assert_eq!(call_level(hint, AuthLevel::None).to_wire(), level, "{hint}");
            assert_eq!(call_level(hint, AuthLevel::Privacy), AuthLevel::Privacy);
        }
    }
}
