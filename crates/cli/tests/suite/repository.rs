//! Repositories from the command line: made, backed up into, looked into, restored from.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;

use certadm_tests::proven::proven;
use certadm_tests::signers;
use serde_json::Value;

use crate::support::{Run, Work, command};

/// A work folder with a CA, and with a vault that is configured.
pub(crate) fn world() -> Work {
    let work = Work::with_ca();
    let place = work.path("").display().to_string();
    let text = format!("[vault]\nurl = 'file://{place}/vault'\nkey-file = '{place}/{{ca}}.vaultkey'\n");
    fs::write(work.path("repositories.toml"), text).unwrap();
    fs::create_dir(work.path("scratch")).unwrap();
    work
}

/// Runs a command with that vault; scratch copies go into a folder of the test.
pub(crate) fn run(work: &Work, line: &str) -> Run {
    let mut command = command(&work.path(""), line);
    let run = Run::of(
        command
            .env("CERTADM_REPOSITORIES", work.path("repositories.toml"))
            .env("STATE_DIRECTORY", work.path("state"))
            .env("TMPDIR", work.path("scratch")),
    );
    // The user knows addresses, and no folder that is gone when the command ends.
    let said = run.stdout.lines().chain(run.stderr.lines());
    let named: Vec<&str> =
        said.filter(|line| line.contains(".certadm-scratch") && !line.contains("had left")).collect();
    assert!(named.is_empty(), "{line} names its scratch copy: {named:#?}");
    run
}

fn result(work: &Work, line: &str) -> Value {
    let run = run(work, &format!("--json {line}"));
    let json = run.json();
    assert_eq!(run.code, 0, "{line}: {json}");
    json["result"].clone()
}

pub(crate) fn with_repository() -> Work {
    let work = world();
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    work
}

fn assert_no_scratch(work: &Work) {
    let left: Vec<_> = fs::read_dir(work.path("scratch")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_sets_of_a_repository_are_listed_and_chosen_for_a_restore() {
    let work = with_repository();
    work.issue("ca", "one");
    result(&work, "backup --dir {ca} --to vault:");
    crate::jobs::next_second();
    work.issue("ca", "two");
    result(&work, "backup --dir {ca} --to vault:Test-CA/ --type logs");
    let sets = result(&work, "sets vault:Test-CA");
    let own = &sets["cas"][0]["sets"];
    assert_eq!((&own[0]["type"], &own[1]["base"]), (&"full".into(), &own[0]["id"]), "{sets:#}");
    let newest = result(&work, "restore --latest-in vault:Test-CA --dir {new} --dry-run");
    assert_eq!(newest["certificates"], 2, "{newest:#}");
    let at = format!("--at {}", own[0]["finished"].as_str().unwrap());
    let earlier = result(&work, &format!("restore --latest-in vault: {at} --dir {{new}} --dry-run"));
    assert_eq!(earlier["certificates"], 1, "{earlier:#}");
    let pruned = run(&work, "prune vault:Test-CA --keep-last 1");
    assert!(pruned.code == 2 && pruned.stderr.contains("repository expire"), "{pruned:?}");
    assert_no_scratch(&work);
}

#[test]
fn a_ca_is_lost_and_comes_back_from_its_repository() {
    let work = with_repository();
    for secret in ["Test-CA.vaultkey", "code"] {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(work.path(secret)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{secret}");
    }
    work.issue("ca", "one");
    let full = result(&work, "backup --dir {ca} --to vault:");
    assert_eq!((&full["is_base"], &full["checked"]), (&true.into(), &true.into()));
    assert!(full["set"].as_str().unwrap().starts_with("vault:Test-CA/"), "{full}");
    work.issue("ca", "two");
    result(&work, "backup --dir {ca} --to vault:Test-CA/ --type logs");
    let verified = result(&work, "verify vault:");
    assert_eq!((&verified["restorable"], &verified["content"]["certificates"]), (&true.into(), &2.into()));
    let listed = result(&work, "list vault:latest certificates");
    assert_eq!(listed["rows"].as_array().unwrap().len(), 3, "with the CA's own");
    let shown = result(&work, "show vault:latest-full");
    assert_eq!(shown["what"], "set", "{shown}");
    assert_no_scratch(&work);

    work.copy_key_and_configuration("ca", "ca2");
    let before = work.tables("--dir {ca}");
    fs::rename(work.path("ca"), work.path("lost")).unwrap();
    result(&work, "restore --from vault:latest --dir {ca2}");
    assert_eq!(work.tables("--dir {ca2}"), before, "every row came back");
    assert_no_scratch(&work);
}

/// The copy of the sets is made where it stays, by root for the account of the service, too.
#[cfg(unix)]
#[test]
fn a_restored_set_is_copied_once_and_belongs_to_the_owner_of_the_folder() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let work = with_repository();
    work.issue("ca", "one");
    result(&work, "backup --dir {ca} --to vault: --keep-logs");
    let before = work.tables("--dir {ca}");
    for (number, scratch) in ["", "--scratch {scratch} ", "--scratch /dev/shm "].into_iter().enumerate() {
        let new = format!("new{number}");
        work.copy_key_and_configuration("ca", &new);
        chown(work.path(&new), Some(4711), Some(4711)).ok();
        fs::set_permissions(work.path(&new), fs::Permissions::from_mode(0o750)).unwrap();
        let owner = fs::metadata(work.path(&new)).unwrap().uid();
        result(&work, &format!("restore --from vault: {scratch}--dir {{{new}}}"));
        let database = fs::metadata(work.path(&new).join("database/Test-CA.db")).unwrap();
        assert_eq!((database.uid(), database.nlink()), (owner, 1));
        assert_eq!(database.mode() & 0o037, 0, "as the folder, and not to be changed by others");
        let hidden = fs::read_dir(work.path(&new)).unwrap().map(|entry| entry.unwrap().file_name());
        let hidden: Vec<_> = hidden.filter(|name| name.to_string_lossy().starts_with('.')).collect();
        assert!(hidden.is_empty(), "{hidden:?}");
        assert_no_scratch(&work);
        assert_eq!(work.tables(&format!("--dir {{{new}}}")), before, "every row came back");
    }
    // What the target cannot take is told before anything is fetched: this set is not even there.
    let refused = run(&work, "--json restore --from vault:123456 --dir {ca}");
    assert_eq!(refused.json()["error"]["code"], "0x80070091", "{refused:?}");
}

#[test]
fn what_was_exported_is_a_set_and_goes_in_again_once() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    let exported = result(&work, "repository export vault:latest --to {out}");
    let folder = exported["sets"][0]["folder"].as_str().unwrap().to_owned();
    assert_eq!(run(&work, &format!("verify {folder}")).code, 0);
    let again = result(&work, &format!("repository import --to vault: {folder}"));
    assert_eq!(again["sets"][0]["stored"], false, "it is there already");
    assert_eq!(run(&work, "repository export vault:latest --to {out}").code, 3, "nothing is overwritten");
}

/// The signature goes where the manifest goes: into the repository, out of it, and in again.
#[test]
fn a_signature_is_kept_and_asked_for() {
    let work = with_repository();
    signers::write_key(&work.path("key"), signers::KEY);
    fs::write(work.path("allowed"), format!("tests {}\n", signers::PUBLIC)).unwrap();
    let signed = result(&work, "backup --dir {ca} --to vault: --sign-key {key}");
    assert!(signed["signed_with"].as_str().is_some_and(|key| key.starts_with("SHA256:")), "{signed}");
    let asked = "--allowed-signers {allowed}";
    assert_eq!(run(&work, &format!("verify vault: {asked}")).code, 0);
    assert_eq!(run(&work, &format!("list vault: certificates {asked}")).code, 0);
    let exported = result(&work, "repository export vault:latest --to {out}");
    let folder = exported["sets"][0]["folder"].as_str().unwrap().to_owned();
    assert_eq!(run(&work, &format!("verify {folder} {asked}")).code, 0);
    fs::rename(work.path("vault/Test-CA"), work.path("first")).unwrap();
    fs::remove_file(work.path("Test-CA.vaultkey")).unwrap();
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code3}");
    result(&work, &format!("repository import --to vault:Test-CA/ {folder}"));
    assert_eq!(run(&work, &format!("verify vault:Test-CA/ {asked}")).code, 0);
    result(&work, "backup --dir {ca} --to vault:Test-CA/");
    let unsigned = run(&work, &format!("verify vault:Test-CA/ {asked}"));
    assert!(unsigned.code == 3 && unsigned.stdout.contains("not signed"), "{unsigned:?}");
}

