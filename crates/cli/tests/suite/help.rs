//! Help, completions and manual pages come from one source and are complete.

use std::fs;

use crate::support::{Run, Work, command};

const VERBS: [&str; 33] = [
    "ca",
    "backup",
    "restore",
    "verify",
    "sets",
    "prune",
    "copy",
    "seal",
    "show",
    "list",
    "serve",
    "user",
    "doctor",
    "recover",
    "identity",
    "attach",
    "complete",
    "emergency-crl",
    "apply-revocations",
    "publish-crl",
    "rehearse",
    "gap",
    "diff",
    "repository",
    "config",
    "run",
    "status",
    "check",
    "agent",
    "timers",
    "drill",
    "completions",
    "man",
];
const REPOSITORY_VERBS: [&str; 11] = [
    "init",
    "info",
    "check",
    "expire",
    "key",
    "copy",
    "repair",
    "extend-locks",
    "undelete",
    "import",
    "export",
];
const CONFIG_VERBS: [&str; 3] = ["init", "check", "show"];
const KEY_VERBS: [&str; 4] = ["list", "add", "remove", "rotate"];
const CA_VERBS: [&str; 7] = ["init", "import", "issue", "revoke", "crl", "list", "export"];

#[test]
fn every_verb_has_help_with_an_example() {
    let work = Work::new();
    let all = work.run("--help").good();
    let page = all.split_once("Options:\n").expect("options").0;
    let verbs = page.lines().filter(|line| line.starts_with("  "));
    let mut verbs: Vec<&str> = verbs.filter_map(|line| line.split_whitespace().next()).collect();
    let mut expected = VERBS;
    verbs.sort_unstable();
    expected.sort_unstable();
    assert_eq!(verbs, expected);
    let fits = all.lines().count() <= 56 && all.lines().all(|line| line.len() <= 80);
    assert!(fits, "the first page fits a screen: {} lines\n{all}", all.lines().count());
    assert!(all.contains("Exit codes: 0 good, 1 finding, 2 usage, 3 refused, 4 unreachable, 5 damaged"));
    assert_eq!(verbs_in(&work.run("ca --help").good()), CA_VERBS);
    assert_eq!(verbs_in(&work.run("repository --help").good()), REPOSITORY_VERBS);
    let verbs = VERBS.map(str::to_owned).into_iter().chain(CA_VERBS.map(|verb| format!("ca {verb}")));
    assert_eq!(verbs_in(&work.run("repository key --help").good()), KEY_VERBS);
    assert_eq!(verbs_in(&work.run("config --help").good()), CONFIG_VERBS);
    let verbs = verbs.chain(CONFIG_VERBS.map(|verb| format!("config {verb}")));
    let verbs = verbs.chain(REPOSITORY_VERBS.map(|verb| format!("repository {verb}")));
    let verbs = verbs.chain(KEY_VERBS.map(|verb| format!("repository key {verb}")));
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
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = work.run(&format!("completions {shell}")).good();
        assert!(script.contains("CERTADM_COMPLETE") && script.contains("certadm"), "{shell}: {script}");
    }
}

#[test]
fn a_manual_page_for_every_verb() {
    let work = Work::new();
    work.run("man {man}").good();
    let pages = VERBS.map(str::to_owned).into_iter().chain(CA_VERBS.map(|verb| format!("ca-{verb}")));
    for page in pages {
        let text = fs::read_to_string(work.path(&format!("man/man1/certadm-{page}.1"))).unwrap();
        assert!(text.contains(".TH"), "{page}");
        for section in SECTIONS {
            let begins = format!(".SH {section}\n");
            let rest =
                text.split(&begins).nth(1).or_else(|| text.split(&format!(".SH \"{section}\"\n")).nth(1));
            let body = rest.unwrap_or_else(|| panic!("{page} has no {section}: {text}"));
            assert!(!body.trim_start().starts_with(".SH"), "{page}: {section} is empty");
        }
    }
    let backup = fs::read_to_string(work.path("man/man1/certadm-backup.1")).unwrap();
    for text in ["\\fI\\fR", "EXTRA"] {
        assert!(!backup.contains(text), "{backup}");
    }
    let synopsis = backup.split(".SH SYNOPSIS\n").nth(1).unwrap().lines().next().unwrap();
    for option in ["[\\fB\\-\\-type\\fR \\fIKIND\\fR]", "\\fB\\-\\-to\\fR \\fISET\\fR"] {
        assert!(synopsis.contains(option), "{option}: {synopsis}");
    }
    assert!(backup.contains("CERTADM_CONFIG") && backup.contains("client.toml"));
    // Whoever takes the address of a vault says where vaults stand, and the words of restic have no pages.
    for page in ["backup", "restore", "copy", "repository-info"] {
        let text = fs::read_to_string(work.path(&format!("man/man1/certadm-{page}.1"))).unwrap();
        assert!(text.contains("CERTADM_REPOSITORIES") && text.contains("repositories.toml"), "{page}");
    }
    assert!(!work.path("man/man1/certadm-repository-forget.1").exists());
}

const SECTIONS: [&str; 8] =
    ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"];

