//! Help, completions and manual pages come from one source and are complete.

use std::fs;

use crate::support::Work;

const VERBS: [&str; 14] = [
    "ca",
    "backup",
    "restore",
    "verify",
    "show",
    "list",
    "serve",
    "user",
    "doctor",
    "recover",
    "emergency-crl",
    "drill",
    "completions",
    "man",
];
const CA_VERBS: [&str; 7] = ["init", "import", "issue", "revoke", "crl", "list", "export"];

#[test]
fn every_verb_has_help_with_an_example() {
    let work = Work::new();
    let all = work.run("--help").good();
    assert_eq!(verbs_in(&all), VERBS);
    assert!(all.contains("Exit codes: 0 good, 1 finding, 2 usage, 3 refused, 4 unreachable, 5 damaged"));
    assert_eq!(verbs_in(&work.run("ca --help").good()), CA_VERBS);
    let verbs = VERBS.map(str::to_owned).into_iter().chain(CA_VERBS.map(|verb| format!("ca {verb}")));
    for verb in verbs {
        let help = work.run(&format!("{verb} --help")).good();
        assert!(help.contains(&format!("Example: certadm {verb}")), "{verb}:\n{help}");
    }
}

/// The names in a help text's list of commands.
fn verbs_in(help: &str) -> Vec<&str> {
    let commands = help.split_once("Commands:\n").expect("a list of commands").1;
    commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect()
}

#[test]
fn completions_for_the_usual_shells() {
    let work = Work::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = work.run(&format!("completions {shell}")).good();
        for word in ["certadm", "backup", "passphrase-file", "rsa4096"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
}

#[test]
fn a_manual_page_for_every_verb() {
    let work = Work::new();
    work.run("man {man}").good();
    let pages = VERBS.map(str::to_owned).into_iter().chain(CA_VERBS.map(|verb| format!("ca-{verb}")));
    for page in pages {
        let text = fs::read_to_string(work.path(&format!("man/certadm-{page}.1"))).unwrap();
        assert!(text.contains(".TH") && text.contains(".SH SYNOPSIS"), "{page}");
    }
    assert!(fs::read_to_string(work.path("man/certadm.1")).unwrap().contains("Exit codes"));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let work = Work::new();
    for line in [
        "",
        "nonsense",
        "backup",
        "list",
        "list --dir {x} {set}",
        "show",
        "ca init --dir {x}",
        "list --json --csv {x}",
    ] {
        let run = work.run(line);
        assert_eq!(run.code, 2, "{line}: {run:?}");
    }
}
