//! Sets with as many files as a manifest can name: what a command has to do grows as the set does, and not as its square. The
//! processor's time of the command is compared, of 1,500 files with that of 15,000, and not the time on the wall: other
//! processes do not count.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use certadm_rules::Generation;
use certadm_set::Manifest;
use certadm_set::manifest::{FileEntry, Role};
use certadm_store::log_file::LogFile;

use crate::support::{Work, command};

const FEW: u32 = 1_500;
const MANY: u32 = 15_000;
/// Ten times the files are ten times the work; its square would be a hundred times.
const MOST: f64 = 30.0;

/// Seconds that the processor worked for a command, and its exit code.
fn worked(work: &Work, line: &str) -> (f64, i32) {
    let plain = command(&work.path(""), line);
    let mut shell = Command::new("sh");
    // The second line of `times` is about the children: user and system time, as 0m1.25s.
    shell.args(["-c", "\"$@\" > said 2>&1; code=$?; times; exit $code", "sh"]);
    shell.arg(plain.get_program()).args(plain.get_args()).current_dir(work.path(""));
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let seconds = |time: &str| {
        let (minutes, seconds) = time.trim_end_matches('s').split_once('m').unwrap();
        minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
    };
    let children = text.lines().nth(1).unwrap_or_else(|| panic!("{text}"));
    (children.split_whitespace().map(seconds).sum(), output.status.code().expect("it ended by itself"))
}

/// Runs commands on a set that `make` makes with few files and with many, and compares.
fn compare(lines: &[(&str, &[i32])], make: impl Fn(&Work, u32)) {
    let mut few = Vec::new();
    for count in [FEW, MANY] {
        let work = Work::with_ca();
        work.result("backup --dir {ca} --to {set}");
        make(&work, count);
        for (number, (line, codes)) in lines.iter().enumerate() {
            let (seconds, ended) = worked(&work, line);
            let said = || fs::read_to_string(work.path("said")).unwrap().lines().take(5).collect::<String>();
            assert!(codes.contains(&ended), "{line}, {count} files: {ended}: {}", said());
            println!("{line}: {count} files, {seconds} s");
            if count == FEW {
                few.push(seconds.max(0.1));
            } else {
                assert!(seconds < MOST * few[number], "{line}: {seconds} s, and {} s of few", few[number]);
            }
        }
    }
}

fn change(set: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = set.join("manifest.json");
    let mut manifest = Manifest::parse(&fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    fs::write(&path, manifest.complete().unwrap()).unwrap();
}

/// The manifest names logs that are not there, in a folder that is full of files that it does not name.
#[test]
fn names_without_files_and_files_without_names() {
    let lines = [
        ("verify {set}", &[5][..]),
        ("show {set}", &[1, 5]),
        ("list {set} requests", &[3, 5]),
        ("restore --from {set} --dir {new} --dry-run", &[3, 5]),
    ];
    compare(&lines, |work, count| {
        let set = work.path("set");
        change(&set, |manifest| {
            let first = manifest.logs().next().unwrap().clone();
            let last = manifest.generations.high;
            for number in last + 1..=last + count {
                let path = format!("DataBase/{}", Generation::new(number).unwrap().log_file_name());
                manifest.files.push(FileEntry { path, ..first.clone() });
            }
            manifest.generations.high = last + count;
        });
        for number in 0..count {
            fs::write(set.join(format!("DataBase/stranger{number}")), b"").unwrap();
        }
    });
}

/// Every log is there, and continues the one before it: nothing ends the command early.
#[test]
fn logs_that_hold_nothing() {
    let lines = [
        ("verify {set}", &[0][..]),
        ("show {set}", &[0]),
        ("restore --from {set} --dir {new} --dry-run", &[0]),
    ];
    compare(&lines, |work, count| {
        let set = work.path("set");
        change(&set, |manifest| {
            let last = manifest.generations.high;
            let newest = Generation::new(last).unwrap().log_file_name();
            let mut bytes = fs::read(set.join("DataBase").join(newest)).unwrap();
            bytes.truncate(certadm_store::log_file::HEADER_LEN);
            let entry = manifest.logs().next().unwrap().clone();
            for number in last + 1..=last + count {
                let name = Generation::new(number).unwrap().log_file_name();
                continue_with_nothing(&mut bytes, number);
                let to = set.join("DataBase").join(&name);
                fs::write(&to, &bytes).unwrap();
                if number == last + 1 {
                    LogFile::open(to).unwrap().check().unwrap();
                }
                manifest.files.push(FileEntry {
                    path: format!("DataBase/{name}"),
                    role: Role::Log,
                    size: bytes.len() as u64,
                    blake3: blake3::hash(&bytes).to_hex().to_string(),
                    sha256: None,
                    ..entry.clone()
                });
            }
            manifest.generations.high = last + count;
        });
    });
}

/// Makes the header of the next log out of the one before it (docs/store-format.md): a log without pages.
fn continue_with_nothing(header: &mut [u8], generation: u32) {
    // A plain log, whatever the one before it is.
    header[8..12].copy_from_slice(&1_u32.to_le_bytes());
    header[164..204].fill(0);
    header[12..16].copy_from_slice(&generation.to_le_bytes());
    header[52..56].fill(0);
    header.copy_within(64..104, 104);
    header[72..104].copy_from_slice(blake3::hash(b"").as_bytes());
    let body = header.len() - 32;
    let checksum = blake3::hash(&header[..body]);
    header[body..].copy_from_slice(checksum.as_bytes());
}
