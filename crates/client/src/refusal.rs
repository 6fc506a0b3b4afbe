//! Why a call was refused, and the commands that change it (certbcli.md 12; wire.md 5.3, 5.4).

use std::fmt;

use certadm_rules::flags::{InterfaceFlags, Origin, Roles};

/// Why a backup was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The account may not take backups: it lacks the CA's operator role.
    Role {
        /// The roles it has.
        roles: Roles,
        /// Where the caller comes from.
        origin: Origin,
    },
    /// The CA's interface flags refuse backups to callers of this kind.
    BackupFlag {
        /// Where the caller comes from.
        origin: Origin,
        /// Whether the flags were read; else they were found out by what the CA refuses.
        seen: bool,
    },
    /// The CA's interface flags refuse administration to callers of this kind.
    AdminFlag {
        /// Where the caller comes from.
        origin: Origin,
    },
    /// It could not be found out: role or flags.
    Unknown {
        /// Where the caller comes from.
        origin: Origin,
    },
}

/// What the CA says of itself and of the caller, as far as it answers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Evidence {
    pub(crate) may_read: Option<bool>,
    pub(crate) roles: Option<Roles>,
    pub(crate) flags: Option<InterfaceFlags>,
}

impl Cause {
    /// Why a backup is denied to a caller of this origin, by what is known.
    pub(crate) fn find(evidence: Evidence, origin: Origin) -> Self {
        let Evidence { may_read, roles, flags } = evidence;
        if flags.is_some_and(|flags| flags.check_admin(origin).is_err()) {
            return Self::AdminFlag { origin };
        }
        if let Some(roles) = roles.filter(|roles| !roles.has_any(Roles::OPERATOR)) {
            return Self::Role { roles, origin };
        }
        match (flags, roles, may_read) {
            (Some(flags), ..) if flags.check_backup(origin).is_err() => {
                Self::BackupFlag { origin, seen: true }
            }
            // wire.md 5.4: state 1 and the operator role, yet denied, mean the flag.
            (None, Some(_), Some(true)) => Self::BackupFlag { origin, seen: false },
            _ => Self::Unknown { origin },
        }
    }

    /// What the cause is, in half a sentence.
    #[must_use]
    pub fn finding(&self) -> String {
        match self {
            Self::Role { roles, .. } => {
                format!("the account lacks the CA's operator role (it has: {})", RoleNames(*roles))
            }
            Self::BackupFlag { origin, seen } => {
                let how = if *seen { "" } else { ", as all else is allowed" };
                format!(
                    "the CA's interface flags refuse {} backups ({}{how})",
                    word(*origin),
                    flag(*origin).0
                )
            }
            Self::AdminFlag { origin } => {
                let (_, admin) = flag(*origin);
                format!("the CA's interface flags refuse {} administration ({admin})", word(*origin))
            }
            Self::Unknown { .. } => {
                "the account lacks the operator role, or the CA's interface flags refuse backups; the CA does not say which"
                    .to_owned()
            }
        }
    }

    /// What changes it.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Role { origin: Origin::Remote, .. } => {
                "on a Windows CA give the account Read permission on the CA and the right SeBackupPrivilege (group \
                 Backup Operators) on its machine; on ours run `certadm user add --dir DIR NAME --role operator \
                 --password-file FILE`"
                    .to_owned()
            }
            Self::Role { origin: Origin::Local, .. } => {
                "give this user, or the primary group of its processes (`sg GROUP` sets it; other groups do not count), the \
                 operator role in the CA's ca.toml, or run as the service's user"
                    .to_owned()
            }
            Self::BackupFlag { origin, .. } => {
                let ours = match origin {
                    Origin::Remote => "on ours start the service with `certadm serve --allow-remote-backup`",
                    Origin::Local => "on ours clear the flag in the CA's ca.toml and restart the service",
                };
                format!("on a Windows CA run {}; {ours}", certutil(flag(*origin).0))
            }
            Self::AdminFlag { origin } => {
                let name = flag(*origin).1;
                format!(
                    "on a Windows CA run {}; on ours clear the flag in the CA's ca.toml and restart the service",
                    certutil(name)
                )
            }
            Self::Unknown { origin } => {
                let role = Self::Role { roles: Roles::NONE, origin: *origin };
                let flags = Self::BackupFlag { origin: *origin, seen: false };
                format!("for the role: {}; for the flags: {}", role.remedy(), flags.remedy())
            }
        }
    }
}

