//! The log of a backup: the same events whatever the road, no backup where none was taken, and no colour in a file.

use std::fs::File;

use crate::serve::Service;
use crate::support::{Run, Work, command};

/// What is logged: every event of backups and restores.
const FILTER: &str = "certadm_session=debug";

/// The numbers in a log, of events and audit records alike, in their order.
fn numbers(log: &str) -> Vec<u32> {
    assert!(!log.contains('\u{1b}'), "colour in a file: {log}");
    let number = |field: &str| field.strip_prefix("event=").or(field.strip_prefix("audit="))?.parse().ok();
    log.split_whitespace().filter_map(number).collect()
}

/// Runs a command that goes well, and answers the numbers in its log.
fn logged(work: &Work, line: &str) -> Vec<u32> {
    let run = Run::of(command(&work.path(""), line).env("CERTADM_LOG", FILTER));
    assert_eq!(run.code, 0, "{line}: {run:?}");
    numbers(&run.stderr)
}

/// Runs commands beside a service on `ca`, and answers the numbers in the service's log, the reason that ends each
/// command, and the text. `{address}` in a command stands for where the service listens.
fn logged_by_service(work: &Work, ca: &str, lines: &[&str]) -> (Vec<u32>, String) {
    let line = format!("--dir {{{ca}}} --socket {{socket}} --allow-remote-backup");
    let log = File::create(work.path("log")).unwrap();
    let service = Service::start_with(work, &line, log.into(), &[("CERTADM_LOG", FILTER)]);
    let address = service.said["result"]["listen"].as_str().unwrap().to_owned();
    for line in lines {
        let line = line.replace("ADDRESS", &format!("{address} --user backup --password-file {{pw}}"));
        let run = work.run(&line);
        assert_eq!(run.code, 0, "{line}: {run:?}");
    }
    assert_eq!(service.stop(), 0);
    let text = std::fs::read_to_string(work.path("log")).unwrap();
    (numbers(&text), text)
}

fn with_operator() -> Work {
    let work = Work::with_ca();
    std::fs::write(work.path("pw"), "Pa55-word-of-tests\n").unwrap();
    work.result("user add --dir {ca} backup --role operator --role read --password-file {pw}");
    work
}

#[test]
fn a_backup_logs_the_same_locally_and_through_the_service() {
    let (here, there) = (with_operator(), with_operator());
    let mut local = logged(&here, "backup --dir {ca} --to {full}");
    local.extend(logged(&here, "backup --dir {ca} --to {logs} --type logs"));
    let (remote, text) = logged_by_service(
        &there,
        "ca",
        &["backup --server ADDRESS --to {full}", "backup --server ADDRESS --to {logs} --type logs"],
    );
    assert_eq!(local, remote, "{text}");
    for number in [210, 211, 213, 220, 221, 223, 4876, 4877] {
        assert!(local.contains(&number), "no {number}: {local:?}");
    }
    assert!(text.contains("caller=backup address=127.0.0.1"), "{text}");
}

#[test]
fn the_visit_of_doctor_is_no_completed_backup() {
    let work = with_operator();
    work.result("backup --dir {ca} --to {full}");
    let (numbers, text) = logged_by_service(&work, "ca", &["doctor --server ADDRESS"]);
    assert_eq!(numbers, [211, 4876], "{text}");
    assert!(text.contains("backup ended before any file was opened"), "{text}");
}

#[test]
fn a_restore_that_is_carried_out_is_audited_on_every_road() {
    let work = with_operator();
    work.result("backup --dir {ca} --to {full}");
    for new in ["new1", "new2"] {
        work.copy_key_and_configuration("ca", new);
        work.result(&format!("restore --from {{full}} --dir {{{new}}} --no-recover"));
    }
    assert_eq!(logged(&work, "backup --dir {new1} --to {set}")[..2], [4878, 4879]);
    let (numbers, text) = logged_by_service(&work, "new2", &[]);
    assert_eq!(numbers, [4878, 4879], "{text}");
}
