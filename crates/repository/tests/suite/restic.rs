//! Stock restic reads what certadm wrote, so that a CA can be restored when certadm is not at hand.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use certadm_repository::objects::{FileObjects, ObjectError, Objects};
use certadm_repository::{
    ExpiryOptions, Keep, Label, Part, Profiles, RepairOptions, Secret, Selector, Vault, recovery_code,
};
use certadm_rules::diagnosis::Class;
use certadm_rules::{BackupType, Diagnosis};
use certadm_set::Silent;
use certadm_set::verify::verify;

use crate::common::{Ca, assert_whole, over};

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
        // What was attached is there, and the earlier versions, too.
        for attached in ["note.txt", "Attachments/ca.key"] {
            let full = repository.select(&Selector::LatestFull).unwrap();
            let fetched = repository.fetch(&full, &work, &mut Silent).unwrap();
            let file = fetched.sets[0].join("Identity").join(attached);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, attached).unwrap();
            repository.store_attached(&full[0], &fetched.sets[0], &mut Silent).unwrap();
        }
        for _ in 0..2 {
            ca.issue(1);
            ca.back_up(&repository, BackupType::LogsOnly).unwrap();
        }
        let checked = restic(&place, &work, &["check", "--read-data"]);
        assert!(checked.contains("no errors were found"), "{checked}");
        let listed = restic(&place, &work, &["snapshots", "--tag", "kind:full"]);
        assert!(listed.contains("attached:2") && listed.contains("3 snapshots"), "{listed}");
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
        assert_eq!(std::fs::read(work.join("attached/Identity/note.txt")).unwrap(), b"note.txt");
        assert!(verify(&[work.join("attached")], &mut Silent).is_restorable());
        restore_as_documented(&place, &work);
    }
}

/// The recipe of docs/repository.md, for a CA of which only the vault and the code are left: the newest full set, with the key that was
/// attached to it, and by its id each log set since then.
fn restore_as_documented(place: &Path, work: &Path) {
    let restore = |what: &[&str], target: &str| {
        let target = work.join(target);
        let arguments = [&["restore"], what, &["--target", target.to_str().unwrap()]].concat();
        restic(place, work, &arguments);
        target
    };
    let full = restore(&["latest", "--tag", "kind:full"], "full");
    assert!(full.join("Identity/Attachments/ca.key").is_file(), "an earlier version came out");
    let snapshots = restic(place, work, &["snapshots", "--json"]);
    let snapshots: serde_json::Value = serde_json::from_str(&snapshots).unwrap();
    let tag = |snapshot: &serde_json::Value, name: &str| {
        let tags = snapshot["tags"].as_array().unwrap().iter().filter_map(serde_json::Value::as_str);
        tags.filter_map(|tag| tag.strip_prefix(name)).next().unwrap_or_default().to_owned()
    };
    let end = |snapshot: &serde_json::Value| {
        u32::from_str_radix(tag(snapshot, "gen:").split_once('-').unwrap().1, 16).unwrap()
    };
    let all = snapshots.as_array().unwrap();
    let newest = all.iter().filter(|one| tag(one, "kind:") == "full").max_by_key(|one| end(one)).unwrap();
    let logs = all.iter().filter(|one| tag(one, "kind:") == "logs" && end(newest) < end(one));
    let logs = logs.filter(|one| tag(one, "base:") == tag(newest, "base:"));
    let sets: Vec<PathBuf> = logs
        .map(|one| restore(&[&one["id"].as_str().unwrap()[..8]], &format!("logs-{}", end(one))))
        .collect();
    assert_eq!(sets.len(), 3);
    let report = verify(&[&[full][..], &sets].concat(), &mut Silent);
    assert!(report.is_restorable(), "{:?}", report.findings);
    assert_eq!(report.content.unwrap().certificates, 11);
}
/// A folder in which stock restic prunes just before an index is written.
#[derive(Debug)]
struct Pruning {
    inner: FileObjects,
    /// The number of that index, from 0 on.
    at: u64,
    indexes: AtomicU64,
    place: PathBuf,
    work: PathBuf,
}

