//! Whoever is told of alarms: signs of life, and listeners that do not answer, refuse, or hear twice.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::Value;

use crate::alarms::answer_request;
use crate::jobs::{configure, result, run, world};
use crate::support::Work;

const JOB: &str = "to = 'backups'\nfull = 'monthly 1 00:00'";

/// A server that takes everything.
fn server() -> (SocketAddr, Receiver<(String, String)>) {
    server_that(|_| "204 No Content")
}

/// A server with its answer to a body: its address, and each request with its body.
fn server_that(answer: fn(&str) -> &'static str) -> (SocketAddr, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            sender.send(answer_request(&mut stream, answer)).ok();
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

/// Alarms appended to the file `told`, a line each.
fn hook(work: &Work) -> String {
    let hook = work.path("hook");
    let told = work.path("told");
    fs::write(&hook, format!("#!/bin/sh\ncat >> '{0}'\necho >> '{0}'\n", told.display())).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    format!("command = ['{}']", hook.display())
}

fn told(work: &Work) -> Vec<String> {
    let text = fs::read_to_string(work.path("told")).unwrap_or_default();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.map(|alarm| {
        let text = |key: &str| alarm[key].as_str().unwrap().to_owned();
        format!("{} {}{}", text("event"), text("about"), if text("ca").is_empty() { " of all" } else { "" })
    })
    .collect()
}

/// Runs a command as a service does, with a folder of its own in memory.
fn in_service(work: &Work, runtime: &Path, line: &str) -> crate::support::Run {
    let mut command = crate::support::command(&work.path(""), line);
    command.env("CERTADM_JOBS", work.path("certadm.toml")).env("RUNTIME_DIRECTORY", runtime);
    crate::support::Run::of(&mut command)
}

/// A folder in the place of a file is one that nobody can write, whatever rights he has.
#[test]
fn alarms_are_told_although_the_records_cannot_be_written_and_not_twice_in_a_service() {
    let work = world("");
    let (address, heard) = server();
    let notify = format!("[notify.ops]\n{}\nping = 'http://{address}/ping'", hook(&work));
    configure(&work, &format!("{JOB}\n{notify}"));
    let runtime = work.path("runtime");
    fs::create_dir(&runtime).unwrap();
    let in_service = |line: &str| in_service(&work, &runtime, line);
    for file in ["alarms.json", "alarms.lock"] {
        fs::create_dir_all(work.path("state").join(file)).unwrap();
    }
    for _ in 0..2 {
        let said = in_service("status --notify --html {page} --prometheus {figures}");
        assert_eq!(said.code, 1, "{said:?}");
        assert_eq!(told(&work), ["begins failed of all", "begins late"]);
    }
    assert!(work.path("page").exists() && work.path("figures").exists());
    let run_of_it = in_service("--json run nightly");
    assert_eq!(run_of_it.code, 1, "{run_of_it:?}");
    assert_eq!(run_of_it.json()["result"]["runs"][0]["steps"][0]["step"], "full");
    assert_eq!(next(&heard), "GET /ping/fail HTTP/1.1");
    assert_eq!(told(&work)[2..], ["ends late"]);
    // Elsewhere it is told again: the worst that can be.
    run(&work, "status --notify");
    assert_eq!(told(&work)[3..], ["begins failed of all"]);
    for file in ["alarms.json", "alarms.lock"] {
        fs::remove_dir(work.path("state").join(file)).unwrap();
    }
    for _ in 0..2 {
        let well = in_service("status --notify");
        assert_eq!(
            (well.code, told(&work)[4..].join(", ")),
            (0, "ends failed of all".to_owned()),
            "{well:?}"
        );
    }
    assert_eq!(
        fs::read_dir(&runtime)
            .unwrap()
            .filter(|file| file.as_ref().unwrap().file_name() == "alarms.json")
            .count(),
        0
    );
}

/// The disk with the records is full: nothing can be written, and what is there can be read.
#[test]
fn a_step_that_failed_is_told_although_that_cannot_be_written() {
    let work = world("");
    configure(&work, &format!("{JOB}\n[notify.ops]\n{}", hook(&work)));
    result(&work, "run nightly");
    let runtime = work.path("runtime");
    fs::create_dir(&runtime).unwrap();
    let in_service = |line: &str| in_service(&work, &runtime, line);
    assert_eq!(in_service("status --notify").code, 0);
    // Folders in the place of the files.
    let attempts = work.path("state/attempts/nightly");
    fs::rename(&attempts, work.path("away")).unwrap();
    fs::write(&attempts, "").unwrap();
    fs::remove_file(work.path("state/alarms.json")).unwrap();
    fs::create_dir(work.path("state/alarms.json")).unwrap();
    assert_eq!(in_service("status --notify").code, 1, "although no alarm has changed");
    assert_eq!(told(&work), ["begins failed of all"]);
    fs::rename(work.path("ca"), work.path("gone")).unwrap();
    assert_eq!(in_service("run nightly --now full").code, 3);
    assert_eq!(told(&work), ["begins failed of all", "begins failed"]);
    // The records say nothing of it.
    assert_eq!(in_service("status --notify").code, 1);
    assert_eq!(told(&work).len(), 2, "{:?}", told(&work));
    fs::rename(work.path("gone"), work.path("ca")).unwrap();
    fs::remove_file(&attempts).unwrap();
    fs::rename(work.path("away"), &attempts).unwrap();
    fs::remove_dir(work.path("state/alarms.json")).unwrap();
    in_service("run nightly --now full");
    let mut end = told(&work).split_off(2);
    end.sort();
    assert_eq!(end, ["ends failed", "ends failed of all"]);
}

#[test]
fn no_alarm_ends_because_a_place_or_a_ca_cannot_be_looked_at() {
    let work = world("");
    result(&work, "ca crl --dir {ca} --passphrase-file {pass}");
    configure(&work, &format!("{JOB}\ncrl = '5000w'\ncertificate = '5000w'\n[notify.ops]\n{}", hook(&work)));
    run(&work, "status --notify");
    let begun = ["begins certificate", "begins crl", "begins late"];
    assert_eq!(told(&work), begun);
    for name in ["backups", "ca"] {
        fs::rename(work.path(name), work.path("away")).unwrap();
        run(&work, "status --notify");
        fs::rename(work.path("away"), work.path(name)).unwrap();
        run(&work, "status --notify");
    }
    let told = told(&work).split_off(begun.len());
    assert_eq!(told, ["begins failed", "ends failed", "begins failed", "ends failed"]);
}

/// A pipe that nobody writes into: whoever reads it waits.
fn pipe(work: &Work, name: &str) {
    assert!(std::process::Command::new("mkfifo").arg(work.path(name)).status().unwrap().success());
}

#[test]
fn a_place_that_hangs_keeps_no_other_alarm_from_being_told() {
    let work = world("");
    pipe(&work, "key");
    let folder = work.path("").display().to_string();
    let hangs = format!(
        "[job.first]\nca = 'web'\nto = 'hung:'\nfull = 'monthly 1 00:00'\n\
         [repository.hung]\nurl = 'file://{folder}/hung'\nkey-file = 'key'"
    );
    configure(&work, &format!("{JOB}\n{hangs}\n[notify.ops]\n{}", hook(&work)));
    let path = work.path("certadm.toml");
    fs::write(&path, format!("time-limit = '1s'\n{}", fs::read_to_string(&path).unwrap())).unwrap();
    let status = run(&work, "--json status --notify").json();
    assert_eq!(told(&work), ["begins failed", "begins late"]);
    let first = &status["result"]["cas"][0];
    let message = first["trouble"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("neither hung: nor ") && first["job"] == "first", "{first:#}");
    assert_eq!(status["result"]["cas"][1]["place_seen"], true);
}

#[test]
fn a_judgement_that_hangs_is_stopped_and_the_agent_says_so() {
    let work = world("");
    pipe(&work, "address");
    // An alarm that no run ends: a backup that is quicker than the judgement would leave nothing to tell.
    configure(&work, &format!("{JOB}\ncertificate = '5000w'\n[notify.ops]\nwebhook-file = 'address'"));
    let path = work.path("certadm.toml");
    fs::write(&path, format!("time-limit = '1s'\n{}", fs::read_to_string(&path).unwrap())).unwrap();
    let agent = crate::alarms::Agent::start(&work, "agent");
    crate::alarms::until("the judgement is stopped", || {
        let said = fs::read_to_string(work.path("agent.out")).unwrap();
        said.contains("the judgement of all CAs takes longer than 1 s, and is stopped").then_some(())
    });
    agent.stop();
}

#[test]
fn a_message_that_is_refused_silences_none_behind_it() {
    let work = world("");
    let refuses = |body: &str| match body.contains("\"certificate\"") {
        true => "400 Bad Request",
        false => "204 No Content",
    };
    let (address, heard) = server_that(refuses);
    let notify = format!("certificate = '5000w'\n[notify.ops]\nwebhook = 'http://{address}/'");
    configure(&work, &format!("{JOB}\n{notify}"));
    for told in [&["certificate", "late"][..], &["certificate"]] {
        let said = run(&work, "status --notify");
        assert!(said.stdout.contains("ops could not be told") && said.stdout.contains("400"), "{said:?}");
        for about in told {
            let (_, body) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
            assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["about"], *about, "{body}");
        }
        assert!(heard.try_recv().is_err(), "each is told once");
    }
}

