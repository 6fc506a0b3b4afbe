//! docs/tutorial.md does what it says: its commands are run as they stand there, in one shell.

use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use crate::support::{Run, Work};

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");

/// The blocks of a kind, in their order.
fn blocks(kind: &str) -> Vec<&'static str> {
    let begin = format!("```{kind}\n");
    TUTORIAL.split(begin.as_str()).skip(1).map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// Whether a line that was printed is one that is shown: words that differ from day to day have a digit, or are paths.
fn is_like(printed: &str, shown: &str) -> bool {
    let (printed, shown): (Vec<&str>, Vec<&str>) =
        (printed.split_whitespace().collect(), shown.split_whitespace().collect());
    let has_digit = |word: &str| word.contains(|letter: char| letter.is_ascii_digit());
    let fits = |(printed, shown): (&&str, &&str)| {
        printed == shown || has_digit(printed) && has_digit(shown) || printed.ends_with(&format!("/{shown}"))
    };
    printed.len() == shown.len() && printed.iter().zip(&shown).all(fits)
}

#[test]
fn the_tutorial_does_what_it_says() {
    let work = Work::new();
    let bin = work.path("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(env!("CARGO_BIN_EXE_certadm"), bin.join("certadm")).unwrap();
    let commands = blocks("sh");
    assert!(10 <= commands.len(), "{commands:?}");
    let path = std::env::var("PATH").unwrap();
    let run = Run::of(
        Command::new("sh")
            .args(["-eu", "-c", &commands.concat()])
            .current_dir(work.path(""))
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HOME", work.path(""))
            .env_remove("CERTADM_JOBS")
            .env_remove("CERTADM_REPOSITORIES")
            .stdin(Stdio::null()),
    );
    assert_eq!(run.code, 0, "{}\n{}", run.stdout, run.stderr);
    let shown: Vec<&str> = blocks("text").into_iter().flat_map(str::lines).collect();
    assert!(10 <= shown.len(), "{shown:?}");
    for line in shown {
        let found = run.stdout.lines().any(|printed| is_like(printed, line));
        assert!(found, "nothing like {line:?} was printed:\n{}", run.stdout);
    }
    assert!(!work.path("tutorial").exists(), "it removes its folder");
}
