//! Each step passes on a good set, and fails when what it looks at is wrong.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use certadm_identity::{Attachments, Role};
use certadm_recovery::PublishedCrl;
use certadm_rehearsal::{
    CountedBefore, Error, Keys, Limits, Outcome, Previous, Proof, Sample, Step, StepRecord, Watch, Wishes,
    rehearse,
};
use certadm_rules::BackupType;
use certadm_set::Silent;
use certadm_store::now;

use crate::support::{Quiet, Work, failed, later, run, step};

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_good_chain_is_proven_and_openssl_agrees() {
    let work = Work::new();
    let full = work.full("full");
    work.issue("four");
    let logs = work.set("logs", BackupType::LogsOnly);
    let before = fs::read(work.path("full/manifest.json")).unwrap();
    for sample in [Sample::default(), Sample::All] {
        let spare = work.path(&format!("spare-{}", sample == Sample::All));
        let limits = Limits {
            rpo: Some(Duration::from_secs(3600)),
            rto: Some(Duration::from_secs(3600)),
            by_hand: Duration::from_secs(60),
        };
        let shown = work.rehearse(&Wishes {
            sample,
            limits,
            spare: Some(spare.clone()),
            ..work.wishes(&[&full, &logs])
        });
        assert_eq!(shown.verdict.proof, Proof::Proven, "{:#?}", shown.steps);
        assert_eq!(step(&shown, Step::Gap).0, Outcome::NotApplicable);
        let counts = shown.counts.unwrap();
        assert_eq!((counts.certificates, counts.revoked), (4, 1));
        let sample = shown.sample.unwrap();
        assert_eq!((sample.checked, sample.revoked, sample.failed), (4, 1, 0));
        assert!(60.0 < shown.times.rto_seconds && shown.times.rpo_seconds.unwrap() < 3600);
        // openssl is the judge of the CRL.
        let crl = spare.join("Test CA.crl");
        let said = Command::new("openssl")
            .args(["crl", "-inform", "DER", "-noout", "-text", "-CAfile"])
            .arg(work.path("identity/ca.crt"))
            .arg("-in")
            .arg(&crl)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
        assert!(text.contains("verify OK") && text.contains("Key Compromise"), "{text}");
    }
    assert_eq!(fs::read(work.path("full/manifest.json")).unwrap(), before, "the set is as it was");
}

#[test]
fn the_newest_chain_of_a_folder_is_found() {
    let work = Work::new();
    fs::create_dir(work.path("backup")).unwrap();
    work.full("backup/a-full");
    work.issue("four");
    work.set("backup/b-logs", BackupType::LogsOnly);
    fs::create_dir(work.path("backup/.hidden")).unwrap();
    fs::create_dir(work.path("backup/other")).unwrap();
    let latest =
        |work: &Work| work.rehearse(&Wishes { latest_in: Some(work.path("backup")), ..work.wishes(&[]) });
    let shown = latest(&work);
    assert_eq!(shown.verdict.proof, Proof::Proven, "{:#?}", shown.steps);
    assert_eq!(shown.sets, [work.path("backup/a-full"), work.path("backup/b-logs")]);
    assert_eq!(shown.counts.unwrap().certificates, 4);
    // A full set that is newer counts, and older logs do not continue it.
    std::thread::sleep(Duration::from_millis(1100)); // manifests have whole seconds
    work.full("backup/c-full");
    assert_eq!(latest(&work).sets, [work.path("backup/c-full")]);
    // What cannot be opened is told, and the one before it is taken.
    flip(&work.path("backup/c-full/manifest.json"));
    let shown = latest(&work);
    assert_eq!(shown.sets.len(), 2);
    assert!(
        shown
            .findings
            .iter()
            .any(|(step, finding)| *step == Step::Find && finding.to_string().contains("c-full"))
    );
}

