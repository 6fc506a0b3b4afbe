//! Keytabs and credential caches, laid out by hand as kerberos.md 2.4 says.

use certadm_kerberos::crypto::Etype;
use certadm_kerberos::{CredentialCache, FileError, KerberosTime, Keytab, Lack, Principal};

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

#[derive(Clone, Copy)]
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

/// Whoever was stopped while he wrote has written what stands before.
#[test]
fn a_cut_end_keeps_nobody_from_what_is_whole() {
    let keytab = keytab();
    let counts: Vec<_> = (0..=keytab.len())
        .map(|end| Keytab::parse(&keytab[..end]).map_or(0, |keytab| keytab.entries().len()))
        .collect();
    assert!(counts.is_sorted() && counts.last() == Some(&6), "{counts:?}");
    assert!((3..10).all(|end| Keytab::parse(&keytab[..end]).is_err()), "nothing of it is whole");
    let cache = cache(4);
    let counts: Vec<_> = (0..=cache.len())
        .map(|end| CredentialCache::parse(&cache[..end]).map_or(0, |cache| cache.credentials.len()))
        .collect();
    assert!(counts.is_sorted() && counts.last() == Some(&3), "{counts:?}");
}

#[test]
fn another_version_is_named() {
    let keytab = [&[5, 1], &keytab()[2..]].concat();
    let error = Keytab::parse(&keytab).unwrap_err();
    assert!(matches!(error, FileError::Version { version: 0x0501, .. }), "{error}");
    assert_eq!(error.to_string(), "the keytab has version 0x0501, and only 0x0502 can be read");
    let error = CredentialCache::parse(&[&[5, 2], &cache(4)[2..]].concat()).unwrap_err();
    assert!(error.to_string().contains("0x0502, and only 0x0504 and 0x0503"), "{error}");
    assert!(matches!(Keytab::parse(&[5]), Err(FileError::Malformed(_))));
}

/// A record that nobody can use keeps nobody from the others, as with MIT.
#[test]
fn odd_records_of_a_keytab_are_passed_over() {
    let good = || record(&["backup"], 1, 18, &[6; 32], &[]);
    let mut latin = record(&["cafe"], 1, 18, &[7; 32], &[]);
    let name = latin.windows(4).position(|part| part == b"cafe").unwrap();
    latin[name + 3] = 0xe9;
    let nameless = record(&[], 1, 18, &[7; 32], &[]);
    let short = long(&[0, 1, 0]);
    for odd in [&latin, &nameless, &short] {
        let keytab = Keytab::parse(&[&[5, 2][..], odd, &good()].concat()).unwrap();
        let names: Vec<_> = keytab.entries().iter().map(|entry| entry.principal.to_string()).collect();
        assert_eq!(names, ["backup@TOY.TEST"]);
        assert!(Keytab::parse(&[&[5, 2][..], odd].concat()).is_err(), "it has nothing else");
    }
    // Behind a record of size 0 is nothing that counts; nor in the room of one that was deleted.
    let ends: [&[u8]; 6] = [
        &[0, 0],
        &[0; 4],
        &[0, 0, 0, 0, 1, 2, 3, 4, 5],
        &[0xff, 0xff, 0, 0, 0],
        &[0x80, 0, 0, 0],
        &[0, 0, 0, 9, 1],
    ];
    for end in ends {
        let keytab = Keytab::parse(&[&[5, 2][..], &good(), end].concat()).unwrap();
        assert_eq!(keytab.entries().len(), 1, "{end:?}");
    }
    assert!(Keytab::parse(&[5, 2]).unwrap().entries().is_empty());
}

#[test]
fn odd_tickets_of_a_cache_are_passed_over() {
    let granting = Entry { service: &["krbtgt", "TOY.TEST"], realm: "TOY.TEST", etype: 18, end: 1000 };
    let file = |entries: &[&[u8]]| {
        let header = [&[5, 4, 0, 0][..], &principal(&["alice"], "TOY.TEST")].concat();
        CredentialCache::parse(&[header, entries.concat()].concat())
    };
    let good = credential(&granting, 4);
    let mut latin = credential(&Entry { service: &["cafe", "x"], ..granting }, 4);
    let name = latin.windows(4).position(|part| part == b"cafe").unwrap();
    latin[name + 3] = 0xe9;
    let nameless = credential(&Entry { service: &[], ..granting }, 4);
    for odd in [&latin, &nameless] {
        for order in [[odd, &good], [&good, odd]] {
            let cache = file(&order.map(Vec::as_slice)).unwrap();
            assert_eq!(cache.credentials.len(), 1);
            assert!(cache.ticket_granting(KerberosTime::from_unix_seconds(500)).is_some());
        }
    }
    assert_eq!(file(&[&good, &good[..50]]).unwrap().credentials.len(), 1);
    assert_eq!(file(&[&good, &[0, 0]]).unwrap().credentials.len(), 1);
    assert!(file(&[&good[..50]]).is_err(), "nothing of it is whole");
}

#[test]
fn a_cache_says_what_it_lacks() {
    let at = KerberosTime::from_unix_seconds;
    let mut cache = CredentialCache::parse(&cache(4)).unwrap();
    assert_eq!(cache.lack(at(2000)), Lack::Ended(at(2000)));
    assert_eq!(cache.lack(at(-1000)), Lack::NotYet(at(100)));
    let host = Principal::service("HOST", "ca1.toy.test", "TOY.TEST");
    cache.credentials.retain(|credential| credential.service == host);
    assert_eq!(cache.lack(at(500)), Lack::NoGranting { realm: "TOY.TEST".into(), others: vec![host] });
    cache.client = Principal::account("bob", "TOY.TEST");
    assert_eq!(cache.lack(at(500)), Lack::Empty, "it has tickets of others alone");
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
