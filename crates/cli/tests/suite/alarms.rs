//! Status, alarms, the check for monitoring, the agent and timers, as their users meet them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::jobs::{configure, result, run, steps, world};
use crate::support::{Work, command};

/// Waits for something, for three minutes at most.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    // Some of it begins with the next minute of the clock.
    let end = Instant::now() + Duration::from_secs(180);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A configuration whose alarms are appended to the file `told`, a line each.
fn with_hook(work: &Work, job: &str) {
    let hook = work.path("hook");
    let told = work.path("told");
    fs::write(&hook, format!("#!/bin/sh\ncat >> '{0}'\necho >> '{0}'\n", told.display())).unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    configure(work, &format!("{job}\n[notify.ops]\ncommand = ['{}']", hook.display()));
}

/// A world with that hook.
pub(crate) fn with_alarms(job: &str) -> Work {
    let work = world("");
    with_hook(&work, job);
    work
}

fn told(work: &Work) -> Vec<String> {
    let text = fs::read_to_string(work.path("told")).unwrap_or_default();
    text.lines()
        .map(|line| {
            let alarm: Value = serde_json::from_str(line).unwrap();
            assert!(
                alarm["message"].is_string() && alarm["remedy"].is_string() && alarm["since"].is_string()
            );
            format!("{} {}", alarm["event"].as_str().unwrap(), alarm["about"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn an_alarm_is_told_when_it_begins_and_when_it_ends_and_not_between() {
    let work = with_alarms("to = 'backups'\nfull = 'monthly 1 00:00'");
    fs::rename(work.path("ca"), work.path("gone")).unwrap();
    assert_eq!(run(&work, "run nightly").code, 3);
    let first = told(&work);
    assert_eq!(first, ["begins failed", "begins late"]);
    run(&work, "run nightly");
    assert_eq!(run(&work, "status --notify").code, 1);
    assert_eq!(told(&work), first, "nothing is told twice");
    fs::rename(work.path("gone"), work.path("ca")).unwrap();
    assert_eq!(steps(&result(&work, "run nightly --now full")), ["full good"]);
    assert_eq!(told(&work)[2..], ["ends failed", "ends late"]);
    assert_eq!(run(&work, "check nightly").code, 0);
}

/// A copy fails, and that is told. When the first place goes away after it, no backup is taken any more, and that is told, too.
#[test]
fn a_first_place_that_goes_away_is_told_although_a_step_had_failed_before() {
    let work = with_alarms("to = ['backups', 'nowhere:']\nfull = 'monthly 1 00:00'\nrpo = '1h'");
    run(&work, "run nightly");
    assert_eq!(told(&work), ["begins failed"]);
    fs::rename(work.path("backups"), work.path("away")).unwrap();
    run(&work, "status --notify");
    assert_eq!(told(&work), ["begins failed"; 2], "the last backup is new");
    // Two hours go by.
    let file = work.path("state/attempts/nightly/web.json");
    let mut attempts: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let taken = &mut attempts["steps"]["full"]["succeeded"];
    *taken = (taken.as_i64().unwrap() - 7_200).into();
    fs::write(&file, serde_json::to_vec(&attempts).unwrap()).unwrap();
    run(&work, "status --notify");
    assert_eq!(told(&work)[2..], ["begins late"]);
    fs::rename(work.path("away"), work.path("backups")).unwrap();
    run(&work, "status --notify");
    // The copy is still not made.
    assert_eq!(told(&work)[3..], ["ends failed", "ends late"]);
}

#[test]
fn everybody_hears_of_a_ca_that_no_job_has_and_of_the_end_of_what_was_taken_out() {
    let work = with_alarms("to = 'backups'\nfull = 'monthly 1 00:00'");
    assert_eq!(steps(&result(&work, "run nightly")), ["full good"]);
    let path = work.path("certadm.toml");
    let before = fs::read_to_string(&path).unwrap().replace("ca = 'all'", "ca = 'web'");
    let forgotten = format!("{before}\n[ca.forgotten]\ndir = '{}'\n", work.path("other").display());
    fs::write(&path, &forgotten).unwrap();
    for _ in 0..2 {
        let said = run(&work, "status --notify");
        assert!(said.stdout.contains("forgotten: no job has this CA"), "{said:?}");
        assert_eq!(told(&work), ["begins unprotected"]);
    }
    // A job has it now, in which it is late.
    let job = "[job.second]\nca = 'forgotten'\nto = 'backups'\nfull = 'monthly 1 00:00'";
    fs::write(&path, format!("{forgotten}\n{job}\n")).unwrap();
    run(&work, "status --notify");
    let mut now = told(&work).split_off(1);
    now.sort();
    assert_eq!(now[now.len() - 1], "ends unprotected");
    assert!(now[..now.len() - 1].iter().all(|told| told.starts_with("begins ")) && 1 < now.len(), "{now:?}");
    let begun = now.len() - 1;
    // Job and CA are taken out.
    fs::write(&path, &before).unwrap();
    run(&work, "status --notify");
    let end = told(&work).split_off(2 + begun);
    assert!(end.len() == begun && end.iter().all(|told| told.starts_with("ends ")), "{end:?}");
    assert_eq!(run(&work, "status --notify").code, 0);
    assert_eq!(told(&work).len(), 2 + 2 * begun);
}

#[test]
fn who_cannot_be_told_is_told_the_next_time() {
    let work = world("");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let job = "to = 'backups'\nfull = 'monthly 1 00:00'";
    let notify = format!("[notify.hook]\nwebhook = 'http://{address}/t0ken'\nping = 'http://{address}/ping'");
    configure(&work, &format!("{job}\n{notify}"));
    let said = run(&work, "status --notify");
    assert!(said.stdout.contains("hook could not be told"), "{said:?}");
    assert!(!said.stdout.contains("t0ken"), "an address may hold a token: {said:?}");
    let listener = TcpListener::bind(address).unwrap();
    let (sender, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            sender.send(read_request(&mut stream)).ok();
        }
    });
    assert_eq!(run(&work, "status --notify").code, 1);
    let (line, body) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(line, "POST /t0ken HTTP/1.1");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["about"], "late", "{body}");
    // After the backup the alarm ends, and a sign of life is given.
    result(&work, "run nightly");
    let (_, body) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["event"], "ends", "{body}");
    let (line, _) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(line, "GET /ping HTTP/1.1");
    // An alarm that somebody has to look into takes the sign of life away.
    configure(&work, &format!("{job}\ncertificate = '5000w'\n{notify}"));
    result(&work, "run nightly --now full");
    heard.recv_timeout(Duration::from_secs(60)).unwrap();
    let (line, _) = heard.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(line, "GET /ping/fail HTTP/1.1");
}

/// Reads a request, answers it, and returns its first line and its body.
fn read_request(stream: &mut std::net::TcpStream) -> (String, String) {
    answer_request(stream, |_| "204 No Content")
}

/// Reads a request, gives the answer for its body, and returns its first line and its body.
pub(crate) fn answer_request(
    stream: &mut std::net::TcpStream,
    answer: fn(&str) -> &'static str,
) -> (String, String) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let length = lines
        .iter()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    write!(stream, "HTTP/1.1 {}\r\nConnection: close\r\n\r\n", answer(&body)).unwrap();
    (lines[0].clone(), body)
}