#[test]
fn nothing_to_rehearse_fails_the_first_step_and_a_live_ca_is_refused() {
    let work = Work::new();
    fs::create_dir(work.path("empty")).unwrap();
    let shown = work.rehearse(&Wishes { latest_in: Some(work.path("empty")), ..work.wishes(&[]) });
    assert_eq!((failed(&shown), shown.verdict.proof), (vec![Step::Find], Proof::NotProven));
    assert!(
        shown
            .steps
            .iter()
            .skip(1)
            .all(|record| record.outcome != Outcome::Pass || record.step == Step::CleanUp)
    );
    let refused = rehearse(&work.wishes(&[&work.path("ca")]), &mut Silent, &mut Quiet).unwrap_err();
    assert!(matches!(refused, Error::ALiveCa { .. }), "{refused}");
}

#[test]
fn a_missing_log_and_a_damaged_page_fail_the_verification() {
    let work = Work::new();
    let full = work.full("full");
    work.issue("four");
    let logs = work.set("logs", BackupType::LogsOnly);
    let one = fs::read_dir(logs.join("DataBase")).unwrap().map(|entry| entry.unwrap().path());
    let log = one.into_iter().find(|path| path.extension().is_some_and(|ending| ending == "log")).unwrap();
    fs::remove_file(log).unwrap();
    let shown = work.rehearse(&work.wishes(&[&full, &logs]));
    assert_eq!(failed(&shown), [Step::Verify], "{:#?}", shown.steps);
    let database = fs::read_dir(work.path("full/DataBase"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "db"))
        .unwrap();
    flip(&database);
    let shown = work.rehearse(&work.wishes(&[&full]));
    assert_eq!(failed(&shown), [Step::Verify]);
    assert_eq!(step(&shown, Step::Restore), (Outcome::Skipped, "step 2 failed: Verify every byte"));
    assert!(!shown.findings.is_empty());
}

#[test]
fn what_is_kept_of_another_ca_fails_the_restore() {
    let (work, other) = (Work::new(), Work::new());
    let full = work.full("full");
    fs::copy(other.path("identity/ca.crt"), work.path("identity/ca.crt")).unwrap();
    let shown = work.rehearse(&work.wishes(&[&full]));
    assert_eq!(failed(&shown), [Step::Restore], "{:#?}", shown.steps);
    fs::copy(work.path("ca/ca.crt"), work.path("identity/ca.crt")).unwrap();
    fs::write(work.path("identity/ca.toml"), "no such = setting\n").unwrap();
    let shown = work.rehearse(&work.wishes(&[&full]));
    assert_eq!(failed(&shown), [Step::Restore]);
}

#[test]
fn fewer_certificates_than_last_time_fail_the_count() {
    let work = Work::new();
    let full = work.full("full");
    let first = work.rehearse(&work.wishes(&[&full]));
    let mut counts = first.counts.unwrap();
    counts.certificates += 1;
    let counted = vec![CountedBefore {
        key_identifier: first.ca.key_identifier.clone(),
        started: first.span.0,
        counts,
    }];
    let previous = Previous { ended: first.span.1, counted };
    let again = Wishes { previous: Some(previous.clone()), ..work.wishes(&[&full]) };
    let shown = work.rehearse(&again);
    assert_eq!(failed(&shown), [Step::Count]);
    assert_eq!(shown.verdict.proof, Proof::NotProven);
    // Rows may have been deleted on purpose, and another CA has other counts.
    let shown = work.rehearse(&Wishes { accept_fewer: true, ..again });
    assert_eq!(shown.verdict.proof, Proof::Proven);
    assert!(shown.findings.iter().any(|(_, finding)| finding.kind.key() == "fewer-certificates"));
    let mut elsewhere = previous;
    elsewhere.counted[0].key_identifier = "00".into();
    let shown = work.rehearse(&Wishes { previous: Some(elsewhere), ..work.wishes(&[&full]) });
    assert_eq!(shown.verdict.proof, Proof::Proven);
}

