//! Who has which role by a ticket.

use certadm_auth::{TicketHolder, same_name};
use certadm_ca::RolesConfig;
use certadm_kerberos::Sid;
use certadm_rules::flags::Roles;

use crate::error::StartError;
use crate::roles::role_named;

/// The roles of those who come with tickets, by `[roles]` of `ca.toml` (kerberos.md 4.3).
#[derive(Debug, Clone, Default)]
pub(crate) struct TicketRoles {
    sids: Vec<(Sid, Roles)>,
    /// By name and realm, as Kerberos writes them.
    principals: Vec<(String, Roles)>,
    /// Whether names count that come without a PAC (`danger_names_without_pac`).
    without_pac: bool,
}

impl TicketRoles {
    /// # Errors
    /// [`StartError::Role`].
    pub(crate) fn from_config(config: &RolesConfig, without_pac: bool) -> Result<Self, StartError> {
        let mut roles = Self { without_pac, ..Self::default() };
        for (name, callers) in config.lists() {
            let Some(role) = role_named(name) else { continue };
            for caller in callers {
                match caller.split_once(':') {
                    Some(("sid", sid)) => {
                        let sid = sid.parse().map_err(|_| StartError::Role { entry: caller.clone() })?;
                        roles.sids.push((sid, role));
                    }
                    Some(("krb", principal)) => roles.principals.push((principal.to_owned(), role)),
                    _ => {}
                }
            }
        }
        Ok(roles)
    }

    /// Those of an account and of all groups that its ticket names. The name counts only if it is the account's own: Active Directory
    /// also gives tickets in the user principal name of an account, which is what somebody wrote there. Where no domain controller says
    /// the account's name (MIT's PAC), the ticket's is all there is. A ticket without any PAC gives no role by its name: its holder may
    /// have asked the domain controller to leave the account's name out.
    pub(crate) fn of(&self, holder: &TicketHolder) -> Roles {
        let is_meant = |sid: &Sid| holder.user.as_ref() == Some(sid) || holder.groups.contains(sid);
        let by_sid = self.sids.iter().filter(|(sid, _)| is_meant(sid)).map(|(_, role)| *role);
        // Not as it is shown: what is shown is escaped.
        let name = [&holder.client.name(), "@", holder.client.realm()].concat();
        let is_own = match &holder.account {
            Some(account) => same_name(account, &holder.client.name()),
            None => holder.has_pac || self.without_pac,
        };
        let is_named = |principal: &String| is_own && *principal == name;
        let by_name =
            self.principals.iter().filter(|(principal, _)| is_named(principal)).map(|(_, role)| *role);
        by_sid.chain(by_name).fold(Roles::NONE, Roles::union).with_implied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::{local_roles, role_names};

    #[test]
    fn tickets_give_roles() {
        let config = RolesConfig {
            administrator: vec!["uid:0".into(), "krb:root@TOY.TEST".into()],
            operator: vec!["sid:S-1-5-21-1-2-3-1106".into()],
            auditor: vec!["sid:S-1-5-21-1-2-3-1105".into()],
            ..RolesConfig::default()
        };
        let roles = TicketRoles::from_config(&config, false).unwrap();
        let of_account = |name: &str, account: Option<&str>, user: Option<&str>, groups: &[&str]| {
            let holder = TicketHolder {
                client: certadm_kerberos::Principal::account(name, "TOY.TEST"),
                service: certadm_kerberos::Principal::account("x", "x"),
                has_pac: true,
                user: user.map(|sid| sid.parse().unwrap()),
                account: account.map(str::to_owned),
                groups: groups.iter().map(|sid| sid.parse().unwrap()).collect(),
                end: certadm_rules::FileTime(0),
            };
            role_names(roles.of(&holder))
        };
        let of = |name: &str, user: Option<&str>, groups: &[&str]| of_account(name, None, user, groups);
        assert_eq!(of("alice", None, &[]), [""; 0]);
        assert_eq!(of("alice", Some("S-1-5-21-1-2-3-1105"), &[]), ["auditor", "read"]);
        let group = ["S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-1106"];
        assert_eq!(of("alice", Some("S-1-5-21-1-2-3-1105"), &group), ["auditor", "operator", "read"]);
        assert_eq!(of("root", None, &[]), ["administrator", "read"]);
        assert_eq!(of("Root", None, &[]), [""; 0]);
        // The domain controller says whose ticket it is.
        let user = Some("S-1-5-21-1-2-3-1");
        assert_eq!(of_account("root", Some("ROOT"), user, &[]), ["administrator", "read"]);
        assert_eq!(of_account("root", Some("mallory"), user, &[]), [""; 0]);
        assert_eq!(of_account("root", Some("root$"), user, &[]), [""; 0]);
        assert_eq!(local_roles(&config, 7, 7, 9), Roles::NONE, "a user of this machine has none of them");
        let wrong = RolesConfig { read: vec!["sid:CA Operators".into()], ..RolesConfig::default() };
        assert!(TicketRoles::from_config(&wrong, false).is_err());
    }
}