/// A page of a file names every key that the file may have: those that the program says it expects.
#[test]
fn the_pages_of_the_files_name_every_key() {
    let work = Work::with_ca();
    work.run("man {man}").good();
    let page = |name: &str| fs::read_to_string(work.path("man/man5").join(name)).unwrap();
    let check = |page: &str, text: &str, error: &str| {
        let expected = error.split("expected").nth(1).unwrap_or_else(|| panic!("{text}: {error}"));
        let keys: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{text}: {error}");
        for key in keys {
            let named = [format!("\\fB{key}\\fR"), format!(".SH [{key}"), format!("[[{key}]]")];
            assert!(named.iter().any(|named| page.contains(named)), "the page does not name {key} ({text})");
        }
    };
    let own = fs::read_to_string(work.path("ca/ca.toml")).unwrap();
    let ca = page("ca.toml.5");
    for section in [
        "",
        "[listeners]",
        "[roles]",
        "[service]",
        "[database]",
        "[validity]",
        "[crl]",
        "[publish]",
        "[profiles.server]",
    ] {
        fs::write(work.path("ca/ca.toml"), format!("{section}\nno_such_key = 1\n")).unwrap();
        let run = work.run("ca crl --dir {ca} --passphrase-file {pass}");
        check(&ca, section, &run.stderr);
    }
    fs::write(work.path("ca/ca.toml"), own).unwrap();
    for section in ["", "[server.a]"] {
        fs::write(work.path("client.toml"), format!("{section}\nno_such_key = 1\n")).unwrap();
        let run = crate::remote::configured(&work, "doctor --server a");
        check(&page("client.toml.5"), section, &run.stderr);
    }
    fs::write(work.path("repositories.toml"), "[vault]\nno_such_key = 1\n").unwrap();
    let run = crate::repository::run(&work, "verify vault:");
    check(&page("repositories.toml.5"), "", &run.stderr.replace("-", "\\-"));
    for section in ["", "[defaults]", "[ca.a]", "[job.a]", "[notify.a]"] {
        fs::write(work.path("certadm.toml"), format!("{section}\nno_such_key = 1\n")).unwrap();
        let run =
            Run::of(command(&work.path(""), "config check").env("CERTADM_JOBS", work.path("certadm.toml")));
        check(&page("certadm.toml.5"), section, &run.stderr.replace('-', "\\-"));
    }
    for section in ["", "[[user]]"] {
        fs::write(work.path("ca/users.toml"), format!("{section}\nno_such_key = 1\n")).unwrap();
        fs::set_permissions(work.path("ca/users.toml"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        check(&page("users.toml.5"), section, &work.run("user list --dir {ca}").stderr);
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let work = Work::new();
    for line in [
        "--json",
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

#[test]
#[cfg(all(unix, feature = "repository"))]
fn without_arguments_the_next_step_is_told() {
    let work = Work::with_ca();
    let run = crate::jobs::run(&work, "");
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(
        run.stdout.contains("certadm config init") && run.stdout.contains("certadm --help"),
        "{}",
        run.stdout
    );
    crate::jobs::run(&work, "config init --ca {ca} --to {backups} --file {certadm.toml}").good();
    let run = crate::jobs::run(&work, "");
    // Nothing was backed up yet.
    assert_eq!(run.code, 1, "{}", run.stdout);
    assert!(run.stdout.contains("what to do: "), "{}", run.stdout);

    // A CA that no job has, and a configuration without a job.
    let path = work.path("certadm.toml");
    let ca = work.path("ca");
    let cas = format!("[ca]\nforgotten = {{ dir = '{0}' }}\nweb = {{ dir = '{0}' }}\n", ca.display());
    let job = "[job.j]\nca = 'web'\nto = 'backups'\nfull = 'daily 02:00'\n";
    fs::write(&path, format!("{cas}{job}")).unwrap();
    let run = crate::jobs::run(&work, "");
    assert!(run.stdout.contains("forgotten: no job has this CA"), "{run:?}");
    fs::write(&path, format!("[ca.forgotten]\ndir = '{}'\n", work.path("ca").display())).unwrap();
    let run = crate::jobs::run(&work, "");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.contains("forgotten: no job has this CA"), "{run:?}");
    let status = crate::jobs::run(&work, "--json status");
    assert_eq!(
        (status.code, &status.json()["result"]["unprotected"][0]),
        (1, &"forgotten".into()),
        "{status:?}"
    );
    let check = crate::jobs::run(&work, "check");
    assert!(check.code == 2 && check.stdout.starts_with("CRITICAL - forgotten: no job"), "{check:?}");
    let check = crate::jobs::run(&work, "check --ca forgotten");
    assert!(check.code == 3 && check.stdout.starts_with("UNKNOWN - "), "{check:?}");
    fs::write(&path, "").unwrap();
    let status = crate::jobs::run(&work, "status");
    assert!(status.code == 1 && status.stdout.contains("names none"), "{status:?}");
    let check = crate::jobs::run(&work, "check");
    assert!(check.code == 3 && check.stdout.starts_with("UNKNOWN - "), "{check:?}");
    fs::write(&path, "no_such_key = 1").unwrap();
    let run = crate::jobs::run(&work, "");
    assert!(run.stderr.starts_with("certadm FAILED: "), "{run:?}");
}