#[test]
fn what_was_not_handed_in_is_an_exception() {
    let work = Work::new();
    let full = work.full("full");
    let shown = work.rehearse(&Wishes { identity: None, ..work.wishes(&[&full]) });
    assert_eq!(
        (shown.verdict.proof, &shown.verdict.except[..]),
        (Proof::ProvenExcept, &[Step::Complete][..])
    );
    let shown = work.rehearse(&Wishes { keys: Keys::External, ..work.wishes(&[&full]) });
    let except = [Step::Key, Step::Crl, Step::Issue];
    assert_eq!((shown.verdict.proof, &shown.verdict.except[..]), (Proof::ProvenExcept, &except[..]));
    assert_eq!(step(&shown, Step::Crl).0, Outcome::External);
    let shown = work.rehearse(&Wishes { keys: Keys::NotGiven, ..work.wishes(&[&full]) });
    assert_eq!((step(&shown, Step::Key).0, &shown.verdict.except[..]), (Outcome::Skipped, &except[..]));
    // The identity part beside the set is found by itself.
    fs::create_dir(work.path("full.identity")).unwrap();
    fs::copy(work.path("ca/ca.toml"), work.path("full.identity/ca.toml")).unwrap();
    let shown = work.rehearse(&Wishes { identity: None, ..work.wishes(&[&full]) });
    assert_eq!(shown.verdict.proof, Proof::Proven);
}

/// A restore compares each file with the list of its identity part, takes the newest, and leaves out what differs.
#[test]
fn what_a_restore_leaves_out_beside_a_set_is_not_proven() {
    let work = Work::new();
    let full = work.full("full");
    work.issue("four");
    let logs = work.set("logs", BackupType::LogsOnly);
    let settings = fs::read_to_string(work.path("ca/ca.toml")).unwrap();
    let attach = |set: &Path, settings: &str, seconds| {
        let mut files = Attachments::default();
        files.keep(Role::CaToml, Path::new("ca.toml"), settings.as_bytes().to_vec());
        files.keep(Role::CaCrt, Path::new("ca.crt"), fs::read(work.path("ca/ca.crt")).unwrap());
        files.write(set, "", later(now(), seconds)).unwrap();
        set.join("Identity/Attachments/ca.toml")
    };
    let wishes = || Wishes { identity: None, ..work.wishes(&[&full, &logs]) };
    let first = attach(&full, &format!("# one\n{settings}"), -20);
    let shown = work.rehearse(&wishes());
    assert_eq!(shown.verdict.proof, Proof::Proven, "{:#?}", shown.steps);
    // It still parses.
    fs::write(&first, format!("# two\n{settings}")).unwrap();
    let shown = work.rehearse(&wishes());
    assert_eq!((failed(&shown), shown.verdict.proof), (vec![Step::Complete], Proof::ProvenExcept));
    assert!(step(&shown, Step::Complete).1.contains("ca.toml"), "{:#?}", shown.steps);
    // One that was taken later, with a log set, is the one that counts.
    let newer = attach(&logs, &format!("# three\n{settings}"), -10);
    assert_eq!(work.rehearse(&wishes()).verdict.proof, Proof::Proven);
    fs::write(newer, "name = 1").unwrap();
    assert_eq!(failed(&work.rehearse(&wishes())), [Step::Complete]);
}

