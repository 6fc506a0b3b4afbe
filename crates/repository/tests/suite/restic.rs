//! Stock restic reads what certadm wrote, so that a CA can be restored when certadm is not at hand.

use std::path::Path;
use std::process::Command;

use certadm_repository::{ExpiryOptions, Keep, Label, Profiles, Secret, Selector, Vault, recovery_code};
use certadm_rules::BackupType;
use certadm_set::Silent;
use certadm_set::verify::verify;

use crate::common::{Ca, assert_whole};

fn restic(repository: &Path, work: &Path, arguments: &[&str]) -> String {
    let run = Command::new("restic")
        .args(["--no-cache", "--no-lock", "--password-file"])
        .arg(work.join("code"))
        .arg("--repo")
        .arg(repository)
        .args(arguments)
        .output()
        .expect("restic is installed");
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&run.stderr));
    text
}

#[test]
#[ignore = "needs restic"]
fn stock_restic_checks_lists_and_restores_what_was_stored() {
    for name in ["Drill CA", "edb", "zeta"] {
        let mut ca = Ca::named(name);
        let work = ca.beside().to_owned();
        let text =
            format!("[vault]\nurl = 'file://{0}/vault'\nkey-file = '{0}/{{ca}}.key'\n", work.display());
        let vault = Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone());
        let code = recovery_code().unwrap();
        std::fs::write(work.join("code"), code.as_bytes()).unwrap();
        let label = Label { host: "tests", user: "recovery code" };
        let repository = vault.create(name, &code, label).unwrap();
        assert!(vault.create(name, &code, label).is_err(), "a second time");
        ca.back_up(&repository, BackupType::Full).unwrap();
        ca.issue(3);
        ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        assert_eq!(assert_whole(&vault.repository(None).unwrap(), &work), 2);

        let place = work.join("vault").join(name);
        let checked = restic(&place, &work, &["check", "--read-data"]);
        assert!(checked.contains("no errors were found"), "{checked}");
        let listed = restic(&place, &work, &["snapshots", "--host", name]);
        assert!(listed.contains("kind:full") && listed.contains("2 snapshots"), "{listed}");
        // A password that was added opens it, too, and one that was rotated out does not.
        let keys = restic(&place, &work, &["key", "list"]);
        assert!(keys.contains("recovery code") && keys.contains("tests"), "{keys}");
        let password = |text: &str| Secret::from_password(text, &work);
        let added = Label { host: "tests", user: "operator" };
        repository.add_key(&password("correct horse"), added).unwrap();
        let opens = |password: &str| {
            std::fs::write(work.join("password"), format!("{password}\n")).unwrap();
            let mut command = Command::new("restic");
            command.args(["--no-cache", "--no-lock", "--password-file"]).arg(work.join("password"));
            command.arg("--repo").arg(&place).arg("snapshots").output().unwrap().status.success()
        };
        assert!(opens("correct horse") && !opens("battery staple"));
        let operator = repository.keys().unwrap().into_iter().find(|key| key.user == "operator").unwrap();
        repository.rotate_key(Some(&operator.id), &password("battery staple"), added).unwrap();
        assert!(opens("battery staple") && !opens("correct horse"));
        // What expires leaves a repository that restic finds sound.
        ca.back_up(&repository, BackupType::Full).unwrap();
        let keep = Keep { last: 1, ..Keep::default() };
        for _ in 0..2 {
            let options = ExpiryOptions { keep, take_over: false, rest: Some(0) };
            repository.expiry(&options).unwrap().carry_out(&mut |_| {}).unwrap();
            let checked = restic(&place, &work, &["check", "--read-data"]);
            assert!(checked.contains("no errors were found"), "{checked}");
        }
        assert_eq!(repository.points().unwrap().len(), 1);
        ca.issue(1);
        ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        // What was attached is there, and the earlier version, too.
        let full = repository.select(&Selector::LatestFull).unwrap();
        let fetched = repository.fetch(&full, &work, &mut Silent).unwrap();
        std::fs::create_dir(fetched.sets[0].join("Identity")).unwrap();
        std::fs::write(fetched.sets[0].join("Identity/note.txt"), "a note").unwrap();
        repository.store_attached(&full[0], &fetched.sets[0], &mut Silent).unwrap();
        drop(fetched);
        let checked = restic(&place, &work, &["check", "--read-data"]);
        assert!(checked.contains("no errors were found"), "{checked}");
        let listed = restic(&place, &work, &["snapshots", "--tag", "kind:full"]);
        assert!(listed.contains("attached:1") && listed.contains("2 snapshots"), "{listed}");
        restic(
            &place,
            &work,
            &[
                "restore",
                "latest",
                "--tag",
                "attached:1",
                "--target",
                work.join("attached").to_str().unwrap(),
            ],
        );
        assert_eq!(std::fs::read(work.join("attached/Identity/note.txt")).unwrap(), b"a note");
        assert!(verify(&[work.join("attached")], &mut Silent).is_restorable());
        let sets = ["full", "logs"].map(|kind| {
            let target = work.join(kind);
            let tag = format!("kind:{kind}");
            restic(
                &place,
                &work,
                &["restore", "latest", "--tag", &tag, "--target", target.to_str().unwrap()],
            );
            target
        });
        let report = verify(&sets, &mut Silent);
        assert!(report.is_restorable(), "{:?}", report.findings);
        assert_eq!(report.content.unwrap().certificates, 9);
    }
}
