//! Azure, as a foreign program speaks it: Azurite, which Microsoft makes. For Google none was found that takes what is sent to
//! Google itself (fake-gcs-server refuses a plain PUT, and others list by JSON alone).

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use certadm_repository::{Label, Profiles, Selector, Vault};
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};
use certadm_set::Silent;

use crate::common::{Ca, assert_expires, assert_whole};
use crate::foreign::{Foreign, free_address};

/// The key of Azurite's one account, which its documentation prints.
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Makes the container, which certadm leaves to whoever has the account. The signature is that of Azure's shared keys.
fn make_container(port: &str) {
    let script = r"
        const [port, key] = process.argv.slice(1), date = new Date().toUTCString();
        const path = '/devstoreaccount1/bucket', version = '2021-08-06';
        const text = 'PUT' + '\n'.repeat(12) + `x-ms-date:${date}\nx-ms-version:${version}\n`
            + `/devstoreaccount1${path}\nrestype:container`;
        const sum = require('crypto').createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
        const headers = { 'x-ms-date': date, 'x-ms-version': version, 'Content-Length': 0,
            Authorization: `SharedKey devstoreaccount1:${sum}` };
        require('http').request({ port, path: path + '?restype=container', method: 'PUT', headers }, answer => {
            answer.resume();
            answer.on('end', () => process.exit(answer.statusCode === 201 ? 0 : 1));
        }).end();";
    let made = Command::new("node").args(["-e", script, port, AZURITE_KEY]).status().unwrap();
    assert!(made.success(), "the container was not made");
}

/// Hands connections on, and cuts each `every`-th after some bytes of its answer; 0 cuts none.
struct Cutting {
    every: AtomicU64,
    connections: AtomicU64,
    address: String,
}

impl Cutting {
    fn before(service: &str) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (every, connections) = (AtomicU64::new(0), AtomicU64::new(0));
        let this = Arc::new(Self { every, connections, address });
        let (own, service) = (Arc::clone(&this), service.to_owned());
        std::thread::spawn(move || {
            for from in listener.incoming().flatten() {
                let Ok(to) = TcpStream::connect(&service) else { continue };
                let every = own.every.load(Ordering::SeqCst);
                let number = own.connections.fetch_add(1, Ordering::SeqCst) + 1;
                let cut = every != 0 && number.is_multiple_of(every);
                let (mut up, mut down) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                std::thread::spawn(move || drop(std::io::copy(&mut up, &mut down)));
                let (mut from, mut to) = (from, to);
                std::thread::spawn(move || {
                    let mut part = [0; 4096];
                    while let Ok(len @ 1..) = to.read(&mut part) {
                        let len = if cut { len.min(20) } else { len };
                        if from.write_all(&part[..len]).is_err() || cut {
                            break;
                        }
                    }
                    from.shutdown(Shutdown::Both).ok();
                    to.shutdown(Shutdown::Both).ok();
                });
            }
        });
        this
    }
}

/// What a vault is for: made, filled, proved, pruned, restored; with connections that are cut, and with a key that is refused.
fn lives(ca: &mut Ca, text: &str, cutting: &Cutting, refused: impl FnOnce(&Path)) {
    let vault = Vault::new(Profiles::parse(text).unwrap().vault("vault").unwrap().clone());
    let repository = vault.create("Drill CA", "a code", Label { host: "tests", user: "code" }).unwrap();
    assert_eq!(vault.cas().unwrap(), ["Drill CA"]);
    ca.back_up(&repository, BackupType::Full).unwrap();
    ca.issue(2);
    let taken = ca.back_up(&repository, BackupType::LogsOnly).unwrap();
    assert!(taken.checked && !taken.truncated.is_empty());
    assert_eq!(assert_whole(&vault.repository(None).unwrap(), ca.beside()), 2);
    // Connections are kept, so a new one stands for many requests.
    cutting.every.store(2, Ordering::SeqCst);
    ca.issue(2);
    let taken = ca.back_up(&vault.repository(None).unwrap(), BackupType::Full).unwrap();
    assert!(taken.checked && !taken.truncated.is_empty());
    cutting.every.store(0, Ordering::SeqCst);
    assert_eq!(assert_whole(&repository, ca.beside()), 3);
    assert_expires(&repository, ca.beside());
    let steps = certadm_repository::examine(&vault, None, &mut |_| {});
    assert!(steps.iter().all(|step| step.seen.is_ok()), "{steps:?}");
    let newest = repository.select(&Selector::Latest).unwrap();
    let back = ca.beside().join("back");
    repository.export(&newest[0], &back, &mut Silent).unwrap();
    assert!(certadm_set::verify::verify(&[back], &mut Silent).is_restorable());
    refused(ca.beside());
}

#[test]
#[ignore = "needs node and Azurite"]
fn azurite_keeps_a_vault() {
    let Some(program) = std::env::var_os("CERTADM_AZURITE").map(PathBuf::from) else {
        println!("skipped: this machine has no node, so Azurite was not installed");
        return;
    };
    let mut ca = Ca::named("Drill CA");
    let address = free_address();
    let port = address.rsplit(':').next().unwrap().to_owned();
    let mut command = Command::new("node");
    command.arg(program).args(["--blobHost", "127.0.0.1", "--blobPort", &port, "--inMemoryPersistence"]);
    command.args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"]).current_dir(ca.beside());
    let _service = Foreign::start(&mut command, &address);
    let cutting = Cutting::before(&address);
    let work = ca.beside().display().to_string();
    std::fs::write(ca.beside().join("credentials"), AZURITE_KEY).unwrap();
    let text = format!(
        "[vault]\nurl = 'azure://bucket/some/prefix'\nendpoint = 'http://{}/devstoreaccount1'\naccount = 'devstoreaccount1'\n\
         credentials-file = '{work}/credentials'\nkey-file = '{work}/{{ca}}.key'\n",
        cutting.address
    );
    make_container(&port);
    lives(&mut ca, &text, &cutting, |work| {
        // A key of the right form that is another one.
        std::fs::write(work.join("credentials"), AZURITE_KEY.replacen("Eby8", "Eby9", 1)).unwrap();
        let vault = Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone());
        let error =
            vault.repository(Some("Drill CA")).and_then(|repository| repository.points()).unwrap_err();
        assert_eq!(error.class(), Class::Unreachable, "{error}");
        assert!(!error.to_string().contains("Eby9"), "{error}");
    });
}
