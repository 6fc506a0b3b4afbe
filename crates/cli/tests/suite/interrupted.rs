//! A signal ends a command in order: one message, nothing half done, the backup at the CA ended.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Run, Work, command};

/// Starts a command, waits until `begun` is there, sends the signal, and gives how the command ended.
fn interrupt(work: &Work, line: &str, begun: impl Fn() -> bool, signal: Signal) -> Run {
    let dir = work.path("x");
    let mut command = command(dir.parent().unwrap(), line);
    let child: Child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while !begun() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&child), signal).unwrap();
    Run::from(child.wait_with_output().unwrap())
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
    work
}

#[test]
fn a_signal_ends_a_backup_and_leaves_nothing() {
    let work = large();
    fs::create_dir(work.path("sets")).unwrap();
    let sets = work.path("sets");
    let begun = || {
        names(&sets).iter().any(|name| {
            fs::metadata(sets.join(name).join("DataBase/Test-CA.db")).is_ok_and(|file| file.len() > 0)
        })
    };
    let to = format!("backup --dir {{ca}} --to {}", sets.join("monday").display());
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let run = interrupt(&work, &to, begun, signal);
        assert_eq!(run.code, code, "{run:?}");
        assert!(run.stderr.contains("interrupted before the end"), "{run:?}");
        assert_eq!(names(&sets), Vec::<String>::new(), "no part of a set stays");
    }
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

#[test]
fn who_has_the_ca_is_told() {
    let work = Work::with_ca();
    let owner = certadm_store::locks::own(&certadm_store::Folder::new(work.path("ca"))).unwrap();
    let said = work.run("backup --dir {ca} --to {set}").stderr;
    assert!(said.contains(&format!("process {}, since 20", std::process::id())), "{said}");
    drop(owner);
}
