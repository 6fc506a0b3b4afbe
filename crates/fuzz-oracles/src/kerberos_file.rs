//! Keytabs and credential caches (kerberos.md 2.4).

use certadm_kerberos::{CredentialCache, KerberosTime, Keytab};

pub(crate) fn run(data: &[u8]) {
    if let Ok(keytab) = Keytab::parse(data) {
        // Every entry takes at least its length and its fixed fields.
        assert!(19 * keytab.entries().len() <= data.len());
        for entry in keytab.entries() {
            let keys = keytab.keys_of(&entry.principal);
            let usable = |key: &certadm_kerberos::crypto::Key| key.etype().to_wire() == entry.etype;
            assert!(entry.key.is_none() || keys.iter().any(usable), "a key that nobody finds");
        }
    }
    if let Ok(cache) = CredentialCache::parse(data) {
        let now = KerberosTime::from_unix_seconds(1_000);
        let skewed = KerberosTime::from_unix_seconds(1_000 + 300);
        let held: usize = cache.credentials.iter().map(|credential| credential.ticket.len()).sum();
        assert!(held <= data.len());
        for found in cache.ticket_granting(now).into_iter().chain(
            cache.credentials.iter().filter_map(|credential| cache.ticket_for(&credential.service, now)),
        ) {
            // The clock of the KDC may be ahead by as much as Kerberos allows.
            assert!(found.start_time <= skewed && now < found.end_time, "a ticket that is not good");
            assert_eq!(found.client, cache.client, "a ticket of somebody else");
        }
    }
}
