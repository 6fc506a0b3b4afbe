//! Jobs from the command line: a configuration, runs into folders and vaults, what is due and what is not.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::repository;
use crate::support::{Run, Work, command};

/// A work folder with a CA, a vault and a configuration that has this job.
pub(crate) fn world(job: &str) -> Work {
    let work = repository::world();
    let owner_alone = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(work.path("pass"), owner_alone).unwrap();
    fs::create_dir(work.path("backups")).unwrap();
    configure(&work, job);
    work
}

/// Writes the configuration: the CA of the folder `ca`, and a job.
pub(crate) fn configure(work: &Work, job: &str) {
    let text = format!(
        "state = 'state'\nretry-after = []\n\n[ca.web]\ndir = 'ca'\nkey = 'ca/ca.key'\npassphrase-file = 'pass'\n\
         identity = 'ca'\n\n[job.nightly]\nca = 'all'\n{job}\n"
    );
    fs::write(work.path("certadm.toml"), text).unwrap();
}

/// Runs a command with that configuration.
pub(crate) fn run(work: &Work, line: &str) -> Run {
    let mut command = command(&work.path(""), line);
    Run::of(
        command
            .env("CERTADM_JOBS", work.path("certadm.toml"))
            .env("CERTADM_REPOSITORIES", work.path("repositories.toml"))
            .env("TMPDIR", work.path("scratch")),
    )
}

/// The result of a command that went well.
pub(crate) fn result(work: &Work, line: &str) -> Value {
    let run = run(work, &format!("--json {line}"));
    let json = run.json();
    assert_eq!(run.code, 0, "{line}: {json:#}");
    json["result"].clone()
}