#[test]
fn status_says_how_a_ca_stands_and_check_says_it_to_monitoring() {
    let work =
        world("to = 'backups'\nfull = 'monthly 1 00:00'\nlogs = 'every 31d'\nverify = 'monthly 1 00:00'");
    let nothing = run(&work, "status");
    assert_eq!(nothing.code, 1);
    assert!(nothing.stdout.contains("ALL") && nothing.stdout.contains("late"), "{nothing:?}");
    let critical = run(&work, "check");
    assert_eq!(critical.code, 2, "{critical:?}");
    assert!(
        critical.stdout.starts_with("CRITICAL - web late: no state of the CA can be restored"),
        "{critical:?}"
    );
    result(&work, "run nightly");
    result(&work, "ca crl --dir {ca} --passphrase-file {pass}");
    let status = result(&work, "status --html {page.html} --prometheus {figures.prom}");
    let ca = &status["cas"][0];
    assert_eq!(
        (&ca["ca"], &ca["sets"], &ca["alarms"]),
        (&"web".into(), &1.into(), &Value::Array(Vec::new()))
    );
    for key in ["last_full", "newest_state", "verified", "crl_ends", "certificate_ends"] {
        assert!(ca[key].is_string(), "{key}: {ca:#}");
    }
    let page = fs::read_to_string(work.path("page.html")).unwrap();
    assert!(page.contains("in order") && !page.contains("<script"), "{page}");
    let figures = fs::read_to_string(work.path("figures.prom")).unwrap();
    assert!(
        figures.contains("certadm_alarm{backup_job=\"nightly\",ca=\"web\",about=\"late\"} 0"),
        "{figures}"
    );
    assert!(figures.contains("certadm_sets{backup_job=\"nightly\",ca=\"web\"} 1"), "{figures}");
    let fine = run(&work, "check nightly --ca web --max-age 1h");
    assert_eq!(fine.code, 0, "{fine:?}");
    assert!(fine.stdout.starts_with("OK - 1 CA is protected | age="), "{fine:?}");
    let late = run(&work, "check --max-age 0s");
    assert!(matches!(late.code, 0 | 2), "{late:?}");
    assert_eq!(run(&work, "check nowhere").code, 3);
    assert!(run(&work, "check nowhere").stdout.starts_with("UNKNOWN - there is no job nowhere"));
    // A set that is broken is told.
    let set = fs::read_dir(work.path("backups/web")).unwrap().map(|entry| entry.unwrap().path());
    let set = set.into_iter().find(|set| set.join("manifest.json").exists()).unwrap();
    fs::write(set.join("manifest.json"), "{}").unwrap();
    let broken = run(&work, "check");
    assert_eq!(broken.code, 2, "{broken:?}");
    assert!(broken.stdout.contains("cannot be read"), "{broken:?}");
}