#[test]
fn runs_leave_out_for_a_while_who_has_not_answered() {
    let work = world("");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    configure(&work, &format!("{JOB}\ncertificate = '5000w'\n[notify.ops]\nwebhook = 'http://{nobody}/'"));
    let is_tried = |line: &str| run(&work, line).stdout.contains("ops could not be told");
    assert!(is_tried("run nightly"));
    assert!(!is_tried("run nightly --now full"));
    assert!(is_tried("status --notify"), "a judgement tries everybody");
    // After a quarter of an hour it is tried again.
    let file = work.path("state/alarms.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let since = &mut known["silent"]["ops webhook"];
    *since = (since.as_i64().unwrap() - 900).into();
    fs::write(&file, serde_json::to_vec(&known).unwrap()).unwrap();
    assert!(is_tried("run nightly --now full"));
}

#[test]
fn a_machine_that_knows_no_authorities_can_tell_by_http() {
    let work = world("");
    let (address, heard) = server();
    configure(&work, &format!("{JOB}\n[notify.ops]\nwebhook = 'http://{address}/'"));
    fs::write(work.path("none.pem"), "").unwrap();
    let mut command = crate::support::command(&work.path(""), "status --notify");
    command.env("CERTADM_JOBS", work.path("certadm.toml"));
    command.env("SSL_CERT_FILE", work.path("none.pem")).env_remove("SSL_CERT_DIR");
    let said = crate::support::Run::of(&mut command);
    assert!(!said.stdout.contains("could not be told"), "{said:?}");
    assert_eq!(next(&heard), "POST / HTTP/1.1");
}