/// The key that is kept is of a kind that our CA does not read, or is not what was put there.
#[test]
fn a_kept_key_that_a_restore_leaves_out_is_not_proven() {
    let work = Work::new();
    let key = fs::read(work.path("ca/ca.key")).unwrap();
    let identity = certadm_ca::identity::Identity::of_certificate(
        &certadm_rules::pem::blocks(&fs::read(work.path("ca/ca.crt")).unwrap()).unwrap()[0].der,
        "ca.crt",
    )
    .unwrap();
    let identifier = identity.key_identifier.replace([' ', ':'], "");
    let attach = |set: &Path, name: &str, content: Vec<u8>| {
        let mut files = Attachments::default();
        files.keep(Role::CaToml, Path::new("ca.toml"), fs::read(work.path("ca/ca.toml")).unwrap());
        files.keep(Role::CaCrt, Path::new("ca.crt"), fs::read(work.path("ca/ca.crt")).unwrap());
        let kept = Some(files.keep(Role::Key, Path::new(name), content));
        files.keys.push(certadm_identity::SeenKey {
            key_identifier: identifier.clone(),
            public_key_sha256: "00".repeat(32),
            seen: now().to_rfc3339(),
            source: name.to_owned(),
            place: None,
            kept,
            is_protected: true,
        });
        files.write(set, "", now()).unwrap();
    };
    let full = work.full("full");
    let wishes = || Wishes { identity: None, ..work.wishes(&[&full]) };
    attach(&full, "ca.p12", vec![0x30, 0]);
    let shown = work.rehearse(&wishes());
    assert_eq!((failed(&shown), shown.verdict.proof), (vec![Step::Complete], Proof::ProvenExcept));
    // Kept in two files, the one that our CA reads counts.
    attach(&full, "ca.key", key);
    attach(&full, "ca.p12", vec![0x30, 0]);
    assert_eq!(work.rehearse(&wishes()).verdict.proof, Proof::Proven);
    fs::write(full.join("Identity/Attachments/ca.key"), "-----BEGIN").unwrap();
    assert_eq!(failed(&work.rehearse(&wishes())), [Step::Complete]);
}

/// A rehearsal with another file than that which a restore writes would speak for another passphrase.
#[test]
fn the_kept_key_is_the_one_that_a_restore_takes() {
    let work = Work::new();
    let full = work.full("full");
    work.issue("four");
    let logs = work.set("logs", BackupType::LogsOnly);
    let certificate = fs::read(work.path("ca/ca.crt")).unwrap();
    let own = certadm_ca::own_certificate_in(&certificate, "ca.crt").unwrap();
    let own = certadm_ca::identity::Identity::of_certificate(&own.der, "ca.crt").unwrap();
    let attach = |set: &Path, content: &str, seconds| {
        let mut files = Attachments::default();
        files.keep(Role::CaCrt, Path::new("ca.crt"), certificate.clone());
        let kept = Some(files.keep(Role::Key, Path::new("ca.key"), content.into()));
        files.keys.push(certadm_identity::SeenKey {
            key_identifier: own.key_identifier.replace([' ', ':'], ""),
            public_key_sha256: "00".repeat(32),
            seen: now().to_rfc3339(),
            source: "ca.key".to_owned(),
            place: None,
            kept,
            is_protected: true,
        });
        files.write(set, "", later(now(), seconds)).unwrap();
    };
    let kept = |wishes: &Wishes| {
        let found = certadm_rehearsal::kept_key(wishes).unwrap();
        found.map(|(_, content)| String::from_utf8(content.to_vec()).unwrap())
    };
    let both = || Wishes { identity: None, ..work.wishes(&[&full, &logs]) };
    assert_eq!(kept(&both()), None);
    for (set, text, seconds) in [(&full, "one", -30), (&full, "two", -20), (&logs, "three", -10)] {
        attach(set, &format!("-----BEGIN {text}"), seconds);
        assert_eq!(kept(&both()).unwrap(), format!("-----BEGIN {text}"));
    }
    // PKCS#12 is nothing for our CA, and no signature speaks for any of them.
    attach(&logs, "0", -5);
    assert_eq!(kept(&both()).unwrap(), "-----BEGIN three");
    let line =
        b"backup@ca1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n";
    let allowed_signers = Some(certadm_set::signing::AllowedSigners::parse(line).unwrap());
    assert_eq!(kept(&Wishes { allowed_signers, ..both() }), None);
    // Which sets the newest ones of a folder are is not known yet.
    assert_eq!(kept(&Wishes { latest_in: Some(work.path("")), ..both() }), None);
    // No ca.crt says which key it is of a Windows CA, whose key may be in PKCS#12.
    let mut files = Attachments::default();
    files.keep(Role::Key, Path::new("ca.p12"), b"0".to_vec());
    let bare = work.path("bare");
    fs::create_dir(&bare).unwrap();
    files.write(&bare, "", now()).unwrap();
    assert_eq!(kept(&Wishes { identity: None, ..work.wishes(&[&bare]) }).unwrap(), "0");
    // What is in a folder without a list was put there by a person.
    let named = kept(&work.wishes(&[&full, &logs])).unwrap();
    assert_eq!(named, fs::read_to_string(work.path("identity/ca.key")).unwrap());
}