/// An agent at work, and what it prints.
pub(crate) struct Agent {
    child: Child,
}

impl Agent {
    pub(crate) fn start(work: &Work, line: &str) -> Self {
        let mut command = command(&work.path(""), line);
        let out = fs::File::create(work.path("agent.out")).unwrap();
        let child = command
            .env("CERTADM_JOBS", work.path("certadm.toml"))
            .env("CERTADM_REPOSITORIES", work.path("repositories.toml"))
            .env("TMPDIR", work.path("scratch"))
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .unwrap();
        Self { child }
    }

    /// Stops it when it has begun to work.
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.end(), Some(0));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    pub(crate) fn end(mut self) -> Option<i32> {
        until("the agent ends", || self.child.try_wait().unwrap()).code()
    }
}

fn sets(work: &Work) -> Vec<String> {
    let Ok(entries) = fs::read_dir(work.path("backups/web")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn the_agent_does_what_is_due_and_stops_in_order() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'\nverify = 'monthly 1 00:00'");
    let agent = Agent::start(&work, "agent");
    until("a full set is verified", || work.path("backups/web/.proven").exists().then_some(()));
    let second = run(&work, "agent");
    assert_eq!(second.code, 3, "{second:?}");
    assert!(second.stderr.contains("another agent"), "{second:?}");
    // A changed configuration counts at once.
    configure(
        &work,
        "to = 'backups'\nfull = 'monthly 1 00:00'\nverify = 'monthly 1 00:00'\nlogs = 'every 1m'",
    );
    until("logs are backed up", || (2 <= sets(&work).len()).then_some(()));
    // One that cannot be read leaves the one before in force.
    fs::write(work.path("certadm.toml"), "x").unwrap();
    until("the agent says so", || {
        fs::read_to_string(work.path("agent.out")).unwrap().contains("left out").then_some(())
    });
    agent.signal(Signal::TERM);
    assert_eq!(agent.end(), Some(0));
    let said = fs::read_to_string(work.path("agent.out")).unwrap();
    assert!(said.contains("web: full good") && said.contains("has stopped"), "{said}");
    let names = sets(&work);
    assert!(names[0].ends_with("-full") && names[1].ends_with("-logs"), "{names:?}");
    for name in names {
        assert!(work.path(&format!("backups/web/{name}/manifest.json")).exists(), "{name}");
    }
}

/// Neither backups nor alarms end with a mistake in the file, and its end is told, too.
#[test]
fn a_configuration_that_cannot_be_read_stops_nothing_and_is_an_alarm() {
    let work = with_alarms("");
    let place = work.path("").display().to_string();
    let vault =
        format!("[repository.other]\nurl = 'file://{place}/other'\nkey-file = '{place}/other.vaultkey'");
    with_hook(&work, &format!("to = ['other:']\nfull = 'monthly 1 00:00'\nlogs = 'every 1m'\n{vault}"));
    let good = fs::read_to_string(work.path("certadm.toml")).unwrap();
    result(&work, "repository init other: --ca Test-CA --recovery-file {code}");
    let agent = Agent::start(&work, "agent");
    let points = || {
        fs::write(work.path("right.toml"), &good).unwrap();
        let mut command = command(&work.path(""), "--json repository info other:Test-CA");
        let info = crate::support::Run::of(command.env("CERTADM_JOBS", work.path("right.toml"))).json();
        info["result"]["repositories"][0]["points"].as_array().map_or(0, Vec::len)
    };
    until("a full set is there", || (0 < points()).then_some(()));
    for wrong in ["x", "[job"] {
        fs::write(work.path("certadm.toml"), wrong).unwrap();
        until("it is told", || told(&work).contains(&"begins failed".to_owned()).then_some(()));
    }
    let begun = points();
    until("logs are backed up all the same", || (begun < points()).then_some(()));
    fs::write(work.path("certadm.toml"), &good).unwrap();
    until("its end is told", || told(&work).contains(&"ends failed".to_owned()).then_some(()));
    agent.stop();
    let about: Vec<String> = told(&work).into_iter().filter(|told| told.ends_with("failed")).collect();
    assert_eq!(about, ["begins failed", "ends failed"]);
    let said = fs::read_to_string(work.path("told")).unwrap();
    assert!(said.contains("the configuration cannot be read, and the one before stays in force"), "{said}");
    assert!(!work.path("state/agent.toml").exists());
}

#[test]
fn the_agent_does_both_of_two_jobs_of_a_ca() {
    let job = "to = 'backups'\nfull = 'monthly 1 00:00'";
    let work = world(&format!("{job}\n[job.second]\nca = 'web'\nto = 'more'\nfull = 'monthly 1 00:00'"));
    fs::create_dir(work.path("more")).unwrap();
    crate::interrupted::fill(&work);
    let agent = Agent::start(&work, "agent");
    for folder in ["backups/web", "more/web"] {
        until("both have a set", || {
            let mut sets = fs::read_dir(work.path(folder)).ok()?;
            sets.any(|set| set.unwrap().path().join("manifest.json").exists()).then_some(())
        });
    }
    agent.stop();
    let said = fs::read_to_string(work.path("agent.out")).unwrap();
    assert!(!said.contains("left it alone"), "{said}");
    // So does one run of both.
    for folder in ["backups/web", "more/web"] {
        fs::remove_dir_all(work.path(folder)).unwrap();
        // The folder was made by hand: its sets are gone for good.
        fs::create_dir(work.path(folder)).unwrap();
    }
    let both = result(&work, "run --all");
    let outcomes: Vec<&Value> =
        both["runs"].as_array().unwrap().iter().map(|run| &run["left_alone"]).collect();
    assert_eq!(outcomes, [&Value::Bool(false), &Value::Bool(false)], "{both:#}");
}

#[test]
fn the_agent_tells_the_service_manager_that_it_is_ready_and_lives() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'");
    let path = work.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut agent = command(&work.path(""), "agent");
    let agent = agent
        .env("CERTADM_JOBS", work.path("certadm.toml"))
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let agent = Agent { child: agent };
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !(seen.contains("READY=1") && seen.contains("WATCHDOG=1") && seen.contains("STATUS=")) {
        let length = socket.recv(&mut buffer).unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    agent.signal(Signal::INT);
    while !seen.contains("STOPPING=1") {
        let length = socket.recv(&mut buffer).unwrap();
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    assert_eq!(agent.end(), Some(0));
}

/// Processes that have this word and a path below a work folder among their arguments.
pub(crate) fn at_work(work: &Work, verb: &str) -> Vec<i32> {
    let folder = work.path("").display().to_string();
    let is_it = |id: &str| {
        let words = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let words: Vec<&str> = words.split('\0').collect();
        words.contains(&verb) && words.iter().any(|word| word.contains(folder.trim_end_matches('/')))
    };
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    all.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()) && is_it(id))
        .map(|id| id.parse().unwrap())
        .collect()
}