impl Objects for Pruning {
    fn put(&self, name: &str, parts: &[Bytes]) -> Result<(), ObjectError> {
        if name.starts_with("index/") && self.indexes.fetch_add(1, Ordering::SeqCst) == self.at {
            let mut command = Command::new("restic");
            command.args(["--no-cache", "prune", "--password-file"]).arg(self.work.join("code"));
            let run = command.arg("--repo").arg(&self.place).output().expect("restic is installed");
            assert!(run.status.success(), "{run:?}");
        }
        self.inner.put(name, parts)
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), ObjectError> {
        self.inner.create(name, content)
    }

    fn stored_at(&self, name: &str) -> Result<i64, ObjectError> {
        self.inner.stored_at(name)
    }

    fn get(&self, name: &str) -> Result<Bytes, ObjectError> {
        self.inner.get(name)
    }

    fn range(&self, name: &str, offset: u64, len: u64) -> Result<Bytes, ObjectError> {
        self.inner.range(name, offset, len)
    }

    fn len(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        self.inner.len(name)
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, ObjectError> {
        self.inner.list(folder)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.inner.delete(name)
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

/// Stock restic knows of no writer, and its prune deletes packs that no index names yet. Whenever it comes: the backup fails and
/// names what is gone, the CA keeps its logs, and the sets of before stay whole. After a repair the next backup is good.
#[test]
#[ignore = "needs restic"]
fn a_prune_of_stock_restic_beside_a_backup_is_survived_and_named() {
    let mut ca = Ca::create();
    let work = ca.beside().to_owned();
    let text = format!("[vault]\nurl = 'file://{0}/vault'\nkey-file = '{0}/{{ca}}.key'\n", work.display());
    let vault = Vault::new(Profiles::parse(&text).unwrap().vault("vault").unwrap().clone());
    let code = recovery_code().unwrap();
    std::fs::write(work.join("code"), code.as_bytes()).unwrap();
    let sound = vault.create("ca", &code, Label { host: "tests", user: "recovery code" }).unwrap();
    ca.back_up(&sound, BackupType::Full).unwrap();
    let place = work.join("vault/ca");
    let secret = Secret::from_key_file(&work.join("ca.key")).unwrap();
    let mut pruned = 0;
    for at in 0.. {
        ca.issue(2);
        let (logs, points) = (ca.logs(), sound.points().unwrap());
        let pruning = Arc::new(Pruning {
            inner: FileObjects::new(place.clone()),
            at,
            indexes: AtomicU64::new(0),
            place: place.clone(),
            work: work.clone(),
        });
        let result = ca.back_up(&over(Arc::clone(&pruning) as Arc<dyn Objects>, &secret), BackupType::Full);
        if pruning.indexes.load(Ordering::SeqCst) <= at {
            result.unwrap();
            break;
        }
        pruned += 1;
        let error = result.unwrap_err();
        assert_eq!(error.class(), Class::Damaged, "{at}: {error}");
        assert!(error.to_string().contains("data/"), "{at}: {error}");
        assert!(error.to_string().contains("prunes beside"), "{at}: {error}");
        assert!(logs.iter().all(|log| ca.logs().contains(log)), "{at}: a log is gone");
        assert_eq!(sound.points().unwrap(), points, "{at}");
        let options = RepairOptions { read: false, forget_lost: false, take_over: false };
        let repaired = sound.repair(&options, &mut Silent).unwrap();
        assert!(repaired.lost.is_empty(), "{at}: {repaired:?}");
        ca.back_up(&sound, BackupType::Full).unwrap();
        assert_eq!(assert_whole(&sound, &work), points.len() + 1, "{at}");
        assert!(sound.check(Part::ALL, &mut Silent).unwrap().problems.is_empty(), "{at}");
        let checked = restic(&place, &work, &["check", "--read-data"]);
        assert!(checked.contains("no errors were found"), "{at}: {checked}");
    }
    assert!(1 < pruned, "{pruned}");
    certadm_tests::proven::proven("faults", pruned);
}