/// The steps of the only CA of a run, each with its outcome.
pub(crate) fn steps(run: &Value) -> Vec<String> {
    let runs = run["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 1, "{run:#}");
    let steps = runs[0]["steps"].as_array().unwrap();
    steps.iter().map(|step| format!("{} {}", text(&step["step"]), text(&step["outcome"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Waits until the clock shows another second: names of sets have seconds.
pub(crate) fn next_second() {
    let begun = system_seconds();
    let bound = Instant::now() + Duration::from_secs(60);
    while system_seconds() == begun && Instant::now() < bound {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn system_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn a_job_takes_a_full_set_into_a_folder_then_logs_and_then_nothing() {
    let work =
        world("to = 'backups'\nfull = 'monthly 1 00:00'\nlogs = 'every 31d'\nverify = 'monthly 1 00:00'");
    work.issue("ca", "one");
    let first = result(&work, "run nightly");
    assert_eq!(steps(&first), ["full good", "verify good"], "{first:#}");
    let step = &first["runs"][0]["steps"][0];
    assert!(text(&step["why"]).contains("no full set is there"), "{step:#}");
    assert!(text(&step["command"]).starts_with("certadm backup --dir "), "{step:#}");
    let set = text(&step["result"]["set"]).to_owned();
    assert!(set.contains("/backups/web/20") && set.ends_with("-full"), "{set}");
    // Nothing is due now, whatever file is lost.
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0);
    fs::remove_dir_all(work.path("state")).unwrap();
    assert_eq!(steps(&result(&work, "run --all")).len(), 0);
    assert_eq!(run(&work, "run nightly").good(), "Nothing is due for 1 CA.\n");

    work.issue("ca", "two");
    next_second();
    let logs = result(&work, "run nightly --now logs");
    assert_eq!(steps(&logs), ["logs good"], "{logs:#}");
    assert_eq!(logs["runs"][0]["steps"][0]["result"]["kind"], "incremental", "the logs are truncated");
    let rehearsed = result(&work, "run nightly --now rehearse");
    assert_eq!(steps(&rehearsed), ["rehearse good"], "{rehearsed:#}");
    assert!(fs::read_dir(work.path("state/evidence/web")).unwrap().count() >= 2);
    let mut sets: Vec<_> =
        fs::read_dir(work.path("backups/web")).unwrap().map(|entry| entry.unwrap().path()).collect();
    sets.sort();
    sets.retain(|set| !set.file_name().unwrap().to_str().unwrap().starts_with('.'));
    let [full, logs] = sets.as_slice() else { panic!("{sets:?}") };
    let verified = result(&work, &format!("verify {} {}", full.display(), logs.display()));
    assert_eq!(verified["content"]["certificates"], 2, "{verified:#}");
}

/// A proof and a rehearsal that were dated while the clock was ahead hid those that came after them.
#[test]
fn notes_of_a_clock_that_was_ahead_make_no_step_due_for_ever() {
    let monthly = ["full", "verify", "rehearse"].map(|step| format!("{step} = 'monthly 1 00:00'"));
    let work = world(&format!("to = 'backups'\n{}", monthly.join("\n")));
    work.issue("ca", "one");
    let first = result(&work, "run nightly");
    assert_eq!(steps(&first), ["full good", "verify good", "rehearse good"], "{first:#}");
    next_second();
    assert_eq!(steps(&result(&work, "run nightly --now full")), ["full good"]);
    let in_folder = |folder: &str, ending: &str| {
        let entries = fs::read_dir(work.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_str().unwrap().ends_with(ending)).min().unwrap()
    };
    fs::write(in_folder("backups/web/.proven", "-full"), "2099-01-01T00:00:00Z").unwrap();
    let evidence = in_folder("state/evidence/web", ".json");
    let mut told: Value = serde_json::from_slice(&fs::read(&evidence).unwrap()).unwrap();
    told["ended"] = "2099-01-01T00:00:00Z".into();
    fs::write(&evidence, serde_json::to_vec_pretty(&told).unwrap()).unwrap();
    // What the records know of the proof has the date of that clock, too.
    let file = work.path("state/attempts/nightly/web.json");
    let mut attempts: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    attempts["proven"]["when"] = 4_070_908_800_i64.into();
    fs::write(&file, serde_json::to_vec(&attempts).unwrap()).unwrap();
    // The rehearsal tells that it follows one of the future.
    let again = run(&work, "--json run nightly").json();
    assert_eq!(steps(&again["result"]), ["verify good", "rehearse finding"], "{again:#}");
    let nothing = result(&work, "run nightly");
    assert_eq!(steps(&nothing).len(), 0, "{nothing:#}");
}

/// A job keeps the sets of each CA in a folder of the CA's own: who names the one above is told.
#[test]
fn the_folder_above_the_sets_says_where_they_lie() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'");
    result(&work, "run nightly");
    let sets = work.path("backups/web").display().to_string();
    for line in ["sets {backups}", "prune {backups} --keep-last 1 --dry-run"] {
        let told = run(&work, line);
        assert!(told.code == 0 && told.stdout.contains(&format!("Sets lie in {sets}.")), "{line}: {told:?}");
    }
    for line in ["verify {backups}", "show {backups}", "restore --from {backups} --dir {new}"] {
        let told = run(&work, line);
        let said = format!("{}{}", told.stdout, told.stderr);
        assert!(said.contains(&format!("name one of the sets in it, such as {sets}/2")), "{line}: {told:?}");
    }
    let latest = run(&work, "--json restore --latest-in {backups} --dir {new}").json();
    assert_eq!(latest["error"]["remedy"], format!("sets lie in {sets}: name that folder"));
}

/// A place that is not there is one alarm, however many steps need it.
#[test]
fn a_missing_place_is_told_once() {
    let work = world("to = 'missing'\nfull = 'daily 02:00'");
    let told = run(&work, "run --all");
    assert_eq!(told.code, 3, "{told:?}");
    let status = run(&work, "status");
    assert_eq!(status.stdout.matches("there is no folder").count(), 1, "{status:?}");
    assert_eq!(
        status.stdout.matches("failed").count(),
        2,
        "in the line of the CA, and with its reason: {status:?}"
    );
    assert!(status.stdout.contains("make it or mount it"), "{status:?}");
}

#[test]
fn a_job_bounds_what_its_backups_read_in_a_second() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'\nbandwidth = '1GiB/s'");
    let first = result(&work, "run nightly");
    let command = text(&first["runs"][0]["steps"][0]["command"]).to_owned();
    assert!(command.contains(" --bandwidth 1073741824"), "{command}");
    assert_eq!(result(&work, "config show")["jobs"][0]["bandwidth"], 1 << 30);
    for wrong in ["fast", "0", "1KiB/s"] {
        configure(&work, &format!("to = 'backups'\nfull = 'monthly 1 00:00'\nbandwidth = '{wrong}'"));
        let refused = run(&work, "config check");
        assert!(refused.code == 2 && refused.stderr.contains("bandwidth: a speed is"), "{refused:?}");
    }
    assert_eq!(run(&work, "backup --dir ca --to x --bandwidth 1k").code, 2);
}

#[test]
fn a_job_with_a_folder_prunes_it_after_a_full_backup() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'\nlogs = 'every 31d'\nkeep = { last = 1 }");
    assert_eq!(steps(&result(&work, "run nightly")), ["full good", "prune good"]);
    next_second();
    result(&work, "run nightly --now logs");
    assert_eq!(steps(&result(&work, "run nightly --now rehearse")), ["rehearse good"]);
    next_second();
    let second = result(&work, "run nightly --now full");
    assert_eq!(steps(&second), ["full good", "prune good"], "{second:#}");
    let sets = || result(&work, "sets {backups/web}")["cas"][0]["sets"].as_array().unwrap().len();
    assert_eq!(sets(), 3, "the rehearsed state stays, and what it needs");
    next_second();
    assert_eq!(steps(&result(&work, "run nightly --now rehearse")), ["rehearse good"]);
    let third = result(&work, "run nightly --now prune");
    let command = text(&third["runs"][0]["steps"][0]["command"]);
    assert!(command.contains("--keep-last 1") && command.contains("--evidence"), "{third:#}");
    assert_eq!(sets(), 1, "a newer state is proven");
}

#[test]
fn a_job_with_a_vault_copies_and_prunes_after_a_full_backup() {
    let job = "to = ['vault:', 'other:']\nfull = 'daily 00:00'\nlogs = 'every 15m'\nkeep = { last = 1 }\ncomplete = 'daily 00:00'";
    let work = world(job);
    let place = work.path("").display().to_string();
    let other = format!(
        "\n[repository.other]\nurl = 'file://{place}/other'\nkey-file = '{place}/other-{{ca}}.vaultkey'\n"
    );
    let mut text = fs::read_to_string(work.path("certadm.toml")).unwrap();
    text.push_str(&other);
    fs::write(work.path("certadm.toml"), text).unwrap();
    for vault in ["vault", "other"] {
        result(&work, &format!("repository init {vault}: --ca Test-CA --recovery-file {{code-{vault}}}"));
    }
    let checked = run(&work, "config check");
    assert_eq!(checked.code, 0, "{checked:?}");
    let first = result(&work, "run nightly");
    let expected = ["full good", "copy good", "prune good", "prune good", "complete good"];
    assert_eq!(steps(&first), expected, "{first:#}");
    next_second();
    let second = result(&work, "run nightly --now full");
    assert_eq!(steps(&second), ["full good", "copy good", "prune good", "prune good"], "{second:#}");
    for vault in ["vault", "other"] {
        let info = result(&work, &format!("repository info {vault}:Test-CA"));
        assert_eq!(info["repositories"][0]["points"].as_array().map(Vec::len), Some(1), "{vault}: {info:#}");
    }
    let logs = result(&work, "run nightly --now logs");
    assert_eq!(steps(&logs), ["logs good", "copy good"], "{logs:#}");
}

/// A second place that is away stays an alarm, and gets its copy later, however well the third place does.
#[test]
fn a_copy_that_failed_is_told_and_done_again_where_it_failed() {
    let job = "to = ['vault:', 'other:', 'third:']\nfull = 'monthly 1 00:00'\nkeep = { last = 1 }";
    let work = world(job);
    let place = work.path("").display().to_string();
    let mut text = fs::read_to_string(work.path("certadm.toml")).unwrap();
    for name in ["other", "third"] {
        text.push_str(&format!(
            "\n[repository.{name}]\nurl = 'file://{place}/{name}'\nkey-file = '{place}/{name}-{{ca}}.vaultkey'\n"
        ));
    }
    fs::write(work.path("certadm.toml"), text).unwrap();
    for vault in ["vault", "other", "third"] {
        result(&work, &format!("repository init {vault}: --ca Test-CA --recovery-file {{code-{vault}}}"));
    }
    fs::rename(work.path("other"), work.path("away")).unwrap();
    let first = run(&work, "--json run nightly").json()["result"].clone();
    let expected = ["full good", "copy failed", "copy good", "prune good", "prune failed", "prune good"];
    assert_eq!(steps(&first), expected, "{first:#}");
    assert_eq!(first["runs"][0]["steps"][1]["place"], "other:");
    let told = run(&work, "check");
    assert!(told.code == 2 && told.stdout.contains("web failed: copy into other: "), "{told:?}");
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0, "it waits");
    // The wait is over, and the place is back.
    fs::rename(work.path("away"), work.path("other")).unwrap();
    let file = work.path("state/attempts/nightly/web.json");
    let mut attempts: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for step in ["copy", "prune"] {
        attempts["places"]["other:"][step]["tried"] = 0.into();
    }
    fs::write(&file, serde_json::to_vec(&attempts).unwrap()).unwrap();
    let again = run(&work, "run nightly");
    assert!(again.stdout.contains("web: copy into other: good in "), "{again:?}");
    let places = |line: &str| again.stdout.matches(line).count();
    assert_eq!((places("web: copy into"), places("web: prune of")), (2, 2), "begun and ended: {again:?}");
    assert_eq!(run(&work, "check").code, 0);
}

/// A server of restic's protocol keeps no notes of proofs: here they are taken away.
#[test]
fn a_vault_without_notes_of_proofs_is_verified_at_its_times_alone() {
    let work = world("to = 'vault:'\nfull = 'monthly 1 00:00'\nverify = 'monthly 1 00:00'");
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    assert_eq!(steps(&result(&work, "run nightly")), ["full good", "verify good"]);
    let notes = work.path("vault/Test-CA/certadm/proven");
    fs::remove_dir_all(&notes).unwrap();
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0);
    let status = run(&work, "--json status").json();
    assert!(status["result"]["cas"][0]["verified"].is_string(), "{status:#}");
    // Another set is there, and what was proven is not.
    next_second();
    assert_eq!(steps(&result(&work, "run nightly --now full")), ["full good"]);
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0);
    result(&work, "repository expire vault:Test-CA --keep-last 1");
    assert_eq!(steps(&result(&work, "run nightly")), ["verify good"]);
}

/// What one job has rehearsed at its place says nothing of the place of another one.
#[test]
fn two_jobs_of_a_ca_rehearse_each_their_own_place() {
    let first = "to = 'backups'\nfull = 'monthly 1 00:00'\nrehearse = 'monthly 1 00:00'";
    let work = world(first);
    fs::create_dir(work.path("more")).unwrap();
    result(&work, "repository init vault: --ca Test-CA --recovery-file {code}");
    assert_eq!(steps(&result(&work, "run nightly")), ["full good", "rehearse good"]);
    let second = |rehearse: &str| {
        let to_vault = "[job.second]\nca = 'web'\nto = 'vault:'\nfull = 'monthly 1 00:00'";
        let to_folder = "[job.third]\nca = 'web'\nto = 'more'\nfull = 'monthly 1 00:00'";
        configure(&work, &format!("{first}\n{to_vault}\n{rehearse}\n{to_folder}\n{rehearse}"));
    };
    let rehearsed = || {
        let status = run(&work, "--json status").json();
        let cas = status["result"]["cas"].as_array().unwrap().clone();
        cas.iter().map(|ca| !ca["rehearsed"].is_null()).collect::<Vec<_>>()
    };
    // Jobs without rehearsals are not shown as rehearsed; by hand they write where the evidence was.
    second("");
    assert_eq!(rehearsed(), [true, false, false]);
    assert_eq!(steps(&result(&work, "run second")), ["full good"]);
    assert_eq!(steps(&result(&work, "run second --now rehearse")), ["rehearse good"]);
    assert_eq!(rehearsed(), [true, true, false]);
    second("rehearse = 'monthly 1 00:00'");
    assert_eq!(rehearsed(), [true, true, false], "what was rehearsed before counts on");
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0);
    assert_eq!(steps(&result(&work, "run second")).len(), 0);
    assert_eq!(steps(&result(&work, "run third")), ["full good", "rehearse good"]);
    assert_eq!(rehearsed(), [true; 3]);
    assert!(work.path("state/evidence/third/web").is_dir());
    // Alone again, the job reads what it has left in both.
    configure(
        &work,
        &format!(
            "{first}\n[job.third]\nca = 'web'\nto = 'more'\nfull = 'monthly 1 00:00'\nevidence = 'elsewhere'"
        ),
    );
    assert_eq!(rehearsed(), [true, false]);
}

/// A key in an HSM is no gap, and a note beside the CA's identity says where it is.
#[test]
fn a_key_that_cannot_leave_its_place_is_not_missing() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'\ncomplete = 'monthly 1 00:00'");
    let text = fs::read_to_string(work.path("certadm.toml")).unwrap();
    let keys = "key = 'ca/ca.key'\npassphrase-file = 'pass'";
    let without = text.replace(keys, "");
    fs::write(work.path("certadm.toml"), &without).unwrap();
    let step = |run: &Value| run["runs"][0]["steps"][0].clone();
    let ran = run(&work, "--json run nightly").json()["result"].clone();
    let incomplete = ran["runs"][0]["steps"][1]["result"].clone();
    assert_eq!(incomplete["missing"], serde_json::json!(["key"]), "{ran:#}");
    fs::write(work.path("certadm.toml"), without.replace("dir = 'ca'", "dir = 'ca'\nexternal-key = true"))
        .unwrap();
    let external = step(&result(&work, "run nightly --now complete"));
    let key = |step: &Value| {
        let components = step["result"]["components"].as_array().unwrap().clone();
        components.into_iter().find(|component| component["id"] == "key").unwrap()
    };
    assert_eq!(
        (&key(&external)["state"], &external["outcome"]),
        (&"external".into(), &"good".into()),
        "{external:#}"
    );
    assert!(self::text(&external["command"]).ends_with(" --external-key"), "{external:#}");
    assert_eq!(run(&work, "check").code, 0);
    // A folder with ca.toml and ca.crt is no identity part; one with a note is.
    let part = work.path("part");
    let sets = fs::read_dir(work.path("backups/web")).unwrap().map(|entry| entry.unwrap().path());
    let set = sets.into_iter().find(|set| set.join("manifest.json").exists()).unwrap();
    result(&work, &format!("attach {} --external-key HSM-slot-3", set.display()));
    fs::rename(set.join("Identity"), &part).unwrap();
    fs::write(work.path("certadm.toml"), without.replace("identity = 'ca'", "identity = 'part'")).unwrap();
    let noted = step(&result(&work, "run nightly --now complete"));
    assert_eq!(key(&noted)["source"], "HSM-slot-3", "{noted:#}");
    fs::write(
        work.path("certadm.toml"),
        without.replace("identity = 'ca'", "identity = 'part'\nexternal-key = true"),
    )
    .unwrap();
    let noted = step(&result(&work, "run nightly --now complete"));
    assert_eq!(key(&noted)["source"], "HSM-slot-3", "the note says more: {noted:#}");
}