#[test]
fn the_recovery_code_alone_opens_the_repository() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    fs::remove_file(work.path("Test-CA.vaultkey")).unwrap();
    assert_eq!(run(&work, "verify vault:").code, 3);
    let place = work.path("").display().to_string();
    let text = format!("[vault]\nurl = 'file://{place}/vault'\npassword-file = '{place}/code'\n");
    fs::write(work.path("repositories.toml"), text).unwrap();
    assert_eq!(run(&work, "verify vault:").code, 0);
}

#[test]
fn a_key_that_others_can_read_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let work = with_repository();
    for (mode, told) in [(0o644, true), (0o600, false)] {
        fs::set_permissions(work.path("Test-CA.vaultkey"), fs::Permissions::from_mode(mode)).unwrap();
        for line in ["backup --dir {ca} --to vault: --keep-logs", "verify vault:"] {
            let run = run(&work, line);
            assert_eq!((run.code, run.stderr.contains("others can read")), (0, told), "{line}: {run:?}");
        }
    }
}

#[test]
fn each_refusal_has_its_exit_code() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    for (line, code, says) in [
        ("verify valut:", 2, "there are vault"),
        ("verify vault:Test-CA/nonsense", 2, "no address"),
        ("backup --dir {ca} --to vault:latest-full", 2, "never overwritten"),
        ("repository init vault: --ca Test-CA --recovery-file {code2}", 3, "already"),
        ("repository init vault: --ca Other", 2, "no terminal"),
        ("repository check {set}", 2, "no address"),
        ("verify vault:Other/latest", 3, "has no repository"),
        ("verify vault:ffffff", 3, "ffffff"),
    ] {
        let run = run(&work, line);
        assert_eq!(run.code, code, "{line}: {run:?}");
        assert!(run.stderr.contains(says), "{line}: {run:?}");
    }
    assert!(!work.path("code2").exists(), "a code that opens nothing does not stay");
    // Another repository's key.
    result(&work, "repository init vault: --ca Other --recovery-file {code3}");
    fs::rename(work.path("Test-CA.vaultkey"), work.path("key")).unwrap();
    fs::copy(work.path("Other.vaultkey"), work.path("Test-CA.vaultkey")).unwrap();
    let wrong = run(&work, "verify vault:Test-CA/latest");
    assert!(wrong.code == 3 && wrong.stderr.contains("no key fits"), "{wrong:?}");
    fs::remove_file(work.path("Test-CA.vaultkey")).unwrap();
    fs::rename(work.path("key"), work.path("Test-CA.vaultkey")).unwrap();
    let several = run(&work, "verify vault:");
    assert!(several.code == 2 && several.stderr.contains("Other, Test-CA"), "{several:?}");
    // The storage is gone, and the CA keeps its logs.
    let logs = fs::read_dir(work.path("ca/log")).unwrap().count();
    fs::rename(work.path("vault"), work.path("away")).unwrap();
    fs::write(work.path("vault"), "no folder").unwrap();
    let gone = run(&work, "backup --dir {ca} --to vault:Test-CA/");
    assert_eq!(gone.code, 4, "{gone:?}");
    assert!(logs <= fs::read_dir(work.path("ca/log")).unwrap().count());
}