#[test]
fn the_key_of_another_ca_fails_the_key() {
    let (work, other) = (Work::new(), Work::new());
    let full = work.full("full");
    let shown = work.rehearse(&Wishes { keys: other.keys(), ..work.wishes(&[&full]) });
    assert_eq!(failed(&shown), [Step::Key, Step::Crl], "{:#?}", shown.steps);
    assert!(step(&shown, Step::Key).1.matches("key id").count() == 2);
}

#[test]
fn a_crl_that_is_older_than_the_backup_and_that_of_another_ca_fail_the_crl() {
    let work = Work::new();
    let published = work.path("ca/crl/Test CA.crl");
    fs::copy(&published, work.path("old.crl")).unwrap();
    work.change(|connection| {
        connection
            .execute("UPDATE CRLs SET Number = Number + 10 WHERE RowId = (SELECT max(RowId) FROM CRLs)", [])
            .unwrap();
    });
    let full = work.full("full");
    let shown = work.rehearse(&Wishes { published: vec![work.path("old.crl")], ..work.wishes(&[&full]) });
    assert_eq!(failed(&shown), [Step::Crl], "{:#?}", shown.steps);
    let other = Work::new();
    let published = vec![other.path("ca/crl/Test CA.crl")];
    let shown = work.rehearse(&Wishes { published, ..work.wishes(&[&full]) });
    assert_eq!(failed(&shown), [Step::Crl]);
}

/// A CA that publishes delta CRLs every day, and has two keys: the numbers of these are higher than that of the base CRL.
#[test]
fn a_published_crl_is_compared_with_those_of_its_kind_and_key() {
    let work = Work::new();
    let published = vec![work.path("ca/crl/Test CA.crl")];
    let add = |work: &Work, min_base: i64, name_id: i64| {
        work.change(|connection| {
            let sql = "INSERT INTO CRLs (Number, MinBase, NameId) SELECT max(Number) + 10, ?1, ?2 FROM CRLs";
            connection.execute(sql, (min_base, name_id)).unwrap();
        });
    };
    add(&work, 1, 0);
    add(&work, 0, 1 << 16);
    let full = work.full("full");
    let shown = work.rehearse(&Wishes { published: published.clone(), ..work.wishes(&[&full]) });
    assert_eq!(shown.verdict.proof, Proof::Proven, "{:#?}", shown.steps);
    add(&work, 0, 0);
    let full = work.full("older");
    let shown = work.rehearse(&Wishes { published, ..work.wishes(&[&full]) });
    assert_eq!(failed(&shown), [Step::Crl]);
}

/// The published CRL knows what was revoked after the backup: the new one must list it, and nothing is wrong with the backup.
#[test]
fn what_was_revoked_after_the_backup_is_on_the_crl() {
    let work = Work::new();
    let serial = work.issue("four");
    let full = work.full("full");
    work.revoke_and_publish(&serial);
    let published = vec![work.path("ca/crl/Test CA.crl")];
    for sample in [Sample::default(), Sample::All] {
        let shown = work.rehearse(&Wishes { sample, published: published.clone(), ..work.wishes(&[&full]) });
        assert_eq!(shown.verdict.proof, Proof::Proven, "{:#?}", shown.steps);
        assert!(step(&shown, Step::Crl).1.contains("2 entries"), "{:#?}", shown.steps);
    }
}

