//! What a terminal sees that a file does not: colours, lines cut to its width. `script` (util-linux) is the terminal.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::Work;

/// What a shell command prints on a terminal of 40 columns; nothing, and one line that says so, where there is no
/// `script`.
fn on_terminal(work: &Work, line: &str, no_color: &str) -> Option<String> {
    typed(work, line, no_color, "")
}

/// The same for somebody who types this.
fn typed(work: &Work, line: &str, no_color: &str, input: &str) -> Option<String> {
    let line = format!("stty cols 40; {}", line.replace("certadm", env!("CARGO_BIN_EXE_certadm")));
    fs::write(work.path("typed"), input).unwrap();
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(work.path(""))
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .env("NO_COLOR", no_color)
        .stdin(Stdio::from(fs::File::open(work.path("typed")).unwrap()))
        .output();
    let Ok(output) = output else {
        println!("no `script` here: what a terminal sees is not tested");
        return None;
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_terminal_gets_colours_and_lines_of_its_width() {
    let work = Work::with_ca();
    for name in ["one", "two"] {
        work.issue("ca", name);
    }
    work.result("backup --dir {ca} --to {set}");
    let Some(verdict) = on_terminal(&work, "certadm verify set", "") else { return };
    assert!(verdict.contains("\x1b[32mrestorable: "), "{verdict:?}");
    let plain = on_terminal(&work, "certadm verify set", "1").unwrap();
    assert!(plain.contains("restorable: ") && !plain.contains("\x1b[32m"), "{plain:?}");
    let piped = on_terminal(&work, "certadm verify set | cat", "").unwrap();
    assert!(piped.contains("restorable: ") && !piped.contains("\x1b[32m"), "{piped:?}");
    assert!(!work.run("verify {set}").stdout.contains('\x1b'));

    let cut = on_terminal(&work, "certadm list --dir ca certificates", "").unwrap();
    assert!(cut.contains('…') && cut.contains("3 rows."), "{cut:?}");
    assert!(cut.lines().all(|line| line.trim_end().chars().count() <= 40), "{cut:?}");
    let whole = work.run("list --dir {ca} certificates").good();
    assert!(!whole.contains('…') && whole.lines().any(|line| 40 < line.len()), "{whole}");
    // Who has read enough leaves nothing of a progress bar behind.
    let head = on_terminal(&work, "certadm list --dir ca certificates | head -n 1", "").unwrap();
    assert_eq!(head.trim_end().lines().count(), 1, "{head:?}");
    assert!(!head.contains("Rows"), "{head:?}");
}

#[test]
fn the_rows_are_counted_below_a_table_and_nowhere_else() {
    let work = Work::with_ca();
    let serial = work.issue("ca", "one");
    let last = |line: &str| work.run(line).good().lines().last().unwrap_or_default().to_owned();
    assert_eq!(last("list --dir {ca} revoked"), "0 rows.");
    assert_eq!(last("list --dir {ca} certificates"), "2 rows.");
    assert_eq!(last("list --dir {ca} certificates --limit 1"), "1 row; --limit leaves out the others.");
    assert_eq!(
        last("list --dir {ca} certificates --export-certs {out}"),
        format!("Wrote 2 certificates to {}.", work.path("out").display())
    );
    work.result(&format!("ca revoke --dir {{ca}} --serial {serial} --reason superseded"));
    assert!(!last("list --dir {ca} revoked --quiet").contains("row"));
    assert!(last("list --dir {ca} revoked --csv").contains(&serial));
}

#[cfg(all(unix, feature = "repository"))]
#[test]
fn init_asks_on_a_terminal_for_what_no_option_says() {
    let work = Work::with_ca();
    fs::create_dir(work.path("backups")).unwrap();
    let line = "certadm config init --verify hourly --file 1.toml";
    // The CA, its name as it is suggested, the place, two times, and who is told.
    let answers = "ca\n\nbackups/\ndaily 03:00\n\n/bin/true now\n";
    let Some(asked) = typed(&work, line, "1", answers) else { return };
    for question in ["Which CA", "[ca]", "Where do backups go", "[every 15m]", "told of alarms"] {
        assert!(asked.contains(question), "{question}: {asked:?}");
    }
    assert!(!asked.contains("read back?"), "an option has said it: {asked:?}");
    let file = fs::read_to_string(work.path("1.toml")).unwrap();
    for line in [
        "full = \"daily 03:00\"",
        "logs = \"every 15m\"",
        "verify = \"every 1h\"",
        "command = [\"/bin/true\", \"now\"]",
    ] {
        assert!(file.contains(line), "{line}: {file}");
    }
    let nobody =
        typed(&work, "certadm config init --verify hourly --file 2.toml", "1", "ca\n\nbackups/\n\n\n\n");
    assert!(nobody.is_some_and(|said| said.contains("Wrote")));
    assert!(!fs::read_to_string(work.path("2.toml")).unwrap().contains("[notify"));
}