/// What a backup has begun in the folder of the CA's sets.
pub(crate) fn hidden(work: &Work) -> Vec<String> {
    let Ok(entries) = fs::read_dir(work.path("backups/web")) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.') && name != ".proven").collect()
}

/// Whether a backup has begun to store the database.
fn is_storing(work: &Work) -> bool {
    let folder = work.path("backups/web");
    hidden(work).iter().any(|name| {
        fs::metadata(folder.join(name).join("DataBase/Test-CA.db")).is_ok_and(|file| 0 < file.len())
    })
}

#[test]
fn a_run_or_agent_that_is_stopped_stops_its_step_and_leaves_nothing_behind() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'");
    crate::interrupted::fill(&work);
    for (line, code) in [("run nightly", 143), ("agent", 0)] {
        let agent = Agent::start(&work, line);
        until("a backup is at work", || is_storing(&work).then_some(()));
        agent.signal(Signal::TERM);
        assert_eq!(agent.end(), Some(code), "{line}");
        assert_eq!(hidden(&work), Vec::<String>::new(), "{line}");
        assert_eq!(at_work(&work, "backup"), Vec::<i32>::new(), "{line}");
        // The signal may have come when the set was complete already.
        for set in sets(&work) {
            let set = work.path("backups/web").join(set);
            assert!(set.join("manifest.json").exists(), "{line}");
            fs::remove_dir_all(set).unwrap();
        }
    }
    // What was interrupted has not failed, and need not wait.
    assert_eq!(steps(&result(&work, "run nightly")), ["full good"]);
}