#[test]
fn damage_is_named_with_the_sets_that_it_concerns() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    let id = result(&work, "repository info vault:")["repositories"][0]["points"][0]["id"].clone();
    let data = work.path("vault/Test-CA/data");
    let packs = fs::read_dir(data).unwrap().flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let mut needed = BTreeSet::new();
    for pack in packs.map(|pack| pack.unwrap().path()).collect::<Vec<_>>() {
        let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
        let content = fs::read(&pack).unwrap();
        // Content stands first in a pack, and the list of it last: a set can be read without that list.
        let flipped = |places: Range<usize>| {
            let mut changed = content.clone();
            changed[places].iter_mut().for_each(|byte| *byte ^= 1);
            Some(changed)
        };
        let whole = content.len();
        let cut = Some(content[..20].to_vec());
        for (damaged, verified) in
            [(flipped(0..whole), 5), (flipped(whole - 10..whole - 9), 0), (cut, 5), (None, 5)]
        {
            match damaged {
                Some(bytes) => fs::write(&pack, bytes).unwrap(),
                None => fs::remove_file(&pack).unwrap(),
            }
            let check = run(&work, "repository check vault: --read all");
            assert_eq!(check.code, 5, "{check:?}");
            assert!(check.stdout.contains(&name), "{check:?}");
            // A pack of folders that were joined later is needed by no set.
            let is_needed = check.stdout.contains(&id.as_str().unwrap()[..8]);
            assert_ne!(is_needed, check.stdout.contains("no set needs it"), "{check:?}");
            needed.extend(is_needed.then(|| name.clone()));
            let verify = run(&work, "verify vault:");
            assert_eq!(verify.code, if is_needed { verified } else { 0 }, "{name}: {verify:?}");
            assert!(verify.stderr.len() < 1000, "an error is a sentence: {verify:?}");
            let parts = ["DataBase/", "manifest.json", "a folder of the set", "missing"];
            let names_it = parts.iter().any(|part| verify.stderr.contains(part));
            assert!(verify.code == 0 || names_it, "{verify:?}");
        }
        fs::write(&pack, content).unwrap();
    }
    assert!(3 <= needed.len(), "data, manifest and folders: {needed:?}");
    assert_eq!(run(&work, "repository check vault: --read all").code, 0);
}

/// A changed bit of what is no pack: it is damage, and not a wrong key, whatever it is that changed. What opens nothing here, the
/// key of the recovery code, is read by the check alone.
#[test]
fn a_changed_index_snapshot_or_configuration_is_named() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    for folder in ["", "index", "snapshots", "keys"] {
        let folder = work.path("vault/Test-CA").join(folder);
        let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let mut changed = 0;
        for file in files.filter(|path| path.is_file()) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            let content = fs::read(&file).unwrap();
            let mut flipped = content.clone();
            flipped[content.len() / 2] ^= 1;
            fs::write(&file, flipped).unwrap();
            for line in ["verify vault:", "repository check vault:", "list vault:", "repository info vault:"]
            {
                // What is told of a repository stands in its snapshots.
                let is_told = match (line, folder.file_name().unwrap().to_str()) {
                    ("repository info vault:", Some("index")) => false,
                    (line, Some("keys")) => line.contains("check"),
                    _ => true,
                };
                let code = if is_told { 5 } else { 0 };
                let ran = run(&work, line);
                // An index is passed over by what reads sets, and may name nothing that they need.
                let is_read = line.starts_with("verify") || line.starts_with("list");
                let code = match ran.code {
                    0 if is_read && is_told && folder.ends_with("index") => 0,
                    1 if line.starts_with("verify") && folder.ends_with("index") => 1,
                    _ => code,
                };
                assert_eq!(ran.code, code, "{line}, {name}: {ran:?}");
                assert!(!is_told || format!("{ran:?}").contains(&name), "{line}, {name}: {ran:?}");
            }
            fs::write(&file, content).unwrap();
            changed += 1;
        }
        assert!(0 < changed, "{}", folder.display());
    }
    assert_eq!(run(&work, "verify vault:").code, 0);
}

