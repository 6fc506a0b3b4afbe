//! A domain of Samba between our client and our service: real tickets, real PACs, every refusal that a domain controller can be
//! brought to give. Off by default: it needs Debian's samba-ad-dc, krb5-user and ldb-tools, and root or sudo.
//!
//! ```text
//! cargo test -p certadm-client --test suite samba -- --ignored
//! ```

use certadm_auth::{AccountName, Password};
use certadm_client::{Credentials, KerberosTarget, Mechanism, Target};
use certadm_rules::Hresult;

use self::samba_domain::{Domain, PASSWORD, REALM};
use crate::domain::Ca;
use crate::stores::write_keytab;

#[allow(dead_code)] // other tests use all of it
#[path = "../../../kerberos/tests/suite/samba_domain.rs"]
mod samba_domain;

fn password(user: &str, password: &str) -> Credentials {
    let (domain, user) = user.split_once('\\').unwrap_or(("", user));
    let (account, password) = (AccountName::new(domain, user), Password::new(password.to_owned()));
    certadm_auth::Credentials { account, password }.into()
}

#[test]
#[ignore = "needs Samba's domain controller, kinit, and root; run with --ignored"]
fn backups_by_the_tickets_of_a_domain_controller() {
    let domain = Domain::start();
    domain.add_service();
    domain.manage(&["spn", "add", "host/localhost", "CA1$"]);
    for user in ["alice", "disabled", "expired"] {
        domain.manage(&["user", "create", user, PASSWORD]);
    }
    domain.manage(&["user", "create", "change", PASSWORD, "--must-change-at-next-login"]);
    domain.manage(&["user", "disable", "disabled"]);
    domain.manage(&["user", "setexpiry", "expired", "--days=-1"]);
    // A role for a group that alice is in through another one.
    domain.manage(&["group", "add", "Operators"]);
    domain.manage(&["group", "add", "CA Operators", "--group-scope=Domain"]);
    domain.manage(&["group", "addmembers", "Operators", "alice"]);
    domain.manage(&["group", "addmembers", "CA Operators", "Operators"]);
    let shown = domain.told(&["group", "show", "CA Operators", "--attributes=objectSid"]);
    let sid = shown.lines().find_map(|line| line.strip_prefix("objectSid: ")).expect("a SID").to_owned();

    let keys = domain.keytab("host/localhost");
    let ca = Ca::start(&keys, REALM, format!("{}:88", domain.address), |settings| {
        settings.roles.operator = vec![format!("sid:{sid}")];
    });
    let keytab = ca.path("alice.keytab");
    write_keytab(&keytab, &domain.keytab("alice"));
    let cache = ca.path("cache");
    domain.kinit_into(&cache);
    for mechanism in [Mechanism::Kerberos, Mechanism::Negotiate] {
        let target = || Target { mechanism, ..ca.target() };
        for (name, credentials) in [
            ("password", password("alice", PASSWORD)),
            ("domain", password("LOOP\\alice", PASSWORD)),
            ("upn", password("alice@loop.test", PASSWORD)),
            ("keytab", Credentials::Keytab { account: None, path: keytab.clone() }),
            ("cache", Credentials::Cache { path: Some(cache.clone()) }),
        ] {
            ca.back_up(target(), credentials, &format!("{name}-{mechanism}")).unwrap();
        }
    }
    // The short name of the domain, and the realm that its own KDC knows it by.
    let target = Target { kerberos: KerberosTarget { realm: None, ..ca.target().kerberos }, ..ca.target() };
    ca.back_up(target, password("LOOP\\alice", PASSWORD), "short").unwrap();

    for (user, pass, word, code) in [
        ("nobody", PASSWORD, "6 (C_PRINCIPAL_UNKNOWN)", Hresult::E_ACCESSDENIED),
        ("alice", "wrong", "24 (PREAUTH_FAILED)", Hresult::E_ACCESSDENIED),
        ("disabled", PASSWORD, "the account is disabled", Hresult::E_ACCESSDENIED),
        ("expired", PASSWORD, "the account has expired", Hresult::E_ACCESSDENIED),
        ("change", PASSWORD, "23 (KEY_EXPIRED)", Hresult::E_ACCESSDENIED),
    ] {
        let (found, told, remedy) = ca.refusal(ca.target(), password(user, pass));
        println!("{user}: {told}; {remedy}");
        assert!(told.contains(word) && found == code, "{user}: {told}");
    }
    // An account without the group gets in, and may do nothing.
    domain.manage(&["group", "removemembers", "Operators", "alice"]);
    assert_eq!(ca.denial(password("alice", PASSWORD)), Hresult::E_ACCESSDENIED);
}
