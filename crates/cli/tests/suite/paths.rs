//! Paths as people have them, and results that cannot be written.

use std::fs;
use std::process::Stdio;

use crate::remote::configured;
use crate::support::{Run, Work, command};

/// Names on Linux are bytes. A command that has done its work says so, whatever the name.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_works_to_the_end() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let work = Work::with_ca();
    work.request("web");
    let strange = work.path("x").with_file_name(OsStr::from_bytes(b"dir-\xff\xfe"));
    fs::create_dir(&strange).unwrap();
    let at = |name: &str| strange.join(name);
    let run = |json: bool, before: &str, paths: &[&std::path::Path], after: &str| {
        let mut command = command(
            work.path("x").parent().unwrap(),
            &format!("{}{before}", if json { "--json " } else { "" }),
        );
        for path in paths {
            command.arg(path);
        }
        command.args(after.split_whitespace());
        let run = Run::of(&mut command);
        assert_eq!(run.code, 0, "{before}: {run:?}");
        if json {
            assert_eq!(run.json()["ok"], true);
        }
    };
    let pass = work.path("pass");
    let pass = format!("--passphrase-file {}", pass.display());
    for (number, json) in [false, true].into_iter().enumerate() {
        let (set, back, page) =
            (at(&format!("set{number}")), work.path(&format!("back{number}")), at(&format!("{number}.html")));
        let out = at(&format!("issued{number}"));
        run(json, "backup --to", &[&set, "--dir".as_ref(), &work.path("ca")], "");
        run(json, "verify", &[&set], "");
        run(json, "show", &[&set, "--html".as_ref(), &page], "");
        run(json, "show --dir", &[&work.path("ca")], "");
        run(json, "list", &[&set], "");
        run(json, "list --dir", &[&work.path("ca")], "");
        run(json, "restore --from", &[&set, "--dir".as_ref(), &back], "--dry-run");
        run(json, "restore --from", &[&set, "--dir".as_ref(), &back], "");
        run(json, "restore --from", &[&set, "--dir".as_ref(), &back], "--force --no-recover");
        run(json, "restore --abandon --dir", &[&back], "");
        run(json, "ca crl --dir", &[&work.path("ca")], &pass);
        run(
            json,
            "ca issue --dir",
            &[&work.path("ca"), "--out".as_ref(), &out, &work.path("web.csr")],
            &pass,
        );
        run(json, "ca init --name Other --dir", &[&work.path(&format!("other{number}"))], &pass);
        run(
            json,
            "ca export --request 2 --dir",
            &[&work.path("ca"), "--out".as_ref(), &at(&format!("{number}.pem"))],
            "",
        );
        run(json, "list --export-certs", &[&at(&format!("exported{number}")), &set], "");
        run(
            json,
            "identity --dir",
            &[&work.path("ca"), "--to".as_ref(), &at(&format!("identity{number}"))],
            "",
        );
        run(json, "man", &[&at(&format!("man{number}"))], "");
    }
    // A CA's own paths go into its restore record, which is text.
    let mut command = command(work.path("x").parent().unwrap(), "--json restore --from");
    let refused = Run::of(command.arg(at("set0")).arg("--dir").arg(at("back")));
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (3, &"0x8007007b".into()), "{refused:?}");
}

#[test]
fn a_set_does_not_lie_inside_the_ca() {
    let work = Work::with_ca();
    for to in ["{ca}/backup", "{ca}"] {
        // Braces stand for one word of the work folder only.
        let to = to.replace("{ca}", work.path("ca").to_str().unwrap());
        let run = work.run(&format!("backup --dir {{ca}} --to {to}"));
        assert!(run.code == 3 && run.stderr.contains("would be lost with it"), "{run:?}");
    }
    fs::create_dir(work.path("ca/sub")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(work.path("ca/sub"), work.path("link")).unwrap();
        let to = work.path("link/set");
        let run = work.run(&format!("backup --dir {{ca}} --to {}", to.display()));
        assert_eq!(run.code, 3, "{run:?}");
    }
    let run = work.run("backup --dir {ca} --to ~/set");
    assert!(run.code == 2 && run.stderr.contains("begins with ~"), "{run:?}");
    // Every other place that a command makes something at.
    work.result("backup --dir {ca} --to {set}");
    for line in [
        "identity --dir {ca} --to ~/x",
        "recover {set} --to ~/x",
        "gap {set} --crl {ca/crl/Test-CA.crl} --to ~/x",
        "emergency-crl {set} --no-published --key {ca/ca.key} --passphrase-file {pass} --to ~/x",
        "restore --from {set} --dir ~/x",
        "restore --from {set} --dir ~root/x --dry-run",
        "ca init --name X --passphrase-file {pass} --dir ~/x",
        "ca issue --dir {ca} --passphrase-file {pass} {absent.csr} --out ~/x",
        "ca export --dir {ca} --request 1 --out ~/x.pem",
        "list {set} --export-certs ~/x",
        "show {set} --html ~/x.html",
        "rehearse {set} --evidence ~/x",
        "rehearse {set} --html ~/x",
        "man ~/x",
    ] {
        let run = work.run(line);
        assert!(run.code == 2 && run.stderr.contains("begins with ~"), "{line}: {run:?}");
    }
    assert!(!work.path("~").exists());
    // On the CA's own disk it is taken, with a remark.
    let run = work.run("backup --dir {ca} --to {beside}");
    assert!(run.code == 0 && run.stderr.contains("file system of the CA itself"), "{run:?}");
}