/// kill -9 at any moment of a restore whose copy of the set becomes the CA's own files: the next one restores, and leaves nothing
/// of the killed one.
#[test]
fn a_restore_that_is_killed_is_repeated() {
    const ROUNDS: u32 = 8;
    let work = with_repository();
    work.issue("ca", "one");
    result(&work, "backup --dir {ca} --to vault: --keep-logs");
    let before = work.tables("--dir {ca}");
    work.copy_key_and_configuration("ca", "whole");
    let begun = std::time::Instant::now();
    result(&work, "restore --from vault: --dir {whole}");
    let whole = begun.elapsed();
    for round in 0..ROUNDS {
        let new = format!("new{round}");
        work.copy_key_and_configuration("ca", &new);
        let restore = format!("restore --from vault: --dir {{{new}}} --force");
        let mut command = command(&work.path(""), &restore);
        command
            .env("CERTADM_REPOSITORIES", work.path("repositories.toml"))
            .env("TMPDIR", work.path("scratch"));
        let mut child =
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / ROUNDS);
        child.kill().ok();
        child.wait().unwrap();
        result(&work, &restore);
        assert_eq!(work.tables(&format!("--dir {{{new}}}")), before, "round {round}");
        let hidden = fs::read_dir(work.path(&new)).unwrap().map(|entry| entry.unwrap().file_name());
        let hidden: Vec<_> = hidden.filter(|name| name.to_string_lossy().starts_with('.')).collect();
        assert!(hidden.is_empty(), "{hidden:?}");
    }
    proven("kills", ROUNDS.into());
}

/// kill -9 at any moment: what counts is whole, and the next backup works.
#[test]
fn a_backup_that_is_killed_leaves_the_state_before_or_after() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    let begun = std::time::Instant::now();
    result(&work, "backup --dir {ca} --to vault:");
    let whole = begun.elapsed();
    const ROUNDS: u32 = 12;
    for round in 0..ROUNDS {
        let mut command = command(&work.path(""), "backup --dir {ca} --to vault:");
        command
            .env("CERTADM_REPOSITORIES", work.path("repositories.toml"))
            .env("TMPDIR", work.path("scratch"));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(whole * round / ROUNDS);
        child.kill().ok();
        child.wait().unwrap();
        let verified = run(&work, "verify vault:");
        assert_eq!(verified.code, 0, "round {round}: {verified:?}");
    }
    result(&work, "backup --dir {ca} --to vault:");
    let info = result(&work, "repository info vault:");
    for point in info["repositories"][0]["points"].as_array().unwrap() {
        let id = &point["id"].as_str().unwrap()[..12];
        assert_eq!(run(&work, &format!("verify vault:{id}")).code, 0);
    }
    assert_eq!(run(&work, "repository check vault: --read all").code, 0);
    assert_no_scratch(&work);
    proven("kills", ROUNDS.into());
}

/// A password opens the repository as the key file does, until it is rotated out.
#[test]
fn passwords_are_added_rotated_and_removed() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    fs::write(work.path("operator"), "correct horse\n").unwrap();
    let added = result(&work, "repository key add vault: --password-file {operator}");
    let id = added["added"].as_str().unwrap();
    let place = work.path("").display().to_string();
    let by_key = fs::read_to_string(work.path("repositories.toml")).unwrap();
    let opens = |file: &str| {
        let text = format!("[vault]\nurl = 'file://{place}/vault'\npassword-file = '{place}/{file}'\n");
        fs::write(work.path("repositories.toml"), text).unwrap();
        let code = run(&work, "repository info vault:").code;
        fs::write(work.path("repositories.toml"), &by_key).unwrap();
        code
    };
    assert_eq!((opens("code"), opens("operator")), (0, 0));
    let rotated =
        result(&work, &format!("repository key rotate vault: {} --recovery-file {{code2}}", &id[..8]));
    assert_eq!(rotated["removed"], id);
    assert_eq!((opens("code"), opens("operator"), opens("code2")), (0, 3, 0));
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(work.path("code2")).unwrap().permissions().mode() & 0o777, 0o600);
    let keys = result(&work, "repository key list vault:")["keys"].clone();
    let others: Vec<&str> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["id"].as_str().unwrap())
        .filter(|id| *id != rotated["added"])
        .collect();
    result(&work, &format!("repository key remove vault: {}", others[0]));
    assert_eq!((opens("code"), opens("code2")), (3, 0));
    for (line, code, says) in [
        ("repository key remove vault: ffffffffffff", 3, "no id of a key"),
        (&format!("repository key remove vault: {}", rotated["added"].as_str().unwrap()), 3, "the last one"),
        ("repository key add vault:", 2, "no terminal"),
        ("repository key rotate vault: ffffffffffff --recovery-file {code4}", 3, "no id of a key"),
        ("repository key add vault: --recovery-file {code2}", 3, "code2"),
    ] {
        let run = run(&work, line);
        assert_eq!(run.code, code, "{line}: {run:?}");
        assert!(run.stderr.contains(says), "{line}: {run:?}");
    }
    assert!(!work.path("code4").exists(), "a code that opens nothing does not stay");
    let again = run(&work, "repository init vault: --ca Test-CA --recovery-file {code5}");
    assert!(again.code == 3 && !work.path("code5").exists(), "{again:?}");
}

/// Whoever names the wrong CA is told the right address, or that there is none.
#[test]
fn a_wrong_ca_is_refused_and_the_right_one_named() {
    let work = with_repository();
    let none = run(&work, "backup --dir {ca} --to vault:Tset-CA");
    assert!(none.code == 3 && none.stderr.contains("has no repository"), "{none:?}");
    assert!(none.stderr.contains("certadm repository init"), "{none:?}");
    result(&work, "repository init vault: --ca facade --recovery-file {code2}");
    let which = run(&work, "repository check vault:");
    assert!(which.stderr.contains("Test-CA, facade/"), "{which:?}");
    let other = run(&work, "backup --dir {ca} --to vault:facade/");
    assert!(other.code == 3 && other.stderr.contains("vault:Test-CA/;"), "{other:?}");
    result(&work, "backup --dir {ca} --to {set}");
    let import = run(&work, "repository import --to vault:facade/ {set}");
    assert!(import.code == 3 && import.stderr.contains("vault:Test-CA/;"), "{import:?}");
}

