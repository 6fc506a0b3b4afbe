//! What `kill -9` cannot show, because the system keeps a dead process's writes: that flushes come in the right order.
//! The shim's log of a run without faults has every call.

use std::path::Path;
use std::process::Command;

use certadm_tests::case::Template;
use certadm_tests::command::binary;
use certadm_tests::{fault, signers};

const DRIVER: &str = env!("CARGO_BIN_EXE_store_driver");

/// The calls of one run: name and path.
struct Calls(Vec<(String, String)>);

impl Calls {
    fn last(&self, matches: impl Fn(&str, &str) -> bool) -> Option<usize> {
        self.0.iter().rposition(|(name, path)| matches(name, path))
    }

    fn first(&self, matches: impl Fn(&str, &str) -> bool) -> Option<usize> {
        self.0.iter().position(|(name, path)| matches(name, path))
    }

    /// Whether `path` is flushed between two calls.
    fn flushes(&self, path: &str, after: usize, before: usize) -> bool {
        after < before
            && self.0[after..before].iter().any(|(name, flushed)| is_flush(name) && flushed == path)
    }
}

fn is_flush(name: &str) -> bool {
    name == "fsync" || name == "fdatasync"
}

fn is_write(name: &str) -> bool {
    ["create", "write", "pwrite64", "writev", "copy_file_range", "ftruncate"].contains(&name)
}

fn parent(path: &str) -> &str {
    Path::new(path).parent().and_then(Path::to_str).expect("a file lies in a folder")
}

/// Invariants 4 and 5: files, then folders, then the signature, then the manifest, then the set's name, then truncation.
#[test]
fn a_set_is_durable_before_its_manifest_and_that_before_anything_is_truncated() {
    let scratch = certadm_tests::scratch();
    let dir = std::fs::canonicalize(scratch.path()).unwrap();
    let work = certadm_tests::scratch();
    Template::running().place(&dir);
    let mut command = Command::new(binary(DRIVER));
    command
        .args(["backup", "--quiet", "--no-identity", "--dir"])
        .arg(dir.join("ca"))
        .arg("--to")
        .arg(dir.join("sets/1-full"));
    command.arg("--sign-key").arg(signers::write_key(&work.path().join("key"), signers::KEY));
    let calls = Calls(fault::operations(command, &dir, work.path()));
    let sets = dir.join("sets").to_str().unwrap().to_owned();

    let manifest = calls.first(|name, path| name == "rename" && path.ends_with("manifest.json")).unwrap();
    let building = parent(&calls.0[manifest].1).to_owned();
    let signed = calls.first(|name, path| name == "rename" && path.ends_with("manifest.json.sig")).unwrap();
    assert!(
        calls.flushes(&building, signed, manifest),
        "the signature stands before the manifest gets its name"
    );
    let named = calls.first(|name, path| name == "rename" && path == format!("{sets}/1-full")).unwrap();
    let truncated = calls.first(|name, path| name == "unlink" && path.ends_with(".log")).unwrap();
    assert!(
        calls.flushes(&building, manifest, named),
        "the manifest's folder is flushed before it gets its name"
    );
    assert!(calls.flushes(&sets, named, truncated), "the set's name is flushed before a log is deleted");

    let mut files: Vec<&str> = calls
        .0
        .iter()
        // The check of the finished set works in a scratch folder, of which nothing has to stay.
        .filter(|(name, path)| {
            name == "create" && path.starts_with(&sets) && !path.contains(".certadm-scratch-")
        })
        .map(|(_, path)| &**path)
        .collect();
    files.sort_unstable();
    files.dedup();
    assert!(files.len() >= 5, "image, log, restore map, signature and manifest: {files:?}");
    for file in files {
        let written = calls.last(|name, path| is_write(name) && path == file).unwrap();
        assert!(calls.flushes(file, written, manifest), "{file} is flushed after its last write");
        let name = file.rsplit('/').next().unwrap_or_default();
        if !(name.starts_with(".manifest.json.") && name.contains(".unfinished-")) {
            let since = Calls(calls.0[written..manifest].to_vec());
            let flushed = since.first(|name, path| is_flush(name) && path == file).unwrap();
            let read = since.last(|name, path| name.contains("read") && path == file);
            assert!(read.is_some_and(|read| flushed < read), "{file} is read back after it was flushed");
            let created = calls.last(|name, path| name == "create" && path == file).unwrap();
            assert!(calls.flushes(parent(file), created, manifest), "the name of {file} is flushed");
        }
    }
}

/// A log is durable, with its name, before the checkpoint overwrites the pages that only it and the WAL have.
#[test]
fn a_log_is_durable_before_the_database_is_checkpointed() {
    let scratch = certadm_tests::scratch();
    let dir = std::fs::canonicalize(scratch.path()).unwrap();
    let work = certadm_tests::scratch();
    Template::running().place(&dir);
    let mut command = Command::new(DRIVER);
    command.arg("roll").args(["ca", "ledger", "sets"].map(|name| dir.join(name)));
    let calls = Calls(fault::operations(command, &dir.join("ca"), work.path()));
    let log_dir = dir.join("ca/log").to_str().unwrap().to_owned();
    let mut rolls = 0;
    for (at, (name, path)) in calls.0.iter().enumerate() {
        if is_write(name) && path.ends_with("/ca.db") {
            let before = Calls(calls.0[..at].to_vec());
            // A log that is packed gets its name once more, beside the commits and after it was durable as it was.
            let is_new = |place: &usize| {
                let (name, path) = &before.0[*place];
                let earlier = &before.0[..*place];
                name == "rename" && path.starts_with(&log_dir) && !earlier.contains(&before.0[*place])
            };
            let renamed = (0..before.0.len()).rfind(is_new).expect("no checkpoint without a log");
            let log = &calls.0[renamed].1;
            assert!(calls.flushes(&log_dir, renamed, at), "the name of {log} is flushed before call {at}");
            let file = format!("{log}.new");
            let written = before.last(|name, path| is_write(name) && path == file).unwrap();
            assert!(calls.flushes(&file, written, renamed), "the log is flushed before it gets its name");
            let flushed_wal = before.last(|name, path| is_flush(name) && path.ends_with("-wal")).unwrap();
            let written_wal = before.last(|name, path| is_write(name) && path.ends_with("-wal")).unwrap();
            assert!(written_wal < flushed_wal, "the WAL is flushed before the checkpoint");
            rolls += 1;
        }
    }
    assert!(rolls > 3, "{rolls} writes to the database");
}