/// Nobody could do it again, and the alarm would stay for ever.
#[test]
fn what_a_job_does_not_do_is_refused_and_its_old_failures_are_no_alarm() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'\nverify = 'monthly 1 00:00'");
    assert_eq!(steps(&result(&work, "run nightly")), ["full good", "verify good"]);
    for (step, says) in [("prune", "it has no `keep`"), ("copy", "it has one place")] {
        for line in ["run nightly", "run --all"] {
            let refused = run(&work, &format!("{line} --now {step}"));
            assert!(refused.code == 2 && refused.stderr.contains(says), "{refused:?}");
        }
    }
    assert_eq!(run(&work, "check").code, 0);
    let newest = || {
        let sets = fs::read_dir(work.path("backups/web")).unwrap().map(|entry| entry.unwrap().path());
        sets.filter(|set| set.join("manifest.json").exists()).max().unwrap()
    };
    let damage = |set: &std::path::Path| {
        let database = set.join("DataBase/Test-CA.db");
        let whole = fs::read(&database).unwrap();
        fs::write(&database, &whole[1..]).unwrap();
        (database, whole)
    };
    let set = newest();
    damage(&set);
    next_second();
    // By a schedule: it goes with the schedule.
    let file = work.path("state/attempts/nightly/web.json");
    fs::remove_file(work.path("backups/web/.proven").join(set.file_name().unwrap())).unwrap();
    fs::remove_file(&file).unwrap();
    let ran = run(&work, "--json run nightly").json();
    assert_eq!(steps(&ran["result"]), ["verify failed", "full good"], "{ran:#}");
    assert_eq!(run(&work, "check").code, 2);
    configure(&work, "to = 'backups'\nfull = 'monthly 1 00:00'");
    assert_eq!(run(&work, "check").code, 0);
    // By hand: it stays until it is done again.
    let (database, whole) = damage(&newest());
    assert_eq!(run(&work, "run nightly --now verify").code, 5);
    assert_eq!(run(&work, "check").code, 2);
    fs::write(&database, whole).unwrap();
    assert_eq!(run(&work, "run nightly --now verify").code, 0);
    assert_eq!(run(&work, "check").code, 0);
}