/// The newest CRL of the CA still lists a hold that was taken back before the backup.
#[test]
fn a_hold_that_was_taken_back_is_not_on_the_spare_crl() {
    let work = Work::new();
    let serial = work.issue("four");
    work.hold(&serial, true, true);
    work.hold(&serial, false, false);
    let full = work.full("full");
    let spare = work.path("spare");
    let shown = work.rehearse(&Wishes {
        published: vec![work.path("ca/crl/Test CA.crl")],
        spare: Some(spare.clone()),
        ..work.wishes(&[&full])
    });
    assert_eq!(shown.verdict.proof, Proof::Proven, "{:#?}", shown.steps);
    let content = fs::read(spare.join("Test CA.crl")).unwrap();
    let listed = PublishedCrl::parse("spare", &content).unwrap().serials().unwrap();
    assert_eq!((listed.len(), listed.contains(&serial)), (1, false));
}

/// The CA took a hold back after the backup, and its newest CRL says so: nothing is wrong with the backup.
#[test]
fn a_hold_that_was_taken_back_after_the_backup_need_not_be_listed() {
    let work = Work::new();
    let serial = work.issue("four");
    work.hold(&serial, true, true);
    let full = work.full("full");
    work.hold(&serial, false, true);
    let published = vec![work.path("ca/crl/Test CA.crl")];
    for sample in [Sample::default(), Sample::All] {
        let shown = work.rehearse(&Wishes { sample, published: published.clone(), ..work.wishes(&[&full]) });
        assert_eq!(shown.verdict.proof, Proof::Proven, "{:#?}", shown.steps);
        assert!(step(&shown, Step::Crl).1.contains("1 entry"), "{:#?}", shown.steps);
    }
}

#[test]
fn a_published_crl_that_cannot_be_read_fails_the_crl() {
    let work = Work::new();
    let full = work.full("full");
    fs::write(work.path("nonsense.crl"), "nonsense").unwrap();
    for name in ["nonsense.crl", "missing.crl"] {
        let published = vec![work.path(name)];
        let shown = work.rehearse(&Wishes { published, ..work.wishes(&[&full]) });
        assert_eq!(failed(&shown), [Step::Crl], "{:#?}", shown.steps);
    }
}

#[test]
fn a_ca_certificate_that_has_expired_fails_what_is_signed_with_it() {
    let work = Work::new();
    let full = work.full("full");
    let eleven_years = later(now(), 11 * 366 * 86_400);
    let shown = work.rehearse(&Wishes { now: eleven_years, ..work.wishes(&[&full]) });
    assert_eq!(shown.verdict.proof, Proof::NotProven);
    assert!(failed(&shown).contains(&Step::Issue), "{:#?}", shown.steps);
    assert!(shown.findings.iter().any(|(_, finding)| finding.kind.key() == "crl-expired"));
}

#[test]
fn a_certificate_that_the_ca_did_not_sign_fails_the_certificates() {
    let (work, other) = (Work::new(), Work::new());
    let foreign = fs::read(other.path("identity/ca.crt")).unwrap();
    let foreign = certadm_rules::pem::blocks(&foreign).unwrap().remove(0).der;
    work.change(|connection| {
        let sql = "UPDATE Certificates SET RawCertificate = ?1 WHERE RequestID = 3";
        assert_eq!(connection.execute(sql, [&foreign]).unwrap(), 1);
    });
    let full = work.full("full");
    for sample in [Sample::default(), Sample::All] {
        let shown = work.rehearse(&Wishes { sample, ..work.wishes(&[&full]) });
        assert_eq!(failed(&shown), [Step::Certificates], "{:#?}", shown.steps);
        assert!(step(&shown, Step::Certificates).1.contains("request 3"), "{:#?}", shown.steps);
    }
}

