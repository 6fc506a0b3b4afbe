//! A signal ends a command in order: one message, nothing half done, the backup at the CA ended.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use certadm_client::{RemoteCa, Target};
use certadm_session::Source;

use crate::serve::Service;
use crate::support::{Run, Work, command};

/// Starts a command, waits until `begun` is there, sends the signal, and gives how the command ended.
fn interrupt(work: &Work, line: &str, begun: impl Fn() -> bool, signal: Signal) -> Run {
    let dir = work.path("x");
    let mut command = command(dir.parent().unwrap(), line);
    let mut child: Child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, begun);
    kill_process(Pid::from_child(&child), signal).unwrap();
    Run::from(child.wait_with_output().unwrap())
}

/// Waits until a command has begun with what is to be interrupted.
fn wait_for(child: &mut Child, begun: impl Fn() -> bool) {
    while !begun() {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the command ended before it was seen to begin: {ended:?}");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Whether a backup into the folder `sets` has received a part of the database.
fn receives(sets: &Path) -> bool {
    names(sets).iter().any(|name| {
        fs::metadata(sets.join(name).join("DataBase/Test-CA.db")).is_ok_and(|file| file.len() > 0)
    })
}

fn names(dir: &Path) -> Vec<String> {
    fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect()
}

/// A CA whose database takes a while to read: 256 MiB of requests that failed.
fn large() -> Work {
    let work = Work::with_ca();
    fill(&work);
    work
}

/// Makes the CA of the folder `ca` large.
pub(crate) fn fill(work: &Work) {
    let folder = certadm_store::Folder::new(work.path("ca"));
    let mut writer = certadm_store::Writer::open(&folder).unwrap();
    for _ in 0..16 {
        writer
            .commit(|transaction| {
                let sql = "INSERT INTO Requests (Disposition, RawRequest) VALUES (30, randomblob(1048576))";
                for _ in 0..16 {
                    transaction.execute(sql, []).map_err(certadm_store::Error::from)?;
                }
                Ok::<_, certadm_store::Error>(())
            })
            .unwrap();
    }
    drop(writer);
}

#[test]
fn a_signal_ends_a_backup_and_leaves_nothing() {
    let work = large();
    fs::create_dir(work.path("sets")).unwrap();
    let sets = work.path("sets");
    let to = format!("backup --dir {{ca}} --to {}", sets.join("monday").display());
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let run = interrupt(&work, &to, || receives(&sets), signal);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.stderr.contains("interrupted before the end"), "{run:?}");
        assert_eq!(names(&sets), Vec::<String>::new(), "no part of a set stays");
    }
    // So does the end of its input, by which it is asked on Windows.
    let mut asked = command(sets.parent().unwrap(), &format!("--until-input-ends {to}"));
    let pipes = asked.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut asked = pipes.spawn().unwrap();
    wait_for(&mut asked, || receives(&sets));
    drop(asked.stdin.take());
    let run = Run::from(asked.wait_with_output().unwrap());
    assert_eq!(run.code, 143, "{run:?}");
    assert_eq!(names(&sets), Vec::<String>::new(), "no part of a set stays");
    // The CA is free again, and what was killed outright is removed by the next backup.
    fs::create_dir(sets.join(".tuesday.unfinished-4194999")).unwrap();
    let result = work.result(&to);
    assert_eq!(result["removed"].as_array().unwrap().len(), 1, "{result}");
    assert_eq!(names(&sets), ["monday"]);

    // Reading takes as long again.
    let verify = format!("verify {}", sets.join("monday").display());
    let scratch = || names(&sets.join("monday")).iter().any(|name| name.starts_with(".certadm-scratch-"));
    let run = interrupt(&work, &verify, scratch, Signal::INT);
    assert_eq!(run.code, 130, "{run:?}");
    assert!(!scratch(), "the scratch folder is gone");

    let restore = format!("restore --from {} --dir {{ca}} --force", sets.join("monday").display());
    let staged =
        || fs::metadata(work.path("ca/restore.staging/database/Test-CA.db")).is_ok_and(|file| file.len() > 0);
    let before = work.tables("--dir {ca}")[1].clone();
    let run = interrupt(&work, &restore, staged, Signal::TERM);
    assert_eq!(run.code, 143, "{run:?}");
    assert!(!work.path("ca/restore.staging").exists());
    assert_eq!(work.tables("--dir {ca}")[1], before, "the CA is as it was");
}

/// A shell without job control starts every command behind `&` so: a SIGINT for the script is not for the command.
#[test]
#[cfg(target_os = "linux")]
fn a_signal_that_the_command_was_started_to_ignore_does_not_end_it() {
    let work = large();
    fs::create_dir(work.path("sets")).unwrap();
    let sets = work.path("sets");
    let mut script = std::process::Command::new("sh");
    script.args(["-c", r#"trap '' INT; exec "$0" "$@""#, env!("CARGO_BIN_EXE_certadm")]);
    script.args(["backup", "--dir"]).arg(work.path("ca")).arg("--to").arg(sets.join("monday"));
    let mut child =
        script.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, || receives(&sets));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    Run::from(child.wait_with_output().unwrap()).good();
    assert_eq!(names(&sets), ["monday"]);
}

#[test]
fn who_has_the_ca_is_told() {
    let work = Work::with_ca();
    let owner = certadm_store::locks::own(&certadm_store::Folder::new(work.path("ca"))).unwrap();
    let said = work.run("backup --dir {ca} --to {set}").stderr;
    assert!(said.contains(&format!("process {}, since 20", std::process::id())), "{said}");
    drop(owner);
}

/// A CA served on the network, with an account.
fn served(work: &Work) -> (Service, String) {
    fs::write(work.path("pw"), "Pa55-word-of-tests\n").unwrap();
    work.result("user add --dir {ca} backup --role operator --password-file {pw}");
    let service = Service::start(work, "--dir {ca} --socket {socket} --allow-remote-backup");
    let address = service.said["result"]["listen"].as_str().unwrap().to_owned();
    (service, format!("backup --server {address} --user backup --password-file {{pw}}"))
}

/// A client that is told to stop ends its backup at the CA, so that the next one need not wait until the CA misses it.
#[test]
fn after_a_signal_the_next_remote_backup_is_not_refused() {
    let work = large();
    let (_service, backup) = served(&work);
    fs::create_dir(work.path("sets")).unwrap();
    let sets = work.path("sets");
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let to = format!("{backup} --to {}", sets.join("broken-off").display());
        let run = interrupt(&work, &to, || receives(&sets), signal);
        assert_eq!(run.code, code, "{run:?}");
        assert_eq!(names(&sets), Vec::<String>::new());
        // By another way to the same service; a logs-only backup is refused as well while one runs.
        let next = work.run("doctor --socket {socket}");
        assert_eq!(next.code, 0, "{next:?}");
    }
    work.result(&format!("{backup} --to {{next}}"));
}

