//! Several threads and several writers at once.

use std::collections::HashSet;
use std::sync::Arc;

use certadm_ca::{Authority, CertificateChoice, Request, Terms, export_certificate};
use certadm_store::{GroupCommit, Writer};

use crate::support::{P256, TestCa, passphrase, request, server_request};

const THREADS: usize = 4;
const EACH: usize = 25;

#[test]
fn threads_share_commits_and_every_certificate_is_there() {
    let ca = TestCa::new();
    let authority = Arc::new(Authority::open(&ca.folder, &passphrase()).unwrap());
    let group = GroupCommit::new(Writer::open(&ca.folder).unwrap());
    let good = Arc::new(Request::parse(&server_request("a.example")).unwrap());
    let bad = request(P256, "/CN=x", &["-addext", "subjectAltName=DNS:*"]);
    let bad = Arc::new(Request::parse(&bad).unwrap());
    let workers: Vec<_> = (0..THREADS)
        .map(|_| {
            let (authority, group) = (authority.clone(), group.clone());
            let (good, bad) = (good.clone(), bad.clone());
            std::thread::spawn(move || {
                let mut issued = Vec::new();
                for _ in 0..EACH {
                    let terms = Terms::new("tests");
                    let now = certadm_store::now();
                    issued.push(authority.issue_grouped(&group, &good, &terms, now).unwrap());
                    authority.issue_grouped(&group, &bad, &terms, now).unwrap_err();
                }
                issued
            })
        })
        .collect();
    let issued: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    let serials: HashSet<_> = issued.iter().map(|issued| &issued.serial).collect();
    let ids: HashSet<_> = issued.iter().map(|issued| issued.request_id).collect();
    assert_eq!((serials.len(), ids.len()), (THREADS * EACH, THREADS * EACH));
    let connection = ca.writer.connection();
    for one in &issued {
        let choice = CertificateChoice::Serial(one.serial.clone());
        assert_eq!(export_certificate(connection, &choice).unwrap().der, one.der);
    }
    let denied: i64 = connection
        .query_row("SELECT count(*) FROM Requests WHERE Disposition = 31", [], |row| row.get(0))
        .unwrap();
    assert_eq!(denied, i64::try_from(THREADS * EACH).unwrap());
}

#[test]
fn writers_publish_at_the_same_time_and_the_file_is_the_last() {
    let ca = TestCa::new();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let folder = ca.folder.clone();
            std::thread::spawn(move || {
                let authority = Authority::open(&folder, &passphrase()).unwrap();
                let mut writer = Writer::open(&folder).unwrap();
                (0..5)
                    .map(|_| authority.publish_crl(&mut writer, certadm_store::now()).unwrap().number)
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut numbers: Vec<_> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (2..=16).collect::<Vec<_>>());
    let last: Vec<u8> = ca
        .writer
        .connection()
        .query_row("SELECT RawCRL FROM CRLs WHERE Number = 16", [], |row| row.get(0))
        .unwrap();
    assert_eq!(std::fs::read(ca.authority.crl_path()).unwrap(), last);
}