#[test]
fn a_certificate_whose_row_names_another_fails_the_certificates() {
    let work = Work::new();
    work.change(|connection| {
        let sql = "UPDATE Certificates SET RawCertificate = (SELECT RawCertificate FROM Certificates WHERE RequestID = 4) \
                   WHERE RequestID = 3";
        assert_eq!(connection.execute(sql, []).unwrap(), 1);
    });
    let shown = work.rehearse(&work.wishes(&[&work.full("full")]));
    assert_eq!(failed(&shown), [Step::Certificates]);
    assert!(step(&shown, Step::Certificates).1.contains("its row has another one"));
}

#[test]
fn a_clock_that_was_set_back_fails_issuing_and_the_times() {
    let work = Work::new();
    let full = work.full("full");
    let shown = work.rehearse(&Wishes { now: later(now(), -7200), ..work.wishes(&[&full]) });
    let failed = failed(&shown);
    assert!(failed.contains(&Step::Issue) && failed.contains(&Step::Times), "{:#?}", shown.steps);
    assert!(step(&shown, Step::Times).1.contains("a clock"), "{:#?}", shown.steps);
    // The last rehearsal knows a later moment.
    let previous = Previous { ended: later(now(), 86_400), ..Previous::default() };
    let shown = work.rehearse(&Wishes { previous: Some(previous), ..work.wishes(&[&full]) });
    assert_eq!(
        (crate::support::failed(&shown), shown.verdict.proof),
        (vec![Step::Times], Proof::ProvenExcept)
    );
}

#[test]
fn a_limit_that_is_not_kept_fails_the_times_and_nothing_else() {
    let work = Work::new();
    let full = work.full("full");
    let second = Duration::from_secs(1);
    let limits = Limits { rpo: Some(Duration::from_secs(3600)), rto: Some(second), by_hand: second * 2 };
    let shown = work.rehearse(&Wishes { limits, now: later(now(), 7200), ..work.wishes(&[&full]) });
    assert_eq!((failed(&shown), shown.verdict.proof), (vec![Step::Times], Proof::ProvenExcept));
    let told = step(&shown, Step::Times).1;
    assert!(told.contains("RPO is 2 h 0 min, the limit 1 h 0 min") && told.contains("RTO is"), "{told}");
}

/// Takes the scratch folder away before it is cleaned up.
struct Thief<'a>(&'a Path);

impl Watch for Thief<'_> {
    fn begins(&mut self, step: Step) {
        if step == Step::CleanUp {
            for entry in fs::read_dir(self.0).unwrap() {
                fs::remove_dir_all(entry.unwrap().path()).unwrap();
            }
        }
    }
    fn ended(&mut self, _: &StepRecord) {}
}

#[test]
fn a_scratch_folder_that_cannot_be_removed_fails_the_clean_up() {
    let work = Work::new();
    let full = work.full("full");
    let scratch = work.path("scratch");
    let shown = rehearse(&work.wishes(&[&full]), &mut Silent, &mut Thief(&scratch)).unwrap();
    assert_eq!((failed(&shown), shown.verdict.proof), (vec![Step::CleanUp], Proof::ProvenExcept));
}

#[test]
fn what_is_kept_has_no_key_and_no_room_is_refused_before() {
    let work = Work::new();
    let full = work.full("full");
    let shown = run(&Wishes { keep: true, ..work.wishes(&[&full]) });
    let kept = shown.kept.unwrap();
    assert!(kept.join("ca/ca.toml").is_file() && kept.join("ca/ca.crt").is_file());
    assert!(!kept.join("ca/ca.key").exists());
    // Nor anywhere else in it: the key file's text is in no file.
    let key = fs::read_to_string(work.path("identity/ca.key")).unwrap();
    let line = key.lines().nth(1).unwrap();
    let mut folders = vec![kept];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap();
                assert!(!bytes.windows(line.len()).any(|part| part == line.as_bytes()), "{path:?}");
            }
        }
    }
}
