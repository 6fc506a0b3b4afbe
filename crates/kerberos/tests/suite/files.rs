//! Keytabs and credential caches, laid out by hand as kerberos.md 2.4 says.

use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{CredentialCache, KerberosTime, Keytab, Principal};

fn short(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// One record of a keytab.
fn record(names: &[&str], version: u8, etype: u16, key: &[u8], long_version: &[u8]) -> Vec<u8> {
    let mut record = u16::try_from(names.len()).unwrap().to_be_bytes().to_vec();
    record.extend(short("TOY.TEST"));
    for name in names {
        record.extend(short(name));
    }
    record.extend([0, 0, 0, 1, 0x6a, 0, 0, 0, version]);
    record.extend(etype.to_be_bytes());
    record.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
    record.extend(key);
    record.extend(long_version);
    long(&record)
}

fn keytab() -> Vec<u8> {
    [
        &[5, 2][..],
        &record(&["host", "ca1.toy.test"], 2, 18, &[1; 32], &[]),
        &[0xff, 0xff, 0xff, 0xfd, 9, 9, 9], // a hole of three bytes
        &record(&["host", "ca1.toy.test"], 4, 18, &[2; 32], &0x0104_u32.to_be_bytes()),
        &record(&["host", "ca1.toy.test"], 3, 17, &[3; 16], &[0; 4]),
        &record(&["host", "ca1.toy.test"], 3, 23, &[4; 16], &[0; 2]),
        &record(&["host", "ca1.toy.test"], 3, 18, &[5; 31], &[]),
        &record(&["backup"], 1, 20, &[6; 32], &[]),
    ]
    .concat()
}

#[test]
fn a_keytab_gives_the_newest_keys() {
    let keytab = Keytab::parse(&keytab()).unwrap();
    let versions: Vec<_> =
        keytab.entries().iter().map(|entry| (entry.key_version, entry.etype, entry.key.is_some())).collect();
    assert_eq!(
        versions,
        [(2, 18, true), (0x104, 18, true), (3, 17, true), (3, 23, false), (3, 18, false), (1, 20, true)]
    );
    let keys = keytab.keys_of(&Principal::service("host", "ca1.toy.test", "TOY.TEST"));
    let found: Vec<_> = keys.iter().map(|key| (key.etype(), key.expose()[0])).collect();
    assert_eq!(found, [(Etype::Aes256Sha1, 2), (Etype::Aes128Sha1, 3)]);
    assert!(keytab.keys_of(&Principal::account("nobody", "TOY.TEST")).is_empty());
    assert_eq!(keytab.realms().into_iter().collect::<Vec<_>>(), ["TOY.TEST"]);
    assert_eq!(keytab.etypes().into_iter().collect::<Vec<_>>(), [17, 18, 20, 23]);
    assert!(!format!("{keytab:?}").contains("[1, 1"), "keys are not printed");
}

fn principal(names: &[&str], realm: &str) -> Vec<u8> {
    let mut bytes = [1_u32.to_be_bytes(), u32::try_from(names.len()).unwrap().to_be_bytes()].concat();
    bytes.extend(long(realm.as_bytes()));
    for name in names {
        bytes.extend(long(name.as_bytes()));
    }
    bytes
}

struct Entry<'a> {
    service: &'a [&'a str],
    realm: &'a str,
    etype: u16,
    end: u32,
}

fn credential(entry: &Entry<'_>, version: u8) -> Vec<u8> {
    let mut bytes = principal(&["alice"], "TOY.TEST");
    bytes.extend(principal(entry.service, entry.realm));
    bytes.extend(entry.etype.to_be_bytes());
    if version == 3 {
        bytes.extend(entry.etype.to_be_bytes());
    }
    bytes.extend(long(&[7; 32]));
    for time in [100, 0, entry.end, 0] {
        bytes.extend(u32::to_be_bytes(time));
    }
    bytes.push(0);
    bytes.extend(0x0020_0000_u32.to_be_bytes());
    bytes.extend([0, 0, 0, 1, 0, 2, 0, 0, 0, 4, 127, 0, 0, 1]); // an address
    bytes.extend([0, 0, 0, 1, 0, 1]); // authorization data
    bytes.extend(long(b"any"));
    bytes.extend(long(b"the ticket"));
    bytes.extend(long(b""));
    bytes
}

fn cache(version: u8) -> Vec<u8> {
    let mut file = vec![5, version];
    if version == 4 {
        file.extend([0, 12, 0, 1, 0, 8, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 0]); // two seconds behind
    }
    file.extend(principal(&["alice"], "TOY.TEST"));
    for entry in [
        Entry {
            service: &["krb5_ccache_conf_data", "fast_avail"],
            realm: "X-CACHECONF:",
            etype: 18,
            end: 9000,
        },
        Entry { service: &["krbtgt", "TOY.TEST"], realm: "TOY.TEST", etype: 18, end: 1000 },
        Entry { service: &["krbtgt", "TOY.TEST"], realm: "TOY.TEST", etype: 18, end: 2000 },
        Entry { service: &["krbtgt", "TOY.TEST"], realm: "TOY.TEST", etype: 23, end: 3000 },
        Entry { service: &["HOST", "ca1.toy.test"], realm: "TOY.TEST", etype: 18, end: 1500 },
    ] {
        file.extend(credential(&entry, version));
    }
    file
}

#[test]
fn a_cache_gives_the_tickets_that_are_good() {
    for version in [3, 4] {
        let cache = CredentialCache::parse(&cache(version)).unwrap();
        assert_eq!(cache.client, Principal::account("alice", "TOY.TEST"));
        assert_eq!((cache.credentials.len(), &cache.left_out[..]), (3, &[23][..]));
        assert_eq!(cache.clock_offset, (version == 4).then_some(-2));
        let at = KerberosTime::from_unix_seconds;
        let end = |now| cache.ticket_granting(at(now)).map(|found| found.end_time.unix_seconds());
        // The clock that made it may be five minutes ahead (RFC 4120 3.2.3).
        assert_eq!([end(-201), end(-200), end(100)], [None, Some(2000), Some(2000)]);
        assert_eq!([end(1999), end(2000)], [Some(2000), None]);
        let service = Principal::service("host", "CA1.toy.test", "");
        let found = cache.ticket_for(&service, at(1000)).unwrap();
        assert_eq!((&found.ticket[..], found.start_time), (&b"the ticket"[..], at(100)));
        assert!(cache.ticket_for(&service, at(1500)).is_none());
    }
}

#[test]
fn what_is_cut_or_of_another_version_is_refused() {
    let keytab = keytab();
    assert!(Keytab::parse(&[&[5, 1], &keytab[2..]].concat()).is_err());
    let whole: Vec<_> = (0..keytab.len()).filter(|end| Keytab::parse(&keytab[..*end]).is_ok()).collect();
    assert_eq!(whole.len(), 7, "only between records: {whole:?}");
    let cache = cache(4);
    assert!(CredentialCache::parse(&[&[5, 2], &cache[2..]].concat()).is_err());
    let whole: Vec<_> =
        (0..cache.len()).filter(|end| CredentialCache::parse(&cache[..*end]).is_ok()).collect();
    assert_eq!(whole.len(), 5, "only between entries: {whole:?}");
}

/// Counts that the file cannot hold end with the file, and nothing is allocated for them.
#[test]
fn counts_allocate_nothing() {
    let mut file = vec![5, 4, 0, 0];
    file.extend([0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    assert!(CredentialCache::parse(&file).is_err());
    assert!(Keytab::parse(&[5, 2, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    assert!(Keytab::parse(&[5, 2, 0x80, 0, 0, 0]).is_err());
}