#[test]
fn a_refused_second_backup_says_whose_the_first_is() {
    let work = Work::with_ca();
    let (_service, remote) = served(&work);
    let target = Target::of_socket(work.path("socket"));
    let mut first = RemoteCa::connect(target, None).unwrap();
    first.prepare(certadm_rules::BackupType::Full).unwrap();
    let own = format!(
        "uid {} gid {} on the CA's machine, since 20",
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw()
    );
    for line in [
        format!("{remote} --to {{x}}"),
        "backup --dir {ca} --to {x}".to_owned(),
        "backup --socket {socket} --to {x}".to_owned(),
    ] {
        let refused = work.run(&line);
        assert_eq!(refused.code, 3, "{refused:?}");
        assert!(
            refused.stderr.contains(&own) && refused.stderr.contains("0xc80001f9"),
            "{line}: {refused:?}"
        );
    }
    drop(first);
    work.result(&format!("{remote} --to {{set}}"));
}

/// A client that was killed outright: until the CA misses it, the next one learns that nobody is there any more.
#[test]
fn a_backup_whose_client_is_gone_is_told_as_such() {
    let work = large();
    let (_service, backup) = served(&work);
    fs::create_dir(work.path("sets")).unwrap();
    let sets = work.path("sets");
    let to = format!("{backup} --to {}", sets.join("killed").display());
    let dir = work.path("x");
    let mut child = command(dir.parent().unwrap(), &to);
    let mut child = child.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Its folder is there before the CA knows of it; only what was received shows that the CA has begun.
    wait_for(&mut child, || receives(&sets));
    child.kill().unwrap();
    child.wait().unwrap();
    let told = (0..600).any(|_| {
        let refused = work.run("backup --dir {ca} --to {x}");
        std::thread::sleep(std::time::Duration::from_millis(50));
        refused.stderr.contains("account backup from 127.0.0.1, since 20")
            && refused.stderr.contains("its connection has been gone")
    });
    assert!(told, "the killed client's backup was never told");
}

/// A drill that is broken off leaves nothing, and with `--keep` what somebody wants to look at. It has shown nothing of its CA.
#[test]
fn a_drill_that_breaks_off_keeps_its_folder_only_if_asked() {
    let work = Work::new();
    let within = work.path("within");
    fs::create_dir(&within).unwrap();
    let issuing = || {
        names(&within).iter().any(|name| {
            let log = within.join(name).join("ca/log");
            name.starts_with("certadm-drill-")
                && fs::read_dir(log).is_ok_and(|mut logs| logs.next().is_some())
        })
    };
    let drill = "drill --local --size 1MiB --seconds 600 --workers 1 --within {within}";
    // Ten minutes of issuing need more room than a test has: how much is asked for is known before anything is made.
    let refused = work.run(&drill.replace("--size 1MiB", "--size 1TiB"));
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("0x80070070") && refused.stderr.contains("--within DIR"), "{refused:?}");
    assert_eq!(names(&within), Vec::<String>::new());

    let drill = drill.replace("--seconds 600", "--seconds 20");
    let run = interrupt(&work, &drill, issuing, Signal::INT);
    assert_eq!(run.code, 130, "{run:?}");
    assert!(run.stderr.contains("broke off") && !run.stderr.contains("lost"), "{run:?}");
    assert_eq!(names(&within), Vec::<String>::new());

    let run = interrupt(&work, &format!("{drill} --keep"), issuing, Signal::TERM);
    assert_eq!(run.code, 143, "{run:?}");
    let kept = names(&within);
    assert!(kept.len() == 1 && within.join(&kept[0]).join("ca/ca.toml").is_file(), "{kept:?}");
    assert!(run.stdout.contains(&kept[0]), "{run:?}");
}

/// A pipe that nobody writes to is waited for, and a signal ends the wait.
#[test]
fn a_signal_ends_the_wait_for_a_pipe() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    mknodat(CWD, work.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for line in [
        "emergency-crl {set} --published {pipe} --tbs-only --to {crl}",
        "emergency-crl {set} --no-published --revoke-file {pipe} --tbs-only --to {crl}",
        "complete {set} --key {pipe} --passphrase-file {pass}",
        "attach {set} --registry {pipe}",
    ] {
        let mut command = command(&work.path(""), line);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = std::time::Instant::now();
        // Before it watches for signals, one ends it at once.
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{line} waits on");
            std::thread::sleep(std::time::Duration::from_millis(100));
            kill_process(Pid::from_child(&child), Signal::TERM).ok();
        }
        assert!(!work.path("crl").exists(), "{line}");
    }
}
