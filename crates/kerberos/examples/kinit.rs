//! Asks a real KDC for a ticket-granting ticket and a ticket for a service, and says what came.
//!
//! ```text
//! cargo run -p certadm-kerberos --example kinit -- KDC:88 alice REALM HOST/ca1.example < password-file
//! cargo run -p certadm-kerberos --example kinit -- KDC:88 alice REALM HOST/ca1.example alice.keytab
//! ```
//!
//! All realms are asked at the one address: it shows the exchanges, not how KDCs are found.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use certadm_kerberos::client::{ClientError, Logon, Question, Secret, Step, TicketRequest, answer_size};
use certadm_kerberos::{Credential, Environment, Keytab, NoRandomness, Principal};
use certadm_rules::{Diagnosis, FileTime};

/// The clock and the random source of this machine.
struct System;

impl Environment for System {
    fn now(&self) -> FileTime {
        FileTime::from_unix(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        getrandom::fill(bytes).map_err(|_| NoRandomness)
    }
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [kdc, account, realm, service, keytab @ ..] = &*arguments else {
        println!("usage: kinit KDC:PORT ACCOUNT REALM CLASS/HOST [KEYTAB]");
        println!("Without a keytab, the password comes from standard input.");
        return Ok(());
    };
    let (class, host) = service.split_once('/').ok_or("a service looks like HOST/ca1.example")?;
    let client = Principal::account(account, realm);
    let secret = match keytab {
        [path, ..] => Secret::Keys(read_keytab(path)?.keys_of(&client)),
        [] => {
            let mut password = String::new();
            std::io::stdin().lock().take(1024).read_to_string(&mut password)?;
            Secret::Password(password.trim_end_matches(['\r', '\n']).to_owned().into())
        }
    };
    match run(kdc, client, secret, &Principal::service(class, host, realm)) {
        Err(error) => match error.downcast::<ClientError>() {
            Ok(error) => Err(format!("{error}; {}", error.remedy()).into()),
            Err(error) => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

fn run(kdc: &str, client: Principal, secret: Secret, service: &Principal) -> Outcome<()> {
    let mut logon = Logon::new(client, secret);
    let mut question = logon.start(&System)?;
    let logged_on = loop {
        match logon.answer(&ask(kdc, &question)?, &System)? {
            Step::Ask(next) => question = next,
            Step::Done(logged_on) => break logged_on,
        }
    };
    println!("the KDC's clock is {} s ahead", logged_on.clock_offset);
    print(&logged_on.credential);

    let mut request = TicketRequest::new(logged_on.credential, service, logged_on.clock_offset)?;
    let mut question = request.start(&System)?;
    loop {
        match request.answer(&ask(kdc, &question)?, &System)? {
            Step::Ask(next) => question = next,
            Step::Done(granted) => {
                print(&granted.credential);
                return Ok(());
            }
        }
    }
}

fn print(credential: &Credential) {
    let (client, service) = (&credential.client, &credential.service);
    println!("{client}: {service}, {}, until {}", credential.session_key.etype(), credential.end_time);
}

/// One question and its answer over a connection of their own.
fn ask(kdc: &str, question: &Question) -> Outcome<Vec<u8>> {
    let mut stream = TcpStream::connect(kdc)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(&question.framed())?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = vec![0; answer_size(length)?];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn read_keytab(path: &str) -> Outcome<Keytab> {
    let mut file = Vec::new();
    std::fs::File::open(path)?.take(Keytab::MAX_SIZE as u64).read_to_end(&mut file)?;
    Ok(Keytab::parse(&file)?)
}
