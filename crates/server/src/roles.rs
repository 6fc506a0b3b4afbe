//! The names of CA roles, and who has which over the Unix socket.

use certadm_ca::RolesConfig;
use certadm_rules::flags::Roles;

/// The roles by their names in `users.toml`, `ca.toml` and `certadm user --role` (wire.md 5.3).
pub const ROLE_NAMES: [(&str, Roles); 6] = [
    ("administrator", Roles::ADMINISTRATOR),
    ("officer", Roles::OFFICER),
    ("auditor", Roles::AUDITOR),
    ("operator", Roles::OPERATOR),
    ("read", Roles::READ),
    ("enroll", Roles::ENROLL),
];

/// The role of a name; none for any other word.
#[must_use]
pub fn role_named(name: &str) -> Option<Roles> {
    ROLE_NAMES.iter().find(|(known, _)| *known == name).map(|(_, role)| *role)
}

/// The names of all roles in `roles`, in the order of [`ROLE_NAMES`].
#[must_use]
pub fn role_names(roles: Roles) -> Vec<&'static str> {
    ROLE_NAMES.iter().filter(|(_, role)| roles.has_any(*role)).map(|(name, _)| *name).collect()
}

/// The roles of a caller of the Unix socket with these ids, by `[roles]` of `ca.toml` (certbcli.md D27). `own` is the
/// user that the service runs as.
#[must_use]
pub fn local_roles(config: &RolesConfig, uid: u32, gid: u32, own: u32) -> Roles {
    let is_meant = |caller: &String| match caller.split_once(':') {
        Some(("uid", "self")) => uid == own,
        Some(("uid", id)) => id.parse() == Ok(uid),
        Some(("gid", id)) => id.parse() == Ok(gid),
        _ => false,
    };
    config
        .lists()
        .iter()
        .filter(|(_, callers)| callers.iter().any(is_meant))
        .filter_map(|(name, _)| role_named(name))
        .fold(Roles::NONE, Roles::union)
        .with_implied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_give_roles() {
        let config = RolesConfig {
            operator: vec!["gid:27".into(), "uid:self".into()],
            auditor: vec!["uid:5".into()],
            ..RolesConfig::default()
        };
        assert_eq!(role_names(local_roles(&config, 0, 0, 9)), ["administrator", "read"]);
        assert_eq!(role_names(local_roles(&config, 5, 27, 9)), ["auditor", "operator", "read"]);
        assert_eq!(role_names(local_roles(&config, 9, 9, 9)), ["administrator", "operator", "read"]);
        assert_eq!(local_roles(&config, 7, 7, 9), Roles::NONE);
    }
}