#[test]
fn logs_without_a_base_become_a_full_backup_and_the_reason_is_said() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'\nlogs = 'every 15m'");
    result(&work, "run nightly");
    // The CA is restored, and its old base counts no more.
    let set = fs::read_dir(work.path("backups/web")).unwrap().next().unwrap().unwrap().path();
    result(&work, &format!("restore --from {} --dir {{ca}} --force", set.display()));
    next_second();
    // The full backup does what the logs could not: the run went well.
    let ran = result(&work, "run nightly --now logs");
    assert_eq!(steps(&ran), ["logs failed", "full good"], "{ran:#}");
    assert!(text(&ran["runs"][0]["steps"][1]["why"]).contains("no full backup on record"), "{ran:#}");
}

#[test]
fn a_failed_step_says_what_to_do_and_waits_before_it_is_tried_again() {
    let work = world("to = 'backups'\nfull = 'monthly 1 00:00'");
    fs::rename(work.path("ca"), work.path("gone")).unwrap();
    let failed = run(&work, "run nightly");
    assert_eq!(failed.code, 3, "{failed:?}");
    for part in ["web: full FAILED", "what to do: ", "by hand: certadm backup --dir "] {
        assert!(failed.stdout.contains(part), "{part}: {failed:?}");
    }
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0, "it waits");
    fs::rename(work.path("gone"), work.path("ca")).unwrap();
    fs::remove_dir_all(work.path("state")).unwrap();
    assert_eq!(steps(&result(&work, "run nightly")), ["full good"]);
    // A disk that is not mounted is no empty place.
    fs::rename(work.path("backups"), work.path("unmounted")).unwrap();
    let failed = run(&work, "--json run nightly");
    assert_eq!(steps(&failed.json()["result"]), ["look failed"], "{failed:?}");
    assert!(!work.path("backups").exists());
    fs::rename(work.path("unmounted"), work.path("backups")).unwrap();
    assert_eq!(steps(&result(&work, "run nightly")).len(), 0);
}