#[test]
fn the_step_of_a_killed_run_keeps_the_ca_until_it_ends() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'");
    crate::interrupted::fill(&work);
    let mut agent = Agent::start(&work, "run nightly");
    until("a backup is at work", || is_storing(&work).then_some(()));
    agent.signal(Signal::KILL);
    until("the run is gone", || agent.child.try_wait().unwrap());
    // Either it is still at work, and is left alone, or it has ended, and nothing is due: never a second backup.
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0);
    // Who has time waits for it, and then nothing is due.
    let waited = result(&work, "run nightly --wait 10m");
    assert_eq!((&waited["runs"][0]["left_alone"], steps(&waited).len()), (&false.into(), 0), "{waited:#}");
    until("the backup ends", || at_work(&work, "backup").is_empty().then_some(()));
    assert_eq!((sets(&work).len(), hidden(&work)), (1, Vec::new()));
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0);
    assert_eq!(steps(&result(&work, "run nightly --now verify")), ["verify good"]);
}

#[test]
fn a_ca_of_the_network_is_protected_by_its_account_and_one_that_is_away_is_tried_again() {
    let work = crate::remote::world();
    fs::create_dir_all(work.path("backups")).unwrap();
    let serving = crate::remote::Serving::start(&work, "--allow-remote-backup");
    let address = serving.address.clone();
    let configure = |retry: &str| {
        let text = format!(
            "state = 'state'\nretry-after = [{retry}]\n[defaults.ca]\nuser = 'backup'\npassword-file = 'pw'\n\
             [ca]\nbranch = {{ server = '{address}' }}\n\
             [job.j]\nca = 'branch'\nto = 'backups'\nfull = 'monthly 1 00:00'\nlogs = 'monthly 1 00:00'\n"
        );
        fs::write(work.path("certadm.toml"), text).unwrap();
    };
    configure("");
    assert_eq!(steps(&result(&work, "run j")), ["full good", "ask good"]);
    // What the CA says of itself counts for alarms, and it has published no CRL yet.
    let ca = run(&work, "--json status").json()["result"]["cas"][0].clone();
    assert!(ca["certificate_ends"].is_string(), "{ca:#}");
    let logs = result(&work, "run j --now logs");
    assert_eq!(steps(&logs), ["logs good"]);
    assert_eq!(logs["runs"][0]["steps"][0]["result"]["kind"], "incremental");
    drop(serving);
    configure("'1s', '1s'");
    let away = run(&work, "--json run j --now logs");
    assert_eq!(away.code, 4, "{away:?}");
    let step = &away.json()["result"]["runs"][0]["steps"][0];
    assert_eq!((&step["outcome"], &step["tries"]), (&"failed".into(), &3.into()), "{step:#}");
    // A CA that cannot be asked any more is an alarm, and ends no alarm about what it said before.
    configure("");
    let file = work.path("state/attempts/j/branch.json");
    let mut attempts: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    attempts["steps"].as_object_mut().unwrap().remove("logs");
    (attempts["steps"]["ask"]["succeeded"], attempts["steps"]["ask"]["tried"]) = (0.into(), 0.into());
    fs::write(&file, serde_json::to_vec(&attempts).unwrap()).unwrap();
    let away = run(&work, "--json run j");
    assert_eq!((away.code, steps(&away.json()["result"])), (4, vec!["ask failed".to_owned()]), "{away:?}");
    let now = run(&work, "--json status").json()["result"]["cas"][0].clone();
    assert_eq!(now["certificate_ends"], ca["certificate_ends"], "{now:#}");
    let alarms: Vec<&Value> = now["alarms"].as_array().unwrap().iter().collect();
    let failed = alarms.iter().find(|alarm| alarm["about"] == "failed");
    assert!(failed.is_some_and(|alarm| alarm["message"].as_str().unwrap().starts_with("ask: ")), "{now:#}");
}