/// The names of the flags that shut backup and administration.
const fn flag(origin: Origin) -> (&'static str, &'static str) {
    match origin {
        Origin::Remote => ("IF_NOREMOTEICERTADMINBACKUP", "IF_NOREMOTEICERTADMIN"),
        Origin::Local => ("IF_NOLOCALICERTADMINBACKUP", "IF_NOLOCALICERTADMIN"),
    }
}

const fn word(origin: Origin) -> &'static str {
    match origin {
        Origin::Remote => "remote",
        Origin::Local => "local",
    }
}

fn certutil(flag: &str) -> String {
    format!(
        "`certutil -setreg CA\\InterfaceFlags -{flag}` and restart the service (`net stop certsvc`, `net start certsvc`)"
    )
}

/// Roles for a person.
pub(crate) struct RoleNames(pub(crate) Roles);

impl fmt::Display for RoleNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Roles::ADMINISTRATOR, "administrator"),
            (Roles::OFFICER, "officer"),
            (Roles::AUDITOR, "auditor"),
            (Roles::OPERATOR, "operator"),
            (Roles::READ, "read"),
            (Roles::ENROLL, "enroll"),
        ];
        let held: Vec<_> =
            names.iter().filter(|(role, _)| self.0.has_any(*role)).map(|(_, name)| *name).collect();
        f.write_str(if held.is_empty() { "none" } else { "" })?;
        f.write_str(&held.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(roles: Option<Roles>, flags: Option<u32>, may_read: Option<bool>) -> Cause {
        let evidence = Evidence { may_read, roles, flags: flags.map(InterfaceFlags::from_bits) };
        Cause::find(evidence, Origin::Remote)
    }

    #[test]
    fn the_evidence_names_the_cause() {
        let operator = Some(Roles::OPERATOR.with_implied());
        let origin = Origin::Remote;
        assert_eq!(cause(operator, Some(0x641), Some(true)), Cause::BackupFlag { origin, seen: true });
        assert_eq!(cause(operator, None, Some(true)), Cause::BackupFlag { origin, seen: false });
        assert_eq!(
            cause(Some(Roles::READ), Some(0x641), Some(true)),
            Cause::Role { roles: Roles::READ, origin }
        );
        assert_eq!(cause(operator, Some(0x651), None), Cause::AdminFlag { origin });
        assert_eq!(cause(operator, Some(0x601), Some(true)), Cause::Unknown { origin });
        assert_eq!(cause(None, None, Some(true)), Cause::Unknown { origin });
        let local =
            Evidence { may_read: None, roles: operator, flags: Some(InterfaceFlags::from_bits(0x80)) };
        assert_eq!(
            Cause::find(local, Origin::Local),
            Cause::BackupFlag { origin: Origin::Local, seen: true }
        );
    }

    #[test]
    fn the_remedy_is_a_command() {
        let remedy = cause(Some(Roles::OPERATOR), Some(0x641), Some(true)).remedy();
        assert!(
            remedy.contains("certutil -setreg CA\\InterfaceFlags -IF_NOREMOTEICERTADMINBACKUP"),
            "{remedy}"
        );
        assert!(remedy.contains("certadm serve --allow-remote-backup"), "{remedy}");
        let local = Cause::Role { roles: Roles::NONE, origin: Origin::Local }.remedy();
        assert!(local.contains("primary group") && local.contains("ca.toml"), "{local}");
        assert_eq!(RoleNames(Roles::NONE).to_string(), "none");
        assert_eq!(RoleNames(Roles::OPERATOR.with_implied()).to_string(), "operator, read");
    }
}