#[test]
fn mistakes_in_the_configuration_are_told_with_line_and_column() {
    let work = world("to = 'backups'\nfull = 'daily 02:00'");
    for (job, says) in [
        ("to = 'backups'\nfull = 'daily 25:00'", "line 13, column 8: full: this is no schedule"),
        (
            "to = 'backups'\nfull = 'daily 02:00'\nverfy = 'hourly'",
            "line 14, column 1: unknown field `verfy`",
        ),
        ("to = 'backups'", "[job.nightly]: `full` is missing"),
        ("full = 'hourly'", "[job.nightly]: `to` is missing"),
        (
            "to = ['backups', './backups/']\nfull = 'hourly'",
            "line 12, column 6: to: [job.nightly]: it names a place twice",
        ),
        ("to = 'vault:x/latest'\nfull = 'hourly'", "name a vault alone"),
        ("to = 'backups'\nfull = 'hourly'\nnotify = 'ops'", "there is no section [notify.ops]"),
        ("to = 'backups'\nfull = 'hourly'\nrpo = '1 day'", "rpo: this is no span of time"),
        (
            "to = 'a'\nlogs = 'hourly'\n[job.other]\nca = 'web'\nto = 'b'\nlogs = 'hourly'",
            "both back up the logs of web",
        ),
        (
            "to = 'a'\nlogs = 'hourly'\n[ca.two]\ndir = './ca/.'\n[job.other]\nca = 'two'\nto = 'b'\nlogs = 'hourly'",
            "the sections ca.two and ca.web are of one CA",
        ),
        ("to = 'a'\nfull = 'hourly'\n[ca.two]\nserver = 'x'\ndir = 'y'", "[ca.two]: name either `dir`"),
        ("to = 'a'\nfull = 'hourly'\n[notify.x]\nwebhook = 'ftp://x'", "webhook begins with https://"),
    ] {
        configure(&work, job);
        let refused = run(&work, "config check");
        assert_eq!(refused.code, 2, "{job}: {refused:?}");
        assert!(refused.stderr.contains(says), "{job}: {refused:?}");
    }
    let nowhere = Run::of(command(&work.path(""), "run --all").env("CERTADM_JOBS", work.path("no.toml")));
    assert_eq!(nowhere.code, 2);
    assert!(nowhere.stderr.contains("certadm config init"), "{nowhere:?}");
}

