//! What a terminal sees that a file does not: colours, lines cut to its width. `script` (util-linux) is the terminal.

use std::fs;
#[cfg(all(unix, feature = "repository"))]
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::support::Work;

/// What a shell command prints on a terminal of 40 columns; nothing, and one line that says so, where there is no
/// `script`.
fn on_terminal(work: &Work, line: &str, no_color: &str) -> Option<String> {
    typed(work, line, no_color, "")
}

/// The same for somebody who types this.
fn typed(work: &Work, line: &str, no_color: &str, input: &str) -> Option<String> {
    fs::write(work.path("typed"), input).unwrap();
    let output = script(work, line, 40, no_color)
        .stdin(Stdio::from(fs::File::open(work.path("typed")).unwrap()))
        .output();
    let Ok(output) = output else {
        println!("{NO_SCRIPT}");
        return None;
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

const NO_SCRIPT: &str = "no `script` here: what a terminal sees is not tested";

fn script(work: &Work, line: &str, columns: u32, no_color: &str) -> Command {
    let line = format!("stty cols {columns}; {}", line.replace("certadm", env!("CARGO_BIN_EXE_certadm")));
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .current_dir(work.path(""))
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .env("NO_COLOR", no_color);
    command
}

/// The same for somebody who answers what is asked: whenever a question stands there, `answer` gets all that was shown. Returns
/// what was shown, and the exit code.
#[cfg(all(unix, feature = "repository"))]
fn answered(
    work: &Work,
    line: &str,
    question: &str,
    answer: impl Fn(&str) -> String,
) -> Option<(String, Option<i32>)> {
    let mut command = script(work, line, 80, "1");
    let Ok(mut script) = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() else {
        println!("{NO_SCRIPT}");
        return None;
    };
    let (mut keyboard, mut screen) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let (to, parts) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Some(len) = screen.read(&mut part).ok().filter(|len| 0 < *len) {
            if to.send(part[..len].to_vec()).is_err() {
                break;
            }
        }
    });
    let (mut shown, mut asked) = (Vec::new(), 0);
    loop {
        match parts.recv_timeout(std::time::Duration::from_secs(300)) {
            Ok(part) => shown.extend(part),
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            Err(error) => {
                script.kill().ok();
                panic!("{error}: {:?}", String::from_utf8_lossy(&shown));
            }
        }
        let text = String::from_utf8_lossy(&shown).into_owned();
        if asked < text.matches(question).count() && text.ends_with(": ") {
            asked += 1;
            keyboard.write_all(answer(&text).as_bytes()).unwrap();
        }
    }
    let code = script.wait().unwrap().code();
    Some((String::from_utf8(shown).unwrap(), code))
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

/// The words of a recovery code that stand on a screen, each behind its number.
#[cfg(all(unix, feature = "repository"))]
fn words_of(shown: &str) -> Vec<&str> {
    let tokens: Vec<&str> = shown.split_whitespace().collect();
    let mut words = Vec::new();
    for pair in tokens.windows(2) {
        if pair[0].parse() == Ok(words.len() + 1) && words.len() < 24 {
            words.push(pair[1]);
        }
    }
    words
}

/// The recovery code of a new repository stands on the terminal once. Three of its words are asked for; where one is wrong, or
/// nobody answers, nothing was made.
#[cfg(all(unix, feature = "repository"))]
#[test]
fn a_recovery_code_is_shown_once_and_three_of_its_words_are_asked_back() {
    let work = Work::new();
    let place = work.path("x").parent().unwrap().display().to_string();
    let vault = |key: &str| format!("[vault]\nurl = 'file://{place}/vault'\n{key}\n");
    fs::write(work.path("repositories.toml"), vault(&format!("key-file = '{place}/{{ca}}.key'"))).unwrap();
    let line = "CERTADM_REPOSITORIES=repositories.toml certadm repository init vault: --ca CA";
    let asked = "of the code: ";
    // The number that is asked for, and the word that is shown behind it.
    let word = |shown: &str| {
        let number =
            shown.rsplit_once("Word ").unwrap().1.split(' ').next().unwrap().parse::<usize>().unwrap();
        (number, words_of(shown)[number - 1].to_owned())
    };
    for (wrong, typed) in [(4, "nonsense\n"), (13, "\n"), (22, "\x04")] {
        let answer = |shown: &str| match word(shown) {
            (number, _) if number == wrong => typed.to_owned(),
            (_, word) => format!("{word}\n"),
        };
        let Some((shown, code)) = answered(&work, line, asked, answer) else { return };
        assert_eq!(code, Some(2), "{shown:?}");
        assert!(shown.contains("not what was shown; nothing was changed in the vault"), "{shown:?}");
        assert!(!work.path("vault").exists() && !work.path("CA.key").exists(), "{shown:?}");
    }
    // Capitals are fine, and so are spaces around.
    let answer = |shown: &str| match word(shown) {
        (13, word) => format!("  {} \n", word.to_uppercase()),
        (_, word) => format!("{word}\n"),
    };
    let (shown, code) = answered(&work, line, asked, answer).unwrap();
    assert_eq!(code, Some(0), "{shown:?}");
    assert!(shown.matches(asked).count() == 3 && shown.contains("Made the repository vault:CA"), "{shown:?}");
    let words = words_of(&shown);
    assert_eq!(words.len(), 24, "{shown:?}");
    // The rows of words fit into a terminal.
    let rows: Vec<&str> = shown.lines().filter(|line| line.trim().starts_with(char::is_numeric)).collect();
    assert!(rows.len() == 4 && rows.iter().all(|row| row.trim_end().len() <= 80), "{shown:?}");
    // What was written down opens the repository.
    fs::write(work.path("code"), words.join(" ")).unwrap();
    fs::write(work.path("repositories.toml"), vault(&format!("password-file = '{place}/code'"))).unwrap();
    let opened = answered(
        &work,
        "CERTADM_REPOSITORIES=repositories.toml certadm repository info vault:",
        asked,
        |_| String::new(),
    );
    let (shown, code) = opened.unwrap();
    assert_eq!(code, Some(0), "{shown:?}");
}