/// The answer to a GET, as text.
fn get(address: &str, path: &str, host: &str) -> Option<String> {
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn the_agent_shows_a_page_figures_and_that_it_lives_to_this_machine() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'");
    let refused = run(&work, "agent --listen 0.0.0.0:0");
    assert_eq!(refused.code, 2, "{refused:?}");
    let agent = Agent::start(&work, "agent --listen 127.0.0.1:0");
    let address = until("the agent says where it is", || {
        let said = fs::read_to_string(work.path("agent.out")).unwrap();
        let address = said.split_once("http://")?.1.split_once('/')?.0.to_owned();
        Some(address)
    });
    let health = until("it answers", || get(&address, "/healthz", &address));
    assert!(health.starts_with("HTTP/1.1 200") && health.ends_with("ok\n"), "{health}");
    let page = until("the CAs are judged", || {
        get(&address, "/", &address).filter(|page| page.starts_with("HTTP/1.1 200"))
    });
    assert!(page.contains("<h2>web (nightly)</h2>") && page.contains("default-src 'none'"), "{page}");
    // They are written after the page.
    let figures = until("the figures are there", || {
        get(&address, "/metrics", "localhost").filter(|figures| figures.starts_with("HTTP/1.1 200"))
    });
    assert!(figures.contains("certadm_alarm{backup_job=\"nightly\",ca=\"web\",about=\"late\"}"), "{figures}");
    assert!(get(&address, "/", "evil.example").unwrap().starts_with("HTTP/1.1 403"));
    assert!(get(&address, "/state", &address).unwrap().starts_with("HTTP/1.1 404"));
    agent.stop();
}

#[test]
fn a_run_that_hangs_is_stopped_and_the_agent_goes_on() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'");
    // Who takes a connection and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("server = '{}'\nuser = 'x'\npassword-file = 'pass'", listener.local_addr().unwrap());
    let text = fs::read_to_string(work.path("certadm.toml")).unwrap();
    let text = text.replace("dir = 'ca'", &server);
    fs::write(work.path("certadm.toml"), format!("time-limit = '1s'\nat-once = 1\n{text}")).unwrap();
    let agent = Agent::start(&work, "agent");
    until("the run is stopped", || {
        fs::read_to_string(work.path("agent.out"))
            .unwrap()
            .contains("the run for web takes longer than 1 s")
            .then_some(())
    });
    until("no command is left", || at_work(&work, "backup").is_empty().then_some(()));
    agent.stop();
    assert_eq!((sets(&work), hidden(&work)), (Vec::new(), Vec::new()));
}