#[test]
fn a_check_of_the_configuration_looks_for_all_that_it_names() {
    let work = world("");
    let job = "to = 'backups'\nfull = 'hourly'\nsign-key = 'sign'\nsign-passphrase-file = 'sign.pass'\n\
               allowed-signers = 'signers'\nscratch = 'tmp'\n[job.other]\nca = 'web'\nto = 'backups'\nfull = 'hourly'\n\
               sign-key = 'sign'\n[notify.ops]\ncommand = ['COMMAND', 'x']\n\
               mail = { server = 'localhost', tls = 'none', ca-file = 'mail.pem', from = 'a@b.c', to = 'a@b.c' }";
    let with = |command: &str| {
        configure(&work, &job.replace("COMMAND", command));
        let written = fs::read_to_string(work.path("certadm.toml")).unwrap();
        fs::write(work.path("certadm.toml"), written.replace("identity = 'ca'", "identity = 'id'")).unwrap();
        let checked = run(&work, "--json config check").json()["result"].clone();
        let found = checked["findings"].as_array().unwrap().clone();
        found.iter().map(|finding| text(&finding["detail"]).to_owned()).collect::<Vec<_>>()
    };
    let hook = work.path("hook").display().to_string();
    let found = with(&hook);
    let said = run(&work, "config check").stdout;
    let named = ["sign", "sign.pass", "signers", "tmp", "id", "mail.pem", "hook"];
    for name in named {
        let path = work.path(name).display().to_string();
        let about = found.iter().filter(|text| text.split(' ').any(|word| word == path)).count();
        assert_eq!(about, 1, "{name}: {found:#?}");
        assert!(said.contains(&path), "{name}: {said}");
    }
    assert_eq!(found.len(), named.len(), "{found:#?}");
    for folder in ["tmp", "id"] {
        fs::create_dir(work.path(folder)).unwrap();
    }
    for file in ["sign", "sign.pass", "signers", "mail.pem", "hook"] {
        fs::write(work.path(file), "x").unwrap();
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        fs::set_permissions(work.path(file), all).unwrap();
    }
    let found = with(&hook);
    assert_eq!(found.iter().filter(|text| text.starts_with("others can read ")).count(), 2, "{found:#?}");
    assert!(found.len() == 3 && found.iter().any(|text| text.contains("no program")), "{found:#?}");
    for (command, is_there) in [("sh", true), ("/bin/sh", true), ("certadm-has-no-such-hook", false)] {
        assert_eq!(!with(command).iter().any(|text| text.contains("no program")), is_there, "{command}");
    }
}

