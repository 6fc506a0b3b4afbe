//! Whoever is told of alarms: signs of life, and listeners that do not answer, refuse, or hear twice.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

use crate::alarms::read_request;
use crate::jobs::{configure, result, run, world};
use crate::support::Work;

const JOB: &str = "to = 'backups'\nfull = 'monthly 1 00:00'";

/// A server that takes everything: its address, and each request with its body.
fn server() -> (SocketAddr, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            sender.send(read_request(&mut stream)).ok();
        }
    });
    (address, heard)
}

fn next(heard: &Receiver<(String, String)>) -> String {
    heard.recv_timeout(Duration::from_secs(60)).unwrap().0
}

/// Adds a CA to the job that is not there.
fn add_lost_ca(work: &Work) {
    let path = work.path("certadm.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n[ca.lost]\ndir = 'lost'\n")).unwrap();
}

#[test]
fn a_sign_of_life_is_of_all_cas_that_somebody_is_told_of() {
    let work = world("");
    let (address, heard) = server();
    configure(&work, &format!("{JOB}\n[notify.ops]\nping = 'http://{address}/ping?create=1'"));
    result(&work, "run nightly");
    assert_eq!(next(&heard), "GET /ping?create=1 HTTP/1.1");
    add_lost_ca(&work);
    assert_eq!(run(&work, "status --notify").code, 1);
    result(&work, "run nightly --ca web --now full");
    assert_eq!(next(&heard), "GET /ping/fail?create=1 HTTP/1.1", "the other CA is lost");
    // Its alarms end with it.
    configure(&work, &format!("{JOB}\n[notify.ops]\nping = 'http://{address}/ping?create=1'"));
    result(&work, "run nightly --ca web --now full");
    assert_eq!(next(&heard), "GET /ping?create=1 HTTP/1.1");
}