/// A second vault has every set, proved there, and is one to restore from.
#[test]
fn a_second_vault_has_copies_and_a_lost_pack_is_named() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    work.issue("ca", "one");
    result(&work, "backup --dir {ca} --to vault: --type logs");
    let text = fs::read_to_string(work.path("repositories.toml")).unwrap();
    let other =
        text.replace("[vault]", "[other]").replace("/vault'", "/other'").replace(".vaultkey", ".otherkey");
    fs::write(work.path("repositories.toml"), format!("{text}{other}")).unwrap();
    let unmade = run(&work, "repository copy vault: other:");
    // Its folder is not there, which may be a disk that is not mounted.
    assert!(unmade.code == 4 && unmade.stderr.contains("has no repository"), "{unmade:?}");
    assert!(unmade.stderr.contains("certadm repository init"), "{unmade:?}");
    result(&work, "repository init other: --ca Test-CA --recovery-file {code2}");
    let one = result(&work, "repository copy vault:Test-CA/latest-full other:");
    assert_eq!(one["sets"].as_array().unwrap().len(), 1);
    let all = result(&work, "repository copy vault: other:");
    assert_eq!((&all["sets"][0]["stored"], &all["sets"][1]["stored"]), (&false.into(), &true.into()));
    assert_eq!(run(&work, "repository copy vault: vault:").code, 2);
    let verified = result(&work, "verify other:");
    assert_eq!(verified["content"]["certificates"], 1);
    // A pack of the first is lost.
    let data = work.path("vault/Test-CA/data");
    let packs = fs::read_dir(&data).unwrap().flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    let largest = packs.map(|pack| pack.unwrap()).max_by_key(|pack| pack.metadata().unwrap().len()).unwrap();
    let content = fs::read(largest.path()).unwrap();
    fs::remove_file(largest.path()).unwrap();
    assert_eq!(run(&work, "backup --dir {ca} --to vault:").code, 5);
    let repaired = run(&work, "repository repair vault:");
    assert!(repaired.code == 5 && repaired.stdout.contains("is missing"), "{repaired:?}");
    assert!(
        repaired.stdout.contains("full set") && repaired.stdout.contains("--forget-lost"),
        "{repaired:?}"
    );
    // It is brought back from elsewhere.
    fs::write(largest.path(), content).unwrap();
    assert_eq!(run(&work, "repository repair vault:").code, 0);
    assert_eq!(run(&work, "verify vault:").code, 0);
    // Its bytes change, which nobody sees who does not read them; what the remedies name does.
    let mut changed = fs::read(largest.path()).unwrap();
    changed[0] ^= 1;
    fs::write(largest.path(), &changed).unwrap();
    let unread = run(&work, "repository repair vault:");
    assert!(unread.code == 0 && unread.stdout.contains("were not read"), "{unread:?}");
    let checked = run(&work, "repository check vault: --read all");
    assert!(checked.code == 5 && checked.stdout.contains("repository repair --read"), "{checked:?}");
    let read = run(&work, "repository repair vault: --read");
    assert!(read.code == 5 && read.stdout.contains("has other bytes"), "{read:?}");
    fs::remove_file(largest.path()).unwrap();
    let forgotten = run(&work, "repository repair vault: --forget-lost");
    assert_eq!(forgotten.code, 5, "{forgotten:?}");
    result(&work, "backup --dir {ca} --to vault:");
    assert_eq!(run(&work, "repository check vault: --read all").code, 0);
    assert_eq!(run(&work, "verify vault:").code, 0);
}

/// The folder Identity goes in with the set, and comes out wherever the set does.
#[test]
fn what_the_ca_says_of_itself_is_kept_with_the_set() {
    let work = with_repository();
    let taken = result(&work, "backup --dir {ca} --to vault: --keep-logs");
    let dir = taken["identity"]["dir"].as_str().unwrap();
    assert!(dir.starts_with("vault:Test-CA/") && dir.ends_with("/Identity"), "{taken}");
    let plain = result(&work, "backup --dir {ca} --to {set} --keep-logs");
    assert_eq!(
        taken["identity"]["files"].as_array().unwrap().len(),
        plain["identity"]["files"].as_array().unwrap().len()
    );
    assert_no_scratch(&work);
    let exported = result(&work, "repository export vault:latest --to {out}");
    let folder = exported["sets"][0]["folder"].as_str().unwrap().to_owned();
    assert!(work.path(&folder).join("Identity/identity.json").is_file());
    for line in ["verify vault:", &format!("verify {folder}")] {
        assert_eq!(run(&work, line).code, 0, "{line}");
    }
    assert_eq!(run(&work, "complete vault:").code, run(&work, "complete {set}").code);
    // What is attached to a folder goes in with it.
    let other = work.path("vault/Test-CA");
    fs::rename(&other, work.path("first")).unwrap();
    fs::remove_file(work.path("Test-CA.vaultkey")).unwrap();
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code3}");
    result(&work, &format!("repository import --to vault: {folder}"));
    let again = result(&work, "repository export vault:latest --to {out2}");
    let again = again["sets"][0]["folder"].as_str().unwrap();
    assert_eq!(
        fs::read(work.path(again).join("Identity/identity.json")).unwrap(),
        fs::read(work.path(&folder).join("Identity/identity.json")).unwrap()
    );
    let without = result(&work, "backup --dir {ca} --to vault: --no-identity");
    assert_eq!(without["identity"], Value::Null);
}