#[test]
fn init_writes_a_configuration_that_runs() {
    let work = world("");
    fs::remove_file(work.path("certadm.toml")).unwrap();
    let line = "config init --ca {ca} --to {backups} --logs hourly --notify /bin/true";
    let written = result(&work, line);
    assert_eq!((&written["cas"], &written["jobs"]), (&1.into(), &1.into()));
    assert_eq!(run(&work, line).code, 3, "what is there stays");
    let shown = result(&work, "config show");
    assert_eq!(shown["jobs"][0]["logs"], "every 1h", "{shown:#}");
    assert_eq!(shown["cas"][0]["own_name"], "Test-CA", "{shown:#}");
    assert_eq!(run(&work, "config check").code, 0);
    assert_eq!(run(&work, "config init --file {x.toml}").code, 2, "nobody can be asked");
    result(&work, "config init --ca ca --to backups/ --file new.toml");
    assert!(fs::read_to_string(work.path("new.toml")).unwrap().contains("\nname = \"Test-CA\"\n"));
    // A folder without a slash is relative to where the command runs, and not to the configuration.
    fs::create_dir(work.path("elsewhere")).unwrap();
    result(&work, "config init --ca ca --to backups --file elsewhere/new.toml");
    let to = format!("to = \"{}\"", work.path("backups").display());
    let written = fs::read_to_string(work.path("elsewhere/new.toml")).unwrap();
    assert!(written.contains(&to), "{written}");
}