#[cfg(unix)]
#[test]
fn a_set_is_its_owners_unless_it_is_asked_otherwise() {
    use std::os::unix::fs::PermissionsExt;
    let work = Work::with_ca();
    let mode = |name: &str| fs::metadata(work.path(name)).unwrap().permissions().mode() & 0o777;
    for (readers, folder, file) in
        [("", 0o700, 0o600), ("--readers group", 0o750, 0o640), ("--readers all", 0o755, 0o644)]
    {
        let set = format!("set{folder:o}");
        work.run(&format!("backup --dir {{ca}} --to {{{set}}} {readers}")).good();
        for dir in ["", "/DataBase", "/DynamicFiles"] {
            assert_eq!(mode(&format!("{set}{dir}")), folder, "{readers} {dir}");
        }
        for name in
            ["manifest.json", "DataBase/Test-CA.db", "DataBase/certbkxp.dat", "DynamicFiles/Test-CA.crl"]
        {
            assert_eq!(mode(&format!("{set}/{name}")) & !file, 0, "{readers} {name}");
        }
    }
}

/// People name what lies above: `--dir ../ca`.
#[test]
fn a_path_may_go_up() {
    let work = Work::with_ca();
    work.issue("ca", "one");
    fs::create_dir_all(work.path("some/where")).unwrap();
    let up = |line: &str| work.run(&line.replace("UP/", "some/where/../../")).good();
    up("backup --dir UP/ca --to UP/set");
    let complete = work.run("complete some/where/../../set");
    assert!(complete.stdout.contains("present           Configuration"), "{complete:?}");
    assert!(!complete.stdout.contains("the configuration says"), "the same folder: {complete:?}");
    up("restore --from UP/set --dir UP/new");
    up("restore --from UP/set --dir UP/new --force");
    up("backup --dir UP/new --to UP/set-of-new");
    up("verify UP/set-of-new");
    up("ca init --dir UP/other --name Other --passphrase-file pass");
    up("backup --dir UP/other --to UP/set-of-other");
}

/// Where the database lies is told in backups and recorded by restores, in a form that not every name has. Nothing is begun that
/// could not be ended.
#[cfg(unix)]
#[test]
fn a_folder_whose_path_cannot_be_told_is_refused_at_once() {
    let work = Work::with_ca();
    work.result("backup --dir {ca} --to {set}");
    for name in ["a\\b", "a\nb", "a\u{7f}b"] {
        for (line, code, hresult) in [
            ("ca init --name Other --passphrase-file {pass} --dir", 2, "0x80070057"),
            ("restore --from {set} --dry-run --dir", 3, "0x8007007b"),
            ("restore --from {set} --dir", 3, "0x8007007b"),
        ] {
            let mut command = command(&work.path(""), &format!("--json {line}"));
            let run = Run::of(command.arg(work.path(name)));
            let error = run.json()["error"].clone();
            assert_eq!((run.code, &error["code"]), (code, &hresult.into()), "{line} {name:?}: {error}");
            assert!(!work.path(name).exists(), "{line} {name:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_secret_that_others_can_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let work = Work::with_ca();
    let set = |mode| fs::set_permissions(work.path("pass"), fs::Permissions::from_mode(mode)).unwrap();
    // Who reads the account from its configuration is told as well.
    let entry =
        format!("[server.\"127.0.0.1:1\"]\nuser = 'u'\npassword_file = '{}'\n", work.path("pass").display());
    fs::write(work.path("client.toml"), entry).unwrap();
    certadm_tests::signers::write_key(&work.path("key"), certadm_tests::signers::KEY);
    for (mode, told) in [(0o644, true), (0o640, true), (0o602, true), (0o600, false)] {
        set(mode);
        fs::set_permissions(work.path("key"), fs::Permissions::from_mode(mode)).unwrap();
        for line in [
            "ca crl --dir {ca} --passphrase-file {pass}",
            "user passwd --dir {ca} nobody --password-file {pass}",
            "doctor --server 127.0.0.1:1 --user u --password-file {pass}",
            "doctor --server 127.0.0.1:1",
            "backup --dir {ca} --to {none/set} --sign-key {key}",
        ] {
            let run = configured(&work, line);
            assert_eq!(run.stderr.contains("others can read"), told, "{mode:o}: {line}: {run:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn json_that_cannot_be_written_is_a_failure() {
    let work = Work::with_ca();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (line, says) in [
        ("--json show --dir {ca}", "its result could not be written"),
        ("--json show --dir {absent}", "FAILED"),
    ] {
        let mut command = command(work.path("x").parent().unwrap(), line);
        let out = command.stdin(Stdio::null()).stdout(full.try_clone().unwrap()).output().unwrap();
        assert_eq!(out.status.code(), Some(3), "{line}: {out:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains(says), "{out:?}");
    }
}