#[test]
fn what_is_attached_to_a_stored_set_is_a_later_version_of_it() {
    let work = with_repository();
    fs::write(work.path("note.txt"), "who has the other half of the key").unwrap();
    result(&work, "backup --dir {ca} --to vault:");
    crate::jobs::next_second();
    work.issue("ca", "one");
    result(&work, "backup --dir {ca} --to vault: --type logs");
    result(&work, "verify vault:");
    let ids = |work: &Work| -> Vec<Value> {
        let info = result(work, "repository info vault:");
        let points = info["repositories"][0]["points"].as_array().unwrap().clone();
        assert!(points[0]["version"].is_u64(), "{info:#}");
        points
    };
    let before = ids(&work);
    let incomplete = run(&work, "complete vault:");
    assert_eq!(incomplete.code, 1, "{incomplete:?}");

    let attached = result(&work, "attach vault: --dir {ca} --passphrase-file {pass} --file {note.txt}");
    let stored = attached["stored"].as_str().unwrap();
    assert!(stored.starts_with("vault:Test-CA/"), "{attached:#}");
    assert_eq!(attached["dir"].as_str().unwrap(), format!("{stored}/Identity"));
    assert_no_scratch(&work);
    let after = ids(&work);
    let versions: Vec<&Value> = after.iter().map(|point| &point["version"]).collect();
    assert_eq!(versions, [0, 1, 0], "{after:#?}");
    assert_eq!((&after[0]["id"], &after[2]["id"]), (&before[0]["id"], &before[1]["id"]));
    assert!(stored.ends_with(&after[1]["id"].as_str().unwrap()[..8]), "{stored}");
    // The state is complete now, and the set as it was still is not.
    assert_eq!(run(&work, "complete vault:").code, 0);
    let old = format!("complete vault:={}", before[0]["id"].as_str().unwrap());
    assert_eq!(run(&work, &old).code, 1);
    result(&work, "restore --from vault: --dir {new}");
    assert!(work.path("new/ca.key").is_file(), "the key that was attached came with it");
    // What is done to a repository is done to all of its sets: one that is named is not passed over.
    let one = &after[0]["id"].as_str().unwrap()[..8];
    for line in [
        "expire",
        "repair",
        "check",
        "undelete --at 2026-01-01T00:00:00Z",
        "extend-locks",
        "info",
        "key list",
    ] {
        for point in [one, "latest"] {
            let refused = run(&work, &format!("repository {line} vault:Test-CA/{point}"));
            assert!(
                refused.code == 2 && refused.stderr.contains("names a set"),
                "{line} {point}: {refused:?}"
            );
        }
    }
    // The rules count backups, so the earlier version may go.
    let dry = result(&work, "repository expire vault: --keep-last 2 --dry-run");
    let kept: Vec<bool> = dry["repositories"][0]["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["kept_by"] != Value::from(Vec::<Value>::new()))
        .collect();
    assert_eq!(kept, [false, true, true], "{dry:#}");

    // One log set by itself; a key of another CA, and nothing at all, change nothing.
    result(&work, &format!("attach vault:={} --note here", before[1]["id"].as_str().unwrap()));
    assert_eq!(ids(&work).len(), 4);
    for (line, code) in [
        ("attach vault: --registry {note.txt}", 5),
        ("attach vault:", 2),
        ("attach vault:abcdef12 --note x", 3),
    ] {
        assert_eq!(run(&work, line).code, code, "{line}");
    }
    assert_eq!(ids(&work).len(), 4);
}

#[test]
fn after_a_theft_the_next_repository_takes_the_backups() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    let line = "repository init vault: --ca Test-CA --next --recovery-file {code2}";
    let next = result(&work, line);
    assert_eq!(
        (&next["repository"], &next["follows"]),
        (&"vault:Test-CA!n2".into(), &"vault:Test-CA!n1".into())
    );
    assert!(next["key_file"].as_str().unwrap().ends_with("Test-CA!n2.vaultkey"), "{next}");
    crate::jobs::next_second();
    work.issue("ca", "one");
    // Logs alone continue nothing there.
    let logs = run(&work, "backup --dir {ca} --to vault: --type logs");
    assert!(logs.code == 3 && logs.stderr.contains("full backup"), "{logs:?}");
    assert_eq!(run(&work, "verify vault:").code, 3);
    result(&work, "backup --dir {ca} --to vault:");
    result(&work, "verify vault:");
    let info = result(&work, "repository info vault:");
    let counts: Vec<(&Value, usize)> = info["repositories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["repository"], one["points"].as_array().unwrap().len()))
        .collect();
    assert_eq!(counts, [(&"vault:Test-CA!n1".into(), 1), (&"vault:Test-CA!n2".into(), 1)], "{info:#}");
    result(&work, "verify vault:Test-CA!n1/latest");
    assert_no_scratch(&work);
    let text = fs::read_to_string(work.path("repositories.toml")).unwrap();
    fs::write(work.path("repositories.toml"), text.replace("{ca}", "one")).unwrap();
    let refused = run(&work, "repository init vault: --ca Test-CA --next --recovery-file {code3}");
    assert!(refused.code == 2 && refused.stderr.contains("{ca}"), "{refused:?}");
    assert!(!work.path("code3").exists());
}

/// What is done to all of a vault is done to each CA, also where the key of another one is elsewhere.
#[test]
fn one_ca_without_its_key_here_keeps_no_other_from_its_turn() {
    let work = with_repository();
    result(&work, "backup --dir {ca} --to vault:");
    result(&work, "repository init vault: --ca Another-CA --recovery-file {code2}");
    fs::remove_file(work.path("Another-CA.vaultkey")).unwrap();
    for line in ["repository info vault:", "repository expire vault: --keep-last 1 --dry-run"] {
        let ran = run(&work, line);
        assert_eq!(ran.code, 3, "{line}: {ran:?}");
        assert!(ran.stdout.contains("vault:Test-CA:"), "{line}: {ran:?}");
        assert!(ran.stdout.contains("generations 0x"), "{line}: {ran:?}");
        assert!(format!("{ran:?}").contains("vault:Another-CA: "), "{line}: {ran:?}");
    }
    assert_eq!(run(&work, "repository info vault:Test-CA").code, 0);
}

#[test]
fn a_drill_loses_its_ca_and_comes_back_from_its_repository() {
    let work = Work::new();
    fs::create_dir(work.path("scratch")).unwrap();
    let run = work.run(
        "--json drill --repository --local --size 1MiB --seconds 1 --workers 2 --keep --within {scratch}",
    );
    let json = run.json();
    assert_eq!(run.code, 0, "{json:#}");
    let drill = &json["result"];
    let seen = &drill["repository"];
    assert!(
        drill["passed"] == true && seen["sets"] == 3 && seen["problems"] == Value::from(Vec::<Value>::new()),
        "{drill:#}"
    );
    assert!(0 < seen["packs_read"].as_u64().unwrap(), "{seen}");
    // What is left has the vault and the code, and no key.
    let place = std::path::Path::new(seen["place"].as_str().unwrap());
    let root = place.parent().unwrap();
    let names: BTreeSet<String> =
        fs::read_dir(root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.contains("code") && !names.contains("vault.key") && !names.contains("full"), "{names:?}");
    assert_eq!(work.run("drill --repository --fleet 2").code, 2);
}

/// Whatever a verb says of sets in a repository, good or bad, it names them by their addresses: `run` looks for that.
#[test]
fn no_verb_names_the_scratch_copy_of_a_set() {
    let work = with_repository();
    work.issue("ca", "one");
    let full = result(&work, "backup --dir {ca} --to vault:");
    let address = full["set"].as_str().unwrap().to_owned();
    work.issue("ca", "two");
    result(&work, "backup --dir {ca} --to vault: --type logs");
    work.copy_key_and_configuration("ca", "ca2");
    for line in [
        "verify vault:",
        "show vault:",
        "list vault: requests",
        "complete vault:",
        "gap vault: --certificates {none} --to {gap}",
        "recover vault: --to {recovered}",
        "diff vault:latest-full vault:latest",
        "emergency-crl vault: --key {ca/ca.key} --passphrase-file {pass} --no-published --to {crl}",
        "restore --from vault: --dir {ca2} --dry-run",
        "restore --from vault: --dir {ca}",
        "rehearse vault: --within {scratch} --evidence {evidence}",
    ] {
        let (told, json) = (run(&work, line), run(&work, &format!("--json {line}")));
        assert!([0, 1, 3, 4, 5].contains(&told.code) && json.code != 2, "{line}: {told:?} {json:?}");
    }
    let shown = result(&work, "show vault:latest-full");
    assert!(shown.to_string().contains(&address), "{shown}");
    let evidence: Vec<String> = fs::read_dir(work.path("evidence"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap_or_default())
        .collect();
    assert!(!evidence.concat().contains(".certadm-scratch"), "{evidence:?}");
}

/// A rehearsal of an address names the address, and leaves a note that its state is proven.
#[test]
fn a_state_in_a_repository_is_rehearsed() {
    let work = with_repository();
    work.issue("ca", "one");
    result(&work, "backup --dir {ca} --to vault: --keep-logs");
    fs::create_dir(work.path("sets")).unwrap();
    result(&work, "backup --dir {ca} --to {sets/set} --keep-logs");
    let image = work.path("sets/set/DataBase/Test-CA.db");
    let before = fs::read(&image).unwrap();
    let plain = run(&work, "--json rehearse {sets/set} --within {scratch}");
    // What is in a folder is no copy: the CA that is restored from it changes files of its own.
    let latest = run(&work, "--json rehearse --latest-in {sets} --within {scratch}");
    assert_eq!(plain.code, latest.code, "{latest:?}");
    assert!(fs::read(&image).unwrap() == before, "a set was changed");
    assert_eq!(run(&work, "verify {sets/set}").code, 0);
    let rehearsed = run(&work, "--json rehearse vault: --within {scratch}");
    assert_eq!(plain.code, rehearsed.code, "{rehearsed:?}");
    let newest = run(&work, "--json rehearse --latest-in vault:Test-CA --within {scratch}");
    assert_eq!(newest.code, rehearsed.code, "{newest:?}");
    assert_eq!(newest.json()["result"]["set"], rehearsed.json()["result"]["set"]);
    let named =
        run(&work, "rehearse --latest-in vault:Test-CA/gen:1 --within {scratch} --evidence {evidence}");
    assert!(named.code == 2 && !work.path("evidence").exists(), "{named:?}");
    let identity =
        run(&work, "rehearse vault: --within {scratch} --identity {not-there} --evidence {evidence}");
    assert!(identity.code == 2 && !work.path("evidence").exists(), "{identity:?}");
    let json = rehearsed.json().to_string();
    assert!(json.contains("vault:Test-CA/") && !json.contains(".certadm-scratch"), "{json}");
    // The evidence says which set it was, as that of a folder does.
    let set = rehearsed.json()["result"]["set"].clone();
    assert_eq!(set["paths"][0]["manifest_sha256"].as_str().map(str::len), Some(64), "{set:#}");
    assert_eq!(set["database_signature"], plain.json()["result"]["set"]["database_signature"]);
    let info = result(&work, "repository info vault:")["repositories"][0].clone();
    assert_eq!(info["points"][0]["proven"], true);
    assert_eq!(info["newest_proven"]["id"], info["points"][0]["id"]);
    assert!(info["newest_proven"]["at"].is_string() && info["newest"]["age_seconds"].is_u64(), "{info:#}");
    for (theirs, ours) in [("snapshots", "repository info"), ("forget --keep-last 1", "repository expire")] {
        let told = run(&work, &format!("repository {theirs} vault:"));
        assert!(told.code == 2 && told.stderr.contains(ours), "{told:?}");
    }
    assert_no_scratch(&work);
}

/// `doctor` names the step at which the way into a vault ends.
#[test]
fn the_doctor_walks_the_steps_to_a_vault() {
    let work = world();
    let verdict = |step: &str| {
        let run = run(&work, "--json doctor vault:Test-CA/");
        let json = run.json();
        let steps = json["result"]["steps"].as_array().unwrap_or_else(|| panic!("{json}")).clone();
        let found = steps.iter().find(|found| found["step"] == step).unwrap().clone();
        (run.code, found["verdict"].as_str().unwrap().to_owned())
    };
    assert_eq!(verdict("storage"), (4, "shut".to_owned()), "there is no vault yet");
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    assert_eq!(verdict("clock"), (0, "ok".to_owned()));
    assert_eq!(verdict("space"), (0, "ok".to_owned()));
    result(&work, "backup --dir {ca} --to vault:");
    fs::rename(work.path("Test-CA.vaultkey"), work.path("key")).unwrap();
    assert_eq!(verdict("key"), (3, "shut".to_owned()));
    fs::write(work.path("Test-CA.vaultkey"), "x").unwrap();
    assert_eq!(verdict("key"), (3, "shut".to_owned()));
    fs::rename(work.path("key"), work.path("Test-CA.vaultkey")).unwrap();
    fs::rename(work.path("vault/Test-CA/data"), work.path("data")).unwrap();
    assert_eq!((verdict("packs"), verdict("clock").1), ((5, "shut".to_owned()), "skipped".to_owned()));
}

/// What no rule keeps expires; the state that was verified last stays.
#[test]
fn sets_expire_by_rules_and_the_verified_state_stays() {
    let work = with_repository();
    for _ in 0..2 {
        result(&work, "backup --dir {ca} --to vault:");
        work.issue("ca", "one");
        result(&work, "backup --dir {ca} --to vault: --type logs");
    }
    let info = || result(&work, "repository info vault:")["repositories"][0]["points"].clone();
    let ids: Vec<String> = info()
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["id"].as_str().unwrap()[..12].to_owned())
        .collect();
    result(&work, &format!("verify vault:{}", ids[0]));
    assert_eq!(info()[0]["proven"], true);
    let none = run(&work, "repository expire vault:");
    assert!(none.code == 2 && none.stderr.contains("--keep-last"), "{none:?}");
    let judged = result(&work, "repository expire vault: --keep-last 1 --dry-run");
    let points = judged["repositories"][0]["points"].clone();
    assert_eq!(points[0]["kept_by"], serde_json::json!(["the newest proven state"]));
    assert_eq!((&points[1]["kept_by"], &points[1]["deleted"]), (&serde_json::json!([]), &false.into()));
    assert_eq!(points[2]["kept_by"], serde_json::json!(["another set needs it"]));
    assert_eq!(points[3]["kept_by"], serde_json::json!(["last", "the newest state"]));
    assert_eq!(info().as_array().unwrap().len(), 4);
    // The rules of the vault, and a machine that is not meant to delete anything.
    let text = fs::read_to_string(work.path("repositories.toml")).unwrap();
    fs::write(work.path("repositories.toml"), format!("{text}maintenance = false\n[vault.keep]\nlast = 1\n"))
        .unwrap();
    let refused = run(&work, "repository expire vault:");
    assert!(refused.code == 3 && refused.stderr.contains("maintenance = false"), "{refused:?}");
    fs::write(work.path("repositories.toml"), format!("{text}[vault.keep]\nlast = 1\n")).unwrap();
    let expired = result(&work, "repository expire vault:");
    assert_eq!(expired["repositories"][0]["points"][1]["deleted"], true);
    assert_eq!(info().as_array().unwrap().len(), 3);
    assert_eq!(run(&work, "repository check vault: --read all").code, 0);
    assert_eq!(run(&work, &format!("verify vault:{}", ids[3])).code, 0);
    assert_no_scratch(&work);
}