#[test]
fn a_ca_that_another_run_has_is_left_alone() {
    let work = world("to = 'backups'\nfull = 'daily 00:00'");
    fs::create_dir_all(work.path("state/locks")).unwrap();
    let lock = fs::File::create(work.path("state/locks/web.lock")).unwrap();
    lock.lock().unwrap();
    let ran = result(&work, "run nightly");
    assert_eq!((steps(&ran).len(), &ran["runs"][0]["left_alone"]), (0, &true.into()), "{ran:#}");
    let said = run(&work, "run nightly").good();
    assert!(said.contains("another run works on it") && !said.contains("Nothing is due"), "{said}");
    // The agent has to know that nothing was done.
    let busy = run(&work, "--quiet run nightly --busy-fails");
    assert_eq!(busy.code, 3);
    assert!(busy.stdout.contains("another run works on it"), "{busy:?}");
    drop(lock);
    assert_eq!(run(&work, "run nightly --now full --busy-fails").code, 0);
    fs::remove_dir_all(work.path("backups/web")).unwrap();
    fs::create_dir(work.path("backups/web")).unwrap();
    assert_eq!(steps(&result(&work, "run nightly")), ["full good"]);
}

/// Another first place has to be rehearsed anew, although nobody shares the folder of evidence.
#[test]
fn a_rehearsal_of_the_place_before_does_not_count() {
    let schedules = "full = 'monthly 1 00:00'\nrehearse = 'monthly 1 00:00'";
    let work = world(&format!("to = 'backups'\n{schedules}"));
    assert_eq!(steps(&result(&work, "run nightly")), ["full good", "rehearse good"]);
    fs::create_dir(work.path("more")).unwrap();
    configure(&work, &format!("to = 'more'\n{schedules}"));
    let before = run(&work, "--json status").json();
    assert!(before["result"]["cas"][0]["rehearsed"].is_null(), "{before:#}");
    assert_eq!(steps(&result(&work, "run nightly")), ["full good", "rehearse good"]);
}
